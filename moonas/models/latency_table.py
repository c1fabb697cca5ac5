"""How long every operation of a space takes on a device, and whether sums of them mean anything.

A search with ``latency_ms`` and ``latency_table`` adds up the parts of a network. Sums leave out
what happens between the parts, so they are compared here with whole networks that are measured.
"""

import statistics

import numpy as np
import torch
from scipy.stats import spearmanr

from ..files import write_json
from ..metrics.timing import measure_latency, time_passes
from ..nets.devices import repeatable
from ..run.versions import installed_versions

SEED = 0  # of the networks that sums are compared with


def measure_parts(problem, *, batch=1, repeats=30, told=None):
    """A table of the parts of a problem's space on its device.

    Args:
        problem: gives ``operations()``, parts with ``key``, ``shape`` and ``build()``.
        batch: inputs a pass.
        repeats: passes of each part, after some that do not count.
        told: (done, of how many) -> None.

    Returns:
        A dict that JSON can hold: parts, milliseconds by key (medians), spread, the distance of
        the quartiles by key, and about: device, threads, batch, repeats, versions.
    """
    parts, settings = problem.operations(), problem.settings
    medians, spread = {}, {}
    with repeatable(settings.threads):
        for i, part in enumerate(parts):
            if told is not None:
                told(i, len(parts))
            times = time_passes(part.build(), part.shape, problem.device, batch, repeats)
            low, middle, high = statistics.quantiles(times, n=4)
            medians[part.key], spread[part.key] = round(middle, 5), round(high - low, 5)
    if told is not None:
        told(len(parts), len(parts))
    about = {
        "problem": type(problem).__name__,
        "device": device_in_words(problem.device),
        "threads": settings.threads,
        "batch": batch,
        "repeats": repeats,
        "versions": installed_versions(),
    }
    return {"about": about, "parts": medians, "spread": spread}


def device_in_words(device):
    """A device by the name of its hardware."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    import platform

    return f"cpu, {platform.machine()}"


def compare_with_networks(problem, table, n, *, batch=1, repeats=30, told=None):
    """Sums of a table beside whole networks that are measured, of random architectures.

    Args:
        problem: gives ``network(architecture)`` and ``parts(architecture)``.
        table: milliseconds by key.
        n: networks.
        batch, repeats, told: as of :func:`measure_parts`.

    Returns:
        A dict: sums and measured, lists of ms; rank_correlation, Spearman's; ratio, the median of
        measured by sum; error_percent, the median absolute error of the sum times that ratio.
    """
    rng, info = np.random.default_rng(SEED), problem.info
    drawn = problem.operators()["sampling"].do(problem, n, random_state=rng).get("X")
    shape = info.channels, info.side, info.side
    sums, measured = [], []
    with repeatable(problem.settings.threads):
        for i, x in enumerate(drawn):
            if told is not None:
                told(i, n)
            architecture = problem.decode(x)
            sums.append(sum(table[part.key] for part in problem.parts(architecture)))
            network = problem.network(architecture)
            measured.append(measure_latency(network, shape, problem.device, batch, repeats))
    if told is not None:
        told(n, n)
    sums, measured = np.array(sums), np.array(measured)
    ratio = float(np.median(measured / sums))
    return {
        "sums": sums.tolist(),
        "measured": measured.tolist(),
        "rank_correlation": float(spearmanr(sums, measured).statistic) if n > 2 else None,
        "ratio": ratio,
        "error_percent": float(100 * np.median(np.abs(sums * ratio - measured) / measured)),
    }


def lines(table):
    """What a table says of itself, a list of lines."""
    about, parts = table["about"], table["parts"]
    spread = [table["spread"][key] / parts[key] for key in parts if parts[key] > 0]
    said = [
        f"{len(parts)} parts on {about['device']}, {about['threads']} threads, batches of "
        f"{about['batch']}, medians of {about['repeats']}: {min(parts.values()):.3f} to "
        f"{max(parts.values()):.3f} ms, quartiles {100 * statistics.median(spread):.0f} % apart."
    ]
    found = table.get("networks")
    if found is None:
        return [*said, "Networks of this problem are no sums of parts; nothing to compare."]
    correlation = found["rank_correlation"]
    order = "" if correlation is None else f"rank correlation {correlation:.2f}; "
    said.append(
        f"Sums beside {len(found['sums'])} measured networks: {order}a network takes "
        f"{found['ratio']:.2f} times the sum of its parts, and {found['error_percent']:.0f} % more "
        "or less than that (median)."
    )
    return said


def write_table(table, path):
    """Write a table as JSON, for ``latency_table=``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, table)
