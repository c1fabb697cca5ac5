"""The results of a comparison as tables in Markdown and LaTeX, and as a page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files import save_figure, write_atomically
from ..views import page
from ..views.tables import Table, to_html, to_latex, to_markdown
from . import pictures
from .results import LEVEL, Comparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = {
    "algorithm": "algorithm",
    "median": "hypervolume",
    "quartiles": "quartiles",
    "mean_rank": "mean rank",
    "log10_gap": "log10 gap",
    "igd_plus": "IGD+",
    "evaluations_to_99": "to 99 %",
    "reached_99": "reached",
    "descriptive": "own weights",
    "training_steps": "steps",
    "failed": "failed",
}
DIGITS = {"median": 4, "mean_rank": 2, "log10_gap": 2, "igd_plus": 5, "descriptive": 4}
KNOWN = ("log10_gap", "igd_plus", "evaluations_to_99", "reached_99")  # where the true front is
NONSTATIONARY_COLUMNS = ("descriptive", "training_steps")


def results_table(comparison: Comparison, problem: str, *, narrow: bool = False) -> Table:
    """The results of a problem, a row per algorithm, by ascending mean rank.

    Args:
        comparison: any.
        problem: label.
        narrow: leave the quartiles out.
    """
    task = comparison.plan.tasks[problem]
    rows = [row for row in comparison.results if row["problem"] == problem]
    rows.sort(key=lambda row: row.get("mean_rank", math.inf))
    left_out = set() if task.table else set(KNOWN)
    left_out |= set() if task.nonstationary else set(NONSTATIONARY_COLUMNS)
    left_out |= {"quartiles"} if narrow else set()
    left_out |= set() if any(row["failed"] for row in rows) else {"failed"}
    names = [name for name in TITLES if name not in left_out]
    texts = [[_text(row, name) for name in names] for row in rows]
    return Table([TITLES[name] for name in names], texts, title=problem)


def _text(row: Mapping[str, Any], name: str) -> str:
    if name == "quartiles":
        return f"{row['q1']:.4f} to {row['q3']:.4f}" if "q1" in row else "-"
    value = row.get(name)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if name == "reached_99":
        return f"{value} of {row['runs']}"
    if name == "evaluations_to_99":
        return "never" if math.isinf(value) else f"{value:.0f}"
    if name == "log10_gap" and math.isinf(value):
        return "none"
    return f"{value:.{DIGITS[name]}f}" if name in DIGITS else str(value)


def summary(comparison: Comparison, problem: str) -> list[str]:
    """A summary of a problem's results: budget, how to read the table, failures, tests; lines."""
    plan = comparison.plan
    task, n = plan.tasks[problem], len(plan.seeds)
    lines = [f"{task.budget} {task.unit} a run, {n} seed{'s' * (n > 1)}."]
    if task.nonstationary:
        lines.append(
            f"Weights train during a run, so hypervolume is that of {task.picks} networks of a "
            "front, at most, trained from scratch and judged by the images for the final test; "
            "that under a run's own weights (own weights) only describes it."
        )
    else:
        lines.append("Hypervolume is that of all a run evaluated, a share of the problem's bounds.")
    if task.table:
        true = comparison.true_hypervolume(problem)
        lines.append(
            f"The true front has {true:.4f}. log10 gap: what the median lacks of it; to 99 %: the "
            "median evaluations after which a run had 99 % of it, and how many runs reached it."
        )
    for algorithm in plan.algorithms:
        reasons = [run.failed for run in comparison.of(problem, algorithm) if run.failed]
        if reasons:
            lines.append(f"{algorithm} failed in {len(reasons)} of {n} runs: {reasons[0]}")
    if len(comparison.hypervolumes(problem)) < 2:
        return lines
    p = comparison.friedman(problem)
    if comparison.too_few_seeds(problem):
        lines.append(
            f"{n} seed{'s are' if n > 1 else ' is'} too few for any test: however clear a "
            f"difference, no pair could reach the level of {LEVEL} after Holm's correction. "
            f"{comparison.enough_seeds(problem)} would do. There are effect sizes alone."
        )
    elif p is not None:
        lines.append(f"Friedman's test that all are alike, over seeds: p = {_p(p)}.")
    return lines


def pairs_table(comparison: Comparison, problem: str) -> Table:
    """A12 of the row's algorithm against the column's; a star marks significant differences."""
    tested = not comparison.too_few_seeds(problem)
    texts = {}
    for pair in comparison.pairs(problem):
        star = "*" if tested and pair.p_holm < LEVEL else ""
        texts[pair.first, pair.second] = f"{pair.a12:.2f}{star}"
        texts[pair.second, pair.first] = f"{1 - pair.a12:.2f}{star}"
    names = list(comparison.hypervolumes(problem))
    return Table(["A12", *names], [[a, *(texts.get((a, b), "") for b in names)] for a in names])


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"


def write_report(comparison: Comparison, out: Path) -> None:
    """Write the numbers as CSV, tables as Markdown and LaTeX, pictures, and report.html.

    Args:
        comparison: any.
        out: folder.
    """
    comparison.write(out)
    markdown_text, latex_text, sections = "", "", []
    for problem in comparison.plan.tasks:
        table, lines = results_table(comparison, problem), summary(comparison, problem)
        markdown_text += f"## {problem}\n\n{' '.join(lines)}\n\n{to_markdown(table)}\n"
        latex_text += f"% {problem}: {' '.join(lines)}\n{to_latex(table)}\n"
        drawn = []
        for name, figure, caption, points in _pictures(comparison, problem):
            save_figure(figure, out / f"{problem}-{name}.png", dpi=150)
            drawn.append(page.picture(figure, caption, points))
        parts = [*map(page.paragraph, lines), to_html(table), page.row(*drawn)]
        if len(comparison.hypervolumes(problem)) > 1:
            star = (
                f" A star: p < {LEVEL} in the Wilcoxon signed-rank test, two-sided, over paired "
                "seeds, after Holm's correction (pairs.csv has every p)."
            )
            parts += [
                page.heading("Pairs"),
                page.paragraph(
                    "A12: the chance that a run of the row's algorithm is better than one of the "
                    f"column's.{star * (not comparison.too_few_seeds(problem))}"
                ),
                to_html(pairs_table(comparison, problem)),
            ]
        sections.append(page.section(problem, *parts))
    names = ", ".join(comparison.plan.algorithms)
    text = page.page("Comparison of algorithms", f"{names}.", *sections)
    for name, content in (
        ("results.md", markdown_text),
        ("results.tex", latex_text),
        ("report.html", text),
    ):
        write_atomically(out / name, content.encode())


def _pictures(
    comparison: Comparison, problem: str
) -> Iterator[tuple[str, Figure, str, Sequence[page.Point]]]:
    """Name, figure, caption and points of each picture of a problem."""
    values = comparison.hypervolumes(problem)
    task = comparison.plan.tasks[problem]
    if not values:
        return
    over = "hypervolume that is missing to the true front" if task.table else "hypervolume"
    under = " under each run's own weights: it describes, and does not compare" * task.nonstationary
    caption = f"Median and quartiles of the {over}, over evaluations{under}."
    yield "convergence", pictures.convergence(comparison, problem), caption, ()
    figure, points = pictures.attainment(comparison, problem)
    caption = (
        "What half of the runs have attained" + ", after training from scratch" * task.nonstationary
    )
    yield "attainment", figure, f"{caption}.", points
    if len(values) > 1 and not comparison.too_few_seeds(problem):
        figure = pictures.critical_difference(values, pictures.color_of(comparison))
        caption = "Mean ranks; a bar joins algorithms that Nemenyi's test does not tell apart."
        yield "ranks", figure, caption, ()
    if task.nonstationary:
        caption = "Networks that were trained from scratch: as searched, and as trained."
        yield "retraining", pictures.retraining(comparison, problem), caption, ()
