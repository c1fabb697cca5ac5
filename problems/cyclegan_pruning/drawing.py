"""Strips of translated images, and the sizes of generators as a table."""

import copy

import torch
from matplotlib.figure import Figure

from moonas.files import save_figure
from moonas.metrics.timing import measure_latency
from moonas.nets.counting import count_macs, count_params
from moonas.nets.devices import repeatable
from moonas.run.numbers import short_number
from moonas.views.drawing import INK

from .masks import CHANNELS
from .training import OTHER

COLUMNS = 10  # images in a strip
LABELS = 1.3  # inches beside it
NAMES = {"a": "A to B", "b": "B to A"}
MEBI = 2**20


def draw_strips(quality, originals, smalls, path):
    """A picture: images for the final test, what the originals and the small generators make of
    them.

    Args:
        quality: a :class:`~moonas.problems.cyclegan_pruning.quality.Quality`.
        originals: {"a": module, "b": module}.
        smalls: the same, compressed; or None, then what the other original makes of the
            translations is shown instead.
        path: of the PNG.
    """
    rows = []
    for k, domain in quality.data.items():
        images = domain.test[:COLUMNS]
        made = quality.translate(originals[k], images)
        rows += [("input", images.float() / 255), (f"original, {NAMES[k]}", made)]
        if smalls is None:
            back = quality.translate(originals[OTHER[k]], (255 * made).round().byte())
            rows.append(("and back", back))
        else:
            rows.append(("compressed", quality.translate(smalls[k], images)))
    n = len(rows[0][1])
    width = LABELS + 0.75 * n
    figure = Figure(figsize=(width, 0.75 * len(rows)))
    figure.subplots_adjust(LABELS / width, 0.01, 0.995, 0.99, hspace=0.05)
    grid = figure.subplots(len(rows), 1)
    for axes, (name, images) in zip(grid, rows, strict=True):
        strip = torch.cat([_framed(image) for image in images.cpu()], dim=-1)
        axes.imshow(strip.permute(1, 2, 0).clamp(0, 1).numpy(), interpolation="nearest")
        axes.set_ylabel(name, rotation=0, ha="right", va="center", color=INK)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    save_figure(figure, path)


def _framed(image):
    """An image with white pixels around it."""
    edge = max(1, image.shape[-1] // 32)
    return torch.nn.functional.pad(image, [edge] * 4, value=1.0)


def sizes(generators, side, threads):
    """Size and speed of generators for one image of ``side`` pixels.

    Args:
        generators: {"a": module, "b": module}.
        side: pixels.
        threads: of torch while the clock runs, on the CPU.

    Returns:
        A dict by domain: params, memory_mb (2**20 bytes, 4 a parameter), macs, cpu_ms.
    """
    found = {}
    for k, generator in generators.items():
        with repeatable(threads):
            ms = measure_latency(copy.deepcopy(generator), (CHANNELS, side, side), "cpu")
        params = count_params(generator)
        found[k] = {
            "params": params,
            "memory_mb": 4 * params / MEBI,
            "macs": count_macs(generator, CHANNELS, side, side),
            "cpu_ms": ms,
        }
    return found


def size_table(originals, smalls, side):
    """Table 1 of the paper with measured time, as lines of text.

    Args:
        originals: of :func:`sizes`.
        smalls: the same of the compressed generators.
        side: pixels.
    """
    title = f"{side}x{side} pixels"
    lines = [f"{title:<16}{'memory':>10}{'ratio':>8}{'macs':>9}{'ratio':>8}{'CPU':>10}{'ratio':>8}"]
    for k in originals:
        old, new = originals[k], smalls[k]
        ratios = {key: f"{old[key] / new[key]:.2f}x" for key in old}
        for name, row, shown in (("original", old, None), ("compressed", new, ratios)):
            words = f"{NAMES[k]}, {name}" if shown is None else f"  {name}"
            cells = [f"{row['memory_mb']:.2f} MB", short_number(row["macs"])]
            cells.append(f"{row['cpu_ms']:.2f} ms")
            r = [""] * 3 if shown is None else [shown[m] for m in ("memory_mb", "macs", "cpu_ms")]
            lines.append(
                f"{words:<16}{cells[0]:>10}{r[0]:>8}{cells[1]:>9}{r[1]:>8}{cells[2]:>10}{r[2]:>8}"
            )
    return lines


def score_lines(scores):
    """Scores of :meth:`.Quality.evaluate` as lines of text.

    Args:
        scores: {what was judged: scores}, in the order to be shown.
    """
    lines = []
    for k, words in NAMES.items():
        parts = []
        for score in dict.fromkeys(key[:-2] for found in scores.values() for key in found):
            values = [found.get(f"{score}_{k}") for found in scores.values()]
            if None not in values:
                unit = "" if score == "fid" else " %"
                shown = ", ".join(
                    f"{what} {value:.2f}{unit}" for what, value in zip(scores, values, strict=True)
                )
                parts.append(f"{score.replace('_', ' ')} {shown}")
        if parts:
            lines.append(f"{words}: {'; '.join(parts)}.")
    return lines
