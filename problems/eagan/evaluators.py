"""Training and evaluation of GANs during a search (section 4).

Stage 1 uses :class:`ManyToOne`: many generators train against one discriminator. Stage 2 uses
:class:`OneToOne`: each discriminator trains with its own generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from moonas.evaluators.supernet import random_architectures
from moonas.files.tensors import part_of_state
from moonas.nets.devices import map_in_threads, repeatable, resolve_device, to_device
from moonas.nets.randomness import generator as random_generator
from moonas.nets.randomness import initial_weights
from moonas.problem import Evaluator
from moonas.run.candidates import Candidates
from moonas.settings import select
from moonas.training.report import require_a_step
from moonas.training.sgd import load_training_state, training_state

from .discriminator_net import SuperDiscriminator
from .generation import Generate, ImageQuality
from .generator_net import Generator, SuperGenerator
from .settings import DiscriminatorSettings, GanSearchSettings
from .space import Architecture
from .training import (
    ADVICE,
    AdversarialTraining,
    RandomStreams,
    Recipe,
    Score,
    TrainingPair,
    adversarial_state,
    load_adversarial_state,
    require_generator_steps,
    train_adversarially,
)

if TYPE_CHECKING:
    from .gan_problem import GanProblem

DiscriminatorKey = tuple[int, ...]  # canonical row of a discriminator
QualityScores = tuple[float, float]  # fid, inverse_is


class GanEvaluator(Evaluator):
    """Base class that trains networks and evaluates generators; subclasses build the networks.

    A subclass implements ``build_networks(seed)``, ``warm_up()``, ``train(candidates)``,
    ``trained_networks``, and ``networks_of(architecture)``, which returns the generator and the
    discriminator of an architecture as functions.

    Training reports contain ``d_loss`` and ``g_loss``, the mean hinge losses, and ``d_accuracy``,
    see :meth:`discriminator_accuracy`.

    Args:
        problem: problem that uses the evaluator.

    Attributes:
        first_population: architectures of the first population; empty if they are unknown.
    """

    trains = True
    settings: GanSearchSettings
    D: nn.Module
    d_optimizer: torch.optim.Optimizer

    def __init__(self, problem: GanProblem) -> None:
        self.settings, self.problem = problem.settings, problem
        self.device: torch.device = resolve_device(self.settings.device)
        self.quality = ImageQuality(self.settings, problem.info, self.device)
        self.recipe = select(Recipe, self.settings)
        self.first_population: Sequence[Any] = ()

    def begin(self, seed: int) -> None:
        """Load the data set, sample the latent vectors of evaluations, and build the networks."""
        self.quality.load(self.problem.callbacks)
        s = self.settings
        self.seed = seed
        self.streams = RandomStreams.from_seed(seed, "training")
        latents = torch.randn(s.score_images, s.latent, generator=random_generator(seed, "scores"))
        self.latents = latents.to(self.device)
        self.first_population = ()
        self.build_networks(seed)

    def warm_up_for(self, candidates: Candidates) -> dict[str, Any]:
        """Run the warm-up of a search that starts with these candidates."""
        self.first_population = candidates.architectures
        return self.warm_up()

    def build_networks(self, seed: int) -> None:
        """Build the networks with untrained weights."""
        raise NotImplementedError

    def networks_of(self, architecture: Any) -> tuple[Generate, Score]:
        """Return the generator and the discriminator of an architecture, as functions."""
        raise NotImplementedError

    @property
    def trained_networks(self) -> dict[str, tuple[nn.Module, torch.optim.Optimizer]]:
        """Networks and their optimizers, by the prefix of their state in a checkpoint."""
        raise NotImplementedError

    def sample_images(self, generator: Generate, n: int) -> Tensor:
        """Return n generated images as pixels in [0, 1], on the CPU.

        The latent vectors are the first n of the evaluations of the run.
        """
        with repeatable(self.settings.threads):
            return self.quality.generate(generator, self.latents[:n]).cpu()

    def score(self, candidates: Candidates) -> dict[str, np.ndarray]:
        """Return the columns fid, inverse_is, params and macs, each of shape (n,).

        Args:
            candidates: n candidates.
        """
        params, macs = self.problem.count(candidates).T
        return self.quality_scores(candidates) | {"params": params, "macs": macs}

    def quality_scores(self, candidates: Candidates) -> dict[str, np.ndarray]:
        """Return the columns fid and inverse_is of n candidates, each of shape (n,)."""
        return self.evaluate_generators([self.networks_of(a)[0] for a in candidates])

    def evaluate_generators(self, generators: Sequence[Generate]) -> dict[str, np.ndarray]:
        """Return the columns fid and inverse_is of n generators, each of shape (n,).

        Both are NaN for a generator whose evaluation failed, see :meth:`.ImageQuality.evaluate`.
        """
        s = self.settings
        results = map_in_threads(
            lambda generator: self.quality.evaluate(generator, self.latents),
            generators,
            workers=s.workers,
            threads=s.threads,
            device=self.device,
        )
        return {name: np.array([r[name] for r in results]) for name in ("fid", "inverse_is")}

    def run_epochs(
        self,
        phase: str,
        epochs: int,
        sample_pairs: Callable[[], Sequence[TrainingPair]],
        discriminator: nn.Module,
        d_optimizer: torch.optim.Optimizer,
        d_steps: int | None = None,
    ) -> dict[str, Any]:
        """Train for a number of epochs with :func:`.training.train_adversarially`.

        Args:
            phase: name of the training in progress bars.
            epochs: number of epochs.
            sample_pairs: function that returns the pairs of networks to train in a step.
            discriminator: discriminator or supernet that contains the weights of all
                discriminators.
            d_optimizer: optimizer of ``discriminator``.
            d_steps: discriminator steps per generator step; by default, as in the settings.

        Returns:
            The report of the training, as a dict that can be stored as JSON.

        Raises:
            ValueError: the training has fewer than ``d_steps`` discriminator steps.
        """
        if self.checkpoints is not None:
            finished = self.checkpoints.report(phase)
            if finished is not None:
                return finished
        images = self.quality.images
        assert images is not None
        networks = dict(self.trained_networks)
        if discriminator is not self.D:
            networks["other d"] = (discriminator, d_optimizer)
        recipe = self.recipe if d_steps is None else replace(self.recipe, d_steps=d_steps)
        require_generator_steps(recipe, epochs, len(images))
        on_progress = self.problem.callbacks.on_progress
        with repeatable(self.settings.threads):
            report = train_adversarially(
                images,
                sample_pairs,
                discriminator,
                d_optimizer,
                recipe,
                self.streams,
                epochs,
                on_epoch=lambda done: on_progress(phase, done, epochs, "epochs"),
                loop=phase,
                checkpoints=self.checkpoints,
                training=AdversarialTraining(networks, self.streams),
            )
        require_a_step(report, advice=ADVICE)
        result = {"epochs": epochs} | report.as_dict()
        if self.checkpoints is not None:
            self.checkpoints.finish(phase, result)
        return result

    def discriminator_accuracy(self, architectures: Sequence[Any]) -> float:
        """Return how well the discriminators tell real from generated images, in percent.

        Args:
            architectures: architectures, each with a generator and a discriminator.

        Returns:
            The median over the architectures of the mean of two shares: held-out real images with a
            positive score, and generated images with a score that is not positive. A random guess
            has 50 %; NaN if there are no architectures.
        """
        s, held_out = self.settings, self.quality.held_out
        assert held_out is not None
        real = torch.split(held_out, s.score_batch)
        latents = torch.split(self.latents[: len(held_out)], s.score_batch)

        def accuracy(architecture: Any) -> float:
            generate, score = self.networks_of(architecture)
            real_share = torch.cat([score(x) > 0 for x in real]).double().mean()
            fake_share = torch.cat([score(generate(z)) <= 0 for z in latents]).double().mean()
            return 50 * float(real_share + fake_share)

        with unchanged_buffers(self.D):
            accuracies = map_in_threads(
                accuracy, architectures, workers=s.workers, threads=s.threads, device=self.device
            )
        return float(np.median(accuracies)) if accuracies else math.nan

    def accuracy_after_warm_up(self) -> dict[str, float]:
        """Return ``d_accuracy`` of the first population, unless there was no warm-up."""
        if not self.settings.warmup_epochs:
            return {}
        return {"d_accuracy": self.discriminator_accuracy(self.first_population)}

    def sample_for_warm_up(self) -> list[Any]:
        """Return the architectures that the next step of the warm-up trains.

        They are new random architectures or, with ``warmup_networks=population``, members of the
        first population.
        """
        n = self.settings.networks_per_step
        if self.settings.warmup_networks == "population" and self.first_population:
            return [
                self.first_population[i] for i in self.sample_indices(len(self.first_population))
            ]
        return [self.random_architecture() for _ in range(n)]

    def sample_indices(self, n: int) -> list[int]:
        """Return ``networks_per_step`` different indices in [0, n), sampled uniformly."""
        k = min(self.settings.networks_per_step, n)
        if k == 1:
            return [int(torch.randint(n, (), generator=self.streams.paths))]
        indices: list[int] = torch.randperm(n, generator=self.streams.paths)[:k].tolist()
        return indices

    def random_architecture(self) -> Any:
        """Return an architecture whose genes are sampled uniformly and independently."""
        p = self.problem
        return random_architectures(1, p.n_choices, p.decode, self.streams.paths)[0]

    def state(self) -> dict[str, Tensor]:
        """Return networks, optimizers and random streams as a flat dict of tensors."""
        features = {"features": self.quality.fingerprint}
        return adversarial_state(self.trained_networks, self.streams) | features

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state that :meth:`state` returned.

        Raises:
            ValueError: the run was evaluated with a different feature network.
        """
        self.quality.check_fingerprint(state["features"])
        load_adversarial_state(self.trained_networks, self.streams, state)


class ManyToOne(GanEvaluator):
    """Stage 1: all generators share SuperNet-G and train against one discriminator (eqs. 6 to 8).

    In the coupled search of figure 6, architectures are instances of
    :class:`.space.ArchitecturePair`, and all discriminators share SuperNet-D.

    Args:
        problem: problem that uses the evaluator.
        build_discriminator: function that returns an untrained discriminator, or an untrained
            SuperNet-D if ``coupled``.
        coupled: whether architectures are pairs of a generator and a discriminator.
    """

    def __init__(
        self, problem: GanProblem, build_discriminator: Callable[[], nn.Module], coupled: bool
    ) -> None:
        super().__init__(problem)
        self.build_discriminator, self.coupled = build_discriminator, coupled

    def build_networks(self, seed: int) -> None:
        with initial_weights(seed, "generators"):
            supernet = SuperGenerator(self.problem.n_cells, **self.problem.generator_shape)
            self.G = to_device(supernet, self.device)
        with initial_weights(seed, "discriminators"):
            self.D = to_device(self.build_discriminator(), self.device)
        self.optimizer = self.recipe.optimizer(self.G)
        self.d_optimizer = self.recipe.d_optimizer(self.D)

    def networks_of(self, architecture: Any) -> tuple[Generate, Score]:
        if self.coupled:
            return (
                partial(self.G, architecture=architecture.generator),
                partial(self.D, architecture=architecture.discriminator),
            )
        return partial(self.G, architecture=architecture), self.D

    def optimizer_of(self, generator: Generator) -> torch.optim.Optimizer:
        """Return an optimizer for a stand-alone generator.

        Its state is copied from the optimizer of SuperNet-G, for the weights of the generator.
        """
        optimizer = self.recipe.optimizer(generator)
        state = training_state(self.G, self.optimizer)
        load_path_state(generator, optimizer, state)
        return optimizer

    def warm_up(self) -> dict[str, Any]:
        """Train SuperNet-G for the epochs of the warm-up; see :meth:`sample_for_warm_up`."""
        epochs = self.settings.warmup_epochs
        report = self._run("warming up", epochs, self.sample_for_warm_up)
        return report | self.accuracy_after_warm_up()

    def train(self, candidates: Candidates) -> dict[str, Any]:
        """Train the candidates of one generation; each step samples among them (algorithm 1)."""
        architectures = candidates.architectures

        def sample_architectures() -> list[Any]:
            return [architectures[i] for i in self.sample_indices(len(candidates))]

        report = self._run("training the candidates", self.settings.epochs, sample_architectures)
        return report | {"d_accuracy": self.discriminator_accuracy(architectures)}

    def _run(
        self, phase: str, epochs: int, sample_architectures: Callable[[], Sequence[Any]]
    ) -> dict[str, Any]:
        weights = list(self.G.parameters())

        def sample_pairs() -> list[TrainingPair]:
            return [
                TrainingPair(*self.networks_of(architecture), self.optimizer, weights)
                for architecture in sample_architectures()
            ]

        return self.run_epochs(phase, epochs, sample_pairs, self.D, self.d_optimizer)

    @property
    def trained_networks(self) -> dict[str, tuple[nn.Module, torch.optim.Optimizer]]:
        return {"g": (self.G, self.optimizer), "d": (self.D, self.d_optimizer)}


@contextmanager
def unchanged_buffers(discriminator: nn.Module) -> Iterator[None]:
    """Let a discriminator score images in several threads without changing its buffers.

    Spectral normalization does not iterate, and batch normalization uses the statistics of the
    batch, as in training, but does not record them.

    Args:
        discriminator: discriminator or supernet in training mode.
    """
    norms = [m for m in discriminator.modules() if isinstance(m, nn.BatchNorm2d)]
    discriminator.eval()
    for norm in norms:
        norm.train()
        norm.track_running_stats = False
    try:
        yield
    finally:
        discriminator.train()
        for norm in norms:
            norm.track_running_stats = True


def load_path_state(
    net: nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor]
) -> None:
    """Copy the part of a supernet's state that belongs to a stand-alone network.

    Args:
        net: stand-alone network, which receives the weights.
        optimizer: optimizer of the network, which receives the state of the supernet's optimizer.
        state: state of the supernet and its optimizer, see
            :func:`moonas.training.sgd.training_state`.

    Raises:
        ValueError: a weight of the network is missing in the state, or has a different shape.
    """
    expected = net.state_dict()
    weights = part_of_state(state, "weights")
    for name, tensor in expected.items():
        if name not in weights or weights[name].shape != tensor.shape:
            raise ValueError(
                f"The stored weights belong to another network: {name} is missing or has a "
                "different shape."
            )
    path_state = {f"weights.{name}": weights[name] for name in expected}
    for key, tensor in part_of_state(state, "memory").items():
        if key.split(".", 1)[1] in expected:
            path_state[f"memory.{key}"] = tensor
    load_training_state(net, optimizer, path_state)


class GeneratorCopy:
    """A stand-alone generator and its optimizer; copies share neither weights nor optimizer state.

    Args:
        net: generator.
        recipe: hyperparameters of the optimizer.

    Attributes:
        optimizer: optimizer of the generator.
        weights: parameters of the generator.
    """

    def __init__(self, net: Generator, recipe: Recipe) -> None:
        self.net, self.optimizer = net, recipe.optimizer(net)
        self.weights = list(net.parameters())


class OneToOne(GanEvaluator):
    """Stage 2: each discriminator trains with its own copy of the best generator (eqs. 9 and 10).

    Discriminators share SuperNet-D. Copies of the generator share no weights. All P GANs are
    evaluated after the training of each generation. With weight resetting, every generator of the
    next generation starts as a copy of the generator with the lowest FID. Without weight resetting,
    a surviving discriminator keeps its generator, and a new discriminator receives the generator of
    a discriminator that did not survive.

    Args:
        problem: problem that uses the evaluator.
        architecture: architecture of all generators.
        read_generator_state: function that returns the initial state of the generator and its
            optimizer, see :func:`moonas.training.sgd.training_state`; None to train the generator
            during the warm-up, against ``build_discriminator()``.
        build_discriminator: function that returns an untrained discriminator.

    Attributes:
        best_generator: generator with the lowest FID of the last generation, or the initial
            generator.
        best_scores: scores of ``best_generator``; None before its evaluation.
        generators: generator of each discriminator of the last generation.
        scores: scores of ``generators`` after the training of the last generation.
    """

    settings: DiscriminatorSettings

    def __init__(
        self,
        problem: GanProblem,
        architecture: Architecture,
        read_generator_state: Callable[[], Mapping[str, Tensor]] | None,
        build_discriminator: Callable[[], nn.Module],
    ) -> None:
        super().__init__(problem)
        self.architecture, self.read_generator_state = architecture, read_generator_state
        self.build_discriminator = build_discriminator

    def build_networks(self, seed: int) -> None:
        with initial_weights(seed, "discriminators"):
            supernet = SuperDiscriminator(self.problem.n_cells, **self.problem.discriminator_shape)
            self.D = to_device(supernet, self.device)
        self.d_optimizer = self.recipe.d_optimizer(self.D)
        with initial_weights(seed, "generators"):
            self.best_generator = self._untrained_generator()
        if self.read_generator_state is not None:
            load_path_state(
                self.best_generator.net, self.best_generator.optimizer, self.read_generator_state()
            )
        self.generators: dict[DiscriminatorKey, GeneratorCopy] = {}
        self.scores: dict[DiscriminatorKey, QualityScores] = {}
        self.best_scores: QualityScores | None = None

    def _untrained_generator(self) -> GeneratorCopy:
        net = Generator(
            self.architecture, track_running_stats=False, **self.problem.generator_shape
        )
        return GeneratorCopy(to_device(net, self.device), self.recipe)

    def copy_generator(self, generator: GeneratorCopy) -> GeneratorCopy:
        """Return a copy of a generator, with its weights and the state of its optimizer."""
        copy = self._untrained_generator()
        state = training_state(generator.net, generator.optimizer)
        load_training_state(copy.net, copy.optimizer, state)
        return copy

    def key_of(self, architecture: Architecture) -> DiscriminatorKey:
        """Return the canonical row of a discriminator, its key in ``generators`` and ``scores``."""
        return tuple(self.problem.encode(architecture).tolist())

    def networks_of(self, architecture: Architecture) -> tuple[Generate, Score]:
        generator = self.generator_of(architecture).net
        return generator, partial(self.D, architecture=architecture)

    def generator_of(self, architecture: Architecture) -> GeneratorCopy:
        """Return the generator of a discriminator, or the best generator if it has none."""
        return self.generators.get(self.key_of(architecture), self.best_generator)

    def warm_up(self) -> dict[str, Any]:
        """Train the generator if it is untrained, then SuperNet-D against the fixed generator.

        The generator is fixed because, in the paper, all generators of the first generation start
        with the weights from stage 1.
        """
        s = self.settings
        report: dict[str, Any] = {}
        if self.read_generator_state is None:
            with initial_weights(self.seed, "first discriminator"):
                first = to_device(self.build_discriminator(), self.device)
            report = self.run_epochs(
                "training the generator",
                s.generator_epochs,
                lambda: [self.training_pair(self.best_generator, first)],
                first,
                self.recipe.d_optimizer(first),
                d_steps=1,  # as in stage 1
            )
            report = {f"first_{key}": value for key, value in report.items()}

        def sample_pairs() -> list[TrainingPair]:
            return [
                TrainingPair(self.best_generator.net, partial(self.D, architecture=architecture))
                for architecture in self.sample_for_warm_up()
            ]

        report |= self.run_epochs(
            "warming up",
            s.warmup_epochs,
            sample_pairs,
            self.D,
            self.d_optimizer,
            d_steps=1,  # each step samples discriminators, since no generator trains
        )
        return report | self.accuracy_after_warm_up()

    def train(self, candidates: Candidates) -> dict[str, Any]:
        """Train the GANs of one generation; each step samples among them (algorithm 1)."""
        keys = [tuple(row) for row in candidates.rows.tolist()]
        self.assign_generators(keys)
        gans = list(zip(candidates, keys, strict=True))

        def sample_pairs() -> list[TrainingPair]:
            return [
                self.training_pair(self.generators[key], partial(self.D, architecture=architecture))
                for architecture, key in (gans[i] for i in self.sample_indices(len(gans)))
            ]

        report = self.run_epochs(
            "training the candidates", self.settings.epochs, sample_pairs, self.D, self.d_optimizer
        )
        report["d_accuracy"] = self.discriminator_accuracy(candidates.architectures)
        columns = self.evaluate_generators([g.net for g in self.generators.values()])
        scores = np.column_stack([columns["fid"], columns["inverse_is"]])
        self.scores = dict(zip(self.generators, map(_scores_of_row, scores), strict=True))
        fids = np.where(np.isnan(scores[:, 0]), math.inf, scores[:, 0])
        if np.isfinite(fids).any():
            best = int(fids.argmin())
            self.best_generator = self.copy_generator(list(self.generators.values())[best])
            self.best_scores = _scores_of_row(scores[best])
        return report

    def assign_generators(self, keys: Sequence[DiscriminatorKey]) -> None:
        """Assign a generator to each discriminator of the next generation.

        Args:
            keys: keys of the discriminators, see :meth:`key_of`.
        """
        if self.settings.weight_resetting or not self.generators:
            self.generators = {key: self.copy_generator(self.best_generator) for key in keys}
            return
        dropped = [g for key, g in self.generators.items() if key not in keys]
        assigned = {key: self.generators[key] for key in keys if key in self.generators}
        for key in keys:
            if key not in assigned:
                assigned[key] = (
                    dropped.pop(0) if dropped else self.copy_generator(self.best_generator)
                )
        self.generators = {key: assigned[key] for key in keys}

    def training_pair(self, generator: GeneratorCopy, score: Score) -> TrainingPair:
        """Return a pair whose steps train both the generator and the discriminator."""
        return TrainingPair(generator.net, score, generator.optimizer, generator.weights)

    def quality_scores(self, candidates: Candidates) -> dict[str, np.ndarray]:
        """Return the columns fid and inverse_is of n candidates, each of shape (n,).

        The scores of a discriminator are the scores of its generator after the last training, or
        the scores of the best generator if the discriminator has not trained.
        """
        known = [self.scores.get(tuple(row)) for row in candidates.rows.tolist()]
        if None in known and self.best_scores is None:
            columns = self.evaluate_generators([self.best_generator.net])
            self.best_scores = columns["fid"][0], columns["inverse_is"][0]
        scores = np.array([self.best_scores if s is None else s for s in known], dtype=float)
        return {"fid": scores[:, 0], "inverse_is": scores[:, 1]}

    def state(self) -> dict[str, Tensor]:
        scores = [self.scores[key] for key in self.generators]
        best = [] if self.best_scores is None else [self.best_scores]
        return adversarial_state(self.trained_networks, self.streams) | {
            "owners": torch.tensor(list(self.generators), dtype=torch.int64),
            "found": torch.tensor(scores, dtype=torch.float64),
            "best_found": torch.tensor(best, dtype=torch.float64),
            "features": self.quality.fingerprint,
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.quality.check_fingerprint(state["features"])
        keys = [tuple(key) for key in state["owners"].tolist()]
        self.generators = {key: self._untrained_generator() for key in keys}
        load_adversarial_state(self.trained_networks, self.streams, state)
        self.scores = dict(zip(keys, map(tuple, state["found"].tolist()), strict=True))
        best = state["best_found"].tolist()
        self.best_scores = tuple(best[0]) if best else None

    @property
    def trained_networks(self) -> dict[str, tuple[nn.Module, torch.optim.Optimizer]]:
        generators = {f"g{number}": g for number, g in enumerate(self.generators.values())}
        generators["best"] = self.best_generator
        networks = {name: (g.net, g.optimizer) for name, g in generators.items()}
        return networks | {"d": (self.D, self.d_optimizer)}


def _scores_of_row(row: np.ndarray) -> QualityScores:
    fid, inverse_is = row.tolist()
    return fid, inverse_is
