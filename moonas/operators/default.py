"""Default operators of a problem, chosen by the kinds of its genes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .categorical import CategoricalSampling, ResetGenes
from .duplicates import SameArchitecture, SameRow
from .mixed import MixedCrossover, MixedMutation, MixedSampling
from .nodes import NodeCrossover
from .segments import BitSampling

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem


def operators_for(problem: ArchitectureProblem) -> dict[str, Any]:
    """Return sampling, crossover, mutation and duplicate elimination for a problem's genes.

    Labels (integers from 0) and bits are categorical: they are sampled uniformly, crossover
    exchanges nodes, and mutation changes one gene on average. Other integers and real numbers are
    ordered: they use simulated binary crossover and polynomial mutation.

    Args:
        problem: an :class:`~moonas.problem.ArchitectureProblem`.

    Returns:
        A dict of arguments of pymoo's genetic algorithms: ``sampling``, ``crossover``,
        ``mutation`` and ``eliminate_duplicates``.
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
        mutation=MixedMutation(1 / len(genes.low)),
        eliminate_duplicates=SameArchitecture(problem.decode),
    )
