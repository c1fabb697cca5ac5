"""PNG files of generated images."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch.nn import functional as F
from torchvision.utils import save_image

from moonas.files import write_atomically

MIN_IMAGE_SIDE = 40  # pixels; smaller images are enlarged to about this side length


def save_grid(pixels: torch.Tensor, path: Path, n_rows: int = 10) -> None:
    """Save images as a grid in one PNG file.

    Args:
        pixels: (n, c, h, w) images in [0, 1].
        path: path of the PNG file.
        n_rows: number of rows of the grid; images are arranged row by row.
    """
    factor = max(1, round(MIN_IMAGE_SIDE / pixels.shape[-1]))
    enlarged = F.interpolate(pixels, scale_factor=factor, mode="nearest")
    n_columns = -(-len(enlarged) // n_rows)
    png = io.BytesIO()
    save_image(enlarged, png, nrow=n_columns, padding=2, pad_value=1.0, format="png")
    write_atomically(path, png.getvalue())
