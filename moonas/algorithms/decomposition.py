"""Decomposition of objectives with different scales, for MOEA/D."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from pymoo.core.decomposition import Decomposition

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem


class ScaledDecomposition(Decomposition):
    """Applies another decomposition to objectives that are scaled to [0, 1] by their bounds.

    pymoo's MOEA/D does not normalize objectives. Without scaling, an objective with large numbers,
    such as the parameter count, would outweigh an error in percent, regardless of the weights.

    Args:
        inner: the pymoo decomposition to apply.
        problem: provides ``objective_bounds()``, (2, n_obj).
    """

    def __init__(self, inner: Decomposition, problem: ArchitectureProblem) -> None:
        super().__init__()
        self.inner = inner
        self.low, high = problem.objective_bounds()
        self.range = high - self.low

    def do(
        self, F: ArrayLike, weights: ArrayLike, ideal_point: ArrayLike | None = None, **kwargs: Any
    ) -> np.ndarray:
        """Decompose objectives, see ``Decomposition.do``.

        Args:
            F: (n, n_obj) objectives in the units of the problem.
            weights: (n, n_obj) or (1, n_obj) weights.
            ideal_point: (n_obj,) best value of each objective, in the units of the problem.
            kwargs: further arguments of the inner decomposition.
        """
        if ideal_point is not None:
            ideal_point = (np.asarray(ideal_point) - self.low) / self.range
        scaled = (np.asarray(F) - self.low) / self.range
        decomposed: np.ndarray = self.inner.do(scaled, weights, ideal_point=ideal_point, **kwargs)
        return decomposed
