"""The final fine-tuning of two compressed generators, on all images to search with."""

from dataclasses import replace
from pathlib import Path

import torch

from moonas.files import sha256
from moonas.run.journal import read_run
from moonas.settings import recorded_options

from .comparison import compare, comparison_lines, write_comparison
from .masks import compressed, groups_of
from .pretraining import CycleStage
from .settings import FineTuningSettings
from .space import Architecture
from .training import CycleGAN
from .weights_file import COMPRESSED_FILE, ORIGINAL_FILE, describe_gan, read_gan, write_models


def build(from_run=None, **options):
    """The fine-tuning; ``options`` are fields of :class:`FineTuningSettings`.

    Args:
        from_run: run folder whose picked generators to fine-tune, with its settings where nothing
            is said.
    """
    if from_run is None:
        return FineTuning(FineTuningSettings(**options))
    searched = read_run(from_run)[0]["settings"]
    taken = recorded_options(FineTuningSettings, searched, without=["weights"])
    return FineTuning(FineTuningSettings(**taken | {"weights": str(from_run)} | options))


def build_network(about):
    """The untrained generator of a model that :class:`FineTuning` has written."""
    gan = CycleGAN(**about["shape"])
    groups = groups_of(gan.generators["a"], about["encoding"])
    masks = Architecture(tuple(about["masks"]["a"]), tuple(about["masks"]["b"]))
    return compressed(gan, masks, groups).generators[about["from_domain"]]


class FineTuning(CycleStage):
    """Trains compressed generators, from the weights and the discriminators of the original.

    The few steps that a search scored them after are not kept.
    """

    description = "fine-tuning compressed generators"
    phase = "fine-tuning"

    def __init__(self, settings):
        folder = Path(settings.weights)
        paths = {name: folder / name for name in (COMPRESSED_FILE, ORIGINAL_FILE)}
        missing = [name for name, path in paths.items() if not path.exists()]
        if missing:
            raise ValueError(
                f"{folder} holds no {missing[0]}: it is no run of cyclegan-pruning, or that has "
                "not ended."
            )
        small, original = (read_gan(path) for path in paths.values())
        if small.architecture is None or small.about["shape"] != original.about["shape"]:
            raise ValueError(f"{' and '.join(paths)} in {folder} do not belong together.")
        self.architecture, self.encoding = small.architecture, small.about["encoding"]
        self.original = original.gan
        super().__init__(replace(settings, **original.gan.shape))
        if small.about["side"] != self.info.side:
            raise ValueError(
                f"image_size={self.info.side} will not do: these generators were compressed for "
                f"images of {small.about['side']} pixels."
            )
        self.inputs = {name: sha256(path) for name, path in paths.items()}

    def begin_with(self, seed):
        """The original without the filters that were left out."""
        groups = groups_of(self.original.generators["a"], self.encoding)
        return compressed(self.original, self.architecture, groups).to(self.device)

    @staticmethod
    def images(domain):
        """All images to search with."""
        return torch.cat([domain.train, domain.validation])

    def start(self, seed):
        """The compressed CycleGAN in training; it is compared with the original in the end."""
        training = super().start(seed)
        original = self.original.to(self.device).generators
        training.evaluate = lambda: compare(
            self.quality, original, training.gan.generators, self.settings
        )
        return training

    def report(self, trained, folder):
        """Write a model file a generator, comparison.json and translations.png.

        Returns:
            The lines to print.
        """
        gan, about = trained.gan, (self.settings, self.info, self.architecture, self.encoding)
        write_models(folder, gan, describe_gan(gan, *about))
        pair = self.original.generators, trained.gan.generators
        write_comparison(trained.scores, self.quality, *pair, folder)
        return comparison_lines(trained.scores)
