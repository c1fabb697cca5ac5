"""Base class of both EAGAN problems: columns, operators, selection and result files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from pymoo.core.algorithm import Algorithm
from pymoo.operators.selection.rnd import RandomSelection
from torch import nn

from moonas.algorithms import algorithm
from moonas.data import describe
from moonas.data.images import DataInfo
from moonas.nets.devices import resolve_device
from moonas.operators import CategoricalSampling, SameArchitecture
from moonas.pareto import Row
from moonas.problem import Column
from moonas.run.candidates import Candidates
from moonas.spaces.graph import Graph
from moonas.weight_sharing import WeightSharingProblem

from .costs import Cost
from .drawing import save_grid
from .evaluators import GanEvaluator
from .gan_file import (
    GAN,
    discriminator_builder,
    discriminator_shape,
    generator_shape,
    read_gan,
    write_gan,
)
from .generation import quality_columns
from .generator_net import Generator, check_side
from .operators import CanonicalRepair, EdgeCrossover, EdgeMutation
from .settings import GanSearchSettings, GanSettings

N_GRID_IMAGES = 100  # images in a picture


class GanProblem(WeightSharingProblem):
    """Search for a part of a GAN, evaluated by the images of the generator.

    In addition to ``make_evaluator`` and ``network``, a subclass implements

    - ``make_space()``, the search space for images of ``self.info.side`` pixels;
    - ``cost(architecture)``, (params, macs) of the network of an architecture;
    - ``largest()``, architectures whose costs bound those of all others;
    - ``gan(architecture)``, stand-alone generator and discriminator with the weights of the search,
      and the optimizer of the generator.
    """

    settings: GanSearchSettings
    train_on_offspring = True
    pick_description = "the lowest fid of the front"

    def __init__(self, settings: GanSearchSettings) -> None:
        self.info = describe(settings.data, settings.image_size)
        check_side(self.info.side)
        resolve_device(settings.device)
        self.settings, self.space = settings, self.make_space()
        params, macs = np.max([self.cost(a) for a in self.largest()], axis=0)
        columns = [
            *quality_columns(settings, self.info),
            Column("params", "parameters", bounds=(0, int(params))),
            Column("macs", "multiply-adds", bounds=(0, int(macs))),
        ]
        super().__init__(settings, columns=columns, n_choices=self.space.n_choices)

    def make_space(self) -> Any:
        """Return the search space."""
        raise NotImplementedError

    def cost(self, architecture: Any) -> Cost:
        """Return (params, macs) of the network of an architecture."""
        raise NotImplementedError

    def largest(self) -> Sequence[Any]:
        """Return architectures such that none has more params, or more macs, than all of them."""
        raise NotImplementedError

    def gan(self, architecture: Any) -> tuple[Generator, nn.Module, torch.optim.Optimizer]:
        """Return the GAN of an architecture with the weights of the search.

        Returns:
            Stand-alone generator, stand-alone discriminator, and the optimizer of the generator.
        """
        raise NotImplementedError

    def count(self, candidates: Candidates) -> np.ndarray:
        """Return params and macs of candidates, (n, 2) ints."""
        return np.array([self.cost(a) for a in candidates])

    @property
    def generator_shape(self) -> dict[str, Any]:
        """Arguments of generators."""
        return generator_shape(self.settings, self.info)

    @property
    def discriminator_shape(self) -> dict[str, Any]:
        """Arguments of discriminators."""
        return discriminator_shape(self.settings, self.info)

    def operators(self) -> dict[str, Any]:
        """Return sampling, crossover, mutation, repair and duplicate elimination."""
        s = self.settings
        return dict(
            sampling=CategoricalSampling(),
            crossover=EdgeCrossover(s.crossover),
            mutation=EdgeMutation(s.mutation),
            repair=CanonicalRepair(),
            eliminate_duplicates=SameArchitecture(self.space.decode),
        )

    def algorithm(self) -> Algorithm:
        """Return NSGA-II with uniformly sampled parents and P/2 offspring (section 4.3).

        Crowding distance decides among candidates of the last rank that survives, which the paper
        leaves open.
        """
        return algorithm("nsga2", self, selection=RandomSelection())

    def pick(self, rows: Sequence[Row]) -> int | None:
        """Return the index of the row with the lowest FID; None for no rows."""
        if not rows:
            return None
        return int(np.argmin([row.columns["fid"] for row in rows]))

    def graphs(self, architecture: Any) -> list[Graph]:
        """Return the graph of each cell, from its input 0 to its output 4."""
        graphs: list[Graph] = self.space.graphs(architecture)
        return graphs

    def _trained_evaluator(self) -> GanEvaluator:
        """Return the evaluator with the weights of the last recorded call."""
        journal, evaluator = self.journal, self.evaluator
        assert journal is not None and isinstance(evaluator, GanEvaluator)
        journal.restore(evaluator)
        return evaluator

    def after_generation(self, algorithm: Algorithm) -> None:
        """Write a picture with images of the best generator of the population."""
        assert self.journal is not None
        path = self.journal.folder / f"images-{algorithm.n_iter:03d}.png"
        if path.exists() or self.journal.replaying:
            return
        evaluator = self._trained_evaluator()
        best = algorithm.pop[np.argmin(algorithm.pop.get("fid").astype(float))]
        generator, _ = evaluator.pair(self.decode(best.X))
        save_grid(evaluator.sample(generator, N_GRID_IMAGES), path)

    def after_search(self, row: Row) -> list[str]:
        """Write the picked GAN to gan.json and gan.pt, for the next stage and ``moonas train``."""
        assert self.journal is not None
        folder = self.journal.folder
        fid, unit = row.columns["fid"], self.column("fid").unit
        calls = self.journal.n_calls  # grows if the search is continued
        if not (folder / GAN).exists() or read_gan(folder)["calls"] != calls:
            self._trained_evaluator()
            generator, discriminator, optimizer = self.gan(row.architecture)
            entries = {"fid": fid, "fid_of": unit, "calls": calls}
            write_gan(
                self.settings, self.info, generator, discriminator, folder, optimizer, **entries
            )
        return [f"Picked: FID ({unit}) {fid:.2f}, {row.architecture}."]


def build_discriminator_from(
    text: str | None, settings: GanSettings, info: DataInfo, *, repair: bool = False
) -> Callable[[], nn.Module]:
    """Return a function that builds the untrained discriminator that a text describes.

    Args:
        text: "simple", or a text for :func:`moonas.problems.eagan.zoo.find_discriminator`.
        settings: settings of the discriminator.
        info: description of the data set.
        repair: whether to adapt an architecture that is only legal for larger images.

    Raises:
        ValueError: the text does not describe a discriminator.
    """
    shape = discriminator_shape(settings, info)
    return discriminator_builder(text, info.side, shape, repair=repair)
