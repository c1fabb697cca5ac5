"""Checks of the contract of problems and trainings, which any package can run on its own."""

from __future__ import annotations

import copy
import json
import pickle
import tempfile
from collections.abc import Callable, Collection
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.repair import NoRepair
from pymoo.optimize import minimize

from .pareto import front
from .problem import ArchitectureProblem
from .run.journal import Journal

TRIES = 50  # matings after which a crossover or a mutation must have changed something


def check_problem(
    problem: ArchitectureProblem, n: int = 8, generations: int = 3, *, sizes: bool = True
) -> None:
    """Raise an ``AssertionError`` unless a problem keeps moonas's contract.

    It checks, among others, that ``decode`` is the inverse of ``encode``; that params and macs are
    those of the networks built; that scores depend neither on the order nor on who else is scored;
    that crossover and mutation change something and stay within bounds; that two runs with the same
    seed are alike; and that a journalled run resumes after every call with the same bits.

    Args:
        problem: small enough to be searched in seconds; afterwards it holds the last run's weights.
        n: number of rows to try.
        generations: of the short searches.
        sizes: False for a table whose params and macs are rounded, so that networks differ.
    """
    rng = np.random.default_rng(0)
    sampled = problem.operators()["sampling"].do(problem, n, random_state=rng)
    X = _repaired(problem, sampled.get("X"), rng)
    _check_description(problem)
    _check_codes(problem, X)
    _check_scores(problem, X)
    if sizes:
        _check_sizes(problem, X)
    _check_refusals(problem, X)
    _check_operators(problem, X, rng)
    _check_copies(problem, X)
    _check_searches(problem, generations)
    _check_journal(problem, n, generations)


def check_resume(
    build: Callable[[], Any],
    run: Callable[[Any], Any],
    folder: str | Path,
    *,
    max_stops: int | None = None,
    measured: Collection[str] = (),
) -> tuple[Any, Any]:
    """Raise an ``AssertionError`` unless a run resumes after every call with the same bits.

    The run is made twice, each with a journal: once straight through, and once stopped before every
    call that is computed and started again, as after a power cut. Both journals, which hold a
    fingerprint of the weights after each training, must have the same bytes.

    Args:
        build: () -> a new problem or training, without a journal.
        run: called with it; runs it to the end.
        folder: an empty folder for the journals, ``straight`` and ``stopped``.
        max_stops: of a run of more calls, only so many are stopped, evenly spread; None for all.
        measured: names of values in results that are measured, such as times; they may differ.

    Returns:
        What ``run`` returned, straight through and stopped, for further comparison.
    """
    folder = Path(folder)

    def start(name: str, stop: int | None = None) -> Any:
        stage = build()
        journal = Journal(
            folder / name, problem="check", settings=stage.settings, inputs=dict(stage.inputs)
        )
        session = stage.session
        session.journal, recorded = journal, session.recorded

        def until_stop(*args: Any, **kwargs: Any) -> Any:
            if not journal.replaying and journal.n_calls == stop:
                raise _Stopped
            return recorded(*args, **kwargs)

        session.recorded = until_stop
        try:
            return run(stage)
        finally:
            journal.close()

    straight = start("straight")
    wanted = (folder / "straight" / "journal.jsonl").read_bytes()
    stops = range(1, wanted.count(b"\n"))
    if max_stops is not None:
        stops = stops[:: max(1, -(-len(stops) // max_stops))]
    for stop in stops:
        try:
            start("stopped", stop)
        except _Stopped:
            continue
        raise AssertionError(f"the run ended after {stop} calls, before the last one was made")
    stopped = start("stopped")
    _check_same_journal(wanted, (folder / "stopped" / "journal.jsonl").read_bytes(), measured)
    return straight, stopped


class _Stopped(BaseException):
    """Stops a run; not caught by code that handles errors."""


def _check_same_journal(straight: bytes, stopped: bytes, measured: Collection[str]) -> None:
    calls, others = (
        [_without(json.loads(line), {"crc", *measured}) for line in text.splitlines()]
        for text in (straight, stopped)
    )
    for number, (first, second) in enumerate(zip(calls, others, strict=False)):
        if first != second:
            name = next(key for key in first if first[key] != second.get(key))
            raise AssertionError(
                f"a run that was stopped and resumed differs in call {number} "
                f"({first['kind']}): another {name!r}. state() and load_state() must cover "
                "everything that training changes, random generators included."
            )
    assert len(calls) == len(others), "a run that was stopped and resumed made other calls"
    assert measured or straight == stopped, "a run that was stopped and resumed has other bytes"


def _without(value: Any, names: set[str]) -> Any:
    """A value of JSON without the entries of these names, at any depth."""
    if isinstance(value, dict):
        return {key: _without(inner, names) for key, inner in value.items() if key not in names}
    return [_without(inner, names) for inner in value] if isinstance(value, list) else value


def _check_description(problem):
    assert isinstance(problem, Problem), "a problem is a pymoo Problem"
    assert isinstance(problem, ArchitectureProblem), "a problem is an ArchitectureProblem"
    least = 2 if problem.secondary_column is None else 1
    assert problem.n_obj == len(problem.objectives) >= least, f"{least} or more objectives by name"
    names = [column.name for column in problem.columns]
    assert len(set(names)) == len(names), f"column names repeat: {names}"
    for name in problem.objectives:
        column = problem.column(name)
        assert column.direction == "min", f"objective {name} is to be minimised"
        assert column.unit, f"objective {name} has a unit"
        low, high = column.bounds
        assert low < high, f"objective {name} has bounds for hypervolumes"
    for field in fields(problem.settings):
        assert field.metadata.get("help"), f"setting {field.name} has a line of help"
    for nodes in (problem.nodes, *problem.blocks):
        genes = np.concatenate(nodes) if len(nodes) else np.empty(0)
        assert len(set(genes.tolist())) == len(genes), "nodes share no gene"
    covered = {gene for genes in problem.nodes for gene in np.ravel(genes).tolist()}
    assert covered == set(range(problem.n_var)), "each gene belongs to a node"
    for part in problem.operations():
        assert part.key, "each part has a key, for tables of latencies"
        assert callable(part.build), f"part {part.key} can be built"
        assert part.shape, f"part {part.key} has an input shape"
    for item in problem.zoo():
        assert problem.decode(problem.encode(item.architecture)) == item.architecture, item.name
        assert item.source, f"{item.name} has a source"


def _check_codes(problem, X):
    assert X.shape == (len(X), problem.n_var)
    kind = problem.genes.dtype.kind
    assert X.dtype.kind == kind, f"rows are of type {problem.genes.dtype}; got {X.dtype}"
    problem.check_rows(X)
    known = {part.key for part in problem.operations()}
    for x in X:
        architecture = problem.decode(x)
        hash(architecture)
        again = problem.decode(problem.encode(architecture))
        assert again == architecture, f"decode after encode gives {again}, not {architecture}"
        value = json.loads(json.dumps(problem.architecture_to_json(architecture)))
        assert problem.architecture_from_json(value) == architecture, "JSON there and back"
        for graph in problem.graphs(architecture):
            nodes = {*graph.inputs, *graph.nodes}
            joined = {name for start, end, _ in graph.edges for name in (start, end)}
            assert joined <= nodes, f"{graph.title} joins {joined - nodes}, which are no nodes"
        for part in problem.parts(architecture):
            assert part.key in known, f"operations() lacks the part {part.key}"


def _check_scores(problem, X):
    F = problem.evaluate(X)
    assert F.shape == (len(X), problem.n_obj)
    assert np.isfinite(F).all()
    assert np.array_equal(problem.evaluate(X), F), "scoring twice gives the same"
    order = np.arange(len(X))[::-1]
    assert np.array_equal(problem.evaluate(X[order]), F[order]), "scores depend on the order"
    assert np.array_equal(problem.evaluate(X[:1]), F[:1]), "scores depend on who else is scored"
    assert np.array_equal(problem.evaluate(X[0]), F[0]), "one row alone"
    low, high = problem.objective_bounds()
    assert (low <= F).all() and (high >= F).all(), "scores lie within the hypervolume's bounds"
    out = problem.evaluate(X, return_as_dictionary=True)
    missing = {column.name for column in problem.columns} - set(out)
    assert not missing, f"columns {missing} are promised, but were not given"


def _check_sizes(problem, X):
    """Params and macs are those of the networks that ``network`` builds."""
    names = {column.name for column in problem.columns} & {"params", "macs"}
    if problem.input_shape is None:
        names -= {"macs"}
    if not names:
        return
    out = problem.evaluate(X, return_as_dictionary=True)
    for i, x in enumerate(X):
        counted = _counts_of(problem, problem.decode(x))
        for name in names:
            given = int(np.ravel(out[name])[i])
            assert given == counted[name], (
                f"{name} of a candidate is {given:,}, but the network built has {counted[name]:,}"
            )


def _counts_of(problem, architecture):
    import torch

    from .nets.counting import count_macs, count_params

    with torch.random.fork_rng(devices=[]):
        network = problem.network(architecture)
    counts = {"params": count_params(network)}
    if problem.input_shape is not None:
        counts["macs"] = count_macs(network, *problem.input_shape)
    return counts


def _check_refusals(problem, X):
    outside = X.astype(float)
    outside[0, 0] = problem.xu[0] + 1
    half = X + 0.5
    for bad in (outside, -1.0 - X, half, np.full(X.shape, np.nan), X[:, 1:]):
        try:
            problem.evaluate(bad)
        except ValueError as error:
            assert "problem.operators()" in str(error), f"the message does not help: {error}"
        else:
            raise AssertionError(f"rows that are no architectures were scored: {bad[0]}")


def _check_operators(problem, X, rng):
    operators = problem.operators()
    crossover, mutation = operators["crossover"], operators["mutation"]
    parents = np.stack([X, X[::-1]])
    crossed = mutated = False
    for _ in range(TRIES):
        children = crossover._do(problem, parents.copy(), random_state=rng)
        changed = mutation._do(problem, X.copy(), random_state=rng)
        for rows in (children.reshape(-1, problem.n_var), changed):
            assert rows.dtype == X.dtype, f"operators change the type to {rows.dtype}"
            problem.check_rows(_repaired(problem, rows, rng))
        same = (children[:, None] == parents[None]).all(axis=-1)  # as one of the two parents
        crossed |= bool((~same.any(axis=1)).any())
        mutated |= bool((changed != X).any())
        if crossed and mutated:
            return
    assert mutated, f"the mutation changed nothing in {TRIES} tries"
    differ = (parents[0] != parents[1]).any(axis=0)
    if sum(differ[genes].any() for genes in problem.nodes) > 1:
        raise AssertionError(f"the crossover never made a new row in {TRIES} tries")


def _repaired(problem, X, rng):
    """Rows as pymoo hands them over: after the problem's repair, if it has one."""
    repair = problem.operators().get("repair", NoRepair())
    return repair.do(problem, Population.new(X=X), random_state=rng).get("X")


def _check_copies(problem, X):
    assert copy.deepcopy(problem) is problem, "deepcopy shares the problem"
    again = _fresh(problem)
    assert again.objectives == problem.objectives
    assert again.evaluate(X).shape == (len(X), problem.n_obj), "a pickled problem works"


def _fresh(problem):
    """A copy of a problem with a session of its own."""
    return pickle.loads(pickle.dumps(problem))


def _check_searches(problem, generations):
    def run(algorithm):
        return minimize(problem, algorithm, ("n_gen", generations), seed=1)

    own = run(problem.algorithm())
    other = run(NSGA2(pop_size=8, **problem.operators()))
    again = run(problem.algorithm())
    assert np.array_equal(own.pop.get("X"), again.pop.get("X")), "same seed, another population"
    assert np.array_equal(own.pop.get("F"), again.pop.get("F")), "same seed, other scores"
    for result in (own, other):
        rows = front(result)
        assert rows, "a search has a front"
        for row in rows:
            assert problem.decode(row.x) == row.architecture


def _check_journal(problem, n, generations):
    """A journalled run resumes after every call; a training run's state is saved and loaded."""

    def run(copy_of_problem):
        algorithm = NSGA2(pop_size=max(2, min(n, 4)), **copy_of_problem.operators())
        return minimize(copy_of_problem, algorithm, ("n_gen", generations), seed=2)

    with tempfile.TemporaryDirectory() as folder:
        straight, stopped = check_resume(lambda: _fresh(problem), run, folder)
    for key in ("X", "F"):
        same = np.array_equal(straight.pop.get(key), stopped.pop.get(key))
        assert same, f"a run that was stopped and resumed ends with another {key}"
