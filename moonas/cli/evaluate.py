"""``moonas evaluate``: test trained classifiers, or measure the images of trained generators."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .bars import progress_bar
from .options import add_device_argument, add_picture_arguments
from .output import fail, make_console, status_of

if TYPE_CHECKING:
    from rich.console import Console

    from ..models.model import Model

CLASSIFIER_OPTIONS = ("also", "corrupted")
GENERATOR_OPTIONS = ("features", "images", "real", "seed", "inception_weights", "real_statistics")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Evaluate trained classifiers on a test set: on clean images, under twelve common "
        "corruptions at five severities, and under an adversarial attack (FGSM). Or evaluate "
        "trained generators: FID, Inception Score, KID, precision, recall, density and coverage."
    )
    add = parser.add_argument
    add("models", metavar="MODEL", nargs="+", help="model.pt, or the folder that contains it")
    add(
        "--data",
        metavar="NAME|FOLDER",
        help="data set whose images are used (default: the data set that the first model was "
        "trained on)",
    )
    add("--root", metavar="DIR", help="folder of downloaded data sets")
    add_device_argument(parser)
    add("--out", metavar="DIR", help="output folder (default: the folder of the first model)")
    add_picture_arguments(parser)
    classifiers = parser.add_argument_group("classifiers")
    classifiers.add_argument(
        "--also",
        metavar="FOLDER",
        help="folder of a second test set with all or some of the classes, or of the published "
        "files of CIFAR-10.1 or ImageNet-V2",
    )
    classifiers.add_argument(
        "--corrupted",
        metavar="FOLDER",
        help="folder of the published files of CIFAR-10-C, CIFAR-100-C or ImageNet-C",
    )
    add = parser.add_argument_group("generators").add_argument
    add(
        "--features",
        metavar="NETWORK",
        help="network that computes features: classifier (trained on the data set; the default), "
        "inception, torchvision:NAME[=FILE], timm:NAME[=FILE], package.module:function, "
        "file.py:function, or a file (TorchScript, or model.pt of a classifier)",
    )
    add("--images", metavar="N", type=int, help="generated images per model (default: 5000)")
    add("--real", choices=("train", "test"), help="real images to compare with (default: train)")
    add("--seed", metavar="N", type=int, help="seed of the latent vectors (default: 0)")
    add("--inception-weights", metavar="FILE", help="file with pytorch-fid's Inception weights")
    add(
        "--real-statistics",
        metavar="FILE",
        help=".npz file with mu and sigma of the features of real images; FID is relative to them, "
        "and KID, precision, recall, density and coverage are left out",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    from ..models.model import Generator, Translator, find_model, load_model

    console = make_console()
    try:
        models = {
            Path(path).name if len(args.models) == 1 else path: load_model(path)
            for path in args.models
        }
        for name, model in models.items():
            if isinstance(model, Translator):
                raise ValueError(
                    f"{name} is a translator of images, and moonas evaluate tests classifiers and "
                    "generators. moonas train has written the scores of translators to "
                    "comparison.json, beside the model."
                )
        first = next(iter(models.values()))
        data = args.data or first.about.get("data")
        if data is None:
            raise ValueError(
                f"{args.models[0]} does not contain the name of its data set: choose one "
                "with --data."
            )
        folder = Path(args.out or find_model(args.models[0]).parent)
        evaluate = _evaluate_generators if isinstance(first, Generator) else _evaluate_classifiers
        written = evaluate(args, models, data, folder, console)
    except ValueError as error:
        return fail(status_of(error), error)
    console.print(f"Results written to {folder}: {', '.join(written)}.", soft_wrap=True)
    return 0


def _require_unset(args: argparse.Namespace, options: tuple[str, ...], kind: str) -> None:
    """Raise a ``ValueError`` if an option was given that models of this kind do not have."""
    for option in options:
        if getattr(args, option) is not None:
            raise ValueError(f"--{option.replace('_', '-')} is invalid: the models are {kind}.")


def _evaluate_classifiers(
    args: argparse.Namespace, models: dict[str, Model], data: str, folder: Path, console: Console
) -> tuple[str, ...]:
    """Evaluate classifiers, print a table, and return the names of the files written."""
    from ..models import robustness, test_sets
    from ..views.tables import to_console

    _require_unset(args, GENERATOR_OPTIONS, "classifiers")
    first = next(iter(models.values()))
    images = test_sets.load_test_images(data, first, root=args.root)
    second_test_set = args.also and test_sets.load_test_images(
        args.also, first, include_training_set=True, root=args.root
    )
    corrupted_set = args.corrupted and test_sets.load_corrupted_set(args.corrupted, first)
    with progress_bar(console) as bar:
        evaluation = robustness.evaluate(
            models,
            images,
            second_test_set=second_test_set or None,
            corrupted_set=corrupted_set or None,
            device=args.device,
            on_progress=bar.on_progress,
        )
    written = robustness.write_evaluation(evaluation, folder)
    console.print(to_console(robustness.errors_table(evaluation), compact=True))
    for line in robustness.summary(evaluation):
        console.print(line, highlight=False)
    return tuple(path.name for path in written)


def _evaluate_generators(
    args: argparse.Namespace, models: dict[str, Model], data: str, folder: Path, console: Console
) -> tuple[str, ...]:
    """Evaluate generators, print a table, and return the names of the files written."""
    from ..models import generators
    from ..views.tables import to_console

    _require_unset(args, CLASSIFIER_OPTIONS, "generators")
    options = {
        "features": args.features,
        "n_images": args.images,
        "real": args.real,
        "seed": args.seed,
        "inception_weights": args.inception_weights,
        "real_statistics": args.real_statistics,
    }
    with progress_bar(console) as bar:
        evaluation = generators.evaluate(
            models,
            data,
            root=args.root,
            device=args.device,
            on_progress=bar.on_progress,
            **{name: value for name, value in options.items() if value is not None},
        )
    generators.write_evaluation(evaluation, folder)
    console.print(to_console(generators.measures_table(evaluation), compact=True))
    for line in generators.summary(evaluation):
        console.print(line, highlight=False)
    return (generators.FILE_NAME,)
