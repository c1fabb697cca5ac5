"""What a run did and found, in plain words: the first section of its page, and its trainings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import registry
from ..pareto import Row, is_feasible
from ..plot.fronts import ACRONYMS
from ..run.front_file import FrontRow, correlation_with_training
from ..run.journal import read_run, read_times
from ..run.numbers import duration_words, plural, short_number
from . import page
from .commands import (
    DEFAULT,
    next_commands,
    search_command,
    train_command,
)
from .facts import describe_data
from .front import column_formats, column_title, format_value, name_in_text, table_columns
from .tables import Table, to_html

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem, Column
    from ..spaces.graph import Graph
    from .scores import ScoredCandidates

UNITS = {"error": "%", "accuracy": "%", "recognized": "%", "iou": "%", "psnr": "dB"}  # of scores
DIRECTIONS = {"_a": ", A to B", "_b": ", B to A"}  # of scores of a CycleGAN
OPERATIONS = {  # label of an edge in a graph -> operation
    "skip": "skip connection",
    "max3": "3x3 max pooling",
    "avg3": "3x3 average pooling",
    "se": "squeeze-and-excitation",
    "eca": "efficient channel attention",
    "lbc3": "3x3 local binary convolution",
    "lbc5": "5x5 local binary convolution",
    "dil3": "3x3 dilated convolution",
    "dil5": "5x5 dilated convolution",
    "sep3": "3x3 separable convolution",
    "sep5": "5x5 separable convolution",
    "sep7": "7x7 separable convolution",
    "1x7": "1x7 and 7x1 convolution",
    "c1": "1x1 convolution",
    "c3": "3x3 convolution",
    "c5": "5x5 convolution",
    "d3": "3x3 dilated convolution",
    "d5": "5x5 dilated convolution",
    "avg": "average pooling",
    "max": "max pooling",
    "near": "nearest-neighbor upsampling",
    "bil": "bilinear upsampling",
    "dec": "transposed convolution",
}


@dataclass(frozen=True)
class Training:
    """A training from scratch of a row of a front.

    Args:
        folder: its run folder.
        row: index of the row; None if its network is not on the front.
        scores: column -> score on the test set; {} until the training is complete.
    """

    folder: Path
    row: int | None
    scores: dict[str, float]


def read_trainings(folder: Path, name: str, rows: Sequence[FrontRow]) -> list[Training]:
    """Read the trainings next to a search, sorted by row.

    Args:
        folder: run folder of the search.
        name: name of its stage.
        rows: rows of its front.
    """
    paths = set(folder.glob("training*/run.json"))
    if len(registry.stages(registry.entry(name).task or name)) > 1:
        paths |= set(folder.parent.glob("training*/run.json"))
    number_of = {json.dumps(row.architecture): i for i, row in enumerate(rows)}
    trainings = []
    for path in sorted(paths):
        head, records = read_run(path.parent)
        if head["problem"] != f"{name} training":
            continue
        results = [record["result"] for record in records if record["kind"] == "final test"]
        scores = {k: v for k, v in (results or [{}])[-1].items() if isinstance(v, int | float)}
        network = (head.get("inputs") or {}).get("architecture", "")
        trainings.append(Training(path.parent, number_of.get(network), scores))
    return sorted(trainings, key=lambda t: (t.row is None, t.row, t.folder.name))


def summary_of_search(
    problem: ArchitectureProblem,
    name: str,
    folder: Path,
    head: Mapping[str, Any],
    scores: Sequence[ScoredCandidates],
    rows: Sequence[Row],
    picked: int | None,
    rule: str,
    trainings: Sequence[Training],
    algorithm: str | None,
) -> str:
    """Return the first section of a search's page.

    Args:
        problem: problem that was searched.
        name: name of the stage.
        folder: run folder.
        head: content of ``run.json``.
        scores: scores of the run.
        rows: rows of the front; none if nothing was evaluated.
        picked: index of the picked row; None while the search goes on.
        rule: description of the picked row.
        trainings: trainings of rows of the front.
        algorithm: name of the algorithm, see :func:`.commands.algorithm_name`.
    """
    objectives = _joined(map(column_title, map(problem.column, problem.objectives)))
    how = {None: "an algorithm of your own", DEFAULT: "the problem's default algorithm"}
    settings = problem.settings
    texts = [
        f"Searched: {registry.entry(name).summary}. The search minimizes {objectives} on "
        f"{describe_data(problem)}, with {how.get(algorithm, f'the algorithm {algorithm}')}: "
        f"{plural(settings.generations, 'generation')}, {settings.population} networks each."
    ]
    if problem.limits:
        texts.append(f"Networks must satisfy {_joined(settings.limits)}.")
    n = sum(s.n for s in scores)
    distinct = len({x.tobytes() for s in scores for x in s.X})
    texts.append(
        f"{_duration(folder)} and evaluated {plural(distinct, 'network')} in "
        f"{plural(n, 'evaluation')}."
    )
    if rows:
        texts.append(_found(problem, rows, picked, rule))
    complete = [t for t in trainings if t.scores]
    of_pick = [t for t in complete if t.row == picked and picked is not None]
    if of_pick:
        texts.append(_trained(problem, of_pick[0]))
    following = []
    if picked is None:
        lead = "The search is still running, or was interrupted. This command resumes it:"
        if algorithm is None:
            following = [page.paragraph("The search is still running, or was interrupted.")]
        else:
            following = _next(lead, search_command(name, folder, head, algorithm))
    elif registry.has_training(name) and not complete:
        lead = "Next, train the picked network; at the end, it is evaluated on the test set:"
        following = _next(lead, train_command(folder))
    elif complete:
        for lead, commands in next_commands((of_pick or complete)[0].folder).items():
            following += _next(lead, *commands)
    return page.section(
        "In short", page.row("".join(map(page.paragraph, texts)), "".join(following))
    )


def _next(lead: str, *commands: str) -> list[str]:
    return [page.paragraph(lead), *map(page.command, commands)]


def summary_of_stage(
    summary: str,
    folder: Path,
    command: str | None,
    records: Sequence[Mapping[str, Any]] = (),
    *,
    trained: bool = False,
) -> str:
    """Return the first section of the page of a stage that is not a search.

    Args:
        summary: what the stage does.
        folder: run folder.
        command: command that made the run, or None.
        records: records of the run's journal; the scores of its final test are shown.
        trained: whether the stage trained a network that a search found, or a published one.
    """
    parts = [page.paragraph(f"{summary[:1].upper()}{summary[1:]}. {_duration(folder)}.")]
    table = final_scores(records)
    if table is None and trained:
        parts.append(page.paragraph("The training is still running, or was interrupted."))
    if table is not None and trained:
        for lead, commands in next_commands(folder).items():
            parts += _next(lead, *commands)
    if command is not None:
        parts += [page.paragraph("This command made the run:"), page.command(command)]
    scores = "" if table is None else to_html(table)
    return page.section("In short", page.row("".join(parts), scores))


def final_scores(records: Sequence[Mapping[str, Any]]) -> Table | None:
    """Return the scores of a final test, with a column per network; None if there are none.

    Args:
        records: records of a run's journal.
    """
    results = [record["result"] for record in records if record["kind"] == "final test"]
    if not results:
        return None
    scores_of = results[-1].get("scores", {"": results[-1]})
    numbers = {
        network: {k: v for k, v in scores.items() if isinstance(v, int | float)}
        for network, scores in scores_of.items()
    }
    names = list(dict.fromkeys(name for scores in numbers.values() for name in scores))
    if not names:
        return None
    texts = [
        [
            _score_title(name, names),
            *(_score_text(name, scores.get(name)) for scores in numbers.values()),
        ]
        for name in names
    ]
    titles = [network or "value" for network in numbers]
    return Table(["final test", *titles], texts, title="Scores of the final test")


def _score_title(name: str, names: Sequence[str]) -> str:
    """Return the title of a score of a final test, such as "FID, A to B" or "error (%)"."""
    if name in ("fid", "test_fid") and {"fid", "test_fid"} <= set(names):
        return f"FID, {'test' if name == 'test_fid' else 'training'} images"
    name, direction = next(
        ((name.removesuffix(end), text) for end, text in DIRECTIONS.items() if name.endswith(end)),
        (name, ""),
    )
    unit = _score_unit(name)
    words = ((ACRONYMS | {"psnr": "PSNR"}).get(word, word) for word in name.split("_"))
    return " ".join(words) + f" ({unit})" * bool(unit) + direction


def _score_unit(name: str) -> str:
    return next((unit for end, unit in UNITS.items() if name.endswith(end)), "")


def _score_text(name: str, value: float | None) -> str:
    if value is None or not np.isfinite(value):
        return "-"
    in_percent = _score_unit(name.removesuffix("_a").removesuffix("_b")) == "%"
    return f"{value:.2f}" if in_percent else f"{value:.4g}"


def _joined(texts: Iterable[str]) -> str:
    """Join texts as in "a, b and c"."""
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last


def run_time(times: Sequence[Mapping[str, Any]]) -> float:
    """Return how long a run took, in seconds, from the content of its times.jsonl."""
    computed = sum(call["seconds"] + call["journal_seconds"] for call in times)
    return float((times[-1].get("elapsed") if times else None) or computed)


def _duration(folder: Path) -> str:
    """Return "It ran for 2 min 5 s (2026-01-01 10:00 to 10:02 UTC)"."""
    times = read_times(folder)
    if not times:
        return "It has just begun"
    start = datetime.fromisoformat(times[0]["at"])
    end = datetime.fromisoformat(times[-1]["at"]) + timedelta(seconds=times[-1]["seconds"])
    same_day = start.date() == end.date()
    until = f"{end:%H:%M}" if same_day else f"{end:%Y-%m-%d %H:%M}"
    return f"It ran for {duration_words(run_time(times))} ({start:%Y-%m-%d %H:%M} to {until} UTC)"


def _found(problem: ArchitectureProblem, rows: Sequence[Row], picked: int | None, rule: str) -> str:
    columns = [problem.column(name) for name in problem.objectives]
    formats = column_formats([*columns, *table_columns(problem)], rows)
    ranges = _joined(
        _range(c, [row.columns[c.name] for row in rows], formats[c.name]) for c in columns
    )
    networks = plural(len(rows), "network")
    if is_feasible(rows):
        text = f"It found a Pareto front of {networks}: {ranges}."
    else:
        verb = "is" if len(rows) == 1 else "are"
        text = (
            f"It found no network within the limits; {networks} {verb} closest to them: {ranges}."
        )
    if picked is None:
        return text
    of_pick = rows[picked].columns
    values = ", ".join(
        f"{name_in_text(c)} {_with_unit(c, formats[c.name](of_pick.get(c.name, np.nan)))}"
        for c in table_columns(problem)
    )
    return f"{text} It picked row {picked}, {rule}: {values}."


def _with_unit(column: Column, text: str) -> str:
    return f"{text} {column.unit}" if column.unit in ("%", "ms") else text


def _range(column: Column, values: Sequence[float], form: Callable[[float], str]) -> str:
    name, low, high = name_in_text(column), form(min(values)), form(max(values))
    if low == high:
        return f"{name} {_with_unit(column, low)}"
    return f"{name} from {low} to {_with_unit(column, high)}"


def _trained(problem: ArchitectureProblem, training: Training) -> str:
    by_name = {c.name: c for c in problem.columns}
    scores = ", ".join(
        f"{name_in_text(by_name[k])} {_with_unit(by_name[k], format_value(by_name[k], v))}"
        for k, v in training.scores.items()
        if k in by_name
    )
    return f"After training from scratch, its scores on the test set are: {scores}."


def trainings_section(
    problem: ArchitectureProblem, trainings: Sequence[Training], rows: Sequence[FrontRow]
) -> str:
    """Return a section with scores in the search and after training; empty without trainings."""
    complete = [t for t in trainings if t.scores]
    columns = [c for c in problem.columns if any(c.name in t.scores for t in complete)]
    if not columns:
        return ""
    titles = ["row"]
    for column in columns:
        titles += [f"{column_title(column)}, search", f"{column_title(column)}, test"]
    texts = []
    for training in complete:
        searched = {} if training.row is None else rows[training.row].columns
        texts.append(["-" if training.row is None else str(training.row)])
        for column in columns:
            for scores in (searched, training.scores):
                texts[-1].append(format_value(column, scores.get(column.name, np.nan)))
        texts[-1].append(training.folder.name)
    marked = [i for i, t in enumerate(complete) if t.row is not None and rows[t.row].picked]
    table = Table(
        [*titles, "folder"], texts, marked, "r" * len(titles) + "l", "Trainings from scratch"
    )
    notes = [correlation_with_training(rows, column.name) for column in columns]
    lead = (
        "Scores in the search and on the test set after training from scratch. In the search, "
        "networks are trained less or share weights, and are evaluated on other images."
    )
    return page.section(
        "After training from scratch",
        page.paragraph(lead),
        to_html(table),
        *map(page.paragraph, filter(None, notes)),
    )


def network_words(graph: Graph) -> list[str]:
    """Describe the nodes of a graph, one line each, such as "2: 3x3 max pooling of 0 and 1"."""
    lines = []
    for node in graph.nodes:
        sources: dict[str, list[str]] = {}
        for source, target, label in graph.edges:
            if target == node:
                # "0: c[k-2]" is an input; a line must not break at its minus sign
                name = source.rpartition(": ")[2].replace("-", "\N{MINUS SIGN}")
                sources.setdefault(OPERATIONS.get(label, label), []).append(name)
        parts = [
            f"{label} of {_joined(of)}" if label else _joined(of) for label, of in sources.items()
        ]
        if parts:
            lines.append(f"{node}: {' + '.join(parts)}")
    return lines


def size_words(problem: ArchitectureProblem, row: Row) -> str:
    """Describe the size of a network: its parameters, multiply-adds and input."""
    names = {"parameters": "parameters", "multiply-adds": "multiply-adds"}
    sizes = [
        f"{short_number(row.columns[c.name])} {names[c.unit]}"
        for c in problem.columns
        if c.is_size and np.isfinite(row.columns.get(c.name, np.nan))
    ]
    if problem.input_shape is not None:
        channels, height, width = problem.input_shape
        kind = {1: "gray", 3: "color"}.get(channels, f"{channels}-channel")
        sizes.append(f"input: {kind} images of {width}x{height} pixels")
    return "; ".join(sizes)
