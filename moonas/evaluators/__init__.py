"""What scores architectures of image classifiers: images, weights, and what they are judged by."""

from .classification import QUALITIES, Classification, quality_columns
from .costs import COSTS, NetworkCosts
from .scratch import ScratchEvaluator
from .settings import ClassifierSettings, SupernetSettings
from .supernet import SupernetEvaluator

__all__ = [
    "COSTS",
    "QUALITIES",
    "Classification",
    "ClassifierSettings",
    "NetworkCosts",
    "ScratchEvaluator",
    "SupernetEvaluator",
    "SupernetSettings",
    "quality_columns",
]
