"""``moonas compare``: compare algorithms over several seeds."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .. import registry
from ..settings import parse
from .bars import progress_bar
from .options import add_picture_arguments, key_value_pairs, parse_options, positive_int
from .output import fail, make_console, status_of

if TYPE_CHECKING:
    from ..comparison.suites import Instance


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Run every algorithm on every problem with the same seeds and the same budget, and write "
        "tables, statistical tests, figures and report.html. Run the same command again to resume "
        "an interrupted comparison."
    )
    add = parser.add_argument
    add(
        "problems",
        metavar="PROBLEM",
        nargs="+",
        help="problems, as named by moonas list, also with objectives (digits-table:error+macs), "
        "or suites of problems (suite:tables)",
    )
    add(
        "--algorithms",
        metavar="NAME",
        nargs="+",
        required=True,
        help="algorithms to compare: nsga2, moead, random, ...",
    )
    add(
        "--seeds",
        metavar="N",
        type=positive_int,
        help="number of seeds, and thus of runs per algorithm and problem (default: 31 if all "
        "problems are tabular, otherwise 5)",
    )
    add(
        "--evaluations",
        metavar="N",
        type=positive_int,
        help="evaluations per run, for problems without weight sharing",
    )
    add(
        "--generations",
        metavar="N",
        type=positive_int,
        dest="n_gen",
        help="generations per run, for problems whose shared weights train during the search",
    )
    add(
        "--picks",
        metavar="N",
        type=positive_int,
        help="number of networks per front to train from scratch, for problems with shared weights "
        "(default: 3)",
    )
    add(
        "--jobs",
        metavar="N",
        type=positive_int,
        help="number of parallel processes (default: one per CPU core)",
    )
    add(
        "--data",
        metavar="NAME|FOLDER",
        help="name of a data set, or a folder of images; the data set digits needs no download",
    )
    add("--preset", metavar="NAME", help="named set of settings, such as paper")
    add("--out", metavar="DIR", required=True, help="folder of the comparison")
    add(
        "--set",
        metavar="KEY=VALUE",
        nargs="+",
        action="extend",
        default=[],
        help="settings of the problems; PROBLEM.KEY=VALUE sets one problem only",
    )
    add(
        "--training",
        metavar="KEY=VALUE",
        nargs="+",
        action="extend",
        default=[],
        help="settings of the training from scratch, for problems with shared weights",
    )
    add_picture_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    from ..comparison import compare
    from ..comparison.report import results_table, summary
    from ..views.tables import to_console

    console = make_console()
    try:
        instances = _instances(args)
        with progress_bar(console) as bar:
            comparison = compare(
                instances,
                args.algorithms,
                out=args.out,
                seeds=args.seeds,
                evaluations=args.evaluations,
                generations=args.n_gen,
                training=_training_options(args, instances),
                jobs=args.jobs or -1,
                on_progress=bar.on_progress,
                **({"picks": args.picks} if args.picks else {}),
            )
    except ValueError as error:
        return fail(status_of(error), error)
    for problem in comparison.plan.tasks:
        console.print(to_console(results_table(comparison, problem, narrow=True), compact=True))
        for line in summary(comparison, problem):
            console.print(line, highlight=False)
    console.print(
        f"Results written to {args.out}: report.html, results.csv, pairs.csv, ...", soft_wrap=True
    )
    return int(all(run.failed for run in comparison.runs))


def _instances(args: argparse.Namespace) -> dict[str, Instance]:
    """Return the instances by label, with the options of the preset and the command line."""
    from ..comparison.suites import SUITES, Instance, named_instance, suite

    instances: dict[str, Instance] = {}
    for text in args.problems:
        if text.startswith("suite:"):
            instances |= suite(text.removeprefix("suite:"))
        elif ":" in text:
            instances |= dict([named_instance(text)])
        else:
            instances[text] = Instance(text, {})
    names = list(dict.fromkeys(instance.problem for instance in instances.values()))
    unknown = set(names) - set(registry.problem_names())
    if unknown:
        raise ValueError(
            f"Unknown problem {min(unknown)!r}; choose from {registry.problem_names()}, or from "
            f"the suites {[f'suite:{name}' for name in SUITES]}."
        )
    classes = {name: registry.settings_class(name) for name in names}
    presets = {name: registry.preset_options(c, args.preset) for name, c in classes.items()}
    parsed = parse_options(args, classes)
    return {
        label: Instance(
            instance.problem,
            {**presets[instance.problem], **instance.options, **parsed[instance.problem]},
            instance.budget,
        )
        for label, instance in instances.items()
    }


def _training_options(
    args: argparse.Namespace, instances: Mapping[str, Instance]
) -> dict[str, Any]:
    """Parse --training KEY=VALUE with the training settings of every problem that has them."""
    texts = dict(key_value_pairs(args.training, "--training"))
    options: dict[str, Any] = {}
    names = {instance.problem for instance in instances.values()}
    for name in names if texts else ():
        if registry.has_training(name):
            settings = registry.training_settings_class(name)
            options |= {key: parse(settings, key, text) for key, text in texts.items()}
    return options
