"""pymoo's ask-and-tell loop: its evaluator passes the algorithm on to the problem.

``minimize`` passes the running algorithm to ``problem.evaluate``, which then records the evaluation
and trains shared weights. In a loop of one's own, ``algorithm.evaluator.eval(problem, infills)``
does not do so in pymoo; with the evaluator of this module, it does.
"""

from __future__ import annotations

from typing import Any

from pymoo.core.algorithm import Algorithm
from pymoo.core.evaluator import Evaluator
from pymoo.core.population import Population


class RunEvaluator(Evaluator):
    """An evaluator of pymoo that names its algorithm in every evaluation.

    Args:
        algorithm: the algorithm whose evaluator this is.
    """

    def __init__(self, algorithm: Algorithm) -> None:
        super().__init__()
        self.algorithm = algorithm

    def _eval(
        self, problem: Any, pop: Population, evaluate_values_of: list[str], **kwargs: Any
    ) -> None:
        super()._eval(problem, pop, evaluate_values_of, **{"algorithm": self.algorithm} | kwargs)


def pass_algorithm_on(algorithm: Algorithm | None) -> None:
    """Give an algorithm a :class:`RunEvaluator`, unless its user has chosen an evaluator."""
    if type(getattr(algorithm, "evaluator", None)) is Evaluator:
        assert algorithm is not None
        evaluator = RunEvaluator(algorithm)
        evaluator.__dict__.update(vars(algorithm.evaluator))
        algorithm.evaluator = evaluator
