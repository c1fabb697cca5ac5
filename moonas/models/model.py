"""Trained networks as files: what they are, and their weights, read without running any code.

A model takes pixels from 0 to 1 (or latents) and does the rest itself, so that whoever uses it
needs no knowledge of how it was trained.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import registry
from ..files.tensors import read_tensors, unreadable_file_error, write_tensors

MODEL = "model.pt"
DISCRIMINATOR = "discriminator"  # key of a header, and prefix of tensors
HOLDS = "a model of moonas"


class Model(nn.Module):
    """A trained network with what goes before and behind it.

    Args:
        network: the network itself.
        about: a dict that JSON can hold, see :func:`write_model`.
    """

    def __init__(self, network, about):
        super().__init__()
        self.network, self.about = network, about

    @property
    def input_shape(self):
        """Of one input, a tuple: (channels, side, side), or (latent,)."""
        return tuple(self.about["input_shape"])

    def example(self, n=2):
        """(n, *input_shape) inputs, the same every time."""
        rng = torch.Generator().manual_seed(0)
        draw = torch.randn if len(self.input_shape) == 1 else torch.rand
        return draw(n, *self.input_shape, generator=rng)


class Classifier(Model):
    """(b, channels, side, side) pixels from 0 to 1 -> (b, n_classes) logits.

    Attributes:
        classes: names of the classes, in the order of the logits.
    """

    def __init__(self, network, about):
        super().__init__(network, about)
        self.classes = tuple(about["classes"])
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(about[name]).reshape(1, -1, 1, 1))

    def forward(self, pixels):
        return self.network((pixels - self.mean) / self.std)


class Generator(Model):
    """(b, latent) numbers of a normal distribution -> (b, channels, side, side) pixels, 0 to 1."""

    def forward(self, latents):
        return (self.network(latents) + 1) / 2


class Translator(Model):
    """Pixels of images of one domain, (b, channels, side, side), 0 to 1 -> those of the other."""

    def forward(self, pixels):
        return (self.network(2 * pixels - 1) + 1) / 2


KINDS = {"classifier": Classifier, "generator": Generator, "translator": Translator}


def write_model(
    path: Path,
    network: nn.Module,
    about: dict[str, Any],
    discriminator: nn.Module | None = None,
) -> None:
    """Write a model to a file, atomically; see :mod:`moonas.files.tensors` for the format.

    Args:
        path: of the file.
        network: a module that ``build_network(about)`` of the problem's training builds again.
        about: a dict that JSON can hold: kind, a key of ``KINDS``; problem, by name; input_shape;
            for a classifier classes, mean and std, lists; and whatever ``build_network`` needs.
        discriminator: the network that a generator was trained against. Its tensors are stored
            under names that begin with "discriminator.", and ``about["discriminator"]`` says what
            they are the weights of. :func:`load_model` ignores both.
    """
    tensors = dict(network.state_dict())
    if discriminator is not None:
        weights = discriminator.state_dict()
        tensors |= {f"{DISCRIMINATOR}.{name}": t for name, t in weights.items()}
    write_tensors(path, tensors, about)


def read_model(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Tensor]]:
    """What a model file holds, see :func:`write_model`.

    Returns:
        (about, tensors of the network, tensors of the discriminator); the last is {} unless
        ``about`` has a "discriminator".

    Raises:
        ValueError: the file is missing or damaged, or holds no model.
    """
    about, tensors = read_tensors(path, content=HOLDS)
    prefix = f"{DISCRIMINATOR}." if DISCRIMINATOR in about else None
    network, discriminator = {}, {}
    for name, tensor in tensors.items():
        if prefix and name.startswith(prefix):
            discriminator[name.removeprefix(prefix)] = tensor
        else:
            network[name] = tensor
    return about, network, discriminator


def find_model(path: str | Path) -> Path:
    """The file of a model: the path itself, or the one file of it in a folder or its training.

    Raises:
        ValueError: the folder holds none, or several.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    found = sorted(path.glob("model*.pt")) or sorted(path.glob("training*/model*.pt"))
    if len(found) != 1:
        names = [str(p.relative_to(path)) for p in found] or "none"
        raise ValueError(
            f"{path} should hold one {MODEL}, or the training of one; it holds {names}. Name a "
            "file that moonas train has written."
        )
    return found[0]


def load_model(path: str | Path) -> Model:
    """A trained network of a file that ``moonas train`` has written.

    Args:
        path: of the file, or of the folder that it is in, or of the run whose training left it.

    Returns:
        A :class:`Model` in evaluation mode on the CPU, a ``torch.nn.Module``: a
        :class:`Classifier`, a :class:`Generator` or a :class:`Translator`.

    Raises:
        ValueError: the file is missing or damaged, or holds no model.
    """
    path = find_model(path)
    about, tensors, _ = read_model(path)
    if "in_words" in about:  # the key of files of earlier versions
        about["description"] = about.pop("in_words")
    try:
        kind = KINDS[about["kind"]]
        network = registry.training_module(about["problem"]).build_network(about)
        network.load_state_dict(tensors)
        model = kind(network, about)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise unreadable_file_error(path, HOLDS, error) from None
    return model.eval()
