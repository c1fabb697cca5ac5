"""Original and compressed generators side by side: pictures, quality, sizes, times."""

from moonas.files import write_json

from .drawing import draw_strips, score_lines, size_table, sizes

STRIPS, NUMBERS = "translations.png", "comparison.json"


def compare(quality, originals, smalls, settings):
    """What original and compressed generators cost, and how well they translate.

    Args:
        quality: a :class:`~moonas.problems.cyclegan_pruning.quality.Quality`.
        originals: {"a": module, "b": module}.
        smalls: the same, compressed.
        settings: of the stage.

    Returns:
        A dict that JSON can hold: side, in pixels; scores and sizes, by "original" and
        "compressed".
    """
    pairs = {"original": originals, "compressed": smalls}
    side = quality.info.side
    return {
        "side": side,
        "scores": {name: quality.evaluate(pair) for name, pair in pairs.items()},
        "sizes": {name: sizes(pair, side, settings.threads) for name, pair in pairs.items()},
    }


def write_comparison(numbers, quality, originals, smalls, folder):
    """Write comparison.json and translations.png.

    Args:
        numbers: of :func:`compare`.
        quality, originals, smalls: of :func:`compare`.
        folder: to write into.
    """
    write_json(folder / NUMBERS, numbers)
    draw_strips(quality, originals, smalls, folder / STRIPS)


def comparison_lines(numbers):
    """What :func:`compare` gave, as lines of text."""
    return size_table(*numbers["sizes"].values(), numbers["side"]) + score_lines(numbers["scores"])
