"""Adversarial training with the hinge loss and Adam, on pairs of networks that may change."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moonas.data import shift_and_flip
from moonas.data.batches import Images, read_batches
from moonas.nets.randomness import generator
from moonas.training.report import TrainingReport
from moonas.training.sgd import load_training_state, step_if_finite, training_state

from .augmentation import diff_augment

if TYPE_CHECKING:
    from moonas.run.loop_checkpoints import LoopCheckpoints, Stateful

ADVICE = "Lower learning_rate and d_learning_rate, or set clip."

Generate = Callable[[Tensor], Tensor]  # latent vectors (b, latent) -> images (b, c, h, w)
Score = Callable[[Tensor], Tensor]  # images (b, c, h, w) -> scores (b,)
TrainedNetworks = Mapping[
    str, tuple[nn.Module, torch.optim.Optimizer]
]  # name -> network and optimizer


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of adversarial training.

    Args:
        batch: number of real images per discriminator step, which uses as many generated images.
        generator_batch: number of generated images per generator step.
        d_steps: discriminator steps per generator step.
        latent: length of a latent vector.
        learning_rate: learning rate of generators.
        d_learning_rate: learning rate of discriminators.
        beta1: beta1 of Adam.
        beta2: beta2 of Adam.
        clip: largest gradient norm, to which larger gradients are clipped; None for no clipping.
        shift: largest random shift of real and generated images, before a discriminator scores
            them, in pixels.
        augment: further random changes of these images, see :func:`.augmentation.diff_augment`.
        r1: weight of the gradient penalty, see :func:`r1_penalty`; 0 for no penalty.
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
    augment: Sequence[str] = ()
    r1: float = 0.0

    def optimizer(self, net: nn.Module) -> torch.optim.Adam:
        """Return the optimizer of a generator."""
        return self._adam(net, self.learning_rate)

    def d_optimizer(self, net: nn.Module) -> torch.optim.Adam:
        """Return the optimizer of a discriminator."""
        return self._adam(net, self.d_learning_rate)

    def _adam(self, net: nn.Module, learning_rate: float) -> torch.optim.Adam:
        return torch.optim.Adam(net.parameters(), learning_rate, betas=(self.beta1, self.beta2))


@dataclass
class TrainingPair:
    """A generator and a discriminator that train together.

    Args:
        generate: function from latent vectors (b, latent) to images (b, c, h, w).
        score: function from images (b, c, h, w) to scores (b,); a positive score classifies an
            image as real.
        optimizer: optimizer of the generator; None if the generator stays fixed.
        weights: parameters of the generator, which the optimizer updates.
    """

    generate: Generate
    score: Score
    optimizer: torch.optim.Optimizer | None = None
    weights: Sequence[Tensor] = ()


@dataclass
class RandomStreams:
    """Random generators of a training run, on the CPU: every device gets the same random numbers.

    Args:
        batches: random generator that shuffles and shifts images.
        noise: random generator that samples latent vectors.
        paths: random generator that samples architectures.
    """

    batches: torch.Generator
    noise: torch.Generator
    paths: torch.Generator

    @classmethod
    def from_seed(cls, seed: int, purpose: str) -> RandomStreams:
        """Return independent random generators, which depend on the seed and the purpose."""
        return cls(*(generator(seed, purpose, name) for name in cls.__dataclass_fields__))

    def state(self) -> dict[str, Tensor]:
        """Return the states of all random generators as a flat dict of tensors."""
        return {
            f"rng.{name}": getattr(self, name).get_state() for name in self.__dataclass_fields__
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the states that :meth:`state` returned."""
        for name in self.__dataclass_fields__:
            getattr(self, name).set_state(state[f"rng.{name}"])


def adversarial_state(networks: TrainedNetworks, streams: RandomStreams) -> dict[str, Tensor]:
    """Return the state of networks, optimizers and random streams as a flat dict of tensors.

    Args:
        networks: networks and their optimizers, by name.
        streams: random streams of the run.
    """
    tensors = streams.state()
    for name, pair in networks.items():
        tensors |= training_state(*pair, f"{name}.")
    return tensors


def load_adversarial_state(
    networks: TrainedNetworks, streams: RandomStreams, state: Mapping[str, Tensor]
) -> None:
    """Restore the state that :func:`adversarial_state` returned, in place."""
    for name, pair in networks.items():
        load_training_state(*pair, state, f"{name}.")
    streams.load_state(state)


@dataclass(frozen=True)
class AdversarialReport(TrainingReport):
    """Report of adversarial training; its losses are ``d_loss`` and ``g_loss``.

    Args:
        losses: mean of each loss over the steps, see
            :class:`~moonas.training.report.TrainingReport`.
        steps: number of discriminator steps that were not skipped.
        skipped: number of skipped steps of the generators and discriminators.
        g_steps: number of generator steps that were not skipped.
    """

    g_steps: int

    def as_dict(self) -> dict[str, float]:
        """Return the report as a dict, which a journal can record."""
        return {"steps": self.steps, "g_steps": self.g_steps} | super().as_dict()

    @classmethod
    def from_losses(
        cls, d_losses: Sequence[float | None], g_losses: Sequence[float | None]
    ) -> AdversarialReport:
        """Return the report of a training.

        Args:
            d_losses: loss of each discriminator step; None for a skipped step.
            g_losses: loss of each generator step; None for a skipped step.
        """
        d, g = ([x for x in losses if x is not None] for losses in (d_losses, g_losses))
        means = {
            name: float(np.mean(losses)) if losses else math.nan
            for name, losses in (("d_loss", d), ("g_loss", g))
        }
        skipped = len(d_losses) - len(d) + len(g_losses) - len(g)
        return cls(means, len(d), skipped, len(g))


class AdversarialTraining:
    """The state of networks that train adversarially, for checkpoints.

    Args:
        networks: networks and their optimizers, by name.
        streams: random streams.
    """

    def __init__(self, networks: TrainedNetworks, streams: RandomStreams) -> None:
        self.networks, self.streams = networks, streams

    def state(self) -> dict[str, Tensor]:
        """Return the state as a flat dict of tensors."""
        return adversarial_state(self.networks, self.streams)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore a state that :meth:`state` returned."""
        load_adversarial_state(self.networks, self.streams, state)


def discriminator_hinge_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return the hinge loss of a discriminator.

    Args:
        real: scores of real images, (b,).
        fake: scores of generated images, (b,).
    """
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def generator_hinge_loss(fake: Tensor) -> Tensor:
    """Return the hinge loss of a generator from the scores of its images, (b,)."""
    return -fake.mean()


def train_adversarially(
    images: Tensor | Images,
    sample_pairs: Callable[[], Sequence[TrainingPair]],
    discriminator: nn.Module,
    d_optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    streams: RandomStreams,
    epochs: int,
    *,
    d_steps_done: int = 0,
    on_epoch: Callable[[int], None] | None = None,
    after_generator_step: Callable[[], None] | None = None,
    loop: str = "epochs",
    checkpoints: LoopCheckpoints | None = None,
    training: Stateful | None = None,
) -> AdversarialReport:
    """Train pairs of a generator and a discriminator.

    Each step trains one or several pairs. New pairs are sampled after each generator step, which
    follows ``d_steps`` discriminator steps. Discriminator steps are counted across epochs, so an
    epoch may have fewer steps than that. With several pairs, a discriminator step follows the
    gradient of their mean loss on the same real images, as in eq. 3 of CARS (Yang et al., 2020),
    and each generator takes a step of its own.

    In each epoch, the discriminator steps use all real images once, in random order, except for the
    last images if they do not fill a batch. A step does not change weights that its networks do not
    use. A step is skipped if its loss or its gradient is not finite.

    With ``checkpoints`` and ``training``, the state is saved every few minutes, after a generator
    step, and the training resumes from it.

    Args:
        images: n real images, whose batches are (b, c, h, w) in [-1, 1], on the device of the
            networks.
        sample_pairs: function that returns a list of :class:`TrainingPair`, which train for
            ``d_steps`` discriminator steps and one generator step.
        discriminator: discriminator or supernet that contains the weights of all discriminators.
        d_optimizer: optimizer of ``discriminator``.
        recipe: hyperparameters.
        streams: random streams.
        epochs: number of epochs.
        d_steps_done: number of discriminator steps since the last generator step, if this training
            continues an earlier one.
        on_epoch: function that is called with the number of completed epochs, before each epoch and
            after the last.
        after_generator_step: function that is called after each generator step.
        loop: name of this training in checkpoints.
        checkpoints: checkpoints of the call that this training is a part of; or None.
        training: object with the complete state of this training.

    Returns:
        The report of the training.
    """
    d_losses: list[float | None] = []
    g_losses: list[float | None] = []
    d_weights = list(discriminator.parameters())
    size, n_steps = batches_per_epoch(recipe, len(images))
    pairs: Sequence[TrainingPair] = ()
    first_epoch, first_step, saved = 0, 0, {}
    if checkpoints is not None and training is not None:
        saved = checkpoints.restore(loop, training)
    if saved:
        first_epoch, first_step = saved["position"].tolist()
        d_losses, g_losses = (_losses_from_tensor(saved[name]) for name in ("d", "g"))
    for epoch in range(first_epoch, epochs):
        if on_epoch is not None:
            on_epoch(epoch)
        if saved:
            order, saved = saved["order"].to(images.device), {}
        else:
            order = torch.randperm(len(images), generator=streams.batches).to(images.device)
            first_step = 0
        batches = torch.split(order, size)[first_step:n_steps]
        for step, batch in enumerate(read_batches(images, batches), first_step):
            pairs = pairs or sample_pairs()
            hinge, penalty = batch.new_zeros(()), batch.new_zeros(())
            for pair in pairs:
                with torch.no_grad():
                    fake = pair.generate(_sample_latents(size, recipe, streams, batch))
                real = augment_images(batch, recipe, streams)
                fake = augment_images(fake, recipe, streams)
                real.requires_grad_(recipe.r1 > 0)
                scores = score_real_and_fake(pair.score, real, fake, discriminator)
                hinge = hinge + discriminator_hinge_loss(*scores) / len(pairs)
                if recipe.r1:
                    penalty = penalty + r1_penalty(scores[0], real, recipe.r1) / len(pairs)
            loss = hinge + penalty
            finite = step_if_finite(loss, d_optimizer, d_weights, recipe.clip) is not None
            d_losses.append(float(hinge.detach()) if finite else None)
            if (d_steps_done + len(d_losses)) % recipe.d_steps:
                continue
            for pair in pairs:
                if pair.optimizer is None:
                    continue
                latents = _sample_latents(recipe.generator_batch, recipe, streams, batch)
                fake = pair.generate(latents)
                loss = generator_hinge_loss(pair.score(augment_images(fake, recipe, streams)))
                g_losses.append(step_if_finite(loss, pair.optimizer, pair.weights, recipe.clip))
                if after_generator_step is not None:
                    after_generator_step()
            pairs = ()
            if checkpoints is None or training is None:
                continue
            values = partial(_progress_tensors, epoch, step + 1, order, d_losses, g_losses)
            checkpoints.save_if_due(loop, training, values)
    if on_epoch is not None:
        on_epoch(epochs)
    return AdversarialReport.from_losses(d_losses, g_losses)


def _progress_tensors(
    epoch: int,
    step: int,
    order: Tensor,
    d_losses: Sequence[float | None],
    g_losses: Sequence[float | None],
) -> dict[str, Tensor]:
    """Return the progress of :func:`train_adversarially` for a checkpoint."""
    tensors = {"position": torch.tensor([epoch, step]), "order": order}
    for name, losses in (("d", d_losses), ("g", g_losses)):
        values = [math.nan if x is None else x for x in losses]
        tensors[name] = torch.tensor(values, dtype=torch.float64)
    return tensors


def _losses_from_tensor(losses: Tensor) -> list[float | None]:
    return [None if math.isnan(x) else x for x in losses.tolist()]


def batches_per_epoch(recipe: Recipe, n_images: int) -> tuple[int, int]:
    """Return the batch size of real images, and the number of full batches of an epoch."""
    size = min(recipe.batch, n_images)
    return size, n_images // size


def require_generator_steps(recipe: Recipe, epochs: int, n_images: int) -> None:
    """Raise a ``ValueError`` if a training is too short for a single generator step.

    Args:
        recipe: hyperparameters.
        epochs: number of epochs of the training; 0 is allowed.
        n_images: number of real images.
    """
    batch, steps_per_epoch = batches_per_epoch(recipe, n_images)
    steps = epochs * steps_per_epoch
    if 0 < steps < recipe.d_steps:
        raise ValueError(
            f"d_steps={recipe.d_steps} is invalid: {epochs} epochs of {n_images} images in batches "
            f"of {batch} have {steps} steps, so no generator would train. Lower d_steps or batch, "
            "or raise epochs."
        )


def r1_penalty(scores: Tensor, images: Tensor, weight: float) -> Tensor:
    """Return the gradient penalty R1 (Mescheder et al., ICML 2018, eq. 9).

    It is weight / 2 times the squared Euclidean norm of the gradient of a score with respect to its
    image, averaged over the images.

    Args:
        scores: (b,) scores of real images, as the hinge loss uses them.
        images: (b, c, h, w) images that were scored; they require gradients.
        weight: gamma of the paper.
    """
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return weight / 2 * gradient.square().flatten(1).sum(1).mean()


def augment_images(images: Tensor, recipe: Recipe, streams: RandomStreams) -> Tensor:
    """Return randomly changed images: :func:`shift_images`, then ``recipe.augment``.

    Args:
        images: (b, c, h, w) in [-1, 1].
        recipe: hyperparameters.
        streams: random streams; ``batches`` provides the random numbers.
    """
    return diff_augment(shift_images(images, recipe, streams), recipe.augment, streams.batches)


def shift_images(images: Tensor, recipe: Recipe, streams: RandomStreams) -> Tensor:
    """Shift each image at random by up to ``recipe.shift`` pixels; black pixels fill the border.

    Shifts keep a discriminator from memorizing a small training set. Generated images are shifted
    as well as real images, so that generators do not learn to shift (Zhao et al., NeurIPS 2020).

    Args:
        images: (n, c, h, w) in [-1, 1].
        recipe: hyperparameters.
        streams: random streams; ``batches`` provides the shifts.
    """
    if not recipe.shift:
        return images
    shifted: Tensor = shift_and_flip(images + 1, streams.batches, recipe.shift, flip=False)
    return shifted - 1


def score_real_and_fake(
    score: Score, real: Tensor, fake: Tensor, discriminator: nn.Module
) -> Sequence[Tensor]:
    """Return the scores of real images and the scores of generated images.

    Both are scored in the same forward pass, unless the discriminator has batch normalization,
    which makes a score depend on the other images of the batch.
    """
    if any(isinstance(m, nn.BatchNorm2d) for m in discriminator.modules()):
        return score(real), score(fake)
    return torch.split(score(torch.cat([real, fake])), [len(real), len(fake)])


def _sample_latents(n: int, recipe: Recipe, streams: RandomStreams, images: Tensor) -> Tensor:
    """Sample (n, latent) latent vectors, on the device of the images."""
    return torch.randn(n, recipe.latent, generator=streams.noise).to(images.device)
