"""NAS-Bench-201 as a pymoo problem: all scores are looked up in a table that the user provides."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from moonas.files import sha256
from moonas.problem import Column
from moonas.spaces.graph import Graph
from moonas.tabular import Table, TabularProblem

from . import space
from .settings import Settings
from .table import LATENCY_PREFIX, read_table

if TYPE_CHECKING:
    from moonas.nets.parts import Part

    from .networks import CellNetwork201

# Params and macs of the largest network for CIFAR-10; they bound the hypervolume.
LARGEST_PARAMS, LARGEST_MACS = 1_531_546, 220_119_690


def build(**options: Any) -> NASBench201:
    """Build the problem; ``options`` are fields of :class:`Settings`."""
    return NASBench201(Settings(**options))


class NASBench201(TabularProblem):
    """Search in a table with the measured scores of all cells.

    Args:
        settings: a :class:`Settings`. Without a table the problem can be described, but not
            evaluated.

    Attributes:
        source_columns: maps ``error``, ``params`` and ``macs`` to the column of the table that
            each is computed from.

    Raises:
        ValueError: the table does not exist, cannot be read or lacks a column.
    """

    space = space
    architecture_title = "cell as the benchmark writes it"
    settings: Settings

    def __init__(self, settings: Settings) -> None:
        self.source_columns = {
            "error": settings.accuracy,
            "params": settings.params_column,
            "macs": settings.macs_column,
        }
        columns = [
            Column("error", "%", worst=100.0, bounds=(0, 100)),
            Column("params", "parameters", worst=LARGEST_PARAMS, bounds=(0, LARGEST_PARAMS)),
            Column("macs", "multiply-adds", worst=LARGEST_MACS, bounds=(0, LARGEST_MACS)),
        ]
        if settings.table is not None:
            self.settings = settings
            self.table = self.read_table()
            self.inputs = {"table": sha256(settings.table)}
            for name, values in self.table.columns.items():
                if name.startswith(LATENCY_PREFIX) and np.isfinite(values).any():
                    top = float(np.nanmax(values))
                    columns.append(Column(name, "ms", worst=top, bounds=(0, top), in_table=False))
        super().__init__(settings, columns=columns, n_choices=space.N_CHOICES)

    def read_table(self) -> Table:
        """Read the :class:`~moonas.tabular.Table` that ``settings.table`` names.

        Raises:
            ValueError: ``settings.table`` is None, or the file cannot be read.
        """
        path = self.settings.table
        if path is None:
            raise ValueError(
                "nasbench201 looks up scores in a table, which moonas does not include: name one "
                "with table=FILE (Python) or --set table=FILE (command line), a CSV or npz file "
                f"with the 15,625 cells and the columns {list(self.source_columns.values())}."
            )
        table = read_table(path, self.source_columns)
        accuracy = table.columns["error"]
        if not np.isfinite(accuracy).any():
            raise ValueError(f"{path}: the column {self.source_columns['error']!r} has no numbers.")
        if np.nanmax(accuracy) <= 1:
            warnings.warn(
                f"{path}: the accuracies in {self.source_columns['error']!r} are at most "
                f"{np.nanmax(accuracy):.4g}, so they are read as shares and not as percentages.",
                stacklevel=2,
            )
            accuracy = 100 * accuracy
        error = 100 - accuracy
        return Table(table.X, table.n_choices, table.columns | {"error": error})

    def network(self, architecture: space.Architecture, **shape: Any) -> CellNetwork201:
        """Build the stand-alone network of an architecture, untrained.

        Args:
            architecture: an :class:`~moonas.problems.nasbench201.space.Architecture`.
            shape: keyword arguments of
                :class:`~moonas.problems.nasbench201.networks.CellNetwork201`; ``image_size`` is
                accepted and ignored, because the network accepts images of any size.
        """
        from .networks import CellNetwork201

        shape.pop("image_size", None)
        return CellNetwork201(architecture.operations, **shape)

    def graphs(self, architecture: space.Architecture) -> list[Graph]:
        """Return the graph of the cell, without edges of the operation ``none``."""
        edges = tuple(
            (str(start), str(end), space.SHORT_NAMES[operation])
            for operation, (start, end) in zip(architecture.operations, space.EDGES, strict=True)
            if operation != "none"
        )
        return [Graph("cell", ("0",), ("1", "2", "3"), edges, ("3",))]

    def operations(self) -> list[Part]:
        """Return every operation at each of its input shapes in a network, for latency tables."""
        from .networks import operation_parts

        return operation_parts()
