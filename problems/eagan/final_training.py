"""The full training of a GAN that a search has found: from scratch, with a moving average."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from moonas.data import checksums, describe
from moonas.errors import SearchFailed
from moonas.metrics.inception_score import inception_score
from moonas.models.model import MODEL, write_model
from moonas.nets.devices import repeatable, resolve_device
from moonas.nets.randomness import generator as stream
from moonas.nets.randomness import initial_weights
from moonas.run.journal import read_run
from moonas.run.stage import EpochTraining
from moonas.settings import recorded_options, select
from moonas.training.report import require_a_step
from moonas.training.sgd import part_of_state

from . import zoo
from .drawing import save_grid
from .gan_file import discriminator_shape, discriminator_text, generator_shape, read_gan
from .gan_problem import GRID, discriminator_maker
from .generation import Generation, generation_columns
from .generator_net import Generator, check_side, settle_statistics
from .settings import TrainingSettings
from .training import (
    ADVICE,
    Drawn,
    Recipe,
    Streams,
    load_state_of,
    state_of,
    train_adversarially,
)


def build(from_run=None, **options):
    """The training; ``options`` are fields of :class:`TrainingSettings`.

    Args:
        from_run: run folder whose picked GAN to train, with its settings where nothing is said.
    """
    if from_run is None:
        return FinalTraining(TrainingSettings(**options))
    found = read_gan(from_run)
    searched = read_run(from_run)[0]["settings"]
    taken = recorded_options(TrainingSettings, searched, without=("epochs", "score_images"))
    taken |= {name: found[name] for name in ("generator", "discriminator")}
    return FinalTraining(TrainingSettings(**taken | options))


def build_network(about):
    """The untrained generator of a model that :class:`FinalTraining` has written."""
    return Generator(zoo.find_generator(about["generator"]), **about["shape"])


@dataclass(frozen=True)
class Trained:
    """What a full training ended with.

    Args:
        generator: averaged, with running statistics.
        discriminator: as it is.
        scores: a dict: fid (to the images it was trained on), test_fid (to those for the final
            test), is_mean, is_std, and shares, (n_classes,), of the images taken for each class.
    """

    generator: Generator
    discriminator: torch.nn.Module
    scores: dict

    @property
    def columns(self):
        """The scores that are columns of a search, too."""
        return {"fid": self.scores["fid"], "inverse_is": 1 / self.scores["is_mean"]}


class FinalTraining(EpochTraining):
    """Trains generator and discriminator from scratch; ``run(seed=1)`` gives :class:`Trained`."""

    description = "training a GAN from scratch"
    phase = "training from scratch"

    def __init__(self, settings):
        self.settings = settings
        self.info = describe(settings.data, settings.image_size)
        check_side(self.info.side)
        self.features_description = generation_columns(settings, self.info)[0].unit
        self.inputs = checksums(self.info)
        self.device = resolve_device(settings.device)
        self.architecture = zoo.find_generator(settings.generator)
        self.recipe = select(Recipe, settings)
        self.make_discriminator = discriminator_maker(
            settings.discriminator, settings, self.info, mend=True
        )

    @property
    def n_epochs(self):
        """Epochs of the training."""
        return self.settings.epochs

    def start(self, seed):
        """An untrained GAN."""
        gan = _Gan(self, seed)
        self.log(f"Generator: {self.architecture}.")
        self.log(f"Discriminator: {discriminator_text(gan.D)}.")
        return gan

    @staticmethod
    def line(epoch, metrics):
        """What an epoch reported, as a line of text."""
        losses = f"loss of D {metrics['d_loss']:.3f}, of G {metrics['g_loss']:.3f}"
        return f"  epoch {epoch + 1:>3}: {losses}"

    @staticmethod
    def result(gan, scores):
        """A :class:`Trained`."""
        return Trained(gan.settled(), gan.D, scores)

    def about(self, trained):
        """The header of ``model.pt``, see :func:`moonas.models.model.write_model`.

        Args:
            trained: a :class:`Trained`.
        """
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
            "fid_of": self.features_description,
            "discriminator": {
                "architecture": discriminator_text(trained.discriminator),
                "shape": discriminator_shape(self.settings, self.info),
            },
        }

    def report(self, trained, folder):
        """Write model.pt, with generator and discriminator, and samples.png; the lines to print."""
        scores, of = trained.scores, self.features_description
        about = self.about(trained)
        write_model(folder / MODEL, trained.generator, about, trained.discriminator)
        latents = torch.randn(GRID, self.settings.latent, generator=stream(0, "grid"))
        with torch.inference_mode(), repeatable(self.settings.threads):
            images = trained.generator(latents.to(self.device))
        save_grid((images.cpu() + 1) / 2, folder / "samples.png")
        lines = [
            f"Of {self.settings.score_images:,} images: FID ({of}) {scores['fid']:.2f} to the "
            f"images it was trained on, {scores['test_fid']:.2f} to those for the final test; "
            f"Inception Score ({of}) {scores['is_mean']:.2f} +- {scores['is_std']:.2f}."
        ]
        if self.settings.features == "classifier":
            shares = " ".join(f"{100 * share:.1f}" for share in scores["shares"])
            lines.append(f"Shares of the {len(scores['shares'])} classes: {shares} %.")
        return lines


class _Gan:
    """A GAN in training.

    Args:
        training: a :class:`FinalTraining`.
        seed: of the run.
    """

    def __init__(self, training, seed):
        self.training, self.settings, self.seed = training, training.settings, seed
        s, self.device = self.settings, training.device
        self.generation = Generation(s, training.info, self.device)
        self.generation.load()
        self.shape = generator_shape(s, training.info)
        with initial_weights(seed, "training", "generator"):
            self.G = self._placed(Generator(training.architecture, **self.shape))
        with initial_weights(seed, "training", "discriminator"):
            self.D = self._placed(training.make_discriminator())
        self.average = AveragedModel(
            self.G, multi_avg_fn=get_ema_multi_avg_fn(s.average), use_buffers=False
        )
        self.optimizer = training.recipe.optimizer(self.G)
        self.d_optimizer = training.recipe.d_optimizer(self.D)
        self.streams = Streams.of(seed, "training")

    def _placed(self, net):
        return net.to(self.device, memory_format=torch.channels_last)

    def train(self, epoch):
        """One epoch; a dict that tells of it."""
        pair = Drawn(self.G, self.D, self.optimizer, list(self.G.parameters()))
        with repeatable(self.settings.threads):
            report = train_adversarially(
                self.generation.images,
                lambda: pair,
                self.D,
                self.d_optimizer,
                self.training.recipe,
                self.streams,
                1,
                after=lambda: self.average.update_parameters(self.G),
            )
        require_a_step(replace(report, steps=report.g_steps), advice=ADVICE)
        return {"epochs": 1} | report.as_dict()

    def latents(self, n, purpose):
        """(n, latent), the same for a seed and a purpose, in batches."""
        s = self.settings
        z = torch.randn(n, s.latent, generator=stream(self.seed, purpose))
        return z.to(self.device).split(s.score_batch)

    def settled(self):
        """The averaged generator, its running statistics those of its own images."""
        generator = self._placed(Generator(self.training.architecture, **self.shape))
        generator.load_state_dict(self.average.module.state_dict())
        with repeatable(self.settings.threads):
            settle_statistics(generator, self.latents(2000, "statistics"))
        return generator.eval()

    def evaluate(self):
        """Scores of the averaged generator, see :class:`Trained`."""
        s = self.settings
        test = Generation(s, self.training.info, self.device, final=True)
        test.load()
        with repeatable(s.threads):
            latents = torch.cat(self.latents(s.score_images, "scores"))
            pixels = self.generation.generate(self.settled(), latents)
            if not bool(pixels.isfinite().all()):
                raise SearchFailed("The trained generator's images are not finite.")
            features, logs = self.generation.extract(pixels, s.score_batch)
        mean, std = inception_score(logs, s.is_splits)
        return {
            "fid": self.generation.distance(features),
            "test_fid": test.distance(features),
            "is_mean": mean,
            "is_std": std,
            "shares": np.bincount(logs.argmax(1), minlength=logs.shape[1]) / len(logs),
        }

    def state(self):
        """All that training changes, as a flat dict of tensors."""
        average = {f"average.{k}": v for k, v in self.average.state_dict().items()}
        features = {"features": self.generation.fingerprint}
        return state_of(self._trained, self.streams) | average | features

    def load_state(self, state):
        """Put back what :meth:`state` gave."""
        self.generation.check_fingerprint(state["features"])
        load_state_of(self._trained, self.streams, state)
        self.average.load_state_dict(part_of_state(state, "average"))

    @property
    def _trained(self):
        return {"g": (self.G, self.optimizer), "d": (self.D, self.d_optimizer)}
