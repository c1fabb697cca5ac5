"""Proxy network of stage 1, in which each edge of a cell is a mixture of candidates (eq. 2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from moonas.nets.cells import CellNetworkShape, CellShape, Stem, preprocess
from moonas.nets.operations import build_operation, nonaffine_batch_norm, use_batch_statistics

from .cell_space import EDGES, N_NODES, OPERATIONS

POOLINGS = (
    "max_pool_3x3",
    "avg_pool_3x3",
)  # computed once per state, for all edges from it


class MixedCell(nn.Module):
    """Cell whose edges are mixtures of candidate operations.

    Args:
        shape: shape of the cell: channels, strides and inputs.
        candidates: candidates of each edge, (14, k) ints, indices into ``OPERATIONS``.
    """

    def __init__(self, shape: CellShape, candidates: np.ndarray) -> None:
        super().__init__()
        self.shape = shape
        self.older, self.newer = preprocess(shape, nonaffine_batch_norm)
        self.names = [[OPERATIONS[i] for i in edge] for edge in candidates]
        self.operations = nn.ModuleList(
            nn.ModuleList(self._build(name, state) for name in names)
            for names, (_, state) in zip(self.names, EDGES, strict=True)
        )

    def _build(self, name: str, state: int) -> nn.Module:
        stride, norm = self.shape.stride(state), nonaffine_batch_norm
        operation = build_operation(name, self.shape.channels, stride, norm, norm)
        assert operation is not None, "the zero operation cannot be a candidate"
        return operation

    def forward(
        self, state0: Tensor, state1: Tensor, shares: Tensor, drop: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Compute the output of the cell.

        Args:
            state0: output of the cell before the previous one, (b, c, h, w).
            state1: output of the previous cell, (b, c, h, w), possibly of another shape.
            shares: (14, k) shares of the candidates of each edge.
            drop: function that applies dropout to the output of an identity.

        Returns:
            The concatenation of the four nodes, (b, 4 c', h', w').
        """
        states: list[Any] = [self.older(state0), self.newer(state1)]
        outputs: dict[tuple[str, int], Tensor] = {}
        for edge, (node, state) in enumerate(EDGES):
            if len(states) == node + 2:
                states.append(0)
            x = states[state]
            operations = self.operations[edge]
            assert isinstance(operations, nn.ModuleList)
            for k, (name, operation) in enumerate(zip(self.names[edge], operations, strict=True)):
                if name in POOLINGS:
                    if (name, state) not in outputs:
                        outputs[name, state] = operation(x)
                    out = outputs[name, state]
                else:
                    out = operation(x)
                    if isinstance(operation, nn.Identity):
                        out = drop(out)
                states[node + 2] = states[node + 2] + shares[edge, k] * out
        return torch.cat(states[2:], 1)


class RelaxedNetwork(nn.Module):
    """Stacked cells whose edges are mixtures of candidates, with a stem and a linear classifier.

    All normalizations use batch statistics. Only the normalizations of the stem have scale and
    shift parameters.

    Args:
        candidates: candidates of each edge, (2, 14, k) ints; see
            :mod:`moonas.problems.eg_darts.cell_space`.
        shape: keyword arguments of :class:`~moonas.nets.cells.CellNetworkShape`: channels, layers,
            n_classes, in_channels, image_size and stem.

    Attributes:
        skip_dropout: probability with which dropout sets an element of the output of an identity to
            zero in training mode; the other elements are scaled up (P-DARTS, section 3.3).
        rng: random generator of the dropout, on the device of the network; required unless
            ``skip_dropout`` is 0.
    """

    def __init__(self, candidates: np.ndarray, **shape: Any) -> None:
        super().__init__()
        network = CellNetworkShape(**shape)
        shapes = network.cell_shapes((N_NODES, N_NODES))
        self.stem = Stem(network.in_channels, network.cells.stem, network.large_stem)
        use_batch_statistics(self.stem)
        self.cells = nn.ModuleList(MixedCell(s, candidates[int(s.reduction)]) for s in shapes)
        self.classifier = nn.Linear(N_NODES * shapes[-1].channels, network.n_classes)
        self.skip_dropout = 0.0
        self.rng: torch.Generator | None = None

    def forward(self, images: Tensor, shares: Tensor) -> Tensor:
        """Classify images.

        Args:
            images: (b, in_channels, h, w).
            shares: (2, 14, k) shares of the candidates of each edge.

        Returns:
            (b, n_classes) logits.
        """
        state0, state1 = self.stem(images)
        for cell in self.cells:
            assert isinstance(cell, MixedCell)
            cell_shares = shares[int(cell.shape.reduction)]
            state0, state1 = state1, cell(state0, state1, cell_shares, self._drop)
        logits: Tensor = self.classifier(state1.mean((2, 3)))
        return logits

    def _drop(self, x: Tensor) -> Tensor:
        """Apply dropout to the output of an identity; return it unchanged in evaluation mode."""
        if not self.training or not self.skip_dropout:
            return x
        if self.rng is None:
            raise ValueError("skip_dropout requires a random generator: set the attribute rng.")
        mask = torch.rand(x.shape, generator=self.rng, device=x.device) >= self.skip_dropout
        return x * mask / (1 - self.skip_dropout)
