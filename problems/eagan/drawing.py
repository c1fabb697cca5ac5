"""Pictures of generated images."""

import io

from torch.nn import functional as F
from torchvision.utils import save_image

from moonas.files import write_atomically

SIDE = 40  # pixels that small images are enlarged to, at least


def save_grid(pixels, path, n_rows=10):
    """Images as one PNG, side by side.

    Args:
        pixels: (n, c, h, w) from 0 to 1.
        path: of the PNG.
        n_rows: of the grid; images fill it row by row.
    """
    factor = max(1, round(SIDE / pixels.shape[-1]))
    large = F.interpolate(pixels, scale_factor=factor, mode="nearest")
    png = io.BytesIO()
    save_image(large, png, nrow=-(-len(large) // n_rows), padding=2, pad_value=1.0, format="png")
    write_atomically(path, png.getvalue())
