import copy

import numpy as np
import pytest
import torch
from moonas.problems.cyclegan_pruning.channels import channel_groups, zero_pruned_channels
from moonas.problems.cyclegan_pruning.masks import compress, filter_groups
from moonas.problems.cyclegan_pruning.space import Space
from moonas.problems.cyclegan_pruning.training import (
    Recipe,
    Training,
    learning_rate_factor,
    new_gan,
    scale_pixels,
)
from torch import nn

NETWORK_SHAPE = dict(width=4, blocks=1, d_width=4, d_layers=1)
RECIPE = dict(
    batch=3,
    learning_rate=1e-3,
    beta1=0.5,
    beta2=0.999,
    cycle=10.0,
    identity=5.0,
    pool=50,
    flip=False,
)


def images(n=3, side=8, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, 3, side, side), generator=rng, dtype=torch.uint8)


def new_training(seed=1, n=(3, 3), side=8, gan=None, **changes):
    gan = new_gan(seed, "cpu", **NETWORK_SHAPE) if gan is None else gan
    data = {"a": images(n[0], side, seed=1), "b": images(n[1], side, seed=2)}
    return Training(gan, data, (8, 8), Recipe(**RECIPE | changes), seed, "test")


def reference_step(gan, a, b, rate, cycle, identity):
    """Make one training step with every loss term written out as Zhu et al. describe it."""
    g = [p for k in "ab" for p in gan.generators[k].parameters()]
    d = [p for k in "ab" for p in gan.discriminators[k].parameters()]
    g_optimizer = torch.optim.Adam(g, rate, betas=(0.5, 0.999))
    d_optimizer = torch.optim.Adam(d, rate, betas=(0.5, 0.999))
    l1, l2 = nn.L1Loss(), nn.MSELoss()
    to_b, to_a = gan.generators["a"], gan.generators["b"]
    discriminator_b, discriminator_a = gan.discriminators["a"], gan.discriminators["b"]
    fake_b, fake_a = to_b(a), to_a(b)
    score_b, score_a = discriminator_b(fake_b), discriminator_a(fake_a)
    loss = l2(score_b, torch.ones_like(score_b)) + l2(score_a, torch.ones_like(score_a))
    loss = loss + cycle * (l1(to_a(fake_b), a) + l1(to_b(fake_a), b))
    loss = loss + identity * (l1(to_b(b), b) + l1(to_a(a), a))
    g_optimizer.zero_grad()
    loss.backward()
    g_optimizer.step()
    d_optimizer.zero_grad()
    for discriminator, real, fake in ((discriminator_b, b, fake_b), (discriminator_a, a, fake_a)):
        real_scores, fake_scores = discriminator(real), discriminator(fake.detach())
        loss = l2(real_scores, torch.ones_like(real_scores))
        loss = loss + l2(fake_scores, torch.zeros_like(fake_scores))
        (0.5 * loss).backward()
    d_optimizer.step()


@pytest.mark.parametrize("identity", [5.0, 0.0])
def test_a_training_step_equals_a_step_with_every_loss_term_written_out(identity):
    run = new_training(identity=identity)
    run.gan.double()
    reference = copy.deepcopy(run.gan)
    a, b = (scale_pixels(run.images[k]).double() for k in "ab")
    batches = iter([a, b])
    run._changed = lambda images: next(batches)
    before = copy.deepcopy(run.gan.state_dict())
    report = run.run(1)
    reference_step(reference, a, b, 1e-3, 10.0, identity)
    assert report.steps == 1 and not report.skipped
    for name, tensor in run.gan.state_dict().items():
        change = (tensor - before[name]).abs().max()
        # Before a normalization, gradients of biases are rounding errors, which Adam amplifies.
        if name.endswith("weight"):
            assert change > 1e-4
            assert torch.allclose(tensor, reference.state_dict()[name], atol=1e-9), name


def test_an_epoch_uses_the_larger_domain_once_and_repeats_the_smaller_domain():
    run = new_training(n=(12, 5))
    known = {k: [image.numpy().tobytes() for image in run.images[k].cpu()] for k in "ab"}
    seen, changed = [], run._changed

    def record_rows(images):
        domain = "ab"[len(seen) % 2]
        seen.append([known[domain].index(image.numpy().tobytes()) for image in images.cpu()])
        return changed(images)

    run._changed = record_rows
    assert run.epoch().steps == 4
    seen = {"a": np.ravel(seen[::2]).tolist(), "b": np.ravel(seen[1::2]).tolist()}
    assert sorted(seen["a"]) == list(range(12))
    assert sorted(seen["b"][:5]) == sorted(seen["b"][5:10]) == list(range(5))


def test_half_of_the_images_are_earlier_images_once_the_buffer_is_full():
    run = new_training(pool=4)
    first = torch.arange(4.0)[:, None, None, None].expand(4, 3, 8, 8)
    assert torch.equal(run._mix_with_earlier_images("a", first), first)
    n_earlier = 0
    for i in range(4, 2004):
        mixed = run._mix_with_earlier_images("a", torch.full((1, 3, 8, 8), float(i)))
        value = float(mixed[0, 0, 0, 0])
        if value != i:
            n_earlier += 1
            assert value < i
    assert abs(n_earlier / 2000 - 0.5) < 4 * np.sqrt(0.25 / 2000)
    assert len(run.pools["a"]) == 4 and not run.pools["b"]
    no_buffer = new_training(pool=0)
    assert (
        torch.equal(no_buffer._mix_with_earlier_images("a", first), first)
        and not no_buffer.pools["a"]
    )


@pytest.mark.parametrize("changes", [{}, dict(pool=4, flip=True)])
def test_a_resumed_training_equals_an_uninterrupted_training(changes):
    uninterrupted = new_training(n=(9, 7), side=10, **changes)
    interrupted = new_training(n=(9, 7), side=10, **changes)
    uninterrupted.epoch()
    interrupted.epoch()
    state = {k: v.clone() for k, v in interrupted.state().items()}
    resumed = new_training(seed=2, n=(9, 7), side=10, **changes)
    resumed.load_state(state)
    uninterrupted.epoch(0.5)
    resumed.epoch(0.5)
    for name, tensor in uninterrupted.state().items():
        assert torch.equal(tensor, resumed.state()[name]), name


class SavedAfter:
    """Checkpoints of a training that saved its state after a step."""

    def __init__(self, step, n):
        self.saved = {"step": torch.tensor(step), "losses": torch.ones(step, 4)}
        self.saved |= {f"order.{k}": torch.arange(n) % 3 for k in "ab"}

    def restore(self, loop, training):
        return self.saved

    def save_if_due(self, *_):
        pass


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_training_that_resumes_after_any_step_makes_the_remaining_steps(step):
    run, made = new_training(), []
    run.checkpoints = SavedAfter(step, 9)
    assert run.run(3, on_step=made.append).steps == 3
    assert made == list(range(step + 1, 4))


def test_a_training_without_steps_changes_nothing():
    report = new_training().run(0)
    assert report.steps == report.skipped == 0


def test_images_with_a_margin_are_cropped_and_flipped_at_random():
    run = new_training(side=10, flip=True)
    image_with_margin = scale_pixels(run.images["a"][0])
    crops = [image_with_margin[..., y : y + 8, x : x + 8] for y in range(3) for x in range(3)]
    crops += [crop.flip(-1) for crop in crops]
    seen = set()
    same = run.images["a"][:1].repeat(200, 1, 1, 1)
    for sample in run._changed(same):  # each sample is cropped independently
        (crop_index,) = [i for i, crop in enumerate(crops) if torch.equal(sample, crop)]
        seen.add(crop_index)
    assert len(seen) == len(crops)


def test_the_learning_rate_is_constant_and_then_decays_linearly():
    factors = [learning_rate_factor(epoch, 3, 4) for epoch in range(7)]
    assert factors == pytest.approx([1, 1, 1, 0.8, 0.6, 0.4, 0.2])
    assert [learning_rate_factor(epoch, 2, 0) for epoch in range(2)] == [1, 1]


def test_a_step_with_a_non_finite_loss_changes_no_weights():
    run = new_training()
    with torch.no_grad():
        run.gan.generators["a"][1].weight[0] = torch.nan
    before = copy.deepcopy(run.gan.state_dict())
    report = run.run(2)
    assert (report.steps, report.skipped) == (0, 2)
    assert all(np.isnan(v) for k, v in report.as_dict().items() if k.endswith("loss"))
    for name, tensor in run.gan.state_dict().items():
        assert torch.equal(tensor.nan_to_num(9), before[name].nan_to_num(9)), name


@pytest.mark.parametrize("encoding", ["filters", "released"])
def test_training_with_zeroed_filters_equals_training_the_pruned_network(encoding):
    gan = new_gan(3, "cpu", **NETWORK_SHAPE)
    with torch.no_grad():
        for p in gan.generators.parameters():
            p.mul_(5)
    groups = channel_groups(gan.generators["a"], 3)
    sizes = [4, 8, 16, *([16] if encoding == "filters" else []), 8, 4]
    architecture = Space(sizes).uniform(0.5, np.random.default_rng(0))
    shared_groups = filter_groups(gan.generators["a"], encoding)
    pruned = compress(gan, architecture, shared_groups).double()
    masked = copy.deepcopy(gan)
    for k in "ab":
        masks = architecture.masks(k)
        if encoding == "released":  # the residual block shares the mask of the trunk
            masks = [*masks[:3], masks[2], *masks[3:]]
        masked.generators[k] = zero_pruned_channels(gan.generators[k], groups, masks)
    masked = masked.double()
    zeroed = {k: p == 0 for k, p in masked.generators.named_parameters() if k.endswith("weight")}
    assert all(mask.any() for mask in zeroed.values())
    runs = [new_training(seed=3, gan=net, n=(6, 6)) for net in (pruned, masked)]
    for run in runs:
        changed = run._changed
        run._changed = lambda images, changed=changed: changed(images).double()
        run.run(4)
    for name, p in masked.generators.named_parameters():
        if name in zeroed:
            assert (p[zeroed[name]] == 0).all(), name
    x = scale_pixels(images(2, seed=9)).double()
    for k in "ab":
        translated = pruned.generators[k](x)
        assert torch.allclose(translated, masked.generators[k](x), atol=1e-5)
        assert not torch.allclose(
            translated,
            compress(gan, architecture, shared_groups).double().generators[k](x),
            atol=1e-3,
        )
