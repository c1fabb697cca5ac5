"""Check that a problem or a training works with moonas, for the tests of any package."""

from __future__ import annotations

import copy
import json
import pickle
import tempfile
from collections.abc import Callable, Collection
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.repair import NoRepair
from pymoo.optimize import minimize

from .pareto import front
from .problem import ArchitectureProblem
from .run.journal import Journal
from .run.numbers import plural

if TYPE_CHECKING:
    from pymoo.core.algorithm import Algorithm
    from pymoo.core.result import Result

TRIES = 50  # number of matings in which crossover and mutation must each change a row at least once


def check_problem(
    problem: ArchitectureProblem, n: int = 8, generations: int = 3, *, sizes: bool = True
) -> None:
    """Check that a problem satisfies the requirements of moonas, for example that

    - ``decode(encode(a))`` equals ``a``;
    - the columns params and macs equal the counts in the networks that ``network`` builds;
    - the scores of a candidate depend neither on its position nor on the other candidates;
    - crossover and mutation change rows and respect the bounds;
    - two runs with the same seed are identical;
    - a run with a journal that is interrupted and resumed equals an uninterrupted run bit by bit.

    Args:
        problem: problem that can be searched in seconds; the check changes its shared weights.
        n: number of rows to check.
        generations: number of generations of each search.
        sizes: whether to compare the columns params and macs with the counts in the networks; pass
            False if the columns are rounded values from a table.

    Raises:
        AssertionError: the problem violates a requirement.
    """
    rng = np.random.default_rng(0)
    sampled = problem.operators()["sampling"].do(problem, n, random_state=rng)
    X = _repaired(problem, sampled.get("X"), rng)
    _check_description(problem)
    _check_encoding(problem, X)
    columns = _check_scores(problem, X)
    if sizes:
        _check_sizes(problem, X, columns)
    _check_invalid_rows(problem, X)
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
    """Check that a run that is interrupted and resumed equals an uninterrupted run bit by bit.

    The run is executed twice, each time with a journal: once without interruption, and once with an
    interruption before every computed call. The two journals must be identical; they contain a
    fingerprint of the weights after each training.

    Args:
        build: function that returns a new problem or training without a journal.
        run: function that runs the problem or training until it is complete.
        folder: empty folder for the journals, in subfolders ``straight`` and ``stopped``.
        max_stops: maximum number of interruptions, evenly spaced over the calls; None to interrupt
            before every call.
        measured: names of values in results that may differ because they are measured, such as
            times.

    Returns:
        (straight, stopped): return values of ``run`` for the uninterrupted and the interrupted run.

    Raises:
        AssertionError: the journals differ.
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
    expected = (folder / "straight" / "journal.jsonl").read_bytes()
    stops = range(1, expected.count(b"\n"))
    if max_stops is not None:
        stops = stops[:: max(1, -(-len(stops) // max_stops))]
    for stop in stops:
        try:
            start("stopped", stop)
        except _Stopped:
            continue
        raise AssertionError(
            f"the resumed run ended after {stop} calls, but the uninterrupted run made more calls"
        )
    stopped = start("stopped")
    _check_same_journal(expected, (folder / "stopped" / "journal.jsonl").read_bytes(), measured)
    return straight, stopped


class _Stopped(BaseException):
    """Interrupts a run; it is no ``Exception``, so error handlers do not catch it."""


def _check_same_journal(straight: bytes, stopped: bytes, measured: Collection[str]) -> None:
    straight_calls, stopped_calls = (
        [_without(json.loads(line), {"crc", *measured}) for line in text.splitlines()]
        for text in (straight, stopped)
    )
    for number, (first, second) in enumerate(zip(straight_calls, stopped_calls, strict=False)):
        if first != second:
            name = next(key for key in first if first[key] != second.get(key))
            raise AssertionError(
                f"the resumed run differs from the uninterrupted run in call {number} "
                f"({first['kind']}), entry {name!r}; state() and load_state() must cover "
                "everything that training changes, including random generators"
            )
    assert len(straight_calls) == len(stopped_calls), (
        f"the resumed run made {len(stopped_calls)} calls, the uninterrupted run made "
        f"{len(straight_calls)}"
    )
    assert measured or straight == stopped, (
        "the journals of the resumed run and the uninterrupted run differ"
    )


def _without(value: Any, names: set[str]) -> Any:
    """Return a copy of a JSON value without the entries with these names, at any depth."""
    if isinstance(value, dict):
        return {key: _without(inner, names) for key, inner in value.items() if key not in names}
    return [_without(inner, names) for inner in value] if isinstance(value, list) else value


def _objectives(problem: ArchitectureProblem, X: np.ndarray) -> np.ndarray:
    """Return the objectives of rows, without constraints."""
    F: np.ndarray = problem.evaluate(X, return_values_of=["F"])
    return F


def _check_description(problem: ArchitectureProblem) -> None:
    assert isinstance(problem, Problem), "the problem must be an instance of pymoo's Problem"
    assert isinstance(problem, ArchitectureProblem), (
        "the problem must be an instance of ArchitectureProblem"
    )
    assert problem.n_obj == len(problem.objectives) >= 1, (
        "the problem must have at least one objective, each with a name"
    )
    names = [column.name for column in problem.columns]
    assert len(set(names)) == len(names), f"column names must be unique, got {names}"
    for name in problem.objectives:
        column = problem.column(name)
        assert column.direction == "min", f"objective {name} must have direction 'min'"
        assert column.unit, f"objective {name} must have a unit"
        assert column.bounds is not None, f"objective {name} must have bounds"
        low, high = column.bounds
        assert low < high, f"bounds of objective {name} must be (low, high) with low < high"
    for field in fields(problem.settings):
        assert field.metadata.get("help"), f"setting {field.name} must have a help text"
    for nodes in (problem.nodes, *problem.blocks):
        genes = np.concatenate(nodes) if len(nodes) else np.empty(0)
        assert len(set(genes.tolist())) == len(genes), "two nodes must not contain the same gene"
    genes_of_nodes = {gene for genes in problem.nodes for gene in np.ravel(genes).tolist()}
    assert genes_of_nodes == set(range(problem.n_var)), "every gene must belong to a node"
    for part in problem.operations():
        assert part.key, "every part must have a key, for latency tables"
        assert callable(part.build), f"attribute build of part {part.key} must be callable"
        assert part.shape, f"part {part.key} must have an input shape"
    for item in problem.zoo():
        decoded = problem.decode(problem.encode(item.architecture))
        assert decoded == item.architecture, f"decode(encode(a)) must equal a for {item.name}"
        assert item.source, f"{item.name} must have a source"


def _check_encoding(problem: ArchitectureProblem, X: np.ndarray) -> None:
    assert X.shape == (len(X), problem.n_var), f"rows must have {problem.n_var} genes"
    dtype = problem.genes.dtype
    assert X.dtype.kind == dtype.kind, f"rows must have type {dtype}, got {X.dtype}"
    problem.check_rows(X)
    known = {part.key for part in problem.operations()}
    needs_parts = bool(known) and hasattr(problem.settings, "latency_table")
    for x in X:
        architecture = problem.decode(x)
        hash(architecture)
        decoded = problem.decode(problem.encode(architecture))
        assert decoded == architecture, (
            f"decode(encode(a)) must equal a, got {decoded} for {architecture}"
        )
        value = json.loads(json.dumps(problem.architecture_to_json(architecture)))
        assert problem.architecture_from_json(value) == architecture, (
            "architecture_from_json must be the inverse of architecture_to_json"
        )
        for graph in problem.graphs(architecture):
            nodes = {*graph.inputs, *graph.nodes}
            connected = {name for start, end, _ in graph.edges for name in (start, end)}
            assert connected <= nodes, (
                f"edges of {graph.title} connect {connected - nodes}, which are not nodes"
            )
        parts = problem.parts(architecture)
        assert parts or not needs_parts, (
            "parts() must return the parts of a network, for searches with a latency table, "
            "because operations() returns parts"
        )
        for part in parts:
            assert part.key in known, f"operations() must include the part {part.key}"


def _check_scores(problem: ArchitectureProblem, X: np.ndarray) -> dict[str, np.ndarray]:
    """Check the scores of the rows X and return the columns as a dict."""
    F = _objectives(problem, X)
    assert F.shape == (len(X), problem.n_obj), (
        f"objectives must have shape {(len(X), problem.n_obj)}, got {F.shape}"
    )
    assert np.isfinite(F).all(), "objectives must be finite"
    out: dict[str, np.ndarray] = problem.evaluate(X, return_as_dictionary=True)
    missing = {column.name for column in problem.columns} - set(out)
    assert not missing, f"the evaluator must return the columns {sorted(missing)}"
    assert np.array_equal(out["F"], F), "repeated evaluations of a row must return equal objectives"
    order = np.arange(len(X))[::-1]
    assert np.array_equal(_objectives(problem, X[order]), F[order]), (
        "scores must not depend on the order of the candidates"
    )
    assert np.array_equal(_objectives(problem, X[-1:]), F[-1:]), (
        "scores must not depend on the other candidates"
    )
    assert np.array_equal(_objectives(problem, X[0]), F[0]), (
        "the evaluation of a single row, (n_var,), must return the same objectives"
    )
    low, high = problem.objective_bounds()
    assert (low <= F).all() and (high >= F).all(), "objectives must be within their bounds"
    return out


def _check_sizes(problem: ArchitectureProblem, X: np.ndarray, out: dict[str, np.ndarray]) -> None:
    """Check that params and macs equal the counts in the networks that ``network`` builds."""
    names = {column.name for column in problem.columns} & {"params", "macs"}
    if problem.input_shape is None:
        names -= {"macs"}
    if not names:
        return
    for i, x in enumerate(X):
        counts = _count(problem, problem.decode(x))
        for name in names:
            returned = int(np.ravel(out[name])[i])
            assert returned == counts[name], (
                f"{name} of a candidate is {returned:,}, but its network has {counts[name]:,}"
            )


def _count(problem: ArchitectureProblem, architecture: Any) -> dict[str, int]:
    import torch

    from .nets.counting import count_macs, count_params

    with torch.random.fork_rng(devices=[]):
        network = problem.network(architecture)
    counts = {"params": count_params(network)}
    if problem.input_shape is not None:
        fixed = problem.counts_fixed_weights
        counts["macs"] = count_macs(network, *problem.input_shape, count_fixed=fixed)
    return counts


def _check_invalid_rows(problem: ArchitectureProblem, X: np.ndarray) -> None:
    outside = X.astype(float)
    outside[0, 0] = problem.xu[0] + 1
    half = X + 0.5
    for rows in (outside, -1.0 - X, half, np.full(X.shape, np.nan), X[:, 1:]):
        try:
            problem.evaluate(rows)
        except ValueError as error:
            assert "problem.operators()" in str(error), (
                f"the error message for invalid rows must name problem.operators(), got: {error}"
            )
        else:
            raise AssertionError(f"evaluate must raise a ValueError for the invalid row {rows[0]}")


def _check_operators(problem: ArchitectureProblem, X: np.ndarray, rng: np.random.Generator) -> None:
    operators = problem.operators()
    crossover, mutation = operators["crossover"], operators["mutation"]
    parents = np.stack([X, X[::-1]])
    crossed = mutated = False
    for _ in range(TRIES):
        children = crossover._do(problem, parents.copy(), random_state=rng)
        changed = mutation._do(problem, X.copy(), random_state=rng)
        for rows in (children.reshape(-1, problem.n_var), changed):
            assert rows.dtype == X.dtype, (
                f"operators must return rows of type {X.dtype}, got {rows.dtype}"
            )
            problem.check_rows(_repaired(problem, rows, rng))
        same = (children[:, None] == parents[None]).all(axis=-1)  # whether child i equals parent j
        crossed |= bool((~same.any(axis=1)).any())
        mutated |= bool((changed != X).any())
        if crossed and mutated:
            return
    assert mutated, f"the mutation changed no row in {plural(TRIES, 'attempt')}"
    differing_genes = (parents[0] != parents[1]).any(axis=0)
    if sum(differing_genes[genes].any() for genes in problem.nodes) > 1:
        raise AssertionError(f"the crossover created no new row in {plural(TRIES, 'attempt')}")


def _repaired(problem: ArchitectureProblem, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Apply the repair operator of the problem, if it has one, to the rows X, as pymoo does."""
    repair = problem.operators().get("repair", NoRepair())
    rows: np.ndarray = repair.do(problem, Population.new(X=X), random_state=rng).get("X")
    return rows


def _check_copies(problem: ArchitectureProblem, X: np.ndarray) -> None:
    assert copy.deepcopy(problem) is problem, "deepcopy must return the same object"
    other = _copy(problem)
    assert other.objectives == problem.objectives, (
        "an unpickled problem must have the same objectives"
    )
    assert _objectives(other, X).shape == (len(X), problem.n_obj), (
        "an unpickled problem must be able to evaluate rows"
    )


def _copy(problem: ArchitectureProblem) -> ArchitectureProblem:
    """Return a copy of a problem with a new session."""
    other: ArchitectureProblem = pickle.loads(pickle.dumps(problem))
    return other


def _check_searches(problem: ArchitectureProblem, generations: int) -> None:
    def run(algorithm: Algorithm) -> Result:
        return minimize(problem, algorithm, ("n_gen", generations), seed=1)

    first = run(problem.algorithm())
    second = run(problem.algorithm())
    for key in ("X", "F"):
        assert np.array_equal(first.pop.get(key), second.pop.get(key)), (
            f"two runs with the same seed must be identical, but {key} differs"
        )
    _check_front(problem, first)


def _check_front(problem: ArchitectureProblem, result: Result) -> None:
    rows = front(result)
    assert rows, "the front of a search must not be empty"
    for row in rows:
        assert problem.decode(row.x) == row.architecture, (
            "genes of a front's row must encode its architecture"
        )


def _check_journal(problem: ArchitectureProblem, n: int, generations: int) -> None:
    """Check that a run with a journal, interrupted before every call, can be resumed."""

    def run(other: ArchitectureProblem) -> Result:
        algorithm = NSGA2(pop_size=max(2, min(n, 4)), **other.operators())
        return minimize(other, algorithm, ("n_gen", generations), seed=2)

    with tempfile.TemporaryDirectory() as folder:
        straight, stopped = check_resume(lambda: _copy(problem), run, folder)
    _check_front(problem, straight)
    for key in ("X", "F"):
        assert np.array_equal(straight.pop.get(key), stopped.pop.get(key)), (
            f"the population of the resumed run has a different {key}"
        )
