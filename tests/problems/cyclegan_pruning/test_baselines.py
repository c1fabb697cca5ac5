"""Selection of filters without a search."""

import numpy as np
import pytest
import torch
from moonas.problems.cyclegan_pruning import networks
from moonas.problems.cyclegan_pruning.baselines import (
    channel_contributions,
    first_filters,
    keep_like,
    keep_of_size,
    least_squares_factors,
    random_filters,
    removal_order,
    thinet,
    weights_of,
)
from moonas.problems.cyclegan_pruning.channels import ChannelCosts
from moonas.problems.cyclegan_pruning.masks import compress, filter_groups
from moonas.problems.cyclegan_pruning.space import Space
from moonas.problems.cyclegan_pruning.training import CycleGAN, scale_pixels
from torch import nn

SHAPE = dict(width=4, blocks=2, d_width=2, d_layers=1)


@pytest.fixture(scope="module")
def gan():
    """CycleGAN whose channels differ much in their contributions."""
    torch.manual_seed(0)
    gan = CycleGAN(**SHAPE).double()
    with torch.no_grad():
        for p in gan.generators.parameters():
            p.copy_(torch.randn_like(p))
    return gan


@pytest.fixture(scope="module")
def images():
    rng = torch.Generator().manual_seed(1)
    return {k: torch.randint(256, (3, 3, 12, 12), generator=rng, dtype=torch.uint8) for k in "ab"}


@pytest.fixture(scope="module", autouse=True)
def double_pixels():
    """Compute in double precision, so that errors can be compared."""
    from moonas.problems.cyclegan_pruning import baselines

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "scale_pixels", lambda images: scale_pixels(images).double())
        yield


def costs_and_groups(gan, encoding="filters"):
    groups = filter_groups(gan.generators["a"], encoding)
    return ChannelCosts(gan.generators["a"], groups), groups


LAYERS = {
    "convolution": nn.Conv2d(5, 3, 3, 2, 1),
    "transposed convolution": nn.ConvTranspose2d(5, 3, 3, 2, 1, 1),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_contributions_of_the_channels_sum_to_the_output_without_the_bias(name):
    torch.manual_seed(2)
    layer, x = LAYERS[name].double(), torch.randn(2, 5, 6, 6).double()
    with torch.no_grad():
        outputs = (layer(x) - layer.bias[:, None, None]).flatten(1)
        chosen = torch.arange(outputs.shape[1]).expand(2, -1)
        contributions = channel_contributions(layer, x, chosen)
        only_channel_3 = x * (torch.arange(5) == 3)[:, None, None]
        of_3 = (layer(only_channel_3) - layer.bias[:, None, None]).flatten()
    assert np.allclose(contributions.sum(1), outputs.flatten(), atol=1e-12)
    assert np.allclose(contributions[:, 3], of_3, atol=1e-12)


def test_channels_are_removed_in_the_order_of_an_exhaustive_greedy_search():
    torch.manual_seed(3)
    layer, x = nn.Conv2d(6, 4, 3).double(), torch.randn(2, 6, 7, 7).double()
    x *= torch.tensor([1, 0.3, 2, 0.1, 1, 0.6])[:, None, None]

    def error_without(removed):
        """Squared error of the layer's output if the removed channels are zero."""
        kept = torch.tensor([c not in removed for c in range(6)])
        return float(((layer(x) - layer(x * kept[:, None, None])) ** 2).sum())

    with torch.no_grad():
        n = layer(x)[0].numel()
        contributions = channel_contributions(layer, x, torch.arange(n).expand(2, -1))
        order, expected = removal_order(contributions.T @ contributions).tolist(), []
        while len(expected) < 6:
            left = [c for c in range(6) if c not in expected]
            expected.append(min(left, key=lambda c: error_without([*expected, c])))
        assert order == expected
        sums = contributions[:, order[:3]].sum(1)
        assert (sums**2).sum() == pytest.approx(error_without(order[:3]))


def test_a_channel_that_another_one_cancels_is_removed_together_with_it():
    contributions = np.random.default_rng(0).normal(size=(50, 4))
    contributions[:, 1] = -contributions[:, 0] + 1e-3 * contributions[:, 2]
    order = removal_order(contributions.T @ contributions).tolist()
    assert abs(order.index(0) - order.index(1)) == 1  # after the first, the second costs nothing


def test_least_squares_factors_reconstruct_the_output_of_dependent_channels():
    contributions = np.random.default_rng(0).normal(size=(60, 3))
    contributions[:, 2] = 0.5 * contributions[:, 0]
    factors = least_squares_factors(contributions, np.array([0, 1]))
    assert factors == pytest.approx([1.5, 1.0])


@pytest.mark.parametrize("encoding", ["filters", "released"])
def test_rescaled_weights_reconstruct_the_next_layers_better(gan, images, encoding):
    costs, groups = costs_and_groups(gan, encoding)
    n_outputs = 16 * 12 * 12  # all outputs of the widest layer
    selection = thinet(gan, images, groups, samples=n_outputs)
    architecture = keep_of_size(costs, selection.values, dict.fromkeys("ab", costs.total[0] // 3))
    rescaled = selection.rescaled(gan, architecture, groups)
    free = [group for group in groups if not group.fixed]
    for k in "ab":
        before, after = (dict(g.generators[k].named_modules()) for g in (gan, rescaled))
        inputs = inputs_of(gan.generators[k], scale_pixels(images[k]).double())
        for group, mask in zip(free, architecture.masks(k), strict=True):
            kept = torch.as_tensor(mask)[:, None, None]
            for name in group.consumers:
                with torch.no_grad():
                    x = inputs[name]
                    target = before[name](x)
                    errors = [
                        float(((layer(x * kept) - target) ** 2).sum())
                        for layer in (before[name], after[name])
                    ]
                    contributions = selection.contributions[k][name]
                    removed = contributions[:, ~mask].sum(1)
                assert errors[0] == pytest.approx((removed**2).sum(), rel=1e-9, abs=1e-9)
                assert errors[1] <= errors[0] * (1 + 1e-9)
                outside = ~kept.squeeze().squeeze()
                axis = int(not isinstance(before[name], nn.ConvTranspose2d))
                weights = [net[name].weight.movedim(axis, 0)[outside] for net in (before, after)]
                assert torch.equal(*weights)  # only the kept channels are rescaled
    assert compress(rescaled, architecture, groups)  # and the result can be pruned


def inputs_of(generator, images):
    """Return the inputs of each convolution, by name."""
    inputs = {}
    hooks = [
        layer.register_forward_pre_hook(lambda _, x, name=name: inputs.__setitem__(name, x[0]))
        for name, layer in generator.named_modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    ]
    with torch.no_grad():
        generator(images)
    for hook in hooks:
        hook.remove()
    return inputs


def test_the_convolutions_of_a_shared_mask_have_the_same_influence(gan, images):
    _, groups = costs_and_groups(gan)
    selection = thinet(gan, images, groups, samples=200)
    free = [group for group in groups if not group.fixed]
    index = next(i for i, group in enumerate(free) if len(group.consumers) > 1)
    for k in "ab":
        total = 0
        for name in free[index].consumers:
            c = selection.contributions[k][name]
            total = total + c.T @ c / (c.sum(1) ** 2).sum()
        order = removal_order(total)
        assert np.argsort(order).tolist() == selection.values[k][index].tolist()


def test_channels_without_any_contribution_are_removed_first(gan, images):
    _, groups = costs_and_groups(gan)
    free = [group for group in groups if not group.fixed]
    with torch.no_grad():
        silent = CycleGAN(**SHAPE).double()
        silent.load_state_dict(gan.state_dict())
        layers = dict(silent.generators["b"].named_modules())
        for name in free[1].consumers:
            layers[name].weight[:, [2, 5]] = 0
    values = thinet(silent, images, groups).values["b"][1]
    assert sorted(np.argsort(values)[:2].tolist()) == [2, 5]


@pytest.mark.parametrize("jointly", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.77, 1.0])
def test_architectures_of_a_given_size_are_the_closest_of_all_nested_ones(share, jointly):
    with torch.device("meta"):
        net = networks.generator(width=4, blocks=2)
    groups = filter_groups(net, "filters")
    costs = ChannelCosts(net, groups)
    values = random_filters(groups, np.random.default_rng(0))
    sizes = [len(v) for v in values["a"]]
    targets = {"a": round(share * costs.total[0]), "b": round(share / 2 * costs.total[0])}
    architecture = keep_of_size(costs, values, targets, jointly=jointly)
    for k, weights in weights_of(costs, architecture).items():
        possible = []
        for step in range(sum(sizes) + 1):
            if jointly:
                least = np.sort(np.concatenate(values[k]))[::-1][: step + 1][-1]
                least = -1 if step == sum(sizes) else least
                counts = [max(1, int((v >= least).sum())) for v in values[k]]
            else:
                counts = [max(1, round(step / sum(sizes) * n)) for n in sizes]
            masks = [np.argsort(np.argsort(-v)) < n for v, n in zip(values[k], counts, strict=True)]
            possible.append(abs(costs.count(masks)[0] - targets[k]))
        assert abs(weights - targets[k]) == min(possible)


def test_as_many_filters_are_kept_as_in_another_architecture(gan):
    _, groups = costs_and_groups(gan)
    space = Space([g.size for g in groups if not g.fixed])
    other = space.uniform(0.4, np.random.default_rng(0))
    values = random_filters(groups, np.random.default_rng(1))
    architecture = keep_like(values, other)
    assert str(architecture) == str(other) and architecture != other
    for k in "ab":
        for mask, numbers in zip(architecture.masks(k), values[k], strict=True):
            assert numbers[mask].min() > numbers[~mask].max()


def test_uniformly_narrower_networks_keep_the_first_filters(gan):
    costs, groups = costs_and_groups(gan)
    architecture = keep_of_size(costs, first_filters(groups), dict.fromkeys("ab", 2000))
    for k in "ab":
        assert all(mask.strip("0") == "1" * mask.count("1") for mask in getattr(architecture, k))
        assert all(mask.startswith("1") for mask in getattr(architecture, k))
