"""Numbers of parameters and multiply-adds of any module, and in closed form of cell networks.

Conventions: only trainable parameters are counted. Multiply-adds (MACs) are counted in
convolutions, transposed convolutions (per input pixel) and linear layers, for one input and without
biases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .cells import STEM_MULTIPLIER, CellNetworkShape, CellShape
from .operations import FixedConvolution, operation_cost


def count_params(module: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


@torch.no_grad()
def count_macs(module: nn.Module, *shape: int, count_fixed: bool = False) -> int:
    """Return the number of multiply-adds of one forward pass.

    Args:
        module: the module; one forward pass is run in evaluation mode, and the previous mode is
            restored.
        shape: shape of one input, without the batch dimension.
        count_fixed: whether the weights of :class:`~moonas.nets.operations.FixedConvolution` count.
    """
    total = 0

    def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        assert isinstance(layer.weight, Tensor)
        weights = layer.weight.numel()
        if isinstance(layer, nn.Linear):
            total += weights
        elif isinstance(layer, nn.ConvTranspose2d):
            total += weights * inputs[0].shape[2:].numel()
        else:
            total += weights * output.shape[2:].numel()

    kinds = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    hooks = [
        m.register_forward_hook(add)
        for m in module.modules()
        if isinstance(m, kinds) and (count_fixed or not isinstance(m, FixedConvolution))
    ]
    training = module.training
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    try:
        module.eval()(torch.zeros(1, *shape, device=device))
    finally:
        module.train(training)
        for hook in hooks:
            hook.remove()
    return total


def count_network(make: Callable[[], nn.Module], shape: Sequence[int]) -> tuple[int, int]:
    """Count parameters and multiply-adds of a network that is built on the meta device.

    Args:
        make: () -> the network.
        shape: (c, h, w), shape of one input.

    Returns:
        (params, macs).
    """
    with torch.device("meta"):
        network = make()
    return count_params(network), count_macs(network, *shape)


class CellCosts:
    """Closed-form parameters and MACs of :class:`~moonas.nets.cell_network.CellNetwork`.

    The cost of a network is the cost of its stem, preprocessing and classifier plus one table entry
    per edge, so a whole population is counted without building any network. The costs are exact.

    Args:
        operations: names of the operations, in the order of the indices passed to :meth:`count`.
        last_norm: whether affine normalization is appended to operations that end without
            normalization.
        squeeze: whether squeeze-and-excitation is applied to the output of each cell.
        n_nodes: number of nodes per cell.
        count_fixed: whether the fixed weights of local binary convolutions count as MACs.
        shape: keyword arguments of :class:`~moonas.nets.cells.CellNetworkShape`.

    Attributes:
        fixed: (n_nodes + 1, n_nodes + 1, 2) parameters and MACs of stem, preprocessing and
            classifier; the indices are the numbers of nodes that normal and reduction cells
            concatenate.
        table: (2, n_nodes + 1, n_operations, 2) parameters and MACs of an edge, summed over all
            cells of a type; the indices are cell type (0 normal, 1 reduction), input state and
            operation.
    """

    def __init__(
        self,
        operations: Sequence[str],
        *,
        last_norm: bool = False,
        squeeze: bool = False,
        n_nodes: int = 4,
        count_fixed: bool = False,
        **shape: Any,
    ) -> None:
        network_shape = CellNetworkShape(**shape)
        stem = _stem_cost(network_shape)
        self.fixed = np.zeros((n_nodes + 1, n_nodes + 1, 2), dtype=np.int64)
        for n_normal, n_reduction in np.ndindex(n_nodes + 1, n_nodes + 1):
            n_out = n_normal, n_reduction
            cells = network_shape.cell_shapes(n_out)
            self.fixed[n_out] = stem + _preprocessing_cost(cells)
            self.fixed[n_out] += _classifier_cost(cells[-1], n_out, network_shape.n_classes)
            if squeeze:
                for cell in cells:
                    width = n_out[int(cell.reduction)] * cell.channels
                    self.fixed[n_out] += operation_cost("squeeze_excitation", width, 1, 1)
        self.table = np.zeros((2, n_nodes + 1, len(operations), 2), dtype=np.int64)
        for cell in network_shape.cell_shapes():  # the cost of an edge does not depend on n_out
            for state in range(n_nodes + 1):
                stride, side = cell.stride(state), cell.side_at(state)
                for index, name in enumerate(operations):
                    cost = operation_cost(
                        *(name, cell.channels, stride, side),
                        last_norm=last_norm,
                        count_fixed=count_fixed,
                    )
                    self.table[int(cell.reduction), state, index] += cost

    def count(
        self, operations: np.ndarray, states: np.ndarray, n_out: np.ndarray | None = None
    ) -> np.ndarray:
        """Count parameters and MACs of the networks of a population.

        Args:
            operations: (n, 2, n_nodes, 2) indices of operations; the dimensions are network, cell
                type,
            node and edge.
            states: (n, 2, n_nodes, 2) input states of the edges.
            n_out: (n, 2) numbers of nodes that the normal and the reduction cell of each network
                concatenate; by default, all nodes.

        Returns:
            (n, 2) int64, parameters and MACs.
        """
        cell_types = np.arange(2).reshape(1, 2, 1, 1)
        edges = self.table[cell_types, states, operations].sum(axis=(1, 2, 3))
        fixed = self.fixed[-1, -1] if n_out is None else self.fixed[tuple(np.asarray(n_out).T)]
        counts: np.ndarray = edges + fixed
        return counts

    def largest(self) -> np.ndarray:
        """Return (2,) upper bounds of parameters and MACs in the search space.

        A network attains a bound if each of its edges has the most expensive operation and input
        state; the two bounds may require different networks.
        """
        total: np.ndarray = self.fixed[-1, -1].copy()
        for cell_type in (0, 1):
            for node in range(self.table.shape[1] - 1):
                total += 2 * self.table[cell_type, : node + 2].max(axis=(0, 1))
        return total


def _preprocessing_cost(cells: Sequence[CellShape]) -> np.ndarray:
    """Return (2,) parameters and MACs of the layers that preprocess the inputs of the cells."""
    total = np.zeros(2, dtype=np.int64)
    for cell in cells:
        c, area = cell.channels, cell.side**2
        for c_in in (cell.c_prev_prev, cell.c_prev):
            total += (c_in * c + 2 * c, c_in * c * area)
    return total


def _classifier_cost(last: CellShape, n_out: tuple[int, int], n_classes: int) -> np.ndarray:
    """Return (2,) parameters and MACs of the classifier after the last cell."""
    weights = n_out[int(last.reduction)] * last.channels * n_classes
    return np.array([weights + n_classes, weights])


def _stem_cost(shape: CellNetworkShape) -> np.ndarray:
    """Return (2,) parameters and MACs of :class:`~moonas.nets.cells.Stem`."""
    in_channels, channels, image_size = shape.in_channels, shape.cells.stem, shape.image_size
    if not shape.large_stem:
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
