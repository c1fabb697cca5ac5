"""Measured inference latency of networks."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import torch
from torch import nn

WARM_UP = 3  # forward passes that are not timed


def measure_latency(
    module: nn.Module,
    shape: Sequence[int],
    device: torch.device | str,
    batch: int = 1,
    repeats: int = 15,
) -> float:
    """Return the median latency of one forward pass in milliseconds, see :func:`time_passes`."""
    return statistics.median(time_passes(module, shape, device, batch, repeats))


@torch.inference_mode()
def time_passes(
    module: nn.Module,
    shape: Sequence[int],
    device: torch.device | str,
    batch: int = 1,
    repeats: int = 15,
) -> list[float]:
    """Measure the latency of each of several forward passes, after ``WARM_UP`` untimed ones.

    Args:
        module: network to measure; it is moved to the device and set to evaluation mode.
        shape: shape of one input, without the batch dimension.
        device: device to measure on.
        batch: number of inputs per forward pass.
        repeats: number of timed forward passes.

    Returns:
        ``repeats`` latencies in milliseconds.
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
