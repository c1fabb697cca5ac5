"""The supernet of a cell-based search space. Each forward pass evaluates one path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .cell_network import CellNetwork
from .cells import (
    CellNetworkShape,
    CellShape,
    Concat,
    Edges,
    Stem,
    all_nodes,
    preprocess,
    run_cell,
)
from .operations import (
    build_operation,
    nonaffine_batch_norm,
    select_input_channels,
    use_batch_statistics,
)

Channels = list[slice] | None  # input channels of a layer that are present; None means all
# The edges of a cell, the states to concatenate, and the channels present in states 0 and 1.
CellArguments = tuple[Edges, tuple[int, ...], tuple[Channels, Channels]]


class Architecture(Protocol):
    """A pair of cells, each a sequence of (operation, state) pairs, two per node."""

    @property
    def normal(self) -> Edges: ...

    @property
    def reduction(self) -> Edges: ...


class _Cell(nn.Module):
    def __init__(self, shape: CellShape, operations: Iterable[str], n_nodes: int) -> None:
        super().__init__()
        self.shape = shape
        self.older, self.newer = preprocess(shape, nonaffine_batch_norm)
        # operations[node][state][name]
        self.operations: Any = nn.ModuleList(
            nn.ModuleList(
                _candidate_modules(operations, shape.channels, shape.stride(state))
                for state in range(node + 2)
            )
            for node in range(n_nodes)
        )

    def operation(self, index: int, name: str, state: int) -> nn.Module:
        """Return the module for the operation ``name`` on ``state`` at edge ``index`` of a cell."""
        module: nn.Module = self.operations[index // 2][state][name]
        return module

    def forward(
        self,
        state0: Tensor,
        state1: Tensor,
        channels: tuple[Channels, Channels],
        edges: Edges,
        concat: tuple[int, ...],
    ) -> Tensor:
        """Compute one path; ``channels`` are the channels that are present in states 0 and 1."""
        return run_cell(
            self.shape,
            edges,
            concat,
            self.older(state0, channels[0]),
            self.newer(state1, channels[1]),
            lambda index, name, state, x: self.operation(index, name, state)(x),
        )


def _candidate_modules(operations: Iterable[str], channels: int, stride: int) -> nn.ModuleDict:
    """Return the modules of all operations of an edge by name; ``none`` has no module."""
    norm = nonaffine_batch_norm
    modules = {name: build_operation(name, channels, stride, norm, norm) for name in operations}
    return nn.ModuleDict({name: m for name, m in modules.items() if m is not None})


class CellSupernet(nn.Module):
    """A supernet that has, in each cell, one module per operation and possible edge.

    All normalization layers use batch statistics, in training and evaluation; only those in the
    stem have a scale and a shift. If an architecture concatenates only some nodes of a cell, the
    next layers use the weights that belong to these nodes, regardless of the position of the nodes
    in the concatenation.

    Args:
        operations: names of the operations; ``none`` has no weights.
        n_nodes: number of nodes per cell.
        concat: edges of a cell -> states of the nodes that the cell concatenates; by default, all
            nodes.
        shape: keyword arguments of :class:`~moonas.nets.cells.CellNetworkShape`.
    """

    def __init__(
        self, operations: Sequence[str], n_nodes: int, concat: Concat = all_nodes, **shape: Any
    ) -> None:
        super().__init__()
        self.n_nodes, self.concat = n_nodes, concat
        network_shape = CellNetworkShape(**shape)
        shapes = network_shape.cell_shapes((n_nodes, n_nodes))
        self.stem = Stem(
            network_shape.in_channels, network_shape.cells.stem, network_shape.large_stem
        )
        use_batch_statistics(self.stem)
        self.cells = nn.ModuleList(_Cell(s, operations, n_nodes) for s in shapes)
        self.classifier = nn.Linear(n_nodes * shapes[-1].channels, network_shape.n_classes)

    def forward(self, images: Tensor, architecture: Architecture) -> Tensor:
        """Compute the logits of one path.

        Args:
            images: (b, in_channels, h, w).
            architecture: the path, with edges ``normal`` and ``reduction``.

        Returns:
            (b, n_classes) logits.
        """
        state0, state1 = self.stem(images)
        wiring, channels = self._wiring(architecture)
        for cell, (edges, concat, inputs) in zip(self.cells, wiring, strict=True):
            state0, state1 = state1, cell(state0, state1, inputs, edges, concat)
        weight = self.classifier.weight
        if channels is not None:
            weight = select_input_channels(weight, channels)
        return F.linear(state1.mean((2, 3)), weight, self.classifier.bias)

    def _wiring(self, architecture: Architecture) -> tuple[list[CellArguments], Channels]:
        """Return the arguments of each cell, and the input channels of the classifier.

        Returns:
            A list of (edges, states to concatenate, (channels of state 0, channels of state 1)),
            one tuple per cell, and the channels of the output of the last cell. The slices refer to
            the channels of a cell that concatenates all nodes; None means all channels.
        """
        cell_types = [
            (edges, self.concat(edges)) for edges in (architecture.normal, architecture.reduction)
        ]
        older: Channels = None
        newer: Channels = None
        wiring: list[CellArguments] = []
        for cell in self.cells:
            assert isinstance(cell, _Cell)
            edges, concat = cell_types[int(cell.shape.reduction)]
            wiring.append((edges, concat, (older, newer)))
            c = cell.shape.channels
            older, newer = newer, [slice((state - 2) * c, (state - 1) * c) for state in concat]
            if len(concat) == self.n_nodes:
                newer = None
        return wiring, newer

    @torch.no_grad()
    def copy_weights(self, network: CellNetwork, architecture: Architecture) -> None:
        """Copy the weights of a path to a stand-alone network of the same shape.

        Args:
            network: the network whose weights are overwritten. Its normalization layers keep their
                scale, shift and running statistics if the supernet has none.
            architecture: the architecture of the network.
        """
        wiring, channels = self._wiring(architecture)
        _copy(self.stem, network.stem)
        _copy(self.classifier, network.classifier, channels)
        for source, target, (edges, _, inputs) in zip(
            self.cells, network.cells, wiring, strict=True
        ):
            assert isinstance(source, _Cell)
            _copy(source.older, target.get_submodule("older"), inputs[0])
            _copy(source.newer, target.get_submodule("newer"), inputs[1])
            for index, (name, state) in enumerate(edges):
                if name != "none":
                    operation = target.get_submodule(f"operations.{index}")
                    _copy(source.operation(index, name, state), operation)


def _copy(source: nn.Module, target: nn.Module, channels: Channels = None) -> None:
    """Copy the state dict; of tensors with different shapes, copy only the given input channels."""
    state = source.state_dict()
    for name, tensor in target.state_dict().items():
        if name in state and state[name].shape != tensor.shape:
            assert channels is not None
            state[name] = select_input_channels(state[name], channels)
    target.load_state_dict(state, strict=False)
