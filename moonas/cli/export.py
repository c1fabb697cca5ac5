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
    add(
        "--out",
        metavar="FILE",
        help="output file; the ending of the format may be left out (default: next to the model)",
    )
    add(
        "--int8",
        action="store_true",
        help="also write a quantized ONNX file of a classifier, calibrated on training images, and "
        "test both files",
    )
    add(
        "--data",
        metavar="NAME|FOLDER",
        help="data set for --int8 (default: the data set that the model was trained on)",
    )
    add("--root", metavar="DIR", help="folder of downloaded data sets, for --int8")


def run(args: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    from ..models.export import FILE_ENDINGS, export_file
    from ..models.model import find_model, load_model

    if args.int8 and args.format != "onnx":
        return fail(2, f"--int8 is invalid with --format {args.format}: expected onnx.")
    try:
        model = load_model(args.model)
        source, ending = find_model(args.model), FILE_ENDINGS.get(args.format, "")
        stem = source.stem.replace("model", "network") if ending == ".py" else source.stem
        out = Path(args.out or source.with_name(f"{stem.replace('-', '_')}{ending}"))
        exported = export_file(model, out, args.format, training=source.parent)
        quantized = None
        if args.int8:
            from ..models.quantization import quantize

            data = args.data or model.about.get("data")
            if data is None:
                raise ValueError("The model does not name its data set: choose one with --data.")
            quantized = quantize(exported.path, model, data, root=args.root)
    except ValueError as error:
        return fail(status_of(error), error)
    weights = ", with its weights in a file next to it" if ending == ".py" else ""
    print(
        f"Network written to {exported.path}{weights}. Its outputs differ from the outputs of the "
        f"model by at most {exported.difference:.1g}."
    )
    if quantized is not None:
        print(
            f"Quantized network written to {quantized.path}. Its error on {quantized.n_test:,} "
            f"test images is {quantized.error:.2f} %, that of the network "
            f"{quantized.float_error:.2f} %."
        )
    print(f"Model card written to {exported.card}.")
    if exported.script is not None:
        print(f"Without moonas, python {exported.script} IMAGE ... predicts the classes of images.")
    if exported.sizes is not None:
        print(f"It accepts images of {exported.sizes}.")
    elif exported.reason:
        _, height, width = model.input_shape
        print(f"It accepts images of {width}x{height} pixels only: {exported.reason}.")
    return 0
