"""Training of a CycleGAN (Zhu et al., ICCV 2017)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from moonas.data import crop_and_flip
from moonas.data.stores import ImageStore
from moonas.files.tensors import part_of_state
from moonas.nets.devices import deterministic_gradients
from moonas.nets.randomness import generator as seeded_generator
from moonas.nets.randomness import initial_weights
from moonas.training.report import TrainingReport
from moonas.training.sgd import load_training_state, step_if_finite, training_state

from . import networks

if TYPE_CHECKING:
    from moonas.run.loop_checkpoints import LoopCheckpoints

LOSSES = ("gan_loss", "cycle_loss", "identity_loss", "d_loss")
TARGET = {"a": "b", "b": "a"}  # target domain by source domain
ADVICE = "Lower learning_rate."  # for errors: no training step had a finite loss


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters for training the generators and discriminators.

    Args:
        batch: batch size, per domain.
        learning_rate: learning rate of Adam.
        beta1: decay rate of Adam's mean of gradients.
        beta2: decay rate of Adam's mean of squared gradients.
        cycle: weight of the cycle loss.
        identity: weight of the identity loss.
        pool: number of earlier generated images that are stored for each discriminator; 0 for none.
        flip: whether to mirror each image with probability 0.5.
    """

    batch: int
    learning_rate: float
    beta1: float
    beta2: float
    cycle: float
    identity: float
    pool: int
    flip: bool


class CycleGAN(nn.Module):
    """Two generators and their discriminators, by the source domain of the generator.

    ``generators["a"]`` is G_1, which translates from A to B; ``discriminators["a"]`` is D_1, which
    scores images of B.

    Args:
        width: number of filters of the first convolution of a generator.
        blocks: number of residual blocks per generator.
        d_width: number of filters of the first convolution of a discriminator.
        d_layers: number of convolutions of stride 2 per discriminator.
        image_channels: number of channels of the images of both domains.

    Attributes:
        shape: the arguments as a dict, without ``image_channels`` if it is 3.
    """

    def __init__(
        self, *, width: int, blocks: int, d_width: int, d_layers: int, image_channels: int = 3
    ) -> None:
        super().__init__()
        self.shape = dict(width=width, blocks=blocks, d_width=d_width, d_layers=d_layers)
        if image_channels != 3:
            self.shape["image_channels"] = image_channels
        c = image_channels
        self.generators = nn.ModuleDict(
            {k: networks.generator(c, c, width=width, blocks=blocks) for k in "ab"}
        )
        self.discriminators = nn.ModuleDict(
            {k: networks.discriminator(c, width=d_width, layers=d_layers) for k in "ab"}
        )


def new_gan(seed: int, device: torch.device | str, **shape: int) -> CycleGAN:
    """Return an untrained CycleGAN.

    Args:
        seed: seed of the initial weights.
        device: device of the CycleGAN.
        shape: arguments of :class:`CycleGAN`.
    """
    with initial_weights(seed, "CycleGAN"):
        gan = CycleGAN(**shape)
    return gan.to(device)


def scale_pixels(images: torch.Tensor) -> torch.Tensor:
    """Convert uint8 images to floats in [-1, 1]."""
    return images.float() / 127.5 - 1


def read_bytes(
    images: torch.Tensor | ImageStore, rows: Sequence[torch.Tensor], device: torch.device
) -> Iterator[torch.Tensor]:
    """Return batches of uint8 images on a device.

    Args:
        images: (n, c, h, w), or a store from which they are read in advance.
        rows: positions of the images of each batch, (b,) ints.
        device: device of the batches.
    """
    if isinstance(images, torch.Tensor):
        yield from (images[batch.to(images.device)].to(device) for batch in rows)
    else:
        yield from (pixels.to(device) for pixels in images.batches(rows))


class Training:
    """Trains a CycleGAN.

    Args:
        gan: CycleGAN on the device, which is trained in place.
        images: uint8 (n, 3, h, w) training images by domain, "a" and "b", on the device, or stores
            from which they are read.
        size: height and width of training samples in pixels; larger images are cropped at random.
        recipe: hyperparameters.
        seed: seed of the run.
        purpose: names that determine the random numbers together with the seed.

    Attributes:
        losses: names of the losses in the reports.
        pools: earlier generated images by source domain.
        batch: batch size, per domain; at most the number of images of the smaller domain.
        checkpoints: checkpoints of the call that this training is a part of; or None.
        loop: name of the training loop in these checkpoints.
    """

    losses: Sequence[str] = LOSSES
    checkpoints: LoopCheckpoints | None = None
    loop: str = "steps"

    def __init__(
        self,
        gan: CycleGAN,
        images: Mapping[str, torch.Tensor | ImageStore],
        size: tuple[int, int],
        recipe: Recipe,
        seed: int,
        *purpose: str,
    ) -> None:
        self.gan, self.images, self.size, self.recipe = gan, images, size, recipe
        self.rng = seeded_generator(seed, *purpose)
        rate, betas = recipe.learning_rate, (recipe.beta1, recipe.beta2)
        self.optimizer = torch.optim.Adam(gan.generators.parameters(), rate, betas)
        self.d_optimizer = torch.optim.Adam(gan.discriminators.parameters(), rate, betas)
        self.pools: dict[str, list[torch.Tensor]] = {k: [] for k in "ab"}
        self.batch = min(recipe.batch, *map(len, images.values()))

    @property
    def steps_per_epoch(self) -> int:
        """Number of full batches in the larger domain, at least 1."""
        n = max(len(images) for images in self.images.values())
        return max(1, n // self.batch)

    def epoch(
        self, factor: float = 1.0, on_step: Callable[[int], None] | None = None
    ) -> TrainingReport:
        """Train for one epoch.

        Args:
            factor: factor of the learning rate, in [0, 1].
            on_step: see :meth:`run`.
        """
        return self.run(self.steps_per_epoch, factor, on_step)

    def run(
        self, steps: int, factor: float = 1.0, on_step: Callable[[int], None] | None = None
    ) -> TrainingReport:
        """Train for a number of steps on shuffled images.

        Args:
            steps: number of steps.
            factor: factor of the learning rate, in [0, 1].
            on_step: function that is called after each step with the number of steps so far.

        Returns:
            The means of ``losses`` over the steps. A step counts as skipped if a loss or a gradient
            of the generators or discriminators was not finite.
        """
        for optimizer in (self.optimizer, self.d_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = factor * self.recipe.learning_rate
        finite, n, first, checkpoints = [], self.batch, 0, self.checkpoints
        saved = {} if checkpoints is None else checkpoints.restore(self.loop, self)
        if saved:
            first, finite = int(saved["step"]), saved["losses"].tolist()
            orders = {k: saved[f"order.{k}"] for k in self.images}
        else:
            orders = {k: self._order(len(images), steps * n) for k, images in self.images.items()}
        device = next(self.gan.parameters()).device
        a, b = (
            read_bytes(self.images[k], torch.split(orders[k], n)[first:steps], device) for k in "ab"
        )
        with deterministic_gradients(device):
            for step, of_a, of_b in zip(range(first, steps), a, b, strict=True):
                losses = self._step(self._changed(of_a), self._changed(of_b))
                if losses is not None:
                    finite.append(losses)
                if on_step is not None:
                    on_step(step + 1)
                if checkpoints is not None:
                    values = partial(_progress_tensors, step + 1, orders, finite)
                    checkpoints.save_if_due(self.loop, self, values)
        means = np.mean(finite, axis=0) if finite else np.full(len(self.losses), np.nan)
        by_name = dict(zip(self.losses, means.tolist(), strict=True))
        return TrainingReport(by_name, len(finite), steps - len(finite))

    def _order(self, n: int, length: int) -> torch.Tensor:
        """Return ``length`` indices in [0, n) from consecutive random permutations."""
        permutations = [torch.randperm(n, generator=self.rng) for _ in range(-(-length // n))]
        return torch.cat(permutations or [torch.empty(0, dtype=torch.int64)])[:length]

    def _changed(self, images: torch.Tensor) -> torch.Tensor:
        """Return a batch of uint8 images in [-1, 1], cropped and mirrored at random."""
        if self.recipe.flip or images.shape[2:] != self.size:
            images = crop_and_flip(images, self.rng, self.size, self.recipe.flip)
        return scale_pixels(images)

    def _step(self, a: torch.Tensor, b: torch.Tensor) -> list[float] | None:
        """Make one training step of the generators and then of the discriminators.

        Args:
            a: batch of images of domain A.
            b: batch of images of domain B.

        Returns:
            The values of ``losses``, or None if a loss or a gradient was not finite.
        """
        r, generators, discriminators = self.recipe, self.gan.generators, self.gan.discriminators
        # One forward pass per generator includes the images for the identity loss.
        fake_b, same_b = _translate(generators["a"], a, b, r.identity)
        fake_a, same_a = _translate(generators["b"], b, a, r.identity)
        gan = ((discriminators["a"](fake_b) - 1) ** 2).mean()
        gan = gan + ((discriminators["b"](fake_a) - 1) ** 2).mean()
        cycle = F.l1_loss(generators["b"](fake_b), a) + F.l1_loss(generators["a"](fake_a), b)
        identity = gan.new_zeros(())
        if same_a is not None and same_b is not None:
            identity = F.l1_loss(same_b, b) + F.l1_loss(same_a, a)
        loss = gan + r.cycle * cycle + r.identity * identity
        weights = list(generators.parameters())
        finite = step_if_finite(loss, self.optimizer, weights) is not None
        d_loss = self._discriminator_step(a, b, fake_a.detach(), fake_b.detach())
        if not finite or d_loss is None:
            return None
        return [*(float(v.detach()) for v in (gan, cycle, identity)), d_loss]

    def _discriminator_step(
        self, a: torch.Tensor, b: torch.Tensor, fake_a: torch.Tensor, fake_b: torch.Tensor
    ) -> float | None:
        """Make one training step of the discriminators.

        Args:
            a: batch of images of domain A.
            b: batch of images of domain B.
            fake_a: translations to domain A, without gradients.
            fake_b: translations to domain B, without gradients.

        Returns:
            The loss, or None if it or its gradient was not finite.
        """
        discriminators = self.gan.discriminators
        loss = _discriminator_loss(
            discriminators["a"], b, self._mix_with_earlier_images("a", fake_b)
        )
        loss = loss + _discriminator_loss(
            discriminators["b"], a, self._mix_with_earlier_images("b", fake_a)
        )
        weights = list(discriminators.parameters())
        finite = step_if_finite(loss, self.d_optimizer, weights) is not None
        return float(loss.detach()) if finite else None

    def _mix_with_earlier_images(self, domain: str, images: torch.Tensor) -> torch.Tensor:
        """Replace about half of the generated images by generated images from earlier steps.

        While the buffer is not full, no image is replaced.

        Args:
            domain: source domain of the generator.
            images: (n, 3, h, w) images that the generator has just generated.
        """
        pool, chosen = self.pools[domain], []
        if not self.recipe.pool:
            return images
        for image in images:
            if len(pool) < self.recipe.pool:
                pool.append(image)
            elif torch.rand((), generator=self.rng) < 0.5:
                i = int(torch.randint(len(pool), (), generator=self.rng))
                image, pool[i] = pool[i], image
            chosen.append(image)
        return torch.stack(chosen)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the complete state of the training as a flat dict of tensors."""
        tensors = training_state(self.gan.generators, self.optimizer, "generators.")
        tensors |= training_state(self.gan.discriminators, self.d_optimizer, "discriminators.")
        pools = {f"pool.{k}": torch.stack(pool) for k, pool in self.pools.items() if pool}
        return tensors | pools | {"rng": self.rng.get_state()}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore the training from the result of :meth:`state`."""
        load_training_state(self.gan.generators, self.optimizer, state, "generators.")
        load_training_state(self.gan.discriminators, self.d_optimizer, state, "discriminators.")
        device = next(self.gan.parameters()).device
        pools = part_of_state(state, "pool")
        self.pools = {k: list(pools[k].to(device)) if k in pools else [] for k in "ab"}
        self.rng.set_state(state["rng"].cpu())


class DiscriminatorTraining(Training):
    """Trains the discriminators of a CycleGAN, whose generators do not change."""

    losses = ("d_loss",)

    def _step(self, a: torch.Tensor, b: torch.Tensor) -> list[float] | None:
        """Make one training step of the discriminators, see :meth:`Training._step`."""
        with torch.no_grad():
            fake_b, fake_a = self.gan.generators["a"](a), self.gan.generators["b"](b)
        loss = self._discriminator_step(a, b, fake_a, fake_b)
        return None if loss is None else [loss]


def _progress_tensors(
    step: int, orders: Mapping[str, torch.Tensor], losses: Sequence[Sequence[float]]
) -> dict[str, torch.Tensor]:
    """Return the progress of :meth:`Training.run` for a checkpoint."""
    tensors = {f"order.{k}": order for k, order in orders.items()} | {"step": torch.tensor(step)}
    return tensors | {"losses": torch.tensor(losses, dtype=torch.float64)}


def _translate(
    generator: nn.Module, images: torch.Tensor, targets: torch.Tensor, identity: float
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Translate images and, if ``identity`` is not 0, apply the generator to ``targets`` as well.

    Args:
        generator: the generator.
        images: images of the source domain.
        targets: images of the target domain.
        identity: weight of the identity loss.

    Returns:
        The translated images, and the outputs for ``targets`` (None if ``identity`` is 0).
    """
    if not identity:
        return generator(images), None
    n = [len(images), len(targets)]
    translated, same = generator(torch.cat([images, targets])).split(n)
    return translated, same


def _discriminator_loss(
    discriminator: nn.Module, real: torch.Tensor, fake: torch.Tensor
) -> torch.Tensor:
    """Return the mean of the squared errors for real (target 1) and generated (target 0) images."""
    scores = discriminator(torch.cat([real, fake])).split([len(real), len(fake)])
    loss: torch.Tensor = (((scores[0] - 1) ** 2).mean() + (scores[1] ** 2).mean()) / 2
    return loss


def discriminator_accuracy(gan: CycleGAN, images: Mapping[str, torch.Tensor], batch: int) -> float:
    """Return how often the discriminators tell real from translated images, in percent.

    This is the share of all pairs of a real and a translated image in which the real image has the
    higher mean score over all patches (the area under the ROC curve; pairs with equal scores count
    half), averaged over both discriminators. 50 % is chance. Unlike the share of images on the
    right side of a threshold, it does not change if all scores rise or fall.

    Args:
        gan: the CycleGAN.
        images: uint8 (n, 3, h, w) images by domain, "a" and "b", on the device. They should not
            have been used for training.
        batch: number of images in a forward pass.
    """
    shares = []
    with torch.inference_mode():
        for k, target in TARGET.items():
            scores = {}
            for domain in (target, k):
                parts = [scale_pixels(part) for part in torch.split(images[domain], batch)]
                if domain == k:
                    parts = [gan.generators[k](x) for x in parts]
                scores[domain] = torch.cat(
                    [gan.discriminators[k](x).flatten(1).double().mean(1) for x in parts]
                )
            differences = scores[target][:, None] - scores[k][None, :]
            shares.append(float((differences.sign() + 1).mean()) / 2)
    return 100 * float(np.mean(shares))


def learning_rate_factor(epoch: int, constant: int, decaying: int) -> float:
    """Return the factor of the learning rate: 1 at first, with a linear decay afterwards.

    Args:
        epoch: index of the epoch, starting at 0.
        constant: number of epochs with factor 1.
        decaying: number of subsequent epochs, with a decaying factor.
    """
    return 1 - max(0, epoch + 1 - constant) / (decaying + 1)
