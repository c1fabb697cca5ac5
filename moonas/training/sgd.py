"""Training by SGD: of one network, or of weights that several architectures share."""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from .report import TrainingReport


@dataclass(frozen=True)
class Recipe:
    """How weights are trained; :func:`moonas.settings.select` takes it from settings."""

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


def train_epoch(
    net, data, draw, optimizer, recipe, rng, *, loss_of=F.cross_entropy, augment=None, before=None
):
    """One epoch over shuffled images; each step trains what ``draw()`` gives.

    The gradient of a step is the mean of the gradients of what was drawn (CARS, eq. 3). What is not
    used in a step has no gradient and stays as it is: no decay, no momentum. The last images, too
    few for a whole batch, wait for the next shuffle. A step with a loss or a gradient that is not
    finite changes nothing.

    Args:
        net: whose parameters are trained.
        data: (images (n, c, h, w), labels (n, ...)), on the device of ``net``.
        draw: () -> list of functions, each images (b, c, h, w) -> logits; ``lambda: [net]`` for a
            network that stands alone.
        optimizer: of ``net``'s parameters.
        recipe: a :class:`Recipe`.
        rng: ``torch.Generator`` of the CPU, for shuffling and augmentation.
        loss_of: (logits, labels) -> 0-dimensional loss.
        augment: (images, rng) -> images, or None.
        before: (images, labels) -> None, called with each step's batch before the step.

    Returns:
        A :class:`~moonas.training.report.TrainingReport` of one loss, ``loss``.
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
        if before is not None:
            before(x, y)
        optimizer.zero_grad(set_to_none=True)
        drawn = draw()
        total = 0.0
        for predict in drawn:
            loss = loss_of(predict(x), y) / len(drawn)
            loss.backward()
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
    net, data, draw, optimizer, recipe, rng, epochs, *, first=0, on_epoch=None, **options
):
    """Several epochs along the cosine of a recipe.

    Args:
        net, data, draw, optimizer, recipe, rng, options: of :func:`train_epoch`.
        epochs: how many.
        first: number of the first one, for the learning rate.
        on_epoch: (epochs done) -> None, called before each epoch and at the end.

    Returns:
        A :class:`~moonas.training.report.TrainingReport` of all steps, whose ``loss`` is that of
        the last epoch.
    """
    losses, steps, skipped = {"loss": math.nan}, 0, 0
    for done in range(epochs):
        if on_epoch is not None:
            on_epoch(done)
        for group in optimizer.param_groups:
            group["lr"] = cosine(
                first + done, recipe.horizon, recipe.learning_rate, recipe.learning_rate_end
            )
        report = train_epoch(net, data, draw, optimizer, recipe, rng, **options)
        losses, steps, skipped = report.losses, steps + report.steps, skipped + report.skipped
    if on_epoch is not None:
        on_epoch(epochs)
    return TrainingReport(losses, steps, skipped)


def finite_step(loss, optimizer, weights, clip=None):
    """One step of an optimiser, which changes these weights and gives no others a gradient.

    Args:
        loss: 0-dimensional.
        optimizer: of the weights.
        weights: list of parameters; those that the loss does not depend on stay as they are.
        clip: norm that the gradient is clipped to; None for no limit.

    Returns:
        The loss as a number; None where it or the gradient was not finite, and nothing changed.
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


def training_state(net, optimizer, prefix=""):
    """Weights and an optimiser's memory as a flat dict of tensors.

    Keys are ``weights.NAME`` and ``memory.KEY.NAME``, as ``memory.exp_avg.NAME``, after a prefix.
    Without an optimiser (None) there are weights alone.
    """
    names = {p: name for name, p in net.named_parameters()}
    tensors = {f"{prefix}weights.{k}": v for k, v in net.state_dict().items()}
    for parameter, memory in optimizer.state.items() if optimizer else ():
        for key, value in memory.items():
            if value is not None:
                tensors[f"{prefix}memory.{key}.{names[parameter]}"] = value
    return tensors


def load_training_state(net, optimizer, state, prefix=""):
    """Put back what :func:`training_state` gave, as copies."""
    net.load_state_dict(part_of_state(state, f"{prefix}weights"))
    parameters = dict(net.named_parameters())
    optimizer.state.clear()
    for key_and_name, value in part_of_state(state, f"{prefix}memory").items():
        key, name = key_and_name.split(".", 1)
        parameter = parameters[name]
        device = "cpu" if key == "step" else parameter.device  # where Adam wants its counter
        optimizer.state[parameter][key] = value.to(device).clone()


def part_of_state(state, kind):
    """The tensors of a flat dict whose keys are ``kind.NAME``, by NAME."""
    start = f"{kind}."
    return {key[len(start) :]: t for key, t in state.items() if key.startswith(start)}
