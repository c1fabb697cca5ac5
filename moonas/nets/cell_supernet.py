"""The supernet of a cell space: every operation on every edge; a pass computes one path."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from .cells import CellNetworkShape, Stem, all_nodes, preprocess, run_cell
from .operations import (
    build_operation,
    nonaffine_batch_norm,
    select_input_channels,
    use_batch_statistics,
)


class _Cell(nn.Module):
    def __init__(self, shape, operations, n_nodes):
        super().__init__()
        self.shape = shape
        self.older, self.newer = preprocess(shape, nonaffine_batch_norm)
        # operations[node][state][name]
        self.operations = nn.ModuleList(
            nn.ModuleList(
                nn.ModuleDict(
                    {
                        name: build_operation(
                            name,
                            shape.channels,
                            shape.stride(state),
                            nonaffine_batch_norm,
                            nonaffine_batch_norm,
                        )
                        for name in operations
                        if name != "none"
                    }
                )
                for state in range(node + 2)
            )
            for node in range(n_nodes)
        )

    def operation(self, index, name, state):
        """The module of edge ``index`` of a cell when it is (name, state)."""
        return self.operations[index // 2][state][name]

    def forward(self, state0, state1, columns, edges, concat):
        """``columns`` of what the preprocessing can read that states 0 and 1 hold."""
        return run_cell(
            self.shape,
            edges,
            concat,
            self.older(state0, columns[0]),
            self.newer(state1, columns[1]),
            lambda index, name, state, x: self.operation(index, name, state)(x),
        )


class CellSupernet(nn.Module):
    """Shared weights of all architectures; batch normalisation without scale except in the stem.

    Every normalisation uses the statistics of the batch at hand, in training and in scoring. Where
    an architecture concatenates some nodes of a cell only, what reads the cell takes the weights
    that belong to these nodes, wherever they stand in the concatenation.

    Args:
        operations: names; ``none`` has no weights.
        n_nodes: of a cell.
        concat: edges of a cell -> states of the nodes that it concatenates.
        shape: keyword arguments of :class:`~moonas.nets.cells.CellNetworkShape`: channels, layers,
            n_classes, in_channels, image_size, increment and layout.
    """

    def __init__(self, operations, n_nodes: int, concat: Callable = all_nodes, **shape):
        super().__init__()
        self.n_nodes, self.concat = n_nodes, concat
        shape = CellNetworkShape(**shape)
        shapes = shape.stack((n_nodes, n_nodes))
        self.stem = Stem(shape.in_channels, shape.cells.stem, shape.image_size)
        use_batch_statistics(self.stem)
        self.cells = nn.ModuleList(_Cell(s, operations, n_nodes) for s in shapes)
        self.classifier = nn.Linear(n_nodes * shapes[-1].channels, shape.n_classes)

    def forward(self, images, architecture):
        """(b, in_channels, h, w) images -> (b, n_classes) logits of one path.

        ``architecture`` has ``normal`` and ``reduction``: (operation, state) pairs, two a node.
        """
        state0, state1 = self.stem(images)
        wiring, columns = self._wiring(architecture)
        for cell, (edges, concat, read) in zip(self.cells, wiring, strict=True):
            state0, state1 = state1, cell(state0, state1, read, edges, concat)
        weight = self.classifier.weight
        if columns is not None:
            weight = select_input_channels(weight, columns)
        return F.linear(state1.mean((2, 3)), weight, self.classifier.bias)

    def _wiring(self, architecture):
        """The arguments of each cell, and the columns that the classifier reads.

        Returns:
            A list of (edges, states to concatenate, (columns that state 0 holds, those that state 1
            holds)), a cell each; and columns. Columns are None where all are there.
        """
        kinds = [
            (edges, self.concat(edges)) for edges in (architecture.normal, architecture.reduction)
        ]
        older = newer = None
        wiring = []
        for cell in self.cells:
            edges, concat = kinds[int(cell.shape.reduction)]
            wiring.append((edges, concat, (older, newer)))
            c = cell.shape.channels
            older, newer = newer, [slice((state - 2) * c, (state - 1) * c) for state in concat]
            if len(concat) == self.n_nodes:
                newer = None
        return wiring, newer

    @torch.no_grad()
    def copy_weights(self, network, architecture):
        """Give a stand-alone network of the same shape the weights of its path.

        Args:
            network: a :class:`moonas.nets.cell_network.CellNetwork`; its normalisations keep their
                own scale, shift and statistics where the supernet has none.
            architecture: of the network.
        """
        wiring, columns = self._wiring(architecture)
        _copy(self.stem, network.stem)
        _copy(self.classifier, network.classifier, columns)
        for mine, other, (edges, _, read) in zip(self.cells, network.cells, wiring, strict=True):
            _copy(mine.older, other.older, read[0])
            _copy(mine.newer, other.newer, read[1])
            for index, (name, state) in enumerate(edges):
                if name != "none":
                    _copy(mine.operation(index, name, state), other.operations[index])


def _copy(mine, other, columns=None):
    own = mine.state_dict()
    for name, tensor in other.state_dict().items():
        if name in own and own[name].shape != tensor.shape:
            own[name] = select_input_channels(own[name], columns)
    other.load_state_dict(own, strict=False)
