"""How well do cheap proxies rank architectures? (NSGANetV1, section V-F and figures 12b to 12d)

A search that trains each candidate from scratch uses a proxy: a network with fewer channels, fewer
layers or fewer epochs than the network that is wanted in the end. This module trains the same
random architectures at full scale and with each proxy, and computes the rank correlation of their
errors, and how much time the proxy saves.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..algorithms.named import algorithm
from ..errors import SearchFailed
from ..evaluators.scratch import ScratchEvaluator
from ..files import save_figure, write_csv, write_json
from ..metrics.rank_correlation import correlation_interval, rank_correlation
from ..registry import load_problem, preset_options, settings_class
from ..run.callbacks import Progress, RunCallback, progress_function
from ..run.journal import read_run
from ..run.search import search
from ..settings import names_of
from ..views.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..problem import ArchitectureProblem

FULL = "full scale"
FULL_FOLDER = FULL.replace(" ", "-")
TIME_FILE = "elapsed.json"  # seconds of all processes that worked on a scale, see _score


@dataclass(frozen=True)
class Proxy:
    """The scores of architectures with one value of one setting.

    Args:
        setting: name of the setting; "full scale" for the reference.
        value: value of the setting; None for the reference.
        errors: (n,) errors of the architectures in %; NaN for a training that diverged.
        seconds: time to train and evaluate all architectures; NaN if it is not known.
    """

    setting: str
    value: Any
    errors: np.ndarray
    seconds: float

    @property
    def label(self) -> str:
        """Name and value of the setting."""
        return self.setting if self.value is None else f"{self.setting}={self.value}"


@dataclass(frozen=True)
class ProxyComparison:
    """Result of :func:`compare_proxies`.

    Args:
        problem: name of the problem.
        quality: name of the column that is ranked, such as ``error``.
        full: scores at full scale.
        proxies: scores of each proxy.
        folder: folder of the results.
    """

    problem: str
    quality: str
    full: Proxy
    proxies: Sequence[Proxy]
    folder: Path

    def correlation(self, proxy: Proxy) -> float:
        """Return the rank correlation of a proxy with the full scale, in [-1, 1]; else NaN."""
        rows = self._comparable(proxy)
        value = rank_correlation(proxy.errors[rows], self.full.errors[rows])
        return math.nan if value is None else value

    def _comparable(self, proxy: Proxy) -> np.ndarray:
        """Return (n,) bool: architectures with an error both of the proxy and at full scale."""
        comparable: np.ndarray = np.isfinite(proxy.errors) & np.isfinite(self.full.errors)
        return comparable

    def interval(self, proxy: Proxy) -> tuple[float, float]:
        """Return an interval of 95 %, see :func:`.rank_correlation.correlation_interval`."""
        return correlation_interval(self.correlation(proxy), int(self._comparable(proxy).sum()))

    def saved(self, proxy: Proxy) -> float:
        """Return the share of the time of the full scale that a proxy saves, in %."""
        return 100 * (1 - proxy.seconds / self.full.seconds)


def compare_proxies(
    problem: str,
    vary: Mapping[str, Sequence[Any]],
    *,
    out: str | Path,
    architectures: int = 30,
    seed: int = 1,
    preset: str | None = None,
    on_progress: Progress | None = None,
    **options: Any,
) -> ProxyComparison:
    """Train random architectures at full scale and with proxies, and correlate their errors.

    Each proxy differs from the full scale in one setting. Results are recorded in ``out``; the same
    call resumes after an interruption and repeats no training.

    Args:
        problem: name of a problem that trains each candidate from scratch.
        vary: name of a setting, such as channels, layers or proxy_epochs -> its values.
        out: folder of the results: one run folder for each value, ``proxies.csv``, with a row for
            each value, ``errors.csv``, with a row for each architecture, and ``proxies.png``.
        architectures: number of random architectures, at least 3; the paper has 100.
        seed: seed of the architectures and of their trainings.
        preset: preset of the full scale.
        on_progress: called with (phase, done, total, unit) for each scale and each architecture.
        options: settings of the full scale.

    Raises:
        ValueError: the problem does not train candidates from scratch, or a setting is invalid.
    """
    settings = settings_class(problem)
    known = names_of(settings)
    unknown = sorted(set(vary) - set(known))
    if unknown:
        raise ValueError(f"Unknown setting {unknown[0]!r}; choose from {known}.")
    if not any(vary.values()):
        raise ValueError("vary={} is invalid: expected at least one value of a setting.")
    if architectures < 3:
        raise ValueError(
            f"architectures={architectures} is invalid: expected at least 3, as fewer have no rank "
            "correlation."
        )
    out = Path(out)
    full_options = preset_options(settings, preset) | options
    values = [(name, value) for name, chosen in vary.items() for value in chosen]
    scales = [(FULL, None, full_options)]
    scales += [(name, value, full_options | {name: value}) for name, value in values]
    # all problems, so that an invalid value is reported before any training
    problems = [load_problem(problem, **scale_options) for _, _, scale_options in scales]
    if not all(isinstance(scale.evaluator, ScratchEvaluator) for scale in problems):
        raise ValueError(
            f"{problem} does not train each candidate from scratch with these settings, so it has "
            "no proxies."
        )
    full = problems[0]
    X = _distinct(full, architectures, np.random.default_rng(seed))
    report_progress = progress_function(on_progress)
    scored: list[Proxy] = []
    for i, (name, value, scale_options) in enumerate(scales):
        report_progress("full scale and proxies", i, len(scales), "settings")
        folder = out / (FULL_FOLDER if value is None else f"{name}={value}")
        errors, seconds = _score(problem, scale_options, X, folder, seed, report_progress)
        scored.append(Proxy(name, value, errors, seconds))
    report_progress("full scale and proxies", len(scales), len(scales), "settings")
    quality = full.columns[0].name
    result = ProxyComparison(problem, quality, scored[0], scored[1:], out)
    _write(result, [str(full.decode(x)) for x in X])
    return result


def _distinct(problem: ArchitectureProblem, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return (n, n_var) rows of random, different architectures."""
    rows: dict[Any, np.ndarray] = {}
    for _ in range(100):
        X = problem.operators()["sampling"].do(problem, n, random_state=rng).get("X")
        rows |= {problem.decode(x): x for x in X if problem.decode(x) not in rows}
        if len(rows) >= n:
            return np.array(list(rows.values())[:n])
    raise ValueError(
        f"architectures={n} is invalid: {100 * n} random rows of this search space contained only "
        f"{len(rows)} different architectures."
    )


class _Clock(RunCallback):
    """Passes the progress of one scale on, and adds up the time of all processes that worked on it.

    Args:
        path: file of the time, written after each architecture.
        report_progress: function to call with the progress.
    """

    def __init__(self, path: Path, report_progress: Progress) -> None:
        self._path, self._report_progress = path, report_progress
        self._before = json.loads(path.read_text())["seconds"] if path.exists() else 0.0
        self._start = time.perf_counter()

    def on_progress(self, phase: str, done: int, total: int, unit: str) -> None:
        write_json(self._path, {"seconds": self._before + time.perf_counter() - self._start})
        self._report_progress(phase, done, total, unit)


def _score(
    name: str,
    options: Mapping[str, Any],
    X: np.ndarray,
    folder: Path,
    seed: int,
    report_progress: Progress,
) -> tuple[np.ndarray, float]:
    """Train and evaluate architectures with one scale, or resume.

    Returns:
        Their (n,) errors in %, NaN if a training diverged; and the time in seconds, summed over
        interrupted calls.
    """
    problem = load_problem(name, journal=folder, **options)
    path = folder / TIME_FILE
    problem.evaluator.begin(seed)  # loads the images before the clock starts
    problem.callbacks.append(_Clock(path, report_progress))
    try:
        random_search = algorithm("random", problem, population=len(X), sampling=X)
        search(problem, random_search, seed=seed, generations=1, verbose=False)
    except SearchFailed:  # all trainings diverged, which is recorded like other results
        if folder.name == FULL_FOLDER:
            raise
    finally:
        problem.journal.close()
    seconds = json.loads(path.read_text())["seconds"] if path.exists() else math.nan
    (call,) = [call for call in read_run(folder)[1] if call["kind"] == "score"]
    failed = np.asarray(call["result"]["failed"], bool)
    errors = np.asarray(call["result"][problem.columns[0].name], float)
    return np.where(failed, math.nan, errors), seconds


def proxy_table(comparison: ProxyComparison) -> Table:
    """Return a table with a row for each proxy."""
    n = len(comparison.full.errors)
    rows = [
        [
            proxy.label,
            f"{comparison.correlation(proxy):.2f}",
            "-" if math.isnan(low) else f"{low:.2f} to {high:.2f}",
            f"{proxy.seconds / n:.1f}",
            f"{comparison.saved(proxy):.0f} %",
        ]
        for proxy in comparison.proxies
        for low, high in [comparison.interval(proxy)]
    ]
    return Table(
        ["proxy", "rank correlation", "95 %", "seconds", "time saved"],
        rows,
        title=f"Proxies of {comparison.problem}, {n} random architectures",
        caption=f"{FULL}: {comparison.full.seconds / n:.1f} seconds per architecture",
    )


def plot_proxies(comparison: ProxyComparison) -> Figure:
    """Plot rank correlation and saved time over the values of each setting (figures 12b to 12d)."""
    from .. import plot
    from ..plot.style import create_figure

    settings = list(dict.fromkeys(proxy.setting for proxy in comparison.proxies))
    size = (4.2 * len(settings), 3.6)
    figure: Figure
    figure, rows = create_figure(size, columns=len(settings), squeeze=False, sharey=True)
    for axes, setting in zip(rows[0], settings, strict=True):
        proxies = [proxy for proxy in comparison.proxies if proxy.setting == setting]
        plot.proxies(
            axes,
            [str(proxy.value) for proxy in proxies],
            [comparison.saved(proxy) / 100 for proxy in proxies],
            [comparison.correlation(proxy) for proxy in proxies],
            [comparison.interval(proxy) for proxy in proxies],
            xlabel=setting,
        )
    lows = [(comparison.interval(p)[0], comparison.correlation(p)) for p in comparison.proxies]
    rows[0, 0].set_ylim(
        np.nan_to_num(lows).min(initial=0.0) - 0.05, 1.05
    )  # of all axes, which share it
    rows[0, 0].set_ylabel("rank correlation; share of the time")
    handles, labels = rows[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    return figure


def _write(comparison: ProxyComparison, descriptions: Sequence[str]) -> None:
    """Write both tables and the figure."""
    proxies = [
        {
            "setting": proxy.setting,
            "value": proxy.value,
            "rank_correlation": comparison.correlation(proxy),
            **dict(zip(("low", "high"), comparison.interval(proxy), strict=True)),
            "seconds": proxy.seconds,
            "saved_percent": comparison.saved(proxy),
        }
        for proxy in comparison.proxies
    ]
    write_csv(comparison.folder / "proxies.csv", proxies)
    scales = [comparison.full, *comparison.proxies]
    architectures = [
        {"architecture": text} | {scale.label: float(scale.errors[i]) for scale in scales}
        for i, text in enumerate(descriptions)
    ]
    write_csv(comparison.folder / "errors.csv", architectures)
    save_figure(plot_proxies(comparison), comparison.folder / "proxies.png")
