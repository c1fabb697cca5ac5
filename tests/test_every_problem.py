"""Every registered problem satisfies the requirements of ``check_problem``."""

import numpy as np
import pytest
from cyclegans import write_domains
from pymoo.operators.mutation.pm import PM
from searches import TINY
from tables201 import write_table
from toy import Toy

import moonas
from moonas.registry import entries, has_training, settings_class, stages, training_settings_class
from moonas.settings import names_of
from moonas.testing import check_problem


@pytest.fixture
def options_of(tiny_of, few_digits, tmp_path_factory):
    """Return a function from the name of a problem to settings for a fast search.

    Problems that read images use a few images from a folder.
    """

    def options(name):
        if name == "nasbench201":
            return {"table": write_table(tmp_path_factory.mktemp("table") / "table.csv")}
        if "image_size" not in names_of(settings_class(name)):  # the problem reads no images
            return tiny_of(name)
        data = few_digits
        if name == "cyclegan-pruning":  # this problem requires images of two domains
            data = write_domains(tmp_path_factory.mktemp("domains") / "noise")
        return tiny_of(name) | {"population": 4, "data": data}

    return options


@pytest.mark.parametrize("name", moonas.problem_names())
def test_every_problem_satisfies_the_requirements(name, options_of):
    problem = moonas.load_problem(name, **options_of(name))
    # in the table of these tests, a formula computes params and macs, not the networks
    check_problem(problem, n=3, generations=2, sizes=name != "nasbench201")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cars", dict(weights="frozen")),
        pytest.param(
            *("nsganet", dict(evaluator="supernet", weights="frozen")), marks=pytest.mark.slow
        ),
        pytest.param("nsganet", dict(evaluator="supernet"), marks=pytest.mark.slow),
    ],
)
def test_a_problem_with_another_evaluator_satisfies_the_requirements(name, options, options_of):
    check_problem(moonas.load_problem(name, **options, **options_of(name)), n=3, generations=2)


def test_every_stage_has_settings_for_a_fast_run():
    assert set(TINY) == set(entries())
    for name, options in TINY.items():
        assert set(options) <= set(names_of(settings_class(name))), name


@pytest.mark.parametrize("task", sorted({e.task for e in entries().values()}))
def test_all_stages_of_a_task_have_the_same_presets(task):
    classes = [settings_class(name) for name in stages(task)]
    assert all(set(c.PRESETS) == set(classes[0].PRESETS) for c in classes)
    classes += [training_settings_class(name) for name in stages(task) if has_training(name)]
    for settings in classes:
        for name, options in settings.PRESETS.items():
            assert set(options) <= set(names_of(settings)), name


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        (dict(encode=lambda x: np.zeros(6, int)), "decode"),
        (dict(objective_bounds=lambda: np.array([[0, 0], [1, 1]])), "bounds"),
        (dict(operators=lambda: Toy().operators() | {"mutation": PM(eta=3)}), "type"),
    ],
)
def test_check_problem_detects_a_violated_requirement(attributes, message):
    toy = Toy()
    vars(toy).update(attributes)
    with pytest.raises(AssertionError, match=message):
        check_problem(toy)
