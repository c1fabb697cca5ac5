"""Adversarial training with the hinge loss and Adam, which can switch networks at each step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moonas.data import shift_and_flip
from moonas.nets.randomness import generator
from moonas.training.report import TrainingReport
from moonas.training.sgd import load_training_state, step_if_finite, training_state

ADVICE = "Lower learning_rate and d_learning_rate, or set clip."

Generate = Callable[[Tensor], Tensor]  # latent vectors (b, latent) -> images (b, c, h, w)
Score = Callable[[Tensor], Tensor]  # images (b, c, h, w) -> (b,), positive for real images
Trained = Mapping[str, tuple[nn.Module, torch.optim.Optimizer]]  # name -> network, its optimizer


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of adversarial training.

    Args:
        batch: number of real images, and of generated ones, per discriminator step.
        generator_batch: number of generated images per generator step.
        d_steps: discriminator steps per generator step.
        latent: length of a latent vector.
        learning_rate: learning rate of generators.
        d_learning_rate: learning rate of discriminators.
        beta1: beta1 of Adam.
        beta2: beta2 of Adam.
        clip: largest norm of a gradient; None for no clipping.
        shift: largest random shift, in pixels, of all images that discriminators see.
    """

    batch: int
    generator_batch: int
    d_steps: int
    latent: int
    learning_rate: float
    d_learning_rate: float
    beta1: float
    beta2: float
    clip: float | None
    shift: int

    def optimizer(self, net: nn.Module) -> torch.optim.Adam:
        """Return Adam for a generator."""
        return self._adam(net, self.learning_rate)

    def d_optimizer(self, net: nn.Module) -> torch.optim.Adam:
        """Return Adam for a discriminator."""
        return self._adam(net, self.d_learning_rate)

    def _adam(self, net: nn.Module, learning_rate: float) -> torch.optim.Adam:
        return torch.optim.Adam(net.parameters(), learning_rate, betas=(self.beta1, self.beta2))


@dataclass
class TrainingPair:
    """A generator and a discriminator that train together.

    Args:
        generate: function from latent vectors (b, latent) to images (b, c, h, w).
        score: function from images to scores (b,), which are positive for real images.
        optimizer: optimizer of the generator; None if the generator stays fixed.
        weights: parameters of the generator that the optimizer updates.
    """

    generate: Generate
    score: Score
    optimizer: torch.optim.Optimizer | None = None
    weights: Sequence[Tensor] = ()


@dataclass
class RandomStreams:
    """Random generators of a training run, all on the CPU so that devices agree.

    Args:
        batches: shuffles and shifts images.
        noise: samples latent vectors.
        paths: samples architectures.
    """

    batches: torch.Generator
    noise: torch.Generator
    paths: torch.Generator

    @classmethod
    def from_seed(cls, seed: int, purpose: str) -> RandomStreams:
        """Return independent streams for one purpose of a run."""
        return cls(*(generator(seed, purpose, name) for name in cls.__dataclass_fields__))

    def state(self) -> dict[str, Tensor]:
        """Return the states of all streams as a flat dict of tensors."""
        return {
            f"rng.{name}": getattr(self, name).get_state() for name in self.__dataclass_fields__
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what :meth:`state` returned."""
        for name in self.__dataclass_fields__:
            getattr(self, name).set_state(state[f"rng.{name}"])


def adversarial_state(trained: Trained, streams: RandomStreams) -> dict[str, Tensor]:
    """Return networks, optimizers and random streams as a flat dict of tensors.

    Args:
        trained: network and optimizer by name.
        streams: random streams of the run.
    """
    tensors = streams.state()
    for name, pair in trained.items():
        tensors |= training_state(*pair, f"{name}.")
    return tensors


def load_adversarial_state(
    trained: Trained, streams: RandomStreams, state: Mapping[str, Tensor]
) -> None:
    """Restore what :func:`adversarial_state` returned, in place."""
    for name, pair in trained.items():
        load_training_state(*pair, state, f"{name}.")
    streams.load_state(state)


@dataclass(frozen=True)
class AdversarialReport(TrainingReport):
    """Report of adversarial training, with the losses ``d_loss`` and ``g_loss``.

    Args:
        losses: mean of each loss, see :class:`~moonas.training.report.TrainingReport`.
        steps: number of discriminator steps.
        skipped: number of skipped steps of both kinds.
        g_steps: number of generator steps.
    """

    g_steps: int

    def as_dict(self) -> dict[str, float]:
        """Return the numbers as a journal records them."""
        return {"steps": self.steps, "g_steps": self.g_steps} | super().as_dict()

    @classmethod
    def from_losses(
        cls, d_losses: Sequence[float | None], g_losses: Sequence[float | None]
    ) -> AdversarialReport:
        """Return the report of all steps; the loss of a skipped step is None."""
        d, g = ([x for x in losses if x is not None] for losses in (d_losses, g_losses))
        means = {
            name: float(np.mean(losses)) if losses else math.nan
            for name, losses in (("d_loss", d), ("g_loss", g))
        }
        skipped = len(d_losses) - len(d) + len(g_losses) - len(g)
        return cls(means, len(d), skipped, len(g))


def d_hinge(real: Tensor, fake: Tensor) -> Tensor:
    """Return the discriminator's hinge loss from its scores of real and generated images, (b,)."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def g_hinge(fake: Tensor) -> Tensor:
    """Return the generator's hinge loss from the scores of its images, (b,)."""
    return -fake.mean()


def train_adversarially(
    images: Tensor,
    draw: Callable[[], TrainingPair],
    discriminator: nn.Module,
    d_optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    streams: RandomStreams,
    epochs: int,
    *,
    on_epoch: Callable[[int], None] | None = None,
    after: Callable[[], None] | None = None,
) -> AdversarialReport:
    """Train pairs of a generator and a discriminator; each generator step draws a new pair.

    In each epoch the discriminators see all real images once, in random order; the last ones are
    left out if they do not fill a batch. Weights that a step does not use get no gradient and do
    not change. A step whose loss or gradient is not finite is skipped.

    Args:
        images: (n, c, h, w) real images in [-1, 1], on the device of the networks.
        draw: function that returns the :class:`TrainingPair` of the next steps.
        discriminator: module whose parameters ``d_optimizer`` updates.
        d_optimizer: optimizer of the discriminators.
        recipe: hyperparameters.
        streams: random streams.
        epochs: number of epochs.
        on_epoch: function of the number of completed epochs, called before each epoch and at the
            end.
        after: function called after each generator step.

    Returns:
        The report of all epochs.

    Raises:
        ValueError: an epoch is too short for a generator step.
    """
    d_losses: list[float | None] = []
    g_losses: list[float | None] = []
    d_weights = list(discriminator.parameters())
    size = min(recipe.batch, len(images))
    if len(images) // size < recipe.d_steps:
        raise ValueError(
            f"d_steps={recipe.d_steps} is invalid: {len(images)} images in batches of {size} give "
            f"{len(images) // size} steps per epoch, so generators would never train. Lower "
            "d_steps or batch."
        )
    for done in range(epochs):
        if on_epoch is not None:
            on_epoch(done)
        order = torch.randperm(len(images), generator=streams.batches).to(images.device)
        pair = None
        for step, rows in enumerate(torch.split(order[: len(order) // size * size], size)):
            pair = pair or draw()
            with torch.no_grad():
                fake = pair.generate(_sample_latents(size, recipe, streams, images))
            real = shift_images(images[rows], recipe, streams)
            fake = shift_images(fake, recipe, streams)
            loss = d_hinge(*score_both(pair.score, real, fake, discriminator))
            d_losses.append(step_if_finite(loss, d_optimizer, d_weights, recipe.clip))
            if (step + 1) % recipe.d_steps:
                continue
            if pair.optimizer is not None:
                latents = _sample_latents(recipe.generator_batch, recipe, streams, images)
                fake = pair.generate(latents)
                loss = g_hinge(pair.score(shift_images(fake, recipe, streams)))
                g_losses.append(step_if_finite(loss, pair.optimizer, pair.weights, recipe.clip))
                if after is not None:
                    after()
            pair = None
    if on_epoch is not None:
        on_epoch(epochs)
    return AdversarialReport.from_losses(d_losses, g_losses)


def shift_images(images: Tensor, recipe: Recipe, streams: RandomStreams) -> Tensor:
    """Shift each image at random by up to ``recipe.shift`` pixels; black pixels fill the border.

    Real and generated images are shifted alike, so discriminators cannot memorize a small training
    set and generators do not learn to shift their images (Zhao et al., NeurIPS 2020).

    Args:
        images: (n, c, h, w) in [-1, 1].
        recipe: hyperparameters.
        streams: random streams, of which ``batches`` is used.
    """
    if not recipe.shift:
        return images
    shifted: Tensor = shift_and_flip(images + 1, streams.batches, recipe.shift, flip=False)
    return shifted - 1


def score_both(
    score: Score, real: Tensor, fake: Tensor, discriminator: nn.Module
) -> Sequence[Tensor]:
    """Return the scores of real images and those of generated images.

    A single forward pass computes both, unless the discriminator has batch normalization, with
    which a score depends on the other images of its batch.
    """
    if any(isinstance(m, nn.BatchNorm2d) for m in discriminator.modules()):
        return score(real), score(fake)
    return torch.split(score(torch.cat([real, fake])), [len(real), len(fake)])


def _sample_latents(n: int, recipe: Recipe, streams: RandomStreams, images: Tensor) -> Tensor:
    """Sample (n, latent) latent vectors, on the device of the images."""
    return torch.randn(n, recipe.latent, generator=streams.noise).to(images.device)
