"""Scores of networks that are trained from scratch, each on its own."""

import math

import torch

from ..nets.devices import repeatable, resolve_device
from ..nets.randomness import generator, initial_weights
from ..problem import Evaluator
from ..settings import select
from ..training.sgd import Recipe, make_optimizer, train_epochs
from .classification import Classification


class ScratchEvaluator(Evaluator):
    """Trains a small network of each candidate for some epochs, and judges it.

    After NSGANetV1 (Lu et al., 2020), algorithm 2.

    Initial weights, batches and augmentation come from the run's seed and the candidate alone, so a
    score depends neither on the order nor on the number of processes.

    Args:
        settings: a :class:`~moonas.evaluators.settings.ClassifierSettings`.
        info: of the data set.
        costs: a :class:`~moonas.evaluators.costs.NetworkCosts`.
        epochs: of training.
        build: architecture -> the network to train.
        final: train on all images to search with, and judge by those for the final test.
        on_epoch: (epochs done) -> None, called before each epoch of a candidate and at the end.
    """

    independent = True

    def __init__(self, settings, info, costs, *, epochs, build, final=False, on_epoch=None):
        self.settings, self.costs, self.on_epoch = settings, costs, on_epoch
        self.epochs, self.build = epochs, build
        self.device = resolve_device(settings.device)
        self.images = Classification(settings, info, self.device, settings.objectives, final)
        self.seed = 0

    def begin(self, seed):
        """A run with this seed begins."""
        self.images.load()
        self.seed = seed

    def score(self, candidates):
        """Columns of quality, params and macs, each (n,)."""
        pairs = zip(candidates, candidates.rows, strict=True)
        evaluated = [self._train_and_evaluate(a, row) for a, row in pairs]
        return self.images.columns(evaluated) | self.costs.counted(candidates)

    def measure(self, candidates):
        """Column latency_ms, (n,)."""
        return self.costs.measured(candidates)

    def _train_and_evaluate(self, architecture, row):
        who = (self.seed, *row.tolist())
        with initial_weights(*who, "weights"):
            network = self.build(architecture)
        network = network.to(self.device, memory_format=torch.channels_last)
        recipe = select(Recipe, self.settings, horizon=self.epochs)
        with repeatable(self.settings.threads):
            report = train_epochs(
                network,
                self.images.train,
                lambda: [network],
                make_optimizer(network, recipe),
                recipe,
                generator(*who, "batches"),
                self.epochs,
                on_epoch=self.on_epoch,
                loss_function=self.images.loss,
                augment=self.images.augment,
            )
            judged = self.images.evaluate(network.eval())
        return judged if report.steps else torch.full_like(judged, math.nan)
