"""Which channels of a network live and die together, read from its graph, and surgery on them.

A *group* is a set of channels that every tensor they pass through has in common: the outputs of a
convolution, and of all convolutions whose outputs are added to them. What does not mix channels
(normalisation without parameters, activations, padding) hands a group on. So a mask of one bit a
channel of each group says which filters stay, and the network without the others is a network of
the same graph with fewer channels.
"""

import copy
import operator
from dataclasses import dataclass

import numpy as np
import torch
from torch import fx, nn

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
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
    """Channels that live and die together.

    Args:
        size: number of channels.
        producers: names of the convolutions whose outputs they are, in order; none for those of the
            network's input.
        consumers: names of the convolutions that read them, in order.
        norms: names of the normalisations that they pass through.
        fixed: whether they are the network's input or output, of which nothing can be left out.
    """

    size: int
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    norms: tuple[str, ...]
    fixed: bool


def channel_groups(module, in_channels):
    """The :class:`Group` list of a network, in the order in which its first producers run.

    Args:
        module: one tensor in, one out; convolutions of one group each, instance normalisation
            without parameters, channelwise modules, and additions.
        in_channels: of its input.

    Raises:
        ValueError: the network does something else.
    """
    graph, modules = fx.symbolic_trace(module), dict(module.named_modules())
    parent, size, fixed = {}, {}, set()
    producers, consumers, norms = {}, {}, {}

    def new(node, channels):
        parent[node], size[node] = node, channels
        producers[node], consumers[node], norms[node] = [], [], []

    def root(node):
        while parent[node] is not node:
            node = parent[node]
        return node

    def join(a, b):
        a, b = root(a), root(b)
        if a is b:
            return a
        if size[a] != size[b]:
            raise ValueError(f"Tensors of {size[a]} and of {size[b]} channels are added.")
        parent[b] = a
        for names in (producers, consumers, norms):
            names[a] += names.pop(b)
        return a

    of = {}  # node of the graph -> a node of the group its tensor's channels are
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            new(node, in_channels)
            of[node] = node
            fixed.add(node)
        elif node.op == "call_module":
            layer, source = modules[node.target], of[node.args[0]]
            if isinstance(layer, CONVOLUTIONS) and layer.groups == 1:
                consumers[root(of[source])].append(node.target)
                new(node, layer.out_channels)
                producers[node].append(node.target)
                of[node] = node
            elif isinstance(layer, CHANNELWISE) or (
                isinstance(layer, nn.InstanceNorm2d)
                and not (layer.affine or layer.track_running_stats)
            ):
                of[node] = of[source]
                if isinstance(layer, nn.InstanceNorm2d):
                    norms[root(of[source])].append(node.target)
            else:
                raise ValueError(f"Channels cannot be followed through {node.target}: {layer}.")
        elif node.op == "call_function" and node.target in ADDITIONS:
            of[node] = join(of[node.args[0]], of[node.args[1]])
        elif node.op == "output":
            fixed.add(of[node.args[0]])
        else:
            raise ValueError(f"Channels cannot be followed through {node.format_node()}.")
    fixed = {root(node) for node in fixed}
    roots = list(dict.fromkeys(root(node) for node in parent))
    kinds = producers, consumers, norms
    return [Group(size[r], *(tuple(names[r]) for names in kinds), r in fixed) for r in roots]


def join_loops(groups):
    """Groups, those merged that lead from some channels back to the same ones.

    The two convolutions of a residual block are such a loop: what is between them reads and feeds
    the trunk alone. Merged with it, the block has one mask for all of its channels.
    """
    written = {name: group for group in groups for name in group.producers}
    read = {name: group for group in groups for name in group.consumers}

    def trunk(group):
        """The group that a loop begins and ends with; None if it is no loop."""
        around = {id(g): g for g in (read[name] for name in group.producers)}
        around |= {id(g): g for g in (written[name] for name in group.consumers)}
        (other, *more) = around.values() if around else (None,)
        same = other is not None and not more and other is not group
        return other if same and other.size == group.size and not other.fixed else None

    merged = {id(g): [g] for g in groups if g.fixed or trunk(g) is None}
    for group in groups:
        if id(group) not in merged:
            merged[id(trunk(group))].append(group)
    return [
        Group(
            parts[0].size,
            *(
                tuple(name for part in parts for name in getattr(part, kind))
                for kind in ("producers", "consumers", "norms")
            ),
            parts[0].fixed,
        )
        for parts in merged.values()
    ]


class ChannelCosts:
    """What a network without some of its channels costs, in closed form.

    Args:
        module: the whole network; may be on the meta device.
        groups: of :func:`channel_groups`, fixed ones included.
        shape: of an input without the batch, for multiply-adds; none: they are left out.

    Attributes:
        whole: (weights, params, macs) of the whole network.
    """

    def __init__(self, module, groups, *shape):
        self.groups = groups
        areas = {}  # by layer: places that its kernel is put to

        def note(name):
            def hook(layer, inputs, output):
                at = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
                areas[name] = at.shape[2:].numel()

            return hook

        layers = {k: m for k, m in module.named_modules() if isinstance(m, CONVOLUTIONS)}
        if shape:
            hooks = [layer.register_forward_hook(note(name)) for name, layer in layers.items()]
            with torch.no_grad():
                module(torch.zeros(1, *shape, device=next(module.parameters()).device))
            for hook in hooks:
                hook.remove()
        into = {name: i for i, group in enumerate(groups) for name in group.consumers}
        out = {name: i for i, group in enumerate(groups) for name in group.producers}
        kernels = {k: m.kernel_size[0] * m.kernel_size[1] for k, m in layers.items()}
        self.layers = [  # of each: groups in and out, size of a kernel, a bias or none, places
            (into[k], out[k], kernels[k], layers[k].bias is not None, areas.get(k, 0))
            for k in layers
        ]
        free = [np.ones(group.size, bool) for group in groups if not group.fixed]
        self.whole = self.count(free)

    def count(self, masks):
        """(weights, params, macs): weights of convolutions without biases (as in eq. 10 of Shu et
        al., 2019), all parameters, and multiply-adds.

        Args:
            masks: bool arrays, one a group that is not fixed, in order.
        """
        masks = iter(masks)
        kept = [g.size if g.fixed else int(np.asarray(next(masks)).sum()) for g in self.groups]
        weights = params = macs = 0
        for c_in, c_out, kernel, bias, places in self.layers:
            n = kept[c_in] * kept[c_out] * kernel
            weights += n
            params += n + bias * kept[c_out]
            macs += n * places
        return weights, params, macs


def prune(module, groups, masks):
    """A copy of a network without the channels that masks leave out.

    Where normalisation is by instance, it computes what :func:`silenced` does.

    Args:
        module: the whole network; stays as it is.
        groups: of :func:`channel_groups`, fixed ones included.
        masks: bool arrays, one a group that is not fixed, in order; each keeps a channel at least.

    Raises:
        ValueError: a mask has another length, or keeps nothing.
    """
    pruned = copy.deepcopy(module)
    layers = dict(pruned.named_modules())
    for rows, group in _rows(groups, masks):
        for name in group.producers:
            _take(layers[name], rows, out=True)
        for name in group.consumers:
            _take(layers[name], rows, out=False)
        for name in group.norms:
            layers[name].num_features = len(rows)
    return pruned


def silenced(module, groups, masks):
    """A copy of a network of the same size in which the channels that masks leave out are silent.

    Filters that make them, their biases, and the weights that read them are zero, and have zero
    gradient wherever normalisation is by instance: they stay zero in training.
    """
    quiet = copy.deepcopy(module)
    layers = dict(quiet.named_modules())
    with torch.no_grad():
        for rows, group in _rows(groups, masks):
            off = torch.ones(group.size, dtype=torch.bool)
            off[rows] = False
            for name in group.producers:
                layer = layers[name]
                layer.weight.movedim(_axis(layer, out=True), 0)[off] = 0
                if layer.bias is not None:
                    layer.bias[off] = 0
            for name in group.consumers:
                layer = layers[name]
                layer.weight.movedim(_axis(layer, out=False), 0)[off] = 0
    return quiet


def _rows(groups, masks):
    """Each group that is not fixed, with the indices of the channels that stay."""
    free = [group for group in groups if not group.fixed]
    if len(free) != len(masks):
        raise ValueError(f"Expected {len(free)} masks, one a group; got {len(masks)}.")
    for group, mask in zip(free, masks, strict=True):
        mask = torch.as_tensor(mask, dtype=torch.bool)
        if mask.shape != (group.size,):
            raise ValueError(
                f"Expected a mask of {group.size} bits; got one of shape {tuple(mask.shape)}."
            )
        if not mask.any():
            raise ValueError(f"A mask leaves no channel of {group.producers[0]}.")
        yield mask.nonzero()[:, 0], group


def _axis(layer, out):
    """The axis of a layer's weight that its outputs, or its inputs, run along."""
    return int(isinstance(layer, nn.ConvTranspose2d) == out)


def _take(layer, rows, out):
    with torch.no_grad():
        weight = layer.weight.index_select(_axis(layer, out), rows.to(layer.weight.device))
        layer.weight = nn.Parameter(weight.clone(), layer.weight.requires_grad)
        if out and layer.bias is not None:
            bias = layer.bias[rows.to(layer.bias.device)].clone()
            layer.bias = nn.Parameter(bias, layer.bias.requires_grad)
    if out:
        layer.out_channels = len(rows)
    else:
        layer.in_channels = len(rows)
