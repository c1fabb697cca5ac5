"""The contract of a problem, as a check that any package can run on its own."""

import copy
import json
import pickle
from dataclasses import fields

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.repair import NoRepair
from pymoo.optimize import minimize

from .pareto import front


def check_problem(problem, n=8, generations=3):
    """Raise an ``AssertionError`` unless a problem keeps moonas's contract.

    Args:
        problem: small enough to be searched in seconds; afterwards it holds the last run's weights.
        n: rows to try.
        generations: of the short searches.
    """
    rng = np.random.default_rng(0)
    sampled = problem.operators()["sampling"].do(problem, n, random_state=rng)
    X = _repaired(problem, sampled.get("X"), rng)
    _check_description(problem)
    _check_codes(problem, X)
    _check_scores(problem, X)
    _check_refusals(problem, X)
    _check_operators(problem, X, rng)
    _check_copies(problem, X)
    _check_searches(problem, generations)


def _check_description(problem):
    assert isinstance(problem, Problem), "a problem is a pymoo Problem"
    assert problem.n_obj == len(problem.objectives) >= 2, "two or more objectives by name"
    names = [column.name for column in problem.columns]
    assert len(set(names)) == len(names), f"column names repeat: {names}"
    for name in problem.objectives:
        column = problem.column(name)
        assert column.direction == "min", f"objective {name} is to be minimised"
        assert column.unit, f"objective {name} has a unit"
        low, high = column.bounds
        assert low < high, f"objective {name} has bounds for hypervolumes"
    for field in fields(problem.settings):
        assert field.metadata.get("help"), f"setting {field.name} has a line of help"
    parts = problem.operations()
    assert parts, "operations() lists what the space is made of"
    assert all(part.key for part in parts), "each part has a key, for tables of latencies"
    for item in problem.zoo():
        assert problem.decode(problem.encode(item.architecture)) == item.architecture, item.name
        assert item.source, f"{item.name} has a source"


def _check_codes(problem, X):
    assert X.shape == (len(X), problem.n_var)
    kind = problem.genes.dtype.kind
    assert X.dtype.kind == kind, f"rows are of type {problem.genes.dtype}; got {X.dtype}"
    problem.check_rows(X)
    for x in X:
        architecture = problem.decode(x)
        hash(architecture)
        again = problem.decode(problem.encode(architecture))
        assert again == architecture, f"decode after encode gives {again}, not {architecture}"
        value = json.loads(json.dumps(problem.architecture_to_json(architecture)))
        assert problem.architecture_from_json(value) == architecture, "JSON there and back"
        for graph in problem.graphs(architecture):
            known = {*graph.inputs, *graph.nodes}
            joined = {name for start, end, _ in graph.edges for name in (start, end)}
            assert joined <= known, f"{graph.title} joins {joined - known}, which are no nodes"


def _check_scores(problem, X):
    F = problem.evaluate(X)
    assert F.shape == (len(X), problem.n_obj)
    assert np.isfinite(F).all()
    assert np.array_equal(problem.evaluate(X), F), "scoring twice gives the same"
    order = np.arange(len(X))[::-1]
    assert np.array_equal(problem.evaluate(X[order]), F[order]), "scores depend on the order"
    assert np.array_equal(problem.evaluate(X[:1]), F[:1]), "scores depend on who else is scored"
    assert np.array_equal(problem.evaluate(X[0]), F[0]), "one row alone"
    low, high = problem.objective_bounds()
    assert (low <= F).all() and (high >= F).all(), "scores lie within the hypervolume's bounds"
    out = problem.evaluate(X, return_as_dictionary=True)
    missing = {column.name for column in problem.columns} - set(out)
    assert not missing, f"columns {missing} are promised, but were not given"


def _check_refusals(problem, X):
    outside = X.astype(float)
    outside[0, 0] = problem.xu[0] + 1
    half = X + 0.5
    for bad in (outside, -1.0 - X, half, np.full(X.shape, np.nan), X[:, 1:]):
        try:
            problem.evaluate(bad)
        except ValueError as error:
            assert "problem.operators()" in str(error), f"the message does not help: {error}"
        else:
            raise AssertionError(f"rows that are no architectures were scored: {bad[0]}")


def _check_operators(problem, X, rng):
    operators = problem.operators()
    parents = np.stack([X, X[::-1]])
    crossover, mutation = operators["crossover"], operators["mutation"]
    children = crossover._do(problem, parents.copy(), random_state=rng)
    children = children.reshape(-1, problem.n_var)
    mutated = mutation._do(problem, X.copy(), random_state=rng)
    for rows in (children, mutated):
        assert rows.dtype == X.dtype, f"operators change the type to {rows.dtype}"
        problem.check_rows(_repaired(problem, rows, rng))


def _repaired(problem, X, rng):
    """Rows as pymoo hands them over: after the problem's repair, if it has one."""
    repair = problem.operators().get("repair", NoRepair())
    return repair.do(problem, Population.new(X=X), random_state=rng).get("X")


def _check_copies(problem, X):
    assert copy.deepcopy(problem) is problem, "deepcopy shares the problem"
    again = pickle.loads(pickle.dumps(problem))
    assert again.objectives == problem.objectives
    assert again.evaluate(X).shape == (len(X), problem.n_obj), "a pickled problem works"


def _check_searches(problem, generations):
    def run(algorithm):
        return minimize(problem, algorithm, ("n_gen", generations), seed=1)

    own = run(problem.algorithm())
    other = run(NSGA2(pop_size=8, **problem.operators()))
    again = run(problem.algorithm())
    assert np.array_equal(own.pop.get("X"), again.pop.get("X")), "same seed, another population"
    assert np.array_equal(own.pop.get("F"), again.pop.get("F")), "same seed, other scores"
    for result in (own, other):
        rows = front(result)
        assert rows, "a search has a front"
        for row in rows:
            assert problem.decode(row.x) == row.architecture
