"""``moonas show``."""

from __future__ import annotations

import argparse

from .output import fail, status_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Write report.html into a run folder, and its pictures as PNG. A search that still runs is "
        "shown as far as it is."
    )
    parser.add_argument("folder", metavar="RUN", help="run folder")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")


def run(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    from ..views.run_page import show

    try:
        path = show(args.folder)
    except ValueError as error:
        return fail(status_of(error), error)
    print(f"Written: {path}, and its pictures as PNG.")
    if args.open:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())
    return 0
