"""What the searches of EAGAN have in common: settings, selection, offspring, and what is left."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from pymoo.operators.selection.rnd import RandomSelection

from moonas.algorithms import algorithm
from moonas.data import describe
from moonas.nets.devices import resolve_device
from moonas.operators import CategoricalSampling, SameArchitecture
from moonas.problem import Column, MovingProblem
from moonas.settings import SearchSettings, check_objectives, require, setting

from . import zoo
from .discriminator_net import Discriminator, SimpleDiscriminator
from .drawing import save_grid
from .gan_file import GAN, SIMPLE, discriminator_shape, generator_shape, read_gan, write_gan
from .generation import (
    GENERATION_OBJECTIVES,
    GenerationSettings,
    generation_columns,
)
from .generator_net import check_side
from .operators import EdgeCrossover, EdgeMutation, Legal

GRID = 100  # images in a picture


@dataclass(frozen=True, kw_only=True)
class GanSettings(GenerationSettings):
    """How generators and discriminators are built and trained; the defaults suit digits."""

    channels: int = setting(16, "channels of a generator", least=1)
    d_channels: int = setting(32, "channels of a discriminator", least=2)
    latent: int = setting(48, "length of a latent vector, a multiple of 3", least=3)
    spectral: bool = setting(True, "normalise weights of discriminators spectrally")
    scale: float = setting(10.0, "factor of a discriminator's output", above=0)
    batch: int = setting(32, "real images a step of a discriminator", least=2)
    generator_batch: int = setting(32, "generated images a step of a generator", least=2)
    d_steps: int = setting(1, "steps of a discriminator for each of a generator", least=1)
    learning_rate: float = setting(1e-3, "of generators (Adam)", above=0)
    d_learning_rate: float = setting(2e-3, "of discriminators (Adam)", above=0)
    beta1: float = setting(0.0, "of Adam", least=0)
    beta2: float = setting(0.9, "of Adam", least=0)
    shift: int = setting(
        1, "pixels by which discriminators see all images shifted, at most; the paper: 0", least=0
    )
    clip: float | None = setting(
        None, "norm that a gradient is clipped to; none: no limit", above=0
    )

    def __post_init__(self):
        super().__post_init__()
        require(self.latent % 3 == 0, self, "latent", "a multiple of 3")
        for name in ("beta1", "beta2"):
            require(getattr(self, name) < 1, self, name, "less than 1")


@dataclass(frozen=True, kw_only=True)
class GanSearchSettings(SearchSettings, GanSettings):
    """How a search goes."""

    objectives: tuple[str, ...] = setting(
        ("fid", "inverse_is"),
        f"columns to minimise, two or more of {', '.join(GENERATION_OBJECTIVES)}",
    )
    population: int = setting(
        8, "P/2, candidates that survive a round; with as many offspring, P train", least=2
    )
    generations: int = setting(9, "rounds and one: the first scores what the warm-up left", least=1)
    warmup_epochs: int = setting(20, "epochs with a new random candidate at each step", least=0)
    epochs: int = setting(10, "epochs a round", least=1)
    crossover: float = setting(0.3, "chance that two parents exchange an edge", least=0, most=1)
    mutation: float = setting(0.5, "chance that an edge of a child is changed", least=0, most=1)

    def __post_init__(self):
        super().__post_init__()
        check_objectives(self.objectives, GENERATION_OBJECTIVES)


# Section 5.1, but for what the release has and the paper has not: 1 step of D a step of G in stage
# 1 and 5 in stage 2, betas, 10 splits. The paper prints the two batch sizes the other way round,
# and 50 epochs of warm-up where the release has 40.
PAPER_GAN = dict(
    channels=256,
    d_channels=128,
    latent=120,
    scale=1.0,
    shift=0,
    batch=40,
    generator_batch=80,
    learning_rate=2e-4,
    d_learning_rate=2e-4,
    features="inception",
    is_splits=10,
)
PAPER = PAPER_GAN | dict(
    data="cifar10",
    population=16,
    generations=19,
    warmup_epochs=50,
    epochs=10,
    score_images=5000,
    score_batch=100,
)


class GanProblem(MovingProblem):
    """A search for GANs, judged by the images of generators; a subclass says of which part.

    A subclass gives ``make_evaluator``, ``network``, ``operations``, ``zoo``, and

    - ``make_space()``, for images of ``self.info.side`` pixels;
    - ``count(architecture)``: (params, macs) of the network that they belong to;
    - ``largest()``: architectures such that no other has more params or macs than all of them;
    - ``gan(architecture)``: generator and discriminator, modules with the weights of the search,
      and the generator's optimiser.
    """

    offspring_train = True
    picked_as = "the lowest fid of the front"

    def __init__(self, settings):
        self.info = describe(settings.data, settings.image_size)
        check_side(self.info.side)
        resolve_device(settings.device)
        self.settings, self.space = settings, self.make_space()
        params, macs = np.max([self.count(a) for a in self.largest()], axis=0)
        columns = [
            *generation_columns(settings, self.info),
            Column("params", "parameters", bounds=(0, int(params))),
            Column("macs", "multiply-adds", bounds=(0, int(macs))),
        ]
        super().__init__(settings, columns=columns, n_choices=self.space.n_choices)

    def costs(self, architectures):
        """Columns params and macs, (n,) ints each."""
        params, macs = np.array([self.count(a) for a in architectures]).T
        return {"params": params, "macs": macs}

    @property
    def generator_shape(self):
        """Arguments of generators."""
        s = self.settings
        return generator_shape(s, self.info)

    @property
    def discriminator_shape(self):
        """Arguments of discriminators."""
        return discriminator_shape(self.settings, self.info)

    def operators(self):
        """Sampling, crossover, mutation, repair and duplicate elimination."""
        s = self.settings
        return dict(
            sampling=CategoricalSampling(),
            crossover=EdgeCrossover(s.crossover),
            mutation=EdgeMutation(s.mutation),
            repair=Legal(),
            eliminate_duplicates=SameArchitecture(self.space.decode),
        )

    def algorithm(self):
        """Section 4.3: non-dominated sorting; parents drawn uniformly; P/2 new children a round.

        Among candidates of the last rank that fits, crowding decides, which the paper leaves open.
        """
        return algorithm("nsga2", self, selection=RandomSelection())

    def pick(self, rows):
        """The index of the best GAN, the one with the lowest FID; None for no rows."""
        if not rows:
            return None
        return int(np.argmin([row.columns["fid"] for row in rows]))

    def graphs(self, architecture):
        """The three cells, from their input 0 to their output 4."""
        return self.space.graphs(architecture)

    def after_generation(self, algorithm):
        """Write a picture of images of the best generator at hand, once a round."""
        path = self.journal.folder / f"images-{algorithm.n_iter:03d}.png"
        if path.exists() or self.journal.replaying:
            return
        self.journal.settle(self.evaluator)
        best = algorithm.pop[np.argmin(algorithm.pop.get("fid").astype(float))]
        generator, _ = self.evaluator.pair(self.decode(best.X))
        save_grid(self.evaluator.sample(generator, GRID), path)

    def after_search(self, row):
        """Write gan.json and gan.pt: the picked GAN, for the next stage and for moonas train."""
        folder = self.journal.folder
        fid, of = row.columns["fid"], self.column("fid").unit
        calls = self.journal.n_calls  # more of them: the search has gone on
        if not (folder / GAN).exists() or read_gan(folder)["calls"] != calls:
            self.journal.settle(self.evaluator)
            generator, discriminator, optimizer = self.gan(row.architecture)
            numbers = {"fid": fid, "fid_of": of, "calls": calls}
            write_gan(self, generator, discriminator, folder, optimizer, **numbers)
        return [f"Picked: FID ({of}) {fid:.2f}, {row.architecture}."]


def discriminator_maker(words, settings, info, *, mend=False):
    """A function () -> the discriminator that words mean, a module of its own.

    Args:
        words: see :func:`moonas.problems.eagan.zoo.find_discriminator`, or "simple".
        settings: a :class:`GanSettings`.
        info: of the data.
        mend: make it legal for these images.

    Raises:
        ValueError: the words mean none.
    """
    shape = discriminator_shape(settings, info)
    if words == SIMPLE:
        return partial(SimpleDiscriminator, info.side, **shape)
    architecture = zoo.find_discriminator(words, info.side, mend=mend)
    return partial(Discriminator, architecture, **shape)
