import json
import shlex
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from moonas.problems.nsganet_macro.problem import NSGANetMacro
from searches import front_rows, words
from torch import nn

import moonas
from moonas.cli import main
from moonas.metrics.timing import Measurement
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
        return [module.n + (i - 1) * 0.1 for i in range(repeats)]  # the fastest three: module.n

    monkeypatch.setattr(latency, "time_forward_passes", fake_forward_passes)
    monkeypatch.setattr(latency, "measure", lambda module, *_: Measurement(2.0 * module.n, 0.1))


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
    assert comparison["spread"] == pytest.approx([0.1 * ms for ms in comparison["measured"]])
    assert comparison["rank_correlation"] == pytest.approx(1)
    assert comparison["ratio"] == 2 and comparison["error_percent"] == 0
    table["networks"] = comparison
    text = latency.summary(table)[1]
    assert "rank correlation 1.00; the latency of a network is 2.00 times" in text


def test_the_summary_counts_the_measurements_that_other_work_disturbed(fake_latencies):
    table = latency.measure_parts(chain_problem(), repeats=9)
    # the interquartile range is 0.5 ms, half of the latency of "part 1"
    table["networks"] = latency.compare_with_networks(chain_problem(), table["parts"], 2)
    first, _, last = latency.summary(table)
    assert "(the fastest quarter of 9 passes)" in first
    assert last == (
        "The machine seemed busy when 1 of 3 parts and 0 of 2 networks were measured "
        "(interquartile range above 25 % of the latency), so their latencies may be too high. "
        "Repeat this on an idle machine."
    )
    table["spread"]["part 1"] = 0.25  # exactly the limit
    assert len(latency.summary(table)) == 2


def test_a_table_of_an_earlier_version_is_summarized(fake_latencies):
    table = latency.measure_parts(chain_problem(), repeats=9)
    table["networks"] = latency.compare_with_networks(chain_problem(), table["parts"], 2)
    del table["networks"]["spread"]  # which earlier versions did not measure
    assert "when 1 of 3 parts were measured" in latency.summary(table)[-1]


def test_the_ratio_and_the_error_of_latency_sums_are_medians_over_networks(
    fake_latencies, monkeypatch
):
    monkeypatch.setattr(latency, "measure", lambda module, *_: Measurement(module.n + 10.0, 0.0))
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


def command_in_the_last_line(out):
    """Return the words of the command that ``moonas latency`` suggests, without ``moonas``."""
    _, _, command = out.splitlines()[-1].partition("To search with it, run: ")
    program, *arguments = shlex.split(command)
    assert program == "moonas"
    return arguments


@pytest.mark.parametrize("task", ["cars", "eg-darts"])
def test_the_command_that_the_latency_command_suggests_searches_with_the_table(
    task, tmp_path, monkeypatch, capsys, few_digits, tiny_of
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(latency, "time_forward_passes", lambda *_: [0.125])
    monkeypatch.setattr(latency, "measure", lambda *_: Measurement(2.0, 0.0))
    settings = tiny_of(task) | {"population": 2, "generations": 1, "objectives": ("error", "macs")}
    settings |= {"batch": 25, "final_epochs": 0} if task == "eg-darts" else {"batch": 25}
    shutil.copytree(few_digits, "few digits")  # the command must quote the space
    line = ["latency", task, "--networks", "1", "--data", "few digits", "--out", "my table.json"]
    assert main([*line, "--set", *words(settings)]) == 0
    arguments = command_in_the_last_line(capsys.readouterr().out)
    assert main(arguments) == 0
    (front,) = (tmp_path / "runs" / "my table").rglob("front.csv")
    rows = front_rows(front.parent)
    assert rows and {"error", "params", "latency_ms"} <= set(rows[0])
    assert all(float(row["latency_ms"]) % 0.125 == 0 for row in rows)  # sums of the parts


def stop_before_measuring(*args, **options):
    raise ValueError("nothing has been measured yet")


def test_a_problem_whose_searches_read_no_tables_says_so_before_the_measurement(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(latency, "time_forward_passes", lambda *_: [1.0])
    assert main(["latency", "nasbench-macro"]) == 0
    out = capsys.readouterr().out.splitlines()
    fault = "Searches of nasbench-macro do not read latency tables."
    assert out[0] == fault
    assert out[-1] == f"Latency table written to latency-nasbench-macro.json. {fault}"
    monkeypatch.setattr(latency, "measure_parts", stop_before_measuring)
    assert main(["latency", "nasbench-macro"]) == 2
    assert fault in capsys.readouterr().out


def test_a_problem_without_parts_of_networks_says_so_before_the_measurement(
    monkeypatch, capsys, tiny_of
):
    monkeypatch.setattr(NSGANetMacro, "parts", lambda *_: [])
    monkeypatch.setattr(latency, "measure_parts", stop_before_measuring)
    assert main(["latency", "nsganet-macro", "--set", *words(tiny_of("nsganet-macro"))]) == 2
    captured = capsys.readouterr()
    assert "nothing has been measured yet" in captured.err
    assert captured.out == (
        "Searches of nsganet-macro cannot use a latency table, because NSGANetMacro.parts() "
        "returns no parts of a network.\n"
    )


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
