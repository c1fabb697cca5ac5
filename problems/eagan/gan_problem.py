"""Base class of the EAGAN problems: columns, genetic operators, selection and result files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from pymoo.core.algorithm import Algorithm
from pymoo.operators.selection.rnd import RandomSelection
from torch import nn

from moonas.algorithms import algorithm
from moonas.data.images import DataInfo
from moonas.nets.devices import resolve_device
from moonas.operators import CategoricalSampling, SameArchitecture
from moonas.pareto import Row
from moonas.problem import Column, TrainingMeasure
from moonas.run.candidates import Candidates
from moonas.spaces.graph import Graph
from moonas.weight_sharing import WeightSharingProblem

from .costs import Cost
from .drawing import save_grid
from .evaluators import GanEvaluator
from .gan_file import (
    GAN_FILE,
    discriminator_builder,
    discriminator_shape,
    generator_shape,
    read_gan,
    write_gan,
)
from .generation import quality_columns
from .generator_net import Generator
from .images import describe_images
from .operators import CanonicalRepair, DoubleSampling, EdgeCrossover, EdgeMutation, LimitedSurvival
from .settings import GanSearchSettings, GanSettings
from .space import number_of_cells

N_GRID_IMAGES = 100  # images per PNG file


class GanProblem(WeightSharingProblem):
    """Search for generators, discriminators or both, evaluated by the images of the generators.

    In addition to ``make_evaluator`` and ``network``, a subclass implements

    - ``make_space()``, the search space for images of ``self.info.side`` pixels and networks with
      ``self.n_cells`` cells;
    - ``cost(architecture)``, (params, macs) of the network of an architecture;
    - ``largest()``, architectures whose maximum params and macs no other architecture exceeds;
    - ``gan_with_search_weights(architecture)``, stand-alone generator and discriminator with the
      weights of the search, and the optimizer of the generator.
    """

    settings: GanSearchSettings
    train_on_offspring = True
    pick_description = "the lowest FID of the front"
    training_measures = (
        TrainingMeasure("d_loss", "D loss"),
        TrainingMeasure("g_loss", "G loss"),
        TrainingMeasure(
            "d_accuracy",
            "D accuracy",
            "%",
            limit=52.0,
            advice="A random guess has 50 %: the discriminators do not tell real images that they "
            "have not seen from generated images, so they teach the generators nothing. More "
            "epochs, or another d_learning_rate or scale, may help.",
        ),
    )

    evaluator: GanEvaluator

    def __init__(self, settings: GanSearchSettings) -> None:
        self.info = describe_images(settings)
        self.n_cells = number_of_cells(self.info.side, settings.cells)
        resolve_device(settings.device)
        self.settings = replace(settings, cells=self.n_cells)
        self.space = self.make_space()
        params, macs = np.max([self.cost(a) for a in self.largest()], axis=0)
        columns = [
            *quality_columns(settings, self.info),
            Column("params", "parameters", bounds=(0, int(params))),
            Column("macs", "multiply-adds", bounds=(0, int(macs))),
        ]
        super().__init__(self.settings, columns=columns, n_choices=self.space.n_choices)
        self.train_before_first_scores = settings.first_round == "random"

    def make_space(self) -> Any:
        """Return the search space."""
        raise NotImplementedError

    def cost(self, architecture: Any) -> Cost:
        """Return (params, macs) of the network of an architecture."""
        raise NotImplementedError

    def largest(self) -> Sequence[Any]:
        """Return architectures whose maximum params and macs no other architecture exceeds."""
        raise NotImplementedError

    def gan_with_search_weights(
        self, architecture: Any
    ) -> tuple[Generator, nn.Module, torch.optim.Optimizer]:
        """Return the GAN of an architecture, with the weights that the search has trained.

        Returns:
            Stand-alone generator, stand-alone discriminator, and the optimizer of the generator.
        """
        raise NotImplementedError

    def count(self, candidates: Candidates) -> np.ndarray:
        """Return the columns params and macs of n candidates as an (n, 2) array of integers."""
        return np.array([self.cost(a) for a in candidates])

    @property
    def generator_shape(self) -> dict[str, Any]:
        """Keyword arguments that build a generator."""
        return generator_shape(self.settings, self.info)

    @property
    def discriminator_shape(self) -> dict[str, Any]:
        """Keyword arguments that build a discriminator."""
        return discriminator_shape(self.settings, self.info)

    def operators(self) -> dict[str, Any]:
        """Return the operators of the paper as keyword arguments of a pymoo algorithm."""
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

        The first generation consists of P random networks, unless ``first_round=untrained``.
        If only some candidates of a non-domination rank can survive, those with the largest
        crowding distance do. The paper does not specify this choice.
        """
        options: dict[str, Any] = {}
        if self.train_before_first_scores:
            sampling = self.operators()["sampling"]
            survival = LimitedSurvival(self.settings.population)
            options = dict(sampling=DoubleSampling(sampling), survival=survival)
        return algorithm("nsga2", self, selection=RandomSelection(), **options)

    def pick(self, rows: Sequence[Row]) -> int | None:
        """Return the index of the row with the lowest FID, or None if there are no rows."""
        if not rows:
            return None
        return int(np.argmin([row.columns["fid"] for row in rows]))

    def graphs(self, architecture: Any) -> list[Graph]:
        """Return one graph per cell, from node 0 (the input) to node 4 (the output)."""
        graphs: list[Graph] = self.space.graphs(architecture)
        return graphs

    def _trained_evaluator(self) -> GanEvaluator:
        """Return the evaluator after restoring the weights of the last call in the journal."""
        assert self.journal is not None
        self.journal.restore(self.evaluator)
        return self.evaluator

    def after_generation(self, algorithm: Algorithm) -> None:
        """Save images of the generator with the lowest FID of the population as a PNG file."""
        assert self.journal is not None
        path = self.journal.folder / f"images-{algorithm.n_iter:03d}.png"
        if path.exists() or self.journal.replaying:
            return
        evaluator = self._trained_evaluator()
        best = algorithm.pop[np.argmin(algorithm.pop.get("fid").astype(float))]
        generator, _ = evaluator.networks_of(self.decode(best.X))
        save_grid(evaluator.sample_images(generator, N_GRID_IMAGES), path)

    def after_search(self, row: Row) -> list[str]:
        """Write the picked GAN to gan.json and gan.pt, for the next stage and ``moonas train``."""
        assert self.journal is not None
        folder = self.journal.folder
        fid, unit = row.columns["fid"], self.column("fid").unit
        n_calls = self.journal.n_calls  # grows if the search is continued
        if not (folder / GAN_FILE).exists() or read_gan(folder)["calls"] != n_calls:
            self._trained_evaluator()
            generator, discriminator, optimizer = self.gan_with_search_weights(row.architecture)
            entries = {"fid": fid, "fid_of": unit, "calls": n_calls}
            write_gan(
                self.settings, self.info, generator, discriminator, folder, optimizer, **entries
            )
        return [f"Picked: FID ({unit}) {fid:.2f}, {row.architecture}."]


def make_discriminator_builder(
    text: str | None,
    settings: GanSettings,
    info: DataInfo,
    n_cells: int | None = None,
    *,
    repair: bool = False,
) -> Callable[[], nn.Module]:
    """Return a function that builds an untrained discriminator, which a text describes.

    Args:
        text: "simple", or a text for :func:`moonas.problems.eagan.zoo.find_discriminator`.
        settings: settings that contain the arguments of the discriminator.
        info: description of the data set.
        n_cells: number of cells that the discriminator must have; by default, any number.
        repair: whether to modify an architecture that is legal only for larger images.

    Raises:
        ValueError: the text does not describe a discriminator.
    """
    shape = discriminator_shape(settings, info)
    return discriminator_builder(text, info.side, shape, n_cells, repair=repair)
