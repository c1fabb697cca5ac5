"""Which part may import which, each checked in a fresh interpreter."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from moonas.registry import entries

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "torchvision", "pymoo", "sklearn", "matplotlib", "scipy")
RUN = """
from moonas.cli import main
for line in {}:
    try:
        main(line)
    except SystemExit as end:
        assert end.code == 0, line
"""


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


def test_every_settings_module_is_light():
    """One that needs numpy alone, and that nothing else of its task makes slow."""
    files = [*ROOT.glob("problems/*/settings.py"), *ROOT.glob("moonas/**/settings.py")]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
    names = [name if name.startswith("moonas") else f"moonas.{name}" for name in names]
    assert {"moonas.settings", "moonas.training.settings", "moonas.problems.cars.settings"} <= {
        *names
    }
    folders = [path.parent for path in ROOT.glob("problems/*/__init__.py")]
    assert all((folder / "settings.py").is_file() for folder in folders)
    assert not loaded_by("\n".join(f"import {name}" for name in names)) & {*HEAVY}


def test_entries_name_settings_of_light_modules():
    code = """
from moonas import registry
for name in registry.entries():
    registry.settings_class(name)
    if registry.has_training(name):
        registry.training_settings_class(name)
"""
    assert not loaded_by(code) & {*HEAVY}


@pytest.mark.parametrize("line", [["list"], ["--help"], ["search", "--help"]])
def test_lists_and_helps_come_without_heavy_packages(line):
    assert not loaded_by(RUN.format([line])) & {*HEAVY}


def test_the_help_of_every_task_comes_without_heavy_packages():
    tasks = sorted({entry.task for entry in entries().values()})
    assert {"cars", "eagan", "cyclegan-pruning"} <= set(tasks)
    lines = [["search", task, "--help"] for task in tasks]
    assert not loaded_by(RUN.format(lines)) & {*HEAVY}


def test_a_run_draws_no_pictures():
    names = modules_of("moonas/run")
    assert "moonas.run.search" in names
    code = "\n".join(f"import {name}" for name in names)
    code += "\nimport sys\nassert not [m for m in sys.modules if m.startswith('moonas.views')]"
    assert "pymoo" in loaded_by(code)


def test_a_command_imports_no_other_command():
    code = "import sys\nfrom moonas.cli import COMMANDS, main\nmain(['list'])\n"
    code += "print(*[m for m, _ in COMMANDS.values() if f'moonas.cli.{m}' in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "listing"


FILES = [
    path.relative_to(ROOT)
    for part in ("moonas", "problems")
    for path in (ROOT / part).rglob("*.py")
]


def name_of(path):
    """The name that a file of the repository is imported by."""
    name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    return f"moonas.{name}" if path.parts[0] == "problems" else name


MODULES = {name_of(path) for path in FILES}


def imports_of(path):
    """The modules of moonas that a file imports when it is imported itself, not later."""
    name, found = name_of(path), set()
    home = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            above = home.split(".")[: home.count(".") + 2 - node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            names = {f"{base}.{alias.name}" for alias in node.names}
            found |= {one if one in MODULES else base for one in names}
    return found & MODULES


def test_no_file_imports_itself_through_others():
    graph = {name_of(path): imports_of(path) for path in FILES}
    assert graph["moonas.problem"] >= {"moonas.run.session", "moonas.settings", "moonas.pareto"}
    while leaves := {name for name, found in graph.items() if not found}:
        graph = {name: found - leaves for name, found in graph.items() if name not in leaves}
    assert not graph, f"in a circle, or above one: {sorted(graph)}"


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        ("run", ("views", "comparison", "cli", "task", "evaluators", "training", "models")),
        ("operators", ("problem", "run", "evaluators", "nets")),
        ("nets", ("problem", "run", "evaluators", "training", "models")),
        ("evaluators", ("task", "comparison", "views", "cli", "models.export")),
        ("views", ("cli", "comparison", "task")),
        ("comparison", ("cli",)),
    ],
)
def test_no_import_runs_uphill(lower, upper):
    for path in (path for path in FILES if path.parts[:2] == ("moonas", lower)):
        for one in upper:
            names = f"moonas.{one}", f"moonas.{one}."
            wrong = [m for m in imports_of(path) if m == names[0] or m.startswith(names[1])]
            assert not wrong, f"{path} imports {wrong}"
