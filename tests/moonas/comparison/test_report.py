import numpy as np
import pytest

from moonas.comparison import compare, pictures, report


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    problems = {"a_table": ("digits-table", {"population": 10})}
    algorithms = {"nsga2": "nsga2", "random": "random", "broken": lambda problem: 1 / 0}
    return compare(problems, algorithms, out=folder / "out", seeds=3, evaluations=40, jobs=1)


def test_half_of_the_runs_have_attained_the_median_surface():
    fronts = [np.array([[1.0, 3.0], [2.0, 2.0]]), np.array([[3.0, 3.0]]), np.array([[1.5, 2.5]])]
    surface = pictures.median_attainment(fronts)
    assert surface.tolist() == [[2.0, 2.5], [1.5, 3.0]]
    for point in surface:
        attained = [(point >= F).all(axis=1).any() for F in fronts]
        assert sum(attained) >= 2


def test_what_a_bar_joins_spans_less_than_the_critical_difference():
    assert pictures.cliques(np.array([1.0, 1.5, 3.0, 3.4]), 1.0) == [(0, 1), (2, 3)]
    assert pictures.cliques(np.array([1.0, 1.8, 2.6]), 1.0) == [(0, 1), (1, 2)]
    assert pictures.cliques(np.array([1.0, 1.5, 1.9]), 1.0) == [(0, 2)]
    assert pictures.cliques(np.array([1.0, 3.0]), 1.0) == []


def test_tables_say_what_the_results_say(found, tmp_path):
    report.write_report(found, tmp_path)
    best = min(found.results, key=lambda row: row.get("mean_rank", 9))
    text = (tmp_path / "results.md").read_text()
    first = text.splitlines()[6]
    assert first.startswith(f"| {best['algorithm']} | {best['median']:.4f} |")
    assert "| broken | - |" in text and "| failed |" in text
    tex = (tmp_path / "results.tex").read_text()
    assert r"99 \%" in tex and tex.count(r"\\") == 4


def test_a_curve_has_no_value_before_its_first_generation(found):
    (run, *_) = found.of("a_table", "nsga2")
    curve = pictures._stairs(run, np.array([1, 10, 15, 40]))
    assert np.isnan(curve[0])
    assert curve[1:].tolist() == [run.archive[0], run.archive[0], run.archive[-1]]
