"""Figures written as PNG, PDF and SVG."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .atomic import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf", "svg")
# metadata that differ between equal figures, such as the time, are left out
METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    "svg": {"Date": None},
}
_chosen: ContextVar[tuple[str, ...]] = ContextVar("formats of pictures", default=())


@contextmanager
def picture_formats(formats: Sequence[str]) -> Iterator[None]:
    """Write all figures in these formats within a ``with`` block.

    Raises:
        ValueError: a format is unknown.
    """
    token = _chosen.set(_checked(formats))
    try:
        yield
    finally:
        _chosen.reset(token)


def _checked(formats: Sequence[str]) -> tuple[str, ...]:
    for name in formats:
        if name not in FORMATS:
            raise ValueError(f"Unknown format {name!r} of pictures; choose from {[*FORMATS]}.")
    return tuple(dict.fromkeys(formats))


def save_figure(
    figure: Figure, path: str | Path, dpi: int = 150, formats: Sequence[str] = ()
) -> list[Path]:
    """Write a Matplotlib figure, atomically; equal figures produce identical bytes.

    Args:
        figure: figure to save.
        path: path of the file; its suffix is replaced by those of the formats.
        dpi: resolution of PNG files in dots per inch.
        formats: "png", "pdf" and "svg"; by default, those of :func:`picture_formats`, else that of
            the suffix of ``path``, else "png".

    Returns:
        Paths of the files.

    Raises:
        ValueError: a format is unknown.
    """
    import matplotlib

    path = Path(path)
    suffix = path.suffix.lower().removeprefix(".")
    names = _checked(formats) or _chosen.get() or ((suffix,) if suffix in FORMATS else ("png",))
    fonts: Any = {"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "moonas"}
    written = []
    for name in names:
        content = io.BytesIO()
        with matplotlib.rc_context(fonts):
            figure.savefig(content, dpi=dpi, format=name, metadata=METADATA[name])
        target = path.with_suffix(f".{name}") if suffix in FORMATS else Path(f"{path}.{name}")
        write_atomically(target, content.getvalue())
        written.append(target)
    return written
