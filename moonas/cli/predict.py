"""``moonas predict``: predict the classes of images."""

from __future__ import annotations

import argparse

from .bars import progress_bar
from .options import (
    add_batch_argument,
    add_device_argument,
    add_image_arguments,
    positive_int,
)
from .output import fail, make_console, name_skipped, status_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Predict the classes of images of any size, which are converted as the model's training "
        "images were. Files that cannot be read are named and left out. If folders have a "
        "subfolder per class, the error is printed as well."
    )
    add = parser.add_argument
    add_image_arguments(parser, "model.pt, its folder, or an exported .onnx file")
    add(
        "--top",
        metavar="K",
        type=positive_int,
        default=3,
        help="number of classes that the table shows per image (default: 3)",
    )
    add("--out", metavar="FILE", help="CSV file for the probabilities of all classes")
    add_device_argument(parser)
    add_batch_argument(parser, default=64)


def run(args: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    from ..models import prediction
    from ..nets.devices import resolve_device
    from ..run.numbers import plural
    from ..views.tables import to_console

    console = make_console()
    try:
        predictor = prediction.load_predictor(args.model, resolve_device(args.device))
        with progress_bar(console) as bar:
            predictions = predictor.predict(
                args.images, batch=args.batch, on_bad_image="skip", on_progress=bar.on_progress
            )
    except ValueError as error:
        return fail(status_of(error), error)
    skipped = name_skipped(predictions.skipped)
    if not predictions.files:
        return fail(1, f"None of {skipped} can be read as an image.")
    if args.out:
        prediction.write_predictions(args.out, predictions)
    console.print(f"Preprocessing: {predictor.preprocess.extra_repr()}.", soft_wrap=True)
    console.print(to_console(prediction.predictions_table(predictions, args.top), compact=True))
    if not predictions.multi_label:
        truth = prediction.true_classes(args.images, predictions.files, predictions.classes)
        if truth is not None:
            console.print(prediction.error_line(predictions, truth), highlight=False)
    if predictions.skipped:
        console.print(f"Left out: {skipped} that cannot be read as an image.", highlight=False)
    if args.out:
        n = plural(len(predictions), "image")
        console.print(f"Predictions for {n} written to {args.out}.", soft_wrap=True)
    return 0
