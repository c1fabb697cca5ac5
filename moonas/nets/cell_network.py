"""The stand-alone network of two cells, to be trained, exported and used."""

from collections.abc import Callable

import torch
from torch import nn

from .cells import IMAGENET_SIDE, CellNetworkShape, Stem, all_nodes, preprocess, run_cell
from .operations import SqueezeExcitation, affine_batch_norm, build_operation


def drop_path(x, rate, rng):
    """Some images' output of an edge set to zero, the others' scaled so that the mean stays.

    Args:
        x: (b, c, h, w).
        rate: chance of an image's to go, in [0, 1).
        rng: ``torch.Generator`` of the CPU.
    """
    kept = torch.rand(len(x), 1, 1, 1, generator=rng) >= rate
    return x * kept.to(x.device, x.dtype) / (1 - rate)


class _Cell(nn.Module):
    dropped = None  # (rate, rng) of path dropout, or None

    def __init__(self, shape, edges, concat, last_norm, squeeze):
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
                last_norm and affine_batch_norm,
            )
            or nn.Identity()  # a place holder for none, never called
            for name, state in edges
        )

    def forward(self, state0, state1):
        out = run_cell(
            self.shape,
            self.edges,
            self.concat,
            self.older(state0),
            self.newer(state1),
            self._operate,
        )
        return out if self.squeeze is None else self.squeeze(out)

    def _operate(self, index, name, state, x):
        operation = self.operations[index]
        out = operation(x)
        if self.training and self.dropped is not None and not isinstance(operation, nn.Identity):
            out = drop_path(out, *self.dropped)
        return out


class CellNetwork(nn.Module):
    """Stacked cells with a stem and a linear classifier, as DARTS evaluates architectures.

    Args:
        normal: edges of the normal cell, (operation, state) pairs, two a node.
        reduction: edges of the reduction cell.
        auxiliary: add the auxiliary classifier of DARTS behind the second reduction; in training
            the network then returns (logits, auxiliary logits).
        concat: edges of a cell -> states of the nodes that it concatenates; all by default.
        squeeze: squeeze-and-excitation on the output of every cell.
        last_norm: normalise after operations that end without it (pools, squeeze-and-excitation,
            local binary convolutions), as supernets do and final networks do not.
        shape: channels=36, layers=20, n_classes=10, in_channels=3, image_size=32, increment=None
            and layout=None, see :class:`~moonas.nets.cells.CellNetworkShape`.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        normal,
        reduction,
        *,
        auxiliary: bool = False,
        concat: Callable = all_nodes,
        squeeze: bool = False,
        last_norm: bool = False,
        **shape,
    ):
        super().__init__()
        shape = CellNetworkShape(**shape)
        layout, image_size = shape.cells, shape.image_size
        cells = tuple((edges, concat(edges)) for edges in (normal, reduction))
        n_out = tuple(len(states) for _, states in cells)
        shapes = shape.stack(n_out)
        self.stem = Stem(shape.in_channels, layout.stem, image_size)
        self.cells = nn.ModuleList(
            _Cell(s, *cells[int(s.reduction)], last_norm, squeeze) for s in shapes
        )
        widths = [n_out[int(s.reduction)] * s.channels for s in shapes]
        self.classifier = nn.Linear(widths[-1], shape.n_classes)
        self.auxiliary = None
        if auxiliary:
            self.auxiliary_layer = layout.last_reduction
            side = shapes[self.auxiliary_layer].side_out
            self.auxiliary = _auxiliary_head(
                widths[self.auxiliary_layer], side, shape.n_classes, image_size
            )

    def set_drop_path(self, rate, rng):
        """Path dropout of what trains from now on; identities are not dropped, as DARTS has it.

        Args:
            rate: chance of an image's output of an edge to be zero, in [0, 1); 0 for none.
            rng: ``torch.Generator`` of the CPU.
        """
        for cell in self.cells:
            cell.dropped = (rate, rng) if rate else None

    def forward(self, images):
        """(b, in_channels, h, w) images -> (b, n_classes) logits."""
        auxiliary = None
        state0, state1 = self.stem(images)
        for layer, cell in enumerate(self.cells):
            state0, state1 = state1, cell(state0, state1)
            if self.training and self.auxiliary is not None and layer == self.auxiliary_layer:
                auxiliary = self.auxiliary(state1)
        logits = self.classifier(state1.mean((2, 3)))
        return logits if auxiliary is None else (logits, auxiliary)


def _auxiliary_head(c_in, side, n_classes, image_size):
    """DARTS's auxiliary classifier; the one for ImageNet has no normalisation behind its 2x2."""
    imagenet = image_size >= IMAGENET_SIDE
    stride = 2 if imagenet else 3
    pooled = (side - 5) // stride + 1
    if pooled < 2:
        raise ValueError(
            f"auxiliary=True will not do: the auxiliary classifier wants {5 + stride} pixels "
            f"behind the second reduction, and images of {image_size} pixels leave {side}."
        )
    layers = [
        nn.ReLU(),
        nn.AvgPool2d(5, stride, count_include_pad=False),
        nn.Conv2d(c_in, 128, 1, bias=False),
        nn.BatchNorm2d(128),
        nn.ReLU(),
        nn.Conv2d(128, 768, 2, bias=False),
        nn.Identity() if imagenet else nn.BatchNorm2d(768),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1) if pooled > 2 else nn.Identity(),
        nn.Flatten(),
        nn.Linear(768, n_classes),
    ]
    return nn.Sequential(*layers)
