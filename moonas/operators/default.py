"""Operators that follow from the kinds of genes of a problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .categorical import CategoricalSampling, ResetGenes
from .duplicates import SameArchitecture, SameRow
from .mixed import MixedCrossover, MixedMoves, MixedSampling
from .nodes import NodeCrossover
from .segments import BitSampling

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem


def operators_for(problem: ArchitectureProblem) -> dict[str, Any]:
    """Sampling, crossover, mutation and duplicate elimination for a problem's genes.

    Labels (integers from 0) and bits are drawn uniformly, crossed node by node, and one gene on
    average changes. Other integers and real numbers are ordered: simulated binary crossover and
    polynomial mutation.

    Returns:
        A dict of arguments of pymoo's genetic algorithms.
    """
    genes = problem.genes
    if genes.bits or not (genes.real.any() or genes.low.any()):
        return dict(
            sampling=BitSampling(0.5) if genes.bits else CategoricalSampling(),
            crossover=NodeCrossover(),
            mutation=ResetGenes(),
            eliminate_duplicates=SameRow(),
        )
    return dict(
        sampling=MixedSampling(),
        crossover=MixedCrossover(),
        mutation=MixedMoves(1 / len(genes.low)),
        eliminate_duplicates=SameArchitecture(problem.decode),
    )
