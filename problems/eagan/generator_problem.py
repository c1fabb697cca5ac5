"""Stage 1 of EAGAN as a pymoo problem: many generators, one discriminator."""

from dataclasses import dataclass, replace
from functools import partial

from moonas.models.zoo import Published
from moonas.settings import require, setting

from . import zoo
from .costs import generator_cost
from .discriminator_net import Discriminator, SuperDiscriminator
from .evaluators import ManyToOne
from .gan_file import SIMPLE, read_gan
from .gan_problem import PAPER, GanProblem, GanSearchSettings, discriminator_maker
from .generator_net import Generator
from .operations import own_weights
from .parts import generator_parts
from .space import Architecture, GeneratorSpace, Pair, PairSpace


@dataclass(frozen=True, kw_only=True)
class Settings(GanSearchSettings):
    """What a search for generators can be told; the defaults suit digits and are small."""

    initial_discriminator: str | None = setting(
        None,
        f"D that all generators share: a published one by name, {SIMPLE}, or its edges; none: "
        f"{zoo.DEFAULT_DISCRIMINATOR}",
    )
    from_run: str | None = setting(
        None, "run folder of eagan-discriminator, whose D takes that place (EAGAN-GD3)"
    )
    repeat: int = setting(
        1,
        "times that moonas search eagan runs both stages (EAGAN-GD3)",
        least=1,
        free=True,  # no matter to one of them
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


PRESETS = {"digits": {}, "paper": PAPER}


def build(**options):
    """The problem; ``options`` are fields of :class:`Settings`."""
    settings = Settings(**options)
    if settings.from_run is not None:
        found = read_gan(settings.from_run)["discriminator"]
        settings = replace(settings, initial_discriminator=found, from_run=None)
    return (EAGANPair if settings.coupled else EAGANGenerator)(settings)


def pipeline(settings, stages):
    """The stages that ``moonas search eagan`` runs: both, as often as asked, or one if coupled."""
    return stages[:1] if settings.coupled else stages * settings.repeat


class EAGANGenerator(GanProblem):
    """Generators by the quality of their images and their size.

    Attributes:
        first_discriminator: () -> the untrained discriminator that all generators share.
    """

    in_words = "edges of the three Up-Cells of a generator"

    def __init__(self, settings):
        super().__init__(settings)
        self.first_discriminator = self.find_discriminator()

    def find_discriminator(self):
        """The function ``first_discriminator``, by the settings."""
        words = self.settings.initial_discriminator
        return discriminator_maker(words, self.settings, self.info)

    def make_space(self):
        return GeneratorSpace()

    def make_evaluator(self):
        """A :class:`ManyToOne`; images and weights come at its first use."""
        return ManyToOne(self, self.first_discriminator, coupled=self.settings.coupled)

    def count(self, architecture):
        """(params, macs) of a generator."""
        return generator_cost(architecture, **self.generator_shape)

    def largest(self):
        """Generators that no other exceeds, in params or in macs."""
        return [Architecture(((up, up, *["conv_5x5"] * 5),) * 3) for up in ("deconv", "bilinear")]

    def gan(self, architecture):
        """Generator and discriminator with the weights that the search has left."""
        generator = Generator(architecture, running=False, **self.generator_shape)
        own_weights(generator, self.evaluator.G)
        return generator, self.evaluator.D, self.evaluator.optimizer_of(generator)

    def network(self, architecture, **shape):
        """The stand-alone generator, untrained."""
        return Generator(architecture, **self.generator_shape | shape)

    def operations(self):
        """Every operation at every side it can have in a generator."""
        return generator_parts(self.settings.channels, self.info.side)

    def zoo(self):
        """Published generators, counted as the papers do."""
        items = []
        for name, (_, source) in zoo.GENERATORS.items():
            architecture = zoo.generator(name)
            sizes = {
                f"generators of {side} pixels, 256 channels": generator_cost(
                    architecture, channels=256, latent=120, side=side, in_channels=3
                )
                for side in (32, 48)
            }
            items.append(Published(name, "eagan-generator", architecture, source, sizes))
        return items


class EAGANPair(EAGANGenerator):
    """Generators and discriminators that evolve together: the coupled search of figure 6."""

    in_words = "edges of the Up-Cells of a generator | of the Down-Cells of a discriminator"

    def make_space(self):
        return PairSpace(self.info.side)

    def find_discriminator(self):
        """The function that makes the supernet of discriminators."""
        return partial(SuperDiscriminator, **self.discriminator_shape)

    def count(self, pair):
        """(params, macs) of a pair's generator."""
        return super().count(pair.generator)

    def largest(self):
        """Generators that no other exceeds, with some discriminator."""
        some = zoo.find_discriminator(None, self.info.side)
        return [Pair(generator, some) for generator in super().largest()]

    def gan(self, pair):
        """Generator and discriminator with the weights that the search has left."""
        generator, supernet, optimizer = super().gan(pair.generator)
        discriminator = Discriminator(pair.discriminator, **self.discriminator_shape)
        return generator, own_weights(discriminator, supernet), optimizer

    def network(self, pair, **shape):
        """The stand-alone generator, untrained."""
        return super().network(pair.generator, **shape)

    def zoo(self):
        """Nothing: a pair is two published architectures."""
        return []
