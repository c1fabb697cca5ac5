"""Base classes of problems and evaluators: the methods and attributes that moonas requires.

A problem decodes pymoo's rows into architectures and selects its objectives from the columns that
the evaluator returns. This module declares every method that the library calls, with defaults. A
subclass of :class:`ArchitectureProblem` must define ``decode``, ``encode``, ``network`` and
``make_evaluator``. Most of them are already defined in :class:`moonas.ClassifierProblem`, for image
classifiers, and :class:`moonas.tabular.TabularProblem`, for scores that are looked up in a table.
:func:`moonas.testing.check_problem` checks that a problem satisfies all requirements.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from pymoo.core.problem import Problem

from .deprecation import RenamedAttribute, rename_class_attributes, renamed_arguments
from .errors import SearchFailed
from .limits import check_limits, parse_limits
from .pareto import VIOLATION, hypervolume, pick, pick_rule
from .run.candidates import Candidates
from .run.monitor import TrainingMeasure
from .run.session import SearchSession, describe_algorithm
from .settings import SearchSettings, check_objectives, parse_reference_point
from .spaces.genes import Genes, categorical_genes

if TYPE_CHECKING:
    import torch
    from pymoo.core.algorithm import Algorithm

    from .models.zoo import Published
    from .nets.parts import Part
    from .operators.start import StartRows
    from .pareto import Row
    from .run.callbacks import Callbacks
    from .run.journal import Journal
    from .run.loop_checkpoints import CheckpointFolder, LoopCheckpoints
    from .spaces.graph import Graph

__all__ = [
    "ArchitectureProblem",
    "Candidates",
    "Column",
    "Evaluator",
    "SearchFailed",
    "TrainingMeasure",
    "describe_algorithm",
]
RESERVED = {  # names that pymoo uses for its own attributes of individuals, and moonas's own
    *("X", "x", "F", "f", "G", "H", "CV", "cv", "FEAS", "feas", "dF", "dG", "dH", "ddF", "ddG"),
    *("ddH", "data", "config", "evaluated", "rank", "crowding"),
    *("failed", VIOLATION),  # columns that moonas adds
}
ADVICE = "Use this problem's operators: NSGA2(**problem.operators())."
# units of integer columns; values of other columns have decimals
SIZES = ("parameters", "multiply-adds")


@dataclass(frozen=True)
class Column:
    """Describes one number that the evaluator returns for each architecture.

    Args:
        name: name of the column; ``individual.get(name)`` of a pymoo individual returns its value.
        unit: unit of the values, such as "%" or "ms".
        worst: value assigned to a candidate whose evaluation failed; None if the value of the
            column is valid even then.
        bounds: (lowest, highest) value, which normalizes the hypervolume unless the true front is
            known; required for objectives.
        direction: "min" or "max"; objectives must be "min".
        measured: whether the value is a measured time, taken once per architecture and run.
        in_table: whether tables of a front include the column; they always include objectives.
    """

    name: str
    unit: str
    worst: float | None = None
    bounds: tuple[float, float] | None = None
    direction: str = "min"
    measured: bool = False
    in_table: bool = True

    @property
    def is_size(self) -> bool:
        """Whether the column counts parameters or multiply-adds."""
        return self.unit in SIZES


# The dataclass decorator generates __init__, so the deprecated names are added afterwards.
Column.__init__ = renamed_arguments(listed="in_table")(Column.__init__)  # type: ignore[method-assign]
Column.listed = RenamedAttribute("listed", "in_table")  # type: ignore[attr-defined]


@runtime_checkable
class Evaluator(Protocol):
    """Computes the columns of architectures; it owns the data, the weights and the device.

    Derive from this class to inherit the defaults. Scores must be finite, with one exception: if
    the training of a candidate diverges, set the columns that have a ``worst`` value to NaN.

    Attributes:
        device: device that networks run on, a ``torch.device`` or the name of one.
        trains: whether candidates share weights that the evaluator trains. If so, ``warm_up``,
            ``state`` and ``load_state`` are required; so is ``train`` if objectives change during a
            run.
        independent: whether each candidate is evaluated independently of the others, so that
            candidates can be distributed over worker processes.
        phase: label of progress bars during an evaluation.
        checkpoints: during ``warm_up`` and ``train`` of a run with a journal, the
            :class:`~moonas.run.loop_checkpoints.LoopCheckpoints` with which a training that takes
            long can save its state; None otherwise.
        checkpoint_folder: during ``score`` of a run with a journal, the
            :class:`~moonas.run.loop_checkpoints.CheckpointFolder` for the trainings of candidates;
            None otherwise.
    """

    device: torch.device | str
    trains: bool = False
    independent: bool = False
    phase: str = "training from scratch"
    checkpoints: LoopCheckpoints | None = None
    checkpoint_folder: CheckpointFolder | None = None

    def begin(self, seed: int) -> None:
        """Prepare a new run with this seed; initialize the shared weights again."""
        return None

    @abstractmethod
    def score(self, candidates: Candidates) -> dict[str, np.ndarray]:
        """Return every column of the candidates, except measured columns, as (n,) arrays.

        This method may be called in a worker process.
        """

    def measure(self, candidates: Candidates) -> dict[str, np.ndarray]:
        """Return the measured columns of the candidates as (n,) arrays; none by default."""
        return {}

    def warm_up(self) -> dict[str, Any]:
        """Train the shared weights at the start of a run; return a JSON-serializable report."""
        name = type(self).__name__
        raise NotImplementedError(f"{name} has no shared weights to train.")

    def warm_up_for(self, candidates: Candidates) -> dict[str, Any]:
        """Train the shared weights at the start of a run whose first population is known.

        Override this method if the first training depends on the first population; by default, it
        calls :meth:`warm_up`.
        """
        return self.warm_up()

    def train(self, candidates: Candidates) -> dict[str, Any]:
        """Train the shared weights for one generation.

        Returns:
            A JSON-serializable report; its entry "epochs" is the number of epochs trained.
        """
        name = type(self).__name__
        raise NotImplementedError(f"{name} does not train during a run.")

    def state(self) -> dict[str, torch.Tensor]:
        """Return a flat dict of tensors that contains everything that training changes."""
        return {}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore the state that :meth:`state` returned."""
        return None


class ArchitectureProblem(Problem, ABC):
    """A pymoo problem whose rows encode architectures and whose objectives are named columns.

    ``copy.deepcopy`` returns the same object, since pymoo copies the problem into every generation
    of a history. A pickled problem does not contain the weights, the data or the journal.

    Args:
        settings: Settings of the problem; ``settings.objectives`` names the columns to minimize,
            and ``settings.limits`` bounds columns.
        columns: every :class:`Column` that the evaluator returns.
        n_choices: (n_var,) number of values per gene, for categorical genes; gene j is an integer
            in [0, n_choices[j]).
        genes: a :class:`~moonas.spaces.genes.Genes`, in place of ``n_choices``, for bits, integers
            and real numbers.
        nodes: list of arrays of gene indices; crossover and mutation treat the genes of an array as
            one unit. By default, each gene is a unit.
        blocks: list of blocks, each a list of nodes, for the crossover of whole blocks; by default,
            all nodes form one block.

    Attributes:
        limits: tuple of :class:`~moonas.limits.Limit`, the inequality constraints.
        space: module or object whose functions ``decode`` and ``encode``, and optionally
            ``to_json`` and ``from_json``, implement the methods of the problem; None if a subclass
            overrides these methods.
        architecture_title: title of the column of tables that contains ``str(architecture)``.
        pick_description: description of the row that :meth:`pick` selects, for captions; None if
            :meth:`pick_rule` describes it.
        secondary_column: second axis of plots of a search with a single objective; None for the
            first size, or another minimized column if there is no size.
        nonstationary: whether objectives change because shared weights are trained during a run.
        growth_of: see :class:`moonas.weight_sharing.WeightSharingProblem`.
        pnsga3_options: keyword arguments of pNSGA-III's survival, derived from the settings.
        species_bits: (n1, n2) numbers of bits of the two co-evolving populations; None if the
            problem does not co-evolve two populations.
        inputs: name -> checksum of each file that scores depend on.
        training_measures: numbers that show whether the training works, which the table of
            generations contains; see :class:`~moonas.run.monitor.TrainingMeasure`.
        registered_name: name by which :func:`moonas.load_problem` created the problem, if it did.
        info: description of the data set, with attributes ``side`` (in pixels) and ``n_classes``;
            None if the problem uses no images.
        input_shape: (channels, height, width) of a network's input; None if the networks do not
            process images.

    Raises:
        ValueError: an objective or the column of a limit is unknown, there is no objective, or the
            name of a column is reserved by pymoo.
        TypeError: the subclass defines neither ``space`` nor both ``decode`` and ``encode``.
    """

    space: ModuleType | Any = None
    architecture_title: str = "architecture"
    pick_description: str | None = None
    secondary_column: str | None = None
    nonstationary: bool = False
    growth_of: str | None = None
    pnsga3_options: Mapping[str, Any] = {}
    species_bits: tuple[int, int] | None = None
    inputs: Mapping[str, str] = {}
    training_measures: Sequence[TrainingMeasure] = ()
    registered_name: str | None = None
    info: Any = None
    input_shape: tuple[int, int, int] | None = None

    in_words = RenamedAttribute("in_words", "architecture_title")
    picked_as = RenamedAttribute("picked_as", "pick_description")
    beside = RenamedAttribute("beside", "secondary_column")
    moves = RenamedAttribute("moves", "nonstationary")
    halves = RenamedAttribute("halves", "species_bits")
    shown = RenamedAttribute("shown", "plotted_columns")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        rename_class_attributes(cls)

    def __init__(
        self,
        settings: SearchSettings,
        *,
        columns: Sequence[Column],
        n_choices: Sequence[int] | np.ndarray | None = None,
        genes: Genes | None = None,
        nodes: Sequence[np.ndarray] | None = None,
        blocks: Sequence[Sequence[np.ndarray]] | None = None,
    ) -> None:
        known = [c.name for c in columns if c.direction == "min"]
        check_objectives(settings.objectives, known)
        reserved = [c.name for c in columns if c.name in RESERVED]
        if reserved:
            raise ValueError(f"Column names {reserved} are reserved; choose other names.")
        self.settings = settings
        self.columns = tuple(columns)
        self.objectives = settings.objectives
        self.limits = parse_limits(settings.limits)
        # the growth of a candidate is unknown before the second generation
        check_limits(self.limits, [c.name for c in columns if c.name != "growth"])
        self.set_genes(choose_genes(n_choices, genes), nodes, blocks)
        self.session = SearchSession(self)
        super().__init__(
            n_var=len(self.genes.low),
            n_obj=len(self.objectives),
            n_ieq_constr=len(self.limits),
            xl=self.genes.low,
            xu=self.genes.high,
            vtype=self.genes.dtype.type,
            requires_kwargs=True,
        )
        self.with_reference_point(self.objective_bounds())  # raises ValueError if it is invalid

    def set_genes(
        self,
        genes: Genes,
        nodes: Sequence[np.ndarray] | None = None,
        blocks: Sequence[Sequence[np.ndarray]] | None = None,
    ) -> None:
        """Set the genes of a row and their grouping; the constructor passes its arguments.

        Raises:
            TypeError: the class defines neither ``space`` nor both ``decode`` and ``encode``.
        """
        cls = type(self)
        overridden = cls.decode is not _BASE_DECODE and cls.encode is not _BASE_ENCODE
        if self.space is None and not overridden:
            raise TypeError(
                f"{cls.__name__} lacks decode(x) and encode(architecture): define both, or set "
                "space to a module that defines them."
            )
        self.genes = genes
        self.n_choices = genes.n_choices
        self.nodes = list(np.arange(len(genes.low))[:, None]) if nodes is None else list(nodes)
        self.blocks = [self.nodes] if blocks is None else list(blocks)

    def __deepcopy__(self, memo: dict[int, Any]) -> ArchitectureProblem:
        memo[id(self)] = self
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in super().__getstate__().items() if k != "session"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.session = SearchSession(self)

    # State of the current run

    @property
    def evaluator(self) -> Evaluator:
        """The evaluator, created when it is first used."""
        return self.session.evaluator

    @property
    def device(self) -> torch.device | str:
        """Device that networks run on."""
        return self.evaluator.device

    @property
    def journal(self) -> Journal | None:
        """The journal that records the run, or None."""
        return self.session.journal

    @property
    def callbacks(self) -> Callbacks:
        """The :class:`~moonas.run.callbacks.RunCallback` objects that are called during a run."""
        return self.session.callbacks

    @property
    def vars(self) -> Any:
        """Not supported: pymoo's ``vars`` name the variables of ``MixedVariableGA``."""
        raise AttributeError(
            "The genes of this problem have no names, so MixedVariableGA and pymoo's Optuna cannot "
            "search it. Use a genetic algorithm with the operators of this problem, which support "
            "integers and real numbers: NSGA2(**problem.operators())."
        )

    @property
    def counts_fixed_weights(self) -> bool:
        """Whether ``macs`` include weights that are not trained: the setting ``count_fixed``."""
        return getattr(self.settings, "count_fixed", False)

    def log(self, text: str) -> None:
        """Pass a line to each callback's :meth:`~moonas.run.callbacks.RunCallback.on_log`."""
        self.callbacks.on_log(text)

    def environment(self) -> str:
        """Return the device and the number of threads, which can affect the last bits of scores."""
        return f"{self.device}, {self.settings.threads} threads"

    # Methods that a subclass must define

    @abstractmethod
    def make_evaluator(self) -> Evaluator:
        """Create the evaluator; its ``begin`` method should load images and weights."""

    @abstractmethod
    def network(self, architecture: Any, **shape: Any) -> torch.nn.Module:
        """Build the stand-alone network of an architecture, with untrained weights.

        Args:
            architecture: an architecture of the space.
            shape: network arguments that replace the problem's own arguments; classifiers accept
                ``n_classes``, ``in_channels`` and ``image_size``.
        """

    def decode(self, x: np.ndarray) -> Any:
        """Return the architecture of a row x, (n_var,).

        Architectures must be hashable, and equal if their networks are equal.
        """
        return self.space.decode(x)

    def encode(self, architecture: Any) -> np.ndarray:
        """Return a row, (n_var,), that encodes an architecture: ``decode(encode(a)) == a``."""
        row: np.ndarray = self.space.encode(architecture)
        return row

    # Methods that a subclass can override

    def architecture_to_json(self, architecture: Any) -> Any:
        """Convert an architecture to a JSON-serializable value.

        By default, this method calls ``space.to_json`` if it exists, and otherwise returns a dict
        with the row.
        """
        if hasattr(self.space, "to_json"):
            return self.space.to_json(architecture)
        return {"x": self.genes.to_json(np.asarray(self.encode(architecture), self.genes.dtype))}

    def architecture_from_json(self, value: Any) -> Any:
        """Convert the result of :meth:`architecture_to_json` back to the architecture.

        Raises:
            ValueError: the value does not describe an architecture of the space.
        """
        if hasattr(self.space, "from_json"):
            return self.space.from_json(value)
        if not isinstance(value, dict) or "x" not in value:
            raise ValueError(
                f"The architecture is invalid: expected a dict with its row as 'x', got {value!r}."
            )
        return self.decode(self.check_rows(self.genes.from_json(value["x"])))

    def operators(self) -> dict[str, Any]:
        """Return keyword arguments for pymoo's genetic algorithms.

        They are the sampling, crossover, mutation and duplicate elimination. The defaults depend on
        the genes. Categorical genes and bits are sampled uniformly and crossed over node by node,
        and one gene per child mutates on average. Bounded integers and real numbers use simulated
        binary crossover and polynomial mutation.
        """
        from .operators import operators_for

        return operators_for(self)

    def algorithm(self) -> Algorithm:
        """Return a new instance of the algorithm of the problem's paper; NSGA-II by default."""
        from .algorithms.named import algorithm

        return algorithm("nsga2", self)

    def count(self, candidates: Candidates) -> np.ndarray:
        """Count the parameters and multiply-adds of the candidates' networks.

        By default, each network is built on the meta device to count them. Override this method if
        a closed-form formula is known, which is faster.

        Returns:
            (n, 2) ints, the parameters and the multiply-adds.

        Raises:
            NotImplementedError: the problem has no ``input_shape``.
        """
        if self.input_shape is None:
            raise NotImplementedError(
                f"{type(self).__name__} has no input_shape, which is required to count "
                "multiply-adds."
            )
        from .nets.counting import count_network

        counts = [count_network(partial(self.network, a), self.input_shape) for a in candidates]
        return np.array(counts)

    def parts(self, architecture: Any) -> list[Part]:
        """Return the parts whose latencies add up to the network's latency; empty by default."""
        return []

    def operations(self) -> list[Part]:
        """Return every part that a network of the space can contain, for latency tables."""
        return []

    def zoo(self) -> list[Published]:
        """Return the published architectures of the space; empty by default."""
        return []

    def graphs(self, architecture: Any) -> list[Graph]:
        """Return the graphs to draw of an architecture; empty by default."""
        return []

    def pick(self, rows: Sequence[Row]) -> int | None:
        """Return the index of the row that a search picks from its front; None if it is empty.

        By default, :func:`moonas.pareto.pick` picks it. This method is called only if the rows are
        within the limits.
        """
        ends = self.ends_of_the_line(rows)
        return pick(rows, population=ends, bounds=self.objective_bounds())

    def pick_rule(self, rows: Sequence[Row]) -> str:
        """Return a description of the row that :meth:`pick` selects from a front."""
        if self.pick_description is not None:
            return self.pick_description
        return pick_rule(rows, population=self.ends_of_the_line(rows))

    def ends_of_the_line(self, rows: Sequence[Row]) -> np.ndarray | None:
        """Return the objectives among which the end points of the knee are; None for ``rows``."""
        return None

    def pick_warning(self, row: Row) -> str | None:
        """Return a warning about a picked row, such as an error at chance level, or None."""
        return None

    def after_generation(self, algorithm: Algorithm) -> None:
        """Called after each generation of a search with a journal, for example to save a plot."""

    def after_search(self, row: Row) -> list[str]:
        """Called with the picked row when a search ends; returns lines to print."""
        return []

    def final_training(self) -> dict[str, Any] | None:
        """Return options of a training from scratch with which a search of the task ends.

        ``moonas search`` and :func:`moonas.search` then train the picked architecture, as ``moonas
        train RUN`` does, in the same folder. By default, None: a search ends without a training.
        """
        return None

    # Descriptions, and a start from published architectures

    def name(self) -> str:
        """Return the name of the problem, as :func:`moonas.load_problem` knows it."""
        return self.registered_name or type(self).__name__

    def __str__(self) -> str:
        lines = [
            f"problem {self.name()} on {self.settings.data}",
            f"variables: {self.n_var}",
            f"objectives: {', '.join(self.objectives)}",
        ]
        if self.limits:
            lines.append(f"limits: {', '.join(map(str, self.limits))}")
        if self.nonstationary:
            lines.append("objectives change while shared weights train")
        return "\n".join(lines)

    def published_sampling(self, *names: str) -> StartRows:
        """Return a pymoo sampling that starts with published architectures.

        The first population consists of these architectures, and of further samples if it is
        larger: ``NSGA2(**problem.operators() | {"sampling": problem.published_sampling()})``.

        Args:
            names: names of architectures of :meth:`zoo`; by default, all of them.

        Raises:
            ValueError: a name is unknown, or no architectures of the space are published.
        """
        from .operators.start import StartRows

        known = {item.name: item for item in self.zoo()}
        if not known:
            raise ValueError(f"No architectures of the space of {self.name()} are published.")
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ValueError(
                f"Unknown architecture {unknown[0]!r} of {self.name()}; choose from {list(known)}."
            )
        rows = [self.encode(known[name].architecture) for name in names or known]
        return StartRows(np.stack(rows), self.operators()["sampling"])

    # Methods that the library calls

    def column(self, name: str) -> Column:
        """Return the :class:`Column` with this name."""
        return next(c for c in self.columns if c.name == name)

    @property
    def plotted_columns(self) -> tuple[str, str]:
        """The two columns that progress displays and plots show.

        These are the first two objectives, or the objective and the secondary column.
        """
        first, *others = self.objectives
        if others:
            return first, others[0]
        if self.secondary_column is not None:
            return first, self.secondary_column
        minimized = [c for c in self.columns if c.direction == "min" and c.name != first]
        minimized.sort(key=lambda column: not column.is_size)  # a stable sort
        return first, minimized[0].name if minimized else first

    def objective_bounds(self) -> np.ndarray:
        """Return the lower and upper bounds of the objectives, (2, n_obj)."""
        bounds = [self.column(name).bounds for name in self.objectives]
        corners: np.ndarray = np.array(bounds, dtype=float).T
        return corners

    def hypervolume_box(self) -> np.ndarray:
        """Return the best and the worst corner of the box that hypervolumes refer to, (2, n_obj).

        They are the bounds of the objectives; where the true front is known, a subclass returns a
        smaller box around it. The setting ``reference_point`` replaces values of the worst corner.
        """
        return self.with_reference_point(self.objective_bounds())

    def with_reference_point(self, box: np.ndarray) -> np.ndarray:
        """Return a box whose worst corner has the values of the setting ``reference_point``.

        Args:
            box: (2, n_obj) best and worst corner.

        Raises:
            ValueError: the reference point names another column than the objectives, or is not
                worse than the best corner.
        """
        box = box.copy()
        for name, value in parse_reference_point(self.settings.reference_point).items():
            if name not in self.objectives:
                raise ValueError(
                    f"reference_point={self.settings.reference_point!r} is invalid: {name!r} is no "
                    f"objective; choose from {list(self.objectives)}."
                )
            i = self.objectives.index(name)
            if value <= box[0, i]:
                raise ValueError(
                    f"reference_point={self.settings.reference_point!r} is invalid: expected a "
                    f"value of {name} above {box[0, i]:g}, the best one."
                )
            box[1, i] = value
        return box

    def hypervolume(self, F: np.ndarray) -> float:
        """Return the share of :meth:`hypervolume_box` that is dominated, in [0, 1].

        The table of generations, the report and comparisons all use this definition.

        Args:
            F: (n, n_obj) objectives of feasible candidates; rows that are not finite do not count.
        """
        return hypervolume(F, self.hypervolume_box())

    def candidates(self, architectures: Sequence[Any]) -> Candidates:
        """Convert a list of architectures to :class:`~moonas.run.candidates.Candidates`."""
        rows = np.stack([self.encode(a) for a in architectures])
        return Candidates(rows, tuple(architectures), rows)

    def evaluate(
        self, X: np.ndarray, *args: Any, algorithm: Algorithm | None = None, **kwargs: Any
    ) -> Any:
        """Evaluate the rows of X and return what pymoo's ``Problem.evaluate`` returns.

        Args:
            X: (n, n_var) rows, or one row, (n_var,).
            args: passed on to pymoo.
            algorithm: the running algorithm, as passed by pymoo; if it is None, the evaluation does
                not belong to a run and is not recorded.
            kwargs: passed on to pymoo.

        Raises:
            ValueError: a row does not encode an architecture.
            SearchFailed: the evaluation of every row failed.
        """
        X = self.check_rows(X)
        candidates = self.session.candidates(np.atleast_2d(X))
        if algorithm is None:
            columns = self.session.score_outside_run(candidates)
        else:
            with self.session.run_of(algorithm, candidates):
                columns = self.score_generation(candidates, algorithm)
        return super().evaluate(X, *args, columns=columns, **kwargs)

    def score_generation(
        self, candidates: Candidates, algorithm: Algorithm
    ) -> dict[str, np.ndarray]:
        """Return the columns of candidates that a running algorithm evaluates."""
        return self.session.score(candidates)

    def _evaluate(
        self,
        X: np.ndarray,
        out: dict[str, Any],
        *args: Any,
        columns: dict[str, np.ndarray],
        **kwargs: Any,
    ) -> None:
        out.update(columns, F=self.objective_values(columns))
        if self.limits:
            out["G"] = self.constraint_values(columns)

    def check_rows(self, X: np.ndarray) -> np.ndarray:
        """Return the rows X, converted to the data type of the genes.

        Raises:
            ValueError: a row does not encode an architecture; the message names the operators that
                create valid rows.
        """
        try:
            rows: np.ndarray = self.genes.check(X)
        except ValueError as error:
            raise ValueError(f"{error} {ADVICE}") from None
        return rows

    def checked_evaluator(self) -> Evaluator:
        """Create the evaluator and check that it has every attribute of :class:`Evaluator`.

        Only ``warm_up_for``, ``checkpoints`` and ``checkpoint_folder`` may be missing in an
        evaluator that does not derive from this class.

        Raises:
            TypeError: the evaluator lacks an attribute or a method.
        """
        evaluator = self.make_evaluator()
        members = dict.fromkeys((*Evaluator.__annotations__, *vars(Evaluator)))
        # without it, a run calls warm_up(); without the others, it saves no state within a call
        optional = ("warm_up_for", "checkpoints", "checkpoint_folder")
        required = [m for m in members if m[0] != "_" and m not in optional]
        missing = [m for m in required if not hasattr(evaluator, m)]
        if missing:
            raise TypeError(
                f"{type(evaluator).__name__} lacks {', '.join(missing)}: derive it from "
                "moonas.problem.Evaluator, which documents every attribute."
            )
        return evaluator

    def checked(self, columns: dict[str, Any], n: int) -> dict[str, np.ndarray]:
        """Check the evaluator's columns and flag the candidates whose evaluation failed.

        Args:
            columns: name of each column -> its n values. If ``failed`` is among them, it flags
                candidates that could not be evaluated at all.
            n: number of candidates.

        Returns:
            The columns as (n,) arrays, and a bool column ``failed``. In each column with a worst
            value, failed candidates have this value.

        Raises:
            ValueError: the shape of a column is not (n,).
        """
        arrays = {c.name: np.asarray(columns[c.name]) for c in self.columns if c.name in columns}
        failed = np.asarray(columns.get("failed", np.zeros(n)), dtype=bool)
        for name, values in arrays.items():
            if values.shape != (n,):
                raise ValueError(
                    f"The evaluator returned column {name!r} with shape {values.shape}; "
                    f"expected ({n},)."
                )
            failed |= ~np.isfinite(values.astype(float))
        for name, values in arrays.items():
            worst = self.column(name).worst
            if worst is not None:
                arrays[name] = np.where(failed, worst, values)
        return columns | arrays | {"failed": failed}

    def objective_values(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the columns that are objectives, as (n, n_obj) floats.

        Raises:
            ValueError: an objective is not finite, and its column has no worst value.
        """
        F = np.column_stack([columns[name] for name in self.objectives]).astype(float)
        if not np.isfinite(F).all():
            name = self.objectives[int(np.argmin(np.isfinite(F).all(axis=0)))]
            raise ValueError(
                f"Objective {name!r} is not finite, and its column defines no worst value."
            )
        return F

    def feasible_values(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the objectives as (n, n_obj) floats; inf for infeasible and failed candidates."""
        F = np.column_stack([columns[name] for name in self.objectives]).astype(float)
        excluded = (self.constraint_values(columns) > 0).any(axis=1)
        excluded |= np.asarray(columns.get("failed", excluded), bool)
        F[excluded] = np.inf
        return F

    def constraint_values(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return how far each limit is exceeded, relative to its bound, as (n, n_limits) floats.

        See :meth:`.Limit.constraint`; a candidate is feasible if no value is positive.
        """
        n = len(next(iter(columns.values())))
        values = [limit.constraint(columns[limit.column]) for limit in self.limits]
        return np.array(values).T if values else np.empty((n, 0))


def choose_genes(n_choices: Sequence[int] | np.ndarray | None, genes: Genes | None) -> Genes:
    """Return ``genes``, or categorical genes with ``n_choices``, (n_var,), if ``genes`` is None.

    Raises:
        TypeError: ``genes`` and ``n_choices`` are None.
    """
    if genes is not None:
        return genes
    if n_choices is None:
        raise TypeError("The problem has no variables: pass n_choices or genes.")
    return categorical_genes(n_choices)


_BASE_DECODE, _BASE_ENCODE = ArchitectureProblem.decode, ArchitectureProblem.encode
