"""NAS-Bench-201 as a pymoo problem: every score is looked up in a table that the user has."""

import numpy as np

from moonas.files import sha256
from moonas.problem import Column
from moonas.spaces.graph import Graph
from moonas.tabular import Table, TabularProblem

from . import space
from .settings import Settings
from .table import LATENCY, read_table

# The largest network of the space on CIFAR-10: upper ends in hypervolumes.
PARAMS, MACS = 1_531_546, 220_119_690


def build(**options):
    """The problem; ``options`` are fields of :class:`Settings`."""
    return NASBench201(Settings(**options))


class NASBench201(TabularProblem):
    """Cells by the scores that others have measured.

    Args:
        settings: :class:`Settings`.

    Raises:
        ValueError: the table is missing, or lacks a column.
    """

    space = space
    architecture_title = "a cell as the benchmark writes it"

    def __init__(self, settings):
        self.sources = {
            "error": settings.accuracy,
            "params": settings.params_column,
            "macs": settings.macs_column,
        }
        columns = [
            Column("error", "%", worst=100.0, bounds=(0, 100)),
            Column("params", "parameters", worst=PARAMS, bounds=(0, PARAMS)),
            Column("macs", "multiply-adds", worst=MACS, bounds=(0, MACS)),
        ]
        if settings.table is not None:
            self.settings = settings
            self.table = self.read_table()
            self.inputs = {"table": sha256(settings.table)}
            for name, values in self.table.columns.items():
                if name.startswith(LATENCY):
                    top = float(np.nanmax(values))
                    bounds = dict(worst=top, bounds=(0, top))
                    columns.append(Column(name, "ms", in_table=False, **bounds))
        super().__init__(settings, columns=columns, n_choices=space.N_CHOICES)

    def read_table(self):
        """The :class:`~moonas.tabular.Table` of the settings' file.

        Raises:
            ValueError: the settings name none.
        """
        path = self.settings.table
        if path is None:
            raise ValueError(
                "nasbench201 looks scores up in a table that moonas does not bring: name one "
                "(table=FILE, --set table=FILE), a CSV or npz with the 15,625 cells and columns "
                f"{list(self.sources.values())}."
            )
        table = read_table(path, self.sources)
        error = 100 - table.columns["error"]
        return Table(table.X, table.n_choices, table.columns | {"error": error})

    def network(self, architecture, **shape):
        """The stand-alone network, untrained.

        Args:
            architecture: a cell.
            shape: of :class:`~moonas.problems.nasbench201.networks.CellNetwork201`.
        """
        from .networks import CellNetwork201

        shape.pop("image_size", None)  # any will do
        return CellNetwork201(architecture.operations, **shape)

    def graphs(self, architecture):
        """The cell; what the operation ``none`` joins is not joined."""
        edges = tuple(
            (str(start), str(end), space.SHORT[operation])
            for operation, (start, end) in zip(architecture.operations, space.EDGES, strict=True)
            if operation != "none"
        )
        return [Graph("cell", ("0",), ("1", "2", "3"), edges)]

    def operations(self):
        """Every operation at every shape of a network."""
        from .networks import parts

        return parts()
