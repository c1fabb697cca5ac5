"""Stage 1: training of the CycleGAN whose generators are pruned in the search."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

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
from .training import ADVICE, CycleGAN, Recipe, Training, learning_rate_factor, new_gan
from .weights_file import ORIGINAL_FILE, write_gan


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
        n_patches(settings.d_width, settings.d_layers, self.info.side)
        check_quality(settings)
        self.device = resolve_device(settings.device)

    @property
    def n_epochs(self) -> int:
        """Number of epochs with a constant or a decaying learning rate."""
        return self.settings.epochs + self.settings.decay_epochs

    def initial_gan(self, seed: int) -> CycleGAN:
        """Return the CycleGAN, on the device, with the weights from which the training starts."""
        raise NotImplementedError

    def training_images(self, domain: Domain) -> torch.Tensor:
        """Return the images of a domain on which the CycleGAN is trained."""
        raise NotImplementedError

    def start(self, seed: int) -> StageTraining:
        """Return the trainer."""
        return StageTraining(self, seed)

    def line(self, epoch: int, metrics: dict[str, Any]) -> str:
        """Format the metrics of an epoch as a line of text."""
        losses = ("GAN loss", "gan"), ("cycle", "cycle"), ("identity", "identity")
        text = ", ".join(f"{title} {metrics[f'{name}_loss']:.3f}" for title, name in losses)
        return f"  epoch {epoch + 1:>3}: {text}, discriminators {metrics['d_loss']:.3f}"

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
        self.settings = stage.settings
        data = load_data(stage.settings, stage.info)
        self.quality = stage.quality = Quality(stage.settings, stage.info, data, stage.device)
        images = {k: stage.training_images(domain).to(stage.device) for k, domain in data.items()}
        gan, recipe = stage.initial_gan(seed), select(Recipe, stage.settings)
        super().__init__(gan, images, stage.info.side, recipe, seed, stage.phase)

    def train(self, epoch: int) -> dict[str, Any]:
        """Train for one epoch and return its metrics."""
        s = self.settings
        with repeatable(s.threads):
            report = self.epoch(learning_rate_factor(epoch, s.epochs, s.decay_epochs))
        require_a_step(report, advice=ADVICE)
        return report.as_dict()

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

    def initial_gan(self, seed: int) -> CycleGAN:
        """Return an untrained CycleGAN."""
        return new_gan(seed, self.device, **self.settings.network_shape)

    def training_images(self, domain: Domain) -> torch.Tensor:
        """Return the training images; the validation images are reserved for the search."""
        return domain.train

    def report(self, result: Trained, folder: Path) -> list[str]:
        """Write cyclegan.pt and translations.png.

        Returns:
            The lines to print.
        """
        write_gan(folder / ORIGINAL_FILE, result.gan, self.settings, self.info)
        draw_translations(self.quality, result.gan.generators, None, folder / "translations.png")
        return score_lines({"original": result.scores})
