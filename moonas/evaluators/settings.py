"""Training and evaluation settings for searches of image classifiers."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

from ..settings import (
    ImageSettings,
    RunSettings,
    SearchSettings,
    check_objectives,
    require,
    setting,
)

QUALITIES = ("error", "robustness_error", "balanced_error", "top5_error", "auroc_error")
COSTS = ("params", "macs", "latency_ms")
OBJECTIVES = (*QUALITIES, *COSTS)
# columns of quality by which rows of a front are picked, the first that is an objective
_PICKING = ("error", "balanced_error", "top5_error", "auroc_error")
STEMS = ("auto", "small", "large", "from64")  # those of moonas.nets.cells


def picking_column(objectives: Sequence[str], columns: Container[str]) -> str:
    """Return the name of the column of quality by which rows of a front are picked.

    Args:
        objectives: names of the objectives of the search.
        columns: names of the columns of the front.
    """
    for name in (*(name for name in _PICKING if name in objectives), "auroc_error"):
        if name in columns:
            return name
    return "error"


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(ImageSettings):
    """Settings for training classifiers."""

    train_share: float = setting(
        0.5, "fraction of the training set to train on; the rest is the validation set", above=0
    )
    validation_images: int | None = setting(
        None,
        "largest number of validation images on which a search scores candidates; the classes keep "
        "their shares; none: all",
        least=1,
    )
    subset: float | None = setting(
        None,
        "training images of an epoch, a share of at most 1 or a number; they are drawn anew for "
        "each epoch, and the classes keep their shares; none: all",
        above=0,
    )
    stored_size: int | None = setting(
        None,
        "side length in pixels to which images are resized before a network sees their center or, "
        "in training, random crops, such as 256 with image_size=224; none: image_size",
        least=1,
    )
    batch: int = setting(32, "batch size for training", least=1)
    learning_rate: float = setting(0.1, "initial learning rate, before cosine annealing", above=0)
    learning_rate_end: float = setting(0.001, "final learning rate", least=0)
    momentum: float = setting(0.9, "momentum of SGD", least=0)
    weight_decay: float = setting(
        3e-4, "weight decay of SGD, applied only to weights that the training step uses", least=0
    )
    clip: float = setting(5.0, "maximum norm of the gradient", above=0)
    padding: int | None = setting(
        None,
        "largest random shift of training images in pixels; none: as usual for the data set",
        least=0,
    )
    mirror: str = setting(
        "auto",
        "whether half of the training images are flipped horizontally; auto: as usual for the data "
        "set",
        ("auto", "yes", "no"),
    )
    edges: str = setting(
        "black",
        "color of pixels from outside of shifted images: black, or the mean of the training images",
        ("black", "mean"),
        formerly="mean",
    )
    crop_scale: tuple[float, ...] = setting(
        (),
        "smallest and largest share of the area that a random crop of a training image keeps, such "
        "as 0.08,1; none: no random crops",
        above=0,
        most=1,
    )
    rotation: float = setting(
        0.0, "largest random rotation of training images in degrees", least=0, most=180
    )
    jitter: float = setting(
        0.0,
        "largest relative change of the brightness, contrast and saturation of training images",
        least=0,
        most=1,
    )
    auto_augment: str = setting(
        "none",
        "random changes of training images with torchvision: RandAugment with two changes of "
        "strength 9, or TrivialAugment with one change of random strength",
        ("none", "randaugment", "trivialaugment"),
    )
    class_weights: str = setting(
        "none",
        "weights of the classes in the training loss; balanced: inversely proportional to the "
        "number of their training images",
        ("none", "balanced"),
    )
    score_batch: int = setting(360, "batch size for evaluation on the validation set", least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.train_share < 1, self, "train_share", "less than 1")
        scale = self.crop_scale
        in_order = not scale or (len(scale) == 2 and scale[0] <= scale[1])
        require(in_order, self, "crop_scale", "none, or two numbers in ascending order")
        size, stored = self.image_size, self.stored_size
        large_enough = size is None or stored is None or stored >= size
        require(large_enough, self, "stored_size", f"at least image_size={size}")

    @property
    def image_form(self) -> dict[str, Any]:
        """Arguments of :func:`moonas.data.describe`."""
        return {**super().image_form, "stored_size": self.stored_size}


@dataclass(frozen=True, kw_only=True)
class ClassifierSettings(SearchSettings, TrainingSettings):
    """Settings of a search for classifiers."""

    objectives: tuple[str, ...] = setting(
        ("error", "params"), f"columns to minimize, one or more of {', '.join(OBJECTIVES)}"
    )
    latency_batch: int = setting(1, "batch size for measuring latency", least=1)
    latency_bound: float = setting(
        100.0, "upper bound on the latency in ms, for the hypervolume", above=0
    )
    latency_table: str | None = setting(None, "path of a latency table; none: latency is measured")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_objectives(self.objectives, OBJECTIVES)


@dataclass(frozen=True, kw_only=True)
class FixedWeightSettings(ClassifierSettings):
    """Setting of a search whose networks can have weights that are not trained."""

    count_fixed: bool = setting(
        False,
        "whether macs include the multiply-adds of the fixed weights of local binary convolutions",
        formerly=True,
    )


@dataclass(frozen=True, kw_only=True)
class StemSettings(RunSettings):
    """Setting of a search whose networks are stacks of cells."""

    stem: str = setting(
        "auto",
        "first layers of each network; small: those for CIFAR; large: those for ImageNet, which "
        "divide the side of an image by 8; auto: large from 128 pixels on; from64: large from 64 "
        "pixels on, as in earlier versions",
        STEMS,
        formerly="from64",
    )


@dataclass(frozen=True, kw_only=True)
class ProxySettings(ClassifierSettings):
    """Settings of a search that trains each candidate from scratch for a few epochs."""

    crossover: float = setting(0.9, "crossover probability per pair of parents", above=0, most=1)
    mutation: float = setting(0.1, "mutation probability per gene", above=0, most=1)
    proxy_epochs: int = setting(5, "number of training epochs per candidate", least=1)
    train_share: float = setting(
        0.8, "fraction of the training set to train on; the rest is the validation set", above=0
    )
    batch: int = setting(64, "batch size for training", least=1)
    learning_rate_end: float = setting(0.0, "learning rate at the end of the training", least=0)
    weight_decay: float = setting(5e-4, "weight decay of SGD", least=0)


@dataclass(frozen=True, kw_only=True)
class SupernetSettings(ClassifierSettings):
    """Settings of a search whose candidates share the weights of a supernet."""

    weights: str = setting(
        "shared",
        "shared: weights are trained in each generation; frozen: once, before the search",
        ("shared", "frozen"),
    )
    warmup_epochs: int = setting(
        15, "number of epochs on random architectures before the first generation", least=0
    )
    epochs: int = setting(2, "number of training epochs per generation", least=1)
    frozen_epochs: int = setting(
        40, "number of epochs on random architectures if weights=frozen", least=0
    )
    supernet_seed: int = setting(
        0, "seed of the supernet if weights=frozen; replaces the seed of the run"
    )
    architectures_per_step: int = setting(
        1, "number of architectures sampled per training step", least=1
    )
    channels: int = setting(16, "channels of the first cell in the supernet", least=1)
    layers: int = setting(3, "number of cells in the supernet", least=1)
    target_channels: int | None = setting(
        None,
        "channels of the network that params, macs and latency_ms refer to; none: channels",
        least=1,
    )
    target_layers: int | None = setting(
        None,
        "number of cells in the network that params, macs and latency_ms refer to; none: layers",
        least=1,
    )
    target_image_size: int | None = setting(
        None,
        "side length of the images of the network that params, macs and latency_ms refer to; none: "
        "that of the data set",
        least=1,
    )
    target_classes: int | None = setting(
        None,
        "number of classes of the network that params, macs and latency_ms refer to; none: that of "
        "the data set",
        least=1,
    )
