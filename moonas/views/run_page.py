"""The page of one run: its front, its progress, its time, its settings, from the run folder alone.

A run that is still going on can be shown, too, as far as it is recorded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .. import registry
from ..files import save_figure, write_atomically
from ..pareto import Row, front_from_scores, hypervolume
from ..run import front_file
from ..run.folders import last_run
from ..run.journal import read_run, read_times
from ..run.numbers import format_duration
from . import page
from .drawing import ACCENT, QUIET, draw_graph, finish, one_plot
from .front import front_picture, front_table, label_axes
from .tables import Table, to_html

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem
    from ..spaces.graph import Graph

PAGE = "report.html"
PHASES = {
    "train": "training",
    "score": "scoring",
    "score before": "scoring before the training",
    "final test": "the final test",
}
TURNS = LinearSegmentedColormap.from_list("turns", [QUIET, ACCENT])  # from first to last
PICTURES = 12  # other pictures of a run folder on the page, at most


@dataclass(frozen=True)
class Scored:
    """The candidates that one call of a run scored.

    Args:
        X: (k, n_var) genes of those that did not fail.
        columns: name -> (k,) floats.
        n: candidates, including those that failed.
    """

    X: np.ndarray
    columns: dict[str, np.ndarray]
    n: int


def show(run: str | Path) -> Path:
    """Write report.html, and its pictures as PNG, into a run folder.

    Args:
        run: folder of a run, or of a search in stages, of which the last one is shown.

    Returns:
        The path of the page.

    Raises:
        ValueError: the folder holds no run, or a corrupt one.
    """
    folder, name = last_run(run)
    head, records = read_run(folder)
    entry = registry.entries().get(name)
    if isinstance(entry, registry.ProblemEntry):
        problem = registry.stage_module(name).build(**head["settings"] | {"device": "cpu"})
        sections = _search_sections(problem, folder, records)
    else:
        sections = [_pictures(folder)]
    sections += [_time(folder), _settings(head)]
    data = head["settings"].get("data", "")
    lead = f"On {data}, seed {head['seed']}: {head['algorithm']}. {len(records)} calls recorded."
    path = folder / PAGE
    write_atomically(path, page.page(name, lead, *filter(None, sections)).encode())
    return path


def read_scores(problem: ArchitectureProblem, records: Sequence[Mapping[str, Any]]) -> list[Scored]:
    """The scores of a run in order, call by call.

    If objectives change during a run, calls under the same weights are joined.

    Args:
        problem: that was searched.
        records: of the run's journal.
    """
    found, trainings = {}, 0
    names = [column.name for column in problem.columns]
    for record in records:
        trainings += record["kind"] == "train"
        if record["kind"] != "score":
            continue
        X = np.stack([problem.genes.from_json(x) for x in record["request"]["x"]])
        good = ~np.array(record["result"]["failed"], bool)
        columns = {
            name: np.array(record["result"][name], float)[good]
            for name in names
            if name in record["result"]
        }
        scored = Scored(X[good], columns, len(X))
        turn = trainings if problem.nonstationary else record["call"]
        found[turn] = _joined(found[turn], scored) if turn in found else scored
    return list(found.values())


def _joined(first: Scored, second: Scored) -> Scored:
    columns = {k: np.concatenate([v, second.columns[k]]) for k, v in first.columns.items()}
    return Scored(np.concatenate([first.X, second.X]), columns, first.n + second.n)


def _search_sections(
    problem: ArchitectureProblem, folder: Path, records: Sequence[Mapping[str, Any]]
) -> list[str]:
    every = read_scores(problem, records)
    scores = [s for s in every if len(s.X)]
    if not scores:
        why = "All candidates failed." if every else "Nothing has been scored yet."
        return [page.section("The front", page.paragraph(why))]
    rows, picked = _front(problem, folder, scores)
    last = scores[-1].columns if problem.nonstationary else _all_of(scores)
    figure, points = front_picture(problem, last, rows, picked)
    save_figure(figure, folder / "front.png", dpi=150)
    pick = "the search goes on" if picked is None else f"picked: {problem.pick_description}"
    n = f"{len(rows)} candidate{'s' * (len(rows) != 1)}"
    caption = f"{n}; {pick}. Point at one for all that is known of it."
    table = front_table(problem, rows, picked, numbered=True)
    return [
        page.section("The front", page.picture(figure, caption, points), to_html(table)),
        _progress(problem, folder, scores),
        _graphs(problem, folder, rows, picked),
        _pictures(folder),
    ]


def _all_of(scores: Sequence[Scored]) -> dict[str, np.ndarray]:
    return {k: np.concatenate([s.columns[k] for s in scores]) for k in scores[0].columns}


def _front(
    problem: ArchitectureProblem, folder: Path, scores: Sequence[Scored]
) -> tuple[list[Row], int | None]:
    """The front and the index of its picked row, from front.csv once the search has ended."""
    if (folder / front_file.NAME).exists():
        read = front_file.read_front_csv(folder)
        rows = [_row_of_file(problem, row) for row in read]
        return rows, next((i for i, row in enumerate(read) if row.picked), None)
    chosen = scores[-1:] if problem.nonstationary else scores
    X, columns = np.concatenate([s.X for s in chosen]), _all_of(chosen)
    F = np.column_stack([columns[name] for name in problem.objectives])
    return front_from_scores(problem, X, F, columns), None


def _row_of_file(problem: ArchitectureProblem, row: front_file.FrontRow) -> Row:
    objectives = {name: row.columns[name] for name in problem.objectives}
    return Row(row.x, problem.architecture_from_json(row.architecture), objectives, row.columns)


def _progress(problem: ArchitectureProblem, folder: Path, scores: Sequence[Scored]) -> str:
    """Pictures of the scores and of the hypervolume over calls."""
    first, second = problem.plotted_columns
    figure, axes = one_plot()
    turns = np.concatenate([np.full(len(s.X), i + 1) for i, s in enumerate(scores)])
    columns = _all_of(scores)
    drawn = axes.scatter(columns[second], columns[first], c=turns, s=14, cmap=TURNS, alpha=0.9)
    ticks = MaxNLocator(integer=True)
    bar = figure.colorbar(drawn, ax=axes, label="scored in call", ticks=ticks)
    bar.outline.set_visible(False)
    label_axes(axes, problem.column(second), problem.column(first))
    finish(axes)
    save_figure(figure, folder / "population.png", dpi=150)
    subject = "Parents and offspring" if problem.nonstationary else "Candidates"
    candidates = page.picture(figure, f"{subject}, from the first that were scored to the last.")

    bounds, seen, values = problem.objective_bounds(), [], []
    for s in scores:
        F = np.column_stack([s.columns[name] for name in problem.objectives])
        seen = [F] if problem.nonstationary else [*seen, F]
        values.append(hypervolume(np.concatenate(seen), bounds))
    figure, axes = one_plot()
    evaluations = np.cumsum([s.n for s in scores])
    axes.step(evaluations, values, where="post", color=ACCENT, marker="o", ms=3)
    axes.set(xlabel="evaluations", ylabel="hypervolume")
    finish(axes)
    save_figure(figure, folder / "hypervolume.png", dpi=150)
    of = "of those scored in a call, under the weights of then" * problem.nonstationary
    of = of or "of all that was scored so far"
    growth = page.picture(figure, f"Hypervolume {of}, a share of the problem's bounds.")
    return page.section("How it went", page.row(candidates, growth))


def _graphs(
    problem: ArchitectureProblem, folder: Path, rows: Sequence[Row], picked: int | None
) -> str:
    """Drawings of the picked architecture and of the two ends of the front."""
    if not rows:
        return ""
    ends = [] if picked is None else [(picked, "picked")]
    for name in problem.plotted_columns:
        ends.append((min(range(len(rows)), key=lambda i: rows[i].columns[name]), f"least {name}"))
    chosen = defaultdict(list)
    for i, why in ends:
        chosen[i].append(why)
    parts, drawings = [], []
    for i, why in chosen.items():
        graphs = problem.graphs(rows[i].architecture)
        if graphs:
            title = f"Row {i}: {', '.join(why)}"
            drawings.append((title, graphs))
            parts += [page.heading(title), page.paragraph(str(rows[i].architecture))]
            parts.append(page.row(*(page.picture(_graph(graph), "") for graph in graphs)))
    if not drawings:
        return ""
    _save_graphs(drawings, folder / "architectures.png")
    return page.section("Architectures", *parts)


def _graph(graph: Graph) -> Figure:
    n = len(graph.nodes)
    figure, axes = one_plot((0.95 * (n + 1), 2.6))
    draw_graph(axes, graph)
    return figure


def _save_graphs(drawings: Sequence[tuple[str, Sequence[Graph]]], path: Path) -> None:
    columns = max(len(graphs) for _, graphs in drawings)
    figure = Figure(figsize=(5 * columns, 3.4 * len(drawings)), layout="constrained")
    plots = figure.subplots(len(drawings), columns, squeeze=False)
    for (title, graphs), row in zip(drawings, plots, strict=True):
        for axes in row:
            axes.axis("off")
        for graph, axes in zip(graphs, row, strict=False):
            draw_graph(axes, graph)
            axes.set_title(f"{title}: {graph.title}", loc="left")
    save_figure(figure, path, dpi=110)


def _pictures(folder: Path) -> str:
    """The run's other pictures, such as images of a GAN."""
    own = {"front.png", "population.png", "hypervolume.png", "architectures.png", "time.png"}
    paths = sorted(path for path in folder.glob("*.png") if path.name not in own)
    if not paths:
        return ""
    places = np.unique(np.round(np.linspace(0, len(paths) - 1, PICTURES)).astype(int))
    chosen = [paths[i] for i in places]
    return page.section("Pictures", page.row(*(page.image(p.read_bytes(), p.name) for p in chosen)))


def _time(folder: Path) -> str:
    """The time of a run by phase."""
    times, spent = read_times(folder), defaultdict(float)
    for one in times:
        spent[PHASES.get(one["kind"], one["kind"])] += one["seconds"]
        spent["the journal"] += one["journal_seconds"]
    begun = [datetime.fromisoformat(one["at"]) for one in times]
    if not times:
        return ""
    figure, axes = one_plot((5.2, 0.8 + 0.35 * len(spent)))
    axes.barh(list(spent), list(spent.values()), color=QUIET)
    axes.invert_yaxis()
    axes.set_xlabel("seconds")
    finish(axes)
    save_figure(figure, folder / "time.png", dpi=150)
    end = begun[-1] + timedelta(seconds=times[-1]["seconds"])
    table = to_html(Table(["phase", "time"], [[k, format_duration(s)] for k, s in spent.items()]))
    text = (
        f"From {begun[0]:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC; in calls "
        f"{format_duration(sum(spent.values()))}."
    )
    return page.section(
        "Time",
        page.paragraph(text),
        page.row(page.picture(figure, "By what was done."), table),
    )


def _settings(head: Mapping[str, Any]) -> str:
    """The settings of a run, and the versions of the packages that it ran with."""
    settings = [[k, _text(v)] for k, v in head["settings"].items()]
    versions = [[k, _text(v)] for k, v in head["versions"].items()]
    return page.section(
        "Settings",
        page.row(
            to_html(Table(["setting", "value"], settings)),
            to_html(Table(["what", "version"], versions)),
        ),
    )


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "none" if value is None else str(value)
