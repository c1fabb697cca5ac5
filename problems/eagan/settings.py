"""Settings of EAGAN: both stages of the search, and the training of the GAN that was found."""

from dataclasses import dataclass
from typing import ClassVar

from moonas.settings import RunSettings, SearchSettings, check_objectives, require, setting

from .zoo import DEFAULT_DISCRIMINATOR, DEFAULT_GENERATOR

GENERATION_OBJECTIVES = ("fid", "inverse_is", "params", "macs")
SIMPLE = "simple"  # name of the discriminator of EAGAN-GD2

# Section 5.1, but for what the release has and the paper has not: 1 step of D a step of G in stage
# 1 and 5 in stage 2, betas, 10 splits. The paper prints the two batch sizes the other way round,
# and 50 epochs of warm-up where the release has 40.
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
# Section 5.1; 5 steps of D a step of G, 10 splits and the average are the release's.
_PAPER_TRAINING = _PAPER_GAN | dict(epochs=600, d_steps=5, score_images=50000)


@dataclass(frozen=True, kw_only=True)
class GenerationSettings(RunSettings):
    """How generated images are compared with real ones."""

    image_size: int | None = setting(None, "pixels a side; none takes the data set's own", least=1)
    features: str = setting(  # choices: EXTRACTORS of moonas.metrics.features
        "classifier",
        "what FID and Inception Score are of: a classifier of the data, or Inception",
        ("classifier", "inception"),
    )
    inception_weights: str | None = setting(
        None,
        "file of pytorch-fid's Inception; none: downloaded where it is not there",
        free=True,  # its content is checked
    )
    score_images: int = setting(1000, "images that a generator is scored by", least=2)
    score_batch: int = setting(250, "of them a pass", least=2)
    is_splits: int = setting(1, "parts that an Inception Score is the mean of", least=1)

    def __post_init__(self):
        super().__post_init__()
        enough = self.score_images >= 2 * self.is_splits
        require(enough, self, "score_images", f"{2 * self.is_splits} or more, two a split")


@dataclass(frozen=True, kw_only=True)
class GanSettings(GenerationSettings):
    """How generators and discriminators are built and trained. Defaults are small, for digits."""

    channels: int = setting(16, "channels of a generator", least=1)
    d_channels: int = setting(32, "channels of a discriminator", least=2)
    latent: int = setting(48, "length of a latent vector, a multiple of 3", least=3)
    spectral: bool = setting(True, "normalise weights of discriminators spectrally")
    scale: float = setting(10.0, "factor of a discriminator's output", above=0)
    batch: int = setting(32, "real images a step of a discriminator", least=2)
    generator_batch: int = setting(32, "generated images a step of a generator", least=2)
    d_steps: int = setting(1, "steps of a discriminator for each of a generator", least=1)
    learning_rate: float = setting(1e-3, "of generators (Adam)", above=0)
    d_learning_rate: float = setting(2e-3, "of discriminators (Adam)", above=0)
    beta1: float = setting(0.0, "of Adam", least=0)
    beta2: float = setting(0.9, "of Adam", least=0)
    shift: int = setting(
        1, "pixels by which discriminators see all images shifted, at most; the paper: 0", least=0
    )
    clip: float | None = setting(
        None, "norm that a gradient is clipped to; none: no limit", above=0
    )

    def __post_init__(self):
        super().__post_init__()
        require(self.latent % 3 == 0, self, "latent", "a multiple of 3")
        for name in ("beta1", "beta2"):
            require(getattr(self, name) < 1, self, name, "less than 1")


@dataclass(frozen=True, kw_only=True)
class GanSearchSettings(SearchSettings, GanSettings):
    """Settings that both stages of the search share."""

    objectives: tuple[str, ...] = setting(
        ("fid", "inverse_is"),
        f"columns to minimise, two or more of {', '.join(GENERATION_OBJECTIVES)}",
    )
    population: int = setting(
        8, "P/2, candidates that survive a round; with as many offspring, P train", least=2
    )
    generations: int = setting(9, "rounds and one: the first scores what the warm-up left", least=1)
    warmup_epochs: int = setting(20, "epochs with a new random candidate at each step", least=0)
    epochs: int = setting(10, "epochs a round", least=1)
    crossover: float = setting(0.3, "chance that two parents exchange an edge", least=0, most=1)
    mutation: float = setting(0.5, "chance that an edge of a child is changed", least=0, most=1)

    def __post_init__(self):
        super().__post_init__()
        check_objectives(self.objectives, GENERATION_OBJECTIVES)


@dataclass(frozen=True, kw_only=True)
class GeneratorSettings(GanSearchSettings):
    """Settings of the search for generators. Defaults are small, for digits."""

    PRESETS: ClassVar[dict[str, dict]] = {"digits": {}, "paper": _PAPER_SEARCH}

    initial_discriminator: str | None = setting(
        None,
        f"D that all generators share: a published one by name, {SIMPLE}, or its edges; none: "
        f"{DEFAULT_DISCRIMINATOR}",
    )
    from_run: str | None = setting(
        None, "run folder of eagan-discriminator, whose D takes that place (EAGAN-GD3)"
    )
    repeat: int = setting(
        1,
        "times that moonas search eagan runs both stages (EAGAN-GD3)",
        least=1,
        free=True,  # does not affect either stage
    )
    coupled: bool = setting(
        False, "evolve a discriminator with each generator, in one stage (figure 6)"
    )

    def __post_init__(self):
        super().__post_init__()
        given = self.initial_discriminator is not None
        require(
            not (self.coupled and given),
            self,
            "initial_discriminator",
            "none where discriminators evolve, too",
        )
        require(not (self.coupled and self.repeat > 1), self, "repeat", "1 in a coupled search")
        alone = not (self.coupled and self.from_run)
        require(alone, self, "from_run", "none where discriminators evolve, too")


@dataclass(frozen=True, kw_only=True)
class DiscriminatorSettings(GanSearchSettings):
    """Settings of the search for discriminators. Defaults are small, for digits."""

    PRESETS: ClassVar[dict[str, dict]] = {"digits": {}, "paper": _PAPER_SEARCH | dict(d_steps=5)}

    generator: str | None = setting(
        None,
        f"all GANs' generator: published, by name, or its edges; none: {DEFAULT_GENERATOR}",
    )
    from_run: str | None = setting(
        None, "run folder of eagan-generator, whose best generator to take with its weights"
    )
    generator_epochs: int = setting(
        40, f"epochs that a generator of no run trains against {DEFAULT_DISCRIMINATOR}", least=0
    )
    weight_resetting: bool = setting(
        True, "begin each round with copies of the best generator of the last"
    )

    def __post_init__(self):
        super().__post_init__()
        one = self.generator is None or self.from_run is None
        require(one, self, "generator", "none where from_run brings one")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(GanSettings):
    """Settings of the training from scratch; fields that the search has default to its values."""

    PRESETS: ClassVar[dict[str, dict]] = {
        "digits": {},
        "paper": _PAPER_TRAINING | dict(data="cifar10"),
        "paper-stl10": _PAPER_TRAINING
        | dict(
            data="stl10",
            image_size=48,
            generator_batch=128,
            batch=64,
            learning_rate=3e-4,
            clip=50.0,  # the release's, and for this data alone
        ),
    }

    generator: str | None = setting(None, "published generator by name, or its edges")
    discriminator: str | None = setting(None, "published discriminator by name, or its edges")
    epochs: int = setting(200, "times that the discriminator sees all images", least=1)
    average: float = setting(0.999, "share that the averaged generator keeps a step", least=0)
    score_images: int = setting(5000, "images that the generator is scored by", least=2)
