"""Losses of compressed generators: eqs. 4, 5 and 6, after fine-tuning on a part of the images."""

from dataclasses import replace
from functools import partial

import numpy as np
import torch

from moonas.nets.devices import repeatable, resolve_device
from moonas.nets.randomness import generator as stream
from moonas.problem import Evaluator
from moonas.settings import select
from moonas.training.report import TrainingReport, require_a_step
from moonas.training.sgd import part_of_state

from .data import load_data
from .domains import center_crop
from .masks import compressed
from .training import ADVICE, OTHER, CycleGAN, Recipe, Training, decay, new_gan, pixels


class PruningEvaluator(Evaluator):
    """Fine-tunes what is left of two generators for some steps, and measures what they have lost.

    The images that fine-tune, and their order, are those of the run's seed for every candidate, so
    that candidates differ by their masks alone, and a score depends neither on the order nor on the
    number of processes.

    Args:
        problem: a :class:`~moonas.problems.cyclegan_pruning.problem.CycleGANPruning`.
        read: () -> the CycleGAN to compress, or None: one is trained first.
    """

    trains = True  # the CycleGAN, before the first score
    independent = True
    phase = "fine-tuning"

    def __init__(self, problem, read=None):
        self.problem, self.settings, self.read = problem, problem.settings, read
        self.device = resolve_device(self.settings.device)
        s = self.settings
        self.recipe = select(Recipe, s)
        self.tuning = replace(
            self.recipe,
            batch=s.tune_batch or s.batch,
            learning_rate=s.tune_learning_rate or s.learning_rate,
        )
        self.data = None

    def load(self):
        """Read the images, unless that is done."""
        if self.data is not None:
            return
        self.data = load_data(self.settings, self.problem.info)
        self.train = {k: domain.train.to(self.device) for k, domain in self.data.items()}
        side = self.problem.info.side
        self.validation = {
            k: center_crop(domain.validation, side).to(self.device)
            for k, domain in self.data.items()
        }

    def begin(self, seed):
        """A run with this seed begins."""
        self.load()
        s = self.settings
        self.seed, self.original = seed, None
        self.subset = {}
        for k, images in self.train.items():
            n = max(1, round(s.tune_share * len(images)))
            chosen = torch.randperm(len(images), generator=stream(seed, "subset", k))[:n]
            self.subset[k] = images[chosen.sort().values.to(self.device)]

    def warm_up(self):
        """Read the CycleGAN from its file, or train one; a dict that tells of it."""
        s = self.settings
        if self.read is not None:
            self._take(self.read().to(self.device))
            return {"steps": 0}
        gan = new_gan(self.seed, self.device, **s.network_shape)
        training = Training(
            gan, self.train, self.problem.info.side, self.recipe, self.seed, "pretraining"
        )
        steps = skipped = 0
        n_epochs, half = s.pretrain_epochs, s.pretrain_epochs // 2
        on_progress = partial(self.problem.callbacks.on_progress, "training the CycleGAN")
        with repeatable(s.threads):
            for epoch in range(n_epochs):
                on_progress(epoch, n_epochs, "epochs")
                report = training.epoch(decay(epoch, half, n_epochs - half))
                steps, skipped = steps + report.steps, skipped + report.skipped
        on_progress(n_epochs, n_epochs, "epochs")
        require_a_step(TrainingReport({}, steps, skipped), advice=ADVICE)
        self._take(gan)
        return {"steps": steps}

    def _take(self, gan):
        """Compress this one from now on."""
        self.original = gan.eval()
        with torch.inference_mode(), repeatable(self.settings.threads):
            self.known = {k: self._seen(k, self.original) for k in "ab"}

    def state(self):
        """Weights of the CycleGAN before it is compressed."""
        return {f"weights.{k}": v for k, v in self.original.state_dict().items()}

    def load_state(self, state):
        """Put back what :meth:`state` gave."""
        with torch.device("meta"):
            gan = CycleGAN(**self.settings.network_shape)
        weights = part_of_state(state, "weights")
        gan.load_state_dict({k: v.clone() for k, v in weights.items()}, assign=True)
        self._take(gan.requires_grad_(True).to(self.device))

    def compressed(self, architecture):
        """A CycleGAN with compressed generators, fine-tuned as for its score."""
        s = self.settings
        gan = compressed(self.original, architecture, self.problem.groups)
        if s.tune_steps:
            side = self.problem.info.side
            training = Training(gan, self.subset, side, self.tuning, self.seed, "fine-tuning")
            with repeatable(s.threads):
                training.run(s.tune_steps)
        return gan.eval()

    def score(self, candidates):
        """Every column, (n,) each."""
        found = [self._score(a) for a in candidates]
        return {name: np.array([f[name] for f in found]) for name in found[0]}

    def _score(self, architecture):
        gan = self.compressed(architecture)
        with torch.inference_mode(), repeatable(self.settings.threads):
            losses = {k: self._loss(k, gan) for k in "ab"}
        return self.problem.columns_of(architecture, losses)

    def _seen(self, k, gan):
        """What eq. 4 or 5 compares: images of a generator, or what D makes of them, by batch."""
        s, seen = self.settings, []
        for part in self.validation[k].split(s.score_batch):
            made = gan.generators[k](pixels(part))
            if s.loss == "discriminator":
                made = self.original.discriminators[k](made)
            seen.append(made)
        return seen

    def _loss(self, k, gan):
        """L_DisA or L_GenA, and lambda times L_cyc, of the generator of domain k."""
        s, back = self.settings, gan.generators[OTHER[k]]
        distance = cycle = 0.0
        parts = self.validation[k].split(s.score_batch)
        for part, known in zip(parts, self.known[k], strict=True):
            images = pixels(part)
            made = gan.generators[k](images)
            seen = made
            if s.loss == "discriminator":
                seen = self.original.discriminators[k](made)
            distance += _squares(seen, known, s.norm)
            cycle += _squares(back(made), images, s.norm)
        n = len(self.validation[k])
        return (distance + s.cycle_weight * cycle) / n


def _squares(x, y, norm):
    """Squared l2 distances, summed over a batch; of each the mean over its numbers, or the sum."""
    squares = (x.double() - y.double()).square().flatten(1)
    each = squares.mean(1) if norm == "mean" else squares.sum(1)
    return float(each.sum())
