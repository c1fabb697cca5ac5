"""``moonas proxies``: compare cheap proxies with the full training of architectures."""

from __future__ import annotations

import argparse
from typing import Any

from .. import registry
from ..planning import DEFAULT_SEED
from ..settings import parse
from .bars import progress_bar
from .options import (
    add_picture_arguments,
    add_problem_arguments,
    key_value_pairs,
    nonnegative_int,
    parse_options,
    positive_int,
)
from .output import fail, make_console, status_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Train the same random architectures at full scale (--set) and with proxies that differ "
        "from it in one setting (--vary), and compare the order of their errors and the time. Run "
        "the same command again to resume. For example: moonas proxies nsganet --set channels=16 "
        "layers=8 proxy_epochs=30 --vary channels=4,8 layers=3,5 proxy_epochs=5,15 --out DIR"
    )
    add = parser.add_argument
    add("problem", metavar="PROBLEM", help="problem that trains each candidate from scratch")
    add(
        "--vary",
        metavar="KEY=VALUES",
        nargs="+",
        action="extend",
        required=True,
        help="settings and their values in proxies, separated by commas",
    )
    add(
        "--architectures",
        metavar="N",
        type=positive_int,
        default=30,
        help="number of random architectures (default: 30)",
    )
    add("--seed", metavar="N", type=nonnegative_int, default=DEFAULT_SEED, help="random seed")
    add("--out", metavar="DIR", required=True, help="folder of the results")
    add_problem_arguments(parser)
    add_picture_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    from ..comparison.proxies import compare_proxies, proxy_table
    from ..views.tables import to_console

    console = make_console()
    try:
        if args.problem not in registry.problem_names():
            raise ValueError(
                f"Unknown problem {args.problem!r}; choose from {registry.problem_names()}."
            )
        settings = registry.settings_class(args.problem)
        vary: dict[str, list[Any]] = {}
        for name, text in key_value_pairs(args.vary, "--vary"):
            vary.setdefault(name, []).extend(
                parse(settings, name, value.strip()) for value in text.split(",") if value.strip()
            )
        options = parse_options(args, {args.problem: settings})[args.problem]
        with progress_bar(console) as bar:
            comparison = compare_proxies(
                args.problem,
                vary,
                out=args.out,
                architectures=args.architectures,
                seed=args.seed,
                preset=args.preset,
                on_progress=bar.on_progress,
                **options,
            )
    except ValueError as error:
        return fail(status_of(error), error)
    console.print(to_console(proxy_table(comparison)))
    console.print(
        f"Results written to {args.out}: proxies.csv, errors.csv, proxies.png.", soft_wrap=True
    )
    return 0
