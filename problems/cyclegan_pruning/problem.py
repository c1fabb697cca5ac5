"""Co-evolutionary compression of a CycleGAN as a pymoo problem."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from moonas.algorithms import Coevolution
from moonas.nets.devices import resolve_device
from moonas.operators import (
    BitMutation,
    BitSampling,
    SameRow,
    SegmentCrossover,
    SegmentFlip,
    UniformBitCrossover,
)
from moonas.problem import ADVICE, ArchitectureProblem, Column, TrainingMeasure
from moonas.run.progress import SearchOutput
from moonas.spaces.genes import bit_genes

from . import networks
from .channels import ChannelCosts
from .comparison import (
    COMPARISON_FILE,
    FILTERS_FILE,
    TRANSLATIONS_FILE,
    compare,
    comparison_lines,
    write_comparison,
)
from .data import describe
from .drawing import draw_filters
from .evaluator import PruningEvaluator
from .masks import compress, filter_groups
from .operators import ImportanceSampling, KeepOne
from .quality import Quality, check_quality
from .settings import PruningSettings
from .space import Architecture, Space
from .training import CycleGAN
from .weights_file import (
    COMPRESSED_FILE,
    ORIGINAL_FILE,
    lacks_discriminators,
    read_gan,
    read_original,
    weights_checksum,
    write_gan,
)

if TYPE_CHECKING:
    from pymoo.core.algorithm import Algorithm

    from moonas.nets.parts import Part
    from moonas.pareto import Row
    from moonas.run.candidates import Candidates


def build(**options: Any) -> CycleGANPruning:
    """Return the problem.

    Args:
        options: fields of :class:`PruningSettings`.

    Raises:
        ValueError: an option is invalid, or ``from_run`` is not the folder of a finished
            pretraining.
    """
    settings = PruningSettings(**options)
    if settings.from_run is not None:
        path = Path(settings.from_run) / ORIGINAL_FILE
        if not path.exists():
            raise ValueError(
                f"{settings.from_run} does not contain {ORIGINAL_FILE}: expected the folder of a "
                "finished run of cyclegan-pretraining."
            )
        settings = replace(settings, weights=str(path), from_run=None)
    return CycleGANPruning(settings)


class CycleGANPruning(ArchitectureProblem):
    """Searches for the filters that both generators of a CycleGAN keep.

    A row is (p | q), where p and q contain one bit per filter of generators A to B and B to A. All
    columns are minimized:

    - ``size_a`` and ``size_b``: N(p) and N(q) (eq. 10), the share of convolution weights that each
      generator keeps; ``size`` is their mean;
    - ``loss_a`` and ``loss_b``: L_DisA + lambda L_cyc (eqs. 5 and 6), or L_GenA + lambda L_cyc
      (eqs. 4 and 6); ``loss`` is their mean;
    - ``fitness_a`` and ``fitness_b``: size + gamma loss of each generator (the denominators of eqs.
      11 and 13); ``fitness`` is their sum (eq. 8). With ``scale_loss``, losses are divided by
      ``max_loss`` here, so that they are in [0, 1], as sizes are;
    - ``cycle``: the mean of L_cyc (eq. 6, without lambda) over both directions;
    - ``params`` and ``macs``: parameters and multiply-adds of both generators together.

    Args:
        settings: settings of the search.

    Attributes:
        groups: groups of filters of a generator, including fixed groups.
        n_patches: number of patches that a discriminator scores in one image.
    """

    settings: PruningSettings
    evaluator: PruningEvaluator
    space: Space
    secondary_column = "size"
    pick_description = "the row with the lowest fitness (eq. 8) on the front"
    architecture_title = "number of filters per mask"
    training_measures = (TrainingMeasure("cycle", "cycle loss", of_candidates=True),)

    def __init__(self, settings: PruningSettings) -> None:
        self.settings, self.info = settings, describe(settings)
        resolve_device(settings.device)
        if settings.weights is not None:
            read_original(settings.weights, settings, self.info)  # fails early
            self.inputs = {"weights": weights_checksum(settings.weights)}
        check_quality(settings, self.info)
        self.n_patches = networks.n_patches(settings.d_width, settings.d_layers, self.info.size)
        c = self.info.channels
        with torch.device("meta"):
            net = networks.generator(c, c, width=settings.width, blocks=settings.blocks)
        self.groups = filter_groups(net, settings.encoding)
        self.costs = ChannelCosts(net, self.groups, *self.info.shape)
        self.space = Space([group.size for group in self.groups if not group.fixed])
        self.species_bits = (self.space.n_bits, self.space.n_bits)
        max_fitness = 1 + self.loss_factor * self.max_loss
        loss = partial(Column, unit="squared l2", worst=self.max_loss, bounds=(0, self.max_loss))
        size = partial(Column, unit="share", bounds=(0, 1))
        _, params, macs = self.costs.total
        columns = [
            loss("loss"),
            size("size"),
            Column("fitness", "eq. 8", worst=2 * max_fitness, bounds=(0, 2 * max_fitness)),
            Column("params", "parameters", bounds=(0, 2 * params)),
            Column("macs", "multiply-adds", bounds=(0, 2 * macs), in_table=False),
            Column(
                "cycle",
                "squared l2",
                worst=self.max_cycle,
                bounds=(0, self.max_cycle),
                in_table=False,
            ),
        ]
        for k, equation in (("a", "eq. 11"), ("b", "eq. 13")):
            bounds = (0, max_fitness)
            columns += [
                loss(f"loss_{k}", in_table=False),
                size(f"size_{k}", in_table=False),
                Column(f"fitness_{k}", equation, worst=max_fitness, bounds=bounds, in_table=False),
            ]
        # token of a run, and the importance of filters in this run
        self._importance: tuple[str | None, dict[str, Any]] = (None, {})
        super().__init__(settings, columns=columns, genes=bit_genes(2 * self.space.n_bits))

    def count(self, candidates: Candidates) -> np.ndarray:
        """Return the parameters and multiply-adds of both generators together, (n, 2) ints."""
        counts = [[self.costs.count(a.masks(k))[1:] for k in "ab"] for a in candidates]
        return np.asarray(np.sum(counts, axis=1))

    @property
    def max_loss(self) -> float:
        """Value at which losses are clipped.

        It corresponds to a squared error of 1 for each pixel of the reconstructed image and for
        each score (or pixel) that is compared with an output of the original CycleGAN.
        """
        s = self.settings
        if s.norm == "mean":
            return 1 + s.cycle_weight
        n_pixels = math.prod(self.info.shape)
        n_compared = self.n_patches if s.loss == "discriminator" else n_pixels
        return float(n_compared + s.cycle_weight * n_pixels)

    @property
    def max_cycle(self) -> float:
        """Largest value of L_cyc: an error of 2 for each pixel, since pixels are in [-1, 1]."""
        n_pixels = math.prod(self.info.shape)
        return 4.0 if self.settings.norm == "mean" else 4.0 * n_pixels

    @property
    def loss_factor(self) -> float:
        """Factor of the loss in the fitness: gamma or, with ``scale_loss``, gamma / max_loss."""
        s = self.settings
        return s.gamma / self.max_loss if s.scale_loss else s.gamma

    @cached_property
    def weights_per_filter(self) -> np.ndarray:
        """Weights that an uncompressed generator loses without a filter, (n_bits,) ints."""
        counts = []
        for i, n in enumerate(self.space.sizes):
            masks = [np.ones(size, dtype=bool) for size in self.space.sizes]
            masks[i][0] = False
            one_less = self.costs.count(masks)[0] if n > 1 else 0
            counts.append(np.full(n, self.costs.total[0] - one_less))
        return np.concatenate(counts)

    def importance(self, algorithm: Algorithm | None = None) -> np.ndarray:
        """Return the importance of each filter of both generators, see :mod:`.importance`.

        In a run, the first call begins the run, which trains the CycleGAN if necessary, and the
        journal records the result. Outside a run, the current CycleGAN is used, as by ``evaluate``.

        Args:
            algorithm: the running algorithm; None outside a run.

        Returns:
            (2, n_bits) floats, generator A to B first.
        """

        def compute() -> dict[str, Any]:
            return {"importance": self.evaluator.importance().ravel()}

        session = self.session
        if algorithm is None:
            session.prepare_outside_run()
            values = compute()
        else:
            with session.run_of(algorithm):
                token, values = self._importance
                if token != session.token:
                    values = session.recorded("importance", {}, compute, self.evaluator)
                    self._importance = session.token, values
        return np.asarray(values["importance"], float).reshape(2, self.space.n_bits)

    def check_rows(self, X: np.ndarray) -> np.ndarray:
        """Return X as a bool array.

        Raises:
            ValueError: a row is invalid, or one of its masks keeps no filter.
        """
        X = super().check_rows(X)
        try:
            self.space.check(np.atleast_2d(X))
        except ValueError as error:
            raise ValueError(f"{error} {ADVICE}") from None
        return X

    def columns_of(
        self, architecture: Architecture, losses: Mapping[str, float], cycle: float = math.nan
    ) -> dict[str, float]:
        """Return the values of all columns for one architecture.

        Args:
            architecture: masks of both generators.
            losses: loss of each generator, "a" and "b". If a loss is not finite, the columns that
                depend on it are NaN.
            cycle: mean of L_cyc (eq. 6) over both directions.
        """
        counts = {k: self.costs.count(architecture.masks(k)) for k in "ab"}
        sizes = {k: weights / self.costs.total[0] for k, (weights, _, _) in counts.items()}
        losses = {
            k: min(loss, self.max_loss) if math.isfinite(loss) else math.nan
            for k, loss in losses.items()
        }
        fitness = {k: sizes[k] + self.loss_factor * losses[k] for k in "ab"}
        columns: dict[str, float] = {
            "loss": sum(losses.values()) / 2,
            "size": sum(sizes.values()) / 2,
            "fitness": sum(fitness.values()),
            "params": sum(params for _, params, _ in counts.values()),
            "macs": sum(macs for _, _, macs in counts.values()),
            "cycle": cycle,
        }
        for name, values in (("loss", losses), ("size", sizes), ("fitness", fitness)):
            columns |= {f"{name}_{k}": value for k, value in values.items()}
        return columns

    def make_evaluator(self) -> PruningEvaluator:
        """Return the evaluator, which reads the images when a run begins."""
        s = self.settings
        if s.weights is not None:
            load_original = partial(read_original, s.weights, s, self.info)
            return PruningEvaluator(
                self, load_original, train_discriminators=lacks_discriminators(s.weights)
            )
        return PruningEvaluator(self)

    def operators(self) -> dict[str, Any]:
        """Return sampling, crossover, mutation, repair and duplicate elimination."""
        s = self.settings
        crossover, mutation = UniformBitCrossover(s.crossover), BitMutation(self.space.slices)
        if s.operators == "segments":
            crossover = SegmentCrossover(s.crossover)
            mutation = SegmentFlip(1 - s.copy - s.crossover)
        return dict(
            sampling=self.sampling() or BitSampling(s.density),
            crossover=crossover,
            mutation=mutation,
            repair=KeepOne(),
            eliminate_duplicates=SameRow(),
        )

    def sampling(self) -> ImportanceSampling | None:
        """Return the sampling that is biased by importance; None if ``initial`` is random."""
        s = self.settings
        if s.initial == "random":
            return None
        return ImportanceSampling(s.density, s.random_share)

    def algorithm(self) -> Coevolution:
        """Return the co-evolution, which evolves one population per generator."""
        s = self.settings
        n = len(self.space.sizes)
        return Coevolution(
            pop_size=s.population,
            density=s.density,
            copy=s.copy,
            crossover=s.crossover,
            separate=s.separate,
            repair=KeepOne(),
            operators=s.operators,
            replacement=s.replacement,
            update=s.update,
            first_partner=s.first_partner,
            archive=s.archive,
            sampling=self.sampling(),
            masks=(self.space.slices[:n], self.space.slices[:n]),
            output=SearchOutput(),
        )

    def pick(self, rows: Sequence[Row]) -> int | None:
        """Return the index of the row with the lowest fitness, or None if ``rows`` is empty."""
        if not rows:
            return None
        return int(np.argmin([row.columns["fitness"] for row in rows]))

    def network(self, architecture: Architecture, **shape: Any) -> nn.ModuleDict:
        """Return both generators, untrained, with only the filters that the masks keep.

        Args:
            architecture: masks of both generators.
            shape: arguments of :class:`.CycleGAN` that override the settings.
        """
        gan = CycleGAN(**self.settings.network_shape | shape)
        return compress(gan, architecture, self.groups).generators

    def operations(self) -> list[Part]:
        """Return the distinct convolutions of a generator before pruning."""
        s, c = self.settings, self.info.channels
        with torch.device("meta"):
            net = networks.generator(c, c, width=s.width, blocks=s.blocks)
        return networks.convolutions(net, self.info.size)

    def after_search(self, row: Row) -> list[str]:
        """Write the picked generators, as evaluated, and compare them with the original generators.

        Args:
            row: the picked row.

        Returns:
            Lines of text to print, with sizes and scores.
        """
        evaluator, s = self.evaluator, self.settings
        assert self.journal is not None  # only a recorded search calls this
        folder = self.journal.folder

        def picked_gan() -> tuple[Quality, CycleGAN, CycleGAN]:
            compressed = evaluator.compress(row.architecture)
            quality = Quality(s, self.info, evaluator.load(), evaluator.device, self.callbacks)
            return quality, evaluator.require_original(), compressed

        def final_test() -> dict[str, Any]:
            quality, original, compressed = picked_gan()
            return compare(quality, original.generators, compressed.generators, s)

        request = {"x": self.genes.to_json(row.x)}
        comparison = self.session.recorded("final test", request, final_test, evaluator)
        files = [
            folder / name
            for name in (ORIGINAL_FILE, COMPRESSED_FILE, TRANSLATIONS_FILE, COMPARISON_FILE)
        ]
        if not all(path.exists() for path in files):
            self.journal.restore(evaluator)
            quality, original, compressed = picked_gan()
            write_gan(files[0], original, s, self.info)
            write_gan(files[1], compressed, s, self.info, row.architecture, s.encoding)
            write_comparison(
                comparison, quality, original.generators, compressed.generators, folder
            )
        if not (folder / FILTERS_FILE).exists():  # a finished run of an earlier version lacks it
            original, compressed = (read_gan(path).gan for path in files[:2])
            path = folder / FILTERS_FILE
            draw_filters(original, compressed, row.architecture, self.groups, path)
        return comparison_lines(comparison)


__all__ = ["CycleGANPruning", "PruningSettings", "build"]
