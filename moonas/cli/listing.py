"""``moonas list``: list problems and published architectures."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .. import registry
from .output import fail, make_console

if TYPE_CHECKING:
    from rich.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = "List all problems, or describe one of them."
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="problem or other stage to describe"
    )
    parser.add_argument(
        "--zoo", action="store_true", help="list published architectures with their sizes"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    console = make_console()
    if args.zoo:
        _print_zoo(console)
        return 0
    if args.name:
        from ..views.facts import describe_stage

        try:
            rows = describe_stage(args.name)
        except ValueError as error:
            return fail(2, error)
        _print_rows(console, rows)
        return 0
    _print_rows(console, [(name, _describe(entry)) for name, entry in registry.entries().items()])
    console.print(
        "\nTimes are for a search of the whole task with default settings on two CPU cores. "
        "Run moonas list NAME to describe one problem.",
        highlight=False,
    )
    return 0


def _describe(entry: registry.StageEntry) -> str:
    """Return the summary of a stage, and a second line with its task and the time of a search."""
    stages = registry.stages(entry.task or "")
    details = [f"stage of {entry.task}"] if len(stages) > 1 else []
    details += [f"about {entry.cost}"] if entry.cost else []
    return "\n".join([entry.summary, *filter(None, [", ".join(details)])])


def _print_rows(console: Console, rows: Iterable[tuple[str, str]]) -> None:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    for title, text in rows:
        table.add_row(title, text)
    console.print(table, highlight=False)


def _print_zoo(console: Console) -> None:
    from rich.table import Table

    from ..models.zoo import zoo
    from ..run.numbers import short_number

    architectures = zoo().values()
    for network in dict.fromkeys(network for a in architectures for network in a.counts):
        table = Table(title=network, title_justify="left")
        table.add_column("name", no_wrap=True)
        table.add_column("params", justify="right", no_wrap=True)
        table.add_column("macs", justify="right", no_wrap=True)
        table.add_column("problem", no_wrap=True)
        table.add_column("source", overflow="fold")
        for architecture in architectures:
            if network in architecture.counts:
                params, macs = architecture.counts[network]
                counts = f"{params:,}", short_number(macs)
                table.add_row(architecture.name, *counts, architecture.problem, architecture.source)
        console.print(table)
