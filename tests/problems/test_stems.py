"""The setting ``stem`` of all problems whose networks are stacks of cells."""

import pytest
import torch
from moonas.problems.eg_darts.cell_space import EDGES, OPERATIONS
from moonas.problems.eg_darts.relaxed_network import RelaxedNetwork
from searches import TINY, rows

import moonas
from moonas.nets.counting import count_macs, count_params
from moonas.registry import settings_class, training_module, training_settings_class
from moonas.settings import former_values

PROBLEMS = ["cars", "nsganet", "eg-darts"]
SIDE = 64  # pixels; earlier versions used the large stem from this side on


def load(name, **options):
    return moonas.load_problem(name, **TINY[name] | {"image_size": SIDE} | options)


def has_large_stem(network):
    return network.stem.second is not None


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize(
    ("stem", "large"), [("auto", False), ("small", False), ("large", True), ("from64", True)]
)
def test_networks_counts_and_latency_parts_have_the_stem_of_the_setting(name, stem, large):
    problem = load(name, stem=stem)
    x = rows(problem, 1)[0]
    architecture = problem.decode(x)
    with torch.device("meta"):
        network = problem.network(architecture)
        trained = problem.network(architecture, **problem.trained_shape)
    assert has_large_stem(network) == has_large_stem(trained) == large
    counted = problem.count(problem.session.candidates(x[None]))[0].tolist()
    assert counted == [count_params(network), count_macs(network, *problem.input_shape)]
    parts = problem.parts(architecture)
    assert sum(count_params(part.build()) for part in parts) == count_params(network)
    assert {part.key for part in parts} <= {part.key for part in problem.operations()}


@pytest.mark.parametrize(("name", "more"), [("cars", {}), ("nsganet", {"evaluator": "supernet"})])
def test_supernets_have_the_stem_of_the_setting(name, more):
    for stem, large in (("auto", False), ("from64", True)):
        evaluator = load(name, stem=stem, **more).make_evaluator()
        evaluator.begin(1)
        assert has_large_stem(evaluator.net) == large


def test_the_networks_of_the_search_for_cells_have_the_stem_of_the_setting():
    for stem, large in (("auto", False), ("from64", True), ("large", True)):
        options = TINY["eg-darts-cells"] | {"image_size": SIDE, "stem": stem}
        shape = moonas.load_stage("eg-darts-cells", **options).network_shape(0)
        assert shape["stem"] == stem and shape["image_size"] == SIDE
        with torch.device("meta"):
            candidates = [[range(len(OPERATIONS))] * len(EDGES)] * 2
            assert has_large_stem(RelaxedNetwork(candidates, **shape)) == large


@pytest.mark.parametrize("name", [*PROBLEMS, "eg-darts-cells"])
def test_runs_of_earlier_versions_keep_the_large_stem_from_64_pixels_on(name):
    assert former_values(settings_class(name))["stem"] == "from64"
    if name in PROBLEMS:
        assert former_values(training_settings_class(name))["stem"] == "from64"


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_model_of_an_earlier_version_keeps_the_large_stem_from_64_pixels_on(name):
    problem = moonas.load_problem(name)
    architecture = problem.architecture_to_json(problem.decode(rows(problem, 1)[0]))
    about = {"problem": name, "searched": {}, "architecture": architecture}
    for side, large in ((32, False), (64, True), (224, True)):
        shape = dict(n_classes=3, in_channels=1, image_size=side)
        build_network = training_module(name).build_network
        assert has_large_stem(build_network(about | {"shape": shape})) == large
        recorded = about | {"searched": {"stem": "small"}, "shape": shape}
        assert not has_large_stem(build_network(recorded))


def test_a_training_has_the_stem_of_its_search_unless_it_has_its_own(tmp_path, few_digits):
    options = TINY["nsganet"] | dict(data=few_digits, image_size=64, layers=1, generations=1)
    options |= dict(population=2, stem="from64", batch=25)
    moonas.search("nsganet", out=tmp_path / "run", **options)
    for chosen, large in ((None, True), ("auto", False), ("small", False)):
        stage = moonas.load_training(tmp_path / "run", stem=chosen)
        with torch.device("meta"):
            assert has_large_stem(stage.network()) == large
