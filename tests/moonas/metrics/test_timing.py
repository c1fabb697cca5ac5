import time

import torch
from torch import nn

from moonas.metrics.timing import N_WARM_UP_PASSES, measure_latency


class SleepingModule(nn.Module):
    """Sleeps for 4 ms in each forward pass, and for 50 ms during warm-up."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, x):
        self.calls.append(tuple(x.shape))
        time.sleep(0.05 if len(self.calls) <= N_WARM_UP_PASSES else 0.004)
        return x


def test_latency_is_the_median_of_timed_passes_in_milliseconds():
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
