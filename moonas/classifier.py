"""Problems whose networks classify images: data, quality, costs and training in one base class."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from .data import describe
from .evaluators.classification import quality_columns
from .evaluators.costs import NetworkCosts
from .evaluators.scratch import ScratchEvaluator
from .evaluators.settings import ClassifierSettings
from .evaluators.supernet import SupernetEvaluator
from .nets.devices import resolve_device
from .problem import Column, Evaluator
from .spaces.genes import Genes, categorical_genes
from .weight_sharing import WeightSharingProblem


class ClassifierProblem(WeightSharingProblem):
    """Architectures of image classifiers, by error, robustness, params, macs and latency.

    A subclass gives its genes, ``decode`` and ``encode`` (or ``space``), and ``network``. By
    default each candidate is trained from scratch for ``settings.proxy_epochs`` epochs; with shared
    weights, override :meth:`make_evaluator` and return :meth:`supernet_evaluator`. Params and macs
    are counted on networks built on the meta device; :meth:`count` may do it in closed form.

    Args:
        settings: a :class:`~moonas.evaluators.ClassifierSettings`.
        n_choices: (n_var,) number of values of each gene, for genes that are labels.
        genes: a :class:`~moonas.spaces.genes.Genes` for any others.
        nodes: see :class:`~moonas.problem.ArchitectureProblem`.
        blocks: the same.
        more_columns: what the problem gives besides quality and costs.

    Attributes:
        info: of the data set, a :class:`~moonas.data.images.DataInfo`.
        network_costs: a :class:`~moonas.evaluators.NetworkCosts`.

    Raises:
        ValueError: the data set is unknown, or does not have an objective.
    """

    nonstationary = False

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
        self.info = describe(settings.data, settings.image_size)
        self.input_shape = (self.info.channels, self.info.side, self.info.side)
        qualities = quality_columns(settings.objectives, self.info)
        resolve_device(settings.device)  # so that a wrong name is found first
        genes = categorical_genes(n_choices) if genes is None else genes
        self.set_genes(genes, nodes, blocks)
        self.network_costs = NetworkCosts(self, settings, self.info)
        self.inputs = self.network_costs.inputs
        columns = [*qualities, *self.network_costs.cost_columns(*self.largest()), *more_columns]
        super().__init__(settings, columns=columns, genes=genes, nodes=nodes, blocks=blocks)

    @property
    def image_shape(self) -> dict[str, int]:
        """Arguments of every network: n_classes, in_channels and image_size of the data set."""
        return dict(
            n_classes=self.info.n_classes,
            in_channels=self.info.channels,
            image_size=self.info.side,
        )

    def full_shape(self, shape: dict[str, int]) -> dict[str, int]:
        """:attr:`image_shape` with some values replaced, for ``network(architecture, **shape)``.

        Raises:
            TypeError: it has no such value.
        """
        unknown = sorted(set(shape) - set(self.image_shape))
        if unknown:
            raise TypeError(f"unknown {unknown[0]!r}; choose from {sorted(self.image_shape)}")
        return self.image_shape | shape

    @property
    def trained_shape(self) -> dict[str, Any]:
        """Arguments of the networks that the search trains; :attr:`image_shape` by default."""
        return self.image_shape

    def largest(self) -> tuple[int, int]:
        """Params and macs that no network of the space exceeds, the bounds of hypervolumes.

        By default those of the architecture whose every gene has its highest value. Override it if
        another one is larger.
        """
        architecture = self.decode(self.genes.high.astype(self.genes.dtype))
        ((params, macs),) = self.count(self.candidates([architecture]))
        return int(params), int(macs)

    def make_evaluator(self) -> Evaluator:
        """Trains each candidate from scratch, a :class:`~moonas.evaluators.ScratchEvaluator`."""
        if not hasattr(self.settings, "proxy_epochs"):
            raise TypeError(
                f"{type(self.settings).__name__} lacks proxy_epochs: derive it from "
                "moonas.evaluators.settings.ProxySettings, or override make_evaluator()."
            )
        return self.scratch_evaluator(epochs=self.settings.proxy_epochs)

    def scratch_evaluator(self, *, epochs: int, **options: Any) -> ScratchEvaluator:
        """An evaluator that trains networks of :attr:`trained_shape`, each on its own.

        Args:
            epochs: of training.
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
        """An evaluator with a supernet, whose weights all candidates share.

        Args:
            make_net: called with :attr:`trained_shape`; the network takes images and architecture.
        """
        return SupernetEvaluator(
            self.settings,
            self.info,
            self.network_costs,
            make_net=partial(make_net, **self.trained_shape),
            n_choices=self.n_choices,
            decode=self.decode,
            on_progress=self.callbacks.on_progress,
        )
