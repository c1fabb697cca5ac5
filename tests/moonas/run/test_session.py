from pymoo.algorithms.moo.nsga2 import NSGA2

from moonas.run.session import describe_algorithm


def test_the_description_of_an_algorithm_names_its_population_sizes_survival_and_mating():
    description = describe_algorithm(NSGA2(pop_size=8, n_offsprings=4))
    assert description == ("NSGA2 pop_size=8 n_offsprings=4 survival=RankAndCrowding mating=Mating")
