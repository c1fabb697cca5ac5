"""A sampling that begins with given rows, such as published architectures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pymoo.core.sampling import Sampling

from ..wrapping import architecture_problem
from .ask_and_tell import pass_algorithm_on

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem


class StartRows(Sampling):
    """Returns given rows first, and then rows of another sampling.

    After the first population, as in random search, it only returns rows of the other sampling.

    Args:
        rows: (k, n_var) valid rows.
        sampling: pymoo sampling of further rows.
    """

    def __init__(self, rows: np.ndarray, sampling: Sampling) -> None:
        super().__init__()
        self.rows, self.sampling = rows, sampling

    def _do(
        self, problem: ArchitectureProblem, n_samples: int, *args: Any, **kwargs: Any
    ) -> np.ndarray:
        algorithm = kwargs.get("algorithm")
        pass_algorithm_on(algorithm)
        started = algorithm is not None and algorithm.is_initialized
        start = self.rows[: 0 if started else n_samples].astype(
            architecture_problem(problem).genes.dtype
        )
        n = n_samples - len(start)
        if not n:
            return start
        others = self.sampling.do(problem, n, *args, **kwargs).get("X")
        return np.vstack([start, others.astype(start.dtype)])
