"""What the README says, run."""

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
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_the_python_example_runs_with_small_settings(tiny, capsys):
    small = EXAMPLE.replace('data="digits"', 'data="digits", **tiny')
    small = small.replace('("n_gen", 16)', '("n_gen", 2)').replace("pop_size=24", "pop_size=6")
    names = {"tiny": tiny}
    exec(small, names)
    assert "'error'" in capsys.readouterr().out
    assert names["network"].training and len(names["result"].pop) == 6


@pytest.mark.slow
def test_the_python_example_runs_as_it_stands():
    names = {}
    exec(EXAMPLE, names)
    assert min(row.objectives["error"] for row in moonas.front(names["result"])) < 20


def test_every_algorithm_is_named():
    for name in ALGORITHMS:
        assert re.search(rf"\b{name}\b", README), name


def test_the_table_of_problems_is_that_of_the_entries():
    rows = re.findall(r"^\| `([\w-]+)` \| (.*?) \| (.*?) \| \[README\]\((.*?)\) \|$", README, re.M)
    assert sorted(name for name, *_ in rows) == moonas.problem_names()
    for name, summary, objectives, path in rows:
        assert summary == entry(name).summary, name
        assert set(settings_class(name)().objectives) <= set(re.findall(r"\w+", objectives)), name
        assert (ROOT / path).is_file(), path


def test_the_gate_takes_its_line_from_the_readme():
    line = 'python -m pip install -e ".[test]" && python -m pytest'
    assert README.count(line) == 1
    assert 'pip install -e ".[test]"' in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_every_search_line_of_the_readme_is_understood():
    from moonas.cli import _parser

    lines = [x.split("#")[0].split()[1:] for x in README.splitlines() if x.startswith("moonas ")]
    assert len(lines) >= 5
    for words in lines:
        if "--help" not in words:
            _parser(words).parse_args(words)


def test_the_command_is_installed():
    command = Path(sysconfig.get_path("scripts")) / "moonas"
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"moonas {moonas.__version__}"
