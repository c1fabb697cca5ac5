"""Stand-alone networks of normal and reduction cells, for training, export and inference."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

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
from .operations import SqueezeExcitation, affine_batch_norm, build_operation


def drop_path(x: Tensor, rate: float, rng: torch.Generator) -> Tensor:
    """Set the output of an edge to zero for random images of a batch.

    For all other images, the output is divided by ``1 - rate``, so its expected value is unchanged.

    Args:
        x: (b, c, h, w) output of an edge.
        rate: probability that the output is set to zero, per image, in [0, 1).
        rng: ``torch.Generator`` on the CPU.

    Returns:
        (b, c, h, w).
    """
    mask = torch.rand(len(x), 1, 1, 1, generator=rng) >= rate
    return x * mask.to(x.device, x.dtype) / (1 - rate)


class _Cell(nn.Module):
    dropped: tuple[float, torch.Generator] | None = None  # (rate, rng) of drop_path

    def __init__(
        self,
        shape: CellShape,
        edges: Edges,
        concat: tuple[int, ...],
        last_norm: bool,
        squeeze: bool,
    ) -> None:
        super().__init__()
        self.shape, self.edges, self.concat = shape, edges, concat
        self.squeeze = SqueezeExcitation(len(concat) * shape.channels) if squeeze else None
        self.older, self.newer = preprocess(shape, affine_batch_norm)
        self.operations = nn.ModuleList(
            build_operation(
                name,
                shape.channels,
                shape.stride(state),
                affine_batch_norm,
                affine_batch_norm if last_norm else None,
            )
            or nn.Identity()  # placeholder for "none", never called
            for name, state in edges
        )

    def forward(self, state0: Tensor, state1: Tensor) -> Tensor:
        out = run_cell(
            self.shape,
            self.edges,
            self.concat,
            self.older(state0),
            self.newer(state1),
            self._operate,
        )
        return out if self.squeeze is None else self.squeeze(out)

    def _operate(self, index: int, name: str, state: int, x: Tensor) -> Tensor:
        operation = self.operations[index]
        out: Tensor = operation(x)
        if self.training and self.dropped is not None and not isinstance(operation, nn.Identity):
            out = drop_path(out, *self.dropped)
        return out


class CellNetwork(nn.Module):
    """A network of a stem, stacked cells and a linear classifier, like the final networks of DARTS.

    Args:
        normal: edges of the normal cell, (operation, state) pairs, two per node.
        reduction: edges of the reduction cell.
        auxiliary: whether to add the auxiliary classifier of DARTS after the last reduction cell.
            In training mode, the network then returns (logits, auxiliary logits).
        concat: edges of a cell -> states of the nodes that the cell concatenates; by default, all
            nodes.
        squeeze: whether to apply squeeze-and-excitation to the output of each cell.
        last_norm: whether to append normalization to operations that end without normalization
            (pooling, attention, local binary convolutions), as in supernets.
        shape: keyword arguments of :class:`~moonas.nets.cells.CellNetworkShape`.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        normal: Edges,
        reduction: Edges,
        *,
        auxiliary: bool = False,
        concat: Concat = all_nodes,
        squeeze: bool = False,
        last_norm: bool = False,
        **shape: Any,
    ) -> None:
        super().__init__()
        network_shape = CellNetworkShape(**shape)
        layout, large = network_shape.cells, network_shape.large_stem
        cells = tuple((edges, concat(edges)) for edges in (normal, reduction))
        n_out = len(cells[0][1]), len(cells[1][1])
        shapes = network_shape.cell_shapes(n_out)
        self.stem = Stem(network_shape.in_channels, layout.stem, large)
        self.cells = nn.ModuleList(
            _Cell(s, *cells[int(s.reduction)], last_norm, squeeze) for s in shapes
        )
        widths = [n_out[int(s.reduction)] * s.channels for s in shapes]
        self.classifier = nn.Linear(widths[-1], network_shape.n_classes)
        self.auxiliary: nn.Module | None = None
        if auxiliary:
            self.auxiliary_layer = layout.last_reduction
            side = shapes[self.auxiliary_layer].side_out
            self.auxiliary = _auxiliary_head(
                widths[self.auxiliary_layer], side, network_shape.n_classes, large
            )

    def set_drop_path(self, rate: float, rng: torch.Generator) -> None:
        """Set the drop-path rate for training. As in DARTS, identity operations are never dropped.

        Args:
            rate: probability that the output of an edge is set to zero, per image, in [0, 1); 0
                disables drop path.
            rng: ``torch.Generator`` on the CPU.
        """
        for cell in self.cells:
            assert isinstance(cell, _Cell)
            cell.dropped = (rate, rng) if rate else None

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Compute (b, n_classes) logits from (b, in_channels, h, w) images.

        In training mode with an auxiliary classifier, return (logits, auxiliary logits).
        """
        auxiliary = None
        state0, state1 = self.stem(images)
        for layer, cell in enumerate(self.cells):
            state0, state1 = state1, cell(state0, state1)
            if self.training and self.auxiliary is not None and layer == self.auxiliary_layer:
                auxiliary = self.auxiliary(state1)
        logits: Tensor = self.classifier(state1.mean((2, 3)))
        return logits if auxiliary is None else (logits, auxiliary)


def _auxiliary_head(c_in: int, side: int, n_classes: int, large_stem: bool) -> nn.Sequential:
    """Build the auxiliary classifier of DARTS for (b, c_in, side, side) inputs.

    As in DARTS, the variant for ImageNet, that is for networks with the large stem, has no
    normalization after the 2x2 convolution. DARTS pools
    5x5 pixels, for feature maps of 8x8 (CIFAR-10) or 7x7 pixels (ImageNet); smaller ones are pooled
    to the 2x2 pixels that the convolution requires.
    """
    stride = 2 if large_stem else 3
    pooled = (side - 5) // stride + 1
    pool = nn.AvgPool2d(5, stride, count_include_pad=False)
    layers = [
        nn.ReLU(),
        pool if pooled > 1 else nn.AdaptiveAvgPool2d(2),
        nn.Conv2d(c_in, 128, 1, bias=False),
        nn.BatchNorm2d(128),
        nn.ReLU(),
        nn.Conv2d(128, 768, 2, bias=False),
        nn.Identity() if large_stem else nn.BatchNorm2d(768),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1) if pooled > 2 else nn.Identity(),
        nn.Flatten(),
        nn.Linear(768, n_classes),
    ]
    return nn.Sequential(*layers)
