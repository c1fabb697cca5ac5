"""Samplings, crossovers, mutations and duplicate elimination, by kind of gene. No torch."""

from .blocks import BlockCrossover
from .categorical import CategoricalSampling, ResetGenes
from .default import operators_for
from .duplicates import NewRow, SameArchitecture, SameRow
from .mixed import MixedCrossover, MixedMoves, MixedSampling
from .nodes import NodeCrossover, NodeReset
from .ordered import PolynomialMoves
from .segments import BitSampling, SegmentCrossover, SegmentFlip

__all__ = [
    "BitSampling",
    "BlockCrossover",
    "CategoricalSampling",
    "MixedCrossover",
    "MixedMoves",
    "MixedSampling",
    "NewRow",
    "NodeCrossover",
    "NodeReset",
    "PolynomialMoves",
    "ResetGenes",
    "SameArchitecture",
    "SameRow",
    "SegmentCrossover",
    "SegmentFlip",
    "operators_for",
]
