"""The command line: it parses, calls the library, and prints. Exit status 0, 1 or 2."""

import argparse
import sys
from contextlib import contextmanager
from pathlib import Path

from . import __version__, registry
from .settings import describe, parse

DEFAULT_SEED = 1


def main(argv=None):
    """Run one command; the status is 0 (done), 1 (the work failed) or 2 (wrong usage)."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        parser = _parser(argv)  # imports a task, if one is named
        if not argv:
            parser.print_help()
            return 2
        args = parser.parse_args(argv)
        return args.run(args)
    except KeyboardInterrupt:
        return _fail(1, "Stopped. The same line again goes on from here.")
    except OSError as error:
        return _fail(1, error)


def _parser(argv):
    parser = argparse.ArgumentParser(
        prog="moonas",
        description="Neural architecture search and GAN compression as pymoo problems.",
        epilog="Begin with: moonas search cars",
    )
    parser.add_argument("--version", action="version", version=f"moonas {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    listing = commands.add_parser("list", help="the problems, or the published architectures")
    listing.add_argument(
        "--zoo", action="store_true", help="published architectures and their size"
    )
    listing.set_defaults(run=_list)

    named_task = len(argv) > 1 and argv[0] == "search" and not argv[1].startswith("-")
    search = commands.add_parser(
        "search",
        help="search for architectures, or go on with a search that stopped",
        description="Search for a Pareto front of architectures into a run folder. The same line "
        "again goes on where it stopped, or says that the run is complete.",
        epilog=_settings_help(argv[1])
        if named_task
        else "moonas search TASK --help lists settings.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    search.add_argument("task", metavar="TASK", help="one of those that moonas list shows")
    search.add_argument("--data", metavar="NAME|FOLDER", help="data set; digits needs no download")
    search.add_argument("--root", metavar="DIR", help="folder that holds downloaded data sets")
    search.add_argument("--preset", metavar="NAME", help="named settings, such as paper")
    search.add_argument(
        "--algorithm", metavar="NAME", help="pymoo algorithm in place of the paper's own"
    )
    search.add_argument("--objectives", metavar="NAME", nargs="+", help="columns to minimise")
    search.add_argument("--population", metavar="N", help="candidates that survive")
    search.add_argument("--generations", metavar="N", help="generations to run")
    search.add_argument(
        "--seed",
        metavar="N",
        type=_seed,
        help=f"of the run; that of the run in --out, else {DEFAULT_SEED}",
    )
    search.add_argument("--device", metavar="NAME", help="cpu, cuda, ...; a GPU where there is one")
    search.add_argument("--out", metavar="DIR", help="run folder; runs/TASK-DATA-seedN")
    search.add_argument(
        "--set", metavar="KEY=VALUE", nargs="+", action="extend", default=[], help="other settings"
    )
    search.set_defaults(run=_search)
    return parser


def _seed(text):
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} will not do: a whole number, 0 or more")
    return int(text)


def _settings_help(task):
    """The settings of a task's problems, with their defaults."""
    try:
        names = registry.stages(task)
    except ValueError:
        return None
    lines = []
    for name in names:
        module = registry.problem_module(name)
        lines += ["", f"settings of {name} (--set KEY=VALUE):"]
        for key, default, help, choices in describe(module.Settings):
            lines.append(f"  {key + '=' + default:<28} {help}")
            if choices:
                lines.append(f"  {'':<28} ({', '.join(choices)})")
        lines += [f"presets of {name}: {', '.join(module.PRESETS)}"]
    return "\n".join(lines)


def _list(args):
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if args.zoo:
        from .progress import short_number
        from .published import zoo

        items = zoo().values()
        for words in dict.fromkeys(words for item in items for words in item.counts):
            table = Table(title=words, title_justify="left")
            for title, justify in (("name", "left"), ("params", "right"), ("macs", "right")):
                table.add_column(title, justify=justify, no_wrap=True)
            table.add_column("problem", no_wrap=True)
            table.add_column("source", overflow="fold")
            for item in items:
                if words in item.counts:
                    params, macs = item.counts[words]
                    counts = f"{params:,}", short_number(macs)
                    table.add_row(item.name, *counts, item.problem, item.source)
            console.print(table)
        return 0
    table = Table(show_lines=True)
    table.add_column("task", no_wrap=True)
    for title in ("what it searches for", "objectives", "data"):
        table.add_column(title, overflow="fold")
    for name, entry in registry.entries().items():
        task = name if name == entry.task else f"{entry.task}: {name}"
        table.add_row(task, entry.summary, entry.objectives, entry.data)
    console.print(table)
    return 0


def _search(args):
    try:
        names = registry.stages(args.task)
        prepared = [_prepare(args, name, names) for name in names]
    except ValueError as error:
        from .journal import DamagedRun, RunInUse

        return _fail(1 if isinstance(error, DamagedRun | RunInUse) else 2, error)
    import torch

    from .journal import RunMismatch
    from .problem import SearchFailed

    for problem, algorithm, seed in prepared:
        try:
            _run_stage(problem, algorithm, seed)
        except (SearchFailed, ValueError) as error:
            return _fail(2 if isinstance(error, RunMismatch) else 1, error)
        except OSError as error:
            return _fail(1, f"{error}. What is recorded is safe: the same line again goes on.")
        except torch.OutOfMemoryError as error:
            return _fail(1, f"{error} Smaller batch, score_batch or channels may fit.")
    return 0


def _prepare(args, name, names):
    """Problem, algorithm and seed of one stage; a ``ValueError`` where the words do not fit."""
    module = registry.problem_module(name)
    words = {
        key: getattr(args, key)
        for key in ("data", "root", "population", "generations", "device")
        if getattr(args, key) is not None
    }
    for pair in args.set:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--set wants KEY=VALUE; got {pair!r}.")
        words[key] = value
    options = registry.preset_options(module, args.preset)
    options = options | {key: parse(module.Settings, key, text) for key, text in words.items()}
    if args.objectives:
        options["objectives"] = tuple(args.objectives)
    settings = module.Settings(**options)

    out, seed = args.out and Path(args.out), args.seed
    if out is not None and seed is None:
        seed = _recorded_seed(out if len(names) == 1 else out / name)
    seed = DEFAULT_SEED if seed is None else seed
    if out is None:
        out = Path("runs") / f"{args.task}-{Path(settings.data).name}-seed{seed}"
    if len(names) > 1:
        out = out / name
    problem = registry.load_problem(name, **options)
    if args.algorithm:
        from .algorithms import algorithm

        chosen = algorithm(args.algorithm, problem)
    else:
        chosen = problem.algorithm()
    registry.attach_journal(problem, name, out)  # last, so that wrong words make no folder
    return problem, chosen, seed


def _recorded_seed(folder):
    from .journal import read_run

    return read_run(folder)[0]["seed"] if (folder / "run.json").exists() else None


def _run_stage(problem, algorithm, seed):
    from rich.console import Console

    from .problem import describe_algorithm
    from .report import front_table
    from .search import search

    console = Console()
    folder, recorded = problem.journal.folder, problem.journal.n_calls
    goes_on = f", {recorded} calls of it are recorded" if recorded else ""
    console.print(
        f"Searching on {problem.settings.data}, seed {seed}, on {problem.evaluator.device}, into "
        f"{folder}{goes_on}.\n{describe_algorithm(algorithm)}",
        highlight=False,
        soft_wrap=True,
    )
    with _bar(console, problem):
        found = search(problem, algorithm, seed=seed, generations=problem.settings.generations)
    console.print()
    console.print(front_table(problem, found.rows))
    if found.computed:
        end = f"Written to {folder}: front.csv, front.png, journal.jsonl."
    else:
        end = f"This run is complete; nothing was left to compute. It is in {folder}."
    console.print(end, highlight=False, soft_wrap=True)
    problem.journal.close()


@contextmanager
def _bar(console, problem):
    """A progress bar of what runs inside a generation, on a terminal; elsewhere a line once."""
    if not console.is_terminal:
        seen = set()

        def say(phase, done, total, unit):
            if phase not in seen:
                seen.add(phase)
                print(f"{phase}: {total} {unit}" + (" a generation" if len(seen) > 1 else ""))
                sys.stdout.flush()

        problem.progress = say
        yield
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        tasks = {}

        def show(phase, done, total, unit):
            if phase not in tasks:
                tasks[phase] = progress.add_task(f"{phase} ({unit})", total=total)
            progress.update(tasks[phase], completed=done, total=total, visible=done < total)

        problem.progress = show
        yield


def _fail(status, message):
    sys.stdout.flush()
    print(f"moonas: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
