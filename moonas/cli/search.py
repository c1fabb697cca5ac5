"""``moonas search``."""

from __future__ import annotations

import argparse

from .. import registry
from ..task import plan_search, stage_names
from .options import add_run_arguments, describe_settings, parse_options
from .running import run_plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Search for a Pareto front of architectures into a run folder. The same line again goes on "
        "where it stopped, or says that the run is complete."
    )
    add = parser.add_argument
    add("task", metavar="TASK", help="one of those that moonas list shows")
    add("--algorithm", metavar="NAME", help="pymoo algorithm in place of the paper's own")
    add("--objectives", metavar="NAME", nargs="+", help="columns to minimise")
    add("--population", metavar="N", help="candidates that survive")
    add("--generations", metavar="N", help="generations to run")
    add("--stage", metavar="NAME", help="one stage of a task that has several")
    add_run_arguments(parser, default_out="runs/TASK-DATA-seedN")


def settings_help(args: argparse.Namespace) -> str | None:
    """The settings of the task's stages, with their defaults."""
    if args.task is None:
        return "moonas search TASK --help lists settings."
    try:
        names = stage_names(args.task)
    except ValueError:
        return None
    return describe_settings({name: registry.settings_class(name) for name in names})


def run(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    return run_plan(lambda: _plan(args))


def _plan(args):
    classes = {name: registry.settings_class(name) for name in stage_names(args.task, args.stage)}
    return plan_search(
        args.task,
        out=args.out,
        seed=args.seed,
        algorithm=args.algorithm,
        stage=args.stage,
        preset=args.preset,
        stages=parse_options(args, classes),
    )
