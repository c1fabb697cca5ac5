"""Toy problems, each of which violates the contract in one way."""

import numpy as np
import torch
from toy import Toy, ToyEvaluator

from moonas.operators import NodeCrossover, NodeReset


class WrongSizes(Toy):
    """Its networks have more parameters than it counts."""

    def network(self, architecture, **shape):
        return torch.nn.ParameterList([torch.nn.Parameter(torch.zeros(2 + 2 * sum(architecture)))])


class DeadCrossover(Toy):
    """Its crossover returns the parents."""

    def operators(self):
        return super().operators() | {"crossover": NodeCrossover(prob_node=0)}


class DeadMutation(Toy):
    """Its mutation changes nothing."""

    def operators(self):
        return super().operators() | {"mutation": NodeReset(prob_node=0)}


class WrongEncode(Toy):
    """Its encode is not the inverse of its decode."""

    def encode(self, architecture):
        return np.array(architecture)[::-1].copy()


class _Forgetful(ToyEvaluator):
    def load_state(self, state):
        self.rng.set_state(state["rng"])


class StateNotRestored(Toy):
    """Its evaluator does not restore the weights in load_state."""

    def make_evaluator(self):
        return _Forgetful(self.settings)


class _WithoutGenerator(ToyEvaluator):
    def state(self):
        return {"t": self.t}

    def load_state(self, state):
        self.t = state["t"]


class GeneratorNotSaved(Toy):
    """Its evaluator does not save the state of its random generator."""

    def make_evaluator(self):
        return _WithoutGenerator(self.settings)


class _WithoutDevice:
    trains = independent = False
    phase = "scoring"

    def begin(self, seed):
        pass

    score = measure = warm_up = train = state = load_state = begin


class NoDevice(Toy):
    """Its evaluator lacks the member ``device``."""

    def make_evaluator(self):
        return _WithoutDevice()
