"""Test images for trained classifiers: of data sets, folders, and published test sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..data import DATA_SETS, load_test_set
from ..data.batches import Images
from ..data.holding import hold_files
from ..data.image_files import class_folders
from ..data.listing import list_class_folders
from ..data.published_sets import CorruptedSet, find_arrays, find_corrupted_set, read_arrays
from ..data.stores import MemoryStore
from ..data.tables import find_table
from .model import Classifier, Model
from .preprocessing import form_of


@dataclass(frozen=True)
class LabeledImages:
    """Labeled images of a data set.

    Args:
        pixels: n images, whose batches are (b, c, side, side) pixels in [0, 1], or a tensor.
        labels: (n,) ints, or (n, n_classes) zeros and ones if an image can have several labels.
        classes: names of the classes.
        name: name of the data set.
    """

    pixels: Tensor | Images
    labels: Tensor
    classes: tuple[str, ...]
    name: str


def load_test_images(
    name: str,
    model: Model,
    *,
    include_training_set: bool = False,
    root: str | None = None,
    download: bool = False,
) -> LabeledImages:
    """Load the test images of a data set, resized to the input size of a model.

    Args:
        name: name of a data set, a folder of images, or a published test set such as CIFAR-10.1,
            see :mod:`moonas.data.published_sets`.
        model: a :class:`~moonas.models.model.Classifier`.
        include_training_set: whether to return the training images as well. A folder that has
            only a subfolder per class is then read without splitting it, so it may lack classes of
            the model, and a class may have any number of images.
        root: folder with torchvision's data sets.
        download: whether torchvision may download a missing data set.

    Raises:
        ValueError: if the model is not a classifier, or the model and the data set have different
            classes.
    """
    model = require_classifier("The model", model)
    form = form_of(model)
    arrays = None if name in DATA_SETS else find_arrays(name)
    if arrays is not None:
        array, labels = read_arrays(*arrays, form, len(model.classes))
        return LabeledImages(Images(MemoryStore(array)), labels, model.classes, name)
    if include_training_set and _has_class_folders_only(name):
        paths, labels = list_class_folders(Path(name), model.classes)
        images = Images(hold_files(paths, form), form.center)
        return LabeledImages(images, labels, model.classes, name)
    pixels, labels, classes = load_test_set(
        name, form, root=root, download=download, include_training_set=include_training_set
    )
    if classes != model.classes:
        raise ValueError(
            f"{name} is invalid: the model expects the classes {list(model.classes)}, got "
            f"{list(classes)}."
        )
    return LabeledImages(pixels, labels, model.classes, name)


def load_corrupted_set(folder: str | Path, model: Model) -> CorruptedSet:
    """Find the images of CIFAR-10-C, CIFAR-100-C or ImageNet-C, to be read in chunks.

    Args:
        folder: folder of the published files, see :mod:`moonas.data.published_sets`.
        model: a :class:`~moonas.models.model.Classifier`.

    Raises:
        ValueError: if the model is not a classifier, or the folder contains no such images.
    """
    model = require_classifier("The model", model)
    return find_corrupted_set(folder, form_of(model), model.classes)


def _has_class_folders_only(name: str) -> bool:
    """Return whether a data set is a folder with a subfolder per class, without any split."""
    folder = Path(name)
    if name in DATA_SETS or not folder.is_dir() or (folder / "train").is_dir():
        return False
    if (folder / "labels.csv").exists():
        return False
    n_classes = len(class_folders(folder))
    return n_classes >= 2 or (n_classes == 1 and find_table(folder) is None)


def require_classifier(name: str, model: Model) -> Classifier:
    """Return the model if it is a classifier; raise ``ValueError`` otherwise."""
    if not isinstance(model, Classifier):
        raise ValueError(f"{name} is a {type(model).__name__.lower()}, not a classifier.")
    return model
