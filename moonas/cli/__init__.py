"""The command line: each command parses its arguments, calls the library and prints the result.

    options.py    arguments that several commands share, and KEY=VALUE settings
    running.py    runs the stages planned by ``search`` and ``train``
    bars.py       progress bars
    output.py     the console, the log, error messages and exit statuses

Every other module implements one command with the functions ``add_arguments(parser)``;
``run(args)``, which returns the exit status; and, if the help of the command lists settings,
``settings_help(args)``. Only the module of the requested command is imported.
"""

from __future__ import annotations

import argparse
import io
import mmap
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from .. import __version__
from ..errors import memory_error, reason
from ..files import picture_formats
from .output import fail

COMMANDS = {  # name of a command -> (module, line in the help)
    "list": ("listing", "list the problems, describe one, or list published architectures"),
    "data": ("data", "describe a data set or a folder of images, and draw samples"),
    "search": ("search", "search for architectures, or resume a search"),
    "compare": ("compare", "compare algorithms over several seeds, or resume a comparison"),
    "proxies": (
        "proxies",
        "compare cheap proxies with the full training of architectures, or resume a comparison",
    ),
    "show": ("show", "write an HTML report of a run: its front, progress and architectures"),
    "evaluate": (
        "evaluate",
        "test trained classifiers, or measure the images of trained generators",
    ),
    "predict": ("predict", "predict the classes of images with a trained or exported classifier"),
    "sample": ("sample", "draw images of a trained generator in a grid"),
    "translate": ("translate", "translate images with a trained generator of a CycleGAN"),
    "export": ("export", "export a trained network to ONNX, torch.export or plain Python"),
    "latency": ("latency", "measure the latency of every operation of a search space"),
    "train": ("train", "train architectures of a front from scratch, or resume this training"),
}
RESERVE = 4 * 2**20  # bytes of memory for the error message if a command uses up all other memory
LIBRARIES = 320 * 2**20  # bytes of address space without which NumPy and SciPy cannot be imported
RESUMABLE = ("search", "compare", "proxies", "train")  # commands that continue where they stopped


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: command-line arguments without the program name; ``sys.argv[1:]`` by default.

    Returns:
        The exit status: 0 (success), 1 (the command failed or was interrupted) or 2 (usage error).
    """
    status, _ = _run(sys.argv[1:] if argv is None else list(argv))
    return status


def run_script() -> int:
    """Run the command of this process; return its exit status.

    If memory is exhausted, exit handlers of libraries fail as well. What they would print about
    themselves is discarded, since the error message has been printed.
    """
    status, lacks_memory = _run(sys.argv[1:])
    if lacks_memory:
        sys.stderr.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    return status


def _run(argv: list[str]) -> tuple[int, bool]:
    """Run one command; return the exit status, and whether memory was exhausted."""
    _print_whole_lines()
    reserve: list[bytearray] = []
    try:
        reserve.append(bytearray(RESERVE))
        parser = make_parser(argv)
        if not argv:
            parser.print_help()
            return 2, False
        args = parser.parse_args(argv)
        _require_memory_for_libraries()
        with picture_formats(getattr(args, "picture_formats", ())):
            return int(args.run(args)), False
    except KeyboardInterrupt:
        hint = " Run the same command again to resume." if argv[0] in RESUMABLE else ""
        return fail(1, f"Interrupted.{hint}"), False
    except Exception as error:
        reserve.clear()
        cause = memory_error(error)
        if cause is not None:
            text = f"The memory of this machine is exhausted ({reason(cause, 200)})."
            if argv[0] in RESUMABLE:
                text += (
                    " The recorded results are safe; run the same command again to resume. It "
                    "needs less memory with --set workers=1, and data_in=stream for a folder of "
                    "images."
                )
            return fail(1, text), True
        if isinstance(error, OSError):
            return fail(1, error), False
        raise


def _require_memory_for_libraries() -> None:
    """Raise a MemoryError if libraries lack memory; OpenBLAS would then never end its import."""
    if not hasattr(mmap, "MAP_PRIVATE"):  # on Windows
        return
    try:
        mmap.mmap(-1, LIBRARIES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError:
        free = f"{LIBRARIES >> 20} MiB of address space are not free"
        raise MemoryError(f"{free}, which the libraries need at least") from None


def _print_whole_lines() -> None:
    """Write each line at once if stdout is a file or a pipe.

    pymoo prints its line of a generation into a buffer, whose content is lost if a job is killed.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(line_buffering=True)


def make_parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Build the parser; arguments are added only to the requested command, ``argv[0]``."""
    parser = argparse.ArgumentParser(
        prog="moonas",
        description="Neural architecture search and GAN compression as pymoo problems.",
        epilog="To get started, run: moonas search cars",
    )
    parser.add_argument("--version", action="version", version=f"moonas {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (module_name, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, add_help=False)
        if argv and argv[0] == name:
            module = import_module(f".{module_name}", __name__)
            settings_help = getattr(module, "settings_help", None)
            command.add_argument("-h", "--help", action=_Help, nargs=0, settings_help=settings_help)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser


class _Help(argparse.Action):
    """Print the help of a command, followed by the settings of the task or run in the arguments.

    Args:
        settings_help: function that returns the help text on settings, or None, for the arguments
            that precede ``--help``; None for a command without settings.
    """

    def __init__(
        self,
        option_strings: Sequence[str],
        dest: str,
        nargs: int,
        settings_help: Callable[[argparse.Namespace], str | None] | None,
    ) -> None:
        super().__init__(
            option_strings,
            argparse.SUPPRESS,
            nargs=nargs,
            default=argparse.SUPPRESS,
            help="show this help message and exit",
        )
        self.settings_help = settings_help

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Print the help and exit."""
        if self.settings_help is not None:
            width = shutil.get_terminal_size().columns - 2  # the width that argparse uses
            parser.formatter_class = argparse.RawDescriptionHelpFormatter
            parser.description = textwrap.fill(parser.description or "", width)
            parser.epilog = self.settings_help(namespace)
        parser.print_help()
        parser.exit()
