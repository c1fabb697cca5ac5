"""Supernets and stand-alone networks of the DARTS space, and their params and macs."""

import numpy as np
import pytest
import torch
from moonas.problems import cars
from moonas.problems.cars import space, zoo
from moonas.problems.cars.supernet import Supernet

from moonas.nets.counting import CellCosts, count_macs, count_params
from moonas.nets.randomness import initial_weights

IMAGENET = dict(channels=48, layers=14, n_classes=1000, image_size=224)
# Parameters without and with the auxiliary head, and multiply-adds, from an independent count.
CIFAR_COUNTS = {
    "CARS_A": (2_432_206, 2_908_632, 392_054_400),
    "CARS_B": (2_672_830, 3_149_256, 421_941_888),
    "CARS_C": (2_797_030, 3_273_456, 442_594_944),
    "CARS_D": (2_906_542, 3_382_968, 462_390_912),
    "DARTS_V2": (3_349_342, 3_825_768, 528_359_040),
    "PDARTS": (3_433_798, 3_910_224, None),
}
IMAGENET_COUNTS = {
    "CARS_A": (3_687_712, 4_948_488, 410_524_032),
    "CARS_B": (4_022_272, 5_283_048, 441_956_160),
    "CARS_C": (4_189_408, 5_450_184, 460_631_040),
    "CARS_D": (4_280_800, 5_541_576, 475_138_176),
    "DARTS_V2": (4_718_752, 5_979_528, 529_911_552),
    "PDARTS": (4_944_352, None, None),
}
# Millions of parameters in tables 1 and 2 of the paper
PAPER_PARAMS = dict(zip("ABCDEFGHI", [2.4, 2.7, 2.8, 2.9, 3.0, 3.1, 3.2, 3.3, 3.6], strict=True))
PAPER_IMAGENET_PARAMS = dict(
    zip("ABCDEFGHI", [3.7, 4.0, 4.2, 4.3, 4.4, 4.5, 4.7, 4.8, 5.1], strict=True)
)
# Millions of multiply-adds in table 2; the paper counts more than convolutions, hence the tolerance
PAPER_MACS = dict(zip("ABCDEFGHI", [430, 463, 480, 496, 510, 530, 537, 559, 591], strict=True))


def encode_published(names):
    """Return the rows of published architectures, (n, 24) ints."""
    return np.array([space.encode(zoo.architectures()[name]) for name in names])


@pytest.mark.parametrize(
    ("shape", "counts", "image"),
    [({}, CIFAR_COUNTS, (3, 32, 32)), (IMAGENET, IMAGENET_COUNTS, (3, 224, 224))],
)
def test_params_and_macs_of_published_cells_equal_an_independent_count(shape, counts, image):
    closed_form = CellCosts(space.OPERATIONS, **shape).count(*space.edges(encode_published(counts)))
    for (name, (params, with_head, macs)), computed in zip(
        counts.items(), closed_form, strict=True
    ):
        architecture = zoo.architectures()[name]
        network = cars.network(architecture, **shape)
        assert count_params(network) == computed[0] == params
        assert count_macs(network, *image) == computed[1]
        if macs is not None:
            assert computed[1] == macs
        if with_head is not None:
            assert count_params(cars.network(architecture, auxiliary=True, **shape)) == with_head


@pytest.mark.parametrize(
    ("shape", "paper"), [({}, PAPER_PARAMS), (IMAGENET, PAPER_IMAGENET_PARAMS)]
)
def test_params_of_all_nine_networks_agree_with_the_paper(shape, paper):
    counts = CellCosts(space.OPERATIONS, **shape).count(
        *space.edges(encode_published(f"CARS_{letter}" for letter in paper))
    )
    assert np.array_equal(np.round(counts[:, 0] / 1e6, 1), list(paper.values()))


def test_macs_increase_from_cars_a_to_cars_i_and_are_at_most_7_percent_below_the_paper():
    counts = CellCosts(space.OPERATIONS, **IMAGENET).count(
        *space.edges(encode_published(f"CARS_{letter}" for letter in PAPER_MACS))
    )
    assert (np.diff(counts[:, 1]) > 0).all()
    ratio = counts[:, 1] / 1e6 / list(PAPER_MACS.values())
    assert ((ratio > 0.93) & (ratio < 1)).all()


@pytest.mark.parametrize(
    "shape",
    [
        dict(channels=4, layers=3, n_classes=7, in_channels=1, image_size=8),
        dict(channels=3, layers=5, n_classes=10, in_channels=3, image_size=13),
        dict(channels=4, layers=4, n_classes=5, in_channels=3, image_size=70, last_norm=True),
        dict(channels=4, layers=1, n_classes=5, in_channels=2, image_size=9),
        dict(channels=4, layers=3, image_size=70, stem="small"),
        dict(channels=4, layers=3, image_size=70, stem="from64"),
        dict(channels=4, layers=3, image_size=12, stem="large"),
    ],
)
def test_closed_form_counts_equal_those_of_built_networks(shape):
    rng = np.random.default_rng(0)
    X = rng.integers(0, space.N_CHOICES, size=(6, space.N_VAR))
    counts = CellCosts(space.OPERATIONS, **shape).count(*space.edges(X))
    image = (shape.get("in_channels", 3), shape["image_size"], shape["image_size"])
    for x, (params, macs) in zip(X, counts, strict=True):
        network = cars.network(space.decode(x), **shape)
        assert count_params(network) == params
        assert count_macs(network, *image) == macs


def test_the_supernet_has_as_many_parameters_as_the_supernet_of_darts():
    supernet = Supernet(channels=16, layers=8, n_classes=10, in_channels=3, image_size=32)
    assert count_params(supernet) == 1_930_618


@pytest.mark.parametrize(
    ("side", "stem"), [(8, "auto"), (11, "auto"), (64, "from64"), (24, "large")]
)
def test_the_supernet_and_a_network_with_copied_weights_compute_the_same_logits(side, stem, device):
    shape = dict(channels=4, layers=4, n_classes=10, in_channels=2, image_size=side, stem=stem)
    rng = np.random.default_rng(3)
    with initial_weights(0, "test"):
        supernet = Supernet(**shape).to(device)
        images = torch.randn(16, 2, side, side).to(device)
    for x in rng.integers(0, space.N_CHOICES, size=(12, space.N_VAR)):
        architecture = space.decode(x)
        network = cars.network(architecture, last_norm=True, **shape).to(device)
        supernet.copy_weights(network, architecture)
        network.train()  # use batch statistics, as the supernet does
        difference = (supernet(images, architecture) - network(images)).abs().max()
        assert difference < 1e-4


def test_a_network_whose_operations_are_all_none_outputs_the_bias_of_its_classifier():
    cell = [("none", 0), ("none", 1)] * 4
    network = cars.network(space.from_genotype(cell, cell), channels=2, layers=3, image_size=8)
    logits = network(torch.randn(5, 3, 8, 8))
    assert torch.equal(logits, network.classifier.bias.expand(5, 10))
    assert not any("operations" in name for name, _ in network.named_parameters())


def test_only_the_operations_of_the_evaluated_architecture_receive_gradients():
    supernet = Supernet(channels=2, layers=2, n_classes=10, in_channels=1, image_size=8)
    architecture = zoo.architectures()["CARS_A"]
    supernet(torch.randn(4, 1, 8, 8), architecture).sum().backward()
    for layer, cell in enumerate(supernet.cells):
        edges = architecture.reduction if cell.shape.reduction else architecture.normal
        used = {(i // 2, state, name) for i, (name, state) in enumerate(edges)}
        for node, states in enumerate(cell.operations):
            for state, operations in enumerate(states):
                for name, module in operations.items():
                    has_grad = [p.grad is not None for p in module.parameters()]
                    expected = all if (node, state, name) in used else lambda x: not any(x)
                    assert expected(has_grad), (layer, node, state, name)


def test_the_auxiliary_head_is_used_in_training_mode_only():
    network = cars.network(zoo.architectures()["CARS_A"], channels=2, layers=6, auxiliary=True)
    images = torch.randn(2, 3, 32, 32)
    logits, auxiliary = network(images)
    assert logits.shape == auxiliary.shape == (2, 10)
    assert network.eval()(images).shape == (2, 10)


@pytest.mark.parametrize("side", [8, 28, 32, 64, 96, 128, 160, 224])
@pytest.mark.parametrize("stem", ["auto", "from64"])
def test_the_auxiliary_head_fits_images_of_any_size(side, stem):
    architecture = zoo.architectures()["CARS_A"]
    shape = dict(channels=2, layers=3, image_size=side, stem=stem, auxiliary=True)
    network = cars.network(architecture, **shape)
    _, auxiliary = network(torch.randn(2, 3, side, side))
    assert auxiliary.shape == (2, 10)
    pooling = type(network.auxiliary[1]).__name__
    large_maps = (32, 64, 96, 224) if stem == "auto" else (32, 224)
    assert pooling == ("AvgPool2d" if side in large_maps else "AdaptiveAvgPool2d")


def test_zero_layers_raise_an_error():
    with pytest.raises(ValueError, match="layers=0"):
        cars.network(zoo.architectures()["CARS_A"], layers=0)
