"""Settings of all stages: pretraining of a CycleGAN, its pruning, and the final fine-tuning."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from moonas.settings import RunSettings, SearchSettings, check_objectives, require, setting

ENCODINGS = ("filters", "released")
OBJECTIVES = (
    *("loss", "size", "fitness", "params", "macs"),
    *("loss_a", "loss_b", "size_a", "size_b", "fitness_a", "fitness_b"),
)
# CycleGAN's own (Zhu et al., 2017), which the paper takes over.
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


@dataclass(frozen=True, kw_only=True)
class CycleSettings(RunSettings):
    """Domains, networks and training of a CycleGAN. Defaults are small, for digits."""

    data: str = setting(
        "digits", "digits, or a folder of two domains with A/train, A/test, B/train and B/test"
    )
    image_size: int | None = setting(
        None, "pixels a side, a multiple of 4; none: 16 for digits, 256 for folders", least=8
    )
    margin: int = setting(
        0, "pixels that training images of a folder are larger, and cropped at random", least=0
    )
    flip: bool = setting(False, "mirror half of the images that train")
    train_share: float = setting(
        0.8, "share of the images to search with that trains; the rest validates", above=0
    )
    width: int = setting(16, "filters of a generator's first convolution", least=1)
    blocks: int = setting(3, "residual blocks of a generator", least=0)
    d_width: int = setting(32, "filters of a discriminator's first convolution", least=1)
    d_layers: int = setting(2, "convolutions of stride 2 of a discriminator", least=1)
    batch: int = setting(16, "images of each domain a step", least=1)
    learning_rate: float = setting(5e-4, "of Adam", above=0)
    beta1: float = setting(0.5, "of Adam", least=0)
    beta2: float = setting(0.999, "of Adam", least=0)
    cycle: float = setting(10.0, "factor of the cycle loss in training (L1)", least=0)
    identity: float = setting(5.0, "factor of the identity loss in training (L1)", least=0)
    pool: int = setting(50, "generated images kept for discriminators; 0 for none", least=0)
    segmentation: str | None = setting(
        None,
        "package.module:function or file.py:function that makes a network for FCN-scores, where "
        "images have label maps",
        free=True,  # no score of a search depends on it
    )
    inception_weights: str | None = setting(
        None, "file of pytorch-fid's Inception, for the FID of images from a folder", free=True
    )
    score_batch: int = setting(72, "images a pass when they are scored", least=1)

    def __post_init__(self):
        super().__post_init__()
        require(self.train_share < 1, self, "train_share", "less than 1")
        for name in ("beta1", "beta2"):
            require(getattr(self, name) < 1, self, name, "less than 1")
        good = self.image_size is None or self.image_size % 4 == 0
        require(good, self, "image_size", "a multiple of 4")
        maps = self.data != "digits" or self.segmentation is None
        require(maps, self, "segmentation", "none for digits, which have no label maps")
        there = self.inception_weights is None or Path(self.inception_weights).is_file()
        require(there, self, "inception_weights", "none, or a file that is there")

    @property
    def network_shape(self):
        """Arguments of a :class:`~moonas.problems.cyclegan_pruning.training.CycleGAN`."""
        return {name: getattr(self, name) for name in ("width", "blocks", "d_width", "d_layers")}


@dataclass(frozen=True, kw_only=True)
class EpochSettings(CycleSettings):
    """How long a CycleGAN trains."""

    epochs: int = setting(20, "epochs at the full learning rate", least=0)
    decay_epochs: int = setting(20, "epochs after them, in which it falls linearly", least=0)


@dataclass(frozen=True, kw_only=True)
class PretrainingSettings(EpochSettings):
    """Settings of the training of a CycleGAN. Defaults are small, for digits."""

    PRESETS: ClassVar[dict[str, dict]] = {
        "digits": {},
        "paper": _CYCLEGAN | dict(epochs=100, decay_epochs=100),
    }


@dataclass(frozen=True, kw_only=True)
class PruningSettings(CycleSettings, SearchSettings):
    """Settings of the search for filters to keep. Defaults are small, for digits."""

    PRESETS: ClassVar[dict[str, dict]] = {
        "digits": {},
        # Section 4: K = 32, T = 100, gamma = 10, lambda = 10, and CycleGAN's own settings.
        "paper": _CYCLEGAN
        | dict(
            population=32,
            generations=101,
            gamma=10.0,
            cycle_weight=10.0,
            tune_steps=100,  # not printed
            tune_batch=None,
            tune_learning_rate=None,
            pretrain_epochs=200,
        ),
    }

    objectives: tuple[str, ...] = setting(
        ("loss", "size"), f"columns to minimise, one or more of {', '.join(OBJECTIVES)}"
    )
    population: int = setting(16, "K, candidates for each generator", least=2)
    generations: int = setting(16, "T + 1, iterations to run", least=1)
    gamma: float = setting(0.5, "factor of the loss in the fitness (eqs. 8, 11 and 13)", above=0)
    cycle_weight: float = setting(
        10.0, "lambda, factor of the cycle loss in the fitness (squared l2, eq. 6)", least=0
    )
    loss: str = setting(
        "discriminator",
        "what a translation should share with the original's: what D sees in it (eq. 5), or every "
        "pixel (eq. 4)",
        ("discriminator", "generator"),
    )
    norm: str = setting(
        "mean", "squared l2 norms: means over pixels and patches, or sums", ("mean", "sum")
    )
    encoding: str = setting(
        "filters",
        "bits: a filter each, tied as the additions want it; or as released, with one mask for all "
        "residual blocks",
        ENCODINGS,
    )
    density: float = setting(0.5, "chance that a filter is kept at first", above=0, most=1)
    copy: float = setting(0.2, "chance that a child is a copy of its parent", least=0, most=1)
    crossover: float = setting(
        0.7, "chance that two parents exchange a segment; else one has a segment flipped", least=0
    )
    separate: bool = setting(False, "each population evolves against the uncompressed generator")
    tune_steps: int = setting(20, "training steps of a candidate before it is scored", least=0)
    tune_share: float = setting(
        0.1, "share of the images that train which these steps take", above=0, most=1
    )
    tune_batch: int | None = setting(8, "images of each domain such a step; none: batch", least=1)
    tune_learning_rate: float | None = setting(
        1e-3, "of Adam in these steps; none: learning_rate", above=0
    )
    weights: str | None = setting(
        None,
        "file of a trained CycleGAN (cyclegan.pt); none: one is trained first",
        free=True,  # its content is checked
    )
    from_run: str | None = setting(
        None, "run folder of cyclegan-pretraining, whose CycleGAN to compress"
    )
    pretrain_epochs: int = setting(
        20, "epochs that a CycleGAN of no file trains; in their second half the rate falls", least=0
    )

    def __post_init__(self):
        super().__post_init__()
        check_objectives(self.objectives, OBJECTIVES, 1)
        both = self.copy + self.crossover <= 1
        require(both, self, "crossover", f"at most 1 less copy={self.copy:g}")
        one = self.weights is None or self.from_run is None
        require(one, self, "weights", "none where from_run brings weights")


@dataclass(frozen=True, kw_only=True)
class FineTuningSettings(EpochSettings):
    """Settings of the fine-tuning; fields that the search has default to its values.

    Width, blocks, d_width and d_layers are always those of the networks in the folder.
    """

    PRESETS: ClassVar[dict[str, dict]] = {
        "digits": {},
        # The release's: 201 epochs in batches of 8, the last 100 of them with a falling rate.
        "paper": _CYCLEGAN | dict(epochs=101, decay_epochs=100, batch=8),
    }

    weights: str | None = setting(  # names: of .weights_file
        None, "folder with compressed.pt and cyclegan.pt", free=True
    )

    def __post_init__(self):
        super().__post_init__()
        require(self.weights is not None, self, "weights", "a folder that a search has left")
