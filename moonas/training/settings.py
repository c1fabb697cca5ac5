"""Settings of ``moonas train`` for classifiers."""

from dataclasses import dataclass
from typing import ClassVar

from ..evaluators.settings import TrainingSettings
from ..settings import setting


@dataclass(frozen=True, kw_only=True)
class Settings(TrainingSettings):
    """Settings of the training of a classifier from scratch.

    Data, image size and device default to those of the search.
    """

    PRESETS: ClassVar[dict[str, dict]] = {
        "digits": {},
        # NSGANetV1, section IV-B, after DARTS, as CARS and EG-DARTS do; what is not printed there
        # (rates of dropout and learning, weight decay, clipping) is DARTS's.
        "paper": dict(
            epochs=600,
            batch=96,
            learning_rate=0.025,
            weight_decay=3e-4,
            channels=36,
            layers=20,
            auxiliary=0.4,
            drop_path=0.2,
            cutout=16,
            score_batch=500,
        ),
        # CARS, section 4.4; the auxiliary loss is DARTS's.
        "paper-imagenet": dict(
            epochs=250,
            batch=640,
            learning_rate=0.5,
            schedule="linear",
            warmup_epochs=5,
            weight_decay=3e-5,
            channels=48,
            layers=14,
            auxiliary=0.4,
            label_smoothing=0.1,
            score_batch=500,
        ),
    }

    architecture: str | None = setting(None, "a published architecture by name, without a run")
    pick: str = setting(  # names: PICKS of moonas.run.front_file
        "knee", "row of the front: knee, best-error, smallest, or its number from 0 on"
    )
    epochs: int = setting(60, "times that the network sees all images", least=1)
    batch: int = setting(64, "images a training step", least=1)
    learning_rate_end: float = setting(0.0, "at the last epoch", least=0)
    schedule: str = setting("cosine", "how the learning rate falls", ("cosine", "linear"))
    warmup_epochs: int = setting(0, "epochs in which the learning rate rises first", least=0)
    channels: int | None = setting(
        None, "of the first cell of the network; none: as in the search", least=1
    )
    layers: int | None = setting(None, "cells of the network; none: as in the search", least=1)
    auxiliary: float = setting(
        0.0, "weight of the loss of an auxiliary classifier behind the second reduction", least=0
    )
    drop_path: float = setting(
        0.0, "chance that an edge is dropped at the last epoch; it rises from 0", least=0, most=0.99
    )
    cutout: int = setting(0, "pixels a side of the square that is cut out of each image", least=0)
    label_smoothing: float = setting(0.0, "share of a label that all classes get", least=0, most=1)
    precision: str = setting(
        "auto", "auto computes in bfloat16 where a GPU can", ("auto", "full", "mixed")
    )
