"""``moonas list``."""

from __future__ import annotations

import argparse

from .. import registry
from .output import fail


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="a problem or another stage")
    parser.add_argument("--zoo", action="store_true", help="published architectures and their size")


def run(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    from rich.console import Console

    console = Console()
    if args.zoo:
        _print_zoo(console)
        return 0
    if args.name:
        from ..views.facts import facts

        try:
            rows = facts(args.name)
        except ValueError as error:
            return fail(2, error)
        _print_rows(console, rows)
        return 0
    _print_rows(console, [(name, _summary(entry)) for name, entry in registry.entries().items()])
    console.print(
        "\nTimes are those of a search of the whole task with default settings, on two CPU cores. "
        "Facts about one problem: moonas list NAME.",
        highlight=False,
    )
    return 0


def _summary(entry):
    """A stage in the list: its summary, its task if that has several stages, and the time."""
    details = [f"stage of {entry.task}"] if len(registry.stages(entry.task)) > 1 else []
    details += [entry.cost] if entry.cost else []
    return "\n".join([entry.summary, *filter(None, [", ".join(details)])])


def _print_rows(console, rows):
    from rich.markup import escape
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    for title, text in rows:
        table.add_row(title, escape(text))
    console.print(table, highlight=False)


def _print_zoo(console):
    from rich.table import Table

    from ..models.zoo import zoo
    from ..run.numbers import short_number

    items = zoo().values()
    for network in dict.fromkeys(network for item in items for network in item.counts):
        table = Table(title=network, title_justify="left")
        for title, justify in (("name", "left"), ("params", "right"), ("macs", "right")):
            table.add_column(title, justify=justify, no_wrap=True)
        table.add_column("problem", no_wrap=True)
        table.add_column("source", overflow="fold")
        for item in items:
            if network in item.counts:
                params, macs = item.counts[network]
                counts = f"{params:,}", short_number(macs)
                table.add_row(item.name, *counts, item.problem, item.source)
        console.print(table)
