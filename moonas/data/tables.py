"""Images with any number of labels each: a folder of images and a CSV that lists them.

The first column of the CSV is the image's file, by its path in the folder or, where no other has
that name, by its name alone. Then either a column ``Labels`` or ``Finding Labels`` names an image's
labels, parted by ``|`` ("No Finding" is none), as NIH's ChestX-ray14 comes; or each further column
is a label, of ones and zeros. A column ``Patient ID`` keeps the images of a patient together in
every split. The images for the final test are those that ``test_list.txt`` names, one a line;
without it, a fifth.
"""

import csv
from collections import Counter
from dataclasses import dataclass

import numpy as np

LISTS = ("labels", "finding labels")  # header of the column that lists an image's labels
PATIENTS = ("patient id", "patient_id", "patient")
NO_LABEL = ("", "No Finding")


@dataclass(frozen=True)
class Table:
    """What a CSV says, image by image."""

    path: object  # of the CSV
    files: tuple[str, ...]
    classes: tuple[str, ...]
    labels: np.ndarray  # (n, n_classes) float32, zeros and ones
    patients: np.ndarray | None  # (n,) ints


def find_table(folder):
    """The CSV of a folder; None if there is none.

    Raises:
        ValueError: there are several, and none is called labels.csv.
    """
    found = sorted(folder.glob("*.csv"))
    named = [path for path in found if path.name == "labels.csv"]
    if len(found) > 1 and not named:
        names = [path.name for path in found]
        raise ValueError(f"{folder} holds {names}; call the one with the labels labels.csv.")
    return (named or found or [None])[0]


def read_table(path):
    """A :class:`Table` of a CSV.

    Raises:
        ValueError: the CSV has no rows, names no labels, or holds something else than labels.
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        header, *rows = [row for row in csv.reader(file) if row] or [[]]
    names = [name.strip().lower() for name in header]
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise ValueError(f"{path}, row {number}: {len(row)} values under {len(header)} titles.")
    if not rows:
        raise ValueError(f"{path} lists no images.")
    listed = next((names.index(name) for name in LISTS if name in names), None)
    patient = next((names.index(name) for name in PATIENTS if name in names), None)
    if listed is not None:
        classes, labels = _from_lists([row[listed] for row in rows])
    else:
        columns = [i for i in range(1, len(header)) if i != patient]
        classes = tuple(header[i].strip() for i in columns)
        labels = _from_columns(path, classes, [[row[i].strip() for i in columns] for row in rows])
    files = [row[0].strip() for row in rows]
    name, times = Counter(files).most_common(1)[0]
    if times > 1:
        raise ValueError(f"{path} lists {name!r} more than once; one row an image is expected.")
    if not classes:
        raise ValueError(
            f"{path} names no labels. Expected a column 'Labels' with names parted by |, or a "
            "column of ones and zeros for each label."
        )
    groups = None
    if patient is not None:
        _, groups = np.unique([row[patient] for row in rows], return_inverse=True)
    return Table(path, tuple(files), classes, labels, groups)


def _from_lists(texts):
    sets = [{part.strip() for part in text.split("|")} - set(NO_LABEL) for text in texts]
    classes = tuple(sorted(set().union(*sets)))
    labels = np.array([[name in mine for name in classes] for mine in sets], dtype=np.float32)
    return classes, labels


def _from_columns(path, classes, rows):
    known = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "": 0.0}
    for number, row in enumerate(rows, 2):
        for name, text in zip(classes, row, strict=True):
            if text not in known:
                raise ValueError(
                    f"{path}, row {number}, column {name!r}: {text!r} is no label; expected 0 or "
                    "1. Leave out the columns that are no labels."
                )
    return np.array([[known[text] for text in row] for row in rows], dtype=np.float32)


def find_images(table, folder):
    """The path of each image of a table.

    Raises:
        ValueError: an image is missing, or several have its name.
    """
    below = {}  # name -> files of that name
    paths = [folder / name for name in table.files]
    if not all(path.is_file() for path in paths):
        for path in sorted(folder.rglob("*")):
            below.setdefault(path.name, []).append(path)
    for i, name in enumerate(table.files):
        if not paths[i].is_file():
            found = below.get(name, [])  # a name with a folder is in no list
            if len(found) > 1:
                raise ValueError(
                    f"{table.path} lists {name!r}, and {folder} holds {len(found)} files of that "
                    "name; list them with their folders."
                )
            paths[i] = found[0] if found else None
    missing = [name for name, path in zip(table.files, paths, strict=True) if path is None]
    if missing:
        raise ValueError(
            f"{len(missing)} of the {len(paths)} images that {table.path} lists are not in "
            f"{folder}, the first of them {missing[0]!r}."
        )
    return paths


def rows_for_the_test(table, folder):
    """(n,) bool, which images ``test_list.txt`` names; None where there is no such file."""
    path = folder / "test_list.txt"
    if not path.exists():
        return None
    names = {line.strip() for line in path.read_text(encoding="utf-8").splitlines()}
    chosen = np.array([name in names or name.split("/")[-1] in names for name in table.files])
    if not chosen.any() or chosen.all():
        raise ValueError(f"{path} names {chosen.sum()} of {len(chosen)} images; a part is wanted.")
    return chosen
