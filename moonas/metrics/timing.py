"""Measurement of the inference latency of networks."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

N_WARM_UP_PASSES = 3  # forward passes that are not timed

# A spread above this limit means that other processes used the device. The limit was measured on
# two CPU cores with 15 and 30 passes of cell networks that take 2 to 18 ms. Next to one other
# process, which leaves a core free, half of the spreads were below 0.13 and most below 0.25. Next
# to two or more, every spread was above 0.25, and 90 % were above 0.5. Operations that take less
# than 0.3 ms mostly run without interruption: half of their spreads were below 0.08 on the busy
# machine, too, and their fastest quarter is not affected.
BUSY_SPREAD = 0.25


@dataclass(frozen=True)
class Measurement:
    """A measured latency.

    Args:
        latency_ms: latency in milliseconds, the median of the fastest quarter of the timed passes.
        spread: interquartile range of all timed passes, relative to the latency; 0 for one pass.
    """

    latency_ms: float
    spread: float

    @property
    def busy(self) -> bool:
        """Whether the device was busy with other work, so that the latency may be too high."""
        return self.spread > BUSY_SPREAD


def measure_latency(
    module: nn.Module,
    shape: Sequence[int],
    device: torch.device | str,
    batch: int = 1,
    repeats: int = 15,
) -> float:
    """Return the latency of :func:`measure`, in milliseconds."""
    return measure(module, shape, device, batch, repeats).latency_ms


def measure(
    module: nn.Module,
    shape: Sequence[int],
    device: torch.device | str,
    batch: int = 1,
    repeats: int = 15,
) -> Measurement:
    """Measure the latency of a network; see :func:`time_forward_passes` for the arguments."""
    return summarize_times(time_forward_passes(module, shape, device, batch, repeats))


def summarize_times(times: Sequence[float]) -> Measurement:
    """Return the latency and the spread of timed passes.

    Other processes can only slow a pass down, so the latency is the median of the fastest quarter
    of the passes, rounded up to whole passes, instead of the median of all passes.

    Args:
        times: durations of one or more passes in milliseconds.
    """
    fastest = sorted(times)[: -(-len(times) // 4)]
    latency = statistics.median(fastest)
    if len(times) == 1 or latency == 0:
        return Measurement(latency, 0.0)
    low, _, high = statistics.quantiles(times, n=4)
    return Measurement(latency, (high - low) / latency)


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
