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

ORIGINAL_MB, ORIGINAL_MMACS = 43.42, 56_832  # in the paper, see macs_and_biases_at_outputs()
TABLE_1 = {  # memory in MB, memory ratio r_c, FLOPs in millions, FLOPs ratio r_s
    "horse2zebra": (10.16, 4.27, 13_448, 4.23),
    "zebra2horse": (10.00, 4.34, 13_060, 4.35),
    "summer2winter": (7.98, 5.44, 11_064, 5.14),
    "winter2summer": (7.61, 5.70, 10_994, 5.17),
    "cityscapes-A2B": (8.98, 4.84, 12_977, 4.38),
    "cityscapes-B2A": (12.26, 3.54, 16_445, 3.46),
}


SEARCH_GRID = ((64, 3), (128, 5), (160, 1), (128, 5))  # largest number of filters and step


def params_and_macs(build, *shape):
    """Return the parameters and multiply-adds of the network that ``build`` returns."""
    with torch.device("meta"):
        net = build()
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
    assert params_and_macs(lambda: generator(**options), 3, side, side) == (params, macs)


def test_the_discriminator_has_the_published_size_and_returns_a_score_per_patch():
    assert params_and_macs(discriminator, 3, 256, 256) == (2_764_737, 3_146_809_344)
    with torch.device("meta"):
        assert discriminator()(torch.zeros(2, 3, 256, 256)).shape == (2, 1, 30, 30)


def macs_and_biases_at_outputs():
    """Return the multiply-adds and additions of biases, counted per output position."""
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
            side_out = {64: 256, 3: 256, 128: 128, 256: 64}[layer.out_channels]
            biases += layer.out_channels * side_out**2
    return macs, biases


def test_flops_in_the_paper_include_biases_and_count_transposed_convolutions_at_the_output():
    assert macs_and_biases_at_outputs() == (56_799_264_768, 32_702_464)
    assert sum(macs_and_biases_at_outputs()) == 56_831_967_232
    assert round(sum(macs_and_biases_at_outputs()) / 1e6) == ORIGINAL_MMACS


@pytest.mark.parametrize("task", TABLE_1)
def test_the_ratios_in_table_1_match_the_sizes_in_table_1(task):
    memory, r_c, macs, r_s = TABLE_1[task]
    assert ORIGINAL_MB / memory == pytest.approx(r_c, abs=0.0057)
    assert ORIGINAL_MMACS / macs == pytest.approx(r_s, abs=0.0051)


@pytest.mark.parametrize("task", TABLE_1)
def test_each_row_of_table_1_is_reproduced_by_some_numbers_of_filters(task):
    """For some masks of the released encoding, memory and FLOPs match the table to the last digit.

    As in the paper, FLOPs count transposed convolutions at their output and include biases.
    """
    memory, _, mmacs, _ = TABLE_1[task]
    c1, c2, t, d1 = np.ix_(*(np.arange(1, n + 1, step) for n, step in SEARCH_GRID))
    params_without_d2 = (
        148 * c1 + 9 * c1 * c2 + c2 + 9 * c2 * t + 162 * t * t + 19 * t + 9 * t * d1 + d1 + 3
    )
    d2 = np.rint((memory * 2**18 - params_without_d2) / (9 * d1 + 148)).clip(1, 64).astype(int)
    weights = [147 * c1, 9 * c1 * c2, 9 * c2 * t, 162 * t * t, 9 * t * d1, 9 * d1 * d2, 147 * d2]
    biases = [c1, c2, t, 18 * t, d1, d2, 3]
    positions = [256**2, 128**2, 64**2, 64**2, 128**2, 256**2, 256**2]
    params = sum(weights) + sum(biases)
    macs = sum((w + b) * n for w, b, n in zip(weights, biases, positions, strict=True))
    matches = (abs(4 * params / 2**20 - memory) < 0.005) & (abs(macs / 1e6 - mmacs) < 0.5)
    assert matches.any()
    first = np.unravel_index(matches.argmax(), matches.shape)
    counts = [int(np.broadcast_to(n, matches.shape)[first]) for n in (c1, c2, t, d1, d2)]
    with torch.device("meta"):
        net = generator()
    groups = merge_residual_groups(channel_groups(net, 3))
    masks = [np.arange(g.size) < n for g, n in zip(groups[1:-1], counts, strict=True)]
    costs = ChannelCosts(net, groups)
    assert round(4 * costs.count(masks)[1] / 2**20, 2) == memory
    # the original generator has 43.42 MB in the paper and 43.40 MB here
    assert costs.total[1] / costs.count(masks)[1] == pytest.approx(TABLE_1[task][1], abs=0.009)


def test_masks_that_keep_half_of_the_filters_keep_as_many_weights_as_half_the_width():
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
