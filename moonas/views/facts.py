"""Description of a problem, derived from its settings and from the problem itself."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from .. import registry
from ..run.numbers import plural
from ..settings import names_of

if TYPE_CHECKING:
    from ..problem import ArchitectureProblem, Column
    from ..spaces.genes import Genes


def describe_stage(name: str) -> list[tuple[str, str]]:
    """Describe a stage of a task; if the stage is a problem, build it with default settings.

    If the problem cannot be built, a row with the reason replaces the rows derived from it.

    Args:
        name: name of a problem or another stage, see :func:`moonas.registry.entries`.

    Returns:
        Rows of (title, text).

    Raises:
        ValueError: the name is unknown.
    """
    entry = registry.entry(name)
    task = entry.task or name
    settings = registry.settings_class(name)
    stages = registry.stages(task)
    rows = [(name, entry.summary)]
    if stages != [name]:
        rows.append(("stage", f"{stages.index(name) + 1} of {len(stages)} of {task}"))
    if isinstance(entry, registry.ProblemEntry):
        try:
            rows += _problem_facts(registry.load_problem(name))
        except Exception as error:  # plug-in code can raise anything
            rows.append(("cannot be built", registry.reason(error)))
    else:
        rows.append(("data", settings().data))
    if settings.PRESETS:
        rows.append(("presets", ", ".join(settings.PRESETS)))
    if entry.cost:
        rows.append(
            ("time", f"about {entry.cost} per search with default settings on two CPU cores")
        )
    n = len(names_of(settings))
    rows.append(("settings", f"{n}, listed by moonas search {task} --help"))
    return rows


def _problem_facts(problem: ArchitectureProblem) -> list[tuple[str, str]]:
    rows = [
        ("variables", describe_variables(problem.genes)),
        ("objectives", _describe_columns(problem.column(name) for name in problem.objectives)),
    ]
    others = [c for c in problem.columns if c.name not in problem.objectives]
    if others:
        rows.append(("other columns", _describe_columns(others)))
    help_of = {field.name: field.metadata.get("help") for field in fields(problem.settings)}
    changes = "yes: objectives change while shared weights train"
    rows += [
        ("possible objectives", help_of["objectives"] or ""),
        ("non-stationary", changes if problem.nonstationary else "no"),
        ("data", describe_data(problem)),
    ]
    return rows


def describe_variables(genes: Genes) -> str:
    """Describe the decision variables: their number and type, and the number of distinct vectors.

    Args:
        genes: genes of a problem.
    """
    n = len(genes.low)
    if genes.bits:
        return f"{plural(n, 'bit')}, {_format_size(genes.n_choices)} vectors"
    n_real = int(np.count_nonzero(genes.real))
    if not n_real:
        return f"{plural(n, 'integer')}, {_format_size(genes.n_choices)} vectors"
    integers = [plural(n - n_real, "integer")] if n > n_real else []
    return " and ".join([*integers, plural(n_real, "real number")])


def _format_size(n_choices: Iterable[int]) -> str:
    """Format a product of numbers of choices: in full up to a million, else like 9.1e18."""
    size = math.prod(int(n) for n in n_choices)
    if size <= 1_000_000:
        return f"{size:,}"
    power = len(str(size)) - 1  # a conversion to float could overflow
    leading = round(size // 10 ** (power - 3) / 1000, 1)
    return f"{leading:.1f}e{power}" if leading < 10 else f"1.0e{power + 1}"


def _describe_columns(columns: Iterable[Column]) -> str:
    """List columns with their units; mark the columns for which higher is better."""
    texts = []
    for column in columns:
        unit = column.unit if column.direction == "min" else f"{column.unit}, higher is better"
        texts.append(f"{column.name} ({unit})")
    return ", ".join(texts)


def describe_data(problem: ArchitectureProblem) -> str:
    """Return the default data set, with the shape of its images if it has images."""
    name: str = problem.settings.data
    info = problem.info
    if info is None:
        return name
    details = [f"{info.side} x {info.side} pixels"]
    if info.n_classes:
        details.insert(0, f"{info.n_classes} classes")
    if problem.input_shape is not None:
        details.append(plural(problem.input_shape[0], "channel"))
    return f"{name} ({', '.join(details)})"
