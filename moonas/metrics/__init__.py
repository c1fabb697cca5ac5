"""Metrics of trained networks and of generated images. Imports torch but not pymoo.

The measures that this package exports take features, arrays (n, d), and import NumPy only.
"""

from .kernel import kernel_distance
from .neighbors import density_coverage, precision_recall

__all__ = ["density_coverage", "kernel_distance", "precision_recall"]
