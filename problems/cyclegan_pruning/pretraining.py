"""Stage 1: training of the CycleGAN whose generators are pruned in the search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from moonas.data.form import center_crop
from moonas.data.stores import ImageStore
from moonas.nets.devices import repeatable, resolve_device
from moonas.run.stage import EpochTraining
from moonas.settings import select
from moonas.training.report import require_a_step

from .data import describe, load_data
from .domains import Domain
from .drawing import draw_translations, score_lines
from .networks import n_patches
from .quality import Quality, check_quality
from .settings import EpochSettings, PretrainingSettings
from .timing import MIN_STEPS, seconds_per_step, training_time
from .training import (
    ADVICE,
    CycleGAN,
    Recipe,
    Training,
    discriminator_accuracy,
    learning_rate_factor,
    new_gan,
)
from .weights_file import ORIGINAL_FILE, write_gan

N_HELD_OUT = 100  # images per domain on which the discriminators are judged after each epoch
LONG_EPOCH = 60.0  # seconds; longer epochs report each step
RECENT_EPOCHS = 5  # number of epochs whose metrics are averaged for warnings
CHANCE = 55.0  # accuracy of discriminators, in percent, below which they are at chance
LOSS_TITLES = {  # name of a loss -> its title in the log
    "gan_loss": "GAN loss",
    "cycle_loss": "cycle",
    "identity_loss": "identity",
    "d_loss": "discriminators",
}
LEAST_FALL = 0.1  # share of the cycle loss of the first epoch by which it should have fallen


def build(**options: Any) -> Pretraining:
    """Return the pretraining stage.

    Args:
        options: fields of :class:`PretrainingSettings`.
    """
    return Pretraining(PretrainingSettings(**options))


class CycleStage(EpochTraining):
    """Stage that trains a CycleGAN; ``run(seed)`` returns a :class:`Trained`.

    A subclass must define :meth:`initial_gan` and :meth:`training_images`.

    Args:
        settings: settings of the stage.

    Attributes:
        info: description of the two domains.
        quality: scores generators on the test set; available once the training has started.
    """

    phase = "training the CycleGAN"
    settings: EpochSettings
    quality: Quality

    def __init__(self, settings: EpochSettings) -> None:
        self.settings = settings
        self.info = describe(settings)
        n_patches(settings.d_width, settings.d_layers, self.info.size)
        check_quality(settings, self.info)
        self.device = resolve_device(settings.device)

    @property
    def n_epochs(self) -> int:
        """Number of epochs with a constant or a decaying learning rate."""
        return self.settings.epochs + self.settings.decay_epochs

    def initial_gan(self, seed: int) -> CycleGAN:
        """Return the CycleGAN, on the device, with the weights from which the training starts."""
        raise NotImplementedError

    def training_images(self, domain: Domain) -> torch.Tensor | ImageStore:
        """Return the images of a domain on which the CycleGAN is trained."""
        raise NotImplementedError

    def held_out_images(self, domain: Domain) -> torch.Tensor:
        """Return images of a domain that are not used for training, without a margin."""
        raise NotImplementedError

    def start(self, seed: int) -> StageTraining:
        """Return the trainer."""
        return StageTraining(self, seed)

    def line(self, epoch: int, metrics: dict[str, Any]) -> str:
        """Format the metrics of an epoch as a line of text."""
        return epoch_line(epoch, metrics)

    def log_epoch(self, epoch: int, metrics: dict[str, Any]) -> None:
        """Log the losses of each epoch."""
        self.log(self.line(epoch, metrics))

    def result(self, trainer: StageTraining, scores: dict[str, Any]) -> Trained:
        """Return the trained CycleGAN with its scores."""
        return Trained(trainer.gan, scores)


class StageTraining(Training):
    """Trains the CycleGAN of a stage and evaluates it on the test set.

    Args:
        stage: stage that defines the settings, the images and the initial CycleGAN.
        seed: seed of the run.
    """

    def __init__(self, stage: CycleStage, seed: int) -> None:
        self.stage, self.settings = stage, stage.settings
        self.seconds_per_step: float | None = None  # measured before the first computed epoch
        data = load_data(stage.settings, stage.info)
        self.quality = stage.quality = Quality(
            stage.settings, stage.info, data, stage.device, stage.callbacks
        )
        images = {k: stage.training_images(domain).to(stage.device) for k, domain in data.items()}
        self.held_out = {
            k: center_crop(stage.held_out_images(domain)[:N_HELD_OUT], stage.info.size).to(
                stage.device
            )
            for k, domain in data.items()
        }
        gan, recipe = stage.initial_gan(seed), select(Recipe, stage.settings)
        super().__init__(gan, images, stage.info.size, recipe, seed, stage.phase)

    def train(self, epoch: int) -> dict[str, Any]:
        """Train for one epoch and return its metrics.

        The expected time is logged before the first epoch. The metrics are the mean losses and the
        accuracy of the discriminators on held-out images, see :func:`.discriminator_accuracy`.
        """
        s, stage = self.settings, self.stage
        n, remaining = self.steps_per_epoch, stage.n_epochs - epoch
        with repeatable(s.threads):
            if self.seconds_per_step is None:
                self.seconds_per_step = 0.0
                if remaining * n >= MIN_STEPS:
                    self.seconds_per_step = seconds_per_step(self)
                    text = training_time(self.seconds_per_step, remaining, n, stage.device)
                    stage.log(f"{stage.phase[0].upper()}{stage.phase[1:]}: {text}")
            is_long = n * self.seconds_per_step > LONG_EPOCH

            def on_step(step: int) -> None:
                if is_long:
                    stage.report_progress(f"{stage.phase}, one epoch", step, n, "steps")

            report = self.epoch(learning_rate_factor(epoch, s.epochs, s.decay_epochs), on_step)
            require_a_step(report, advice=ADVICE)
            accuracy = discriminator_accuracy(self.gan, self.held_out, s.score_batch)
        return report.as_dict() | {"d_accuracy": accuracy}

    def evaluate(self) -> dict[str, Any]:
        """Return the scores of the generators on the test set."""
        return self.quality.evaluate(self.gan.generators)


@dataclass(frozen=True)
class Trained:
    """Result of training a CycleGAN.

    Args:
        gan: the trained CycleGAN.
        scores: result of :meth:`.Quality.evaluate` for its generators; after fine-tuning, the
            result of :func:`.comparison.compare`.
    """

    gan: CycleGAN
    scores: dict[str, Any]


class Pretraining(CycleStage):
    """Trains a CycleGAN from scratch."""

    description = "training a CycleGAN"

    def start(self, seed: int) -> StageTraining:
        """Return the trainer."""
        self._epochs = EpochLog(self.log)
        return super().start(seed)

    def log_epoch(self, epoch: int, metrics: dict[str, Any]) -> None:
        """Log the losses of each epoch, and warn once if the training does not work."""
        self._epochs.add(epoch, metrics)

    def initial_gan(self, seed: int) -> CycleGAN:
        """Return an untrained CycleGAN."""
        return new_gan(seed, self.device, **self.settings.network_shape)

    def training_images(self, domain: Domain) -> torch.Tensor | ImageStore:
        """Return the training images; the validation images are reserved for the search."""
        return domain.train

    def held_out_images(self, domain: Domain) -> torch.Tensor:
        """Return the validation images."""
        return domain.validation

    def report(self, result: Trained, folder: Path) -> list[str]:
        """Write cyclegan.pt and translations.png.

        Returns:
            The lines to print.
        """
        write_gan(folder / ORIGINAL_FILE, result.gan, self.settings, self.info)
        draw_translations(self.quality, result.gan.generators, None, folder / "translations.png")
        lines = score_lines({"CycleGAN": result.scores})
        return [*lines, self.quality.describe_features()]


def epoch_line(epoch: int, metrics: Mapping[str, Any]) -> str:
    """Format the metrics of an epoch as a line of text.

    Args:
        epoch: index of the epoch, starting at 0.
        metrics: see :meth:`StageTraining.train`; losses of the generators may be missing.
    """
    parts = [f"{title} {metrics[k]:.3f}" for k, title in LOSS_TITLES.items() if k in metrics]
    if "d_accuracy" in metrics:  # earlier versions did not record it
        parts.append(f"which tell real from translated images in {metrics['d_accuracy']:.0f} %")
    return f"  epoch {epoch + 1:>3}: {', '.join(parts)}"


class EpochLog:
    """Logs the metrics of each epoch, and warns once if the training does not work.

    Args:
        log: function that receives each line.
    """

    def __init__(self, log: Callable[[str], object]) -> None:
        self._log = log
        self._metrics: list[Mapping[str, Any]] = []
        self._warned: set[str] = set()

    def add(self, epoch: int, metrics: Mapping[str, Any]) -> None:
        """Log an epoch; for the arguments, see :func:`epoch_line`."""
        self._log(epoch_line(epoch, metrics))
        self._metrics.append(metrics)
        for name, warning in training_warnings(self._metrics).items():
            if name not in self._warned:
                self._warned.add(name)
                self._log(f"Warning: {warning}")


def training_warnings(metrics: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return what is wrong with a training from scratch, as "d" or "cycle" -> sentences.

    The metrics are averaged over the last ``RECENT_EPOCHS`` epochs. There is a warning if the
    accuracy of the discriminators is below ``CHANCE``, or if the cycle loss is not below that of
    the first epoch by the share ``LEAST_FALL``.

    Args:
        metrics: metrics of each epoch so far, see :func:`epoch_line`.
    """
    warnings: dict[str, str] = {}
    recent = metrics[-RECENT_EPOCHS:]
    if len(metrics) <= RECENT_EPOCHS:
        return warnings
    accuracy = np.mean([m.get("d_accuracy", np.nan) for m in recent])  # not in earlier versions
    if accuracy < CHANCE:
        useless = "The generators learn nothing from them"
        if "gan_loss" not in metrics[0]:
            useless = "The losses of candidates say little with them"
        warnings["d"] = (
            f"in the last {RECENT_EPOCHS} epochs, the discriminators distinguished real from "
            f"translated images in {accuracy:.0f} % of the held-out pairs, and chance is 50 %. "
            f"{useless}; try another learning_rate or a larger d_width."
        )
    if "cycle_loss" not in metrics[0]:
        return warnings
    first, cycle = metrics[0]["cycle_loss"], np.mean([m["cycle_loss"] for m in recent])
    if cycle > (1 - LEAST_FALL) * first:
        warnings["cycle"] = (
            f"the cycle loss has not fallen: it was {first:.3f} in the first epoch and {cycle:.3f} "
            f"in the last {RECENT_EPOCHS} epochs. Images cannot be translated back; try a lower "
            "learning_rate or a larger width."
        )
    return warnings
