"""The command line: each command parses its arguments, calls the library, and prints.

    options.py    arguments that commands share, and KEY=VALUE
    running.py    runs what search and train have planned
    bars.py       progress bars
    output.py     tables, the log, errors

Every other module is a command, with ``add_arguments(parser)`` and ``run(args)`` -> exit status,
and ``settings_help(args)`` where its help lists settings. Only the command asked for is imported.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from .. import __version__
from .output import fail

COMMANDS = {  # name -> (module, line of the help)
    "list": ("listing", "the problems, facts about one of them, or the published architectures"),
    "search": ("search", "search for architectures, or go on with a search that stopped"),
    "compare": (
        "compare",
        "compare algorithms over seeds, or go on with a comparison that stopped",
    ),
    "show": ("show", "the page of a run: its front, how it went, its architectures"),
    "evaluate": (
        "evaluate",
        "how trained classifiers do: clean, corrupted and attacked images, another test set",
    ),
    "export": ("export", "a trained network as ONNX, torch.export or plain Python"),
    "latency": ("latency", "a table of how long every operation of a space takes here"),
    "train": ("train", "train what a search has picked from scratch, or go on with that"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: words of the command line; those of this process by default.

    Returns:
        The exit status: 0 (done), 1 (the work failed, or was stopped) or 2 (wrong usage).
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        parser = make_parser(argv)
        if not argv:
            parser.print_help()
            return 2
        args = parser.parse_args(argv)
        return args.run(args)
    except KeyboardInterrupt:
        return fail(1, "Stopped. The same line again goes on from here.")
    except OSError as error:
        return fail(1, error)


def make_parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of a command line; it knows the arguments of the command asked for alone."""
    parser = argparse.ArgumentParser(
        prog="moonas",
        description="Neural architecture search and GAN compression as pymoo problems.",
        epilog="Begin with: moonas search cars",
    )
    parser.add_argument("--version", action="version", version=f"moonas {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (module, line) in COMMANDS.items():
        command = commands.add_parser(name, help=line, add_help=False)
        if argv and argv[0] == name:
            asked = import_module(f".{module}", __name__)
            help = getattr(asked, "settings_help", None)
            command.add_argument("-h", "--help", action=_Help, nargs=0, epilog=help)
            asked.add_arguments(command)
            command.set_defaults(run=asked.run)
    return parser


class _Help(argparse.Action):
    """Prints the help, and the settings of what the words before it name."""

    def __init__(self, option_strings, dest, nargs, epilog):
        super().__init__(
            option_strings,
            argparse.SUPPRESS,
            nargs=nargs,
            default=argparse.SUPPRESS,
            help="show this help message and exit",
        )
        self.epilog = epilog

    def __call__(self, parser, namespace, values, option_string=None):
        if self.epilog is not None:
            parser.formatter_class = argparse.RawDescriptionHelpFormatter
            parser.epilog = self.epilog(namespace)
        parser.print_help()
        parser.exit()
