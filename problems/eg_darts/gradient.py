"""Gradients of architecture parameters: first order, second order (eq. 4), enhanced (eqs. 5-10)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

DISPLACEMENT = 0.01  # norm of the displacement of the weights in eq. 4 (text below eq. 4)

Loss = Callable[[], Tensor]  # function that computes a 0-dimensional loss


def first_order(validation_loss: Loss, alphas: Tensor) -> tuple[Tensor, Tensor]:
    """Return the validation loss and its gradient with respect to ``alphas``, for fixed weights.

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
    exact: bool = True,
) -> tuple[Tensor, Tensor]:
    """Return the validation loss after one weight update, and its gradient for ``alphas`` (eq. 3).

    The gradient has a term with the second derivative of the training loss for ``alphas`` and
    ``weights``, times the gradient of the validation loss for the updated weights. It is computed
    by differentiating twice, or approximated by the finite difference of eq. 4. In relaxed networks
    with the displacement of DARTS, this approximation has a relative error of about one half.

    The paper uses the letter epsilon both for the learning rate of the weight update, which
    multiplies the finite difference, and for the displacement of the weights in the finite
    difference. They are different numbers (DARTS, eq. 8): here the difference of two gradients is
    multiplied by the learning rate and divided by twice the displacement.

    Args:
        validation_loss: function that returns a 0-dimensional loss that depends on ``alphas`` and
            ``weights``.
        training_loss: function that returns the loss of training images, which depends on the same
            tensors.
        weights: parameters of the network; the function restores their exact values.
        alphas: architecture parameters, which require a gradient.
        learning_rate: learning rate of the weight update.
        exact: whether to differentiate twice instead of using the finite difference.

    Returns:
        Loss and gradient, both detached.
    """
    before = [w.detach().clone() for w in weights]
    try:
        training_gradients = _gradients(training_loss(), weights)
        _displace(weights, before, training_gradients, -learning_rate)
        loss = validation_loss()
        gradient, *validation_gradients = _gradients(loss, [alphas, *weights])
        if exact:
            _displace(weights, before, before, 0)
            product = _mixed_derivative(training_loss(), weights, validation_gradients, alphas)
            return loss.detach(), gradient - learning_rate * product
        norm = math.sqrt(sum(float((g * g).sum()) for g in validation_gradients))
        if norm == 0:  # the validation loss does not depend on the weights
            return loss.detach(), gradient
        epsilon = DISPLACEMENT / norm
        shifted_gradients = []
        for sign in (1, -1):
            _displace(weights, before, validation_gradients, sign * epsilon)
            shifted_gradients += _gradients(training_loss(), [alphas])
        return loss.detach(), gradient - learning_rate * (
            shifted_gradients[0] - shifted_gradients[1]
        ) / (2 * epsilon)
    finally:
        _displace(weights, before, before, 0)


def _mixed_derivative(
    loss: Tensor, weights: Sequence[Tensor], vectors: Sequence[Tensor], alphas: Tensor
) -> Tensor:
    """Return the derivative for ``alphas`` of the product of a loss's gradient with vectors.

    Args:
        loss: 0-dimensional loss.
        weights: tensors for which the gradient is taken.
        vectors: one constant tensor for each of these tensors.
        alphas: tensor of the second derivative.
    """
    gradients = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
    products = [(g * v).sum() for g, v in zip(gradients, vectors, strict=True) if g is not None]
    total = torch.stack(products).sum() if products else loss * 0
    if not total.requires_grad:  # the gradient does not depend on alphas
        return torch.zeros_like(alphas)
    return _gradients(total, [alphas])[0]


def _gradients(loss: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradient of a loss for each tensor; zeros if the loss does not depend on it."""
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
    """Set weights to ``start + length * direction``; exactly to ``start`` if length is 0."""
    for w, s, d in zip(weights, start, direction, strict=True):
        w.copy_(s if length == 0 else s + length * d)


def slope(complexities: Sequence[float], losses: Sequence[float]) -> float:
    """Return theta_1 of eq. 6: the slope of the least-squares line of loss over complexity.

    Args:
        complexities: (m,) complexities of the last m architecture steps.
        losses: (m,) validation losses of the same steps.

    Returns:
        The slope; NaN for fewer than two steps or equal complexities.
    """
    x, y = np.asarray(complexities, float), np.asarray(losses, float)
    if len(x) < 2 or np.ptp(x) == 0:
        return math.nan
    x, y = x - x.mean(), y - y.mean()  # equals eq. 6, which is inaccurate for large x
    return float(x @ y / (x @ x))


def enhancement(
    complexities: Sequence[float], losses: Sequence[float], limit: float
) -> tuple[float, bool]:
    """Return Phi of eqs. 5 to 10; the enhanced architecture gradient is multiplied by 1 + Phi.

    The implementation deviates from the printed formulas:

    - Eq. 7 divides the change of the complexity by the change of the loss, but eq. 10 compares the
      result with theta_1, the change of the loss divided by the change of the complexity. Here
      both slopes have the unit of theta_1, as eqs. 9 and 10 require.
    - Eqs. 7 and 10 describe a step by its slope, which is positive both if loss and complexity fell
      and if both rose. Here a gradient is red only if the complexity fell, as in the text below
      eq. 6: "in the direction of low network complexity". That text also favors high loss, which
      contradicts figure 1 and the aim of the method.
    - If theta_1 > 0, the first line of eq. 10 makes a gradient red if the slope of the step is
      between 0 and theta_1, and the second line makes the same gradient black. Here it is red if
      the complexity fell, because then the loss fell as well.
    - Eq. 9 divides by theta_1, which is usually negative, so the gradient would shrink or change
      its sign. Here eq. 9 divides by the absolute value of theta_1.
    - Phi has an upper limit. Phi is 0 if theta_1 is undefined: for fewer than two steps, or for
      steps of equal complexity. Phi equals the limit if theta_1 = 0 and the loss fell.

    Args:
        complexities: (m,) complexities of the last m architecture steps, the newest last.
        losses: (m,) validation losses of the same steps.
        limit: largest Phi, at least 0.

    Returns:
        Phi, and whether the gradient is red; Phi is 0 if it is not red.
    """
    theta_1 = slope(complexities, losses)
    if math.isnan(theta_1):
        return 0.0, False
    return _phi(complexities[-1] - complexities[-2], losses[-1] - losses[-2], theta_1, limit)


def enhancement_of_changes(
    complexities: Sequence[float], losses: Sequence[float], limit: float
) -> tuple[float, bool]:
    """Return Phi of eqs. 5 to 10 for steps of which only the changes are comparable.

    The losses before and after a step are of the same batch, but different steps have different
    batches and weights. So a line through the origin is fitted to the changes: theta_1 is the
    least-squares slope of the change of the loss over the change of the complexity. Otherwise as
    :func:`enhancement`, with the same deviations from the printed formulas.

    Args:
        complexities: (m,) changes of the complexity in the last m architecture steps, the newest
            last.
        losses: (m,) changes of the validation loss in the same steps.
        limit: largest Phi, at least 0.

    Returns:
        Phi, and whether the gradient is red; Phi is 0 if it is not red, and for fewer than two
        steps.
    """
    x, y = np.asarray(complexities, float), np.asarray(losses, float)
    if len(x) < 2 or not x.any():
        return 0.0, False
    x = x / np.abs(x).max()  # avoids overflow and underflow of the squares
    return _phi(float(x[-1]), float(y[-1]), float(x @ y / (x @ x)), limit)


def _phi(dx: float, dy: float, theta_1: float, limit: float) -> tuple[float, bool]:
    """Return Phi, and whether the gradient is red, for a step that changes complexity and loss.

    Args:
        dx: change of the complexity.
        dy: change of the loss.
        theta_1: slope of the line of loss over complexity.
        limit: largest Phi.
    """
    if not dx < 0:
        return 0.0, False
    step_slope = dy / dx
    if not (step_slope > theta_1 or step_slope > 0):
        return 0.0, False
    if theta_1 == 0:
        return limit, True
    return min(abs(step_slope / theta_1), limit), True
