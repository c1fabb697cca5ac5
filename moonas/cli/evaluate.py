"""``moonas evaluate``."""

from __future__ import annotations

import argparse
from pathlib import Path

from .bars import progress_bar
from .output import fail, status_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Evaluate models on the images for the final test of a data set, under twelve common "
        "corruptions of five strengths, and under an attack (FGSM)."
    )
    add = parser.add_argument
    add("models", metavar="MODEL", nargs="+", help="model.pt, or its folder")
    add("--data", metavar="NAME|FOLDER", help="that of the training by default")
    add("--also", metavar="FOLDER", help="a second test set of the same classes")
    add("--root", metavar="DIR", help="folder that holds downloaded data sets")
    add("--device", metavar="NAME", default="auto", help="cpu, cuda, ...")
    add("--out", metavar="DIR", help="folder of the result; that of the model")


def run(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
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
        images = robustness.test_images(args.data or first.about.get("data"), first, root=root)
        also = args.also and robustness.test_images(args.also, first, everything=True, root=root)
        with progress_bar(console) as bar:
            found = robustness.evaluate(
                models,
                images,
                also=also or None,
                device=args.device,
                on_progress=bar.on_progress,
            )
    except ValueError as error:
        return fail(status_of(error), error)
    folder = Path(args.out or find_model(args.models[0]).parent)
    robustness.write_evaluation(found, folder)
    console.print(to_console(robustness.errors_table(found), compact=True))
    for line in robustness.summary(found):
        console.print(line, highlight=False)
    console.print(f"Written to {folder}: evaluation.json, evaluation.png.", soft_wrap=True)
    return 0
