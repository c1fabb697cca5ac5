"""What a network costs to keep and to run: parameters, multiply-adds, milliseconds."""

import hashlib
import json

import numpy as np

from ..data import checksums
from ..metrics.timing import measure_latency
from ..models.latency_table import read_latency_table
from ..nets.devices import repeatable, resolve_device
from ..problem import Column


class NetworkCosts:
    """Costs of the network that a search is for, which may be larger than the one it trains.

    Args:
        problem: an :class:`~moonas.problem.ArchitectureProblem`: its ``count``, ``network``, and
            with ``settings.latency_table`` its ``parts`` and ``operations``.
        settings: a :class:`~moonas.evaluators.settings.ClassifierSettings`.
        info: of the data set.

    Raises:
        ValueError: the latency table is missing or lacks a part, or networks of the problem are not
            sums of parts.
    """

    def __init__(self, problem, settings, info):
        self.problem, self.settings = problem, settings
        self.table = None
        self.inputs = checksums(info)  # of the files that scores depend on
        if settings.latency_table is not None:
            keys = [part.key for part in problem.operations()]
            if not keys:
                raise ValueError(
                    f"latency_table is invalid: networks of {type(problem).__name__} are not sums "
                    "of parts, so their latency can only be measured."
                )
            self.table = read_latency_table(settings.latency_table, keys)
            text = json.dumps(self.table, sort_keys=True)
            self.inputs |= {"latency_table": hashlib.sha256(text.encode()).hexdigest()}

    def cost_columns(self, params, macs):
        """The columns; params and macs are their upper bounds in hypervolumes."""
        columns = [
            Column("params", "parameters", bounds=(0, int(params))),
            Column("macs", "multiply-adds", bounds=(0, int(macs))),
        ]
        if "latency_ms" in self.settings.objectives:
            bounds = (0, self.settings.latency_bound)
            columns.append(Column("latency_ms", "ms", bounds=bounds, measured=True))
        return columns

    def counted(self, candidates):
        """Columns params and macs, (n,) ints each."""
        params, macs = np.asarray(self.problem.count(candidates)).T
        return {"params": params, "macs": macs}

    def measured(self, candidates):
        """Column latency_ms, (n,) floats, from the clock or from the table."""
        return {"latency_ms": np.array([self._latency(a) for a in candidates])}

    def _latency(self, architecture):
        if self.table is not None:
            parts = self.problem.parts(architecture)
            if not parts:
                raise ValueError(
                    f"latency_table is invalid: {type(self.problem).__name__}.parts() gives no "
                    "parts of this network. Its latency can only be measured."
                )
            return sum(self.table[part.key] for part in parts)
        s = self.settings
        network, shape = self.problem.network(architecture), self.problem.input_shape
        with repeatable(s.threads):
            return measure_latency(network, shape, resolve_device(s.device), s.latency_batch)
