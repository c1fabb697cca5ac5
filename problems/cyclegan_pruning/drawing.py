"""Figures of translated images, and text tables of sizes and scores."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from matplotlib.figure import Figure

from moonas.files import save_figure
from moonas.metrics.timing import measure_latency
from moonas.nets.counting import count_macs, count_params
from moonas.nets.devices import repeatable
from moonas.run.numbers import short_number
from moonas.views.drawing import INK

from .masks import IMAGE_CHANNELS
from .quality import Generators, Quality
from .training import TARGET

IMAGES_PER_ROW = 10
LABEL_WIDTH = 1.3  # inches, left of the images
DIRECTIONS = {"a": "A to B", "b": "B to A"}
MIB = 2**20  # number of bytes
SCORES = {  # name of a score -> its title and unit
    "accuracy": ("digits recognized", " %"),
    "recognized": ("recognized as the target domain", " %"),
    "fid": ("FID", ""),
    "kid": ("KID", ""),
    "pixel_accuracy": ("pixel accuracy", " %"),
    "class_accuracy": ("class accuracy", " %"),
    "mean_iou": ("mean IoU", " %"),
    "cycle_error": ("error after translation back (L1)", " %"),
    "cycle_psnr": ("PSNR after translation back", " dB"),
}


def draw_translations(
    quality: Quality, originals: Generators, compressed: Generators | None, path: Path
) -> None:
    """Write a PNG file that shows test images above their translations.

    Args:
        quality: translates the images of its test set.
        originals: original generators by source domain, "a" and "b".
        compressed: compressed generators by source domain. If None, the figure shows how the other
            original generator translates the translations back.
        path: path of the PNG file.
    """
    image_rows = []
    for k, domain in quality.data.items():
        images = domain.test[:IMAGES_PER_ROW]
        translated = quality.translate(originals[k], images)
        image_rows.append(("input", images.float() / 255))
        image_rows.append((f"original, {DIRECTIONS[k]}", translated))
        if compressed is None:
            back = quality.translate(originals[TARGET[k]], (255 * translated).round().byte())
            image_rows.append(("translated back", back))
        else:
            image_rows.append(("compressed", quality.translate(compressed[k], images)))
    n = len(image_rows[0][1])
    width = LABEL_WIDTH + 0.75 * n
    figure = Figure(figsize=(width, 0.75 * len(image_rows)))
    figure.subplots_adjust(LABEL_WIDTH / width, 0.01, 0.995, 0.99, hspace=0.05)
    grid = figure.subplots(len(image_rows), 1)
    for axes, (name, images) in zip(grid, image_rows, strict=True):
        pixels = torch.cat([_add_border(image) for image in images.cpu()], dim=-1)
        axes.imshow(pixels.permute(1, 2, 0).clamp(0, 1).numpy(), interpolation="nearest")
        axes.set_ylabel(name, rotation=0, ha="right", va="center", color=INK)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    save_figure(figure, path)


def _add_border(image: torch.Tensor) -> torch.Tensor:
    """Add a white border to a (c, h, w) image."""
    width = max(1, image.shape[-1] // 32)
    return torch.nn.functional.pad(image, [width] * 4, value=1.0)


def measure_sizes(generators: Generators, side: int, threads: int) -> dict[str, dict[str, float]]:
    """Return the size and CPU latency of each generator.

    Args:
        generators: generators by source domain, "a" and "b".
        side: side length of the images in pixels.
        threads: number of torch threads during the measurement.

    Returns:
        A dict from each source domain to a dict with the keys "params", "memory_mb" (in units of
        2**20 bytes, with 4 bytes per parameter), "macs" and "cpu_ms" (latency for a single image).
    """
    sizes = {}
    for k, generator in generators.items():
        with repeatable(threads):
            ms = measure_latency(copy.deepcopy(generator), (IMAGE_CHANNELS, side, side), "cpu")
        params = count_params(generator)
        sizes[k] = {
            "params": params,
            "memory_mb": 4 * params / MIB,
            "macs": count_macs(generator, IMAGE_CHANNELS, side, side),
            "cpu_ms": ms,
        }
    return sizes


def size_table(
    originals: Mapping[str, Mapping[str, float]],
    compressed: Mapping[str, Mapping[str, float]],
    side: int,
) -> list[str]:
    """Format sizes as a text table, like Table 1 of the paper but with CPU latencies.

    Args:
        originals: result of :func:`measure_sizes` for the original generators.
        compressed: result of :func:`measure_sizes` for the compressed generators.
        side: side length of the images in pixels.
    """
    title = f"{side}x{side} pixels"
    lines = [f"{title:<16}{'memory':>10}{'ratio':>8}{'macs':>9}{'ratio':>8}{'CPU':>10}{'ratio':>8}"]
    for k in originals:
        original, pruned = originals[k], compressed[k]
        ratios = {key: f"{original[key] / pruned[key]:.2f}x" for key in original}
        lines.append(_size_row(f"{DIRECTIONS[k]}, original", original, dict.fromkeys(original, "")))
        lines.append(_size_row("  compressed", pruned, ratios))
    return lines


def _size_row(name: str, sizes: Mapping[str, float], ratios: Mapping[str, str]) -> str:
    """Format the sizes of one generator, and their ratios to the original, as a table row."""
    memory, macs = f"{sizes['memory_mb']:.2f} MB", short_number(sizes["macs"])
    latency = f"{sizes['cpu_ms']:.2f} ms"
    return (
        f"{name:<16}{memory:>10}{ratios['memory_mb']:>8}{macs:>9}{ratios['macs']:>8}"
        f"{latency:>10}{ratios['cpu_ms']:>8}"
    )


def score_lines(scores: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Format the scores of generators as lines of text, one per direction and score.

    Args:
        scores: dict from the name of each pair of generators to its scores, which
            :meth:`.Quality.evaluate` returned, in the order in which they are printed. A pair
            without a score is left out of the line of that score.
    """
    lines = []
    for k, direction in DIRECTIONS.items():
        for column, (title, unit) in SCORES.items():
            values = [
                f"{name} {_format_score(column, v, k)}{unit}"
                for name, v in scores.items()
                if f"{column}_{k}" in v
            ]
            if values:
                lines.append(f"{direction}, {title}: {', '.join(values)}")
    return lines


def _format_score(column: str, values: Mapping[str, float], k: str) -> str:
    """Format a score of one direction, with its standard deviation if that is known."""
    value, std = values[f"{column}_{k}"], values.get(f"{column}_std_{k}")
    if column != "kid":
        return f"{value:.2f}"
    return f"{value:.3g}" if std is None else f"{value:.3g} (sd {std:.2g})"
