import numpy as np
import pytest
import torch
from moonas.problems.cyclegan_pruning.channels import (
    ChannelCosts,
    channel_groups,
    merge_residual_groups,
)
from moonas.problems.cyclegan_pruning.networks import discriminator, generator
from torch import nn

from moonas.nets.counting import count_macs, count_params

ORIGINAL_MB, ORIGINAL_MMACS = 43.42, 56_832  # as in the paper, see counted_at_the_output()
TABLE_1 = {  # MB, r_c, MMACs, r_s
    "horse2zebra": (10.16, 4.27, 13_448, 4.23),
    "zebra2horse": (10.00, 4.34, 13_060, 4.35),
    "summer2winter": (7.98, 5.44, 11_064, 5.14),
    "winter2summer": (7.61, 5.70, 10_994, 5.17),
    "cityscapes-A2B": (8.98, 4.84, 12_977, 4.38),
    "cityscapes-B2A": (12.26, 3.54, 16_445, 3.46),
}


TRIED = ((64, 3), (128, 5), (160, 1), (128, 5))  # largest number of filters per mask, and step


def size(make, *shape):
    """Return the parameters and multiply-adds of the network that ``make`` builds."""
    with torch.device("meta"):
        net = make()
        return count_params(net), count_macs(net, *shape)


@pytest.mark.parametrize(
    ("options", "side", "params", "macs"),
    [
        ({}, 256, 11_378_179, 49_551_507_456),
        ({}, 224, 11_378_179, 37_937_872_896),
        ({}, 128, 11_378_179, 12_387_876_864),
        (dict(blocks=6), 256, 7_837_699, 35_055_992_832),
        (dict(width=32), 256, 2_850_563, 12_696_158_208),
    ],
)
def test_generators_have_the_published_size(options, side, params, macs):
    assert size(lambda: generator(**options), 3, side, side) == (params, macs)


def test_the_discriminator_has_the_published_size_and_returns_a_score_per_patch():
    assert size(discriminator, 3, 256, 256) == (2_764_737, 3_146_809_344)
    with torch.device("meta"):
        assert discriminator()(torch.zeros(2, 3, 256, 256)).shape == (2, 1, 30, 30)


def counted_at_the_output():
    """Return multiply-adds, with transposed convolutions counted at their output, and biases."""
    with torch.device("meta"):
        net = generator()
        macs = count_macs(net, 3, 256, 256)
    biases = 0
    for layer in net.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            weights = layer.weight.numel()
            side_in = 64 if layer.in_channels == 256 else 128
            macs += 3 * weights * side_in**2
            biases += layer.out_channels * (2 * side_in) ** 2
        elif isinstance(layer, nn.Conv2d):
            at = {64: 256, 3: 256, 128: 128, 256: 64}[layer.out_channels]
            biases += layer.out_channels * at**2
    return macs, biases


def test_the_papers_flops_count_transposed_convolutions_at_their_output_and_biases():
    assert counted_at_the_output() == (56_799_264_768, 32_702_464)
    assert sum(counted_at_the_output()) == 56_831_967_232
    assert round(sum(counted_at_the_output()) / 1e6) == ORIGINAL_MMACS


@pytest.mark.parametrize("task", TABLE_1)
def test_the_ratios_of_table_1_are_those_of_its_sizes(task):
    memory, r_c, macs, r_s = TABLE_1[task]
    assert ORIGINAL_MB / memory == pytest.approx(r_c, abs=0.0057)
    assert ORIGINAL_MMACS / macs == pytest.approx(r_s, abs=0.0051)


@pytest.mark.parametrize("task", TABLE_1)
def test_some_numbers_of_filters_reproduce_each_row_of_table_1(task):
    """Memory and FLOPs agree to the last digit for some masks of the released encoding.

    As in the paper, FLOPs count transposed convolutions at their output and include biases.
    """
    memory, _, mmacs, _ = TABLE_1[task]
    c1, c2, t, d1 = np.ix_(*(np.arange(1, n + 1, step) for n, step in TRIED))
    without = 148 * c1 + 9 * c1 * c2 + c2 + 9 * c2 * t + 162 * t * t + 19 * t + 9 * t * d1 + d1 + 3
    d2 = np.rint((memory * 2**18 - without) / (9 * d1 + 148)).clip(1, 64).astype(int)
    weights = [147 * c1, 9 * c1 * c2, 9 * c2 * t, 162 * t * t, 9 * t * d1, 9 * d1 * d2, 147 * d2]
    biases = [c1, c2, t, 18 * t, d1, d2, 3]
    places = [256**2, 128**2, 64**2, 64**2, 128**2, 256**2, 256**2]
    params = sum(weights) + sum(biases)
    macs = sum((w + b) * n for w, b, n in zip(weights, biases, places, strict=True))
    right = (abs(4 * params / 2**20 - memory) < 0.005) & (abs(macs / 1e6 - mmacs) < 0.5)
    assert right.any()
    first = np.unravel_index(right.argmax(), right.shape)
    counts = [int(np.broadcast_to(n, right.shape)[first]) for n in (c1, c2, t, d1, d2)]
    with torch.device("meta"):
        net = generator()
    groups = merge_residual_groups(channel_groups(net, 3))
    masks = [np.arange(g.size) < n for g, n in zip(groups[1:-1], counts, strict=True)]
    costs = ChannelCosts(net, groups)
    assert round(4 * costs.count(masks)[1] / 2**20, 2) == memory
    # 43.42 MB in the paper are 43.40 MB here
    assert costs.total[1] / costs.count(masks)[1] == pytest.approx(TABLE_1[task][1], abs=0.009)


def test_half_of_every_mask_keeps_as_many_weights_as_a_network_of_half_the_width():
    with torch.device("meta"):
        net, half = generator(), generator(width=32)
    groups = merge_residual_groups(channel_groups(net, 3))
    masks = [torch.arange(g.size) < g.size // 2 for g in groups if not g.fixed]
    costs = ChannelCosts(net, groups)
    kept, total = costs.count(masks)[0], costs.total[0]
    biases = sum(
        m.bias.numel() for m in half.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)
    )
    assert total == 11_372_928
    assert kept + biases == count_params(half)
