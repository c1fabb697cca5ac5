"""Algorithms, matings and survivals that pymoo lacks, and algorithms by name. No torch."""

from .bayesian import BayesianMating
from .coevolution import Coevolution
from .named import ALGORITHMS, algorithm, nsga2_by_rank
from .pnsga3 import PNSGA3Survival, merge_fronts
from .random_search import RandomMating

__all__ = [
    "ALGORITHMS",
    "BayesianMating",
    "Coevolution",
    "PNSGA3Survival",
    "RandomMating",
    "algorithm",
    "merge_fronts",
    "nsga2_by_rank",
]
