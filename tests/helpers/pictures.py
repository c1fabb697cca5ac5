"""Picture files of several kinds, and model files of small classifiers for them."""

import numpy as np
import torch
from PIL import Image

from moonas.data.form import ImageForm
from moonas.models.model import write_model
from moonas.registry import training_module

CLASSES = ("ant", "bee", "cat", "dog")

FORMS = [
    ImageForm(16, channels, resize, stored)
    for channels, resize, stored in (
        *((3, "crop", None), (3, "pad", None), (3, "squash", None), (1, "crop", None)),
        *((3, "crop", 20), (1, "pad", 20), (3, "squash", 20)),
    )
]


def write_pictures(folder):
    """Write two large JPEG files, one to be turned, and PNG files of all modes; return paths."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)

    def colors(height, width):
        coarse = rng.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
        return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)

    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    colors(96, 128).save(folder / "turned.jpg", exif=exif, quality=90)
    colors(240, 320).save(folder / "photograph.jpg", quality=90)
    colors(64, 64).convert("L").save(folder / "gray.png")
    colors(40, 24).convert("P", palette=Image.Palette.ADAPTIVE, colors=16).save(
        folder / "palette.png"
    )
    transparent = colors(32, 64)
    transparent.putalpha(Image.fromarray(rng.integers(0, 256, (32, 64), dtype=np.uint8)))
    transparent.save(folder / "alpha.png")
    deep = rng.integers(0, 65536, (24, 40)).astype(np.uint16)
    Image.fromarray(deep).save(folder / "deep.png")
    return sorted(folder.iterdir())


def write_small_classifier(path, channels=3, side=16, **about):
    """Write the model file of an untrained classifier of four classes.

    Its logits are scaled so that the probabilities differ clearly between images.
    """
    about = {
        "kind": "classifier",
        "problem": "digits-table",
        "searched": {},
        "architecture": {
            "width": 8,
            "operations": ["conv3", "conv3"],
            "depths": [1, 1],
            "widening": 1,
        },
        "description": "a small network",
        "shape": dict(n_classes=4, in_channels=channels, image_size=side),
        "input_shape": [channels, side, side],
        "classes": list(CLASSES),
        "mean": [0.4, 0.5, 0.6][:channels],
        "std": [0.2, 0.3, 0.25][:channels],
    } | about
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = training_module("digits-table").build_network(about)
    with torch.no_grad():
        network.classifier.weight.mul_(100)
        network.classifier.bias.sub_(network.eval()(torch.zeros(1, channels, side, side))[0])
    write_model(path, network.eval(), about)
    return path
