"""A toy problem with shared weights whose scores are computed by a formula.

The shared weights are one number t, the amount of training so far. The error of a row x is
100 exp(-t / size) with size = 1 + sum(x), so the error of small candidates decreases faster. Each
training adds 1 plus noise to t.
"""

from dataclasses import dataclass

import numpy as np
import torch

from moonas.algorithms import algorithm
from moonas.nets.parts import operation_part
from moonas.nets.randomness import generator
from moonas.operators import CategoricalSampling, NodeCrossover, ResetGenes, SameRow
from moonas.problem import Column, Evaluator
from moonas.run.journal import Journal
from moonas.settings import SearchSettings, setting
from moonas.weight_sharing import WeightSharingProblem

N_VAR, N_CHOICES = 6, 4


@dataclass(frozen=True, kw_only=True)
class ToySettings(SearchSettings):
    """Settings of :class:`Toy`."""

    objectives: tuple[str, ...] = setting(("error", "params"), "columns to minimize")
    population: int = setting(8, "number of candidates that survive")
    nonstationary: bool = setting(True, "whether the weights are trained during the run")
    train_on_offspring: bool = setting(False, "whether the training uses the offspring")
    fault: str = setting("", "fault of the evaluator: rising, largest, all or shape")


class ToyEvaluator(Evaluator):
    """Evaluator with one shared weight; ``calls`` records each training."""

    trains = True
    device = "cpu"

    def __init__(self, settings):
        self.settings = settings
        self.calls = []
        self.t = torch.zeros((), dtype=torch.float64)

    def begin(self, seed):
        self.t = torch.zeros((), dtype=torch.float64)
        self.rng = generator(seed, "noise")

    def _train(self):
        self.t = self.t + 1 + 0.1 * torch.rand((), generator=self.rng, dtype=torch.float64)
        return {"epochs": 2, "t": float(self.t)}

    def warm_up(self):
        self.calls.append("warm up")
        return self._train()

    def train(self, candidates):
        self.calls.append(candidates.architectures)
        return self._train()

    def score(self, candidates):
        size = 1 + candidates.rows.sum(axis=1)
        error = 100 * np.exp(-float(self.t) / size)
        if self.settings.fault == "rising":
            error = 100 - error
        if self.settings.fault == "largest":
            error[size == size.max()] = np.nan
        if self.settings.fault == "all":
            error[:] = np.inf
        if self.settings.fault == "shape":
            error = error[:, None]
        return {"error": error, "params": size}

    def state(self):
        return {"t": self.t, "rng": self.rng.get_state()}

    def load_state(self, state):
        self.t = state["t"]
        self.rng.set_state(state["rng"])


class Toy(WeightSharingProblem):
    """A problem with six categorical genes in two nodes, and one shared weight."""

    growth_of = "error"
    settings_class = ToySettings

    def __init__(self, **options):
        settings = self.settings_class(**options)
        columns = [
            Column("error", "%", worst=100.0, bounds=(0, 100)),
            Column("params", "parameters", bounds=(0, 1 + N_VAR * N_CHOICES)),
            Column("growth", "% per epoch", direction="max"),
        ]
        super().__init__(
            settings,
            columns=columns,
            n_choices=np.full(N_VAR, N_CHOICES),
            nodes=[np.arange(3), np.arange(3, 6)],
        )
        self.nonstationary = settings.nonstationary
        self.train_on_offspring = settings.train_on_offspring

    def make_evaluator(self):
        return ToyEvaluator(self.settings)

    def decode(self, x):
        return tuple(np.asarray(x).tolist())

    def encode(self, architecture):
        return np.array(architecture)

    def architecture_to_json(self, architecture):
        return list(architecture)

    def architecture_from_json(self, value):
        return tuple(value)

    def network(self, architecture, **shape):
        return torch.nn.ParameterList([torch.nn.Parameter(torch.zeros(1 + sum(architecture)))])

    def operators(self):
        return dict(
            sampling=CategoricalSampling(),
            crossover=NodeCrossover(),
            mutation=ResetGenes(),
            eliminate_duplicates=SameRow(),
        )

    def algorithm(self):
        return algorithm("pnsga3", self)

    def operations(self):
        return [operation_part("skip_connect", 1, 1, side) for side in range(1, N_CHOICES)]


class IndependentEvaluator(Evaluator):
    """Evaluator whose scores depend only on the seed and the row of a candidate."""

    independent = True
    device = "cpu"

    def __init__(self):
        self.scored = []  # architectures, in the order of their evaluation

    def begin(self, seed):
        self.seed = seed

    def score(self, candidates):
        self.scored.extend(candidates)
        size = 1 + candidates.rows.sum(axis=1)
        random_numbers = [
            float(torch.rand((), generator=generator(self.seed, *row.tolist())))
            for row in candidates.rows
        ]
        return {"error": 100 * np.exp(-np.array(random_numbers) / size), "params": size}


class IndependentToy(Toy):
    """A toy whose candidates are evaluated independently, so workers can share them."""

    def __init__(self, **options):
        super().__init__(**{"nonstationary": False, "workers": 1} | options)

    def make_evaluator(self):
        return IndependentEvaluator()


def journalled(folder, kind=Toy, **options):
    """Create a toy problem that records its runs in a folder."""
    toy = kind(**options)
    toy.session.journal = Journal(folder, problem="toy", settings=toy.settings)
    return toy


def error_of(t, size):
    """Return the error (%) of candidates with these sizes if the shared weight equals t."""
    return 100 * np.exp(-t / np.asarray(size, float))
