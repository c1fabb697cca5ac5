"""Costs of networks: number of parameters, multiply-adds and latency."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from ..data import checksums
from ..data.images import DataInfo
from ..deprecation import RenamedAttribute
from ..errors import TimingWarning
from ..metrics.timing import Measurement, measure
from ..models.latency_table import has_parts, read_latency_table
from ..nets.devices import repeatable, resolve_device
from ..problem import ArchitectureProblem, Column
from ..run.candidates import Candidates
from ..run.numbers import plural
from .settings import ClassifierSettings


class NetworkCosts:
    """Parameters, multiply-adds and latency of the target network of a candidate.

    The target network may be larger than the network that the search trains.

    Args:
        problem: problem that implements ``count`` and ``network`` and, for latency tables,
            ``parts`` and ``operations``.
        settings: settings of the search.
        info: description of the data set.

    Attributes:
        table: key of a network part -> latency in milliseconds; None if latency is measured.
        inputs: name -> checksum of each file on which scores depend.

    Raises:
        ValueError: the latency table is missing or has no entry for a part, or the problem does
            not support latency tables.
    """

    counted = RenamedAttribute("counted", "count")
    measured = RenamedAttribute("measured", "measure")

    def __init__(
        self, problem: ArchitectureProblem, settings: ClassifierSettings, info: DataInfo
    ) -> None:
        self.problem, self.settings = problem, settings
        self.table: dict[str, float] | None = None
        self._warned = False
        self.inputs: dict[str, str] = checksums(info)
        if settings.latency_table is not None:
            keys = [part.key for part in problem.operations()]
            if not keys or not has_parts(problem):
                raise ValueError(
                    f"latency_table={settings.latency_table!r} is invalid: networks of "
                    f"{type(problem).__name__} do not consist of parts. Use latency_table=None to "
                    "measure their latency."
                )
            self.table = read_latency_table(settings.latency_table, keys)
            text = json.dumps(self.table, sort_keys=True)
            self.inputs |= {"latency_table": hashlib.sha256(text.encode()).hexdigest()}

    def cost_columns(self, params: int, macs: int) -> list[Column]:
        """Return the cost columns.

        Args:
            params: upper bound on the number of parameters, for the hypervolume.
            macs: upper bound on the number of multiply-adds, for the hypervolume.
        """
        columns = [
            Column("params", "parameters", bounds=(0, int(params))),
            Column("macs", "multiply-adds", bounds=(0, int(macs))),
        ]
        if "latency_ms" in self.settings.used_columns:
            bounds = (0, self.settings.latency_bound)
            columns.append(Column("latency_ms", "ms", bounds=bounds, measured=True))
        return columns

    def count(self, candidates: Candidates) -> dict[str, np.ndarray]:
        """Return the columns ``params`` and ``macs``, each (n,) ints."""
        params, macs = np.asarray(self.problem.count(candidates)).T
        return {"params": params, "macs": macs}

    def measure(self, candidates: Candidates) -> dict[str, np.ndarray]:
        """Return the column ``latency_ms``, (n,) floats: measured, or from the latency table.

        The first time that a quarter or more of the networks were measured on a busy machine, the
        log says so or, if the problem has no callbacks, a :class:`~moonas.errors.TimingWarning`.
        """
        if self.table is not None:
            return {"latency_ms": np.array([self._sum_of_parts(a) for a in candidates])}
        measurements = [self._measure(architecture) for architecture in candidates]
        self._warn_if_busy(sum(m.busy for m in measurements), len(measurements))
        return {"latency_ms": np.array([m.latency_ms for m in measurements])}

    def _sum_of_parts(self, architecture: Any) -> float:
        """Return the sum of the latencies of a network's parts in the table, in milliseconds."""
        assert self.table is not None
        parts = self.problem.parts(architecture)
        if not parts:
            raise ValueError(
                f"latency_table={self.settings.latency_table!r} is invalid: "
                f"{type(self.problem).__name__}.parts() returned no parts for {architecture}. "
                "Use latency_table=None to measure the latency."
            )
        return sum(self.table[part.key] for part in parts)

    def _measure(self, architecture: Any) -> Measurement:
        """Measure the latency of a network."""
        s = self.settings
        network, shape = self.problem.network(architecture), self.problem.input_shape
        assert shape is not None
        with repeatable(s.threads):
            return measure(network, shape, resolve_device(s.device), s.latency_batch)

    def _warn_if_busy(self, n_busy: int, n: int) -> None:
        # On an idle machine, a few measurements exceed the limit, too. They cause no warning.
        if self._warned or not n_busy or 4 * n_busy < n:
            return
        self._warned = True
        text = (
            f"The latency of {n_busy} of {plural(n, 'network')} was measured while the machine "
            "seemed busy, so it may be too high. Search on an idle machine, or with a latency "
            "table (moonas latency)."
        )
        self.problem.callbacks.warn(text, TimingWarning)
