"""Which packages may import which: no cycles, and no heavy packages in light modules.

The tests run imports in new interpreters. Importing torch or pymoo takes seconds, so each
interpreter runs several steps and reports the loaded modules after each step.
"""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from moonas.registry import entries

ROOT = Path(__file__).parents[2]
HEAVY_PACKAGES = {"torch", "torchvision", "pymoo", "sklearn", "matplotlib", "scipy"}
PRELUDE = """
import contextlib, io, json, sys
from importlib import import_module

loaded = {}

def run(line):
    from moonas.cli import main
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            main(line)
        except SystemExit as end:
            assert end.code == 0, line
"""


def loaded_after(steps):
    """Run the code of each step in the same new interpreter.

    Args:
        steps: name of a step -> its code; it can use ``import_module(name)`` and ``run(line)``,
            which runs a command line.

    Returns:
        Name of a step -> names of all modules that are loaded after it.
    """
    code = PRELUDE
    for name, step in steps.items():
        code += f"\n{step}\nloaded[{name!r}] = sorted(sys.modules)"
    code += "\nprint(json.dumps(loaded))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {name: set(loaded) for name, loaded in json.loads(done.stdout).items()}


def importing(names):
    """Return code that imports the modules with these names."""
    return f"for name in {list(names)}: import_module(name)"


def modules_of(pattern):
    """Return the names of the modules in the folders that match a pattern."""
    files = ROOT.glob(f"{pattern}/[!_]*.py")
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted(files)]


TASKS = sorted({entry.task for entry in entries().values()})
SPACES = sorted(path.parent.name for path in (ROOT / "problems").glob("*/space.py"))
SETTINGS = [
    name if name.startswith("moonas") else f"moonas.{name}"
    for path in [*ROOT.glob("problems/*/settings.py"), *ROOT.glob("moonas/**/settings.py")]
    for name in [".".join(path.relative_to(ROOT).with_suffix("").parts)]
]
ENTRY_MODULES = ("moonas", "moonas.cli", "moonas.registry", "moonas.task")
LIGHT_STEPS = {
    **{name: f"import {name}" for name in ENTRY_MODULES},
    "moonas list": "run(['list'])",
    "moonas --help": "run(['--help'])",
    "moonas search --help": "run(['search', '--help'])",
    "spaces": importing(
        ["moonas.problems"]
        + [f"moonas.problems.{task}{end}" for task in SPACES for end in ("", ".space")]
    ),
    "settings": importing(SETTINGS),
    "settings of entries": """
from moonas import registry
for name in registry.entries():
    registry.settings_class(name)
    if registry.has_training(name):
        registry.training_settings_class(name)
""",
    "help of every task": f"for task in {TASKS}: run(['search', task, '--help'])",
}


@pytest.fixture(scope="module")
def modules_after_light_step():
    """Name of a step that loads no heavy packages -> modules that are loaded after it."""
    return loaded_after(LIGHT_STEPS)


@pytest.mark.parametrize("step", LIGHT_STEPS)
def test_spaces_settings_and_help_texts_load_no_heavy_packages(step, modules_after_light_step):
    assert not modules_after_light_step[step] & HEAVY_PACKAGES


@pytest.mark.parametrize("name", ENTRY_MODULES)
def test_the_main_modules_load_no_problems(name, modules_after_light_step):
    assert "moonas.problems" not in modules_after_light_step[name]


def test_the_light_steps_cover_every_task():
    assert {"cars", "nsganet"} <= set(SPACES)
    assert {"cars", "eagan", "cyclegan-pruning"} <= set(TASKS)
    assert {"moonas.settings", "moonas.training.settings", "moonas.problems.cars.settings"} <= {
        *SETTINGS
    }
    folders = [path.parent for path in ROOT.glob("problems/*/__init__.py")]
    assert all((folder / "settings.py").is_file() for folder in folders)


def test_a_command_imports_no_other_command(modules_after_light_step):
    from moonas.cli import COMMANDS

    modules = {f"moonas.cli.{module}" for module, _ in COMMANDS.values()}
    assert modules_after_light_step["moonas list"] & modules == {"moonas.cli.listing"}


def test_operators_and_algorithms_import_no_torch():
    names = ["moonas.operators", "moonas.algorithms"]
    loaded = loaded_after({name: f"import {name}" for name in names})
    for name in names:
        assert "pymoo" in loaded[name]
        assert not loaded[name] & {"torch", "moonas.problems"}


TORCH_STEPS = {
    **{
        name: importing([f"moonas.{name}", *modules_of(f"moonas/{name}")])
        for name in ("nets", "metrics", "data")
    },
    "run": importing(modules_of("moonas/run")),  # the first step that may load pymoo
    "library": importing([name for folder in ("", "/*") for name in modules_of(f"moonas{folder}")]),
}


@pytest.fixture(scope="module")
def modules_after_torch_step():
    """Name of a step that loads torch -> modules that are loaded after it."""
    return loaded_after(TORCH_STEPS)


@pytest.mark.parametrize("name", ["nets", "metrics", "data"])
def test_nets_metrics_and_data_import_no_pymoo(name, modules_after_torch_step):
    assert f"moonas.{name}" in modules_after_torch_step[name]
    assert not modules_after_torch_step[name] & {"pymoo", "moonas.problems"}


def test_moonas_run_imports_no_views(modules_after_torch_step):
    assert {"moonas.run.search", "pymoo"} <= modules_after_torch_step["run"]
    assert not [name for name in modules_after_torch_step["run"] if name.startswith("moonas.views")]


def test_the_library_imports_no_problems(modules_after_torch_step):
    assert {
        "moonas.task",
        "moonas.cli.search",
        "moonas.evaluators.scratch",
    } <= modules_after_torch_step["library"]
    assert "moonas.problems" not in modules_after_torch_step["library"]


FILES = [
    path.relative_to(ROOT)
    for part in ("moonas", "problems")
    for path in (ROOT / part).rglob("*.py")
]


def name_of(path):
    """Return the name of the module that a file of the repository defines."""
    name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    return f"moonas.{name}" if path.parts[0] == "problems" else name


MODULES = {name_of(path) for path in FILES}


def imports_of(path):
    """Return the names of the modules of moonas that a file imports at its top level."""
    name, imported = name_of(path), set()
    home = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            above = home.split(".")[: home.count(".") + 2 - node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            names = {f"{base}.{alias.name}" for alias in node.names}
            imported |= {name if name in MODULES else base for name in names}
    return imported & MODULES


def test_imports_have_no_cycles():
    graph = {name_of(path): imports_of(path) for path in FILES}
    assert graph["moonas.problem"] >= {"moonas.run.session", "moonas.settings", "moonas.pareto"}
    while leaves := {name for name, imports in graph.items() if not imports}:
        graph = {name: imports - leaves for name, imports in graph.items() if name not in leaves}
    assert not graph, f"modules that are in an import cycle or import one: {sorted(graph)}"


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        (
            "run",
            ("views", "comparison", "cli", "task", "planning", "evaluators", "training", "models"),
        ),
        ("operators", ("problem", "run", "evaluators", "nets")),
        ("nets", ("problem", "run", "evaluators", "training", "models")),
        ("evaluators", ("task", "planning", "comparison", "views", "cli", "models.export")),
        ("views", ("cli", "comparison", "task", "planning")),
        ("comparison", ("cli",)),
    ],
)
def test_lower_packages_do_not_import_upper_packages(lower, upper):
    for path in (path for path in FILES if path.parts[:2] == ("moonas", lower)):
        for package in upper:
            names = f"moonas.{package}", f"moonas.{package}."
            wrong = [m for m in imports_of(path) if m == names[0] or m.startswith(names[1])]
            assert not wrong, f"{path} imports {wrong}"
