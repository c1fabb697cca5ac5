"""``moonas search``: search for architectures."""

from __future__ import annotations

import argparse

from .. import registry
from ..planning import PlannedStage, plan_search, stage_names
from .options import add_run_arguments, describe_settings, parse_options
from .running import run_plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Search for a Pareto front of architectures and write it to a run folder. Run the same "
        "command again to resume an interrupted search."
    )
    add = parser.add_argument
    add("task", metavar="TASK", help="task, as named by moonas list")
    add(
        "--algorithm",
        metavar="NAME",
        help="algorithm: nsga2, moead, random, ... (default: the algorithm of the paper)",
    )
    add("--objectives", metavar="NAME", nargs="+", help="columns to minimize")
    add(
        "--limits",
        metavar="LIMIT",
        nargs="+",
        help="bounds of columns, such as 'params <= 50000'; other candidates are infeasible",
    )
    add(
        "--start",
        metavar="NAME",
        nargs="+",
        help="published architectures that the first population begins with (moonas list --zoo)",
    )
    add("--population", metavar="N", help="number of candidates that survive each generation")
    add("--generations", metavar="N", help="number of generations")
    add("--stage", metavar="NAME", help="run only this stage of a task with several stages")
    add_run_arguments(parser, default_out="runs/TASK-DATA-seedN")


def settings_help(args: argparse.Namespace) -> str | None:
    """Return the help text on the settings of the task; None for an unknown task."""
    if args.task is None:
        return "Run moonas search TASK --help to list the settings of a task."
    try:
        names = stage_names(args.task)
    except ValueError:
        return None
    return describe_settings({name: registry.settings_class(name) for name in names})


def run(args: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    return run_plan(lambda: _plan(args))


def _plan(args: argparse.Namespace) -> list[PlannedStage]:
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
