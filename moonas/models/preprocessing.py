"""The preprocessing of a model: what is done to an image before the network sees it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from ..data.described import describe_form
from ..data.form import ImageForm
from ..data.image_files import fit_to_bytes, image_pixels
from ..data.stores import FileStore, default_workers
from ..nets.devices import repeatable

if TYPE_CHECKING:
    from .model import Model

TOLERANCE = 1e-3  # by which pixels may leave [0, 1], as those of some resizing methods do


def form_of(model: Model) -> ImageForm:
    """Return the form of the images that a model was trained on.

    Raises:
        ValueError: the input of the model is not an image.
    """
    if len(model.input_shape) != 3:
        raise ValueError(
            f"A {type(model).__name__.lower()} has no preprocessing: its inputs are latent vectors."
        )
    return recorded_form(model.input_shape, model.about)


def recorded_form(input_shape: tuple[int, ...], about: Any) -> ImageForm:
    """Return the form of images that the description of a model records.

    Args:
        input_shape: (channels, height, width).
        about: description of the model; that of a CycleGAN contains the settings of its training.
            Earlier versions squashed all images and did not record this.
    """
    channels, *size = input_shape
    resize = about.get("resize") or about.get("settings", {}).get("resize", "squash")
    return ImageForm.of_size((size[0], size[1]), channels, resize, about.get("stored_size"))


class Preprocess(v2.Transform):
    """A torchvision transform that converts images of any size to the inputs of a model.

    It returns exactly the pixels that the network was trained on: resized by antialiased bilinear
    interpolation, and rounded to 8 bits. Images that have the right size and channels are not
    changed, apart from the scaling of 8-bit pixels. The model normalizes its inputs itself.

    Args:
        form: form of the model's inputs.
    """

    _transformed_types = (Tensor, Image.Image)

    def __init__(self, form: ImageForm) -> None:
        super().__init__()
        self.form = form

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        """Raise a ``ValueError`` if there is no image, which would otherwise be returned as it is.

        Args:
            flat_inputs: arguments of a call; labels may accompany an image.
        """
        if not any(isinstance(value, self._transformed_types) for value in flat_inputs):
            kinds = ", ".join(type(value).__name__ for value in flat_inputs) or "nothing"
            raise ValueError(
                f"{kinds} is invalid: expected a PIL image or a tensor. PIL.Image.open reads a "
                "file, and PIL.Image.fromarray converts an array."
            )

    def transform(self, inpt: Any, params: dict[str, Any]) -> Tensor:
        """Convert an image.

        Args:
            inpt: a PIL image, which is turned as its Exif orientation says; or a tensor
                (..., c, h, w) with 1 or 3 channels, uint8 from 0 to 255 or floats in [0, 1].
            params: not used.

        Returns:
            float32 (channels, *form.size) in [0, 1]; of a tensor, (..., channels, *form.size).

        Raises:
            ValueError: the image has another shape, type or range.
        """
        if isinstance(inpt, Image.Image):
            return self._fit(image_pixels(inpt))[0]
        images = inpt.as_subclass(Tensor)
        check_pixels(images)
        fitted = self._fit(images.reshape(-1, *images.shape[-3:]))
        return fitted.reshape(*images.shape[:-3], *fitted.shape[1:])

    def _fit(self, images: Tensor) -> Tensor:
        """Convert images (n, c, h, w) to (n, channels, *form.size)."""
        form = self.form
        shape = form.channels, *form.whole.size
        if images.is_floating_point() and images.shape[1:] == shape:
            return form.center(images.float())
        with repeatable(1):  # as images are read for a training
            return fit_to_bytes(images, form).float() / 255

    def extra_repr(self) -> str:
        """List the steps of the transform."""
        return describe_form(self.form)


def preprocessed_batches(
    paths: Sequence[Path], form: ImageForm, batch: int
) -> Iterator[tuple[list[int], Tensor, dict[int, ValueError]]]:
    """Read image files in batches; several processes decode them if there are many.

    Args:
        paths: paths of the files.
        form: form of the images.
        batch: largest number of images per batch.

    Yields:
        (rows, pixels, errors): positions of the b files that could be read; their pixels in [0, 1],
        (b, channels, side, side); and position -> error, of the others in this batch.
    """
    # starting processes takes longer than decoding a few images
    store = FileStore(paths, form, default_workers() if len(paths) > 2 * batch else 0)
    parts = torch.split(torch.arange(len(paths)), batch)
    for part, (pixels, failed) in zip(parts, store.batches_and_errors(parts), strict=True):
        first = int(part[0])
        readable = [i for i in range(len(part)) if i not in failed]
        errors = {first + i: error for i, error in failed.items()}
        yield [first + i for i in readable], form.center(pixels[readable].float() / 255), errors


def reason_of(error: ValueError, path: Path) -> str:
    """Return why a file could not be read, without its path."""
    return str(error).removeprefix(f"{path} cannot be read as an image: ")


def check_pixels(images: Tensor) -> None:
    """Check the type, shape and range of images.

    Args:
        images: (..., c, h, w).

    Raises:
        ValueError: the pixels are neither uint8 nor floats in [0, 1], or the shape is not that of
            images with 1 or 3 channels.
    """
    if images.ndim < 3 or images.shape[-3] not in (1, 3) or 0 in images.shape[-2:]:
        raise ValueError(
            f"The shape {tuple(images.shape)} is invalid: expected images (c, h, w) or "
            "(n, c, h, w) with 1 or 3 channels c."
        )
    if images.dtype == torch.uint8 or not images.numel():
        return
    if not images.is_floating_point():
        kind = str(images.dtype).removeprefix("torch.")
        raise ValueError(
            f"Pixels of type {kind} are invalid: expected uint8 from 0 to 255, or floats in [0, 1]."
        )
    low, high = float(images.min()), float(images.max())
    if low >= -TOLERANCE and high <= 1 + TOLERANCE:
        return
    advice = "Divide them by the value of white, such as 255, or pass them as uint8."
    if low < -TOLERANCE:
        advice = "Pass them as they are before any normalization: the model normalizes them itself."
    if not low <= high:  # NaN
        advice = "Some are not numbers."
    raise ValueError(f"Pixels from {low:.3g} to {high:.3g} are invalid: expected [0, 1]. {advice}")
