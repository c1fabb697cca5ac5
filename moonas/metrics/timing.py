"""Inference time: measured on a device, or summed up from a table of parts."""

import json
import statistics
import time
from pathlib import Path

import torch

WARM_UP = 3  # passes before the clock starts


def measure_latency(module, shape, device, batch=1, repeats=15):
    """Milliseconds that a module takes for one batch: the median of :func:`time_passes`."""
    return statistics.median(time_passes(module, shape, device, batch, repeats))


@torch.inference_mode()
def time_passes(module, shape, device, batch=1, repeats=15):
    """Milliseconds of each of ``repeats`` passes of a module, a list.

    Args:
        module: in evaluation mode afterwards.
        shape: of one input, without the batch.
        device: where it is moved and measured.
        batch: inputs a pass.
        repeats: timed passes, after ``WARM_UP`` that are not.
    """
    device = torch.device(device)
    module = module.to(device).eval()
    x = torch.zeros(batch, *shape, device=device)
    times = []
    for turn in range(WARM_UP + repeats):
        started = time.perf_counter()
        module(x)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if turn >= WARM_UP:
            times.append(1000 * (time.perf_counter() - started))
    return times


def read_latency_table(path, keys):
    """The milliseconds of every part of a space, from a JSON file {"parts": {key: ms}, ...}.

    Args:
        path: of the file.
        keys: the parts that have to be there.

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
