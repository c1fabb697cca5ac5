"""Channel dependencies, derived from the graph of a network, and structured pruning.

Channels that must be kept or removed together form a *group*: the outputs of a convolution and of
all convolutions whose outputs are added to them. Layers that do not mix channels (normalization,
activations, padding, resampling) do not change the group. Therefore, a mask with one bit per
channel of each group selects the filters to keep. Pruning all other filters yields a network with
the same graph and fewer channels.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.nn import functional as F

from moonas.files.tensors import first_line

Convolution = nn.Conv2d | nn.ConvTranspose2d
Masks = Sequence[np.ndarray | Sequence[bool]]  # one per group that is not fixed, in the same order

Normalization = (nn.InstanceNorm2d, nn.BatchNorm2d)

# Modules and functions that compute each channel of their output from the same channel of the input
CHANNELWISE = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus),
    *(nn.Tanh, nn.Sigmoid, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Identity),
    *(nn.ReflectionPad2d, nn.ReplicationPad2d, nn.ZeroPad2d, nn.ConstantPad2d, nn.CircularPad2d),
    *(nn.Dropout, nn.Dropout2d, nn.Upsample),
    *(nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d),
)
FUNCTIONS = {
    *(torch.relu, torch.tanh, torch.sigmoid, torch.abs, torch.clamp, torch.neg, operator.neg),
    *(F.relu, F.relu6, F.leaky_relu, F.elu, F.selu, F.gelu, F.silu, F.mish, F.softplus),
    *(F.tanh, F.sigmoid, F.hardtanh, F.hardswish, F.hardsigmoid, F.dropout, F.dropout2d),
    *(F.interpolate, F.avg_pool2d, F.max_pool2d, F.adaptive_avg_pool2d, F.adaptive_max_pool2d),
}
METHODS = {
    *("relu", "relu_", "tanh", "tanh_", "sigmoid", "sigmoid_", "abs", "neg", "clamp", "clamp_"),
    *("clone", "contiguous", "detach"),
}
# Functions of two tensors with equal numbers of channels, or of a tensor and a number
ELEMENTWISE = {
    *(operator.add, operator.iadd, operator.sub, operator.isub, operator.mul, operator.imul),
    *(torch.add, torch.sub, torch.mul),
}
ELEMENTWISE_METHODS = {"add", "add_", "sub", "sub_", "mul", "mul_"}
QUOTIENTS = {operator.truediv, operator.itruediv, torch.div}
QUOTIENT_METHODS = {"div", "div_"}
SUPPORTED = (
    "Supported are convolutions with groups=1, instance and batch normalization, activations of "
    "single values and PReLU, padding, pooling and interpolation of height and width, dropout, "
    "sums, differences and products of two tensors or of a tensor and a number, and quotients of a "
    "tensor and a number."
)


@dataclass(frozen=True)
class Group:
    """Channels that are kept or pruned together.

    Args:
        size: number of channels.
        producers: names of the convolutions that output these channels, in order; empty for the
            input of the network.
        consumers: names of the convolutions whose input channels these are, in order.
        norms: names of the normalization layers, and of the PReLUs with one slope per channel, that
            these channels pass through.
        fixed: whether these channels cannot be pruned because they are the input or the output of
            the network.
    """

    size: int
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    norms: tuple[str, ...]
    fixed: bool


def channel_groups(module: nn.Module, in_channels: int) -> list[Group]:
    """Return the channel groups of a network, in the order in which their first convolutions run.

    The network is traced with ``torch.fx``. Its ``forward`` may call layers, functions and methods
    of PyTorch: convolutions with ``groups=1``, instance and batch normalization, activations of
    single values and PReLU, padding, pooling and interpolation of height and width, dropout, sums,
    differences and products of two tensors or of a tensor and a number, and quotients of a tensor
    and a number. If a layer with weights is called more than once, the channels of all its inputs
    share a mask, and so do those of all its outputs.

    Args:
        module: network with one input and one output tensor, both (b, channels, h, w).
        in_channels: number of channels of the input.

    Raises:
        ValueError: the network cannot be traced, or contains an unsupported operation.
    """
    try:
        nodes = fx.symbolic_trace(module).graph.nodes
    except Exception as error:  # whatever the network's own code raises during tracing
        raise ValueError(
            f"The channels of the network cannot be traced with torch.fx: {first_line(error)} Its "
            "forward must not depend on values or sizes of tensors."
        ) from error
    return _Tracing(dict(module.named_modules())).groups(nodes, in_channels)


class _Tracing:
    """The groups of channels found so far, while the nodes of a graph are visited in order.

    The groups are a union-find structure: the root of each set of nodes represents a group.

    Args:
        modules: name -> module.
    """

    def __init__(self, modules: dict[str, nn.Module]) -> None:
        self.modules = modules
        self.parent: dict[fx.Node, fx.Node] = {}
        self.size: dict[fx.Node, int] = {}
        # for a root: the layers of its group, as keys without values, in order
        self.producers: dict[fx.Node, dict[str, None]] = {}
        self.consumers: dict[fx.Node, dict[str, None]] = {}
        self.norms: dict[fx.Node, dict[str, None]] = {}
        self.group_of: dict[fx.Node, fx.Node] = {}  # node -> a node in the group of its output
        # name of a layer -> nodes in the groups of the input and output of its first call
        self.first_call: dict[str, tuple[fx.Node, fx.Node]] = {}
        self.lengths: set[fx.Node] = set()  # nodes whose values are heights and widths

    def groups(self, nodes: Iterable[fx.Node], in_channels: int) -> list[Group]:
        """Visit all nodes and return the groups."""
        fixed: list[fx.Node] = []
        for node in nodes:
            if node.op == "placeholder":
                if fixed and node.users:
                    raise ValueError(f"Expected a network with one input; got another, {node}.")
                if not fixed:
                    self.group_of[node] = self.add_group(node, in_channels)
                    fixed.append(node)
            elif node.op == "output":
                value = node.args[0]
                if not isinstance(value, fx.Node) or value not in self.group_of:
                    raise ValueError(f"Expected a network with one output tensor; got {value}.")
                fixed.append(self.group_of[value])
            elif node.op == "call_module":
                self.group_of[node] = self.visit_layer(node, str(node.target))
            elif node.op == "get_attr":
                self.visit_attribute(node)
            else:
                self.visit_call(node)
        fixed_roots = {self.root(node) for node in fixed}
        return [
            Group(
                self.size[r],
                tuple(self.producers[r]),
                tuple(self.consumers[r]),
                tuple(self.norms[r]),
                r in fixed_roots,
            )
            for r in dict.fromkeys(map(self.root, self.parent))
        ]

    def add_group(self, node: fx.Node, channels: int) -> fx.Node:
        """Add a group that consists of the output of a node, and return the node."""
        self.parent[node], self.size[node] = node, channels
        self.producers[node], self.consumers[node], self.norms[node] = {}, {}, {}
        return node

    def root(self, node: fx.Node) -> fx.Node:
        """Return the node that represents the group of a node."""
        while self.parent[node] is not node:
            node = self.parent[node]
        return node

    def merge(self, a: fx.Node, b: fx.Node, node: fx.Node) -> fx.Node:
        """Merge two groups because of an operation, and return the root of the merged group."""
        a, b = self.root(a), self.root(b)
        if a is b:
            return a
        if self.size[a] != self.size[b]:
            raise ValueError(
                f"Channels cannot be traced through {node.format_node()}: it combines tensors with "
                f"{self.size[a]} and {self.size[b]} channels."
            )
        self.parent[b] = a
        for names in (self.producers, self.consumers, self.norms):
            names[a] |= names.pop(b)
        return a

    def sources(self, node: fx.Node) -> list[fx.Node]:
        """Return a node in the group of each tensor that an operation reads, by any argument."""
        return [self.group_of[n] for n in node.all_input_nodes if n in self.group_of]

    def visit_layer(self, node: fx.Node, name: str) -> fx.Node:
        """Return a node in the group of the output of a layer."""
        layer, sources = self.modules[name], self.sources(node)
        if len(sources) != 1:
            raise ValueError(
                f"Channels cannot be traced through {name}: {layer}, which is called with "
                f"{len(sources)} tensors instead of one."
            )
        (source,) = sources
        per_channel = isinstance(layer, nn.PReLU) and layer.num_parameters > 1
        if isinstance(layer, Convolution) and layer.groups == 1:
            if layer.in_channels != self.size[self.root(source)]:
                raise ValueError(
                    f"The layer {name} expects {layer.in_channels} channels, and its input has "
                    f"{self.size[self.root(source)]}."
                )
            if set(dict(layer.named_parameters())) - {"weight", "bias"}:
                raise ValueError(
                    f"Channels cannot be traced through {name}, a {type(layer).__name__}: its "
                    "weights are computed from other parameters, as with spectral normalization."
                )
            if name in self.first_call:
                first_source, output = self.first_call[name]
                self.merge(first_source, source, node)
                return output
            self.consumers[self.root(source)][name] = None
            output = self.add_group(node, layer.out_channels)
            self.producers[node][name] = None
            self.first_call[name] = (source, output)
            return output
        if per_channel or isinstance(layer, Normalization):
            if name in self.first_call:
                return self.merge(self.first_call[name][0], source, node)
            self.norms[self.root(source)][name] = None
            self.first_call[name] = (source, source)
            return source
        if isinstance(layer, (*CHANNELWISE, nn.PReLU)):
            return source
        raise ValueError(f"Channels cannot be traced through {name}: {layer}. {SUPPORTED}")

    def visit_attribute(self, node: fx.Node) -> None:
        """Accept a tensor that is stored in the network if it has one element, as a number has."""
        value: Any = self.modules[""]
        for name in str(node.target).split("."):
            value = getattr(value, name)
        if value.numel() != 1:
            raise ValueError(
                f"Channels cannot be traced through the tensor {node.target} of shape "
                f"{tuple(value.shape)}. {SUPPORTED}"
            )

    def visit_call(self, node: fx.Node) -> None:
        """Find the group of the output of a function or method."""
        sources = self.sources(node)
        method = node.op == "call_method"

        def is_in(functions: set[Any], methods: set[str]) -> bool:
            return node.target in (methods if method else functions)

        if self.is_length(node):
            self.lengths.add(node)
        elif self.is_size(node):
            pass  # heights and widths may be taken from it, see is_length
        elif sources and is_in(ELEMENTWISE, ELEMENTWISE_METHODS):
            self.group_of[node] = self.merge(sources[0], sources[-1], node)
        elif len(sources) == 1 and (
            is_in(FUNCTIONS, METHODS)
            or (is_in(QUOTIENTS, QUOTIENT_METHODS) and self.divides_by_number(node))
            or (node.target is F.pad and _pads_sides(_argument(node, 1, "pad")))
        ):
            self.group_of[node] = sources[0]
        else:
            raise ValueError(f"Channels cannot be traced through {node.format_node()}. {SUPPORTED}")

    def divides_by_number(self, node: fx.Node) -> bool:
        """Return whether a quotient has a number as its divisor; pruned channels may be zero."""
        return _argument(node, 1, "other") not in self.group_of

    def is_size(self, node: fx.Node) -> bool:
        """Return whether a node is the whole shape of a tensor, from which lengths are taken."""
        shape = node.target is getattr and node.args[1] == "shape"
        size = node.op == "call_method" and node.target == "size" and len(node.args) == 1
        return (shape or size) and not node.kwargs

    def is_length(self, node: fx.Node) -> bool:
        """Return whether the value of a node consists of heights and widths of tensors only."""
        if node.op == "call_method":
            return node.target == "size" and _argument(node, 1, "dim") in (2, 3, -1, -2)
        if node.target is operator.getitem:
            source, index = node.args
            if source in self.lengths:
                return True
            spatial = (2, 3, -1, -2, slice(2, None), slice(-2, None))
            is_size = isinstance(source, fx.Node) and self.is_size(source)
            return is_size and any(index == i for i in spatial)
        numbers = (operator.add, operator.sub, operator.mul, operator.floordiv, operator.truediv)
        inputs = node.all_input_nodes
        return node.target in numbers and bool(inputs) and all(n in self.lengths for n in inputs)


def _argument(node: fx.Node, position: int, name: str) -> Any:
    """Return an argument of a call, by its position or name; an empty tuple if it is missing."""
    return node.args[position] if len(node.args) > position else node.kwargs.get(name, ())


def _pads_sides(numbers: object) -> bool:
    """Return whether the argument of ``pad`` changes the height and the width only."""
    return isinstance(numbers, list | tuple) and len(numbers) <= 4


def merge_residual_groups(groups: Sequence[Group]) -> list[Group]:
    """Merge the groups inside residual blocks with the group of the trunk.

    The trunk is the group of channels to which all residual blocks add their outputs. Each residual
    block has another group between its two convolutions. After merging, all residual blocks and the
    trunk share one mask.

    Args:
        groups: result of :func:`channel_groups`.
    """
    producer_group = {name: group for group in groups for name in group.producers}
    consumer_group = {name: group for group in groups for name in group.consumers}

    def trunk(group: Group) -> Group | None:
        """Return the trunk if ``group`` is inside a residual block, else None."""
        neighbors = {id(g): g for g in (consumer_group[name] for name in group.producers)}
        neighbors |= {id(g): g for g in (producer_group[name] for name in group.consumers)}
        if len(neighbors) != 1:
            return None
        (neighbor,) = neighbors.values()
        inside = neighbor is not group and neighbor.size == group.size and not neighbor.fixed
        return neighbor if inside else None

    trunks = [None if group.fixed else trunk(group) for group in groups]
    merged = {id(g): [g] for g, t in zip(groups, trunks, strict=True) if t is None}
    for group, group_trunk in zip(groups, trunks, strict=True):
        if group_trunk is not None:
            merged[id(group_trunk)].append(group)
    return [
        Group(
            parts[0].size,
            tuple(name for part in parts for name in part.producers),
            tuple(name for part in parts for name in part.consumers),
            tuple(name for part in parts for name in part.norms),
            parts[0].fixed,
        )
        for parts in merged.values()
    ]


@dataclass(frozen=True)
class _LayerCost:
    """Properties of a convolution that determine its cost.

    Args:
        group_in: index of the group of input channels.
        group_out: index of the group of output channels.
        kernel: number of weights per pair of an input and an output channel.
        bias: whether the convolution has a bias.
        positions: number of positions at which the kernel is applied, in all calls of the layer; 0
            if unknown.
    """

    group_in: int
    group_out: int
    kernel: int
    bias: bool
    positions: int


class ChannelCosts:
    """Computes the size and multiply-adds of a pruned network without building the network.

    Args:
        module: network before pruning; may be on the meta device.
        groups: result of :func:`channel_groups`, including fixed groups.
        shape: shape of an input without the batch dimension. If omitted, multiply-adds are 0.

    Attributes:
        total: result of :meth:`count` for the network before pruning.
    """

    def __init__(self, module: nn.Module, groups: Sequence[Group], *shape: int) -> None:
        self.groups = groups
        positions: dict[str, int] = {}  # layer name -> number of kernel positions

        def count_positions(name: str) -> Callable[..., None]:
            def hook(layer: nn.Module, args: Any, kwargs: Any, output: torch.Tensor) -> None:
                inputs = args[0] if args else kwargs["input"]
                tensor = inputs if isinstance(layer, nn.ConvTranspose2d) else output
                positions[name] = positions.get(name, 0) + tensor.shape[2:].numel()

            return hook

        counted = copy.deepcopy(module).eval()  # so statistics of batch normalization do not change
        modules = dict(counted.named_modules())
        used = {name for group in groups for name in group.producers}
        layers = {k: m for k, m in modules.items() if isinstance(m, Convolution) and k in used}
        if shape:
            for name, layer in layers.items():
                layer.register_forward_hook(count_positions(name), with_kwargs=True)
            with torch.no_grad():
                counted(torch.zeros(1, *shape, device=next(counted.parameters()).device))
        group_in = {name: i for i, group in enumerate(groups) for name in group.consumers}
        group_out = {name: i for i, group in enumerate(groups) for name in group.producers}
        self.layers = [
            _LayerCost(
                group_in[name],
                group_out[name],
                layer.kernel_size[0] * layer.kernel_size[1],
                layer.bias is not None,
                positions.get(name, 0),
            )
            for name, layer in layers.items()
        ]
        # number of parameters per channel of each group that are not those of convolutions
        self.per_channel = [
            sum(p.numel() for name in group.norms for p in modules[name].parameters()) // group.size
            for group in groups
        ]
        self.other_params = 0  # of layers whose size does not depend on the masks
        full = [np.ones(g.size, bool) for g in groups if not g.fixed]
        self.other_params = sum(p.numel() for p in module.parameters()) - self.count(full)[1]
        self.total = self.count(full)

    def count(self, masks: Masks) -> tuple[int, int, int]:
        """Return (weights, params, macs) of the pruned network.

        ``weights`` is the number of convolution weights without biases (eq. 10 of Shu et al.,
        2019), ``params`` the number of all parameters, and ``macs`` the number of multiply-adds.

        Args:
            masks: one bool array per group that is not fixed, in order.
        """
        remaining = iter(masks)
        n_kept = [
            g.size if g.fixed else int(np.asarray(next(remaining)).sum()) for g in self.groups
        ]
        weights = macs = 0
        params = self.other_params + sum(map(operator.mul, self.per_channel, n_kept))
        for layer in self.layers:
            c_out = n_kept[layer.group_out]
            n = n_kept[layer.group_in] * c_out * layer.kernel
            weights += n
            params += n + layer.bias * c_out
            macs += n * layer.positions
        return weights, params, macs


def prune(module: nn.Module, groups: Sequence[Group], masks: Masks) -> nn.Module:
    """Return a copy of a network that contains only the channels that the masks keep.

    The copy computes the same function as the network in which the weights that multiply pruned
    channels are zero, and therefore as the result of :func:`zero_pruned_channels`.

    Args:
        module: network before pruning, which is not modified.
        groups: result of :func:`channel_groups`, including fixed groups.
        masks: one bool array per group that is not fixed, in order; each must keep at least one
            channel.

    Raises:
        ValueError: a mask has the wrong length or keeps no channel.
    """
    pruned = copy.deepcopy(module)
    layers = dict(pruned.named_modules())
    for kept, group in _kept_channels(groups, masks):
        for name in group.producers:
            _select_channels(_convolution(layers, name), kept, out=True)
        for name in group.consumers:
            _select_channels(_convolution(layers, name), kept, out=False)
        for name in group.norms:
            _select_features(layers[name], kept)
    return pruned


def zero_pruned_channels(module: nn.Module, groups: Sequence[Group], masks: Masks) -> nn.Module:
    """Return a copy of a network, with the same shape, whose pruned channels are zero.

    The filters and biases that produce the pruned channels, the weights and biases that normalize
    them, and the weights that multiply them are set to zero. If the channels are normalized and
    their activations are zero at zero, gradients are zero as well, so all of these remain zero
    during training.

    Args:
        module: network before pruning, which is not modified.
        groups: result of :func:`channel_groups`, including fixed groups.
        masks: as in :func:`prune`.
    """
    masked = copy.deepcopy(module)
    layers = dict(masked.named_modules())
    with torch.no_grad():
        for kept, group in _kept_channels(groups, masks):
            is_pruned = torch.ones(group.size, dtype=torch.bool)
            is_pruned[kept] = False
            for name in group.producers:
                layer = _convolution(layers, name)
                layer.weight.movedim(channel_axis(layer, out=True), 0)[is_pruned] = 0
                if layer.bias is not None:
                    layer.bias[is_pruned] = 0
            for name in group.consumers:
                layer = _convolution(layers, name)
                layer.weight.movedim(channel_axis(layer, out=False), 0)[is_pruned] = 0
            for name in group.norms:
                norm = layers[name]
                if isinstance(norm, Normalization):
                    for tensor in (norm.weight, norm.bias, norm.running_mean):
                        if tensor is not None:
                            tensor[is_pruned] = 0
    return masked


def channel_axis(layer: Convolution, *, out: bool) -> int:
    """Return the axis of the output (or input) channels in the weight of a convolution."""
    return int(isinstance(layer, nn.ConvTranspose2d) == out)


def _kept_channels(groups: Sequence[Group], masks: Masks) -> Iterator[tuple[torch.Tensor, Group]]:
    """Yield the indices of the kept channels of each group that is not fixed, with the group."""
    free = [group for group in groups if not group.fixed]
    if len(free) != len(masks):
        raise ValueError(
            f"Expected {len(free)} masks, one per group of channels; got {len(masks)}."
        )
    for group, bits in zip(free, masks, strict=True):
        mask = torch.as_tensor(bits, dtype=torch.bool)
        if mask.shape != (group.size,):
            raise ValueError(
                f"Expected a mask of {group.size} bits; got a mask of shape {tuple(mask.shape)}."
            )
        if not mask.any():
            raise ValueError(
                f"A mask keeps no output channel of the convolution {group.producers[0]!r}."
            )
        yield mask.nonzero()[:, 0], group


def _convolution(layers: dict[str, nn.Module], name: str) -> Convolution:
    layer = layers[name]
    assert isinstance(layer, Convolution)
    return layer


def _select_channels(layer: Convolution, kept: torch.Tensor, *, out: bool) -> None:
    """Keep only some output (or input) channels of a convolution, in place.

    Args:
        layer: the convolution.
        kept: indices of the channels to keep.
        out: whether to select output channels instead of input channels.
    """
    with torch.no_grad():
        axis = channel_axis(layer, out=out)
        weight = layer.weight.index_select(axis, kept.to(layer.weight.device))
        layer.weight = nn.Parameter(weight.clone(), layer.weight.requires_grad)
        if out and layer.bias is not None:
            bias = layer.bias[kept.to(layer.bias.device)].clone()
            layer.bias = nn.Parameter(bias, layer.bias.requires_grad)
    if out:
        layer.out_channels = len(kept)
    else:
        layer.in_channels = len(kept)


def _select_features(layer: nn.Module, kept: torch.Tensor) -> None:
    """Keep only some channels of a normalization layer, or of a PReLU, in place."""
    for name, parameter in list(layer.named_parameters(recurse=False)):
        selected = parameter.detach()[kept.to(parameter.device)].clone()
        setattr(layer, name, nn.Parameter(selected, parameter.requires_grad))
    for name in ("running_mean", "running_var"):
        if getattr(layer, name, None) is not None:
            statistic = getattr(layer, name)
            setattr(layer, name, statistic[kept.to(statistic.device)].clone())
    if isinstance(layer, nn.PReLU):
        layer.num_parameters = len(kept)
    else:
        assert isinstance(layer, Normalization)
        layer.num_features = len(kept)
