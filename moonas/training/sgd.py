"""Training with SGD: a single network, or weights that several architectures share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.batches import Images, read_batches
from ..files.tensors import part_of_state
from .report import TrainingReport

if TYPE_CHECKING:
    from ..run.loop_checkpoints import LoopCheckpoints, Stateful

LOOP = "epochs"  # name of the training loop in checkpoints
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


@dataclass
class EpochProgress:
    """What the training loop has computed so far in an epoch.

    Args:
        order: (n,) indices of the images, in the order of the epoch.
        losses: losses of the completed steps, 0-dimensional tensors.
        skipped: number of skipped steps.
        key: number that determines the random changes of images, see
            :meth:`moonas.data.batches.Images.batches`; None without such changes.
    """

    order: Tensor
    losses: list[Tensor] = field(default_factory=list)
    skipped: int = 0
    key: int | None = None

    @property
    def steps(self) -> int:
        """Number of completed and skipped steps."""
        return len(self.losses) + self.skipped

    def as_tensors(self) -> dict[str, Tensor]:
        """Return the progress as a flat dict of tensors."""
        losses = torch.stack(self.losses) if self.losses else torch.empty(0)
        tensors = {"order": self.order, "losses": losses, "skipped": torch.tensor(self.skipped)}
        return tensors if self.key is None else tensors | {"key": torch.tensor(self.key)}

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Tensor], device: torch.device
    ) -> EpochProgress | None:
        """Invert :meth:`as_tensors`; return None if there are no tensors."""
        if not tensors:
            return None
        losses = list(tensors["losses"].to(device))
        key = int(tensors["key"]) if "key" in tensors else None
        return cls(tensors["order"].to(device), losses, int(tensors["skipped"]), key)


def train_epoch(
    net: nn.Module,
    data: tuple[Tensor | Images, Tensor],
    sample: Callable[[], Sequence[Forward]],
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    rng: torch.Generator,
    *,
    n_images: int | None = None,
    loss_function: Callable[[Any, Tensor], Tensor] = F.cross_entropy,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    mix: Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]] | None = None,
    before_step: Callable[[Tensor, Tensor], object] | None = None,
    progress: EpochProgress | None = None,
    after_step: Callable[[EpochProgress], object] | None = None,
) -> TrainingReport:
    """Train for one epoch over shuffled images.

    The gradient of a training step is the mean of the gradients of the sampled networks (CARS,
    eq. 3). Parameters that no sampled network uses have no gradient, so neither weight decay nor
    momentum changes them. If the last images do not fill a batch, they are not used. A step is
    skipped if its loss or gradient is not finite.

    Args:
        net: module whose parameters are trained.
        data: n images, whose batches are (b, c, h, w), and labels (n, ...), on the device of
            ``net``.
        sample: function () -> forward functions of the networks to train in a step;
            ``lambda: [net]`` for a stand-alone network.
        optimizer: optimizer of the parameters of ``net``.
        recipe: hyperparameters.
        rng: ``torch.Generator`` on the CPU, for shuffling and augmentation.
        n_images: number of images of the epoch, which are drawn at random so that the classes keep
            their shares; None for all images.
        loss_function: function (network output, labels) -> 0-dimensional loss.
        augment: function (images, rng) -> augmented images; or None.
        mix: function (images, labels, rng) -> images and labels, such as mixup; or None.
        before_step: function (images, labels) -> None that is called with the batch before each
            step; or None.
        progress: progress of an epoch that was interrupted; by default, the epoch starts.
        after_step: function (progress) -> None that is called after each step; or None.

    Returns:
        Report with the mean ``loss`` of the completed steps.
    """
    net.train()
    images, labels = data
    if progress is None:
        progress = _start_epoch(images, labels, n_images, rng)
    n = len(progress.order)
    size = min(recipe.batch, n)
    batches = torch.split(progress.order[: n // size * size], size)[progress.steps :]
    for rows, x in zip(batches, read_batches(images, batches, progress.key), strict=True):
        y = labels[rows]
        if augment is not None:
            x = augment(x, rng)
        if mix is not None:
            x, y = mix(x, y, rng)
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
            progress.losses.append(total)
        else:
            progress.skipped += 1
        if after_step is not None:
            after_step(progress)
    losses = progress.losses
    mean = float(torch.stack(losses).mean()) if losses else math.nan
    return TrainingReport({"loss": mean}, len(losses), progress.skipped)


def _start_epoch(
    images: Tensor | Images, labels: Tensor, n_images: int | None, rng: torch.Generator
) -> EpochProgress:
    """Draw the order of the images of an epoch and, if they change at random, a key."""
    if n_images is None or n_images >= len(images):
        order = torch.randperm(len(images), generator=rng)
    else:
        order = stratified_sample(labels.cpu(), n_images, rng)
    key = None
    if isinstance(images, Images) and images.change is not None:
        key = int(torch.randint(2**62, (), generator=rng))
    return EpochProgress(order.to(labels.device), key=key)


def stratified_sample(labels: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """Draw images at random, in random order, so that the classes keep their shares.

    Args:
        labels: (m,) classes; other labels have no classes, so images are drawn uniformly.
        n: number of images, at most m.
        rng: ``torch.Generator`` on the CPU.

    Returns:
        (n,) positions. The number of images of a class is its exact share of n, rounded up or down.
    """
    order = torch.randperm(len(labels), generator=rng)
    if labels.ndim > 1:
        return order[:n]
    shuffled = labels[order]
    by_class = order[shuffled.sort(stable=True).indices]  # classes in turn, shuffled within
    # every (m / n)-th image, from a random start: a systematic sample
    start = torch.rand((), generator=rng, dtype=torch.float64)
    positions = ((torch.arange(n) + start) * (len(labels) / n)).long().clamp_max(len(labels) - 1)
    return by_class[positions][torch.randperm(n, generator=rng)]


def train_epochs(
    net: nn.Module,
    data: tuple[Tensor | Images, Tensor],
    sample: Callable[[], Sequence[Forward]],
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    rng: torch.Generator,
    epochs: int,
    *,
    first: int = 0,
    on_epoch: Callable[[int], object] | None = None,
    checkpoints: LoopCheckpoints | None = None,
    training: Stateful | None = None,
    **options: Any,
) -> TrainingReport:
    """Train for several epochs with the cosine schedule of a recipe.

    With ``checkpoints``, the training saves its state every few minutes, and resumes from it.

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
        checkpoints: checkpoints of the call that this training is a part of; or None.
        training: object with the complete state of this training, for its checkpoints; by default,
            the state consists of ``net``, ``optimizer`` and ``rng``.
        options: further keyword arguments of :func:`train_epoch`.

    Returns:
        Report with the steps of all epochs and the mean ``loss`` of the last epoch.
    """
    losses: Mapping[str, float] = {"loss": math.nan}
    start, steps, skipped = 0, 0, 0
    device = data[1].device
    training = training or NetworkTraining(net, optimizer, {"batches": rng})
    saved = {} if checkpoints is None else checkpoints.restore(LOOP, training)
    if saved:
        start, steps, skipped = saved.pop("totals").tolist()
    progress = EpochProgress.from_tensors(saved, device)
    for done in range(start, epochs):
        if on_epoch is not None:
            on_epoch(done)
        for group in optimizer.param_groups:
            group["lr"] = cosine(
                first + done, recipe.horizon, recipe.learning_rate, recipe.learning_rate_end
            )
        totals = torch.tensor([done, steps, skipped])
        report = train_epoch(
            net,
            data,
            sample,
            optimizer,
            recipe,
            rng,
            progress=progress,
            after_step=checkpoint_step(checkpoints, training, {"totals": totals}),
            **options,
        )
        progress = None
        losses, steps, skipped = report.losses, steps + report.steps, skipped + report.skipped
    if on_epoch is not None:
        on_epoch(epochs)
    return TrainingReport(losses, steps, skipped)


def checkpoint_step(
    checkpoints: LoopCheckpoints | None, training: Stateful, values: Mapping[str, Tensor]
) -> Callable[[EpochProgress], object] | None:
    """Return a function for ``after_step`` of :func:`train_epoch` that saves checkpoints.

    Args:
        checkpoints: checkpoints of the current call; or None.
        training: object with the complete state of the training.
        values: further tensors to save.
    """
    if checkpoints is None:
        return None
    return lambda progress: checkpoints.save_if_due(
        LOOP, training, lambda: {**values, **progress.as_tensors()}
    )


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


class NetworkTraining:
    """The state of the training of a network: weights, optimizer and random generators.

    Args:
        net: the network.
        optimizer: its optimizer.
        generators: name -> random generator that the training uses.
    """

    def __init__(
        self,
        net: nn.Module,
        optimizer: torch.optim.Optimizer,
        generators: Mapping[str, torch.Generator],
    ) -> None:
        self.net, self.optimizer, self.generators = net, optimizer, generators

    def state(self) -> dict[str, Tensor]:
        """Return the state as a flat dict of tensors."""
        states = {f"rng.{name}": rng.get_state() for name, rng in self.generators.items()}
        return training_state(self.net, self.optimizer) | states

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore a state that :meth:`state` returned."""
        load_training_state(self.net, self.optimizer, state)
        for name, rng in self.generators.items():
            rng.set_state(state[f"rng.{name}"])
