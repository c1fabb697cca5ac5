"""Stage 1 of EAGAN as a pymoo problem: many generators, one discriminator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from moonas.models.zoo import Published
from moonas.nets.parts import Part

from . import zoo
from .costs import Cost, generator_cost
from .discriminator_net import Discriminator, SuperDiscriminator
from .evaluators import ManyToOne
from .gan_file import read_gan
from .gan_problem import GanProblem, build_discriminator_from
from .generator_net import Generator
from .operations import inherit_weights
from .parts import generator_parts
from .settings import GeneratorSettings
from .space import Architecture, GeneratorSpace, Pair, PairSpace


def build(**options: Any) -> EAGANGenerator:
    """Return the problem; ``options`` are fields of :class:`GeneratorSettings`."""
    settings = GeneratorSettings(**options)
    if settings.from_run is not None:
        discriminator = read_gan(settings.from_run)["discriminator"]
        settings = replace(settings, initial_discriminator=discriminator, from_run=None)
    return (EAGANPair if settings.coupled else EAGANGenerator)(settings)


class EAGANGenerator(GanProblem):
    """Search for generators by the quality of their images and by their size.

    Args:
        settings: settings of the search.

    Attributes:
        build_discriminator: function that builds the untrained discriminator that all generators
            train against.
    """

    settings: GeneratorSettings
    architecture_title = "edges of the three Up-Cells of a generator"

    def __init__(self, settings: GeneratorSettings) -> None:
        super().__init__(settings)
        self.build_discriminator = self.discriminator_builder()

    def discriminator_builder(self) -> Callable[[], nn.Module]:
        """Return a function that builds the discriminator of the settings."""
        text = self.settings.initial_discriminator
        return build_discriminator_from(text, self.settings, self.info)

    def make_space(self) -> Any:
        return GeneratorSpace()

    def make_evaluator(self) -> ManyToOne:
        """Return a :class:`ManyToOne`, which loads images and builds weights at its first use."""
        return ManyToOne(self, self.build_discriminator, coupled=self.settings.coupled)

    def cost(self, architecture: Any) -> Cost:
        """Return (params, macs) of a generator."""
        return generator_cost(architecture, **self.generator_shape)

    def largest(self) -> Sequence[Any]:
        """Return the generator with the most params and the one with the most macs."""
        return [Architecture(((up, up, *["conv_5x5"] * 5),) * 3) for up in ("deconv", "bilinear")]

    def gan(self, architecture: Any) -> tuple[Generator, nn.Module, torch.optim.Optimizer]:
        evaluator = self.evaluator
        assert isinstance(evaluator, ManyToOne)
        generator = Generator(architecture, running=False, **self.generator_shape)
        inherit_weights(generator, evaluator.G)
        return generator, evaluator.D, evaluator.optimizer_of(generator)

    def network(self, architecture: Any, **shape: Any) -> Generator:
        """Return the stand-alone generator, untrained."""
        return Generator(architecture, **self.generator_shape | shape)

    def operations(self) -> list[Part]:
        """Return every operation at every spatial size that it can have in a generator."""
        return generator_parts(self.settings.channels, self.info.side)

    def zoo(self) -> list[Published]:
        """Return published generators with their costs in the papers' networks."""
        items = []
        for name, (_, source) in zoo.GENERATORS.items():
            architecture = zoo.generator(name)
            costs = {
                f"generators of {side} pixels, 256 channels": generator_cost(
                    architecture, channels=256, latent=120, side=side, in_channels=3
                )
                for side in (32, 48)
            }
            items.append(Published(name, "eagan-generator", architecture, source, costs))
        return items


class EAGANPair(EAGANGenerator):
    """Search for generators and discriminators that evolve together (coupled, figure 6).

    Params and macs are those of the generator.
    """

    architecture_title = (
        "edges of the Up-Cells of a generator | of the Down-Cells of a discriminator"
    )

    def make_space(self) -> PairSpace:
        return PairSpace(self.info.side)

    def discriminator_builder(self) -> Callable[[], nn.Module]:
        """Return a function that builds the supernet of discriminators."""
        return partial(SuperDiscriminator, **self.discriminator_shape)

    def cost(self, architecture: Any) -> Cost:
        """Return (params, macs) of the generator of a pair."""
        return super().cost(architecture.generator)

    def largest(self) -> Sequence[Pair]:
        """Return pairs of the largest generators and an arbitrary discriminator."""
        discriminator = zoo.find_discriminator(None, self.info.side)
        return [Pair(generator, discriminator) for generator in super().largest()]

    def gan(self, architecture: Any) -> tuple[Generator, nn.Module, torch.optim.Optimizer]:
        generator, supernet, optimizer = super().gan(architecture.generator)
        discriminator = Discriminator(architecture.discriminator, **self.discriminator_shape)
        return generator, inherit_weights(discriminator, supernet), optimizer

    def network(self, architecture: Any, **shape: Any) -> Generator:
        """Return the stand-alone generator of a pair, untrained."""
        return super().network(architecture.generator, **shape)

    def zoo(self) -> list[Published]:
        """Return an empty list, since published architectures are no pairs."""
        return []
