"""CARS as a pymoo problem: its settings, its evaluator, and the search of the paper."""

import hashlib
import json
import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from moonas.algorithms.named import algorithm
from moonas.algorithms.pnsga3 import CUTS, SECOND_SORTS
from moonas.data import describe, load, shift_and_flip, split
from moonas.metrics.error import count_wrong, error_percent
from moonas.metrics.latency import measure_latency, read_latency_table
from moonas.nets.cell_network import CellNetwork
from moonas.nets.counting import CellCosts
from moonas.nets.devices import repeatable, resolve_device, side_by_side
from moonas.nets.parts import network_parts, space_parts
from moonas.nets.randomness import generator, initial_weights
from moonas.nets.training import (
    Recipe,
    cosine,
    make_optimizer,
    momentum_of,
    restore_momentum,
    train_epoch,
)
from moonas.operators import CategoricalSampling, NodeCrossover, NodeReset, SameRow
from moonas.problem import Column, MovingProblem, SearchFailed
from moonas.published import Published
from moonas.settings import SearchSettings, check_objectives, require, setting

from . import space, zoo
from .operators import CARSMating
from .supernet import Supernet

OBJECTIVES = ("error", "params", "macs", "latency_ms")


@dataclass(frozen=True, kw_only=True)
class Settings(SearchSettings):
    """What a CARS search can be told; the defaults suit digits and are small."""

    objectives: tuple[str, ...] = setting(
        ("error", "params"), f"columns to minimise, two or more of {', '.join(OBJECTIVES)}"
    )
    size: str | None = setting(
        None, "objective that pNSGA-III takes for the size; none: the second, or the first of two"
    )
    population: int = setting(24, "P, architectures that survive a generation")
    generations: int = setting(
        16, "horizon of the learning rate, in generations; the first one is the warm-up's"
    )
    expand: float = setting(1.0, "t, offspring a generation in units of the population")
    protection: str = setting(
        "growth",
        "second sort: growth of accuracy, size as released, or none",
        (*SECOND_SORTS, "none"),
    )
    cut: str = setting("niching", "how pNSGA-III cuts the last front", CUTS)
    weights: str = setting(
        "shared", "shared weights that train on, or frozen after one training", ("shared", "frozen")
    )
    warmup_epochs: int = setting(15, "epochs of uniform sampling before the first generation")
    epochs: int = setting(2, "epochs of training a generation")
    frozen_epochs: int = setting(40, "epochs of uniform sampling where weights=frozen")
    supernet_seed: int = setting(0, "seed of the supernet where weights=frozen; not the run's")
    architectures_per_step: int = setting(1, "B of eq. 3, architectures a training step")
    batch: int = setting(32, "images a training step")
    learning_rate: float = setting(0.1, "at the start; falls along a cosine")
    learning_rate_end: float = setting(0.001, "at the horizon, and from there on")
    momentum: float = setting(0.9, "of SGD")
    weight_decay: float = setting(3e-4, "of SGD; what a step does not use does not decay")
    clip: float = setting(5.0, "norm that a gradient is clipped to")
    score_batch: int = setting(360, "validation images a batch; normalisation is over the batch")
    channels: int = setting(16, "channels of the supernet's first cell")
    layers: int = setting(3, "cells of the supernet")
    image_size: int | None = setting(None, "pixels a side; none takes the data set's own")
    target_channels: int | None = setting(
        None, "channels of the network that params, macs and latency belong to; none: channels"
    )
    target_layers: int | None = setting(None, "cells of that network; none: layers")
    latency_batch: int = setting(1, "images a pass when latency is measured")
    latency_bound: float = setting(100.0, "ms, upper end of latency in hypervolumes")
    latency_table: str | None = setting(None, "file of latencies to sum up instead of measuring")

    def __post_init__(self):
        super().__post_init__()
        for name in (
            *("epochs", "architectures_per_step", "batch", "score_batch", "channels", "layers"),
            "latency_batch",
        ):
            require(getattr(self, name) >= 1, self, name, "at least 1")
        for name in ("target_channels", "target_layers"):
            value = getattr(self, name)
            require(value is None or value >= 1, self, name, "none, or at least 1")
        for name in ("warmup_epochs", "frozen_epochs", "learning_rate_end", "weight_decay"):
            require(getattr(self, name) >= 0, self, name, "0 or more")
        for name in ("expand", "learning_rate", "clip", "latency_bound"):
            require(getattr(self, name) > 0, self, name, "more than 0")
        check_objectives(self.objectives, OBJECTIVES)
        sizes = [name for name in self.objectives if name != "error"]
        require(self.size is None or self.size in sizes, self, "size", f"one of {sizes}")


PRESETS = {
    "digits": {},
    # Section 4.2; learning rate, clipping and weight decay are DARTS's, as the release has them.
    # 45 generations of 10 epochs follow on 50 of warm-up: 500 epochs.
    "paper": dict(
        data="cifar10",
        population=128,
        generations=46,
        warmup_epochs=50,
        epochs=10,
        frozen_epochs=500,
        batch=128,
        learning_rate=0.025,
        channels=16,
        layers=8,
        score_batch=500,
        target_channels=36,
        target_layers=20,
    ),
}


def build(**options):
    """The problem; ``options`` are fields of :class:`Settings`."""
    return CARS(Settings(**options))


class CARSEvaluator:
    """A supernet, the images it trains on and those that it scores architectures with.

    Half of the images to search with trains the weights, the other half validates architectures.
    Scores are errors on the validation images under the shared weights, each path normalised by its
    own statistics over batches of at most ``score_batch`` images, always the same ones; so a score
    does not depend on who else is scored.

    Args:
        settings: a :class:`Settings`.
        info: of the data set.
        costs: a :class:`~moonas.nets.counting.CellCosts` of the target network.
        tell: (phase, done, total) -> None, told after each epoch.
        latency_table: milliseconds by part, to sum up; None measures.
    """

    trains = True

    def __init__(self, settings, info, costs, tell, latency_table=None):
        self.settings, self.info, self.costs, self.tell = settings, info, costs, tell
        self.latency_table = latency_table
        self.device = resolve_device(settings.device)
        self.latencies = {}  # architecture -> ms, as measured in this run
        self.net = None
        self._train = self._validation = None
        self._warm = None  # report of the one training, where weights are frozen

    def begin(self, seed):
        """Untrained weights from a seed; frozen weights stay, and have a seed of their own."""
        self.latencies = {}
        if self._warm is not None:
            return
        if self._train is None:
            self._load_images()
        s = self.settings
        seed = s.supernet_seed if s.weights == "frozen" else seed
        with initial_weights(seed, "weights"):
            net = Supernet(
                channels=s.channels,
                layers=s.layers,
                n_classes=self.info.n_classes,
                in_channels=self.info.channels,
                image_size=self.info.side,
            )
        self.net = net.to(self.device, memory_format=torch.channels_last)
        moving = s.warmup_epochs + (s.generations - 1) * s.epochs
        self.recipe = Recipe(
            batch=s.batch,
            learning_rate=s.learning_rate,
            learning_rate_end=s.learning_rate_end,
            momentum=s.momentum,
            weight_decay=s.weight_decay,
            clip=s.clip,
            horizon=s.frozen_epochs if s.weights == "frozen" else moving,
        )
        self.optimizer = make_optimizer(self.net, self.recipe)
        self.batches = generator(seed, "batches")
        self.paths = generator(seed, "paths")
        self.epoch = 0

    def warm_up(self):
        """Train with a new random architecture at each step (section 3.4), or once for all."""
        s = self.settings
        if s.weights == "shared":
            return self._run_epochs("warming up", s.warmup_epochs, self._random_architectures)
        if self._warm is None:
            self._warm = self._run_epochs("training", s.frozen_epochs, self._random_architectures)
        return self._warm

    def train(self, architectures):
        """One generation's training on B random ones of ``architectures`` at each step (eq. 3)."""
        n, many = len(architectures), self.settings.architectures_per_step

        def draw():
            chosen = torch.randperm(n, generator=self.paths)[:many]
            return [architectures[i] for i in chosen.tolist()]

        return self._run_epochs("training", self.settings.epochs, draw)

    def score(self, architectures):
        """Columns error (%), params, macs and, if it is an objective, latency_ms, each (n,)."""
        s = self.settings
        results = side_by_side(
            self._wrong, architectures, workers=s.workers, threads=s.threads, device=self.device
        )
        wrong, finite = (torch.stack(column) for column in zip(*results, strict=True))
        wrong = torch.where(finite, wrong.double(), math.nan).cpu().numpy()
        X = np.array([space.encode(a) for a in architectures])
        params, macs = self.costs.count(*space.edges(X)).T
        columns = {
            "error": error_percent(wrong, len(self._validation[0])),
            "params": params,
            "macs": macs,
        }
        if "latency_ms" in s.objectives:
            columns["latency_ms"] = np.array([self._latency(a) for a in architectures])
        return columns

    def remember(self, architectures, columns):
        """Take over measured columns, as recorded by an earlier part of the run."""
        self.latencies.update(zip(architectures, columns["latency_ms"].tolist(), strict=True))

    def state(self):
        """All that training changes, as a flat dict of tensors."""
        tensors = {f"weights.{k}": v for k, v in self.net.state_dict().items()}
        momentum = momentum_of(self.net, self.optimizer)
        tensors |= {f"momentum.{k}": v for k, v in momentum.items()}
        tensors |= {"batches": self.batches.get_state(), "paths": self.paths.get_state()}
        return tensors | {"epoch": torch.tensor(self.epoch)}

    def load_state(self, state):
        """Put back what :meth:`state` gave."""
        parts = {"weights": {}, "momentum": {}}
        for key, tensor in state.items():
            kind, _, name = key.partition(".")
            if name:
                parts[kind][name] = tensor
        self.net.load_state_dict(parts["weights"])
        restore_momentum(self.net, self.optimizer, parts["momentum"])
        self.batches.set_state(state["batches"])
        self.paths.set_state(state["paths"])
        self.epoch = int(state["epoch"])

    def _load_images(self):
        s = self.settings
        data = load(s.data, root=s.root, download=s.download, image_size=s.image_size)
        halves = split(data.labels, len(data.labels) // 2)
        self._train, self._validation = (
            (
                data.images[rows].to(self.device, memory_format=torch.channels_last),
                data.labels[rows].to(self.device),
            )
            for rows in halves
        )

    def _random_architectures(self):
        share = torch.rand(
            self.settings.architectures_per_step,
            space.N_VAR,
            generator=self.paths,
            dtype=torch.float64,
        )
        return [space.decode(x) for x in (share.numpy() * space.N_CHOICES).astype(int)]

    def _run_epochs(self, phase, epochs, draw):
        augment = None
        if self.info.padding or self.info.flip:
            augment = partial(shift_and_flip, padding=self.info.padding, flip=self.info.flip)
        report, steps, skipped = None, 0, 0
        with repeatable(self.settings.threads):
            for done in range(epochs):
                self.tell(phase, done, epochs)
                for group in self.optimizer.param_groups:
                    group["lr"] = cosine(
                        self.epoch,
                        self.recipe.horizon,
                        self.recipe.learning_rate,
                        self.recipe.learning_rate_end,
                    )
                report = train_epoch(
                    self.net, self._train, draw, self.optimizer, self.recipe, self.batches, augment
                )
                self.epoch += 1
                steps, skipped = steps + report.steps, skipped + report.skipped
        self.tell(phase, epochs, epochs)
        if epochs and not steps:
            raise SearchFailed(
                f"Every step of {epochs} epochs had a loss or a gradient that is not finite. "
                f"learning_rate={self.settings.learning_rate} is too high for this data."
            )
        loss = report.loss if report else math.nan
        return {"epochs": epochs, "steps": steps, "skipped": skipped, "loss": loss}

    def _wrong(self, architecture):
        images, labels = self._validation
        return count_wrong(
            lambda x: self.net(x, architecture), images, labels, self.settings.score_batch
        )

    def _latency(self, architecture):
        if architecture not in self.latencies:
            self.latencies[architecture] = self._look_up_or_measure(architecture)
        return self.latencies[architecture]

    def _look_up_or_measure(self, architecture):
        s, shape = self.settings, target_shape(self.settings, self.info)
        if self.latency_table is not None:
            parts = network_parts(architecture.normal, architecture.reduction, **shape)
            return sum(self.latency_table[part.key] for part in parts)
        network = CellNetwork(architecture.normal, architecture.reduction, **shape)
        pixels = (self.info.channels, self.info.side, self.info.side)
        with repeatable(s.threads):
            return measure_latency(network, pixels, self.device, s.latency_batch)


def target_shape(settings, info):
    """Arguments of the network that params, macs and latency belong to."""
    return dict(
        channels=settings.target_channels or settings.channels,
        layers=settings.target_layers or settings.layers,
        n_classes=info.n_classes,
        in_channels=info.channels,
        image_size=info.side,
    )


class CARS(MovingProblem):
    """Cells of the DARTS space by error, size and speed, under weights that train as it goes."""

    growth_of = "error"

    def __init__(self, settings):
        self.info = describe(settings.data, settings.image_size)
        self.costs = CellCosts(space.OPERATIONS, **target_shape(settings, self.info))
        largest = self.costs.fixed[-1, -1] + sum(
            self.costs.table[kind, : node + 2].max(axis=(0, 1)) * 2
            for kind in (0, 1)
            for node in range(space.N_NODES)
        )
        columns = [
            Column("error", "%", worst=100.0, bounds=(0, 100)),
            Column("params", "parameters", bounds=(0, int(largest[0]))),
            Column("macs", "multiply-adds", bounds=(0, int(largest[1]))),
        ]
        if "latency_ms" in settings.objectives:
            bounds = (0, settings.latency_bound)
            columns.append(Column("latency_ms", "ms", bounds=bounds, measured=True))
        columns.append(Column("growth", "% an epoch", direction="max"))
        super().__init__(
            settings, columns=columns, n_choices=space.N_CHOICES, nodes=list(space.NODES)
        )
        resolve_device(settings.device)
        self.latency_table = None
        if settings.latency_table is not None:
            keys = [part.key for part in self.operations()]
            self.latency_table = read_latency_table(settings.latency_table, keys)
            text = json.dumps(self.latency_table, sort_keys=True)
            self.inputs = {"latency_table": hashlib.sha256(text.encode()).hexdigest()}

    @property
    def pnsga3_options(self):
        """What the settings ask of pNSGA-III."""
        s = self.settings
        second = {} if s.protection == "none" else {"second": s.protection}
        return second | {"cut": s.cut, "size": s.size}

    @property
    def moves(self):
        """Whether weights train on during a run."""
        return self.settings.weights == "shared"

    def make_evaluator(self):
        """The :class:`CARSEvaluator`; images and weights come at its first use."""
        return CARSEvaluator(self.settings, self.info, self.costs, self.tell, self.latency_table)

    def decode(self, x):
        """The :class:`~problems.cars.space.Architecture` of a row."""
        return space.decode(x)

    def encode(self, architecture):
        """The row of an architecture."""
        return space.encode(architecture)

    def architecture_to_json(self, architecture):
        """A dict that JSON can hold."""
        return space.to_json(architecture)

    def architecture_from_json(self, value):
        """The architecture of such a dict."""
        return space.from_json(value)

    def operators(self):
        """Sampling, crossover, mutation and duplicate elimination for any genetic algorithm."""
        return dict(
            sampling=CategoricalSampling(),
            crossover=NodeCrossover(),
            mutation=NodeReset(prob=0.5),
            eliminate_duplicates=SameRow(),
        )

    def algorithm(self):
        """The paper's search: NSGA-III, offspring of section 4.1, and pNSGA-III's survival."""
        s = self.settings
        return algorithm(
            "nsga3" if s.protection == "none" else "pnsga3",
            self,
            s.population,
            n_offsprings=max(1, round(s.expand * s.population)),
            mating=CARSMating(eliminate_duplicates=SameRow()),
        )

    def network(self, architecture, **shape):
        """The stand-alone network, a ``CellNetwork``; of the target's shape by default."""
        shape = target_shape(self.settings, self.info) | shape
        return CellNetwork(architecture.normal, architecture.reduction, **shape)

    def operations(self):
        """Every operation at every shape it can take in the target network, and the fixed parts."""
        shape = target_shape(self.settings, self.info)
        return space_parts(space.OPERATIONS, space.N_NODES, **shape)

    def zoo(self):
        """Published architectures of the space, counted at the two shapes that papers print."""
        shapes = {
            "CIFAR-10, 36 channels, 20 cells": {},
            "ImageNet, 48 channels, 14 cells": dict(
                channels=48, layers=14, n_classes=1000, image_size=224
            ),
        }
        items = zoo.architectures()
        X = np.array([space.encode(a) for a in items.values()])
        counts = {
            words: CellCosts(space.OPERATIONS, **shape).count(*space.edges(X)).tolist()
            for words, shape in shapes.items()
        }
        return [
            Published(
                name,
                "cars",
                architecture,
                zoo.source(name),
                {words: tuple(rows[i]) for words, rows in counts.items()},
            )
            for i, (name, architecture) in enumerate(items.items())
        ]


__all__ = ["CARS", "PRESETS", "CARSEvaluator", "Settings", "build"]
