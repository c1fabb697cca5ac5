"""Samplings, crossovers, mutations and duplicate elimination for integer genes. No torch."""

from .blocks import BlockCrossover
from .categorical import CategoricalSampling, ResetGenes
from .duplicates import SameRow
from .nodes import NodeCrossover, NodeReset
from .ordered import PolynomialMoves

__all__ = [
    "BlockCrossover",
    "CategoricalSampling",
    "NodeCrossover",
    "NodeReset",
    "PolynomialMoves",
    "ResetGenes",
    "SameRow",
]
