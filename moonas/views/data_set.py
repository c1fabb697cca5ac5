"""Description of a data set: lines of text, a table of its classes, and a figure of samples."""

from __future__ import annotations

from collections import Counter

import numpy as np
from matplotlib.figure import Figure

from ..data.summary import MOST_CLASSES, N_SAMPLES, DataSummary
from ..plot.style import INK
from ..run.numbers import format_duration, memory_text, plural
from .tables import Table

MOST_LISTED = 10  # damaged files that are listed
UNBALANCED = 5  # ratio of the largest to the smallest class from which a line mentions it
PARTS = ("train", "val", "test")


def counts_table(summary: DataSummary) -> Table | None:
    """Return the numbers of images by class and part as a table; None without labels.

    Of more than 20 classes, it has the smallest, the median and the largest number.
    """
    if not summary.classes:
        return None
    title = "label" if summary.info.multi_label else "class"
    parts = [part for part in PARTS if part in summary.counts]
    columns = [summary.counts[part] for part in parts]
    if len(summary.classes) <= MOST_CLASSES:
        rows = [
            [name, *(f"{int(column[i]):,}" for column in columns)]
            for i, name in enumerate(summary.classes)
        ]
    else:
        quantiles = [np.quantile(column, [0, 0.5, 1]) for column in columns]
        rows = [
            [
                f"{name} of {len(summary.classes):,}",
                *(f"{of_part[i]:,.0f}" for of_part in quantiles),
            ]
            for i, name in enumerate(("smallest", "median", "largest"))
        ]
    rows.append(["all images", *(f"{summary.totals[part]:,}" for part in parts)])
    return Table([title, *parts], rows)


def lines(summary: DataSummary) -> list[str]:
    """Describe a data set in lines of text."""
    info, form = summary.info, summary.info.form
    n = sum(summary.totals.values())
    text = []
    if not summary.classes:
        parts = " and ".join(f"{n:,} in {part}" for part, n in summary.totals.items())
        text.append(f"{n:,} images without labels: {parts}.")
    if summary.sizes:
        text.append(_sizes_line(summary.sizes))
        kinds = ", ".join(f"{kind} ({count:,})" for kind, count in summary.kinds.most_common())
        text.append(f"Pixels in the files: {kinds}.")
    fitted = ""
    if any(width != height for width, height in summary.sizes):
        fitted = {
            "crop": "; of images that are not square, the center is kept (resize=crop)",
            "pad": "; images that are not square get black edges (resize=pad)",
            "squash": "; the proportions of images that are not square change (resize=squash)",
        }[info.resize]
    color = "gray" if form.channels == 1 else "color"
    text.append(f"A network sees {form.side}x{form.side} pixels in {color}{fitted}.")
    if summary.kinds and set(summary.kinds) <= {"gray", "black and white", "gray with 16 bits"}:
        text.append("All images are gray: image_channels=1 needs a third of the memory.")
    text.append(
        f"As 8-bit pixels, the images need {memory_text(summary.n_bytes)}. Reading them took "
        f"{format_duration(summary.seconds)} with one process."
    )
    if summary.place:
        text.append(summary.place)
    largest = max(int(c.max()) for c in summary.counts.values()) if summary.classes else 0
    smallest = int(summary.counts["train"].min()) if summary.classes else 0
    if summary.classes and not info.multi_label and largest >= UNBALANCED * max(smallest, 1):
        text.append(
            "The classes are of unequal size: objectives=balanced_error counts each class alike, "
            "and class_weights=balanced weights them in the training."
        )
    if summary.errors:
        total = n + len(summary.errors)
        text.append(
            f"{len(summary.errors)} of {plural(total, 'file')} cannot be read; "
            "on_bad_image=skip leaves them out:"
        )
        text += [f"  {error}" for error in summary.errors[:MOST_LISTED]]
        if len(summary.errors) > MOST_LISTED:
            text.append(f"  and {len(summary.errors) - MOST_LISTED} more")
    return text


def _sizes_line(sizes: Counter[tuple[int, int]]) -> str:
    if len(sizes) <= 3:
        listed = ", ".join(f"{w}x{h} ({n:,})" for (w, h), n in sizes.most_common())
        return f"Sizes in the files, width x height: {listed}."
    (width, height), n = sizes.most_common(1)[0]
    widths, heights = zip(*sizes, strict=True)
    return (
        f"Sizes in the files, width x height: {min(widths)} to {max(widths)} x {min(heights)} to "
        f"{max(heights)}, most often {width}x{height} ({n:,})."
    )


def plot_samples(summary: DataSummary) -> Figure:
    """Draw training images of each class in a row, as a network sees them; see ``samples``.

    Raises:
        ValueError: no training image can be read.
    """
    rows = {name: list(images) for name, images in summary.samples.items() if len(images)}
    if not rows:
        raise ValueError(f"No training image of {summary.info.name} can be read.")
    if list(rows) == [""]:
        images = rows[""]
        rows = {str(i): images[i : i + N_SAMPLES] for i in range(0, len(images), N_SAMPLES)}
    side = 0.9
    figure = Figure(figsize=(1.6 + side * N_SAMPLES, 0.1 + side * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), N_SAMPLES, squeeze=False)
    for row, (name, images) in zip(grid, rows.items(), strict=True):
        for column, axes in enumerate(row):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if column < len(images):
                pixels = images[column].permute(1, 2, 0).numpy()
                axes.imshow(pixels.squeeze(), cmap="gray", vmin=0, vmax=1)
        if summary.classes:
            row[0].set_ylabel(name, rotation=0, ha="right", va="center", labelpad=6, color=INK)
    return figure
