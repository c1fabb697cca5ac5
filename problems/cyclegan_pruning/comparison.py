"""Comparison of original and compressed generators by images, scores, sizes and latencies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from moonas.files import write_json

from .data import size_entries, size_of
from .drawing import draw_translations, measure_sizes, score_lines, size_table
from .quality import Generators, Quality
from .settings import CycleSettings

TRANSLATIONS_FILE, COMPARISON_FILE = "translations.png", "comparison.json"
FILTERS_FILE = "filters.png"


def compare(
    quality: Quality, originals: Generators, compressed: Generators, settings: CycleSettings
) -> dict[str, Any]:
    """Compute the scores, sizes and latencies of original and compressed generators.

    Args:
        quality: scores generators on the test set.
        originals: original generators by source domain, "a" and "b".
        compressed: compressed generators by source domain.
        settings: settings of the stage; ``threads`` applies to latencies.

    Returns:
        A dict of JSON values: the size of the images (see :func:`.size_entries`); "features" (name
        of the network behind FID and KID, and what would be better); "scores" and "sizes", each a
        dict with the keys "original" and "compressed". "scores" has a third key, "untranslated":
        the scores of test images as they are.
    """
    pairs = {"original": originals, "compressed": compressed}
    scores = {name: quality.evaluate(pair) for name, pair in pairs.items()}
    return {
        **size_entries(quality.info.size),
        "features": quality.describe_features(),
        "scores": scores | {"untranslated": quality.evaluate_untranslated()},
        "sizes": {
            name: measure_sizes(pair, quality.info.size, settings.threads)
            for name, pair in pairs.items()
        },
    }


def write_comparison(
    comparison: dict[str, Any],
    quality: Quality,
    originals: Generators,
    compressed: Generators,
    folder: Path,
) -> None:
    """Write comparison.json and translations.png.

    Args:
        comparison: result of :func:`compare`.
        quality: scores generators on the test set.
        originals: original generators by source domain.
        compressed: compressed generators by source domain.
        folder: folder to write to.
    """
    write_json(folder / COMPARISON_FILE, comparison)
    draw_translations(quality, originals, compressed, folder / TRANSLATIONS_FILE)


def comparison_lines(comparison: dict[str, Any]) -> list[str]:
    """Format the result of :func:`compare` as lines of text."""
    originals, compressed = comparison["sizes"].values()
    lines = size_table(originals, compressed, size_of(comparison))
    lines += score_lines(comparison["scores"])
    return lines + ([comparison["features"]] if "features" in comparison else [])
