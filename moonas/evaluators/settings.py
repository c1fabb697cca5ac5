"""Settings that searches share: for image classifiers, and in tables of measured networks."""

from dataclasses import dataclass

from ..settings import RunSettings, SearchSettings, check_objectives, require, setting

QUALITIES = ("error", "robustness_error", "auroc_error")
COSTS = ("params", "macs", "latency_ms")
OBJECTIVES = (*QUALITIES, *COSTS)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(RunSettings):
    """How classifiers are trained; a task overrides defaults."""

    image_size: int | None = setting(None, "pixels a side; none takes the data set's own", least=1)
    train_share: float = setting(
        0.5, "share of the images to search with that trains; the rest validates", above=0
    )
    batch: int = setting(32, "images a training step", least=1)
    learning_rate: float = setting(0.1, "at the start; falls along a cosine", above=0)
    learning_rate_end: float = setting(0.001, "at the horizon, and from there on", least=0)
    momentum: float = setting(0.9, "of SGD", least=0)
    weight_decay: float = setting(3e-4, "of SGD; what a step does not use does not decay", least=0)
    clip: float = setting(5.0, "norm that a gradient is clipped to", above=0)
    score_batch: int = setting(360, "validation images a batch", least=1)

    def __post_init__(self):
        super().__post_init__()
        require(self.train_share < 1, self, "train_share", "less than 1")


@dataclass(frozen=True, kw_only=True)
class ClassifierSettings(SearchSettings, TrainingSettings):
    """How classifiers are trained and scored in a search."""

    objectives: tuple[str, ...] = setting(
        ("error", "params"), f"columns to minimise, two or more of {', '.join(OBJECTIVES)}"
    )
    latency_batch: int = setting(1, "images a pass when latency is measured", least=1)
    latency_bound: float = setting(100.0, "ms, upper end of latency in hypervolumes", above=0)
    latency_table: str | None = setting(None, "file of latencies to sum up instead of measuring")

    def __post_init__(self):
        super().__post_init__()
        check_objectives(self.objectives, OBJECTIVES)


@dataclass(frozen=True, kw_only=True)
class ProxySettings(ClassifierSettings):
    """Settings of a search that trains each candidate from scratch, for some epochs."""

    crossover: float = setting(0.9, "chance that two parents are crossed", above=0, most=1)
    mutation: float = setting(0.1, "chance of each gene to mutate", above=0, most=1)
    proxy_epochs: int = setting(5, "epochs that a candidate trains", least=1)
    train_share: float = setting(
        0.8, "share of the images to search with that trains; the rest validates", above=0
    )
    batch: int = setting(64, "images a training step", least=1)
    learning_rate_end: float = setting(0.0, "at the last epoch, and from there on", least=0)
    weight_decay: float = setting(5e-4, "of SGD", least=0)


@dataclass(frozen=True, kw_only=True)
class SupernetSettings(ClassifierSettings):
    """Settings of a search whose candidates share the weights of a supernet."""

    weights: str = setting(
        "shared", "shared weights that train on, or frozen after one training", ("shared", "frozen")
    )
    warmup_epochs: int = setting(
        15, "epochs of uniform sampling before the first generation", least=0
    )
    epochs: int = setting(2, "epochs of training a generation", least=1)
    frozen_epochs: int = setting(40, "epochs of uniform sampling where weights=frozen", least=0)
    supernet_seed: int = setting(0, "seed of the supernet where weights=frozen; not the run's")
    architectures_per_step: int = setting(1, "architectures a training step", least=1)
    channels: int = setting(16, "channels of the first cell that is trained", least=1)
    layers: int = setting(3, "cells that are trained", least=1)
    target_channels: int | None = setting(
        None,
        "channels of the network that params, macs and latency belong to; none: channels",
        least=1,
    )
    target_layers: int | None = setting(None, "cells of that network; none: layers", least=1)
