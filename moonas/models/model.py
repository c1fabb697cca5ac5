"""Trained networks as files: what they are, and their weights, read without running any code.

A model takes pixels from 0 to 1 (or latents) and does the rest itself, so that whoever uses it
needs no knowledge of how it was trained.
"""

import io
import json
from pathlib import Path

import torch
from torch import nn

from .. import registry
from ..files import write_atomically
from ..run.journal import fingerprint

FORMAT = 1
MODEL = "model.pt"


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


def write_model(path, network, about):
    """Write a model so that the file is whole or not there.

    Args:
        path: of the file.
        network: a module that ``build_network(about)`` of the problem's training gives anew.
        about: a dict that JSON can hold: kind, a key of ``KINDS``; problem, by name; input_shape;
            for a classifier classes, mean and std, lists; and whatever ``build_network`` wants.
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
    held = {
        "format": FORMAT,
        "about": json.dumps(about),
        "check": fingerprint(tensors),
        "tensors": tensors,
    }
    buffer = io.BytesIO()
    torch.save(held, buffer)
    write_atomically(path, buffer.getvalue())


def find_model(path):
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


def load_model(path):
    """A trained network of a file that ``moonas train`` has written.

    Args:
        path: of the file, or of the folder that it is in, or of the run whose training left it.

    Returns:
        A :class:`Model` in evaluation mode on the CPU, a ``torch.nn.Module``: a
        :class:`Classifier`, a :class:`Generator` or a :class:`Translator`.

    Raises:
        ValueError: there is no such file, it is damaged, or no model of moonas.
    """
    path = find_model(path)
    try:
        with open(path, "rb") as file:
            held = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"{path} is not there.") from None
    except Exception as error:  # whatever a damaged archive makes torch raise
        raise _no_model(path, error) from None
    try:
        form, about, tensors = held["format"], json.loads(held["about"]), held["tensors"]
        good = fingerprint(tensors) == held["check"]
        kind = KINDS[about["kind"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _no_model(path, error) from None
    if form != FORMAT:
        raise ValueError(f"{path} has format {form}; this version of moonas reads {FORMAT}.")
    if not good:
        raise ValueError(f"{path} is damaged: it does not hold the tensors that were saved.")
    try:
        network = registry.training_module(about["problem"]).build_network(about)
        network.load_state_dict(tensors)
        model = kind(network, about)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise _no_model(path, error) from None
    return model.eval()


def _no_model(path, error):
    reason = (str(error) or repr(error)).splitlines()[0]
    return ValueError(f"{path} holds no model of moonas: {reason}")
