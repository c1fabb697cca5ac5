"""Tests of candidates, and of the number of decode and encode calls."""

from collections import Counter

import numpy as np
import pytest
from searches import rows, run
from toy import Toy

import moonas
from moonas.run.candidates import Candidates


@pytest.fixture
def count_calls(monkeypatch):
    """A function (problem) -> counter of the decode and encode calls of the problem."""

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
def test_an_evaluation_decodes_and_encodes_each_row_once(name, count_calls, tiny_of):
    problem = moonas.load_problem(name, **tiny_of(name))
    X = rows(problem, 4)
    calls = count_calls(problem)
    problem.evaluate(X)
    assert calls == {"decode": 4, "encode": 4}


def test_a_search_decodes_each_row_once_per_generation(count_calls):
    problem = moonas.load_problem("digits-table")
    calls, generations = count_calls(problem), [set()]
    already_scored, evaluate = problem.session.already_scored, problem.evaluate

    def spy_already_scored(X, run):  # duplicate elimination calls it, and may reject rows
        generations[-1].update(x.tobytes() for x in X)
        return already_scored(X, run)

    def spy_evaluate(X, *args, **kwargs):
        generations[-1].update(x.tobytes() for x in X)
        generations.append(set())
        return evaluate(X, *args, **kwargs)

    problem.session.already_scored, problem.evaluate = spy_already_scored, spy_evaluate
    result = run(problem)
    assert result.algorithm.evaluator.n_eval == 60
    expected = sum(len(rows) for rows in generations)
    assert calls == {"decode": expected, "encode": expected} and 60 <= expected < 75


def test_a_generation_of_a_nonstationary_problem_decodes_parents_and_offspring_once(count_calls):
    toy = Toy()
    calls = count_calls(toy)
    run(toy)
    n, generations = 8, 2
    assert calls == {key: n + generations * 2 * n for key in ("decode", "encode")}


def test_candidates_with_equal_architectures_have_equal_keys():
    problem = moonas.load_problem("eg-darts", cells="PDARTS")
    x = problem.genes.low.copy()
    near = x.copy()
    near[4] += 1e-6  # decode() rounds both rows to the same architecture
    candidates = problem.session.candidates(np.stack([x, near, problem.genes.high]))
    assert candidates.keys[0] == candidates.keys[1] != candidates.keys[2]
    assert candidates.architectures[0] == candidates.architectures[1]
    assert not np.array_equal(candidates.X[0], candidates.X[1])


def test_selecting_and_concatenating_candidates_keeps_rows_and_architectures_aligned():
    toy = Toy()
    X = rows(toy, 5)
    candidates = toy.session.candidates(X)
    part = candidates[[3, 1]]
    assert part.architectures == (candidates.architectures[3], candidates.architectures[1])
    assert np.array_equal(part.X, X[[3, 1]]) and np.array_equal(part.rows, X[[3, 1]])
    assert np.array_equal(Candidates.concatenate(part, candidates[:1]).X, X[[3, 1, 0]])
    assert list(candidates[1:2]) == [candidates.architectures[1]] and len(candidates[1:2]) == 1
