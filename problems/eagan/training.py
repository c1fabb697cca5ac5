"""Adversarial training: hinge loss, Adam, and an epoch whose pairs are drawn step by step."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from moonas.data import shift_and_flip
from moonas.nets.randomness import generator
from moonas.training.report import TrainingReport
from moonas.training.sgd import load_training_state, step_if_finite, training_state

ADVICE = "Lower learning_rate and d_learning_rate, or set clip."  # where no step is finite


@dataclass(frozen=True)
class Recipe:
    """How generators and discriminators are trained."""

    batch: int  # real images, and as many generated ones, a step of a discriminator
    generator_batch: int  # generated images a step of a generator
    d_steps: int  # of a discriminator for each of a generator
    latent: int  # length of a latent vector
    learning_rate: float  # of generators
    d_learning_rate: float
    beta1: float
    beta2: float
    clip: float | None  # norm of a gradient, None for no limit
    shift: int  # pixels that discriminators see all images shifted by, at most

    def optimizer(self, net):
        """Adam for a generator."""
        return self._adam(net, self.learning_rate)

    def d_optimizer(self, net):
        """Adam for a discriminator."""
        return self._adam(net, self.d_learning_rate)

    def _adam(self, net, rate):
        return torch.optim.Adam(net.parameters(), rate, betas=(self.beta1, self.beta2))


@dataclass
class Drawn:
    """What a step of training takes.

    Args:
        generate: latent vectors (b, latent) -> images.
        score: images -> (b,), real ones above 0.
        optimizer: of the generator; without one it stays as it is.
        weights: parameters of the generator.
    """

    generate: object
    score: object
    optimizer: object = None
    weights: list | None = None


@dataclass
class Streams:
    """The random numbers of a training run, on the CPU whatever the device."""

    batches: torch.Generator
    noise: torch.Generator
    paths: torch.Generator

    @classmethod
    def of(cls, *purpose):
        """Those of a seed and a purpose."""
        return cls(*(generator(*purpose, name) for name in cls.__dataclass_fields__))

    def state(self):
        """A flat dict of tensors."""
        return {
            f"rng.{name}": getattr(self, name).get_state() for name in self.__dataclass_fields__
        }

    def load_state(self, state):
        """Put back what :meth:`state` gave."""
        for name in self.__dataclass_fields__:
            getattr(self, name).set_state(state[f"rng.{name}"])


def state_of(trained, streams):
    """Networks, their optimisers and the random numbers as a flat dict of tensors.

    Args:
        trained: name -> (network, its optimiser).
        streams: :class:`Streams`.
    """
    tensors = streams.state()
    for name, pair in trained.items():
        tensors |= training_state(*pair, f"{name}.")
    return tensors


def load_state_of(trained, streams, state):
    """Put back what :func:`state_of` gave."""
    for name, pair in trained.items():
        load_training_state(*pair, state, f"{name}.")
    streams.load_state(state)


@dataclass(frozen=True)
class AdversarialReport(TrainingReport):
    """Report of some epochs, of the losses ``d_loss`` and ``g_loss``.

    Args:
        losses, steps, skipped: as of :class:`~moonas.training.report.TrainingReport`; steps are
            those of discriminators, skipped counts both kinds.
        g_steps: number of steps of generators that were taken.
    """

    g_steps: int

    def as_dict(self) -> dict[str, float]:
        """The numbers as a journal records them."""
        return {"steps": self.steps, "g_steps": self.g_steps} | super().as_dict()

    @classmethod
    def of(cls, d_losses: list[float | None], g_losses: list[float | None]) -> "AdversarialReport":
        """The report of the losses of all steps, None for each that was skipped."""
        d, g = ([x for x in losses if x is not None] for losses in (d_losses, g_losses))
        means = {
            name: float(np.mean(taken)) if taken else math.nan
            for name, taken in (("d_loss", d), ("g_loss", g))
        }
        skipped = len(d_losses) - len(d) + len(g_losses) - len(g)
        return cls(means, len(d), skipped, len(g))


def d_hinge(real, fake):
    """Hinge loss of a discriminator from its scores of real and of generated images, (b,) each."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def g_hinge(fake):
    """Hinge loss of a generator from the scores of its images, (b,)."""
    return -fake.mean()


def train_adversarially(
    images, draw, discriminator, d_optimizer, recipe, streams, epochs, *, on_epoch=None, after=None
):
    """Train pairs of a generator and a discriminator, drawn anew for each step of a generator.

    An epoch shows the discriminators all real images once; the last ones, too few for a whole
    batch, wait for the next shuffle. What a step does not use has no gradient and stays as it is. A
    step with a loss or a gradient that is not finite changes nothing.

    Args:
        images: real ones, (n, c, h, w) in [-1, 1], on the device.
        draw: () -> a :class:`Drawn`.
        discriminator: module whose parameters ``d_optimizer`` has.
        d_optimizer: of the discriminators.
        recipe: a :class:`Recipe`.
        streams: :class:`Streams`.
        epochs: how many.
        on_epoch: (epochs done) -> None, called before each and at the end.
        after: () -> None, called after each step of a generator.

    Returns:
        An :class:`AdversarialReport`.

    Raises:
        ValueError: an epoch is too short for a step of a generator.
    """
    d_losses, g_losses, d_weights = [], [], list(discriminator.parameters())
    size = min(recipe.batch, len(images))
    if len(images) // size < recipe.d_steps:
        raise ValueError(
            f"d_steps={recipe.d_steps} will not do: {len(images)} images in batches of {size} are "
            f"{len(images) // size} steps an epoch, so generators would never train."
        )
    for done in range(epochs):
        if on_epoch is not None:
            on_epoch(done)
        order = torch.randperm(len(images), generator=streams.batches).to(images.device)
        pair = None
        for step, rows in enumerate(order[: len(order) // size * size].split(size)):
            pair = pair or draw()
            with torch.no_grad():
                fake = pair.generate(_noise(size, recipe, streams, images))
            real = shifted(images[rows], recipe, streams)
            fake = shifted(fake, recipe, streams)
            loss = d_hinge(*joint_scores(pair.score, real, fake, discriminator))
            d_losses.append(step_if_finite(loss, d_optimizer, d_weights, recipe.clip))
            if (step + 1) % recipe.d_steps:
                continue
            if pair.optimizer is not None:
                fake = pair.generate(_noise(recipe.generator_batch, recipe, streams, images))
                loss = g_hinge(pair.score(shifted(fake, recipe, streams)))
                g_losses.append(step_if_finite(loss, pair.optimizer, pair.weights, recipe.clip))
                if after is not None:
                    after()
            pair = None
    if on_epoch is not None:
        on_epoch(epochs)
    return AdversarialReport.of(d_losses, g_losses)


def shifted(images, recipe, streams):
    """Images in [-1, 1], each shifted by up to ``recipe.shift`` pixels; black comes in.

    What a discriminator sees is shifted alike, real or generated, so that a few real images are not
    learnt by heart and generators are not led to shift theirs (Zhao et al., NeurIPS 2020).
    """
    if not recipe.shift:
        return images
    return shift_and_flip(images + 1, streams.batches, recipe.shift, flip=False) - 1


def joint_scores(score, real, fake, discriminator):
    """Scores of real and of generated images; in one pass where none depends on the others."""
    if any(isinstance(m, torch.nn.BatchNorm2d) for m in discriminator.modules()):
        return score(real), score(fake)
    return score(torch.cat([real, fake])).split([len(real), len(fake)])


def _noise(n, recipe, streams, like):
    return torch.randn(n, recipe.latent, generator=streams.noise).to(like.device)
