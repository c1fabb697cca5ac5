"""Sampling, crossover, mutation and duplicate elimination for all kinds of genes. No torch."""

from __future__ import annotations

from ..deprecation import renamed_names
from .bits import BitMutation, UniformBitCrossover
from .blocks import BlockCrossover
from .categorical import CategoricalSampling, ResetGenes
from .default import operators_for
from .duplicates import EvaluatedRow, SameArchitecture, SameRow
from .mixed import MixedCrossover, MixedMutation, MixedSampling
from .nodes import NodeCrossover, NodeReset
from .ordered import PolynomialMutation
from .segments import BitSampling, SegmentCrossover, SegmentFlip
from .start import StartRows

__all__ = [
    "BitMutation",
    "BitSampling",
    "BlockCrossover",
    "CategoricalSampling",
    "EvaluatedRow",
    "MixedCrossover",
    "MixedMutation",
    "MixedSampling",
    "NodeCrossover",
    "NodeReset",
    "PolynomialMutation",
    "ResetGenes",
    "SameArchitecture",
    "SameRow",
    "SegmentCrossover",
    "SegmentFlip",
    "StartRows",
    "UniformBitCrossover",
    "operators_for",
]
__getattr__ = renamed_names(
    __name__,
    MixedMoves="MixedMutation",
    NewRow="EvaluatedRow",
    PolynomialMoves="PolynomialMutation",
)
