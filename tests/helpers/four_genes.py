"""A problem with four categorical genes in two nodes, for tests of operators."""

import numpy as np
from pymoo.core.problem import Problem

CHOICES = np.array([1, 2, 3, 8])
NODES = [np.array([0, 2]), np.array([1, 3])]


class FourGenes(Problem):
    n_choices, nodes = CHOICES, NODES

    def __init__(self):
        super().__init__(n_var=4, n_obj=2, xl=np.zeros(4), xu=CHOICES - 1)


def rng(seed=0):
    return np.random.default_rng(seed)


def tolerance(n, p):
    """4 standard errors of the frequency of an event with probability p in n trials."""
    return 4 * np.sqrt(p * (1 - p) / n)
