"""digits-table as a pymoo problem: 1,350 networks, all trained on digits in advance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from moonas.problem import Column
from moonas.tabular import Table, TabularProblem, of_trainings

from . import space
from .settings import Settings

if TYPE_CHECKING:
    from moonas.nets.parts import Part

    from .networks import DigitsNetwork

FILE = Path(__file__).with_name("digits_table.npz")
N_SEEDS = 3  # number of seeds that each network was trained with


def build(**options: Any) -> DigitsTable:
    """Build the problem; ``options`` are fields of :class:`Settings`."""
    return DigitsTable(Settings(**options))


def read(path: str | Path = FILE) -> dict[str, Any]:
    """Read the file of the table.

    Args:
        path: path of the npz file; by default the table that moonas includes.

    Returns:
        A dict of arrays, whose first axis follows the order of ``space.all_rows()``:
        ``wrong_validation`` and ``wrong_test``, (1350, seeds), numbers of misclassified images;
        ``params``, ``macs``, ``latency_ms`` and ``training_ms``, (1350,), where
        ``training_ms`` is NaN for networks whose training was not timed. The entry ``about`` is a
        dict that describes how the table was computed.
    """
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return arrays | {"about": json.loads(str(arrays["about"]))}


class DigitsTable(TabularProblem):
    """Search in a table with the scores of 1,350 two-stage networks.

    Args:
        settings: a :class:`Settings`.
    """

    space = space
    architecture_title = "stages as channels, operation x layers"
    settings: Settings

    def __init__(self, settings: Settings) -> None:
        self.arrays = read()
        columns = [
            Column("error", "%", bounds=(0, 100)),
            Column("params", "parameters", bounds=(0, int(self.arrays["params"].max()))),
            Column("macs", "multiply-adds", bounds=(0, int(self.arrays["macs"].max()))),
            Column("latency_ms", "ms", bounds=(0, float(self.arrays["latency_ms"].max()))),
            Column("test_error", "%", bounds=(0, 100), in_table=False),
        ]
        super().__init__(settings, columns=columns, n_choices=space.N_CHOICES)

    def read_table(self) -> Table:
        """Return the table with the errors that ``settings.query`` selects."""
        arrays, about, query = self.arrays, self.arrays["about"], self.settings.query
        columns = {name: arrays[name] for name in ("params", "macs", "latency_ms")}
        for name, split in (("error", "validation"), ("test_error", "test")):
            wrong = of_trainings(arrays[f"wrong_{split}"], query)
            columns[name] = 100 * wrong / about[f"n_{split}"]
        return Table(space.all_rows(), space.N_CHOICES, columns)

    def network(self, architecture: space.Architecture, **shape: Any) -> DigitsNetwork:
        """Build the stand-alone network of an architecture, untrained.

        Args:
            architecture: an :class:`~moonas.problems.digits_table.space.Architecture`.
            shape: ``n_classes`` and ``in_channels``; ``image_size`` is accepted and ignored,
                because the network accepts images of any size.
        """
        from .networks import DigitsNetwork

        shape.pop("image_size", None)
        return DigitsNetwork(architecture, **shape)

    def operations(self) -> list[Part]:
        """Return every layer at each of its input shapes in a network, for latency tables."""
        from .networks import network_parts

        return list(
            dict.fromkeys(p for x in space.all_rows() for p in network_parts(space.decode(x)))
        )
