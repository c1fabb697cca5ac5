"""The archive of a run, and the caches beside it: the same values as before, in less memory."""

import copy
import tracemalloc

import numpy as np
import pytest
from searches import run, uniform_rows
from toy import IndependentToy, Toy

import moonas
from moonas.archive import Archive
from moonas.pareto import front_indices, scored_columns
from moonas.run.candidates import Candidates, row_key
from moonas.run.progress import SearchOutput
from moonas.run.session import _Cache


def test_the_columns_after_some_rows_are_the_end_of_all_columns():
    archive, values = Archive(), np.arange(7.0)
    for part in (slice(0, 3), slice(3, 4), slice(4, 7)):
        archive.add(values[part, None], {"error": values[part]})
    for n in range(7):
        assert archive.columns_after(n)["error"].tolist() == values[n:].tolist()
    assert archive.columns["error"].tolist() == values.tolist()  # merges the parts
    assert archive.columns_after(5)["error"].tolist() == [5, 6]


@pytest.mark.parametrize(
    "parts",
    [
        [[[0, 127]], [[5, -129]]],
        [[[0, 1]], [[300, -2]]],
        [[[0, 1]], [[2**31, -1]], [[2**63 - 1, -(2**63)]]],
        [[[0.5, 1]], [[2.0, 3]]],
        [[[True, False]], [[True, True]]],
    ],
)
def test_an_archive_returns_rows_with_their_values_and_type(parts):
    archive = Archive()
    for X in parts:
        archive.add(np.array(X), {"error": np.zeros(1)})
    expected = np.concatenate([np.array(X) for X in parts])
    for kept in (archive, copy.deepcopy(archive)):
        assert kept.X.dtype == expected.dtype and np.array_equal(kept.X, expected)


def test_long_rows_have_short_keys_that_differ():
    short = np.arange(4)
    assert row_key(short) == short.tobytes()
    keys = {row_key(row) for row in np.eye(500, dtype=bool)}
    assert len(keys) == 500 and {len(key) for key in keys} == {32}


def candidates_of(numbers):
    """Return a candidate for each number."""
    X = np.array(numbers)[:, None]
    return Candidates(X, tuple(numbers), X)


def test_a_cache_returns_the_last_values_with_the_types_of_their_calls():
    cache = _Cache()

    def add(numbers, **columns):
        arrays = {name: np.array(values) for name, values in columns.items()}
        cache.add(candidates_of(numbers).keys, arrays)

    def cached(numbers):
        columns = cache.columns(candidates_of(numbers), lambda _: pytest.fail("all are cached"))
        return {name: (values.dtype.kind, values.tolist()) for name, values in columns.items()}

    add(range(30), params=np.arange(30), failed=np.zeros(30, bool))  # more than fit at first
    add([3, 3], params=[7, 8], failed=[True, True])
    add([30, 31], params=[0.5, 1.5], failed=[False, False])
    add([30], params=[9], failed=[False])
    assert cached([29, 3]) == {"params": ("i", [29, 8]), "failed": ("b", [False, True])}
    assert cached([31]) == {"params": ("f", [1.5]), "failed": ("b", [False])}
    assert cached([30]) == {"params": ("i", [9]), "failed": ("b", [False])}
    assert cached([31, 30])["params"] == ("f", [1.5, 9.0])
    add([29], params=[2.5], failed=[False])
    assert cached([29]) == {"params": ("f", [2.5]), "failed": ("b", [False])}
    assert candidates_of([32]).keys[0] not in cache


def test_a_cache_computes_only_what_it_lacks():
    cache, asked = _Cache(), []

    def compute(candidates):
        asked.append(list(candidates))
        return {"error": candidates.rows[:, 0] * 2.0}

    cache.columns(candidates_of([1, 2]), compute)
    assert cache.columns(candidates_of([2, 3, 3, 1]), compute)["error"].tolist() == [4, 6, 6, 2]
    assert asked == [[1, 2], [3]]


def test_an_evaluated_row_of_200_genes_takes_fewer_than_500_bytes():
    n, names = 2000, ("error", "params", "failed")
    cache, archive = _Cache(), Archive()
    X = uniform_rows([4] * 200, n)
    tracemalloc.start()
    for part in np.array_split(np.arange(n), 20):
        keys = Candidates(X[part], (None,) * 100, X[part]).keys
        columns = {name: np.zeros(100) for name in names}
        cache.add(keys, columns)
        archive.add(X[part], columns, keys)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(archive) == n and 200 < size / n < 500  # of which 200 are the genes


@pytest.mark.parametrize("kind", [IndependentToy, Toy])
@pytest.mark.parametrize("limits", [(), ("params <= 7",)])
def test_the_shown_hypervolume_is_that_of_everything_evaluated(kind, limits):
    toy, shown = kind(limits=limits), []

    class Output(SearchOutput):
        def update(self, algorithm):
            super().update(algorithm)
            F = toy.feasible_values(scored_columns(toy, algorithm))
            shown.append((float(self.hypervolume.value), toy.hypervolume(F)))
            if kind is IndependentToy:
                finite = F[np.isfinite(F).all(axis=1)]
                front = finite[front_indices(finite)]
                assert np.array_equal(self.best_objectives, front)

    algorithm = moonas.algorithm("nsga2", toy)
    algorithm.output = Output()
    run(toy, algorithm, generations=6, verbose=True)
    assert len(shown) == 6 and shown[-1][0] > shown[0][0] > 0
    assert all(value == pytest.approx(expected, abs=6e-5) for value, expected in shown)
