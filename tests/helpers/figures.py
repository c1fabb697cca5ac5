"""Checks that texts of a figure neither overlap nor leave it."""

from itertools import combinations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

TOLERANCE = 1.0  # pixels


def text_boxes(figure):
    """Return (text, box in pixels) of every text that the Agg renderer draws."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    hidden = _hidden_texts(figure)
    drawn = [text for text in texts if text not in hidden]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in drawn]


def _hidden_texts(figure):
    """Return the texts of hidden axes and of ticks beyond the limits, which are not drawn."""
    hidden = []
    for axes in figure.get_axes():
        for axis in (axes.xaxis, axes.yaxis):
            labels = _labels([*axis.majorTicks, *axis.minorTicks])
            if axes.axison and axis.get_visible():
                drawn = _labels(axis._update_ticks())  # the ticks that are drawn
                hidden += [label for label in labels if label not in drawn]
            else:
                hidden += [*labels, axis.label, axis.get_offset_text()]
    return hidden


def _labels(ticks):
    return [label for tick in ticks for label in (tick.label1, tick.label2)]


def assert_no_text_overlaps(figure):
    """Assert that no two texts of a figure intersect and that all are within the figure."""
    boxes = text_boxes(figure)
    assert boxes
    for text, box in boxes:
        inside = (
            box.x0 >= figure.bbox.x0 - TOLERANCE
            and box.y0 >= figure.bbox.y0 - TOLERANCE
            and box.x1 <= figure.bbox.x1 + TOLERANCE
            and box.y1 <= figure.bbox.y1 + TOLERANCE
        )
        assert inside, f"{text!r} leaves the figure: {box.extents} in {figure.bbox.extents}"
    for (first, a), (second, b) in combinations(boxes, 2):
        width = min(a.x1, b.x1) - max(a.x0, b.x0)
        height = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert min(width, height) <= TOLERANCE, f"{first!r} and {second!r} overlap"
