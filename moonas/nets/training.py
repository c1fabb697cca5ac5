"""Training of shared weights: single paths, mini-batches of architectures, SGD."""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F


@dataclass(frozen=True)
class Recipe:
    """How shared weights are trained."""

    batch: int  # images a step
    learning_rate: float
    learning_rate_end: float
    momentum: float
    weight_decay: float
    clip: float  # norm of the gradient
    horizon: int  # epochs; past it the learning rate stays at its end


def cosine(epoch, horizon, start, end):
    """Learning rate of an epoch: half a cosine from ``start`` at 0 to ``end`` at the horizon."""
    share = min(epoch / horizon, 1) if horizon else 1
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def make_optimizer(net, recipe):
    """SGD with momentum; the learning rate is set epoch by epoch."""
    return torch.optim.SGD(
        net.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )


@dataclass
class EpochReport:
    """What one epoch did."""

    loss: float  # mean over the steps that were taken; NaN when none was
    steps: int
    skipped: int  # steps whose loss or gradient was not finite


def train_epoch(net, data, draw, optimizer, recipe, rng, augment=None):
    """One epoch over shuffled images; each step trains the architectures that ``draw()`` gives.

    The gradient of a step is the mean of its architectures' gradients (CARS, eq. 3). What no
    architecture of a step uses has no gradient and stays as it is: no decay, no momentum. The last
    images, too few for a whole batch, wait for the next shuffle. A step with a loss or a gradient
    that is not finite changes nothing.

    Args:
        net: called as net(images, architecture) -> logits.
        data: (images (n, c, h, w), labels (n,)), on the device of ``net``.
        draw: () -> list of architectures.
        optimizer: of ``net``'s parameters.
        recipe: a :class:`Recipe`.
        rng: ``torch.Generator`` of the CPU, for shuffling and augmentation.
        augment: (images, rng) -> images, or None.

    Returns:
        An :class:`EpochReport`.
    """
    net.train()
    images, labels = data
    size = min(recipe.batch, len(images))
    order = torch.randperm(len(images), generator=rng).to(images.device)
    losses, skipped = [], 0
    for rows in order[: len(order) // size * size].split(size):
        x, y = images[rows], labels[rows]
        if augment is not None:
            x = augment(x, rng)
        optimizer.zero_grad(set_to_none=True)
        architectures = draw()
        total = 0.0
        for architecture in architectures:
            loss = F.cross_entropy(net(x, architecture), y) / len(architectures)
            loss.backward()
            total += loss.detach()
        norm = torch.nn.utils.clip_grad_norm_(net.parameters(), recipe.clip)
        if math.isfinite(norm) and math.isfinite(total):
            optimizer.step()
            losses.append(total)
        else:
            skipped += 1
    mean = float(torch.stack(losses).mean()) if losses else math.nan
    return EpochReport(mean, len(losses), skipped)


def momentum_of(net, optimizer):
    """Momentum buffers by parameter name, for a flat state of tensors."""
    names = {p: name for name, p in net.named_parameters()}
    return {names[p]: s["momentum_buffer"] for p, s in optimizer.state.items() if s}


def restore_momentum(net, optimizer, buffers):
    """Put back what :func:`momentum_of` took."""
    optimizer.state.clear()
    for name, parameter in net.named_parameters():
        if name in buffers:
            buffer = buffers[name].to(parameter.device).clone()
            optimizer.state[parameter]["momentum_buffer"] = buffer
