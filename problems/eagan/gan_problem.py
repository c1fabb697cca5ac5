"""What both searches of EAGAN share: selection, offspring, and the files they leave."""

import numpy as np
from pymoo.operators.selection.rnd import RandomSelection

from moonas.algorithms import algorithm
from moonas.data import describe
from moonas.nets.devices import resolve_device
from moonas.operators import CategoricalSampling, SameArchitecture
from moonas.problem import Column
from moonas.weight_sharing import WeightSharingProblem

from .drawing import save_grid
from .gan_file import (
    GAN,
    discriminator_builder,
    discriminator_shape,
    generator_shape,
    read_gan,
    write_gan,
)
from .generation import generation_columns
from .generator_net import check_side
from .operators import EdgeCrossover, EdgeMutation, Legal

GRID = 100  # images in a picture


class GanProblem(WeightSharingProblem):
    """A search for GANs, judged by the images of generators; a subclass says of which part.

    A subclass gives ``make_evaluator`` and ``network``, as every problem, and

    - ``make_space()``, for images of ``self.info.side`` pixels;
    - ``cost(architecture)``: (params, macs) of the network that they belong to;
    - ``largest()``: architectures such that no other has more params or macs than all of them;
    - ``gan(architecture)``: generator and discriminator, modules with the weights of the search,
      and the generator's optimiser.
    """

    offspring_train = True
    pick_description = "the lowest fid of the front"

    def __init__(self, settings):
        self.info = describe(settings.data, settings.image_size)
        check_side(self.info.side)
        resolve_device(settings.device)
        self.settings, self.space = settings, self.make_space()
        params, macs = np.max([self.cost(a) for a in self.largest()], axis=0)
        columns = [
            *generation_columns(settings, self.info),
            Column("params", "parameters", bounds=(0, int(params))),
            Column("macs", "multiply-adds", bounds=(0, int(macs))),
        ]
        super().__init__(settings, columns=columns, n_choices=self.space.n_choices)

    def count(self, candidates):
        """Params and macs of candidates, (n, 2) ints."""
        return np.array([self.cost(a) for a in candidates])

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
        self.journal.restore(self.evaluator)
        best = algorithm.pop[np.argmin(algorithm.pop.get("fid").astype(float))]
        generator, _ = self.evaluator.pair(self.decode(best.X))
        save_grid(self.evaluator.sample(generator, GRID), path)

    def after_search(self, row):
        """Write gan.json and gan.pt: the picked GAN, for the next stage and for moonas train."""
        folder = self.journal.folder
        fid, of = row.columns["fid"], self.column("fid").unit
        calls = self.journal.n_calls  # more of them: the search has gone on
        if not (folder / GAN).exists() or read_gan(folder)["calls"] != calls:
            self.journal.restore(self.evaluator)
            generator, discriminator, optimizer = self.gan(row.architecture)
            numbers = {"fid": fid, "fid_of": of, "calls": calls}
            write_gan(self, generator, discriminator, folder, optimizer, **numbers)
        return [f"Picked: FID ({of}) {fid:.2f}, {row.architecture}."]


def discriminator_maker(words, settings, info, *, mend=False):
    """A function () -> the discriminator that words mean, a module of its own.

    Args:
        words: see :func:`moonas.problems.eagan.zoo.find_discriminator`, or "simple".
        settings: a :class:`~moonas.problems.eagan.settings.GanSettings`.
        info: of the data.
        mend: make it legal for these images.

    Raises:
        ValueError: the words mean none.
    """
    shape = discriminator_shape(settings, info)
    return discriminator_builder(words, info.side, shape, mend=mend)
