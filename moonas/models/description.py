"""Descriptions of models in exported files: what they expect, and which images they accept."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ..data.described import describe_form
from ..run.numbers import plural
from .model import Model
from .preprocessing import form_of

DIRECTIONS = {"a": "A to B", "b": "B to A"}  # domain of the images that a generator translates


@dataclass(frozen=True)
class ImageSizes:
    """The heights and widths of images that a network accepts, independently of each other.

    Args:
        multiple: number that divides every side length.
        least: smallest side length in pixels, a multiple of ``multiple``.
    """

    multiple: int
    least: int

    def __str__(self) -> str:
        least = f"at least {plural(self.least, 'pixel')}"
        if self.multiple == 1:
            return f"any height and width of {least}"
        return f"any height and width that are multiples of {self.multiple}, {least}"

    def samples(self, height: int, width: int) -> list[tuple[int, int]]:
        """Return sizes at which a network is tried: small and large ones, most of them not square.

        Args:
            height: height of the images that the network was trained with.
            width: their width.
        """
        k, least = self.multiple, self.least
        return [
            *((least, least), (least, width), (least + k, least + 2 * k)),
            *((height + k, width + 3 * k), (height + 2 * k, width + k)),
            *((2 * height, width), (height, 2 * width)),
        ]


def describe_model(model: Model, sizes: ImageSizes | None = None) -> dict[str, str]:
    """Return the description of a model for exported files.

    Args:
        model: the model.
        sizes: sizes of images that the exported file accepts, or None if it accepts one size.

    Returns:
        Key -> text. Values of other types are written as JSON.
    """
    keys = ("kind", "from_domain", "classes", "input_shape", "mean", "std", "description", "scores")
    about = {key: model.about[key] for key in (*keys, "multi_label") if key in model.about}
    is_latent = len(model.input_shape) == 1
    if not is_latent:
        form = form_of(model)
        about |= {"channels": form.channels, "size": [*form.size]}
        about |= {"resize": form.resize, "stored_size": form.stored}
        about["preprocessing"] = describe_form(form)
    values = "standard normal latent vectors" if is_latent else "pixels in [0, 1]"
    shape = [*model.input_shape] if sizes is None else [model.input_shape[0], "height", "width"]
    about["input"] = f"(batch, {', '.join(map(str, shape))}), {values}"
    if sizes is not None:
        about["input"] += f"; {sizes}"
    if about.get("from_domain") in DIRECTIONS:
        about["direction"] = DIRECTIONS[about["from_domain"]]
    if "mean" in about:
        about["normalization"] = "(pixels - mean) / std, within the network"
    return {key: v if isinstance(v, str) else json.dumps(v) for key, v in about.items()}
