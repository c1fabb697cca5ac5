"""``moonas list``."""

from __future__ import annotations

import argparse

from .. import registry

SHOWN = {  # title -> field of an entry
    "variables": "variables",
    "objectives": "objectives",
    "they move": "moves",
    "leaves": "result",
    "data": "data",
    "cost": "cost",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--zoo", action="store_true", help="published architectures and their size")


def run(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    from rich.console import Console

    console = Console()
    if args.zoo:
        _print_zoo(console)
    else:
        _print_problems(console)
    return 0


def _print_zoo(console):
    from rich.table import Table

    from ..models.zoo import zoo
    from ..run.progress import short_number

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


def _print_problems(console):
    from rich.table import Table

    for name, entry in registry.entries().items():
        table = Table.grid(padding=(0, 2))
        table.add_column(min_width=19, no_wrap=True)
        table.add_column()
        table.add_row(f"[bold]{name}[/bold]", entry.summary)
        if name != entry.task:
            table.add_row("  stage of", entry.task)
        for title, field in SHOWN.items():
            if getattr(entry, field, None):
                table.add_row(f"  {title}", getattr(entry, field))
        console.print(table, "", highlight=False)
    console.print(
        "Cost: of a search with the settings that it has by itself, on two CPU cores. All of them: "
        "moonas search TASK --help.",
        highlight=False,
    )
