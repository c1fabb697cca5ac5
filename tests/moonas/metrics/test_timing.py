import time

import torch
from torch import nn

from moonas.metrics.timing import WARM_UP, measure_latency


class Sleeper(nn.Module):
    """Sleeps a known time at each call, longer while it is cold."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, x):
        self.calls.append(tuple(x.shape))
        time.sleep(0.05 if len(self.calls) <= WARM_UP else 0.004)
        return x


def test_the_median_leaves_the_warm_up_out_and_counts_in_milliseconds():
    module = Sleeper()
    took = measure_latency(module, (3, 8, 8), "cpu", batch=2, repeats=5)
    assert 4 <= took < 40  # a pass sleeps 4 ms, a cold one 50
    assert module.calls == [(2, 3, 8, 8)] * (WARM_UP + 5)


def test_measuring_is_done_in_evaluation_mode_without_gradients():
    class Check(nn.Module):
        def forward(self, x):
            assert not self.training and not torch.is_grad_enabled()
            return x

    measure_latency(Check(), (1,), "cpu", repeats=1)
