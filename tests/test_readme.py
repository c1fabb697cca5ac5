"""The examples, commands and tables of the README are correct."""

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
PYMOO_EXAMPLE, TABLE_EXAMPLE, PYTORCH_EXAMPLE, PICTURE_EXAMPLE = re.findall(
    r"```python\n(.*?)```", README, flags=re.DOTALL
)


def test_the_pymoo_example_runs_with_settings_for_a_fast_search(tiny, few_digits, capsys):
    code = PYMOO_EXAMPLE.replace('data="digits"', "**tiny")
    code = code.replace('("n_gen", 16)', '("n_gen", 2)').replace("pop_size=24", "pop_size=4")
    names = {"tiny": tiny | dict(data=few_digits, batch=50)}
    exec(code, names)
    assert "'error'" in capsys.readouterr().out
    assert len(names["result"].pop) == 4


def test_the_example_with_a_table_finds_almost_the_whole_true_front(capsys):
    names = {"moonas": moonas}
    exec(TABLE_EXAMPLE, names)
    assert names["problem"].hypervolume(names["search"].result().F) > 0.99
    out = capsys.readouterr().out
    assert "limits: params <= 1500000" in out and "the knee of the front" in out


def test_the_pytorch_example_runs_with_settings_for_a_fast_search(
    tiny, few_digits, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code = PYTORCH_EXAMPLE.replace("generations=16", '**tiny | {"generations": 2}')
    code = code.replace("epochs=60", "epochs=1")
    names = {"tiny": tiny | dict(data=few_digits, batch=50)}
    exec(code, names)
    assert len(eval(capsys.readouterr().out.splitlines()[-1])) == 4
    assert names["untrained"].training


def test_the_example_of_a_picture_writes_a_pdf_with_a_point_per_row(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"moonas": moonas}
    exec(PICTURE_EXAMPLE.replace("import moonas\n", ""), names)
    assert (tmp_path / "front.pdf").read_bytes().startswith(b"%PDF")
    points = [c.get_offsets() for c in names["axes"].collections if c.get_label() == "Pareto front"]
    assert len(points[0]) == len(names["found"].rows) > 5


def test_figures_of_pyplot_can_have_the_style_of_the_readme():
    import matplotlib.style

    (name,) = re.findall(r"plt\.style\.use\(\"(.*?)\"\)", README)
    with matplotlib.style.context(name):
        assert not matplotlib.rcParams["axes.spines.top"]


@pytest.mark.slow
def test_the_unchanged_pymoo_example_finds_an_error_below_20_percent():
    names = {}
    exec(PYMOO_EXAMPLE, names)
    assert min(row.objectives["error"] for row in moonas.front(names["result"])) < 20


def test_the_readme_names_every_algorithm():
    for name in ALGORITHMS:
        assert re.search(rf"\b{name}\b", README), name


def test_the_table_of_problems_matches_the_registry():
    rows = re.findall(r"^\| \[`([\w-]+)`\]\((.*?)\) \| (.*?) \| (.*?) \|$", README, re.M)
    assert sorted(name for name, *_ in rows) == moonas.problem_names()
    for name, path, summary, objectives in rows:
        assert summary == entry(name).summary, name
        assert set(settings_class(name)().objectives) <= set(re.findall(r"\w+", objectives)), name
        assert (ROOT / path).is_file(), path


def test_the_readme_and_the_gate_install_moonas_with_the_same_command():
    command = 'python -m pip install -e ".[test]" && python -m pytest'
    assert README.count(command) == 1
    assert 'pip install -e ".[test]"' in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_every_command_in_the_readme_has_valid_arguments():
    from moonas.cli import make_parser

    blocks = re.findall(r"^```\w*\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)
    lines = [line for b in blocks for line in b.replace("\\\n", " ").splitlines()]
    lines = [x.split("#")[0].split()[1:] for x in lines if x.startswith("moonas ")]
    assert len(lines) >= 5
    for words in lines:
        if "--help" not in words:
            make_parser(words).parse_args(words)


def test_the_image_in_the_readme_exists():
    (path,) = re.findall(r"!\[.*?\]\((.*?)\)", README)
    assert (ROOT / path).is_file()


def test_the_moonas_command_is_installed():
    command = Path(sysconfig.get_path("scripts")) / "moonas"
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"moonas {moonas.__version__}"
