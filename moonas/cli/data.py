"""``moonas data``: describe a data set or a folder of images."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..settings import RESIZE
from .bars import progress_bar
from .options import positive_int
from .output import fail, make_console, status_of

SAMPLES = "samples.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Read all images of a data set or a folder, and describe them: classes, sizes, kinds of "
        "pixels, files that cannot be read, and the memory and the time that they need. A picture "
        "shows images of each class as a network will see them."
    )
    add = parser.add_argument
    add("data", metavar="NAME|FOLDER", help="name of a data set, or a folder of images")
    add("--root", metavar="DIR", help="folder of downloaded data sets")
    add("--download", action="store_true", help="download a missing data set")
    add("--image-size", metavar="N", type=positive_int, help="side length of images in pixels")
    add("--image-channels", metavar="N", type=int, choices=(1, 3), help="1 for gray, 3 for color")
    add(
        "--resize",
        choices=RESIZE,
        default="crop",
        help="how images that are not square are fitted (default: crop)",
    )
    add(
        "--cache",
        action="store_true",
        help="also decode all images into a file in the cache folder, which searches and trainings "
        "then read (data_in=auto or cache)",
    )
    add(
        "--out",
        metavar="FILE",
        type=Path,
        default=Path(SAMPLES),
        help=f"picture of samples, .png, .pdf or .svg (default: {SAMPLES})",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    from ..data.images import build_cache
    from ..data.summary import summarize
    from ..files import save_figure
    from ..views.data_set import counts_table, lines, plot_samples
    from ..views.tables import to_console

    console = make_console()
    try:
        with progress_bar(console) as bar:
            summary = summarize(
                args.data,
                root=args.root,
                download=args.download,
                image_size=args.image_size,
                image_channels=args.image_channels,
                resize=args.resize,
                on_progress=bar.on_progress,
            )
        table = counts_table(summary)
        if table is not None:
            console.print(to_console(table, compact=True))
        for line in lines(summary):
            console.print(line, highlight=False, soft_wrap=True, markup=False)
        if args.cache:
            with progress_bar(console) as bar:
                place = build_cache(
                    args.data,
                    image_size=args.image_size,
                    image_channels=args.image_channels,
                    resize=args.resize,
                    on_progress=bar.on_progress,
                )
            console.print(f"Cache written to {place}.", soft_wrap=True)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        save_figure(plot_samples(summary), args.out)
    except ValueError as error:
        return fail(status_of(error), error)
    console.print(f"Samples written to {args.out}.", soft_wrap=True)
    return 0
