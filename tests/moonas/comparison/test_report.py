"""Tables and figures in the report of a comparison."""

import numpy as np
import pytest

from moonas.comparison import compare, pictures
from moonas.plot.comparisons import cliques


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    """A comparison in which one algorithm fails, and its folder."""
    folder = tmp_path_factory.mktemp("comparison")
    problems = {"a_table": ("digits-table", {"population": 10})}
    algorithms = {"nsga2": "nsga2", "random": "random", "broken": lambda problem: 1 / 0}
    out = folder / "out"
    return compare(problems, algorithms, out=out, seeds=3, evaluations=40, jobs=1), out


def test_at_least_half_of_the_runs_attain_the_median_surface():
    fronts = [np.array([[1.0, 3.0], [2.0, 2.0]]), np.array([[3.0, 3.0]]), np.array([[1.5, 2.5]])]
    surface = pictures.median_attainment(fronts)
    assert surface.tolist() == [[2.0, 2.5], [1.5, 3.0]]
    for point in surface:
        attained = [(point >= F).all(axis=1).any() for F in fronts]
        assert sum(attained) >= 2


def test_algorithms_in_a_group_differ_by_less_than_the_critical_difference():
    assert cliques(np.array([1.0, 1.5, 3.0, 3.4]), 1.0) == [(0, 1), (2, 3)]
    assert cliques(np.array([1.0, 1.8, 2.6]), 1.0) == [(0, 1), (1, 2)]
    assert cliques(np.array([1.0, 1.5, 1.9]), 1.0) == [(0, 2)]
    assert cliques(np.array([1.0, 3.0]), 1.0) == []


def test_markdown_and_latex_tables_contain_the_results(comparison):
    comparison, out = comparison
    best = min(comparison.results, key=lambda row: row.get("mean_rank", 9))
    text = (out / "results.md").read_text()
    first = text.splitlines()[6]
    assert first.startswith(f"| {best['algorithm']} | {best['median']:.4f} |")
    assert "| broken | - |" in text and "| failed runs |" in text
    tex = (out / "results.tex").read_text()
    assert r"99 \%" in tex and tex.count(r"\\") == 4


def test_the_hypervolume_before_the_first_generation_is_nan(comparison):
    (run, *_) = comparison[0].runs_of("a_table", "nsga2")
    curve = pictures._hypervolumes_after(run, np.array([1, 10, 15, 40]))
    assert np.isnan(curve[0])
    assert curve[1:].tolist() == [run.archive[0], run.archive[0], run.archive[-1]]
