"""``moonas latency``."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import registry
from ..settings import names_of
from .bars import progress_bar
from .options import add_run_arguments, count, parse_options
from .output import fail, status_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Measure every operation of a task's space at every shape, for searches with --objectives "
        "... latency_ms --set latency_table=FILE, and compare sums with networks."
    )
    add = parser.add_argument
    add("task", metavar="TASK", help="one of those that moonas list shows")
    add("--networks", metavar="N", type=count, default=12, help="to compare; 12")
    add("--repeats", metavar="N", type=count, default=30, help="passes; 30")
    add_run_arguments(parser, default_out="latency-TASK.json")


def run(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    from rich.console import Console

    from ..models import latency_table

    console = Console()
    try:
        name = _problem_of(args.task)
        settings = registry.settings_class(name)
        options = parse_options(args, {name: settings})[name]
        problem = registry.load_problem(name, preset=args.preset, **options)
        with progress_bar(console) as bar:
            table = latency_table.measure_parts(
                problem, repeats=args.repeats, on_progress=bar.on_progress
            )
            if latency_table.has_parts(problem):
                table["networks"] = latency_table.compare_with_networks(
                    problem,
                    table["parts"],
                    args.networks,
                    repeats=args.repeats,
                    on_progress=bar.on_progress,
                )
    except ValueError as error:
        return fail(status_of(error), error)
    path = Path(args.out or f"latency-{args.task}.json")
    latency_table.write_latency_table(table, path)
    for line in latency_table.summary(table):
        console.print(line, highlight=False)
    use = f" Use it: --set latency_table={path}" if "latency_table" in names_of(settings) else ""
    console.print(f"Written: {path}.{use}", soft_wrap=True)
    return 0


def _problem_of(task):
    """The problem of a name, or the one that the search of a task ends with."""
    if task in registry.problem_names():
        return task
    kinds = {name: registry.entry(name) for name in registry.stages(task)}
    return [name for name, e in kinds.items() if isinstance(e, registry.ProblemEntry)][-1]
