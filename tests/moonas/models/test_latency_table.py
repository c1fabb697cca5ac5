import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from searches import words
from torch import nn

import moonas
from moonas.cli import main
from moonas.models import latency_table as latency


class ModuleWithLatency(nn.Module):
    """A module whose latency is n milliseconds in tests with the fixture ``fake_latencies``."""

    def __init__(self, n):
        super().__init__()
        self.n = n


@pytest.fixture
def fake_latencies(monkeypatch):
    """Replace measurements by ``module.n`` for parts, and by twice that number for networks."""

    def fake_forward_passes(module, shape, device, batch, repeats):
        return [module.n + (i - repeats // 2) * 0.1 for i in range(repeats)]

    monkeypatch.setattr(latency, "time_forward_passes", fake_forward_passes)
    monkeypatch.setattr(latency, "measure_latency", lambda module, *_: 2.0 * module.n)


class Part:
    shape = (1, 4, 4)

    def __init__(self, n):
        self.n, self.key = n, f"part {n}"

    def build(self):
        return ModuleWithLatency(self.n)


def chain_problem():
    """Return a stand-in for a problem whose networks are chains of parts."""
    sampling = SimpleNamespace(
        do=lambda problem, n, random_state: SimpleNamespace(
            get=lambda name: [[i % 3, i % 5] for i in range(n)]
        )
    )
    return SimpleNamespace(
        operations=lambda: [Part(1), Part(8), Part(40)],
        settings=SimpleNamespace(threads=1),
        device=torch.device("cpu"),
        input_shape=(1, 4, 4),
        operators=lambda: {"sampling": sampling},
        decode=lambda x: tuple(x),
        parts=lambda a: [Part(1)] * (1 + a[0]) + [Part(8)] * (1 + a[1]),
        network=lambda a: ModuleWithLatency(1 + a[0] + 8 * (1 + a[1])),
    )


def test_parts_are_measured_and_their_sums_are_compared_with_networks(fake_latencies):
    reported = []
    table = latency.measure_parts(
        chain_problem(), repeats=9, on_progress=lambda *progress: reported.append(progress)
    )
    assert reported == [("measuring parts", i, 3, "parts") for i in range(4)]
    assert table["parts"] == {"part 1": 1, "part 8": 8, "part 40": 40}
    assert table["spread"]["part 8"] == pytest.approx(0.5)  # quartiles of nine steps of 0.1
    assert {"device", "threads", "batch", "repeats", "versions"} <= set(table["about"])
    comparison = latency.compare_with_networks(chain_problem(), table["parts"], 10)
    assert comparison["sums"] == [1 + i % 3 + 8 * (1 + i % 5) for i in range(10)]
    assert comparison["measured"] == [2 * total for total in comparison["sums"]]
    assert comparison["rank_correlation"] == pytest.approx(1)
    assert comparison["ratio"] == 2 and comparison["error_percent"] == 0
    table["networks"] = comparison
    text = latency.summary(table)[1]
    assert "rank correlation 1.00; the latency of a network is 2.00 times" in text


def test_the_ratio_and_the_error_of_latency_sums_are_medians_over_networks(
    fake_latencies, monkeypatch
):
    monkeypatch.setattr(latency, "measure_latency", lambda module, *_: module.n + 10.0)
    comparison = latency.compare_with_networks(chain_problem(), {"part 1": 1.0, "part 8": 8.0}, 4)
    sums, measured = np.array([9.0, 18, 27, 33]), np.array([19.0, 28, 37, 43])
    assert (comparison["sums"], comparison["measured"]) == (sums.tolist(), measured.tolist())
    ratio = (28 / 18 + 37 / 27) / 2  # 19 / 9 is larger, 43 / 33 is smaller
    assert comparison["ratio"] == pytest.approx(ratio)
    errors = np.sort(100 * np.abs(sums * ratio - measured) / measured)
    assert comparison["error_percent"] == pytest.approx((errors[1] + errors[2]) / 2)


def test_the_latency_command_writes_a_table_that_a_search_uses(tmp_path, capsys, tiny_of):
    path, settings = tmp_path / "table.json", tiny_of("cars") | {"device": "cpu"}
    line = ["latency", "cars", "--networks", "3", "--repeats", "2", "--out", str(path)]
    assert main([*line, "--set", *words(settings)]) == 0
    out = capsys.readouterr().out
    assert "3 measured networks" in out.replace(
        "\n", " "
    ) and f"latency_table={path}" in out.replace("\n", "")
    table = json.loads(path.read_text())["parts"]
    problem = moonas.load_problem(
        "cars", objectives=("error", "latency_ms"), latency_table=str(path), **settings
    )
    assert set(table) == {part.key for part in problem.operations()}
    X = [problem.encode(moonas.zoo("CARS_A").architecture)]
    latency_ms = problem.evaluate(X, return_as_dictionary=True)["latency_ms"][0]
    parts = problem.parts(moonas.zoo("CARS_A").architecture)
    assert latency_ms == pytest.approx(sum(table[part.key] for part in parts))


def test_the_latency_command_exits_with_2_if_the_task_is_unknown(capsys):
    assert main(["latency", "nothing"]) == 2
    assert "Unknown task 'nothing'" in capsys.readouterr().err


def test_a_latency_table_without_a_required_part_is_rejected(tmp_path):
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"parts": {"a": 1, "b": 2.5}}))
    assert latency.read_latency_table(path, ["a", "b"]) == {"a": 1.0, "b": 2.5}
    with pytest.raises(ValueError, match="lacks 1 part of this search space, for example 'c'"):
        latency.read_latency_table(path, ["a", "c"])


@pytest.mark.parametrize("text", ["", "[]", '{"parts": {"a": "fast"}}', '{"a": 1}'])
def test_a_file_that_is_not_a_latency_table_is_rejected(tmp_path, text):
    path = tmp_path / "table.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="is not a latency table"):
        latency.read_latency_table(path, [])


def test_the_error_about_a_missing_latency_table_names_the_file(tmp_path):
    with pytest.raises(ValueError, match=r"nothing\.json' is invalid: the file is missing"):
        latency.read_latency_table(tmp_path / "nothing.json", [])
