import math

import numpy as np
import pytest
import torch
from moonas.problems.eagan.discriminator_net import Discriminator
from moonas.problems.eagan.space import DiscriminatorSpace
from moonas.problems.eagan.training import (
    RandomStreams,
    Recipe,
    TrainingPair,
    discriminator_hinge_loss,
    generator_hinge_loss,
    r1_penalty,
    score_real_and_fake,
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


def recipe_with(**options):
    return Recipe(**RECIPE.__dict__ | options)


class LinearNet(nn.Module):
    """Linear function without a bias, as a generator of one pixel or as a discriminator."""

    def __init__(self, n_in, weight=0.5):
        super().__init__()
        self.weight = nn.Parameter(torch.full((n_in,), float(weight)))
        self.batches = []

    def forward(self, x):
        self.batches.append(len(x))
        return (x.flatten(1) * self.weight).sum(1)[:, None, None, None]


def score_function(net):
    return lambda images: net(images)[:, 0, 0, 0]


def train(recipe=RECIPE, n=10, epochs=1, g_weight=0.5, d_weight=0.5, **options):
    G, D = LinearNet(3, g_weight), LinearNet(1, d_weight)
    pair = TrainingPair(G, score_function(D), recipe.optimizer(G), list(G.parameters()))
    sampled_pairs = []

    def sample_pairs():
        sampled_pairs.append(pair)
        return [pair]

    images = torch.linspace(-1, 1, n).view(n, 1, 1, 1)
    streams = RandomStreams.from_seed(1, "test")
    report = train_adversarially(
        images, sample_pairs, D, recipe.d_optimizer(D), recipe, streams, epochs, **options
    )
    return G, D, report, len(sampled_pairs)


def test_hinge_losses_match_hand_computed_values():
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, 0.0])
    assert float(discriminator_hinge_loss(real, fake)) == pytest.approx(
        (0 + 0.5 + 2) / 3 + (0 + 1) / 2
    )
    assert float(generator_hinge_loss(fake)) == pytest.approx(1.5)


def test_an_epoch_uses_each_image_once_but_omits_an_incomplete_batch():
    G, D, report, n_pairs = train(n=10)
    assert n_pairs == 2 and report.g_steps == report.steps == 2
    assert G.batches == [4, 6] * 2  # discriminator step, generator step
    assert D.batches == [8, 6] * 2  # real and generated images in one pass, then generated ones


def test_one_generator_step_follows_d_steps_discriminator_steps():
    _, _, report, n_pairs = train(recipe_with(d_steps=3), n=4 * 7)
    assert report.steps == 7 and report.g_steps == 2 and n_pairs == 3


def test_d_steps_are_counted_across_epochs_of_a_small_set():
    # an epoch has two discriminator steps, so generators train after steps 5 and 10
    G, _, report, n_pairs = train(recipe_with(d_steps=5), n=8, epochs=5)
    assert report.steps == 10 and report.g_steps == 2 and n_pairs == 2
    assert G.batches == ([4] * 5 + [6]) * 2


def test_a_training_in_parts_counts_d_steps_as_a_single_training():
    recipe = recipe_with(d_steps=3)
    parts = [train(recipe, n=8, d_steps_done=done)[2].g_steps for done in (0, 2, 1)]
    assert parts == [0, 1, 1]  # two steps per part: generators train after steps 3 and 6


def test_several_pairs_train_the_discriminator_by_the_gradient_of_their_mean_loss():
    """With SGD, the step of two pairs is the mean of the steps of each pair alone."""

    def weight_after(generators):
        D, images = LinearNet(1, 0.25), torch.tensor([0.5, -1.0]).view(2, 1, 1, 1)
        recipe = recipe_with(batch=2)
        train_adversarially(
            images,
            lambda: [TrainingPair(g, score_function(D)) for g in generators],
            D,
            torch.optim.SGD(D.parameters(), lr=0.1),
            recipe,
            RandomStreams.from_seed(1, "test"),
            1,
        )
        return D.weight.item()

    def constant(value):
        return lambda z: torch.full((len(z), 1, 1, 1), value)

    first, second = weight_after([constant(0.8)]), weight_after([constant(-0.4)])
    assert first != pytest.approx(second)
    assert weight_after([constant(0.8), constant(-0.4)]) == pytest.approx((first + second) / 2)


def test_each_generator_of_a_step_takes_its_own_step():
    D, generators = LinearNet(1, 0.5), [LinearNet(3), LinearNet(3), LinearNet(3)]
    pairs = [
        TrainingPair(G, score_function(D), RECIPE.optimizer(G), list(G.parameters()))
        for G in generators
    ]
    report = train_adversarially(
        torch.ones(4, 1, 1, 1),
        lambda: pairs[:2],
        D,
        RECIPE.d_optimizer(D),
        RECIPE,
        RandomStreams.from_seed(1, "test"),
        1,
    )
    assert (report.steps, report.g_steps) == (1, 2)
    changed = [not torch.equal(G.weight, torch.full((3,), 0.5)) for G in generators]
    assert changed == [True, True, False]


def test_a_generator_without_an_optimizer_is_not_trained():
    G, D = LinearNet(3), LinearNet(1)
    images, streams = torch.ones(8, 1, 1, 1), RandomStreams.from_seed(1, "test")
    before = D.weight.detach().clone()
    report = train_adversarially(
        images,
        lambda: [TrainingPair(G, score_function(D))],
        D,
        RECIPE.d_optimizer(D),
        RECIPE,
        streams,
        1,
    )
    assert torch.equal(G.weight, torch.full((3,), 0.5)) and not report.g_steps
    assert not torch.equal(D.weight, before)


def test_the_first_step_is_a_step_of_adam():
    # the first step of Adam with beta1 = 0 changes each weight by the learning rate
    recipe = recipe_with(batch=2, generator_batch=2)
    G, D, _, _ = train(recipe, n=2, d_weight=0.5)
    assert float((D.weight - 0.5).abs().detach()) == pytest.approx(0.2, rel=1e-4)
    assert torch.allclose((G.weight - 0.5).abs(), torch.full((3,), 0.1), rtol=1e-3)


def test_a_step_with_a_non_finite_loss_is_skipped_and_counted():
    G, D, report, _ = train(d_weight=math.inf)
    assert torch.equal(G.weight, torch.full((3,), 0.5))
    assert bool(D.weight.isinf().all())
    assert report.skipped == 4 and not report.steps
    assert math.isnan(report.as_dict()["d_loss"])


def test_clip_limits_the_gradient_norm():
    norms = []

    class NormRecorder(torch.optim.SGD):
        def step(self):
            norms.append(
                float(torch.cat([p.grad for g in self.param_groups for p in g["params"]]).norm())
            )
            super().step()

    G, D = LinearNet(3), LinearNet(1)
    recipe = recipe_with(clip=1e-3)
    pair = TrainingPair(
        G, score_function(D), NormRecorder(G.parameters(), 0.1), list(G.parameters())
    )
    images, streams = torch.ones(8, 1, 1, 1), RandomStreams.from_seed(1, "test")
    train_adversarially(
        images, lambda: [pair], D, NormRecorder(D.parameters(), 0.1), recipe, streams, 1
    )
    assert norms and max(norms) <= 1e-3 * (1 + 1e-5)


def test_callbacks_are_called_for_each_epoch_and_generator_step():
    completed_epochs, steps = [], []
    train(epochs=3, on_epoch=completed_epochs.append, after_generator_step=lambda: steps.append(1))
    assert completed_epochs == [0, 1, 2, 3] and len(steps) == 6


def test_real_and_generated_images_share_a_forward_pass_without_batch_normalization():
    real, fake = torch.zeros(2, 1, 4, 4), torch.ones(3, 1, 4, 4)
    normalized = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    for net, expected_batches in ((nn.Conv2d(1, 2, 1), [5]), (normalized, [2, 3])):
        batches = []

        def score(images, net=net, batches=batches):
            batches.append(len(images))
            return net(images).mean((1, 2, 3))

        a, b = score_real_and_fake(score, real, fake, net)
        assert batches == expected_batches and a.shape == (2,) and b.shape == (3,)


def test_random_streams_continue_from_a_restored_state():
    streams = RandomStreams.from_seed(3, "x")
    torch.randn(5, generator=streams.noise)
    restored = RandomStreams.from_seed(4, "y")
    restored.load_state(streams.state())
    for name in ("batches", "noise", "paths"):
        a, b = (torch.rand(4, generator=getattr(s, name)) for s in (streams, restored))
        assert np.array_equal(a, b)


class QuadraticNet(nn.Module):
    """Discriminator x -> x A x / 2 of images with three pixels."""

    def __init__(self):
        super().__init__()
        self.A = nn.Parameter(torch.tensor([[2.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.0, -1.0, 0.5]]))

    def forward(self, images):
        x = images.flatten(1)
        return ((x @ self.A) * x).sum(1) / 2


def test_the_r1_penalty_of_a_linear_and_a_quadratic_discriminator_has_a_closed_form():
    images = torch.randn(7, 3, 1, 1, generator=torch.Generator().manual_seed(0))
    images.requires_grad_()
    linear = LinearNet(3, 0.5)
    penalty = r1_penalty(score_function(linear)(images), images, 4.0)
    assert float(penalty.detach()) == pytest.approx(4 / 2 * 3 * 0.5**2)
    (gradient,) = torch.autograd.grad(penalty, linear.weight)
    assert torch.allclose(gradient, 4 * linear.weight)  # of gamma / 2 |w|^2
    quadratic = QuadraticNet()
    penalty = r1_penalty(quadratic(images), images, 4.0)
    x = images.detach().flatten(1)
    expected = 2 * (x @ quadratic.A.detach()).square().sum(1).mean()
    assert float(penalty.detach()) == pytest.approx(float(expected), rel=1e-5)


def test_the_r1_penalty_can_be_differentiated_through_spectral_normalization_and_pooling():
    text = "c3 - c3 c1 c1 avg max / skip - c3 - skip c3 d3 / skip - skip - skip - -"
    space = DiscriminatorSpace(16)
    net = Discriminator(space.from_text(text), channels=3, in_channels=1, scale=10.0).double()
    for _ in range(20):  # power iterations
        net(torch.zeros(1, 1, 16, 16).double())
    net.eval()  # no further power iterations, so the penalty is a function of the weights
    images = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0)).double()
    images.requires_grad_()
    weight = dict(net.named_parameters())["first.first.parametrizations.weight.original"]

    def penalty():
        return r1_penalty(net(images), images, 0.1)

    (gradient,) = torch.autograd.grad(penalty(), weight)
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)).double()
    values = []
    for step in (1e-6, -1e-6):
        with torch.no_grad():
            weight.add_(step * direction)
        values.append(float(penalty().detach()))
        with torch.no_grad():
            weight.sub_(step * direction)
    slope = (values[0] - values[1]) / 2e-6
    assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-4) and slope != 0


def test_r1_adds_its_gradient_to_the_hinge_loss_of_real_images_only():
    # D(x) = w x with |w x| < 1, so the gradient of the hinge loss is mean(fake) - mean(real)
    recipe, w = recipe_with(r1=0.6), 0.25
    images, D = torch.linspace(-1, 1, 4).view(4, 1, 1, 1), LinearNet(1, w)
    fake = torch.full((4, 1, 1, 1), 0.5)
    report = train_adversarially(
        images,
        lambda: [TrainingPair(lambda z: fake, score_function(D))],
        D,
        torch.optim.SGD(D.parameters(), 0.1),
        recipe,
        RandomStreams.from_seed(1, "test"),
        1,
    )
    gradient = 0.5 - 0.0 + 0.6 * w
    assert float(D.weight.detach()) == pytest.approx(w - 0.1 * gradient)
    assert report.losses["d_loss"] == pytest.approx(2 + w * 0.5)  # without the penalty


def test_augmentations_change_real_and_generated_images_in_the_steps_of_both_networks(monkeypatch):
    augmented = []

    def record(images, names, rng):
        augmented.append((len(images), tuple(names)))
        return images

    monkeypatch.setattr("moonas.problems.eagan.training.diff_augment", record)
    train(recipe_with(augment=("color",)), n=4)
    # real and generated images of the discriminator step, then those of the generator step
    assert augmented == [(4, ("color",)), (4, ("color",)), (6, ("color",))]


def test_generators_receive_gradients_through_augmented_images():
    plain, _, _, _ = train(RECIPE, n=4)
    augmented, _, report, _ = train(recipe_with(augment=("color", "translation", "cutout"), r1=1.0))
    assert not report.skipped and not torch.equal(plain.weight, augmented.weight)
    assert not torch.equal(augmented.weight, torch.full((3,), 0.5))


class SavedAfter:
    """Checkpoints of a training that saved its state after a step of an epoch."""

    def __init__(self, step, n):
        self.saved = {"position": torch.tensor([0, step]), "order": torch.arange(n)}
        self.saved |= {"d": torch.ones(step), "g": torch.ones(step)}

    def restore(self, loop, training):
        return self.saved

    def save_if_due(self, *_):
        pass


@pytest.mark.parametrize("step", [1, 2])
def test_a_training_that_resumes_after_any_step_makes_the_remaining_steps(step):
    G, _, report, _ = train(n=10, checkpoints=SavedAfter(step, 10), training=object())
    assert report.steps == report.g_steps == 2 and not report.skipped
    assert G.batches == [4, 6] * (2 - step)
