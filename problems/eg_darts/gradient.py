"""Gradients of architecture parameters: first order, second order (eq. 4), enhanced (eqs. 5-10)."""

import math

import numpy as np
import torch

STEP = 0.01  # the norm of the finite difference's displacement (below eq. 4)


def first_order(validation_loss, alphas):
    """The validation loss and its gradient at the weights as they are.

    Args:
        validation_loss: () -> 0-dimensional loss that depends on ``alphas``.
        alphas: tensor that requires a gradient.

    Returns:
        (loss, gradient), detached.
    """
    loss = validation_loss()
    (gradient,) = torch.autograd.grad(loss, [alphas])
    return loss.detach(), gradient


def second_order(validation_loss, training_loss, weights, alphas, rate):
    """The validation loss after one step of the weights, and its gradient through it (eq. 4).

    The paper writes one letter, epsilon, for the rate of the step in front of the difference and
    for the displacement in it; they are different numbers (DARTS, eq. 8): the rate stands in front,
    and the difference of two gradients that are 2 epsilon apart is divided by 2 epsilon.

    Args:
        validation_loss: () -> 0-dimensional loss that depends on ``alphas`` and ``weights``.
        training_loss: the same of the training images.
        weights: list of parameters; as they were, bit for bit, afterwards.
        alphas: tensor that requires a gradient.
        rate: learning rate of the step.

    Returns:
        (loss, gradient), detached.
    """
    before = [w.detach().clone() for w in weights]
    try:
        downhill = _gradients(training_loss(), weights)
        _place(weights, before, downhill, -rate)
        loss = validation_loss()
        gradient, *uphill = _gradients(loss, [alphas, *weights])
        norm = math.sqrt(sum(float((g * g).sum()) for g in uphill))
        if norm == 0:  # the weights do not matter
            return loss.detach(), gradient
        epsilon = STEP / norm
        sides = []
        for sign in (1, -1):
            _place(weights, before, uphill, sign * epsilon)
            sides += _gradients(training_loss(), [alphas])
        return loss.detach(), gradient - rate * (sides[0] - sides[1]) / (2 * epsilon)
    finally:
        _place(weights, before, before, 0)


def _gradients(loss, tensors):
    found = torch.autograd.grad(loss, tensors, allow_unused=True)
    return [torch.zeros_like(t) if g is None else g for t, g in zip(tensors, found, strict=True)]


@torch.no_grad()
def _place(weights, start, direction, length):
    for w, s, d in zip(weights, start, direction, strict=True):
        w.copy_(s if length == 0 else s + length * d)


def slope(complexities, losses):
    """theta_1 of eq. 6: the least-squares slope of loss over complexity; NaN without one.

    Args:
        complexities: (m,) of the last m steps.
        losses: (m,).
    """
    x, y = np.asarray(complexities, float), np.asarray(losses, float)
    if len(x) < 2 or np.ptp(x) == 0:
        return math.nan
    x, y = x - x.mean(), y - y.mean()  # the same as eq. 6, which cancels for large x
    return float(x @ y / (x @ x))


def enhancement(complexities, losses, limit):
    """Phi of eqs. 5 to 10, by which an architecture gradient grows: it is multiplied by 1 + Phi.

    Deviations from the printed formulas:

    - Eq. 7 divides complexity by loss, but is compared with theta_1, which is loss over complexity.
      Here both are loss over complexity, so that the comparison, and the ratio of eq. 9, have units
      that agree.
    - Eqs. 7 and 10 know a step by a ratio, whose sign is the same when loss and complexity both
      fall and when both rise. A gradient is red only where complexity has fallen, as the text below
      eq. 6 has it ("in the direction of low network complexity"; it goes on with high loss, which
      figure 1 and the aim of the method contradict).
    - Where theta_1 > 0, slopes between 0 and theta_1 are red by the first line of eq. 10 and black
      by the second. Here they are red: both numbers have fallen.
    - Eq. 9 divides by theta_1, which is negative as a rule: the gradient would shrink or turn
      round. Here it is divided by its absolute value.
    - Phi has a limit, and is 0 where there is no line: fewer than two steps, or all of the same
      complexity. A flat line (theta_1 = 0) gives the limit.

    Args:
        complexities: (m,) of the last m steps, the newest at the end.
        losses: (m,).
        limit: the largest Phi, 0 or more.

    Returns:
        (Phi, whether the gradient is red).
    """
    line = slope(complexities, losses)
    if math.isnan(line):
        return 0.0, False
    dx, dy = complexities[-1] - complexities[-2], losses[-1] - losses[-2]
    if not dx < 0:
        return 0.0, False
    step = dy / dx
    if not (step > line or step > 0):
        return 0.0, False
    if line == 0:
        return limit, True
    return min(abs(step / line), limit), True
