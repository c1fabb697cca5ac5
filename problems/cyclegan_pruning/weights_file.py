"""Files with the weights of a CycleGAN and a description of its networks.

Pretraining and search write one file with all four networks. The final fine-tuning writes one model
file per generator, together with its discriminator. The four files that CycleGAN's own code
(junyanz/pytorch-CycleGAN-and-pix2pix) writes, or only those of the generators, can be read as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from moonas.files import sha256
from moonas.files.tensors import read_tensors, unreadable_file_error, write_tensors
from moonas.models.model import read_model, write_model
from moonas.nets.randomness import initial_weights
from moonas.settings import RunSettings, free_names, to_json

from . import networks
from .data import DomainsInfo, size_entries, size_of
from .masks import compress, filter_groups
from .settings import CycleSettings
from .space import Architecture
from .training import CycleGAN

ORIGINAL_FILE, COMPRESSED_FILE = "cyclegan.pt", "compressed.pt"
CONTENT_DESCRIPTION = "weights of a CycleGAN"
# File of CycleGAN's code -> our name of the network; its D_A scores images of B, as our "a" does.
RELEASED_FILES = {
    f"latest_net_{letter}_{domain.upper()}.pth": f"{kind}.{domain}"
    for letter, kind in (("G", "generators"), ("D", "discriminators"))
    for domain in "ab"
}
GENERATOR_FILES, DISCRIMINATOR_FILES = list(RELEASED_FILES)[:2], list(RELEASED_FILES)[2:]
NORM_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of old releases; unused


@dataclass(frozen=True)
class SavedGAN:
    """A CycleGAN with the description that was saved with it.

    Args:
        gan: the CycleGAN, on the CPU.
        about: description of the CycleGAN, with the keys "shape" (arguments of :class:`.CycleGAN`
            before pruning), "side" and "image_width" (see :func:`.size_entries`), "data" (name of
            the data set), "settings" (settings of the stage that wrote the file), and "encoding"
            and "masks" of the compressed generators (None for an original CycleGAN).
    """

    gan: CycleGAN
    about: dict[str, Any]

    @property
    def architecture(self) -> Architecture | None:
        """Masks of the compressed generators; None for an original CycleGAN."""
        return _architecture(self.about)


def describe_gan(
    gan: CycleGAN,
    settings: RunSettings,
    info: DomainsInfo,
    architecture: Architecture | None = None,
    encoding: str | None = None,
) -> dict[str, Any]:
    """Return the description of a CycleGAN, see :class:`SavedGAN`.

    Args:
        gan: the CycleGAN.
        settings: settings of the stage that trained it.
        info: description of the two domains.
        architecture: masks of the compressed generators; None for an original CycleGAN.
        encoding: encoding of the masks; None for an original CycleGAN.
    """
    masks = None if architecture is None else {"a": architecture.a, "b": architecture.b}
    excluded = free_names(settings)  # such as paths and devices
    if getattr(settings, "image_width", None) is None:  # files of earlier versions lack it
        excluded.add("image_width")
    return {
        "shape": gan.shape,
        **size_entries(info.size),
        "data": info.name,
        "settings": {k: v for k, v in to_json(settings).items() if k not in excluded},
        "encoding": encoding,
        "masks": masks,
    }


def write_gan(
    path: str | Path,
    gan: CycleGAN,
    settings: RunSettings,
    info: DomainsInfo,
    architecture: Architecture | None = None,
    encoding: str | None = None,
) -> None:
    """Write a CycleGAN to one file, atomically.

    Args:
        path: path of the file.
        gan: the CycleGAN.
        settings: settings of the stage that trained it.
        info: description of the two domains.
        architecture: masks of the compressed generators; None for an original CycleGAN.
        encoding: encoding of the masks; None for an original CycleGAN.
    """
    about = describe_gan(gan, settings, info, architecture, encoding)
    write_tensors(path, gan.state_dict(), about)


def read_gan(path: str | Path) -> SavedGAN:
    """Read a CycleGAN from a file, without executing code from the file.

    Raises:
        ValueError: the file is missing or damaged, or does not contain a CycleGAN.
    """
    about, tensors = read_tensors(path, content=CONTENT_DESCRIPTION)
    return _build(path, about, tensors)


def model_path(folder: str | Path, domain: str) -> Path:
    """Return the path of the model file of the generator from domain "a" or "b"."""
    return Path(folder) / f"model-{domain}.pt"


def write_models(folder: str | Path, gan: CycleGAN, about: dict[str, Any]) -> None:
    """Write one model file per compressed generator, together with its discriminator.

    Args:
        folder: folder to write to.
        gan: the compressed CycleGAN.
        about: result of :func:`describe_gan`.
    """
    shape = about["shape"]
    architecture = _architecture(about)
    for domain, generator in gan.generators.items():
        model = {
            "kind": "translator",
            "problem": "cyclegan-pruning",
            "from_domain": domain,
            "description": str(architecture),
            "input_shape": [shape.get("image_channels", 3), *size_of(about)],
            "discriminator": {"width": shape["d_width"], "layers": shape["d_layers"]},
        }
        write_model(
            model_path(folder, domain), generator, model | about, gan.discriminators[domain]
        )


def read_models(folder: str | Path) -> SavedGAN:
    """Read the compressed CycleGAN that ``moonas train`` wrote to a folder as two model files.

    To load a single generator as a model from pixels to pixels, use :func:`moonas.load_model`.

    Raises:
        ValueError: a file is missing or damaged, or does not contain a generator with its
            discriminator. Earlier versions wrote model files without discriminators, next to a
            compressed.pt.
    """
    tensors: dict[str, Tensor] = {}
    headers = []
    for domain in "ab":
        path = model_path(folder, domain)
        about, generator, discriminator = read_model(path)
        tensors |= {f"generators.{domain}.{name}": t for name, t in generator.items()}
        tensors |= {f"discriminators.{domain}.{name}": t for name, t in discriminator.items()}
        headers.append({key: value for key, value in about.items() if key != "from_domain"})
    if headers[0] != headers[1]:
        raise ValueError(f"The two model files in {folder} come from different runs.")
    return _build(path, headers[0], tensors)


def _build(path: str | Path, about: dict[str, Any], tensors: dict[str, Tensor]) -> SavedGAN:
    """Build the CycleGAN from the description and the tensors in a file."""
    try:
        with torch.device("meta"):
            gan = CycleGAN(**about["shape"])
        architecture = _architecture(about)
        if architecture is not None:
            groups = filter_groups(gan.generators["a"], about["encoding"])
            gan = compress(gan, architecture, groups)
        gan.load_state_dict(tensors, assign=True)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise unreadable_file_error(path, CONTENT_DESCRIPTION, error) from None
    return SavedGAN(gan.requires_grad_(True), about)


def _architecture(about: dict[str, Any]) -> Architecture | None:
    masks = about["masks"]
    return None if masks is None else Architecture(tuple(masks["a"]), tuple(masks["b"]))


def weights_files(path: str | Path) -> list[Path]:
    """Return the files from which :func:`read_original` reads a CycleGAN.

    Args:
        path: file that this module wrote, one of ``RELEASED_FILES``, or a folder with
            ``RELEASED_FILES``, of which both discriminators may be missing.

    Raises:
        ValueError: a file is missing.
    """
    path = Path(path)
    folder = path.parent if path.name in RELEASED_FILES else path
    if path.name not in RELEASED_FILES and not path.is_dir():
        return [path]
    missing = [name for name in RELEASED_FILES if not (folder / name).is_file()]
    if missing == DISCRIMINATOR_FILES:
        return [folder / name for name in GENERATOR_FILES]
    if len(missing) == 1 and missing[0] in DISCRIMINATOR_FILES:
        (found,) = set(DISCRIMINATOR_FILES) - set(missing)
        raise ValueError(
            f"weights={str(path)!r} is invalid: {folder} contains {found} but not {missing[0]}. "
            f"Add it, or remove {found}; then both discriminators are trained."
        )
    if missing:
        raise ValueError(
            f"weights={str(path)!r} is invalid: {folder} does not contain {', '.join(missing)}. "
            f"Expected a cyclegan.pt, or a folder with {', '.join(RELEASED_FILES)}."
        )
    return [folder / name for name in RELEASED_FILES]


def lacks_discriminators(path: str | Path) -> bool:
    """Return whether the files of a CycleGAN contain the generators only.

    Args:
        path: see :func:`weights_files`.

    Raises:
        ValueError: a file is missing.
    """
    return len(weights_files(path)) == len(GENERATOR_FILES)


def weights_checksum(path: str | Path) -> str:
    """Return a checksum of the files from which :func:`read_original` reads a CycleGAN.

    Args:
        path: see :func:`weights_files`.

    Raises:
        ValueError: a file is missing.
    """
    digests = [sha256(file) for file in weights_files(path)]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def read_original(
    path: str | Path, settings: CycleSettings, info: DomainsInfo, seed: int = 0
) -> CycleGAN:
    """Read a CycleGAN before compression and check that its networks match the settings.

    The networks are fully convolutional, so the CycleGAN may have been trained on images of another
    size or another folder.

    Args:
        path: see :func:`weights_files`.
        settings: settings of the stage.
        info: description of the two domains.
        seed: seed of the initial weights of the discriminators if the files contain none.

    Raises:
        ValueError: the CycleGAN is already compressed, or its networks differ from the settings;
            for other errors, see :func:`read_gan` and :func:`weights_files`.
    """
    files = weights_files(path)
    saved = read_gan(files[0]) if len(files) == 1 else read_released(files, settings, seed)
    if saved.architecture is not None:
        raise ValueError(f"The generators in {path} are already compressed.")
    expected, actual = settings.network_shape, saved.about["shape"]
    expected, actual = ({"image_channels": 3} | shape for shape in (expected, actual))
    names = [name for name in expected if expected[name] != actual[name]]
    if names:
        expected_text, actual_text = (
            " ".join(f"{k}={v[k]}" for k in names) for v in (expected, actual)
        )
        raise ValueError(
            f"The CycleGAN in {path} does not match the settings: expected {expected_text}, got "
            f"{actual_text}. Set {actual_text} (--set {actual_text})."
        )
    return saved.gan


def read_released(files: Sequence[Path], settings: CycleSettings, seed: int = 0) -> SavedGAN:
    """Read a CycleGAN from the files that CycleGAN's own code writes.

    Their layers have the same order as here and different names. Code in the files is not executed.

    Args:
        files: the paths of ``RELEASED_FILES``, in order, with or without the discriminators.
        settings: settings that define the shape of missing discriminators, which are untrained.
        seed: seed of their initial weights.

    Raises:
        ValueError: a file does not contain the network that its name promises.
    """
    tensors: dict[str, Tensor] = {}
    for file in files:
        network = RELEASED_FILES[file.name]
        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
            for name, tensor in state.items():
                if not name.endswith(NORM_STATISTICS):
                    tensors[f"{network}.{_our_name(name)}"] = tensor.float()
        except Exception as error:  # torch raises various exceptions for other kinds of files
            raise unreadable_file_error(file, CONTENT_DESCRIPTION, error) from None
    kernels = [name for name in tensors if name.endswith(".weight")]
    generator, discriminator = (
        [name for name in kernels if name.startswith(prefix)]
        for prefix in ("generators.a.", "discriminators.a.")
    )
    is_complete = len(files) == len(RELEASED_FILES)
    is_readable = bool(generator) and tensors[generator[0]].dim() == 4
    if not is_readable or is_complete != bool(discriminator):
        raise ValueError(f"{files[0].parent} does not contain the {CONTENT_DESCRIPTION}.")
    shape = dict(
        width=len(tensors[generator[0]]),
        blocks=sum(name.endswith(".body.1.weight") for name in generator),
        d_width=len(tensors[discriminator[0]]) if is_complete else settings.d_width,
        d_layers=len(discriminator) - 2 if is_complete else settings.d_layers,
    )
    channels = tensors[generator[0]].shape[1]
    if channels != 3:
        shape["image_channels"] = channels
    if not is_complete:
        options = dict(width=settings.d_width, layers=settings.d_layers)
        with initial_weights(seed, "discriminators"):
            untrained = {k: networks.discriminator(channels, **options) for k in "ab"}
        for k, net in untrained.items():
            tensors |= {f"discriminators.{k}.{name}": t for name, t in net.state_dict().items()}
    about = {"shape": shape, "side": None, "data": None, "encoding": None, "masks": None}
    return _build(files[0], about, tensors)


def _our_name(name: str) -> str:
    """Return our name of a tensor in a file of CycleGAN's code.

    The second convolution of a residual block is layer 6 there if dropout precedes it.
    """
    name = name.removeprefix("module.").removeprefix("model.").replace(".conv_block.", ".body.")
    return name.replace(".body.6.", ".body.5.")
