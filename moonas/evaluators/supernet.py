"""Evaluation of candidates with the shared weights of a supernet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data.images import DataInfo
from ..nets.devices import map_in_threads, repeatable, resolve_device, to_device
from ..nets.randomness import generator, initial_weights
from ..problem import Evaluator
from ..run.candidates import Candidates
from ..settings import select
from ..training.report import require_a_step
from ..training.sgd import (
    NetworkTraining,
    Recipe,
    load_training_state,
    make_optimizer,
    train_epochs,
    training_state,
)
from .classification import Classification
from .costs import NetworkCosts
from .settings import SupernetSettings


class SupernetEvaluator(Evaluator):
    """Trains a supernet and evaluates candidates with its shared weights.

    Candidates are evaluated on the validation images. Batch normalization uses the statistics of
    the current batch. Batches have at most ``score_batch`` images and are the same in every
    evaluation, so the score of a candidate does not depend on the other candidates.

    Args:
        settings: settings of the search.
        info: description of the data set.
        costs: computes the cost columns.
        make_net: function () -> supernet; the supernet maps (images, architecture) to logits.
        n_choices: (n_var,) ints, number of possible values of each gene.
        decode: function ((n_var,) ints) -> architecture.
        on_progress: function that is called with (phase, completed epochs, total, "epochs") before
            each epoch and after the last epoch.
        on_log: function that is called with messages.

    Attributes:
        net: the supernet; available after :meth:`begin`.
    """

    trains = True
    net: nn.Module

    def __init__(
        self,
        settings: SupernetSettings,
        info: DataInfo,
        costs: NetworkCosts,
        *,
        make_net: Callable[[], nn.Module],
        n_choices: np.ndarray,
        decode: Callable[[np.ndarray], Any],
        on_progress: Callable[[str, int, int, str], None],
        on_log: Callable[[str], object] | None = None,
    ) -> None:
        self.settings, self.costs, self.make_net = settings, costs, make_net
        self.n_choices, self.decode, self.on_progress = n_choices, decode, on_progress
        self.on_log = on_log
        self.device = resolve_device(settings.device)
        self.images = Classification(settings, info, self.device, settings.used_columns)
        self._warm_up_report: dict[str, Any] | None = None  # report of warm_up()

    def begin(self, seed: int) -> None:
        """Initialize the supernet for a run.

        If ``settings.weights`` is "frozen", weights are initialized from ``settings.supernet_seed``
        instead of ``seed``, and weights that are already trained are kept.
        """
        if self._warm_up_report is not None:
            return
        self.images.load(self.on_progress, self.on_log)
        s = self.settings
        seed = s.supernet_seed if s.weights == "frozen" else seed
        with initial_weights(seed, "weights"):
            net = self.make_net()
        self.net = to_device(net, self.device)
        shared = s.warmup_epochs + (s.generations - 1) * s.epochs
        horizon = s.frozen_epochs if s.weights == "frozen" else shared
        self.recipe = select(Recipe, s, horizon=horizon)
        self.optimizer = make_optimizer(self.net, self.recipe)
        self.batches = generator(seed, "batches")
        self.paths = generator(seed, "paths")
        self.epoch = 0

    def warm_up(self) -> dict[str, Any]:
        """Train the supernet on random architectures; with weights=frozen, only once per evaluator.

        Returns:
            A report: number of ``epochs``, completed ``steps`` and ``skipped`` steps, and the mean
            ``loss`` of the last epoch.
        """
        s = self.settings

        def sample() -> list[Any]:
            return random_architectures(
                s.architectures_per_step, self.n_choices, self.decode, self.paths
            )

        if s.weights == "shared":
            return self._run_epochs("warming up", s.warmup_epochs, sample)
        if self._warm_up_report is None:
            self._warm_up_report = self._run_epochs("training", s.frozen_epochs, sample)
        return self._warm_up_report

    def train(self, candidates: Candidates) -> dict[str, Any]:
        """Train the supernet for one generation.

        Each training step samples B candidates without replacement, where B is
        ``architectures_per_step`` (CARS, eq. 3).

        Args:
            candidates: candidates to sample from.

        Returns:
            A report; see :meth:`warm_up`.
        """
        architectures = candidates.architectures
        n, n_sampled = len(architectures), self.settings.architectures_per_step

        def sample() -> list[Any]:
            chosen = torch.randperm(n, generator=self.paths)[:n_sampled]
            return [architectures[i] for i in chosen.tolist()]

        return self._run_epochs("training every generation", self.settings.epochs, sample)

    def score(self, candidates: Candidates) -> dict[str, np.ndarray]:
        """Evaluate candidates; return quality, params and macs, each (n,)."""
        s = self.settings
        results = map_in_threads(
            lambda a: self.images.evaluate(partial(self.net, architecture=a)),
            candidates.architectures,
            workers=1 if self.images.is_streamed else s.workers,
            threads=s.threads,
            device=self.device,
        )
        return self.images.columns(results) | self.costs.count(candidates)

    def measure(self, candidates: Candidates) -> dict[str, np.ndarray]:
        """Return the column ``latency_ms``, (n,) floats."""
        return self.costs.measure(candidates)

    def state(self) -> dict[str, Tensor]:
        """Return all state that training changes, as a flat dict of tensors."""
        tensors: dict[str, Tensor] = training_state(self.net, self.optimizer)
        tensors |= {"batches": self.batches.get_state(), "paths": self.paths.get_state()}
        return tensors | {"epoch": torch.tensor(self.epoch)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore a state that :meth:`state` returned."""
        load_training_state(self.net, self.optimizer, state)
        self.batches.set_state(state["batches"])
        self.paths.set_state(state["paths"])
        self.epoch = int(state["epoch"])

    def _run_epochs(
        self, phase: str, epochs: int, sample: Callable[[], list[Any]]
    ) -> dict[str, Any]:
        """Train for several epochs; ``sample()`` returns the architectures of a training step."""
        with repeatable(self.settings.threads):
            report = train_epochs(
                self.net,
                self.images.train,
                lambda: [partial(self.net, architecture=a) for a in sample()],
                self.optimizer,
                self.recipe,
                self.batches,
                epochs,
                first=self.epoch,
                on_epoch=lambda done: self.on_progress(phase, done, epochs, "epochs"),
                **self.images.training_options,
                checkpoints=self.checkpoints,
                training=NetworkTraining(
                    self.net, self.optimizer, {"batches": self.batches, "paths": self.paths}
                ),
            )
        self.epoch += epochs
        rate = self.settings.learning_rate
        require_a_step(report, advice=f"Try a learning_rate below {rate:g}.")
        return {"epochs": epochs, **report.as_dict()}


def random_architectures(
    n: int,
    n_choices: np.ndarray,
    decode: Callable[[np.ndarray], Any],
    rng: torch.Generator,
) -> list[Any]:
    """Sample architectures from the uniform distribution of each gene.

    Args:
        n: number of architectures.
        n_choices: (n_var,) ints, number of possible values of each gene.
        decode: function ((n_var,) ints) -> architecture.
        rng: ``torch.Generator`` on the CPU.
    """
    uniform = torch.rand(n, len(n_choices), generator=rng, dtype=torch.float64)
    return [decode(x) for x in (uniform.numpy() * np.asarray(n_choices)).astype(int)]
