"""Labels beside points, placed where they cover no other point and stay within the axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from .style import INK, halo

DISTANCES = (9, 16, 26, 40)  # points between a label and its point
FAR_DISTANCES = (60, 85, 115, 150)  # for labels that would cover other labels
LABEL_COST = 1000  # of covering another label
LEADER_DISTANCE = 16  # labels that are farther away have a line to their points
DIRECTIONS = (  # shares of the distance, horizontal and vertical alignment
    ((-0.7, -0.7), "right", "top"),
    ((0.7, 0.7), "left", "bottom"),
    ((1.0, 0.0), "left", "center"),
    ((-1.0, 0.0), "right", "center"),
    ((0.0, 1.0), "center", "bottom"),
    ((0.0, -1.0), "center", "top"),
    ((0.7, -0.7), "left", "top"),
    ((-0.7, 0.7), "right", "bottom"),
)


def place_labels(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    others: np.ndarray | None = None,
    color: str = INK,
) -> list[Annotation]:
    """Write the name of each point beside it.

    Of several positions around a point, the first one that covers nothing is chosen; if there is
    none, the one that covers least. A thin line leads from a label to a point that is not next to
    it.

    Args:
        axes: axes whose limits and scales are final.
        points: (x, y) of each point, in data coordinates.
        texts: name of each point.
        others: (n, 2) other points that should not be covered, in data coordinates.
        color: color of the names.

    Returns:
        The labels.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # computes the layout
    frame = axes.get_window_extent()
    drawn = np.array(points, float).reshape(-1, 2)
    if others is not None and len(others):
        drawn = np.concatenate([drawn, np.asarray(others, float)])
    pixels = axes.transData.transform(drawn)
    pixels = pixels[np.isfinite(pixels).all(axis=1)]
    taken: list[Bbox] = []
    labels = []
    for point, text in zip(points, texts, strict=True):
        label = axes.annotate(
            text,
            point,
            (0, 0),
            textcoords="offset points",
            color=color,
            fontsize=9,
            path_effects=halo(),
            zorder=6,
            annotation_clip=False,
        )
        best = None
        for distance in DISTANCES + FAR_DISTANCES:
            if best is not None and best[0] < (1 if distance in DISTANCES else LABEL_COST):
                break
            for (dx, dy), horizontal, vertical in DIRECTIONS:
                _move(label, (distance * dx, distance * dy), horizontal, vertical)
                box = label.get_window_extent()
                cost = _cost(box, frame, pixels, taken)
                if best is None or cost < best[0]:
                    best = cost, (distance * dx, distance * dy), horizontal, vertical, box
        assert best is not None
        _move(label, *best[1:4])
        taken.append(best[4])
        if math.hypot(*best[1]) > LEADER_DISTANCE:
            _draw_leader(axes, point, best[1], color)
        labels.append(label)
    return labels


def _draw_leader(
    axes: Axes, point: tuple[float, float], offset: tuple[float, float], color: str
) -> None:
    """Draw a thin line from a label at an offset in points to its point."""
    line = axes.annotate(
        "",
        point,
        offset,
        textcoords="offset points",
        arrowprops=dict(arrowstyle="-", lw=0.6, color=color, shrinkA=0, shrinkB=6),
        zorder=4.5,
        annotation_clip=False,
    )
    line.set_in_layout(False)


def _move(label: Annotation, offset: tuple[float, float], horizontal: str, vertical: str) -> None:
    label.set_position(offset)
    label.set(ha=horizontal, va=vertical)


def _cost(box: Bbox, frame: Bbox, pixels: np.ndarray, taken: Sequence[Bbox]) -> float:
    """Return 0 for a box that covers nothing; covered labels and edges cost most."""
    outside = max(frame.x0 - box.x0, box.x1 - frame.x1, frame.y0 - box.y0, box.y1 - frame.y1, 0.0)
    padded = box.padded(2)
    inside = ((pixels > padded.min) & (pixels < padded.max)).all(axis=1)
    covered = sum(padded.overlaps(other) for other in taken)
    return float(100 * outside + LABEL_COST * covered + inside.sum())
