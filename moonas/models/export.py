"""Export of trained models to ONNX, to ``torch.export`` programs, or to a readable Python file.

Each exported file is run after it is written, and removed if its outputs differ from the outputs of
the model. Exported files support any batch size, and images of any height and width if the network
and the format allow it. They describe their inputs and outputs.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import Dim

from ..deprecation import renamed_arguments
from ..files import write_atomically
from ..files.tensors import first_line, write_state_dict
from ..nets.convolution import StridedConv2d
from ..run.numbers import plural
from .model import Classifier, Model
from .preprocessing import describe_form, form_of

FORMATS = ("onnx", "torch-export", "python")
TOLERANCE = 1e-4  # maximum absolute difference between outputs of an exported file and the model
BATCH_SIZES = (1, 3, 8)  # of the inputs for comparing outputs
FILE_ENDINGS = {"onnx": ".onnx", "torch-export": ".pt2", "python": ".py"}
MULTIPLES = (1, 2, 4, 8, 16, 32)  # sides of images may have to be multiples of one of them

Run = Callable[[Tensor], Tensor]  # the model, or an exported file


@dataclass(frozen=True)
class ImageSizes:
    """The heights and widths of images that a network accepts, independently of each other.

    Args:
        multiple: number that divides every side length.
        least: smallest side length in pixels, a multiple of ``multiple``.
    """

    multiple: int
    least: int

    def __str__(self) -> str:
        least = f"at least {plural(self.least, 'pixel')}"
        if self.multiple == 1:
            return f"any height and width of {least}"
        return f"any height and width that are multiples of {self.multiple}, {least}"

    def samples(self, height: int, width: int) -> list[tuple[int, int]]:
        """Return sizes at which a network is tried: small and large ones, most of them not square.

        Args:
            height: height of the images that the network was trained with.
            width: their width.
        """
        k, least = self.multiple, self.least
        return [
            *((least, least), (least, width), (least + k, least + 2 * k)),
            *((height + k, width + 3 * k), (height + 2 * k, width + k)),
            *((2 * height, width), (height, 2 * width)),
        ]


@dataclass(frozen=True)
class Exported:
    """An exported file that has been verified.

    Args:
        difference: the largest absolute difference between the outputs of the file and the model.
        sizes: sizes of images that the file accepts, or None if it accepts one size only.
        reason: why the file accepts one size only; empty if the input is not an image, or if
            ``sizes`` is not None.
    """

    difference: float
    sizes: ImageSizes | None
    reason: str = ""


@renamed_arguments(form="format")
def export(model: Model, path: str | Path, format: str) -> float:
    """Write a model to a file that runs without moonas, and verify the outputs of the file.

    Args:
        model: the model, which is moved to the CPU and set to evaluation mode.
        path: path of the file. The format "python" writes the weights to a second file with the
            suffix ``.pt`` in the same folder.
        format: one of ``FORMATS``.

    Returns:
        The largest absolute difference between the outputs of the file and the model, for several
        batch sizes and, where the file accepts them, several sizes of images.

    Raises:
        ValueError: if the format is unknown, a required package is not installed, the model cannot
            be exported, or the outputs differ by more than ``TOLERANCE``.
    """
    return export_file(model, path, format).difference


def export_file(model: Model, path: str | Path, format: str) -> Exported:
    """Write a model to a file as :func:`export` does, and return which images the file accepts.

    Whether the file accepts images of any height and width is found by trying: the model runs on
    images of other sizes, and the outputs of the file are compared with its outputs. If the model,
    the format or the file does not allow other sizes, the file accepts one size.
    """
    if format not in FORMATS:
        raise ValueError(f"Unknown format {format!r}; choose from {list(FORMATS)}.")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    model = model.cpu().eval()
    write = {"onnx": _write_onnx, "torch-export": _write_torch_export, "python": _write_python}
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
    except Exception as error:
        path.unlink(missing_ok=True)
        if isinstance(error, ValueError | OSError):
            raise
        raise ValueError(
            f"The model cannot be exported as {format}: {first_line(error)}"
        ) from error
    if not difference <= TOLERANCE:
        path.unlink()
        raise ValueError(
            f"The outputs of the exported {format} file differ from the model by {difference:.2g}, "
            f"more than {TOLERANCE:g}. The file was removed."
        )
    return Exported(difference, sizes, reason)


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


def describe_model(model: Model, sizes: ImageSizes | None = None) -> dict[str, str]:
    """Return the description of a model for exported files.

    Args:
        model: the model.
        sizes: sizes of images that the exported file accepts, or None if it accepts one size.

    Returns:
        Key -> text. Values of other types are written as JSON.
    """
    keys = ("kind", "classes", "input_shape", "mean", "std", "description", "scores")
    about = {key: model.about[key] for key in (*keys, "multi_label") if key in model.about}
    is_latent = len(model.input_shape) == 1
    if not is_latent:
        form = form_of(model)
        about |= {"channels": form.channels, "size": [form.side, form.side]}
        about |= {"resize": form.resize, "stored_size": form.stored}
        about["preprocessing"] = describe_form(form)
    values = "standard normal latent vectors" if is_latent else "pixels in [0, 1]"
    shape = [*model.input_shape] if sizes is None else [model.input_shape[0], "height", "width"]
    about["input"] = f"(batch, {', '.join(map(str, shape))}), {values}"
    if sizes is not None:
        about["input"] += f"; {sizes}"
    if "mean" in about:
        about["normalization"] = "(pixels - mean) / std, within the network"
    return {key: v if isinstance(v, str) else json.dumps(v) for key, v in about.items()}


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
        proto = _onnx_program(model, example, axes)
    run = _onnx_function(proto.SerializeToString())
    sizes = accepted and accepted_sizes(model, lambda x: run(x)[0])
    run = _save_onnx(proto, path, describe_model(model, sizes))
    return lambda x: run(x)[0], sizes


def require_onnx() -> None:
    """Raise a ``ValueError`` if a package for ONNX files is not installed."""
    _require_packages("onnx", "onnxscript", "onnxruntime")


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
    return _save_onnx(_onnx_program(module, example, n_outputs=n_outputs), path, about)


def _onnx_program(
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


def _save_onnx(
    proto: Any, path: Path, about: Mapping[str, str]
) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """Write an ONNX file with metadata, and return a function that runs the file."""
    import onnx

    for key, value in about.items():
        proto.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(proto)
    write_atomically(path, proto.SerializeToString())
    return _onnx_function(str(path))


def _onnx_function(file: str | bytes) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """Return a function that runs an ONNX file, given by its path or content."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda x: tuple(map(torch.from_numpy, session.run(None, {"input": x.numpy()})))


def _require_packages(*packages: str) -> None:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise ValueError(
            f"Export to ONNX requires {', '.join(missing)}, which {verb} not installed: "
            "pip install 'moonas[onnx]'."
        )


def _write_torch_export(
    model: Model, path: Path, accepted: ImageSizes | None
) -> tuple[Run, ImageSizes | None]:
    """Write a ``torch.export`` program; see :func:`_write_onnx` for the result."""
    example, axes = _tracing_inputs(model, accepted)
    with torch.no_grad():
        program = torch.export.export(model, (example,), dynamic_shapes=axes)
    sizes = accepted and accepted_sizes(model, program.module())
    part = path.with_suffix(".part.pt2")
    about = {"about.json": json.dumps(describe_model(model, sizes))}
    torch.export.save(program, part, extra_files=about)
    part.replace(path)
    return torch.export.load(path).module(), sizes


def _write_python(
    model: Model, path: Path, accepted: ImageSizes | None
) -> tuple[Run, ImageSizes | None]:
    """Write a Python file and a file of weights; see :func:`_write_onnx` for the result."""
    weights = path.with_suffix(".pt")
    source, state = python_source(model, weights.name)
    write_state_dict(weights, state)
    sizes = accepted and accepted_sizes(model, _load_source(path, source))
    source, _ = python_source(model, weights.name, sizes)
    return _load_source(path, source), sizes


def _load_source(path: Path, source: str) -> Run:
    """Write source code to a file, and return the network that the file loads."""
    write_atomically(path, source.encode())
    spec = importlib.util.spec_from_file_location("exported", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network: Run = module.load()
    return network


SOURCE_TEMPLATE = '''"""{title}

{about}

Exported by moonas. This file requires only PyTorch; the weights are in {weights}, in the same
folder. Usage:

    from {stem} import load
    network = load()
"""

from pathlib import Path

import torch
from torch import nn

{constants}

class Network(nn.Module):
    """{doc}"""

    def __init__(self):
        super().__init__()
{init}

    def forward(self, {argument}):
{body}


def load(path=Path(__file__).with_name("{weights}")):
    """Return the trained network in evaluation mode."""
    network = Network()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()
'''


def python_source(
    model: Model, weights: str, sizes: ImageSizes | None = None
) -> tuple[str, dict[str, Tensor]]:
    """Return the source code of a Python file that runs a model and imports only PyTorch.

    The modules of moonas are traced, so the source code consists of PyTorch modules and functions.

    Args:
        model: the model.
        weights: name of the file that will contain the weights.
        sizes: sizes of images that the network accepts, or None if it accepts one size.

    Returns:
        (source code, state dict of the network that the source code defines).

    Raises:
        ValueError: if the model uses a module or function that is not part of PyTorch.
    """
    graph = _Tracer().trace(model)
    modules = dict(model.named_modules())
    names: dict[str, str] = {}  # path in the model -> attribute in the source code
    init: list[str] = []
    state: dict[str, Tensor] = {}
    for node in graph.nodes:
        if node.op == "call_module" and node.target not in names:
            names[node.target] = _attribute_name(node.target, names)
            module = modules[node.target]
            init.append(f"self.{names[node.target]} = nn.{_constructor_source(module)}")
            for key, value in module.state_dict().items():
                state[f"{names[node.target]}.{key}"] = value
        elif node.op == "get_attr" and node.target not in names:
            names[node.target] = _attribute_name(node.target, names)
            value = _get_attribute(model, node.target)
            shape = tuple(value.shape)
            init.append(f'self.register_buffer("{names[node.target]}", torch.zeros({shape}))')
            state[names[node.target]] = value
    body, argument = _forward_body(graph, names)
    if sizes is not None and sizes.multiple > 1:
        body = _size_check(sizes, argument) + body
    description = describe_model(model, sizes)
    about = "\n".join(f"{key}: {value}" for key, value in description.items())
    classes = [f"CLASSES = {tuple(model.classes)!r}"] if isinstance(model, Classifier) else []
    source = SOURCE_TEMPLATE.format(
        title=f"A {model.about['kind']} trained with moonas.",
        about=_docstring_text(about),
        stem=Path(weights).stem,
        weights=weights,
        constants="\n".join([f"INPUT_SHAPE = {model.input_shape!r}", *classes, ""]),
        doc=description["input"],
        init="\n".join(f"        {line}" for line in init),
        argument=argument,
        body="\n".join(f"        {line}" for line in body),
    )
    return source, {key: value.detach().clone() for key, value in state.items()}


def _size_check(sizes: ImageSizes, argument: str) -> list[str]:
    """Return lines of ``forward`` that raise an error for images of a size that is not accepted."""
    return [
        f"if any(side % {sizes.multiple} for side in {argument}.shape[2:]):",
        f'    raise ValueError(f"Expected {sizes}; got {{tuple({argument}.shape[2:])}}.")',
    ]


def _docstring_text(text: str) -> str:
    """Wrap lines, and replace characters that would end a docstring or start an escape sequence."""
    safe = text.replace("\\", "/").replace('"""', "'''")
    return "\n".join(textwrap.fill(line, 96, subsequent_indent="    ") for line in safe.split("\n"))


def _attribute_name(target: str, names: dict[str, str]) -> str:
    """Return an unused attribute name for the module or tensor at path ``target``."""
    name = re.sub(r"\W", "_", target.removeprefix("network."))
    name = f"layer_{name}" if name[0].isdigit() else name
    while name in names.values():
        name += "_"
    return name


class _Tracer(fx.Tracer):
    """A tracer for which moonas's convolutions are modules, as those of PyTorch."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether a module is called as a whole."""
        return isinstance(m, StridedConv2d) or super().is_leaf_module(m, module_qualified_name)


def _constructor_source(module: nn.Module) -> str:
    """Return the source code that constructs a PyTorch module, omitting default arguments."""
    cls = nn.Conv2d if isinstance(module, StridedConv2d) else type(module)
    if cls.__module__.split(".")[0] != "torch" or not hasattr(nn, cls.__name__):
        raise ValueError(f"A {cls.__name__} cannot be exported: it is not a PyTorch module.")
    arguments = []
    for parameter in inspect.signature(cls).parameters.values():
        name, required = parameter.name, parameter.default is parameter.empty
        if name in ("device", "dtype") or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            continue
        value = getattr(module, name)
        if name == "bias":
            value = value is not None or not getattr(module, "affine", True)
        if isinstance(value, tuple) and len(set(value)) == 1:
            value = value[0]  # one number for both axes
        if required:
            arguments.append(repr(value))
        elif value != parameter.default:
            arguments.append(f"{name}={value!r}")
    return f"{cls.__name__}({', '.join(arguments)})"


def _get_attribute(model: nn.Module, target: str) -> Any:
    value: Any = model
    for name in target.split("."):
        value = getattr(value, name)
    return value


def _forward_body(graph: fx.Graph, names: dict[str, str]) -> tuple[list[str], str]:
    """Return the lines of the method ``forward``, and the name of its argument."""
    lines, argument = [], ""
    for node in graph.nodes:
        if node.op == "placeholder":
            argument = _variable_name(node)
        elif node.op == "call_module":
            lines.append(
                f"{_variable_name(node)} = self.{names[node.target]}({_arguments_source(node)})"
            )
        elif node.op == "get_attr":
            lines.append(f"{_variable_name(node)} = self.{names[node.target]}")
        elif node.op == "call_method":
            first, *rest = node.args
            call = f"{_value_source(first)}.{node.target}({_arguments_source(node, rest)})"
            lines.append(f"{_variable_name(node)} = {call}")
        elif node.op == "call_function":
            lines.append(f"{_variable_name(node)} = {_function_call_source(node)}")
        elif node.op == "output":
            lines.append(f"return {_value_source(node.args[0])}")
    return lines, argument


OPERATOR_SYMBOLS = {
    **{"add": "+", "iadd": "+", "sub": "-", "mul": "*", "truediv": "/"},
    **{"floordiv": "//", "mod": "%"},
}


def _function_call_source(node: fx.Node) -> str:
    """Return the source code that calls a function or operator."""
    function = node.target
    assert callable(function)
    name = function.__name__
    if function.__module__ == "_operator":
        if name == "getitem":
            return f"{_value_source(node.args[0])}[{_index_source(node.args[1])}]"
        if name in OPERATOR_SYMBOLS:
            left, right = map(_value_source, node.args)
            return f"{left} {OPERATOR_SYMBOLS[name]} {right}"
    if function is getattr and isinstance(node.args[1], str):
        return f"{_value_source(node.args[0])}.{node.args[1]}"
    for prefix, module in (("torch", torch), ("nn.functional", nn.functional)):
        if getattr(module, name, None) is function:
            return f"{prefix}.{name}({_arguments_source(node)})"
    raise ValueError(f"{function} cannot be exported: it is not a PyTorch function.")


def _arguments_source(node: fx.Node, args: Sequence[Any] | None = None) -> str:
    """Return the source code of the arguments of a call; ``args`` replaces ``node.args``."""
    args = node.args if args is None else args
    keywords = [f"{key}={_value_source(value)}" for key, value in node.kwargs.items()]
    return ", ".join([*map(_value_source, args), *keywords])


def _value_source(value: Any) -> str:
    """Return the source code of an argument."""
    if isinstance(value, fx.Node):
        return _variable_name(value)
    if isinstance(value, list | tuple):
        items = ", ".join(map(_value_source, value))
        return f"[{items}]" if isinstance(value, list) else f"({items},)"
    if isinstance(value, slice):
        return (
            f"slice({', '.join(_value_source(v) for v in (value.start, value.stop, value.step))})"
        )
    return repr(value)


def _variable_name(node: fx.Node) -> str:
    """Return the name of the variable for the result of a node."""
    name = node.name.removeprefix("network_")
    return f"layer_{name}" if name[0].isdigit() else name


def _index_source(value: Any) -> str:
    """Return the source code of an index."""
    if isinstance(value, tuple):
        return ", ".join(_index_source(v) for v in value)
    if isinstance(value, slice):
        ends = ["" if v is None else _value_source(v) for v in (value.start, value.stop)]
        return (
            ":".join(ends) if value.step is None else ":".join([*ends, _value_source(value.step)])
        )
    return "..." if value is Ellipsis else _value_source(value)
