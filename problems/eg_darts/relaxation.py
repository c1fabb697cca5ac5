"""Bilevel training of relaxed cells: weights and architecture parameters in turn (section III)."""

import math
from collections import deque
from functools import partial

import numpy as np
import torch

from moonas.errors import SearchFailed
from moonas.evaluators import Classification
from moonas.nets.counting import CellCosts
from moonas.nets.devices import repeatable
from moonas.nets.randomness import generator, initial_weights
from moonas.settings import select
from moonas.training.report import require_a_step
from moonas.training.sgd import (
    Recipe,
    load_training_state,
    make_optimizer,
    part_of_state,
    train_epochs,
    training_state,
)

from . import cell_space
from .gradient import enhancement, first_order, second_order
from .relaxed_network import RelaxedNetwork

BETAS = (0.5, 0.999)  # of Adam for architecture parameters (P-DARTS)
DROPOUT_DECAY = 0.2  # an epoch, of the exponent (P-DARTS's release)
ADVICE = "A lower learning_rate or alpha_learning_rate may help."


class Relaxation:
    """The weights and architecture parameters of one period, and how they train.

    Args:
        search: a :class:`~moonas.problems.eg_darts.cell_search.CellSearch`.
        seed: of the run.
    """

    def __init__(self, search, seed):
        self.settings, self.shape, self.seed = search.settings, search.shape, seed
        self.device = search.device
        self.images = Classification(search.settings, search.info, search.device)
        self.images.load()

    def start(self, period: int, candidates: np.ndarray) -> None:
        """Begin a period with fresh weights and architecture parameters.

        Args:
            period: its number, from 0.
            candidates: (2, 14, k) ints.
        """
        s = self.settings
        self.period, self.epoch = period, 0
        who = (self.seed, "cells", period)
        with initial_weights(*who, "weights"):
            net = RelaxedNetwork(candidates, layers=s.layers[period], **self.shape)
        self.net = net.to(self.device, memory_format=torch.channels_last)
        self.weights = [p for p in self.net.parameters() if p.requires_grad]
        self.rngs = {name: generator(*who, name) for name in ("batches", "validation", "dropout")}
        self.net.rng = self.rngs["dropout"]
        self.recipe = select(Recipe, s, horizon=s.epochs)
        self.optimizer = make_optimizer(self.net, self.recipe)
        alphas = 1e-3 * torch.randn(candidates.shape, generator=generator(*who, "alphas"))
        self.alphas = alphas.to(self.device).requires_grad_()
        rates = dict(lr=s.alpha_learning_rate, weight_decay=s.alpha_weight_decay)
        if s.alpha_optimizer == "adam":
            self.alpha_optimizer = torch.optim.Adam([self.alphas], betas=BETAS, **rates)
        else:
            self.alpha_optimizer = torch.optim.SGD([self.alphas], **rates)
        costs = CellCosts(cell_space.OPERATIONS, layers=s.layers[period], **self.shape)
        params = costs.table[..., 0][:, cell_space.STATE_OF]  # (2, 14, 12), over all cells
        self.params = np.take_along_axis(params, candidates, axis=-1)
        self.trail = deque(maxlen=s.history)  # (complexity, loss) of the last m steps
        self.unseen = torch.empty(0, dtype=torch.int64)  # validation images of this round

    def shares(self) -> torch.Tensor:
        """(2, 14, k) shares of the candidates (eq. 2)."""
        return self.alphas.softmax(-1)

    def complexity(self) -> float:
        """Parameters of the edges of all cells, expected under the shares.

        The paper leaves open what the complexity of a relaxed cell is. This is the mean number of
        trainable parameters over networks whose edges draw an operation each, with normalisations
        as the derived network has them.
        """
        return float((self.shares().detach().cpu().double().numpy() * self.params).sum())

    def train(self) -> dict:
        """Train for one epoch.

        Returns:
            A dict: loss, steps, skipped of the weights; error, complexity and alphas at its end;
            and of its architecture steps complexities, losses, phis and reds.
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
                loss_function=self.images.loss,
                augment=self.images.augment,
                before_step=self._architecture_step if self.epoch >= s.weight_epochs else None,
            )
            shares = self.shares().detach()
            self.net.eval()
            judged = self.images.evaluate(lambda images: self.net(images, shares))
            error = float(self.images.columns([judged])[self.images.names[0]][0])
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

    def _architecture_step(self, images, labels):
        """One step of the architecture parameters, before the weights' own on these images."""
        s, loss_of = self.settings, self.images.loss
        seen = self._validation_batch()
        dropout = self.net.rng.get_state()

        def loss(batch):
            self.net.rng.set_state(dropout)  # so that losses differ by weights alone
            return loss_of(self.net(batch[0], self.shares()), batch[1])

        validation = partial(loss, seen)
        if s.order == "first":
            value, gradient = first_order(validation, self.alphas)
        else:
            rate = self.optimizer.param_groups[0]["lr"]
            training = partial(loss, (images, labels))
            value, gradient = second_order(validation, training, self.weights, self.alphas, rate)
        value = float(value)
        if not (math.isfinite(value) and bool(gradient.isfinite().all())):
            return
        self.trail.append((self.complexity(), value))
        phi, red = enhancement(*zip(*self.trail, strict=True), s.limit)
        self.steps.append((*self.trail[-1], phi, red))
        self.alphas.grad = gradient * (1 + phi) if s.enhanced else gradient
        self.alpha_optimizer.step()

    def _validation_batch(self):
        """The next validation images; a shuffle begins when too few are left for a batch."""
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

    def state(self) -> dict[str, torch.Tensor]:
        """All that training changes, as a flat dict of tensors."""
        tensors = training_state(self.net, self.optimizer)
        tensors |= {f"rng.{name}": rng.get_state() for name, rng in self.rngs.items()}
        moments = self.alpha_optimizer.state.get(self.alphas, {})
        tensors |= {f"alpha.{k}": v for k, v in moments.items() if v is not None}
        trail = torch.tensor(list(self.trail), dtype=torch.float64).reshape(-1, 2)
        tensors |= {"alphas": self.alphas.detach(), "trail": trail, "unseen": self.unseen}
        return tensors | {"at": torch.tensor([self.period, self.epoch])}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Load what :meth:`state` gave; the state of an earlier period is ignored."""
        period, epoch = state["at"].tolist()
        if period != self.period:
            return
        self.epoch = epoch
        load_training_state(self.net, self.optimizer, state)
        for name, rng in self.rngs.items():
            rng.set_state(state[f"rng.{name}"])
        with torch.no_grad():
            self.alphas.copy_(state["alphas"])
        moments = part_of_state(state, "alpha")
        if moments:
            self.alpha_optimizer.state[self.alphas] = {
                name: tensor.clone() if name == "step" else tensor.to(self.device).clone()
                for name, tensor in moments.items()
            }
        self.trail.extend(map(tuple, state["trail"].tolist()))
        self.unseen = state["unseen"]


def skip_dropout(start: float, epoch: int, weight_epochs: int, epochs: int) -> float:
    """Dropout behind identities in an epoch (P-DARTS's release): it falls along a line while the
    weights train alone, begins again, and then falls exponentially.

    Args:
        start: at the start of a period.
        epoch: from 0.
        weight_epochs: epochs that train weights alone.
        epochs: of the period.
    """
    if epoch < weight_epochs:
        return start * (epochs - epoch - 1) / epochs
    return start * math.exp(-DROPOUT_DECAY * (epoch - weight_epochs))
