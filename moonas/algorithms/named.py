"""Algorithms by name, each put together with a problem's own operators."""

import importlib
from functools import partial

from pymoo.algorithms.moo.moead import default_decomp
from pymoo.util.ref_dirs import get_reference_directions

from .decomposition import Scaled
from .pnsga3 import PNSGA3Survival
from .random_search import RandomMating, WholeSampling


def reference_directions(n_obj, population):
    """The largest Das-Dennis set with at most ``population`` directions, (n, n_obj).

    Raises:
        ValueError: even the smallest set, one direction an objective, is larger.
    """
    if population < n_obj:
        raise ValueError(
            f"population={population} will not do: {n_obj} objectives want {n_obj} at least."
        )
    partitions, best = 1, None
    while True:
        directions = get_reference_directions("das-dennis", n_obj, n_partitions=partitions)
        if len(directions) > population:
            return best
        best, partitions = directions, partitions + 1


def _plain(path, problem, population, **options):
    return _pymoo(path)(pop_size=population, **options)


def _directed(path, problem, population, **options):
    directions = reference_directions(problem.n_obj, population)
    return _pymoo(path)(ref_dirs=directions, pop_size=population, **options)


def _one_per_direction(path, problem, population, sampling, **options):
    """C-TAEA holds one candidate a direction: the population may come out smaller.

    Where its first population is smaller still, for want of duplicates, pymoo never returns.
    """
    directions = reference_directions(problem.n_obj, population)
    infill = {k: options[k] for k in ("eliminate_duplicates", "repair") if k in options}
    whole = WholeSampling(sampling, **infill)
    return _pymoo(path)(directions, sampling=whole, **options)


def _moead(path, problem, population, eliminate_duplicates, **options):
    """MOEA/D replaces neighbours by copies, so it takes no duplicate elimination.

    Its weights mean something only where objectives have one scale; here, that of their bounds.
    """
    directions = reference_directions(problem.n_obj, population)
    options = {"decomposition": Scaled(default_decomp(problem), problem)} | options
    return _pymoo(path)(directions, n_neighbors=min(20, len(directions)), **options)


def _pnsga3(path, problem, population, **options):
    directions = reference_directions(problem.n_obj, population)
    options = problem.pnsga3_options | options
    chosen = {key: options.pop(key) for key in ("second", "cut") if key in options}
    size = options.pop("size", None)
    error = problem.growth_of
    if error is None:  # nothing grows: the release's second sort, lower error and larger size
        chosen["second"] = "size"
        size, error = size or _size_of(problem), problem.objectives[0]
    elif size is None:  # the second objective, or the first if the second is the error
        size = [name for name in problem.objectives[:2] if name != error][-1]
    survival = PNSGA3Survival(directions, error=error, size=size, **chosen)
    return _pymoo(path)(ref_dirs=directions, pop_size=population, survival=survival, **options)


def _size_of(problem):
    sizes = [name for name in problem.objectives[1:] if problem.column(name).is_size]
    if not sizes:
        raise ValueError(
            "pnsga3 protects large candidates: where no growth is measured, it wants params or "
            f"macs behind the first objective; got {list(problem.objectives)}."
        )
    return sizes[0]


def _random(path, problem, population, **options):
    infill = {k: options[k] for k in ("eliminate_duplicates", "repair") if k in options}
    options["mating"] = RandomMating(options["sampling"], **infill)
    return _pymoo(path)(pop_size=population, **options)


ALGORITHMS = {
    "agemoea": partial(_plain, "pymoo.algorithms.moo.age:AGEMOEA"),
    "ctaea": partial(_one_per_direction, "pymoo.algorithms.moo.ctaea:CTAEA"),
    "moead": partial(_moead, "pymoo.algorithms.moo.moead:MOEAD"),
    "nsga2": partial(_plain, "pymoo.algorithms.moo.nsga2:NSGA2"),
    "nsga3": partial(_directed, "pymoo.algorithms.moo.nsga3:NSGA3"),
    "parallel-moead": partial(_moead, "pymoo.algorithms.moo.moead:ParallelMOEAD"),
    "pnsga3": partial(_pnsga3, "pymoo.algorithms.moo.nsga3:NSGA3"),
    "random": partial(_random, "pymoo.algorithms.moo.nsga2:NSGA2"),
    "rvea": partial(_directed, "pymoo.algorithms.moo.rvea:RVEA"),
    "smsemoa": partial(_plain, "pymoo.algorithms.moo.sms:SMSEMOA"),
    "spea2": partial(_plain, "pymoo.algorithms.moo.spea2:SPEA2"),
    "unsga3": partial(_directed, "pymoo.algorithms.moo.unsga3:UNSGA3"),
}


def algorithm(name, problem, population=None, **options):
    """A pymoo algorithm by name, with the problem's own operators.

    Args:
        name: a key of ``ALGORITHMS``; "random" is random search that keeps the best.
        problem: an :class:`~moonas.problem.ArchitectureProblem`.
        population: candidates that survive; by default that of the problem's settings. MOEA/D and
            C-TAEA take the next smaller number of reference directions (the same, with two
            objectives).
        options: further arguments of the algorithm's constructor; for "pnsga3" also second, cut and
            size, see :class:`PNSGA3Survival`, by default as the problem's settings have them.

    Raises:
        ValueError: the name is unknown, or the algorithm does not fit the problem.
    """
    if name not in ALGORITHMS:
        raise ValueError(f"Unknown algorithm {name!r}; choose from {sorted(ALGORITHMS)}.")
    from ..run.progress import SearchOutput

    options = {"output": SearchOutput()} | problem.operators() | options
    return ALGORITHMS[name](problem, population or problem.settings.population, **options)


def nsga2_by_rank(problem):
    """NSGA-II as printed (Deb et al., 2002): binary tournaments by rank, then crowding.

    That of the name "nsga2" has pymoo's tournaments: by dominance, then crowding.
    """
    search = algorithm("nsga2", problem)
    search.tournament_type = "comp_by_rank_and_crowding"
    return search


def _pymoo(path):
    module, name = path.split(":")
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:  # pymoo raises a bare Exception where numba is missing
        raise ValueError(
            f"{name} cannot be used here: {error} AGEMOEA wants numba: "
            "pip install 'moonas[agemoea]'."
        ) from error
