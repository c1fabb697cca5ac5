"""pNSGA-III: NSGA-III that protects large models (CARS, Yang et al., 2020, section 3.3)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pymoo.algorithms.moo.nsga3 import (
    HyperplaneNormalization,
    associate_to_niches,
    calc_niche_count,
    niching,
)
from pymoo.core.population import Population
from pymoo.core.survival import Survival
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem

SECOND_SORTS = ("growth", "size")
CUTS = ("niching", "random")


def merge_fronts(
    first: Sequence[np.ndarray], second: Sequence[np.ndarray], n_stop: int
) -> list[np.ndarray]:
    """Merge the fronts of two non-dominated sorts into disjoint stages.

    Stage i contains the members of R_i and Q_i that are in no earlier stage. The union of the first
    i stages is the set U_i of section 3.3.

    Args:
        first: index arrays, the fronts R_1, R_2, ... of the first sort.
        second: index arrays, the fronts Q_1, Q_2, ... of the second sort.
        n_stop: number of rows to reach; no stage is added after the one that reaches it.

    Returns:
        The stages, a list of index arrays.
    """
    stages: list[np.ndarray] = []
    seen: set[int] = set()
    for k in range(max(len(first), len(second))):
        members = [i for fronts in (first, second) if k < len(fronts) for i in fronts[k]]
        stage = [int(i) for i in dict.fromkeys(members) if i not in seen]
        if stage:
            stages.append(np.array(stage))
            seen.update(stage)
        if len(seen) >= n_stop:
            break
    return stages


class PNSGA3Survival(Survival):
    """The survival of pNSGA-III, which merges two non-dominated sorts front by front.

    The first sort uses all objectives. The second sort prefers a faster growth of accuracy and a
    larger size. If the growth of a candidate is unknown (in the first generation, or on problems
    whose objectives do not change), the second sort prefers a lower error and a larger size
    instead, as in the authors' release. If the last merged front does not fit into the population,
    the niching of NSGA-III selects from it. pymoo's NSGA3 and NSGA2 can use this survival.

    The largest, the smallest and the most accurate candidates survive if the first merged front
    fits into the population.

    Args:
        ref_dirs: (n, n_obj) reference directions for niching.
        error: name of the error column, or index of the error objective; lower is better.
        size: name of the size column, or index of the size objective. The second sort maximizes it.
        growth: name of the column with the growth of accuracy during weight training; higher is
            better.
        second: objectives of the second sort: "growth" for growth and size, as in the paper, or
            "size" for error and size, as in the release.
        cut: how to select from the last front: "niching" as in NSGA-III, or "random" as in the
            release.

    Attributes:
        rule: which second sort the last survival used, "growth" or "size".
        opt: the non-dominated candidates of the last survival.

    Raises:
        ValueError: if ``second`` or ``cut`` is unknown.
    """

    def __init__(
        self,
        ref_dirs: np.ndarray,
        *,
        error: str | int = 0,
        size: str | int = 1,
        growth: str = "growth",
        second: str = "growth",
        cut: str = "niching",
    ) -> None:
        super().__init__(filter_infeasible=True)
        for name, value, choices in (("second", second, SECOND_SORTS), ("cut", cut, CUTS)):
            if value not in choices:
                raise ValueError(f"Unknown {name}={value!r}; choose from {list(choices)}.")
        self.ref_dirs = ref_dirs
        self.error, self.size, self.growth = error, size, growth
        self.second, self.cut = second, cut
        self.norm = HyperplaneNormalization(ref_dirs.shape[1])
        self.rule: str | None = None
        self.opt: Population = None

    def _do(
        self,
        problem: ArchitectureProblem,
        pop: Population,
        *args: Any,
        n_survive: int,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> Population:
        F = pop.get("F").astype(float)
        stages = merge_fronts(
            NonDominatedSorting().do(F),
            NonDominatedSorting().do(self._second_objectives(pop)),
            n_survive,
        )
        nondominated = NonDominatedSorting().do(F, only_non_dominated_front=True)
        with warnings.catch_warnings():  # pymoo's normalization permanently silences all warnings
            self.norm.update(F, nds=nondominated)
        niche, distance, _ = associate_to_niches(
            F, self.ref_dirs, self.norm.ideal_point, self.norm.nadir_point
        )
        rank = np.full(len(pop), len(stages))
        for k, stage in enumerate(stages):
            rank[stage] = k
        pop.set("rank", rank, "niche", niche, "dist_to_niche", distance, "crowding", -distance)
        self.opt = pop[nondominated]

        survivors = np.concatenate(stages)
        if len(survivors) > n_survive:
            last = stages[-1]
            survivors = np.concatenate([np.array([], dtype=int), *stages[:-1]])
            selected = self._cut(pop, last, survivors, n_survive - len(survivors), random_state)
            survivors = np.concatenate([survivors, last[selected]])
        return pop[survivors]

    def _second_objectives(self, pop: Population) -> np.ndarray:
        """Return the (n, 2) values that the second sort minimizes, and set ``rule``."""
        growth = _column_or_objective(pop, self.growth) if self.second == "growth" else None
        if growth is None or np.isnan(growth).any():
            self.rule, first = "size", _column_or_objective(pop, self.error)
        else:
            self.rule, first = "growth", -growth
        return np.column_stack([first, -_column_or_objective(pop, self.size)])

    def _cut(
        self,
        pop: Population,
        last: np.ndarray,
        survivors: np.ndarray,
        n: int,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Select the survivors from the last stage, which does not fit into the population.

        Args:
            pop: the population, whose individuals have the key "niche".
            last: (k,) indices of the last stage.
            survivors: indices of the earlier stages, which all survive.
            n: number of survivors to select, less than k.
            rng: ``numpy.random.Generator``.

        Returns:
            (n,) positions in ``last``.
        """
        if self.cut == "random":
            return rng.permutation(len(last))[:n]
        niche = pop.get("niche")
        counts = calc_niche_count(len(self.ref_dirs), niche[survivors])
        distance = pop.get("dist_to_niche")[last]
        selected: np.ndarray = niching(
            pop[last], n, counts, niche[last], distance, random_state=rng
        )
        return selected


def _column_or_objective(pop: Population, key: str | int) -> np.ndarray:
    """Return a column by name, or an objective by index: (n,) floats, NaN for missing values."""
    if isinstance(key, str):
        return np.array([np.nan if v is None else v for v in pop.get(key)], dtype=float)
    values: np.ndarray = pop.get("F")[:, key].astype(float)
    return values
