"""Parameters and multiply-adds: of any module by running it, of cell networks in closed form.

Conventions: parameters are trainable tensors; multiply-adds (macs) are those of convolutions,
transposed convolutions (at their input positions) and linear layers, without biases, for one image.
"""

import numpy as np
import torch
from torch import nn

from .cells import IMAGENET_SIDE, STEM_MULTIPLIER, even_layout, stack
from .operations import operation_cost


def count_params(module):
    """Number of trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


@torch.no_grad()
def count_macs(module, *shape):
    """Multiply-adds of one forward pass of ``module`` on one input of ``shape``."""
    total = 0

    def add(layer, inputs, output):
        nonlocal total
        weights = layer.weight.numel()
        if isinstance(layer, nn.Linear):
            total += weights
        elif isinstance(layer, nn.ConvTranspose2d):
            total += weights * inputs[0].shape[2:].numel()
        else:
            total += weights * output.shape[2:].numel()

    kinds = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    hooks = [m.register_forward_hook(add) for m in module.modules() if isinstance(m, kinds)]
    training = module.training
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    try:
        module.eval()(torch.zeros(1, *shape, device=device))
    finally:
        module.train(training)
        for hook in hooks:
            hook.remove()
    return total


def count_network(make, shape):
    """Params and macs of a network that is built on the meta device, without weights or numbers.

    Args:
        make: () -> the network.
        shape: of one input, (c, h, w).

    Returns:
        (params, macs), two ints.
    """
    with torch.device("meta"):
        network = make()
    return count_params(network), count_macs(network, *shape)


class CellCosts:
    """Exact params and macs of :class:`~moonas.nets.cell_network.CellNetwork`, without building it.

    The cost of a network is that of its fixed parts plus one number an edge, summed over the cells
    of its kind; so a whole population is counted with a table look-up.

    Args:
        operations: names, in the order of the indices that :meth:`count` gets.
        channels: of the first cell's nodes.
        layers: number of cells.
        n_classes: outputs.
        in_channels: of the images.
        image_size: side in pixels.
        increment: channels that every cell has more than the one before; None doubles them at
            every reduction.
        layout: a :class:`~moonas.nets.cells.Layout` in place of channels, layers and increment.
        last_norm: affine normalisation after operations that end without one.
        squeeze: squeeze-and-excitation on the output of every cell.
        n_nodes: of a cell.

    Attributes:
        fixed: (n_nodes + 1, n_nodes + 1, 2) params and macs of stem, preprocessing and classifier,
            by the number of nodes that normal and reduction cells concatenate.
        table: (2, n_states, n_operations, 2) params and macs of an edge, by kind of cell (0 normal,
            1 reduction), state it starts from and operation.
    """

    def __init__(
        self,
        operations,
        *,
        channels=36,
        layers=20,
        n_classes=10,
        in_channels=3,
        image_size=32,
        increment=None,
        layout=None,
        last_norm=False,
        squeeze=False,
        n_nodes=4,
    ):
        layout = layout or even_layout(channels, layers, increment)
        stem = _stem(in_channels, layout.stem, image_size)
        self.fixed = np.zeros((n_nodes + 1, n_nodes + 1, 2), dtype=np.int64)
        for n_out in np.ndindex(n_nodes + 1, n_nodes + 1):
            shapes = stack(layout, image_size, n_out)
            self.fixed[n_out] = stem + _between(shapes, n_out, n_classes)
            if squeeze:
                for shape in shapes:
                    width = n_out[int(shape.reduction)] * shape.channels
                    self.fixed[n_out] += operation_cost("squeeze_excitation", width, 1, 1)
        self.table = np.zeros((2, n_nodes + 1, len(operations), 2), dtype=np.int64)
        for shape in shapes:  # edges cost the same whatever is concatenated
            for state in range(n_nodes + 1):
                stride = shape.stride(state)
                side = shape.side if state < 2 else shape.side_out
                for index, name in enumerate(operations):
                    cost = operation_cost(name, shape.channels, stride, side, last_norm=last_norm)
                    self.table[int(shape.reduction), state, index] += cost

    def count(self, operations, states, n_out=None):
        """Params and macs of a population.

        Args:
            operations: (n, 2, n_nodes, 2) indices, over kinds of cells, nodes and their edges.
            states: the same shape, where each edge starts.
            n_out: (n, 2) nodes that each row's normal and reduction cells concatenate; all of them
                by default.

        Returns:
            (n, 2) int64.
        """
        kinds = np.arange(2).reshape(1, 2, 1, 1)
        edges = self.table[kinds, states, operations].sum(axis=(1, 2, 3))
        if n_out is None:
            return edges + self.fixed[-1, -1]
        return edges + self.fixed[tuple(np.asarray(n_out).T)]

    def largest(self):
        """(2,) params and macs that no network of the space exceeds, each by itself."""
        n_nodes = self.table.shape[1] - 1
        edges = sum(
            self.table[kind, : node + 2].max(axis=(0, 1)) * 2
            for kind in (0, 1)
            for node in range(n_nodes)
        )
        return edges + self.fixed[-1, -1]


def _between(shapes, n_out, n_classes):
    """(2,) params and macs of what stands between stem and edges: preprocessing and classifier."""
    total = np.zeros(2, dtype=np.int64)
    for shape in shapes:
        c, area = shape.channels, shape.side**2
        for c_in in (shape.c_prev_prev, shape.c_prev):
            total += (c_in * c + 2 * c, c_in * c * area)
    weights = n_out[int(shapes[-1].reduction)] * shapes[-1].channels * n_classes
    return total + np.array([weights + n_classes, weights])


def _stem(in_channels, channels, image_size):
    if image_size < IMAGENET_SIDE:
        out = STEM_MULTIPLIER * channels
        weights = 9 * in_channels * out
        return np.array([weights + 2 * out, weights * image_size**2])
    half, side = channels // 2, image_size
    params = macs = 0
    for c_in, c_out in ((in_channels, half), (half, channels), (channels, channels)):
        side = -(-side // 2)
        params += 9 * c_in * c_out + 2 * c_out
        macs += 9 * c_in * c_out * side**2
    return np.array([params, macs])
