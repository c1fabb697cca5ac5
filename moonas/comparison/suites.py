"""Named suites of problem instances, so that papers can compare algorithms on the same ones.

The number of an instance stands for a problem, its options and its budget, which never change;
improved instances get new numbers. Hypervolumes refer to the box of
:meth:`~moonas.problem.ArchitectureProblem.hypervolume_box`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Instance:
    """A problem with options and a budget, for :func:`moonas.compare`.

    Args:
        problem: name of the problem, for :func:`moonas.load_problem`.
        options: options of the problem.
        budget: evaluations per run; generations per run if shared weights train during a search.
            None for the default of :func:`moonas.compare`.
    """

    problem: str
    options: Mapping[str, Any]
    budget: int | None = None

    def with_options(self, **options: Any) -> Instance:
        """Return the instance with further options, such as the path of a table."""
        return replace(self, options={**self.options, **options})


DIGITS, MACRO, NB201 = "digits-table", "nasbench-macro", "nasbench201"
_ON_CIFAR100 = dict(data="cifar100", accuracy="cifar100_test_200ep")
_ON_IMAGENET16 = dict(data="imagenet16-120", accuracy="imagenet16_120_test_200ep")


def _instance(problem: str, *objectives: str, budget: int, **options: Any) -> Instance:
    return Instance(problem, dict(objectives=objectives, **options), budget)


def _frozen(*reference_point: str) -> dict[str, Any]:
    return dict(weights="frozen", reference_point=reference_point)


# Instances are never changed or removed; new ones are added at the end of a suite.
SUITES: dict[str, tuple[Instance, ...]] = {
    "tables": (
        _instance(DIGITS, "error", "params", limits=("error <= 10",), budget=600),
        _instance(DIGITS, "error", "macs", limits=("error <= 10",), budget=600),
        _instance(DIGITS, "error", "latency_ms", budget=600),
        _instance(DIGITS, "error", "params", "macs", limits=("error <= 10",), budget=600),
        _instance(DIGITS, "error", "params", "latency_ms", budget=600),
        _instance(DIGITS, "test_error", "macs", "latency_ms", budget=600),
        _instance(
            DIGITS, "error", "params", limits=("error <= 10", "latency_ms <= 0.6"), budget=600
        ),
        _instance(MACRO, "error", "macs", budget=1000),
        _instance(MACRO, "error", "params", budget=1000),
        _instance(MACRO, "error", "params", "macs", budget=1000),
        _instance(MACRO, "error", "macs", query="0", budget=1000),
        _instance(MACRO, "error", "macs", limits=("params <= 1500000",), budget=1000),
    ),
    "nasbench201": (
        _instance(NB201, "error", "params", budget=1000),
        _instance(NB201, "error", "macs", budget=1000),
        _instance(NB201, "error", "params", "macs", budget=1000),
        _instance(NB201, "error", "params", budget=1000, **_ON_CIFAR100),
        _instance(NB201, "error", "params", budget=1000, **_ON_IMAGENET16),
    ),
    "frozen": (  # with these boxes, random search has half of the hypervolume of the best run
        _instance("cars", "error", "params", budget=320, **_frozen("error=20", "params=48000")),
        _instance("cars", "error", "macs", budget=320, **_frozen("error=30", "macs=850000")),
        _instance(
            *("nsganet", "error", "macs"),
            budget=320,
            evaluator="supernet",
            **_frozen("error=80", "macs=120000"),
        ),
    ),
    "trained": (
        _instance("cars", "error", "params", budget=16),
        _instance("nsganet-macro", "error", "params", budget=200),
        _instance("eagan-generator", "fid", "params", budget=9),
    ),
}


def suite(name: str, **options: Any) -> dict[str, Instance]:
    """Return the instances of a suite, for :func:`moonas.compare`.

    - "tables": 12 instances of the tables that moonas includes; a run takes seconds.
    - "nasbench201": 5 instances of NAS-Bench-201, which require its table: ``suite("nasbench201",
      table=FILE)``.
    - "frozen": supernets with frozen weights; a run takes minutes.
    - "trained": networks that are trained during the search.

    Args:
        name: name of the suite.
        options: further options for all of its problems.

    Returns:
        Label -> :class:`Instance`; the labels are the name of the suite and a number from 01.

    Raises:
        ValueError: the suite is unknown.
    """
    if name not in SUITES:
        raise ValueError(f"Unknown suite {name!r}; choose from {list(SUITES)}.")
    return {
        f"{name}-{i + 1:02d}": instance.with_options(**options)
        for i, instance in enumerate(SUITES[name])
    }


def named_instance(text: str) -> tuple[str, Instance]:
    """Return the instance that a name with objectives describes.

    Args:
        text: name of a problem and its objectives, such as "digits-table:error+latency_ms".

    Returns:
        A label without special characters, and the instance.
    """
    problem, _, objectives = text.partition(":")
    names = tuple(objectives.split("+"))
    return "-".join([problem, *names]), Instance(problem, dict(objectives=names))
