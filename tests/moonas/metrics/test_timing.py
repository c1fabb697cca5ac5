import time

import torch
from torch import nn

from moonas.metrics.timing import (
    BUSY_SPREAD,
    N_WARM_UP_PASSES,
    Measurement,
    measure,
    measure_latency,
    summarize_times,
)


class SleepingModule(nn.Module):
    """Sleeps for 4 ms in each forward pass, and for 50 ms during warm-up."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, x):
        self.calls.append(tuple(x.shape))
        time.sleep(0.05 if len(self.calls) <= N_WARM_UP_PASSES else 0.004)
        return x


def test_latency_is_measured_in_milliseconds_after_a_warm_up():
    module = SleepingModule()
    latency = measure_latency(module, (3, 8, 8), "cpu", batch=2, repeats=5)
    assert 4 <= latency < 40
    assert module.calls == [(2, 3, 8, 8)] * (N_WARM_UP_PASSES + 5)


def test_latency_is_measured_in_evaluation_mode_without_gradients():
    class EvaluationModeChecker(nn.Module):
        def forward(self, x):
            assert not self.training and not torch.is_grad_enabled()
            return x

    measure_latency(EvaluationModeChecker(), (1,), "cpu", repeats=1)


def test_the_latency_is_the_median_of_the_fastest_quarter_of_the_passes():
    assert summarize_times([5.0, 1.0, 4.0, 2.0]).latency_ms == 1
    assert summarize_times([5.0, 1.0, 4.0, 2.0, 9.0]).latency_ms == 1.5  # of 1 and 2
    assert summarize_times([3.0] + 8 * [7.0] + 2 * [2.0]).latency_ms == 2  # of 2, 2 and 3
    assert summarize_times([6.0]) == Measurement(6.0, 0.0)


def test_the_spread_is_the_interquartile_range_of_all_passes_relative_to_the_latency():
    measured = summarize_times([5.0, 1.0, 4.0, 2.0, 9.0])
    assert measured.spread == (7 - 1.5) / 1.5 and measured.busy
    steady = summarize_times([10.0, 10.5, 11.0, 11.5, 12.0, 12.5, 13.0])  # quartiles 10.5 and 12.5
    assert steady.latency_ms == 10.25 and steady.spread == 2 / 10.25 < BUSY_SPREAD
    assert not steady.busy


def test_a_pass_that_other_work_slows_down_does_not_change_the_latency():
    times = [4.0] * 12 + [50.0] * 3
    assert summarize_times(times) == Measurement(4.0, 0.0)
    half = summarize_times([4.0] * 8 + [9.0] * 7)
    assert half.latency_ms == 4 and half.spread == 1.25 and half.busy


def test_a_measurement_returns_latency_and_spread_of_the_network():
    measured = measure(SleepingModule(), (1,), "cpu", repeats=4)
    assert 4 <= measured.latency_ms < 40 and measured.spread >= 0
