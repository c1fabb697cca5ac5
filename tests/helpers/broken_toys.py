"""Toy problems, each of which violates one requirement of :func:`moonas.testing.check_problem`."""

from dataclasses import dataclass

import numpy as np
import torch
from toy import Toy, ToyEvaluator, ToySettings

from moonas.operators import NodeCrossover, NodeReset
from moonas.settings import setting


class WrongParameterCount(Toy):
    """A toy whose networks have more parameters than the column params states."""

    def network(self, architecture, **shape):
        return torch.nn.ParameterList([torch.nn.Parameter(torch.zeros(2 + 2 * sum(architecture)))])


class IneffectiveCrossover(Toy):
    """A toy whose crossover returns copies of the parents."""

    def operators(self):
        return super().operators() | {"crossover": NodeCrossover(prob_node=0)}


class IneffectiveMutation(Toy):
    """A toy whose mutation does not change any gene."""

    def operators(self):
        return super().operators() | {"mutation": NodeReset(prob_node=0)}


class WrongEncode(Toy):
    """A toy whose ``encode`` returns the genes in reverse order."""

    def encode(self, architecture):
        return np.array(architecture)[::-1].copy()


@dataclass(frozen=True, kw_only=True)
class _SettingsWithLatencyTable(ToySettings):
    latency_table: str | None = setting(None, "path of a latency table")


class NoPartsOfNetworks(Toy):
    """A toy that lists the parts of its space, but not those of a network."""

    settings_class = _SettingsWithLatencyTable


class _EvaluatorWithoutWeights(ToyEvaluator):
    def load_state(self, state):
        self.rng.set_state(state["rng"])


class StateNotRestored(Toy):
    """A toy problem whose evaluator does not restore the weights in ``load_state``."""

    def make_evaluator(self):
        return _EvaluatorWithoutWeights(self.settings)


class _EvaluatorWithoutGenerator(ToyEvaluator):
    def state(self):
        return {"t": self.t}

    def load_state(self, state):
        self.t = state["t"]


class GeneratorNotSaved(Toy):
    """A toy problem whose evaluator does not save the state of the random generator."""

    def make_evaluator(self):
        return _EvaluatorWithoutGenerator(self.settings)


class _EvaluatorWithoutDevice:
    trains = independent = False
    phase = "scoring"

    def begin(self, seed):
        pass

    score = measure = warm_up = train = state = load_state = begin


class NoDevice(Toy):
    """A toy problem whose evaluator lacks the attribute ``device``."""

    def make_evaluator(self):
        return _EvaluatorWithoutDevice()
