"""Settings: parsing, validation and conversion."""

import json
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from moonas.registry import settings_class
from moonas.run.journal import options_of_earlier_version
from moonas.settings import (
    SearchSettings,
    TabularSettings,
    describe,
    former_values_to_json,
    names_of,
    parse,
    select,
    setting,
    to_json,
    with_former_values,
)


@dataclass(frozen=True, kw_only=True)
class Example(SearchSettings):
    rate: float = setting(0.1, "a rate")
    cut: str = setting("a", "which", ("a", "b"))
    objectives: tuple[str, ...] = setting(("error", "params"), "columns")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("rate", "3e-4", 3e-4),
        ("population", "12", 12),
        ("download", "true", True),
        ("download", "No", False),
        ("root", "none", None),
        ("root", "/data", "/data"),
        ("objectives", "error,macs", ("error", "macs")),
        ("data", "none", "none"),
    ],
)
def test_text_is_converted_to_the_type_of_the_field(name, text, value):
    assert parse(Example, name, text) == value


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("rates", "1", "Unknown setting 'rates'; did you mean 'rate'[?] Choose from"),
        ("population", "many", "population=many is invalid: expected a whole number"),
        ("rate", "fast", "rate=fast is invalid: expected a number"),
        ("download", "maybe", "download=maybe is invalid: expected true or false"),
    ],
)
def test_text_that_cannot_be_converted_to_the_type_of_the_field_is_rejected(name, text, message):
    with pytest.raises(ValueError, match=message):
        parse(Example, name, text)


def test_values_out_of_range_or_not_among_the_choices_are_rejected():
    with pytest.raises(ValueError, match="population=0 is invalid: expected at least 1"):
        Example(population=0)
    with pytest.raises(ValueError, match=r"cut='c' is unknown; choose from \['a', 'b'\]"):
        Example(cut="c")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(population=2.5), "population=2.5 is invalid: expected a whole number"),
        (dict(rate="fast"), "rate='fast' is invalid: expected a number"),
        (dict(download="yes"), "download='yes' is invalid: expected true or false"),
        (dict(root=3), "root=3 is invalid: expected text or none"),
        (dict(objectives="error"), "objectives='error' is invalid: expected a list of names"),
        (dict(population=True), "population=True"),
    ],
)
def test_values_of_a_wrong_type_are_rejected(options, message):
    with pytest.raises(ValueError, match=message):
        Example(**options)


def test_numpy_scalars_integers_for_floats_and_paths_are_converted():
    settings = Example(population=np.int64(5), rate=1, root=Path("a"), objectives=["x", "y"])
    assert (settings.population, settings.rate, settings.root) == (5, 1.0, "a")
    assert type(settings.population) is int and type(settings.rate) is float
    assert settings.objectives == ("x", "y")


def test_the_limits_least_and_most_are_inclusive_and_above_is_exclusive():
    assert Example(population=1).population == 1
    assert TabularSettings(crossover=1).crossover == 1
    with pytest.raises(ValueError, match="crossover=1.01 is invalid: expected at most 1"):
        TabularSettings(crossover=1.01)
    with pytest.raises(ValueError, match="crossover=0.0 is invalid: expected more than 0"):
        TabularSettings(crossover=0)


def test_a_misspelled_option_raises_a_type_error():
    with pytest.raises(TypeError, match="populations"):
        Example(populations=3)


def test_settings_as_json_contain_every_field():
    assert to_json(Example())["objectives"] == ["error", "params"]
    assert set(to_json(Example())) == {row[0] for row in describe(Example)}


def test_annotations_may_be_strings(tmp_path, monkeypatch):
    """With ``from __future__ import annotations`` (PEP 563), types of fields are strings."""
    (tmp_path / "postponed_settings.py").write_text(POSTPONED)
    monkeypatch.syspath_prepend(str(tmp_path))
    from postponed_settings import Mine

    assert Mine.__dataclass_fields__["rate"].type == "float"
    assert Mine(rate=1, sizes=[1, 2], top=3).sizes == (1, 2)
    assert Mine(sizes=(np.int64(4),)).sizes == (4,)
    assert (parse(Mine, "rate", "2"), parse(Mine, "sizes", "1,2")) == (2.0, (1, 2))
    assert (parse(Mine, "top", "none"), parse(Mine, "top", "5")) == (None, 5)
    assert names_of(Mine)[-3:] == ["rate", "sizes", "top"] and list(Mine.PRESETS) == ["fast"]
    for options in (dict(rate="fast"), dict(sizes=2), dict(top="x"), dict(population=1.5)):
        with pytest.raises(ValueError, match=next(iter(options))):
            Mine(**options)


POSTPONED = """
from __future__ import annotations
from dataclasses import dataclass
from typing import ClassVar, Optional
from moonas.settings import SearchSettings, setting

@dataclass(frozen=True, kw_only=True)
class Mine(SearchSettings):
    PRESETS: ClassVar[dict[str, dict]] = {"fast": {}}
    rate: float = setting(0.1, "a rate")
    sizes: tuple[int, ...] = setting((1,), "sizes")
    top: Optional[int] = setting(None, "a number")
"""


@pytest.mark.parametrize(
    ("path", "name", "chosen"),
    [
        ("moonas.algorithms.pnsga3:SECOND_SORTS", "cars:protection", lambda s: s[:-1]),
        ("moonas.algorithms.pnsga3:CUTS", "cars:cut", tuple),
    ],
)
def test_choices_of_settings_equal_the_constants_of_the_library(path, name, chosen):
    """Settings repeat the constants, since the modules of the constants import pymoo or torch."""
    module, constant = path.split(":")
    stage, field = name.split(":")
    choices = settings_class(stage).__dataclass_fields__[field].metadata["choices"]
    assert chosen(choices) == getattr(import_module(module), constant)


def test_the_help_of_the_setting_pick_lists_all_picks():
    from moonas.run.front_file import PICK_RULES
    from moonas.training.settings import Settings

    assert ", ".join(PICK_RULES) in Settings.__dataclass_fields__["pick"].metadata["help"]


def test_select_copies_fields_from_settings():
    @dataclass
    class Recipe:
        batch: int
        horizon: int

    settings = SimpleNamespace(batch=8, channels=4)
    assert select(Recipe, settings, horizon=3) == Recipe(8, 3)
    assert select(Recipe, settings, batch=2, horizon=3) == Recipe(2, 3)
    with pytest.raises(AttributeError, match="horizon"):
        select(Recipe, settings)


@dataclass(frozen=True, kw_only=True)
class ChangedSettings(SearchSettings):
    """Settings of a later version."""

    rate: float = setting(0.2, "a setting whose default has changed", formerly=0.1)
    method: str = setting("new", "a new setting that changes results", formerly="old")
    size: int = setting(3, "a new setting without an effect on earlier runs")
    sides: tuple[int, ...] = setting((8, 16), "a changed setting with two values", formerly=(8, 8))


def test_an_earlier_run_is_completed_by_the_values_of_its_version():
    recorded = {"data": "digits", "rate": 0.3}
    assert with_former_values(ChangedSettings, recorded) == recorded | {
        "method": "old",
        "sides": (8, 8),
    }
    assert with_former_values(ChangedSettings, {"rate": 0.1})["rate"] == 0.1
    former = former_values_to_json(ChangedSettings(objectives=("error", "params")))
    assert (former["rate"], former["method"], former["size"]) == (0.1, "old", 3)


@pytest.mark.parametrize(
    ("recorded", "chosen", "options"),
    [
        ({"rate": 0.1, "sides": [8, 16]}, (), {"rate": 0.1, "method": "old"}),
        ({"rate": 0.1, "sides": [8, 16]}, ("rate", "method"), {}),
        ({"rate": 0.3, "method": "new", "sides": [8, 16]}, (), {}),
        ({"rate": 0.2, "method": "new", "sides": [8, 8]}, (), {"sides": (8, 8)}),
        ({"rate": 0.2, "method": "new"}, (), {"sides": (8, 8)}),
    ],
)
def test_options_that_the_user_does_not_choose_are_those_of_the_earlier_version(
    tmp_path, recorded, chosen, options
):
    assert options_of_earlier_version(tmp_path, ChangedSettings, chosen) == {}
    identity = {"problem": "x", "inputs": {}, "seed": 1, "algorithm": "x", "versions": {}}
    identity |= {"format": 1, "settings": recorded}
    (tmp_path / "run.json").write_text(json.dumps(identity))
    assert options_of_earlier_version(tmp_path, ChangedSettings, chosen) == {}  # no results yet
    (tmp_path / "journal.jsonl").write_text("a recorded call")
    assert options_of_earlier_version(tmp_path, ChangedSettings, chosen) == options
