"""Export of trained models to ONNX, to ``torch.export`` programs, or to a readable Python file.

Each exported file is run after it is written, and removed if its outputs differ from the outputs of
the model. Exported files support any batch size, and describe their inputs and outputs.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from ..deprecation import renamed_arguments
from ..files import write_atomically
from ..files.tensors import first_line, write_state_dict
from ..nets.convolution import StridedConv2d
from .model import Classifier, Model

FORMATS = ("onnx", "torch-export", "python")
TOLERANCE = 1e-4  # maximum absolute difference between outputs of an exported file and the model
BATCH_SIZES = (1, 3, 8)  # of the inputs for comparing outputs
FILE_ENDINGS = {"onnx": ".onnx", "torch-export": ".pt2", "python": ".py"}


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
        batch sizes.

    Raises:
        ValueError: if the format is unknown, a required package is not installed, the model cannot
            be exported, or the outputs differ by more than ``TOLERANCE``.
    """
    if format not in FORMATS:
        raise ValueError(f"Unknown format {format!r}; choose from {list(FORMATS)}.")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    model = model.cpu().eval()
    write = {"onnx": _write_onnx, "torch-export": _write_torch_export, "python": _write_python}
    try:
        difference = _largest_difference(model, write[format](model, path))
    except Exception as error:  # tracers and runtimes raise many types of exceptions
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
    return difference


@torch.inference_mode()
def _largest_difference(model: Model, run: Callable[[Tensor], Tensor]) -> float:
    """Return the largest absolute difference between outputs of ``run`` and the model.

    The difference is NaN if only one of two outputs is NaN.
    """
    differences, inputs = [], model.example(max(BATCH_SIZES))
    for n in BATCH_SIZES:
        expected, actual = model(inputs[:n]), run(inputs[:n])
        if actual.shape != expected.shape:
            raise ValueError(
                f"The shape of the exported output is invalid: expected {tuple(expected.shape)}, "
                f"got {tuple(actual.shape)}."
            )
        equal = (expected == actual) | (expected.isnan() & actual.isnan())
        differences.append(torch.where(equal, 0.0, (expected - actual).abs()).max())
    return float(torch.stack(differences).max())


def describe_model(model: Model) -> dict[str, str]:
    """Return the description of a model for exported files.

    Returns:
        Key -> text. Values of other types are written as JSON.
    """
    keys = ("kind", "classes", "input_shape", "mean", "std", "description", "scores")
    about = {key: model.about[key] for key in keys if key in model.about}
    is_latent = len(model.input_shape) == 1
    values = "standard normal latent vectors" if is_latent else "pixels in [0, 1]"
    about["input"] = f"(batch, {', '.join(map(str, model.input_shape))}), {values}"
    return {key: v if isinstance(v, str) else json.dumps(v) for key, v in about.items()}


def _write_onnx(model: Model, path: Path) -> Callable[[Tensor], Tensor]:
    """Write an ONNX file, and return a function that runs the file."""
    require_onnx()
    run = write_onnx(model, model.example(2), path, describe_model(model), any_batch=True)
    return lambda x: run(x)[0]


def require_onnx() -> None:
    """Raise a ``ValueError`` if a package for ONNX files is not installed."""
    _require_packages("onnx", "onnxscript", "onnxruntime")


def write_onnx(
    module: nn.Module,
    example: Tensor,
    path: Path,
    about: Mapping[str, str],
    *,
    any_batch: bool = False,
    n_outputs: int = 1,
) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """Write a module with one input as an ONNX file.

    Args:
        module: the module, on the CPU and in evaluation mode.
        example: (b, ...) an input.
        path: path of the file.
        about: metadata of the file, key -> text.
        any_batch: whether the file accepts any batch size; otherwise, only that of ``example``.
        n_outputs: number of outputs of the module.

    Returns:
        A function that runs the file and returns its outputs.
    """
    import onnx
    import onnxruntime

    program = torch.onnx.export(
        module,
        (example,),
        dynamo=True,
        input_names=["input"],
        output_names=["output", *(f"output_{i}" for i in range(1, n_outputs))],
        dynamic_shapes=({0: torch.export.Dim("batch")},) if any_batch else None,
        verbose=False,
    )
    assert program is not None
    proto = program.model_proto
    for key, value in about.items():
        proto.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(proto)
    write_atomically(path, proto.SerializeToString())
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda x: tuple(map(torch.from_numpy, session.run(None, {"input": x.numpy()})))


def _require_packages(*packages: str) -> None:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise ValueError(
            f"Export to ONNX requires {', '.join(missing)}, which {verb} not installed: "
            "pip install 'moonas[onnx]'."
        )


def _write_torch_export(model: Model, path: Path) -> Callable[[Tensor], Tensor]:
    """Write a ``torch.export`` program, and return a function that runs the program."""
    shapes = ({0: torch.export.Dim("batch", min=1)},)
    program = torch.export.export(model, (model.example(2),), dynamic_shapes=shapes)
    about = {"about.json": json.dumps(describe_model(model))}
    part = path.with_suffix(".part.pt2")
    torch.export.save(program, part, extra_files=about)
    part.replace(path)
    module: Callable[[Tensor], Tensor] = torch.export.load(path).module()
    return module


def _write_python(model: Model, path: Path) -> Callable[[Tensor], Tensor]:
    """Write a Python file and a file of weights, and return a function that runs the network."""
    weights = path.with_suffix(".pt")
    source, state = python_source(model, weights.name)
    write_state_dict(weights, state)
    write_atomically(path, source.encode())
    spec = importlib.util.spec_from_file_location("exported", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network: Callable[[Tensor], Tensor] = module.load()
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


def python_source(model: Model, weights: str) -> tuple[str, dict[str, Tensor]]:
    """Return the source code of a Python file that runs a model and imports only PyTorch.

    The modules of moonas are traced, so the source code consists of PyTorch modules and functions.

    Args:
        model: the model.
        weights: name of the file that will contain the weights.

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
    about = "\n".join(f"{key}: {value}" for key, value in describe_model(model).items())
    classes = [f"CLASSES = {tuple(model.classes)!r}"] if isinstance(model, Classifier) else []
    source = SOURCE_TEMPLATE.format(
        title=f"A {model.about['kind']} trained with moonas.",
        about=_docstring_text(about),
        stem=Path(weights).stem,
        weights=weights,
        constants="\n".join([f"INPUT_SHAPE = {model.input_shape!r}", *classes, ""]),
        doc=describe_model(model)["input"],
        init="\n".join(f"        {line}" for line in init),
        argument=argument,
        body="\n".join(f"        {line}" for line in body),
    )
    return source, {key: value.detach().clone() for key, value in state.items()}


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
