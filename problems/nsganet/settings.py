"""Settings of a search for the blocks of NSGANetV1."""

from dataclasses import dataclass
from typing import Any, ClassVar

from moonas.evaluators.settings import (
    OBJECTIVES,
    FixedWeightSettings,
    ProxySettings,
    StemSettings,
    SupernetSettings,
)
from moonas.settings import setting
from moonas.training.settings import CellTrainingSettings

# Default distribution index of the polynomial mutation. The paper does not print it; the value is
# that of the authors' release of NSGA-Net.
MUTATION_ETA = 3.0


@dataclass(frozen=True, kw_only=True)
class Settings(ProxySettings, SupernetSettings, FixedWeightSettings, StemSettings):
    """Settings of a search for blocks; the defaults suit a short search on digits."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "digits": {},
        # Digits, with a supernet that is trained for 60 epochs before the search: about 5 minutes.
        "supernet": dict(
            evaluator="supernet",
            batch=32,
            learning_rate=0.05,
            channels=8,
            increment=4,
            warmup_epochs=60,
            epochs=3,
            frozen_epochs=200,
        ),
        # Table I and section V-C. The paper does not print the learning rate, momentum and gradient
        # clipping; the values are those of DARTS, whose training the paper follows. N = 4 means 14
        # cells. Section H has the reference point of the hypervolume.
        "paper": dict(
            data="cifar100",
            population=40,
            generations=30,
            proxy_epochs=36,
            warmup_epochs=36,
            epochs=10,
            frozen_epochs=360,
            batch=128,
            learning_rate=0.025,
            channels=36,
            increment=6,
            layers=14,
            score_batch=500,
            macs_bound=1e9,
        ),
    }

    objectives: tuple[str, ...] = setting(
        ("error", "macs"), f"columns to minimize, one or more of {', '.join(OBJECTIVES)}"
    )
    evaluator: str = setting(
        "proxy",
        "proxy: train each candidate from scratch; supernet: candidates share weights",
        ("proxy", "supernet"),
    )
    population: int = setting(
        20, "K, number of architectures that survive each generation", least=1
    )
    generations: int = setting(10, "number of generations, which all schedules span", least=1)
    exploitation: float | None = setting(
        2 / 3,
        "fraction of the generations after which the Bayesian network is used; none: never",
        above=0,
        most=1,
    )
    first_share: float = setting(
        0.25,
        "fraction of the offspring that the Bayesian network creates in its first generation",
        least=0,
        most=1,
    )
    n_best: int = setting(
        100, "number of best architectures that the Bayesian network is fitted to", least=1
    )
    eta: float = setting(
        MUTATION_ETA,
        "distribution index of the polynomial mutation; larger values cause smaller changes",
        least=0,
    )
    architectures_per_step: int = setting(
        4, "number of architectures sampled per training step of the supernet", least=1
    )
    learning_rate_end: float = setting(0.0, "learning rate at the end of the schedule", least=0)
    weight_decay: float = setting(
        5e-4, "weight decay of SGD; weights unused in a step do not decay", least=0
    )
    channels: int = setting(4, "channels of the first cell in a proxy or in the supernet", least=1)
    increment: int = setting(
        2, "number of channels by which each cell is wider than the previous cell", least=0
    )
    layers: int = setting(3, "number of cells in a proxy or in the supernet", least=1)
    macs_bound: float | None = setting(
        None,
        "macs of the hypervolume's reference point; none: the space's largest",
        above=0,
    )


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(CellTrainingSettings):
    """Settings for training a network of blocks from scratch."""

    NETWORK: ClassVar[tuple[str, ...]] = (*CellTrainingSettings.NETWORK, "increment", "squeeze")
    PRESETS: ClassVar[dict[str, dict[str, Any]]] = CellTrainingSettings.PRESETS | {
        # Section IV-B: 36 channels, 20 cells, each wider than the previous one. Table I prints the
        # weight decay; the learning rate, clipping and path dropout are those of DARTS.
        "paper": CellTrainingSettings.PRESETS["paper"] | dict(weight_decay=5e-4, increment=6),
        # Section VI, on ChestX-ray14: the learning rate falls when the AUROC stops improving. The
        # paper says no more; rotation, size and the number of epochs are usual for X-rays.
        "xrays": dict(
            image_size=224,
            stored_size=256,
            image_channels=1,
            epochs=100,
            batch=64,
            learning_rate=0.025,
            schedule="plateau",
            padding=0,
            crop_scale=(0.7, 1.0),
            rotation=10.0,
            mirror="yes",
            channels=32,
            layers=14,
            score_batch=100,
        ),
    }

    increment: int | None = setting(
        None,
        "number of channels by which each cell is wider than the previous cell; none: same as in "
        "the search or the publication",
        least=0,
    )
    squeeze: bool | None = setting(
        None,
        "whether squeeze-and-excitation follows each cell; none: same as in the publication, or no",
    )
