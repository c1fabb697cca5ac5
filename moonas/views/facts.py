"""What there is to know of a problem, derived from its settings and from the problem itself."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import numpy as np

from .. import registry
from ..settings import names_of


def facts(name: str) -> list[tuple[str, str]]:
    """Facts on a stage of a task, as (title, text) rows; a problem is built with its defaults.

    A problem that cannot be built has a row that says why in place of what is derived from it.

    Args:
        name: of a problem or of another stage, see :func:`moonas.registry.entries`.

    Raises:
        ValueError: the name is unknown.
    """
    entry = registry.entry(name)
    settings = registry.settings_class(name)
    stages = registry.stages(entry.task)
    rows = [(name, entry.summary)]
    if stages != [name]:
        rows.append(("stage", f"{stages.index(name) + 1} of {len(stages)} of {entry.task}"))
    if isinstance(entry, registry.ProblemEntry):
        try:
            rows += _problem_facts(registry.load_problem(name))
        except Exception as error:  # a plug-in's code: anything can happen
            rows.append(("cannot be built", registry.reason(error)))
    else:
        rows.append(("data", settings().data))
    if settings.PRESETS:
        rows.append(("presets", ", ".join(settings.PRESETS)))
    if entry.cost:
        rows.append(("time", f"{entry.cost} a search, with default settings on two CPU cores"))
    n = len(names_of(settings))
    rows.append(("settings", f"{n}, listed by moonas search {entry.task} --help"))
    return rows


def _problem_facts(problem: Any) -> list[tuple[str, str]]:
    rows = [
        ("variables", variables(problem.genes)),
        ("objectives", _columns(problem.column(name) for name in problem.objectives)),
    ]
    others = [c for c in problem.columns if c.name not in problem.objectives]
    if others:
        rows.append(("other columns", _columns(others)))
    help_of = {field.name: field.metadata.get("help") for field in fields(problem.settings)}
    rows += [
        ("to choose from", help_of["objectives"]),
        ("objectives change", "yes, as shared weights train" if problem.nonstationary else "no"),
        ("data", _data(problem)),
    ]
    return rows


def variables(genes: Any) -> str:
    """How many variables of which kind a row has, and how many rows there are.

    Args:
        genes: :class:`~moonas.spaces.genes.Genes`.
    """
    n = len(genes.low)
    if genes.bits:
        return f"{n} bits, {_size(genes.n_choices)} vectors"
    n_real = int(np.count_nonzero(genes.real))
    if not n_real:
        return f"{n} integers, {_size(genes.n_choices)} vectors"
    kinds = [f"{n - n_real} integers"] if n > n_real else []
    return " and ".join([*kinds, f"{n_real} real numbers"])


def _size(n_choices: Iterable[int]) -> str:
    """The product of some numbers: in full up to a million, else as 9.1e18."""
    size = math.prod(int(n) for n in n_choices)
    if size <= 1_000_000:
        return f"{size:,}"
    power = len(str(size)) - 1  # a float may overflow
    leading = round(size // 10 ** (power - 3) / 1000, 1)
    return f"{leading:.1f}e{power}" if leading < 10 else f"1.0e{power + 1}"


def _columns(columns: Iterable[Any]) -> str:
    """Columns as text: name, unit, and the direction where higher is better."""
    texts = []
    for column in columns:
        unit = column.unit if column.direction == "min" else f"{column.unit}, higher is better"
        texts.append(f"{column.name} ({unit})")
    return ", ".join(texts)


def _data(problem: Any) -> str:
    """The data set by default, with the shape of its images if the problem has images."""
    text, info = problem.settings.data, problem.info
    if info is None:
        return text
    details = [f"{info.side} x {info.side} pixels"]
    if info.n_classes:
        details.insert(0, f"{info.n_classes} classes")
    if problem.input_shape is not None:
        n = problem.input_shape[0]
        details.append(f"{n} channel{'s' * (n > 1)}")
    return f"{text} ({', '.join(details)})"
