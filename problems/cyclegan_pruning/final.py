"""The final fine-tuning of two compressed generators, on all images to search with."""

from dataclasses import dataclass, fields
from pathlib import Path

import torch

from moonas.files import sha256
from moonas.journal import read_run
from moonas.settings import require, setting

from .comparison import compare
from .pretraining import CycleStage, EpochSettings
from .settings import ORIGINAL
from .weights_file import COMPRESSED as COMPRESSED_FILE
from .weights_file import ORIGINAL as ORIGINAL_FILE
from .weights_file import read_gan, write_gan


@dataclass(frozen=True, kw_only=True)
class Settings(EpochSettings):
    """What the fine-tuning can be told; what it shares with the search it takes from there."""

    weights: str | None = setting(None, "folder with compressed.pt and cyclegan.pt")
    encoding: str = setting("filters", "of the masks in compressed.pt")

    def __post_init__(self):
        super().__post_init__()
        require(self.weights is not None, self, "weights", "a folder that a search has left")


# The release's: 201 epochs in batches of 8, the last 100 of them with a falling rate.
PRESETS = {
    "digits": {},
    "paper": ORIGINAL | dict(epochs=101, decay_epochs=100, batch=8),
}


def build(from_run=None, **options):
    """The fine-tuning; ``options`` are fields of :class:`Settings`.

    Args:
        from_run: run folder whose picked generators to fine-tune, with its settings where nothing
            is said.
    """
    if from_run is None:
        return FineTuning(Settings(**options))
    searched = read_run(from_run)[0]["settings"]
    own = {f.name for f in fields(Settings)} - {"weights"}
    taken = {name: value for name, value in searched.items() if name in own}
    return FineTuning(Settings(**taken | {"weights": str(from_run)} | options))


class FineTuning(CycleStage):
    """Trains compressed generators on, against the discriminators of the original."""

    in_words = "fine-tuning compressed generators"
    phase = "fine-tuning"

    def __init__(self, settings):
        super().__init__(settings)
        folder = Path(settings.weights)
        paths = {name: folder / name for name in (COMPRESSED_FILE, ORIGINAL_FILE)}
        missing = [name for name, path in paths.items() if not path.exists()]
        if missing:
            raise ValueError(
                f"{folder} holds no {missing[0]}: it is no run of cyclegan-pruning, or that has "
                "not ended."
            )
        self.small, self.original = (read_gan(path) for path in paths.values())
        if self.small.about["side"] != self.info.side:
            raise ValueError(
                f"image_size={self.info.side} will not do: these generators were compressed for "
                f"images of {self.small.about['side']} pixels."
            )
        self.inputs = {name: sha256(path) for name, path in paths.items()}

    def begin_with(self, seed):
        """The compressed generators, and the discriminators of the original."""
        return self.small.gan.to(self.device)

    @staticmethod
    def images(domain):
        """All images to search with."""
        return torch.cat([domain.train, domain.validation])

    def report(self, trained, folder):
        """Write compressed.pt, comparison.json and translations.png; the lines to print."""
        write_gan(
            folder / COMPRESSED_FILE,
            trained.gan,
            self.settings,
            self.info,
            self.small.architecture,
        )
        original = self.original.gan.to(self.device)
        return compare(self.quality, original, trained.gan, self.settings, self.info.side, folder)
