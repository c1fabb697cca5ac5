"""Bilevel training of relaxed cells: updates of weights and of alphas alternate (section III)."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from moonas.errors import SearchFailed
from moonas.evaluators.classification import Classification
from moonas.files.tensors import part_of_state
from moonas.nets.counting import CellCosts
from moonas.nets.devices import repeatable, to_device
from moonas.nets.randomness import generator, initial_weights
from moonas.settings import select
from moonas.training.report import require_a_step
from moonas.training.sgd import (
    Recipe,
    load_training_state,
    make_optimizer,
    train_epochs,
    training_state,
)

from . import cell_space
from .gradient import enhancement, enhancement_of_changes, first_order, second_order
from .relaxed_network import RelaxedNetwork

if TYPE_CHECKING:
    from moonas.run.loop_checkpoints import LoopCheckpoints

    from .cell_search import CellSearch

ADAM_BETAS = (0.5, 0.999)  # for architecture parameters (P-DARTS)
DROPOUT_DECAY = 0.2  # the rate is multiplied by exp(-0.2) per epoch (released code of P-DARTS)
ADVICE = "Lower learning_rate or alpha_learning_rate."


class Relaxation:
    """The proxy network and the architecture parameters of one period, and their training.

    Args:
        search: the search for cells, whose settings and data set this training uses.
        seed: seed of the run.

    Attributes:
        net: proxy network of the period.
        alphas: (2, 14, k) architecture parameters.
        params: (2, 14, k) number of parameters of each candidate, summed over all normal cells or
            over all reduction cells of the proxy network.
        history: complexity and validation loss of the last architecture steps, or the changes of
            both in trial steps; its length is at most the setting ``history``.
        unseen: indices of the validation images that have not been used since the last shuffle.
        steps: complexity, validation loss, Phi, and whether the gradient was red, of each
            architecture step of the current epoch.
        checkpoints: checkpoints of the call that trains the current epoch; or None.
    """

    checkpoints: LoopCheckpoints | None = None

    def __init__(self, search: CellSearch, seed: int) -> None:
        self.settings, self.seed = search.settings, seed
        self.shape_of = search.network_shape
        self.device = search.device
        self.images = Classification(search.settings, search.info, search.device)
        self.images.load(search.report_progress, search.log)

    def start(self, period: int, candidates: np.ndarray) -> None:
        """Start a period with new weights and architecture parameters.

        Args:
            period: number of the period, from 0.
            candidates: candidates of each edge, (2, 14, k) ints.
        """
        s = self.settings
        self.period, self.epoch = period, 0
        purpose = (self.seed, "cells", period)
        with initial_weights(*purpose, "weights"):
            net = RelaxedNetwork(candidates, **self.shape_of(period))
        self.net = to_device(net, self.device)
        self.weights = [p for p in self.net.parameters() if p.requires_grad]
        self.rngs = {name: generator(*purpose, name) for name in ("batches", "validation")}
        self.rngs["dropout"] = generator(*purpose, "dropout", device=self.device)
        self.net.rng = self.rngs["dropout"]
        self.recipe = select(Recipe, s, horizon=s.epochs)
        self.optimizer = make_optimizer(self.net, self.recipe)
        alphas = 1e-3 * torch.randn(candidates.shape, generator=generator(*purpose, "alphas"))
        self.alphas = alphas.to(self.device).requires_grad_()
        lr, weight_decay = s.alpha_learning_rate, s.alpha_weight_decay
        self.alpha_optimizer: torch.optim.Optimizer
        if s.alpha_optimizer == "adam":
            self.alpha_optimizer = torch.optim.Adam(
                [self.alphas], lr=lr, betas=ADAM_BETAS, weight_decay=weight_decay
            )
        else:
            self.alpha_optimizer = torch.optim.SGD([self.alphas], lr=lr, weight_decay=weight_decay)
        costs = CellCosts(cell_space.OPERATIONS, **self.shape_of(period))
        params = costs.table[..., 0][:, cell_space.EDGE_STATES]  # (2, 14, 12), sums over cells
        self.params = np.take_along_axis(params, candidates, axis=-1)
        self.history: deque[tuple[float, float]] = deque(maxlen=s.history)
        self.unseen = torch.empty(0, dtype=torch.int64)
        self.steps: list[tuple[float, float, float, bool]] = []

    def shares(self) -> Tensor:
        """Return the shares of the candidates of each edge, (2, 14, k) (eq. 2)."""
        return self.alphas.softmax(-1)

    def complexity(self) -> float:
        """Return the expected number of parameters of all edges, under the current shares.

        The paper does not define the complexity of a relaxed cell. Here it is the expected number
        of trainable parameters of a network in which each edge samples one candidate according to
        the shares. It includes the parameters of the normalizations in the derived network, which
        have no parameters in the proxy network.
        """
        return float((self.shares().detach().cpu().double().numpy() * self.params).sum())

    def train(self) -> dict[str, Any]:
        """Train for one epoch.

        Returns:
            A dict with these entries:

            - ``loss``, ``steps`` and ``skipped``: mean training loss, number of weight updates,
              and number of skipped weight updates;
            - ``error``: error of the proxy network on the validation set in %, at the end of the
              epoch; 100 minus AUROC if images have several labels;
            - ``complexity``: expected number of parameters, at the end of the epoch;
            - ``alphas``: (2, 14, k) architecture parameters, at the end of the epoch;
            - ``complexities``, ``losses``, ``phis`` and ``reds``: arrays with one number per
              architecture step: the complexity before the step, the validation loss, Phi, and 1 if
              the gradient was red, else 0.

        Raises:
            SearchFailed: no weight update had a finite loss, or the network diverged.
        """
        s = self.settings
        self.net.skip_dropout = skip_dropout(
            s.skip_dropout[self.period], self.epoch, s.weight_epochs, s.epochs
        )
        self.steps = []
        with repeatable(s.threads):
            report = train_epochs(
                self.net,
                self.images.train,
                lambda: [partial(self.net, shares=self.shares().detach())],
                self.optimizer,
                self.recipe,
                self.rngs["batches"],
                1,
                first=self.epoch,
                **self.images.training_options,
                before_step=self._architecture_step if self.epoch >= s.weight_epochs else None,
                checkpoints=self.checkpoints,
                training=_EpochTraining(self),
            )
            shares = self.shares().detach()
            self.net.eval()
            evaluation = self.images.evaluate(lambda images: self.net(images, shares))
            error = float(self.images.columns([evaluation])[self.images.names[0]][0])
        require_a_step(report, advice=ADVICE)
        if not math.isfinite(error):
            raise SearchFailed(f"The proxy network diverges: its logits are not finite. {ADVICE}")
        self.epoch += 1
        names = ("complexities", "losses", "phis", "reds")
        columns = zip(*self.steps, strict=True) if self.steps else [()] * len(names)
        return {
            "loss": report.losses["loss"],
            "steps": report.steps,
            "skipped": report.skipped,
            "error": error,
            "complexity": self.complexity(),
            "alphas": self.alphas.detach().cpu().double().numpy(),
        } | {name: np.array(c, float) for name, c in zip(names, columns, strict=True)}

    def _architecture_step(self, images: Tensor, labels: Tensor) -> None:
        """Update the architecture parameters, before the weight update on a training batch.

        Args:
            images: the training batch, which only the second-order gradient uses.
            labels: labels of these images.
        """
        s, loss_of = self.settings, self.images.loss
        validation_batch = self._validation_batch()
        dropout = self.rngs["dropout"].get_state()

        def loss(batch: tuple[Tensor, Tensor]) -> Tensor:
            self.rngs["dropout"].set_state(dropout)  # all losses of a step use the same mask
            value: Tensor = loss_of(self.net(batch[0], self.shares()), batch[1])
            return value

        validation = partial(loss, validation_batch)
        if s.order == "first":
            loss_value, gradient = first_order(validation, self.alphas)
        else:
            learning_rate = self.optimizer.param_groups[0]["lr"]
            training = partial(loss, (images, labels))
            exact = s.second_order == "exact"
            loss_value, gradient = second_order(
                validation, training, self.weights, self.alphas, learning_rate, exact
            )
        value = float(loss_value)
        if not (math.isfinite(value) and bool(gradient.isfinite().all())):
            return
        before, phi, red = self.complexity(), 0.0, False
        if s.judged_step == "last":
            self.history.append((before, value))
            complexities, losses = zip(*self.history, strict=True)
            phi, red = enhancement(complexities, losses, s.limit)
        elif s.enhanced:
            # the loss of the second-order gradient is that of other weights
            loss_before = value if s.order == "first" else float(validation().detach())
            changes = self._changes(gradient, validation, before, loss_before)
            if all(map(math.isfinite, changes)):
                self.history.append(changes)
                complexities, losses = zip(*self.history, strict=True)
                phi, red = enhancement_of_changes(complexities, losses, s.limit)
        self.steps.append((before, value, phi, red))
        self._step(gradient * (1 + phi) if s.enhanced else gradient)

    def _step(self, gradient: Tensor) -> None:
        """Update the architecture parameters with a gradient."""
        self.alphas.grad = gradient
        self.alpha_optimizer.step()

    @torch.no_grad()
    def _changes(
        self, gradient: Tensor, loss: Callable[[], Tensor], complexity: float, loss_before: float
    ) -> tuple[float, float]:
        """Return the changes of complexity and loss in a step along a gradient; undo the step.

        Args:
            gradient: gradient of the architecture parameters.
            loss: function that returns the validation loss.
            complexity: complexity before the step.
            loss_before: validation loss before the step.
        """
        alphas = self.alphas.clone()
        optimizer_state = deepcopy(self.alpha_optimizer.state_dict())
        self._step(gradient)
        changes = self.complexity() - complexity, float(loss()) - loss_before
        self.alphas.copy_(alphas)
        self.alpha_optimizer.load_state_dict(optimizer_state)
        return changes

    def _validation_batch(self) -> tuple[Tensor, Tensor]:
        """Return a batch of validation images and their labels, sampled without replacement.

        The images are shuffled again when fewer images than a batch are left.
        """
        images, labels = self.images.validation
        size = min(self.settings.batch, len(images))
        if len(self.unseen) < size:
            self.unseen = torch.randperm(len(images), generator=self.rngs["validation"])
        rows, self.unseen = self.unseen[:size], self.unseen[size:]
        rows = rows.to(self.device)
        x, y = images[rows], labels[rows]
        if self.images.augment is not None:
            x = self.images.augment(x, self.rngs["validation"])
        return x, y

    def state(self) -> dict[str, Tensor]:
        """Return all values that training changes, as a flat dict of tensors."""
        tensors: dict[str, Tensor] = training_state(self.net, self.optimizer)
        tensors |= {f"rng.{name}": rng.get_state() for name, rng in self.rngs.items()}
        moments = self.alpha_optimizer.state.get(self.alphas, {})
        tensors |= {f"alpha.{k}": v for k, v in moments.items() if v is not None}
        history = torch.tensor(list(self.history), dtype=torch.float64).reshape(-1, 2)
        tensors |= {"alphas": self.alphas.detach(), "trail": history, "unseen": self.unseen}
        return tensors | {"at": torch.tensor([self.period, self.epoch])}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the values that :meth:`state` returned; ignore the state of another period."""
        period, epoch = state["at"].tolist()
        if period != self.period:
            return
        self.epoch = epoch
        load_training_state(self.net, self.optimizer, state)
        for name, rng in self.rngs.items():
            saved = state[f"rng.{name}"]
            # the state of another device cannot be restored: the stream of dropout masks restarts
            if len(saved) == len(rng.get_state()):
                rng.set_state(saved)
        with torch.no_grad():
            self.alphas.copy_(state["alphas"])
        moments = part_of_state(state, "alpha")
        if moments:
            self.alpha_optimizer.state[self.alphas] = {
                name: tensor.clone() if name == "step" else tensor.to(self.device).clone()
                for name, tensor in moments.items()
            }
        self.history.clear()
        self.history.extend((x, y) for x, y in state["trail"].tolist())
        self.unseen = state["unseen"]


class _EpochTraining:
    """The state of a relaxation within an epoch.

    Args:
        relaxation: the relaxation.
    """

    def __init__(self, relaxation: Relaxation) -> None:
        self.relaxation = relaxation

    def state(self) -> dict[str, Tensor]:
        steps = torch.tensor(self.relaxation.steps, dtype=torch.float64).reshape(-1, 4)
        return self.relaxation.state() | {"steps": steps}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.relaxation.load_state(state)
        rows = state["steps"].tolist()
        self.relaxation.steps = [(c, loss, phi, bool(red)) for c, loss, phi, red in rows]


def skip_dropout(start: float, epoch: int, weight_epochs: int, epochs: int) -> float:
    """Return the dropout rate after identities in an epoch (released code of P-DARTS).

    The rate decreases linearly while only the weights are updated. It is then reset to ``start``
    and decreases exponentially.

    Args:
        start: rate at the start of a period, in [0, 1).
        epoch: number of the epoch, from 0.
        weight_epochs: number of epochs that update only the weights.
        epochs: number of epochs of the period.
    """
    if epoch < weight_epochs:
        return start * (epochs - epoch - 1) / epochs
    return start * math.exp(-DROPOUT_DECAY * (epoch - weight_epochs))
