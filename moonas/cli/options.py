"""Arguments that several commands share, and the parsing of KEY=VALUE settings."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from typing import Any

from ..files import FORMATS
from ..planning import DEFAULT_SEED, stages_with
from ..settings import RunSettings, describe, parse


def add_problem_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that choose the settings of a problem."""
    add = parser.add_argument
    add(
        "--data",
        metavar="NAME|FOLDER",
        help="name of a data set, or a folder of images; the data set digits needs no download",
    )
    add("--root", metavar="DIR", help="folder of downloaded data sets")
    add("--preset", metavar="NAME", help="named set of settings, such as paper")
    add("--device", metavar="NAME", help="cpu, cuda, ... (default: a GPU if one is available)")
    add(
        "--set",
        metavar="KEY=VALUE",
        nargs="+",
        action="extend",
        default=[],
        help="other settings, for every stage that has them; STAGE.KEY=VALUE sets one stage only",
    )


def add_run_arguments(parser: argparse.ArgumentParser, default_out: str) -> None:
    """Add the arguments of commands that write a run folder.

    Args:
        parser: parser of the command.
        default_out: default value of ``--out``, shown in its help text.
    """
    add_problem_arguments(parser)
    parser.add_argument(
        "--seed",
        metavar="N",
        type=nonnegative_int,
        help=f"random seed (default: the seed of the run in --out if that folder contains one, "
        f"else {DEFAULT_SEED})",
    )
    parser.add_argument("--out", metavar="DIR", help=f"run folder (default: {default_out})")
    add_picture_arguments(parser)


def add_picture_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the argument that chooses the formats of pictures; the main function applies it."""
    parser.add_argument(
        "--format",
        dest="picture_formats",
        nargs="+",
        choices=FORMATS,
        default=[],
        help="formats of pictures; pdf and svg are for papers (default: png)",
    )


def add_device_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument that chooses the device of a trained model."""
    parser.add_argument(
        "--device", metavar="NAME", default="auto", help="cpu, cuda, ... (default: auto)"
    )


def add_image_arguments(parser: argparse.ArgumentParser, model: str) -> None:
    """Add the arguments of commands that apply a model to images: the model and the images.

    Args:
        parser: parser of the command.
        model: what MODEL may be, for the help text.
    """
    parser.add_argument("model", metavar="MODEL", help=model)
    parser.add_argument(
        "images", metavar="IMAGE|FOLDER", nargs="+", help="images, or folders of images"
    )


def add_batch_argument(parser: argparse.ArgumentParser, default: int) -> None:
    """Add the argument that limits the images per batch, with its default value."""
    parser.add_argument(
        "--batch",
        metavar="N",
        type=positive_int,
        default=default,
        help=f"largest number of images per batch (default: {default})",
    )


def nonnegative_int(text: str) -> int:
    """Parse an integer of at least 0, such as a seed."""
    return _parse_int(text, 0)


def positive_int(text: str) -> int:
    """Parse an integer of at least 1, such as a number of runs."""
    return _parse_int(text, 1)


def _parse_int(text: str, minimum: int) -> int:
    if not text.isdecimal() or int(text) < minimum:
        raise argparse.ArgumentTypeError(f"expected an integer of at least {minimum}, got {text!r}")
    return int(text)


def key_value_pairs(words: Iterable[str], flag: str) -> list[tuple[str, str]]:
    """Split every KEY=VALUE word that follows a flag.

    Args:
        words: command-line words that follow the flag.
        flag: name of the flag, for the error message.

    Returns:
        A (key, value) pair per word.

    Raises:
        ValueError: a word has no "=".
    """
    pairs = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"{flag} is invalid: expected KEY=VALUE, got {word!r}.")
        pairs.append((key, value))
    return pairs


def parse_options(
    args: argparse.Namespace, classes: Mapping[str, type[RunSettings]]
) -> dict[str, dict[str, Any]]:
    """Parse the options of several stages from a command line.

    Args:
        args: parsed arguments: ``set``, and ``data``, ``root``, ``population``, ``generations``,
            ``device``, ``objectives``, ``limits`` and ``start`` if the command has them.
        classes: stage name -> its Settings class.

    Returns:
        Stage name -> option -> value, without presets. If an option is given several times, the
        last value is used, and ``--set`` takes precedence over the other flags.

    Raises:
        ValueError: a stage or a setting is unknown, or a value is invalid.
    """
    options: dict[str, dict[str, Any]] = {name: {} for name in classes}
    names = "data", "root", "population", "generations", "device"
    flags = [(name, getattr(args, name, None)) for name in names]
    pairs = [(key, text) for key, text in flags if text is not None]
    for key in ("objectives", "limits", "start"):
        if getattr(args, key, None):
            pairs.append((key, ",".join(getattr(args, key))))
    for key, text in [*pairs, *key_value_pairs(args.set, "--set")]:
        stage, dot, field = key.rpartition(".")
        if dot and stage not in classes:
            raise ValueError(
                f"--set {key}=... is invalid: unknown stage {stage!r}; choose from {list(classes)}."
            )
        selected = {stage: classes[stage]} if dot else classes
        for name in stages_with(field, selected):
            options[name][field] = parse(classes[name], field, text)
    return options


def describe_settings(classes: Mapping[str, RunSettings | type[RunSettings]]) -> str:
    """Return the help text on settings: names, defaults, descriptions, choices and presets.

    Args:
        classes: stage name -> its Settings class, or settings whose values are the defaults.
    """
    lines = []
    for name, settings in classes.items():
        lines += ["", f"settings of {name} (--set KEY=VALUE), with their defaults:"]
        for key, default, help, choices in describe(settings):
            lines.append(f"  {key + '=' + default:<28} {help}")
            if choices:
                lines.append(f"  {'':<28} (choices: {', '.join(choices)})")
        lines += [f"presets of {name} (--preset NAME): {', '.join(settings.PRESETS)}"]
    return "\n".join(lines)
