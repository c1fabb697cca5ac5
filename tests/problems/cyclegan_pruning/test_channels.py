import copy
from functools import partial

import numpy as np
import pytest
import torch
from moonas.problems.cyclegan_pruning.channels import (
    ChannelCosts,
    channel_groups,
    merge_residual_groups,
    prune,
    zero_pruned_channels,
)
from moonas.problems.cyclegan_pruning.networks import discriminator, generator
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from moonas.nets.counting import count_macs, count_params


def random_masks(groups, seed=0, density=0.5):
    """Sample a mask per prunable group; each mask keeps at least one channel."""
    rng = np.random.default_rng(seed)
    prunable = [group for group in groups if not group.fixed]
    masks = [rng.random(group.size) < density for group in prunable]
    for mask in masks:
        mask[rng.integers(len(mask))] = True
    return masks


def randomized(net, seed=0):
    """Return the network with standard normal samples as its weights and biases."""
    rng = torch.Generator().manual_seed(seed)
    for p in net.parameters():
        p.data = torch.randn(p.shape, generator=rng)
    return net


def images(side=16, n=2):
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("blocks", "width"), [(9, 64), (2, 3)])
def test_residual_additions_share_one_group_and_each_residual_block_has_another_group(
    blocks, width
):
    with torch.device("meta"):
        groups = channel_groups(generator(width=width, blocks=blocks), 3)
    w = width
    assert [g.size for g in groups] == [3, w, 2 * w, 4 * w, *[4 * w] * blocks, 2 * w, w, 3]
    trunk = groups[3]
    assert len(trunk.producers) == 1 + blocks and len(trunk.consumers) == blocks + 1
    for inner in groups[4 : 4 + blocks]:
        assert len(inner.producers) == len(inner.consumers) == 1
    assert [g.fixed for g in groups] == [True, *[False] * (blocks + 5), True]


def test_the_published_generator_has_2944_bits_or_640_bits_with_merged_residual_groups():
    with torch.device("meta"):
        groups = channel_groups(generator(), 3)
    assert sum(g.size for g in groups if not g.fixed) == 2944
    merged = merge_residual_groups(groups)
    assert sum(g.size for g in merged if not g.fixed) == 640
    assert [len(g.producers) for g in merged] == [0, 1, 1, 19, 1, 1, 1]


def test_every_convolution_has_one_input_and_one_output_group():
    net = generator(width=4, blocks=3)
    names = {n for n, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)}
    for groups in (channel_groups(net, 3), merge_residual_groups(channel_groups(net, 3))):
        for kind in ("producers", "consumers"):
            grouped = [name for g in groups for name in getattr(g, kind)]
            assert len(grouped) == len(names) and set(grouped) == names


@pytest.mark.parametrize("merge", [False, True])
@pytest.mark.parametrize(("blocks", "width", "side"), [(1, 4, 8), (3, 5, 16), (2, 8, 32)])
@pytest.mark.parametrize("seed", range(2))
def test_pruned_networks_and_networks_with_zeroed_channels_compute_the_same_function(
    merge, blocks, width, side, seed
):
    net = randomized(generator(width=width, blocks=blocks)).double()
    groups = channel_groups(net, 3)
    groups = merge_residual_groups(groups) if merge else groups
    masks = random_masks(groups, seed)
    pruned, masked = prune(net, groups, masks), zero_pruned_channels(net, groups, masks)
    x = images(side).double()
    with torch.no_grad():
        assert torch.allclose(pruned(x), masked(x), atol=1e-9)
        assert not torch.allclose(pruned(x), net(x), atol=1e-2)
    assert count_params(pruned) < count_params(net)


def test_pruned_networks_and_networks_with_zeroed_channels_agree_to_1e_5_in_single_precision():
    net = generator(width=8, blocks=3)
    for name, p in net.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(p, 0, 0.1)
    groups = channel_groups(net, 3)
    masks = random_masks(groups)
    pruned, masked = prune(net, groups, masks), zero_pruned_channels(net, groups, masks)
    with torch.no_grad():
        assert torch.allclose(pruned(images()), masked(images()), atol=1e-5)


@pytest.mark.parametrize("merge", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_costs_equal_the_counts_of_the_pruned_network(merge, seed):
    net = generator(width=6, blocks=3)
    groups = channel_groups(net, 3)
    groups = merge_residual_groups(groups) if merge else groups
    masks = random_masks(groups, seed, density=0.3)

    def n_weights(net):
        return sum(
            m.weight.numel() for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)
        )

    costs = ChannelCosts(net, groups, 3, 16, 16)
    pruned = prune(net, groups, masks)
    sizes = [(n_weights(n), count_params(n), count_macs(n, 3, 16, 16)) for n in (pruned, net)]
    assert [costs.count(masks), costs.total] == sizes


def test_pruning_with_masks_of_ones_keeps_all_weights():
    net = randomized(generator(width=4, blocks=2))
    groups = channel_groups(net, 3)
    pruned = prune(net, groups, [np.ones(g.size, bool) for g in groups if not g.fixed])
    for (name, a), (_, b) in zip(net.named_parameters(), pruned.named_parameters(), strict=True):
        assert torch.equal(a, b), name


def test_pruning_does_not_change_the_original_network():
    net = generator(width=4, blocks=2)
    before = copy.deepcopy(net.state_dict())
    groups = channel_groups(net, 3)
    pruned = prune(net, groups, random_masks(groups))
    with torch.no_grad():
        for p in pruned.parameters():
            p.fill_(7)
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def train_for_three_steps(network):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for _ in range(3):
        optimizer.zero_grad()
        network(images()).square().mean().backward()
        optimizer.step()


def test_filters_that_are_set_to_zero_remain_zero_during_training():
    net = randomized(generator(width=4, blocks=2))
    groups = channel_groups(net, 3)
    masks = random_masks(groups)
    masked = zero_pruned_channels(net, groups, masks)
    train_for_three_steps(masked)
    layers = dict(masked.named_modules())
    prunable = [g for g in groups if not g.fixed]
    for group, mask in zip(prunable, masks, strict=True):
        for name in group.producers:
            layer = layers[name]
            axis = int(isinstance(layer, nn.ConvTranspose2d))
            pruned_weights = layer.weight.movedim(axis, 0)[torch.tensor(~mask)]
            assert not pruned_weights.any() and not layer.bias[torch.tensor(~mask)].any()


def test_pruning_two_convolutions_matches_a_calculation_by_hand():
    net = nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU(), nn.Conv2d(3, 1, 1, bias=False))
    net[0].weight.data = torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1, 1)
    net[0].bias.data = torch.tensor([0.0, 1.0, 0.0])
    net[2].weight.data = torch.tensor([10.0, 100.0, 1000.0]).view(1, 3, 1, 1)
    groups = channel_groups(net, 1)
    pruned = prune(net, groups, [[True, False, True]])
    assert pruned(torch.ones(1, 1, 1, 1)).item() == 10 + 3000
    costs = ChannelCosts(net, groups)
    assert (costs.count([[True, False, True]])[0], costs.total[0]) == (4, 6)


def test_a_discriminator_has_one_group_per_convolution():
    groups = channel_groups(discriminator(width=4), 3)
    assert [g.size for g in groups] == [3, 4, 8, 16, 32, 1]


class Own(nn.Module):
    """A network of three convolutions, or of those given, with a forward function of one's own."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, 1, 1), nn.Conv2d(8, 8, 3, 1, 1)
        self.out = nn.Conv2d(8, 3, 1)
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


def normalized(norm, activation=nn.ReLU):
    layers = [nn.Conv2d(3, 8, 3, 1, 1), norm(8), activation()]
    layers += [nn.Conv2d(8, 8, 3, 2, 1), norm(8), activation()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(8, 3, 4, 2, 1))


def interpolated(self, x):
    y = F.avg_pool2d(self.a(x), 2)
    return self.out(F.interpolate(y, size=x.shape[2:], mode="bilinear"))


def padded(self, x):
    y = F.pad(self.a(x), (1, 2, 3, 4), mode="reflect")
    return self.out(F.pad(y, pad=[0, x.size(2), 0, 2 * x.shape[-1]]))


NETWORKS = {
    "instance norm": lambda: normalized(nn.InstanceNorm2d),
    "affine instance norm": lambda: normalized(partial(nn.InstanceNorm2d, affine=True)),
    "instance norm with statistics": lambda: normalized(
        partial(nn.InstanceNorm2d, track_running_stats=True)
    ),
    "batch norm": lambda: normalized(nn.BatchNorm2d),
    "batch norm without parameters": lambda: normalized(partial(nn.BatchNorm2d, affine=False)),
    "PReLU with one slope": lambda: normalized(nn.BatchNorm2d, nn.PReLU),
    "PReLU with a slope per channel": lambda: normalized(nn.BatchNorm2d, partial(nn.PReLU, 8)),
    "sigmoid": lambda: normalized(nn.BatchNorm2d, nn.Sigmoid),
    "torch.relu": lambda: Own(lambda s, x: s.out(torch.relu(s.a(x)))),
    "F.leaky_relu": lambda: Own(lambda s, x: s.out(F.leaky_relu(s.a(x), 0.2, inplace=True))),
    "methods": lambda: Own(lambda s, x: s.out(s.b(s.a(x).relu()).tanh().clamp(min=-0.5)).sigmoid()),
    "F.interpolate": lambda: Own(interpolated),
    "F.pad": lambda: Own(padded),
    "upsampling and dropout": lambda: Own(
        lambda s, x: s.out(s.drop(s.up(s.a(x)))),
        up=nn.Upsample(scale_factor=2),
        drop=nn.Dropout2d(),
    ),
    "a number": lambda: Own(lambda s, x: 0.5 * s.out((1 - s.a(x)) * 2 + 1.0) / 3),
    "a stored number": lambda: Own(
        lambda s, x: s.out(s.a(x) * s.scale), scale=nn.Parameter(torch.tensor(2.0))
    ),
    "a gate": lambda: Own(lambda s, x: s.out(s.a(x) * torch.sigmoid(s.b(s.a(x))))),
    "tensor.add": lambda: Own(lambda s, x: s.out(s.a(x).add(s.b(F.elu(s.a(x)))))),
    "keywords": lambda: Own(
        lambda s, x: s.out(input=F.relu(input=s.up(input=s.a(input=x)))),
        up=nn.ConvTranspose2d(8, 6, 2, 2),
        out=nn.Conv2d(6, 3, 1),
    ),
    "a layer used twice": lambda: Own(lambda s, x: s.out(s.b(s.b(s.a(x))))),
    "a normalization layer used twice": lambda: Own(
        lambda s, x: s.out(s.norm(s.b(s.norm(s.a(x)).relu()))), norm=nn.BatchNorm2d(8)
    ),
}


@torch.no_grad()
def randomize_all(net):
    """Sample all parameters and running statistics; variances are positive."""
    rng = torch.Generator().manual_seed(0)
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.randn(tensor.shape, generator=rng) / 2)
        if name.endswith("running_var"):
            tensor.copy_(0.5 + tensor.abs())
    return net.eval()


@torch.no_grad()
def without_reading(net, groups, masks):
    """Return a copy of a network whose weights that multiply pruned channels are zero."""
    copied = copy.deepcopy(net)
    layers = dict(copied.named_modules())
    for group, mask in zip([g for g in groups if not g.fixed], masks, strict=True):
        for name in group.consumers:
            axis = 0 if isinstance(layers[name], nn.ConvTranspose2d) else 1
            layers[name].weight.movedim(axis, 0)[torch.tensor(~mask)] = 0
    return copied


@pytest.mark.parametrize("name", NETWORKS)
def test_a_pruned_network_equals_the_network_that_does_not_read_the_pruned_channels(name):
    net = randomize_all(NETWORKS[name]())
    groups = channel_groups(net, 3)
    masks = random_masks(groups)
    assert any(not mask.all() for mask in masks)
    pruned = prune(net, groups, masks)
    x = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = without_reading(net, groups, masks)(x)
        assert torch.allclose(pruned(x), expected, atol=1e-5)
        assert torch.allclose(zero_pruned_channels(net, groups, masks)(x), expected, atol=1e-5)
        assert not torch.allclose(net(x), expected, atol=1e-2)
    costs = ChannelCosts(net, groups, 3, 8, 12)
    assert costs.count(masks)[1] == count_params(pruned)
    assert costs.total[1] == count_params(net)
    if name != "keywords":  # count_macs reads the input of transposed convolutions by position
        macs = [count_macs(n, 3, 8, 12) for n in (pruned, net)]
        assert [costs.count(masks)[2], costs.total[2]] == macs


def test_layers_that_are_used_twice_tie_the_groups_of_their_inputs_and_outputs():
    (_, group, _) = channel_groups(NETWORKS["a layer used twice"](), 3)
    assert (group.producers, group.consumers) == (("a", "b"), ("b", "out"))
    (_, group, _) = channel_groups(NETWORKS["a normalization layer used twice"](), 3)
    assert group.producers == ("a", "b") and group.norms == ("norm",)


def test_counting_costs_does_not_change_statistics_of_batch_normalization():
    net = normalized(nn.BatchNorm2d).train()
    before = copy.deepcopy(net.state_dict())
    ChannelCosts(net, channel_groups(net, 3), 3, 8, 8)
    assert net.training and all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


@pytest.mark.parametrize("norm", [nn.BatchNorm2d, partial(nn.InstanceNorm2d, affine=True)])
def test_channels_with_affine_normalization_that_are_set_to_zero_remain_zero(norm):
    net = randomize_all(normalized(norm)).train()
    groups = channel_groups(net, 3)
    masks = random_masks(groups)
    masked = zero_pruned_channels(net, groups, masks)
    train_for_three_steps(masked)
    pruned, masked = prune(masked, groups, masks).eval(), masked.eval()
    layers = dict(masked.named_modules())
    for group, mask in zip([g for g in groups if not g.fixed], masks, strict=True):
        for norm_name in group.norms:
            assert not layers[norm_name].weight[torch.tensor(~mask)].any()
            assert not layers[norm_name].bias[torch.tensor(~mask)].any()
    with torch.no_grad():
        assert torch.allclose(pruned(images()), masked(images()), atol=1e-5)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 1), nn.GroupNorm(2, 4)), "1: GroupNorm.*Supported are"),
        (nn.Sequential(nn.Conv2d(3, 3, 1, groups=3)), "0: Conv2d.*groups=3.*Supported are"),
        (nn.Sequential(nn.Flatten()), "0: Flatten"),
        (nn.Sequential(nn.Conv2d(3, 4, 1), nn.PixelShuffle(2)), "1: PixelShuffle"),
        (
            nn.Sequential(spectral_norm(nn.Conv2d(3, 4, 1))),
            "0, a ParametrizedConv2d.*spectral normalization",
        ),
        (Own(lambda s, x: F.instance_norm(s.a(x))), "instance_norm.*Supported are"),
        (Own(lambda s, x: torch.cat([s.a(x), s.a(x)], 1)), "cat.*Supported are"),
        (Own(lambda s, x: s.a(x).mean(1, keepdim=True)), "mean.*Supported are"),
        (Own(lambda s, x: F.pad(s.a(x), (0, 0, 0, 0, 1, 1))), "pad.*Supported are"),
        (Own(lambda s, x: s.out(s.a(x) / s.b(s.a(x)))), "truediv.*Supported are"),
        (Own(lambda s, x: s.out(s.a(x) / x.shape[1])), "getitem.*Supported are"),
        (Own(lambda s, x: s.a(x) + s.out(s.a(x))), "combines tensors with 8 and 3 channels"),
        (Own(lambda s, x: s.a(x) if x.sum() > 0 else x), "torch.fx: .*must not depend on values"),
        (
            Own(lambda s, x: s.a(x) * s.v, v=nn.Parameter(torch.ones(1, 8, 1, 1))),
            r"tensor v of shape \(1, 8, 1, 1\).*Supported are",
        ),
    ],
)
def test_a_network_with_an_unsupported_operation_raises_an_error_that_names_it(net, message):
    with pytest.raises(ValueError, match=f"cannot be traced.*{message}"):
        channel_groups(net, 3)


def test_networks_with_other_inputs_or_outputs_than_one_image_are_rejected():
    class TwoInputs(nn.Module):
        def forward(self, x, y):
            return x + y

    with pytest.raises(ValueError, match="one input; got another, y"):
        channel_groups(TwoInputs(), 3)
    with pytest.raises(ValueError, match="one output tensor"):
        channel_groups(Own(lambda s, x: (s.a(x), x)), 3)
    with pytest.raises(ValueError, match="a expects 3 channels, and its input has 1"):
        channel_groups(Own(lambda s, x: s.a(x)), 1)


def test_missing_masks_and_masks_of_the_wrong_length_or_without_ones_raise_an_error():
    net = generator(width=4, blocks=1)
    groups = channel_groups(net, 3)
    masks = random_masks(groups)
    with pytest.raises(ValueError, match="6 masks.*got 5"):
        prune(net, groups, masks[1:])
    with pytest.raises(ValueError, match="4 bits.*3"):
        prune(net, groups, [masks[0][:3], *masks[1:]])
    with pytest.raises(ValueError, match="keeps no output channel of the convolution"):
        prune(net, groups, [np.zeros(4, bool), *masks[1:]])
