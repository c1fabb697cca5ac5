"""Pictures of searches, trainings and comparisons, for papers and pages.

Every function takes Matplotlib axes, draws on them, and returns them. No function uses pyplot or
changes Matplotlib's settings. :func:`create_figure` creates axes in the common style, and
:func:`moonas.files.save_figure` writes a figure as PNG, PDF or SVG.
"""

from ..files import FORMATS, save_figure
from .comparisons import agreement, attainment, convergence, proxies, ranks, ranks_size
from .fronts import front, fronts, parallel_coordinates
from .graphs import graph, graph_size
from .images import image_rows
from .models import attack, confusion, corruptions, roc
from .progress import durations, hypervolume, hypervolumes, losses, travel
from .style import STYLE_FILE, colors, create_figure, look, needs_log, size_with_legend

__all__ = [
    "FORMATS",
    "STYLE_FILE",
    "agreement",
    "attack",
    "attainment",
    "colors",
    "confusion",
    "convergence",
    "corruptions",
    "create_figure",
    "durations",
    "front",
    "fronts",
    "graph",
    "graph_size",
    "hypervolume",
    "hypervolumes",
    "image_rows",
    "look",
    "losses",
    "needs_log",
    "parallel_coordinates",
    "proxies",
    "ranks",
    "ranks_size",
    "roc",
    "save_figure",
    "size_with_legend",
    "travel",
]
