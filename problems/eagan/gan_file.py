"""The GAN that a search or a training leaves: gan.json says what it is, gan.pt has the weights."""

import json
from pathlib import Path

from moonas.files import write_atomically
from moonas.journal import to_bytes
from moonas.nets.training import part_of_state, training_state

GAN, WEIGHTS = "gan.json", "gan.pt"
SIMPLE = "simple"  # the discriminator of EAGAN-GD2, in words


def write_gan(stage, generator, discriminator, folder, optimizer=None, **more):
    """Write the weights of a GAN, and what they are the weights of.

    Args:
        stage: whose settings and data it was made with.
        generator: a :class:`~problems.eagan.networks.Generator`.
        discriminator: a module; one of the space has an ``architecture``.
        folder: to write into.
        optimizer: of the generator, for its memory.
        more: what else gan.json tells.
    """
    tensors = {f"generator.{k}": v for k, v in generator.state_dict().items()}
    tensors |= {f"discriminator.{k}": v for k, v in discriminator.state_dict().items()}
    if optimizer is not None:
        memory = part_of_state(training_state(generator, optimizer), "memory")
        tensors |= {f"memory.{name}": tensor for name, tensor in memory.items()}
    write_atomically(folder / WEIGHTS, to_bytes(tensors))
    words = {
        "generator": str(generator.architecture),
        "discriminator": str(getattr(discriminator, "architecture", SIMPLE)),
        "generator_shape": generator_shape(stage.settings, stage.info),
        "discriminator_shape": discriminator_shape(stage.settings, stage.info),
    }
    write_atomically(folder / GAN, (json.dumps(words | more, indent=1) + "\n").encode())


def read_gan(folder):
    """What a search has left in its gan.json, a dict.

    Raises:
        ValueError: there is none, or the file is damaged.
    """
    path = Path(folder) / GAN
    if not path.exists():
        raise ValueError(
            f"{folder} holds no {GAN}: it is no run of EAGAN, or that has not ended. A search of "
            "several stages has each in a folder of its own, such as eagan-generator."
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        for key in (
            "generator",
            "discriminator",
            "generator_shape",
            "discriminator_shape",
            "calls",
        ):
            found[key]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {error!r}") from None
    return found


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
