"""The full training of a classifier: what a search has found, or what a paper has published.

From scratch, on all images to search with, by the recipes that papers train with; the images for
the final test are used once, at the end.
"""

import json
import math
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from ..data import checksums, cutout, describe
from ..evaluators.classification import Classification, quality_columns
from ..metrics.timing import measure_latency
from ..models.model import MODEL, write_model
from ..models.zoo import zoo
from ..nets.counting import count_macs, count_params
from ..nets.devices import repeatable, resolve_device
from ..nets.randomness import generator, initial_weights
from ..registry import settings_class, stage_module
from ..run.folders import last_run
from ..run.front_file import (
    add_results,
    correlation_with_training,
    find_row,
    read_front_csv,
)
from ..run.journal import read_run, seconds_of
from ..run.stage import EpochTraining
from ..settings import names_of, recorded_options, select
from .settings import Settings
from .sgd import (
    Recipe,
    cosine,
    load_training_state,
    make_optimizer,
    train_epoch,
    training_state,
)

FROM_SEARCH = ("data", "root", "download", "device", "threads", "image_size", "score_batch")
NOT_OF_THE_NETWORK = {  # settings of a search that do not say what its networks are
    *("root", "download", "device", "from_run", "latency_table", "table", "objectives", "size"),
    *("data", "image_size"),
}


def build(from_run=None, **options):
    """The training; ``options`` are fields of :class:`Settings`.

    Args:
        from_run: run folder of a search for classifiers; None for a published architecture.

    Raises:
        ValueError: the search has not ended or has no such row, or there is no such architecture.
    """
    if from_run is None:
        return _of_published(Settings(**options))
    folder, name = last_run(from_run)
    searched = read_run(folder)[0]["settings"]
    settings = Settings(**recorded_options(Settings, searched, only=FROM_SEARCH) | options)
    info = describe(settings.data, settings.image_size)
    problem = _problem(name, _of_network(searched))
    rows = read_front_csv(folder)
    quality = quality_columns((), info)[0].name
    searched_for = quality if rows and quality in rows[0].columns else "error"
    number = find_row(rows, settings.pick, error=searched_for, size="params")
    architecture = problem.architecture_from_json(rows[number].architecture)
    qualities = () if info.multi_label else set(searched["objectives"]) & {"robustness_error"}
    return FullTraining(
        settings, info, name, problem, architecture, (folder, number), qualities=qualities
    )


def _of_published(settings):
    if settings.architecture is None:
        raise ValueError("Name a run folder, or a published architecture (--architecture NAME).")
    item = zoo(settings.architecture)
    info = describe(settings.data, settings.image_size)
    return FullTraining(settings, info, item.problem, _problem(item.problem, {}), item.architecture)


def _of_network(searched):
    """What the settings of a search say of its networks."""
    return {key: value for key, value in searched.items() if key not in NOT_OF_THE_NETWORK}


def _problem(name, options):
    known = names_of(settings_class(name))
    own = {key: value for key, value in options.items() if key in known}
    return stage_module(name).build(**own)


def build_network(about):
    """The untrained network of a model that a full training has written, for ``load_model``.

    Args:
        about: what :meth:`FullTraining.about` gave.
    """
    problem = _problem(about["problem"], about["searched"])
    architecture = problem.architecture_from_json(about["architecture"])
    return problem.network(architecture, **about["shape"])


@dataclass(frozen=True)
class Trained:
    """What a full training ended with.

    Args:
        network: in evaluation mode, with its auxiliary classifier if it was trained with one.
        columns: quality by the images for the final test, a dict of floats; NaN if it diverged.
        data: an :class:`~moonas.data.ImageData`, what it was trained on.
    """

    network: torch.nn.Module
    columns: dict
    data: object


class FullTraining(EpochTraining):
    """Trains one architecture; ``run(seed=1)`` gives :class:`Trained`.

    Args:
        settings: :class:`Settings`.
        info: of the data.
        name: of the problem whose network it is.
        problem: the problem.
        architecture: in its space.
        row: (run folder, number of a row of its front), or None.
        qualities: columns of quality that are tested besides the first, such as robustness_error
            where it was an objective of the search.
    """

    description = "training a classifier from scratch"
    phase = "training from scratch"

    def __init__(self, settings, info, name, problem, architecture, row=None, *, qualities=()):
        self.settings, self.info, self.name, self.problem = settings, info, name, problem
        self.architecture, self.row, self.qualities = architecture, row, tuple(qualities)
        self.quality = quality_columns((), info)[0].name
        self.plain = problem.architecture_to_json(architecture)
        self.inputs = checksums(info) | {"architecture": json.dumps(self.plain)}
        self.device = resolve_device(settings.device)
        with torch.device("meta"):
            self.network(auxiliary=bool(settings.auxiliary))  # so that wrong words are found first

    @property
    def shape(self):
        """Arguments of ``problem.network``, but for the auxiliary classifier."""
        shape = dict(
            n_classes=self.info.n_classes,
            in_channels=self.info.channels,
            image_size=self.info.side,
        )
        chosen = {"channels": self.settings.channels, "layers": self.settings.layers}
        return shape | {key: value for key, value in chosen.items() if value is not None}

    def network(self, auxiliary=False):
        """The untrained network.

        Raises:
            ValueError: networks of this problem do not take what the settings ask for.
        """
        extra = {"auxiliary": True} if auxiliary else {}
        try:
            network = self.problem.network(self.architecture, **self.shape | extra)
        except TypeError as error:
            raise ValueError(f"Networks of {self.name} do not take this: {error}.") from None
        if self.settings.drop_path and not hasattr(network, "set_drop_path"):
            raise ValueError(f"drop_path will not do: networks of {self.name} have no such paths.")
        return network

    @property
    def n_epochs(self):
        """Epochs of the training."""
        return self.settings.epochs

    def start(self, seed):
        """The untrained network, and its images."""
        self.log(f"Network: {self.architecture}.")
        return _Training(self, seed)

    @staticmethod
    def line(epoch, metrics):
        """What an epoch reported, as a line of text."""
        return f"  epoch {epoch + 1:>3}: loss {metrics['loss']:.4f}"

    @staticmethod
    def result(training, scores):
        """A :class:`Trained`."""
        return Trained(training.network.eval(), scores, training.images.data)

    def about(self, data, scores):
        """What ``model.pt`` says of the network, see :func:`moonas.models.model.write_model`."""
        return {
            "kind": "classifier",
            "problem": self.name,
            "searched": _of_network(vars(self.problem.settings)),
            "architecture": self.plain,
            "description": str(self.architecture),
            "shape": self.shape,
            "input_shape": [self.info.channels, self.info.side, self.info.side],
            "classes": list(data.classes),
            "mean": data.mean.flatten().tolist(),
            "std": data.std.flatten().tolist(),
            "data": self.info.name,
            "multi_label": self.info.multi_label,
            "scores": scores,
        }

    def report(self, trained, folder):
        """Write model.pt, and the result beside the row of the front; the lines to print."""
        tested = trained.columns[self.quality]
        if not math.isfinite(tested):
            return ["The training diverged; no test. Lower learning_rate or clip."]
        plain = self.network()
        kept = {k: v for k, v in trained.network.state_dict().items() if "auxiliary" not in k}
        plain.load_state_dict(kept)
        shape = self.info.channels, self.info.side, self.info.side
        with repeatable(self.settings.threads):
            result = {
                **trained.columns,
                "params": count_params(plain),
                "macs": count_macs(plain, *shape),
                "latency_ms": measure_latency(plain, shape, self.device),
                "seconds": seconds_of(folder, "train"),
            }
        write_model(folder / MODEL, plain, self.about(trained.data, trained.columns))
        lines = [
            f"Test {self.quality} {tested:.2f} %, after {self.n_epochs} epochs on all images to "
            f"search with; {result['params']:,} params, {result['macs']:,} macs, "
            f"{result['latency_ms']:.2f} ms an image on {self.device}."
        ]
        if self.row is None:
            return lines
        run, number = self.row
        searched = read_front_csv(run)[number].columns.get(self.quality, math.nan)
        if math.isfinite(searched):
            lines.append(f"In the search its {self.quality} was {searched:.2f} %.")
        add_results(run, number, result)
        found = correlation_with_training(read_front_csv(run), self.quality)
        if found is not None:
            lines.append(
                f"{found[1]} rows of the front have been trained; the rank correlation of their "
                f"{self.quality} in the search and in the test is {found[0]:.2f}."
            )
        return lines


class _Training:
    """A network in training.

    Args:
        stage: a :class:`FullTraining`.
        seed: of the run.
    """

    def __init__(self, stage, seed):
        self.settings = s = stage.settings
        self.images = Classification(s, stage.info, stage.device, stage.qualities, final=True)
        self.images.load()
        self.who = (seed, *stage.problem.encode(stage.architecture).tolist())
        with initial_weights(*self.who, "weights"):
            network = stage.network(auxiliary=bool(s.auxiliary))
        self.network = network.to(stage.device, memory_format=torch.channels_last)
        self.recipe = select(Recipe, s, horizon=s.epochs)
        self.optimizer = make_optimizer(self.network, self.recipe)

    def train(self, epoch):
        """One epoch; a dict that tells of it."""
        s = self.settings
        rng = generator(*self.who, "batches", epoch)
        rate = learning_rate(epoch, s)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if s.drop_path:
            share = epoch / max(1, s.epochs - 1)
            self.network.set_drop_path(share * s.drop_path, generator(*self.who, "paths", epoch))
        with repeatable(s.threads):
            report = train_epoch(
                self.network,
                self.images.train,
                lambda: [self._predict],
                self.optimizer,
                self.recipe,
                rng,
                loss_of=self._loss,
                augment=self._augment,
            )
        return {"loss": report.losses["loss"]} | report.as_dict() | {"learning_rate": rate}

    def _predict(self, images):
        with mixed(self.settings.precision, images.device):
            return self.network(images)

    def _loss(self, outputs, labels):
        if not isinstance(outputs, tuple):
            return self._one_loss(outputs, labels)
        logits, auxiliary = outputs
        weight = self.settings.auxiliary
        return self._one_loss(logits, labels) + weight * self._one_loss(auxiliary, labels)

    def _one_loss(self, logits, labels):
        if self.settings.label_smoothing and labels.ndim == 1:
            smoothing = self.settings.label_smoothing
            return F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)
        return self.images.loss(logits.float(), labels)

    def _augment(self, images, rng):
        if self.images.augment is not None:
            images = self.images.augment(images, rng)
        return cutout(images, rng, self.settings.cutout) if self.settings.cutout else images

    def evaluate(self):
        """Columns of quality by the images for the final test, a dict of floats."""
        with repeatable(self.settings.threads):
            judged = self.images.evaluate(self.network.eval())
        return {name: float(v[0]) for name, v in self.images.columns([judged]).items()}

    def state(self):
        """All that training changes, as a flat dict of tensors."""
        return training_state(self.network, self.optimizer)

    def load_state(self, state):
        """Put back what :meth:`state` gave."""
        load_training_state(self.network, self.optimizer, state)


def learning_rate(epoch, settings):
    """Learning rate of an epoch: a straight rise for some epochs, then a cosine or a line down."""
    s = settings
    if epoch < s.warmup_epochs:
        return s.learning_rate * (epoch + 1) / s.warmup_epochs
    done, horizon = epoch - s.warmup_epochs, max(1, s.epochs - s.warmup_epochs)
    if s.schedule == "cosine":
        return cosine(done, horizon, s.learning_rate, s.learning_rate_end)
    return s.learning_rate + (s.learning_rate_end - s.learning_rate) * done / horizon


def mixed(precision, device):
    """The context that a forward pass computes in: bfloat16 where it is asked for."""
    able = device.type == "cuda" and torch.cuda.is_bf16_supported()
    if precision == "mixed" or (precision == "auto" and able):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()
