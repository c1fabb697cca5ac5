"""pNSGA-III: NSGA-III that protects large models (CARS, Yang et al., 2020, section 3.3)."""

import warnings

import numpy as np
from pymoo.algorithms.moo.nsga3 import (
    HyperplaneNormalization,
    associate_to_niches,
    calc_niche_count,
    niching,
)
from pymoo.core.survival import Survival
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

SECOND_SORTS = ("growth", "size")
CUTS = ("niching", "random")


def merge_fronts(first, second, n_stop):
    """The stages of two sorts united front by front, each row in the first stage that has it.

    The union of the stages up to i is U_i of section 3.3.

    Args:
        first: list of index arrays, the fronts R_1, R_2, ... of one sort.
        second: the same, Q_1, Q_2, ..., of the other.
        n_stop: no stage is added once so many rows are in.

    Returns:
        A list of index arrays, disjoint.
    """
    stages, seen = [], set()
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
    """Two non-dominated sorts, merged front by front; the last front cut by NSGA-III's niching.

    The first sort is on all objectives. The second rewards a faster growth of accuracy and a larger
    size. Where a growth is not known (the first generation, static problems) the rule of the
    authors' release takes its place: lower error and larger size. Runs in NSGA3 and in NSGA2.

    As long as the first merged stage fits into the population, the largest, the smallest and the
    most accurate candidate survive.

    Args:
        ref_dirs: (n, n_obj) reference directions of the niching.
        error: column, or index of an objective; lower is better.
        size: the same; the second sort wants it large.
        growth: column with the growth of accuracy; higher is better.
        second: "growth" as the paper writes, or "size" as the release does.
        cut: "niching" as NSGA-III does, or "random" as the release does.

    Attributes:
        rule: the second sort that the last survival used, "growth" or "size".
        opt: the candidates of the last survival that none dominates in all objectives.
    """

    def __init__(
        self, ref_dirs, *, error=0, size=1, growth="growth", second="growth", cut="niching"
    ):
        super().__init__(filter_infeasible=True)
        for name, value, known in (("second", second, SECOND_SORTS), ("cut", cut, CUTS)):
            if value not in known:
                raise ValueError(f"Unknown {name}={value!r}; choose from {list(known)}.")
        self.ref_dirs = ref_dirs
        self.error, self.size, self.growth = error, size, growth
        self.second, self.cut = second, cut
        self.norm = HyperplaneNormalization(ref_dirs.shape[1])
        self.rule = None
        self.opt = None

    def _do(self, problem, pop, *args, n_survive=None, random_state=None, **kwargs):
        F = pop.get("F").astype(float)
        stages = merge_fronts(
            NonDominatedSorting().do(F), NonDominatedSorting().do(self._second_view(pop)), n_survive
        )
        nondominated = NonDominatedSorting().do(F, only_non_dominated_front=True)
        with warnings.catch_warnings():  # pymoo's normalisation silences all warnings for good
            self.norm.update(F, nds=nondominated)
        niche, distance, _ = associate_to_niches(
            F, self.ref_dirs, self.norm.ideal_point, self.norm.nadir_point
        )
        rank = np.full(len(pop), len(stages))
        for k, stage in enumerate(stages):
            rank[stage] = k
        pop.set("rank", rank, "niche", niche, "dist_to_niche", distance, "crowding", -distance)
        self.opt = pop[nondominated]

        kept = np.concatenate(stages)
        if len(kept) > n_survive:
            last = stages[-1]
            kept = np.concatenate([np.array([], dtype=int), *stages[:-1]])
            chosen = self._cut(pop, last, kept, n_survive - len(kept), random_state)
            kept = np.concatenate([kept, last[chosen]])
        return pop[kept]

    def _second_view(self, pop):
        """(n, 2) what the second sort minimises."""
        size, growth = _values(pop, self.size), None
        if self.second == "growth":
            growth = _values(pop, self.growth)
        self.rule = "size" if growth is None or np.isnan(growth).any() else "growth"
        faster_or_better = -growth if self.rule == "growth" else _values(pop, self.error)
        return np.column_stack([faster_or_better, -size])

    def _cut(self, pop, last, kept, n, rng):
        """Positions in ``last`` of the ``n`` rows that fill the population up."""
        if self.cut == "random":
            return rng.permutation(len(last))[:n]
        niche = pop.get("niche")
        counts = calc_niche_count(len(self.ref_dirs), niche[kept])
        distance = pop.get("dist_to_niche")[last]
        return niching(pop[last], n, counts, niche[last], distance, random_state=rng)


def _values(pop, key):
    """(n,) floats: an objective by index, or a column by name; NaN where there is none."""
    if isinstance(key, str):
        return np.array([np.nan if v is None else v for v in pop.get(key)], dtype=float)
    return pop.get("F")[:, key].astype(float)
