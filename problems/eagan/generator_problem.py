"""Stage 1 of EAGAN as a pymoo problem: many generators, one discriminator."""

from dataclasses import replace
from functools import partial

from moonas.models.zoo import Published

from . import zoo
from .costs import generator_cost
from .discriminator_net import Discriminator, SuperDiscriminator
from .evaluators import ManyToOne
from .gan_file import read_gan
from .gan_problem import GanProblem, discriminator_maker
from .generator_net import Generator
from .operations import own_weights
from .parts import generator_parts
from .settings import GeneratorSettings
from .space import Architecture, GeneratorSpace, Pair, PairSpace


def build(**options):
    """The problem; ``options`` are fields of :class:`GeneratorSettings`."""
    settings = GeneratorSettings(**options)
    if settings.from_run is not None:
        found = read_gan(settings.from_run)["discriminator"]
        settings = replace(settings, initial_discriminator=found, from_run=None)
    return (EAGANPair if settings.coupled else EAGANGenerator)(settings)


class EAGANGenerator(GanProblem):
    """Generators by the quality of their images and their size.

    Attributes:
        first_discriminator: () -> the untrained discriminator that all generators share.
    """

    architecture_title = "edges of the three Up-Cells of a generator"

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

    def cost(self, architecture):
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

    architecture_title = (
        "edges of the Up-Cells of a generator | of the Down-Cells of a discriminator"
    )

    def make_space(self):
        return PairSpace(self.info.side)

    def find_discriminator(self):
        """The function that makes the supernet of discriminators."""
        return partial(SuperDiscriminator, **self.discriminator_shape)

    def cost(self, pair):
        """(params, macs) of a pair's generator."""
        return super().cost(pair.generator)

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
