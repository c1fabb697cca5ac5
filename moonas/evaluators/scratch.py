"""Evaluation of candidates by training a network of each candidate from scratch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data.images import DataInfo
from ..nets.devices import repeatable, resolve_device, to_device
from ..nets.randomness import generator, initial_weights
from ..problem import Evaluator
from ..run.candidates import Candidates
from ..settings import select
from ..training.sgd import Recipe, make_optimizer, train_epochs
from .classification import Classification
from .costs import NetworkCosts
from .settings import ClassifierSettings


class ScratchEvaluator(Evaluator):
    """Trains a network of each candidate from scratch and evaluates it on the validation images.

    This follows algorithm 2 of NSGANetV1 (Lu et al., 2020).

    The seed of the run and the genes of a candidate determine its initial weights, batches and
    augmentation, so scores depend neither on the order of candidates nor on the number of workers.

    Args:
        settings: settings of the search.
        info: description of the data set.
        costs: computes the cost columns.
        epochs: number of training epochs.
        build: function (architecture) -> network to train.
        final: whether to train on the whole training set and to evaluate on the test set.
        on_epoch: function (number of completed epochs) -> None that is called before each epoch of
            a candidate and after its last epoch; or None.
    """

    independent = True

    def __init__(
        self,
        settings: ClassifierSettings,
        info: DataInfo,
        costs: NetworkCosts,
        *,
        epochs: int,
        build: Callable[[Any], nn.Module],
        final: bool = False,
        on_epoch: Callable[[int], None] | None = None,
    ) -> None:
        self.settings, self.costs, self.on_epoch = settings, costs, on_epoch
        self.epochs, self.build = epochs, build
        self.device = resolve_device(settings.device)
        self.images = Classification(settings, info, self.device, settings.used_columns, final)
        self.seed = 0

    def begin(self, seed: int) -> None:
        """Load the images, and set the seed of the run."""
        self.images.load()
        self.seed = seed

    def score(self, candidates: Candidates) -> dict[str, np.ndarray]:
        """Train and evaluate each candidate.

        Returns:
            Quality, params, macs and loss, each (n,); loss is the mean training loss of the last
            epoch.
        """
        pairs = zip(candidates, candidates.rows, strict=True)
        trained = [self._train_and_evaluate(a, row) for a, row in pairs]
        columns = self.images.columns([result for result, _ in trained])
        loss = np.array([loss for _, loss in trained])
        return columns | self.costs.count(candidates) | {"loss": loss}

    def measure(self, candidates: Candidates) -> dict[str, np.ndarray]:
        """Return the column ``latency_ms``, (n,) floats."""
        return self.costs.measure(candidates)

    def _train_and_evaluate(self, architecture: Any, row: np.ndarray) -> tuple[Tensor, float]:
        """Return the result of :meth:`.Classification.evaluate` and the training loss.

        Both are NaN if all steps were skipped.
        """
        seed_and_genes = (self.seed, *row.tolist())
        with initial_weights(*seed_and_genes, "weights"):
            network = self.build(architecture)
        network = to_device(network, self.device)
        recipe = select(Recipe, self.settings, horizon=self.epochs)
        folder, checkpoints = self.checkpoint_folder, None
        if folder is not None:
            checkpoints = folder.checkpoints("candidate", *seed_and_genes)
        with repeatable(self.settings.threads):
            report = train_epochs(
                network,
                self.images.train,
                lambda: [network],
                make_optimizer(network, recipe),
                recipe,
                generator(*seed_and_genes, "batches"),
                self.epochs,
                on_epoch=self.on_epoch,
                **self.images.training_options,
                checkpoints=checkpoints,
            )
            result = self.images.evaluate(network.eval())
        if not report.steps:
            return torch.full_like(result, math.nan), math.nan
        return result, report.losses["loss"]
