"""Base class of problems that search for image classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from .data import describe
from .evaluators.classification import quality_columns
from .evaluators.costs import NetworkCosts
from .evaluators.measures import classifier_measures, error_of_a_guess
from .evaluators.scratch import ScratchEvaluator
from .evaluators.settings import ClassifierSettings
from .evaluators.supernet import SupernetEvaluator
from .nets.devices import resolve_device
from .pareto import Row
from .problem import Column, Evaluator, TrainingMeasure, choose_genes
from .spaces.genes import Genes
from .weight_sharing import WeightSharingProblem


class ClassifierProblem(WeightSharingProblem):
    """A search for image classifiers; the objectives can be error, robustness and network costs.

    The network costs are parameters, multiply-adds and latency. A subclass defines its genes,
    ``decode`` and ``encode`` (or ``space``), and ``network``. By default, each candidate is
    trained from scratch for ``settings.proxy_epochs`` epochs. To share weights between candidates,
    override :meth:`make_evaluator` to return :meth:`supernet_evaluator`. Parameters and
    multiply-adds are counted in networks that are built on the meta device; override :meth:`count`
    if they have a closed-form formula.

    Args:
        settings: a :class:`~moonas.evaluators.ClassifierSettings`.
        n_choices: (n_var,) number of values per gene, for categorical genes.
        genes: a :class:`~moonas.spaces.genes.Genes`, in place of ``n_choices``, for other genes.
        nodes: see :class:`~moonas.problem.ArchitectureProblem`.
        blocks: see :class:`~moonas.problem.ArchitectureProblem`.
        more_columns: columns that the evaluator returns in addition to quality and cost columns.

    Attributes:
        info: description of the data set, a :class:`~moonas.data.images.DataInfo`.
        network_costs: object that computes parameters, multiply-adds and latency of networks, a
            :class:`~moonas.evaluators.NetworkCosts`.

    Raises:
        ValueError: the data set is unknown, or an objective is not available for this data set.
    """

    settings: ClassifierSettings
    nonstationary = False
    _training_measures: Sequence[TrainingMeasure] | None = None

    def __init__(
        self,
        settings: ClassifierSettings,
        *,
        n_choices: Sequence[int] | np.ndarray | None = None,
        genes: Genes | None = None,
        nodes: Sequence[np.ndarray] | None = None,
        blocks: Sequence[Sequence[np.ndarray]] | None = None,
        more_columns: Sequence[Column] = (),
    ) -> None:
        self.settings = settings
        self.info = describe(settings.data, **settings.image_form)
        side = self.target_image_shape["image_size"]
        self.input_shape = (self.info.channels, side, side)
        qualities = quality_columns(settings.used_columns, self.info)
        resolve_device(settings.device)  # raises an error now if the device name is invalid
        genes = choose_genes(n_choices, genes)
        self.set_genes(genes, nodes, blocks)
        self.network_costs = NetworkCosts(self, settings, self.info)
        self.inputs = self.network_costs.inputs
        columns = [*qualities, *self.network_costs.cost_columns(*self.largest()), *more_columns]
        super().__init__(settings, columns=columns, genes=genes, nodes=nodes, blocks=blocks)

    @property
    def training_measures(self) -> Sequence[TrainingMeasure]:
        """Training loss and median error and, if a supernet trains, growth and rank correlation.

        A subclass can replace them by an attribute of the class or by an assignment.
        """
        if self._training_measures is not None:
            return self._training_measures
        return classifier_measures(
            self.info,
            self.columns[0].name,
            nonstationary=self.nonstationary,
            grows=self.nonstationary and self.growth_of is not None,
        )

    @training_measures.setter
    def training_measures(self, measures: Sequence[TrainingMeasure]) -> None:
        self._training_measures = measures

    def pick_warning(self, row: Row) -> str | None:
        """Return a warning if the validation error of a row is at chance level, else None."""
        quality = self.columns[0].name
        chance, limit = error_of_a_guess(self.info)
        if row.columns[quality] < limit:
            return None
        return (
            f"The picked network has a validation {quality} of {row.columns[quality]:.4g} %; a "
            f"random guess has {chance:.4g} %. More training per candidate may help."
        )

    @property
    def image_shape(self) -> dict[str, int]:
        """Arguments of every network: n_classes, in_channels and image_size of the data set."""
        return dict(
            n_classes=self.info.n_classes,
            in_channels=self.info.channels,
            image_size=self.info.side,
        )

    @property
    def target_image_shape(self) -> dict[str, int]:
        """Arguments of the target network, which params, macs and latency refer to.

        They are those of :attr:`image_shape`, unless the settings ``target_image_size`` and
        ``target_classes`` describe another data set.
        """
        side = getattr(self.settings, "target_image_size", None)
        n_classes = getattr(self.settings, "target_classes", None)
        target = {"image_size": side, "n_classes": n_classes}
        return self.image_shape | {k: v for k, v in target.items() if v is not None}

    def full_shape(self, shape: dict[str, int]) -> dict[str, int]:
        """Return :attr:`image_shape` updated with the values in ``shape``.

        Raises:
            TypeError: ``shape`` has a key that :attr:`image_shape` does not have.
        """
        unknown = sorted(set(shape) - set(self.image_shape))
        if unknown:
            raise TypeError(
                f"Unknown network argument {unknown[0]!r}; choose from {sorted(self.image_shape)}."
            )
        return self.image_shape | shape

    @property
    def trained_shape(self) -> dict[str, Any]:
        """Arguments of the networks trained during the search; :attr:`image_shape` by default."""
        return self.image_shape

    def largest(self) -> tuple[int, int]:
        """Return upper bounds of the numbers of parameters and multiply-adds of a network.

        The bounds normalize the hypervolume. By default, they are the counts of the architecture
        whose genes all have their highest value. Override this method if another architecture is
        larger.
        """
        architecture = self.decode(self.genes.high.astype(self.genes.dtype))
        ((params, macs),) = self.count(self.candidates([architecture]))
        return int(params), int(macs)

    def make_evaluator(self) -> Evaluator:
        """Create the evaluator, by default a :class:`~moonas.evaluators.ScratchEvaluator`."""
        epochs = getattr(self.settings, "proxy_epochs", None)
        if epochs is None:
            raise TypeError(
                f"{type(self.settings).__name__} lacks proxy_epochs: derive it from "
                "moonas.evaluators.settings.ProxySettings, or override make_evaluator()."
            )
        return self.scratch_evaluator(epochs=epochs)

    def scratch_evaluator(self, *, epochs: int, **options: Any) -> ScratchEvaluator:
        """Create an evaluator that trains each candidate's network from scratch.

        Args:
            epochs: number of training epochs per network.
            options: further arguments of :class:`~moonas.evaluators.ScratchEvaluator`.
        """
        return ScratchEvaluator(
            self.settings,
            self.info,
            self.network_costs,
            epochs=epochs,
            build=partial(self.network, **self.trained_shape),
            **options,
        )

    def supernet_evaluator(self, make_net: type[nn.Module]) -> SupernetEvaluator:
        """Create an evaluator with a supernet whose weights all candidates share.

        Args:
            make_net: class of the supernet, called with :attr:`trained_shape`; its ``forward``
                is called with a batch of images and an architecture.
        """
        settings: Any = self.settings  # its fields count, not its class
        return SupernetEvaluator(
            settings,
            self.info,
            self.network_costs,
            make_net=partial(make_net, **self.trained_shape),
            n_choices=self.n_choices,
            decode=self.decode,
            on_progress=self.callbacks.on_progress,
            on_log=self.callbacks.on_log,
        )
