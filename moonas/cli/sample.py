"""``moonas sample``: draw images of a trained generator."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from .options import add_device_argument, nonnegative_int, positive_int
from .output import fail, status_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = "Generate images with a trained generator, and save them as a grid."
    add = parser.add_argument
    add("model", metavar="MODEL", help="model.pt, or the folder that contains it")
    add("--n", metavar="N", type=positive_int, default=64, help="number of images (default: 64)")
    add("--out", metavar="FILE", help="PNG file (default: grid.png, next to the model)")
    add(
        "--seed",
        metavar="N",
        type=nonnegative_int,
        default=0,
        help="seed of the latent vectors (default: 0)",
    )
    add_device_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    from ..models.generation import sample, save_grid
    from ..models.model import find_model, load_model
    from ..nets.devices import resolve_device

    try:
        device = resolve_device(args.device)
        pixels = sample(load_model(args.model).to(device), args.n, seed=args.seed)
        path = Path(args.out or find_model(args.model).with_name("grid.png"))
        path.parent.mkdir(parents=True, exist_ok=True)
        save_grid(pixels, path, n_rows=max(1, round(math.sqrt(args.n))))
    except ValueError as error:
        return fail(status_of(error), error)
    _, _, height, width = pixels.shape
    print(f"{args.n} images of {width}x{height} pixels, seed {args.seed}, written to {path}.")
    return 0
