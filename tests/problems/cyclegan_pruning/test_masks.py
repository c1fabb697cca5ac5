import copy

import numpy as np
import pytest
import torch
from moonas.problems.cyclegan_pruning.channels import zero_pruned_channels
from moonas.problems.cyclegan_pruning.masks import compress, filter_groups, select_by_norm
from moonas.problems.cyclegan_pruning.settings import ENCODINGS
from moonas.problems.cyclegan_pruning.space import Space
from moonas.problems.cyclegan_pruning.training import CycleGAN, new_gan
from torch import nn

NETWORK_SHAPE = dict(width=4, blocks=2, d_width=2, d_layers=1)


def gan_with_biases(device, seed=0):
    """Return a small CycleGAN whose biases are not zero."""
    gan = new_gan(seed, device, **NETWORK_SHAPE)
    rng = torch.Generator().manual_seed(seed)
    for name, p in gan.named_parameters():
        if name.endswith("bias"):
            p.data = 0.1 * torch.randn(p.shape, generator=rng).to(device)
    return gan


def prunable_groups(generator, encoding):
    return [group for group in filter_groups(generator, encoding) if not group.fixed]


def space_of(gan, encoding):
    return Space([group.size for group in prunable_groups(gan.generators["a"], encoding)])


def random_architecture(space, seed, density=0.5):
    """Sample masks that keep a filter with probability ``density``, and at least one filter."""
    rng = np.random.default_rng(seed)
    x = rng.random(2 * space.n_bits) < density
    for part in space.slices:
        x[rng.integers(part.start, part.stop)] = True
    return space.decode(x)


def filters(layer):
    """Return the weight of a convolution as a writable view with shape (filters, ...)."""
    return layer.weight.data.movedim(int(isinstance(layer, nn.ConvTranspose2d)), 0)


def images(device):
    rng = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, 16, 16, generator=rng).to(device)


def test_the_published_network_has_the_published_mask_sizes_in_both_encodings():
    with torch.device("meta"):
        gan = CycleGAN(width=64, blocks=9, d_width=64, d_layers=3)
    sizes = {
        "filters": [64, 128, 256, *[256] * 9, 128, 64],  # one mask per residual block
        "released": [64, 128, 256, 128, 64],
    }
    n_bits = {"filters": 2944, "released": 640}
    assert set(ENCODINGS) == set(sizes)
    for encoding in ENCODINGS:
        for generator in gan.generators.values():
            groups = filter_groups(generator, encoding)
            assert [group.size for group in groups if group.fixed] == [3, 3]
            assert [group.size for group in groups if not group.fixed] == sizes[encoding]
        assert space_of(gan, encoding).n_bits == n_bits[encoding]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("share", [0.01, 0.25, 1.0])
def test_filters_with_the_largest_absolute_weights_are_kept(encoding, share, device):
    gan, rng, expected = gan_with_biases(device), np.random.default_rng(0), []
    for generator in gan.generators.values():
        layers = dict(generator.named_modules())
        masks = []
        for group in prunable_groups(generator, encoding):
            magnitudes = rng.permutation(group.size) + 1  # of the weights of each filter
            for name in group.producers:
                for weights, value in zip(filters(layers[name]), magnitudes, strict=True):
                    signs = torch.from_numpy(rng.choice([-1.0, 1.0], size=weights.shape))
                    weights.copy_(float(value) * signs)
            n_kept = max(1, round(share * group.size))
            masks.append("".join("1" if m > group.size - n_kept else "0" for m in magnitudes))
        expected.append(tuple(masks))
    selected = select_by_norm(gan, filter_groups(gan.generators["a"], encoding), share)
    assert [selected.a, selected.b] == expected
    space = space_of(gan, encoding)
    assert space.decode(space.encode(selected)) == selected


def test_filters_are_selected_by_l1_norms_instead_of_l2_norms(device):
    gan = gan_with_biases(device)
    first = gan.generators["a"][1]
    weights = filters(first).zero_()
    weights[1, 0, 0, 0] = 50
    weights[2] = -1  # 147 weights: the L1 norm, 147, exceeds 50; the L2 norm, 12.1, does not
    assert select_by_norm(gan, filter_groups(gan.generators["a"], "filters"), 0.25).a[0] == "0010"


@pytest.mark.parametrize("index", [0, 1])
def test_the_second_weight_axis_of_transposed_convolutions_indexes_filters(index, device):
    gan = gan_with_biases(device)
    layers = [m for m in gan.generators["b"].modules() if isinstance(m, nn.ConvTranspose2d)]
    weight = layers[index].weight.data
    n_in, n_out = weight.shape[:2]
    weight.fill_(0.01)
    weight[0] = 1  # an input channel, not a filter
    weight[:, n_out - 1] = 2
    assert len(layers) == 2 and n_in > n_out
    assert (
        select_by_norm(gan, filter_groups(gan.generators["a"], "filters"), 0.01).b[index - 2]
        == "0" * (n_out - 1) + "1"
    )


def test_norms_of_convolutions_whose_outputs_are_added_are_summed(device):
    gan = gan_with_biases(device)
    generator = gan.generators["a"]
    layers = dict(generator.named_modules())
    trunk = prunable_groups(generator, "filters")[2]
    assert len(trunk.producers) == 3
    for i, name in enumerate(trunk.producers):
        weights = filters(layers[name]).zero_()
        weights[0] = 2 if i == 0 else 0
        weights[1] = 1
        weights[2] = 2 if i == 2 else 0
    assert (
        select_by_norm(gan, filter_groups(gan.generators["a"], "filters"), 1 / 16).a[2]
        == "01" + 14 * "0"
    )


def test_selection_by_norm_does_not_change_any_weights(device):
    gan = gan_with_biases(device)
    before = copy.deepcopy(gan.state_dict())
    select_by_norm(gan, filter_groups(gan.generators["a"], "filters"), 0.5)
    assert all(torch.equal(before[k], v) for k, v in gan.state_dict().items())


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("seed", range(2))
@torch.no_grad()
def test_compressed_generators_and_generators_with_zeroed_filters_compute_the_same_function(
    encoding, seed, device
):
    gan = gan_with_biases(device, seed)
    architecture = random_architecture(space_of(gan, encoding), seed)
    compressed, x = (
        compress(gan, architecture, filter_groups(gan.generators["a"], encoding)),
        images(device),
    )
    for domain in "ab":
        generator = gan.generators[domain]
        groups = filter_groups(generator, encoding)
        masked = zero_pruned_channels(generator, groups, architecture.masks(domain))(x)
        assert torch.allclose(compressed.generators[domain](x), masked, atol=1e-5)
        assert not torch.allclose(generator(x), masked, atol=1e-2)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_compressed_generators_have_as_many_filters_as_the_masks_keep(encoding, device):
    gan = gan_with_biases(device)
    architecture = random_architecture(space_of(gan, encoding), 5, density=0.3)
    compressed = compress(gan, architecture, filter_groups(gan.generators["a"], encoding))
    for domain in "ab":
        layers = dict(compressed.generators[domain].named_modules())
        groups = prunable_groups(gan.generators[domain], encoding)
        for group, mask in zip(groups, architecture.masks(domain), strict=True):
            assert {len(filters(layers[name])) for name in group.producers} == {mask.sum()}


def test_compression_with_masks_of_ones_keeps_all_weights(device):
    gan = gan_with_biases(device)
    for encoding in ENCODINGS:
        compressed = compress(
            gan, space_of(gan, encoding).uniform(1.0), filter_groups(gan.generators["a"], encoding)
        )
        state = compressed.state_dict()
        assert all(torch.equal(state[k], v) for k, v in gan.state_dict().items())


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_compression_copies_the_discriminators_and_does_not_change_the_original(encoding, device):
    gan = gan_with_biases(device)
    before = copy.deepcopy(gan.state_dict())
    compressed = compress(
        gan,
        random_architecture(space_of(gan, encoding), 0),
        filter_groups(gan.generators["a"], encoding),
    )
    state = compressed.discriminators.state_dict()
    assert state and all(torch.equal(before[f"discriminators.{k}"], v) for k, v in state.items())
    for p in compressed.parameters():
        p.data.fill_(7)
    after = gan.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(before[k], v) for k, v in after.items())
