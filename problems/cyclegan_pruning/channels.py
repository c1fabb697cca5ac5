"""Channel dependencies, derived from the graph of a network, and structured pruning.

Channels that must be kept or removed together form a *group*: the outputs of a convolution and of
all convolutions whose outputs are added to them. Layers that do not mix channels (normalization
without parameters, activations, padding) do not change the group. Therefore, a mask with one bit
per channel of each group selects the filters to keep. Pruning all other filters yields a network
with the same graph and fewer channels.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import fx, nn

Convolution = nn.Conv2d | nn.ConvTranspose2d
Masks = Sequence[np.ndarray | Sequence[bool]]  # one per group that is not fixed, in the same order

CHANNELWISE = (
    nn.ReLU,
    nn.LeakyReLU,
    nn.Tanh,
    nn.Identity,
    nn.ReflectionPad2d,
    nn.ZeroPad2d,
    nn.Dropout,
)
ADDITIONS = (operator.add, operator.iadd, torch.add)


@dataclass(frozen=True)
class Group:
    """Channels that are kept or pruned together.

    Args:
        size: number of channels.
        producers: names of the convolutions that output these channels, in order; empty for the
            input of the network.
        consumers: names of the convolutions whose input channels these are, in order.
        norms: names of the normalization layers that these channels pass through.
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

    Args:
        module: network with one input and one output tensor. It may contain convolutions with
            ``groups=1``, instance normalization without parameters, channel-wise modules and
            additions.
        in_channels: number of channels of the input.

    Raises:
        ValueError: the network contains an unsupported operation.
    """
    graph, modules = fx.symbolic_trace(module), dict(module.named_modules())
    # Union-find over the nodes of the graph: the root of each set represents a group.
    parent: dict[fx.Node, fx.Node] = {}
    size: dict[fx.Node, int] = {}
    producers: dict[fx.Node, list[str]] = {}
    consumers: dict[fx.Node, list[str]] = {}
    norms: dict[fx.Node, list[str]] = {}
    fixed: set[fx.Node] = set()

    def add_group(node: fx.Node, channels: int) -> None:
        parent[node], size[node] = node, channels
        producers[node], consumers[node], norms[node] = [], [], []

    def root(node: fx.Node) -> fx.Node:
        while parent[node] is not node:
            node = parent[node]
        return node

    def merge(a: fx.Node, b: fx.Node) -> fx.Node:
        a, b = root(a), root(b)
        if a is b:
            return a
        if size[a] != size[b]:
            raise ValueError(
                "Channels cannot be traced through an addition of tensors with "
                f"{size[a]} and {size[b]} channels."
            )
        parent[b] = a
        for names in (producers, consumers, norms):
            names[a] += names.pop(b)
        return a

    group_of: dict[Any, fx.Node] = {}  # node -> a node in the group of its output
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            add_group(node, in_channels)
            group_of[node] = node
            fixed.add(node)
        elif node.op == "call_module":
            layer, source = modules[str(node.target)], group_of[node.args[0]]
            if isinstance(layer, Convolution) and layer.groups == 1:
                consumers[root(source)].append(str(node.target))
                add_group(node, layer.out_channels)
                producers[node].append(str(node.target))
                group_of[node] = node
            elif isinstance(layer, CHANNELWISE):
                group_of[node] = source
            elif isinstance(layer, nn.InstanceNorm2d) and not (
                layer.affine or layer.track_running_stats
            ):
                group_of[node] = source
                norms[root(source)].append(str(node.target))
            else:
                raise ValueError(f"Channels cannot be traced through {node.target}: {layer}.")
        elif node.op == "call_function" and node.target in ADDITIONS:
            group_of[node] = merge(group_of[node.args[0]], group_of[node.args[1]])
        elif node.op == "output":
            fixed.add(group_of[node.args[0]])
        else:
            raise ValueError(f"Channels cannot be traced through {node.format_node()}.")
    fixed = {root(node) for node in fixed}
    roots = dict.fromkeys(root(node) for node in parent)
    return [
        Group(size[r], tuple(producers[r]), tuple(consumers[r]), tuple(norms[r]), r in fixed)
        for r in roots
    ]


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
        positions: number of positions at which the kernel is applied; 0 if unknown.
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

        def count_positions(name: str) -> Callable[[nn.Module, Any, torch.Tensor], None]:
            def hook(layer: nn.Module, inputs: Any, output: torch.Tensor) -> None:
                tensor = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
                positions[name] = tensor.shape[2:].numel()

            return hook

        layers = {k: m for k, m in module.named_modules() if isinstance(m, Convolution)}
        if shape:
            hooks = [
                layer.register_forward_hook(count_positions(name)) for name, layer in layers.items()
            ]
            with torch.no_grad():
                module(torch.zeros(1, *shape, device=next(module.parameters()).device))
            for hook in hooks:
                hook.remove()
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
        self.total = self.count([np.ones(g.size, bool) for g in groups if not g.fixed])

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
        weights = params = macs = 0
        for layer in self.layers:
            c_out = n_kept[layer.group_out]
            n = n_kept[layer.group_in] * c_out * layer.kernel
            weights += n
            params += n + layer.bias * c_out
            macs += n * layer.positions
        return weights, params, macs


def prune(module: nn.Module, groups: Sequence[Group], masks: Masks) -> nn.Module:
    """Return a copy of a network that contains only the channels that the masks keep.

    With instance normalization, the copy computes the same function as the result of
    :func:`zero_pruned_channels`.

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
            layers[name].num_features = len(kept)
    return pruned


def zero_pruned_channels(module: nn.Module, groups: Sequence[Group], masks: Masks) -> nn.Module:
    """Return a copy of a network, with the same shape, whose pruned channels are zero.

    The filters and biases that produce the pruned channels, and the weights that multiply them, are
    set to zero. With instance normalization, their gradients are zero as well, so all of them
    remain zero during training.

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
