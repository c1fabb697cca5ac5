"""Full training of a GAN from scratch, with an exponential moving average of generator weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from moonas.data import checksums, describe
from moonas.errors import SearchFailed
from moonas.metrics.inception_score import inception_score
from moonas.models.model import MODEL, write_model
from moonas.nets.devices import repeatable, resolve_device, to_device
from moonas.nets.randomness import generator as random_generator
from moonas.nets.randomness import initial_weights
from moonas.run.journal import read_run
from moonas.run.stage import EpochTraining
from moonas.settings import recorded_options, select
from moonas.training.report import require_a_step
from moonas.training.sgd import part_of_state

from . import zoo
from .drawing import save_grid
from .gan_file import discriminator_shape, discriminator_text, generator_shape, read_gan
from .gan_problem import N_GRID_IMAGES, make_discriminator_builder
from .generation import ImageQuality, quality_columns
from .generator_net import Generator, check_side, estimate_running_statistics
from .settings import TrainingSettings
from .training import (
    ADVICE,
    RandomStreams,
    Recipe,
    TrainingPair,
    adversarial_state,
    load_adversarial_state,
    train_adversarially,
)

N_STATISTICS_LATENTS = 2000  # latent vectors for estimating running statistics


def build(from_run: str | Path | None = None, **options: Any) -> FinalTraining:
    """Return the full training of a GAN.

    Args:
        from_run: run folder of a search. Its picked GAN and its settings are the defaults.
        options: fields of :class:`TrainingSettings`.
    """
    if from_run is None:
        return FinalTraining(TrainingSettings(**options))
    gan = read_gan(from_run)
    searched = read_run(from_run)[0]["settings"]
    defaults = recorded_options(TrainingSettings, searched, without=("epochs", "score_images"))
    defaults |= {name: gan[name] for name in ("generator", "discriminator")}
    return FinalTraining(TrainingSettings(**defaults | options))


def build_network(about: Mapping[str, Any]) -> Generator:
    """Return an untrained generator with the architecture in a model file.

    Args:
        about: header of the model file, which :class:`FinalTraining` wrote.
    """
    return Generator(zoo.find_generator(about["generator"]), **about["shape"])


@dataclass(frozen=True)
class TrainedResult:
    """Result of a full training.

    Args:
        generator: generator with averaged weights and estimated running statistics.
        discriminator: discriminator with the weights of the last step.
        scores: ``fid`` relative to the training set, ``test_fid`` relative to the test set,
            ``is_mean``, ``is_std``, and ``shares``, (n_classes,), the share of images that the
            feature network assigns to each class.
    """

    generator: Generator
    discriminator: nn.Module
    scores: dict[str, Any]

    @property
    def columns(self) -> dict[str, float]:
        """The columns ``fid`` and ``inverse_is``, as in a search."""
        return {"fid": self.scores["fid"], "inverse_is": 1 / self.scores["is_mean"]}


class FinalTraining(EpochTraining):
    """Full training of a generator and a discriminator from scratch.

    ``run(seed)`` returns a :class:`TrainedResult`.

    Args:
        settings: settings of the training.
    """

    settings: TrainingSettings
    description = "training a GAN from scratch"
    phase = "training from scratch"

    def __init__(self, settings: TrainingSettings) -> None:
        self.settings = settings
        self.info = describe(settings.data, settings.image_size)
        check_side(self.info.side)
        self.feature_network_name = quality_columns(settings, self.info)[0].unit
        self.inputs = checksums(self.info)
        self.device = resolve_device(settings.device)
        self.architecture = zoo.find_generator(settings.generator)
        self.recipe = select(Recipe, settings)
        self.build_discriminator = make_discriminator_builder(
            settings.discriminator, settings, self.info, repair=True
        )

    @property
    def n_epochs(self) -> int:
        """Number of epochs."""
        return self.settings.epochs

    def start(self, seed: int) -> GanTrainer:
        """Return a trainer of an untrained GAN."""
        trainer = GanTrainer(self, seed)
        self.log(f"Generator: {self.architecture}.")
        self.log(f"Discriminator: {discriminator_text(trainer.D)}.")
        return trainer

    def line(self, epoch: int, metrics: dict[str, Any]) -> str:
        """Return the log line of an epoch."""
        losses = f"discriminator loss {metrics['d_loss']:.3f}, generator loss"
        return f"  epoch {epoch + 1:>3}: {losses} {metrics['g_loss']:.3f}"

    def result(self, trainer: GanTrainer, scores: dict[str, Any]) -> TrainedResult:
        """Return the result of the training."""
        return TrainedResult(trainer.averaged_generator(), trainer.D, scores)

    def about(self, trained: TrainedResult) -> dict[str, Any]:
        """Return the header of ``model.pt``, see :func:`moonas.models.model.write_model`."""
        scores = trained.scores
        return {
            "kind": "generator",
            "problem": "eagan-generator",
            "generator": str(self.architecture),
            "description": str(self.architecture),
            "shape": generator_shape(self.settings, self.info),
            "input_shape": [self.settings.latent],
            "data": self.info.name,
            "scores": {name: scores[name] for name in ("fid", "test_fid", "is_mean", "is_std")},
            "fid_of": self.feature_network_name,
            "discriminator": {
                "architecture": discriminator_text(trained.discriminator),
                "shape": discriminator_shape(self.settings, self.info),
            },
        }

    def report(self, trained: TrainedResult, folder: Path) -> list[str]:
        """Write both networks to model.pt and images to samples.png; return the lines to print."""
        scores, features = trained.scores, self.feature_network_name
        about = self.about(trained)
        write_model(folder / MODEL, trained.generator, about, trained.discriminator)
        latents = torch.randn(
            N_GRID_IMAGES, self.settings.latent, generator=random_generator(0, "grid")
        )
        with torch.inference_mode(), repeatable(self.settings.threads):
            images = trained.generator(latents.to(self.device))
        save_grid((images.cpu() + 1) / 2, folder / "samples.png")
        lines = [
            f"Scores of {self.settings.score_images:,} generated images: FID ({features}) "
            f"{scores['fid']:.2f} relative to the training set and {scores['test_fid']:.2f} "
            f"relative to the test set; Inception Score ({features}) {scores['is_mean']:.2f} +- "
            f"{scores['is_std']:.2f}."
        ]
        if self.settings.features == "classifier":
            shares = " ".join(f"{100 * share:.1f}" for share in scores["shares"])
            lines.append(f"Shares of the {len(scores['shares'])} classes: {shares} %.")
        return lines


class GanTrainer:
    """Trainer of one GAN, with an exponential moving average of the generator's weights.

    Args:
        training: stage to which the trainer belongs.
        seed: seed of the run.
    """

    def __init__(self, training: FinalTraining, seed: int) -> None:
        self.training, self.settings, self.seed = training, training.settings, seed
        s, self.device = self.settings, training.device
        self.quality = ImageQuality(s, training.info, self.device)
        self.quality.load()
        self.shape = generator_shape(s, training.info)
        with initial_weights(seed, "training", "generator"):
            self.G = to_device(Generator(training.architecture, **self.shape), self.device)
        with initial_weights(seed, "training", "discriminator"):
            self.D = to_device(training.build_discriminator(), self.device)
        average = get_ema_multi_avg_fn(s.average)  # type: ignore[no-untyped-call]  # torch's
        self.averaged_model = AveragedModel(self.G, multi_avg_fn=average, use_buffers=False)
        self.optimizer = training.recipe.optimizer(self.G)
        self.d_optimizer = training.recipe.d_optimizer(self.D)
        self.streams = RandomStreams.from_seed(seed, "training")

    def train(self, epoch: int) -> dict[str, Any]:
        """Train for one epoch and return its report."""
        images = self.quality.images
        assert images is not None
        pair = TrainingPair(self.G, self.D, self.optimizer, list(self.G.parameters()))
        with repeatable(self.settings.threads):
            report = train_adversarially(
                images,
                lambda: [pair],
                self.D,
                self.d_optimizer,
                self.training.recipe,
                self.streams,
                1,
                after_generator_step=lambda: self.averaged_model.update_parameters(self.G),
            )
        require_a_step(replace(report, steps=report.g_steps), advice=ADVICE)
        return {"epochs": 1} | report.as_dict()

    def latents(self, n: int, purpose: str) -> Sequence[Tensor]:
        """Return n latent vectors in batches.

        Args:
            n: number of latent vectors.
            purpose: name that makes these vectors independent of the vectors for other purposes.
        """
        s = self.settings
        z = torch.randn(n, s.latent, generator=random_generator(self.seed, purpose))
        return torch.split(z.to(self.device), s.score_batch)

    def averaged_generator(self) -> Generator:
        """Return the generator with averaged weights and running statistics estimated for them."""
        generator = to_device(Generator(self.training.architecture, **self.shape), self.device)
        generator.load_state_dict(self.averaged_model.module.state_dict())
        with repeatable(self.settings.threads):
            latents = self.latents(N_STATISTICS_LATENTS, "statistics")
            estimate_running_statistics(generator, latents)
        return generator.eval()

    def evaluate(self) -> dict[str, Any]:
        """Return the scores of the generator with averaged weights, see :class:`TrainedResult`.

        Raises:
            SearchFailed: a pixel of the generated images is not finite.
        """
        s = self.settings
        test = ImageQuality(s, self.training.info, self.device, use_test_set=True)
        test.load()
        with repeatable(s.threads):
            latents = torch.cat(tuple(self.latents(s.score_images, "scores")))
            pixels = self.quality.generate(self.averaged_generator(), latents)
            if not bool(pixels.isfinite().all()):
                raise SearchFailed(f"The trained generator produces non-finite pixels. {ADVICE}")
            features, log_probabilities = self.quality.extract(pixels, s.score_batch)
        mean, std = inception_score(log_probabilities, s.is_splits)
        return {
            "fid": self.quality.distance(features),
            "test_fid": test.distance(features),
            "is_mean": mean,
            "is_std": std,
            "shares": np.bincount(log_probabilities.argmax(1), minlength=log_probabilities.shape[1])
            / len(log_probabilities),
        }

    def state(self) -> dict[str, Tensor]:
        """Return networks, optimizers, averages and random streams as a flat dict of tensors."""
        average = {f"average.{k}": v for k, v in self.averaged_model.state_dict().items()}
        features = {"features": self.quality.fingerprint}
        return adversarial_state(self._trained_networks, self.streams) | average | features

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state that :meth:`state` returned.

        Raises:
            ValueError: the run was evaluated with a different feature network.
        """
        self.quality.check_fingerprint(state["features"])
        load_adversarial_state(self._trained_networks, self.streams, state)
        self.averaged_model.load_state_dict(part_of_state(state, "average"))

    @property
    def _trained_networks(self) -> dict[str, tuple[nn.Module, torch.optim.Optimizer]]:
        return {"g": (self.G, self.optimizer), "d": (self.D, self.d_optimizer)}
