"""digits-table as a pymoo problem: 1,350 networks that have all been trained on digits."""

import json
from pathlib import Path

import numpy as np

from moonas.problem import Column
from moonas.tabular import Table, TabularProblem

from . import space
from .settings import Settings

FILE = Path(__file__).with_name("digits_table.npz")
SEEDS = 3  # that each network was trained with


def build(**options):
    """The problem; ``options`` are fields of :class:`Settings`."""
    return DigitsTable(Settings(**options))


def read(path=FILE):
    """What the file of the table holds: a dict of arrays, and ``about``, a dict.

    Arrays are by architecture, in the order of ``space.every_row()``: wrong_validation and
    wrong_test, (1350, seeds), images that were missed; params, macs, latency_ms.
    """
    with np.load(path, allow_pickle=False) as file:
        held = {name: file[name] for name in file.files}
    return held | {"about": json.loads(str(held["about"]))}


class DigitsTable(TabularProblem):
    """Two-stage networks by the scores that they were measured with.

    Args:
        settings: :class:`Settings`.
    """

    space = space
    architecture_title = "stages as channels, operation x layers"

    def __init__(self, settings):
        self.held = read()
        columns = [
            Column("error", "%", bounds=(0, 100)),
            Column("params", "parameters", bounds=(0, int(self.held["params"].max()))),
            Column("macs", "multiply-adds", bounds=(0, int(self.held["macs"].max()))),
            Column("latency_ms", "ms", bounds=(0, float(self.held["latency_ms"].max()))),
            Column("test_error", "%", bounds=(0, 100), in_table=False),
        ]
        super().__init__(settings, columns=columns, n_choices=space.N_CHOICES)

    def read_table(self):
        """The :class:`~moonas.tabular.Table` that the package brings."""
        held, about, query = self.held, self.held["about"], self.settings.query
        chosen = slice(None) if query == "mean" else [int(query)]
        columns = {name: held[name] for name in ("params", "macs", "latency_ms")}
        for name, part in (("error", "validation"), ("test_error", "test")):
            wrong = held[f"wrong_{part}"][:, chosen].mean(axis=1)
            columns[name] = 100 * wrong / about[f"n_{part}"]
        return Table(space.every_row(), space.N_CHOICES, columns)

    def network(self, architecture, **shape):
        """The stand-alone network, untrained; shape: n_classes and in_channels."""
        from .networks import DigitsNetwork

        shape.pop("image_size", None)  # any will do
        return DigitsNetwork(architecture, **shape)

    def operations(self):
        """Every layer at every shape that it has in a network."""
        from .networks import network_parts

        return list(
            dict.fromkeys(p for x in space.every_row() for p in network_parts(space.decode(x)))
        )
