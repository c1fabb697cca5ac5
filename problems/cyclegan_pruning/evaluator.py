"""Losses of compressed generators (eqs. 4 to 6) after fine-tuning on part of the training set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from moonas.data.form import center_crop
from moonas.data.stores import ImageStore
from moonas.files.tensors import part_of_state
from moonas.nets.devices import deterministic_gradients, repeatable, resolve_device
from moonas.nets.randomness import generator as seeded_generator
from moonas.problem import Evaluator
from moonas.run.numbers import plural
from moonas.settings import select
from moonas.training.report import TrainingReport, require_a_step

from .data import load_data
from .domains import Domain
from .importance import filter_importance
from .masks import compress
from .pretraining import LONG_EPOCH, N_HELD_OUT, EpochLog
from .space import Architecture
from .timing import MIN_STEPS, search_time, seconds_per_step, training_time
from .training import (
    ADVICE,
    TARGET,
    CycleGAN,
    DiscriminatorTraining,
    Recipe,
    Training,
    discriminator_accuracy,
    learning_rate_factor,
    new_gan,
    read_bytes,
    scale_pixels,
)

if TYPE_CHECKING:
    from moonas.run.candidates import Candidates

    from .problem import CycleGANPruning


IMPORTANCE_IMAGES = 64  # largest number of images per domain from which importance is estimated


class PruningEvaluator(Evaluator):
    """Fine-tunes pruned generators for a few steps and computes their losses (eqs. 4 to 6).

    The images for fine-tuning and their order depend only on the seed of the run, so candidates
    differ only in their masks. Scores depend neither on the order of the candidates nor on the
    number of processes.

    Args:
        problem: the problem whose candidates to evaluate.
        load_original: function (seed=...) that returns the CycleGAN to compress. If omitted, a
            CycleGAN is trained at the start of the run.
        train_discriminators: whether the discriminators of that CycleGAN are untrained. They are
            then trained against its generators at the start of the run.

    Attributes:
        original: CycleGAN to compress; None until it has been read or trained.
        data: images of both domains, "a" and "b"; None until :meth:`load` reads them.
        train_images: training set of each domain, on the device, or the store of its files.
        validation: validation set of each domain, on the device.
        tuning_images: images of each domain for fine-tuning candidates, on the device.
    """

    trains = True  # the CycleGAN, before the first candidates are evaluated
    independent = True
    phase = "fine-tuning"

    def __init__(
        self,
        problem: CycleGANPruning,
        load_original: Callable[..., CycleGAN] | None = None,
        *,
        train_discriminators: bool = False,
    ) -> None:
        self.problem, self.settings = problem, problem.settings
        self.load_original, self.train_discriminators = load_original, train_discriminators
        self.device: torch.device = resolve_device(self.settings.device)
        s = self.settings
        self.recipe = select(Recipe, s)
        self.tuning_recipe = replace(
            self.recipe,
            batch=s.tune_batch or s.batch,
            learning_rate=s.tune_learning_rate or s.learning_rate,
        )
        self.original: CycleGAN | None = None
        self.data: dict[str, Domain] | None = None
        self.train_images: dict[str, torch.Tensor | ImageStore] = {}
        self.validation: dict[str, torch.Tensor] = {}
        self.tuning_images: dict[str, torch.Tensor] = {}
        self.original_outputs: dict[str, list[torch.Tensor]] = {}

    def load(self) -> dict[str, Domain]:
        """Return the images of both domains; the first call reads them."""
        if self.data is None:
            self.data = load_data(self.settings, self.problem.info)
            size = self.problem.info.size
            for k, domain in self.data.items():
                self.train_images[k] = domain.train.to(self.device)
                self.validation[k] = center_crop(domain.validation, size).to(self.device)
        return self.data

    def begin(self, seed: int) -> None:
        """Start a run: discard the previous CycleGAN and sample the images for fine-tuning."""
        self.load()
        self.seed, self.original = seed, None
        self.tuning_images = {}
        for k, images in self.train_images.items():
            n = max(1, round(self.settings.tune_share * len(images)))
            rng = seeded_generator(seed, "subset", k)
            chosen = torch.randperm(len(images), generator=rng)[:n]
            (self.tuning_images[k],) = read_bytes(images, [chosen.sort().values], self.device)

    def warm_up(self) -> dict[str, Any]:
        """Read the CycleGAN to compress, or train one; train discriminators that are missing.

        Returns:
            A report with the number of training steps, "steps"; and with "d_accuracy", in percent,
            if only the discriminators were trained, see :func:`.discriminator_accuracy`.
        """
        s = self.settings
        report: dict[str, Any] = {"steps": 0}
        if self.load_original is None:
            gan = new_gan(self.seed, self.device, **s.network_shape)
            metrics = self._train(Training, gan, "the CycleGAN", "pretraining")
            report = {"steps": metrics["steps"]}
        else:
            gan = self.load_original(seed=self.seed).to(self.device)
            if self.train_discriminators:
                missing = f"{s.weights} contains no discriminators"
                self.problem.log(
                    f"{missing}; they are trained for {plural(s.pretrain_epochs, 'epoch')} against "
                    "the given generators."
                    if s.pretrain_epochs
                    else f"Warning: {missing}, and pretrain_epochs=0 trains none: their weights "
                    "remain random, so that scores that depend on them are not meaningful."
                )
                report = self._train(
                    DiscriminatorTraining, gan, "the discriminators", "discriminators"
                )
        self._set_original(gan)
        self._log_expected_time()
        return report

    def _train(
        self, kind: type[Training], gan: CycleGAN, trained: str, purpose: str
    ) -> dict[str, Any]:
        """Train a CycleGAN, or a part of it, for the epochs of the pretraining.

        Args:
            kind: class of the training.
            gan: the CycleGAN, which is trained in place.
            trained: what is trained, for lines of text.
            purpose: name that determines the random numbers together with the seed.

        Returns:
            The number of training steps, "steps"; and the accuracy of the discriminators after the
            last epoch, "d_accuracy", or None without an epoch.
        """
        s, problem, checkpoints = self.settings, self.problem, self.checkpoints
        epochs, half = s.pretrain_epochs, s.pretrain_epochs // 2
        training = kind(gan, self.train_images, problem.info.size, self.recipe, self.seed, purpose)
        training.checkpoints = checkpoints
        steps, phase = training.steps_per_epoch, f"training {trained}"
        held_out = {k: images[:N_HELD_OUT] for k, images in self.validation.items()}
        log, on_progress = EpochLog(problem.log), problem.callbacks.on_progress
        results: list[dict[str, Any]] = []
        with repeatable(s.threads):
            is_long = False
            if problem.journal is not None and epochs * steps >= MIN_STEPS:
                seconds = seconds_per_step(training)
                is_long = steps * seconds > LONG_EPOCH
                text = training_time(seconds, epochs, steps, self.device)
                problem.log(f"Training {trained}: {text}")

            def on_step(step: int) -> None:
                if is_long:
                    on_progress(f"{phase}, one epoch", step, steps, "steps")

            for epoch in range(epochs):
                on_progress(phase, epoch, epochs, "epochs")
                training.loop = f"epoch {epoch}"
                metrics = None if checkpoints is None else checkpoints.report(training.loop)
                if metrics is None:
                    factor = learning_rate_factor(epoch, half, epochs - half)
                    report = training.epoch(factor, on_step)
                    accuracy = discriminator_accuracy(gan, held_out, s.score_batch)
                    metrics = report.as_dict() | {"d_accuracy": accuracy}
                if checkpoints is not None:
                    checkpoints.finish(training.loop, metrics)
                results.append(metrics)
                log.add(epoch, metrics)
        on_progress(phase, epochs, epochs, "epochs")
        done, skipped = (sum(metrics[k] for metrics in results) for k in ("steps", "skipped"))
        require_a_step(TrainingReport({}, done, skipped), advice=ADVICE)
        return {"steps": done, "d_accuracy": results[-1]["d_accuracy"] if results else None}

    def _log_expected_time(self) -> None:
        """Log how long an evaluation and the default search take, estimated from a few steps."""
        s = self.settings
        if self.problem.journal is not None and s.tune_steps:
            self.problem.log(search_time(self, 2 * s.population * s.generations))
            self.problem.session.has_logged_time = True

    def _set_original(self, gan: CycleGAN) -> None:
        """Set the CycleGAN to compress and compute its outputs for the validation set."""
        self.original = gan.eval()
        with torch.inference_mode(), repeatable(self.settings.threads):
            self.original_outputs = {k: self._outputs_to_compare(k, gan) for k in "ab"}

    def require_original(self) -> CycleGAN:
        """Return the CycleGAN to compress, which must have been read or trained before."""
        assert self.original is not None, "call warm_up() or load_state() first"
        return self.original

    def state(self) -> dict[str, torch.Tensor]:
        """Return the weights of the CycleGAN before compression."""
        return {f"weights.{k}": v for k, v in self.require_original().state_dict().items()}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore the CycleGAN from the result of :meth:`state`."""
        with torch.device("meta"):
            gan = CycleGAN(**self.settings.network_shape)
        weights = part_of_state(state, "weights")
        gan.load_state_dict({k: v.clone() for k, v in weights.items()}, assign=True)
        self._set_original(gan.requires_grad_(True).to(self.device))

    def compress(self, architecture: Architecture) -> CycleGAN:
        """Return a CycleGAN with pruned generators, fine-tuned as for an evaluation."""
        s = self.settings
        gan = compress(self.require_original(), architecture, self.problem.groups)
        if s.tune_steps:
            size = self.problem.info.size
            training = Training(
                gan, self.tuning_images, size, self.tuning_recipe, self.seed, "fine-tuning"
            )
            with repeatable(s.threads):
                training.run(s.tune_steps)
        return gan.eval()

    def score(self, candidates: Candidates) -> dict[str, np.ndarray]:
        """Return the values of all columns, an (n,) array per column."""
        scores = [self._score(architecture) for architecture in candidates]
        return {name: np.array([row[name] for row in scores]) for name in scores[0]}

    def _score(self, architecture: Architecture) -> dict[str, float]:
        gan = self.compress(architecture)
        with torch.inference_mode(), repeatable(self.settings.threads):
            parts = {k: self._loss_parts(k, gan) for k in "ab"}
        weight = self.settings.cycle_weight
        losses = {k: distance + weight * cycle for k, (distance, cycle) in parts.items()}
        cycle = sum(cycle for _, cycle in parts.values()) / 2
        return self.problem.columns_of(architecture, losses, min(cycle, self.problem.max_cycle))

    def importance(self) -> np.ndarray:
        """Estimate the importance of each filter, on the images for fine-tuning candidates.

        Returns:
            (2, n_bits) floats, generator A to B first. If the CycleGAN diverged, filters without a
            finite importance have importance 0.
        """
        s, size = self.settings, self.problem.info.size
        images = {
            k: center_crop(images[:IMPORTANCE_IMAGES], size)
            for k, images in self.tuning_images.items()
        }
        with repeatable(s.threads), deterministic_gradients(self.device):
            importance = filter_importance(
                self.require_original(),
                images,
                self.problem.groups,
                loss=s.loss,
                norm=s.norm,
                cycle_weight=s.cycle_weight,
                batch=self.tuning_recipe.batch,
                seed=self.seed,
            )
        values = np.array([np.concatenate(importance[k]) for k in "ab"])
        return np.where(np.isfinite(values), values, 0.0)

    def _outputs_to_compare(self, k: str, gan: CycleGAN) -> list[torch.Tensor]:
        """Return the tensors that eq. 4 or 5 compares, one per batch of images of domain k."""
        batches = torch.split(self.validation[k], self.settings.score_batch)
        return [
            self._output_to_compare(k, gan.generators[k](scale_pixels(batch))) for batch in batches
        ]

    def _output_to_compare(self, k: str, translated: torch.Tensor) -> torch.Tensor:
        """Return the translated images (eq. 4), or the original discriminator's scores (eq. 5)."""
        if self.settings.loss == "generator":
            return translated
        output: torch.Tensor = self.require_original().discriminators[k](translated)
        return output

    def _loss_parts(self, k: str, gan: CycleGAN) -> tuple[float, float]:
        """Return L_DisA (or L_GenA) and L_cyc for the generator with source domain k."""
        s = self.settings
        generator, back = gan.generators[k], gan.generators[TARGET[k]]
        distance = cycle = 0.0
        batches = torch.split(self.validation[k], s.score_batch)
        for batch, output in zip(batches, self.original_outputs[k], strict=True):
            images = scale_pixels(batch)
            translated = generator(images)
            distance += _squared_distance(self._output_to_compare(k, translated), output, s.norm)
            cycle += _squared_distance(back(translated), images, s.norm)
        n = len(self.validation[k])
        return distance / n, cycle / n


def _squared_distance(x: torch.Tensor, y: torch.Tensor, norm: str) -> float:
    """Return the squared l2 distance between corresponding samples, summed over the batch.

    Args:
        x: (n, ...) batch.
        y: (n, ...) batch.
        norm: whether the "mean" or the "sum" of squares is taken over the elements of each sample.
    """
    squares = (x.double() - y.double()).square().flatten(1)
    distances = squares.mean(1) if norm == "mean" else squares.sum(1)
    return float(distances.sum())
