"""Stage 1 of EAGAN as a pymoo problem: search for generators, trained against one discriminator."""

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
from .costs import Cost, generator_cost, largest_generators
from .discriminator_net import Discriminator, SuperDiscriminator
from .evaluators import ManyToOne
from .gan_file import read_gan
from .gan_problem import GanProblem, make_discriminator_builder
from .generator_net import Generator
from .operations import inherit_weights
from .parts import generator_parts
from .settings import GeneratorSettings
from .space import ArchitecturePair, GeneratorSpace, PairSpace


def build(**options: Any) -> EAGANGenerator:
    """Return the problem of stage 1, or the problem of a coupled search.

    Args:
        options: fields of :class:`GeneratorSettings`.
    """
    settings = GeneratorSettings(**options)
    if settings.from_run is not None:
        gan = read_gan(settings.from_run)
        settings = replace(
            settings,
            initial_discriminator=gan["discriminator"],
            cells=settings.cells or len(zoo.find_generator(gan["generator"]).cells),
            from_run=None,
        )
    return (EAGANPair if settings.coupled else EAGANGenerator)(settings)


class EAGANGenerator(GanProblem):
    """Search for generators, evaluated by the quality of their images and by their size.

    Args:
        settings: settings of the search.

    Attributes:
        build_discriminator: function that returns a new untrained discriminator, against which
            all generators train.
    """

    evaluator: ManyToOne
    settings: GeneratorSettings
    architecture_title = "edges of the Up-Cells of a generator"

    def __init__(self, settings: GeneratorSettings) -> None:
        super().__init__(settings)
        self.build_discriminator = self.discriminator_builder()

    def discriminator_builder(self) -> Callable[[], nn.Module]:
        """Return a function that builds the discriminator named by ``initial_discriminator``."""
        text = self.settings.initial_discriminator
        return make_discriminator_builder(text, self.settings, self.info, self.n_cells)

    def make_space(self) -> Any:
        return GeneratorSpace(self.n_cells)

    def make_evaluator(self) -> ManyToOne:
        """Return a :class:`ManyToOne`, which loads images and builds networks when first used."""
        return ManyToOne(self, self.build_discriminator, coupled=self.settings.coupled)

    def cost(self, architecture: Any) -> Cost:
        """Return (params, macs) of a generator."""
        return generator_cost(architecture, **self.generator_shape)

    def largest(self) -> Sequence[Any]:
        """Return the generator with the most parameters and the one with the most multiply-adds."""
        return largest_generators(self.n_cells)

    def gan_with_search_weights(
        self, architecture: Any
    ) -> tuple[Generator, nn.Module, torch.optim.Optimizer]:
        evaluator = self.evaluator
        generator = Generator(architecture, track_running_stats=False, **self.generator_shape)
        inherit_weights(generator, evaluator.G)
        return generator, evaluator.D, evaluator.optimizer_of(generator)

    def network(self, architecture: Any, **shape: Any) -> Generator:
        """Return an untrained stand-alone generator."""
        return Generator(architecture, **self.generator_shape | shape)

    def operations(self) -> list[Part]:
        """Return each operation of a generator, once per spatial size at which it can occur."""
        s = self.settings
        return generator_parts(s.channels, self.info.side, self.n_cells, s.channel_schedule)

    def zoo(self) -> list[Published]:
        """Return the published generators, with their sizes in the networks of the papers."""
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
    """Search for pairs of a generator and a discriminator (the coupled search of figure 6).

    The columns params and macs describe the generator.
    """

    architecture_title = (
        "edges of the Up-Cells of a generator | of the Down-Cells of a discriminator"
    )

    def make_space(self) -> PairSpace:
        return PairSpace(self.info.side, self.n_cells)

    def discriminator_builder(self) -> Callable[[], nn.Module]:
        """Return a function that builds the supernet of discriminators."""
        return partial(SuperDiscriminator, self.n_cells, **self.discriminator_shape)

    def cost(self, architecture: Any) -> Cost:
        """Return (params, macs) of the generator of a pair."""
        return super().cost(architecture.generator)

    def largest(self) -> Sequence[ArchitecturePair]:
        """Return the largest generators, each paired with the same arbitrary discriminator."""
        discriminator = zoo.find_discriminator(None, self.info.side, self.n_cells)
        return [ArchitecturePair(generator, discriminator) for generator in super().largest()]

    def gan_with_search_weights(
        self, architecture: Any
    ) -> tuple[Generator, nn.Module, torch.optim.Optimizer]:
        generator, supernet, optimizer = super().gan_with_search_weights(architecture.generator)
        discriminator = Discriminator(architecture.discriminator, **self.discriminator_shape)
        return generator, inherit_weights(discriminator, supernet), optimizer

    def network(self, architecture: Any, **shape: Any) -> Generator:
        """Return an untrained stand-alone generator with the architecture in a pair."""
        return super().network(architecture.generator, **shape)

    def zoo(self) -> list[Published]:
        """Return an empty list, since no pair of architectures has been published."""
        return []
