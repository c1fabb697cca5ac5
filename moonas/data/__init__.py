"""Labeled images as tensors, their splits and augmentation. Imports torch but not pymoo."""

from .augment import Augmentation, crop_and_flip, cutout, shift_and_flip
from .images import DATA_SETS, ImageData, checksums, describe, load, load_test_set
from .splits import split

__all__ = [
    "DATA_SETS",
    "Augmentation",
    "ImageData",
    "checksums",
    "crop_and_flip",
    "cutout",
    "describe",
    "load",
    "load_test_set",
    "shift_and_flip",
    "split",
]
