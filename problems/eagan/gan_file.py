"""Files with a GAN: gan.json and gan.pt of a search, model.pt of a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from moonas.data.images import DataInfo
from moonas.files import write_json
from moonas.files.tensors import read_tensors, unreadable_file_error, write_tensors
from moonas.models.model import MODEL, find_model, read_model
from moonas.run.stage import Stage, read_stage_result
from moonas.training.sgd import part_of_state, training_state

from . import zoo
from .discriminator_net import Discriminator, SimpleDiscriminator
from .generator_net import Generator
from .settings import SIMPLE

GAN, WEIGHTS = "gan.json", "gan.pt"
HOLDS = "weights of a GAN"


def write_gan(
    stage: Stage,
    generator: Generator,
    discriminator: nn.Module,
    folder: Path,
    optimizer: Optimizer | None = None,
    **more: Any,
) -> None:
    """Write what a search leaves: the weights of a GAN, and what they are the weights of.

    Args:
        stage: whose settings and data it was made with.
        generator: a :class:`~moonas.problems.eagan.generator_net.Generator`.
        discriminator: a module; one of the space has an ``architecture``.
        folder: to write into.
        optimizer: of the generator, for its memory.
        more: further entries of gan.json.
    """
    tensors = training_state(generator, optimizer, "generator.")
    tensors |= training_state(discriminator, None, "discriminator.")
    about = {
        "generator": str(generator.architecture),
        "discriminator": discriminator_text(discriminator),
        "generator_shape": generator_shape(stage.settings, stage.info),
        "discriminator_shape": discriminator_shape(stage.settings, stage.info),
    }
    write_tensors(folder / WEIGHTS, tensors, {})
    write_json(folder / GAN, about | more)


def read_generator(path: str | Path) -> dict[str, Tensor]:
    """The state of a generator in a gan.pt or model.pt, as of :func:`.training.sgd.training_state`.

    Raises:
        ValueError: the file is missing or damaged, or holds something else.
    """
    if Path(path).name == MODEL:
        return {f"weights.{name}": tensor for name, tensor in read_model(path)[1].items()}
    return part_of_state(read_tensors(path, content=HOLDS)[1], "generator")


def generator_file(folder: str | Path) -> Path:
    """The file of a generator in a run folder: gan.pt of a search, model.pt of a training."""
    folder = Path(folder)
    trained = (folder / MODEL).exists() and not (folder / GAN).exists()
    return folder / (MODEL if trained else WEIGHTS)


def read_gan(folder: str | Path) -> dict[str, Any]:
    """What a search has left in its gan.json, or a training in its model.pt.

    Returns:
        A dict: generator and discriminator, texts; generator_shape and discriminator_shape, their
        arguments; of a search also calls, the length of its journal.

    Raises:
        ValueError: there is none, or the file is damaged.
    """
    path = generator_file(folder)
    if path.name == MODEL:
        about = read_model(path)[0]
        try:
            return {
                "generator": about["generator"],
                "generator_shape": about["shape"],
                "discriminator": about["discriminator"]["architecture"],
                "discriminator_shape": about["discriminator"]["shape"],
            }
        except (KeyError, TypeError) as error:
            raise unreadable_file_error(path, "a GAN of a training", error) from None

    def checked(found):
        shapes = ("generator_shape", "discriminator_shape")
        for key in ("generator", "discriminator", *shapes, "calls"):
            found[key]
        return found

    return read_stage_result(folder, GAN, "eagan-generator or eagan-discriminator", checked)


@dataclass(frozen=True)
class TrainedGan:
    """Both networks of a ``model.pt``, on the CPU and in evaluation mode.

    Args:
        generator: (b, latent) -> (b, in_channels, side, side) images in [-1, 1].
        discriminator: images in [-1, 1] -> (b,).
        about: the header of the file.
    """

    generator: Generator
    discriminator: Discriminator | SimpleDiscriminator
    about: dict[str, Any]


def read_trained_gan(path: str | Path) -> TrainedGan:
    """The GAN that ``moonas train`` has left.

    :func:`moonas.load_model` reads the generator alone, as a model from latents to pixels.

    Args:
        path: of the model.pt, or of the folder that it is in.

    Raises:
        ValueError: the file is missing or damaged, or holds no generator with its discriminator.
            Model files of versions that wrote a gan.pt beside them are such.
    """
    path = find_model(path)
    about, weights, d_weights = read_model(path)
    try:
        generator = Generator(zoo.find_generator(about["generator"]), **about["shape"])
        generator.load_state_dict(weights)
        described, side = about["discriminator"], about["shape"]["side"]
        build = discriminator_builder(described["architecture"], side, described["shape"])
        discriminator = build()
        discriminator.load_state_dict(d_weights)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise unreadable_file_error(path, "a GAN of a training", error) from None
    return TrainedGan(generator.eval(), discriminator.eval(), about)


def discriminator_builder(
    text: str | None, side: int, shape: dict[str, Any], *, mend: bool = False
) -> Callable[[], Discriminator | SimpleDiscriminator]:
    """A function that returns an untrained discriminator, another one at each call.

    Args:
        text: see :func:`moonas.problems.eagan.zoo.find_discriminator`, or "simple".
        side: of the images in pixels.
        shape: see :func:`discriminator_shape`.
        mend: change the architecture where it is not legal for these images.

    Raises:
        ValueError: the text names no discriminator.
    """
    if text == SIMPLE:
        return partial(SimpleDiscriminator, side, **shape)
    return partial(Discriminator, zoo.find_discriminator(text, side, mend=mend), **shape)


def discriminator_text(discriminator: nn.Module) -> str:
    """The text from which :func:`discriminator_builder` builds the same discriminator again."""
    return str(getattr(discriminator, "architecture", SIMPLE))


def generator_shape(settings: Any, info: DataInfo) -> dict[str, Any]:
    """Arguments of generators for some data."""
    return dict(
        channels=settings.channels,
        latent=settings.latent,
        side=info.side,
        in_channels=info.channels,
    )


def discriminator_shape(settings: Any, info: DataInfo) -> dict[str, Any]:
    """Arguments of discriminators for some data."""
    return dict(
        channels=settings.d_channels,
        in_channels=info.channels,
        spectral=settings.spectral,
        scale=settings.scale,
    )
