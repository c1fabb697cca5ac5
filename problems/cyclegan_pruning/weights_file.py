"""Files with a CycleGAN: its weights, and what they are the weights of.

A pretraining and a search leave one file with all four networks; a fine-tuning leaves a model file
for each generator, and with it its discriminator.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from moonas.data.images import DataInfo
from moonas.files.tensors import read_tensors, unreadable_file_error, write_tensors
from moonas.models.model import read_model, write_model
from moonas.settings import RunSettings, free_names, to_json

from .masks import compressed, groups_of
from .space import Architecture
from .training import CycleGAN

ORIGINAL_FILE, COMPRESSED_FILE = "cyclegan.pt", "compressed.pt"
HOLDS = "weights of a CycleGAN"


@dataclass(frozen=True)
class Saved:
    """What such files hold.

    Args:
        gan: on the CPU.
        about: a dict: shape (arguments of the original CycleGAN), side of its images in pixels,
            data, settings of the stage that wrote it, and of compressed generators encoding and
            masks, else None.
    """

    gan: CycleGAN
    about: dict[str, Any]

    @property
    def architecture(self) -> Architecture | None:
        """The masks of compressed generators; None of an original."""
        return _architecture(self.about)


def describe_gan(
    gan: CycleGAN,
    settings: RunSettings,
    info: DataInfo,
    architecture: Architecture | None = None,
    encoding: str | None = None,
) -> dict[str, Any]:
    """The header of a file with a CycleGAN, see :class:`Saved`."""
    masks = None if architecture is None else {"a": architecture.a, "b": architecture.b}
    free = free_names(settings)  # paths and devices
    return {
        "shape": gan.shape,
        "side": info.side,
        "data": info.name,
        "settings": {k: v for k, v in to_json(settings).items() if k not in free},
        "encoding": encoding,
        "masks": masks,
    }


def write_gan(
    path: str | Path,
    gan: CycleGAN,
    settings: RunSettings,
    info: DataInfo,
    architecture: Architecture | None = None,
    encoding: str | None = None,
) -> None:
    """Write a CycleGAN to one file, atomically.

    Args:
        path: of the file.
        gan: the CycleGAN.
        settings: of the stage that trained it.
        info: of the data.
        architecture: the masks of compressed generators.
        encoding: of these masks.
    """
    about = describe_gan(gan, settings, info, architecture, encoding)
    write_tensors(path, gan.state_dict(), about)


def read_gan(path: str | Path) -> Saved:
    """The CycleGAN of a file, on the CPU. Reading it runs no code.

    Raises:
        ValueError: the file is missing or damaged, or holds something else.
    """
    about, tensors = read_tensors(path, content=HOLDS)
    return _built(path, about, tensors)


def model_path(folder: str | Path, domain: str) -> Path:
    """The model file of the generator that translates from a domain, "a" or "b"."""
    return Path(folder) / f"model-{domain}.pt"


def write_models(folder: str | Path, gan: CycleGAN, about: dict[str, Any]) -> None:
    """Write a model file for each compressed generator, with its discriminator.

    Args:
        folder: to write into.
        gan: the compressed CycleGAN.
        about: the header, see :func:`describe_gan`.
    """
    shape, side = about["shape"], about["side"]
    architecture = _architecture(about)
    for domain, generator in gan.generators.items():
        model = {
            "kind": "translator",
            "problem": "cyclegan-pruning",
            "from_domain": domain,
            "description": str(architecture),
            "input_shape": [3, side, side],
            "discriminator": {"width": shape["d_width"], "layers": shape["d_layers"]},
        }
        write_model(
            model_path(folder, domain), generator, model | about, gan.discriminators[domain]
        )


def read_models(folder: str | Path) -> Saved:
    """The compressed CycleGAN that ``moonas train`` has left in a folder, in two model files.

    :func:`moonas.load_model` reads one generator, as a model from pixels to pixels.

    Raises:
        ValueError: a file is missing or damaged, or holds something else. Model files of versions
            that wrote a compressed.pt beside them hold no discriminators.
    """
    tensors, headers = {}, []
    for domain in "ab":
        path = model_path(folder, domain)
        about, generator, discriminator = read_model(path)
        tensors |= {f"generators.{domain}.{name}": t for name, t in generator.items()}
        tensors |= {f"discriminators.{domain}.{name}": t for name, t in discriminator.items()}
        headers.append({key: value for key, value in about.items() if key != "from_domain"})
    if headers[0] != headers[1]:
        raise ValueError(f"The two model files in {folder} do not belong together.")
    return _built(path, headers[0], tensors)


def _built(path: str | Path, about: dict[str, Any], tensors: dict[str, Tensor]) -> Saved:
    """The CycleGAN of a header and tensors that were read from a file."""
    try:
        with torch.device("meta"):
            gan = CycleGAN(**about["shape"])
        architecture = _architecture(about)
        if architecture is not None:
            groups = groups_of(gan.generators["a"], about["encoding"])
            gan = compressed(gan, architecture, groups)
        gan.load_state_dict(tensors, assign=True)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise unreadable_file_error(path, HOLDS, error) from None
    return Saved(gan.requires_grad_(True), about)


def _architecture(about: dict[str, Any]) -> Architecture | None:
    masks = about["masks"]
    return None if masks is None else Architecture(tuple(masks["a"]), tuple(masks["b"]))


def read_original(path: str | Path, settings: Any, info: DataInfo) -> CycleGAN:
    """The CycleGAN of a file, if it is what settings ask for.

    Raises:
        ValueError: it is not, or see :func:`read_gan`.
    """
    saved = read_gan(path)
    if saved.architecture is not None:
        raise ValueError(f"{path} holds generators that are compressed already.")
    wanted = settings.network_shape | {"image_size": info.side, "data": info.name}
    has = saved.about["shape"] | {"image_size": saved.about["side"], "data": saved.about["data"]}
    names = [name for name in wanted if wanted[name] != has[name]]
    if names:
        there, asked = (", ".join(f"{k}={v[k]!r}" for k in names) for v in (has, wanted))
        raise ValueError(
            f"The CycleGAN in {path} has {there}, and {asked} is asked for; set them alike."
        )
    return saved.gan
