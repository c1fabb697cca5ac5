import warnings

import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3, ReferenceDirectionSurvival
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.optimize import minimize
from tables201 import write_table
from toy import Toy

import moonas
from moonas.algorithms.named import reference_directions
from moonas.algorithms.pnsga3 import PNSGA3Survival, merge_fronts

TWO = Problem(n_var=1, n_obj=2)


def population(error, size, growth=None):
    pop = Population.new(F=np.column_stack([error, size]).astype(float))
    pop.set("error", np.asarray(error, float))
    if growth is not None:
        pop.set("growth", np.asarray(growth, float))
    return pop


def survive(pop, n, **options):
    survival = PNSGA3Survival(reference_directions(2, max(n, 2)), error="error", **options)
    kept = survival.do(TWO, pop, n_survive=n, random_state=np.random.default_rng(0))
    return {id(i) for i in kept}, survival


def kept_rows(pop, n, **options):
    ids, survival = survive(pop, n, **options)
    return [k for k, individual in enumerate(pop) if id(individual) in ids], survival


def arrays(*lists):
    return [np.array(x) for x in lists]


def test_merged_stages_unite_the_kth_fronts_and_name_each_row_once():
    first, second = arrays([0, 1], [2], [3, 4]), arrays([4], [1, 3], [0, 2])
    stages = merge_fronts(first, second, n_stop=5)
    # U_1 = {0,1} u {4}; then {2} u {1,3} less what is there
    assert [s.tolist() for s in stages] == [[0, 1, 4], [2, 3]]


def test_merging_stops_with_the_stage_that_reaches_n():
    first, second = arrays([0], [1], [2]), arrays([2], [1], [0])
    assert [s.tolist() for s in merge_fronts(first, second, 2)] == [[0, 2]]
    assert [s.tolist() for s in merge_fronts(first, second, 3)] == [[0, 2], [1]]


def test_sorts_of_different_length_are_merged_to_the_end_of_the_longer():
    first, second = arrays([0, 1, 2, 3]), arrays([3], [2], [1], [0])
    assert [s.tolist() for s in merge_fronts(first, second, 9)] == [[0, 1, 2, 3]]
    stages = merge_fronts(second, arrays([2], [3, 0, 1]), 9)
    assert [s.tolist() for s in stages] == [[3, 2], [0, 1]]


def test_a_large_slow_model_survives_where_nsga3_drops_it():
    #        small, middle, large and worse than all, but growing fastest, and a bad middle one
    pop = population(error=[10, 5, 20, 12], size=[1, 2, 9, 3], growth=[0.1, 0.2, 3.0, 0.3])
    rows, survival = kept_rows(pop, 3)
    assert rows == [0, 1, 2] and survival.rule == "growth"
    nsga3 = ReferenceDirectionSurvival(reference_directions(2, 3))
    kept = nsga3.do(TWO, pop, n_survive=2, random_state=np.random.default_rng(0))
    assert sorted(kept.get("F")[:, 1]) == [1, 2]


def test_hand_made_population_by_growth():
    # error, size, growth. First sort (error, size): R1 = 0, 1; R2 = 2; R3 = 3.
    # Second sort (-growth, -size): Q1 = 3 (largest), 0 (fastest); Q2 = 2; Q3 = 1.
    pop = population(error=[9, 4, 5, 8], size=[1, 2, 3, 4], growth=[5, 0, 1, 2])
    stages = merge_fronts(arrays([0, 1], [2], [3]), arrays([3, 0], [2], [1]), 4)
    assert [s.tolist() for s in stages] == [[0, 1, 3], [2]]
    rows, _ = kept_rows(pop, 3)
    assert rows == [0, 1, 3]
    assert pop.get("rank").tolist() == [0, 0, 1, 0]


def test_the_two_rules_keep_different_rows():
    # rows 2 and 3 are equally large; row 2 is more accurate, row 3 grows faster
    pop = population(error=[9, 4, 8, 8.5], size=[1, 2, 4, 4], growth=[0, 1, -5, 2])
    rows, survival = kept_rows(pop, 3, second="size")
    assert rows == [0, 1, 2] and survival.rule == "size"
    rows, survival = kept_rows(pop, 3, second="growth")
    assert rows == [0, 1, 3] and survival.rule == "growth"


@pytest.mark.parametrize("growth", [None, [1, 2, np.nan]])
def test_released_rule_applies_where_growth_is_unknown_and_shows(growth):
    _, survival = kept_rows(population([3, 2, 1], [1, 2, 3], growth), 2)
    assert survival.rule == "size"


@pytest.mark.parametrize("second", ["growth", "size"])
@pytest.mark.parametrize("cut", ["niching", "random"])
def test_largest_smallest_and_most_accurate_survive_while_the_first_stage_fits(second, cut):
    rng = np.random.default_rng(7)
    tried = 0
    while tried < 100:
        pop = population(rng.random(24) * 100, rng.permutation(24), rng.normal(size=24))
        rows, _ = kept_rows(pop, 12, second=second, cut=cut)
        assert len(rows) == 12
        rank = pop.get("rank")
        if (rank == 0).sum() > 12:
            continue
        tried += 1
        assert set(np.flatnonzero(rank == 0)) <= set(rows)
        F = pop.get("F")
        assert {F[:, 1].argmax(), F[:, 1].argmin(), F[:, 0].argmin()} <= set(rows)


def test_the_last_stage_is_cut_at_random_or_by_niches():
    # one stage of 5 on a line; niching takes the ends first, for each has a direction of its own
    pop = population([5, 4, 3, 2, 1], [1, 2, 3, 4, 5])
    rows, _ = kept_rows(pop, 2)
    assert rows == [0, 4]
    chosen = set()
    for seed in range(40):
        survival = PNSGA3Survival(reference_directions(2, 2), error="error", cut="random")
        kept = survival.do(TWO, pop, n_survive=2, random_state=np.random.default_rng(seed))
        chosen |= {k for k, i in enumerate(pop) if any(i is j for j in kept)}
    assert chosen == {0, 1, 2, 3, 4}


def test_niching_cuts_as_nsga3_does_where_both_sorts_agree():
    # growth falls with size as error rises: both sorts give one front, as NSGA-III's own sort does
    n, keep = 20, 8
    directions = reference_directions(2, keep)
    error, size = np.linspace(90, 10, n), np.linspace(1, 9, n)
    ours = PNSGA3Survival(directions, error="error")
    theirs = ReferenceDirectionSurvival(directions)
    picked = []
    for survival in (ours, theirs):
        pop = population(error, size, growth=-size)
        kept = survival.do(TWO, pop, n_survive=keep, random_state=np.random.default_rng(3))
        picked.append(sorted(kept.get("F")[:, 0]))
    assert picked[0] == picked[1]


def test_size_can_be_any_objective_or_column():
    pop = population([1, 2, 3], [3, 2, 1], [0, 0, 0])
    pop.set("other", np.array([1.0, 2.0, 9.0]))
    rows, _ = kept_rows(pop, 2, size="other")
    assert 2 in rows


@pytest.mark.parametrize("base", [NSGA2, NSGA3])
def test_it_runs_inside_nsga2_and_nsga3(base):
    toy = Toy()
    directions = reference_directions(2, 8)
    survival = PNSGA3Survival(directions, error="error", size="params")
    options = dict(pop_size=8, survival=survival, **toy.operators())
    algorithm = base(ref_dirs=directions, **options) if base is NSGA3 else base(**options)
    with warnings.catch_warnings(record=True):
        result = minimize(toy, algorithm, ("n_gen", 8), seed=1)
    assert result.algorithm.survival.rule == "growth"
    assert len(result.pop) == 8
    size = result.pop.get("F")[:, 1]
    assert size.max() - size.min() > 5


def test_it_keeps_larger_models_than_nsga3_where_small_ones_learn_faster():
    from moonas import algorithm

    medians = {
        name: np.median(
            [
                minimize(
                    Toy(population=12), algorithm(name, Toy(population=12)), ("n_gen", 15), seed=s
                )
                .pop.get("params")
                .mean()
                for s in range(5)
            ]
        )
        for name in ("nsga3", "pnsga3")
    }
    assert medians["pnsga3"] > medians["nsga3"]


def test_unknown_options_are_refused_by_name():
    with pytest.raises(ValueError, match=r"second='speed'; choose from \['growth', 'size'\]"):
        PNSGA3Survival(reference_directions(2, 4), second="speed")
    with pytest.raises(ValueError, match=r"cut='none'; choose from \['niching', 'random'\]"):
        PNSGA3Survival(reference_directions(2, 4), cut="none")


def test_warnings_stay_alive_after_a_survival():
    kept_rows(population([1, 2, 3], [3, 2, 1]), 2)
    with pytest.warns(UserWarning, match="still heard"):
        warnings.warn("still heard", stacklevel=1)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("table") / "table.csv")


def by_name(table, *objectives, **options):
    problem = moonas.load_problem("nasbench201", table=table, objectives=objectives, population=12)
    return problem, moonas.algorithm("pnsga3", problem, **options)


@pytest.mark.parametrize(
    ("objectives", "error", "size"),
    [
        (("error", "params"), "error", "params"),
        (("error", "macs"), "error", "macs"),
        (("error", "macs", "params"), "error", "macs"),
        (("error", "latency_board", "params"), "error", "params"),
        (("latency_board", "error", "macs"), "latency_board", "macs"),
        (("params", "macs"), "params", "macs"),
    ],
)
def test_without_growth_the_first_objective_and_the_first_size_behind_it_protect(
    table, objectives, error, size
):
    _, algorithm = by_name(table, *objectives)
    survival = algorithm.survival
    assert (survival.error, survival.size, survival.second) == (error, size, "size")


def test_without_growth_any_size_can_be_chosen(table):
    _, algorithm = by_name(table, "error", "params", size="macs", second="growth", cut="random")
    survival = algorithm.survival
    assert (survival.size, survival.second, survival.cut) == ("macs", "size", "random")


@pytest.mark.parametrize("objectives", [("error", "latency_board"), ("params", "error")])
def test_without_growth_and_without_a_size_it_is_refused(table, objectives):
    message = (
        "pnsga3 protects large candidates: on a problem that does not measure the growth of "
        "accuracy, it requires params or macs as an objective after the first one; got objectives "
        f"{list(objectives)}."
    )
    with pytest.raises(ValueError) as caught:
        by_name(table, *objectives)
    assert str(caught.value) == message


def test_a_search_of_a_table_uses_the_released_rule_and_keeps_large_cells(table):
    """Small cells are the fastest: by time and size alone they are all that survives."""
    problem, algorithm = by_name(table, "latency_board", "params")
    protected = minimize(problem, algorithm, ("n_gen", 10), seed=1)
    assert protected.algorithm.survival.rule == "size" and len(protected.pop) == 12
    plain = minimize(problem, moonas.algorithm("nsga3", problem), ("n_gen", 10), seed=1)
    largest = [run.pop.get("params").astype(float).max() for run in (protected, plain)]
    assert largest[0] > 2 * largest[1]
