import math
from functools import partial

import pytest
import torch
from torch import nn

from moonas.nets.randomness import generator, initial_weights
from moonas.training.sgd import (
    Recipe,
    cosine,
    load_training_state,
    make_optimizer,
    step_if_finite,
    stratified_sample,
    train_epoch,
    training_state,
)

RECIPE = Recipe(
    batch=4,
    learning_rate=0.1,
    learning_rate_end=0.01,
    momentum=0.9,
    weight_decay=0.1,
    clip=1e9,
    horizon=10,
)


class TwoLayers(nn.Module):
    """A network with two linear layers; architecture 0 or 1 uses the layer with this index."""

    def __init__(self):
        super().__init__()
        with initial_weights(0, "two"):
            self.layers = nn.ModuleList([nn.Linear(3, 2), nn.Linear(3, 2)])

    def forward(self, images, architecture):
        return self.layers[architecture](images.flatten(1))


def forward_functions(net, *architectures):
    return [partial(net, architecture=a) for a in architectures]


def optimizer_arguments(net, recipe):
    return make_optimizer(net, recipe), recipe, generator(1)


def random_data(n=8):
    rng = generator(0, "data")
    return torch.randn(n, 3, 1, 1, generator=rng), torch.randint(0, 2, (n,), generator=rng)


def loss(net, architecture, images, labels):
    return nn.functional.cross_entropy(net(images, architecture), labels)


def test_the_learning_rate_of_cosine_annealing_is_constant_from_the_horizon_on():
    assert cosine(0, 10, 0.1, 0.001) == pytest.approx(0.1)
    assert cosine(5, 10, 0.1, 0.001) == pytest.approx((0.1 + 0.001) / 2)
    assert cosine(3, 0, 0.1, 0.001) == 0.001
    assert cosine(10, 10, 0.1, 0.001) == cosine(50, 10, 0.1, 0.001) == pytest.approx(0.001)


def test_the_gradient_of_a_step_is_the_mean_over_the_sampled_networks():
    """See eq. (3) of CARS. An SGD step without momentum is proportional to the gradient."""
    recipe = Recipe(8, 0.1, 0.1, 0.0, 0.0, 1e9, 1)
    images, labels = random_data(8)
    net, twin = TwoLayers(), TwoLayers()
    train_epoch(
        net,
        (images, labels),
        lambda: forward_functions(net, 0, 1, 0),
        *optimizer_arguments(net, recipe),
    )
    losses = [loss(twin, a, images, labels) for a in (0, 1, 0)]
    (sum(losses) / 3).backward()
    for trained, initial in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(trained, initial - 0.1 * initial.grad, atol=1e-6)


def test_parameters_that_no_sampled_network_uses_do_not_change():
    net = TwoLayers()
    optimizer = make_optimizer(net, RECIPE)
    before = [p.clone() for p in net.layers[1].parameters()]
    train_epoch(
        net, random_data(), lambda: forward_functions(net, 1), optimizer, RECIPE, generator(1)
    )
    train_epoch(
        net, random_data(), lambda: forward_functions(net, 0), optimizer, RECIPE, generator(1)
    )
    after = [p.clone() for p in net.layers[1].parameters()]
    assert not torch.equal(before[0], after[0])
    train_epoch(
        net, random_data(), lambda: forward_functions(net, 0), optimizer, RECIPE, generator(1)
    )
    # neither weight decay nor momentum changes the unused parameters
    assert all(torch.equal(a, p) for a, p in zip(after, net.layers[1].parameters(), strict=True))


def test_an_epoch_uses_each_image_at_most_once_in_full_batches():
    used_pixels = []

    class Spy(TwoLayers):
        def forward(self, images, architecture):
            used_pixels.extend(images[:, 0, 0, 0].tolist())
            return super().forward(images, architecture)

    net = Spy()
    images, labels = random_data(11)
    report = train_epoch(
        net, (images, labels), lambda: forward_functions(net, 0), *optimizer_arguments(net, RECIPE)
    )
    assert report.steps == 2 and report.skipped == 0
    assert len(used_pixels) == len(set(used_pixels)) == 8
    assert set(used_pixels) <= set(images[:, 0, 0, 0].tolist())


def test_an_epoch_with_fewer_images_than_a_batch_has_one_step():
    net = TwoLayers()
    report = train_epoch(
        net, random_data(3), lambda: forward_functions(net, 0), *optimizer_arguments(net, RECIPE)
    )
    assert report.steps == 1


def test_steps_with_a_non_finite_loss_are_skipped_and_counted():
    net = TwoLayers()
    images, labels = random_data()
    images[:] = math.inf
    before = [p.clone() for p in net.parameters()]
    report = train_epoch(
        net, (images, labels), lambda: forward_functions(net, 0), *optimizer_arguments(net, RECIPE)
    )
    assert report.steps == 0 and report.skipped == 2 and math.isnan(report.losses["loss"])
    assert all(torch.equal(a, p) for a, p in zip(before, net.parameters(), strict=True))


def test_gradients_are_clipped_to_the_maximum_norm():
    recipe = Recipe(8, 1.0, 1.0, 0.0, 0.0, 1e-3, 1)
    net = TwoLayers()
    before = [p.clone() for p in net.parameters()]
    train_epoch(
        net, random_data(), lambda: forward_functions(net, 0), *optimizer_arguments(net, recipe)
    )
    squared_distance = sum(
        float((a - p).detach().square().sum())
        for a, p in zip(before, net.parameters(), strict=True)
    )
    assert math.sqrt(squared_distance) == pytest.approx(1e-3, rel=1e-3)


def test_loading_a_training_state_restores_the_momentum():
    def train(net, optimizer, rng):
        train_epoch(net, random_data(), lambda: forward_functions(net, 0), optimizer, RECIPE, rng)

    one, two = TwoLayers(), TwoLayers()
    first, second = make_optimizer(one, RECIPE), make_optimizer(two, RECIPE)
    train(one, first, generator(1))
    load_training_state(two, second, training_state(one, first))
    train(one, first, generator(2))
    train(two, second, generator(2))
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)


def test_loading_a_training_state_discards_the_earlier_optimizer_state():
    saved, loaded = TwoLayers(), TwoLayers()
    first, second = make_optimizer(saved, RECIPE), make_optimizer(loaded, RECIPE)
    train_epoch(
        saved, random_data(), lambda: forward_functions(saved, 0), first, RECIPE, generator(1)
    )
    train_epoch(
        loaded, random_data(), lambda: forward_functions(loaded, 1), second, RECIPE, generator(1)
    )
    load_training_state(loaded, second, training_state(saved, first))
    assert set(second.state) == set(loaded.layers[0].parameters())


@pytest.mark.parametrize(
    ("loss_of", "skipped"),
    [
        (lambda w: (w * torch.ones(3)).sum(), False),
        (lambda w: w.abs().sqrt().sum(), True),  # loss 0, infinite gradient at 0
        (lambda w: (w * torch.ones(3)).sum() + math.inf, True),  # infinite loss, gradient 1
    ],
)
def test_a_step_is_skipped_if_the_loss_or_the_gradient_is_not_finite(loss_of, skipped):
    weight = nn.Parameter(torch.zeros(3))
    value = step_if_finite(loss_of(weight), torch.optim.SGD([weight], 0.1), [weight])
    assert (value is None) == skipped
    assert torch.equal(weight.detach(), torch.full((3,), 0.0 if skipped else -0.1))


def test_a_stratified_sample_keeps_the_shares_of_the_classes():
    labels = torch.tensor([0] * 50 + [1] * 30 + [2] * 20)[torch.randperm(100)]
    rng = torch.Generator().manual_seed(0)
    samples = [stratified_sample(labels, 10, rng) for _ in range(200)]
    for rows in samples:
        assert len(set(rows.tolist())) == 10
        assert labels[rows].bincount().tolist() == [5, 3, 2]
    counts = torch.bincount(torch.cat(samples), minlength=100)
    assert counts.min() >= 5 and counts.max() <= 40  # 20 are expected
    positions = torch.stack([labels[rows] for rows in samples]).float().mean(0)
    assert (positions - 0.7).abs().max() < 0.25  # in random order
    rare = stratified_sample(torch.tensor([0] * 97 + [1] * 3), 10, rng)
    assert len(rare) == 10
    several = stratified_sample(torch.zeros(100, 4), 7, rng)
    assert len(set(several.tolist())) == 7


def test_an_epoch_can_use_a_part_of_the_images():
    images, labels, seen = torch.arange(20.0)[:, None], torch.arange(20) % 2, []
    net = torch.nn.Linear(1, 2)
    optimizer, rng = make_optimizer(net, RECIPE), torch.Generator().manual_seed(0)
    for _ in range(5):
        train_epoch(
            net,
            (images, labels),
            lambda: [net],
            optimizer,
            RECIPE,
            rng,
            n_images=6,  # of which 4 fill a batch
            before_step=lambda x, y: seen.append((x, y)),
        )
    assert [len(x) for x, _ in seen] == [4] * 5
    assert all(int(y.sum()) in (1, 2, 3) for _, y in seen)
    assert len({tuple(x.flatten().tolist()) for x, _ in seen}) == 5
