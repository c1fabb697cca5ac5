"""What a comparison says, as tables in Markdown and LaTeX, and as a page."""

import math

from ..files import save_figure, write_atomically
from ..views import page
from . import pictures
from .results import LEVEL

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
MOVING = ("descriptive", "training_steps")


def table_rows(comparison, problem, narrow=False):
    """The results of a problem as texts: titles, and a row an algorithm, by mean rank.

    A narrow table leaves the quartiles out.
    """
    task = comparison.plan.tasks[problem]
    rows = [row for row in comparison.results if row["problem"] == problem]
    rows.sort(key=lambda row: row.get("mean_rank", math.inf))
    left_out = set() if task.table else set(KNOWN)
    left_out |= set() if task.moves else set(MOVING)
    left_out |= {"quartiles"} if narrow else set()
    left_out |= set() if any(row["failed"] for row in rows) else {"failed"}
    names = [name for name in TITLES if name not in left_out]
    return [TITLES[name] for name in names], [[_text(row, name) for name in names] for row in rows]


def _text(row, name):
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


def words(comparison, problem):
    """What there is to say of a problem's results, a list of lines."""
    plan = comparison.plan
    task, n = plan.tasks[problem], len(plan.seeds)
    lines = [f"{task.budget} {task.unit} a run, {n} seed{'s' * (n > 1)}."]
    if task.moves:
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


def pair_rows(comparison, problem):
    """A12 of the row's algorithm against the column's, as texts: titles, and a row an algorithm.

    A star marks what differs significantly.
    """
    tested = not comparison.too_few_seeds(problem)
    texts = {}
    for pair in comparison.pairs(problem):
        star = "*" if tested and pair.p_holm < LEVEL else ""
        texts[pair.first, pair.second] = f"{pair.a12:.2f}{star}"
        texts[pair.second, pair.first] = f"{1 - pair.a12:.2f}{star}"
    names = list(comparison.hypervolumes(problem))
    return ["A12", *names], [[a, *(texts.get((a, b), "") for b in names)] for a in names]


def _p(value):
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"


def markdown(titles, rows):
    """A table in Markdown."""
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def latex(titles, rows):
    """A table in LaTeX, for booktabs."""

    def line(cells):
        escaped = [c.replace("%", r"\%").replace("_", r"\_").replace("&", r"\&") for c in cells]
        return f"{' & '.join(escaped)} \\\\\n"

    head = f"\\begin{{tabular}}{{l{'r' * (len(titles) - 1)}}}\n\\toprule\n{line(titles)}\\midrule\n"
    return f"{head}{''.join(map(line, rows))}\\bottomrule\n\\end{{tabular}}\n"


def write_report(comparison, out):
    """Write the numbers as CSV, tables as Markdown and LaTeX, pictures, and report.html.

    Args:
        comparison: a :class:`~moonas.comparison.results.Comparison`.
        out: folder.
    """
    comparison.write(out)
    markdown_text, latex_text, sections = "", "", []
    for problem in comparison.plan.tasks:
        table, said = table_rows(comparison, problem), words(comparison, problem)
        markdown_text += f"## {problem}\n\n{' '.join(said)}\n\n{markdown(*table)}\n"
        latex_text += f"% {problem}: {' '.join(said)}\n{latex(*table)}\n"
        shown = []
        for name, figure, caption, points in _pictures(comparison, problem):
            save_figure(figure, out / f"{problem}-{name}.png", dpi=150)
            shown.append(page.picture(figure, caption, points))
        parts = [*map(page.paragraph, said), page.table(*table), page.row(*shown)]
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
                page.table(*pair_rows(comparison, problem)),
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


def _pictures(comparison, problem):
    """(name, figure, caption, points) of each picture of a problem."""
    values = comparison.hypervolumes(problem)
    task = comparison.plan.tasks[problem]
    if not values:
        return
    over = "hypervolume that is missing to the true front" if task.table else "hypervolume"
    under = " under each run's own weights: it describes, and does not compare" * task.moves
    caption = f"Median and quartiles of the {over}, over evaluations{under}."
    yield "convergence", pictures.convergence(comparison, problem), caption, ()
    figure, points = pictures.attainment(comparison, problem)
    caption = "What half of the runs have attained" + ", after training from scratch" * task.moves
    yield "attainment", figure, f"{caption}.", points
    if len(values) > 1 and not comparison.too_few_seeds(problem):
        figure = pictures.critical_difference(values, pictures.color_of(comparison))
        caption = "Mean ranks; a bar joins algorithms that Nemenyi's test does not tell apart."
        yield "ranks", figure, caption, ()
    if task.moves:
        caption = "Networks that were trained from scratch: as searched, and as trained."
        yield "retraining", pictures.retraining(comparison, problem), caption, ()
