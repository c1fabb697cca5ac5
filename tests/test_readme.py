"""Examples and tables of the README are correct."""

import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

import moonas
from moonas.algorithms import ALGORITHMS
from moonas.registry import entry, settings_class

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
EXAMPLE = next(block for block in BLOCKS if "minimize(" in block)


@pytest.mark.parametrize("block", BLOCKS)
def test_python_examples_compile(block):
    compile(block, "README.md", "exec")


def test_the_python_example_runs_with_small_settings(tiny, few_digits, capsys):
    small = EXAMPLE.replace('data="digits"', "**tiny")
    small = re.sub(r'\("n_gen", \d+\)', '("n_gen", 2)', small)
    small = re.sub(r"pop_size=\d+", "pop_size=4", small)
    names = {"tiny": tiny | dict(data=few_digits, batch=50)}
    exec(small, names)
    assert "'error'" in capsys.readouterr().out
    assert names["network"].training and len(names["result"].pop) == 4


@pytest.mark.slow
def test_the_python_example_runs_unchanged():
    names = {}
    exec(EXAMPLE, names)
    assert min(row.objectives["error"] for row in moonas.front(names["result"])) < 20


def test_the_readme_names_every_algorithm():
    for name in ALGORITHMS:
        assert re.search(rf"\b{name}\b", README), name


def test_the_table_of_problems_matches_the_registry():
    rows = re.findall(r"^\| `([\w-]+)` \| (.*?) \| (.*?) \| \[README\]\((.*?)\) \|$", README, re.M)
    assert sorted(name for name, *_ in rows) == moonas.problem_names()
    for name, summary, objectives, path in rows:
        assert summary == entry(name).summary, name
        assert set(settings_class(name)().objectives) <= set(re.findall(r"\w+", objectives)), name
        assert (ROOT / path).is_file(), path


def test_the_readme_and_the_gate_install_the_same_extra():
    line = 'python -m pip install -e ".[test]" && python -m pytest'
    assert README.count(line) == 1
    assert 'pip install -e ".[test]"' in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_every_command_of_the_readme_can_be_parsed():
    from moonas.cli import make_parser

    lines = [x.split("#")[0].split()[1:] for x in README.splitlines() if x.startswith("moonas ")]
    assert len(lines) >= 5
    for words in lines:
        if "--help" not in words:
            make_parser(words).parse_args(words)


def test_the_command_is_installed():
    command = Path(sysconfig.get_path("scripts")) / "moonas"
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"moonas {moonas.__version__}"
