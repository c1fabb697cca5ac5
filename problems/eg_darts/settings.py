"""Settings of both stages of EG-DARTS: the search for cells and the search for networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from moonas.evaluators.settings import FixedWeightSettings, ProxySettings, StemSettings
from moonas.evaluators.settings import TrainingSettings as ClassificationSettings
from moonas.settings import require, setting
from moonas.training.settings import CellTrainingSettings, presets_without

from .cell_space import OPERATIONS
from .cells import DEFAULT_CELLS, without_folder
from .space import N_LEVELS


@dataclass(frozen=True, kw_only=True)
class CellSettings(ClassificationSettings, StemSettings):
    """Settings of the search for cells. The defaults are for digits and two CPU cores."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "digits": {},
        # Batch size, weight decay, learning rate and epochs are from Table I, depths and candidates
        # from section IV-C, the second order from eqs. 3 and 4, and SGD for the architecture from
        # section IV-A. Channels, weight epochs and dropout are from P-DARTS, because the paper does
        # not state them.
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
            order="second",
            alpha_optimizer="sgd",
            alpha_learning_rate=0.025,
            skip_dropout=(0.0, 0.4, 0.7),
            score_batch=500,
        ),
    }
    # the architecture gradient of P-DARTS, on whose search space the paper builds
    PRESETS["paper-pdarts"] = PRESETS["paper"] | dict(
        order="first", alpha_optimizer="adam", alpha_learning_rate=6e-4
    )

    batch: int = setting(64, "number of images in each training or validation batch", least=1)
    channels: int = setting(8, "channels of the first cell of the proxy network", least=1)
    layers: tuple[int, ...] = setting(
        (3, 4, 5),
        "cells of the proxy network, for each period; two are reduction cells",
        least=3,
    )
    widths: tuple[int, ...] = setting(
        (),
        "channels of the three resolution levels of the proxy network in all periods (Table V), in "
        "place of channels and layers",
        least=1,
    )
    depths: tuple[int, ...] = setting(
        (), "number of normal cells of each of these levels; required by widths", least=1
    )
    target_run: str | None = setting(
        None, "run folder of a search for networks whose picked network gives widths and depths"
    )
    candidates: tuple[int, ...] = setting(
        (12, 8, 4),
        "candidate operations per edge, for each period; all 12 in the first",
        least=2,
    )
    epochs: int = setting(12, "epochs per period", least=1)
    weight_epochs: int = setting(
        4, "epochs at the start of each period that update only the weights", least=0
    )
    order: str = setting("first", "order of the architecture gradient", ("first", "second"))
    second_order: str = setting(
        "exact",
        "how order=second computes second derivatives: by differentiating twice (exact), or by the "
        "finite difference of eq. 4 (finite-difference)",
        ("exact", "finite-difference"),
        formerly="finite-difference",
    )
    enhanced: bool = setting(True, "multiply red architecture gradients by 1 + Phi (eqs. 5-10)")
    judged_step: str = setting(
        "trial",
        "step that decides whether a gradient is red: a step along this gradient, with the losses "
        "before and after it on the same batch (trial), or the last architecture step, whose "
        "losses are of different batches, as in earlier versions (last)",
        ("trial", "last"),
        formerly="last",
    )
    history: int = setting(
        20,
        "last architecture steps (m) to which the line of loss over complexity is fitted",
        least=2,
    )
    limit: float = setting(
        1.0, "largest Phi; red architecture gradients are multiplied by 1 + Phi", least=0
    )
    alpha_optimizer: str = setting(
        "sgd", "optimizer of the architecture parameters", ("sgd", "adam")
    )
    alpha_learning_rate: float = setting(
        1.0, "learning rate of the architecture parameters", above=0
    )
    alpha_weight_decay: float = setting(
        1e-3, "weight decay of the architecture parameters", least=0
    )
    skip_dropout: tuple[float, ...] = setting(
        (0.0, 0.2, 0.4),
        "dropout rate after identities at the start of each period; it decays in the period",
        least=0,
    )
    skip_limit: int | None = setting(
        2, "largest number of identities in the normal cell; none for no limit", least=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        n, n_operations = len(self.candidates), len(OPERATIONS)
        require(n > 0, self, "candidates", "one number per period")
        descending = list(self.candidates) == sorted(self.candidates, reverse=True)
        require(
            descending and self.candidates[0] == n_operations,
            self,
            "candidates",
            f"numbers in descending order that start with {n_operations}",
        )
        for name in ("layers", "skip_dropout"):
            same = len(getattr(self, name)) == n
            require(same, self, name, f"{n} numbers, one per period, as many as in candidates")
        n_levels = N_LEVELS if self.widths or self.depths else 0
        for name in ("depths", "widths"):
            expected = f"{N_LEVELS} numbers, one per resolution level, in both depths and widths"
            require(len(getattr(self, name)) == n_levels, self, name, expected)
        even = all(width % 2 == 0 for width in self.widths[1:])
        require(even, self, "widths", "even numbers after the first")
        alone = self.target_run is None or not self.widths
        require(alone, self, "target_run", "none, because widths and depths are given")
        below = all(rate < 1 for rate in self.skip_dropout)
        require(below, self, "skip_dropout", "numbers less than 1")
        shorter = self.weight_epochs < self.epochs
        require(shorter, self, "weight_epochs", f"less than epochs={self.epochs}")


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(ProxySettings, FixedWeightSettings, StemSettings):
    """Settings of the search for depth and width. The defaults are for digits and two CPU cores."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "digits": {},
        # From Table I. The defaults of momentum and clipping are from P-DARTS, because the paper
        # does not state them.
        "paper": dict(
            data="cifar10",
            population=15,
            generations=21,  # 20 generations of offspring after the initial population
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
    PRESETS["paper-pdarts"] = PRESETS["paper"]  # they differ only in the search for cells

    cells: str | None = setting(
        None,
        "name of published cells, edges of both cells such as sep3@0 skip@1 ... / ..., or a run "
        f"folder of eg-darts-cells; default: {DEFAULT_CELLS}",
    )
    from_run: str | None = setting(None, "run folder of eg-darts-cells whose cells are used")
    population: int = setting(15, "number of networks that survive each generation", least=1)
    generations: int = setting(10, "number of generations", least=1)
    crossover_eta: float = setting(
        15.0,
        "distribution index of the crossover; larger: offspring closer to their parents",
        least=0,
    )
    mutation_eta: float = setting(
        20.0, "distribution index of the mutation; larger: smaller changes of genes", least=0
    )
    first_width: tuple[int, ...] = setting(
        (4, 12), "smallest and largest number of channels of resolution level 1 (v0)", least=1
    )
    stage_cells: tuple[int, ...] = setting(
        (1, 2),
        "smallest and largest number of normal cells per level (v1 to v3)",
        least=1,
    )
    widening: tuple[float, ...] = setting(
        (1.0, 2.0),
        "smallest and largest ratio of channels of successive levels (v4, v5)",
        least=1,
    )
    knee_of: str = setting(
        "population",
        "where the line ends below which the knee is: at the smallest and the largest network of "
        "the final population, or of its front, as in earlier versions",
        ("population", "front"),
        formerly="front",
    )
    final_epochs: int = setting(
        60, "epochs of the final training of the picked network; 0 for no training", least=0
    )
    final: str = setting(
        "model",
        "what the final training is: that of moonas train, which writes a model (model), or only a "
        "test of the network, as in earlier versions (test)",
        ("model", "test"),
        formerly="test",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "cells", without_folder(self.cells))
        require(
            self.cells is None or self.from_run is None,
            self,
            "cells",
            "none, because from_run provides the cells; run --stage eg-darts alone for other cells",
        )
        for name in ("first_width", "stage_cells", "widening"):
            bounds = getattr(self, name)
            ordered = len(bounds) == 2 and bounds[0] <= bounds[1]
            require(ordered, self, name, "two numbers, the smallest and the largest")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(CellTrainingSettings):
    """Settings for training a searched network from scratch; the search determines its shape."""

    NETWORK: ClassVar[tuple[str, ...]] = ("stem",)
    PRESETS: ClassVar[dict[str, dict[str, Any]]] = presets_without("channels", "layers")
    # The batch size and the weight decay are those of Table I. The paper follows the training of
    # P-DARTS, whose path dropout rate is 0.3.
    PRESETS["paper"] |= dict(batch=128, weight_decay=5e-4, drop_path=0.3)
    PRESETS["paper-pdarts"] = PRESETS["paper"]

    cells: str | None = setting(
        None,
        "cells in place of those of the search: a name, edges as in the search, or a run folder of "
        "eg-darts-cells",
    )
    # earlier versions accepted and ignored values
    channels: int | None = setting(None, "none, because the search determines it", free=True)
    layers: int | None = setting(None, "none, because the search determines it", free=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "cells", without_folder(self.cells))

    def replaced_search_settings(self) -> dict[str, Any]:
        """Return the cells, if they replace those of the search."""
        return {} if self.cells is None else {"cells": self.cells}
