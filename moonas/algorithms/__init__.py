"""Algorithms, matings and survivals that pymoo lacks, and algorithms by name. No torch."""

from .bayesian import BayesianMating
from .coevolution import Coevolution
from .local_search import NeighborMating, ParetoLocalSearch
from .named import ALGORITHMS, algorithm, algorithms_for, nsga2_by_rank
from .pnsga3 import PNSGA3Survival, merge_fronts
from .random_search import RandomMating

__all__ = [
    "ALGORITHMS",
    "BayesianMating",
    "Coevolution",
    "NeighborMating",
    "PNSGA3Survival",
    "ParetoLocalSearch",
    "RandomMating",
    "algorithm",
    "algorithms_for",
    "merge_fronts",
    "nsga2_by_rank",
]
