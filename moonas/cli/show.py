"""``moonas show``: write the HTML report of a run, or of several runs laid over each other."""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import add_picture_arguments
from .output import fail, status_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Write report.html and its figures into a run folder. For a search that is still running, "
        "the report shows the results recorded so far. With several run folders, write one page "
        "that compares the searches."
    )
    add = parser.add_argument
    add("folders", metavar="RUN", nargs="+", help="run folder; several to compare searches")
    add(
        "--out",
        metavar="FILE",
        help="page of several runs (default: runs.html)",
    )
    add(
        "--watch",
        action="store_true",
        help="keep the report of a running search up to date, until the search ends or Ctrl-C",
    )
    add_picture_arguments(parser)
    add("--open", action="store_true", help="open the report in a web browser")


def run(args: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    several = len(args.folders) > 1
    if several and args.watch:
        return fail(2, "--watch is invalid with several runs: expected one run folder.")
    if args.out is not None and not several:
        return fail(2, "--out is invalid with one run: its report is written into its folder.")
    try:
        if several:
            from ..views.runs_page import FILE_NAME, show_runs

            path = show_runs(args.folders, args.out or FILE_NAME)
            print(f"Comparison of {len(args.folders)} runs written to {path}.")
        elif args.watch:
            return _watch(args.folders[0], args.open)
        else:
            from ..views.run_page import show

            path = show(args.folders[0])
            formats = " and ".join(name.upper() for name in args.picture_formats or ["png"])
            print(f"Report written to {path}, with its figures as {formats} files next to it.")
    except (ValueError, OSError) as error:
        return fail(status_of(error), error)
    if args.open:
        _open(path)
    return 0


def _watch(folder: str, opens: bool) -> int:
    from ..views.run_page import watch

    def on_written(path: Path) -> None:
        print(f"{path} is kept up to date while the run goes on. Stop with Ctrl-C.", flush=True)
        if opens:
            _open(path)

    try:
        watch(folder, on_written)
    except KeyboardInterrupt:
        print("No longer watching; the run itself is not affected.")
    else:
        print("The run is complete.")
    return 0


def _open(path: Path) -> None:
    import webbrowser

    webbrowser.open(path.resolve().as_uri())
