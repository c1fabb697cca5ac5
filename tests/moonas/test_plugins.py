"""Plug-ins add problems; broken plug-ins do not affect the others."""

import os
import subprocess
import sys
import warnings
from importlib.metadata import EntryPoint

import pytest

import moonas
from moonas import registry
from moonas.cli import main
from moonas.registry import GROUP, ProblemEntry, StageEntry

GOOD_PLUGIN = '''
"""A plug-in that registers digits-table under another name."""

from dataclasses import dataclass

from moonas.problems.digits_table.problem import DigitsTable
from moonas.problems.digits_table.settings import Settings
from moonas.registry import ProblemEntry

PROBLEMS = {"other-table": ProblemEntry("good_plugin", "a table")}


def build(**options):
    return DigitsTable(Settings(**options))
'''
BROKEN_PLUGIN = '''
"""A plug-in with faults: an error in build, a missing zoo, and a name that is taken."""

from moonas.problems.digits_table.settings import Settings
from moonas.registry import ProblemEntry

PROBLEMS = {
    "cars": ProblemEntry("broken_plugin", "a name that is taken"),
    "of-cars": ProblemEntry("broken_plugin", "a stage of another package's task", task="cars"),
    "raises": ProblemEntry("broken_plugin", "raises in build"),
    "no-zoo": ProblemEntry("zooless_plugin", "its build returns no problem"),
}


def build(**options):
    raise RuntimeError("no such luck")
'''
ZOOLESS_PLUGIN = """
from moonas.problems.digits_table.settings import Settings


def build(**options):
    return object()
"""
PLUGINS = {
    "good_plugin": GOOD_PLUGIN,
    "broken_plugin": BROKEN_PLUGIN,
    "zooless_plugin": ZOOLESS_PLUGIN,
    "absent_plugin": "import a_module_that_is_not_there\n",
    "listed_plugin": "PROBLEMS = ['cars']\n",
    "exiting_plugin": "raise SystemExit(3)\n",
}
ENTRY_POINTS = ("absent", "broken", "exiting", "good", "listed")  # broken uses zooless_plugin


def write_plugins(folder):
    """Write the module of every plug-in to a folder, without package metadata."""
    for name, code in PLUGINS.items():
        (folder / f"{name}.py").write_text(code)


@pytest.fixture
def install(monkeypatch):
    """Return a function that replaces the installed entry points with the given entry points."""

    def find(*points):
        def listed(group):
            assert group == GROUP
            return points

        monkeypatch.setattr(registry, "entry_points", listed)
        forget()

    def forget():
        registry._load_plugins.cache_clear()
        registry._warned.clear()

    yield find
    forget()


@pytest.fixture
def plugins(install, tmp_path, monkeypatch):
    """Make all plug-ins available as if they were installed."""
    write_plugins(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    install(*(EntryPoint(name, f"{name}_plugin:PROBLEMS", GROUP) for name in ENTRY_POINTS))
    yield
    for name in PLUGINS:
        sys.modules.pop(name, None)


def test_each_broken_plugin_causes_one_warning(plugins):
    with pytest.warns(UserWarning) as caught:
        names = list(registry.entries())
    texts = [str(warning.message) for warning in caught]
    assert len(texts) == 4
    for text, (plugin, fault) in zip(
        texts,
        [
            ("absent", "ModuleNotFoundError: No module named 'a_module_that_is_not_there'"),
            ("broken", "the name 'cars' is taken; the task 'cars' of 'of-cars' belongs to another"),
            ("exiting", "SystemExit: 3"),
            ("listed", "ValueError: expected a dict of name -> ProblemEntry or StageEntry"),
        ],
        strict=True,
    ):
        assert text.startswith(f"Plug-in {plugin} = {plugin}_plugin:PROBLEMS cannot be used: ")
        assert fault in text
    assert {warning.filename for warning in caught} == {__file__}  # the code that called moonas
    assert names[0] == "cars" and names[-3:] == ["raises", "no-zoo", "other-table"]
    assert registry.entry("cars").module == "moonas.problems.cars.problem"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        registry.entries()


def test_a_problem_of_moonas_loads_no_plugin(plugins):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert moonas.load_problem("cars").settings.data == "digits"
        assert registry.stages("eagan") == ["eagan-generator", "eagan-discriminator"]
        assert moonas.zoo("CARS_A").problem == "cars"
    assert not {f"{name}_plugin" for name in ENTRY_POINTS} & set(sys.modules)


def test_only_the_plugin_with_the_name_of_the_problem_is_loaded(plugins, install):
    install(
        EntryPoint("broken", "broken_plugin:PROBLEMS", GROUP),
        EntryPoint("other-table", "good_plugin:PROBLEMS", GROUP),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert registry.stages("other-table") == ["other-table"]
        assert moonas.load_problem("other-table", population=5).settings.population == 5
    assert "good_plugin" in sys.modules and "broken_plugin" not in sys.modules


@pytest.mark.filterwarnings("ignore:Plug-in")
def test_a_broken_plugin_does_not_affect_other_plugins(plugins, capsys):
    assert moonas.load_problem("cars").settings.data == "digits"
    assert moonas.load_problem("other-table", population=5).settings.population == 5
    assert registry.stages("cars") == ["cars"]
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert "other-table" in out and "raises in build" in out
    with pytest.raises(SystemExit) as caught:
        main(["search", "cars", "--help"])
    assert caught.value.code == 0
    assert "settings of cars" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:Plug-in .* cannot be used. (Module|the name|SystemExit|Value)")
def test_a_broken_problem_does_not_hide_published_architectures(plugins, capsys):
    with warnings.catch_warnings():
        registry.entries()
        warnings.simplefilter("error")
        assert moonas.zoo("CARS_A").problem == "cars"  # other problems are not built
    with pytest.warns(UserWarning) as caught:
        published = moonas.zoo()
    texts = [str(warning.message) for warning in caught]
    assert any("'raises'" in text and "RuntimeError: no such luck" in text for text in texts)
    assert any("'no-zoo'" in text and "no attribute 'zoo'" in text for text in texts)
    assert {"CARS_A", "EAGAN_G", "NSGANet"} <= set(published)


@pytest.mark.filterwarnings("ignore:Plug-in")
def test_moonas_list_states_why_a_problem_cannot_be_used(plugins, capsys):
    assert main(["list", "raises"]) == 0
    assert "RuntimeError: no such luck" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:Plug-in")
def test_the_error_for_an_unknown_name_lists_broken_plugins(plugins):
    for function in (moonas.load_problem, registry.stages):
        with pytest.raises(ValueError, match=r"'mine'; choose from \['cars'.*absent_plugin:PROB"):
            function("mine")


@pytest.mark.parametrize("points", [(), None])
def test_problems_of_moonas_are_registered_without_package_metadata(install, monkeypatch, points):
    def damaged(group):
        raise TypeError("odd metadata")

    install()
    if points is None:
        monkeypatch.setattr(registry, "entry_points", damaged)
        with pytest.warns(UserWarning, match="damaged metadata of a package: TypeError: odd"):
            registry.entries()
    assert moonas.problem_names() == sorted(
        name for name, entry in registry.entries().items() if type(entry) is ProblemEntry
    )
    assert "cars" in moonas.problem_names()


def test_the_entry_point_of_moonas_is_not_a_plugin(install):
    install(*[EntryPoint("moonas", registry.OWN, GROUP)] * 2, EntryPoint("x", registry.OWN, GROUP))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "cars" in registry.entries()


def test_installed_plugins_are_found(tmp_path):
    write_plugins(tmp_path)
    for name in ENTRY_POINTS:
        folder = tmp_path / f"{name}_plugin-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}_plugin\nVersion: 1\n"
        )
        (folder / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {name}_plugin:PROBLEMS\n")
    code = "from moonas.cli import main; import sys; sys.exit(main(['list']))"
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "cars" in done.stdout and "other-table" in done.stdout
    assert done.stderr.count("cannot be used") == 4


def test_entries_have_default_settings():
    entry = ProblemEntry("a.problem", "a line", training="a.training")
    assert (entry.settings, entry.training_settings) == (
        "a.problem:Settings",
        "a.training:Settings",
    )
    assert (entry.task, entry.cost) == (None, "")
    assert StageEntry("a.stage", "a line", task="t", cost="1 s").settings == "a.stage:Settings"
    with pytest.raises(TypeError):
        StageEntry("a.stage", "a line", "a.settings:Settings")
    assert registry.entry("cars").task == "cars"


def test_the_error_for_a_problem_that_cannot_be_trained_lists_those_that_can():
    with pytest.raises(ValueError, match="eg-darts-cells has no training from scratch.*cars"):
        registry.training_settings_class("eg-darts-cells")
