import math

import numpy as np
import pytest
import torch
from moonas.problems.eagan.training import (
    Drawn,
    Recipe,
    Streams,
    d_hinge,
    g_hinge,
    joint_scores,
    train_adversarially,
)
from torch import nn

RECIPE = Recipe(
    batch=4,
    generator_batch=6,
    d_steps=1,
    latent=3,
    learning_rate=0.1,
    d_learning_rate=0.2,
    beta1=0.0,
    beta2=0.9,
    clip=None,
    shift=0,
)


def with_(**options):
    return Recipe(**RECIPE.__dict__ | options)


class Tiny(nn.Module):
    """Latent vectors to one pixel, or a pixel to a score."""

    def __init__(self, n_in, weight=0.5):
        super().__init__()
        self.weight = nn.Parameter(torch.full((n_in,), float(weight)))
        self.seen = []

    def forward(self, x):
        self.seen.append(len(x))
        return (x.flatten(1) * self.weight).sum(1)[:, None, None, None]


def score_of(net):
    return lambda images: net(images)[:, 0, 0, 0]


def train(recipe=RECIPE, n=10, epochs=1, g_weight=0.5, d_weight=0.5, **options):
    G, D = Tiny(3, g_weight), Tiny(1, d_weight)
    pair = Drawn(G, score_of(D), recipe.optimizer(G), list(G.parameters()))
    draws = []

    def draw():
        draws.append(1)
        return pair

    images = torch.linspace(-1, 1, n).view(n, 1, 1, 1)
    streams = Streams.of(1, "test")
    report = train_adversarially(
        images, draw, D, recipe.d_optimizer(D), recipe, streams, epochs, **options
    )
    return G, D, report, len(draws)


def test_hinge_losses_on_hand_made_scores():
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, 0.0])
    assert float(d_hinge(real, fake)) == pytest.approx((0 + 0.5 + 2) / 3 + (0 + 1) / 2)
    assert float(g_hinge(fake)) == pytest.approx(1.5)


def test_an_epoch_shows_each_image_once_and_leaves_the_odd_ones_for_the_next():
    G, D, report, draws = train(n=10)
    assert draws == 2 and report.g_steps == report.steps == 2
    assert G.seen == [4, 6] * 2  # for the discriminator, and for itself
    assert D.seen == [8, 6] * 2  # real and generated together, then generated ones


def test_a_generator_steps_once_in_so_many_steps_of_the_discriminator():
    _, _, report, draws = train(with_(d_steps=3), n=4 * 7)
    assert report.steps == 7 and report.g_steps == 2 and draws == 3


def test_without_an_optimizer_a_generator_stays_as_it_is():
    G, D = Tiny(3), Tiny(1)
    images, streams = torch.ones(8, 1, 1, 1), Streams.of(1, "test")
    before = D.weight.detach().clone()
    report = train_adversarially(
        images, lambda: Drawn(G, score_of(D)), D, RECIPE.d_optimizer(D), RECIPE, streams, 1
    )
    assert torch.equal(G.weight, torch.full((3,), 0.5)) and not report.g_steps
    assert not torch.equal(D.weight, before)


def test_first_steps_are_adams():
    # with beta1 = 0 the first step of Adam is the learning rate against the sign of the gradient
    recipe = with_(batch=2, generator_batch=2)
    G, D, _, _ = train(recipe, n=2, d_weight=0.5)
    assert float((D.weight - 0.5).abs().detach()) == pytest.approx(0.2, rel=1e-4)
    assert torch.allclose((G.weight - 0.5).abs(), torch.full((3,), 0.1), rtol=1e-3)


def test_a_step_that_is_not_finite_changes_nothing_and_is_counted():
    G, D, report, _ = train(d_weight=math.inf)
    assert torch.equal(G.weight, torch.full((3,), 0.5))
    assert bool(D.weight.isinf().all())
    assert report.skipped == 4 and not report.steps
    assert math.isnan(report.as_dict()["d_loss"])


def test_clipping_bounds_a_gradient():
    seen = []

    class Spy(torch.optim.SGD):
        def step(self):
            seen.append(
                float(torch.cat([p.grad for g in self.param_groups for p in g["params"]]).norm())
            )
            super().step()

    G, D = Tiny(3), Tiny(1)
    recipe = with_(clip=1e-3)
    pair = Drawn(G, score_of(D), Spy(G.parameters(), 0.1), list(G.parameters()))
    images, streams = torch.ones(8, 1, 1, 1), Streams.of(1, "test")
    train_adversarially(images, lambda: pair, D, Spy(D.parameters(), 0.1), recipe, streams, 1)
    assert seen and max(seen) <= 1e-3 * (1 + 1e-5)


def test_steps_are_told_of():
    done, steps = [], []
    train(epochs=3, on_epoch=done.append, after=lambda: steps.append(1))
    assert done == [0, 1, 2, 3] and len(steps) == 6


def test_scores_are_taken_together_only_where_none_depends_on_the_others():
    real, fake = torch.zeros(2, 1, 4, 4), torch.ones(3, 1, 4, 4)
    normal = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    for net, passes in ((nn.Conv2d(1, 2, 1), [5]), (normal, [2, 3])):
        seen = []

        def score(images, net=net, seen=seen):
            seen.append(len(images))
            return net(images).mean((1, 2, 3))

        a, b = joint_scores(score, real, fake, net)
        assert seen == passes and a.shape == (2,) and b.shape == (3,)


def test_streams_go_on_where_they_were():
    one = Streams.of(3, "x")
    torch.randn(5, generator=one.noise)
    two = Streams.of(4, "y")
    two.load_state(one.state())
    for name in ("batches", "noise", "paths"):
        a, b = (torch.rand(4, generator=getattr(s, name)) for s in (one, two))
        assert np.array_equal(a, b)
