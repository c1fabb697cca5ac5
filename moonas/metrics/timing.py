"""Inference time, measured on a device."""

import statistics
import time
from collections.abc import Sequence

import torch
from torch import nn

WARM_UP = 3  # passes before the clock starts


def measure_latency(
    module: nn.Module,
    shape: Sequence[int],
    device: torch.device | str,
    batch: int = 1,
    repeats: int = 15,
) -> float:
    """Median latency of a module for one batch, in milliseconds; see :func:`time_passes`."""
    return statistics.median(time_passes(module, shape, device, batch, repeats))


@torch.inference_mode()
def time_passes(
    module: nn.Module,
    shape: Sequence[int],
    device: torch.device | str,
    batch: int = 1,
    repeats: int = 15,
) -> list[float]:
    """Latency of each of ``repeats`` forward passes of a module, in milliseconds.

    Args:
        module: moved to the device and left in evaluation mode.
        shape: of one input, without the batch.
        device: to measure on.
        batch: inputs per pass.
        repeats: timed passes, after ``WARM_UP`` untimed ones.
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
