"""Prediction of the classes of images: image files, PIL images, arrays and tensors of any size."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..data.form import ImageForm
from ..data.image_files import class_folders, damaged_images_error, images_in
from ..errors import reason
from ..files import write_csv
from ..run.callbacks import Progress
from ..run.numbers import plural
from ..settings import ON_BAD_IMAGE
from ..views.tables import Table
from .model import Classifier, load_model
from .preprocessing import (
    Preprocess,
    form_of,
    preprocessed_batches,
    reason_of,
    recorded_form,
)
from .test_sets import require_classifier

BATCH = 64  # images per batch by default
MOST_ROWS = 50  # of a table of predictions
PRESENT = 0.5  # probability from which an image is said to have a label, if it can have several


@dataclass(frozen=True)
class Predictions:
    """The classes that a classifier predicts for n images.

    Args:
        classes: names of all classes, or of all labels.
        probabilities: (n, n_classes) float32. Those of an image sum to 1; but if an image can have
            several labels, each is the probability that the image has this label.
        multi_label: whether an image can have several labels.
        files: path of each image; empty if the images are not files.
        skipped: path -> reason, of the files that could not be read.
    """

    classes: tuple[str, ...]
    probabilities: Tensor
    multi_label: bool = False
    files: tuple[Path, ...] = ()
    skipped: Mapping[Path, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.probabilities)

    def top(self, k: int = 1) -> list[list[tuple[str, float]]]:
        """Return the k most probable classes of each image with their probabilities, best first."""
        values, positions = self.probabilities.topk(min(k, len(self.classes)), dim=1)
        return [
            [(self.classes[i], p) for i, p in zip(row, ps, strict=True)]
            for row, ps in zip(positions.tolist(), values.tolist(), strict=True)
        ]

    @property
    def names(self) -> list[str]:
        """The predicted class of each image; of several labels, those from 50 % on: "a; b"."""
        if not self.multi_label:
            return [best[0][0] for best in self.top()]
        return [
            "; ".join(
                name for name, is_present in zip(self.classes, row, strict=True) if is_present
            )
            for row in (self.probabilities >= PRESENT).tolist()
        ]


class Predictor:
    """A classifier with the preprocessing of its inputs.

    Args:
        logits: (b, channels, side, side) float32 pixels in [0, 1] -> (b, n_classes) logits.
        classes: names of the classes.
        form: form of the inputs.
        multi_label: whether an image can have several labels.
    """

    def __init__(
        self,
        logits: Callable[[Tensor], Tensor],
        classes: Sequence[str],
        form: ImageForm,
        multi_label: bool = False,
    ) -> None:
        self.logits, self.classes, self.multi_label = logits, tuple(classes), multi_label
        self.preprocess = Preprocess(form)

    def predict(
        self,
        images: Any,
        *,
        batch: int = BATCH,
        on_bad_image: str = "stop",
        on_progress: Progress | None = None,
    ) -> Predictions:
        """Predict the classes of images, see :meth:`.model.Classifier.predict`."""
        if on_bad_image not in ON_BAD_IMAGE:
            raise ValueError(
                f"on_bad_image={on_bad_image!r} is unknown; choose from {list(ON_BAD_IMAGE)}."
            )
        if batch < 1:
            raise ValueError(f"batch={batch} is invalid: expected at least 1 image.")
        report = on_progress or (lambda *args: None)
        if (paths := _paths(images)) is not None:
            return self._predict_files(paths, batch, on_bad_image == "skip", report)
        items = list(_single_images(images))
        probabilities = []
        for first in range(0, len(items), batch):
            report("predicting", first, len(items), "images")
            pixels = [self._preprocessed(item) for item in items[first : first + batch]]
            probabilities.append(self._probabilities(torch.stack(pixels)))
        report("predicting", len(items), len(items), "images")
        return Predictions(self.classes, self._joined(probabilities), self.multi_label)

    def _preprocessed(self, image: Any) -> Tensor:
        pixels: Tensor = self.preprocess(image)
        return pixels.cpu()

    def _predict_files(
        self, paths: Sequence[Path], batch: int, skip: bool, report: Progress
    ) -> Predictions:
        errors: dict[int, ValueError] = {}
        probabilities, read = [], 0
        for rows, pixels, failed in preprocessed_batches(paths, self.preprocess.form, batch):
            report("predicting", read, len(paths), "images")
            read += len(rows) + len(failed)
            errors |= failed
            if rows and (skip or not errors):  # an error lists all files that cannot be read
                probabilities.append(self._probabilities(pixels))
        report("predicting", len(paths), len(paths), "images")
        if errors and not skip:
            advice = "To leave such files out, pass on_bad_image='skip'."
            raise ValueError(f"{damaged_images_error(list(errors.values()), len(paths))}. {advice}")
        files = tuple(path for i, path in enumerate(paths) if i not in errors)
        skipped = {paths[i]: reason_of(error, paths[i]) for i, error in errors.items()}
        joined = self._joined(probabilities)
        return Predictions(self.classes, joined, self.multi_label, files, skipped)

    @torch.inference_mode()
    def _probabilities(self, pixels: Tensor) -> Tensor:
        logits = self.logits(pixels).float().cpu()
        return logits.sigmoid() if self.multi_label else logits.softmax(1)

    def _joined(self, probabilities: Sequence[Tensor]) -> Tensor:
        return torch.cat([torch.empty(0, len(self.classes)), *probabilities]).clone()


def predictor_of(model: Classifier) -> Predictor:
    """Return the predictor of a classifier, on the device of the model."""

    def logits(pixels: Tensor) -> Tensor:
        was_training = model.training
        model.eval()
        try:
            result: Tensor = model(pixels.to(model.mean.device))
            return result
        finally:
            model.train(was_training)

    multi_label = bool(model.about.get("multi_label", False))
    return Predictor(logits, model.classes, form_of(model), multi_label)


def load_predictor(path: str | Path, device: torch.device | str = "cpu") -> Predictor:
    """Load a classifier from a file of ``moonas train`` or an ONNX file of ``moonas export``.

    Args:
        path: a model file or its folder, see :func:`.model.load_model`, or an ONNX file.
        device: device of a model; ONNX files always run on the CPU.

    Raises:
        ValueError: the file is missing, damaged, or contains no classifier that moonas has written.
    """
    if Path(path).suffix.lower() == ".onnx":
        return _load_onnx(Path(path))
    model = require_classifier("The model", load_model(path))
    return predictor_of(model.to(device))


def _load_onnx(path: Path) -> Predictor:
    try:
        import onnxruntime
    except ImportError:
        raise ValueError(
            f"{path} requires onnxruntime, which is not installed: pip install 'moonas[onnx]'."
        ) from None
    if not path.is_file():
        raise ValueError(f"{path} is missing.")
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has many types of exceptions
        raise ValueError(f"{path} cannot be read as an ONNX file: {reason(error, 120)}") from None
    about = dict(session.get_modelmeta().custom_metadata_map)
    if about.get("kind", "classifier") != "classifier":
        raise ValueError(f"{path} is a {about['kind']}, not a classifier.")
    try:
        recorded = {
            key: json.loads(about[key])
            for key in ("classes", "input_shape", "stored_size", "multi_label")
            if key in about
        }
        form = recorded_form(recorded["input_shape"], recorded | {"resize": about.get("resize")})
        classes, multi_label = recorded["classes"], recorded.get("multi_label", False)
    except (KeyError, ValueError, TypeError):
        raise ValueError(
            f"{path} does not record its classes and the size of its images: expected an ONNX "
            "file that moonas export has written."
        ) from None
    if "resize" not in about:
        raise ValueError(
            f"{path} was exported by an earlier version, which did not record how images are "
            "resized: export it again."
        )

    def logits(pixels: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"input": pixels.numpy()})[0])

    return Predictor(logits, classes, form, multi_label)


def find_images(paths: Iterable[str | Path]) -> list[Path]:
    """Return the image files that paths name: files, and folders with all their subfolders.

    A file that is named twice is returned once.

    Raises:
        ValueError: a path does not exist, or a folder contains no images.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            images = images_in(path)
            if not images:
                raise ValueError(f"{path} contains no images.")
            found += images
        elif path.exists():
            found.append(path)
        else:
            raise ValueError(f"{path} does not exist: expected an image or a folder of images.")
    files: dict[Path, Path] = {}
    for path in found:
        files.setdefault(Path(os.path.abspath(path)), path)
    return list(files.values())


def common_folder(files: Iterable[Path]) -> Path | None:
    """Return the deepest folder that contains all files.

    It is None if there is none: on several drives, or if only some paths are relative.
    """
    try:
        return Path(os.path.commonpath([file.parent for file in files]))
    except ValueError:
        return None


def _is_path(value: Any) -> bool:
    return isinstance(value, str | os.PathLike)


def _paths(images: Any) -> list[Path] | None:
    """Return the files that images names, or None if it does not consist of paths."""
    if _is_path(images):
        return find_images([images])
    if isinstance(images, list | tuple) and images and all(map(_is_path, images)):
        return find_images(images)
    return None


def _single_images(images: Any) -> Iterator[Any]:
    """Yield PIL images and tensors (c, h, w), of images in any form.

    Raises:
        ValueError: the type or the shape is invalid.
    """
    if isinstance(images, Image.Image):
        yield images
    elif isinstance(images, Tensor):
        if images.ndim not in (3, 4):
            raise ValueError(
                f"The shape {tuple(images.shape)} is invalid: expected a tensor (c, h, w) or "
                "(n, c, h, w)."
            )
        yield from images[None] if images.ndim == 3 else images
    elif isinstance(images, np.ndarray):
        yield from _from_array(images)
    elif isinstance(images, list | tuple):
        for image in images:
            if _is_path(image):
                raise ValueError("A list of paths and other images is invalid: pass one of both.")
            yield from _single_images(image)
    else:
        raise ValueError(
            f"{type(images).__name__} is invalid: expected paths, PIL images, NumPy arrays or "
            "tensors."
        )


def _from_array(array: np.ndarray) -> Tensor:
    """Convert an array (h, w), (h, w, c) or (n, h, w, c) to a tensor (n, c, h, w)."""
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim not in (3, 4) or array.shape[-1] not in (1, 3):
        raise ValueError(
            f"The shape {array.shape} is invalid: expected an array (h, w), (h, w, c) or "
            "(n, h, w, c) with 1 or 3 channels c."
        )
    if array.dtype.kind not in "fu" or (array.dtype.kind == "u" and array.dtype != np.uint8):
        raise ValueError(
            f"Pixels of type {array.dtype} are invalid: expected uint8 from 0 to 255, or floats in "
            "[0, 1]."
        )
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return (tensor[None] if tensor.ndim == 3 else tensor).permute(0, 3, 1, 2)


def true_classes(
    folders: Iterable[str | Path], files: Sequence[Path], classes: Sequence[str]
) -> list[str] | None:
    """Return the true class of each file, where folders have a subfolder per class.

    Args:
        folders: the folders that contain the files.
        files: image files.
        classes: names of the classes of a model.

    Returns:
        The name of each file's subfolder; None unless all folders have at least two subfolders
        with images, all subfolders have names of classes, and contain all files.
    """
    class_of: dict[Path, str] = {}
    for folder in map(Path, folders):
        subfolders = class_folders(folder) if folder.is_dir() else []
        if len(subfolders) < 2 or not {path.name for path in subfolders} <= set(classes):
            return None
        class_of |= {path: path.name for path in subfolders}
    found = [next((class_of[p] for p in file.parents if p in class_of), None) for file in files]
    return None if None in found else [name for name in found if name is not None]


def error_line(predictions: Predictions, truth: Sequence[str]) -> str:
    """Return a line with the share of images whose predicted class is wrong.

    Args:
        predictions: predictions of single classes.
        truth: the true class of each image.
    """
    pairs = zip(predictions.names, truth, strict=True)
    wrong, n = sum(name != true for name, true in pairs), len(truth)
    return (
        f"Error {100 * wrong / n:.2f} %: {wrong} of {plural(n, 'image')} are not of the predicted "
        "class, by the names of their folders."
    )


def predictions_table(predictions: Predictions, top: int = 3) -> Table:
    """Return a table with the most probable classes of each image; of many images, the first ones.

    Args:
        predictions: predictions for files.
        top: number of classes per image.
    """
    folder = common_folder(predictions.files)
    rows = []
    for file, best in zip(predictions.files[:MOST_ROWS], predictions.top(top), strict=False):
        (name, probability), *others = best
        further = ", ".join(f"{other} {100 * p:.1f} %" for other, p in others)
        shown = file if folder is None else file.relative_to(folder)
        rows.append([str(shown), name, f"{100 * probability:.1f} %", further])
    columns, alignment = ["file", "class", "probability", "next classes"], "llrl"
    if predictions.multi_label:
        columns[1:] = ["label", "probability", "next labels"]
    if top == 1 or len(predictions.classes) == 1:
        rows, columns, alignment = [row[:3] for row in rows], columns[:3], alignment[:3]
    more = len(predictions) - len(rows)
    caption = f"and {more} more" if more else ""
    title = "" if folder in (None, Path()) else f"Images in {folder}"
    return Table(columns, rows, alignment=alignment, title=title, caption=caption)


def write_predictions(path: str | Path, predictions: Predictions) -> None:
    """Write predictions as a CSV file with a row per image.

    The columns are ``file``, ``class`` (of several labels, those from 50 % on) and, for each class,
    "probability of NAME".
    """
    columns = [f"probability of {name}" for name in predictions.classes]
    rows = zip(
        predictions.files, predictions.names, predictions.probabilities.tolist(), strict=True
    )
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_csv(
        path,
        [
            {"file": str(file), "class": name}
            | {c: f"{p:.6f}" for c, p in zip(columns, row, strict=True)}
            for file, name, row in rows
        ],
    )
