"""``moonas translate``: translate images to another domain."""

from __future__ import annotations

import argparse

from .bars import progress_bar
from .options import add_batch_argument, add_device_argument, add_image_arguments
from .output import fail, make_console, name_skipped, status_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Translate images with a trained generator of a CycleGAN, and write them as PNG files. "
        "Images of any size are converted as the training images were. Files that cannot be read "
        "are named and left out."
    )
    add = parser.add_argument
    add_image_arguments(parser, "model-a.pt, model-b.pt, or the folder that contains both")
    add("--out", metavar="FOLDER", required=True, help="folder for the translated images")
    add("--direction", choices=("a-to-b", "b-to-a"), help="which of the two generators to use")
    add_device_argument(parser)
    add_batch_argument(parser, default=8)


def run(args: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    from ..models.generation import load_translator, translate_files
    from ..nets.devices import resolve_device
    from ..run.numbers import plural

    console = make_console()
    try:
        model = load_translator(args.model, args.direction).to(resolve_device(args.device))
        with progress_bar(console) as bar:
            result = translate_files(
                model, args.images, args.out, batch=args.batch, on_progress=bar.on_progress
            )
    except ValueError as error:
        return fail(status_of(error), error)
    skipped = name_skipped(result.skipped)
    if not result.files:
        return fail(1, f"None of {skipped} can be read as an image.")
    print(f"Preprocessing: {model.preprocess.extra_repr()}.")
    if result.skipped:
        print(f"Left out: {skipped} that cannot be read as an image.")
    print(f"{plural(len(result.files), 'translated image')} written to {args.out}.")
    return 0
