"""Latency tables: the latency of every operation of a space on a device, measured, written, read.

A search with ``latency_ms`` and ``latency_table`` adds up the parts of a network. Sums leave out
what happens between the parts, so they are compared here with the latency of whole networks.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..files import write_json
from ..metrics.rank_correlation import rank_correlation
from ..metrics.timing import measure_latency, time_passes
from ..nets.devices import repeatable
from ..run.callbacks import Progress, progress_function
from ..run.versions import installed_versions

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem

SEED = 0  # of the random networks whose latency is compared with sums


def measure_parts(
    problem: ArchitectureProblem,
    *,
    batch: int = 1,
    repeats: int = 30,
    on_progress: Progress | None = None,
    told: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Measure every part of a problem's space on its device.

    Args:
        problem: its ``operations()`` are parts with ``key``, ``shape`` and ``build()``.
        batch: inputs per pass.
        repeats: timed passes per part, after a warm-up.
        on_progress: called with (phase, done, total, unit), before each part and at the end.
        told: deprecated; (done, total) -> None.

    Returns:
        A dict that JSON can hold: parts, the median milliseconds by key; spread, the interquartile
        range by key; and about: device, threads, batch, repeats, versions.
    """
    report_progress = progress_function(on_progress, told)
    parts, settings = problem.operations(), problem.settings
    if not parts:
        raise ValueError(
            f"{type(problem).__name__} lists no parts of its networks (operations()), so there is "
            "nothing to measure."
        )
    medians, spread = {}, {}
    with repeatable(settings.threads):
        for i, part in enumerate(parts):
            report_progress("measuring parts", i, len(parts), "parts")
            times = time_passes(part.build(), part.shape, problem.device, batch, repeats)
            low, middle, high = statistics.quantiles(times, n=4)
            medians[part.key], spread[part.key] = round(middle, 5), round(high - low, 5)
    report_progress("measuring parts", len(parts), len(parts), "parts")
    about = {
        "problem": type(problem).__name__,
        "device": device_name(problem.device),
        "threads": settings.threads,
        "batch": batch,
        "repeats": repeats,
        "versions": installed_versions(),
    }
    return {"about": about, "parts": medians, "spread": spread}


def has_parts(problem: ArchitectureProblem) -> bool:
    """Whether latencies of parts add up to that of a network, so that a table is of use."""
    architecture = problem.decode(problem.genes.high.astype(problem.genes.dtype))
    return problem.input_shape is not None and bool(problem.parts(architecture))


def device_name(device: torch.device | str) -> str:
    """The name of a device's hardware."""
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
    """Compare the sums of a table with the latency of whole networks of random architectures.

    Args:
        problem: its ``network(architecture)`` is measured, its ``parts(architecture)`` are summed.
        table: milliseconds by key.
        n: networks.
        batch: inputs per pass.
        repeats: timed passes per network, after a warm-up.
        on_progress: called with (phase, done, total, unit), before each network and at the end.
        told: deprecated; (done, total) -> None.

    Returns:
        A dict: sums and measured, lists of ms; rank_correlation of the two, or None; ratio, the
        median of measured by sum; error_percent, the median absolute error of the sum times that
        ratio.
    """
    report_progress = progress_function(on_progress, told)
    rng, shape = np.random.default_rng(SEED), problem.input_shape
    drawn = problem.operators()["sampling"].do(problem, n, random_state=rng).get("X")
    sums, measured = [], []
    with repeatable(problem.settings.threads):
        for i, x in enumerate(drawn):
            report_progress("measuring networks", i, n, "networks")
            architecture = problem.decode(x)
            sums.append(sum(table[part.key] for part in problem.parts(architecture)))
            network = problem.network(architecture)
            measured.append(measure_latency(network, shape, problem.device, batch, repeats))
    report_progress("measuring networks", n, n, "networks")
    sums, measured = np.array(sums), np.array(measured)
    ratio = float(np.median(measured / sums))
    return {
        "sums": sums.tolist(),
        "measured": measured.tolist(),
        "rank_correlation": rank_correlation(sums, measured),
        "ratio": ratio,
        "error_percent": float(100 * np.median(np.abs(sums * ratio - measured) / measured)),
    }


def summary(table: Mapping[str, Any]) -> list[str]:
    """A summary of a table, a list of lines."""
    about, parts = table["about"], table["parts"]
    spread = [table["spread"][key] / parts[key] for key in parts if parts[key] > 0]
    lines = [
        f"{len(parts)} parts on {about['device']}, {about['threads']} threads, batches of "
        f"{about['batch']}, medians of {about['repeats']}: {min(parts.values()):.3f} to "
        f"{max(parts.values()):.3f} ms, quartiles {100 * statistics.median(spread):.0f} % apart."
    ]
    found = table.get("networks")
    if found is None:
        return [*lines, "Networks of this problem are no sums of parts; nothing to compare."]
    correlation = found["rank_correlation"]
    order = "" if correlation is None else f"rank correlation {correlation:.2f}; "
    lines.append(
        f"Sums beside {len(found['sums'])} measured networks: {order}a network takes "
        f"{found['ratio']:.2f} times the sum of its parts, and {found['error_percent']:.0f} % more "
        "or less than that (median)."
    )
    return lines


def write_latency_table(table: Mapping[str, Any], path: Path) -> None:
    """Write a table as JSON, for ``latency_table=``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, table)


def read_latency_table(path: str | Path, keys: Iterable[str]) -> dict[str, float]:
    """Read the latency of every part of a space from a file that :func:`write_latency_table` wrote.

    Args:
        path: of a JSON file {"parts": {key: ms}, ...}.
        keys: the parts that the file must have.

    Returns:
        Milliseconds by key.

    Raises:
        ValueError: the file is missing, is no such table, or lacks a part.
    """
    try:
        parts = json.loads(Path(path).read_text(encoding="utf-8"))["parts"]
        table = {str(key): float(value) for key, value in parts.items()}
    except FileNotFoundError:
        raise ValueError(f"latency_table={str(path)!r} is not there.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(
            f"{path} is no latency table: expected JSON with 'parts', from part to milliseconds."
        ) from None
    missing = sorted(set(keys) - set(table))
    if missing:
        raise ValueError(
            f"{path} lacks {len(missing)} parts of this space, the first of them {missing[0]!r}. "
            "It was made for other channels, layers or images."
        )
    return table
