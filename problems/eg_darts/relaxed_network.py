"""The proxy network of stage 1: every edge of its cells is a mixture of candidates (eq. 2)."""

import torch
from torch import nn

from moonas.nets.cells import CellNetworkShape, Stem, preprocess
from moonas.nets.operations import build_operation, nonaffine_batch_norm, use_batch_statistics

from .cell_space import EDGES, N_NODES, OPERATIONS

FREE = ("max_pool_3x3", "avg_pool_3x3")  # without weights: one output for all edges from a state


class _Cell(nn.Module):
    def __init__(self, shape, candidates):
        super().__init__()
        self.shape = shape
        self.older, self.newer = preprocess(shape, nonaffine_batch_norm)
        self.names = [[OPERATIONS[i] for i in edge] for edge in candidates]
        self.operations = nn.ModuleList(
            nn.ModuleList(
                build_operation(
                    name,
                    shape.channels,
                    shape.stride(state),
                    nonaffine_batch_norm,
                    nonaffine_batch_norm,
                )
                for name in names
            )
            for names, (_, state) in zip(self.names, EDGES, strict=True)
        )

    def forward(self, state0, state1, shares, drop):
        states = [self.older(state0), self.newer(state1)]
        free = {}
        for edge, (node, state) in enumerate(EDGES):
            if len(states) == node + 2:
                states.append(0)
            x = states[state]
            for k, (name, operation) in enumerate(
                zip(self.names[edge], self.operations[edge], strict=True)
            ):
                if name in FREE:
                    if (name, state) not in free:
                        free[name, state] = operation(x)
                    out = free[name, state]
                else:
                    out = operation(x)
                    if isinstance(operation, nn.Identity):
                        out = drop(out)
                states[node + 2] = states[node + 2] + shares[edge, k] * out
        return torch.cat(states[2:], 1)


class RelaxedNetwork(nn.Module):
    """Stacked cells whose edges are mixtures of candidates, with a stem and a linear classifier.

    Every normalisation is by the batch at hand, without scale and shift except in the stem.

    Args:
        candidates: (2, 14, k) ints, see :mod:`moonas.problems.eg_darts.cell_space`.
        shape: keyword arguments of :class:`~moonas.nets.cells.CellNetworkShape`: channels, layers,
            n_classes, in_channels and image_size.

    Attributes:
        skip_dropout: chance that a number behind an identity becomes zero in training; the others
            are scaled up (P-DARTS, section 3.3).
        rng: ``torch.Generator`` of the CPU for that; needed where ``skip_dropout`` is not zero.
    """

    def __init__(self, candidates, **shape):
        super().__init__()
        shape = CellNetworkShape(**shape)
        shapes = shape.stack((N_NODES, N_NODES))
        self.stem = Stem(shape.in_channels, shape.cells.stem, shape.image_size)
        use_batch_statistics(self.stem)
        self.cells = nn.ModuleList(_Cell(s, candidates[int(s.reduction)]) for s in shapes)
        self.classifier = nn.Linear(N_NODES * shapes[-1].channels, shape.n_classes)
        self.skip_dropout, self.rng = 0.0, None

    def forward(self, images, shares):
        """(b, in_channels, h, w) images, (2, 14, k) shares of the candidates -> (b, n_classes)."""
        state0, state1 = self.stem(images)
        for cell in self.cells:
            mixed = shares[int(cell.shape.reduction)]
            state0, state1 = state1, cell(state0, state1, mixed, self._drop)
        return self.classifier(state1.mean((2, 3)))

    def _drop(self, x):
        if not self.training or not self.skip_dropout:
            return x
        if self.rng is None:
            raise ValueError("skip_dropout needs a generator: set rng.")
        kept = torch.rand(x.shape, generator=self.rng).to(x.device) >= self.skip_dropout
        return x * kept / (1 - self.skip_dropout)
