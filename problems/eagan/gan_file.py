"""Files that contain a GAN: gan.json and gan.pt of a search, model.pt of a full training."""

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
from moonas.files.tensors import part_of_state, read_tensors, unreadable_file_error, write_tensors
from moonas.models.model import MODEL, find_model, read_model
from moonas.run.stage import read_stage_result
from moonas.training.sgd import training_state

from . import zoo
from .discriminator_net import Discriminator, SimpleDiscriminator
from .generator_net import Generator
from .settings import SIMPLE_DISCRIMINATOR, GanSettings
from .space import CHANNEL_SCHEDULES

GAN_FILE, WEIGHTS_FILE = "gan.json", "gan.pt"
CONTENT_DESCRIPTION = "weights of a GAN"
PAPER_SIDE = 32  # smallest images of the paper, in pixels
SCALE_OF_SMALL_IMAGES = 10.0  # scores are sums over the last feature map, which is smaller


def write_gan(
    settings: GanSettings,
    info: DataInfo,
    generator: Generator,
    discriminator: nn.Module,
    folder: Path,
    optimizer: Optimizer | None = None,
    **entries: Any,
) -> None:
    """Write the GAN that a search picked: its weights to gan.pt, its description to gan.json.

    Args:
        settings: settings of the search.
        info: description of the data set.
        generator: stand-alone generator.
        discriminator: stand-alone discriminator.
        folder: folder that receives both files.
        optimizer: optimizer of the generator; its state is written to gan.pt. None to write no
            state.
        entries: additional entries of gan.json.
    """
    tensors = training_state(generator, optimizer, "generator.")
    tensors |= training_state(discriminator, None, "discriminator.")
    about = {
        "generator": str(generator.architecture),
        "discriminator": discriminator_text(discriminator),
        "generator_shape": generator_shape(settings, info),
        "discriminator_shape": discriminator_shape(settings, info),
    }
    write_tensors(folder / WEIGHTS_FILE, tensors, {})
    write_json(folder / GAN_FILE, about | entries)


def read_generator(path: str | Path) -> dict[str, Tensor]:
    """Read the state of a generator, in the format of :func:`moonas.training.sgd.training_state`.

    Args:
        path: path of a gan.pt or model.pt.

    Raises:
        ValueError: the file is missing or damaged, or does not contain a GAN.
    """
    if Path(path).name == MODEL:
        return {f"weights.{name}": tensor for name, tensor in read_model(path)[1].items()}
    state: dict[str, Tensor] = part_of_state(
        read_tensors(path, content=CONTENT_DESCRIPTION)[1], "generator"
    )
    return state


def generator_file(folder: str | Path) -> Path:
    """Return the file that contains the generator of a run.

    Args:
        folder: run folder.

    Returns:
        Path of the gan.pt of a search, or of the model.pt of a full training.
    """
    folder = Path(folder)
    trained = (folder / MODEL).exists() and not (folder / GAN_FILE).exists()
    return folder / (MODEL if trained else WEIGHTS_FILE)


def read_gan(folder: str | Path) -> dict[str, Any]:
    """Read the description of a GAN from the gan.json of a search or the model.pt of a training.

    Args:
        folder: run folder.

    Returns:
        A dict with the texts ``generator`` and ``discriminator``; ``generator_shape`` and
        ``discriminator_shape``, the keyword arguments that build both networks; and, for a search,
        ``calls``, the number of calls in its journal.

    Raises:
        ValueError: the folder contains neither file, or the file is damaged.
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

    def check_keys(gan: dict[str, Any]) -> dict[str, Any]:
        shapes = ("generator_shape", "discriminator_shape")
        for key in ("generator", "discriminator", *shapes, "calls"):
            gan[key]
        return gan

    gan: dict[str, Any] = read_stage_result(
        folder, GAN_FILE, "eagan-generator or eagan-discriminator", check_keys
    )
    return gan


@dataclass(frozen=True)
class TrainedGan:
    """The generator and the discriminator in a ``model.pt``, on the CPU and in evaluation mode.

    Args:
        generator: network that maps latent vectors (b, latent) to images
            (b, in_channels, side, side) in [-1, 1].
        discriminator: network that maps images in [-1, 1] to scores (b,).
        about: header of the model.pt.
    """

    generator: Generator
    discriminator: Discriminator | SimpleDiscriminator
    about: dict[str, Any]


def read_trained_gan(path: str | Path) -> TrainedGan:
    """Read the GAN that ``moonas train`` wrote.

    :func:`moonas.load_model` reads only the generator, as a model that maps latent vectors to
    pixels.

    Args:
        path: path of the model.pt, or of the folder that contains it.

    Raises:
        ValueError: the file is missing or damaged, or does not contain both networks. Early
            versions stored both in a separate gan.pt.
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
    text: str | None,
    side: int,
    shape: dict[str, Any],
    n_cells: int | None = None,
    *,
    repair: bool = False,
) -> Callable[[], Discriminator | SimpleDiscriminator]:
    """Return a function whose calls each build a new untrained discriminator.

    Args:
        text: "simple", or a text for :func:`moonas.problems.eagan.zoo.find_discriminator`.
        side: side length of the images in pixels.
        shape: keyword arguments of the discriminator, see :func:`discriminator_shape`.
        n_cells: number of cells that the discriminator must have; by default, any number.
        repair: whether to modify an architecture that is legal only for larger images.

    Raises:
        ValueError: the text does not describe a discriminator.
    """
    if text == SIMPLE_DISCRIMINATOR:
        shape = {name: value for name, value in shape.items() if name != "channel_schedule"}
        return partial(SimpleDiscriminator, side, **shape)
    architecture = zoo.find_discriminator(text, side, n_cells, repair=repair)
    return partial(Discriminator, architecture, **shape)


def discriminator_text(discriminator: nn.Module) -> str:
    """Return the text from which :func:`discriminator_builder` builds this discriminator."""
    return str(getattr(discriminator, "architecture", SIMPLE_DISCRIMINATOR))


def generator_shape(settings: GanSettings, info: DataInfo) -> dict[str, Any]:
    """Return the keyword arguments that build a generator for a data set."""
    return dict(
        channels=settings.channels,
        latent=settings.latent,
        side=info.side,
        in_channels=info.channels,
    ) | _schedule(settings)


def discriminator_shape(settings: GanSettings, info: DataInfo) -> dict[str, Any]:
    """Return the keyword arguments that build a discriminator for a data set."""
    default_scale = SCALE_OF_SMALL_IMAGES if info.side < PAPER_SIDE else 1.0
    return dict(
        channels=settings.d_channels,
        in_channels=info.channels,
        spectral=settings.spectral,
        scale=default_scale if settings.scale is None else settings.scale,
    ) | _schedule(settings)


def _schedule(settings: GanSettings) -> dict[str, str]:
    """Return the channel schedule as a keyword argument, unless it is the default.

    Files of networks with three cells, to which schedules do not apply, thus remain the same.
    """
    schedule = settings.channel_schedule
    return {} if schedule == CHANNEL_SCHEDULES[0] else {"channel_schedule": schedule}
