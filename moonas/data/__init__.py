"""Data sets as arrays on a device. torch, no pymoo."""

from .images import (
    DATA_SETS,
    ImageData,
    checksums,
    crop_and_flip,
    cutout,
    describe,
    load,
    shift_and_flip,
    split,
)

__all__ = [
    "DATA_SETS",
    "ImageData",
    "checksums",
    "crop_and_flip",
    "cutout",
    "describe",
    "load",
    "shift_and_flip",
    "split",
]
