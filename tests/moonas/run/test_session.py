from pymoo.algorithms.moo.nsga2 import NSGA2

from moonas.run.session import describe_algorithm


def test_the_description_of_an_algorithm_has_its_sizes_and_parts():
    description = describe_algorithm(NSGA2(pop_size=8, n_offsprings=4))
    assert description == ("NSGA2 pop_size=8 n_offsprings=4 survival=RankAndCrowding mating=Mating")
