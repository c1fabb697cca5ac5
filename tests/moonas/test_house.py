"""Which part may import which, each checked in a fresh interpreter."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "pymoo", "sklearn", "matplotlib")


def loaded_by(code):
    """Which of the heavy packages, and whether the tasks, are loaded after running ``code``."""
    code += f"\nimport sys\nprint(*[m for m in {(*HEAVY, 'problems')} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("name", ["moonas.operators", "moonas.algorithms"])
def test_operators_and_algorithms_import_no_torch(name):
    loaded = loaded_by(f"import {name}")
    assert "pymoo" in loaded
    assert not loaded & {"torch", "problems"}


@pytest.mark.parametrize(
    "name",
    [
        "moonas.nets.cell_network",
        "moonas.nets.counting",
        "moonas.nets.training",
        "moonas.nets.parts",
        "moonas.metrics.error",
        "moonas.metrics.latency",
        "moonas.data",
    ],
)
def test_nets_metrics_and_data_import_no_pymoo(name):
    assert not loaded_by(f"import {name}") & {"pymoo", "problems"}


@pytest.mark.parametrize(
    "name", ["problems", "problems.cars", "problems.cars.space", "problems.nsganet.space"]
)
def test_tasks_and_their_spaces_import_neither(name):
    assert not loaded_by(f"import {name}") & set(HEAVY)


@pytest.mark.parametrize("name", ["moonas", "moonas.cli", "moonas.registry"])
def test_the_front_door_is_light(name):
    assert not loaded_by(f"import {name}") & {*HEAVY, "problems"}


def test_the_library_imports_no_task():
    names = "problem journal search pareto progress report published registry testing cli"
    code = "\n".join(f"import moonas.{name}" for name in names.split())
    assert "problems" not in loaded_by(code)


def test_the_list_of_problems_comes_without_torch():
    code = "from moonas.cli import main\nmain(['list'])"
    assert not loaded_by(code) & {"torch", "pymoo"}
