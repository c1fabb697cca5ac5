import json
from types import SimpleNamespace

import pytest
import torch
from searches import words
from torch import nn

import moonas
from moonas.cli import main
from moonas.models import latency_table as latency


class Slow(nn.Module):
    """What takes n milliseconds, by the clock of :func:`clocks`."""

    def __init__(self, n):
        super().__init__()
        self.n = n


@pytest.fixture
def clocks(monkeypatch):
    def passes(module, shape, device, batch, repeats):
        return [module.n + (i - repeats // 2) * 0.1 for i in range(repeats)]

    monkeypatch.setattr(latency, "time_passes", passes)
    monkeypatch.setattr(latency, "measure_latency", lambda module, *_: 2.0 * module.n)


class Part:
    shape = (1, 4, 4)

    def __init__(self, n):
        self.n, self.key = n, f"part {n}"

    def build(self):
        return Slow(self.n)


def space():
    """A space whose networks are chains of parts."""
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
        network=lambda a: Slow(1 + a[0] + 8 * (1 + a[1])),
    )


def test_parts_are_measured_and_their_sums_rank_networks(clocks):
    reported = []
    report = lambda *words: reported.append(words)  # noqa: E731
    table = latency.measure_parts(space(), repeats=9, on_progress=report)
    assert reported == [("measuring parts", i, 3, "parts") for i in range(4)]
    assert table["parts"] == {"part 1": 1, "part 8": 8, "part 40": 40}
    assert table["spread"]["part 8"] == pytest.approx(0.5)  # quartiles of nine steps of 0.1
    assert {"device", "threads", "batch", "repeats", "versions"} <= set(table["about"])
    found = latency.compare_with_networks(space(), table["parts"], 10)
    assert found["sums"] == [1 + i % 3 + 8 * (1 + i % 5) for i in range(10)]
    assert found["measured"] == [2 * total for total in found["sums"]]
    assert found["rank_correlation"] == pytest.approx(1)
    assert found["ratio"] == 2 and found["error_percent"] == 0
    table["networks"] = found
    assert (
        "rank correlation 1.00; the latency of a network is 2.00 times" in latency.summary(table)[1]
    )


def test_a_search_uses_a_table_from_the_command_line(tmp_path, capsys, tiny_of):
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
    found = problem.evaluate(X, return_as_dictionary=True)["latency_ms"][0]
    parts = problem.parts(moonas.zoo("CARS_A").architecture)
    assert found == pytest.approx(sum(table[part.key] for part in parts))


def test_an_unknown_task_ends_with_2(capsys):
    assert main(["latency", "nothing"]) == 2
    assert "Unknown task 'nothing'" in capsys.readouterr().err


def test_a_table_is_read_and_checked(tmp_path):
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"parts": {"a": 1, "b": 2.5}}))
    assert latency.read_latency_table(path, ["a", "b"]) == {"a": 1.0, "b": 2.5}
    with pytest.raises(ValueError, match="lacks 1 part of this search space, for example 'c'"):
        latency.read_latency_table(path, ["a", "c"])


@pytest.mark.parametrize("text", ["", "[]", '{"parts": {"a": "fast"}}', '{"a": 1}'])
def test_a_file_that_is_no_table_is_refused(tmp_path, text):
    path = tmp_path / "table.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="is not a latency table"):
        latency.read_latency_table(path, [])


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nothing\.json' is invalid: the file is missing"):
        latency.read_latency_table(tmp_path / "nothing.json", [])
