"""Default operators for each kind of gene."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from pymoo.optimize import minimize

from moonas.problem import ArchitectureProblem, Column, Evaluator
from moonas.settings import SearchSettings, setting
from moonas.spaces.genes import Genes, bit_genes, categorical_genes
from moonas.testing import check_problem

GENES = {
    "labels": categorical_genes([3, 1, 4, 2]),
    "bits": bit_genes(4),
    "integers": Genes([2, -1, 5, 0], [6, 3, 5, 4], [False] * 4),
    "mixed": Genes([2, -1, 0.5, 0], [6, 3, 1.5, 4], [False, False, True, True]),
}


@dataclass(frozen=True, kw_only=True)
class Settings(SearchSettings):
    objectives: tuple[str, ...] = setting(("total", "params"), "columns")
    population: int = setting(6, "candidates")


class SumEvaluator(Evaluator):
    device = "cpu"

    def score(self, candidates):
        rows = candidates.rows.astype(float)
        return {"total": rows.sum(axis=1), "params": 1 + np.abs(rows).sum(axis=1).astype(int)}


class MinimalProblem(ArchitectureProblem):
    """A problem that defines only the required methods and otherwise uses the defaults."""

    def __init__(self, kind):
        columns = [
            Column("total", "1", bounds=(-99, 99)),
            Column("params", "parameters", bounds=(0, 99)),
        ]
        super().__init__(Settings(), columns=columns, genes=GENES[kind])

    def decode(self, x):
        return tuple(np.asarray(x).tolist())

    def encode(self, architecture):
        return np.array(architecture, self.genes.dtype)

    def make_evaluator(self):
        return SumEvaluator()

    def network(self, architecture, **shape):
        n = 1 + int(np.abs(np.array(architecture, float)).sum())
        return torch.nn.ParameterList([torch.nn.Parameter(torch.zeros(n))])


@pytest.mark.parametrize("kind", GENES)
def test_a_problem_with_default_methods_passes_check_problem(kind):
    check_problem(MinimalProblem(kind), n=6)


@pytest.mark.parametrize("kind", GENES)
def test_the_default_algorithm_improves_on_the_initial_population(kind):
    problem = MinimalProblem(kind)
    first = minimize(problem, problem.algorithm(), ("n_gen", 1), seed=1).pop.get("total").min()
    last = minimize(problem, problem.algorithm(), ("n_gen", 20), seed=1).pop.get("total").min()
    assert last < first or last == problem.genes.low.sum()


@pytest.mark.parametrize("kind", GENES)
def test_evaluated_rows_have_the_dtype_and_the_bounds_of_the_genes(kind):
    problem = MinimalProblem(kind)
    result = minimize(problem, problem.algorithm(), ("n_gen", 5), seed=1)
    X = result.pop.get("X")
    assert X.dtype == problem.genes.dtype
    problem.check_rows(X)


def test_by_default_each_gene_is_a_node_and_all_nodes_form_one_block():
    problem = MinimalProblem("labels")
    assert [genes.tolist() for genes in problem.nodes] == [[0], [1], [2], [3]]
    assert problem.blocks == [problem.nodes]


def test_optional_methods_return_empty_defaults():
    problem = MinimalProblem("bits")
    architecture = problem.decode(np.array([True, False, True, False]))
    assert problem.zoo() == problem.operations() == problem.parts(architecture) == []
    assert problem.graphs(architecture) == problem.after_search(None) == []
    assert problem.pick([]) is None and problem.species_bits is None and problem.growth_of is None
    value = problem.architecture_to_json(architecture)
    assert problem.architecture_from_json(value) == architecture
    with pytest.raises(ValueError, match="expected a dict with its row as 'x'"):
        problem.architecture_from_json({"y": 1})
    with pytest.raises(NotImplementedError, match="MinimalProblem has no input_shape"):
        problem.count(problem.candidates([architecture]))
