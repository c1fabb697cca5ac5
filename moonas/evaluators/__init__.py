"""What scores architectures of image classifiers: images, weights, and what they are judged by."""

from .classification import QUALITIES, Classification, quality_columns
from .costs import COSTS, NetworkCosts
from .scratch import ScratchEvaluator
from .settings import (
    OBJECTIVES,
    ClassifierSettings,
    ProxySettings,
    SupernetSettings,
    TrainingSettings,
)
from .supernet import SupernetEvaluator

__all__ = [
    "COSTS",
    "OBJECTIVES",
    "QUALITIES",
    "Classification",
    "ClassifierSettings",
    "NetworkCosts",
    "ProxySettings",
    "ScratchEvaluator",
    "SupernetEvaluator",
    "SupernetSettings",
    "TrainingSettings",
    "quality_columns",
]
