"""Training with SGD: a single network, or weights that several architectures share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .report import TrainingReport

Forward = Callable[[Tensor], Any]  # images (b, c, h, w) -> network output, such as logits


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of SGD; :func:`moonas.settings.select` creates a recipe from settings.

    Args:
        batch: number of images per step.
        learning_rate: initial learning rate.
        learning_rate_end: learning rate from epoch ``horizon`` on.
        momentum: momentum of SGD.
        weight_decay: factor of the L2 penalty of SGD.
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
        horizon: epoch from which the learning rate is ``end``.
        start: learning rate of epoch 0.
        end: final learning rate.
    """
    progress = min(epoch / horizon, 1) if horizon else 1
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def make_optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """Return an SGD optimizer; the training loop sets its learning rate in each epoch."""
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

    The gradient of a training step is the mean of the gradients of the sampled networks (CARS,
    eq. 3). Parameters that no sampled network uses have no gradient, so neither weight decay nor
    momentum changes them. If the last images do not fill a batch, they are not used. A step is
    skipped if its loss or gradient is not finite.

    Args:
        net: module whose parameters are trained.
        data: (images (n, c, h, w), labels (n, ...)), on the device of ``net``.
        sample: function () -> forward functions of the networks to train in a step;
            ``lambda: [net]`` for a stand-alone network.
        optimizer: optimizer of the parameters of ``net``.
        recipe: hyperparameters.
        rng: ``torch.Generator`` on the CPU, for shuffling and augmentation.
        loss_function: function (network output, labels) -> 0-dimensional loss.
        augment: function (images, rng) -> augmented images; or None.
        before_step: function (images, labels) -> None that is called with the batch before each
            step; or None.

    Returns:
        Report with the mean ``loss`` of the completed steps.
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
        total: Any = 0.0
        for forward in networks:
            loss = loss_function(forward(x), y) / len(networks)
            loss.backward()  # type: ignore[no-untyped-call]  # torch lacks the type
            total += loss.detach()
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
    """Train for several epochs with the cosine schedule of a recipe.

    Args:
        net: see :func:`train_epoch`.
        data: see :func:`train_epoch`.
        sample: see :func:`train_epoch`.
        optimizer: see :func:`train_epoch`.
        recipe: see :func:`train_epoch`.
        rng: see :func:`train_epoch`.
        epochs: number of epochs.
        first: index of the first of these epochs in the learning rate schedule.
        on_epoch: function (number of completed epochs) -> None that is called before each epoch and
            after the last epoch; or None.
        options: further keyword arguments of :func:`train_epoch`.

    Returns:
        Report with the steps of all epochs and the mean ``loss`` of the last epoch.
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

    Gradients are computed only with respect to ``weights``.

    Args:
        loss: 0-dimensional loss.
        optimizer: optimizer of ``weights``.
        weights: parameters to train. Parameters on which the loss does not depend are not changed.
        clip: maximum norm of the gradient; None for no clipping.

    Returns:
        Value of the loss, or None if the step was skipped.
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
    """Return the weights of a network and the state of its optimizer as a flat dict of tensors.

    Args:
        net: network, whose state dict is stored under the keys ``weights.NAME``.
        optimizer: optimizer of the network, whose state is stored under the keys
            ``memory.KEY.NAME``, such as ``memory.exp_avg.NAME``; None to return only the weights.
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
        net: network whose parameters have the same names and shapes.
        optimizer: optimizer of the network; its state is replaced.
        state: flat dict of tensors; keys without ``prefix`` are ignored.
        prefix: prefix of all keys.
    """
    net.load_state_dict(part_of_state(state, f"{prefix}weights"))
    parameters = dict(net.named_parameters())
    optimizer.state.clear()
    for key_and_name, value in part_of_state(state, f"{prefix}memory").items():
        key, name = key_and_name.split(".", 1)
        parameter = parameters[name]
        # Adam keeps its step counter on the CPU
        device = "cpu" if key == "step" else parameter.device
        optimizer.state[parameter][key] = value.to(device).clone()


def part_of_state(state: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Return NAME -> tensor for the keys ``PART.NAME`` of a flat dict, where PART is ``part``."""
    start = f"{part}."
    return {key[len(start) :]: t for key, t in state.items() if key.startswith(start)}
