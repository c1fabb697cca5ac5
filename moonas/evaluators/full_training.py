"""The full training of a classifier that a search has found: from scratch, on all its images."""

import json
import math
from dataclasses import dataclass

import torch

from ..data import checksums, describe
from ..front_file import PICKS, find_row, read_front_csv
from ..journal import read_run
from ..nets.devices import repeatable, resolve_device
from ..nets.randomness import generator, initial_weights
from ..nets.training import (
    Recipe,
    load_training_state,
    make_optimizer,
    train_epochs,
    training_state,
)
from ..registry import last_run, stage_module
from ..settings import setting
from ..stage import EpochTraining
from .classification import Classification, quality_columns
from .settings import TrainingSettings

FROM_SEARCH = ("data", "root", "download", "device", "threads", "image_size", "score_batch")


@dataclass(frozen=True, kw_only=True)
class Settings(TrainingSettings):
    """What a full training can be told; data, image size and device are those of the search."""

    pick: str = setting("knee", f"row of the front: {', '.join(PICKS)}, or its number from 0 on")
    epochs: int = setting(60, "times that the network sees all images", least=1)
    batch: int = setting(64, "images a training step", least=1)
    learning_rate_end: float = setting(0.0, "at the last epoch", least=0)


PRESETS = {"digits": {}}


def build(from_run, **options):
    """The training; ``options`` are fields of :class:`Settings`.

    Args:
        from_run: run folder of a search for classifiers.

    Raises:
        ValueError: the search has not ended, or has no such row.
    """
    folder, name = last_run(from_run)
    searched = read_run(folder)[0]["settings"]
    taken = {key: searched[key] for key in FROM_SEARCH}
    problem = stage_module(name).build(**searched)
    return FullTraining(Settings(**taken | options), problem, read_front_csv(folder))


@dataclass(frozen=True)
class Trained:
    """What a full training ended with.

    Args:
        network: in evaluation mode.
        columns: quality by the images for the final test, a dict of floats.
    """

    network: torch.nn.Module
    columns: dict


class FullTraining(EpochTraining):
    """Trains one row of a front; ``run(seed=1)`` gives :class:`Trained`.

    Args:
        settings: :class:`Settings`.
        problem: that was searched.
        rows: of its front, a list of :class:`~moonas.front_file.FrontRow`.
    """

    in_words = "training a classifier from scratch"
    phase = "training from scratch"

    def __init__(self, settings, problem, rows):
        self.settings, self.problem = settings, problem
        self.info = describe(settings.data, settings.image_size)
        self.quality = quality_columns((), self.info)[0].name
        row = rows[find_row(rows, settings.pick, error=self.quality, size="params")]
        self.row, self.architecture = row, problem.architecture_from_json(row.architecture)
        self.inputs = checksums(self.info) | {"architecture": json.dumps(row.architecture)}
        self.device = resolve_device(settings.device)

    @property
    def n_epochs(self):
        """Epochs of the training."""
        return self.settings.epochs

    def start(self, seed):
        """The untrained network, and its images."""
        self.say(f"Network: {self.architecture}.")
        return _Training(self, seed)

    @staticmethod
    def line(epoch, told):
        """What an epoch reported, as a line of text."""
        return f"  epoch {epoch + 1:>3}: loss {told['loss']:.4f}"

    @staticmethod
    def result(training, scores):
        """A :class:`Trained`."""
        return Trained(training.network.eval(), scores)

    def report(self, trained, folder):
        """The lines to print."""
        tested, searched = trained.columns[self.quality], self.row.columns[self.quality]
        if not math.isfinite(tested):
            return ["The training diverged; no test. Lower learning_rate or clip."]
        return [
            f"Test {self.quality} {tested:.2f} %, after {self.n_epochs} epochs on all images to "
            f"search with; in the search its {self.quality} was {searched:.2f} %."
        ]


class _Training:
    """A network in training.

    Args:
        stage: a :class:`FullTraining`.
        seed: of the run.
    """

    def __init__(self, stage, seed):
        self.settings = s = stage.settings
        self.images = Classification(s, stage.info, stage.device, final=True)
        self.images.load()
        self.who = (seed, *stage.problem.encode(stage.architecture).tolist())
        shape = dict(n_classes=stage.info.n_classes, in_channels=stage.info.channels)
        with initial_weights(*self.who, "weights"):
            network = stage.problem.network(stage.architecture, **shape)
        self.network = network.to(stage.device, memory_format=torch.channels_last)
        self.recipe = Recipe.of(s, s.epochs)
        self.optimizer = make_optimizer(self.network, self.recipe)

    def train(self, epoch):
        """One epoch; a dict that tells of it."""
        with repeatable(self.settings.threads):
            return train_epochs(
                self.network,
                self.images.train,
                lambda: [self.network],
                self.optimizer,
                self.recipe,
                generator(*self.who, "batches", epoch),
                1,
                first=epoch,
                loss_of=self.images.loss,
                augment=self.images.augment,
            )

    def judge(self):
        """Columns of quality by the images for the final test, a dict of floats."""
        with repeatable(self.settings.threads):
            judged = self.images.judge(self.network.eval())
        return {name: float(v[0]) for name, v in self.images.columns([judged]).items()}

    def state(self):
        """All that training changes, as a flat dict of tensors."""
        return training_state(self.network, self.optimizer)

    def load_state(self, state):
        """Put back what :meth:`state` gave."""
        load_training_state(self.network, self.optimizer, state)
