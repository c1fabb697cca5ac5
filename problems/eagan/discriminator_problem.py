"""Stage 2 of EAGAN as a pymoo problem: discriminators, each with a copy of the best generator."""

from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

from moonas.files import sha256
from moonas.models.zoo import Published

from . import zoo
from .costs import discriminator_cost
from .discriminator_net import Discriminator
from .evaluators import OneToOne
from .gan_file import WEIGHTS, generator_file, read_gan, read_generator
from .gan_problem import GanProblem, discriminator_maker
from .operations import own_weights
from .parts import discriminator_parts
from .settings import DiscriminatorSettings
from .space import Architecture, DiscriminatorSpace


def build(**options):
    """The problem; ``options`` are fields of :class:`DiscriminatorSettings`."""
    settings = DiscriminatorSettings(**options)
    if settings.from_run is None:
        return EAGANDiscriminator(settings)
    folder = Path(settings.from_run)
    found = read_gan(folder)
    settings = replace(settings, generator=found["generator"], from_run=None)
    problem = EAGANDiscriminator(settings, generator_file(folder))
    if found["generator_shape"] != problem.generator_shape:
        names = ("channels", "latent")
        shapes = [
            {k: shape[k] for k in shape if shape[k] != other[k]}
            for shape, other in (
                (found["generator_shape"], problem.generator_shape),
                (problem.generator_shape, found["generator_shape"]),
            )
        ]
        raise ValueError(
            f"The generator in {folder} was searched with {shapes[0]}, and this stage has "
            f"{shapes[1]}; set {', '.join(names)} and the data alike."
        )
    return problem


class EAGANDiscriminator(GanProblem):
    """Discriminators by the images of the generators that they have trained.

    Params and macs are the discriminator's.

    Args:
        settings: :class:`DiscriminatorSettings`.
        weights: file gan.pt that the generator's weights come from, or None.
    """

    architecture_title = "edges of the three Down-Cells of a discriminator"

    def __init__(self, settings, weights=None):
        self.weights = weights
        self.generator = zoo.find_generator(settings.generator)
        super().__init__(settings)
        if weights is not None:
            self.inputs = {WEIGHTS: sha256(weights)}

    def make_space(self):
        return DiscriminatorSpace(self.info.side)

    def make_evaluator(self):
        """A :class:`OneToOne`; images and weights come at its first use."""
        return OneToOne(
            self,
            self.generator,
            partial(read_generator, self.weights) if self.weights else None,
            discriminator_maker(None, self.settings, self.info),
        )

    def cost(self, architecture):
        """(params, macs) of a discriminator."""
        return discriminator_cost(
            architecture,
            channels=self.settings.d_channels,
            in_channels=self.info.channels,
            side=self.info.side,
        )

    def largest(self):
        """Discriminators of the largest operations, with every pattern of halvings."""
        ends = (["none"] * 2, ["conv_5x5"] * 2)
        patterns = product(ends, repeat=3)
        cells = [[["conv_5x5"] * 5 + end for end in pattern] for pattern in patterns]
        return [Architecture(self.space.legal(three)) for three in cells]

    def gan(self, architecture):
        """Generator and discriminator with the weights that the search has left."""
        discriminator = Discriminator(architecture, **self.discriminator_shape)
        own = self.evaluator.own(architecture)
        return own.net, own_weights(discriminator, self.evaluator.D), own.optimizer

    def network(self, architecture, **shape):
        """The stand-alone discriminator, untrained."""
        return Discriminator(architecture, **self.discriminator_shape | shape)

    def operations(self):
        """Every operation at every side it can have in a discriminator."""
        return discriminator_parts(self.settings.d_channels, self.info.side)

    def zoo(self):
        """Published discriminators, counted as the papers do."""
        items = []
        for name, (_, source) in zoo.DISCRIMINATORS.items():
            architecture = zoo.discriminator(name)
            sizes = {
                f"discriminators of {side} pixels, 128 channels": discriminator_cost(
                    architecture, channels=128, in_channels=3, side=side
                )
                for side in (32, 48)
            }
            items.append(Published(name, "eagan-discriminator", architecture, source, sizes))
        return items
