"""Settings of tiny CycleGANs, and random images of two domains."""

import numpy as np
import torch
from PIL import Image
from searches import TINY

SHAPE = ("width", "blocks", "d_width", "d_layers", "image_size", "margin", "flip")
SMALL = {name: TINY["cyclegan-pruning"][name] for name in SHAPE} | dict(batch=64, device="cpu")
PRUNING = SMALL | dict(population=3, generations=2, tune_steps=0, workers=1)


def write_domains(folder, n=15, n_test=4, side=8, sizes=None):
    """Write random images of the domains A and B, and return the folder.

    Args:
        folder: folder to create.
        n: number of training and validation images per domain.
        n_test: number of test images per domain.
        side: side length in pixels.
        sizes: heights and widths that the images have in turn, instead of ``side``.
    """
    sizes = sizes or [(side, side)]
    rng = np.random.default_rng(0)
    for domain in "AB":
        for part, count in (("train", n), ("test", n_test)):
            images = folder / domain / part
            images.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(256, size=(*sizes[i % len(sizes)], 3), dtype=np.uint8)
                Image.fromarray(pixels).save(images / f"{i}.png")
    return folder


def write_released(folder, gan, kinds=("generators", "discriminators"), prefix="", second=5):
    """Write networks of a CycleGAN as CycleGAN's own code does, and return the folder.

    Args:
        folder: folder to create.
        gan: the CycleGAN.
        kinds: which networks to write.
        prefix: beginning of the names of tensors, such as "module." of a DataParallel.
        second: index of the second convolution of a residual block, 6 after dropout.
    """
    folder.mkdir(parents=True)
    for kind in kinds:
        for k, net in getattr(gan, kind).items():
            state = {
                f"{prefix}model.{name}".replace(".body.5.", f".body.{second}.").replace(
                    ".body.", ".conv_block."
                ): tensor
                for name, tensor in net.state_dict().items()
            }
            torch.save(state, folder / f"latest_net_{kind[0].upper()}_{k.upper()}.pth")
    return folder
