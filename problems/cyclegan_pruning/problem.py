"""Co-evolutionary compression as a pymoo problem: which filters two generators keep."""

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from pymoo.core.repair import Repair

from moonas.algorithms import Coevolution
from moonas.files import sha256
from moonas.nets.devices import resolve_device
from moonas.operators import BitSampling, SameRow, SegmentCrossover, SegmentFlip
from moonas.problem import ADVICE, ArchitectureProblem, Column
from moonas.run.progress import SearchOutput
from moonas.spaces.genes import bit_genes

from . import networks
from .channels import ChannelCosts
from .comparison import NUMBERS, STRIPS, compare, comparison_lines, write_comparison
from .data import describe
from .evaluator import PruningEvaluator
from .masks import CHANNELS, compressed, groups_of
from .quality import Quality, check_quality
from .settings import PruningSettings
from .space import Space
from .training import CycleGAN
from .weights_file import COMPRESSED_FILE, ORIGINAL_FILE, read_original, write_gan


def build(**options):
    """The problem; ``options`` are fields of :class:`PruningSettings`."""
    settings = PruningSettings(**options)
    if settings.from_run is not None:
        path = Path(settings.from_run) / ORIGINAL_FILE
        if not path.exists():
            raise ValueError(
                f"{settings.from_run} holds no {ORIGINAL_FILE}: it is no run of "
                "cyclegan-pretraining, or that has not ended."
            )
        settings = replace(settings, weights=str(path), from_run=None)
    return CycleGANPruning(settings)


class KeepOne(Repair):
    """Each mask that keeps no filter keeps one, drawn uniformly."""

    def _do(self, problem, X, *args, random_state, **kwargs):
        X = X.astype(bool)
        for part in problem.space.slices:
            for i in np.flatnonzero(~X[:, part].any(axis=1)):
                X[i, part.start + random_state.integers(part.stop - part.start)] = True
        return X


class CycleGANPruning(ArchitectureProblem):
    """Pairs of compressed generators by their size and by what they have lost.

    A row is (p | q), one bit a filter of each generator. Columns, all to be minimised:

    - ``size_a``, ``size_b``: N of eq. 10, the share of weights that a generator keeps, and
      ``size``, the mean of both;
    - ``loss_a``, ``loss_b``: L_DisA + lambda L_cyc (eqs. 5 and 6; or eq. 4), and ``loss``, the mean
      of both;
    - ``fitness_a``, ``fitness_b``: what eqs. 11 and 13 take the reciprocal of, and ``fitness``,
      their sum: eq. 8;
    - ``params``, ``macs``: of both generators.

    Args:
        settings: :class:`PruningSettings`.
    """

    secondary_column = "size"
    pick_description = "the lowest fitness (eq. 8) of the front"
    architecture_title = "filters of each mask"

    def __init__(self, settings):
        self.settings, self.info = settings, describe(settings)
        resolve_device(settings.device)
        if settings.weights is not None:
            read_original(settings.weights, settings, self.info)  # so that it is found wrong now
            self.inputs = {"weights": sha256(settings.weights)}
        check_quality(settings)
        self.patches = networks.n_patches(settings.d_width, settings.d_layers, self.info.side)
        with torch.device("meta"):
            net = networks.generator(width=settings.width, blocks=settings.blocks)
        self.groups = groups_of(net, settings.encoding)
        shape = (CHANNELS, self.info.side, self.info.side)
        self.costs = ChannelCosts(net, self.groups, *shape)
        self.space = Space([group.size for group in self.groups if not group.fixed])
        self.species_bits = (self.space.n_bits, self.space.n_bits)
        top, one = self.ceiling, 1 + settings.gamma * self.ceiling
        loss = dict(unit="squared l2", worst=top, bounds=(0, top))
        size = dict(unit="share", bounds=(0, 1))
        _, params, macs = self.costs.whole
        columns = [
            Column("loss", **loss),
            Column("size", **size),
            Column("fitness", "eq. 8", worst=2 * one, bounds=(0, 2 * one)),
            Column("params", "parameters", bounds=(0, 2 * params)),
            Column("macs", "multiply-adds", bounds=(0, 2 * macs), in_table=False),
        ]
        for k, equation in (("a", "eq. 11"), ("b", "eq. 13")):
            columns.append(Column(f"loss_{k}", in_table=False, **loss))
            columns.append(Column(f"size_{k}", in_table=False, **size))
            columns.append(
                Column(f"fitness_{k}", equation, worst=one, bounds=(0, one), in_table=False)
            )
        super().__init__(settings, columns=columns, genes=bit_genes(2 * self.space.n_bits))

    def count(self, candidates):
        """Params and macs of both generators, (n, 2) ints."""
        counts = [[self.costs.count(a.masks(k))[1:] for k in "ab"] for a in candidates]
        return np.sum(counts, axis=1)

    @property
    def ceiling(self):
        """Losses beyond say nothing more: that of grey images, and a D that is wrong by one."""
        s = self.settings
        n_pixels = CHANNELS * self.info.side**2
        seen = self.patches if s.loss == "discriminator" else n_pixels
        seen, n_pixels = (seen, n_pixels) if s.norm == "sum" else (1, 1)
        return float(seen + s.cycle_weight * n_pixels)

    def check_rows(self, X):
        """Bits of which each mask keeps a filter; else a ``ValueError``."""
        X = super().check_rows(X)
        try:
            self.space.check(np.atleast_2d(X))
        except ValueError as error:
            raise ValueError(f"{error} {ADVICE}") from None
        return X

    def columns_of(self, architecture, losses):
        """Every column of one architecture, a dict of numbers.

        Args:
            architecture: masks.
            losses: {"a": loss, "b": loss}; what depends on one that is not finite is NaN.
        """
        counts = {k: self.costs.count(architecture.masks(k)) for k in "ab"}
        sizes = {k: weights / self.costs.whole[0] for k, (weights, _, _) in counts.items()}
        losses = {
            k: min(loss, self.ceiling) if math.isfinite(loss) else math.nan
            for k, loss in losses.items()
        }
        fitness = {k: sizes[k] + self.settings.gamma * losses[k] for k in "ab"}
        found = {
            "loss": sum(losses.values()) / 2,
            "size": sum(sizes.values()) / 2,
            "fitness": sum(fitness.values()),
            "params": sum(params for _, params, _ in counts.values()),
            "macs": sum(macs for _, _, macs in counts.values()),
        }
        for name, values in (("loss", losses), ("size", sizes), ("fitness", fitness)):
            found |= {f"{name}_{k}": value for k, value in values.items()}
        return found

    def make_evaluator(self):
        """A :class:`PruningEvaluator`; images come at its first use."""
        s, read = self.settings, None
        if s.weights is not None:
            read = partial(read_original, s.weights, s, self.info)
        return PruningEvaluator(self, read)

    def operators(self):
        """Sampling, crossover, mutation, repair and duplicate elimination for any algorithm."""
        s = self.settings
        return dict(
            sampling=BitSampling(s.density),
            crossover=SegmentCrossover(s.crossover),
            mutation=SegmentFlip(1 - s.copy - s.crossover),
            repair=KeepOne(),
            eliminate_duplicates=SameRow(),
        )

    def algorithm(self):
        """Algorithm 1: two populations, each against the best of the other."""
        s = self.settings
        return Coevolution(
            pop_size=s.population,
            density=s.density,
            copy=s.copy,
            crossover=s.crossover,
            separate=s.separate,
            repair=KeepOne(),
            output=SearchOutput(),
        )

    def pick(self, rows):
        """The index of the row with the lowest fitness; None for no rows."""
        if not rows:
            return None
        return int(np.argmin([row.columns["fitness"] for row in rows]))

    def network(self, architecture, **shape):
        """Both generators with the filters of an architecture, untrained; a ``ModuleDict``."""
        gan = CycleGAN(**self.settings.network_shape | shape)
        return compressed(gan, architecture, self.groups).generators

    def operations(self):
        """The convolutions of a generator before it is compressed."""
        with torch.device("meta"):
            net = networks.generator(width=self.settings.width, blocks=self.settings.blocks)
        return networks.convolutions(net, self.info.side)

    def after_search(self, row):
        """Write the picked pair, as it was scored, and how it looks; lines of size and quality."""
        folder, evaluator, s = self.journal.folder, self.evaluator, self.settings

        def look():
            small = evaluator.compressed(row.architecture)
            quality = Quality(s, self.info, evaluator.data, self.device)
            return quality, evaluator.original, small

        def judge():
            quality, original, small = look()
            return compare(quality, original.generators, small.generators, s)

        asked = {"x": self.genes.to_json(row.x)}
        numbers = self.session.recorded("final test", asked, judge, evaluator)
        files = [folder / name for name in (ORIGINAL_FILE, COMPRESSED_FILE, STRIPS, NUMBERS)]
        if not all(path.exists() for path in files):
            self.journal.restore(evaluator)
            quality, original, small = look()
            write_gan(files[0], original, s, self.info)
            write_gan(files[1], small, s, self.info, row.architecture, s.encoding)
            write_comparison(numbers, quality, original.generators, small.generators, folder)
        return comparison_lines(numbers)


__all__ = ["CycleGANPruning", "PruningSettings", "build"]
