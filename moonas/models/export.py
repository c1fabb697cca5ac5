"""Export of trained models to ONNX, to ``torch.export`` programs, or to a readable Python file.

Each exported file is run before it takes its place, and discarded if its outputs differ from the
outputs of the model: a failed export changes no earlier file. Exported files support any batch
size, and images of any height and width if the network and the format allow it. They describe their
inputs and outputs.
"""

from __future__ import annotations

import importlib.util
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim

from ..deprecation import renamed_arguments
from ..files import write_atomically
from ..files.tensors import first_line, read_tensors, write_state_dict
from .card import write_card
from .description import ImageSizes, describe_model
from .model import Classifier, Model
from .onnx_files import onnx_function, onnx_program, require_onnx, require_packages, save_onnx
from .predict_script import write_predict_script
from .python_source import python_source

FORMATS = ("onnx", "torch-export", "python", "safetensors")
TOLERANCE = 1e-4  # maximum absolute difference between outputs of an exported file and the model
BATCH_SIZES = (1, 3, 8)  # of the inputs for comparing outputs
FILE_ENDINGS = {"onnx": ".onnx", "torch-export": ".pt2", "python": ".py", "safetensors": ".py"}
WEIGHTS_ENDINGS = {"python": ".pt", "safetensors": ".safetensors"}  # of a second file
MULTIPLES = (1, 2, 4, 8, 16, 32)  # sides of images may have to be multiples of one of them

Run = Callable[[Tensor], Tensor]  # the model, or an exported file


@dataclass(frozen=True)
class Exported:
    """An exported file that has been verified.

    Args:
        path: path of the file.
        difference: the largest absolute difference between the outputs of the file and the model.
        sizes: sizes of images that the file accepts, or None if it accepts one size only.
        reason: why the file accepts one size only; empty if the input is not an image, or if
            ``sizes`` is not None.
        script: path of ``predict.py``; None unless the model is a classifier.
        card: path of the model card, see :mod:`.card`.
    """

    path: Path
    difference: float
    sizes: ImageSizes | None
    reason: str = ""
    script: Path | None = None
    card: Path | None = None


@renamed_arguments(form="format")
def export(model: Model, path: str | Path, format: str) -> float:
    """Write a model to a file that runs without moonas, and verify the outputs of the file.

    Args:
        model: the model, which is moved to the CPU and set to evaluation mode.
        path: path of the file, with the ending of the format in ``FILE_ENDINGS``, which is added to
            a name without an ending. The formats "python" and "safetensors" write a Python file,
            and the weights to a second file with the suffix ``.pt`` or ``.safetensors`` in the same
            folder. For a classifier, ``predict.py`` in this folder predicts the classes of image
            files with the exported file, see :mod:`.predict_script`. The model card ``model.md``
            says what is known about the model.
        format: one of ``FORMATS``.

    Returns:
        The largest absolute difference between the outputs of the file and the model, for several
        batch sizes and, where the file accepts them, several sizes of images.

    Raises:
        ValueError: if the format is unknown, the file has another ending, its weights would replace
            a trained model, a required package is not installed, the model cannot be exported, or
            the outputs differ by more than ``TOLERANCE``.
    """
    return export_file(model, path, format).difference


def export_file(
    model: Model, path: str | Path, format: str, *, training: Path | None = None
) -> Exported:
    """Write a model to a file as :func:`export` does, and return which images the file accepts.

    Args:
        model: see :func:`export`, as the next two.
        path: see there.
        format: see there.
        training: folder of the training, from which the model card takes the recipe and the
            measurements.

    Whether the file accepts images of any height and width is found by trying: the model runs on
    images of other sizes, and the outputs of the file are compared with its outputs. If the model,
    the format or the file does not allow other sizes, the file accepts one size.
    """
    if format not in FORMATS:
        raise ValueError(f"Unknown format {format!r}; choose from {list(FORMATS)}.")
    path = _with_ending(Path(path), format)
    names = [path.name]
    if format in WEIGHTS_ENDINGS:
        weights = path.with_suffix(WEIGHTS_ENDINGS[format])
        _check_replaceable(weights)
        names.insert(0, weights.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    model = model.cpu().eval()
    with tempfile.TemporaryDirectory(prefix=".export-", dir=path.parent) as folder:
        difference, sizes, reason = _write_verified(model, Path(folder) / path.name, format)
        for name in names:
            (Path(folder) / name).replace(path.with_name(name))
    script = write_predict_script(model, path) if isinstance(model, Classifier) else None
    card = write_card(model, path, training=training, sizes=sizes)
    return Exported(path, difference, sizes, reason, script, card)


def _with_ending(path: Path, format: str) -> Path:
    """Return a path with the ending of a format, by which other functions recognize the format."""
    ending = FILE_ENDINGS[format]
    if not path.suffix:
        return path.with_name(f"{path.name}{ending}")
    if path.suffix != ending:
        raise ValueError(
            f"{path} is invalid for the format {format}: expected the ending {ending}."
        )
    return path


def _check_replaceable(weights: Path) -> None:
    """Raise a ``ValueError`` if a file exists that is not the weights of an earlier export."""
    if not weights.exists() or weights.suffix != WEIGHTS_ENDINGS["python"]:
        return
    try:
        is_export = read_tensors(weights)[0] == {}  # plain tensors, without a header
    except ValueError:
        is_export = False
    if not is_export:
        raise ValueError(
            f"The weights would replace {weights}, which is not the weights of an earlier export: "
            "choose another file name."
        )


def _write_verified(model: Model, path: Path, format: str) -> tuple[float, ImageSizes | None, str]:
    """Write a file, and compare its outputs with the outputs of the model.

    Args:
        model: the model, on the CPU and in evaluation mode.
        path: path of the file, in a folder for files that are not verified.
        format: see :func:`export`.

    Returns:
        The values of :class:`Exported` that describe the file: (difference, sizes, reason).

    Raises:
        ValueError: see :func:`export`.
    """
    write: dict[str, Callable[[Model, Path, ImageSizes | None], tuple[Run, ImageSizes | None]]] = {
        "onnx": _write_onnx,
        "torch-export": _write_torch_export,
        "python": _write_python,
        "safetensors": partial(_write_python, format="safetensors"),
    }
    accepted, reason = accepted_sizes(model), ""
    sizes = None
    try:
        if accepted is not None:
            try:
                run, sizes = write[format](model, path, accepted)
                if sizes is None:
                    reason = "with other sizes, the outputs of the file differ from the model"
            except OSError:
                raise
            except Exception as error:  # tracers and runtimes raise many types of exceptions
                reason = f"the export with other sizes failed: {first_line(error)}"
        elif len(model.input_shape) > 1:
            reason = "the network does not accept other sizes"
        if sizes is None:
            run, _ = write[format](model, path, None)
        difference = _largest_difference(model, run, sizes)
    except (ValueError, OSError):
        raise
    except Exception as error:
        raise ValueError(
            f"The model cannot be exported as {format}: {first_line(error)}"
        ) from error
    if not difference <= TOLERANCE:
        raise ValueError(
            f"The outputs of the exported {format} file differ from the model by {difference:.2g}, "
            f"more than {TOLERANCE:g}. No file was written."
        )
    return difference, sizes, reason


@torch.inference_mode()
def accepted_sizes(model: Model, run: Run | None = None) -> ImageSizes | None:
    """Find the sizes of images that a model accepts, by running it on images of several sizes.

    A size is accepted if the outputs have the shape that they have for images of the training size;
    images in the output have the size of the input.

    Args:
        model: the model, on the CPU and in evaluation mode.
        run: an exported file; if given, its outputs must equal those of the model as well.

    Returns:
        The smallest possible multiple and, for it, the smallest power of two times the multiple
        that is accepted; None if the input is not an image or no other size is accepted.
    """
    if len(model.input_shape) != 3:
        return None
    _, height, width = model.input_shape
    trained_shape = model(model.example(1)).shape
    tried: dict[tuple[int, int], bool] = {}

    def accepts(size: tuple[int, int]) -> bool:
        if size not in tried:
            expected = list(trained_shape)
            if expected[2:] == [height, width]:
                expected[2:] = size
            try:
                x = model.example(1, size)
                tried[size] = list(model(x).shape) == expected and (
                    run is None or _difference(model, run, x) <= TOLERANCE
                )
            except Exception:  # networks and runtimes raise many types of exceptions
                tried[size] = False
        return tried[size]

    for k in MULTIPLES:
        if height % k or width % k:
            break
        for least in (k * 2**i for i in range(min(height, width).bit_length())):
            # The largest sizes come first: if they are not accepted, no other ``least`` helps.
            samples = ImageSizes(k, least).samples(height, width)[::-1]
            if not all(map(accepts, samples[:4])) or least > min(height, width):
                break
            if all(map(accepts, samples)):
                return ImageSizes(k, least)
    return None


def _difference(model: Model, run: Run, x: Tensor) -> float:
    """Return the largest absolute difference between outputs of ``run`` and the model.

    The difference is NaN if only one of two outputs is NaN.
    """
    expected, actual = model(x), run(x)
    if actual.shape != expected.shape:
        raise ValueError(
            f"The shape of the exported output is invalid: expected {tuple(expected.shape)}, "
            f"got {tuple(actual.shape)}."
        )
    equal = (expected == actual) | (expected.isnan() & actual.isnan())
    return float(torch.where(equal, 0.0, (expected - actual).abs()).max())


@torch.inference_mode()
def _largest_difference(model: Model, run: Run, sizes: ImageSizes | None) -> float:
    """Return the largest difference between outputs of ``run`` and the model for several inputs."""
    example = model.example(max(BATCH_SIZES))
    inputs = [example[:n] for n in BATCH_SIZES]
    if sizes is not None:
        _, height, width = model.input_shape
        inputs += [model.example(2, size) for size in sizes.samples(height, width)]
    differences = torch.tensor([_difference(model, run, x) for x in inputs])
    return float(differences.max())  # NaN if one is NaN


def _tracing_inputs(
    model: Model, sizes: ImageSizes | None
) -> tuple[Tensor, tuple[dict[int, Any], ...]]:
    """Return an input for tracing a model, and which of its axes have any length.

    Args:
        model: the model.
        sizes: sizes of images that the traced program accepts, or None for one size.
    """
    axes: dict[int, Any] = {0: Dim("batch", min=1)}
    if sizes is None:
        return model.example(2), (axes,)
    for axis, name in ((2, "height"), (3, "width")):
        if sizes.multiple == 1:
            # A named dimension would fail at conditions that hold for all sizes, but cannot be
            # proved, such as those of two strided convolutions whose outputs are added.
            axes[axis] = Dim.AUTO
        else:
            k = sizes.multiple
            axes[axis] = k * Dim(name, min=sizes.least // k)
    _, height, width = model.input_shape
    return model.example(2, (height, 2 * width)), (axes,)  # traces may merge equal side lengths


def _write_onnx(
    model: Model, path: Path, accepted: ImageSizes | None
) -> tuple[Run, ImageSizes | None]:
    """Write an ONNX file; return a function that runs it, and the sizes of images it accepts."""
    require_onnx()
    example, axes = _tracing_inputs(model, accepted)
    with torch.no_grad():
        proto = onnx_program(model, example, axes)
    run = onnx_function(proto.SerializeToString())
    sizes = accepted and accepted_sizes(model, lambda x: run(x)[0])
    run = save_onnx(proto, path, describe_model(model, sizes))
    return lambda x: run(x)[0], sizes


def _write_torch_export(
    model: Model, path: Path, accepted: ImageSizes | None
) -> tuple[Run, ImageSizes | None]:
    """Write a ``torch.export`` program; see :func:`_write_onnx` for the result."""
    example, axes = _tracing_inputs(model, accepted)
    with torch.no_grad():
        program = torch.export.export(model, (example,), dynamic_shapes=axes)
    sizes = accepted and accepted_sizes(model, program.module())
    about = {"about.json": json.dumps(describe_model(model, sizes))}
    torch.export.save(program, path, extra_files=about)
    return torch.export.load(path).module(), sizes


def _write_python(
    model: Model, path: Path, accepted: ImageSizes | None, format: str = "python"
) -> tuple[Run, ImageSizes | None]:
    """Write a Python file and a file of weights; see :func:`_write_onnx` for the result."""
    weights = path.with_suffix(WEIGHTS_ENDINGS[format])
    source, state = python_source(model, weights.name)
    if format == "safetensors":
        write_safetensors(weights, state, describe_model(model))
    else:
        write_state_dict(weights, state)
    sizes = accepted and accepted_sizes(model, _load_source(path, source))
    source, _ = python_source(model, weights.name, sizes)
    return _load_source(path, source), sizes


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> None:
    """Write tensors by name in the format of safetensors, atomically, with metadata.

    Raises:
        ValueError: the package safetensors is not installed.
    """
    require_packages("safetensors", extra="safetensors")
    from safetensors.torch import save

    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(content, metadata=dict(about)))


def _load_source(path: Path, source: str) -> Run:
    """Write source code to a file, and return the network that the file loads."""
    write_atomically(path, source.encode())
    spec = importlib.util.spec_from_file_location("exported", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network: Run = module.load()
    return network
