"""Sampling, crossover, mutation and duplicate elimination for all kinds of genes. No torch."""

from __future__ import annotations

import warnings
from typing import Any

from .blocks import BlockCrossover
from .categorical import CategoricalSampling, ResetGenes
from .default import operators_for
from .duplicates import EvaluatedRow, SameArchitecture, SameRow
from .mixed import MixedCrossover, MixedMutation, MixedSampling
from .nodes import NodeCrossover, NodeReset
from .ordered import PolynomialMutation
from .segments import BitSampling, SegmentCrossover, SegmentFlip

__all__ = [
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
    "operators_for",
]
RENAMED = {  # class name in earlier versions -> current name
    "MixedMoves": "MixedMutation",
    "NewRow": "EvaluatedRow",
    "PolynomialMoves": "PolynomialMutation",
}


def __getattr__(name: str) -> Any:
    if name not in RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    new = RENAMED[name]
    warnings.warn(f"{__name__}.{name} is deprecated; use {new}.", DeprecationWarning, stacklevel=2)
    return globals()[new]
