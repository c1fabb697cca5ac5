"""``moonas export``: export a trained network."""

from __future__ import annotations

import argparse
from pathlib import Path

from .output import fail, status_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Export a trained network so that it runs without moonas. The exported network is run, "
        "and its outputs are compared with the outputs of the model. With a classifier comes "
        "predict.py, which predicts the classes of image files without moonas."
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="model.pt, or the folder that contains it")
    add(
        "--format",
        metavar="NAME",
        default="onnx",
        help="onnx, torch-export, python or safetensors, which is python with the weights in this "
        "format (default: onnx)",
    )
    add("--out", metavar="FILE", help="output file (default: next to the model)")


def run(args: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    from ..models.export import FILE_ENDINGS, export_file
    from ..models.model import find_model, load_model

    try:
        model = load_model(args.model)
        source, ending = find_model(args.model), FILE_ENDINGS.get(args.format, "")
        stem = source.stem.replace("model", "network") if ending == ".py" else source.stem
        path = Path(args.out or source.with_name(f"{stem.replace('-', '_')}{ending}"))
        exported = export_file(model, path, args.format, training=source.parent)
    except ValueError as error:
        return fail(status_of(error), error)
    weights = ", with its weights in a file next to it" if path.suffix == ".py" else ""
    print(
        f"Network written to {path}{weights}. Its outputs differ from the outputs of the model "
        f"by at most {exported.difference:.1g}."
    )
    print(f"Model card written to {exported.card}.")
    if exported.script is not None:
        print(f"Without moonas, python {exported.script} IMAGE ... predicts the classes of images.")
    if exported.sizes is not None:
        print(f"It accepts images of {exported.sizes}.")
    elif exported.reason:
        _, height, width = model.input_shape
        print(f"It accepts images of {height}x{width} pixels only: {exported.reason}.")
    return 0
