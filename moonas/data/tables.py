"""Multi-label images: a folder of images and a CSV file that lists the images and their labels.

The first column of the CSV file contains the path of an image file relative to the folder, or the
file name alone if it is unique. The file has one of two formats. In the format of NIH's
ChestX-ray14, a column ``Labels`` or ``Finding Labels`` contains the names of all labels of an
image, separated by ``|`` ("No Finding" means that there are none). In the other format, each
further column is a label, and contains zeros and ones. All images with the same value in a column
``Patient ID`` are in the same part of every split. The file ``test_list.txt``, if it exists, names
the test images, one per line; otherwise a fifth of the images becomes the test set.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

LABEL_LIST_COLUMNS = ("labels", "finding labels")  # column names in lower case
PATIENT_COLUMNS = ("patient id", "patient_id", "patient")
NO_LABEL = ("", "No Finding")  # texts in place of a label name for images without labels
LABEL_VALUES = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "": 0.0}


@dataclass(frozen=True)
class Table:
    """The content of a CSV file of labels.

    Args:
        path: path of the CSV file.
        files: (n,) image files, as the CSV file lists them.
        classes: (n_classes,) names of the labels.
        labels: (n, n_classes) float32, zeros and ones.
        patients: (n,) ints, equal for images of the same patient; None if there is no patient
            column.
    """

    path: Path
    files: tuple[str, ...]
    classes: tuple[str, ...]
    labels: np.ndarray
    patients: np.ndarray | None


def find_table(folder: Path) -> Path | None:
    """Return the CSV file in a folder, or None if there is none.

    Raises:
        ValueError: if there are several CSV files and none of them is named labels.csv.
    """
    paths = sorted(folder.glob("*.csv"))
    for path in paths:
        if path.name == "labels.csv":
            return path
    if len(paths) > 1:
        names = [path.name for path in paths]
        raise ValueError(
            f"{folder} contains several CSV files, {names}; rename the one with the labels to "
            "labels.csv."
        )
    return paths[0] if paths else None


def read_table(path: Path) -> Table:
    """Read a CSV file of labels.

    Raises:
        ValueError: if the file has no rows or no labels, lists an image twice, or contains an
            invalid value.
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        header, *rows = [row for row in csv.reader(file) if row] or [[]]
    names = [name.strip().lower() for name in header]
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise ValueError(
                f"{path}, row {number} is invalid: expected {len(header)} values, got {len(row)}."
            )
    if not rows:
        raise ValueError(f"{path} lists no images.")
    label_list = next((names.index(name) for name in LABEL_LIST_COLUMNS if name in names), None)
    patient = next((names.index(name) for name in PATIENT_COLUMNS if name in names), None)
    if label_list is not None:
        classes, labels = _parse_label_lists([row[label_list] for row in rows])
    else:
        columns = [i for i in range(1, len(header)) if i != patient]
        classes = tuple(header[i].strip() for i in columns)
        values = [[row[i].strip() for i in columns] for row in rows]
        labels = _parse_label_columns(path, classes, values)
    files = [row[0].strip() for row in rows]
    name, count = Counter(files).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{path} lists {name!r} more than once; expected one row per image.")
    if not classes:
        raise ValueError(
            f"{path} contains no labels: expected a column 'Labels' with names separated by |, or "
            "a column of zeros and ones for each label."
        )
    groups = None
    if patient is not None:
        _, groups = np.unique([row[patient] for row in rows], return_inverse=True)
    return Table(path, tuple(files), classes, labels, groups)


def _parse_label_lists(texts: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the names of all labels in alphabetical order, and (n, n_classes) zeros and ones."""
    label_sets = [{part.strip() for part in text.split("|")} - set(NO_LABEL) for text in texts]
    classes = tuple(sorted(set().union(*label_sets)))
    labels = [[name in label_set for name in classes] for label_set in label_sets]
    return classes, np.array(labels, dtype=np.float32)


def _parse_label_columns(
    path: Path, classes: Sequence[str], rows: Sequence[Sequence[str]]
) -> np.ndarray:
    """Return (n, n_classes) zeros and ones from the values of the label columns."""
    for number, row in enumerate(rows, 2):
        for name, value in zip(classes, row, strict=True):
            if value not in LABEL_VALUES:
                raise ValueError(
                    f"{path}, row {number}, column {name!r} is invalid: expected 0 or 1, got "
                    f"{value!r}. Remove columns that are not labels."
                )
    return np.array([[LABEL_VALUES[value] for value in row] for row in rows], dtype=np.float32)


def find_images(table: Table, folder: Path) -> list[Path]:
    """Find the image files of a table in a folder.

    Args:
        table: table that lists the images.
        folder: folder that contains the images, possibly in subfolders.

    Returns:
        (n,) paths, in the order of the table.

    Raises:
        ValueError: if an image is missing, or several files have the name of an image.
    """
    paths_by_name: dict[str, list[Path]] = {}
    if not all((folder / name).is_file() for name in table.files):
        for path in sorted(folder.rglob("*")):
            paths_by_name.setdefault(path.name, []).append(path)
    paths, missing = [], []
    for name in table.files:
        candidates = [folder / name]
        if not candidates[0].is_file():
            candidates = paths_by_name.get(name, [])  # empty if the name includes a folder
        if len(candidates) > 1:
            raise ValueError(
                f"{table.path} lists {name!r}, but {folder} contains {len(candidates)} files with "
                "that name; list the paths of these files relative to the folder instead."
            )
        if candidates:
            paths.append(candidates[0])
        else:
            missing.append(name)
    if missing:
        raise ValueError(
            f"{folder} lacks {len(missing)} of the {len(table.files)} images that {table.path} "
            f"lists; the first missing one is {missing[0]!r}."
        )
    return paths


def read_test_list(table: Table, folder: Path) -> np.ndarray | None:
    """Return a mask of the test images, which the file ``test_list.txt`` names.

    Args:
        table: table that lists the images.
        folder: folder that contains ``test_list.txt``, with file names or paths relative to the
            folder.

    Returns:
        (n,) bool, True for test images; None if the file does not exist.

    Raises:
        ValueError: if the file names none or all of the images.
    """
    path = folder / "test_list.txt"
    if not path.exists():
        return None
    names = {line.strip() for line in path.read_text(encoding="utf-8").splitlines()}
    is_test = np.array([name in names or name.split("/")[-1] in names for name in table.files])
    if not is_test.any() or is_test.all():
        raise ValueError(
            f"{path} is invalid: expected some but not all of the {len(is_test)} images, got "
            f"{is_test.sum()}."
        )
    return is_test
