"""Settings of EAGAN: both stages of the search, and the full training of the resulting GAN."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from moonas.metrics.feature_spec import parse_features
from moonas.settings import ImageSettings, SearchSettings, check_objectives, require, setting

from .space import CHANNEL_SCHEDULES, MAX_CELLS, N_CELLS
from .zoo import DEFAULT_DISCRIMINATOR, DEFAULT_GENERATOR

GAN_OBJECTIVES = ("fid", "inverse_is", "params", "macs")
AUGMENTATIONS = ("color", "translation", "cutout")  # in the order in which they are applied
MAX_EVALUATIONS = 20  # during a full training, by default
SIMPLE_DISCRIMINATOR = "simple"  # name of the discriminator that EAGAN-GD2 starts with

# Values from section 5.1. Values that the paper does not state come from the released code: the
# numbers of channels, the length of a latent vector, the betas of Adam, 1 step of D per step of G
# in stage 1 and 5 in stage 2, and 10 splits. The paper swaps the two batch sizes; here they are
# those of the released code. It has 40 epochs of warm-up; here there are 50, as in the paper. One
# setting of stage 2 departs from the paper: see warmup_networks.
_PAPER_GAN = dict(
    channels=256,
    d_channels=128,
    latent=120,
    scale=1.0,
    shift=0,
    batch=40,
    generator_batch=80,
    learning_rate=2e-4,
    d_learning_rate=2e-4,
    features="inception",
    is_splits=10,
)
_PAPER_SEARCH = _PAPER_GAN | dict(
    data="cifar10",
    population=16,
    generations=18,
    warmup_epochs=50,
    epochs=10,
    score_images=5000,
    score_batch=100,
)
# Values from section 5.1; d_steps and is_splits come from the released code.
_PAPER_TRAINING = _PAPER_GAN | dict(epochs=600, d_steps=5, score_images=50000)


@dataclass(frozen=True, kw_only=True)
class ImageQualitySettings(ImageSettings):
    """Settings of FID, Inception Score and other measures of generated images."""

    data: str = setting(
        "digits", "name of a data set, or a folder of images with or without labels"
    )
    features: str = setting(
        "classifier",
        "network that computes FID and Inception Score: classifier (trained on the data set), "
        "inception, torchvision:NAME[=FILE], timm:NAME[=FILE], package.module:function, "
        "file.py:function, or a file (TorchScript, or a model.pt of a classifier)",
    )
    inception_weights: str | None = setting(
        None,
        "file that contains pytorch-fid's Inception weights; default: download them if necessary",
        free=True,  # a checksum of the weights is recorded
    )
    real_statistics: str | None = setting(
        None,
        ".npz file with mu and sigma, the mean and covariance of the features of real images, to "
        "which FID is relative; default: those of the data set",
    )
    score_images: int = setting(1000, "generated images per evaluation of a generator", least=2)
    score_batch: int = setting(250, "generated images per forward pass of an evaluation", least=2)
    is_splits: int = setting(
        1, "number of splits of the generated images; the Inception Score is their mean", least=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_features(self.features)
        exists = self.real_statistics is None or Path(self.real_statistics).is_file()
        require(exists, self, "real_statistics", "none, or an existing file")
        enough = self.score_images >= 2 * self.is_splits
        require(enough, self, "score_images", f"at least {2 * self.is_splits}, two per split")


@dataclass(frozen=True, kw_only=True)
class GanSettings(ImageQualitySettings):
    """Settings of the networks and of adversarial training; the defaults are small, for digits."""

    channels: int = setting(16, "channels of a generator", least=1)
    d_channels: int = setting(32, "channels of a discriminator", least=2)
    cells: int | None = setting(
        None,
        "cells of a generator, and of a discriminator; default: 3 up to 56 pixels, 4 for 64 pixels "
        "and 5 for 128 pixels, so that the first feature map of a generator is smaller than 8x8",
        least=N_CELLS,
        most=MAX_CELLS,
        formerly=N_CELLS,
    )
    channel_schedule: str = setting(
        "halve",
        "channels of the fourth and fifth cell, with the largest feature maps: each cell has half "
        "as many as its neighbor with smaller feature maps, or all cells have as many",
        CHANNEL_SCHEDULES,
    )
    latent: int = setting(48, "length of a latent vector, a multiple of 3", least=3)
    spectral: bool = setting(True, "use spectral normalization in discriminators")
    scale: float | None = setting(
        None,
        "factor by which the scores of a discriminator are multiplied; default: 10 for images of "
        "less than 32 pixels, 1 for others, as in the paper",
        above=0,
        formerly=10.0,
    )
    batch: int = setting(32, "real images per discriminator step", least=2)
    generator_batch: int = setting(32, "generated images per generator step", least=2)
    d_steps: int = setting(1, "discriminator steps per generator step", least=1)
    learning_rate: float = setting(1e-3, "learning rate of generators (Adam)", above=0)
    d_learning_rate: float = setting(2e-3, "learning rate of discriminators (Adam)", above=0)
    beta1: float = setting(0.0, "beta1 of Adam", least=0)
    beta2: float = setting(0.9, "beta2 of Adam", least=0)
    shift: int = setting(
        1,
        "largest random shift of real and generated images, before a discriminator scores them, in "
        "pixels; 0 in the paper",
        least=0,
    )
    augment: tuple[str, ...] = setting(
        (),
        "random changes of real and generated images (DiffAugment), before a discriminator scores "
        f"them: any of {', '.join(AUGMENTATIONS)}",
    )
    r1: float = setting(
        0.0,
        "weight of the gradient penalty R1: half of it is multiplied by the squared norm of the "
        "gradient of the scores of real images; 0 for no penalty",
        least=0,
    )
    clip: float | None = setting(
        None, "largest gradient norm; larger gradients are clipped (default: no clipping)", above=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.latent % 3 == 0, self, "latent", "a multiple of 3")
        for name in ("beta1", "beta2"):
            require(getattr(self, name) < 1, self, name, "less than 1")
        known = set(self.augment) <= set(AUGMENTATIONS)
        unique = len(set(self.augment)) == len(self.augment)
        require(known and unique, self, "augment", f"different names of {', '.join(AUGMENTATIONS)}")


@dataclass(frozen=True, kw_only=True)
class GanSearchSettings(SearchSettings, GanSettings):
    """Settings that both stages of the search share."""

    objectives: tuple[str, ...] = setting(
        ("fid", "inverse_is"),
        f"columns to minimize, one or more of {', '.join(GAN_OBJECTIVES)}",
    )
    population: int = setting(
        8,
        "candidates that survive a generation (P/2); they train together with P/2 offspring",
        least=2,
    )
    generations: int = setting(9, "generations, called rounds in the paper", least=1)
    warmup_epochs: int = setting(20, "epochs of the warm-up; see warmup_networks", least=0)
    epochs: int = setting(10, "training epochs per generation", least=1)
    first_round: str = setting(
        "random",
        "first generation: 2 POPULATION random networks are trained and evaluated (random, as in "
        "the paper), or POPULATION random networks are evaluated after the warm-up (untrained)",
        ("random", "untrained"),
        formerly="untrained",
    )
    warmup_networks: str = setting(
        "new",
        "what a step of the warm-up trains: new random networks (new, as in the paper) or networks "
        "of the first population (population)",
        ("new", "population"),
    )
    networks_per_step: int = setting(
        1, "candidates that a training step samples; 1 in the paper", least=1
    )
    crossover: float = setting(
        0.3, "probability that two parents exchange one edge", least=0, most=1
    )
    mutation: float = setting(0.5, "probability that one edge of a child changes", least=0, most=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_objectives(self.objectives, GAN_OBJECTIVES)


@dataclass(frozen=True, kw_only=True)
class GeneratorSettings(GanSearchSettings):
    """Settings of the search for generators; the defaults are small, for digits."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {"digits": {}, "paper": _PAPER_SEARCH}

    initial_discriminator: str | None = setting(
        None,
        "discriminator that all generators train against: the name of a published discriminator, "
        f"{SIMPLE_DISCRIMINATOR!r}, or the operations on its edges; default: "
        f"{DEFAULT_DISCRIMINATOR}",
    )
    from_run: str | None = setting(
        None,
        "run folder of eagan-discriminator; the discriminator that it picked replaces "
        "initial_discriminator (EAGAN-GD3)",
    )
    repeat: int = setting(
        1,
        "how many times moonas search eagan runs both stages (2 for EAGAN-GD3)",
        least=1,
        free=True,  # does not affect either stage
    )
    coupled: bool = setting(
        False, "evolve pairs of a generator and a discriminator in a single stage (figure 6)"
    )

    def pipeline(self, stages: list[str]) -> list[str]:
        """Return the stages to run: both, ``repeat`` times, or only the first if ``coupled``."""
        return stages[:1] if self.coupled else stages * self.repeat

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.coupled:
            absent = "none, because coupled=True evolves the discriminators"
            is_default = self.initial_discriminator is None
            require(is_default, self, "initial_discriminator", absent)
            require(self.repeat == 1, self, "repeat", "1, because coupled=True has a single stage")
            require(not self.from_run, self, "from_run", absent)


@dataclass(frozen=True, kw_only=True)
class DiscriminatorSettings(GanSearchSettings):
    """Settings of the search for discriminators; the defaults are small, for digits."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "digits": {},
        "paper": _PAPER_SEARCH | dict(d_steps=5, networks_per_step=1),
    }

    generator: str | None = setting(
        None,
        "generator of all GANs: the name of a published generator, or the operations on its edges; "
        "default: "
        f"{DEFAULT_GENERATOR}",
    )
    from_run: str | None = setting(
        None,
        "run folder of eagan-generator; all GANs start with the generator that it picked and with "
        "its weights",
    )
    d_steps: int = setting(5, "discriminator steps per generator step", least=1, formerly=1)
    # at 1e-3, as in stage 1, the generators outrun the discriminators (README, Results)
    learning_rate: float = setting(
        3e-4, "learning rate of generators (Adam)", above=0, formerly=1e-3
    )
    generator_epochs: int = setting(
        40,
        f"epochs in which the generator trains against {DEFAULT_DISCRIMINATOR} before the warm-up; "
        "unused with from_run",
        least=0,
    )
    # With new random networks, as in the paper, SuperNet-D stays at chance (README, Results).
    warmup_networks: str = setting(
        "population",
        "what a step of the warm-up trains: new random networks (new, as in the paper) or networks "
        "of the first population (population)",
        ("new", "population"),
        formerly="new",
    )
    networks_per_step: int = setting(
        4, "candidates that a training step samples; 1 in the paper", least=1, formerly=1
    )
    weight_resetting: bool = setting(
        True, "start each generation with copies of the best generator of the previous generation"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        compatible = self.generator is None or self.from_run is None
        require(compatible, self, "generator", "none, because from_run provides the generator")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(GanSettings):
    """Settings of the full training of a GAN.

    If the GAN comes from a search, settings that the search also has default to its values.
    """

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "digits": {},
        "paper": _PAPER_TRAINING | dict(data="cifar10"),
        "paper-stl10": _PAPER_TRAINING
        | dict(
            data="stl10-unlabeled",  # with the labeled training images
            image_size=48,
            generator_batch=128,
            batch=64,
            learning_rate=3e-4,
            clip=50.0,  # from the released code, which clips for STL-10 only
        ),
    }

    generator: str | None = setting(
        None, "name of a published generator, or the operations on its edges"
    )
    discriminator: str | None = setting(
        None, "name of a published discriminator, or the operations on its edges"
    )
    epochs: int = setting(
        200, "number of times that the discriminator trains on the whole training set", least=1
    )
    average: float = setting(
        0.999, "decay of the exponential moving average of the generator's weights", least=0
    )
    decay_epochs: int = setting(
        0,
        "last epochs, in which both learning rates fall linearly toward 0; 0 for constant learning "
        "rates",
        least=0,
    )
    score_images: int = setting(
        5000, "generated images for the final evaluation of the generator", least=2
    )
    score_every: int | None = setting(
        None,
        "epochs between evaluations during the training, from which the best generator is chosen; "
        "default: so many that there are at most 20 evaluations; 0 for none",
        least=0,
        formerly=0,
    )
    interim_score_images: int = setting(
        5000,
        "generated images for each evaluation during the training, at most score_images; FID of "
        "fewer images is higher",
        least=2,
    )
    checkpoint_minutes: float = setting(
        5.0,
        "minutes between checkpoints; after an interruption, the training resumes from the last",
        least=0,
        free=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        valid = self.decay_epochs <= self.epochs
        require(valid, self, "decay_epochs", f"at most {self.epochs}, the number of epochs")
        enough = self.interim_score_images >= 2 * self.is_splits
        expectation = f"at least {2 * self.is_splits}, two per split"
        require(enough, self, "interim_score_images", expectation)

    @property
    def epochs_between_scores(self) -> int:
        """Number of epochs between evaluations; 0 if there is only the final evaluation."""
        if self.score_every is not None:
            return self.score_every
        return -(-self.epochs // MAX_EVALUATIONS)
