"""Measurement of the inference latency of networks."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import torch
from torch import nn

N_WARM_UP_PASSES = 3  # forward passes that are not timed


def measure_latency(
    module: nn.Module,
    shape: Sequence[int],
    device: torch.device | str,
    batch: int = 1,
    repeats: int = 15,
) -> float:
    """Return the median of :func:`time_forward_passes`, a latency in milliseconds."""
    return statistics.median(time_forward_passes(module, shape, device, batch, repeats))


@torch.inference_mode()
def time_forward_passes(
    module: nn.Module,
    shape: Sequence[int],
    device: torch.device | str,
    batch: int = 1,
    repeats: int = 15,
) -> list[float]:
    """Measure the latency of forward passes, after ``N_WARM_UP_PASSES`` passes that are not timed.

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
    for i in range(N_WARM_UP_PASSES + repeats):
        started = time.perf_counter()
        module(x)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if i >= N_WARM_UP_PASSES:
            times.append(1000 * (time.perf_counter() - started))
    return times
