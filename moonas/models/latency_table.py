"""Latency tables: the latencies of all layers of a search space, measured on one device.

With the objective ``latency_ms`` and the setting ``latency_table``, a search estimates the latency
of a network as the sum of the latencies of its layers. This sum ignores interactions between
layers, so this module also compares sums with measured latencies of complete networks.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..files import write_json
from ..files.reading import read_json
from ..metrics.rank_correlation import rank_correlation
from ..metrics.timing import BUSY_SPREAD, measure, summarize_times, time_forward_passes
from ..nets.devices import repeatable
from ..run.callbacks import Progress, progress_function
from ..run.numbers import plural
from ..run.versions import installed_versions

if TYPE_CHECKING:
    from ..nets.parts import Part
    from ..problem import ArchitectureProblem

SEED = 0  # for sampling networks to compare with sums


def measure_parts(
    problem: ArchitectureProblem,
    *,
    batch: int = 1,
    repeats: int = 30,
    on_progress: Progress | None = None,
    told: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Measure the latency of every part of a problem's search space.

    Args:
        problem: the problem, which determines the device and returns the parts in ``operations()``.
        batch: number of inputs per forward pass.
        repeats: number of timed forward passes per part, after a warm-up.
        on_progress: called with (phase, done, total, unit) before each part and at the end.
        told: deprecated; (done, total) -> None.

    Returns:
        The latency table, serializable as JSON: ``parts``, key of a part -> latency in
        milliseconds, the median of the fastest quarter of the passes; ``spread``, key of a part ->
        interquartile range of all passes in milliseconds; ``about``, a dict with ``problem``,
        ``device``, ``threads``, ``batch``, ``repeats`` and ``versions``.

    Raises:
        ValueError: if the problem has no parts.
    """
    report_progress = progress_function(on_progress, told)
    parts, settings = require_parts(problem), problem.settings
    latencies, spread = {}, {}
    with repeatable(settings.threads):
        for i, part in enumerate(parts):
            report_progress("measuring parts", i, len(parts), "parts")
            times = time_forward_passes(part.build(), part.shape, problem.device, batch, repeats)
            measured = summarize_times(times)
            latencies[part.key] = round(measured.latency_ms, 5)
            spread[part.key] = round(measured.spread * measured.latency_ms, 5)
    report_progress("measuring parts", len(parts), len(parts), "parts")
    about = {
        "problem": type(problem).__name__,
        "device": device_name(problem.device),
        "threads": settings.threads,
        "batch": batch,
        "repeats": repeats,
        "versions": installed_versions(),
    }
    return {"about": about, "parts": latencies, "spread": spread}


def require_parts(problem: ArchitectureProblem) -> list[Part]:
    """Return the parts of a problem's search space; raise a ``ValueError`` if there are none."""
    parts: list[Part] = list(problem.operations())
    if not parts:
        raise ValueError(
            f"{type(problem).__name__} does not support latency tables: its operations() returned "
            "no parts to measure."
        )
    return parts


def has_parts(problem: ArchitectureProblem) -> bool:
    """Return whether the networks of a problem consist of parts, as latency tables require."""
    architecture = problem.decode(problem.genes.high.astype(problem.genes.dtype))
    return problem.input_shape is not None and bool(problem.parts(architecture))


def why_unusable(problem: ArchitectureProblem) -> str | None:
    """Return why searches of a problem cannot use a latency table, one sentence; None if they can.

    Its parts can be measured nevertheless.
    """
    if not hasattr(problem.settings, "latency_table"):
        return f"Searches of {problem.name()} do not read latency tables."
    if not has_parts(problem):
        return (
            f"Searches of {problem.name()} cannot use a latency table, because "
            f"{type(problem).__name__}.parts() returns no parts of a network."
        )
    return None


def device_name(device: torch.device | str) -> str:
    """Return the model name of a GPU, or the instruction set of a CPU."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    import platform

    return f"cpu, {platform.machine()}"


def compare_with_networks(
    problem: ArchitectureProblem,
    table: Mapping[str, float],
    n: int,
    *,
    batch: int = 1,
    repeats: int = 30,
    on_progress: Progress | None = None,
    told: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Compare the estimated and the measured latencies of random architectures.

    Args:
        problem: the problem, with ``parts(architecture)`` and ``network(architecture)``.
        table: key of a part -> latency in milliseconds.
        n: number of networks.
        batch: number of inputs per forward pass.
        repeats: number of timed forward passes per network, after a warm-up.
        on_progress: called with (phase, done, total, unit) before each network and at the end.
        told: deprecated; (done, total) -> None.

    Returns:
        A dict: ``sums``, n estimated latencies in milliseconds; ``measured``, n measured latencies
        in milliseconds; ``spread``, n interquartile ranges of the passes in milliseconds;
        ``rank_correlation`` of the first two lists, in [-1, 1] or None; ``ratio``, the
        median of measured / sum; ``error_percent``, the median relative error of sum * ratio in
        percent.
    """
    report_progress = progress_function(on_progress, told)
    rng, shape = np.random.default_rng(SEED), problem.input_shape
    assert shape is not None
    rows = problem.operators()["sampling"].do(problem, n, random_state=rng).get("X")
    sums, measured, spread = np.zeros((3, len(rows)))
    with repeatable(problem.settings.threads):
        for i, x in enumerate(rows):
            report_progress("measuring networks", i, n, "networks")
            architecture = problem.decode(x)
            sums[i] = sum(table[part.key] for part in problem.parts(architecture))
            network = problem.network(architecture)
            result = measure(network, shape, problem.device, batch, repeats)
            measured[i], spread[i] = result.latency_ms, result.spread * result.latency_ms
    report_progress("measuring networks", n, n, "networks")
    ratio = float(np.median(measured / sums))
    return {
        "sums": sums.tolist(),
        "measured": measured.tolist(),
        "spread": spread.tolist(),
        "rank_correlation": rank_correlation(sums, measured),
        "ratio": ratio,
        "error_percent": float(100 * np.median(np.abs(sums * ratio - measured) / measured)),
    }


def summary(table: Mapping[str, Any]) -> list[str]:
    """Summarize a latency table as text.

    Args:
        table: the result of :func:`measure_parts`; the result of :func:`compare_with_networks` can
            be added as ``table["networks"]``.

    Returns:
        Lines of text. If other work used the device during a measurement, the last line says so.
    """
    about, parts = table["about"], table["parts"]
    extremes = f"{min(parts.values()):.3f} to {max(parts.values()):.3f} ms"
    if "spread" not in table:  # times that the user measured
        return [f"{plural(len(parts), 'part')} on {about['device']}: {extremes}."]
    spread = [table["spread"][key] / parts[key] if parts[key] else 0.0 for key in parts]
    lines = [
        f"Measured {plural(len(parts), 'part')} on {about['device']} with "
        f"{plural(about['threads'], 'thread')} and batch size {about['batch']}: {extremes} "
        f"(the fastest quarter of {plural(about['repeats'], 'pass', 'passes')}); the median "
        f"interquartile range is {100 * statistics.median(spread):.0f} % of the latency."
    ]
    comparison = table.get("networks")
    if comparison is None:
        lines.append("Networks of this problem do not consist of parts, so no sums were compared.")
        return lines + _busy_lines(spread)
    correlation = comparison["rank_correlation"]
    order = "" if correlation is None else f"rank correlation {correlation:.2f}; "
    lines.append(
        f"Sums compared with {plural(len(comparison['sums']), 'measured network')}: {order}the "
        f"latency of a network is {comparison['ratio']:.2f} times the sum of its parts (median), "
        f"with a median error of {comparison['error_percent']:.0f} %."
    )
    pairs = zip(comparison.get("spread", ()), comparison["measured"], strict=False)
    return lines + _busy_lines(spread, [iqr / latency for iqr, latency in pairs])


def _busy_lines(parts: Sequence[float], networks: Sequence[float] = ()) -> list[str]:
    """Return a line that says how many measurements other work disturbed, if any.

    Args:
        parts: spread of each part, relative to its latency.
        networks: spread of each network, relative to its latency.
    """
    counted = [
        (sum(s > BUSY_SPREAD for s in spreads), len(spreads)) for spreads in (parts, networks)
    ]
    if not any(n_busy for n_busy, _ in counted):
        return []
    nouns = zip(counted, ("part", "network"), strict=True)
    texts = [f"{n_busy} of {plural(n, noun)}" for (n_busy, n), noun in nouns if n]
    return [
        f"The machine seemed busy when {' and '.join(texts)} were measured (interquartile range "
        f"above {100 * BUSY_SPREAD:.0f} % of the latency), so their latencies may be too high. "
        "Repeat this on an idle machine."
    ]


def write_latency_table(table: Mapping[str, Any], path: Path) -> None:
    """Write a latency table as a JSON file, for the setting ``latency_table``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, table)


def read_latency_table(path: str | Path, keys: Iterable[str]) -> dict[str, float]:
    """Read a file that :func:`write_latency_table` has written.

    Args:
        path: path of a JSON file {"parts": {key: ms}, ...}.
        keys: keys of the parts that the file must contain.

    Returns:
        Key of a part -> latency in milliseconds.

    Raises:
        ValueError: if the file is missing, is not a latency table, or has no entry for a part.
    """
    if not Path(path).exists():
        raise ValueError(f"latency_table={str(path)!r} is invalid: the file is missing.")
    try:
        parts = read_json(path)["parts"]
        table = {str(key): float(value) for key, value in parts.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(
            f"{path} is not a latency table: expected JSON of the form "
            '{"parts": {PART: MILLISECONDS}}.'
        ) from None
    missing = sorted(set(keys) - set(table))
    if missing:
        raise ValueError(
            f"{path} lacks {plural(len(missing), 'part')} of this search space, for example "
            f"{missing[0]!r}. The table was measured with other channels, layers or images."
        )
    return table
