"""Python source code that runs a model and imports only PyTorch."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from ..nets.convolution import StridedConv2d
from .description import ImageSizes, describe_model
from .model import Classifier, Model

SOURCE_TEMPLATE = '''"""{title}

{about}

Exported by moonas. This file requires only {packages}; the weights are in {weights}, in the
same folder. Usage:

    from {stem} import load
    network = load()
"""

from pathlib import Path

import torch
{imports}from torch import nn

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
    network.load_state_dict({load})
    return network.eval()
'''


def python_source(
    model: Model, weights: str, sizes: ImageSizes | None = None
) -> tuple[str, dict[str, Tensor]]:
    """Return the source code of a Python file that runs a model and imports only PyTorch.

    The modules of moonas are traced, so the source code consists of PyTorch modules and functions.

    Args:
        model: the model.
        weights: name of the file that will contain the weights, in the format of safetensors if it
            has this ending, otherwise of ``torch.save``.
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
    safe = weights.endswith(".safetensors")
    source = SOURCE_TEMPLATE.format(
        packages="PyTorch and safetensors" if safe else "PyTorch",
        imports="from safetensors.torch import load_file\n" if safe else "",
        load="load_file(path)"
        if safe
        else 'torch.load(path, map_location="cpu", weights_only=True)',
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
