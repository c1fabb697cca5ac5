"""Training from scratch of a classifier: a row of a front, or a published architecture.

The network is trained on the training and validation sets of the search, with the regularization
and the learning rate schedules that papers use. The test set is used only once, after the
last epoch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..data import checksums, cutout, describe
from ..data.augment import Mixing
from ..data.described import describe_form
from ..evaluators.classification import OPTIONAL, Classification, quality_columns
from ..evaluators.settings import picking_column
from ..metrics.timing import measure
from ..models.class_report import report_by_class, write_report
from ..models.model import MODEL, write_model
from ..models.zoo import Published, zoo
from ..nets.counting import count_macs, count_params
from ..nets.devices import repeatable, resolve_device, to_device
from ..nets.randomness import generator, initial_weights
from ..registry import settings_class, stage_module, training_settings_class
from ..run.folders import last_run
from ..run.front_file import (
    add_results,
    correlation_with_training,
    find_row,
    read_front_csv,
)
from ..run.journal import read_identity, total_seconds
from ..run.numbers import plural
from ..run.stage import EpochTraining
from ..settings import names_of, recorded_options, select, used_columns, with_former_values
from .plateau import Plateau
from .settings import Settings
from .sgd import (
    LOOP,
    EpochProgress,
    NetworkTraining,
    Recipe,
    checkpoint_step,
    cosine,
    load_training_state,
    make_optimizer,
    train_epoch,
    training_state,
)

if TYPE_CHECKING:
    from ..classifier import ClassifierProblem
    from ..data import ImageData
    from ..data.images import DataInfo
    from ..run.loop_checkpoints import LoopCheckpoints

SETTINGS_FROM_SEARCH = (
    "data",
    "root",
    "download",
    "device",
    "threads",
    "image_size",
    "image_channels",
    "resize",
    "stored_size",
    "on_bad_image",
    "data_in",
    "loader_workers",
    "mirror",
    "score_batch",
)
NOT_NETWORK_SETTINGS = {  # search settings that do not change the networks
    *("root", "download", "device", "from_run", "latency_table", "table", "objectives", "size"),
    *("data", "image_size", "image_channels", "resize", "stored_size", "on_bad_image"),
    *("data_in", "loader_workers", "subset"),
}


def build(from_run: str | Path | None = None, **options: Any) -> FullTraining:
    """Return the training stage for a row of a front or for a published architecture.

    Args:
        from_run: run folder of a search for classifiers; None for a published architecture.
        options: values for fields of :class:`Settings`.

    Raises:
        ValueError: the search has not ended, ``pick`` matches no row of its front, or the published
            architecture is unknown.
    """
    if from_run is None:
        return _published_training(options)
    folder, name = last_run(from_run)
    searched = _searched_settings(folder, name)
    settings = settings_for(folder, **options)
    info = describe(settings.data, **settings.image_form)
    replaced = settings.replaced_search_settings()
    problem = _load_problem(name, _network_settings(searched) | replaced)
    rows = read_front_csv(folder)
    error = picking_column(searched["objectives"], rows[0].columns if rows else ())
    number = find_row(rows, settings.pick, error=error, size="params")
    architecture = problem.architecture_from_json(rows[number].architecture)
    used = used_columns(searched["objectives"], searched.get("limits", ()))
    qualities = () if info.multi_label else set(used) & set(OPTIONAL)
    row = None if replaced else (folder, number)
    return FullTraining(settings, info, name, problem, architecture, row, qualities=qualities)


def settings_for(from_run: str | Path, **options: Any) -> Settings:
    """Return the settings that :func:`build` gives a training, without reading images."""
    folder, name = last_run(from_run)
    cls, searched = _settings_class(name), _searched_settings(folder, name)
    return cls(**recorded_options(cls, searched, only=SETTINGS_FROM_SEARCH) | options)


def _searched_settings(folder: Path, name: str) -> dict[str, Any]:
    return with_former_values(settings_class(name), read_identity(folder)["settings"])


def _published_training(options: Mapping[str, Any]) -> FullTraining:
    if options.get("architecture") is None:
        raise ValueError(
            "Nothing to train: expected a run folder, or the name of a published architecture "
            "(--architecture NAME)."
        )
    item = zoo(options["architecture"])
    settings = _settings_class(item.problem)(**options)
    info = describe(settings.data, **settings.image_form)
    problem = _load_problem(item.problem, {})
    return FullTraining(settings, info, item.problem, problem, item.architecture, published=item)


def _settings_class(problem: str) -> type[Settings]:
    """Return the Settings class of the training of a problem."""
    settings = training_settings_class(problem)
    assert issubclass(settings, Settings)
    return settings


def _network_settings(search_settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the search settings that change the networks."""
    return {key: value for key, value in search_settings.items() if key not in NOT_NETWORK_SETTINGS}


def _load_problem(name: str, options: Mapping[str, Any]) -> ClassifierProblem:
    known = names_of(settings_class(name))
    problem: ClassifierProblem = stage_module(name).build(
        **{key: value for key, value in options.items() if key in known}
    )
    return problem


def build_network(about: Mapping[str, Any]) -> nn.Module:
    """Return the untrained network that a model file describes; ``load_model`` calls this.

    Args:
        about: header of the model file; see :meth:`FullTraining.about`.
    """
    searched = with_former_values(settings_class(about["problem"]), about["searched"])
    problem = _load_problem(about["problem"], _network_settings(searched))
    architecture = problem.architecture_from_json(about["architecture"])
    return problem.network(architecture, **about["shape"])


@dataclass(frozen=True)
class TrainingResult:
    """Result of training from scratch.

    Args:
        network: trained network in evaluation mode, with its auxiliary classifier, if any.
        columns: name -> value of each quality column on the test set; NaN if the training diverged.
        data: data set on which the network was trained.
    """

    network: nn.Module
    columns: dict[str, float]
    data: ImageData


class FullTraining(EpochTraining):
    """Training of one architecture from scratch; ``run(seed=1)`` returns a :class:`TrainingResult`.

    Args:
        settings: settings of the training.
        info: description of the data set.
        name: name of the problem to which the architecture belongs.
        problem: problem to which the architecture belongs.
        architecture: architecture in the search space of the problem.
        row: (run folder, index of a row of the front) to which the results are added; None for
            another network, such as a published architecture.
        qualities: names of further quality columns to evaluate on the test set, such as
            robustness_error if it was an objective or limited in the search.
        published: the published architecture that is trained, if any.
    """

    settings: Settings
    description = "training a classifier from scratch"
    phase = "training from scratch"

    def __init__(
        self,
        settings: Settings,
        info: DataInfo,
        name: str,
        problem: ClassifierProblem,
        architecture: Any,
        row: tuple[Path, int] | None = None,
        *,
        qualities: Iterable[str] = (),
        published: Published | None = None,
    ) -> None:
        self.published = published
        self.settings, self.info, self.name, self.problem = settings, info, name, problem
        self.architecture, self.row, self.qualities = architecture, row, tuple(qualities)
        self.quality = quality_columns((), info)[0].name
        self.architecture_json = problem.architecture_to_json(architecture)
        self.inputs = checksums(info) | {"architecture": json.dumps(self.architecture_json)}
        self.device = resolve_device(settings.device)
        mixes = settings.mixup > 0 or settings.cutmix > 0
        if mixes and info.multi_label:
            raise ValueError(
                f"mixup={settings.mixup:g} and cutmix={settings.cutmix:g} are invalid for "
                f"{info.name}: expected 0, since its images can have several labels."
            )
        with torch.device("meta"):
            # raises ValueError if the network does not support a setting
            self.network(auxiliary=bool(settings.auxiliary))

    @property
    def shape(self) -> dict[str, Any]:
        """Keyword arguments of ``problem.network``, without ``auxiliary``."""
        shape: dict[str, Any] = dict(
            n_classes=self.info.n_classes,
            in_channels=self.info.channels,
            image_size=self.info.side,
        )
        if self.published is not None and self.settings.published_shape:
            shape |= self.published.shape_for(self.info.side, self._stem)[1]
        chosen = {name: getattr(self.settings, name) for name in self.settings.NETWORK}
        return shape | {key: value for key, value in chosen.items() if value is not None}

    @property
    def _stem(self) -> str:
        """The stem of a network of cells; it matters to published shapes."""
        of_training: str | None = getattr(self.settings, "stem", None)
        of_search: str = getattr(self.problem.settings, "stem", "auto")
        return of_training or of_search

    def network(self, auxiliary: bool = False) -> nn.Module:
        """Return the untrained network.

        Args:
            auxiliary: whether to include the auxiliary classifier.

        Raises:
            ValueError: the networks of this problem do not support a setting.
        """
        extra = {"auxiliary": True} if auxiliary else {}
        try:
            network = self.problem.network(self.architecture, **self.shape | extra)
        except TypeError as error:
            raise ValueError(
                f"Networks of {self.name} do not support one of these settings: {error}."
            ) from None
        if self.settings.drop_path and not hasattr(network, "set_drop_path"):
            raise ValueError(
                f"drop_path={self.settings.drop_path} is invalid: networks of {self.name} do not "
                "support path dropout; expected 0."
            )
        return network

    @property
    def n_epochs(self) -> int:
        """Number of epochs."""
        return self.settings.epochs

    def start(self, seed: int) -> ClassifierTrainer:
        """Return a trainer of the untrained network."""
        trainer = ClassifierTrainer(self, seed)
        with torch.device("meta"):
            text = f"Network: {self.architecture}; {count_params(self.network()):,} parameters"
        if self.published is not None:
            title, _ = self.published.shape_for(self.info.side, self._stem)
            params = self.published.counts.get(title, (None,))[0]
            if params is not None:
                text += f" (published network for {title}: {params:,})"
        self.log(f"{text}.")
        return trainer

    def line(self, epoch: int, metrics: dict[str, Any]) -> str:
        """Format the loss of an epoch and its score on held-out images as a line for the log."""
        text = f"  epoch {epoch + 1:>3}: loss {metrics['loss']:.4f}"
        score = metrics.get(f"held_out_{self.quality}")
        if score is not None:
            text += f", held-out {self.quality} {score:.2f} %, rate {metrics['learning_rate']:g}"
        return text

    def result(self, trainer: ClassifierTrainer, scores: dict[str, Any]) -> TrainingResult:
        """Return the trained network and its scores on the test set."""
        return TrainingResult(trainer.network.eval(), scores, trainer.images.data)

    def about(self, data: ImageData, scores: Mapping[str, float]) -> dict[str, Any]:
        """Return the header of ``model.pt``; see :func:`moonas.models.model.write_model`.

        Args:
            data: data set on which the network was trained.
            scores: name -> value of each quality column on the test set.
        """
        return {
            "kind": "classifier",
            "problem": self.name,
            "searched": _network_settings(vars(self.problem.settings)),
            "architecture": self.architecture_json,
            "description": str(self.architecture),
            "shape": self.shape,
            "input_shape": [self.info.channels, self.info.side, self.info.side],
            "classes": list(data.classes),
            "mean": data.mean.flatten().tolist(),
            "std": data.std.flatten().tolist(),
            "data": self.info.name,
            "resize": self.info.resize,
            "stored_size": self.info.stored,
            "multi_label": self.info.multi_label,
            "scores": scores,
        }

    def report(self, result: TrainingResult, folder: Path) -> list[str]:
        """Write model.pt and the scores by class, and add the results to the row in front.csv.

        Args:
            result: result of :meth:`run`.
            folder: run folder of the training.

        Returns:
            Lines to print.
        """
        score = result.columns[self.quality]
        if not math.isfinite(score):
            return [
                "The training diverged, so the network was not tested. A lower learning_rate or a "
                "smaller clip may help."
            ]
        network = self.network()
        state = result.network.state_dict()
        network.load_state_dict({k: v for k, v in state.items() if "auxiliary" not in k})
        shape = self.info.channels, self.info.side, self.info.side
        with repeatable(self.settings.threads):
            measured = measure(network, shape, self.device)
            columns = {
                **result.columns,
                "params": count_params(network),
                "macs": count_macs(network, *shape, count_fixed=self.problem.counts_fixed_weights),
                "latency_ms": measured.latency_ms,
                "seconds": total_seconds(folder, "train"),
            }
        write_model(folder / MODEL, network, self.about(result.data, result.columns))
        from ..models.card import write_measured  # loads torchvision

        write_measured(folder, columns, self.device, measured.busy)
        trained_on = "training and validation sets"
        if self.settings.schedule == "plateau":
            trained_on = "training set"
        note = ", measured while the machine seemed busy" if measured.busy else ""
        lines = [
            f"Test {self.quality} {score:.2f} % after {plural(self.n_epochs, 'epoch')} on the "
            f"{trained_on}; {columns['params']:,} params, "
            f"{columns['macs']:,} macs, {columns['latency_ms']:.2f} ms per image on "
            f"{self.device}{note}."
        ]
        with repeatable(self.settings.threads):
            by_class = report_by_class(
                result.network,
                result.data.test_images.map(result.data.info.form.center).to(self.device),
                result.data.test_labels.to(self.device),
                self.settings.score_batch,
                result.data.classes,
            )
        lines += write_report(by_class, folder)
        lines.append(f"Preprocessing, recorded in {MODEL}: {describe_form(self.info.form)}.")
        if self.row is None:
            return lines
        run, number = self.row
        value_in_search = read_front_csv(run)[number].columns.get(self.quality, math.nan)
        if math.isfinite(value_in_search):
            lines.append(f"In the search, its {self.quality} was {value_in_search:.2f} %.")
        add_results(run, number, columns)
        correlation = correlation_with_training(read_front_csv(run), self.quality)
        if correlation:
            lines.append(correlation)
        return lines


class ClassifierTrainer:
    """Trains and evaluates a classifier; see :class:`moonas.run.stage.Trainer`.

    Args:
        stage: training stage to which the trainer belongs.
        seed: seed of the run.
    """

    checkpoints: LoopCheckpoints | None = None

    def __init__(self, stage: FullTraining, seed: int) -> None:
        self.settings = s = stage.settings
        self.plateau = Plateau(s.learning_rate) if s.schedule == "plateau" else None
        self.images = Classification(
            s,
            stage.info,
            stage.device,
            stage.qualities,
            final=True,
            holds_out=self.plateau is not None,
        )
        self.images.load(stage.report_progress, stage.log)
        self.mix: Mixing | None = None
        if s.mixup or s.cutmix:
            self.mix = Mixing(stage.info.n_classes, s.mixup, s.cutmix)
        self.seeds = (seed, *stage.problem.encode(stage.architecture).tolist())
        with initial_weights(*self.seeds, "weights"):
            network = stage.network(auxiliary=bool(s.auxiliary))
        self.network: Any = to_device(network, stage.device)
        self.recipe = select(Recipe, s, horizon=s.epochs)
        self.optimizer = make_optimizer(self.network, self.recipe)

    def train(self, epoch: int) -> dict[str, Any]:
        """Train for one epoch, and return its loss, steps, skipped steps and learning rate."""
        s = self.settings
        rngs = {name: generator(*self.seeds, name, epoch) for name in ("batches", "paths")}
        training = NetworkTraining(self.network, self.optimizer, rngs)
        rate = learning_rate(epoch, s)
        if self.plateau is not None and epoch >= s.warmup_epochs:
            rate = self.plateau.rate
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if s.drop_path:
            progress = epoch / max(1, s.epochs - 1)
            self.network.set_drop_path(progress * s.drop_path, rngs["paths"])
        saved = {} if self.checkpoints is None else self.checkpoints.restore(LOOP, training)
        with repeatable(s.threads):
            report = train_epoch(
                self.network,
                self.images.train,
                lambda: [self._forward],
                self.optimizer,
                self.recipe,
                rngs["batches"],
                n_images=self.images.n_per_epoch,
                loss_function=self._loss,
                augment=self._augment,
                mix=self.mix,
                progress=EpochProgress.from_tensors(saved, self.images.train[0].device),
                after_step=checkpoint_step(self.checkpoints, training, {}),
            )
        metrics = {"loss": report.losses["loss"]} | report.as_dict() | {"learning_rate": rate}
        if self.plateau is not None:
            assert self.images.held_out is not None
            score = self._scores(self.images.held_out)[self.images.names[0]]
            self.plateau.step(score)
            metrics |= {f"held_out_{self.images.names[0]}": score}
        return metrics

    def _forward(self, images: Tensor) -> Any:
        with autocast(self.settings.precision, images.device):
            return self.network(images)

    def _loss(self, outputs: Tensor | tuple[Tensor, Tensor], labels: Tensor) -> Tensor:
        if not isinstance(outputs, tuple):
            return self._head_loss(outputs, labels)
        logits, auxiliary = outputs
        weight = self.settings.auxiliary
        return self._head_loss(logits, labels) + weight * self._head_loss(auxiliary, labels)

    def _head_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return self.images.loss(logits.float(), labels, self.settings.label_smoothing)

    def _augment(self, images: Tensor, rng: torch.Generator) -> Tensor:
        if self.images.augment is not None:
            images = self.images.augment(images, rng)
        return cutout(images, rng, self.settings.cutout) if self.settings.cutout else images

    def evaluate(self) -> dict[str, float]:
        """Return name -> value of each quality column on the test set."""
        return self._scores(self.images)

    def _scores(self, images: Classification) -> dict[str, float]:
        """Return name -> value of each quality column on images for validation."""
        with repeatable(self.settings.threads):
            counts = images.evaluate(self.network.eval())
        return {name: float(v[0]) for name, v in images.columns([counts]).items()}

    def state(self) -> dict[str, Tensor]:
        """Return all state that training changes, as a flat dict of tensors."""
        state = training_state(self.network, self.optimizer)
        return state if self.plateau is None else state | self.plateau.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore a state that :meth:`state` returned."""
        load_training_state(self.network, self.optimizer, state)
        if self.plateau is not None:
            self.plateau.load_state(state)


def learning_rate(epoch: int, settings: Settings) -> float:
    """Return the learning rate of an epoch: linear warm-up, then cosine or linear annealing.

    With schedule=plateau, it is the learning rate before the first plateau.

    Args:
        epoch: index of the epoch, starting at 0.
        settings: settings of the training.
    """
    s = settings
    if epoch < s.warmup_epochs:
        return s.learning_rate * (epoch + 1) / s.warmup_epochs
    done, horizon = epoch - s.warmup_epochs, max(1, s.epochs - s.warmup_epochs)
    if s.schedule == "plateau":
        return s.learning_rate
    if s.schedule == "cosine":
        return cosine(done, horizon, s.learning_rate, s.learning_rate_end)
    return s.learning_rate + (s.learning_rate_end - s.learning_rate) * done / horizon


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Return a context manager for a forward pass, which enables bfloat16 or does nothing.

    Args:
        precision: "mixed" for bfloat16, "full" for float32, or "auto" for bfloat16 on GPUs that
            support it and float32 elsewhere.
        device: device of the forward pass.
    """
    supported = device.type == "cuda" and torch.cuda.is_bf16_supported()
    if precision == "mixed" or (precision == "auto" and supported):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()
