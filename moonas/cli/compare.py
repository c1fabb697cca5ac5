"""``moonas compare``."""

from __future__ import annotations

import argparse

from .. import registry
from ..settings import parse
from .bars import progress_bar
from .options import count, pairs, parse_options
from .output import fail, status_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Run every algorithm on every problem with every seed, equal budgets, and write tables, "
        "tests, pictures and report.html. The same line again does what is missing."
    )
    add = parser.add_argument
    add("problems", metavar="PROBLEM", nargs="+", help="that moonas list shows")
    add("--algorithms", metavar="NAME", nargs="+", required=True, help="nsga2, moead, random, ...")
    add("--seeds", metavar="N", type=count, help="runs of each; 31 for tables, 5 where any trains")
    add("--evaluations", metavar="N", type=count, help="of a run, where scores do not move")
    add("--generations", metavar="N", type=count, help="of a run, where scores move", dest="n_gen")
    add("--picks", metavar="N", type=count, help="networks a front to train, where scores move")
    add("--jobs", metavar="N", type=count, help="processes; one a core")
    add("--data", metavar="NAME|FOLDER", help="data set; digits needs no download")
    add("--preset", metavar="NAME", help="named settings, such as paper")
    add("--out", metavar="DIR", required=True, help="folder of the comparison")
    words = dict(metavar="KEY=VALUE", nargs="+", action="extend", default=[])
    add("--set", **words, help="settings of every problem that has them; PROBLEM.KEY=VALUE of one")
    add("--training", **words, help="settings of trainings from scratch, where scores move")


def run(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    from rich.console import Console

    from ..comparison import compare
    from ..comparison.report import results_table, summary
    from ..views.tables import to_console

    console = Console()
    try:
        options = _options(args)
        with progress_bar(console) as bar:
            found = compare(
                {name: (name, options[name]) for name in args.problems},
                args.algorithms,
                out=args.out,
                seeds=args.seeds,
                evaluations=args.evaluations,
                generations=args.n_gen,
                training=_training_options(args),
                jobs=args.jobs or -1,
                on_progress=bar.on_progress,
                **({"picks": args.picks} if args.picks else {}),
            )
    except ValueError as error:
        return fail(status_of(error), error)
    for problem in found.plan.tasks:
        console.print(to_console(results_table(found, problem, narrow=True), compact=True))
        for line in summary(found, problem):
            console.print(line, highlight=False)
    console.print(
        f"Written to {args.out}: report.html, results.csv, pairs.csv, ...", soft_wrap=True
    )
    return int(all(run.failed for run in found.runs))


def _options(args):
    """The options of each problem, by its name."""
    unknown = set(args.problems) - set(registry.problem_names())
    if unknown:
        raise ValueError(
            f"Unknown problem {min(unknown)!r}; choose from {registry.problem_names()}."
        )
    classes = {name: registry.settings_class(name) for name in args.problems}
    presets = {name: registry.preset_options(c, args.preset) for name, c in classes.items()}
    parsed = parse_options(args, classes)
    return {name: presets[name] | parsed[name] for name in args.problems}


def _training_options(args):
    """The options of trainings from scratch of every problem that has them, where any does."""
    texts, found = dict(pairs(args.training, "--training")), {}
    for name in args.problems if texts else ():
        if registry.has_training(name):
            settings = registry.training_settings_class(name)
            found |= {key: parse(settings, key, value) for key, value in texts.items()}
    return found
