"""Constructors of pymoo algorithms by name, with the operators of a problem as defaults."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from pymoo.algorithms.moo.moead import default_decomp
from pymoo.core.population import Population
from pymoo.core.repair import Repair
from pymoo.operators.selection.tournament import TournamentSelection
from pymoo.util.ref_dirs import get_reference_directions

from ..operators.ask_and_tell import pass_algorithm_on
from ..operators.mixed import round_integers
from .decomposition import ScaledDecomposition
from .local_search import NeighborMating
from .pnsga3 import PNSGA3Survival
from .random_search import RandomMating, UniqueSampling

if TYPE_CHECKING:
    from pymoo.core.algorithm import Algorithm
    from pymoo.core.duplicate import DuplicateElimination
    from pymoo.core.sampling import Sampling

    from ..problem import ArchitectureProblem


def reference_directions(n_obj: int, population: int) -> np.ndarray:
    """Return the largest Das-Dennis set with at most ``population`` reference directions.

    Args:
        n_obj: number of objectives, at least 2.
        population: population size.

    Returns:
        (n, n_obj) floats, each row sums to 1.

    Raises:
        ValueError: if the population size is less than ``n_obj``, the size of the smallest set.
    """
    if n_obj < 2:
        raise ValueError(f"n_obj={n_obj} is invalid: reference directions require two objectives.")
    if population < n_obj:
        raise ValueError(
            f"population={population} is invalid: expected at least the number of objectives, "
            f"{n_obj}."
        )
    partitions, largest = 1, np.empty((0, n_obj))
    while True:
        directions: np.ndarray = get_reference_directions(
            "das-dennis", n_obj, n_partitions=partitions
        )
        if len(directions) > population:
            return largest
        largest, partitions = directions, partitions + 1


def _make_plain(
    path: str, problem: ArchitectureProblem, population: int, **options: Any
) -> Algorithm:
    """Make an algorithm without reference directions."""
    return _import_class(path)(pop_size=population, **options)


def _make_with_directions(
    path: str, problem: ArchitectureProblem, population: int, **options: Any
) -> Algorithm:
    """Make an algorithm with reference directions and a population size."""
    directions = reference_directions(problem.n_obj, population)
    return _import_class(path)(ref_dirs=directions, pop_size=population, **options)


def _make_nsga3(
    path: str, problem: ArchitectureProblem, population: int, **options: Any
) -> Algorithm:
    """Make NSGA-III or U-NSGA-III, whose tournaments are reproducible if there are limits."""
    made = _make_with_directions(path, problem, population, **options)
    if problem.limits and "selection" not in options:
        made.mating.selection = _by_violation_first(made.mating.selection)
    return made


def _by_violation_first(selection: TournamentSelection) -> TournamentSelection:
    """Return tournaments that compare infeasible candidates by their constraint violation.

    pymoo's tournaments of NSGA-III do so as well, but if two violations are equal, they choose
    at random without the random state of the algorithm, so a seed does not determine the run.

    Args:
        selection: tournaments that compare feasible candidates.
    """
    compare_feasible = selection.func_comp

    def compare(
        pop: Population, P: np.ndarray, random_state: np.random.Generator, **kwargs: Any
    ) -> np.ndarray:
        violation = pop.get("CV")[:, 0]
        winners = np.empty((len(P), 1), dtype=int)
        for i, (a, b) in enumerate(P):
            if max(violation[a], violation[b]) <= 0:
                row = compare_feasible(pop, P[[i]], random_state=random_state, **kwargs)
                winners[i] = row[0]
            elif violation[a] == violation[b]:
                winners[i] = random_state.choice([a, b])
            else:
                winners[i] = a if violation[a] < violation[b] else b
        return winners

    return TournamentSelection(func_comp=compare, pressure=selection.pressure)


class _ToGenes(Repair):
    """Replaces real numbers by the nearest values of the genes."""

    def _do(self, problem: ArchitectureProblem, X: np.ndarray, **kwargs: Any) -> np.ndarray:
        return round_integers(X.astype(float), problem.genes)


def _make_real_coded(
    path: str,
    problem: ArchitectureProblem,
    population: int,
    sampling: Sampling,
    output: Any = None,
    **options: Any,
) -> Algorithm:
    """Make an algorithm for real numbers, whose candidates are rounded to the genes' values."""
    operators = ("crossover", "mutation", "eliminate_duplicates")
    options = {"repair": _ToGenes()} | {k: v for k, v in options.items() if k not in operators}
    return _import_class(path)(pop_size=population, sampling=sampling, output=output, **options)


def _make_ctaea(
    path: str,
    problem: ArchitectureProblem,
    population: int,
    sampling: Sampling,
    **options: Any,
) -> Algorithm:
    """Make C-TAEA, whose population has one candidate per reference direction.

    pymoo's C-TAEA does not terminate if duplicate elimination leaves fewer candidates than
    directions in the first population, so the sampling is repeated until there are enough.
    """
    directions = reference_directions(problem.n_obj, population)
    infill = {k: options[k] for k in ("eliminate_duplicates", "repair") if k in options}
    sampling = UniqueSampling(sampling, **infill)
    return _import_class(path)(directions, sampling=sampling, **options)


def _make_moead(
    path: str,
    problem: ArchitectureProblem,
    population: int,
    eliminate_duplicates: DuplicateElimination,
    **options: Any,
) -> Algorithm:
    """Make MOEA/D without duplicate elimination, as copies of an individual replace its neighbors.

    The weights of MOEA/D are meaningful only if all objectives have the same scale, so objectives
    are scaled by their bounds.
    """
    directions = reference_directions(problem.n_obj, population)
    decomposition = ScaledDecomposition(default_decomp(problem), problem)
    options = {"decomposition": decomposition} | options
    return _import_class(path)(directions, n_neighbors=min(20, len(directions)), **options)


def _make_pnsga3(
    path: str, problem: ArchitectureProblem, population: int, **options: Any
) -> Algorithm:
    """Make NSGA-III with the survival of pNSGA-III."""
    directions = reference_directions(problem.n_obj, population)
    options = {**problem.pnsga3_options, **options}
    survival_options = {key: options.pop(key) for key in ("second", "cut") if key in options}
    size = options.pop("size", None)
    error = problem.growth_of
    if error is None:  # the second sort of the authors' release, by error and size
        survival_options["second"] = "size"
        size, error = size or _size_objective(problem), problem.objectives[0]
    elif size is None:  # the second objective; the first objective if the second is the error
        size = [name for name in problem.objectives[:2] if name != error][-1]
    survival = PNSGA3Survival(directions, error=error, size=size, **survival_options)
    return _make_nsga3(path, problem, population, survival=survival, **options)


def _size_objective(problem: ArchitectureProblem) -> str:
    sizes = [name for name in problem.objectives[1:] if problem.column(name).is_size]
    if not sizes:
        raise ValueError(
            "pnsga3 protects large candidates: on a problem that does not measure the growth of "
            "accuracy, it requires params or macs as an objective after the first one; got "
            f"objectives {list(problem.objectives)}."
        )
    return sizes[0]


def _make_random(
    path: str, problem: ArchitectureProblem, population: int, **options: Any
) -> Algorithm:
    """Make an algorithm whose offspring are sampled at random."""
    infill = {k: options[k] for k in ("eliminate_duplicates", "repair") if k in options}
    options["mating"] = RandomMating(options["sampling"], **infill)
    return _import_class(path)(pop_size=population, **options)


def _make_local_search(
    path: str,
    problem: ArchitectureProblem,
    population: int,
    crossover: Any = None,
    mutation: Any = None,
    eliminate_duplicates: Any = None,
    **options: Any,
) -> Algorithm:
    """Make a Pareto local search, which needs no crossover, mutation or duplicate elimination."""
    return _import_class(path)(population, **options)


def _make_nsga2_with_neighbors(
    path: str, problem: ArchitectureProblem, population: int, **options: Any
) -> Algorithm:
    """Make NSGA-II that takes some of its offspring from neighbors of the best candidates."""
    keys = ("order", "random_share", "first_share")
    of_neighbors = {key: options.pop(key) for key in keys if key in options}
    nsga2 = _make_plain(path, problem, population, **options)
    nsga2.mating = NeighborMating(nsga2.mating, **of_neighbors)
    return nsga2


ALGORITHMS: dict[str, Callable[..., Algorithm]] = {
    "agemoea": partial(_make_plain, "pymoo.algorithms.moo.age:AGEMOEA"),
    "ctaea": partial(_make_ctaea, "pymoo.algorithms.moo.ctaea:CTAEA"),
    "moead": partial(_make_moead, "pymoo.algorithms.moo.moead:MOEAD"),
    "nsga2": partial(_make_plain, "pymoo.algorithms.moo.nsga2:NSGA2"),
    "nsga3": partial(_make_nsga3, "pymoo.algorithms.moo.nsga3:NSGA3"),
    "nsga2-local": partial(_make_nsga2_with_neighbors, "pymoo.algorithms.moo.nsga2:NSGA2"),
    "pareto-local-search": partial(
        _make_local_search, "moonas.algorithms.local_search:ParetoLocalSearch"
    ),
    "parallel-moead": partial(_make_moead, "pymoo.algorithms.moo.moead:ParallelMOEAD"),
    "pnsga3": partial(_make_pnsga3, "pymoo.algorithms.moo.nsga3:NSGA3"),
    "random": partial(_make_random, "pymoo.algorithms.moo.nsga2:NSGA2"),
    "rvea": partial(_make_with_directions, "pymoo.algorithms.moo.rvea:RVEA"),
    "smsemoa": partial(_make_plain, "pymoo.algorithms.moo.sms:SMSEMOA"),
    "spea2": partial(_make_plain, "pymoo.algorithms.moo.spea2:SPEA2"),
    "unsga3": partial(_make_nsga3, "pymoo.algorithms.moo.unsga3:UNSGA3"),
    "de": partial(_make_real_coded, "pymoo.algorithms.soo.nonconvex.de:DE"),
    "ga": partial(_make_plain, "pymoo.algorithms.soo.nonconvex.ga:GA"),
    "nichega": partial(_make_plain, "pymoo.algorithms.soo.nonconvex.ga_niching:NicheGA"),
    "pso": partial(_make_real_coded, "pymoo.algorithms.soo.nonconvex.pso:PSO"),
}
FOR_ONE_OBJECTIVE = ("de", "ga", "nichega", "pso")
FOR_ANY_NUMBER = (
    "nsga2",
    "nsga2-local",
    "pareto-local-search",
    "random",
    "spea2",
)  # of objectives; all others require two or more
WITHOUT_LIMITS = ("moead", "parallel-moead")  # pymoo's MOEA/D supports no constraints


def algorithm(
    name: str,
    problem: ArchitectureProblem,
    population: int | None = None,
    *,
    pop_size: int | None = None,
    **options: Any,
) -> Algorithm:
    """Make a pymoo algorithm by name, with the operators of the problem as defaults.

    The first population begins with the architectures that the setting ``start`` names, if any.

    Args:
        name: a key of ``ALGORITHMS``. "random" is random search with the survival of NSGA-II.
        problem: an :class:`~moonas.problem.ArchitectureProblem`.
        population: population size; by default, the population size in the problem's settings. The
            population of MOEA/D and C-TAEA has one candidate per reference direction, see
            :func:`reference_directions`, and can be smaller with three or more objectives.
        pop_size: pymoo's name of ``population``, which may be used instead.
        options: further arguments of the algorithm's constructor. "pnsga3" also accepts the
            arguments ``second``, ``cut`` and ``size`` of :class:`PNSGA3Survival`; by default, the
            problem sets them.

    Returns:
        A pymoo ``Algorithm``.

    Raises:
        ValueError: if the name is unknown, or the algorithm cannot be used with the problem.
        TypeError: if ``population`` and ``pop_size`` are different numbers.
    """
    if name not in ALGORITHMS:
        raise ValueError(f"Unknown algorithm {name!r}; choose from {sorted(ALGORITHMS)}.")
    _check_problem(name, problem)
    if None not in (population, pop_size) and population != pop_size:
        raise TypeError(
            f"population={population} and pop_size={pop_size} differ: pass one of the two."
        )
    from ..run.progress import SearchOutput

    operators, start = problem.operators(), getattr(problem.settings, "start", ())
    if start:
        operators["sampling"] = problem.published_sampling(*start)
    options = {"output": SearchOutput()} | operators | options
    n = population or pop_size or problem.settings.population
    made = ALGORITHMS[name](problem, n, **options)
    pass_algorithm_on(made)
    return made


def algorithms_for(problem: ArchitectureProblem) -> list[str]:
    """Return the names of the algorithms that support the objectives and limits of a problem."""
    one = problem.n_obj == 1
    supported = [
        name for name in ALGORITHMS if name in FOR_ANY_NUMBER or (name in FOR_ONE_OBJECTIVE) == one
    ]
    unsuitable = WITHOUT_LIMITS if problem.limits else ()
    return sorted(name for name in supported if name not in unsuitable)


def _check_problem(name: str, problem: ArchitectureProblem) -> None:
    """Raise a ``ValueError`` if an algorithm does not support the objectives or the limits."""
    supported = algorithms_for(problem)
    if name in supported:
        return
    if problem.limits and name in WITHOUT_LIMITS:
        reason = f"it ignores limits, and limits={list(map(str, problem.limits))}"
    elif name in FOR_ONE_OBJECTIVE:
        reason = f"it minimizes one objective, and objectives={list(problem.objectives)}"
    else:
        reason = f"it requires two or more objectives, and objectives={list(problem.objectives)}"
    raise ValueError(f"{name} cannot search this problem: {reason}. Choose from {supported}.")


def nsga2_by_rank(problem: ArchitectureProblem) -> Algorithm:
    """Make NSGA-II with binary tournaments by rank and crowding distance, as in Deb et al. (2002).

    The algorithm "nsga2" uses pymoo's default tournaments, by dominance and crowding distance.
    """
    nsga2 = algorithm("nsga2", problem)
    nsga2.tournament_type = "comp_by_rank_and_crowding"
    return nsga2


def _import_class(path: str) -> Any:
    """Import a class of pymoo from "module:name"."""
    module, name = path.split(":")
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:  # pymoo raises a bare Exception if numba is missing
        raise ValueError(
            f"{name} cannot be imported: {error} AGEMOEA requires numba: "
            "pip install 'moonas[agemoea]'."
        ) from error
