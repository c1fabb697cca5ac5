"""``moonas latency``: measure a latency lookup table."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import registry
from .bars import progress_bar
from .options import add_problem_arguments, nonnegative_int, parse_options, positive_int
from .output import fail, make_console, status_of

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem
    from ..run.callbacks import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Measure the latency of every operation of a search space with every input shape that it "
        "has in the space, and compare the sum over the operations of a network with the measured "
        "latency of the network. To search with the table, run moonas search TASK --objectives "
        "error latency_ms --set latency_table=FILE. For a device that does not run moonas, such as "
        "a phone, --parts writes the operations as ONNX files, and --times reads their latencies."
    )
    add = parser.add_argument
    add("task", metavar="TASK", help="task or problem, as named by moonas list")
    add(
        "--networks",
        metavar="N",
        type=positive_int,
        default=12,
        help="number of random networks to measure for this comparison (default: 12)",
    )
    add(
        "--repeats",
        metavar="N",
        type=positive_int,
        default=30,
        help="timed passes per operation and network (default: 30)",
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--parts",
        metavar="DIR",
        help="measure nothing; write every operation with every input shape as an ONNX file, and "
        "list them in DIR/parts.csv, whose column latency_ms is to be completed",
    )
    group.add_argument(
        "--times",
        metavar="FILE",
        help="measure nothing; read the times in a completed parts.csv",
    )
    add(
        "--device-name",
        metavar="NAME",
        default="another device",
        help="name of the device on which the times were measured, for the table",
    )
    add_problem_arguments(parser)
    # accepted for compatibility with earlier versions, and ignored
    add("--seed", type=nonnegative_int, help=argparse.SUPPRESS)
    add("--out", metavar="FILE", help="output file (default: latency-TASK.json)")


def run(args: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    from ..models import latency_table, part_files

    console = make_console()
    try:
        name = _problem_name(args.task)
        settings = registry.settings_class(name)
        options = parse_options(args, {name: settings})[name]
        problem = registry.load_problem(name, preset=args.preset, **options)
        latency_table.require_parts(problem)  # raises ValueError if there is nothing to measure
        fault = latency_table.why_unusable(problem)
        if fault is not None:  # said first, because measuring can take minutes
            console.print(fault, highlight=False, soft_wrap=True)
        with progress_bar(console) as bar:
            if args.parts is not None:
                parts = part_files.write_parts(problem, args.parts, on_progress=bar.on_progress)
            elif args.times is not None:
                table = part_files.read_times(problem, args.times, args.device_name)
            else:
                table = _measure(problem, args, bar.on_progress)
    except ValueError as error:
        return fail(status_of(error), error)
    if args.parts is not None:
        console.print(
            f"Parts written to {args.parts} and listed in {parts}. Time each file on the device "
            "with batch size 1, enter the milliseconds in the column latency_ms, and run the same "
            f"command with --times {parts} instead of --parts.",
            soft_wrap=True,
        )
        return 0
    path = Path(args.out or f"latency-{args.task}.json")
    latency_table.write_latency_table(table, path)
    for line in latency_table.summary(table):
        console.print(line, highlight=False, soft_wrap=True)
    usage = fault or f"To search with it, run: {_search_command(args, name, problem, path)}"
    text = f"Latency table written to {path}. {usage}"
    console.print(text, highlight=False, markup=False, soft_wrap=True)
    return 0


def _search_command(
    args: argparse.Namespace, name: str, problem: ArchitectureProblem, path: Path
) -> str:
    """Return a command line that searches with a latency table and the settings of this command.

    Args:
        args: arguments of this command.
        name: name of the problem.
        problem: the problem whose table was measured.
        path: path of the table.
    """
    task = registry.entry(name).task or name
    flags = [(key, getattr(args, key)) for key in ("data", "root", "preset", "device")]
    words = ["moonas", "search", task]
    if len(registry.stages(task)) > 1:  # the other stages have other settings
        words += ["--stage", name]
    words += [word for key, value in flags if value for word in (f"--{key}", value)]
    words += ["--objectives", problem.objectives[0], "latency_ms"]
    replaced = ("objectives", "latency_table")
    pairs = [pair for pair in args.set if pair.partition("=")[0].split(".")[-1] not in replaced]
    words += ["--set", *pairs, f"latency_table={path}"]
    # The default folder may contain a search with other settings or, before this stage, with cells
    # that the table does not have.
    return shlex.join([*words, "--out", str(Path("runs") / path.stem)])


def _measure(
    problem: ArchitectureProblem, args: argparse.Namespace, on_progress: Progress
) -> dict[str, Any]:
    """Measure a latency table, and compare sums with networks if these consist of parts."""
    from ..models import latency_table

    options: dict[str, Any] = dict(repeats=args.repeats, on_progress=on_progress)
    table = latency_table.measure_parts(problem, **options)
    if latency_table.has_parts(problem):
        table["networks"] = latency_table.compare_with_networks(
            problem, table["parts"], args.networks, **options
        )
    return table


def _problem_name(task: str) -> str:
    """Return ``task`` if it is the name of a problem, else the name of the task's last problem."""
    if task in registry.problem_names():
        return task
    entries = {name: registry.entry(name) for name in registry.stages(task)}
    return [name for name, e in entries.items() if isinstance(e, registry.ProblemEntry)][-1]
