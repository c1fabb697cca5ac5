"""Settings of a search for NSGANetV1's blocks."""

from dataclasses import dataclass
from typing import ClassVar

from moonas.evaluators.settings import OBJECTIVES, ProxySettings, SupernetSettings
from moonas.settings import setting

ETA = 3.0  # of the polynomial mutation; not printed, NSGA-Net's release has it


@dataclass(frozen=True, kw_only=True)
class Settings(ProxySettings, SupernetSettings):
    """Settings of a search for blocks. Defaults are small, for digits."""

    PRESETS: ClassVar[dict[str, dict]] = {
        "digits": {},
        # Digits with shared weights that are trained before the search: some five minutes.
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
        # Table I and section V-C; learning rate, momentum and clipping are DARTS's, whose training
        # the paper follows, and are not printed. 14 cells are N = 4. Hypervolume as in section H.
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
        ("error", "macs"), f"columns to minimise, two or more of {', '.join(OBJECTIVES)}"
    )
    evaluator: str = setting(
        "proxy",
        "proxy trains each candidate from scratch, supernet shares weights",
        ("proxy", "supernet"),
    )
    population: int = setting(20, "K, architectures that survive a generation", least=1)
    generations: int = setting(10, "horizon of the schedules, in generations", least=1)
    exploitation: float | None = setting(
        2 / 3, "share of the generations after which the model begins; none: never", above=0, most=1
    )
    first_share: float = setting(
        0.25, "of the offspring that come from the model at its beginning", least=0, most=1
    )
    n_best: int = setting(100, "architectures that the model is fitted on", least=1)
    eta: float = setting(ETA, "distribution index; the larger, the smaller mutations are", least=0)
    architectures_per_step: int = setting(4, "architectures a step of the supernet", least=1)
    learning_rate_end: float = setting(0.0, "at the horizon, and from there on", least=0)
    weight_decay: float = setting(5e-4, "of SGD; what a step does not use does not decay", least=0)
    channels: int = setting(4, "channels of the first cell of a proxy or of the supernet", least=1)
    increment: int = setting(2, "channels that each cell has more than the one before", least=0)
    layers: int = setting(3, "cells of a proxy or of the supernet", least=1)
    macs_bound: float | None = setting(
        None, "upper end of macs in hypervolumes; none: that of the space", above=0
    )
