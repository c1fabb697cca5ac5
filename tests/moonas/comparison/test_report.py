"""Tables and figures in the report of a comparison."""

import numpy as np
import pytest

from moonas.comparison import compare, pictures, report, results
from moonas.comparison.statistics import critical_difference
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


def test_runs_without_a_feasible_point_count_as_runs_that_attain_nothing():
    chain = [np.array([[i, i]], float) for i in (1, 2, 3)]  # 3 is attained by all three runs
    empty = np.empty((0, 2))
    assert pictures.median_attainment([*chain, empty]).tolist() == [[2, 2]]
    assert pictures.median_attainment([*chain, empty, empty]).tolist() == [[3, 3]]
    assert len(pictures.median_attainment([*chain, *[empty] * 4])) == 0
    assert len(pictures.median_attainment([empty] * 3)) == 0


def test_an_algorithm_without_a_feasible_point_is_named_below_the_attainment_surfaces(tmp_path):
    problems = {"tight": ("digits-table", {"limits": ["params<=170"], "population": 10})}
    compare(problems, ["nsga2", "random"], out=tmp_path, seeds=1, evaluations=20, jobs=1)
    assert "found no feasible network: nsga2, random." in (tmp_path / "report.html").read_text()


def test_algorithms_in_a_group_differ_by_less_than_the_critical_difference():
    assert cliques(np.array([1.0, 1.5, 3.0, 3.4]), 1.0) == [(0, 1), (2, 3)]
    assert cliques(np.array([1.0, 1.8, 2.6]), 1.0) == [(0, 1), (1, 2)]
    assert cliques(np.array([1.0, 1.5, 1.9]), 1.0) == [(0, 2)]
    assert cliques(np.array([1.0, 3.0]), 1.0) == []


def bars(figure):
    """Return the ends of the bars that connect algorithms."""
    return [line.get_xdata() for line in figure.axes[0].lines if line.get_linewidth() == 4.5]


def test_ranks_are_separated_only_if_friedmans_test_finds_a_difference():
    rows = ("4132", "3142", "4231", "4312", "4321", "4321", "1432", "4123")  # p = 0.0503
    ranks = np.array([list(row) for row in rows], float)
    mean = np.sort(ranks.mean(axis=0))
    assert cliques(mean, critical_difference(4, 8)) == [(0, 2), (1, 3)]  # Nemenyi's test alone
    values = dict(zip("abcd", -ranks.T, strict=True))
    (bar,) = bars(pictures.plot_critical_difference(values))
    assert bar[0] <= mean[0] and bar[1] >= mean[-1]
    twice = {name: np.tile(column, 2) for name, column in values.items()}
    assert len(bars(pictures.plot_critical_difference(twice))) == 2


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


def runs_with(values):
    """Return a comparison whose runs have these hypervolumes: algorithm -> values."""
    comparison = object.__new__(results.Comparison)
    comparison.hypervolumes = lambda problem: {k: np.array(v) for k, v in values.items()}
    comparison.too_few_seeds = lambda problem: len(next(iter(values.values()))) < 6
    return comparison


def test_the_best_algorithm_and_those_not_significantly_worse_are_marked():
    best = np.linspace(0.8, 0.9, 12)
    values = {
        "worse": best - 0.1,
        "equal": best + 0.01 * np.array([1, -1.5, -1] * 4),
        "best": best,
    }
    assert runs_with(values).not_worse_than_best("") == ["best", "equal"]
    few = {name: v[:4] for name, v in values.items()}
    assert runs_with(few).not_worse_than_best("") == []
    assert runs_with({"only": best}).not_worse_than_best("") == []


def test_marked_rows_are_bold_in_every_table(tmp_path):
    algorithms = ["nsga2", "random", "pareto-local-search"]
    compared = compare(["digits-table"], algorithms, out=tmp_path, seeds=7, evaluations=60, jobs=1)
    marked = compared.not_worse_than_best("digits-table")
    assert 0 < len(marked) < 3
    table = report.results_table(compared, "digits-table")
    assert {table.rows[i][0] for i in table.marked} == set(marked)
    markdown, latex = ((tmp_path / f"results.{end}").read_text() for end in ("md", "tex"))
    html = (tmp_path / "report.html").read_text()
    for name in algorithms:
        assert (f"| **{name}** |" in markdown) == (name in marked)
        assert (rf"\textbf{{{name}}}" in latex) == (name in marked)
    assert html.count('<tr class="marked">') == len(marked)
