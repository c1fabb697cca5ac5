"""``moonas show``: write the HTML report of a run."""

from __future__ import annotations

import argparse

from .output import fail, status_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Write report.html and its figures, as PNG files, into a run folder. For a search "
        "that is still running, the report shows the results recorded so far."
    )
    parser.add_argument("folder", metavar="RUN", help="run folder")
    parser.add_argument("--open", action="store_true", help="open the report in a web browser")


def run(args: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    from ..views.run_page import show

    try:
        path = show(args.folder)
    except ValueError as error:
        return fail(status_of(error), error)
    print(f"Report written to {path}, with its figures as PNG files next to it.")
    if args.open:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())
    return 0
