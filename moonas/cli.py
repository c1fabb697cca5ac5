"""The command line: it parses, calls the library, and prints. Exit status 0, 1 or 2."""

import argparse
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from . import __version__, registry
from .run.callbacks import RunCallback
from .settings import describe, names_of, parse

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

    listing = commands.add_parser(
        "list", help="the problems, facts about one of them, or the published architectures"
    )
    listing.add_argument("name", metavar="NAME", nargs="?", help="a problem or another stage")
    listing.add_argument(
        "--zoo", action="store_true", help="published architectures and their size"
    )
    listing.set_defaults(run=_list)

    search = commands.add_parser(
        "search",
        help="search for architectures, or go on with a search that stopped",
        description="Search for a Pareto front of architectures into a run folder. The same line "
        "again goes on where it stopped, or says that the run is complete.",
        epilog=_settings_help(argv[1])
        if _names(argv, "search")
        else "moonas search TASK --help lists settings.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    search.add_argument("task", metavar="TASK", help="one of those that moonas list shows")
    search.add_argument(
        "--algorithm", metavar="NAME", help="pymoo algorithm in place of the paper's own"
    )
    search.add_argument("--objectives", metavar="NAME", nargs="+", help="columns to minimise")
    search.add_argument("--population", metavar="N", help="candidates that survive")
    search.add_argument("--generations", metavar="N", help="generations to run")
    search.add_argument("--stage", metavar="NAME", help="one stage of a task that has several")
    _common_words(search, default_out="runs/TASK-DATA-seedN")
    search.set_defaults(run=_search)

    comparison = commands.add_parser(
        "compare",
        help="compare algorithms over seeds, or go on with a comparison that stopped",
        description="Run every algorithm on every problem with every seed, equal budgets, and "
        "write tables, tests, pictures and report.html. The same line again does what is missing.",
    )
    _comparison_words(comparison)
    comparison.set_defaults(run=_compare)

    showing = commands.add_parser(
        "show",
        help="the page of a run: its front, how it went, its architectures",
        description="Write report.html into a run folder, and its pictures as PNG. A search that "
        "still runs is shown as far as it is.",
    )
    showing.add_argument("folder", metavar="RUN", help="run folder")
    showing.add_argument("--open", action="store_true", help="open the page in a browser")
    showing.set_defaults(run=_show)

    judging = commands.add_parser(
        "evaluate",
        help="how trained classifiers do: clean, corrupted and attacked images, another test set",
        description="Judge models by the images for the final test of a data set, under twelve "
        "common corruptions of five strengths, and under an attack (FGSM).",
    )
    judging.add_argument("models", metavar="MODEL", nargs="+", help="model.pt, or its folder")
    judging.add_argument("--data", metavar="NAME|FOLDER", help="that of the training by default")
    judging.add_argument("--also", metavar="FOLDER", help="a second test set of the same classes")
    judging.add_argument("--root", metavar="DIR", help="folder that holds downloaded data sets")
    judging.add_argument("--device", metavar="NAME", default="auto", help="cpu, cuda, ...")
    judging.add_argument("--out", metavar="DIR", help="folder of the result; that of the model")
    judging.set_defaults(run=_evaluate)

    exporting = commands.add_parser(
        "export",
        help="a trained network as ONNX, torch.export or plain Python",
        description="Write a model so that it runs without moonas, and check what was written by "
        "running it.",
    )
    exporting.add_argument("model", metavar="MODEL", help="model.pt, or its folder")
    exporting.add_argument(
        "--format", metavar="NAME", default="onnx", help="onnx, torch-export or python; onnx"
    )
    exporting.add_argument("--out", metavar="FILE", help="beside the model by default")
    exporting.set_defaults(run=_export)

    timing = commands.add_parser(
        "latency",
        help="a table of how long every operation of a space takes here",
        description="Measure every operation of a task's space at every shape, for searches with "
        "--objectives ... latency_ms --set latency_table=FILE, and compare sums with networks.",
    )
    timing.add_argument("task", metavar="TASK", help="one of those that moonas list shows")
    timing.add_argument("--networks", metavar="N", type=_count, default=12, help="to compare; 12")
    timing.add_argument("--repeats", metavar="N", type=_count, default=30, help="passes; 30")
    _common_words(timing, default_out="latency-TASK.json")
    timing.set_defaults(run=_latency)

    train = commands.add_parser(
        "train",
        help="train what a search has picked from scratch, or go on with that",
        description="Train what a search has picked from scratch, and test it. The same line again "
        "goes on where it stopped. Settings are those of the search where nothing is said.",
        epilog=_training_help(argv[1])
        if _names(argv, "train")
        else "moonas train RUN --help lists settings.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.add_argument("folder", metavar="RUN", nargs="?", help="run folder of a search")
    train.add_argument(
        "--pick",
        metavar="ROW",
        nargs="+",
        help="rows of the front: knee, best-error, smallest, or their numbers; knee",
    )
    train.add_argument(
        "--architecture", metavar="NAME", help="a published one (moonas list --zoo), without a run"
    )
    _common_words(train, default_out="RUN/training, with several rows RUN/training-ROW")
    train.set_defaults(run=_train)
    return parser


def _comparison_words(command):
    """What a comparison can be told."""
    command.add_argument("problems", metavar="PROBLEM", nargs="+", help="that moonas list shows")
    command.add_argument(
        "--algorithms", metavar="NAME", nargs="+", required=True, help="nsga2, moead, random, ..."
    )
    command.add_argument(
        "--seeds", metavar="N", type=_count, help="runs of each; 31 for tables, 5 where any trains"
    )
    command.add_argument(
        "--evaluations", metavar="N", type=_count, help="of a run, where scores do not move"
    )
    command.add_argument(
        "--generations", metavar="N", type=_count, help="of a run, where scores move", dest="n_gen"
    )
    command.add_argument(
        "--picks", metavar="N", type=_count, help="networks a front to train, where scores move"
    )
    command.add_argument("--jobs", metavar="N", type=_count, help="processes; one a core")
    command.add_argument("--data", metavar="NAME|FOLDER", help="data set; digits needs no download")
    command.add_argument("--preset", metavar="NAME", help="named settings, such as paper")
    command.add_argument("--out", metavar="DIR", required=True, help="folder of the comparison")
    pairs = dict(metavar="KEY=VALUE", nargs="+", action="extend", default=[])
    command.add_argument(
        "--set", **pairs, help="settings of every problem that has them; PROBLEM.KEY=VALUE of one"
    )
    command.add_argument(
        "--training", **pairs, help="settings of trainings from scratch, where scores move"
    )


def _common_words(command, default_out):
    """What every command that runs something can be told."""
    command.add_argument("--data", metavar="NAME|FOLDER", help="data set; digits needs no download")
    command.add_argument("--root", metavar="DIR", help="folder that holds downloaded data sets")
    command.add_argument("--preset", metavar="NAME", help="named settings, such as paper")
    command.add_argument(
        "--seed",
        metavar="N",
        type=_seed,
        help=f"of the run; that of the run in --out, else {DEFAULT_SEED}",
    )
    command.add_argument(
        "--device", metavar="NAME", help="cpu, cuda, ...; a GPU where there is one"
    )
    command.add_argument("--out", metavar="DIR", help=f"run folder; {default_out}")
    command.add_argument(
        "--set",
        metavar="KEY=VALUE",
        nargs="+",
        action="extend",
        default=[],
        help="other settings, of every stage that has them; STAGE.KEY=VALUE of one",
    )


def _seed(text):
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} will not do: a whole number, 0 or more")
    return int(text)


def _count(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} will not do: a whole number, 1 or more")
    return int(text)


def _names(argv, command):
    """Whether a command line says what a command is to work on."""
    return len(argv) > 1 and argv[0] == command and not argv[1].startswith("-")


def _training_help(folder):
    """The settings of the full training of a run, with their defaults."""
    try:
        _, name = registry.last_run(folder)
        return _help_of({"the training": registry.training_settings_class(name)})
    except ValueError:
        return None


def _settings_help(task):
    """The settings of a task's stages, with their defaults."""
    try:
        names = registry.stages(task)
    except ValueError:
        return None
    return _help_of({name: registry.settings_class(name) for name in names})


def _help_of(classes):
    """Lines of help on Settings classes by the name of their stage, with the defaults."""
    lines = []
    for name, settings in classes.items():
        lines += ["", f"settings of {name} (--set KEY=VALUE):"]
        for key, default, help, choices in describe(settings):
            lines.append(f"  {key + '=' + default:<28} {help}")
            if choices:
                lines.append(f"  {'':<28} ({', '.join(choices)})")
        lines += [f"presets of {name}: {', '.join(settings.PRESETS)}"]
    return "\n".join(lines)


def _list(args):
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if args.zoo:
        from .models.zoo import zoo
        from .run.progress import short_number

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
    if args.name:
        from .views.facts import facts

        try:
            rows = facts(args.name)
        except ValueError as error:
            return _fail(2, error)
    else:
        rows = [(name, _summary(entry)) for name, entry in registry.entries().items()]
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    for title, text in rows:
        table.add_row(title, escape(text))
    console.print(table, highlight=False)
    if not args.name:
        console.print(
            "\nTimes are those of a search of the whole task with default settings, on two CPU "
            "cores. Facts about one problem: moonas list NAME.",
            highlight=False,
        )
    return 0


def _summary(entry):
    """A stage in the list: its summary, its task if that has several stages, and the time."""
    details = [f"stage of {entry.task}"] if len(registry.stages(entry.task)) > 1 else []
    details += [entry.cost] if entry.cost else []
    return "\n".join([entry.summary, *filter(None, [", ".join(details)])])


def _compare(args):
    from rich.console import Console

    from .comparison import compare
    from .comparison.report import results_table, summary
    from .views.tables import to_console

    try:
        unknown = set(args.problems) - set(registry.problem_names())
        if unknown:
            raise ValueError(
                f"Unknown problem {min(unknown)!r}; choose from {registry.problem_names()}."
            )
        options = _options(args, {name: registry.settings_class(name) for name in args.problems})
        console = Console()
        with _counted(console) as told:
            found = compare(
                {name: (name, options[name]) for name in args.problems},
                args.algorithms,
                out=args.out,
                seeds=args.seeds,
                evaluations=args.evaluations,
                generations=args.n_gen,
                training=_training_options(args),
                jobs=args.jobs or -1,
                told=told,
                **({"picks": args.picks} if args.picks else {}),
            )
    except ValueError as error:
        return _fail(2, error)
    for problem in found.plan.tasks:
        console.print(to_console(results_table(found, problem, narrow=True), compact=True))
        for line in summary(found, problem):
            console.print(line, highlight=False)
    console.print(
        f"Written to {args.out}: report.html, results.csv, pairs.csv, ...", soft_wrap=True
    )
    return int(all(run.failed for run in found.runs))


def _show(args):
    from .views.run_page import show

    try:
        path = show(args.folder)
    except ValueError as error:
        return _fail(2, error)
    print(f"Written: {path}, and its pictures as PNG.")
    if args.open:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())
    return 0


def _evaluate(args):
    from rich.console import Console

    from .models import robustness as evaluation
    from .models.model import find_model, load_model
    from .views.tables import to_console

    console = Console()
    try:
        models = {
            Path(path).name if len(args.models) == 1 else path: load_model(path)
            for path in args.models
        }
        first = next(iter(models.values()))
        where = dict(root=args.root)
        images = evaluation.test_images(args.data or first.about.get("data"), first, **where)
        also = args.also and evaluation.test_images(args.also, first, everything=True, **where)
        with _bar_of(console) as tell:
            found = evaluation.evaluate(
                models,
                images,
                also=also or None,
                device=args.device,
                told=lambda done, total: tell("judging", done, total, "sets of images"),
            )
    except ValueError as error:
        return _fail(2, error)
    folder = Path(args.out or find_model(args.models[0]).parent)
    evaluation.write_evaluation(found, folder)
    console.print(to_console(evaluation.errors_table(found), compact=True))
    for line in evaluation.summary(found):
        console.print(line, highlight=False)
    console.print(f"Written to {folder}: evaluation.json, evaluation.png.", soft_wrap=True)
    return 0


def _export(args):
    from .models.export import ENDINGS, export
    from .models.model import find_model, load_model

    try:
        model = load_model(args.model)
        source, ending = find_model(args.model), ENDINGS.get(args.format, "")
        stem = source.stem.replace("model", "network") if ending == ".py" else source.stem
        path = Path(args.out or source.with_name(f"{stem.replace('-', '_')}{ending}"))
        difference = export(model, path, args.format)
    except ValueError as error:
        return _fail(2, error)
    beside = " and its weights beside it" if args.format == "python" else ""
    print(f"Written: {path}{beside}. Its outputs differ from the model's by {difference:.1g}.")
    return 0


def _latency(args):
    from rich.console import Console

    from .models import latency_table as latency

    console = Console()
    try:
        name = _problem_of(args.task)
        options = _options(args, {name: registry.settings_class(name)})[name]
        problem = registry.stage_module(name).build(**options)
        with _bar_of(console) as tell:
            table = latency.measure_parts(
                problem,
                repeats=args.repeats,
                told=lambda done, total: tell("measuring parts", done, total, "parts"),
            )
            if hasattr(problem, "parts"):
                table["networks"] = latency.compare_with_networks(
                    problem,
                    table["parts"],
                    args.networks,
                    repeats=args.repeats,
                    told=lambda done, total: tell("measuring networks", done, total, "networks"),
                )
    except ValueError as error:
        return _fail(2, error)
    path = Path(args.out or f"latency-{args.task}.json")
    latency.write_latency_table(table, path)
    for line in latency.summary(table):
        console.print(line, highlight=False)
    console.print(f"Written: {path}. Use it: --set latency_table={path}", soft_wrap=True)
    return 0


def _problem_of(task):
    """The problem of a name, or the one that the search of a task ends with."""
    if task in registry.problem_names():
        return task
    kinds = {name: registry.entry(name) for name in registry.stages(task)}
    return [name for name, e in kinds.items() if isinstance(e, registry.ProblemEntry)][-1]


def _training_options(args):
    """The options of trainings from scratch of every problem that has them, where any does."""
    texts, found = {}, {}
    for pair in args.training:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--training wants KEY=VALUE; got {pair!r}.")
        texts[key] = value
    for name in args.problems if texts else ():
        if registry.has_training(name):
            settings = registry.training_settings_class(name)
            found |= {key: parse(settings, key, value) for key, value in texts.items()}
    return found


@contextmanager
def _counted(console):
    """What is told how many runs of a comparison are done: a bar, or a line now and then."""
    import time

    from .run.progress import clock

    begun = []

    def line(done, total):
        begun.append((done, time.perf_counter()))
        (before, start), (_, now) = begun[0], begun[-1]
        text = f"{done} of {total} runs done"
        if before < done < total:
            text += f", {clock((now - start) / (done - before) * (total - done))} left"
        return text

    if console.is_terminal:
        with console.status("") as status:
            yield lambda done, total: status.update(line(done, total))
        return

    def say(done, total):
        text = line(done, total)
        if len(begun) == 1 or done == total or done * 10 // total > (done - 1) * 10 // total:
            print(text)
            sys.stdout.flush()

    yield say


def _search(args):
    return _run_all(partial(_prepare, args))


def _train(args):
    return _run_all(partial(_prepare_training, args))


def _run_all(prepare):
    """Run what ``prepare()`` gives, functions; the status."""
    from .run.journal import DamagedRun, RunInUse, RunMismatch

    try:
        prepared = prepare()
    except ValueError as error:
        return _fail(1 if isinstance(error, DamagedRun | RunInUse) else 2, error)
    import torch

    from .problem import SearchFailed

    for run in prepared:
        try:
            run()
        except (SearchFailed, ValueError) as error:
            return _fail(2 if isinstance(error, RunMismatch) else 1, error)
        except OSError as error:
            return _fail(1, f"{error}. What is recorded is safe: the same line again goes on.")
        except torch.OutOfMemoryError as error:
            return _fail(1, f"{error} Smaller batch, score_batch or channels may fit.")
    return 0


def _prepare(args):
    """What to run, a function a stage; a ``ValueError`` where the words do not fit."""
    from .run.journal import check_run

    every = registry.stages(args.task)
    names = [args.stage] if args.stage else every
    if names[0] not in every:
        raise ValueError(f"Unknown stage {args.stage!r} of {args.task}; choose from {every}.")
    options = _options(args, {name: registry.settings_class(name) for name in names})
    if not args.stage:
        names = registry.pipeline(every, options)
    labels = registry.labels(names)

    def folder_of(label, out):
        return out if len(every) == 1 else out / label

    out, seed = args.out and Path(args.out), args.seed
    if out is not None and seed is None:
        found = (_recorded_seed(folder_of(label, out)) for label in labels)
        seed = next((s for s in found if s is not None), None)
    seed = DEFAULT_SEED if seed is None else seed
    if out is None:
        data = registry.settings_class(names[0])(**options[names[0]]).data
        out = Path("runs") / f"{args.task}-{Path(data).name}-seed{seed}"
    stages, before, any_problem = [], None, False
    for name, label in zip(names, labels, strict=True):
        settings, stage_options = registry.settings_class(name), options[name]
        folder = folder_of(label, out)
        if before is not None and stage_options.get("from_run") is not None:
            raise ValueError(
                f"from_run={stage_options['from_run']!r} will not do where the stage before {name} "
                f"runs, too; run --stage {name} alone."
            )
        if args.stage:
            stage_options = _after(every, name, out, settings, stage_options)
        # built now so that invalid options are found before any work
        stage = registry.stage_module(name).build(**stage_options)
        if isinstance(registry.entry(name), registry.ProblemEntry):
            _algorithm(args, stage)
            any_problem, run = True, partial(_run_search, args, seed)
        else:
            run = partial(_run_preparation, "Preparing", seed)
        if before is not None and "from_run" in names_of(settings):
            stage_options = stage_options | {"from_run": str(before)}
            settings(**stage_options)
            check_run(folder, name, stage.settings, seed)
            stage = None  # what it starts from is not there yet
        stages.append((name, stage, stage_options, folder, run))
        before = folder
    if args.algorithm and not any_problem:
        raise ValueError(f"--algorithm will not do: {', '.join(names)} wants none.")
    if stages[0][1] is not None:
        registry.attach_journal(stages[0][1], names[0], stages[0][3])  # makes the folder
    return [partial(_run_stage, *stage) for stage in stages]


def _prepare_training(args):
    """The full trainings to run; a ``ValueError`` where the words do not fit."""
    if (args.folder is None) == (args.architecture is None):
        raise ValueError("moonas train wants a run folder, or --architecture NAME.")
    if args.architecture:
        return [_prepare_published(args)]
    _, name = registry.last_run(args.folder)
    settings = registry.training_settings_class(name)
    options = _options(args, {"training": settings})["training"]
    picks = [{"pick": word} for word in dict.fromkeys(args.pick or ())] or [{}]
    if args.pick and "pick" not in names_of(settings):
        raise ValueError(f"--pick will not do: of a search of {name} the pick is trained.")
    out = Path(args.out) if args.out else Path(args.folder) / "training"
    outs = [out if len(picks) == 1 else Path(f"{out}-{p['pick']}") for p in picks]
    return [
        _training(args, folder, registry.load_training(args.folder, journal=folder, **options | p))
        for folder, p in zip(outs, picks, strict=True)
    ]


def _prepare_published(args):
    from .models.zoo import zoo

    if args.pick:
        raise ValueError("--pick is of a run folder, and --architecture names what to train.")
    name = zoo(args.architecture).problem
    settings = registry.training_settings_class(name)
    if "architecture" not in names_of(settings):
        raise ValueError(f"--architecture {args.architecture} will not do: it is no classifier.")
    options = _options(args, {"training": settings})["training"] | {
        "architecture": args.architecture
    }
    stage = registry.training_module(name).build(**options)
    data = Path(stage.settings.data).name
    out = Path(args.out or f"runs/{args.architecture}-{data}-seed{args.seed or DEFAULT_SEED}")
    registry.attach_journal(stage, f"{name} training", out)
    return _training(args, out, stage)


def _training(args, folder, stage):
    seed = _recorded_seed(folder) if args.seed is None else args.seed
    seed = DEFAULT_SEED if seed is None else seed
    return partial(
        _run_stage, None, stage, None, folder, partial(_run_preparation, "Training", seed)
    )


def _after(every, name, out, settings, options):
    """The options of a stage that runs alone: it starts from the one before, if that was run."""
    before = out / every[every.index(name) - 1] if name != every[0] else None
    if before is None or "from_run" not in names_of(settings):
        return options
    if options.get("from_run") is not None or not (before / "run.json").exists():
        return options
    try:
        settings(**options | {"from_run": str(before)})
    except ValueError:  # other options say what it starts from
        return options
    return options | {"from_run": str(before)}


def _options(args, classes):
    """The options from a command line, a dict by the name of each Settings class."""
    names = list(classes)
    options = {
        name: registry.preset_options(settings, args.preset) for name, settings in classes.items()
    }

    def add(key, text):
        stage, dot, field = key.rpartition(".")
        chosen = [stage] if dot else names
        if dot and stage not in names:
            raise ValueError(f"--set {key}=...: no stage {stage!r} here; choose from {names}.")
        has = [n for n in chosen if field in names_of(classes[n])]
        if not has:
            known = {f for n in chosen for f in names_of(classes[n])}
            raise ValueError(f"Unknown setting {field!r}; choose from {sorted(known)}.")
        for name in has:
            options[name][field] = parse(classes[name], field, text)

    for key in ("data", "root", "population", "generations", "device"):
        if getattr(args, key, None) is not None:
            add(key, getattr(args, key))
    if getattr(args, "objectives", None):
        add("objectives", ",".join(args.objectives))
    for pair in args.set:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--set wants KEY=VALUE; got {pair!r}.")
        add(key, value)
    return options


def _algorithm(args, problem):
    if not args.algorithm:
        return problem.algorithm()
    from .algorithms import algorithm

    return algorithm(args.algorithm, problem)


def _recorded_seed(folder):
    from .run.journal import read_run

    return read_run(folder)[0]["seed"] if (folder / "run.json").exists() else None


def _run_stage(name, stage, options, folder, run):
    """One stage from its beginning to its end: ``run(stage, console)``, with a journal."""
    from rich.console import Console

    console = Console()
    if stage is None:
        stage = registry.stage_module(name).build(**options)
    if stage.journal is None:
        registry.attach_journal(stage, name, folder)
    stage.callbacks.append(_Log(console))
    try:
        run(stage, console)
    finally:
        stage.journal.close()


def _greeting(stage, seed, what):
    recorded = stage.journal.n_calls
    goes_on = f", {recorded} calls of it are recorded" if recorded else ""
    stage.log(
        f"{what} on {stage.settings.data}, seed {seed}, on {stage.device}, into "
        f"{stage.journal.folder}{goes_on}."
    )


def _run_preparation(what, seed, stage, console):
    before = stage.journal.n_calls
    _greeting(stage, seed, what)
    with _bar(console, stage):
        result = stage.run(seed)
    for line in stage.report(result, stage.journal.folder):
        stage.log(line)
    _farewell(stage, stage.journal.n_calls > before)


def _run_search(args, seed, problem, console):
    from .problem import describe_algorithm
    from .run.search import search
    from .views.front import front_table, save_front
    from .views.tables import to_console

    algorithm = _algorithm(args, problem)
    _greeting(problem, seed, "Searching")
    problem.log(describe_algorithm(algorithm))
    with _bar(console, problem):
        found = search(problem, algorithm, seed=seed, generations=problem.settings.generations)
        save_front(problem, found, found.folder)
    console.print()
    console.print(to_console(front_table(problem, found.rows, found.picked)))
    for line in found.afterwards:
        problem.log(line)
    _farewell(problem, found.computed)


def _farewell(stage, computed):
    folder = stage.journal.folder
    if computed:
        kinds = (".csv", ".png", ".json", ".pt")
        files = (p.name for p in folder.iterdir() if p.suffix in kinds)
        files = sorted(name for name in files if not name.startswith("weights-"))  # the journal's
        stage.log(f"Written to {folder}: {', '.join(files)}, journal.jsonl.")
    else:
        stage.log(f"This run is complete; nothing was left to compute. It is in {folder}.")


@contextmanager
def _bar(console, stage):
    """A progress bar of what runs inside a generation, on a terminal; elsewhere a line once."""
    with _bar_of(console) as show:
        bar = _Bar(show)
        stage.callbacks.append(bar)
        try:
            yield
        finally:
            stage.callbacks.remove(bar)


class _Log(RunCallback):
    """Prints the lines of the log."""

    def __init__(self, console):
        self.console = console

    def on_log(self, text):
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)


class _Bar(RunCallback):
    """Passes progress on to a bar."""

    def __init__(self, show):
        self.on_progress = show


@contextmanager
def _bar_of(console):
    """What is told how far something long is: (phase, done, total, unit) -> None."""
    if not console.is_terminal:
        seen = set()

        def say(phase, done, total, unit):
            if phase not in seen:
                seen.add(phase)
                print(f"{phase}: {total} {unit}")
                sys.stdout.flush()

        yield say
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

        yield show


def _fail(status, message):
    sys.stdout.flush()
    print(f"moonas: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
