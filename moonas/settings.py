"""Settings of a problem: a frozen dataclass, its fields the options of Python and the shell."""

import dataclasses
import os
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from operator import ge, gt, le
from typing import Any, ClassVar, TypeVar

T = TypeVar("T")

KINDS = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
}
LISTS = {str: "a list of names", int: "a list of whole numbers", float: "a list of numbers"}

LIMITS = {"least": (ge, "at least"), "most": (le, "at most"), "above": (gt, "more than")}


def setting(
    default: Any,
    help: str,
    choices: tuple[str, ...] | None = None,
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    free: bool = False,
) -> Any:
    """A field of a Settings class.

    Args:
        default: its value by default.
        help: one line for ``moonas search TASK --help``, with the unit.
        choices: the legal values, where they can be listed.
        least: the smallest legal number.
        most: the largest legal number.
        above: a number that the value must exceed.
        free: whether it may change when a run is resumed: it does not affect results.
    """
    limits = {"least": least, "most": most, "above": above}
    limits = {name: value for name, value in limits.items() if value is not None}
    metadata = {"help": help, "choices": choices, "limits": limits, "free": free}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Settings of every stage; a task inherits them and adds its own.

    Attributes:
        PRESETS: named sets of options: {name: {field: value}}.
    """

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {}

    data: str = setting(
        "digits", "data set by name, or a folder: with a folder a class, or with a CSV of labels"
    )
    root: str | None = setting(None, "folder that holds downloaded data sets", free=True)
    download: bool = setting(
        False, "download the data set into root when it is not there", free=True
    )
    device: str = setting(
        "auto", "cpu, cuda, cuda:1, ...; auto takes a GPU where there is one", free=True
    )
    threads: int = setting(
        1, "torch threads on a CPU; tiny networks run best on one", least=1, free=True
    )

    @property
    def needs_no_stage_before(self) -> bool:
        """Whether these settings of the last stage of a task make earlier stages needless."""
        return False

    def pipeline(self, stages: list[str]) -> list[str]:
        """The stages that a search of the task runs, in order, by the settings of the first one.

        Args:
            stages: names of the task's stages, in the order of their entries.
        """
        return stages

    def __post_init__(self):
        type_of = types_of(type(self))
        for name in names_of(type(self)):
            object.__setattr__(self, name, _of_type(name, getattr(self, name), type_of[name]))
        for field in dataclasses.fields(self):
            choices, value = field.metadata.get("choices"), getattr(self, field.name)
            if choices and value not in choices:
                raise ValueError(f"{field.name}={value!r} is unknown; choose from {list(choices)}.")
            numbers = value if isinstance(value, tuple) else () if value is None else (value,)
            for kind, limit in field.metadata.get("limits", {}).items():
                legal, words = LIMITS[kind]
                none = "none, or " if field.default is None else ""
                good = all(legal(number, limit) for number in numbers)
                require(good, self, field.name, f"{none}{words} {limit:g}")


@dataclass(frozen=True, kw_only=True)
class SearchSettings(RunSettings):
    """Settings of every problem; a task inherits them and adds its own."""

    objectives: tuple[str, ...] = setting((), "columns to minimise, two or more")
    population: int = setting(16, "candidates that survive a generation", least=1)
    generations: int = setting(
        20, "horizon of the schedules, in generations; past it they stay at their end", least=1
    )
    workers: int = setting(2, "architectures scored side by side on a CPU", least=1, free=True)


@dataclass(frozen=True, kw_only=True)
class TabularSettings(SearchSettings):
    """Settings of a search in a table; genes are labels, crossed one by one."""

    crossover: float = setting(0.9, "chance that two parents are crossed", above=0, most=1)
    mutated_genes: float = setting(1.0, "genes of a child that mutate, on average", above=0)


@cache
def types_of(settings_class: type[RunSettings]) -> dict[str, Any]:
    """The types of the fields by name, also where annotations are not evaluated (PEP 563)."""
    return typing.get_type_hints(settings_class)


def _of_type(name, value, type_):
    """The value in the type of its field; whole numbers pass as numbers, paths as strings."""
    if typing.get_origin(type_) is tuple:
        (kind, _), parts = typing.get_args(type_), value
        if not isinstance(value, str | bytes) and hasattr(value, "__iter__"):
            parts = tuple(_of_kinds((kind,), part) for part in value)
        if not isinstance(parts, tuple) or any(type(part) is not kind for part in parts):
            raise ValueError(f"{name}={value!r} is invalid: expected {LISTS[kind]}.")
        return parts
    kinds = typing.get_args(type_) or (type_,)
    value = _of_kinds(kinds, value)
    if type(value) not in kinds:
        wanted = " or ".join("none" if k is type(None) else KINDS[k] for k in kinds)
        raise ValueError(f"{name}={value!r} is invalid: expected {wanted}.")
    return value


def _of_kinds(kinds, value):
    """The value, converted to one of some types where that loses nothing."""
    if hasattr(value, "item"):  # NumPy's numbers
        value = value.item()
    if hasattr(value, "__fspath__"):
        value = os.fspath(value)
    return float(value) if float in kinds and type(value) is int else value


def require(condition: bool, settings: Any, name: str, expectation: str) -> None:
    """Raise a ``ValueError`` that names the setting, its value and what was expected."""
    if not condition:
        raise ValueError(f"{name}={getattr(settings, name)!r} is invalid: expected {expectation}.")


def check_objectives(chosen: Iterable[str], known: Iterable[str], least: int = 2) -> None:
    """Raise a ``ValueError`` unless ``chosen`` are ``least`` distinct names, or more, of known."""
    for name in chosen:
        if name not in known:
            raise ValueError(f"Unknown objective {name!r}; choose from {list(known)}.")
    if len(chosen) < least or len(set(chosen)) < len(chosen):
        wanted = {1: "one", 2: "two"}[least]
        raise ValueError(
            f"objectives={tuple(chosen)} is invalid: expected {wanted} or more different columns."
        )


def select(cls: type[T], settings, **more) -> T:
    """An instance of a dataclass whose fields are settings of the same names.

    Args:
        cls: the dataclass, as a recipe of training.
        settings: has the attributes that ``cls`` has fields for.
        more: values of fields that the settings lack, or in place of theirs.

    Raises:
        AttributeError: the settings lack a field.
    """
    names = [field.name for field in dataclasses.fields(cls) if field.name not in more]
    return cls(**{name: getattr(settings, name) for name in names}, **more)


def recorded_options(
    settings_class: type[RunSettings],
    recorded: Mapping[str, Any],
    *,
    only: Iterable[str] | None = None,
    without: Iterable[str] = (),
) -> dict[str, Any]:
    """The settings of an earlier run that a training starts from, as options of its own Settings.

    Args:
        settings_class: Settings of the training; settings that it lacks are left out.
        recorded: settings of the run, as ``run.json`` holds them.
        only: names to take; all by default.
        without: names to leave at their defaults.
    """
    names = set(names_of(settings_class)) - set(without)
    names &= set(recorded if only is None else only)
    return {name: value for name, value in recorded.items() if name in names}


def free_names(settings: RunSettings) -> set[str]:
    """Names of the settings that may change when a run is resumed."""
    return {f.name for f in dataclasses.fields(settings) if f.metadata.get("free")}


def to_json(settings: RunSettings) -> dict[str, Any]:
    """The settings as a dict that JSON can hold; tuples become lists."""
    return _listed(dataclasses.asdict(settings))


def defaults_to_json(settings):
    """The defaults of the settings' class, as :func:`to_json` has the settings themselves."""
    fields = [f for f in dataclasses.fields(settings) if f.default is not dataclasses.MISSING]
    return _listed({f.name: f.default for f in fields})


def _listed(values):
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def parse(settings_class: type[RunSettings], name: str, text: str) -> Any:
    """The value of field ``name`` from the text of a command line.

    Raises:
        ValueError: the field is unknown, or the text does not fit its type.
    """
    known = names_of(settings_class)
    if name not in known:
        raise ValueError(f"Unknown setting {name!r}; choose from {sorted(known)}.")
    kind = types_of(settings_class)[name]
    union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    options = typing.get_args(kind) if union else (kind,)
    if type(None) in options and text.lower() == "none":
        return None
    kind = next(option for option in options if option is not type(None))
    if typing.get_origin(kind) is tuple:
        kind, parts = typing.get_args(kind)[0], [part.strip() for part in text.split(",")]
        try:
            return tuple(kind(part) for part in parts if part)
        except ValueError:
            raise ValueError(f"{name}={text} is invalid: expected {LISTS[kind]}.") from None
    if kind is bool:
        if text.lower() in ("true", "yes", "1"):
            return True
        if text.lower() in ("false", "no", "0"):
            return False
        raise ValueError(f"{name}={text} is invalid: expected {KINDS[bool]}.")
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{name}={text} is invalid: expected {KINDS[kind]}.") from None


def names_of(settings_class: type[RunSettings]) -> list[str]:
    """Names of the fields, in order."""
    return [field.name for field in dataclasses.fields(settings_class)]


def describe(settings_class: type[RunSettings]) -> list[tuple[str, str, str, Any]]:
    """Rows (name, default as text, help, choices) of every field, for the help of the shell."""
    rows = []
    for field in dataclasses.fields(settings_class):
        default = field.default
        if isinstance(default, tuple):
            text = ",".join(map(str, default))
        else:
            text = f"{default:.4g}" if isinstance(default, float) else str(default)
        rows.append((field.name, text, field.metadata["help"], field.metadata["choices"]))
    return rows
