import json
from types import SimpleNamespace

import pytest

from moonas.data import describe
from moonas.evaluators import ClassifierSettings, NetworkCosts
from moonas.nets.parts import operation_part

PARTS = [operation_part(name, 2, 1, 8) for name in ("skip_connect", "sep_conv_3x3")]


def make_problem(operations):
    """Return a substitute for a problem; an architecture is a tuple of indices into ``PARTS``."""
    return SimpleNamespace(
        operations=lambda: operations,
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
