"""Settings of pretraining, search and final fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from moonas.metrics.feature_spec import parse_features
from moonas.settings import (
    RunSettings,
    SearchSettings,
    check_objectives,
    loader_workers_setting,
    names_of,
    require,
    resize_setting,
    setting,
)

from .folders import LARGEST_SIDE, typical_side

ENCODINGS = ("filters", "released")
OBJECTIVES = (
    *("loss", "size", "fitness", "params", "macs", "cycle"),
    *("loss_a", "loss_b", "size_a", "size_b", "fitness_a", "fitness_b"),
)
DIGITS_SIDE = 16  # default side length of digits, in pixels
BY_SIZE: Any = "by size"  # default of a setting whose value depends on the size of the images
_DIGITS: dict[str, Any] = dict(
    margin=0,
    flip=False,
    width=16,
    blocks=3,
    d_width=32,
    d_layers=2,
    batch=16,
    learning_rate=5e-4,
    score_batch=72,
    epochs=20,
    decay_epochs=20,
    pretrain_epochs=20,
    tune_steps=20,
    tune_batch=8,
    tune_learning_rate=1e-3,
)
# The same settings for folders: (images up to this side length in pixels, settings). CycleGAN has 6
# residual blocks below 256 pixels and 9 from there on. The other settings turn from those of digits
# into those of CycleGAN as images become larger.
_FOLDERS: tuple[tuple[float, dict[str, Any]], ...] = (
    (
        47,
        dict(width=32, blocks=3, d_width=32, d_layers=2, batch=16, learning_rate=5e-4)
        | dict(score_batch=72, epochs=50, decay_epochs=50, tune_steps=20),
    ),
    (
        127,
        dict(width=32, blocks=6, d_width=64, d_layers=2, batch=8, learning_rate=4e-4)
        | dict(score_batch=32, epochs=50, decay_epochs=50, tune_steps=30),
    ),
    (
        255,
        dict(width=64, blocks=6, d_width=64, d_layers=3, batch=4, learning_rate=2e-4)
        | dict(score_batch=8, epochs=100, decay_epochs=100, tune_steps=50),
    ),
    (
        float("inf"),
        dict(width=64, blocks=9, d_width=64, d_layers=3, batch=1, learning_rate=2e-4)
        | dict(score_batch=4, epochs=100, decay_epochs=100, tune_steps=100),
    ),
)
# Settings of CycleGAN (Zhu et al., 2017), which the paper adopts.
_CYCLEGAN = dict(
    image_size=256,
    margin=30,
    flip=True,
    width=64,
    blocks=9,
    d_width=64,
    d_layers=3,
    batch=1,
    learning_rate=2e-4,
    score_batch=1,
)


# Values with which the search follows algorithm 1 of the paper to the letter.
_ALGORITHM_1: dict[str, Any] = dict(
    operators="segments",
    replacement="children",
    update="simultaneous",
    first_partner="original",
    initial="random",
    archive=False,
    scale_loss=False,
)


def settings_by_size(data: str, side: int) -> dict[str, Any]:
    """Return the values of the settings whose default depends on the size of the images.

    Args:
        data: "digits", or a folder of images.
        side: side length of the images in pixels; the shorter one if they are not square.
    """
    if data == "digits":
        return dict(_DIGITS)
    values = next(values for largest, values in _FOLDERS if side <= largest)
    # as CycleGAN, which crops 256 of 286 pixels
    more: dict[str, Any] = dict(margin=round(side * 30 / 256), flip=True)
    more |= dict(pretrain_epochs=values["epochs"] + values["decay_epochs"])
    return values | more | dict(tune_batch=None, tune_learning_rate=None)  # as batch, learning_rate


@dataclass(frozen=True, kw_only=True)
class CycleSettings(RunSettings):
    """Settings of the images, networks and training of a CycleGAN.

    Settings with the default ``BY_SIZE`` receive the value that :func:`settings_by_size` returns.
    """

    data: str = setting(
        "digits",
        "digits, or a folder with the images of two domains in A/train, A/test, B/train and B/test",
    )
    image_size: int | None = setting(
        None,
        "side length of images in pixels, a multiple of 4; none: 16 for digits, and the size of "
        f"the images for folders, at most {LARGEST_SIDE}",
        least=8,
    )
    image_width: int | None = setting(
        None,
        "width of images in pixels, a multiple of 4, if they are not square; image_size is then "
        "their height; none: image_size",
        least=8,
    )
    resize: str = resize_setting()
    image_channels: int = setting(3, "1 for gray images, 3 for color images")
    data_in: str = setting(
        "auto",
        "where the training images of a folder are kept; memory: as 8-bit pixels; stream: they are "
        "decoded whenever they are needed; auto: memory if those of a domain take at most a "
        "quarter of it, otherwise stream; results are the same",
        ("auto", "memory", "stream"),
        free=True,
    )
    loader_workers: int | None = loader_workers_setting()
    margin: int = setting(
        BY_SIZE,
        "number of pixels by which images of a folder are larger before random cropping",
        least=0,
    )
    flip: bool = setting(BY_SIZE, "mirror half of the training images")
    train_share: float = setting(
        0.8, "share of the images for training; the rest form the validation set", above=0
    )
    width: int = setting(BY_SIZE, "filters of the first convolution of a generator", least=1)
    blocks: int = setting(BY_SIZE, "residual blocks per generator", least=0)
    d_width: int = setting(BY_SIZE, "filters of the first convolution of a discriminator", least=1)
    d_layers: int = setting(BY_SIZE, "convolutions of stride 2 per discriminator", least=1)
    batch: int = setting(BY_SIZE, "batch size, per domain", least=1)
    learning_rate: float = setting(BY_SIZE, "learning rate of Adam", above=0)
    beta1: float = setting(0.5, "decay rate of Adam's mean of gradients", least=0)
    beta2: float = setting(0.999, "decay rate of Adam's mean of squared gradients", least=0)
    cycle: float = setting(10.0, "weight of the cycle loss in training (L1)", least=0)
    identity: float = setting(5.0, "weight of the identity loss in training (L1)", least=0)
    pool: int = setting(
        50, "size of the buffer of generated images for each discriminator; 0: none", least=0
    )
    segmentation: str | None = setting(
        None,
        "package.module:function or file.py:function that returns a segmentation network for "
        "FCN-scores of test images with label maps",
        free=True,  # no column of a search depends on this setting
    )
    features: str = setting(
        "classifier",
        "network that computes FID and KID: classifier (of digits, or of the two domains of a "
        "folder), inception, torchvision:NAME[=FILE], timm:NAME[=FILE], package.module:function, "
        "file.py:function, or a file (TorchScript, or a model.pt of a classifier)",
        free=True,
    )
    inception_weights: str | None = setting(
        None,
        "file with the Inception weights of pytorch-fid; with it, the features on a folder are "
        "those of inception by default",
        free=True,
    )
    score_batch: int = setting(BY_SIZE, "batch size of evaluation", least=1)

    def __post_init__(self) -> None:
        by_size = [name for name in names_of(type(self)) if getattr(self, name) == BY_SIZE]
        known = isinstance(self.data, str | Path) and all(
            n is None or hasattr(n, "__index__") for n in (self.image_size, self.image_width)
        )
        if by_size and known:  # else, the check of these types fails
            values = settings_by_size(str(self.data), min(self.size))
            for name in by_size:
                object.__setattr__(self, name, values.get(name, BY_SIZE))
        super().__post_init__()
        require(self.train_share < 1, self, "train_share", "less than 1")
        for name in ("beta1", "beta2"):
            require(getattr(self, name) < 1, self, name, "less than 1")
        for name in ("image_size", "image_width"):
            multiple = getattr(self, name) is None or getattr(self, name) % 4 == 0
            require(multiple, self, name, "a multiple of 4")
        is_square = self.image_width is None
        require(is_square or self.data != "digits", self, "image_width", "none for digits")
        given = is_square or self.image_size is not None
        require(given, self, "image_width", "none, unless image_size sets the height")
        allowed = self.data != "digits" or self.segmentation is None
        require(allowed, self, "segmentation", "none for digits, which have no label maps")
        parse_features(self.features)
        exists = self.inception_weights is None or Path(self.inception_weights).is_file()
        require(exists, self, "inception_weights", "none, or an existing file")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images in pixels."""
        side = self.image_size
        if side is None:
            side = DIGITS_SIDE if self.data == "digits" else typical_side(self.data)
        return side, self.image_width or side

    @property
    def network_shape(self) -> dict[str, int]:
        """Arguments of :class:`~moonas.problems.cyclegan_pruning.training.CycleGAN`."""
        names = ["width", "blocks", "d_width", "d_layers"]
        if self.image_channels != 3:  # files of earlier versions lack it
            names.append("image_channels")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, kw_only=True)
class EpochSettings(CycleSettings):
    """Settings of stages that train a CycleGAN for a number of epochs."""

    epochs: int = setting(BY_SIZE, "epochs at the full learning rate", least=0)
    decay_epochs: int = setting(
        BY_SIZE, "further epochs, with a linearly decaying learning rate", least=0
    )


@dataclass(frozen=True, kw_only=True)
class PretrainingSettings(EpochSettings):
    """Settings of the pretraining of a CycleGAN."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "digits": {},
        "paper": _CYCLEGAN | dict(epochs=100, decay_epochs=100),
    }
    PRESETS["algorithm-1"] = PRESETS["paper"]  # the two presets differ only in the search


@dataclass(frozen=True, kw_only=True)
class PruningSettings(CycleSettings, SearchSettings):
    """Settings of the search."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "digits": {},
        # Section 4: K = 32, T = 100, gamma = 10 and lambda = 10, with the settings of CycleGAN.
        "paper": _CYCLEGAN
        | dict(
            population=32,
            generations=101,
            gamma=10.0,
            cycle_weight=10.0,
            tune_steps=100,  # the paper does not state the number of steps
            tune_batch=None,
            tune_learning_rate=None,
            pretrain_epochs=200,
        ),
    }
    PRESETS["algorithm-1"] = PRESETS["paper"] | _ALGORITHM_1

    objectives: tuple[str, ...] = setting(
        ("loss", "size"), f"columns to minimize; one or more of {', '.join(OBJECTIVES)}"
    )
    population: int = setting(16, "candidates per generator (K)", least=2)
    generations: int = setting(16, "number of iterations (T + 1)", least=1)
    gamma: float = setting(
        10.0, "weight of the loss in the fitness (eqs. 8, 11 and 13)", above=0, formerly=0.5
    )
    scale_loss: bool = setting(
        True,
        "divide losses by the largest loss, 1 + lambda, in the fitness, so that they are in [0, 1] "
        "like sizes",
        formerly=False,
    )
    cycle_weight: float = setting(
        10.0,
        "weight lambda of the cycle loss in the loss of a candidate (squared l2, eq. 6)",
        least=0,
    )
    loss: str = setting(
        "discriminator",
        "distance between the translations of original and compressed generators: between scores "
        "of the original discriminator (discriminator, eq. 5) or between pixels (generator, eq. 4)",
        ("discriminator", "generator"),
    )
    norm: str = setting(
        "mean",
        "whether squared errors are averaged or summed over pixels and patches",
        ("mean", "sum"),
    )
    encoding: str = setting(
        "filters",
        "filters: one bit per filter, shared by filters whose outputs are added; released: one "
        "mask for all residual blocks, as in the released code",
        ENCODINGS,
    )
    density: float = setting(
        0.5,
        "initial probability that a filter is kept; with initial=importance, median square root of "
        "the share of weights that a generator keeps",
        above=0,
        most=1,
    )
    initial: str = setting(
        "importance",
        "initial masks: with filters that are important for the loss, for generators of different "
        "sizes (importance), or independent bits (random)",
        ("importance", "random"),
        formerly="random",
    )
    random_share: float = setting(
        0.25,
        "share of random masks if initial is importance",
        least=0,
        most=1,
    )
    operators: str = setting(
        "scaled",
        "crossover and mutation: uniform crossover, and flips or swaps of single bits (scaled), or "
        "exchanges and flips of segments, as in the released code (segments)",
        ("scaled", "segments"),
        formerly="segments",
    )
    replacement: str = setting(
        "best",
        "which individuals survive: the best of parents and children (best), or the children and "
        "the best parent (children, as in algorithm 1)",
        ("best", "children"),
        formerly="children",
    )
    update: str = setting(
        "alternating",
        "whether the second population is evaluated with the best individual of the first from the "
        "same iteration (alternating, section 3.2) or from the previous one (simultaneous, "
        "algorithm 1)",
        ("alternating", "simultaneous"),
        formerly="simultaneous",
    )
    first_partner: str = setting(
        "first",
        "partner in the first iteration: the first individual of the other population (first) or "
        "the uncompressed generator (original)",
        ("first", "original"),
        formerly="original",
    )
    archive: bool = setting(
        True,
        "whether the front contains the best pairs of the whole run instead of those of the last "
        "iteration",
        formerly=False,
    )
    copy: float = setting(
        0.2,
        "probability that a child is a copy of its parent (operators=segments)",
        least=0,
        most=1,
    )
    crossover: float = setting(
        0.7,
        "probability of crossover of two parents; with operators=segments, the remaining children "
        "are mutants",
        least=0,
        most=1,
    )
    separate: bool = setting(
        False,
        "evaluate each population with the uncompressed generator of the other direction; update, "
        "first_partner and archive then have no effect",
    )
    tune_steps: int = setting(
        BY_SIZE, "fine-tuning steps before the evaluation of a candidate", least=0
    )
    tune_share: float = setting(
        0.1, "share of the training set on which candidates are fine-tuned", above=0, most=1
    )
    tune_batch: int | None = setting(
        BY_SIZE,
        "batch size for fine-tuning candidates, per domain; none: the value of batch",
        least=1,
    )
    tune_learning_rate: float | None = setting(
        BY_SIZE,
        "learning rate for fine-tuning candidates; none: the value of learning_rate",
        above=0,
    )
    weights: str | None = setting(
        None,
        "file of a trained CycleGAN (cyclegan.pt), or a folder with the latest_net_*.pth of "
        "CycleGAN's own code: all four, or only the generators; none: train a CycleGAN first",
        free=True,  # a checksum of the file is recorded
    )
    from_run: str | None = setting(
        None, "folder of a finished run of cyclegan-pretraining whose CycleGAN is compressed"
    )
    pretrain_epochs: int = setting(
        BY_SIZE,
        "epochs of training a CycleGAN if neither weights nor from_run is set, or of training "
        "discriminators if weights contains none; the learning rate decays in the second half",
        least=0,
    )

    @property
    def needs_no_stage_before(self) -> bool:
        """Whether pretraining is unnecessary because ``weights`` names a trained CycleGAN."""
        return self.weights is not None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_objectives(self.objectives, OBJECTIVES)
        if self.operators == "segments":
            possible = self.copy + self.crossover <= 1
            require(possible, self, "crossover", f"at most 1 - copy, with copy={self.copy:g}")
        single = self.weights is None or self.from_run is None
        require(single, self, "weights", "none, because from_run already provides the weights")


@dataclass(frozen=True, kw_only=True)
class FineTuningSettings(EpochSettings):
    """Settings of the final fine-tuning. Settings shared with the search default to its values.

    The values of ``width``, ``blocks``, ``d_width`` and ``d_layers`` are always read from the files
    in the folder.
    """

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "digits": {},
        # Released code: 201 epochs with batch size 8; the learning rate decays in the last 100.
        "paper": _CYCLEGAN | dict(epochs=101, decay_epochs=100, batch=8),
    }
    PRESETS["algorithm-1"] = PRESETS["paper"]  # the two presets differ only in the search

    weights: str | None = setting(  # weights_file defines the file names
        None, "folder with compressed.pt and cyclegan.pt", free=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.weights is not None, self, "weights", "the folder of a finished search")
