"""What a folder of images contains, so that a run notices if its images have changed.

The content of a folder is a dict with an entry for each of its subfolders that contain images, and
for each file that assigns labels. Neither the path of the folder nor the times of its files matter.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .atomic import sha256

IMAGE_ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".jfif", ".gif", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp"),
)
# first bytes of files that are images although their names have no ending
SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*")
LABEL_LISTS = ("*.csv", "test_list.txt")  # files that assign labels or a split
READ_BYTES = 2**30  # of larger folders, about this many bytes are read
RUN_FILE = "run.json"  # in a folder that contains the results of a run
DEEPEST = 3  # levels of subfolders that have an entry of their own
MOST_DIFFERENCES = 4  # that a message lists

Content = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class ImageFolder:
    """A folder of images and what it contains.

    Args:
        path: absolute path of the folder.
        content: result of :func:`folder_content`.
    """

    path: str
    content: Content


_known: dict[str, tuple[bytes, Content]] = {}  # real path -> state of its files, content


def is_image(path: Path) -> bool:
    """Return whether a file is an image by its name or, without an ending, by its first bytes.

    Hidden files are no images, such as ._1.jpg in an archive that was made on a Mac.
    """
    if path.name.startswith("."):
        return False
    if path.suffix:
        return path.suffix.lower() in IMAGE_ENDINGS
    try:
        with open(path, "rb") as file:
            return file.read(8).startswith(SIGNATURES)
    except OSError:
        return False


def image_folder(folder: str | Path) -> ImageFolder:
    """Return a folder of images with its content."""
    return ImageFolder(str(Path(folder).absolute()), folder_content(folder))


def folder_content(folder: str | Path) -> Content:
    """Return what a folder of images contains.

    Files in hidden folders and in run folders, and hidden files, are left out. If the files have
    more than 2**30 bytes together, the pixels of evenly spaced files are part of the content, and
    of the others only name and size, since reading a large data set takes hours.

    Args:
        folder: path of a folder.

    Returns:
        Path of a subfolder relative to ``folder`` ("." for the folder itself) -> a dict with the
        number of its ``images``, their size in ``bytes``, and a ``digest`` of their names and
        contents. A file of labels has an entry with ``bytes`` and ``digest``.
    """
    folder = Path(folder)
    files = sorted(path for path in files_in(folder) if is_image(path))
    lists = sorted({path for pattern in LABEL_LISTS for path in folder.glob(pattern)})
    state = hashlib.sha256()
    sizes = []
    for path in [*files, *lists]:
        stat = path.stat()
        state.update(f"{path}|{stat.st_size}|{stat.st_mtime_ns}\n".encode(errors="replace"))
        sizes.append(stat.st_size)
    name = os.path.realpath(folder)
    known = _known.get(name)
    if known is not None and known[0] == state.digest():  # nothing has changed in this process
        return known[1]
    content = _read(folder, files, sizes)
    for path, size in zip(lists, sizes[len(files) :], strict=True):
        content[path.name] = {"bytes": size, "digest": sha256(path)[:16]}
    _known[name] = state.digest(), content
    return content


def _read(folder: Path, files: list[Path], sizes: list[int]) -> Content:
    """Return the entries of the subfolders that contain images."""
    every = -(-sum(sizes[: len(files)]) // READ_BYTES) or 1
    content: Content = {}
    digests: dict[str, Any] = {}
    for i, (path, size) in enumerate(zip(files, sizes[: len(files)], strict=True)):
        parts = path.relative_to(folder).parts
        name = "/".join(parts[:-1][:DEEPEST]) or "."
        entry = content.setdefault(name, {"images": 0, "bytes": 0})
        entry["images"] += 1
        entry["bytes"] += size
        digest = digests.setdefault(name, hashlib.sha256())
        within = "/".join(parts[len(parts[:-1][:DEEPEST]) :])
        pixels = sha256(path) if i % every == 0 else ""
        digest.update(f"{within}|{size}|{pixels}\n".encode(errors="replace"))
    for name, entry in content.items():
        entry["digest"] = digests[name].hexdigest()[:16]
    return content


def files_in(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Yield the files of a folder and its subfolders, which may be links.

    Hidden files and folders are left out, and so are run folders, whose pictures are not data.

    Args:
        folder: path of the folder.
        above: real paths of the folders that contain it, so that links end in no circle.
    """
    real = os.path.realpath(folder)
    if real in above or (folder / RUN_FILE).exists():
        return
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from files_in(path, above | {real})
        elif path.is_file():
            yield path


def describe_differences(recorded: Mapping[str, Any], current: Mapping[str, Any]) -> str:
    """Describe how the content of a folder differs from what was recorded.

    Args:
        recorded: earlier result of :func:`folder_content`.
        current: result of :func:`folder_content`.

    Returns:
        Phrases that are separated by semicolons; empty if nothing differs.
    """
    missing = {n: e for n, e in recorded.items() if n not in current}
    new = {n: e for n, e in current.items() if n not in recorded}
    phrases = []
    for name, entry in list(missing.items()):
        renamed = [other for other, e in new.items() if e == entry]
        if renamed:
            phrases.append(f"{name!r} is now named {renamed[0]!r}")
            del missing[name], new[renamed[0]]
    phrases += [f"{name!r}{_size(entry)} is missing" for name, entry in missing.items()]
    phrases += [f"{name!r}{_size(entry)} is new" for name, entry in new.items()]
    for name in recorded:
        if name not in current or recorded[name] == current[name]:
            continue
        old, now = recorded[name].get("images"), current[name].get("images")
        if old != now:
            phrases.append(f"{name!r} contains {_images(now)} instead of {old}")
        else:
            what = repr(name) if old is None else f"files in {name!r}"
            phrases.append(f"{what} changed")
    rest = len(phrases) - MOST_DIFFERENCES
    shown = phrases[:MOST_DIFFERENCES] + ([f"and {rest} more"] if rest > 0 else [])
    return "; ".join(shown)


def _images(n: int) -> str:
    return f"{n} image" if n == 1 else f"{n} images"


def _size(entry: Mapping[str, Any]) -> str:
    return f" ({_images(entry['images'])})" if "images" in entry else ""
