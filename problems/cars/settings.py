"""Settings of a CARS search."""

from dataclasses import dataclass
from typing import ClassVar

from moonas.evaluators.settings import COSTS, SupernetSettings
from moonas.settings import require, setting


@dataclass(frozen=True, kw_only=True)
class Settings(SupernetSettings):
    """Settings of a CARS search. Defaults are small, for digits."""

    PRESETS: ClassVar[dict[str, dict]] = {
        "digits": {},
        # Section 4.2; learning rate, clipping and weight decay are DARTS's, as the release has
        # them. 45 generations of 10 epochs follow on 50 of warm-up: 500 epochs.
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
        None, "objective that pNSGA-III takes for the size; none: the second, or the first of two"
    )
    population: int = setting(24, "P, architectures that survive a generation", least=1)
    generations: int = setting(
        16, "horizon of the learning rate, in generations; the first one is the warm-up's", least=1
    )
    expand: float = setting(1.0, "t, offspring a generation in units of the population", above=0)
    protection: str = setting(  # choices: SECOND_SORTS of moonas.algorithms.pnsga3, and none
        "growth",
        "second sort: growth of accuracy, size as released, or none",
        ("growth", "size", "none"),
    )
    cut: str = setting(  # choices: CUTS of moonas.algorithms.pnsga3
        "niching", "how pNSGA-III cuts the last front", ("niching", "random")
    )

    def __post_init__(self):
        super().__post_init__()
        sizes = [name for name in self.objectives if name in COSTS]
        require(self.size is None or self.size in sizes, self, "size", f"one of {sizes}")
