"""Samplings, crossovers, mutations and duplicate elimination for categorical genes. No torch."""

from .categorical import CategoricalSampling, ResetGenes
from .duplicates import SameRow
from .nodes import NodeCrossover, NodeReset

__all__ = ["CategoricalSampling", "NodeCrossover", "NodeReset", "ResetGenes", "SameRow"]
