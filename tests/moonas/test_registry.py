"""Problems and stages can be loaded by name."""

import os
import subprocess
import sys

import pytest

import moonas
from moonas.registry import stages


def test_problem_names_and_stages_are_listed():
    assert "cars" in moonas.problem_names()
    assert stages("cars") == ["cars"]


@pytest.mark.parametrize("load", [moonas.load_problem, stages])
def test_the_error_for_an_unknown_name_lists_the_known_names(load):
    with pytest.raises(ValueError, match=r"'carz'; choose from \['cars'"):
        load("carz")


def test_the_error_for_an_unknown_preset_lists_the_known_presets():
    with pytest.raises(ValueError, match=r"preset 'papers'; choose from \['digits', 'paper'\]"):
        moonas.load_problem("cars", preset="papers")


def test_options_override_a_preset():
    problem = moonas.load_problem("cars", preset="paper", population=64)
    assert problem.settings.population == 64 and problem.settings.epochs == 10


def test_a_package_named_problems_does_not_hide_the_problems_of_moonas(tmp_path):
    (tmp_path / "problems").mkdir()
    (tmp_path / "problems" / "__init__.py").write_text("mine = 1\n")
    code = "import problems, moonas; print(problems.mine, 'cars' in moonas.problem_names())"
    path = os.pathsep.join([str(tmp_path), *(p for p in sys.path if p)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["1", "True"], done.stderr
