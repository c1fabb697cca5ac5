"""``moonas train``."""

from __future__ import annotations

import argparse

from .. import registry
from ..task import plan_training, trained_problem
from .options import add_run_arguments, describe_settings, parse_options
from .running import run_plan

TRAINING = "the training"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Train what a search has picked from scratch, and test it. The same line again goes on "
        "where it stopped. Settings are those of the search by default."
    )
    add = parser.add_argument
    add("folder", metavar="RUN", nargs="?", help="run folder of a search")
    add(
        "--pick",
        metavar="ROW",
        nargs="+",
        help="rows of the front: knee, best-error, smallest, or their numbers; knee",
    )
    add("--architecture", metavar="NAME", help="a published one (moonas list --zoo), without a run")
    add_run_arguments(parser, default_out="RUN/training, with several rows RUN/training-ROW")


def settings_help(args: argparse.Namespace) -> str | None:
    """The settings of the full training of a run, with their defaults."""
    if args.folder is None and args.architecture is None:
        return "moonas train RUN --help lists settings."
    try:
        name = trained_problem(args.folder, args.architecture)
        return describe_settings({TRAINING: registry.training_settings_class(name)})
    except ValueError:
        return None


def run(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    return run_plan(lambda: _plan(args))


def _plan(args):
    name = trained_problem(args.folder, args.architecture)
    options = parse_options(args, {"training": registry.training_settings_class(name)})["training"]
    pick = options.pop("pick", None)  # --set pick=ROW, which --pick replaces
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
