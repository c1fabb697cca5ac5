"""A folder of images and a CSV file that lists the images and their labels.

The first column of the CSV file contains the path of an image file relative to the folder, or the
file name alone if it is unique. Values are separated by commas, semicolons or tabs, and the text is
UTF-8. The labels have one of three formats:

- A column ``labels``, ``finding labels`` (as in NIH's ChestX-ray14) or ``tags`` contains the names
  of all labels of an image, separated by ``|``, commas, semicolons or spaces ("No Finding" means
  that there are none).
- A column ``label``, ``class`` or the like, or the only other column if it contains no numbers,
  contains the name of the one class of an image.
- Each further column is a label, and contains zeros and ones.

All images with the same value in a column ``Patient ID`` are in the same part of every split. The
file ``test_list.txt``, if it exists, names the test images, one per line; otherwise a fifth of the
images becomes the test set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..files.image_folders import IMAGE_ENDINGS
from ..files.reading import CsvTable, read_csv, read_text

LABEL_LIST_COLUMNS = ("labels", "finding labels", "tags")  # column names in lower case
CLASS_COLUMNS = ("label", "class", "class_name", "classname", "category", "target", "species")
PATIENT_COLUMNS = ("patient id", "patient_id", "patient")
NO_LABEL = ("", "No Finding")  # texts in place of a label name for images without labels
LABEL_VALUES = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "": 0.0}
SEPARATORS = "|;,"  # of the names in a column of labels


@dataclass(frozen=True)
class Table:
    """The content of a CSV file of labels.

    Args:
        path: path of the CSV file.
        files: (n,) image files, as the CSV file lists them.
        classes: (n_classes,) names of the labels or classes.
        labels: (n, n_classes) float32, zeros and ones; or (n,) int64 if each image has one class.
        patients: (n,) ints, equal for images of the same patient; None if there is no patient
            column.
    """

    path: Path
    files: tuple[str, ...]
    classes: tuple[str, ...]
    labels: np.ndarray
    patients: np.ndarray | None

    @property
    def multi_label(self) -> bool:
        """Whether an image can have any number of labels, as opposed to one class."""
        return self.labels.ndim == 2


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
        ValueError: if the file has no header, no rows or no labels, lists an image twice, or
            contains an invalid value.
    """
    table = read_csv(path)
    if table.header and table.header[0].lower().endswith(IMAGE_ENDINGS):
        raise ValueError(
            f"{path} has no header: its first line names the image {table.header[0]!r}. Add a line "
            "such as 'file,label'."
        )
    if not table.rows:
        raise ValueError(f"{path} lists no images.")
    names = [name.lower() for name in table.header]
    patient = next((names.index(name) for name in PATIENT_COLUMNS if name in names), None)
    files = [row[0].strip() for row in table.rows]
    name, count = Counter(files).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{path} lists {name!r} more than once; expected one row per image.")
    classes, labels = _read_labels(table, names, [i for i in range(1, len(names)) if i != patient])
    if not classes:
        raise ValueError(
            f"{path} contains no labels: expected a column 'Labels' with names separated by |, a "
            "column 'Label' with one class, or a column of zeros and ones for each label."
        )
    groups = None
    if patient is not None:
        _, groups = np.unique([row[patient] for row in table.rows], return_inverse=True)
    return Table(path, tuple(files), classes, labels, groups)


def _read_labels(
    table: CsvTable, names: Sequence[str], columns: Sequence[int]
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the names of the classes, and labels as :class:`Table` contains them.

    Args:
        table: the CSV file.
        names: (k,) names of its columns in lower case.
        columns: indices of the columns that may contain labels.
    """

    def texts(i: int) -> list[str]:
        return [row[i].strip() for row in table.rows]

    for i in columns:
        if names[i] in LABEL_LIST_COLUMNS:
            return _parse_label_lists(table.path, texts(i))
    for i in columns:
        if names[i] in CLASS_COLUMNS:
            return _parse_classes(table, texts(i))
    if len(columns) == 1 and not all(map(_is_number, texts(columns[0]))):
        return _parse_classes(table, texts(columns[0]))
    classes = tuple(table.header[i] for i in columns)
    values = [[row[i].strip() for i in columns] for row in table.rows]
    return classes, _parse_label_columns(table, classes, values)


def _is_number(text: str) -> bool:
    try:
        float(text or "0")
    except ValueError:
        return False
    return True


def _parse_classes(table: CsvTable, texts: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the names of all classes, sorted by number or name, and (n,) indices of classes."""
    for line, text in zip(table.lines, texts, strict=True):
        if not text:
            raise ValueError(f"{table.path}, line {line} is invalid: expected a class, got none.")
    numbers = all(text.isdecimal() for text in texts)
    classes = sorted(set(texts), key=(lambda text: (int(text), text)) if numbers else None)
    if len(classes) < 2:
        raise ValueError(
            f"{table.path} contains the single class {classes[0]!r}; expected two or more."
        )
    indices = {name: i for i, name in enumerate(classes)}
    return tuple(classes), np.array([indices[text] for text in texts], dtype=np.int64)


def _parse_label_lists(path: Path, texts: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the names of all labels in alphabetical order, and (n, n_classes) zeros and ones."""
    separator = next((s for s in SEPARATORS if any(s in text for text in texts)), None)
    if separator is None:
        separator = _separating_space(path, texts)
    label_sets = [
        {part.strip() for part in text.split(separator)} - set(NO_LABEL)
        if separator
        else {text} - set(NO_LABEL)
        for text in texts
    ]
    classes = tuple(sorted(set().union(*label_sets)))
    labels = [[name in label_set for name in classes] for label_set in label_sets]
    return classes, np.array(labels, dtype=np.float32)


def _separating_space(path: Path, texts: Sequence[str]) -> str | None:
    """Return a space if it separates the names of labels, or None if no name contains a space.

    Raises:
        ValueError: names contain spaces, and it is unclear whether these separate names.
    """
    named = set(texts) - set(NO_LABEL)
    several = [text for text in named if " " in text]
    if not several:
        return None
    if all(part in named for text in several for part in text.split()):
        return " "
    raise ValueError(
        f"{path} is ambiguous: it contains {several[0]!r}. Separate the names of labels by |, or "
        "name the column 'label' if each image has one class."
    )


def _parse_label_columns(
    table: CsvTable, classes: Sequence[str], rows: Sequence[Sequence[str]]
) -> np.ndarray:
    """Return (n, n_classes) zeros and ones from the values of the label columns."""
    for line, row in zip(table.lines, rows, strict=True):
        for name, value in zip(classes, row, strict=True):
            if value not in LABEL_VALUES:
                raise ValueError(
                    f"{table.path}, line {line}, column {name!r} is invalid: expected 0 or 1, got "
                    f"{value[:80]!r}. Remove columns that are not labels; if each image has one "
                    "class, name the column 'label'."
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
    names = {line.strip() for line in read_text(path).splitlines()}
    is_test = np.array([name in names or name.split("/")[-1] in names for name in table.files])
    if not is_test.any() or is_test.all():
        raise ValueError(
            f"{path} is invalid: expected some but not all of the {len(is_test)} images, got "
            f"{is_test.sum()}."
        )
    return is_test
