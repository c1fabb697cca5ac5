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
    """Return published cells by name, the cells that a text describes, or those of a run folder.

    Args:
        text: name of published cells, a text for :func:`.cell_space.cells_from_text`, or the run
            folder of a search for cells; None for the cells of P-DARTS.

    Raises:
        ValueError: the text is neither a name, nor a description of cells, nor such a folder.
    """
    published = zoo.architectures()
    text = text or DEFAULT_CELLS
    if text in published:
        cells = published[text]
        return cell_space.cells_from_genotype(cells.normal, cells.reduction)
    if (Path(text) / CELLS_FILE).is_file():
        return read_cells(text)
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
