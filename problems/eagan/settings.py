"""Settings of EAGAN: both stages of the search, and the full training of the resulting GAN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from moonas.settings import RunSettings, SearchSettings, check_objectives, require, setting

from .zoo import DEFAULT_DISCRIMINATOR, DEFAULT_GENERATOR

GAN_OBJECTIVES = ("fid", "inverse_is", "params", "macs")
SIMPLE = "simple"  # name of the discriminator of EAGAN-GD2

# From section 5.1, except for values of the released code that the paper does not print: 1 step of
# D per step of G in stage 1 and 5 in stage 2, Adam's betas, and 10 splits. The paper swaps the two
# batch sizes, which are those of the code here; the code has 40 warm-up epochs, the paper 50.
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
    generations=19,
    warmup_epochs=50,
    epochs=10,
    score_images=5000,
    score_batch=100,
)
# From section 5.1; the released code has 5 steps of D per step of G, 10 splits and the EMA.
_PAPER_TRAINING = _PAPER_GAN | dict(epochs=600, d_steps=5, score_images=50000)


@dataclass(frozen=True, kw_only=True)
class ImageQualitySettings(RunSettings):
    """Settings of FID and Inception Score."""

    image_size: int | None = setting(
        None, "side length of the images in pixels; default: that of the data set", least=1
    )
    features: str = setting(  # choices: EXTRACTORS of moonas.metrics.features
        "classifier",
        "network behind FID and Inception Score: a classifier trained on the data, or Inception",
        ("classifier", "inception"),
    )
    inception_weights: str | None = setting(
        None,
        "file of pytorch-fid's Inception weights; default: download them if necessary",
        free=True,  # a checksum of the weights is recorded
    )
    score_images: int = setting(1000, "generated images per evaluation of a generator", least=2)
    score_batch: int = setting(250, "generated images per forward pass of an evaluation", least=2)
    is_splits: int = setting(1, "splits that the Inception Score is averaged over", least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        enough = self.score_images >= 2 * self.is_splits
        require(enough, self, "score_images", f"at least {2 * self.is_splits}, two per split")


@dataclass(frozen=True, kw_only=True)
class GanSettings(ImageQualitySettings):
    """Settings of networks and their adversarial training. Defaults are small, for digits."""

    channels: int = setting(16, "channels of a generator", least=1)
    d_channels: int = setting(32, "channels of a discriminator", least=2)
    latent: int = setting(48, "length of a latent vector, a multiple of 3", least=3)
    spectral: bool = setting(True, "use spectral normalization in discriminators")
    scale: float = setting(10.0, "factor that multiplies a discriminator's output", above=0)
    batch: int = setting(32, "real images per discriminator step", least=2)
    generator_batch: int = setting(32, "generated images per generator step", least=2)
    d_steps: int = setting(1, "discriminator steps per generator step", least=1)
    learning_rate: float = setting(1e-3, "learning rate of generators (Adam)", above=0)
    d_learning_rate: float = setting(2e-3, "learning rate of discriminators (Adam)", above=0)
    beta1: float = setting(0.0, "beta1 of Adam", least=0)
    beta2: float = setting(0.9, "beta2 of Adam", least=0)
    shift: int = setting(
        1,
        "largest random shift, in pixels, of all images that a discriminator sees; 0 in the paper",
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


@dataclass(frozen=True, kw_only=True)
class GanSearchSettings(SearchSettings, GanSettings):
    """Settings that both stages of the search share."""

    objectives: tuple[str, ...] = setting(
        ("fid", "inverse_is"),
        f"columns to minimize, two or more of {', '.join(GAN_OBJECTIVES)}",
    )
    population: int = setting(
        8,
        "candidates that survive a generation (P/2); they train together with as many offspring",
        least=2,
    )
    generations: int = setting(
        9, "generations, including the first, which only evaluates after the warm-up", least=1
    )
    warmup_epochs: int = setting(
        20, "epochs of the warm-up, whose steps each train a new random candidate", least=0
    )
    epochs: int = setting(10, "training epochs per generation", least=1)
    crossover: float = setting(
        0.3, "probability that two parents exchange one edge", least=0, most=1
    )
    mutation: float = setting(0.5, "probability that one edge of a child changes", least=0, most=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_objectives(self.objectives, GAN_OBJECTIVES)


@dataclass(frozen=True, kw_only=True)
class GeneratorSettings(GanSearchSettings):
    """Settings of the search for generators. Defaults are small, for digits."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {"digits": {}, "paper": _PAPER_SEARCH}

    initial_discriminator: str | None = setting(
        None,
        "discriminator that all generators train against: the name of a published one, "
        f"{SIMPLE!r}, or its edges; default: {DEFAULT_DISCRIMINATOR}",
    )
    from_run: str | None = setting(
        None,
        "run folder of eagan-discriminator, whose pick replaces initial_discriminator (EAGAN-GD3)",
    )
    repeat: int = setting(
        1,
        "number of times that moonas search eagan runs both stages (2 for EAGAN-GD3)",
        least=1,
        free=True,  # does not affect either stage
    )
    coupled: bool = setting(
        False, "evolve pairs of a generator and a discriminator in a single stage (figure 6)"
    )

    def pipeline(self, stages: list[str]) -> list[str]:
        """Return both stages, ``repeat`` times; only the first stage if ``coupled``."""
        return stages[:1] if self.coupled else stages * self.repeat

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.coupled:
            absent = "none, because coupled=True evolves discriminators"
            none = self.initial_discriminator is None
            require(none, self, "initial_discriminator", absent)
            require(self.repeat == 1, self, "repeat", "1, because coupled=True has a single stage")
            require(not self.from_run, self, "from_run", absent)


@dataclass(frozen=True, kw_only=True)
class DiscriminatorSettings(GanSearchSettings):
    """Settings of the search for discriminators. Defaults are small, for digits."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "digits": {},
        "paper": _PAPER_SEARCH | dict(d_steps=5),
    }

    generator: str | None = setting(
        None,
        "generator of all GANs: the name of a published one, or its edges; default: "
        f"{DEFAULT_GENERATOR}",
    )
    from_run: str | None = setting(
        None, "run folder of eagan-generator, to start from its best generator and its weights"
    )
    generator_epochs: int = setting(
        40,
        f"epochs that the generator first trains against {DEFAULT_DISCRIMINATOR}; unused with "
        "from_run",
        least=0,
    )
    weight_resetting: bool = setting(
        True, "start each generation with copies of the best generator of the last one"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        one = self.generator is None or self.from_run is None
        require(one, self, "generator", "none, because from_run provides the generator")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(GanSettings):
    """Settings of the full training; fields that the search has default to the search's values."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "digits": {},
        "paper": _PAPER_TRAINING | dict(data="cifar10"),
        "paper-stl10": _PAPER_TRAINING
        | dict(
            data="stl10",
            image_size=48,
            generator_batch=128,
            batch=64,
            learning_rate=3e-4,
            clip=50.0,  # from the released code, which clips for STL-10 only
        ),
    }

    generator: str | None = setting(None, "name of a published generator, or its edges")
    discriminator: str | None = setting(None, "name of a published discriminator, or its edges")
    epochs: int = setting(200, "passes of the discriminator over the training set", least=1)
    average: float = setting(
        0.999, "decay of the exponential moving average of the generator's weights", least=0
    )
    score_images: int = setting(
        5000, "generated images for the evaluation of the generator", least=2
    )
