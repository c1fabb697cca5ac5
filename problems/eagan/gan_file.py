"""The GAN that a search or a training leaves: gan.json says what it is, gan.pt has the weights."""

import json

import torch

from moonas.files import write_atomically
from moonas.run.journal import to_bytes
from moonas.run.stage import read_left
from moonas.training.sgd import part_of_state, training_state

GAN, WEIGHTS = "gan.json", "gan.pt"
SIMPLE = "simple"  # the discriminator of EAGAN-GD2, in words


def write_gan(stage, generator, discriminator, folder, optimizer=None, **more):
    """Write the weights of a GAN, and what they are the weights of.

    Args:
        stage: whose settings and data it was made with.
        generator: a :class:`~moonas.problems.eagan.generator_net.Generator`.
        discriminator: a module; one of the space has an ``architecture``.
        folder: to write into.
        optimizer: of the generator, for its memory.
        more: what else gan.json tells.
    """
    tensors = training_state(generator, optimizer, "generator.")
    tensors |= training_state(discriminator, None, "discriminator.")
    write_atomically(folder / WEIGHTS, to_bytes(tensors))
    words = {
        "generator": str(generator.architecture),
        "discriminator": str(getattr(discriminator, "architecture", SIMPLE)),
        "generator_shape": generator_shape(stage.settings, stage.info),
        "discriminator_shape": discriminator_shape(stage.settings, stage.info),
    }
    write_atomically(folder / GAN, (json.dumps(words | more, indent=1) + "\n").encode())


def read_generator(path):
    """The state of a generator in a file gan.pt, see :func:`~moonas.training.sgd.training_state`.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged archive makes torch raise
        raise ValueError(f"{path} is damaged: {str(error).splitlines()[0]}") from None
    return part_of_state(tensors, "generator")


def read_gan(folder):
    """What a search has left in its gan.json, a dict.

    Raises:
        ValueError: there is none, or the file is damaged.
    """

    def checked(found):
        shapes = ("generator_shape", "discriminator_shape")
        for key in ("generator", "discriminator", *shapes, "calls"):
            found[key]
        return found

    return read_left(folder, GAN, "eagan-generator or eagan-discriminator", checked)


def generator_shape(settings, info):
    """Arguments of generators for some data."""
    return dict(
        channels=settings.channels,
        latent=settings.latent,
        side=info.side,
        in_channels=info.channels,
    )


def discriminator_shape(settings, info):
    """Arguments of discriminators for some data."""
    return dict(
        channels=settings.d_channels,
        in_channels=info.channels,
        spectral=settings.spectral,
        scale=settings.scale,
    )
