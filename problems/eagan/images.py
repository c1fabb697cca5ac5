"""The images that GANs learn from; they need no labels."""

from __future__ import annotations

from moonas.data import describe
from moonas.data.images import DataInfo

from .settings import ImageQualitySettings


def describe_images(settings: ImageQualitySettings) -> DataInfo:
    """Return the properties of the data set of a GAN, which may be images without labels.

    Args:
        settings: settings that select the data set and the feature network.

    Raises:
        ValueError: the data set is unknown or contains no images, or it has no labels although the
            feature network is a classifier of them.
    """
    info = describe(settings.data, **settings.image_form, labels_required=False)
    if settings.features == "classifier" and not info.labeled:
        raise ValueError(
            f"features='classifier' is invalid: it trains a classifier of the labels, but the "
            f"images of {info.name} have none. Set features to a network that is already trained, "
            "such as features=inception."
        )
    return info
