"""Search for the layer widths of a multi-layer perceptron."""

from dataclasses import dataclass

import numpy as np
from torch import nn

from moonas import ClassifierProblem
from moonas.evaluators.settings import ProxySettings
from moonas.registry import ProblemEntry
from moonas.settings import setting

WIDTHS = (4, 8, 16, 32, 64)
LAYERS = 3


@dataclass(frozen=True, kw_only=True)
class Settings(ProxySettings):
    """Settings of a search for layer widths."""

    population: int = setting(8, "number of architectures that survive each generation", least=1)
    generations: int = setting(5, "number of generations to run", least=1)


class MLPWidths(ClassifierProblem):
    """The genes select the widths of the hidden layers; each candidate is trained from scratch."""

    architecture_title = "widths of the hidden layers"

    def __init__(self, settings):
        super().__init__(settings, n_choices=[len(WIDTHS)] * LAYERS)

    def decode(self, x):
        return tuple(WIDTHS[gene] for gene in x)

    def encode(self, architecture):
        return np.array([WIDTHS.index(width) for width in architecture])

    def network(self, architecture, **shape):
        shape = self.full_shape(shape)  # n_classes, in_channels and image_size
        widths = [shape["in_channels"] * shape["image_size"] ** 2, *architecture]
        layers = [nn.Flatten()]
        for c_in, c_out in zip(widths, architecture, strict=False):
            layers += [nn.Linear(c_in, c_out), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(widths[-1], shape["n_classes"]))


def build(**options):
    return MLPWidths(Settings(**options))


PROBLEMS = {
    "mlp-widths": ProblemEntry(
        module="mlp_widths",
        summary="widths of a multi-layer perceptron",
        training="moonas.training.from_scratch",
    )
}
