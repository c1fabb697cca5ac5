"""Full training of a GAN from scratch, with an exponential moving average of generator weights.

Several times during the training, the generator with averaged weights is evaluated. The training
keeps the one with the lowest FID, because GANs may collapse late.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from moonas.data import checksums
from moonas.errors import SearchFailed
from moonas.files.tensors import part_of_state
from moonas.metrics.image_quality import MEASURES
from moonas.models.model import MODEL, write_model
from moonas.nets.devices import repeatable, resolve_device, to_device
from moonas.nets.randomness import generator as random_generator
from moonas.nets.randomness import initial_weights
from moonas.run.journal import read_identity
from moonas.run.stage import EpochTraining
from moonas.settings import recorded_options, select
from moonas.training.report import require_a_step

from . import zoo
from .curves import save_curves
from .drawing import save_grid
from .gan_file import discriminator_shape, discriminator_text, generator_shape, read_gan
from .gan_problem import N_GRID_IMAGES, make_discriminator_builder
from .generation import ImageQuality, quality_columns
from .generator_net import Generator, estimate_running_statistics
from .images import describe_images
from .settings import DiscriminatorSettings, TrainingSettings
from .space import number_of_cells
from .training import (
    ADVICE,
    RandomStreams,
    Recipe,
    TrainingPair,
    adversarial_state,
    batches_per_epoch,
    load_adversarial_state,
    require_generator_steps,
    train_adversarially,
)

if TYPE_CHECKING:
    from moonas.run.loop_checkpoints import LoopCheckpoints

N_STATISTICS_LATENTS = 2000  # latent vectors for estimating running statistics
LAST_MODEL = "last-model.pt"  # generator after the last epoch, if model.pt contains an earlier one
CURVES_EVERY = 30  # least number of seconds between two drawings of the curves
MAX_SHARES = 20  # the shares of the classes are printed if there are at most as many classes


def build(from_run: str | Path | None = None, **options: Any) -> FinalTraining:
    """Return the full training of a GAN.

    Args:
        from_run: run folder of a search. Its picked GAN and its settings are the defaults.
        options: fields of :class:`TrainingSettings`.
    """
    if from_run is None:
        return FinalTraining(TrainingSettings(**options))
    return FinalTraining(settings_for(from_run, **options))


def settings_for(from_run: str | Path, **options: Any) -> TrainingSettings:
    """Return the settings that :func:`build` gives a training, without reading images.

    Raises:
        ValueError: the search has not ended.
    """
    gan = read_gan(from_run)
    run = read_identity(from_run)
    searched = run["settings"]
    # d_steps of stage 2 train shared discriminators, whose steps are divided among many generators
    without = ["epochs", "score_images", "d_steps"]
    if run["problem"] == "eagan-discriminator":
        # its default is low because the discriminators learn about many generators at once
        is_default = searched.get("learning_rate") == DiscriminatorSettings.learning_rate
        without += ["learning_rate"] * is_default
    defaults = recorded_options(TrainingSettings, searched, without=without)
    defaults |= {name: gan[name] for name in ("generator", "discriminator")}
    return TrainingSettings(**defaults | options)


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
        generator: generator with averaged weights and estimated running statistics, after the epoch
            with the lowest FID among the evaluations during the training; after the last epoch, if
            there were none.
        discriminator: discriminator with the weights of the last step.
        scores: ``fid`` relative to the training set, ``test_fid`` relative to the test set,
            the other measures of :class:`~moonas.metrics.image_quality.RealImages`, and ``shares``,
            (n_classes,), the share of images that the feature network assigns to each class;
            ``feature_accuracy``, the accuracy of the feature network (%) if known; ``epoch``, the
            number of epochs after which ``generator`` was kept; and the same scores of
            ``last_generator``, with the prefix ``last_``, if it is another one. A generator whose
            images are all identical has the scores NaN.
        last_generator: generator after the last epoch; None if it is ``generator``.
        history: metrics of each epoch.
    """

    generator: Generator
    discriminator: nn.Module
    scores: dict[str, Any]
    last_generator: Generator | None = None
    history: Sequence[Mapping[str, Any]] = ()

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
        self.info = describe_images(settings)
        n_cells = settings.cells
        if n_cells is None and settings.generator is None:
            n_cells = number_of_cells(self.info.side)
        self.architecture = zoo.find_generator(settings.generator, n_cells)
        n_cells = number_of_cells(self.info.side, len(self.architecture.cells))
        self.settings = settings = replace(settings, cells=n_cells)
        self.feature_network_name = quality_columns(settings, self.info)[0].unit
        self.inputs = checksums(self.info)
        self.device = resolve_device(settings.device)
        self.recipe = select(Recipe, settings)
        self.build_discriminator = make_discriminator_builder(
            settings.discriminator,
            settings,
            self.info,
            None if settings.discriminator else n_cells,
            repair=True,
        )
        self.history: list[Mapping[str, Any]] = []
        self.drawn_at = -math.inf  # time of the last drawing of the curves

    @property
    def n_epochs(self) -> int:
        """Number of epochs."""
        return self.settings.epochs

    @property
    def checkpoint_minutes(self) -> float:  # type: ignore[override]  # read-only
        """Number of minutes between two checkpoints."""
        return self.settings.checkpoint_minutes

    def is_scored(self, epoch: int) -> bool:
        """Return whether the generator is evaluated after an epoch, whose index starts at 0."""
        every = self.settings.epochs_between_scores
        return every > 0 and ((epoch + 1) % every == 0 or epoch + 1 == self.n_epochs)

    def start(self, seed: int) -> GanTrainer:
        """Return a trainer of an untrained GAN."""
        trainer = GanTrainer(self, seed)
        self.history = []
        self.drawn_at = time.monotonic()
        self.log(f"Generator: {self.architecture}.")
        self.log(f"Discriminator: {discriminator_text(trainer.D)}.")
        return trainer

    def log_epoch(self, epoch: int, metrics: dict[str, Any]) -> None:
        """Log the metrics of every tenth epoch, and of epochs after which G was evaluated."""
        if "fid" in metrics:
            self.log(self.line(epoch, metrics))
        else:
            super().log_epoch(epoch, metrics)

    def line(self, epoch: int, metrics: dict[str, Any]) -> str:
        """Return the log line of an epoch: losses, and scores if the generator was evaluated."""
        line = (
            f"  epoch {epoch + 1:>3}: discriminator loss {metrics['d_loss']:.3f}, generator loss "
            f"{metrics['g_loss']:.3f}"
        )
        if "fid" in metrics:
            line += f", FID {metrics['fid']:.2f}"
        if math.isfinite(metrics.get("is_mean", math.nan)):
            line += f", Inception Score {metrics['is_mean']:.2f}"
        return line

    def after_epoch(
        self, trainer: GanTrainer, epoch: int, metrics: dict[str, Any], new: bool
    ) -> None:
        """After an evaluation, save generated images, and draw the curves if they are old."""
        self.history.append(metrics)
        if self.journal is None or not new or "fid" not in metrics:
            return
        folder = self.journal.folder
        if trainer.samples is not None:
            save_grid(trainer.samples, folder / f"samples-{epoch + 1:04d}.png")
        if time.monotonic() - self.drawn_at > CURVES_EVERY:
            save_curves(self.history, self.feature_network_name, folder)
            self.drawn_at = time.monotonic()

    def result(self, trainer: GanTrainer, scores: dict[str, Any]) -> TrainedResult:
        """Return the result of the training."""
        last = trainer.averaged_generator()
        best = trainer.best_generator()
        if best is None or trainer.best_epoch == self.n_epochs:
            return TrainedResult(last, trainer.D, scores, history=self.history)
        return TrainedResult(best, trainer.D, scores, last, self.history)

    def about(self, trained: TrainedResult) -> dict[str, Any]:
        """Return the header of ``model.pt``, see :func:`moonas.models.model.write_model`."""
        scores = trained.scores
        return self._header(trained.discriminator, scores) | (
            {"epoch": scores["epoch"]} if "epoch" in scores else {}
        )

    def _header(self, discriminator: nn.Module, scores: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "kind": "generator",
            "problem": "eagan-generator",
            "generator": str(self.architecture),
            "description": str(self.architecture),
            "shape": generator_shape(self.settings, self.info),
            "input_shape": [self.settings.latent],
            "data": self.info.name,
            "resize": self.info.resize,
            "scores": {name: scores[name] for name in ("test_fid", *MEASURES) if name in scores},
            "fid_of": self.feature_network_name,
            "feature_accuracy": scores.get("feature_accuracy"),
            "discriminator": {
                "architecture": discriminator_text(discriminator),
                "shape": discriminator_shape(self.settings, self.info),
            },
        }

    def report(self, trained: TrainedResult, folder: Path) -> list[str]:
        """Write the networks to model.pt and last-model.pt, and pictures; return lines to print."""
        scores, features, last = trained.scores, self.feature_network_name, trained.last_generator
        D = trained.discriminator
        write_model(folder / MODEL, trained.generator, self.about(trained), D)
        with repeatable(self.settings.threads):
            save_grid(sample_grid(trained.generator, self.settings.latent), folder / "samples.png")
        if trained.history:
            save_curves(trained.history, features, folder, scores.get("epoch"))
        of_images = f"of {self.settings.score_images:,} generated images"
        statistics = self.settings.real_statistics
        lines = [f"Scores {of_images}: {_score_text(scores, features, statistics)}."]
        if last is not None:
            last_scores = {
                name.removeprefix("last_"): value
                for name, value in scores.items()
                if name.startswith("last_")
            }
            about = self._header(D, last_scores) | {"epoch": self.n_epochs}
            write_model(folder / LAST_MODEL, last, about, D)
            lines[:0] = [
                f"{MODEL} contains the generator after epoch {scores['epoch']}, which had the "
                f"lowest FID during the training. {LAST_MODEL} contains the generator after the "
                f"last epoch, {self.n_epochs}."
            ]
            text = _score_text(last_scores, features, statistics)
            lines.append(f"Scores of the last generator, {of_images}: {text}.")
        shares = scores["shares"]
        if 1 < len(shares) <= MAX_SHARES:
            text = " ".join(f"{100 * share:.1f}" for share in shares)
            lines.append(f"Shares of the {len(shares)} classes: {text} %.")
        return lines


def _score_text(scores: Mapping[str, Any], features: str, statistics: str | None) -> str:
    """Describe the scores of a generator; features without classes have no Inception Score."""
    text = f"FID ({features}) {scores['fid']:.2f} relative to "
    if statistics is None:
        text += f"the training set and {scores['test_fid']:.2f} relative to the test set"
    else:
        text += f"the statistics in {statistics}"
    if math.isfinite(scores["is_mean"]):
        text += f"; Inception Score ({features}) {scores['is_mean']:.2f}"
        if scores["is_std"]:  # zero if the images are not split
            text += f" +- {scores['is_std']:.2f}"
    if "kid" in scores:
        text += f"; KID {scores['kid']:.4f}"
    names = [name for name in ("precision", "recall", "density", "coverage") if name in scores]
    return "; ".join([text, *(f"{name} {scores[name]:.3f}" for name in names)])


def sample_grid(generator: Generator, latent: int) -> Tensor:
    """Return images of the same latent vectors in every training, as pixels in [0, 1] on the CPU.

    Args:
        generator: generator in evaluation mode.
        latent: length of a latent vector.
    """
    latents = torch.randn(N_GRID_IMAGES, latent, generator=random_generator(0, "grid"))
    device = next(generator.parameters()).device
    with torch.inference_mode():
        images: Tensor = generator(latents.to(device))
    return (images.cpu() + 1) / 2


def learning_rate_factor(epoch: int, epochs: int, decay_epochs: int) -> float:
    """Return the factor of both learning rates in an epoch: 1, then a linear decay.

    In the last ``decay_epochs`` epochs, it falls in equal steps; one more step would reach 0.

    Args:
        epoch: index of the epoch, starting at 0.
        epochs: number of epochs.
        decay_epochs: number of epochs with a decaying factor.
    """
    return min(1.0, (epochs - epoch) / (decay_epochs + 1))


class GanTrainer:
    """Trainer of one GAN, with an exponential moving average of the generator's weights.

    Args:
        training: stage to which the trainer belongs.
        seed: seed of the run.

    Attributes:
        best_epoch: number of epochs after which the generator had the lowest FID so far; 0 before
            the first evaluation.
        best_fid: this FID.
        best_weights: state dict of this generator.
        samples: images that the generator generated in the last evaluation, pixels in [0, 1] on the
            CPU; None before the first one.
    """

    checkpoints: LoopCheckpoints | None = None

    def __init__(self, training: FinalTraining, seed: int) -> None:
        self.training, self.settings, self.seed = training, training.settings, seed
        s, self.device = self.settings, training.device
        self.quality = ImageQuality(s, training.info, self.device)
        self.quality.load(training.callbacks)
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
        assert self.quality.images is not None
        n, recipe = len(self.quality.images), training.recipe
        self.steps_per_epoch = batches_per_epoch(recipe, n)[1]
        require_generator_steps(recipe, s.epochs, n)
        self.best_epoch, self.best_fid = 0, math.inf
        self.best_weights: dict[str, Tensor] = {}
        self.samples: Tensor | None = None

    def train(self, epoch: int) -> dict[str, Any]:
        """Train for one epoch, and evaluate the generator after some epochs.

        Returns:
            The report of the epoch and, after an evaluation, ``fid`` and ``is_mean``.
        """
        images, s = self.quality.images, self.settings
        assert images is not None
        factor = learning_rate_factor(epoch, s.epochs, s.decay_epochs)
        for optimizer, learning_rate in (
            (self.optimizer, s.learning_rate),
            (self.d_optimizer, s.d_learning_rate),
        ):
            for group in optimizer.param_groups:
                group["lr"] = factor * learning_rate
        pair = TrainingPair(self.G, self.D, self.optimizer, list(self.G.parameters()))
        steps, d_steps = self.steps_per_epoch, self.training.recipe.d_steps
        with repeatable(self.settings.threads):
            report = train_adversarially(
                images,
                lambda: [pair],
                self.D,
                self.d_optimizer,
                self.training.recipe,
                self.streams,
                1,
                d_steps_done=epoch * steps,
                after_generator_step=lambda: self.averaged_model.update_parameters(self.G),
                checkpoints=self.checkpoints,
                training=self,
            )
        require_a_step(report, advice=ADVICE)
        if (epoch + 1) * steps // d_steps > epoch * steps // d_steps:  # G should have trained
            require_a_step(replace(report, steps=report.g_steps), advice=ADVICE)
        scores = self._interim_scores(epoch) if self.training.is_scored(epoch) else {}
        return {"epochs": 1} | report.as_dict() | scores

    def _interim_scores(self, epoch: int) -> dict[str, float]:
        """Evaluate the generator with averaged weights, and keep it if its FID is the lowest.

        The latent vectors differ from those of the final evaluation, so the scores of the best
        generator in the final evaluation are not biased by its choice.

        Args:
            epoch: index of the epoch, starting at 0.
        """
        s, generator = self.settings, self.averaged_generator()
        n = min(s.interim_score_images, s.score_images)
        with repeatable(s.threads):
            latents = torch.cat(tuple(self.latents(n, "interim scores")))
            scores = self.quality.evaluate(generator, latents)
            self.samples = sample_grid(generator, s.latent)
        if scores["fid"] < self.best_fid:
            self.best_fid, self.best_epoch = float(scores["fid"]), epoch + 1
            self.best_weights = generator.state_dict()
        return {
            "fid": float(scores["fid"]),
            "is_mean": 1 / float(scores.get("inverse_is", math.nan)),
        }

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
        generator = self._load_generator(self.averaged_model.module.state_dict())
        with repeatable(self.settings.threads):
            latents = self.latents(N_STATISTICS_LATENTS, "statistics")
            estimate_running_statistics(generator, latents)
        return generator.eval()

    def best_generator(self) -> Generator | None:
        """Return the generator with the lowest FID so far; None before the first evaluation."""
        return self._load_generator(self.best_weights).eval() if self.best_weights else None

    def _load_generator(self, weights: Mapping[str, Tensor]) -> Generator:
        generator = to_device(Generator(self.training.architecture, **self.shape), self.device)
        generator.load_state_dict(weights)
        return generator

    def evaluate(self) -> dict[str, Any]:
        """Return the final scores of the best and of the last generator, see ``TrainedResult``.

        Raises:
            SearchFailed: a weight of the generator is not finite.
        """
        test = ImageQuality(self.settings, self.training.info, self.device, use_test_set=True)
        test.load()
        last, best = self.averaged_generator(), self.best_generator()
        if best is None:
            return self._final_scores(last, test)
        scores = self._final_scores(best, test) | {"epoch": self.best_epoch}
        if self.best_epoch == self.settings.epochs:
            return scores
        try:
            last_scores = self._final_scores(last, test)
        except SearchFailed:  # the training diverged after the best epoch
            names = ("fid", "test_fid", "is_mean", "is_std")
            last_scores = dict.fromkeys(names, math.nan) | {"shares": np.empty(0)}
        return scores | {f"last_{name}": value for name, value in last_scores.items()}

    def _final_scores(self, generator: Generator, test: ImageQuality) -> dict[str, Any]:
        """Return the scores of a generator relative to the training set and the test set.

        Args:
            generator: generator in evaluation mode.
            test: quality relative to the test set.
        """
        s = self.settings
        with repeatable(s.threads):
            latents = torch.cat(tuple(self.latents(s.score_images, "scores")))
            scores = self.quality.measure(generator, latents)
            weights = generator.state_dict().values()
            if not all(bool(weight.isfinite().all()) for weight in weights):
                raise SearchFailed(f"The trained generator has non-finite weights. {ADVICE}")
            if s.real_statistics is None:
                scores = scores | {"test_fid": test.evaluate(generator, latents)["fid"]}
        accuracy = self.quality.extract.accuracy
        return scores | ({} if accuracy is None else {"feature_accuracy": accuracy})

    def state(self) -> dict[str, Tensor]:
        """Return networks, optimizers, averages and random streams as a flat dict of tensors."""
        average = {f"average.{k}": v for k, v in self.averaged_model.state_dict().items()}
        features = {"features": self.quality.fingerprint}
        best = {f"best.weights.{name}": tensor for name, tensor in self.best_weights.items()}
        if best:
            best["best.found"] = torch.tensor([self.best_fid, self.best_epoch], dtype=torch.float64)
        return adversarial_state(self._trained_networks, self.streams) | average | features | best

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state that :meth:`state` returned; early versions kept no best generator.

        Raises:
            ValueError: the run was evaluated with a different feature network.
        """
        self.quality.check_fingerprint(state["features"])
        load_adversarial_state(self._trained_networks, self.streams, state)
        self.best_weights = {
            name: tensor.to(self.device)
            for name, tensor in part_of_state(state, "best.weights").items()
        }
        fid, epoch = state["best.found"].tolist() if self.best_weights else (math.inf, 0)
        self.best_fid, self.best_epoch = fid, int(epoch)
        self.averaged_model.load_state_dict(part_of_state(state, "average"))

    @property
    def _trained_networks(self) -> dict[str, tuple[nn.Module, torch.optim.Optimizer]]:
        return {"g": (self.G, self.optimizer), "d": (self.D, self.d_optimizer)}
