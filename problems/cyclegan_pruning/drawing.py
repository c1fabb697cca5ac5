"""Figures of translated images and of filters, and text tables of sizes and scores."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from torch import nn

from moonas.files import save_figure
from moonas.metrics.timing import measure_latency
from moonas.models.description import DIRECTIONS
from moonas.nets.counting import count_macs, count_params
from moonas.nets.devices import repeatable
from moonas.plot.images import image_rows
from moonas.plot.style import ACCENT, INK, create_figure
from moonas.run.numbers import short_number

from .channels import Group
from .networks import image_channels
from .quality import Generators, Quality
from .space import Architecture
from .training import TARGET, CycleGAN

IMAGES_PER_ROW = 10
IMAGE_AREA = 0.75**2  # square inches
LABEL_WIDTH = 1.9  # inches, left of the images
FILTERS_PER_ROW = 32
FILTERS_WIDTH = 8.0  # inches
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
    rows: dict[str, np.ndarray] = {}
    for k, domain in quality.data.items():
        images = domain.test[:IMAGES_PER_ROW]
        name = DIRECTIONS[k]
        translated = quality.translate(originals[k], images)
        rows[f"input {name[0]}"] = _pixels(images.float() / 255)
        rows[f"{name}, whole generator"] = _pixels(translated)
        if compressed is None:
            back = quality.translate(originals[TARGET[k]], (255 * translated).round().byte())
            rows[f"{name[0]}, translated back"] = _pixels(back)
        else:
            rows[f"{name}, pruned generator"] = _pixels(quality.translate(compressed[k], images))
    n, h, w, _ = rows[next(iter(rows))].shape
    scale = IMAGE_AREA**0.5 / (h * w) ** 0.5  # inches per pixel
    figure, axes = create_figure((LABEL_WIDTH + scale * w * n, 1.03 * scale * h * len(rows)))
    image_rows(axes, rows)
    save_figure(figure, path)


def _pixels(images: torch.Tensor) -> np.ndarray:
    """Return (n, c, h, w) images in [0, 1] as an (n, h, w, 3) array."""
    pixels: np.ndarray = images.cpu().expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
    return pixels


def draw_filters(
    original: CycleGAN,
    compressed: CycleGAN,
    architecture: Architecture,
    groups: Sequence[Group],
    path: Path,
) -> None:
    """Write a PNG file that shows which filters are kept (figure 4 of the paper).

    For each generator, there are the filters of the first convolution, in color if they are kept
    and pale gray if not; the same filters after fine-tuning; and a strip per mask with a mark for
    each filter that is kept. Gray is a weight of 0, and all filters of a generator have the same
    scale, so filters with small norms look flat.

    Args:
        original: CycleGAN before pruning.
        compressed: CycleGAN whose generators have only the filters that the masks keep.
        architecture: masks of both generators.
        groups: result of :func:`.filter_groups` for either generator.
        path: path of the PNG file.
    """
    free = [group for group in groups if not group.fixed]
    titles = _mask_titles(original.generators["a"], free)
    left, right = 0.2, 0.92  # margins for text, as shares of the width
    n_rows = -(-free[0].size // FILTERS_PER_ROW)
    mosaic = (right - left) * FILTERS_WIDTH / min(free[0].size, FILTERS_PER_ROW) * n_rows
    heights = [0.42, mosaic, mosaic, 0.05, *[0.14] * len(free)] * 2  # inches, without the gaps
    gap = 0.025
    height = sum(heights) + gap * len(heights)
    figure = Figure(figsize=(FILTERS_WIDTH, height))
    hspace = gap * len(heights) / sum(heights)
    figure.subplots_adjust(left, 0.005, right, 0.995, hspace=hspace)
    axes = iter(figure.subplots(len(heights), 1, height_ratios=heights))
    for k, direction in DIRECTIONS.items():
        masks = architecture.masks(k)
        n_kept, n = sum(int(mask.sum()) for mask in masks), sum(len(mask) for mask in masks)
        title = next(axes)
        text = f"{direction}: {n_kept} of {n} filters kept"
        title.text(0, 0.15, text, transform=title.transAxes, color=INK, weight="bold")
        title.axis("off")
        before, after = (
            _first_weights(gan.generators[k], free[0]) for gan in (original, compressed)
        )
        scale = float(before.abs().max())
        in_place = torch.zeros_like(before)
        in_place[torch.as_tensor(masks[0])] = after.to(before)
        for name, weights in (("first convolution", before), ("after fine-tuning", in_place)):
            shown = masks[0] if name == "after fine-tuning" else None
            _show_row(next(axes), _filter_mosaic(weights, masks[0], scale, shown), name)
        next(axes).axis("off")
        for name, mask in zip(titles, masks, strict=True):
            strip = next(axes)
            colors = np.where(mask[None, :, None], to_rgb(ACCENT), to_rgb("#e4e4e0"))
            _show_row(strip, colors, name, aspect="auto")
            strip.set_xticks(np.arange(0.5, len(mask) - 1), minor=True)
            strip.grid(which="minor", axis="x", color="white", lw=min(1.0, 40 / len(mask)))
            strip.tick_params(which="minor", length=0)
            strip.text(
                *(1.01, 0.5, f"{int(mask.sum())} of {len(mask)}"),
                transform=strip.transAxes,
                va="center",
                color=INK,
                size=8,
            )
    save_figure(figure, path)


def _show_row(axes: Axes, pixels: np.ndarray, name: str, aspect: str = "equal") -> None:
    """Show an image with its name on the left and without a frame."""
    axes.imshow(pixels, interpolation="nearest", aspect=aspect)  # type: ignore[arg-type]
    axes.set_ylabel(name, rotation=0, ha="right", va="center", color=INK, size=8)
    axes.set(xticks=[], yticks=[])
    axes.set_anchor("W")
    axes.spines[:].set_visible(False)


def _first_weights(generator: nn.Module, group: Group) -> torch.Tensor:
    """Return the weights of the first convolution, (filters, 3, h, w), on the CPU.

    Those of a generator of gray images are repeated for red, green and blue.
    """
    layer = generator.get_submodule(group.producers[0])
    assert isinstance(layer, nn.Conv2d)
    return layer.weight.detach().cpu().float().expand(-1, 3, -1, -1)


def _filter_mosaic(
    weights: torch.Tensor, mask: np.ndarray, scale: float, shown: np.ndarray | None = None
) -> np.ndarray:
    """Return an image of filters in rows, (h, w, 3) in [0, 1].

    Args:
        weights: (n, 3, h, w) filters.
        mask: (n,) bool, which filters are kept.
        scale: weight that is shown as the brightest color.
        shown: (n,) bool, which filters are shown; all if omitted. The others are white.
    """
    pixels = (0.5 + 0.5 * weights / scale).clamp(0, 1)
    pale = 0.85 + 0.3 * (pixels.mean(1, keepdim=True) - 0.5)
    kept = torch.as_tensor(mask)[:, None, None, None]
    pixels = torch.where(kept, pixels, pale.expand_as(pixels))
    if shown is not None:
        pixels[torch.as_tensor(~shown)] = 1.0
    pixels = torch.nn.functional.pad(pixels, [1, 1, 1, 1], value=1.0)
    rows = []
    for part in torch.split(pixels, FILTERS_PER_ROW):
        missing = min(FILTERS_PER_ROW, len(pixels)) - len(part)
        part = torch.cat([part, torch.ones(missing, *part.shape[1:])])
        rows.append(torch.cat(list(part), dim=-1))
    mosaic: np.ndarray = torch.cat(rows, dim=-2).permute(1, 2, 0).numpy()
    return mosaic


def _mask_titles(generator: nn.Module, groups: Sequence[Group]) -> list[str]:
    """Return a short title for each mask: the convolutions whose filters it selects."""
    titles: list[str] = []
    counts = {"convolution": 0, "block": 0, "transposed": 0}
    for group in groups:
        name = group.producers[0]
        transposed = isinstance(generator.get_submodule(name), nn.ConvTranspose2d)
        kind = "block" if "." in name else "transposed" if transposed else "convolution"
        counts[kind] += 1
        more = " and blocks" if len(group.producers) > 1 else ""
        titles.append(f"{kind} {counts[kind]}{more}")
    return titles


def measure_sizes(
    generators: Generators, size: tuple[int, int], threads: int
) -> dict[str, dict[str, float]]:
    """Return the size and CPU latency of each generator.

    Args:
        generators: generators by source domain, "a" and "b".
        size: height and width of the images in pixels.
        threads: number of torch threads during the measurement.

    Returns:
        A dict from each source domain to a dict with the keys "params", "memory_mb" (in units of
        2**20 bytes, with 4 bytes per parameter), "macs" and "cpu_ms" (latency for a single image).
    """
    sizes = {}
    for k, generator in generators.items():
        channels = image_channels(generator)
        with repeatable(threads):
            ms = measure_latency(copy.deepcopy(generator), (channels, *size), "cpu")
        params = count_params(generator)
        sizes[k] = {
            "params": params,
            "memory_mb": 4 * params / MIB,
            "macs": count_macs(generator, channels, *size),
            "cpu_ms": ms,
        }
    return sizes


def size_table(
    originals: Mapping[str, Mapping[str, float]],
    compressed: Mapping[str, Mapping[str, float]],
    size: tuple[int, int],
) -> list[str]:
    """Format sizes as a text table, like Table 1 of the paper but with CPU latencies.

    Args:
        originals: result of :func:`measure_sizes` for the original generators.
        compressed: result of :func:`measure_sizes` for the compressed generators.
        size: height and width of the images in pixels.
    """
    title = f"{size[1]}x{size[0]} pixels"
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
