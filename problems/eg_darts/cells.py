"""Cells by name, as a text, or from the run folder of a search for cells."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moonas.run.stage import read_stage_result
from moonas.spaces.genotype import Cells

from ..cars import zoo
from . import cell_space

CELLS_FILE = "cells.json"
DEFAULT_CELLS = "PDARTS"


def find_cells(text: str | None) -> Cells:
    """Return published cells by name, or the cells that a text describes.

    Args:
        text: name of published cells, or a text for :func:`.cell_space.cells_from_text`; None for
            the cells of P-DARTS. Settings replace a run folder by such a text, see
            :func:`without_folder`.

    Raises:
        ValueError: the text is neither a name nor a description of cells.
    """
    published = zoo.architectures()
    text = text or DEFAULT_CELLS
    if text in published:
        cells = published[text]
        return cell_space.cells_from_genotype(cells.normal, cells.reduction)
    if "@" not in text:
        raise ValueError(
            f"cells={text!r} is unknown; choose from {sorted(published)}, or name a run folder of "
            f"eg-darts-cells, which contains {CELLS_FILE}."
        )
    return cell_space.cells_from_text(text)


def without_folder(text: str | None) -> str | None:
    """Return the cells in a run folder as a text; return other descriptions of cells unchanged.

    A run thus records the cells, not a path.
    """
    if text is not None and (Path(text) / CELLS_FILE).is_file():
        return read_cells(text).text
    return text


def read_cells(folder: str | Path) -> Cells:
    """Read the cells that a run of stage 1 wrote.

    Args:
        folder: run folder of stage 1.

    Raises:
        ValueError: ``cells.json`` is missing or damaged.
    """

    def parse(content: Mapping[str, Any]) -> Cells:
        return cell_space.cells_from_text(content["cells"])

    cells: Cells = read_stage_result(folder, CELLS_FILE, "eg-darts-cells", parse)
    return cells
