"""NAS-Bench-Macro as a pymoo problem: 6,561 networks, all trained on CIFAR-10 in advance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from moonas.problem import Column
from moonas.tabular import Table, TabularProblem, of_trainings

from . import space
from .settings import Settings

if TYPE_CHECKING:
    from moonas.nets.parts import Part

    from .networks import MacroNetwork

FILE = Path(__file__).with_name("nasbench_macro.npz")


def build(**options: Any) -> NASBenchMacro:
    """Build the problem; ``options`` are fields of :class:`Settings`."""
    return NASBenchMacro(Settings(**options))


def read() -> dict[str, np.ndarray]:
    """Read the table.

    Returns:
        A dict of arrays, whose first axis follows the order of ``space.all_rows()``: ``correct``,
        (6561, 3), correctly classified images of 10,000 test images in each training; ``params``
        and ``macs``, (6561,).
    """
    with np.load(FILE, allow_pickle=False) as file:
        return {name: file[name].astype(np.int64) for name in ("correct", "params", "macs")}


class NASBenchMacro(TabularProblem):
    """Search in a table with the scores of 6,561 networks of eight layers.

    Args:
        settings: a :class:`Settings`.
    """

    space = space
    architecture_title = "operations of the layers, by stage"
    settings: Settings

    def __init__(self, settings: Settings) -> None:
        self.arrays = read()
        columns = [
            Column("error", "%", bounds=(0, 100)),
            Column("params", "parameters", bounds=(0, int(self.arrays["params"].max()))),
            Column("macs", "multiply-adds", bounds=(0, int(self.arrays["macs"].max()))),
        ]
        super().__init__(settings, columns=columns, n_choices=space.N_CHOICES)

    def read_table(self) -> Table:
        """Return the table with the errors that ``settings.query`` selects."""
        columns = {name: self.arrays[name] for name in ("params", "macs")}
        error = 100 - of_trainings(self.arrays["correct"], self.settings.query) / 100
        return Table(space.all_rows(), space.N_CHOICES, columns | {"error": error})

    def network(self, architecture: space.Architecture, **shape: Any) -> MacroNetwork:
        """Build the stand-alone network of an architecture, untrained.

        Args:
            architecture: an :class:`~moonas.problems.nasbench_macro.space.Architecture`.
            shape: ``n_classes`` and ``in_channels``; ``image_size`` is accepted and ignored,
                because the network accepts images of any size.
        """
        from .networks import MacroNetwork

        shape.pop("image_size", None)
        return MacroNetwork(architecture.operations, **shape)

    def operations(self) -> list[Part]:
        """Return every layer at each of its input shapes in a network, for latency tables."""
        from .networks import network_parts

        uniform = ([name] * len(space.N_CHOICES) for name in space.OPERATIONS)
        return list(dict.fromkeys(p for names in uniform for p in network_parts(names)))
