"""Settings of a CARS search."""

from dataclasses import dataclass
from typing import Any, ClassVar

from moonas.evaluators.settings import COSTS, StemSettings, SupernetSettings
from moonas.settings import require, setting


@dataclass(frozen=True, kw_only=True)
class Settings(SupernetSettings, StemSettings):
    """Settings of a CARS search; the defaults suit a short search on digits."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "digits": {},
        # Section 4.2. The learning rate, weight decay and gradient clipping are those of DARTS, as
        # in the authors' release. The first generation is the warm-up of 50 epochs; the other 45
        # take 10 epochs each, 500 in all.
        "paper": dict(
            data="cifar10",
            population=128,
            generations=46,
            warmup_epochs=50,
            epochs=10,
            frozen_epochs=500,
            batch=128,
            learning_rate=0.025,
            channels=16,
            layers=8,
            score_batch=500,
            target_channels=36,
            target_layers=20,
        ),
    }

    size: str | None = setting(
        None,
        "objective that pNSGA-III treats as the size of a network; none: the second objective, or "
        "the first if the second is the error",
    )
    population: int = setting(
        24, "P, number of architectures that survive each generation", least=1
    )
    generations: int = setting(
        16,
        "number of generations, including the warm-up; the learning rate is lowest in the last one",
        least=1,
    )
    expand: float = setting(
        1.0, "t, number of offspring per generation as a multiple of the population size", above=0
    )
    crossover: float = setting(
        0.25, "probability that a child is a crossover of two parents", least=0, most=1
    )
    mutation: float = setting(
        0.25,
        "probability that a child is a mutant of one parent; the other children are random",
        least=0,
        most=1,
    )
    node_share: float = setting(
        0.5,
        "probability per node that crossover exchanges it or mutation samples it anew",
        least=0,
        most=1,
    )
    protection: str = setting(  # choices: SECOND_SORTS of moonas.algorithms.pnsga3, and none
        "growth",
        "second sort of pNSGA-III; growth: by growth of accuracy and size, as in the paper; size: "
        "by error and size, as in the authors' release; none: NSGA-III, without a second sort",
        ("growth", "size", "none"),
    )
    cut: str = setting(  # choices: CUTS of moonas.algorithms.pnsga3
        "niching",
        "how pNSGA-III selects survivors from the last front, which fits only in part",
        ("niching", "random"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = [name for name in self.objectives if name in COSTS]
        possible = self.crossover + self.mutation <= 1
        require(possible, self, "mutation", f"at most {1 - self.crossover:g}, 1 - crossover")
        require(self.size is None or self.size in sizes, self, "size", f"one of {sizes}")
