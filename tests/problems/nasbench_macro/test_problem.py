"""NAS-Bench-Macro: encoding, networks, the table and its true fronts."""

import numpy as np
import pytest
import torch
from moonas.problems.nasbench_macro import space
from moonas.problems.nasbench_macro.networks import InvertedResidual, layer, network_parts
from searches import run
from torch import nn

import moonas
from moonas.nets.counting import count_macs, count_params


def load_problem(**options):
    return moonas.load_problem("nasbench-macro", **options)


def test_every_row_is_a_different_architecture():
    rows = space.all_rows()
    assert rows.shape == (6561, 8)
    assert len({space.decode(x) for x in rows}) == 6561
    for x in rows[::401]:
        architecture = space.decode(x)
        assert np.array_equal(space.encode(architecture), x)
        assert space.from_json(space.to_json(architecture)) == architecture
    assert str(space.decode([2, 2, 2, 1, 2, 2, 0, 1])) == "22 212 201"


@pytest.mark.parametrize(
    "value",
    [None, {}, {"operations": ["identity"] * 7}, {"operations": ["conv"] * 8}, "22 212 201"],
)
def test_json_that_is_not_an_architecture_raises_an_error(value):
    with pytest.raises(ValueError, match="is not a network of NAS-Bench-Macro: expected a dict"):
        space.from_json(value)


def test_params_and_macs_of_all_identities_agree_with_a_count_by_hand():
    problem = load_problem()
    stem, head = (27 * 32, 32 * 32 * 27 * 32), (256 * 1280, 4 * 4 * 256 * 1280)
    firsts = [(32, 64, 16), (64, 128, 8), (128, 256, 4)]  # c_in, c_out, side of the output
    params = stem[0] + 64 + sum(a * b + 2 * b for a, b, _ in firsts) + head[0] + 2560 + 12810
    macs = stem[1] + sum(a * b * side**2 for a, b, side in firsts) + head[1] + 12800
    scores = problem.table.look_up([[0] * 8])
    assert (scores["params"][0], scores["macs"][0]) == (params, macs) == (387_882, 7_713_280)


ROWS = [[1] * 8, [2] * 8, [0, 2, 1, 0, 0, 2, 1, 0], [2, 2, 1, 2, 2, 0, 2, 2]]


@pytest.mark.parametrize("x", ROWS)
def test_params_and_macs_in_the_table_are_those_of_the_network(x):
    problem = load_problem()
    with torch.device("meta"):
        network = problem.network(problem.decode(x))
        counts = count_params(network), count_macs(network, 3, 32, 32)
    scores = problem.table.look_up([x])
    assert counts == (scores["params"][0], scores["macs"][0])


def test_an_inverted_residual_adds_its_input_only_if_the_shapes_agree():
    x = torch.rand(2, 4, 6, 6)
    for c_out, stride, adds in ((4, 1, True), (8, 1, False), (4, 2, False)):
        block = InvertedResidual(4, c_out, stride, expansion=3, kernel=3).eval()
        nn.init.zeros_(block.body[-1].weight)  # so that the body returns its bias, zero
        expected = x if adds else torch.zeros(2, c_out, 6 // stride, 6 // stride)
        assert torch.equal(block(x), expected)
    assert isinstance(layer("identity", 4, 4, 1), nn.Identity)
    assert layer("identity", 4, 8, 2)(x).shape == (2, 8, 3, 3)


def test_a_network_maps_images_of_any_size_to_logits():
    problem = load_problem()
    network = problem.network(problem.decode([1, 0] * 4), n_classes=7, in_channels=1, image_size=16)
    assert network(torch.rand(2, 1, 16, 16)).shape == (2, 7)


def test_the_parts_of_a_network_compute_the_network():
    x = [1, 2, 0, 1, 0, 2, 0, 1]
    problem = load_problem()
    operations = problem.decode(x).operations
    parts = network_parts(operations, side=16)
    images = torch.rand(2, 3, 16, 16)
    for part in parts:
        assert images.shape[1:] == part.shape
        images = part.build()(images)
    assert images.shape == (2, 10)
    params = sum(count_params(part.build()) for part in network_parts(operations))
    assert params == problem.table.look_up([x])["params"][0]
    known = {part.key for part in problem.operations()}
    assert {part.key for part in network_parts(operations)} <= known


@pytest.mark.parametrize(
    ("objectives", "n_networks", "n_points"),
    [
        (("error", "macs"), 66, 35),
        (("error", "params"), 50, 39),
        (("error", "params", "macs"), 177, 118),
    ],
)
def test_the_true_fronts_are_those_of_a_brute_force_search(objectives, n_networks, n_points):
    problem = load_problem(objectives=objectives)
    F = np.column_stack([problem.table.columns[name] for name in objectives])
    points = np.unique(F, axis=0)
    best = {tuple(p) for p in points if not ((points <= p).all(1) & (points < p).any(1)).any()}
    assert len(best) == n_points
    assert sum(tuple(f) in best for f in F) == n_networks
    X, front = problem.true_front()
    assert {tuple(f) for f in front} == best and np.array_equal(problem.evaluate(X), front)


def test_the_lowest_error_is_that_of_the_publication():
    table = load_problem().table
    best = table.columns["error"].argmin()
    assert 100 - table.columns["error"][best] == pytest.approx(93.127, abs=5e-4)
    assert table.columns["macs"][best] == pytest.approx(85.2e6, rel=1e-3)
    errors = [load_problem(query=str(i)).table.columns["error"][best] for i in range(3)]
    assert np.mean(errors) == pytest.approx(table.columns["error"][best])


def test_a_search_finds_networks_of_the_true_front():
    problem = load_problem()
    result = run(problem, generations=25)
    found, (_, true) = result.F, problem.true_front()
    assert len({tuple(f) for f in found} & {tuple(f) for f in true}) >= 10


def test_other_data_sets_are_rejected():
    with pytest.raises(ValueError, match="data='digits' is invalid: expected cifar10"):
        load_problem(data="digits")
