import warnings
from types import SimpleNamespace

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
from moonas.problem import Column

TWO_OBJECTIVES = Problem(n_var=1, n_obj=2)


def population(error, size, growth=None):
    pop = Population.new(F=np.column_stack([error, size]).astype(float))
    pop.set("error", np.asarray(error, float))
    if growth is not None:
        pop.set("growth", np.asarray(growth, float))
    return pop


def survive(pop, n, seed=0, **options):
    """Return the sorted indices of the n survivors, and the survival object."""
    survival = PNSGA3Survival(reference_directions(2, max(n, 2)), error="error", **options)
    survivors = survival.do(
        TWO_OBJECTIVES, pop, n_survive=n, random_state=np.random.default_rng(seed)
    )
    ids = {id(individual) for individual in survivors}
    return [k for k, individual in enumerate(pop) if id(individual) in ids], survival


def index_arrays(*lists):
    return [np.array(x) for x in lists]


def test_stage_k_is_the_union_of_both_kth_fronts_without_rows_of_earlier_stages():
    first, second = index_arrays([0, 1], [2], [3, 4]), index_arrays([4], [1, 3], [0, 2])
    stages = merge_fronts(first, second, n_stop=5)
    # U_1 = {0, 1} u {4}, then {2} u {1, 3} without 1
    assert [s.tolist() for s in stages] == [[0, 1, 4], [2, 3]]


def test_no_stage_follows_the_stage_that_reaches_the_required_number_of_rows():
    first, second = index_arrays([0], [1], [2]), index_arrays([2], [1], [0])
    assert [s.tolist() for s in merge_fronts(first, second, 2)] == [[0, 2]]
    assert [s.tolist() for s in merge_fronts(first, second, 3)] == [[0, 2], [1]]


def test_all_rows_are_merged_if_the_two_sorts_have_different_numbers_of_fronts():
    first, second = index_arrays([0, 1, 2, 3]), index_arrays([3], [2], [1], [0])
    assert [s.tolist() for s in merge_fronts(first, second, 9)] == [[0, 1, 2, 3]]
    stages = merge_fronts(second, index_arrays([2], [3, 0, 1]), 9)
    assert [s.tolist() for s in stages] == [[3, 2], [0, 1]]


def test_pnsga3_keeps_a_large_model_with_fast_growth_that_nsga3_removes():
    # a small, a medium, and a large model with the highest error and growth; a dominated model
    pop = population(error=[10, 5, 20, 12], size=[1, 2, 9, 3], growth=[0.1, 0.2, 3.0, 0.3])
    rows, survival = survive(pop, 3)
    assert rows == [0, 1, 2] and survival.rule == "growth"
    nsga3 = ReferenceDirectionSurvival(reference_directions(2, 3))
    survivors = nsga3.do(TWO_OBJECTIVES, pop, n_survive=2, random_state=np.random.default_rng(0))
    assert sorted(survivors.get("F")[:, 1]) == [1, 2]


def test_all_rows_of_the_first_stage_survive():
    # First sort (error, size): R1 = 0, 1; R2 = 2; R3 = 3.
    # Second sort (-growth, -size): Q1 = 3 (largest), 0 (fastest); Q2 = 2; Q3 = 1.
    pop = population(error=[9, 4, 5, 8], size=[1, 2, 3, 4], growth=[5, 0, 1, 2])
    stages = merge_fronts(index_arrays([0, 1], [2], [3]), index_arrays([3, 0], [2], [1]), 4)
    assert [s.tolist() for s in stages] == [[0, 1, 3], [2]]
    rows, _ = survive(pop, 3)
    assert rows == [0, 1, 3]
    assert pop.get("rank").tolist() == [0, 0, 1, 0]


def test_the_second_sort_by_growth_and_the_second_sort_by_size_select_different_rows():
    # rows 2 and 3 are equally large; row 2 is more accurate, row 3 grows faster
    pop = population(error=[9, 4, 8, 8.5], size=[1, 2, 4, 4], growth=[0, 1, -5, 2])
    rows, survival = survive(pop, 3, second="size")
    assert rows == [0, 1, 2] and survival.rule == "size"
    rows, survival = survive(pop, 3, second="growth")
    assert rows == [0, 1, 3] and survival.rule == "growth"


@pytest.mark.parametrize("growth", [None, [1, 2, np.nan]])
def test_the_second_sort_uses_error_and_size_if_the_growth_of_a_candidate_is_unknown(growth):
    _, survival = survive(population([3, 2, 1], [1, 2, 3], growth), 2)
    assert survival.rule == "size"


@pytest.mark.parametrize("second", ["growth", "size"])
@pytest.mark.parametrize("cut", ["niching", "random"])
def test_the_largest_smallest_and_most_accurate_models_survive_if_the_first_stage_fits(second, cut):
    rng = np.random.default_rng(7)
    n_tested = 0
    while n_tested < 25:
        pop = population(rng.random(24) * 100, rng.permutation(24), rng.normal(size=24))
        rows, _ = survive(pop, 12, second=second, cut=cut)
        assert len(rows) == 12
        rank = pop.get("rank")
        if (rank == 0).sum() > 12:
            continue
        n_tested += 1
        assert set(np.flatnonzero(rank == 0)) <= set(rows)
        F = pop.get("F")
        assert {F[:, 1].argmax(), F[:, 1].argmin(), F[:, 0].argmin()} <= set(rows)


def test_survivors_of_the_last_stage_are_selected_by_niching_or_at_random():
    # one stage of 5 rows on a line; niching selects both ends, each with a reference direction
    pop = population([5, 4, 3, 2, 1], [1, 2, 3, 4, 5])
    assert survive(pop, 2)[0] == [0, 4]
    survivors = set()
    for seed in range(40):
        survivors.update(survive(pop, 2, seed, cut="random")[0])
    assert survivors == {0, 1, 2, 3, 4}


def test_pnsga3_and_nsga3_select_the_same_rows_if_both_sorts_have_a_single_front():
    # like the sort of NSGA-III, both sorts return a single front
    n, n_survive = 20, 8
    directions = reference_directions(2, n_survive)
    error, size = np.linspace(90, 10, n), np.linspace(1, 9, n)
    errors = []
    for survival in (
        PNSGA3Survival(directions, error="error"),
        ReferenceDirectionSurvival(directions),
    ):
        pop = population(error, size, growth=-size)
        rng = np.random.default_rng(3)
        survivors = survival.do(TWO_OBJECTIVES, pop, n_survive=n_survive, random_state=rng)
        errors.append(sorted(survivors.get("F")[:, 0]))
    assert errors[0] == errors[1]


def test_the_size_can_be_a_column_that_is_not_an_objective():
    pop = population([1, 2, 3], [3, 2, 1], [0, 0, 0])
    pop.set("extra", np.array([1.0, 2.0, 9.0]))
    rows, _ = survive(pop, 2, size="extra")
    assert 2 in rows


@pytest.mark.parametrize("base", [NSGA2, NSGA3])
def test_the_survival_works_in_nsga2_and_nsga3(base):
    toy = Toy()
    directions = reference_directions(2, 8)
    survival = PNSGA3Survival(directions, error="error", size="params")
    options = dict(pop_size=8, survival=survival, **toy.operators())
    algorithm = base(ref_dirs=directions, **options) if base is NSGA3 else base(**options)
    result = minimize(toy, algorithm, ("n_gen", 8), seed=1)
    assert result.algorithm.survival.rule == "growth"
    assert len(result.pop) == 8
    size = result.pop.get("F")[:, 1]
    assert size.max() - size.min() > 5


def test_pnsga3_finds_larger_models_than_nsga3_if_small_models_learn_faster():
    def median_size(name):
        sizes = []
        for seed in range(3):
            toy = Toy(population=12)
            result = minimize(toy, moonas.algorithm(name, toy), ("n_gen", 15), seed=seed)
            sizes.append(result.pop.get("params").mean())
        return np.median(sizes)

    assert median_size("pnsga3") > median_size("nsga3")


def test_unknown_values_of_second_and_cut_are_rejected():
    with pytest.raises(ValueError, match=r"second='speed'; choose from \['growth', 'size'\]"):
        PNSGA3Survival(reference_directions(2, 4), second="speed")
    with pytest.raises(ValueError, match=r"cut='none'; choose from \['niching', 'random'\]"):
        PNSGA3Survival(reference_directions(2, 4), cut="none")


def test_the_survival_does_not_silence_later_warnings():
    survive(population([1, 2, 3], [3, 2, 1]), 2)
    with pytest.warns(UserWarning, match="not silenced"):
        warnings.warn("not silenced", stacklevel=1)


COLUMNS = {
    "error": Column("error", "%"),
    "params": Column("params", "parameters"),
    "macs": Column("macs", "multiply-adds"),
    "latency_board": Column("latency_board", "ms"),
}


def named_survival(*objectives, **options):
    """Return the survival of "pnsga3" on a problem without growth of accuracy."""
    problem = SimpleNamespace(
        n_obj=len(objectives),
        objectives=objectives,
        limits=(),
        column=COLUMNS.__getitem__,
        growth_of=None,
        pnsga3_options={},
        settings=SimpleNamespace(population=12),
        operators=dict,
    )
    return moonas.algorithm("pnsga3", problem, **options).survival


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
def test_without_growth_the_second_sort_uses_the_first_objective_and_the_first_size_after_it(
    objectives, error, size
):
    survival = named_survival(*objectives)
    assert (survival.error, survival.size, survival.second) == (error, size, "size")


def test_without_growth_the_size_can_be_set():
    survival = named_survival("error", "params", size="macs", second="growth", cut="random")
    assert (survival.size, survival.second, survival.cut) == ("macs", "size", "random")


@pytest.mark.parametrize("objectives", [("error", "latency_board"), ("params", "error")])
def test_pnsga3_is_rejected_if_a_problem_has_neither_growth_nor_a_size_objective(objectives):
    message = (
        "pnsga3 protects large candidates: on a problem that does not measure the growth of "
        "accuracy, it requires params or macs as an objective after the first one; got objectives "
        f"{list(objectives)}."
    )
    with pytest.raises(ValueError) as caught:
        named_survival(*objectives)
    assert str(caught.value) == message


def test_pnsga3_keeps_large_cells_in_a_search_of_a_benchmark_table(tmp_path):
    """Small cells are the fastest, so only small cells are non-dominated in latency and size."""
    problem = moonas.load_problem(
        "nasbench201",
        table=write_table(tmp_path / "table.csv"),
        objectives=("latency_board", "params"),
        population=12,
    )
    pnsga3 = minimize(problem, moonas.algorithm("pnsga3", problem), ("n_gen", 10), seed=1)
    assert pnsga3.algorithm.survival.rule == "size" and len(pnsga3.pop) == 12
    nsga3 = minimize(problem, moonas.algorithm("nsga3", problem), ("n_gen", 10), seed=1)
    largest = [result.pop.get("params").astype(float).max() for result in (pnsga3, nsga3)]
    assert largest[0] > 2 * largest[1]
