"""``moonas train``: train architectures from scratch."""

from __future__ import annotations

import argparse

from .. import registry
from ..planning import PlannedStage, plan_training, trained_problem, training_settings
from ..settings import RunSettings
from .options import add_run_arguments, describe_settings, parse_options
from .running import run_plan

STAGE_TITLE = "the training"  # title of the settings in the help


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Train architectures of a front from scratch and evaluate them on the test set. Settings "
        "that the search also has default to their values in the search. Run the same command "
        "again to resume interrupted training."
    )
    add = parser.add_argument
    add("folder", metavar="RUN", nargs="?", help="run folder of a search")
    add(
        "--pick",
        metavar="ROW",
        nargs="+",
        help="rows of the front to train: knee, best-error, smallest, spread:K (K rows over the "
        "range of sizes), tradeoff:K, under:params=50000, or row numbers, starting at 0 "
        "(default: knee)",
    )
    add(
        "--architecture",
        metavar="NAME",
        help="published architecture to train instead, as named by moonas list --zoo",
    )
    add_run_arguments(parser, default_out="RUN/training-PICK")


def settings_help(args: argparse.Namespace) -> str | None:
    """Return the help text on the settings of the training; None if the run is invalid.

    The defaults are the values that the training of this run would have.
    """
    if args.folder is None and args.architecture is None:
        return "Run moonas train RUN --help to list the settings of the training."
    try:
        name = trained_problem(args.folder, args.architecture)
    except ValueError:
        return None
    settings: RunSettings | type[RunSettings] = registry.training_settings_class(name)
    note = ""
    if args.folder is not None:
        try:
            settings = training_settings(args.folder, preset=args.preset)
        except ValueError as error:
            note = f"These defaults are general ones, since those of the run are unknown: {error}"
    return "\n".join(filter(None, [note, describe_settings({STAGE_TITLE: settings})]))


def run(args: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    return run_plan(lambda: _plan(args))


def _plan(args: argparse.Namespace) -> list[PlannedStage]:
    name = trained_problem(args.folder, args.architecture)
    options = parse_options(args, {"training": registry.training_settings_class(name)})["training"]
    pick = options.pop("pick", None)  # --set pick=ROW, which --pick overrides
    architecture = options.pop("architecture", None)
    return plan_training(
        args.folder,
        architecture=args.architecture or architecture,
        pick=args.pick or pick,
        out=args.out,
        seed=args.seed,
        preset=args.preset,
        **options,
    )
