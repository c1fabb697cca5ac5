import numpy as np
import pytest
from toy import Toy

import moonas
from moonas.algorithms import nsga2_by_rank
from moonas.algorithms.named import reference_directions
from moonas.algorithms.random_search import UniqueSampling
from moonas.operators import CategoricalSampling, SameRow


@pytest.mark.parametrize(
    ("n_obj", "population", "n"), [(2, 2, 2), (2, 13, 13), (3, 3, 3), (3, 9, 6), (3, 10, 10)]
)
def test_reference_directions_are_the_largest_set_that_fits_into_the_population(
    n_obj, population, n
):
    directions = reference_directions(n_obj, population)
    assert directions.shape == (n, n_obj)
    assert np.allclose(directions.sum(axis=1), 1)


def test_a_population_smaller_than_the_number_of_objectives_is_rejected():
    message = "population=2 is invalid: expected at least the number of objectives, 3"
    with pytest.raises(ValueError, match=message):
        reference_directions(3, 2)


def test_the_error_about_an_unknown_algorithm_lists_the_known_names():
    with pytest.raises(ValueError, match=r"Unknown algorithm 'nsga9'; choose from \['agemoea'"):
        moonas.algorithm("nsga9", Toy())


def test_options_replace_the_operators_of_the_problem():
    sampling = CategoricalSampling()
    search = moonas.algorithm("nsga2", Toy(), population=5, sampling=sampling)
    assert search.initialization.sampling is sampling and search.pop_size == 5


def test_nsga2_by_rank_uses_tournaments_by_rank_and_crowding():
    assert nsga2_by_rank(Toy()).tournament_type == "comp_by_rank_and_crowding"
    assert moonas.algorithm("nsga2", Toy()).tournament_type != "comp_by_rank_and_crowding"


def test_unique_sampling_returns_no_duplicates_and_fails_if_the_space_is_too_small():
    problem = Toy()
    problem.n_choices = np.full(6, 2)  # 64 rows
    sampling = UniqueSampling(CategoricalSampling(), eliminate_duplicates=SameRow())
    X = sampling.do(problem, 50, random_state=np.random.default_rng(0)).get("X")
    assert len(np.unique(X, axis=0)) == 50
    with pytest.raises(ValueError, match="population=65 is too large: only 6. different"):
        sampling.do(problem, 65, random_state=np.random.default_rng(0))
