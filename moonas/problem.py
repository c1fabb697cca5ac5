"""The contract of a problem: what moonas asks of a search space and of its evaluator.

A problem turns rows of pymoo into architectures and columns of numbers into objectives. Everything
that the library may ask for is declared here, with its default; a subclass of
:class:`ArchitectureProblem` must give ``decode``, ``encode``, ``network`` and ``make_evaluator``.
Image classifiers have most of it from :class:`moonas.ClassifierProblem`, problems that look scores
up from :class:`moonas.tabular.TabularProblem`. :func:`moonas.testing.check_problem` checks it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from pymoo.core.problem import Problem

from .deprecation import RenamedAttribute, rename_class_attributes, renamed_arguments
from .errors import SearchFailed
from .pareto import pick
from .run.candidates import Candidates
from .run.session import SearchSession, describe_algorithm
from .settings import SearchSettings, check_objectives
from .spaces.genes import Genes, categorical_genes

if TYPE_CHECKING:
    import torch
    from pymoo.core.algorithm import Algorithm

    from .models.zoo import Published
    from .nets.parts import Part
    from .pareto import Row
    from .run.callbacks import Callbacks
    from .run.journal import Journal
    from .spaces.graph import Graph

__all__ = [
    "ArchitectureProblem",
    "Candidates",
    "Column",
    "Evaluator",
    "SearchFailed",
    "describe_algorithm",
]
RESERVED = {
    *("X", "x", "F", "f", "G", "H", "CV", "cv", "FEAS", "feas", "dF", "dG", "dH", "ddF", "ddG"),
    *("ddH", "data", "config", "evaluated", "rank", "crowding"),
}
ADVICE = "Use this problem's operators: NSGA2(**problem.operators())."
SIZES = ("parameters", "multiply-adds")  # units of whole numbers; the others have decimals


RENAMED = {  # class attributes of problems in earlier versions
    "in_words": "architecture_title",
    "picked_as": "pick_description",
    "beside": "secondary_column",
    "moves": "nonstationary",
    "halves": "species_bits",
}


@dataclass(frozen=True)
class Column:
    """A number that the evaluator gives for each architecture.

    Args:
        name: also its name on pymoo's individuals.
        unit: such as "%" or "ms".
        worst: the value of a candidate that failed; None if the number stays known.
        bounds: (low, high) of the rectangle that hypervolumes are shares of; objectives need them.
        direction: "min" or "max"; objectives are all "min".
        measured: read from a clock, so measured once per architecture and run.
        in_table: whether tables of a front include it; they always include the objectives.
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
        """Whether it counts parameters or multiply-adds."""
        return self.unit in SIZES


# The dataclass writes its constructor, so the old name is added after that.
Column.__init__ = renamed_arguments(listed="in_table")(Column.__init__)  # type: ignore[method-assign]
Column.listed = RenamedAttribute("listed", "in_table")  # type: ignore[attr-defined]


@runtime_checkable
class Evaluator(Protocol):
    """What scores architectures: it has the images, the weights and the device.

    Derive from it to have the defaults. Scores are finite numbers; a candidate that diverged gets
    NaN in a column that has a ``worst`` value.

    Attributes:
        device: where networks run, a ``torch.device`` or its name.
        trains: whether there are weights that all candidates share; then ``warm_up``, ``state`` and
            ``load_state`` are needed, and ``train`` if objectives change during a run.
        independent: whether each candidate is trained on its own, so that a worker can take one.
        phase: the name of that work, for progress bars.
    """

    device: torch.device | str
    trains: bool = False
    independent: bool = False
    phase: str = "training from scratch"

    def begin(self, seed: int) -> None:
        """A run with this seed begins: weights that train become untrained ones."""

    @abstractmethod
    def score(self, candidates: Candidates) -> dict[str, np.ndarray]:
        """Columns of candidates, (n,) each, but for measured ones; may run in another process."""

    def measure(self, candidates: Candidates) -> dict[str, np.ndarray]:
        """Columns that are read from a clock, (n,) each; none by default."""
        return {}

    def warm_up(self) -> dict[str, Any]:
        """The first training of a run; a report, a dict that JSON can hold."""
        raise NotImplementedError(f"{type(self).__name__} has no weights to train.")

    def train(self, candidates: Candidates) -> dict[str, Any]:
        """One generation's training; a report with the number of "epochs"."""
        raise NotImplementedError(f"{type(self).__name__} does not train during a run.")

    def state(self) -> dict[str, torch.Tensor]:
        """Everything that training changes, a flat dict of tensors."""
        return {}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore what :meth:`state` returned."""


class ArchitectureProblem(Problem, ABC):
    """A pymoo problem whose rows are architectures and whose objectives are columns by name.

    The problem is shared, not copied, by ``copy.deepcopy`` (pymoo copies it into every generation
    of a history); a pickle of it leaves weights, data and journal behind.

    Args:
        settings: its Settings; ``settings.objectives`` names the columns to minimise.
        columns: all columns that the evaluator gives, :class:`Column` each.
        n_choices: (n_var,) number of values of each gene; gene j is a label in [0, n_choices[j]).
        genes: a :class:`~moonas.spaces.genes.Genes` instead of ``n_choices``, for bits, integers
            and real numbers.
        nodes: list of arrays of columns that crossover and mutation exchange together; by default
            each gene by itself.
        blocks: list of lists of such arrays, for crossover of whole blocks; by default all nodes
            are one block.

    Attributes:
        space: module or object with ``decode``, ``encode`` and, optionally, ``to_json`` and
            ``from_json``, which the methods of the problem call; None if a subclass overrides them.
        architecture_title: what ``str(architecture)`` shows; title of its column in tables.
        pick_description: which row :meth:`pick` chooses, for captions.
        secondary_column: column plotted against a single objective; None if at least two objectives
            are required.
        nonstationary: whether objectives change while shared weights train.
        growth_of: see :class:`moonas.weight_sharing.WeightSharingProblem`.
        pnsga3_options: arguments that the settings give to pNSGA-III's survival.
        species_bits: numbers of bits of the two co-evolving populations; None if there are none.
        inputs: checksums by name of files that scores depend on.
        info: of the data set, with ``side`` (pixels) and ``n_classes``; None without images.
        input_shape: (channels, height, width) of a network's input; None if it has no images.

    Raises:
        ValueError: an objective is unknown, there are too few, or a column has a name of pymoo's.
        TypeError: the subclass has neither ``space`` nor ``decode`` and ``encode``.
    """

    space: ModuleType | Any = None
    architecture_title: str = "architecture"
    pick_description: str = "the knee of the front"
    secondary_column: str | None = None
    nonstationary: bool = False
    growth_of: str | None = None
    pnsga3_options: Mapping[str, Any] = {}
    species_bits: tuple[int, int] | None = None
    inputs: Mapping[str, str] = {}
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
        rename_class_attributes(cls, RENAMED)

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
        check_objectives(settings.objectives, known, 2 if self.secondary_column is None else 1)
        clash = [c.name for c in columns if c.name in RESERVED]
        if clash:
            raise ValueError(f"Column names {clash} are pymoo's own; choose others.")
        self.settings = settings
        self.columns = tuple(columns)
        self.objectives = settings.objectives
        self.set_genes(categorical_genes(n_choices) if genes is None else genes, nodes, blocks)
        self.session = SearchSession(self)
        super().__init__(
            n_var=len(self.genes.low),
            n_obj=len(self.objectives),
            xl=self.genes.low,
            xu=self.genes.high,
            vtype=self.genes.dtype.type,
            requires_kwargs=True,
        )

    def set_genes(
        self,
        genes: Genes,
        nodes: Sequence[np.ndarray] | None = None,
        blocks: Sequence[Sequence[np.ndarray]] | None = None,
    ) -> None:
        """Set what a row is made of; see the constructor, which calls it."""
        own = type(self)
        overridden = own.decode is not _BASE_DECODE and own.encode is not _BASE_ENCODE
        if self.space is None and not overridden:
            raise TypeError(
                f"{own.__name__} lacks decode(x) and encode(architecture): define both, or set "
                "space to a module that has them."
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

    # The session: what belongs to a run

    @property
    def evaluator(self) -> Evaluator:
        """What scores architectures; made when it is first needed."""
        return self.session.evaluator

    @property
    def device(self) -> torch.device | str:
        """Where networks run."""
        return self.evaluator.device

    @property
    def journal(self) -> Journal | None:
        """What records the run, or None."""
        return self.session.journal

    @property
    def callbacks(self) -> Callbacks:
        """List of :class:`~moonas.run.callbacks.RunCallback` that are called during a run."""
        return self.session.callbacks

    def log(self, text: str) -> None:
        """Call the callbacks' :meth:`~moonas.run.callbacks.RunCallback.on_log`."""
        self.callbacks.on_log(text)

    def environment(self) -> str:
        """Device and threads: what may change the last bits of a score."""
        return f"{self.device}, {self.settings.threads} threads"

    # What a subclass must give

    @abstractmethod
    def make_evaluator(self) -> Evaluator:
        """The evaluator; images and weights are better loaded in its ``begin``."""

    @abstractmethod
    def network(self, architecture: Any, **shape: Any) -> torch.nn.Module:
        """The stand-alone network of an architecture, untrained.

        Args:
            architecture: of this space.
            shape: what replaces the problem's own; for classifiers ``n_classes``, ``in_channels``
                and ``image_size`` are always taken.
        """

    def decode(self, x: np.ndarray) -> Any:
        """The architecture of a row, (n_var,); hashable, equal for equal networks."""
        return self.space.decode(x)

    def encode(self, architecture: Any) -> np.ndarray:
        """The row, (n_var,), of an architecture: ``decode(encode(a)) == a``."""
        return self.space.encode(architecture)

    # What a subclass may give

    def architecture_to_json(self, architecture: Any) -> Any:
        """What JSON can hold of an architecture; by default its row, unless the space does more."""
        if hasattr(self.space, "to_json"):
            return self.space.to_json(architecture)
        return {"x": self.genes.to_json(np.asarray(self.encode(architecture), self.genes.dtype))}

    def architecture_from_json(self, value: Any) -> Any:
        """The architecture that :meth:`architecture_to_json` wrote.

        Raises:
            ValueError: it is none, and why.
        """
        if hasattr(self.space, "from_json"):
            return self.space.from_json(value)
        if not isinstance(value, dict) or "x" not in value:
            raise ValueError(f"An architecture has the key 'x', its row; got {value!r}.")
        return self.decode(self.check_rows(self.genes.from_json(value["x"])))

    def operators(self) -> dict[str, Any]:
        """Sampling, crossover, mutation and duplicate elimination for any genetic algorithm.

        By default they follow from the genes: labels and bits are drawn uniformly, crossed node by
        node, and one gene on average changes; integers with bounds and real numbers have simulated
        binary crossover and polynomial mutation.
        """
        from .operators import operators_for

        return operators_for(self)

    def algorithm(self) -> Algorithm:
        """The algorithm of the problem's paper; NSGA-II by default."""
        from .algorithms.named import algorithm

        return algorithm("nsga2", self)

    def count(self, candidates: Candidates) -> np.ndarray:
        """Params and macs of candidates' networks, (n, 2) ints.

        By default each network is built on the meta device and counted; a closed form is faster.

        Raises:
            NotImplementedError: the problem has no ``input_shape``.
        """
        if self.input_shape is None:
            raise NotImplementedError(
                f"{type(self).__name__} has no input_shape, so its networks cannot be counted."
            )
        from .nets.counting import count_network

        counts = [count_network(lambda a=a: self.network(a), self.input_shape) for a in candidates]
        return np.array(counts)

    def parts(self, architecture: Any) -> list[Part]:
        """Parts whose latencies add up to that of the network; empty if they do not."""
        return []

    def operations(self) -> list[Part]:
        """Every part that a network of the space can have, for latency tables; may be empty."""
        return []

    def zoo(self) -> list[Published]:
        """Published architectures of the space; may be empty."""
        return []

    def graphs(self, architecture: Any) -> list[Graph]:
        """Graphs to draw of an architecture; may be empty."""
        return []

    def pick(self, rows: Sequence[Row]) -> int | None:
        """The index of the row of a front that a search picks; None for no rows."""
        return pick(rows)

    def after_generation(self, algorithm: Algorithm) -> None:
        """Called once per generation of a search with a journal, such as to write a picture."""

    def after_search(self, row: Row) -> list[str]:
        """Called with the picked row when a search ends; lines to print."""
        return []

    # What the library calls

    def column(self, name: str) -> Column:
        """The :class:`Column` of a name."""
        return next(c for c in self.columns if c.name == name)

    @property
    def plotted_columns(self) -> tuple[str, str]:
        """The two columns of displays and pictures: the first objectives."""
        return (*self.objectives, self.secondary_column)[:2]

    def objective_bounds(self) -> np.ndarray:
        """(2, n_obj) lower and upper corner of the rectangle that hypervolumes are shares of."""
        return np.array([self.column(name).bounds for name in self.objectives], dtype=float).T

    def candidates(self, architectures: Sequence[Any]) -> Candidates:
        """Architectures as :class:`~moonas.run.candidates.Candidates`."""
        rows = np.stack([self.encode(a) for a in architectures])
        return Candidates(rows, tuple(architectures), rows)

    def evaluate(
        self, X: np.ndarray, *args: Any, algorithm: Algorithm | None = None, **kwargs: Any
    ) -> Any:
        """Objectives of the rows of X, (n, n_var) or (n_var,); pymoo passes ``algorithm``.

        Without an algorithm nothing is recorded.

        Raises:
            ValueError: a row is no architecture.
            SearchFailed: every row failed.
        """
        X = self.check_rows(X)
        candidates = self.session.candidates
        if algorithm is None:
            columns = self.session.score_outside_run(candidates(np.atleast_2d(X)))
        else:
            with self.session.run_of(algorithm):
                columns = self.score_generation(candidates(np.atleast_2d(X)), algorithm)
        return super().evaluate(X, *args, columns=columns, **kwargs)

    def score_generation(
        self, candidates: Candidates, algorithm: Algorithm
    ) -> dict[str, np.ndarray]:
        """Columns of the candidates that a running algorithm asks for."""
        return self.session.score(candidates)

    def _evaluate(self, X, out, *args, columns, **kwargs):
        out.update(columns, F=self.objective_values(columns))

    def check_rows(self, X: np.ndarray) -> np.ndarray:
        """X in the type of the genes, if its rows are architectures; else a ``ValueError``."""
        try:
            return self.genes.check(X)
        except ValueError as error:
            raise ValueError(f"{error} {ADVICE}") from None

    def checked_evaluator(self) -> Evaluator:
        """A new evaluator, if it has every member of :class:`Evaluator`; else a ``TypeError``."""
        evaluator = self.make_evaluator()
        members = dict.fromkeys((*Evaluator.__annotations__, *vars(Evaluator)))
        missing = [m for m in members if m[0] != "_" and not hasattr(evaluator, m)]
        if missing:
            raise TypeError(
                f"{type(evaluator).__name__} lacks {', '.join(missing)}: derive it from "
                "moonas.problem.Evaluator, which documents every member."
            )
        return evaluator

    def checked(self, columns: dict[str, Any], n: int) -> dict[str, np.ndarray]:
        """Columns of n candidates as arrays, with the worst values and a flag for failed ones.

        Raises:
            ValueError: a column has another shape than (n,).
        """
        found = {c.name: np.asarray(columns[c.name]) for c in self.columns if c.name in columns}
        failed = np.zeros(n, dtype=bool)
        for name, values in found.items():
            if values.shape != (n,):
                raise ValueError(
                    f"The evaluator gave column {name!r} with shape {values.shape}; "
                    f"expected ({n},)."
                )
            failed |= ~np.isfinite(values.astype(float))
        for name, values in found.items():
            worst = self.column(name).worst
            if worst is not None:
                found[name] = np.where(failed, worst, values)
        return columns | found | {"failed": failed}

    def objective_values(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """(n, n_obj) floats.

        Raises:
            ValueError: one is not finite, and its column has no worst value.
        """
        F = np.column_stack([columns[name] for name in self.objectives]).astype(float)
        if not np.isfinite(F).all():
            name = self.objectives[int(np.argmin(np.isfinite(F).all(axis=0)))]
            raise ValueError(
                f"Objective {name!r} is not finite, and its column has no worst value."
            )
        return F


_BASE_DECODE, _BASE_ENCODE = ArchitectureProblem.decode, ArchitectureProblem.encode
