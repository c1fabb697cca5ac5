from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from moonas.settings import SearchSettings, describe, parse, select, setting, to_json


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
def test_words_become_values_of_the_fields_type(name, text, value):
    assert parse(Example, name, text) == value


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("rates", "1", "Unknown setting 'rates'; choose from .*'rate'"),
        ("population", "many", "population=many will not do: a whole number"),
        ("rate", "fast", "rate=fast will not do: a number"),
        ("download", "maybe", "download=maybe will not do: true or false"),
    ],
)
def test_words_that_do_not_fit_are_refused(name, text, message):
    with pytest.raises(ValueError, match=message):
        parse(Example, name, text)


def test_values_out_of_range_or_off_the_list_are_refused():
    with pytest.raises(ValueError, match="population=0 will not do: at least 1"):
        Example(population=0)
    with pytest.raises(ValueError, match=r"cut='c' is unknown; choose from \['a', 'b'\]"):
        Example(cut="c")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(population=2.5), "population=2.5 will not do: a whole number"),
        (dict(rate="fast"), "rate='fast' will not do: a number"),
        (dict(download="yes"), "download='yes' will not do: true or false"),
        (dict(root=3), "root=3 will not do: text or none"),
        (dict(objectives="error"), "objectives='error' will not do: a list of names"),
        (dict(population=True), "population=True"),
    ],
)
def test_values_of_the_wrong_type_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Example(**options)


def test_numpys_numbers_whole_rates_and_paths_are_welcome():
    settings = Example(population=np.int64(5), rate=1, root=Path("a"), objectives=["x", "y"])
    assert (settings.population, settings.rate, settings.root) == (5, 1.0, "a")
    assert type(settings.population) is int and type(settings.rate) is float
    assert settings.objectives == ("x", "y")


def test_a_misspelled_option_is_a_type_error():
    with pytest.raises(TypeError, match="populations"):
        Example(populations=3)


def test_settings_as_json_hold_every_field():
    assert to_json(Example())["objectives"] == ["error", "params"]
    assert set(to_json(Example())) == {row[0] for row in describe(Example)}


def test_a_recipe_takes_its_fields_from_settings():
    @dataclass
    class Recipe:
        batch: int
        horizon: int

    settings = SimpleNamespace(batch=8, channels=4)
    assert select(Recipe, settings, horizon=3) == Recipe(8, 3)
    assert select(Recipe, settings, batch=2, horizon=3) == Recipe(2, 3)
    with pytest.raises(AttributeError, match="horizon"):
        select(Recipe, settings)
