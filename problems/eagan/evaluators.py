"""Training and evaluation of GANs in a search: many generators to one discriminator, or one to one.

Stage 1 uses :class:`ManyToOne`, stage 2 :class:`OneToOne` (section 4).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from moonas.evaluators.supernet import random_architectures
from moonas.nets.devices import map_in_threads, repeatable, resolve_device
from moonas.nets.randomness import generator as random_generator
from moonas.nets.randomness import initial_weights
from moonas.problem import Evaluator
from moonas.run.candidates import Candidates
from moonas.settings import select
from moonas.training.report import require_a_step
from moonas.training.sgd import load_training_state, part_of_state, training_state

from .discriminator_net import SuperDiscriminator
from .generation import Generate, ImageQuality
from .generator_net import Generator, SuperGenerator
from .operations import Module
from .settings import DiscriminatorSettings, GanSearchSettings
from .space import Architecture
from .training import (
    ADVICE,
    RandomStreams,
    Recipe,
    Score,
    TrainingPair,
    adversarial_state,
    load_adversarial_state,
    train_adversarially,
)

if TYPE_CHECKING:
    from .gan_problem import GanProblem

Key = tuple[int, ...]  # canonical row of a discriminator
Scores = tuple[float, float]  # fid, inverse_is


class GanEvaluator(Evaluator):
    """Images, random streams and evaluation of generators; subclasses add the networks.

    A subclass implements ``begin_weights(seed)``, ``warm_up()``, ``train(candidates)``,
    ``trained``, and ``pair(architecture)``, which returns the generator and the discriminator of
    an architecture as functions.

    Args:
        problem: problem that uses the evaluator.
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

    def begin(self, seed: int) -> None:
        """Load the images and start from untrained weights."""
        self.quality.load()
        s = self.settings
        self.seed = seed
        self.streams = RandomStreams.from_seed(seed, "training")
        latents = torch.randn(s.score_images, s.latent, generator=random_generator(seed, "scores"))
        self.latents = latents.to(self.device)
        self.begin_weights(seed)

    def begin_weights(self, seed: int) -> None:
        """Build the networks with untrained weights."""
        raise NotImplementedError

    def pair(self, architecture: Any) -> tuple[Generate, Score]:
        """Return the generator and the discriminator of an architecture, as functions."""
        raise NotImplementedError

    @property
    def trained(self) -> dict[str, tuple[nn.Module, torch.optim.Optimizer]]:
        """Networks and their optimizers, by the name that their state is stored under."""
        raise NotImplementedError

    def sample(self, generator: Generate, n: int) -> Tensor:
        """Return n images as pixels on the CPU; they always have the same latent vectors."""
        with repeatable(self.settings.threads):
            return self.quality.generate(generator, self.latents[:n]).cpu()

    def score(self, candidates: Candidates) -> dict[str, np.ndarray]:
        """Return the columns fid, inverse_is, params and macs, (n,) each."""
        params, macs = self.problem.count(candidates).T
        return self.quality_scores(candidates) | {"params": params, "macs": macs}

    def quality_scores(self, candidates: Candidates) -> dict[str, np.ndarray]:
        """Return the columns fid and inverse_is of the candidates' generators, (n,) each."""
        return self.evaluate_generators([self.pair(a)[0] for a in candidates])

    def evaluate_generators(self, generators: Sequence[Generate]) -> dict[str, np.ndarray]:
        """Return the columns fid and inverse_is of generators, NaN for those that failed."""
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
        draw: Callable[[], TrainingPair],
        discriminator: nn.Module,
        d_optimizer: torch.optim.Optimizer,
    ) -> dict[str, Any]:
        """Train for some epochs, see :func:`.training.train_adversarially`.

        Args:
            phase: name of the work, for progress bars.
            epochs: number of epochs.
            draw: function that returns the pair of the next steps.
            discriminator: module whose parameters ``d_optimizer`` updates.
            d_optimizer: optimizer of the discriminators.

        Returns:
            The report, a dict that JSON can store.
        """
        images = self.quality.images
        assert images is not None
        on_progress = self.problem.callbacks.on_progress
        with repeatable(self.settings.threads):
            report = train_adversarially(
                images,
                draw,
                discriminator,
                d_optimizer,
                self.recipe,
                self.streams,
                epochs,
                on_epoch=lambda done: on_progress(phase, done, epochs, "epochs"),
            )
        require_a_step(report, advice=ADVICE)
        return {"epochs": epochs} | report.as_dict()

    def sample_index(self, n: int) -> int:
        """Sample an index in [0, n) uniformly."""
        return int(torch.randint(n, (), generator=self.streams.paths))

    def random_architecture(self) -> Any:
        """Sample an architecture, each gene uniformly from its choices."""
        p = self.problem
        return random_architectures(1, p.n_choices, p.decode, self.streams.paths)[0]

    def to_device(self, net: Module) -> Module:
        """Move a network to the device, in channels-last memory format."""
        return net.to(self.device).to(memory_format=torch.channels_last)

    def state(self) -> dict[str, Tensor]:
        """Return everything that training changes, as a flat dict of tensors."""
        features = {"features": self.quality.fingerprint}
        return adversarial_state(self.trained, self.streams) | features

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what :meth:`state` returned.

        Raises:
            ValueError: the run was evaluated with a different feature network.
        """
        self.quality.check_fingerprint(state["features"])
        load_adversarial_state(self.trained, self.streams, state)


class ManyToOne(GanEvaluator):
    """Stage 1: all generators share SuperNet-G and train against one discriminator (eqs. 6 to 8).

    In the coupled search of figure 6, architectures are instances of :class:`.space.Pair`, and the
    discriminator of a pair is a path through SuperNet-D.

    Args:
        problem: problem that uses the evaluator.
        build_discriminator: function that returns the untrained discriminator, or SuperNet-D.
        coupled: whether architectures are pairs.
    """

    def __init__(
        self, problem: GanProblem, build_discriminator: Callable[[], nn.Module], coupled: bool
    ) -> None:
        super().__init__(problem)
        self.build_discriminator, self.coupled = build_discriminator, coupled

    def begin_weights(self, seed: int) -> None:
        with initial_weights(seed, "generators"):
            self.G = self.to_device(SuperGenerator(**self.problem.generator_shape))
        with initial_weights(seed, "discriminators"):
            self.D = self.to_device(self.build_discriminator())
        self.optimizer = self.recipe.optimizer(self.G)
        self.d_optimizer = self.recipe.d_optimizer(self.D)

    def pair(self, architecture: Any) -> tuple[Generate, Score]:
        if self.coupled:
            return (
                partial(self.G, architecture=architecture.generator),
                partial(self.D, architecture=architecture.discriminator),
            )
        return partial(self.G, architecture=architecture), self.D

    def optimizer_of(self, generator: Generator) -> torch.optim.Optimizer:
        """Return an optimizer for a stand-alone generator.

        Its state is copied from that of the supernet's optimizer for the generator's path.
        """
        optimizer = self.recipe.optimizer(generator)
        state = training_state(self.G, self.optimizer)
        load_path_state(generator, optimizer, state)
        return optimizer

    def warm_up(self) -> dict[str, Any]:
        """Train SuperNet-G; each step samples a new architecture."""
        return self._run("warming up", self.settings.warmup_epochs, self.random_architecture)

    def train(self, candidates: Candidates) -> dict[str, Any]:
        """Train for one generation; each step samples one of the candidates (algorithm 1)."""

        def draw() -> Any:
            return candidates.architectures[self.sample_index(len(candidates))]

        return self._run("training the candidates", self.settings.epochs, draw)

    def _run(self, phase: str, epochs: int, draw: Callable[[], Any]) -> dict[str, Any]:
        weights = list(self.G.parameters())
        return self.run_epochs(
            phase,
            epochs,
            lambda: TrainingPair(*self.pair(draw()), self.optimizer, weights),
            self.D,
            self.d_optimizer,
        )

    @property
    def trained(self) -> dict[str, tuple[nn.Module, torch.optim.Optimizer]]:
        return {"g": (self.G, self.optimizer), "d": (self.D, self.d_optimizer)}


def load_path_state(
    net: nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor]
) -> None:
    """Copy the part of a supernet's state that belongs to a network's path.

    Args:
        net: stand-alone network.
        optimizer: optimizer of the network.
        state: state of the supernet, see :func:`moonas.training.sgd.training_state`.

    Raises:
        ValueError: a weight of the network is missing, or has another shape.
    """
    own = net.state_dict()
    weights = part_of_state(state, "weights")
    for name, tensor in own.items():
        if name not in weights or weights[name].shape != tensor.shape:
            raise ValueError(
                f"The stored weights belong to another network: {name} is missing or has another "
                "shape."
            )
    path_state = {f"weights.{name}": weights[name] for name in own}
    for key, tensor in part_of_state(state, "memory").items():
        if key.split(".", 1)[1] in own:
            path_state[f"memory.{key}"] = tensor
    load_training_state(net, optimizer, path_state)


class GeneratorCopy:
    """A generator with an optimizer of its own, which shares no weights.

    Args:
        net: generator.
        recipe: hyperparameters.

    Attributes:
        optimizer: optimizer of the generator.
        weights: parameters of the generator.
    """

    def __init__(self, net: Generator, recipe: Recipe) -> None:
        self.net, self.optimizer = net, recipe.optimizer(net)
        self.weights = list(net.parameters())


class OneToOne(GanEvaluator):
    """Stage 2: each discriminator trains with its own copy of the best generator (eqs. 9 and 10).

    Discriminators share SuperNet-D. Copies of the generator share nothing. After each generation
    all P GANs are evaluated. With weight resetting, every generator of the next generation starts
    as a copy of the one with the lowest FID. Without it, a surviving discriminator keeps its
    generator, and a new discriminator takes over the generator of one that did not survive.

    Args:
        problem: problem that uses the evaluator.
        architecture: architecture of all generators.
        read_state: function that returns the first state of the generator and its optimizer, see
            :func:`moonas.training.sgd.training_state`; None to train the generator during the
            warm-up, against ``build_discriminator()``.
        build_discriminator: function that returns an untrained discriminator.

    Attributes:
        best: the best generator so far.
        best_scores: scores of ``best``; None if it has not been evaluated.
        generators: generator of each discriminator in the last generation.
        scores: scores of these generators after the last generation.
    """

    settings: DiscriminatorSettings

    def __init__(
        self,
        problem: GanProblem,
        architecture: Architecture,
        read_state: Callable[[], Mapping[str, Tensor]] | None,
        build_discriminator: Callable[[], nn.Module],
    ) -> None:
        super().__init__(problem)
        self.architecture, self.read_state = architecture, read_state
        self.build_discriminator = build_discriminator

    def begin_weights(self, seed: int) -> None:
        with initial_weights(seed, "discriminators"):
            self.D = self.to_device(SuperDiscriminator(**self.problem.discriminator_shape))
        self.d_optimizer = self.recipe.d_optimizer(self.D)
        with initial_weights(seed, "generators"):
            self.best = self._untrained_generator()
        if self.read_state is not None:
            load_path_state(self.best.net, self.best.optimizer, self.read_state())
        self.generators: dict[Key, GeneratorCopy] = {}
        self.scores: dict[Key, Scores] = {}
        self.best_scores: Scores | None = None

    def _untrained_generator(self) -> GeneratorCopy:
        net = Generator(self.architecture, running=False, **self.problem.generator_shape)
        return GeneratorCopy(self.to_device(net), self.recipe)

    def copy(self, generator: GeneratorCopy) -> GeneratorCopy:
        """Return a generator with the same weights and the same state of its optimizer."""
        copy = self._untrained_generator()
        state = training_state(generator.net, generator.optimizer)
        load_training_state(copy.net, copy.optimizer, state)
        return copy

    def key(self, architecture: Architecture) -> Key:
        """Return the key of a discriminator in ``generators`` and ``scores``."""
        return tuple(self.problem.encode(architecture).tolist())

    def pair(self, architecture: Architecture) -> tuple[Generate, Score]:
        generator = self.generator_of(architecture).net
        return generator, partial(self.D, architecture=architecture)

    def generator_of(self, architecture: Architecture) -> GeneratorCopy:
        """Return the generator of a discriminator, or the best one if it has none."""
        return self.generators.get(self.key(architecture), self.best)

    def warm_up(self) -> dict[str, Any]:
        """Train the generator unless its weights were given, then SuperNet-D against it.

        In the paper, all generators of the first generation start with the weights that stage 1
        found, so the generator stays fixed while SuperNet-D trains.
        """
        s = self.settings
        report: dict[str, Any] = {}
        if self.read_state is None:
            with initial_weights(self.seed, "first discriminator"):
                first = self.to_device(self.build_discriminator())
            report = self.run_epochs(
                "training the generator",
                s.generator_epochs,
                lambda: self.training_pair(self.best, first),
                first,
                self.recipe.d_optimizer(first),
            )
            report = {f"first_{key}": value for key, value in report.items()}

        def draw() -> TrainingPair:
            score = partial(self.D, architecture=self.random_architecture())
            return TrainingPair(self.best.net, score)

        return report | self.run_epochs(
            "warming up", s.warmup_epochs, draw, self.D, self.d_optimizer
        )

    def train(self, candidates: Candidates) -> dict[str, Any]:
        """Train for one generation; each step samples one of the GANs (algorithm 1)."""
        keys = [tuple(row) for row in candidates.rows.tolist()]
        self.assign_generators(keys)
        gans = list(zip(candidates, keys, strict=True))

        def draw() -> TrainingPair:
            architecture, key = gans[self.sample_index(len(gans))]
            score = partial(self.D, architecture=architecture)
            return self.training_pair(self.generators[key], score)

        report = self.run_epochs(
            "training the candidates", self.settings.epochs, draw, self.D, self.d_optimizer
        )
        columns = self.evaluate_generators([g.net for g in self.generators.values()])
        scores = np.column_stack([columns["fid"], columns["inverse_is"]])
        self.scores = dict(zip(self.generators, map(_scores, scores), strict=True))
        fids = np.where(np.isnan(scores[:, 0]), math.inf, scores[:, 0])
        if np.isfinite(fids).any():
            best = int(fids.argmin())
            self.best = self.copy(list(self.generators.values())[best])
            self.best_scores = _scores(scores[best])
        return report

    def assign_generators(self, keys: Sequence[Key]) -> None:
        """Give each discriminator of a generation its generator.

        Args:
            keys: keys of the discriminators.
        """
        if self.settings.weight_resetting or not self.generators:
            self.generators = {key: self.copy(self.best) for key in keys}
            return
        dropped = [g for key, g in self.generators.items() if key not in keys]
        assigned = {key: self.generators[key] for key in keys if key in self.generators}
        for key in keys:
            if key not in assigned:
                assigned[key] = dropped.pop(0) if dropped else self.copy(self.best)
        self.generators = {key: assigned[key] for key in keys}

    def training_pair(self, generator: GeneratorCopy, score: Score) -> TrainingPair:
        """Return the pair that trains a generator against a discriminator."""
        return TrainingPair(generator.net, score, generator.optimizer, generator.weights)

    def quality_scores(self, candidates: Candidates) -> dict[str, np.ndarray]:
        """Return the columns fid and inverse_is of candidates, (n,) each.

        A discriminator of the last generation has the scores of its generator after it; any other
        discriminator has the scores of the best generator.
        """
        known = [self.scores.get(tuple(row)) for row in candidates.rows.tolist()]
        if None in known and self.best_scores is None:
            columns = self.evaluate_generators([self.best.net])
            self.best_scores = columns["fid"][0], columns["inverse_is"][0]
        scores = np.array([self.best_scores if s is None else s for s in known], dtype=float)
        return {"fid": scores[:, 0], "inverse_is": scores[:, 1]}

    def state(self) -> dict[str, Tensor]:
        scores = [self.scores[key] for key in self.generators]
        best = [] if self.best_scores is None else [self.best_scores]
        return adversarial_state(self.trained, self.streams) | {
            "owners": torch.tensor(list(self.generators), dtype=torch.int64),
            "found": torch.tensor(scores, dtype=torch.float64),
            "best_found": torch.tensor(best, dtype=torch.float64),
            "features": self.quality.fingerprint,
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.quality.check_fingerprint(state["features"])
        keys = [tuple(key) for key in state["owners"].tolist()]
        self.generators = {key: self._untrained_generator() for key in keys}
        load_adversarial_state(self.trained, self.streams, state)
        self.scores = dict(zip(keys, map(tuple, state["found"].tolist()), strict=True))
        best = state["best_found"].tolist()
        self.best_scores = tuple(best[0]) if best else None

    @property
    def trained(self) -> dict[str, tuple[nn.Module, torch.optim.Optimizer]]:
        generators = {f"g{number}": g for number, g in enumerate(self.generators.values())}
        generators["best"] = self.best
        networks = {name: (g.net, g.optimizer) for name, g in generators.items()}
        return networks | {"d": (self.D, self.d_optimizer)}


def _scores(row: np.ndarray) -> Scores:
    fid, inverse_is = row.tolist()
    return fid, inverse_is
