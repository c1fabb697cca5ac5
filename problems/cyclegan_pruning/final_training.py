"""Final fine-tuning of compressed generators, on the training and validation sets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from moonas.data.stores import ImageStore
from moonas.files import sha256
from moonas.run.journal import read_identity
from moonas.settings import recorded_options

from .comparison import FILTERS_FILE, compare, comparison_lines, write_comparison
from .domains import Domain
from .drawing import draw_filters
from .masks import compress, filter_groups
from .pretraining import CycleStage, StageTraining, Trained
from .settings import FineTuningSettings
from .space import Architecture
from .training import CycleGAN
from .weights_file import COMPRESSED_FILE, ORIGINAL_FILE, describe_gan, read_gan, write_models


def build(from_run: str | Path | None = None, **options: Any) -> FineTuning:
    """Return the fine-tuning stage.

    Args:
        from_run: run folder of the search whose picked generators are fine-tuned. Settings that are
            not in ``options`` have the values that the search used.
        options: fields of :class:`FineTuningSettings`.
    """
    if from_run is None:
        return FineTuning(FineTuningSettings(**options))
    return FineTuning(settings_for(from_run, **options))


def settings_for(from_run: str | Path, **options: Any) -> FineTuningSettings:
    """Return the settings that :func:`build` gives a training, without reading images."""
    search_settings = read_identity(from_run)["settings"]
    recorded = recorded_options(FineTuningSettings, search_settings, without=["weights"])
    settings = FineTuningSettings(**recorded | {"weights": str(from_run)} | options)
    compressed = Path(from_run) / COMPRESSED_FILE
    if settings.image_size is None and compressed.exists():
        side = read_gan(compressed).about["side"]
        if (side, side) != settings.size:  # images of an earlier version had 256 pixels by default
            settings = replace(settings, image_size=side)
    return settings


def build_network(about: dict[str, Any]) -> nn.Module:
    """Build the network of a model file that :class:`FineTuning` wrote, with untrained weights.

    Args:
        about: header of the model file.
    """
    gan = CycleGAN(**about["shape"])
    groups = filter_groups(gan.generators["a"], about["encoding"])
    masks = Architecture(tuple(about["masks"]["a"]), tuple(about["masks"]["b"]))
    return compress(gan, masks, groups).generators[about["from_domain"]]


class FineTuning(CycleStage):
    """Trains compressed generators, starting from the weights of the original CycleGAN.

    The discriminators are also those of the original CycleGAN. The weights that the search obtained
    by fine-tuning the picked candidate are discarded.

    Args:
        settings: settings of the stage.

    Raises:
        ValueError: the folder does not contain the files of a finished search.
    """

    description = "fine-tuning compressed generators"
    phase = "fine-tuning"

    def __init__(self, settings: FineTuningSettings) -> None:
        assert settings.weights is not None  # checked by the settings
        folder = Path(settings.weights)
        paths = {name: folder / name for name in (COMPRESSED_FILE, ORIGINAL_FILE)}
        missing = [name for name, path in paths.items() if not path.exists()]
        if missing:
            raise ValueError(
                f"{folder} does not contain {missing[0]}: expected the folder of a finished run of "
                "cyclegan-pruning."
            )
        compressed, original = (read_gan(path) for path in paths.values())
        architecture = compressed.architecture
        if architecture is None or compressed.about["shape"] != original.about["shape"]:
            raise ValueError(f"{' and '.join(paths)} in {folder} come from different runs.")
        self.architecture, self.encoding = architecture, compressed.about["encoding"]
        self.original = original.gan
        shape: dict[str, Any] = original.gan.shape
        super().__init__(replace(settings, **shape))
        self.inputs = {name: sha256(path) for name, path in paths.items()}

    def initial_gan(self, seed: int) -> CycleGAN:
        """Return a copy of the original CycleGAN without the pruned filters."""
        groups = filter_groups(self.original.generators["a"], self.encoding)
        return compress(self.original, self.architecture, groups).to(self.device)

    def training_images(self, domain: Domain) -> torch.Tensor | ImageStore:
        """Return the training and validation images of a domain."""
        return domain.known

    def held_out_images(self, domain: Domain) -> torch.Tensor:
        """Return the test images."""
        return domain.test

    def start(self, seed: int) -> StageTraining:
        """Return a trainer whose evaluation compares compressed and original generators."""
        return _FineTuningTraining(self, seed)

    def report(self, result: Trained, folder: Path) -> list[str]:
        """Write a model file per generator, comparison.json, translations.png and filters.png.

        Returns:
            The lines to print.
        """
        about = describe_gan(result.gan, self.settings, self.info, self.architecture, self.encoding)
        write_models(folder, result.gan, about)
        originals, compressed = self.original.generators, result.gan.generators
        write_comparison(result.scores, self.quality, originals, compressed, folder)
        groups = filter_groups(originals["a"], self.encoding)
        path = folder / FILTERS_FILE
        draw_filters(self.original, result.gan, self.architecture, groups, path)
        return comparison_lines(result.scores)


class _FineTuningTraining(StageTraining):
    """Fine-tuning whose evaluation compares compressed and original generators."""

    def __init__(self, stage: FineTuning, seed: int) -> None:
        super().__init__(stage, seed)
        self.originals = stage.original.to(stage.device).generators

    def evaluate(self) -> dict[str, Any]:
        """Return the result of :func:`.comparison.compare`."""
        return compare(self.quality, self.originals, self.gan.generators, self.settings)
