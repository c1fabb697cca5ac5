"""NSGA-Net's macro space: connections, networks and the problem."""

import json

import numpy as np
import pytest
import torch
from moonas.problems import nsganet_macro
from moonas.problems.nsganet_macro import space
from moonas.problems.nsganet_macro.networks import count_costs
from moonas.problems.nsganet_macro.space import Architecture, Phase
from searches import TINY, run

import moonas
from moonas.nets.counting import count_macs, count_params


def rows(n, seed=0, share=0.5):
    return (np.random.default_rng(seed).random((n, space.N_VAR)) < share).astype(int)


def test_the_space_has_sixteen_bits_a_phase():
    assert (space.N_VAR, space.BITS) == (48, 16)
    assert space.PAIRS[:4] == ((1, 2), (1, 3), (2, 3), (1, 4))
    columns = np.concatenate(space.NODES)
    assert sorted(columns.tolist()) == list(range(48))
    assert [len(genes) for genes in space.BLOCKS[1]] == [1, 2, 3, 4, 5, 1]


def test_decode_and_encode_are_inverse_also_through_json():
    for x in np.vstack([rows(100), rows(100, share=0.1), rows(1, share=0), rows(1, share=1.1)]):
        architecture = space.decode(x)
        assert np.array_equal(space.encode(architecture), x)
        assert space.from_json(space.to_json(architecture)) == architecture


def test_wiring_of_a_phase_by_hand():
    phase = Phase(((1, 3), (2, 3), (1, 5)), skip=True)
    assert phase.nodes == (1, 2, 3, 5)  # nodes 4 and 6 have no connection
    assert phase.inputs == {1: (0,), 2: (0,), 3: (1, 2), 5: (1,)}
    assert phase.outputs == (0, 3, 5)
    assert str(phase) == "1(0) 2(0) 3(1,2) 5(1) skip"
    for skip in (False, True):
        empty = Phase((), skip)
        assert empty.nodes == () and empty.outputs == (0,)


def test_the_network_computes_the_wiring():
    """Nodes that pass their input through count the paths from the phase's input to its output."""
    phase = Phase(((1, 3), (2, 3), (1, 5)), skip=True)
    network = nsganet_macro.network(Architecture((phase,) * 3), channels=2, in_channels=1)
    module = network.phases[0]
    for node in list(module.nodes):
        module.nodes[node] = torch.nn.Identity()
    module.norm = torch.nn.Identity()
    x = torch.rand(1, 2, 4, 4)
    # 0 itself; 0-1-3 and 0-2-3; 0-1-5
    assert torch.allclose(module(x), 4 * x)


@pytest.mark.parametrize("side", [8, 7, 32])
def test_closed_form_counts_equal_those_of_built_networks(side):
    shape = dict(channels=3, n_classes=7, in_channels=2)
    for x in np.vstack([rows(5), rows(5, share=0.1), rows(1, share=0)]):
        architecture = space.decode(x)
        network = nsganet_macro.network(architecture, **shape)
        counts = count_params(network), count_macs(network, 2, side, side)
        assert count_costs(architecture, image_size=side, **shape) == counts
        assert network(torch.zeros(2, 2, side, side)).shape == (2, 7)


def test_latency_from_a_table_is_the_sum_of_the_parts(tmp_path):
    options = TINY["nsganet-macro"]
    problem = moonas.load_problem("nsganet-macro", **options)
    table = {part.key: 1.0 + i for i, part in enumerate(problem.operations())}
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"parts": table}))
    timed = moonas.load_problem(
        "nsganet-macro",
        objectives=("error", "latency_ms"),
        latency_table=str(path),
        **options,
    )
    x = rows(1)[0]
    by_side = {8: 0, 4: 1, 2: 2}
    keys = ["macro_stem 1-2 s1 8x8", "pool 2-2 s2 8x8", "pool 2-2 s2 4x4", "classifier 2-10 s1 2x2"]
    for side, phase in by_side.items():
        keys += [f"node 2-2 s1 {side}x{side}"] * len(space.decode(x).phases[phase].nodes)
        keys.append(f"phase_end 2-2 s1 {side}x{side}")
    assert timed.evaluate(x)[1] == sum(table[key] for key in keys)


def test_parts_of_the_space_are_those_of_its_networks():
    problem = moonas.load_problem("nsganet-macro", channels=2)
    pieces = [part.build() for part in problem.operations()]
    # one node a phase: the network of a chain of two, less one node a phase
    chain = Architecture((Phase(((1, 2),), False),) * 3)
    node = 9 * 2**2 + 2 * 2
    assert sum(map(count_params, pieces)) == count_params(problem.network(chain)) - 3 * node
    for part, piece in zip(problem.operations(), pieces, strict=True):
        c_out = int(part.key.split()[1].split("-")[1])  # as in "node 2-2 s1 8x8"
        assert piece(torch.zeros(2, *part.shape)).shape[1] == c_out


def test_a_search_finds_networks_by_error_and_robustness():
    problem = moonas.load_problem("nsganet-macro", **TINY["nsganet-macro"])
    assert problem.objectives == ("error", "robustness_error")
    result = run(problem)
    assert moonas.front(result)
    for row in moonas.front(result):
        # an attack does not help: the curve starts at the accuracy and cannot hold it
        assert row.objectives["robustness_error"] >= row.objectives["error"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "Expected a dict with 'phases'"),
        ({"phases": [{"connections": [], "skip": True}]}, "Expected 3 phases; got 1"),
        ({"phases": [{"connections": [[2, 1]], "skip": True}] * 3}, r"\[2, 1\] is not in"),
        ({"phases": [{"connections": [[1, 7]], "skip": True}] * 3}, r"\[1, 7\] is not in"),
    ],
)
def test_json_of_another_space_is_refused(value, message):
    with pytest.raises(ValueError, match=message):
        space.from_json(value)
