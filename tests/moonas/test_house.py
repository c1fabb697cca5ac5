"""Which part may import which, each checked in a fresh interpreter."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "torchvision", "pymoo", "sklearn", "matplotlib")


def modules_of(pattern):
    """The names of the modules in the folders of a pattern."""
    files = ROOT.glob(f"{pattern}/[!_]*.py")
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted(files)]


def loaded_by(code):
    """Which of the heavy packages, and whether the tasks, are loaded after running ``code``."""
    code += f"\nimport sys\nprint(*[m for m in {(*HEAVY, 'moonas.problems')} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("name", ["moonas.operators", "moonas.algorithms"])
def test_operators_and_algorithms_import_no_torch(name):
    loaded = loaded_by(f"import {name}")
    assert "pymoo" in loaded
    assert not loaded & {"torch", "moonas.problems"}


@pytest.mark.parametrize("name", ["nets", "metrics", "data"])
def test_nets_metrics_and_data_import_no_pymoo(name):
    names = [f"moonas.{name}", *modules_of(f"moonas/{name}")]
    assert not loaded_by("\n".join(f"import {n}" for n in names)) & {"pymoo", "moonas.problems"}


def test_tasks_and_their_spaces_import_neither():
    tasks = [path.parent.name for path in (ROOT / "problems").glob("*/space.py")]
    assert {"cars", "nsganet"} <= set(tasks)
    names = [
        "moonas.problems",
        *(f"moonas.problems.{t}{end}" for t in tasks for end in ("", ".space")),
    ]
    assert not loaded_by("\n".join(f"import {n}" for n in names)) & set(HEAVY)


@pytest.mark.parametrize("name", ["moonas", "moonas.cli", "moonas.registry", "moonas.task"])
def test_the_front_door_is_light(name):
    assert not loaded_by(f"import {name}") & {*HEAVY, "moonas.problems"}


def test_the_library_imports_no_task():
    names = [name for folder in ("", "/*") for name in modules_of(f"moonas{folder}")]
    assert {"moonas.task", "moonas.cli.search", "moonas.evaluators.scratch"} <= set(names)
    assert "moonas.problems" not in loaded_by("\n".join(f"import {name}" for name in names))


def test_a_command_imports_no_other_command():
    code = "import sys\nfrom moonas.cli import COMMANDS, main\nmain(['list'])\n"
    code += "print(*[m for m, _ in COMMANDS.values() if f'moonas.cli.{m}' in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "listing"


def test_the_list_of_problems_comes_without_torch():
    code = "from moonas.cli import main\nmain(['list'])"
    assert not loaded_by(code) & {"torch", "pymoo"}
