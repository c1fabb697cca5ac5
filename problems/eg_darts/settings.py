"""Settings of both stages of EG-DARTS: the search for cells, and that for networks of them."""

from dataclasses import dataclass
from typing import ClassVar

from moonas.evaluators.settings import ProxySettings, TrainingSettings
from moonas.settings import require, setting

from .cell_space import OPERATIONS

DEFAULT_CELLS = "PDARTS"


@dataclass(frozen=True, kw_only=True)
class CellSettings(TrainingSettings):
    """Settings of the search for cells. Defaults are small, for digits."""

    PRESETS: ClassVar[dict[str, dict]] = {
        "digits": {},
        # Table I for batch, weight decay, learning rate and epochs, section IV-C for depths and
        # candidates; P-DARTS for channels, weight epochs, Adam and dropout, which are not printed.
        "paper": dict(
            data="cifar10",
            batch=96,
            channels=16,
            layers=(5, 11, 17),
            epochs=40,
            weight_epochs=10,
            learning_rate=0.025,
            learning_rate_end=0.0,
            weight_decay=5e-4,
            alpha_optimizer="adam",
            alpha_learning_rate=6e-4,
            skip_dropout=(0.0, 0.4, 0.7),
            score_batch=500,
        ),
    }

    batch: int = setting(64, "images a step, of the training and of the validation images", least=1)
    channels: int = setting(8, "channels of the proxy network's first cell", least=1)
    layers: tuple[int, ...] = setting(
        (3, 4, 5), "cells of the proxy network by period; two of them are reductions", least=3
    )
    candidates: tuple[int, ...] = setting(
        (12, 8, 4), "operations of an edge by period, all 12 at first", least=2
    )
    epochs: int = setting(12, "epochs of a period", least=1)
    weight_epochs: int = setting(4, "of these, the first ones, that train weights alone", least=0)
    order: str = setting("first", "order of the architecture gradient", ("first", "second"))
    enhanced: bool = setting(True, "enhance the gradient where complexity falls (eqs. 5-10)")
    history: int = setting(20, "m, steps that the line of loss over complexity fits", least=2)
    limit: float = setting(1.0, "the largest Phi; a gradient grows by 1 + Phi at most", least=0)
    alpha_optimizer: str = setting("sgd", "of the architecture parameters", ("sgd", "adam"))
    alpha_learning_rate: float = setting(1.0, "of the architecture parameters", above=0)
    alpha_weight_decay: float = setting(1e-3, "of the architecture parameters", least=0)
    skip_dropout: tuple[float, ...] = setting(
        (0.0, 0.2, 0.4), "dropout behind identities by period, at its start; it decays", least=0
    )
    skip_limit: int | None = setting(2, "identities of the normal cell; none: any number", least=0)

    def __post_init__(self):
        super().__post_init__()
        n = len(self.candidates)
        require(n > 0, self, "candidates", "one number a period")
        every = len(OPERATIONS)
        falling = list(self.candidates) == sorted(self.candidates, reverse=True)
        require(
            falling and self.candidates[0] == every, self, "candidates", f"falling from {every}"
        )
        for name in ("layers", "skip_dropout"):
            same = len(getattr(self, name)) == n
            require(same, self, name, f"{n} numbers, one a period, as candidates has")
        below = all(rate < 1 for rate in self.skip_dropout)
        require(below, self, "skip_dropout", "less than 1")
        shorter = self.weight_epochs < self.epochs
        require(shorter, self, "weight_epochs", f"less than epochs={self.epochs}")


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(ProxySettings):
    """Settings of the search for depth and width. Defaults are small, for digits."""

    PRESETS: ClassVar[dict[str, dict]] = {
        "digits": {},
        # Table I; momentum and clipping are P-DARTS's, and are not printed.
        "paper": dict(
            data="cifar10",
            population=15,
            generations=20,
            proxy_epochs=36,
            final_epochs=600,
            batch=128,
            learning_rate=0.025,
            first_width=(8, 60),
            stage_cells=(1, 6),
            widening=(1.0, 3.0),
            score_batch=500,
        ),
    }

    cells: str | None = setting(
        None,
        f"published cells by name, or edges as in sep3@0 skip@1 ... / ...; none: {DEFAULT_CELLS}'s",
    )
    from_run: str | None = setting(None, "run folder of eg-darts-cells, whose cells to take")
    population: int = setting(15, "networks that survive a generation", least=1)
    generations: int = setting(10, "generations to run", least=1)
    crossover_eta: float = setting(15.0, "the larger, the nearer to their parents", least=0)
    mutation_eta: float = setting(20.0, "the larger, the smaller mutations are", least=0)
    first_width: tuple[int, ...] = setting((4, 12), "v0, least and most channels at first", least=1)
    stage_cells: tuple[int, ...] = setting((1, 2), "v1 to v3, least and most cells", least=1)
    widening: tuple[float, ...] = setting((1.0, 2.0), "v4 and v5, least and most", least=1)
    final_epochs: int = setting(60, "epochs that the picked network trains in the end", least=0)

    def __post_init__(self):
        super().__post_init__()
        require(
            self.cells is None or self.from_run is None,
            self,
            "cells",
            "from_run brings cells of its own; to search with others, run --stage eg-darts alone",
        )
        for name in ("first_width", "stage_cells", "widening"):
            bounds = getattr(self, name)
            ordered = len(bounds) == 2 and bounds[0] <= bounds[1]
            require(ordered, self, name, "the least and the most, two numbers in order")
