"""Settings of ``moonas train`` for classifiers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..evaluators.settings import STEMS, TrainingSettings
from ..settings import require, setting


def presets_without(*names: str) -> dict[str, dict[str, Any]]:
    """Return the presets of :class:`Settings` without settings that do not apply to a problem."""
    return {
        preset: {name: value for name, value in options.items() if name not in names}
        for preset, options in Settings.PRESETS.items()
    }


@dataclass(frozen=True, kw_only=True)
class Settings(TrainingSettings):
    """Settings for training a classifier from scratch.

    The default data set, image size and device are the ones that the search used.
    """

    # settings that are keyword arguments of problem.network
    NETWORK: ClassVar[tuple[str, ...]] = ("channels", "layers")
    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "digits": {},
        # DARTS, whose recipe CARS follows (section 4.3).
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
        # CARS, section 4.4; the weight of the auxiliary loss and the augmentation are from DARTS,
        # whose hue also changes.
        "paper-imagenet": dict(
            image_size=224,
            stored_size=256,
            crop_scale=(0.08, 1.0),
            padding=0,
            mirror="yes",
            jitter=0.4,
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

    architecture: str | None = setting(
        None, "name of a published architecture, which is trained instead of a row of a front"
    )
    pick: str = setting(  # the names are PICK_RULES of moonas.run.front_file
        "knee",
        "row of the front: knee, best-error, smallest, spread:K, tradeoff:K, under:COLUMN=NUMBER, "
        "or the number of a row from 0",
    )
    epochs: int = setting(60, "number of epochs", least=1)
    batch: int = setting(64, "batch size for training", least=1)
    learning_rate_end: float = setting(0.0, "learning rate of the last epoch", least=0)
    schedule: str = setting(
        "cosine",
        "learning rate schedule after warm-up; plateau: a tenth, whenever the score on held-out "
        "images has not improved for three epochs",
        ("cosine", "linear", "plateau"),
    )
    train_share: float = setting(
        0.9,
        "with schedule=plateau, fraction of the training set to train on; the rest is held out, or "
        "the images in val/ of a folder are",
        above=0,
        formerly=0.5,
    )
    warmup_epochs: int = setting(0, "epochs of linear learning rate warm-up", least=0)
    published_shape: bool = setting(
        True,
        "whether the published network determines the shape of a published architecture; "
        "otherwise, the default search does",
        formerly=False,
    )
    channels: int | None = setting(
        None,
        "channels of the first cell of the network; none: same as in the search or the publication",
        least=1,
    )
    layers: int | None = setting(
        None,
        "number of cells of the network; none: same as in the search or the publication",
        least=1,
    )
    auxiliary: float = setting(
        0.0,
        "weight of the loss of an auxiliary classifier after the second reduction cell",
        least=0,
    )
    drop_path: float = setting(
        0.0,
        "path dropout rate of the last epoch; the rate increases linearly from 0",
        least=0,
        most=0.99,
    )
    cutout: int = setting(
        0, "side length in pixels of the square that cutout sets to zero in each image", least=0
    )
    mixup: float = setting(
        0.0,
        "parameter of the beta distribution by which mixup mixes two images; 0: no mixup",
        least=0,
    )
    cutmix: float = setting(
        0.0,
        "parameter of the beta distribution by which CutMix pastes a part of another image; 0: no "
        "CutMix; with mixup as well, each batch has one of them",
        least=0,
    )
    label_smoothing: float = setting(
        0.0, "probability mass of the label that is spread evenly over all classes", least=0, most=1
    )
    precision: str = setting(
        "auto",
        "full: float32; mixed: bfloat16; auto: mixed on GPUs that support it, else full",
        ("auto", "full", "mixed"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("channels", "layers"):
            applies = name in self.NETWORK or getattr(self, name) is None
            require(applies, self, name, "none: networks of this problem have no such setting")

    def replaced_search_settings(self) -> dict[str, Any]:
        """Return settings of the search that this training replaces, and that change the network.

        The trained network is then not that of the row of the front, so its results are not added
        to the row. By default, there are none.
        """
        return {}


@dataclass(frozen=True, kw_only=True)
class CellTrainingSettings(Settings):
    """Settings for training a network of cells from scratch."""

    NETWORK: ClassVar[tuple[str, ...]] = (*Settings.NETWORK, "stem")

    stem: str | None = setting(
        None,
        "first layers of the network: auto, small, large or from64, as in a search; none: same as "
        "in the search, or auto for a published architecture",
        formerly="from64",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        known = self.stem is None or self.stem in STEMS
        require(known, self, "stem", f"none, {', '.join(STEMS[:-1])} or {STEMS[-1]}")
