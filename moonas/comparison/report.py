"""Results of a comparison as tables in Markdown and LaTeX, and as an HTML report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import save_figure, write_atomically
from ..run.numbers import plural
from ..views import page
from ..views.tables import Table, to_html, to_latex, to_markdown
from . import pictures
from .results import SIGNIFICANCE_LEVEL, Comparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMN_TITLES = {  # column of ``Comparison.results`` -> title in tables
    "algorithm": "algorithm",
    "median": "median hypervolume",
    "quartiles": "quartiles",
    "mean_rank": "mean rank",
    "log10_gap": "log10 gap",
    "igd_plus": "IGD+",
    "evaluations_to_99": "evaluations to 99 %",
    "reached_99": "reached 99 %",
    "descriptive": "shared-weight hypervolume",
    "training_steps": "training steps",
    "failed": "failed runs",
}
MARKED = "* best mean rank, and algorithms that are not significantly worse"
DECIMALS = {"median": 4, "mean_rank": 2, "log10_gap": 2, "igd_plus": 5, "descriptive": 4}
TABULAR_COLUMNS = ("log10_gap", "igd_plus", "evaluations_to_99", "reached_99")
NONSTATIONARY_COLUMNS = ("descriptive", "training_steps")


def results_table(comparison: Comparison, problem: str, *, narrow: bool = False) -> Table:
    """Return a table of the results on a problem: one row per algorithm, sorted by mean rank.

    Args:
        comparison: the comparison.
        problem: label of the problem.
        narrow: whether to omit the quartiles.
    """
    task = comparison.plan.tasks[problem]
    rows = [row for row in comparison.results if row["problem"] == problem]
    rows.sort(key=lambda row: row.get("mean_rank", math.inf))
    omitted = set() if task.tabular else set(TABULAR_COLUMNS)
    omitted |= set() if task.nonstationary else set(NONSTATIONARY_COLUMNS)
    omitted |= {"quartiles"} if narrow else set()
    omitted |= set() if any(row["failed"] for row in rows) else {"failed"}
    names = [name for name in COLUMN_TITLES if name not in omitted]
    texts = [[_format(row, name) for name in names] for row in rows]
    marked_names = comparison.not_worse_than_best(problem)
    marked = [i for i, row in enumerate(rows) if row["algorithm"] in marked_names]
    return Table(
        [COLUMN_TITLES[name] for name in names],
        texts,
        marked=marked,
        title=problem,
        caption=MARKED if marked else "",
    )


def _format(row: Mapping[str, Any], name: str) -> str:
    """Format one value of a row of ``Comparison.results``."""
    if name == "quartiles":
        return f"{row['q1']:.4f} to {row['q3']:.4f}" if "q1" in row else "-"
    value = row.get(name)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if name == "reached_99":
        return f"{value} of {row['runs']}"
    if name == "evaluations_to_99":
        return _format_count(value)
    if name == "log10_gap" and math.isinf(value):
        return "none"
    return f"{value:.{DECIMALS[name]}f}" if name in DECIMALS else str(value)


REFERENCE = "nsga2"  # algorithm that others are compared with in the overview, if it is included


def evaluations_table(comparison: Comparison) -> Table | None:
    """Return the median numbers of evaluations to 99 % of the true hypervolume on all tables.

    The table has a row per problem and a column per algorithm. The last row is the median over the
    problems of these numbers relative to NSGA-II or, without it, to the first algorithm. The result
    is None for fewer than two problems whose true fronts are known.
    """
    problems = [label for label, task in comparison.plan.tasks.items() if task.tabular]
    if len(problems) < 2:
        return None
    numbers = {
        (row["problem"], row["algorithm"]): row.get("evaluations_to_99", math.nan)
        for row in comparison.results
    }
    names = list(comparison.plan.algorithms)
    reference = REFERENCE if REFERENCE in names else names[0]
    median = np.array([[numbers[problem, name] for name in names] for problem in problems])
    own = median[:, [names.index(reference)]]
    with np.errstate(invalid="ignore"):
        ratios = np.where(np.isinf(median) & np.isinf(own), 1.0, median / own)
    texts = [
        [problem, *(_format_count(value) for value in row)]
        for problem, row in zip(problems, median, strict=True)
    ]
    known = [column[~np.isnan(column)] for column in ratios.T]  # NaN: a run failed
    middle = [float(np.median(column)) if len(column) else math.nan for column in known]
    texts.append([f"median, relative to {reference}", *(_format_ratio(m) for m in middle)])
    return Table(["evaluations to 99 %", *names], texts, title="Evaluations to 99 %")


def _format_count(value: float) -> str:
    if math.isnan(value):
        return "-"
    return "never" if math.isinf(value) else f"{value:.0f}"


def _format_ratio(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else _format_count(value)


def summary(comparison: Comparison, problem: str) -> list[str]:
    """Summarize the results on a problem in plain text.

    Args:
        comparison: the comparison.
        problem: label of the problem.

    Returns:
        Lines on the budget, the columns of :func:`results_table`, failed runs and Friedman's test.
    """
    plan = comparison.plan
    task, n = plan.tasks[problem], len(plan.seeds)
    lines = [f"Budget: {plural(task.budget, task.unit[:-1])} per run; {plural(n, 'seed')}."]
    if task.nonstationary:
        lines.append(
            "Shared weights train during a search, so scores of different runs are not comparable. "
            "The hypervolume is therefore computed after training from scratch, from the test "
            f"scores of at most {plural(task.picks, 'network')} per front that are trained from "
            "scratch. The shared-weight hypervolume is computed from the scores of the last "
            "population under the shared weights of its run, and is only descriptive."
        )
    elif task.tabular:
        lines.append(
            "The hypervolume is computed from all candidates that a run evaluates, as a share of "
            "the hypervolume of the true front, in the box from its ideal point to its nadir point "
            "plus a tenth. Log10 gap: log10 of the share that the median lacks. Evaluations to "
            "99 %: median number of evaluations until a run reaches a share of 99 %. Reached 99 %: "
            "number of runs that reach it."
        )
    else:
        lines.append(
            "The hypervolume is computed from all candidates that a run evaluates, as a share of "
            "the box between the problem's bounds."
        )
    for algorithm in plan.algorithms:
        reasons = [run.failed for run in comparison.runs_of(problem, algorithm) if run.failed]
        if reasons:
            lines.append(
                f"{algorithm} failed in {len(reasons)} of {plural(n, 'run')}: {reasons[0]}"
            )
    if len(comparison.hypervolumes(problem)) < 2:
        return lines
    p = comparison.friedman(problem)
    if comparison.too_few_seeds(problem):
        lines.append(
            f"{plural(n, 'seed')} {'is' if n == 1 else 'are'} too few for significance tests: "
            f"after Holm's correction, no pair of algorithms could reach p < {SIGNIFICANCE_LEVEL}, "
            "however large the difference. At least "
            f"{comparison.seeds_needed(problem)} seeds are needed. Only effect sizes are reported."
        )
    if comparison.not_worse_than_best(problem):
        lines.append(
            "Marked: the algorithm with the best mean rank, and those that are not significantly "
            f"worse (Wilcoxon's signed-rank test with Holm's correction, p < {SIGNIFICANCE_LEVEL})."
        )
    if p is not None and not comparison.too_few_seeds(problem):
        lines.append(f"Friedman's test that all algorithms perform equally: p = {_format_p(p)}.")
    return lines


def pairs_table(comparison: Comparison, problem: str) -> Table:
    """Return a table of A12, row algorithm against column algorithm; stars mark significance.

    Args:
        comparison: the comparison.
        problem: label of the problem.
    """
    tested = not comparison.too_few_seeds(problem)
    texts = {}
    for pair in comparison.pairs(problem):
        star = "*" if tested and pair.p_holm < SIGNIFICANCE_LEVEL else ""
        texts[pair.first, pair.second] = f"{pair.a12:.2f}{star}"
        texts[pair.second, pair.first] = f"{1 - pair.a12:.2f}{star}"
    names = list(comparison.hypervolumes(problem))
    rows = [[a, *(texts.get((a, b), "") for b in names)] for a in names]
    return Table(["A12", *names], rows, title=f"A12 on {problem}")


def _format_p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"


def write_report(comparison: Comparison, out: Path) -> None:
    """Write results as CSV, tables as Markdown and LaTeX, figures as PNG, and report.html.

    Args:
        comparison: the comparison.
        out: existing folder.
    """
    comparison.write(out)
    markdown_text, latex_text, sections = "", "", []
    overview = evaluations_table(comparison)
    if overview is not None:
        text = (
            "Median number of evaluations until a run reaches 99 % of the hypervolume of the true "
            f"front; {plural(len(comparison.plan.seeds), 'seed')}."
        )
        markdown_text += f"## All tables\n\n{text}\n\n{to_markdown(overview)}\n"
        latex_text += f"% All tables: {text}\n{to_latex(overview)}\n"
        sections.append(page.section("All tables", page.paragraph(text), to_html(overview)))
    for problem in comparison.plan.tasks:
        table, lines = results_table(comparison, problem), summary(comparison, problem)
        markdown_text += f"## {problem}\n\n{' '.join(lines)}\n\n{to_markdown(table)}\n"
        latex_text += f"% {problem}: {' '.join(lines)}\n{to_latex(table)}\n"
        figures = []
        for name, figure, caption, points in _figures(comparison, problem):
            save_figure(figure, out / f"{problem}-{name}.png")
            figures.append(page.picture(figure, caption, points))
        parts = [*map(page.paragraph, lines), to_html(table), page.row(*figures)]
        if len(comparison.hypervolumes(problem)) > 1:
            star = (
                f" A star marks p < {SIGNIFICANCE_LEVEL} in the two-sided Wilcoxon signed-rank "
                "test over paired seeds, after Holm's correction (all p-values are in pairs.csv)."
            )
            parts += [
                page.heading("Pairwise comparison"),
                page.paragraph(
                    "A12: probability that a run of the row's algorithm is better than a run of "
                    f"the column's algorithm.{star * (not comparison.too_few_seeds(problem))}"
                ),
                to_html(pairs_table(comparison, problem)),
            ]
        sections.append(page.section(problem, *parts))
    names = ", ".join(comparison.plan.algorithms)
    text = page.page("Comparison of algorithms", f"Algorithms: {names}.", *sections)
    for name, content in (
        ("results.md", markdown_text),
        ("results.tex", latex_text),
        ("report.html", text),
    ):
        write_atomically(out / name, content.encode())


def _figures(
    comparison: Comparison, problem: str
) -> Iterator[tuple[str, Figure, str, Sequence[page.Point]]]:
    """Yield (name, figure, caption, points with tooltips) for each figure of a problem."""
    values = comparison.hypervolumes(problem)
    task = comparison.plan.tasks[problem]
    if not values:
        return
    quantity = "missing share of the true hypervolume" if task.tabular else "hypervolume"
    caption = f"Median of the {quantity} over evaluations; bars reach to the quartiles."
    if task.tabular:
        caption += " A share of 0, of the whole true front, is at the lower end of the scale."
    if task.nonstationary:
        caption += " Each run uses its own shared weights, so the curves are only descriptive."
    yield "convergence", pictures.plot_convergence(comparison, problem), caption, ()
    figure, points, absent = pictures.plot_attainment(comparison, problem)
    condition = " after training from scratch" * task.nonstationary
    caption = f"Median attainment surfaces{condition}: at least half of the runs attain each point."
    if absent:
        caption += (
            " Not drawn, because more than half of the runs found no feasible network: "
            f"{', '.join(absent)}."
        )
    yield "attainment", figure, caption, points
    if len(values) > 1 and not comparison.too_few_seeds(problem):
        figure = pictures.plot_critical_difference(values)
        p = comparison.friedman(problem)
        if p is not None and p >= SIGNIFICANCE_LEVEL:
            caption = (
                "Mean ranks, 1 is best. One bar connects all algorithms, because Friedman's test "
                f"finds no significant difference between them (p = {_format_p(p)})."
            )
        else:
            caption = (
                "Mean ranks, 1 is best. A bar connects algorithms that do not differ "
                f"significantly in Nemenyi's test at significance level {SIGNIFICANCE_LEVEL}."
            )
        caption += (
            " Friedman's and Nemenyi's tests compare the ranks of all algorithms, whereas the "
            "marks in the table rest on Wilcoxon's tests of pairs; the results can therefore "
            "differ."
        )
        yield "ranks", figure, caption, ()
    if task.nonstationary:
        name = comparison.problems[problem].objectives[0]
        caption = f"Networks of the fronts: {name} in the search and after training from scratch."
        yield "retraining", pictures.plot_retraining(comparison, problem), caption, ()
