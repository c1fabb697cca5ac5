"""Scores under shared weights that train while a search goes on, or once before it."""

from functools import partial

import numpy as np
import torch

from ..nets.devices import map_in_threads, repeatable, resolve_device
from ..nets.randomness import generator, initial_weights
from ..problem import Evaluator
from ..settings import select
from ..training.report import require_a_step
from ..training.sgd import (
    Recipe,
    load_training_state,
    make_optimizer,
    train_epochs,
    training_state,
)
from .classification import Classification


class SupernetEvaluator(Evaluator):
    """A supernet, the images it trains on and those that it scores architectures with.

    Scores are taken on the validation images under the shared weights, each path normalised by its
    own statistics over batches of at most ``score_batch`` images, always the same ones; so a score
    does not depend on who else is scored.

    Args:
        settings: a :class:`~moonas.evaluators.settings.SupernetSettings`.
        info: of the data set.
        costs: a :class:`~moonas.evaluators.costs.NetworkCosts`.
        make_net: () -> the supernet, called as net(images, architecture) -> logits.
        n_choices: (n_var,) of the space.
        decode: row of ints -> architecture.
        on_progress: called before each epoch with phase, epochs done, total and "epochs".
    """

    trains = True

    def __init__(self, settings, info, costs, *, make_net, n_choices, decode, on_progress):
        self.settings, self.costs, self.make_net = settings, costs, make_net
        self.n_choices, self.decode, self.on_progress = n_choices, decode, on_progress
        self.device = resolve_device(settings.device)
        self.images = Classification(settings, info, self.device, settings.objectives)
        self.net = None
        self._warm = None  # report of the one training, where weights are frozen

    def begin(self, seed):
        """Untrained weights from a seed; frozen weights stay, and have a seed of their own."""
        if self._warm is not None:
            return
        self.images.load()
        s = self.settings
        seed = s.supernet_seed if s.weights == "frozen" else seed
        with initial_weights(seed, "weights"):
            net = self.make_net()
        self.net = net.to(self.device, memory_format=torch.channels_last)
        shared = s.warmup_epochs + (s.generations - 1) * s.epochs
        horizon = s.frozen_epochs if s.weights == "frozen" else shared
        self.recipe = select(Recipe, s, horizon=horizon)
        self.optimizer = make_optimizer(self.net, self.recipe)
        self.batches = generator(seed, "batches")
        self.paths = generator(seed, "paths")
        self.epoch = 0

    def warm_up(self):
        """Train with new random architectures at each step, or once for all."""
        s = self.settings

        def draw():
            return random_architectures(
                s.architectures_per_step, self.n_choices, self.decode, self.paths
            )

        if s.weights == "shared":
            return self._run_epochs("warming up", s.warmup_epochs, draw)
        if self._warm is None:
            self._warm = self._run_epochs("training", s.frozen_epochs, draw)
        return self._warm

    def train(self, candidates):
        """One generation's training on B random ones of the candidates at each step.

        B is ``architectures_per_step`` (CARS, eq. 3).
        """
        architectures = candidates.architectures
        n, many = len(architectures), self.settings.architectures_per_step

        def draw():
            chosen = torch.randperm(n, generator=self.paths)[:many]
            return [architectures[i] for i in chosen.tolist()]

        return self._run_epochs("training every generation", self.settings.epochs, draw)

    def score(self, candidates):
        """Columns of quality, params and macs, each (n,)."""
        s = self.settings
        judged = map_in_threads(
            lambda a: self.images.evaluate(partial(self.net, architecture=a)),
            candidates.architectures,
            workers=s.workers,
            threads=s.threads,
            device=self.device,
        )
        return self.images.columns(judged) | self.costs.counted(candidates)

    def measure(self, candidates):
        """Column latency_ms, (n,)."""
        return self.costs.measured(candidates)

    def state(self):
        """All that training changes, as a flat dict of tensors."""
        tensors = training_state(self.net, self.optimizer)
        tensors |= {"batches": self.batches.get_state(), "paths": self.paths.get_state()}
        return tensors | {"epoch": torch.tensor(self.epoch)}

    def load_state(self, state):
        """Put back what :meth:`state` gave."""
        load_training_state(self.net, self.optimizer, state)
        self.batches.set_state(state["batches"])
        self.paths.set_state(state["paths"])
        self.epoch = int(state["epoch"])

    def _run_epochs(self, phase, epochs, draw):
        with repeatable(self.settings.threads):
            report = train_epochs(
                self.net,
                self.images.train,
                lambda: [partial(self.net, architecture=a) for a in draw()],
                self.optimizer,
                self.recipe,
                self.batches,
                epochs,
                first=self.epoch,
                on_epoch=lambda done: self.on_progress(phase, done, epochs, "epochs"),
                loss_function=self.images.loss,
                augment=self.images.augment,
            )
        self.epoch += epochs
        rate = self.settings.learning_rate
        require_a_step(report, advice=f"learning_rate={rate} is too high for this data.")
        return {"epochs": epochs} | report.as_dict()


def random_architectures(n, n_choices, decode, rng):
    """``n`` architectures, each gene drawn uniformly from its choices.

    Args:
        n: how many.
        n_choices: (n_var,) ints.
        decode: row of ints -> architecture.
        rng: ``torch.Generator`` of the CPU.
    """
    share = torch.rand(n, len(n_choices), generator=rng, dtype=torch.float64)
    return [decode(x) for x in (share.numpy() * np.asarray(n_choices)).astype(int)]
