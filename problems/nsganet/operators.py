"""What NSGANetV1's searches are made of (section III-C), for both of its spaces."""

from moonas.operators import BlockCrossover, CategoricalSampling, PolynomialMutation, SameRow

from .settings import ETA


def operators(settings, n_var, eta=ETA):
    """Sampling, crossover, mutation and duplicate elimination, as pymoo's algorithms take them.

    Args:
        settings: with ``crossover``, the chance that two parents are crossed, and ``mutation``, the
            chance that a gene moves.
        n_var: number of genes.
        eta: distribution index of the mutation.
    """
    return dict(
        sampling=CategoricalSampling(),
        crossover=BlockCrossover(prob=settings.crossover),
        mutation=PolynomialMutation(n_genes=settings.mutation * n_var, eta=eta),
        eliminate_duplicates=SameRow(),
    )
