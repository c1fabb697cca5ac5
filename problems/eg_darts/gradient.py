"""Gradients of architecture parameters: first order, second order (eq. 4), enhanced (eqs. 5-10)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

DISPLACEMENT = 0.01  # norm of the displacement in the finite difference (text below eq. 4)

Loss = Callable[[], Tensor]  # returns a 0-dimensional loss


def first_order(validation_loss: Loss, alphas: Tensor) -> tuple[Tensor, Tensor]:
    """Return the validation loss and its gradient for fixed weights.

    Args:
        validation_loss: function that returns a 0-dimensional loss that depends on ``alphas``.
        alphas: architecture parameters, which require a gradient.

    Returns:
        Loss and gradient, both detached.
    """
    loss = validation_loss()
    (gradient,) = torch.autograd.grad(loss, [alphas])
    return loss.detach(), gradient


def second_order(
    validation_loss: Loss,
    training_loss: Loss,
    weights: Sequence[Tensor],
    alphas: Tensor,
    learning_rate: float,
) -> tuple[Tensor, Tensor]:
    """Return the validation loss after one step of the weights, and its gradient (eq. 4).

    The paper uses the letter epsilon both for the learning rate of the step, which multiplies the
    finite difference, and for the displacement within it. They are different numbers (DARTS,
    eq. 8): here the learning rate multiplies the difference of two gradients, which is divided by
    twice the displacement.

    Args:
        validation_loss: function that returns a 0-dimensional loss that depends on ``alphas`` and
            ``weights``.
        training_loss: the same for the training images.
        weights: parameters of the network; they are restored to the same bits.
        alphas: architecture parameters, which require a gradient.
        learning_rate: learning rate of the step.

    Returns:
        Loss and gradient, both detached.
    """
    before = [w.detach().clone() for w in weights]
    try:
        training_gradients = _gradients(training_loss(), weights)
        _displace(weights, before, training_gradients, -learning_rate)
        loss = validation_loss()
        gradient, *validation_gradients = _gradients(loss, [alphas, *weights])
        norm = math.sqrt(sum(float((g * g).sum()) for g in validation_gradients))
        if norm == 0:  # the validation loss does not depend on the weights
            return loss.detach(), gradient
        epsilon = DISPLACEMENT / norm
        sides = []
        for sign in (1, -1):
            _displace(weights, before, validation_gradients, sign * epsilon)
            sides += _gradients(training_loss(), [alphas])
        return loss.detach(), gradient - learning_rate * (sides[0] - sides[1]) / (2 * epsilon)
    finally:
        _displace(weights, before, before, 0)


def _gradients(loss: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients of a loss; zeros for tensors that it does not depend on."""
    gradients = torch.autograd.grad(loss, tensors, allow_unused=True)
    return [
        torch.zeros_like(t) if g is None else g for t, g in zip(tensors, gradients, strict=True)
    ]


@torch.no_grad()
def _displace(
    weights: Sequence[Tensor],
    start: Sequence[Tensor],
    direction: Sequence[Tensor],
    length: float,
) -> None:
    """Set weights to ``start + length * direction``, or to the bits of ``start`` if length is 0."""
    for w, s, d in zip(weights, start, direction, strict=True):
        w.copy_(s if length == 0 else s + length * d)


def slope(complexities: Sequence[float], losses: Sequence[float]) -> float:
    """Return theta_1 of eq. 6: the least-squares slope of loss over complexity.

    Args:
        complexities: (m,) complexities of the last m steps.
        losses: (m,) losses of the same steps.

    Returns:
        The slope; NaN for fewer than two steps or equal complexities.
    """
    x, y = np.asarray(complexities, float), np.asarray(losses, float)
    if len(x) < 2 or np.ptp(x) == 0:
        return math.nan
    x, y = x - x.mean(), y - y.mean()  # equals eq. 6, in which large x cancel
    return float(x @ y / (x @ x))


def enhancement(
    complexities: Sequence[float], losses: Sequence[float], limit: float
) -> tuple[float, bool]:
    """Return Phi of eqs. 5 to 10; the enhanced architecture gradient is multiplied by 1 + Phi.

    The implementation deviates from the printed formulas:

    - Eq. 7 divides complexity by loss, but its result is compared with theta_1, which is loss over
      complexity. Here both are loss over complexity, so that the units agree in this comparison
      and in the ratio of eq. 9.
    - Eqs. 7 and 10 describe a step by a ratio, whose sign is the same whether loss and complexity
      both fall or both rise. Here a gradient is red only if complexity has fallen, as in the text
      below eq. 6: "in the direction of low network complexity". That text continues with high
      loss, which contradicts figure 1 and the aim of the method.
    - If theta_1 > 0, the first line of eq. 10 makes slopes between 0 and theta_1 red, and the
      second line makes them black. Here they are red, because loss and complexity have both fallen.
    - Eq. 9 divides by theta_1, which is usually negative, so the gradient would shrink or change
      its sign. Here eq. 9 divides by the absolute value.
    - Phi has an upper limit. It is 0 if theta_1 is undefined: for fewer than two steps, or for
      steps of equal complexity. Phi equals the limit if theta_1 = 0.

    Args:
        complexities: (m,) complexities of the last m steps, the newest last.
        losses: (m,) losses of the same steps.
        limit: largest Phi, at least 0.

    Returns:
        Phi, and whether the gradient is red.
    """
    theta_1 = slope(complexities, losses)
    if math.isnan(theta_1):
        return 0.0, False
    dx, dy = complexities[-1] - complexities[-2], losses[-1] - losses[-2]
    if not dx < 0:
        return 0.0, False
    step_slope = dy / dx
    if not (step_slope > theta_1 or step_slope > 0):
        return 0.0, False
    if theta_1 == 0:
        return limit, True
    return min(abs(step_slope / theta_1), limit), True
