"""HTML report of one run, from its folder: front, progress, architectures, time and settings.

The report of a run that is still in progress shows the results recorded so far.
"""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from .. import plot, registry
from ..files import save_figure, write_atomically
from ..pareto import CLOSEST, Row, front_from_scores, is_feasible
from ..plot.fronts import MOST_PLANE_OBJECTIVES
from ..plot.style import INK, create_figure
from ..run import front_file
from ..run.folders import last_run
from ..run.journal import read_run, read_times
from ..run.numbers import format_duration, plural
from ..run.session import FAILURES_KEY
from ..settings import to_text, with_former_values
from ..spaces.graph import Graph
from . import losses, page
from .commands import algorithm_name, search_command, search_of, training_command
from .front import front_table, front_title, name_in_text, plot_front
from .losses import losses_caption, plot_losses
from .run_summary import (
    network_words,
    read_trainings,
    size_words,
    summary_of_search,
    summary_of_stage,
    trainings_section,
)
from .scores import (
    ScoredCandidates,
    all_columns,
    current_scores,
    hypervolume_curve,
    last_scores,
    read_scores,
)
from .tables import Table, to_html

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem

FILE_NAME = "report.html"
PHASES = {  # kind of a recorded call -> name of its phase in the report
    "train": "training",
    "score": "evaluating candidates",
    "score before": "evaluating offspring before the training",
    "final test": "final test",
}
FIGURES = {  # that the report itself draws
    "front.png",
    "population.png",
    "hypervolume.png",
    "architectures.png",
    "time.png",
    losses.FILE_NAME,
}
CAPTIONS = {  # pattern of the names of additional images -> caption
    r"classes\.png": "Scores by class",
    r"evaluation\.png": "Robustness",
    r"cells\.png": "Cells",
    r"curves\.png": "Learning curves",
    r"filters\.png": "Filters",
    r"(samples|grid)\.png": "Samples",
    r"samples-0*(\d+)\.png": r"Samples after epoch \1",
    r"images-0*(\d+)\.png": r"Samples of round \1",
    r"translations\.png": "Translations",
}
GAP = 0.25  # inches between drawings of architectures
MAX_IMAGES = 12  # maximum number of additional images in a report
MAX_REASONS = 5  # maximum number of reasons of failed candidates in a report


def show(run: str | Path, *, refresh: int | None = None) -> Path:
    """Write report.html, and its figures as PNG files, into a run folder.

    Args:
        run: folder of a run, or of a task with several stages; its last stage is reported.
        refresh: number of seconds after which a browser reads the page again; None for never.

    Returns:
        The path of the report.

    Raises:
        ValueError: the folder contains no run or a damaged run.
    """
    folder, name = last_run(run)
    head, records = read_run(folder)
    entry = registry.entries().get(name)
    if isinstance(entry, registry.ProblemEntry):
        problem = load_searched(name, head)
        sections = _search_sections(problem, name, folder, head, records)
    else:
        summary = head["algorithm"] if entry is None else entry.summary
        search = search_of(folder, head) if entry is None else None
        command = training_command(folder, head, search) if entry is None else None
        sections = [
            summary_of_stage(summary, folder, command, records, trained=entry is None),
            _losses(folder, records),
            _images(folder),
        ]
    sections += [_time(folder), _settings(head, records)]
    title = f"{name} on {Path(head['settings'].get('data', '')).name}, seed {head['seed']}"
    lead = "A search for network architectures." if entry is not None else "A training."
    path = folder / FILE_NAME
    text = page.page(title, lead, *filter(None, sections), refresh=refresh)
    write_atomically(path, text.encode())
    return path


def watch(
    run: str | Path, on_written: Callable[[Path], None], *, seconds: int = 5, refresh: int = 5
) -> Path:
    """Rewrite the report of a run whenever results have been recorded, until the run is complete.

    Args:
        run: see :func:`show`.
        on_written: called with the path of the report after it was first written.
        seconds: seconds between two looks at the run folder.
        refresh: seconds after which a browser reads the page again.

    Returns:
        The path of the report. Also after a ``KeyboardInterrupt``, the report no longer refreshes.

    Raises:
        ValueError: see :func:`show`.
    """
    seen: tuple[Path, int] | None = None
    try:
        while not is_complete(run):
            folder = last_run(run)[0]
            journal = folder / "journal.jsonl"
            state = folder, journal.stat().st_size if journal.exists() else 0
            if state != seen:
                path = show(run, refresh=refresh)
                if seen is None:
                    on_written(path)
                seen = state
            time.sleep(seconds)
    finally:
        path = show(run)
    if seen is None:
        on_written(path)
    return path


def is_complete(run: str | Path) -> bool:
    """Return whether the last stage of a task has ended; see :func:`show` for the argument."""
    folder, name = last_run(run)
    entry = registry.entries().get(name)
    if isinstance(entry, registry.ProblemEntry):
        last = registry.stages(entry.task or name)[-1] == name
        return last and (folder / front_file.FRONT_FILE).exists()
    return entry is None and any(r["kind"] == "final test" for r in read_run(folder)[1])


def load_searched(name: str, head: Mapping[str, Any]) -> ArchitectureProblem:
    """Return the problem of a run.

    Args:
        name: name of the problem.
        head: content of ``run.json``.
    """
    settings = with_former_values(registry.settings_class(name), head["settings"])
    problem: ArchitectureProblem = registry.stage_module(name).build(**settings | {"device": "cpu"})
    return problem


def _search_sections(
    problem: ArchitectureProblem,
    name: str,
    folder: Path,
    head: Mapping[str, Any],
    records: Sequence[Mapping[str, Any]],
) -> list[str]:
    scores = read_scores(problem, records)
    succeeded = any(len(s.X) for s in scores)
    algorithm = algorithm_name(problem, head["algorithm"])
    file_rows, rows = list[front_file.FrontRow](), list[Row]()
    picked, rule = None, ""
    if succeeded:
        rows, picked, rule = front_of(problem, folder, scores)
        if (folder / front_file.FRONT_FILE).exists():
            file_rows = front_file.read_front_csv(folder)
    trainings = read_trainings(folder, name, file_rows)
    in_short = summary_of_search(
        problem, name, folder, head, scores, rows, picked, rule, trainings, algorithm
    )
    if not succeeded:
        reason = "All candidates failed." if scores else "No candidate has been evaluated yet."
        nothing = page.section("Pareto front", page.paragraph(reason))
        return [in_short, nothing, _failures(records), _command(name, folder, head, algorithm)]
    figure, points = plot_front(problem, last_scores(problem, scores), rows, picked)
    save_figure(figure, folder / "front.png")
    status = "the search is still running"
    if picked is not None:
        mark = "ring" if points else "thick line with dots"
        status = f"the {mark} marks the picked candidate, {rule}"
    source = "the last population, evaluated with the last weights"
    if not problem.nonstationary:
        source = "all candidates that the search has evaluated"
    caption = (
        f"{front_title(rows)}, of {source}; {status}. "
        + "Hover over a point, or reach it with the Tab and arrow keys, for its columns and "
        "architecture." * bool(points)
    ).strip()
    table = front_table(problem, rows, picked, rule)
    alt = f"{front_title(rows)}. The table lists them."
    crosses = problem.n_obj > MOST_PLANE_OBJECTIVES  # dark lines
    drawn = page.picture(figure, caption, points, alt, on_paper=crosses)
    help_text = "Row numbers are those of moonas train --pick." * registry.has_training(name)
    return [
        in_short,
        page.section(
            "Pareto front",
            page.row(drawn, to_html(table, last_below=True) + page.note(help_text)),
        ),
        trainings_section(problem, trainings, file_rows),
        _graphs(problem, folder, rows, picked),
        _progress(problem, folder, scores),
        _losses(folder, records),
        _failures(records),
        _images(folder),
        _command(name, folder, head, algorithm),
    ]


def _command(name: str, folder: Path, head: Mapping[str, Any], algorithm: str | None) -> str:
    """Return a section with the command that made a run."""
    if algorithm is None:
        text = "This run was started from Python, with an algorithm that has no name in moonas."
        return page.section("Command", page.paragraph(text))
    return page.section(
        "Command",
        page.paragraph("This command makes the same run, or resumes it:"),
        page.command(search_command(name, folder, head, algorithm)),
    )


def _failures(records: Sequence[Mapping[str, Any]]) -> str:
    """Return a section on candidates that could not be evaluated; empty if there are none."""
    reasons = Counter(
        reason for r in records for reason in r["result"].get(FAILURES_KEY, {}).values()
    )
    if not reasons:
        return ""
    lines = [f"{plural(n, 'time')}: {text}" for text, n in reasons.most_common(MAX_REASONS)]
    rest = len(reasons) - MAX_REASONS
    lines += [f"{rest} more reasons are in journal.jsonl."] if rest > 0 else []
    lead = (
        f"{plural(reasons.total(), 'evaluation')} failed; these candidates have the worst scores."
    )
    return page.section("Failed candidates", *map(page.paragraph, [lead, *lines]))


def front_of(
    problem: ArchitectureProblem, folder: Path, scores: Sequence[ScoredCandidates]
) -> tuple[list[Row], int | None, str]:
    """Return the front, the index of its picked row, and a description of this row.

    The front of a completed search is read from front.csv; while a search is still running, the
    front is computed from the recorded scores.
    """
    if (folder / front_file.FRONT_FILE).exists():
        file_rows = front_file.read_front_csv(folder)
        picked = next((i for i, row in enumerate(file_rows) if row.picked), None)
        rows = [_row_from_file(problem, row) for row in file_rows]
        rule = problem.pick_rule(rows) if is_feasible(rows) else CLOSEST
        return rows, picked, rule
    chosen = current_scores(problem, scores)
    X = np.concatenate([s.X for s in chosen])
    return front_from_scores(problem, X, all_columns(chosen)), None, ""


def _row_from_file(problem: ArchitectureProblem, row: front_file.FrontRow) -> Row:
    objectives = {name: row.columns[name] for name in problem.objectives}
    architecture = problem.architecture_from_json(row.architecture)
    return Row(problem.encode(architecture), architecture, objectives, row.columns)


def _progress(
    problem: ArchitectureProblem, folder: Path, scores: Sequence[ScoredCandidates]
) -> str:
    """Return a section that shows all scores, and the hypervolume over evaluations."""
    figure, axes = create_figure()
    evaluations = np.cumsum([s.n for s in scores])
    when = np.repeat(evaluations, [len(s.X) for s in scores])
    plot.travel(axes, problem, all_columns(scores), when)
    save_figure(figure, folder / "population.png")
    subject = "Parents and offspring" if problem.nonstationary else "Candidates"
    candidates = page.picture(
        figure,
        f"{subject}; the color shows the number of evaluations so far. The latest are on top.",
    )

    figure, axes = create_figure()
    plot.hypervolume(axes, *hypervolume_curve(problem, scores))
    save_figure(figure, folder / "hypervolume.png")
    subject = "all candidates evaluated so far"
    if problem.nonstationary:
        subject = "the candidates evaluated with the same weights"
    growth = page.picture(
        figure,
        f"Hypervolume of {subject}, as a share of {whole_of(problem)}. The table of generations "
        "and comparisons use the same definition.",
    )
    return page.section("Progress", page.row(candidates, growth))


def whole_of(problem: ArchitectureProblem) -> str:
    """Describe what hypervolumes of a problem are shares of."""
    if problem.pareto_front() is not None:
        return "the hypervolume of the true front"
    return "the box between the problem's bounds"


def _losses(folder: Path, records: Sequence[Mapping[str, Any]]) -> str:
    """Return a section with the losses of all trainings; empty if none is recorded."""
    figure = plot_losses(records)
    if figure is None:
        return ""
    save_figure(figure, folder / losses.FILE_NAME)
    return page.section("Training", page.picture(figure, losses_caption(records)))


def _graphs(
    problem: ArchitectureProblem, folder: Path, rows: Sequence[Row], picked: int | None
) -> str:
    """Return a section that shows the picked architecture and both ends of the front."""
    if not rows:
        return ""
    ends = [] if picked is None else [(picked, "picked")]
    for name in problem.plotted_columns:
        lowest = min(range(len(rows)), key=lambda i: rows[i].columns[name])
        ends.append((lowest, f"lowest {name_in_text(problem.column(name))}"))
    labels_of = defaultdict(list)
    for i, label in ends:
        labels_of[i].append(label)
    parts, drawings = [], list[tuple[list[str], list[Graph]]]()
    for i, labels in labels_of.items():
        graphs = problem.graphs(rows[i].architecture)
        title = f"Row {i}: {', '.join(labels)}"
        if not graphs and i != picked:
            continue
        parts += [page.heading(title), page.paragraph(size_words(problem, rows[i]))]
        parts.append(page.note(f"{problem.architecture_title}: {rows[i].architecture}"))
        if not graphs:
            continue
        equal = next((titles for titles, others in drawings if others == graphs), None)
        if equal is not None:  # networks of the same cells can differ in their sizes only
            first, _, _ = equal[0].partition(":")
            parts.append(page.paragraph(f"Its graph is the same as that of {first.lower()}."))
            equal.append(title)
            continue
        drawings.append(([title], graphs))
        cells = []
        for graph in graphs:
            words = network_words(graph)
            alt = f"Graph of the {graph.title}. {'; '.join(words)}."
            shown = page.bullets(words) if i == picked else ""
            figure = _graph(graph)
            cells.append((figure, page.picture(figure, "", alt=alt) + shown))
        parts.append(page.flow(cells))
    if drawings:
        named = [("; ".join(titles), graphs) for titles, graphs in drawings]
        _save_drawings(named, folder / "architectures.png")
    return page.section("Architectures", *parts) if parts else ""


def _graph(graph: Graph) -> Figure:
    figure, axes = create_figure(plot.graph_size(graph))
    plot.graph(axes, graph)
    return figure


def _save_drawings(drawings: Sequence[tuple[str, Sequence[Graph]]], path: Path) -> None:
    """Write all drawings as one picture, with the graphs of an architecture side by side."""
    sizes = [[plot.graph_size(graph) for graph in graphs] for _, graphs in drawings]
    heights = [max(height for _, height in row) + GAP for row in sizes]
    width = max(sum(width + GAP for width, _ in row) for row in sizes)
    figure = Figure(figsize=(width, sum(heights)), layout="constrained")
    bands = figure.subfigures(len(drawings), 1, squeeze=False, height_ratios=heights)[:, 0]
    for (title, graphs), row, band in zip(drawings, sizes, bands, strict=True):
        rest = width - sum(width for width, _ in row)
        ratios = [*(width for width, _ in row), max(rest, 0.01)]
        band.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold", color=INK)
        axes = band.subplots(1, len(graphs) + 1, squeeze=False, width_ratios=ratios)[0]
        axes[-1].axis("off")
        for graph, one in zip(graphs, axes, strict=False):
            plot.graph(one, graph)
    save_figure(figure, path)


def _images(folder: Path) -> str:
    """Return a section with the additional images of a run, such as samples of a GAN."""
    paths = sorted(path for path in folder.glob("*.png") if path.name not in FIGURES)
    if not paths:
        return ""
    indices = np.unique(np.round(np.linspace(0, len(paths) - 1, MAX_IMAGES)).astype(int))
    chosen = [paths[i] for i in indices]
    images = (page.image(path.read_bytes(), _caption(path.name)) for path in chosen)
    return page.section("Images", page.row(*images))


def _caption(name: str) -> str:
    """Return the caption of an additional image: words for a known file, or else its name."""
    for pattern, caption in CAPTIONS.items():
        if match := re.fullmatch(pattern, name):
            return match.expand(caption)
    return name


def _time(folder: Path) -> str:
    """Return a section on the time that each phase of a run took."""
    times = read_times(folder)
    seconds: defaultdict[str, float] = defaultdict(float)
    for call in times:
        seconds[PHASES.get(call["kind"], call["kind"])] += call["seconds"]
        seconds["saving results"] += call["journal_seconds"]
    start_times = [datetime.fromisoformat(call["at"]) for call in times]
    if not times:
        return ""
    ordered = sorted(seconds.items(), key=lambda item: -item[1])
    figure, axes = create_figure((5.2, 0.8 + 0.35 * len(ordered)))
    plot.durations(axes, dict(ordered))
    save_figure(figure, folder / "time.png")
    end = start_times[-1] + timedelta(seconds=times[-1]["seconds"])
    rows = [[phase, _short_duration(s)] for phase, s in ordered]
    table = to_html(Table(["phase", "time"], rows, title="Time by phase"))
    text = (
        f"From {start_times[0]:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, with "
        f"{_short_duration(sum(seconds.values()))} of recorded computing time."
    )
    return page.section(
        "Time",
        page.paragraph(text),
        page.row(page.picture(figure, "Time by phase."), table),
    )


def _short_duration(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 10 else format_duration(seconds)


def _settings(head: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> str:
    """Return a section with the settings of a run and the versions of its packages."""
    settings = [[k, _text(v)] for k, v in head["settings"].items()]
    middle = -(-len(settings) // 2)
    parts = [part for part in (settings[:middle], settings[middle:]) if part]
    versions = [[k, _text(v)] for k, v in head["versions"].items()]
    return page.section(
        "Settings",
        page.row(
            *(to_html(Table(["setting", "value"], part, title="Settings")) for part in parts),
            to_html(Table(["package", "version"], versions, title="Versions")),
        ),
        page.note(
            f"Recorded as {head['algorithm']}, with {plural(len(records), 'recorded call')} in "
            "journal.jsonl."
        ),
    )


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return to_text(value)
