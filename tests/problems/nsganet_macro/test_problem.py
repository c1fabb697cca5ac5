"""The macro space of NSGA-Net: encoding, networks and the problem."""

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


def random_bits(n, seed=0, probability=0.5):
    """Return random rows, (n, 48), whose bits are 1 with the given probability."""
    return (np.random.default_rng(seed).random((n, space.N_VAR)) < probability).astype(int)


@pytest.fixture
def small_settings(few_digits):
    """Return settings of a search on a hundred images."""
    return TINY["nsganet-macro"] | dict(data=few_digits, batch=25)


def test_the_space_has_sixteen_bits_per_phase():
    assert (space.N_VAR, space.BITS_PER_PHASE) == (48, 16)
    assert space.NODE_PAIRS[:4] == ((1, 2), (1, 3), (2, 3), (1, 4))
    columns = np.concatenate(space.NODES)
    assert sorted(columns.tolist()) == list(range(48))
    assert [len(genes) for genes in space.BLOCKS[1]] == [1, 2, 3, 4, 5, 1]


def test_encode_inverts_decode_and_from_json_inverts_to_json():
    extremes = random_bits(1, probability=0), random_bits(1, probability=1)
    for x in np.vstack([random_bits(100), random_bits(100, probability=0.1), *extremes]):
        architecture = space.decode(x)
        assert np.array_equal(space.encode(architecture), x)
        assert space.from_json(space.to_json(architecture)) == architecture


def test_inputs_and_outputs_of_a_phase_follow_from_its_connections():
    phase = Phase(((1, 3), (2, 3), (1, 5)), skip=True)
    assert phase.nodes == (1, 2, 3, 5)  # nodes 4 and 6 have no connection
    assert phase.inputs == {1: (0,), 2: (0,), 3: (1, 2), 5: (1,)}
    assert phase.outputs == (0, 3, 5)
    assert str(phase) == "1(0) 2(0) 3(1,2) 5(1) skip"
    for skip in (False, True):
        empty = Phase((), skip)
        assert empty.nodes == () and empty.outputs == (0,)


def test_the_output_of_a_phase_sums_all_paths_through_its_connections():
    """With identities as nodes, the output is the input times the number of paths to the output."""
    phase = Phase(((1, 3), (2, 3), (1, 5)), skip=True)
    network = nsganet_macro.network(Architecture((phase,) * 3), channels=2, in_channels=1)
    module = network.phases[0]
    for node in list(module.nodes):
        module.nodes[node] = torch.nn.Identity()
    module.norm = torch.nn.Identity()
    x = torch.rand(1, 2, 4, 4)
    # the skip connection, 0-1-3, 0-2-3 and 0-1-5
    assert torch.allclose(module(x), 4 * x)


@pytest.mark.parametrize("side", [8, 7, 32])
def test_closed_form_counts_equal_those_of_built_networks(side):
    shape = dict(channels=3, n_classes=7, in_channels=2)
    for x in np.vstack(
        [random_bits(5), random_bits(5, probability=0.1), random_bits(1, probability=0)]
    ):
        architecture = space.decode(x)
        network = nsganet_macro.network(architecture, **shape)
        counts = count_params(network), count_macs(network, 2, side, side)
        assert count_costs(architecture, image_size=side, **shape) == counts
        assert network(torch.zeros(2, 2, side, side)).shape == (2, 7)


def test_latency_from_a_table_is_the_sum_of_the_latencies_of_all_parts(small_settings, tmp_path):
    problem = moonas.load_problem("nsganet-macro", **small_settings)
    table = {part.key: 1.0 + i for i, part in enumerate(problem.operations())}
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"parts": table}))
    timed = moonas.load_problem(
        "nsganet-macro",
        objectives=("error", "latency_ms"),
        latency_table=str(path),
        **small_settings,
    )
    x = random_bits(1)[0]
    keys = ["macro_stem 3-2 s1 8x8", "pool 2-2 s2 8x8", "pool 2-2 s2 4x4", "classifier 2-10 s1 2x2"]
    for side, phase in zip((8, 4, 2), space.decode(x).phases, strict=True):
        keys += [f"node 2-2 s1 {side}x{side}"] * len(phase.nodes)
        keys.append(f"phase_end 2-2 s1 {side}x{side}")
    assert timed.evaluate(x)[1] == sum(table[key] for key in keys)


def test_the_parts_of_the_space_equal_the_parts_of_its_networks():
    problem = moonas.load_problem("nsganet-macro", channels=2)
    modules = [part.build() for part in problem.operations()]
    # one node per phase: a network with two nodes per phase, without one node of each phase
    chain = Architecture((Phase(((1, 2),), False),) * 3)
    node = 9 * 2**2 + 2 * 2
    assert sum(map(count_params, modules)) == count_params(problem.network(chain)) - 3 * node
    for part, module in zip(problem.operations(), modules, strict=True):
        c_out = int(part.key.split()[1].split("-")[1])  # as in "node 2-2 s1 8x8"
        assert module(torch.zeros(2, *part.shape)).shape[1] == c_out


def test_the_problem_uses_the_operators_of_nsganetv1(small_settings):
    operators = moonas.load_problem("nsganet-macro", **small_settings).operators()
    assert type(operators["crossover"]).__name__ == "BlockCrossover"
    assert operators["crossover"].prob.value == 0.9
    assert operators["mutation"].n_genes == pytest.approx(4.8)  # 0.1 of 48 bits


def test_a_search_minimizes_error_and_robustness_error(small_settings):
    problem = moonas.load_problem("nsganet-macro", **small_settings)
    assert problem.objectives == ("error", "robustness_error")
    front = moonas.front(run(problem, generations=2))
    assert front
    for row in front:
        # the curve of accuracy over strength starts at the accuracy and, on the whole, falls
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
def test_json_that_is_not_an_architecture_raises_an_error(value, message):
    with pytest.raises(ValueError, match=message):
        space.from_json(value)
