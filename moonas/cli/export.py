"""``moonas export``."""

from __future__ import annotations

import argparse
from pathlib import Path

from .output import fail, status_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Write a model so that it runs without moonas, and check what was written by running it."
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="model.pt, or its folder")
    add("--format", metavar="NAME", default="onnx", help="onnx, torch-export or python; onnx")
    add("--out", metavar="FILE", help="beside the model by default")


def run(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    from ..models.export import ENDINGS, export
    from ..models.model import find_model, load_model

    try:
        model = load_model(args.model)
        source, ending = find_model(args.model), ENDINGS.get(args.format, "")
        stem = source.stem.replace("model", "network") if ending == ".py" else source.stem
        path = Path(args.out or source.with_name(f"{stem.replace('-', '_')}{ending}"))
        difference = export(model, path, args.format)
    except ValueError as error:
        return fail(status_of(error), error)
    beside = " and its weights beside it" if args.format == "python" else ""
    print(f"Written: {path}{beside}. Its outputs differ from the model's by {difference:.1g}.")
    return 0
