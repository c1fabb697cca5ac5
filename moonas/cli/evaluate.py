"""``moonas evaluate``: test trained classifiers on clean, corrupted and adversarial images."""

from __future__ import annotations

import argparse
from pathlib import Path

from .bars import progress_bar
from .output import fail, status_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Evaluate trained classifiers on a test set: on clean images, under twelve common "
        "corruptions at five severities, and under an adversarial attack (FGSM)."
    )
    add = parser.add_argument
    add("models", metavar="MODEL", nargs="+", help="model.pt, or the folder that contains it")
    add(
        "--data",
        metavar="NAME|FOLDER",
        help="data set whose test set is used (default: the data set that the first model was "
        "trained on)",
    )
    add("--also", metavar="FOLDER", help="folder of a second test set with the same classes")
    add("--root", metavar="DIR", help="folder of downloaded data sets")
    add("--device", metavar="NAME", default="auto", help="cpu, cuda, ... (default: auto)")
    add("--out", metavar="DIR", help="output folder (default: the folder of the first model)")


def run(args: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    from rich.console import Console

    from ..models import robustness
    from ..models.model import find_model, load_model
    from ..views.tables import to_console

    console = Console()
    try:
        models = {
            Path(path).name if len(args.models) == 1 else path: load_model(path)
            for path in args.models
        }
        first, root = next(iter(models.values())), args.root
        data = args.data or first.about.get("data")
        if data is None:
            raise ValueError(
                f"{args.models[0]} does not contain the name of its data set: choose one "
                "with --data."
            )
        images = robustness.load_test_images(data, first, root=root)
        second_test_set = args.also and robustness.load_test_images(
            args.also, first, include_training_set=True, root=root
        )
        with progress_bar(console) as bar:
            evaluation = robustness.evaluate(
                models,
                images,
                second_test_set=second_test_set or None,
                device=args.device,
                on_progress=bar.on_progress,
            )
    except ValueError as error:
        return fail(status_of(error), error)
    folder = Path(args.out or find_model(args.models[0]).parent)
    robustness.write_evaluation(evaluation, folder)
    console.print(to_console(robustness.errors_table(evaluation), compact=True))
    for line in robustness.summary(evaluation):
        console.print(line, highlight=False)
    console.print(f"Results written to {folder}: evaluation.json, evaluation.png.", soft_wrap=True)
    return 0
