"""Training by SGD, of one network or of weights that several architectures share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .report import TrainingReport

Forward = Callable[[Tensor], Any]  # images (b, c, h, w) -> output of a network, such as logits


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of SGD; :func:`moonas.settings.select` creates them from settings.

    Args:
        batch: number of images per step.
        learning_rate: initial learning rate.
        learning_rate_end: learning rate at the horizon and after it.
        momentum: momentum of SGD.
        weight_decay: L2 penalty of SGD.
        clip: maximum norm of the gradient.
        horizon: number of epochs over which the learning rate is annealed.
    """

    batch: int
    learning_rate: float
    learning_rate_end: float
    momentum: float
    weight_decay: float
    clip: float
    horizon: int


def cosine(epoch: float, horizon: int, start: float, end: float) -> float:
    """Return the learning rate of an epoch under cosine annealing.

    Args:
        epoch: index of the epoch, starting at 0.
        horizon: epoch at which the learning rate reaches ``end``, where it then stays.
        start: learning rate of epoch 0.
        end: final learning rate.
    """
    progress = min(epoch / horizon, 1) if horizon else 1
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def make_optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """Return SGD with momentum; the training loop sets the learning rate of each epoch."""
    return torch.optim.SGD(
        net.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )


def train_epoch(
    net: nn.Module,
    data: tuple[Tensor, Tensor],
    sample: Callable[[], Sequence[Forward]],
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    rng: torch.Generator,
    *,
    loss_function: Callable[[Any, Tensor], Tensor] = F.cross_entropy,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    before_step: Callable[[Tensor, Tensor], object] | None = None,
) -> TrainingReport:
    """Train for one epoch over shuffled images.

    The gradient of a step is the mean of the gradients of the sampled networks (CARS, eq. 3).
    Parameters that no sampled network uses have no gradient, so neither weight decay nor momentum
    changes them. The last images are left out if they do not fill a batch. A step whose loss or
    gradient is not finite is skipped.

    Args:
        net: module whose parameters are trained.
        data: (images (n, c, h, w), labels (n, ...)), on the device of ``net``.
        sample: function that returns the forward functions of the networks to train in a step;
            ``lambda: [net]`` for a stand-alone network.
        optimizer: optimizer of the parameters of ``net``.
        recipe: hyperparameters.
        rng: ``torch.Generator`` on the CPU, for shuffling and augmentation.
        loss_function: function (output, labels) -> 0-dimensional loss.
        augment: function (images, rng) -> images, or None.
        before_step: function (images, labels) -> None that is called with the batch before each
            step, or None.

    Returns:
        Report with the mean ``loss``.
    """
    net.train()
    images, labels = data
    size = min(recipe.batch, len(images))
    order = torch.randperm(len(images), generator=rng).to(images.device)
    losses: list[Tensor] = []
    skipped = 0
    for rows in torch.split(order[: len(order) // size * size], size):
        x, y = images[rows], labels[rows]
        if augment is not None:
            x = augment(x, rng)
        if before_step is not None:
            before_step(x, y)
        optimizer.zero_grad(set_to_none=True)
        networks = sample()
        total = torch.zeros((), device=x.device)
        for forward in networks:
            loss = loss_function(forward(x), y) / len(networks)
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no types for it
            total = total + loss.detach()
        norm = torch.nn.utils.clip_grad_norm_(net.parameters(), recipe.clip)
        if math.isfinite(norm) and math.isfinite(total):
            optimizer.step()
            losses.append(total)
        else:
            skipped += 1
    mean = float(torch.stack(losses).mean()) if losses else math.nan
    return TrainingReport({"loss": mean}, len(losses), skipped)


def train_epochs(
    net: nn.Module,
    data: tuple[Tensor, Tensor],
    sample: Callable[[], Sequence[Forward]],
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    rng: torch.Generator,
    epochs: int,
    *,
    first: int = 0,
    on_epoch: Callable[[int], object] | None = None,
    **options: Any,
) -> TrainingReport:
    """Train for several epochs with the cosine annealing of a recipe.

    Args:
        net: see :func:`train_epoch`.
        data: see :func:`train_epoch`.
        sample: see :func:`train_epoch`.
        optimizer: see :func:`train_epoch`.
        recipe: see :func:`train_epoch`.
        rng: see :func:`train_epoch`.
        epochs: number of epochs.
        first: index of the first epoch in the learning rate schedule.
        on_epoch: function (epochs done) -> None that is called before each epoch and at the end,
            or None.
        options: further keyword arguments of :func:`train_epoch`.

    Returns:
        Report on all steps; its ``loss`` is that of the last epoch.
    """
    losses: Mapping[str, float] = {"loss": math.nan}
    steps, skipped = 0, 0
    for done in range(epochs):
        if on_epoch is not None:
            on_epoch(done)
        for group in optimizer.param_groups:
            group["lr"] = cosine(
                first + done, recipe.horizon, recipe.learning_rate, recipe.learning_rate_end
            )
        report = train_epoch(net, data, sample, optimizer, recipe, rng, **options)
        losses, steps, skipped = report.losses, steps + report.steps, skipped + report.skipped
    if on_epoch is not None:
        on_epoch(epochs)
    return TrainingReport(losses, steps, skipped)


def step_if_finite(
    loss: Tensor,
    optimizer: torch.optim.Optimizer,
    weights: Sequence[Tensor],
    clip: float | None = None,
) -> float | None:
    """Take an optimizer step, unless the loss or the gradient is not finite.

    Gradients are computed for the given weights only.

    Args:
        loss: 0-dimensional loss.
        optimizer: optimizer of the weights.
        weights: parameters to train; those that the loss does not depend on are not changed.
        clip: maximum norm of the gradient; None for no limit.

    Returns:
        The loss, or None if the step was skipped.
    """
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = gradient
    norm = torch.nn.utils.clip_grad_norm_(weights, math.inf if clip is None else clip)
    value = float(loss.detach())
    if not (math.isfinite(norm) and math.isfinite(value)):
        return None
    optimizer.step()
    return value


def training_state(
    net: nn.Module, optimizer: torch.optim.Optimizer | None, prefix: str = ""
) -> dict[str, Tensor]:
    """Return weights and optimizer state as a flat dict of tensors.

    Args:
        net: network, whose state dict is stored under the keys ``weights.NAME``.
        optimizer: optimizer of the network, whose state is stored under the keys
            ``memory.KEY.NAME``, such as ``memory.exp_avg.NAME``; None for weights only.
        prefix: prefix of all keys.
    """
    names: dict[Tensor, str] = {p: name for name, p in net.named_parameters()}
    tensors = {f"{prefix}weights.{k}": v for k, v in net.state_dict().items()}
    for parameter, state in optimizer.state.items() if optimizer else ():
        for key, value in state.items():
            if value is not None:
                tensors[f"{prefix}memory.{key}.{names[parameter]}"] = value
    return tensors


def load_training_state(
    net: nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor], prefix: str = ""
) -> None:
    """Load copies of the tensors that :func:`training_state` returned.

    Args:
        net: network with the same parameters.
        optimizer: optimizer of the network.
        state: flat dict of tensors; keys with another prefix are ignored.
        prefix: prefix of all keys.
    """
    net.load_state_dict(part_of_state(state, f"{prefix}weights"))
    parameters = dict(net.named_parameters())
    optimizer.state.clear()
    for key_and_name, value in part_of_state(state, f"{prefix}memory").items():
        key, name = key_and_name.split(".", 1)
        parameter = parameters[name]
        device = "cpu" if key == "step" else parameter.device  # Adam keeps its counter on the CPU
        optimizer.state[parameter][key] = value.to(device).clone()


def part_of_state(state: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Return the tensors of a flat dict whose keys are ``PART.NAME``, by NAME."""
    start = f"{part}."
    return {key[len(start) :]: t for key, t in state.items() if key.startswith(start)}
