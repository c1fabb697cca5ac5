import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from moonas.nets.randomness import derived_seed, generator, initial_weights
from moonas.problem import SearchFailed
from moonas.training.report import TrainingReport, require_a_step
from moonas.training.sgd import (
    Recipe,
    cosine,
    load_training_state,
    make_optimizer,
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


class Two(nn.Module):
    """Two linear layers of which an architecture, 0 or 1, takes one."""

    def __init__(self):
        super().__init__()
        with initial_weights(0, "two"):
            self.layers = nn.ModuleList([nn.Linear(3, 2), nn.Linear(3, 2)])

    def forward(self, images, architecture):
        return self.layers[architecture](images.flatten(1))


def paths(net, *architectures):
    return [partial(net, architecture=a) for a in architectures]


def trained(net, recipe):
    return make_optimizer(net, recipe), recipe, generator(1)


def data(n=8):
    rng = generator(0, "data")
    return torch.randn(n, 3, 1, 1, generator=rng), torch.randint(0, 2, (n,), generator=rng)


def loss_of(net, architecture, images, labels):
    return nn.functional.cross_entropy(net(images, architecture), labels)


def test_cosine_goes_from_start_to_end_and_stays_there():
    assert cosine(0, 10, 0.1, 0.001) == pytest.approx(0.1)
    assert cosine(5, 10, 0.1, 0.001) == pytest.approx((0.1 + 0.001) / 2)
    assert cosine(3, 0, 0.1, 0.001) == 0.001
    assert cosine(10, 10, 0.1, 0.001) == cosine(50, 10, 0.1, 0.001) == pytest.approx(0.001)


def test_gradient_of_a_step_is_the_mean_over_its_architectures():
    """Eq. (3) of CARS: one step of SGD without momentum moves by that mean."""
    recipe = Recipe(8, 0.1, 0.1, 0.0, 0.0, 1e9, 1)
    images, labels = data(8)
    net, twin = Two(), Two()
    train_epoch(net, (images, labels), lambda: paths(net, 0, 1, 0), *trained(net, recipe))
    losses = [loss_of(twin, a, images, labels) for a in (0, 1, 0)]
    (sum(losses) / 3).backward()
    for mine, other in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(mine, other - 0.1 * other.grad, atol=1e-6)


def test_what_no_architecture_uses_stays_as_it_is():
    net = Two()
    optimizer = make_optimizer(net, RECIPE)
    before = [p.clone() for p in net.layers[1].parameters()]
    train_epoch(net, data(), lambda: paths(net, 1), optimizer, RECIPE, generator(1))
    train_epoch(net, data(), lambda: paths(net, 0), optimizer, RECIPE, generator(1))
    after = [p.clone() for p in net.layers[1].parameters()]
    assert not torch.equal(before[0], after[0])
    train_epoch(net, data(), lambda: paths(net, 0), optimizer, RECIPE, generator(1))
    # no weight decay and no momentum either
    assert all(torch.equal(a, p) for a, p in zip(after, net.layers[1].parameters(), strict=True))


def test_an_epoch_sees_each_image_once_and_leaves_out_what_is_too_few():
    seen = []

    class Spy(Two):
        def forward(self, images, architecture):
            seen.extend(images[:, 0, 0, 0].tolist())
            return super().forward(images, architecture)

    net = Spy()
    images, labels = data(11)
    report = train_epoch(net, (images, labels), lambda: paths(net, 0), *trained(net, RECIPE))
    assert report.steps == 2 and report.skipped == 0
    assert len(seen) == len(set(seen)) == 8
    assert set(seen) <= set(images[:, 0, 0, 0].tolist())


def test_fewer_images_than_a_batch_make_one_step():
    net = Two()
    report = train_epoch(net, data(3), lambda: paths(net, 0), *trained(net, RECIPE))
    assert report.steps == 1


def test_a_step_that_is_not_finite_changes_nothing_and_is_counted():
    net = Two()
    images, labels = data()
    images[:] = math.inf
    before = [p.clone() for p in net.parameters()]
    report = train_epoch(net, (images, labels), lambda: paths(net, 0), *trained(net, RECIPE))
    assert report.steps == 0 and report.skipped == 2 and math.isnan(report.losses["loss"])
    assert all(torch.equal(a, p) for a, p in zip(before, net.parameters(), strict=True))


def test_gradients_are_clipped_to_their_norm():
    recipe = Recipe(8, 1.0, 1.0, 0.0, 0.0, 1e-3, 1)
    net = Two()
    before = [p.clone() for p in net.parameters()]
    train_epoch(net, data(), lambda: paths(net, 0), *trained(net, recipe))
    moved = sum(
        float((a - p).detach().square().sum())
        for a, p in zip(before, net.parameters(), strict=True)
    )
    assert math.sqrt(moved) == pytest.approx(1e-3, rel=1e-3)


def test_momentum_survives_being_taken_and_put_back():
    def train(net, optimizer, rng):
        train_epoch(net, data(), lambda: paths(net, 0), optimizer, RECIPE, rng)

    one, two = Two(), Two()
    first, second = make_optimizer(one, RECIPE), make_optimizer(two, RECIPE)
    train(one, first, generator(1))
    load_training_state(two, second, training_state(one, first))
    train(one, first, generator(2))
    train(two, second, generator(2))
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)


def test_seeds_differ_by_purpose_and_repeat():
    seeds = [derived_seed(1, "a"), derived_seed(1, "b"), derived_seed(2, "a"), derived_seed(1, "a")]
    assert len(set(seeds)) == 3 and seeds[0] == seeds[3]
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_initial_weights_leave_the_global_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    with initial_weights(1, "weights"):
        first = torch.rand(1)
    assert torch.equal(torch.rand(1), expected)
    with initial_weights(1, "weights"):
        assert torch.equal(torch.rand(1), first)


def test_numbers_of_threads_come_back():
    from moonas.nets.devices import repeatable

    before = torch.get_num_threads()
    with repeatable(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta", "xpu"])
def test_an_unknown_device_is_refused_by_name(name):
    from moonas.nets.devices import resolve_device

    with pytest.raises(ValueError, match=f"{name}"):
        resolve_device(name)


def test_error_is_the_share_of_wrong_labels_whatever_the_batch():
    from moonas.metrics.error import count_wrong, error_percent

    logits = torch.eye(4)[[0, 1, 2, 3, 0, 1, 2]]
    labels = torch.tensor([0, 1, 2, 3, 1, 1, 3])
    for batch in (1, 2, 3, 7, 100):
        wrong, finite = count_wrong(lambda x: x, logits, labels, batch)
        assert (int(wrong), bool(finite)) == (2, True)
    assert error_percent(2, 7) == pytest.approx(28.5714, abs=1e-4)


def test_logits_that_are_not_finite_are_noticed():
    from moonas.metrics.error import count_wrong

    logits = torch.zeros(5, 3)
    logits[4, 1] = math.nan
    assert not count_wrong(lambda x: x, logits, torch.zeros(5, dtype=torch.int64), 2)[1]


def test_parts_of_a_batch_are_equal_in_size():
    from moonas.metrics.error import count_wrong

    sizes = []

    def predict(x):
        sizes.append(len(x))
        return x

    count_wrong(predict, torch.zeros(719, 2), torch.zeros(719, dtype=torch.int64), 360)
    assert sizes == [360, 359]
    assert np.ptp(sizes) <= 1


def test_a_training_whose_steps_were_all_skipped_has_failed():
    require_a_step(TrainingReport({"loss": math.nan}, steps=0, skipped=0), advice="")
    require_a_step(TrainingReport({"loss": 1.0}, steps=1, skipped=9), advice="")
    with pytest.raises(SearchFailed, match=r"None of the 9 .* Lower learning_rate\."):
        require_a_step(TrainingReport({}, steps=0, skipped=9), advice="Lower learning_rate.")


def test_a_report_names_its_losses():
    report = TrainingReport({"d_loss": 1.0, "g_loss": 2.0}, steps=3, skipped=4)
    assert report.as_dict() == {"steps": 3, "skipped": 4, "d_loss": 1.0, "g_loss": 2.0}
