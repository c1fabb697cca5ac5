"""Arguments that several commands share, and what KEY=VALUE means."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from typing import Any

from ..settings import describe, parse
from ..task import DEFAULT_SEED, stages_with


def add_run_arguments(parser: argparse.ArgumentParser, default_out: str) -> None:
    """The arguments of every command that runs something."""
    add = parser.add_argument
    add("--data", metavar="NAME|FOLDER", help="data set; digits needs no download")
    add("--root", metavar="DIR", help="folder that holds downloaded data sets")
    add("--preset", metavar="NAME", help="named settings, such as paper")
    add(
        "--seed",
        metavar="N",
        type=seed,
        help=f"of the run; that of the run in --out, else {DEFAULT_SEED}",
    )
    add("--device", metavar="NAME", help="cpu, cuda, ...; a GPU where there is one")
    add("--out", metavar="DIR", help=f"run folder; {default_out}")
    add(
        "--set",
        metavar="KEY=VALUE",
        nargs="+",
        action="extend",
        default=[],
        help="other settings, of every stage that has them; STAGE.KEY=VALUE of one",
    )


def seed(text: str) -> int:
    """A seed from the command line."""
    return _whole_number(text, 0)


def count(text: str) -> int:
    """A number of things from the command line."""
    return _whole_number(text, 1)


def _whole_number(text, least):
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(
            f"{text!r} is invalid: expected a whole number, {least} or more"
        )
    return int(text)


def pairs(words: Iterable[str], flag: str) -> list[tuple[str, str]]:
    """(key, value) of each KEY=VALUE that follows a flag.

    Raises:
        ValueError: one has no "=".
    """
    found = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"{flag} expects KEY=VALUE; got {word!r}.")
        found.append((key, value))
    return found


def parse_options(
    args: argparse.Namespace, classes: Mapping[str, type]
) -> dict[str, dict[str, Any]]:
    """The options that a command line gives to each of several stages.

    Args:
        args: ``set``, and ``data``, ``root``, ``population``, ``generations``, ``device`` and
            ``objectives`` where the command has them.
        classes: the Settings of each stage, by its name.

    Returns:
        Name of a stage -> option -> value; later words win. Presets are not included.

    Raises:
        ValueError: a stage or a setting is unknown, or a value does not fit.
    """
    options = {name: {} for name in classes}
    names = "data", "root", "population", "generations", "device"
    given = [(name, getattr(args, name, None)) for name in names]
    words = [(key, text) for key, text in given if text is not None]
    if getattr(args, "objectives", None):
        words.append(("objectives", ",".join(args.objectives)))
    for key, text in [*words, *pairs(args.set, "--set")]:
        stage, dot, field = key.rpartition(".")
        if dot and stage not in classes:
            raise ValueError(
                f"--set {key}=...: no stage {stage!r} here; choose from {list(classes)}."
            )
        asked = {stage: classes[stage]} if dot else classes
        for name in stages_with(field, asked):
            options[name][field] = parse(classes[name], field, text)
    return options


def describe_settings(classes: Mapping[str, type]) -> str:
    """The settings of stages, with their defaults, and the names of their presets, for the help."""
    lines = []
    for name, settings in classes.items():
        lines += ["", f"settings of {name} (--set KEY=VALUE):"]
        for key, default, help, choices in describe(settings):
            lines.append(f"  {key + '=' + default:<28} {help}")
            if choices:
                lines.append(f"  {'':<28} ({', '.join(choices)})")
        lines += [f"presets of {name}: {', '.join(settings.PRESETS)}"]
    return "\n".join(lines)
