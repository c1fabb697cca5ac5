import json
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from moonas.data import describe
from moonas.errors import TimingWarning
from moonas.evaluators import ClassifierSettings, NetworkCosts, costs
from moonas.metrics.timing import BUSY_SPREAD, Measurement
from moonas.nets.parts import operation_part
from moonas.run.callbacks import Callbacks, RunCallback
from moonas.spaces.genes import Genes

PARTS = [operation_part(name, 2, 1, 8) for name in ("skip_connect", "sep_conv_3x3")]


def make_problem(operations):
    """Return a substitute for a problem; an architecture is a tuple of indices into ``PARTS``."""
    return SimpleNamespace(
        operations=lambda: operations,
        genes=Genes(np.zeros(1), np.full(1, len(PARTS) - 1), np.zeros(1)),
        decode=lambda x: tuple(x.tolist()),
        input_shape=(2, 8, 8),
        callbacks=Callbacks(),
        network=lambda architecture: architecture,
        parts=lambda architecture: [PARTS[i] for i in architecture],
        count=lambda candidates: [(len(a), 10 * len(a)) for a in candidates],
    )


def make_costs(operations=PARTS, **options):
    return NetworkCosts(make_problem(operations), ClassifierSettings(**options), describe("digits"))


def test_params_and_macs_are_computed_by_the_count_method_of_the_problem():
    assert {k: v.tolist() for k, v in make_costs().count([(0,), (0, 1)]).items()} == {
        "params": [1, 2],
        "macs": [10, 20],
    }
    names = [c.name for c in make_costs(objectives=("error", "latency_ms")).cost_columns(5, 50)]
    assert names == ["params", "macs", "latency_ms"]


def test_latency_is_the_sum_of_the_latencies_of_all_parts(tmp_path):
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"parts": {PARTS[0].key: 0.5, PARTS[1].key: 2}}))
    table = make_costs(latency_table=str(path))
    assert table.measure([(0,), (1, 0, 1)])["latency_ms"].tolist() == [0.5, 4.5]
    with pytest.raises(ValueError, match="returned no parts"):
        table.measure([()])


def test_latency_tables_with_different_latencies_have_different_checksums(tmp_path):
    checksums = set()
    for ms in (1, 2):
        path = tmp_path / "table.json"
        path.write_text(json.dumps({"parts": {part.key: ms for part in PARTS}}))
        checksums.add(make_costs(latency_table=str(path)).inputs["latency_table"])
    assert len(checksums) == 2


def test_a_latency_table_raises_an_error_if_the_networks_do_not_consist_of_parts(tmp_path):
    with pytest.raises(ValueError, match="do not consist of parts"):
        make_costs(operations=[], latency_table=str(tmp_path / "table.json"))


def test_the_old_method_name_counted_works_and_issues_a_warning():
    with pytest.warns(DeprecationWarning, match=r"counted is deprecated; use count"):
        counted = make_costs().counted
    assert counted([(0,)])["params"].tolist() == [1]


def test_a_latency_table_raises_an_error_at_once_if_the_problem_lists_no_parts_of_a_network(
    tmp_path,
):
    problem, settings = make_problem(PARTS), ClassifierSettings(latency_table=str(tmp_path / "t"))
    problem.parts = lambda architecture: []
    with pytest.raises(ValueError, match="do not consist of parts"):
        NetworkCosts(problem, settings, describe("digits"))


@pytest.fixture
def spreads(monkeypatch):
    """A list of spreads; the latency of network n is n ms, and its spread is ``spreads[n]``."""
    values = [0.0] * 10
    monkeypatch.setattr(costs, "measure", lambda n, *_: Measurement(float(n), values[n]))
    return values


def test_a_search_on_a_busy_machine_warns_once(spreads):
    measured = make_costs()
    spreads[:2] = [BUSY_SPREAD, BUSY_SPREAD + 0.01]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # fewer than a quarter: as on an idle machine
        assert measured.measure(range(5))["latency_ms"].tolist() == [0, 1, 2, 3, 4]
    with pytest.warns(
        TimingWarning, match="latency of 1 of 4 networks was measured while the machine"
    ):
        measured.measure(range(4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measured.measure(range(4))


def test_the_log_of_a_search_contains_the_warning_of_a_busy_machine(spreads):
    lines = []

    class Log(RunCallback):
        def on_log(self, text):
            lines.append(text)

    measured = make_costs()
    measured.problem.callbacks.append(Log())
    measured.problem.log = measured.problem.callbacks.on_log
    spreads[3] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measured.measure([3])
        measured.measure([3, 3])
    (line,) = lines
    assert line.startswith("Warning: The latency of 1 of 1 network was measured while the machine")
