"""The page of one run: what was asked, what was found, how it went. It reads the run folder alone.

A run that still goes on can be shown, too: the page has what it has recorded so far.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .. import registry
from ..files import save_figure, write_atomically
from ..pareto import Row, hypervolume, nondominated
from ..run import front_file
from ..run.journal import read_run, read_times
from ..run.progress import clock
from ..task import last_run
from . import page
from .drawing import ACCENT, QUIET, draw_graph, finish, one_plot
from .front import front_picture, listed, name_axes, shown, title_of

PAGE = "report.html"
PHASES = {
    "train": "training",
    "score": "scoring",
    "score before": "scoring before the training",
    "final test": "the final test",
}
TURNS = LinearSegmentedColormap.from_list("turns", [QUIET, ACCENT])  # from first to last
PICTURES = 12  # of a run folder, at most


@dataclass(frozen=True)
class Scored:
    """What one call of a run has scored.

    Args:
        X: (n, n_var).
        columns: name -> (n,) floats, those of candidates that failed left out.
        n: candidates, the failed ones included.
    """

    X: np.ndarray
    columns: dict
    n: int


def show(run):
    """Write report.html, and its pictures as PNG, into a run folder.

    Args:
        run: folder of a run, or of the stages of a search: then of the last stage.

    Returns:
        The path of the page.

    Raises:
        ValueError: the folder holds no run, or a damaged one.
    """
    folder, name = last_run(run)
    head, records = read_run(folder)
    known = registry.entries().get(name)
    if isinstance(known, registry.ProblemEntry):
        problem = registry.stage_module(name).build(**head["settings"] | {"device": "cpu"})
        sections = _search_sections(problem, folder, records)
    else:
        sections = [_pictures(folder)]
    sections += [_time(folder), _asked(head)]
    where = head["settings"].get("data", "")
    lead = f"On {where}, seed {head['seed']}: {head['algorithm']}. {len(records)} calls recorded."
    path = folder / PAGE
    write_atomically(path, page.page(name, lead, *filter(None, sections)).encode())
    return path


def read_scores(problem, records):
    """What a run has scored, a list of :class:`Scored`, in order: call by call.

    Where scores move, calls under the same weights are one.

    Args:
        problem: that was searched.
        records: of its journal.
    """
    found, trainings = {}, 0
    names = [column.name for column in problem.columns]
    for record in records:
        trainings += record["kind"] == "train"
        if record["kind"] != "score":
            continue
        X = np.stack([problem.genes.of_plain(x) for x in record["request"]["x"]])
        good = ~np.array(record["result"]["failed"], bool)
        columns = {
            name: np.array(record["result"][name], float)[good]
            for name in names
            if name in record["result"]
        }
        scored = Scored(X[good], columns, len(X))
        turn = trainings if problem.moves else record["call"]
        found[turn] = _joined(found[turn], scored) if turn in found else scored
    return list(found.values())


def _joined(first, second):
    columns = {k: np.concatenate([v, second.columns[k]]) for k, v in first.columns.items()}
    return Scored(np.concatenate([first.X, second.X]), columns, first.n + second.n)


def _search_sections(problem, folder, records):
    every = read_scores(problem, records)
    scores = [s for s in every if len(s.X)]
    if not scores:
        why = "All candidates failed." if every else "Nothing has been scored yet."
        return [page.section("The front", page.paragraph(why))]
    rows, picked = _front(problem, folder, scores)
    last = scores[-1].columns if problem.moves else _all_of(scores)
    figure, tips = front_picture(problem, last, rows, picked)
    save_figure(figure, folder / "front.png", dpi=150)
    pick = "the search goes on" if picked is None else f"picked: {problem.picked_as}"
    n = f"{len(rows)} candidate{'s' * (len(rows) != 1)}"
    caption = f"{n}; {pick}. Point at one for all that is known of it."
    table = _front_table(problem, rows, picked)
    return [
        page.section("The front", page.picture(figure, caption, tips), table),
        _how_it_went(problem, folder, scores),
        _graphs(problem, folder, rows, picked),
        _pictures(folder),
    ]


def _all_of(scores):
    return {k: np.concatenate([s.columns[k] for s in scores]) for k in scores[0].columns}


def _front(problem, folder, scores):
    """The rows of a front, and which is picked: those of front.csv where the search has ended."""
    if (folder / front_file.NAME).exists():
        left = front_file.read_front_csv(folder)
        rows = [
            _row(problem, r.x, problem.architecture_from_json(r.architecture), r.columns)
            for r in left
        ]
        return rows, next((i for i, row in enumerate(left) if row.picked), None)
    chosen = scores[-1:] if problem.moves else scores
    X, columns = np.concatenate([s.X for s in chosen]), _all_of(chosen)
    _, first = np.unique(X, axis=0, return_index=True)
    F = np.column_stack([columns[name] for name in problem.objectives])[first]
    kept = first[nondominated(F)]
    rows = [
        _row(problem, X[i], problem.decode(X[i]), {k: float(v[i]) for k, v in columns.items()})
        for i in kept
    ]
    return sorted(rows, key=lambda row: row.columns[problem.shown[1]]), None


def _row(problem, x, architecture, columns):
    return Row(x, architecture, {name: columns[name] for name in problem.objectives}, columns)


def _front_table(problem, rows, picked):
    columns = listed(problem)
    titles = ["row", *map(title_of, columns), problem.in_words]
    texts = [
        [str(i), *(shown(c, row.columns[c.name]) for c in columns), str(row.architecture)]
        for i, row in enumerate(rows)
    ]
    return page.table(titles, texts, marked=() if picked is None else (picked,))


def _how_it_went(problem, folder, scores):
    """The population over the calls that scored it, and its hypervolume."""
    first, second = problem.shown
    figure, axes = one_plot()
    turns = np.concatenate([np.full(len(s.X), i + 1) for i, s in enumerate(scores)])
    everyone = _all_of(scores)
    drawn = axes.scatter(everyone[second], everyone[first], c=turns, s=14, cmap=TURNS, alpha=0.9)
    ticks = MaxNLocator(integer=True)
    bar = figure.colorbar(drawn, ax=axes, label="scored in call", ticks=ticks)
    bar.outline.set_visible(False)
    name_axes(axes, problem.column(second), problem.column(first))
    finish(axes)
    save_figure(figure, folder / "population.png", dpi=150)
    whom = "Parents and offspring" if problem.moves else "Candidates"
    candidates = page.picture(figure, f"{whom}, from the first that were scored to the last.")

    bounds, seen, values = problem.objective_bounds(), [], []
    for s in scores:
        F = np.column_stack([s.columns[name] for name in problem.objectives])
        seen = [F] if problem.moves else [*seen, F]
        values.append(hypervolume(np.concatenate(seen), bounds))
    figure, axes = one_plot()
    evaluations = np.cumsum([s.n for s in scores])
    axes.step(evaluations, values, where="post", color=ACCENT, marker="o", ms=3)
    axes.set(xlabel="evaluations", ylabel="hypervolume")
    finish(axes)
    save_figure(figure, folder / "hypervolume.png", dpi=150)
    of = "of those scored in a call, under the weights of then" * problem.moves
    of = of or "of all that was scored so far"
    growth = page.picture(figure, f"Hypervolume {of}, a share of the problem's bounds.")
    return page.section("How it went", page.row(candidates, growth))


def _graphs(problem, folder, rows, picked):
    """The picked architecture and the two ends of the front, drawn."""
    if not rows:
        return ""
    ends = [] if picked is None else [(picked, "picked")]
    for name in problem.shown:
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


def _graph(graph):
    n = len(graph.nodes)
    figure, axes = one_plot((0.95 * (n + 1), 2.6))
    draw_graph(axes, graph)
    return figure


def _save_graphs(drawings, path):
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


def _pictures(folder):
    """Other pictures that the run has left, such as images of a GAN."""
    own = {"front.png", "population.png", "hypervolume.png", "architectures.png", "time.png"}
    paths = sorted(path for path in folder.glob("*.png") if path.name not in own)
    if not paths:
        return ""
    places = np.unique(np.round(np.linspace(0, len(paths) - 1, PICTURES)).astype(int))
    chosen = [paths[i] for i in places]
    return page.section("Pictures", page.row(*(page.image(p.read_bytes(), p.name) for p in chosen)))


def _time(folder):
    """Where the time of a run went."""
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
    rows = [[phase, clock(seconds)] for phase, seconds in spent.items()]
    said = (
        f"From {begun[0]:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC; in calls "
        f"{clock(sum(spent.values()))}."
    )
    return page.section(
        "Time",
        page.paragraph(said),
        page.row(page.picture(figure, "By what was done."), page.table(["phase", "time"], rows)),
    )


def _asked(head):
    """Settings, and the versions of what ran."""
    settings = [[k, _words(v)] for k, v in head["settings"].items()]
    versions = [[k, _words(v)] for k, v in head["versions"].items()]
    return page.section(
        "Settings",
        page.row(
            page.table(["setting", "value"], settings), page.table(["what", "version"], versions)
        ),
    )


def _words(value):
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "none" if value is None else str(value)
