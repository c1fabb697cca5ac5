"""Original and compressed generators side by side: pictures, quality, sizes, times."""

import json

from moonas.files import write_atomically

from .drawing import draw_strips, score_lines, size_table, sizes

STRIPS, NUMBERS = "translations.png", "comparison.json"


def compare(quality, original, small, settings, side, folder):
    """Write translations.png and comparison.json; the lines to print.

    Args:
        quality: a :class:`~problems.cyclegan_pruning.quality.Quality`.
        original: a :class:`~problems.cyclegan_pruning.training.CycleGAN`.
        small: the same with compressed generators.
        settings: of the stage.
        side: of the images in pixels.
        folder: to write into.
    """
    pairs = {"original": original.generators, "compressed": small.generators}
    scores = {name: quality.judge(generators) for name, generators in pairs.items()}
    costs = {name: sizes(generators, side, settings.threads) for name, generators in pairs.items()}
    numbers = {"side": side, "scores": scores, "sizes": costs}
    write_atomically(folder / NUMBERS, (json.dumps(numbers, indent=1) + "\n").encode())
    draw_strips(quality, *pairs.values(), folder / STRIPS)
    return size_table(*costs.values(), side) + score_lines(scores)
