"""Search space and networks of NSGANetV1, and their params and macs."""

import numpy as np
import pytest
import torch
from moonas.problems import nsganet
from moonas.problems.nsganet import space
from moonas.problems.nsganet.supernet import Supernet
from searches import uniform_rows

from moonas.nets.cells import loose_ends
from moonas.nets.counting import CellCosts, count_macs, count_params
from moonas.nets.operations import LBC_DENSITY, local_binary_conv
from moonas.nets.randomness import initial_weights

# The published cell of NSGA-Net in the authors' encoding: operation and state alternate
PUBLISHED_OPERATIONS = (
    *("max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5"),
    *("dil_conv_3x3", "dil_conv_5x5", "sep_conv_7x7", "conv_1x7_7x1"),
)
PUBLISHED_VECTOR = (
    *(2, 0, 0, 0, 6, 0, 0, 0, 6, 1, 3, 3, 0, 1, 4, 3, 3, 1, 3, 0),
    *(1, 0, 3, 1, 5, 1, 0, 0, 2, 2, 6, 1, 2, 2, 1, 1, 6, 1, 5, 1),
)
PUBLISHED = space.from_genotype(
    *(
        [
            (PUBLISHED_OPERATIONS[PUBLISHED_VECTOR[i]], PUBLISHED_VECTOR[i + 1])
            for i in range(start, start + 20, 2)
        ]
        for start in (0, 20)
    )
)
# (channels, increment, squeeze-and-excitation, classes): (parameters, multiply-adds)
COUNTS = {
    (26, 4, True, 10): (1_974_364, 398_618_128),
    (34, 4, False, 10): (2_196_980, 527_758_384),
    (34, 4, True, 10): (2_419_860, 527_981_264),
    (36, 6, True, 10): (4_053_502, 789_353_184),
    (36, 6, True, 100): (4_107_592, 789_407_184),
}


def test_the_number_of_rows_agrees_with_the_formula_of_the_paper():
    # ((n + 1)!)**2 * n_ops**(2 n) per block, of which there are two
    block = 720**2 * 12**10
    assert np.isclose(np.prod(space.N_CHOICES.astype(float)), float(block) ** 2)
    assert block == pytest.approx(3.2098e16, rel=1e-4)
    assert float(block) ** 2 == pytest.approx(1.0303e33, rel=1e-4)


def test_encode_inverts_decode_and_from_json_inverts_to_json():
    for x in uniform_rows(space.N_CHOICES, 300):
        architecture = space.decode(x)
        assert np.array_equal(space.encode(architecture), x)
        assert space.from_json(space.to_json(architecture)) == architecture


def test_operations_are_in_ascending_order_of_parameters():
    from moonas.nets.operations import operation_cost

    params = [operation_cost(name, 48, 1, 8, affine=False)[0] for name in space.OPERATIONS]
    assert params == sorted(params)


def test_the_published_cell_concatenates_its_loose_ends():
    assert loose_ends(PUBLISHED.normal) == (2, 4, 5, 6)
    assert loose_ends(PUBLISHED.reduction) == (3, 4, 5, 6)


def test_loose_ends_of_both_blocks_are_counted_for_every_row():
    X = uniform_rows(space.N_CHOICES, 200)
    expected = [[len(loose_ends(b)) for b in (a.normal, a.reduction)] for a in map(space.decode, X)]
    assert space.count_loose_ends(X).tolist() == expected
    assert (space.count_loose_ends(X) >= 1).all()  # no edge starts from the last node


@pytest.mark.parametrize("shape", COUNTS)
def test_params_and_macs_of_the_published_cell_are_exact(shape):
    channels, increment, squeeze, n_classes = shape
    options = dict(channels=channels, increment=increment, n_classes=n_classes)
    network = nsganet.network(PUBLISHED, squeeze=squeeze, **options)
    assert (count_params(network), count_macs(network, 3, 32, 32)) == COUNTS[shape]
    costs = CellCosts(space.OPERATIONS, n_nodes=5, squeeze=squeeze, **options)
    X = space.encode(PUBLISHED)[None]
    assert tuple(costs.count(*space.edges(X), space.count_loose_ends(X))[0]) == COUNTS[shape]


@pytest.mark.parametrize("side", [8, 13, 64])
def test_closed_form_counts_equal_those_of_built_networks(side):
    shape = dict(channels=4, increment=2, layers=5, n_classes=7, in_channels=2, image_size=side)
    X = uniform_rows(space.N_CHOICES, 8, seed=1)
    counts = CellCosts(space.OPERATIONS, n_nodes=5, **shape)
    counts = counts.count(*space.edges(X), space.count_loose_ends(X))
    for x, (params, macs) in zip(X, counts, strict=True):
        network = nsganet.network(space.decode(x), **shape)
        assert count_params(network) == params
        assert count_macs(network, 2, side, side) == macs
        assert network(torch.zeros(2, 2, side, side)).shape == (2, 7)


def test_the_width_grows_by_the_increment_in_every_cell():
    network = nsganet.network(PUBLISHED, channels=10, increment=3, layers=8)
    assert [cell.shape.channels for cell in network.cells] == list(range(10, 34, 3))


def test_fixed_weights_of_a_local_binary_convolution_are_saved_but_not_trained():
    torch.manual_seed(0)
    module = local_binary_conv(64, 3, 1, torch.nn.BatchNorm2d)
    fixed = module[1].weight
    assert not fixed.requires_grad and "1.weight" in module.state_dict()
    assert set(fixed.unique().tolist()) == {-1.0, 0.0, 1.0}
    n = fixed.numel()
    for value, share in ((0, 1 - LBC_DENSITY), (1, LBC_DENSITY / 2), (-1, LBC_DENSITY / 2)):
        actual = float((fixed == value).float().mean())
        assert abs(actual - share) <= 4 * np.sqrt(share * (1 - share) / n)  # 4 standard errors


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        (("none", 0), "Unknown operation 'none' in node 0 of the normal cell"),
        (("skip_connect", 2), "starts from state 2; expected a state from 0 to 1"),
    ],
)
def test_a_genotype_outside_the_space_raises_an_error_with_the_reason(edge, message):
    block = [("skip_connect", 0)] * 10
    with pytest.raises(ValueError, match=message):
        space.from_genotype([edge, *block[1:]], block)


@pytest.mark.parametrize("side", [8, 11, pytest.param(64, marks=pytest.mark.slow)])
def test_the_supernet_and_a_network_with_copied_weights_compute_the_same_logits(side, device):
    """The sampled blocks concatenate different numbers of nodes."""
    shape = dict(channels=4, increment=2, layers=4, n_classes=10, in_channels=2, image_size=side)
    with initial_weights(0, "test"):
        supernet = Supernet(**shape).to(device)
        images = torch.randn(16, 2, side, side).to(device)
    X = uniform_rows(space.N_CHOICES, 10, seed=3)
    assert len(set(space.count_loose_ends(X).ravel())) >= 4
    for x in X:
        architecture = space.decode(x)
        network = nsganet.network(architecture, last_norm=True, **shape).to(device)
        supernet.copy_weights(network, architecture)
        network.train()  # use batch statistics, as the supernet does
        difference = (supernet(images, architecture) - network(images)).abs().max()
        assert difference < 1e-4


def test_the_classifier_does_not_use_weights_of_nodes_that_are_not_concatenated():
    supernet = Supernet(channels=2, increment=1, layers=1, n_classes=3, in_channels=1, image_size=8)
    chain = [("skip_connect", s) for node in range(5) for s in (node + 1, node + 1)]
    architecture = space.from_genotype(chain, chain)
    assert loose_ends(architecture.normal) == (6,)
    assert supernet._wiring(architecture)[1] == [slice(8, 10)]
    two = space.from_genotype(chain, chain[:8] + [("skip_connect", 0)] * 2)
    assert supernet._wiring(two) == (
        [(two.reduction, (5, 6), (None, None))],
        [slice(6, 8), slice(8, 10)],
    )
    images = torch.randn(4, 1, 8, 8)
    before = supernet(images, architecture)
    with torch.no_grad():
        supernet.classifier.weight[:, : 4 * 2] += 1
    assert torch.equal(supernet(images, architecture), before)
    with torch.no_grad():
        supernet.classifier.weight[:, 4 * 2 :] += 1
    assert not torch.equal(supernet(images, architecture), before)
