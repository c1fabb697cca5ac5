"""Comparison of original and compressed generators: images, scores, sizes and latencies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from moonas.files import write_json

from .drawing import draw_strips, measure_sizes, score_lines, size_table
from .quality import Generators, Quality
from .settings import CycleSettings

STRIPS, NUMBERS = "translations.png", "comparison.json"


def compare(
    quality: Quality, originals: Generators, compressed: Generators, settings: CycleSettings
) -> dict[str, Any]:
    """Score and measure original and compressed generators.

    Args:
        quality: scores generators on the test set.
        originals: original generators by source domain, "a" and "b".
        compressed: compressed generators by source domain.
        settings: settings of the stage.

    Returns:
        A dict of JSON values: "side" (side length of the images in pixels), and "scores" and
        "sizes", each a dict with the keys "original" and "compressed".
    """
    pairs = {"original": originals, "compressed": compressed}
    side = quality.info.side
    return {
        "side": side,
        "scores": {name: quality.evaluate(pair) for name, pair in pairs.items()},
        "sizes": {
            name: measure_sizes(pair, side, settings.threads) for name, pair in pairs.items()
        },
    }


def write_comparison(
    numbers: dict[str, Any],
    quality: Quality,
    originals: Generators,
    compressed: Generators,
    folder: Path,
) -> None:
    """Write comparison.json and translations.png.

    Args:
        numbers: result of :func:`compare`.
        quality: scores generators on the test set.
        originals: original generators by source domain.
        compressed: compressed generators by source domain.
        folder: folder to write to.
    """
    write_json(folder / NUMBERS, numbers)
    draw_strips(quality, originals, compressed, folder / STRIPS)


def comparison_lines(numbers: dict[str, Any]) -> list[str]:
    """Format the result of :func:`compare` as lines of text."""
    originals, compressed = numbers["sizes"].values()
    return size_table(originals, compressed, numbers["side"]) + score_lines(numbers["scores"])
