"""A CycleGAN in one file: its weights, and what they are the weights of."""

import io
import json
from dataclasses import dataclass

import torch

from moonas.files import write_atomically
from moonas.journal import fingerprint

from .masks import compressed
from .space import Architecture
from .training import CycleGAN

ORIGINAL, COMPRESSED = "cyclegan.pt", "compressed.pt"
SHAPE = ("width", "blocks", "d_width", "d_layers")


@dataclass(frozen=True)
class Saved:
    """What such a file holds.

    Args:
        gan: a :class:`~problems.cyclegan_pruning.training.CycleGAN`, on the CPU.
        about: a dict: width, blocks, d_width and d_layers of the original, side of the images it
            was trained on, data, and of a compressed one encoding and masks.
    """

    gan: CycleGAN
    about: dict

    @property
    def architecture(self):
        """The masks of a compressed one; None of an original."""
        masks = self.about["masks"]
        return None if masks is None else Architecture(tuple(masks["a"]), tuple(masks["b"]))


def write_gan(path, gan, settings, info, architecture=None):
    """Write a CycleGAN so that the file is whole or not there.

    Args:
        path: of the file.
        gan: a :class:`~problems.cyclegan_pruning.training.CycleGAN`.
        settings: a :class:`~problems.cyclegan_pruning.settings.CycleSettings`.
        info: of the data.
        architecture: of a compressed one; then ``settings.encoding`` says what its masks are of.
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in gan.state_dict().items()}
    about = {name: getattr(settings, name) for name in SHAPE}
    about |= {"side": info.side, "data": info.name, "encoding": None, "masks": None}
    if architecture is not None:
        masks = {"a": architecture.a, "b": architecture.b}
        about |= {"encoding": settings.encoding, "masks": masks}
    buffer = io.BytesIO()
    check = fingerprint(tensors)
    torch.save({"about": json.dumps(about), "check": check, "tensors": tensors}, buffer)
    write_atomically(path, buffer.getvalue())


def read_gan(path):
    """The :class:`Saved` CycleGAN of a file. Reading it runs no code.

    Raises:
        ValueError: there is no such file, it is damaged, or it holds something else.
    """
    try:
        with open(path, "rb") as file:
            found = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"{path} is not there.") from None
    except Exception as error:  # whatever a damaged archive makes torch raise
        reason = (str(error) or repr(error)).splitlines()[0]
        raise ValueError(f"{path} holds no weights of a CycleGAN: {reason}") from None
    try:
        about, tensors = json.loads(found["about"]), found["tensors"]
        gan = CycleGAN(**{name: about[name] for name in SHAPE})
        saved = Saved(gan, about)
        if saved.architecture is not None:
            gan = compressed(gan, saved.architecture, about["encoding"])
        gan.load_state_dict(tensors)
        good = fingerprint(tensors) == found["check"]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = (str(error) or repr(error)).splitlines()[0]
        raise ValueError(f"{path} holds no weights of a CycleGAN: {reason}") from None
    if not good:
        raise ValueError(f"{path} is damaged: it does not hold the tensors that were saved.")
    return Saved(gan, about)


def read_original(path, settings, info):
    """The CycleGAN of a file, if it is what settings ask for.

    Raises:
        ValueError: it is not, or see :func:`read_gan`.
    """
    saved = read_gan(path)
    if saved.architecture is not None:
        raise ValueError(f"{path} holds generators that are compressed already.")
    wanted = {name: getattr(settings, name) for name in SHAPE} | {"side": info.side}
    other = [f"{k}={saved.about[k]}" for k in wanted if saved.about[k] != wanted[k]]
    if other:
        asked = [f"{k}={wanted[k]}" for k in wanted if saved.about[k] != wanted[k]]
        raise ValueError(
            f"The CycleGAN in {path} has {', '.join(other)}, and {', '.join(asked)} is asked for; "
            "set them alike (side is image_size)."
        )
    return saved.gan
