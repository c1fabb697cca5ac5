"""The DARTS supernet: every operation on every edge, of which a forward pass computes one path."""

import torch
from torch import nn

from moonas.nets.cells import Stem, all_nodes, preprocess, run_cell, stack
from moonas.nets.operations import batch_norm_only, build_operation

from .space import N_NODES, OPERATIONS


class _Cell(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.older, self.newer = preprocess(shape, batch_norm_only)
        # operations[node][state][name]
        self.operations = nn.ModuleList(
            nn.ModuleList(
                nn.ModuleDict(
                    {
                        name: build_operation(
                            name,
                            shape.channels,
                            shape.stride(state),
                            batch_norm_only,
                            batch_norm_only,
                        )
                        for name in OPERATIONS
                        if name != "none"
                    }
                )
                for state in range(node + 2)
            )
            for node in range(N_NODES)
        )

    def operation(self, index, name, state):
        """The module of edge ``index`` of a cell when it is (name, state)."""
        return self.operations[index // 2][state][name]

    def forward(self, state0, state1, edges):
        return run_cell(
            self.shape,
            edges,
            all_nodes(edges),
            self.older(state0),
            self.newer(state1),
            lambda index, name, state, x: self.operation(index, name, state)(x),
        )


class Supernet(nn.Module):
    """Shared weights of all architectures; batch normalisation without scale except in the stem.

    Every normalisation uses the statistics of the batch at hand, in training and in scoring.

    Args:
        channels: of the first cell's nodes.
        layers: number of cells.
        n_classes: outputs.
        in_channels: of the images.
        image_size: side in pixels.
    """

    def __init__(self, *, channels, layers, n_classes, in_channels, image_size):
        super().__init__()
        shapes = stack(channels, layers, image_size)
        self.stem = Stem(in_channels, channels, image_size)
        for module in self.stem.modules():
            if isinstance(module, nn.BatchNorm2d):  # keeps its scale and shift
                module.track_running_stats = False
                module.running_mean = module.running_var = module.num_batches_tracked = None
        self.cells = nn.ModuleList(_Cell(shape) for shape in shapes)
        self.classifier = nn.Linear(N_NODES * shapes[-1].channels, n_classes)

    def forward(self, images, architecture):
        """(b, in_channels, h, w) images -> (b, n_classes) logits of one path."""
        state0, state1 = self.stem(images)
        for cell in self.cells:
            edges = architecture.reduction if cell.shape.reduction else architecture.normal
            state0, state1 = state1, cell(state0, state1, edges)
        return self.classifier(state1.mean((2, 3)))

    @torch.no_grad()
    def copy_weights(self, network):
        """Give a stand-alone network of the same shape the weights of its path.

        Args:
            network: a :class:`moonas.nets.cell_network.CellNetwork`; its normalisations keep their
                own scale, shift and statistics where the supernet has none.
        """
        network.stem.load_state_dict(self.stem.state_dict(), strict=False)
        network.classifier.load_state_dict(self.classifier.state_dict())
        for mine, other in zip(self.cells, network.cells, strict=True):
            other.older.load_state_dict(mine.older.state_dict(), strict=False)
            other.newer.load_state_dict(mine.newer.state_dict(), strict=False)
            for index, (name, state) in enumerate(other.edges):
                if name != "none":
                    own = mine.operation(index, name, state).state_dict()
                    other.operations[index].load_state_dict(own, strict=False)
