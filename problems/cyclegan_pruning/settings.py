"""What the stages of this task have in common: images of two domains, and how a CycleGAN trains."""

from dataclasses import dataclass
from pathlib import Path

from moonas.settings import RunSettings, require, setting


@dataclass(frozen=True, kw_only=True)
class CycleSettings(RunSettings):
    """Domains, networks and training of a CycleGAN; the defaults suit digits and are small."""

    data: str = setting(
        "digits", "digits, or a folder of two domains with A/train, A/test, B/train and B/test"
    )
    image_size: int | None = setting(
        None, "pixels a side, a multiple of 4; none: 16 for digits, 256 for folders", least=8
    )
    margin: int = setting(
        0, "pixels that training images of a folder are larger, and cropped at random", least=0
    )
    flip: bool = setting(False, "mirror half of the images that train")
    train_share: float = setting(
        0.8, "share of the images to search with that trains; the rest validates", above=0
    )
    width: int = setting(16, "filters of a generator's first convolution", least=1)
    blocks: int = setting(3, "residual blocks of a generator", least=0)
    d_width: int = setting(32, "filters of a discriminator's first convolution", least=1)
    d_layers: int = setting(2, "convolutions of stride 2 of a discriminator", least=1)
    batch: int = setting(16, "images of each domain a step", least=1)
    learning_rate: float = setting(5e-4, "of Adam", above=0)
    beta1: float = setting(0.5, "of Adam", least=0)
    beta2: float = setting(0.999, "of Adam", least=0)
    cycle: float = setting(10.0, "factor of the cycle loss in training (L1)", least=0)
    identity: float = setting(5.0, "factor of the identity loss in training (L1)", least=0)
    pool: int = setting(50, "generated images kept for discriminators; 0 for none", least=0)
    segmentation: str | None = setting(
        None,
        "package.module:function or file.py:function that makes a network for FCN-scores, where "
        "images have label maps",
        free=True,  # no score of a search depends on it
    )
    inception_weights: str | None = setting(
        None, "file of pytorch-fid's Inception, for the FID of images from a folder", free=True
    )
    score_batch: int = setting(72, "images a pass when they are scored", least=1)

    def __post_init__(self):
        super().__post_init__()
        require(self.train_share < 1, self, "train_share", "less than 1")
        for name in ("beta1", "beta2"):
            require(getattr(self, name) < 1, self, name, "less than 1")
        good = self.image_size is None or self.image_size % 4 == 0
        require(good, self, "image_size", "a multiple of 4")
        maps = self.data != "digits" or self.segmentation is None
        require(maps, self, "segmentation", "none for digits, which have no label maps")
        there = self.inception_weights is None or Path(self.inception_weights).is_file()
        require(there, self, "inception_weights", "none, or a file that is there")

    @property
    def network_shape(self):
        """Arguments of a :class:`~moonas.problems.cyclegan_pruning.training.CycleGAN`."""
        return {name: getattr(self, name) for name in ("width", "blocks", "d_width", "d_layers")}


# CycleGAN's own (Zhu et al., 2017), which the paper takes over.
CYCLEGAN = dict(
    image_size=256,
    margin=30,
    flip=True,
    width=64,
    blocks=9,
    d_width=64,
    d_layers=3,
    batch=1,
    learning_rate=2e-4,
    score_batch=1,
)
