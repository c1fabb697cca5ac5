"""ONNX files: written from modules, with metadata, and run by ONNX Runtime."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..files import write_atomically


def require_onnx() -> None:
    """Raise a ``ValueError`` if a package for ONNX files is not installed."""
    require_packages("onnx", "onnxscript", "onnxruntime", extra="onnx")


def write_onnx(
    module: nn.Module, example: Tensor, path: Path, about: Mapping[str, str], *, n_outputs: int = 1
) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """Write a module with one input as an ONNX file that accepts the shape of the example only.

    Args:
        module: the module, on the CPU and in evaluation mode.
        example: (b, ...) an input.
        path: path of the file.
        about: metadata of the file, key -> text.
        n_outputs: number of outputs of the module.

    Returns:
        A function that runs the file and returns its outputs.
    """
    return save_onnx(onnx_program(module, example, n_outputs=n_outputs), path, about)


def onnx_program(
    module: nn.Module,
    example: Tensor,
    axes: tuple[dict[int, Any], ...] | None = None,
    *,
    n_outputs: int = 1,
) -> Any:
    """Return a module as an ONNX ``ModelProto``.

    Args:
        module: the module, on the CPU and in evaluation mode.
        example: (b, ...) an input.
        axes: axes of the input that have any length, for ``torch.export``.
        n_outputs: number of outputs of the module.
    """
    program = torch.onnx.export(
        module,
        (example,),
        dynamo=True,
        input_names=["input"],
        output_names=["output", *(f"output_{i}" for i in range(1, n_outputs))],
        dynamic_shapes=axes,
        verbose=False,
    )
    assert program is not None
    proto = program.model_proto
    _name_axes(proto.graph)
    return proto


def _name_axes(graph: Any) -> None:
    """Rename the height and width of the input, which are numbered symbols, in an ONNX graph."""
    axes = graph.input[0].type.tensor_type.shape.dim
    symbols = {}
    for i, name in ((2, "height"), (3, "width")):
        if len(axes) == 4 and axes[i].dim_param.isidentifier():
            symbols[axes[i].dim_param] = name
    for value in (*graph.input, *graph.output, *graph.value_info):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param:
                axis.dim_param = re.sub(
                    r"\w+", lambda match: symbols.get(match[0], match[0]), axis.dim_param
                )


def save_onnx(
    proto: Any, path: Path, about: Mapping[str, str]
) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """Write an ONNX file with metadata, and return a function that runs the file."""
    import onnx

    for key, value in about.items():
        proto.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(proto)
    write_atomically(path, proto.SerializeToString())
    return onnx_function(str(path))


def onnx_function(file: str | bytes) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """Return a function that runs an ONNX file, given by its path or content."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda x: tuple(map(torch.from_numpy, session.run(None, {"input": x.numpy()})))


def require_packages(*packages: str, extra: str) -> None:
    """Raise a ``ValueError`` if a package of an extra of moonas is not installed."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise ValueError(
            f"This export requires {', '.join(missing)}, which {verb} not installed: "
            f"pip install 'moonas[{extra}]'."
        )
