"""Stage 2 of EAGAN as a pymoo problem: search for discriminators.

Each discriminator trains together with its own copy of the best generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from moonas.files import sha256
from moonas.models.zoo import Published
from moonas.nets.parts import Part

from . import zoo
from .costs import Cost, discriminator_cost, largest_discriminators
from .discriminator_net import Discriminator
from .evaluators import OneToOne
from .gan_file import WEIGHTS_FILE, generator_file, read_gan, read_generator
from .gan_problem import GanProblem, make_discriminator_builder
from .generator_net import Generator
from .operations import inherit_weights
from .parts import discriminator_parts
from .settings import DiscriminatorSettings
from .space import Architecture, DiscriminatorSpace


def build(**options: Any) -> EAGANDiscriminator:
    """Return the problem of stage 2.

    Args:
        options: fields of :class:`DiscriminatorSettings`.

    Raises:
        ValueError: the numbers of channels, the length of the latent vector or the image size of
            the generator in ``from_run`` differ from those in the settings.
    """
    settings = DiscriminatorSettings(**options)
    if settings.from_run is None:
        return EAGANDiscriminator(settings)
    folder = Path(settings.from_run)
    gan = read_gan(folder)
    settings = replace(
        settings,
        generator=gan["generator"],
        cells=settings.cells or len(zoo.find_generator(gan["generator"]).cells),
        from_run=None,
    )
    problem = EAGANDiscriminator(settings, generator_file(folder))
    searched, required = gan["generator_shape"], problem.generator_shape
    if searched != required:
        differences = [
            {name: shape[name] for name in shape if shape[name] != expected[name]}
            for shape, expected in ((searched, required), (required, searched))
        ]
        raise ValueError(
            f"The generator in {folder} was searched with {differences[0]}, but this stage has "
            f"{differences[1]}. Use the same channels, latent and data in both stages."
        )
    return problem


class EAGANDiscriminator(GanProblem):
    """Search for discriminators, evaluated by the images of the generators trained against them.

    The columns params and macs describe the discriminator.

    Args:
        settings: settings of the search.
        weights: path of the gan.pt or model.pt that contains the weights of the generator; None to
            train the generator during the warm-up.
    """

    evaluator: OneToOne
    settings: DiscriminatorSettings
    architecture_title = "edges of the Down-Cells of a discriminator"

    def __init__(self, settings: DiscriminatorSettings, weights: Path | None = None) -> None:
        self.weights = weights
        super().__init__(settings)
        self.generator = zoo.find_generator(settings.generator, self.n_cells)
        if weights is not None:
            self.inputs = {WEIGHTS_FILE: sha256(weights)}

    def make_space(self) -> DiscriminatorSpace:
        return DiscriminatorSpace(self.info.side, self.n_cells)

    def make_evaluator(self) -> OneToOne:
        """Return a :class:`OneToOne`, which loads images and builds networks when first used."""
        return OneToOne(
            self,
            self.generator,
            partial(read_generator, self.weights) if self.weights else None,
            make_discriminator_builder(None, self.settings, self.info, self.n_cells),
        )

    def cost(self, architecture: Any) -> Cost:
        """Return (params, macs) of a discriminator."""
        return discriminator_cost(
            architecture,
            channels=self.settings.d_channels,
            in_channels=self.info.channels,
            side=self.info.side,
            channel_schedule=self.settings.channel_schedule,
        )

    def largest(self) -> Sequence[Architecture]:
        """Return the most expensive discriminator for each subset of cells that downsample."""
        return largest_discriminators(self.make_space())

    def gan_with_search_weights(
        self, architecture: Any
    ) -> tuple[Generator, nn.Module, torch.optim.Optimizer]:
        evaluator = self.evaluator
        discriminator = Discriminator(architecture, **self.discriminator_shape)
        generator = evaluator.generator_of(architecture)
        inherit_weights(discriminator, evaluator.D)
        return generator.net, discriminator, generator.optimizer

    def network(self, architecture: Any, **shape: Any) -> Discriminator:
        """Return an untrained stand-alone discriminator."""
        return Discriminator(architecture, **self.discriminator_shape | shape)

    def operations(self) -> list[Part]:
        """Return each operation of a discriminator, once per spatial size at which it can occur."""
        s = self.settings
        return discriminator_parts(s.d_channels, self.info.side, self.n_cells, s.channel_schedule)

    def zoo(self) -> list[Published]:
        """Return the published discriminators, with their sizes in the networks of the papers."""
        items = []
        for name, (_, source) in zoo.DISCRIMINATORS.items():
            architecture = zoo.discriminator(name)
            costs = {
                f"discriminators of {side} pixels, 128 channels": discriminator_cost(
                    architecture, channels=128, in_channels=3, side=side
                )
                for side in (32, 48)
            }
            items.append(Published(name, "eagan-discriminator", architecture, source, costs))
        return items
