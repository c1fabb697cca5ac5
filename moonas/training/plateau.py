"""A learning rate that falls when the score on held-out images stops improving."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

FACTOR = 0.1  # by which the learning rate falls
PATIENCE = 2  # epochs without an improvement that change nothing; the next one does


class Plateau:
    """A learning rate for PyTorch's ReduceLROnPlateau, whose state can be saved as tensors.

    Args:
        rate: initial learning rate.
    """

    def __init__(self, rate: float) -> None:
        self._optimizer = torch.optim.SGD([torch.zeros(1)], lr=rate)
        self._schedule = ReduceLROnPlateau(self._optimizer, factor=FACTOR, patience=PATIENCE)

    @property
    def rate(self) -> float:
        """Current learning rate."""
        rate: float = self._optimizer.param_groups[0]["lr"]
        return rate

    def step(self, score: float) -> None:
        """Lower the rate if the score has not improved for some epochs.

        Args:
            score: score after an epoch, lower is better; NaN counts as no improvement.
        """
        self._schedule.step(math.inf if math.isnan(score) else score)

    def state(self) -> dict[str, Tensor]:
        """Return the state as a flat dict of tensors."""
        s = self._schedule
        values = [self.rate, float(s.best), float(s.num_bad_epochs)]
        return {"plateau": torch.tensor(values, dtype=torch.float64)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore a state that :meth:`state` returned."""
        rate, best, bad = state["plateau"].tolist()
        self._optimizer.param_groups[0]["lr"] = rate
        self._schedule.best, self._schedule.num_bad_epochs = best, int(bad)
