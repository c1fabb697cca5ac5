"""A CycleGAN in one file: its weights, and what they are the weights of."""

import io
import json
from dataclasses import dataclass

import torch

from moonas.files import write_atomically
from moonas.run.journal import fingerprint
from moonas.settings import free_names, to_json

from .masks import compressed, groups_of
from .space import Architecture
from .training import CycleGAN

ORIGINAL_FILE, COMPRESSED_FILE = "cyclegan.pt", "compressed.pt"


@dataclass(frozen=True)
class Saved:
    """What such a file holds.

    Args:
        gan: a :class:`~moonas.problems.cyclegan_pruning.training.CycleGAN`, on the CPU.
        about: a dict: shape (arguments of the original CycleGAN), side of its images in pixels,
            data, settings of the stage that wrote it, and of compressed generators encoding and
            masks, else None.
    """

    gan: CycleGAN
    about: dict

    @property
    def architecture(self):
        """The masks of compressed generators; None of an original."""
        masks = self.about["masks"]
        return None if masks is None else Architecture(tuple(masks["a"]), tuple(masks["b"]))


def write_gan(path, gan, settings, info, architecture=None, encoding=None):
    """Write a CycleGAN so that the file is whole or not there.

    Args:
        path: of the file.
        gan: a :class:`~moonas.problems.cyclegan_pruning.training.CycleGAN`.
        settings: of the stage that trained it.
        info: of the data.
        architecture: the masks of compressed generators.
        encoding: of these masks.
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in gan.state_dict().items()}
    masks = None if architecture is None else {"a": architecture.a, "b": architecture.b}
    free = free_names(settings)  # paths and devices
    about = {
        "shape": gan.shape,
        "side": info.side,
        "data": info.name,
        "settings": {k: v for k, v in to_json(settings).items() if k not in free},
        "encoding": encoding,
        "masks": masks,
    }
    held = {"about": json.dumps(about), "check": fingerprint(tensors), "tensors": tensors}
    buffer = io.BytesIO()
    torch.save(held, buffer)
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
        raise _no_weights(path, error) from None
    try:
        about, tensors = json.loads(found["about"]), found["tensors"]
        with torch.device("meta"):
            gan = CycleGAN(**about["shape"])
        saved = Saved(gan, about)
        if saved.architecture is not None:
            groups = groups_of(gan.generators["a"], about["encoding"])
            gan = compressed(gan, saved.architecture, groups)
        gan.load_state_dict(tensors, assign=True)
        good = fingerprint(tensors) == found["check"]
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise _no_weights(path, error) from None
    if not good:
        raise ValueError(f"{path} is damaged: it does not hold the tensors that were saved.")
    return Saved(gan.requires_grad_(True), about)


def _no_weights(path, error):
    reason = (str(error) or repr(error)).splitlines()[0]
    return ValueError(f"{path} holds no weights of a CycleGAN: {reason}")


def read_original(path, settings, info):
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
