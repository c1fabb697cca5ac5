"""Rows are decoded and encoded once a call."""

from collections import Counter

import numpy as np
import pytest
from searches import rows, run
from toy import Toy

import moonas
from moonas.run.candidates import Candidates


@pytest.fixture
def counted(monkeypatch):
    """Problem -> how often its rows were decoded and encoded from now on."""

    def count(problem):
        calls = Counter()
        for name in ("decode", "encode"):
            real = getattr(problem, name)

            def spy(value, name=name, real=real):
                calls[name] += 1
                return real(value)

            monkeypatch.setattr(problem, name, spy)
        return calls

    return count


@pytest.mark.parametrize("name", ["digits-table", "cars", "nsganet-macro"])
def test_a_call_decodes_and_encodes_each_row_once(name, counted, tiny_of):
    problem = moonas.load_problem(name, **tiny_of(name))
    X = rows(problem, 4)
    calls = counted(problem)
    problem.evaluate(X)
    assert calls == {"decode": 4, "encode": 4}


def test_a_search_decodes_each_row_of_a_generation_once(counted):
    problem = moonas.load_problem("digits-table")
    calls, asked = counted(problem), [set()]
    known, evaluate = problem.session.known, problem.evaluate

    def spy_known(X):  # asked by duplicate elimination, which may reject a row
        asked[-1].update(x.tobytes() for x in X)
        return known(X)

    def spy_evaluate(X, *args, **kwargs):
        asked[-1].update(x.tobytes() for x in X)
        asked.append(set())
        return evaluate(X, *args, **kwargs)

    problem.session.known, problem.evaluate = spy_known, spy_evaluate
    result = run(problem)
    assert result.algorithm.evaluator.n_eval == 60
    expected = sum(len(rows) for rows in asked)
    assert calls == {"decode": expected, "encode": expected} and 60 <= expected < 75


def test_a_generation_decodes_parents_and_offspring_once(counted):
    toy = Toy()
    calls = counted(toy)
    run(toy)
    n, generations = 8, 2
    assert calls == {key: n + generations * 2 * n for key in ("decode", "encode")}


def test_candidates_of_one_architecture_share_a_key():
    problem = moonas.load_problem("eg-darts", cells="PDARTS")
    x = problem.genes.low.copy()
    near = x.copy()
    near[4] += 1e-6  # the same widths, after rounding
    found = problem.session.candidates(np.stack([x, near, problem.genes.high]))
    assert found.keys[0] == found.keys[1] != found.keys[2]
    assert found.architectures[0] == found.architectures[1]
    assert not np.array_equal(found.X[0], found.X[1])


def test_parts_of_candidates_keep_rows_and_architectures_together():
    toy = Toy()
    X = rows(toy, 5)
    found = toy.session.candidates(X)
    part = found[[3, 1]]
    assert part.architectures == (found.architectures[3], found.architectures[1])
    assert np.array_equal(part.X, X[[3, 1]]) and np.array_equal(part.rows, X[[3, 1]])
    assert np.array_equal(Candidates.joined(part, found[:1]).X, X[[3, 1, 0]])
    assert list(found[1:2]) == [found.architectures[1]] and len(found[1:2]) == 1
