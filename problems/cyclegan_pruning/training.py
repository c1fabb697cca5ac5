"""CycleGAN's training (Zhu et al., ICCV 2017): two generators, two discriminators, a cycle."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from moonas.data import crop_and_flip
from moonas.nets.randomness import generator as stream
from moonas.nets.randomness import initial_weights
from moonas.training.report import TrainingReport
from moonas.training.sgd import (
    load_training_state,
    part_of_state,
    step_if_finite,
    training_state,
)

from . import networks

LOSSES = ("gan_loss", "cycle_loss", "identity_loss", "d_loss")
OTHER = {"a": "b", "b": "a"}  # the domain that a translation leads to
ADVICE = "Lower learning_rate."  # where no step is finite


@dataclass(frozen=True)
class Recipe:
    """How both pairs of networks are trained."""

    batch: int  # images of each domain a step
    learning_rate: float
    beta1: float
    beta2: float
    cycle: float  # factor of the cycle loss
    identity: float  # factor of the identity loss
    pool: int  # images that a discriminator's generated ones are drawn from; 0 for none
    flip: bool  # mirror images, each with chance 1/2


class CycleGAN(nn.Module):
    """Two generators and their discriminators, by the domain that a translation starts from.

    ``generators["a"]`` is G_1, from A to B, and ``discriminators["a"]`` is D_1, which looks at B.

    Args:
        width: filters of a generator's first convolution.
        blocks: residual blocks of a generator.
        d_width: filters of a discriminator's first convolution.
        d_layers: convolutions of stride 2 of a discriminator.
    """

    def __init__(self, *, width, blocks, d_width, d_layers):
        super().__init__()
        self.shape = dict(width=width, blocks=blocks, d_width=d_width, d_layers=d_layers)
        g, d = dict(width=width, blocks=blocks), dict(width=d_width, layers=d_layers)
        self.generators = nn.ModuleDict({k: networks.generator(**g) for k in "ab"})
        self.discriminators = nn.ModuleDict({k: networks.discriminator(**d) for k in "ab"})


def new_gan(seed, device, **shape):
    """An untrained :class:`CycleGAN` whose weights come from a seed."""
    with initial_weights(seed, "CycleGAN"):
        gan = CycleGAN(**shape)
    return gan.to(device)


def pixels(images):
    """uint8 images as floats in [-1, 1]."""
    return images.float() / 127.5 - 1


class Training:
    """A CycleGAN that is being trained.

    Args:
        gan: a :class:`CycleGAN`, on the device; it is changed.
        images: {"a": uint8 (n, 3, s, s), "b": ...}, on the device.
        side: pixels that images are cropped to, where they are larger.
        recipe: a :class:`Recipe`.
        seed, purpose: where the random numbers come from.
    """

    def __init__(self, gan, images, side, recipe, seed, *purpose):
        self.gan, self.images, self.side, self.recipe = gan, images, side, recipe
        self.rng = stream(seed, *purpose)
        adam = dict(lr=recipe.learning_rate, betas=(recipe.beta1, recipe.beta2))
        self.optimizer = torch.optim.Adam(gan.generators.parameters(), **adam)
        self.d_optimizer = torch.optim.Adam(gan.discriminators.parameters(), **adam)
        self.pools = {k: [] for k in "ab"}
        self.batch = min(recipe.batch, *map(len, images.values()))

    @property
    def steps_an_epoch(self):
        """Steps that show every image of the larger domain once, but for a part of a batch."""
        n = max(len(images) for images in self.images.values())
        return max(1, n // self.batch)

    def epoch(self, share=1.0) -> TrainingReport:
        """Train for one epoch at a share of the learning rate."""
        return self.run(self.steps_an_epoch, share)

    def run(self, steps, share=1.0) -> TrainingReport:
        """Train for some steps over shuffled images, at a share of the learning rate.

        Args:
            steps: how many.
            share: factor of the learning rate, in [0, 1].

        Returns:
            The means of ``LOSSES``; a step counts as skipped if that of either side was.
        """
        for optimizer in (self.optimizer, self.d_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = share * self.recipe.learning_rate
        taken, n = [], self.batch
        orders = {k: self._order(len(images), steps * n) for k, images in self.images.items()}
        for step in range(steps):
            rows = {k: order[step * n : (step + 1) * n] for k, order in orders.items()}
            losses = self._step(self._batch("a", rows), self._batch("b", rows))
            if losses is not None:
                taken.append(losses)
        means = np.mean(taken, axis=0) if taken else np.full(len(LOSSES), np.nan)
        losses = dict(zip(LOSSES, means.tolist(), strict=True))
        return TrainingReport(losses, len(taken), steps - len(taken))

    def _order(self, n, wanted):
        """Indices of n images, shuffled again and again until there are as many as wanted."""
        rounds = [torch.randperm(n, generator=self.rng) for _ in range(-(-wanted // n))]
        return torch.cat(rounds or [torch.empty(0, dtype=torch.int64)])[:wanted]

    def _batch(self, domain, rows):
        images = self.images[domain]
        images = images[rows[domain].to(images.device)]
        if self.recipe.flip or images.shape[-1] > self.side:
            size = (self.side, self.side)
            images = crop_and_flip(images, self.rng, size, self.recipe.flip)
        return pixels(images)

    def _step(self, a, b):
        """One step of the generators, and one of the discriminators.

        Returns:
            A list of ``LOSSES``; None where either step was not finite.
        """
        r, (g_a, g_b), (d_a, d_b) = self.recipe, *self._nets()
        # one pass each for the images to translate and those to leave alone
        fake_b, same_b = _both(g_a, a, b, r.identity)
        fake_a, same_a = _both(g_b, b, a, r.identity)
        gan = ((d_a(fake_b) - 1) ** 2).mean() + ((d_b(fake_a) - 1) ** 2).mean()
        cycle = F.l1_loss(g_b(fake_b), a) + F.l1_loss(g_a(fake_a), b)
        identity = gan.new_zeros(())
        if r.identity:
            identity = F.l1_loss(same_b, b) + F.l1_loss(same_a, a)
        loss = gan + r.cycle * cycle + r.identity * identity
        weights = list(self.gan.generators.parameters())
        taken = step_if_finite(loss, self.optimizer, weights) is not None
        d_loss = _d_loss(d_a, b, self._pooled("a", fake_b.detach()))
        d_loss = d_loss + _d_loss(d_b, a, self._pooled("b", fake_a.detach()))
        weights = list(self.gan.discriminators.parameters())
        d_taken = step_if_finite(d_loss, self.d_optimizer, weights) is not None
        if not (taken and d_taken):
            return None
        return [float(v.detach()) for v in (gan, cycle, identity, d_loss)]

    def _nets(self):
        return [[nets[k] for k in "ab"] for nets in (self.gan.generators, self.gan.discriminators)]

    def _pooled(self, domain, images):
        """Generated images for a discriminator: half of them from earlier steps, once there are."""
        pool, chosen = self.pools[domain], []
        if not self.recipe.pool:
            return images
        for image in images:
            if len(pool) < self.recipe.pool:
                pool.append(image)
            elif torch.rand((), generator=self.rng) < 0.5:
                place = int(torch.randint(len(pool), (), generator=self.rng))
                image, pool[place] = pool[place], image
            chosen.append(image)
        return torch.stack(chosen)

    def state(self):
        """All that training changes, as a flat dict of tensors."""
        tensors = training_state(self.gan.generators, self.optimizer, "generators.")
        tensors |= training_state(self.gan.discriminators, self.d_optimizer, "discriminators.")
        pools = {f"pool.{k}": torch.stack(pool) for k, pool in self.pools.items() if pool}
        return tensors | pools | {"rng": self.rng.get_state()}

    def load_state(self, state):
        """Put back what :meth:`state` gave."""
        load_training_state(self.gan.generators, self.optimizer, state, "generators.")
        load_training_state(self.gan.discriminators, self.d_optimizer, state, "discriminators.")
        device = next(self.gan.parameters()).device
        pools = part_of_state(state, "pool")
        self.pools = {k: list(pools[k].to(device)) if k in pools else [] for k in "ab"}
        self.rng.set_state(state["rng"].cpu())


def _both(generator, images, others, identity):
    """What a generator makes of images, and of those that are what they should become already."""
    if not identity:
        return generator(images), None
    return generator(torch.cat([images, others])).split([len(images), len(others)])


def _d_loss(discriminator, real, fake):
    """Least squares: real images to 1, generated ones to 0, their mean."""
    scores = discriminator(torch.cat([real, fake])).split([len(real), len(fake)])
    return (((scores[0] - 1) ** 2).mean() + (scores[1] ** 2).mean()) / 2


def decay(epoch, constant, falling):
    """Share of the learning rate: 1 for some epochs, then linearly towards 0.

    Args:
        epoch: its number, from 0.
        constant: epochs at 1.
        falling: epochs after them.
    """
    return 1 - max(0, epoch + 1 - constant) / (falling + 1)
