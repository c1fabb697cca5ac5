import json
import time

import pytest
import torch
from torch import nn

from moonas.metrics.timing import WARM_UP, measure_latency, read_latency_table


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


def test_a_table_is_read_and_checked(tmp_path):
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"parts": {"a": 1, "b": 2.5}}))
    assert read_latency_table(path, ["a", "b"]) == {"a": 1.0, "b": 2.5}
    with pytest.raises(ValueError, match="lacks 1 parts of this space, the first of them 'c'"):
        read_latency_table(path, ["a", "c"])


@pytest.mark.parametrize("text", ["", "[]", '{"parts": {"a": "fast"}}', '{"a": 1}'])
def test_a_file_that_is_no_table_is_refused(tmp_path, text):
    path = tmp_path / "table.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="is no latency table"):
        read_latency_table(path, [])


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nothing\.json' is not there"):
        read_latency_table(tmp_path / "nothing.json", [])
