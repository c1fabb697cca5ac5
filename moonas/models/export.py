"""Trained models as files that others run: ONNX, torch.export, or one readable Python file.

Each file is run right after it is written and removed if its outputs differ from the model's. It
takes batches of any size, and says what goes in and what comes out.
"""

import importlib.util
import inspect
import json
import re
from pathlib import Path

import torch
from torch import fx, nn

from ..files import write_atomically
from ..files.tensors import first_line, write_state_dict

FORMATS = ("onnx", "torch-export", "python")
TOLERANCE = 1e-4  # between outputs of what was exported and of the model
BATCHES = (1, 3, 8)  # that it is tried with
ENDINGS = {"onnx": ".onnx", "torch-export": ".pt2", "python": ".py"}


def export(model, path, form):
    """Write a model so that it runs without moonas, and check what was written.

    Args:
        model: a :class:`~moonas.models.model.Model`.
        path: of the file; for "python" the weights lie beside it, with the ending .pt.
        form: one of ``FORMATS``.

    Returns:
        The largest absolute difference of an output, over batches of several sizes.

    Raises:
        ValueError: the form is unknown, a package is missing, or the outputs differ.
    """
    if form not in FORMATS:
        raise ValueError(f"Unknown format {form!r}; choose from {list(FORMATS)}.")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    model = model.cpu().eval()
    write = {"onnx": _onnx, "torch-export": _torch_export, "python": _python}[form]
    try:
        worst = _difference(model, write(model, path))
    except Exception as error:  # whatever a tracer or another runtime raises
        path.unlink(missing_ok=True)
        if isinstance(error, ValueError | OSError):
            raise
        raise ValueError(f"The model cannot be written as {form}: {first_line(error)}") from error
    if not worst <= TOLERANCE:
        path.unlink()
        raise ValueError(
            f"What was written as {form} differs from the model by {worst:.2g}; it is removed."
        )
    return worst


@torch.inference_mode()
def _difference(model, run):
    """The largest absolute difference of an output, over batches of several sizes."""
    worst, inputs = 0.0, model.example(max(BATCHES))
    for n in BATCHES:
        wanted, found = model(inputs[:n]), run(inputs[:n])
        if found.shape != wanted.shape:
            raise ValueError(f"It gives {tuple(found.shape)}, not {tuple(wanted.shape)}.")
        worst = max(worst, float((wanted - found).abs().max()))
    return worst


def described(model):
    """What a file says of its model, a dict of texts."""
    kept = ("kind", "classes", "input_shape", "mean", "std", "description", "scores")
    about = {key: model.about[key] for key in kept if key in model.about}
    one = len(model.input_shape) == 1
    takes = "numbers of a normal distribution" if one else "pixels from 0 to 1"
    about["input"] = f"(batch, {', '.join(map(str, model.input_shape))}), {takes}"
    return {key: v if isinstance(v, str) else json.dumps(v) for key, v in about.items()}


def _onnx(model, path):
    _want("onnx", "onnxscript", "onnxruntime")
    import onnx
    import onnxruntime

    program = torch.onnx.export(
        model,
        (model.example(2),),
        dynamo=True,
        input_names=["input"],
        output_names=["output"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    held = program.model_proto
    for key, value in described(model).items():
        held.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(held)
    write_atomically(path, held.SerializeToString())
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {"input": x.numpy()})[0])


def _want(*packages):
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(
            f"ONNX wants {', '.join(missing)}, which is not installed: pip install 'moonas[onnx]'."
        )


def _torch_export(model, path):
    shapes = ({0: torch.export.Dim("batch", min=1)},)
    program = torch.export.export(model, (model.example(2),), dynamic_shapes=shapes)
    about = {"about.json": json.dumps(described(model))}
    part = path.with_suffix(".part.pt2")
    torch.export.save(program, part, extra_files=about)
    part.replace(path)
    return torch.export.load(path).module()


def _python(model, path):
    weights = path.with_suffix(".pt")
    source, state = as_python(model, weights.name)
    write_state_dict(weights, state)
    write_atomically(path, source.encode())
    spec = importlib.util.spec_from_file_location("exported", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load()


HEAD = '''"""{title}

{about}

Written by moonas. This file wants torch alone; the weights are in {weights}, beside it:

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
    """The trained network, in evaluation mode."""
    network = Network()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()
'''


def as_python(model, weights):
    """A model as the source of one file that imports torch alone, and its weights by its names.

    The model's own modules are taken apart into torch's, which is what its computation consists of.

    Args:
        model: a :class:`~moonas.models.model.Model`.
        weights: name of the file of the weights.

    Returns:
        (source, state).
    """
    graph = fx.Tracer().trace(model)
    modules = dict(model.named_modules())
    names, init, state = {}, [], {}
    for node in graph.nodes:
        if node.op == "call_module" and node.target not in names:
            names[node.target] = _short(node.target, names)
            module = modules[node.target]
            init.append(f"self.{names[node.target]} = nn.{_constructor(module)}")
            for key, value in module.state_dict().items():
                state[f"{names[node.target]}.{key}"] = value
        elif node.op == "get_attr" and node.target not in names:
            names[node.target] = _short(node.target, names)
            value = _attribute(model, node.target)
            shape = tuple(value.shape)
            init.append(f'self.register_buffer("{names[node.target]}", torch.zeros({shape}))')
            state[names[node.target]] = value
    body, argument = _body(graph, names)
    about = "\n".join(f"{key}: {value}" for key, value in described(model).items())
    classes = [f"CLASSES = {tuple(model.classes)!r}"] if hasattr(model, "classes") else []
    source = HEAD.format(
        title=f"A {model.about['kind']} that was trained by moonas.",
        about=_wrapped(about),
        stem=Path(weights).stem,
        weights=weights,
        constants="\n".join([f"INPUT_SHAPE = {model.input_shape!r}", *classes, ""]),
        doc=described(model)["input"],
        init="\n".join(f"        {line}" for line in init),
        argument=argument,
        body="\n".join(f"        {line}" for line in body),
    )
    return source, {key: value.detach().clone() for key, value in state.items()}


def _wrapped(text):
    import textwrap

    safe = text.replace("\\", "/").replace('"""', "'''")
    return "\n".join(textwrap.fill(line, 96, subsequent_indent="    ") for line in safe.split("\n"))


def _short(target, names):
    """A name for an attribute that no other has."""
    name = re.sub(r"\W", "_", target.removeprefix("network."))
    name = f"layer_{name}" if name[0].isdigit() else name
    while name in names.values():
        name += "_"
    return name


def _constructor(module):
    """The call that makes a module of torch anew; arguments that are defaults are left out."""
    kind = type(module)
    if kind.__module__.split(".")[0] != "torch" or not hasattr(nn, kind.__name__):
        raise ValueError(f"A {kind.__name__} cannot be written as a module of torch.")
    arguments = []
    for argument in inspect.signature(kind).parameters.values():
        name, needed = argument.name, argument.default is argument.empty
        if name in ("device", "dtype") or argument.kind in (
            argument.VAR_POSITIONAL,
            argument.VAR_KEYWORD,
        ):
            continue
        value = getattr(module, name)
        if name == "bias":
            value = value is not None or not getattr(module, "affine", True)
        if isinstance(value, tuple) and len(set(value)) == 1:
            value = value[0]  # one number for all directions
        if needed:
            arguments.append(repr(value))
        elif value != argument.default:
            arguments.append(f"{name}={value!r}")
    return f"{kind.__name__}({', '.join(arguments)})"


def _attribute(model, target):
    value = model
    for name in target.split("."):
        value = getattr(value, name)
    return value


def _body(graph, names):
    """The lines of forward, and the name of its argument."""
    lines, argument = [], None
    for node in graph.nodes:
        if node.op == "placeholder":
            argument = _name(node)
        elif node.op == "call_module":
            lines.append(f"{_name(node)} = self.{names[node.target]}({_arguments(node)})")
        elif node.op == "get_attr":
            lines.append(f"{_name(node)} = self.{names[node.target]}")
        elif node.op == "call_method":
            first, *rest = node.args
            lines.append(f"{_name(node)} = {_text(first)}.{node.target}({_arguments(node, rest)})")
        elif node.op == "call_function":
            lines.append(f"{_name(node)} = {_function(node)}")
        elif node.op == "output":
            lines.append(f"return {_text(node.args[0])}")
    return lines, argument


OPERATORS = {
    **{"add": "+", "iadd": "+", "sub": "-", "mul": "*", "truediv": "/"},
    **{"floordiv": "//", "mod": "%"},
}


def _function(node):
    function = node.target
    name = function.__name__
    if function.__module__ == "_operator":
        if name == "getitem":
            return f"{_text(node.args[0])}[{_index(node.args[1])}]"
        if name in OPERATORS:
            left, right = map(_text, node.args)
            return f"{left} {OPERATORS[name]} {right}"
    if function is getattr and isinstance(node.args[1], str):
        return f"{_text(node.args[0])}.{node.args[1]}"
    for place, home in (("torch", torch), ("nn.functional", nn.functional)):
        if getattr(home, name, None) is function:
            return f"{place}.{name}({_arguments(node)})"
    raise ValueError(f"{function} cannot be written as a function of torch.")


def _arguments(node, args=None):
    args = node.args if args is None else args
    keywords = [f"{key}={_text(value)}" for key, value in node.kwargs.items()]
    return ", ".join([*map(_text, args), *keywords])


def _text(value):
    if isinstance(value, fx.Node):
        return _name(value)
    if isinstance(value, list | tuple):
        inside = ", ".join(map(_text, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside},)"
    if isinstance(value, slice):
        return f"slice({', '.join(_text(v) for v in (value.start, value.stop, value.step))})"
    return repr(value)


def _name(node):
    """The name of a node's result."""
    name = node.name.removeprefix("network_")
    return f"layer_{name}" if name[0].isdigit() else name


def _index(value):
    if isinstance(value, tuple):
        return ", ".join(_index(v) for v in value)
    if isinstance(value, slice):
        ends = ["" if v is None else _text(v) for v in (value.start, value.stop)]
        return ":".join(ends) if value.step is None else ":".join([*ends, _text(value.step)])
    return "..." if value is Ellipsis else _text(value)
