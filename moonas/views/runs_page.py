"""HTML page that compares several runs: overlaid fronts and hypervolumes, results and settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import plot, registry
from ..files import write_atomically
from ..pareto import Row, hypervolume
from ..run.folders import last_run
from ..run.journal import read_run, read_times
from ..run.numbers import duration_words, plural
from ..settings import to_text, with_former_values
from . import page
from .commands import DEFAULT, algorithm_name
from .front import column_formats, column_title, tooltips
from .run_page import front_of, load_searched, whole_of
from .run_summary import run_time
from .scores import ScoredCandidates, hypervolume_curve, read_scores
from .tables import Table, to_html

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem

FILE_NAME = "runs.html"
MOST_RUNS = 12


@dataclass(frozen=True)
class ShownRun:
    """A run on the page.

    Args:
        label: its name on the page.
        folder: its run folder.
        name: name of its problem.
        head: content of ``run.json``.
        problem: its problem.
        scores: scores of each evaluator call or, if objectives change, of each generation.
        rows: rows of its front.
        picked: index of the picked row; None while the search goes on.
        seconds: time that it took.
    """

    label: str
    folder: Path
    name: str
    head: Mapping[str, Any]
    problem: ArchitectureProblem
    scores: Sequence[ScoredCandidates]
    rows: Sequence[Row]
    picked: int | None
    seconds: float

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the run, with the values of its version, and its seed and algorithm."""
        known = algorithm_name(self.problem, self.head["algorithm"])
        algorithm = {DEFAULT: "default", None: self.head["algorithm"]}.get(known, known)
        cls = registry.settings_class(self.name)
        chosen = with_former_values(cls, self.head["settings"])
        return {"problem": self.name, "seed": self.head["seed"], "algorithm": algorithm} | chosen


def show_runs(runs: Sequence[str | Path], out: str | Path = FILE_NAME) -> Path:
    """Write a page that compares searches with the same objectives on the same data.

    Args:
        runs: run folders, two to twelve; of a task with several stages, the last stage is shown.
        out: path of the page.

    Returns:
        The path of the page.

    Raises:
        ValueError: a folder contains no search or is given twice, a search has no results, or the
            objectives of the searches cannot be compared.
    """
    if not 2 <= len(runs) <= MOST_RUNS:
        raise ValueError(f"{plural(len(runs), 'run')} given: expected 2 to {MOST_RUNS} to compare.")
    shown = [_read(run, label) for run, label in zip(runs, _labels(runs), strict=True)]
    folders = [run.folder.resolve() for run in shown]
    for i, folder in enumerate(folders):
        if folder in folders[:i]:
            raise ValueError(f"{runs[i]} is given twice: expected different runs to compare.")
    for run, path in zip(shown[1:], runs[1:], strict=True):
        _check_comparable(shown[0], runs[0], run, path)
    names = ", ".join(run.label for run in shown)
    problem = shown[0].problem
    objectives = " and ".join(column_title(problem.column(n)) for n in problem.objectives)
    sections = [
        page.section("Results", to_html(_results(shown)), *_notes(shown)),
        page.section("Fronts and progress", page.row(_fronts(shown), _progress(shown))),
        page.section("Settings that differ", _differences(shown)),
    ]
    lead = f"{objectives} on {shown[0].head['settings'].get('data', '')}: {names}."
    out = Path(out)
    write_atomically(out, page.page(f"{len(shown)} searches", lead, *sections).encode())
    return out


def _labels(runs: Sequence[str | Path]) -> list[str]:
    """Return the names of the run folders; their paths if two of them have the same name."""
    names = [Path(run).resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [Path(run).as_posix() for run in runs]


def _read(run: str | Path, label: str) -> ShownRun:
    folder, name = last_run(run)
    if not isinstance(registry.entries().get(name), registry.ProblemEntry):
        raise ValueError(f"{folder} contains a run of {name}, which is not a search.")
    head, records = read_run(folder)
    problem = load_searched(name, head)
    scores = read_scores(problem, records)
    if not any(len(s.X) for s in scores):
        raise ValueError(f"{folder} contains no results yet, so it cannot be compared.")
    rows, picked, _ = front_of(problem, folder, scores)
    seconds = run_time(read_times(folder))
    return ShownRun(label, folder, name, head, problem, scores, rows, picked, seconds)


def _check_comparable(
    first: ShownRun, first_path: str | Path, other: ShownRun, path: str | Path
) -> None:
    """Raise a ``ValueError`` if the objectives of two runs cannot be compared."""
    for what, a, b in (
        ("objectives", *(_objectives(run.problem) for run in (first, other))),
        ("data", *(run.head["settings"].get("data", "") for run in (first, other))),
    ):
        if a != b:
            raise ValueError(
                f"{first_path} and {path} cannot be compared: their {what} are {a} and {b}."
            )


def _objectives(problem: ArchitectureProblem) -> str:
    columns = map(problem.column, problem.objectives)
    return ", ".join(f"{column.name} ({column.unit})" for column in columns)


def _hypervolume_of(shown: Sequence[ShownRun]) -> Callable[[np.ndarray], float]:
    """Return the function that computes the hypervolume of objectives, (n, n_obj), of any run.

    Settings such as the number of channels can change the box that hypervolumes refer to; if the
    boxes of the runs differ, the smallest that contains all of them replaces them.
    """
    boxes = np.array([run.problem.hypervolume_box() for run in shown])
    if (boxes == boxes[0]).all():
        return shown[0].problem.hypervolume
    return partial(hypervolume, bounds=np.array([boxes[:, 0].min(0), boxes[:, 1].max(0)]))


def _results(shown: Sequence[ShownRun]) -> Table:
    hypervolume_of = _hypervolume_of(shown)
    columns = [shown[0].problem.column(name) for name in shown[0].problem.objectives]
    formats = column_formats(columns, [row for run in shown for row in run.rows])
    texts = []
    for run in shown:
        evaluations, values = hypervolume_curve(run.problem, run.scores, hypervolume_of)
        picked = [
            "-" if run.picked is None else formats[c.name](run.rows[run.picked].columns[c.name])
            for c in columns
        ]
        best = formats[columns[0].name](min(row.columns[columns[0].name] for row in run.rows))
        texts.append(
            [
                *(run.label, f"{evaluations[-1]:,}", duration_words(run.seconds)),
                *(f"{len(run.rows)}", f"{values[-1]:.4f}", best, *picked),
            ]
        )
    titles = ["result", "evaluations", "time", "networks on the front", "hypervolume"]
    titles += [f"best {column_title(columns[0])}", *(f"pick: {column_title(c)}" for c in columns)]
    first, *rows = zip(titles, *texts, strict=True)  # a column per run, as in the other table
    return Table(first, rows, title="Results of the searches")


def _notes(shown: Sequence[ShownRun]) -> list[str]:
    notes = []
    if any(run.problem.nonstationary for run in shown):
        notes.append(
            "Each search trains its own shared weights, which decide its scores. Fronts and "
            "hypervolumes therefore only describe the searches; train networks from scratch to "
            "compare them."
        )
    running = [run.label for run in shown if run.picked is None]
    if running:
        notes.append(f"Not complete: {', '.join(running)}.")
    return [page.note(text) for text in notes]


def _fronts(shown: Sequence[ShownRun]) -> str:
    problem = shown[0].problem
    first, second = problem.plotted_columns
    figure, axes = plot.create_figure()
    plot.fronts(axes, problem, {run.label: run.rows for run in shown})
    points = [
        page.Point(
            axes,
            row.columns[second],
            row.columns[first],
            f"{run.label}\n{tip}",
        )
        for run in shown
        for row, tip in zip(run.rows, tooltips(run.problem, run.rows), strict=True)
        if {first, second} <= set(row.columns)
    ]
    caption = "Fronts of the searches. Hover over a point for its columns and architecture."
    return page.picture(figure, caption, points, "Fronts of the searches")


def _progress(shown: Sequence[ShownRun]) -> str:
    figure, axes = plot.create_figure()
    hypervolume_of = _hypervolume_of(shown)
    plot.hypervolumes(
        axes,
        {run.label: hypervolume_curve(run.problem, run.scores, hypervolume_of) for run in shown},
    )
    whole = whole_of(shown[0].problem)
    if hypervolume_of != shown[0].problem.hypervolume:
        whole = "the smallest box that contains the boxes of all searches"
    caption = f"Hypervolume over evaluations, as a share of {whole}."
    return page.picture(figure, caption)


def _differences(shown: Sequence[ShownRun]) -> str:
    """Return a table of the settings that differ between runs, with "-" for absent ones."""
    settings = [run.settings for run in shown]
    names = dict.fromkeys(name for values in settings for name in values)
    texts = []
    for name in names:
        row = [to_text(values[name]) if name in values else "-" for values in settings]
        if len(set(row)) > 1:
            texts.append([name, *(text or "none" for text in row)])
    if not texts:
        return page.paragraph("None: all settings and seeds are equal.")
    titles = ["setting", *(run.label for run in shown)]
    return to_html(Table(titles, texts, title="Settings that differ"))
