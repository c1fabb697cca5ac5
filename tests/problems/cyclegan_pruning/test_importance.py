import numpy as np
import pytest
import torch
from moonas.problems.cyclegan_pruning.channels import channel_axis, zero_pruned_channels
from moonas.problems.cyclegan_pruning.importance import filter_importance
from moonas.problems.cyclegan_pruning.masks import filter_groups, keep_largest
from moonas.problems.cyclegan_pruning.training import TARGET, new_gan, scale_pixels

NETWORK_SHAPE = dict(width=2, blocks=2, d_width=2, d_layers=1)


def gan_and_images(seed=0):
    """Return a small CycleGAN with large weights, in double precision, and images."""
    gan = new_gan(seed, "cpu", **NETWORK_SHAPE).double()
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in gan.parameters():
            p.copy_(0.3 * torch.randn(p.shape, generator=rng))
    images = {k: torch.randint(256, (3, 3, 8, 8), generator=rng, dtype=torch.uint8) for k in "ab"}
    return gan, images


@pytest.fixture(autouse=True)
def double_precision(monkeypatch):
    """Convert images to double precision, so that differences can be divided by small numbers."""
    module = "moonas.problems.cyclegan_pruning.importance.scale_pixels"
    monkeypatch.setattr(module, lambda images: scale_pixels(images).double())


def differences(gan, original, images, loss, norm, cycle_weight):
    """Return the weighted differences between outputs and targets, (domains, images, outputs)."""
    rows = []
    for k, back in TARGET.items():
        x = scale_pixels(images[k]).double()
        translated = gan.generators[k](x)
        compared, target = translated, original.generators[k](x)
        if loss == "discriminator":
            compared, target = (original.discriminators[k](y) for y in (compared, target))
        parts = [compared - target, cycle_weight**0.5 * (gan.generators[back](translated) - x)]
        if norm == "mean":
            parts = [part / part[0].numel() ** 0.5 for part in parts]
        rows.append(torch.cat([part.flatten(1) for part in parts], dim=1) / len(x) ** 0.5)
    return torch.stack(rows)


def scaled(gan, groups, source, i, channel, factor):
    """Return a copy whose convolutions read one channel multiplied by a factor."""
    copy = new_gan(0, "cpu", **NETWORK_SHAPE).double()
    copy.load_state_dict(gan.state_dict())
    layers = dict(copy.generators[source].named_modules())
    group = [g for g in groups if not g.fixed][i]
    for name in group.consumers:
        weight = layers[name].weight
        weight.movedim(channel_axis(layers[name], out=False), 0)[channel] *= factor
    return copy


@pytest.mark.parametrize(
    ("encoding", "loss", "norm"),
    [("filters", "discriminator", "mean"), ("released", "generator", "sum")],
)
@torch.no_grad()
def test_importance_is_the_change_of_the_loss_with_linearized_outputs(encoding, loss, norm):
    gan, images = gan_and_images()
    groups = filter_groups(gan.generators["a"], encoding)
    n = 60
    options = dict(loss=loss, norm=norm, cycle_weight=3.0)
    with torch.enable_grad():
        both_terms, first_term = (
            filter_importance(gan, images, groups, projections=k, batch=2, **options)
            for k in (n, 0)
        )
    e, h = differences(gan, gan, images, **options), 1e-7
    for source in "ab":
        for i, values in enumerate(first_term[source]):
            for channel in (0, len(values) - 1):
                above, below = (
                    differences(scaled(gan, groups, source, i, channel, f), gan, images, **options)
                    for f in (1 + h, 1 - h)
                )
                J = (above - below) / (2 * h)
                assert values[channel] == pytest.approx(float(-2 * (e * J).sum()), 1e-4, 1e-9)
                squares = J.square().sum(-1)
                error = float(2 * squares.square().sum() / n) ** 0.5  # standard error
                estimate = both_terms[source][i][channel] - values[channel]
                assert abs(estimate - float(squares.sum())) < 4 * error + 1e-9


def test_the_most_important_filters_are_those_whose_removal_increases_the_loss_most():
    gan, images = gan_and_images(seed=3)
    groups = filter_groups(gan.generators["a"], "filters")
    options = dict(loss="generator", norm="mean", cycle_weight=1.0)
    importance = filter_importance(gan, images, groups, projections=32, **options)
    sizes = [g.size for g in groups if not g.fixed]
    estimated, exact = [], []
    with torch.no_grad():
        before = float(differences(gan, gan, images, **options).square().sum())
        for k in "ab":
            for i, size in enumerate(sizes):
                for channel in range(size):
                    masks = [np.ones(n, bool) for n in sizes]
                    masks[i][channel] = False
                    pruned = new_gan(0, "cpu", **NETWORK_SHAPE).double()
                    pruned.load_state_dict(gan.state_dict())
                    pruned.generators[k] = zero_pruned_channels(gan.generators[k], groups, masks)
                    after = float(differences(pruned, gan, images, **options).square().sum())
                    exact.append(after - before)
                    estimated.append(importance[k][i][channel])
    ranks = [np.argsort(np.argsort(values)) for values in (estimated, exact)]
    assert np.corrcoef(*ranks)[0, 1] > 0.7


def test_importance_depends_neither_on_the_scale_of_filters_nor_on_the_batch_size():
    gan, images = gan_and_images()
    groups = filter_groups(gan.generators["a"], "filters")
    options = dict(projections=1, cycle_weight=1.0)
    before = filter_importance(gan, images, groups, batch=3, **options)
    again = filter_importance(gan, images, groups, batch=3, **options)
    first = gan.generators["a"][1]
    with torch.no_grad():  # instance normalization removes the scale
        first.weight.mul_(10)
        first.bias.mul_(10)
    scaled_filters = filter_importance(gan, images, groups, batch=3, **options)
    for k in "ab":
        for x, y, z in zip(before[k], again[k], scaled_filters[k], strict=True):
            assert np.array_equal(x, y)
            assert z == pytest.approx(x, rel=0.01, abs=1e-6)
    assert all(p.grad is None for p in gan.parameters())
    assert not any(m._forward_pre_hooks for m in gan.modules())


def test_keep_largest_keeps_the_share_of_each_mask_with_the_largest_values():
    values = {
        "a": [np.array([1.0, 5.0, -2.0, 4.0]), np.array([3.0, 3.0])],
        "b": [np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 2.0])],
    }
    architecture = keep_largest(values, 0.5)
    assert architecture.a == ("0101", "10") and architecture.b == ("0011", "01")
    assert keep_largest(values, 0.01).a == ("0100", "10")
