"""The packages and data files in pyproject.toml match the files of the repository."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {"moonas": ROOT / "moonas", "moonas.problems": ROOT / "problems"}


@pytest.fixture(scope="module")
def setuptools_table():
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["tool"]["setuptools"]


def test_pyproject_lists_every_folder_of_modules_as_a_package(setuptools_table):
    packages = set()
    for name, folder in FOLDERS.items():
        for path in folder.rglob("*.py"):
            assert (path.parent / "__init__.py").exists(), f"{path.parent} has no __init__.py"
            packages.add(".".join([name, *path.parent.relative_to(folder).parts]))
    assert setuptools_table["packages"] == sorted(packages)


def test_package_dir_contains_the_folder_of_each_package(setuptools_table):
    folders = {name: ROOT / folder for name, folder in setuptools_table["package-dir"].items()}
    assert folders == FOLDERS


def test_every_readme_and_table_of_a_problem_is_package_data(setuptools_table):
    problems, patterns = FOLDERS["moonas.problems"], setuptools_table["package-data"]
    matched = {path for pattern in patterns["moonas.problems"] for path in problems.glob(pattern)}
    expected = {*problems.rglob("README.md"), *problems.rglob("*.npz")}
    assert expected and expected <= matched
    moonas = FOLDERS["moonas"]
    matched = {path for pattern in patterns["moonas"] for path in moonas.glob(pattern)}
    assert {moonas / "py.typed", *moonas.rglob("*.mplstyle")} == matched
