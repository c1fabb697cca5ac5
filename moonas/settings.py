"""Settings classes: frozen dataclasses whose fields are the options of stages.

A field is a keyword argument in Python and an option on the command line.
"""

import dataclasses
import difflib
import math
import os
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from operator import ge, gt, le
from typing import Any, ClassVar, TypeVar

from .errors import UnknownSetting
from .limits import parse_limits

T = TypeVar("T")

KINDS = {  # type of a field -> valid values, for messages
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
}
LISTS = {str: "a list of names", int: "a list of whole numbers", float: "a list of numbers"}

# arguments of pymoo's problems, and of other libraries, for parallel evaluation
FOR_PARALLEL_PYMOO = ("elementwise", "elementwise_runner", "elementwise_evaluation", "n_jobs")

RANGES = {"least": (ge, "at least"), "most": (le, "at most"), "above": (gt, "more than")}


def setting(
    default: Any,
    help: str,
    choices: tuple[str, ...] | None = None,
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    free: bool = False,
    formerly: Any = dataclasses.MISSING,
) -> Any:
    """Define a field of a Settings class.

    Args:
        default: default value of the field.
        help: one-line description that includes the unit, for ``moonas search TASK --help``.
        choices: all valid values; None if any value of the type is valid.
        least: smallest valid number.
        most: largest valid number.
        above: number that the value must exceed.
        free: whether the field may have another value when a run is resumed, since it does not
            affect results.
        formerly: default of earlier versions or, if the setting is new, the value that was in
            effect without it; by default, ``default``. Runs of these versions are resumed with this
            value.
    """
    ranges = {"least": least, "most": most, "above": above}
    ranges = {name: value for name, value in ranges.items() if value is not None}
    metadata = {"help": help, "choices": choices, "ranges": ranges, "free": free}
    metadata["formerly"] = default if formerly is dataclasses.MISSING else formerly
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Settings of every stage; a stage adds further fields in a subclass.

    Attributes:
        PRESETS: name of a preset -> its options, a dict of field -> value.
    """

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {}

    data: str = setting(
        "digits",
        "name of a data set, or a folder with one subfolder per class or a CSV file of labels",
    )
    root: str | None = setting(None, "folder of downloaded data sets", free=True)
    download: bool = setting(False, "download the data set into root if it is missing", free=True)
    device: str = setting(
        "auto", "cpu, cuda, cuda:1, ...; auto uses a GPU if there is one", free=True
    )
    threads: int = setting(
        1,
        "number of torch threads on a CPU; tiny networks are fastest with one",
        least=1,
        free=True,
    )

    @property
    def needs_no_stage_before(self) -> bool:
        """Whether a task's last stage, with these settings, does not require the earlier stages."""
        return False

    def pipeline(self, stages: list[str]) -> list[str]:
        """Return the stages that a search runs, in order, given the settings of the first stage.

        Args:
            stages: names of the task's stages, in the order of their entries.
        """
        return stages

    def __post_init__(self) -> None:
        type_of = types_of(type(self))
        for name in names_of(type(self)):
            object.__setattr__(self, name, _of_type(name, getattr(self, name), type_of[name]))
        for field in dataclasses.fields(self):
            choices, value = field.metadata.get("choices"), getattr(self, field.name)
            if choices and value not in choices:
                raise ValueError(f"{field.name}={value!r} is unknown; choose from {list(choices)}.")
            numbers = value if isinstance(value, tuple) else () if value is None else (value,)
            for kind, end in field.metadata.get("ranges", {}).items():
                compare, phrase = RANGES[kind]
                none = "none, or " if field.default is None else ""
                valid = all(compare(number, end) for number in numbers)
                require(valid, self, field.name, f"{none}{phrase} {end:g}")


RESIZE = ("crop", "pad", "squash")
ON_BAD_IMAGE = ("stop", "skip")
DATA_IN = ("auto", "memory", "stream", "cache")


def resize_setting() -> Any:
    """Return the setting ``resize`` of stages that read image files."""
    return setting(
        "crop",
        "how images that are not square are fitted; crop: resize the shorter side and keep the "
        "center; pad: resize the longer side and add black edges; squash: change the proportions",
        RESIZE,
        formerly="squash",
    )


def loader_workers_setting() -> Any:
    """Return the setting ``loader_workers`` of stages that read image files."""
    return setting(
        None,
        "number of processes that decode image files; 0: the main process does; none: one per CPU, "
        "at most 8, or 0 on macOS and Windows",
        least=0,
        free=True,
    )


@dataclass(frozen=True, kw_only=True)
class ImageSettings(RunSettings):
    """Settings of stages that read the images of a data set."""

    image_size: int | None = setting(
        None, "side length of images in pixels; none: side length in the data set", least=1
    )
    image_channels: int | None = setting(
        None, "1 for gray images, 3 for color images; none: as in the data set, 3 for folders"
    )
    resize: str = resize_setting()
    on_bad_image: str = setting(
        "stop",
        "what happens if files cannot be read as images; stop: an error lists them; skip: they are "
        "left out with a warning",
        ON_BAD_IMAGE,
        free=True,
    )
    data_in: str = setting(
        "auto",
        "where the images of a folder are kept; memory: as 8-bit pixels; stream: they are decoded "
        "whenever they are needed; cache: they are decoded once, into a file in the cache folder; "
        "auto: memory if they take at most a quarter of it, otherwise the cache if it exists, or "
        "stream; results are the same",
        DATA_IN,
        free=True,
    )
    loader_workers: int | None = loader_workers_setting()

    def __post_init__(self) -> None:
        super().__post_init__()
        known = self.image_channels in (None, 1, 3)
        require(known, self, "image_channels", "1, 3, or none")

    @property
    def image_form(self) -> dict[str, Any]:
        """Arguments of :func:`moonas.data.describe`."""
        return {
            "image_size": self.image_size,
            "image_channels": self.image_channels,
            "resize": self.resize,
            "on_bad_image": self.on_bad_image,
        }

    @property
    def reading(self) -> dict[str, Any]:
        """Arguments of :func:`moonas.data.load`."""
        return {
            "name": self.data,
            "root": self.root,
            "download": self.download,
            "data_in": self.data_in,
            "loader_workers": self.loader_workers,
            **self.image_form,
        }


@dataclass(frozen=True, kw_only=True)
class SearchSettings(RunSettings):
    """Settings of every problem; a problem adds further fields in a subclass."""

    objectives: tuple[str, ...] = setting((), "columns to minimize, one or more")
    limits: tuple[str, ...] = setting(
        (), "bounds of columns, such as 'params <= 50000'; other candidates are infeasible"
    )
    reference_point: tuple[str, ...] = setting(
        (),
        "worst corner of the box that hypervolumes refer to, such as 'error=20,params=50000'; "
        "by default the bounds of the objectives or, where it is known, just beyond the true front",
        free=True,
    )
    start: tuple[str, ...] = setting(
        (), "names of published architectures that the first population begins with"
    )
    population: int = setting(16, "number of candidates that survive each generation", least=1)
    generations: int = setting(
        20, "length of the schedules in generations; they are constant afterwards", least=1
    )
    workers: int = setting(
        2, "number of architectures evaluated in parallel on a CPU", least=1, free=True
    )

    @property
    def used_columns(self) -> tuple[str, ...]:
        """Names of the columns that a search needs: the objectives and the limited columns."""
        return used_columns(self.objectives, self.limits)

    def __post_init__(self) -> None:
        super().__post_init__()
        limits = tuple(str(limit) for limit in parse_limits(self.limits))
        object.__setattr__(self, "limits", limits)
        parse_reference_point(self.reference_point)


@dataclass(frozen=True, kw_only=True)
class TabularSettings(SearchSettings):
    """Settings of a search whose scores are looked up in a table; genes are categorical."""

    crossover: float = setting(
        0.9, "probability that two parents are crossed over", above=0, most=1
    )
    mutated_genes: float = setting(1.0, "average number of genes that mutate per child", above=0)


# Settings class -> field -> type; annotations that are strings (PEP 563) are resolved
types_of: Callable[[Any], dict[str, Any]] = cache(typing.get_type_hints)


def _of_type(name: str, value: Any, type_: Any) -> Any:
    """Convert a value to the type of its field without loss, or raise a ``ValueError``."""
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
        expected = " or ".join("none" if k is type(None) else KINDS[k] for k in kinds)
        raise ValueError(f"{name}={value!r} is invalid: expected {expected}.")
    return value


def _of_kinds(kinds: tuple[type, ...], value: Any) -> Any:
    """Convert a NumPy scalar, a path or, if floats are valid, an integer to one of the kinds.

    A value of another type is returned unchanged.
    """
    if hasattr(value, "item"):  # NumPy scalars
        value = value.item()
    if hasattr(value, "__fspath__"):
        value = os.fspath(value)
    return float(value) if float in kinds and type(value) is int else value


def require(condition: bool, settings: Any, name: str, expectation: str) -> None:
    """Raise a ``ValueError`` if a setting is invalid.

    Args:
        condition: whether the value is valid.
        settings: object that has the setting as an attribute.
        name: name of the setting.
        expectation: description of the valid values, for the message.
    """
    if not condition:
        raise ValueError(f"{name}={getattr(settings, name)!r} is invalid: expected {expectation}.")


def used_columns(objectives: Iterable[str], limits: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the columns that objectives and limits name, without duplicates."""
    limited = (limit.column for limit in parse_limits(limits))
    return tuple(dict.fromkeys((*objectives, *limited)))


def parse_reference_point(texts: Iterable[str]) -> dict[str, float]:
    """Parse the setting ``reference_point``.

    Args:
        texts: texts such as "error=20", one per objective at most.

    Returns:
        Name of an objective -> its value in the worst corner of the box.

    Raises:
        ValueError: a text is invalid, or two of them name the same objective.
    """
    corner: dict[str, float] = {}
    for text in texts:
        name, equals, number = (part.strip() for part in text.partition("="))
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not (equals and math.isfinite(value)) or name in corner:
            raise ValueError(
                f"reference_point={tuple(texts)!r} is invalid: expected OBJECTIVE=NUMBER, once for "
                "each objective whose bound it replaces, such as 'error=20'."
            )
        corner[name] = value
    return corner


def check_objectives(chosen: Collection[str], known: Collection[str]) -> None:
    """Raise a ``ValueError`` if the chosen objectives are invalid.

    Args:
        chosen: names of the objectives; they must differ.
        known: names of the available objectives.
    """
    for name in chosen:
        if name not in known:
            raise ValueError(f"Unknown objective {name!r}; choose from {list(known)}.")
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(
            f"objectives={tuple(chosen)} is invalid: expected one or more different columns."
        )


def select(cls: type[T], settings: Any, **more: Any) -> T:
    """Create an instance of a dataclass from the settings that have the same names as its fields.

    Args:
        cls: the dataclass, such as a training recipe.
        settings: object with an attribute for each field that is not in ``more``.
        more: field -> value; these values override ``settings``.

    Raises:
        AttributeError: a field is neither in ``settings`` nor in ``more``.
    """
    names = [name for name in names_of(cls) if name not in more]
    return cls(**{name: getattr(settings, name) for name in names}, **more)


def recorded_options(
    settings_class: type[RunSettings],
    recorded: Mapping[str, Any],
    *,
    only: Iterable[str] | None = None,
    without: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the recorded settings of a run that another Settings class also has.

    They are the default options of a training from scratch.

    Args:
        settings_class: Settings class of the training; recorded settings that the
            class lacks are ignored.
        recorded: settings of the run, as read from ``run.json``.
        only: names of settings to return; by default, all.
        without: names of settings to leave out.
    """
    names = set(names_of(settings_class)) - set(without)
    names &= set(recorded if only is None else only)
    return {name: value for name, value in recorded.items() if name in names}


def free_names(settings: RunSettings | type[RunSettings]) -> set[str]:
    """Return the names of the settings that may change when a run is resumed."""
    return {f.name for f in dataclasses.fields(settings) if f.metadata.get("free")}


def to_json(settings: RunSettings) -> dict[str, Any]:
    """Return the settings as a JSON-serializable dict; tuples become lists."""
    return _tuples_to_lists(dataclasses.asdict(settings))


def former_values(settings: RunSettings | type[RunSettings]) -> dict[str, Any]:
    """Return the value that each field had in runs of versions without it; see :func:`setting`."""
    fields = [f for f in dataclasses.fields(settings) if f.default is not dataclasses.MISSING]
    return {f.name: f.metadata.get("formerly", f.default) for f in fields}


def with_former_values(
    settings_class: type[RunSettings], recorded: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the recorded settings of a run, completed by values of its version.

    A setting that the run lacks is added if the value that was in effect without it is not the
    default.

    Args:
        settings_class: Settings class of the stage.
        recorded: settings of the run, as read from ``run.json``.
    """
    former = former_values(settings_class)
    fields = {f.name: f for f in dataclasses.fields(settings_class)}
    return {n: v for n, v in former.items() if v != fields[n].default} | dict(recorded)


def former_values_to_json(settings: RunSettings | type[RunSettings]) -> dict[str, Any]:
    """Return :func:`former_values` in the format of :func:`to_json`."""
    return _tuples_to_lists(former_values(settings))


def _tuples_to_lists(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def parse(settings_class: type[RunSettings], name: str, text: str) -> Any:
    """Parse the value of a field from the command line.

    Args:
        settings_class: class of the settings.
        name: name of the field.
        text: the value as text; the elements of a list are separated by commas.

    Raises:
        ValueError: the field is unknown, or the text cannot be converted to the type of the field.
    """
    check_names(settings_class, [name])
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


def to_text(value: Any) -> str:
    """Return the value of a field as text that :func:`parse` converts back."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return (
        "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


def check_names(settings_class: type[Any], names: Iterable[str]) -> None:
    """Raise :class:`~moonas.errors.UnknownSetting` if a class has no field of one of the names."""
    known = names_of(settings_class)
    for name in names:
        if name not in known:
            raise unknown_setting(name, known)


def unknown_setting(name: str, known: Iterable[str]) -> UnknownSetting:
    """Return the error for a setting that does not exist.

    Args:
        name: name of the setting.
        known: names of the existing settings.
    """
    if name in FOR_PARALLEL_PYMOO:
        return UnknownSetting(
            f"Unknown setting {name!r}: problems evaluate whole populations. Set workers=N for "
            "parallel processes, or use joblib: with joblib.parallel_config(n_jobs=N): ..."
        )
    similar = difflib.get_close_matches(name, known, n=1)
    question = f"did you mean {similar[0]!r}? Choose" if similar else "choose"
    return UnknownSetting(f"Unknown setting {name!r}; {question} from {sorted(known)}.")


def names_of(settings_class: type[Any]) -> list[str]:
    """Return the names of the fields of a Settings class or another dataclass, in order."""
    return [field.name for field in dataclasses.fields(settings_class)]


def describe(settings: RunSettings | type[RunSettings]) -> list[tuple[str, str, str, Any]]:
    """Return (name, text of the value, help, choices) of each field, for ``--help``.

    Args:
        settings: settings whose values are the defaults of a command; a class for its own defaults.
    """
    rows = []
    for field in dataclasses.fields(settings):
        default = getattr(settings, field.name)
        if isinstance(default, tuple):
            text = ",".join(map(str, default))
        else:
            text = f"{default:.4g}" if isinstance(default, float) else str(default)
        rows.append((field.name, text, field.metadata["help"], field.metadata["choices"]))
    return rows
