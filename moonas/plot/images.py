"""Images in rows, such as pictures and their translations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from .style import INK, styled


@styled
def image_rows(axes: Axes, rows: Mapping[str, ArrayLike]) -> Axes:
    """Draw rows of images with the name of each row on its left.

    Args:
        axes: axes to draw on.
        rows: name of a row -> (n, h, w, 3) or (n, h, w) images in [0, 1]; all of the same size.

    Returns:
        ``axes``.
    """
    strips = [_strip(np.asarray(images, float)) for images in rows.values()]
    height = strips[0].shape[0]
    axes.imshow(np.concatenate(strips).clip(0, 1), interpolation="nearest", vmin=0, vmax=1)
    axes.set_yticks(height * (np.arange(len(strips)) + 0.5) - 0.5, list(rows))
    axes.set_xticks([])
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)
    axes.grid(False)
    axes.set_anchor("W")
    return axes


def _strip(images: np.ndarray) -> np.ndarray:
    """Join images side by side, with a white border around each; return (h, w, 3) pixels."""
    if images.ndim == 3:
        images = images[..., None]
    images = np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images
    border = max(1, images.shape[2] // 32)
    padding = ((0, 0), (border, border), (border, border), (0, 0))
    return np.concatenate(list(np.pad(images, padding, constant_values=1.0)), axis=1)
