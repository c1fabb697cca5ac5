"""How GANs are trained and judged in a search: many generators to one D, or one to one."""

import math
from functools import partial

import numpy as np
import torch

from moonas.evaluators.supernet import random_architectures
from moonas.nets.devices import map_in_threads, repeatable, resolve_device
from moonas.nets.randomness import generator as stream
from moonas.nets.randomness import initial_weights
from moonas.problem import Evaluator
from moonas.settings import select
from moonas.training.report import require_a_step
from moonas.training.sgd import load_training_state, part_of_state, training_state

from .discriminator_net import SuperDiscriminator
from .generation import Generation
from .generator_net import Generator, SuperGenerator
from .training import (
    ADVICE,
    Drawn,
    Recipe,
    Streams,
    load_state_of,
    state_of,
    train_adversarially,
)


class _GanEvaluator(Evaluator):
    """Images, random numbers and scores; a subclass has the weights.

    A subclass gives ``begin_weights(seed)``, ``warm_up()``, ``train(candidates)``, ``state``,
    ``load_state``, and ``pair(architecture)``: its generator, latent vectors -> images, and its
    discriminator, images -> scores.

    Args:
        problem: a :class:`~moonas.problems.eagan.gan_problem.GanProblem`.
    """

    trains = True

    def __init__(self, problem):
        self.settings, self.problem = problem.settings, problem
        self.device = resolve_device(self.settings.device)
        self.generation = Generation(self.settings, problem.info, self.device)
        self.recipe = select(Recipe, self.settings)

    def begin(self, seed):
        """Untrained weights from a seed."""
        self.generation.load()
        s = self.settings
        self.seed = seed
        self.streams = Streams.of(seed, "training")
        self.latents = torch.randn(s.score_images, s.latent, generator=stream(seed, "scores")).to(
            self.device
        )
        self.begin_weights(seed)

    def sample(self, generator, n):
        """Pixels of n images, always of the same latent vectors, on the CPU."""
        with repeatable(self.settings.threads):
            return self.generation.generate(generator, self.latents[:n]).cpu()

    def score(self, candidates):
        """Columns fid, inverse_is, params and macs, each (n,)."""
        params, macs = self.problem.count(candidates).T
        return self.qualities(candidates) | {"params": params, "macs": macs}

    def qualities(self, candidates):
        """Columns fid and inverse_is of candidates' generators."""
        return self.evaluate_generators([self.pair(a)[0] for a in candidates])

    def evaluate_generators(self, generators):
        """The same of some generators; what is not finite is NaN."""
        s = self.settings
        found = map_in_threads(
            lambda g: self.generation.evaluate(g, self.latents),
            generators,
            workers=s.workers,
            threads=s.threads,
            device=self.device,
        )
        return {name: np.array([f[name] for f in found]) for name in ("fid", "inverse_is")}

    def run_epochs(self, phase, epochs, draw, discriminator, d_optimizer):
        """Train drawn pairs; a dict that tells of it."""
        on_progress = self.problem.callbacks.on_progress
        with repeatable(self.settings.threads):
            report = train_adversarially(
                self.generation.images,
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

    def one_of(self, items):
        """An item of a list, drawn uniformly."""
        return items[int(torch.randint(len(items), (), generator=self.streams.paths))]

    def random_architecture(self):
        """An architecture, each gene drawn uniformly from its choices."""
        p = self.problem
        return random_architectures(1, p.n_choices, p.decode, self.streams.paths)[0]

    def placed(self, net):
        """A network on the device, as it likes its memory best."""
        return net.to(self.device, memory_format=torch.channels_last)


class ManyToOne(_GanEvaluator):
    """Stage 1: all generators share SuperNet-G and one discriminator (eqs. 6 to 8).

    Where an architecture is a :class:`.space.Pair`, its discriminator is a path
    through SuperNet-D instead: the coupled search of figure 6.

    Args:
        problem: a :class:`~moonas.problems.eagan.gan_problem.GanProblem`.
        make_discriminator: () -> the discriminator, or a supernet of them.
        coupled: whether architectures are pairs.
    """

    def __init__(self, problem, make_discriminator, coupled=False):
        super().__init__(problem)
        self.make_discriminator, self.coupled = make_discriminator, coupled

    def begin_weights(self, seed):
        with initial_weights(seed, "generators"):
            self.G = self.placed(SuperGenerator(**self.problem.generator_shape))
        with initial_weights(seed, "discriminators"):
            self.D = self.placed(self.make_discriminator())
        self.optimizer = self.recipe.optimizer(self.G)
        self.d_optimizer = self.recipe.d_optimizer(self.D)

    def pair(self, architecture):
        """Generator and discriminator of an architecture, as functions."""
        if self.coupled:
            return (
                partial(self.G, architecture=architecture.generator),
                partial(self.D, architecture=architecture.discriminator),
            )
        return partial(self.G, architecture=architecture), self.D

    def optimizer_of(self, generator):
        """An optimiser of a generator's own, with the memory of the shared one for its path."""
        optimizer = self.recipe.optimizer(generator)
        state = training_state(self.G, self.optimizer)
        load_path_state(generator, optimizer, state)
        return optimizer

    def warm_up(self):
        """Each step trains a new random architecture."""
        return self._run("warming up", self.settings.warmup_epochs, self.random_architecture)

    def train(self, candidates):
        """A round: each step trains one of the candidates, drawn uniformly (algorithm 1)."""
        draw = partial(self.one_of, candidates.architectures)
        return self._run("training every round", self.settings.epochs, draw)

    def _run(self, phase, epochs, draw):
        weights = list(self.G.parameters())
        return self.run_epochs(
            phase,
            epochs,
            lambda: Drawn(*self.pair(draw()), self.optimizer, weights),
            self.D,
            self.d_optimizer,
        )

    def state(self):
        """All that training changes, as a flat dict of tensors."""
        return state_of(self._trained, self.streams) | {"features": self.generation.fingerprint}

    def load_state(self, state):
        """Put back what :meth:`state` gave."""
        self.generation.check_fingerprint(state["features"])
        load_state_of(self._trained, self.streams, state)

    @property
    def _trained(self):
        return {"g": (self.G, self.optimizer), "d": (self.D, self.d_optimizer)}


def load_path_state(net, optimizer, state):
    """Give a network and its optimiser what belongs to its path in the state of a supernet.

    Args:
        net: stands alone.
        optimizer: of it.
        state: of :func:`~moonas.training.sgd.training_state`.

    Raises:
        ValueError: a weight of the network is missing, or has another shape.
    """
    own = net.state_dict()
    weights = part_of_state(state, "weights")
    for name, tensor in own.items():
        if name not in weights or weights[name].shape != tensor.shape:
            raise ValueError(f"These are weights of another network: {name} does not fit.")
    taken = {f"weights.{name}": weights[name] for name in own}
    for key, tensor in part_of_state(state, "memory").items():
        if key.split(".", 1)[1] in own:
            taken[f"memory.{key}"] = tensor
    load_training_state(net, optimizer, taken)


class Own:
    """A generator with its optimiser, that nobody else trains."""

    def __init__(self, net, recipe):
        self.net, self.optimizer = net, recipe.optimizer(net)
        self.weights = list(net.parameters())


class OneToOne(_GanEvaluator):
    """Stage 2: each discriminator has a generator of its own, a copy of the best one (eqs. 9, 10).

    Discriminators share SuperNet-D. Generators are true copies, with optimisers of their own. After
    a round all P GANs are judged; with weight resetting every generator of the next round begins as
    a copy of the one with the lowest FID. Without it, who survives keeps his generator, and who
    is new takes over that of one who did not survive.

    Args:
        problem: an :class:`~moonas.problems.eagan.discriminator_problem.EAGANDiscriminator`.
        architecture: of all generators.
        state: () -> weights and memory of its optimiser that the generator begins with, see
            :func:`~moonas.training.sgd.training_state`; or None: it is trained against
            ``make_discriminator()`` first.
        make_discriminator: () -> a discriminator.
    """

    def __init__(self, problem, architecture, state, make_discriminator):
        super().__init__(problem)
        self.architecture, self.first_state = architecture, state
        self.make_discriminator = make_discriminator

    def begin_weights(self, seed):
        with initial_weights(seed, "discriminators"):
            self.D = self.placed(SuperDiscriminator(**self.problem.discriminator_shape))
        self.d_optimizer = self.recipe.d_optimizer(self.D)
        with initial_weights(seed, "generators"):
            self.best = self._fresh()  # copied for whoever wants a generator
        if self.first_state is not None:
            load_path_state(self.best.net, self.best.optimizer, self.first_state())
        self.owners = {}  # key of a discriminator -> its Own
        self.found = {}  # the same -> (fid, inverse_is) after the last round
        self.best_found = None  # (fid, inverse_is) of the best

    def _fresh(self):
        net = Generator(self.architecture, running=False, **self.problem.generator_shape)
        return Own(self.placed(net), self.recipe)

    def copy_of(self, own):
        """A generator with the same weights and the same memory of its optimiser."""
        copy = self._fresh()
        load_training_state(copy.net, copy.optimizer, training_state(own.net, own.optimizer))
        return copy

    def key(self, architecture):
        """What tells discriminators apart."""
        return tuple(self.problem.encode(architecture).tolist())

    def pair(self, architecture):
        """Generator and discriminator of an architecture."""
        return self.own(architecture).net, partial(self.D, architecture=architecture)

    def own(self, architecture):
        """The generator of a discriminator with its optimiser; one without its own has the best."""
        return self.owners.get(self.key(architecture), self.best)

    def warm_up(self):
        """Train the generator, if none was given; then SuperNet-D against it, as it stays.

        The paper lets all generators of the first round begin with the weights that stage 1 found,
        so warming up must not change them.
        """
        s, report = self.settings, {}
        if self.first_state is None:
            with initial_weights(self.seed, "first discriminator"):
                first = self.placed(self.make_discriminator())
            report = self.run_epochs(
                "training the generator",
                s.generator_epochs,
                lambda: self._drawn(self.best, first),
                first,
                self.recipe.d_optimizer(first),
            )
            report = {f"first_{key}": value for key, value in report.items()}

        def draw():
            score = partial(self.D, architecture=self.random_architecture())
            return Drawn(self.best.net, score)

        return report | self.run_epochs(
            "warming up", s.warmup_epochs, draw, self.D, self.d_optimizer
        )

    def train(self, candidates):
        """A round: each step trains one of the GANs, drawn uniformly (algorithm 1)."""
        keys = [tuple(row) for row in candidates.rows.tolist()]
        self._hand_out(keys)
        gans = list(zip(candidates, keys, strict=True))

        def draw():
            architecture, key = self.one_of(gans)
            return self._drawn(self.owners[key], partial(self.D, architecture=architecture))

        report = self.run_epochs(
            "training every round", self.settings.epochs, draw, self.D, self.d_optimizer
        )
        columns = self.evaluate_generators([own.net for own in self.owners.values()])
        scores = np.column_stack([columns["fid"], columns["inverse_is"]])
        self.found = dict(zip(self.owners, map(tuple, scores), strict=True))
        fids = np.where(np.isnan(scores[:, 0]), math.inf, scores[:, 0])
        if np.isfinite(fids).any():
            self.best = self.copy_of(list(self.owners.values())[fids.argmin()])
            self.best_found = tuple(scores[fids.argmin()])
        return report

    def _hand_out(self, keys):
        """A generator for each discriminator of a round."""
        if self.settings.weight_resetting or not self.owners:
            self.owners = {key: self.copy_of(self.best) for key in keys}
            return
        free = [own for key, own in self.owners.items() if key not in keys]
        kept = {key: self.owners[key] for key in keys if key in self.owners}
        for key in keys:
            if key not in kept:
                kept[key] = free.pop(0) if free else self.copy_of(self.best)
        self.owners = {key: kept[key] for key in keys}

    def _drawn(self, own, score):
        return Drawn(own.net, score, own.optimizer, own.weights)

    def qualities(self, candidates):
        """Columns fid and inverse_is: of a round's GANs as scored at its end, else of the best."""
        scores = [self.found.get(tuple(row)) for row in candidates.rows.tolist()]
        if None in scores and self.best_found is None:
            columns = self.evaluate_generators([self.best.net])
            self.best_found = columns["fid"][0], columns["inverse_is"][0]
        scores = np.array([self.best_found if s is None else s for s in scores], dtype=float)
        return {"fid": scores[:, 0], "inverse_is": scores[:, 1]}

    def state(self):
        """All that training changes, as a flat dict of tensors."""
        found = [self.found[key] for key in self.owners]
        best = [] if self.best_found is None else [self.best_found]
        return state_of(self._trained, self.streams) | {
            "owners": torch.tensor(list(self.owners), dtype=torch.int64),
            "found": torch.tensor(found, dtype=torch.float64),
            "best_found": torch.tensor(best, dtype=torch.float64),
            "features": self.generation.fingerprint,
        }

    def load_state(self, state):
        """Put back what :meth:`state` gave."""
        self.generation.check_fingerprint(state["features"])
        self.owners = {tuple(key): self._fresh() for key in state["owners"].tolist()}
        load_state_of(self._trained, self.streams, state)
        self.found = dict(zip(self.owners, map(tuple, state["found"].tolist()), strict=True))
        best = state["best_found"].tolist()
        self.best_found = tuple(best[0]) if best else None

    @property
    def _trained(self):
        owned = {f"g{number}": own for number, own in enumerate(self.owners.values())}
        owned["best"] = self.best
        generators = {name: (own.net, own.optimizer) for name, own in owned.items()}
        return generators | {"d": (self.D, self.d_optimizer)}
