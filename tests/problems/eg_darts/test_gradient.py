"""Equations 4 to 10 of EG-DARTS, compared with closed forms or hand-computed values."""

import math

import numpy as np
import pytest
import torch
from moonas.problems.eg_darts.gradient import (
    DISPLACEMENT,
    enhancement,
    first_order,
    second_order,
    slope,
)

RATE = 0.3


class Bilevel:
    """L_train = (w - M a)' A (w - M a) / 2 and L_val = (w - t)' B (w - t) / 2 + a' C a / 2."""

    def __init__(self, seed=0, n=4, k=3):
        rng = torch.Generator().manual_seed(seed)

        def draw(*shape):
            return torch.randn(*shape, generator=rng, dtype=torch.float64)

        def positive(m):
            root = draw(m, m)
            return root @ root.T + torch.eye(m, dtype=torch.float64)

        self.A, self.B, self.C = positive(n), positive(n), positive(k)
        self.M, self.t = draw(n, k), draw(n)
        self.w = draw(n).requires_grad_()
        self.a = draw(k).requires_grad_()
        self.visited = []  # weights of each training loss

    def training(self):
        self.visited.append(self.w.detach().clone())
        gap = self.w - self.M @ self.a
        return gap @ self.A @ gap / 2

    def validation(self):
        gap = self.w - self.t
        return gap @ self.B @ gap / 2 + self.a @ self.C @ self.a / 2

    def closed_form(self):
        """d/da L_val(w - rate A (w - M a), a)."""
        w, a = self.w.detach(), self.a.detach()
        ahead = w - RATE * self.A @ (w - self.M @ a)
        return self.C @ a + RATE * self.M.T @ self.A @ self.B @ (ahead - self.t)


@pytest.mark.parametrize("seed", range(3))
def test_second_order_equals_the_closed_form_of_a_quadratic_problem(seed):
    toy = Bilevel(seed)
    _, gradient = second_order(toy.validation, toy.training, [toy.w], toy.a, RATE)
    assert torch.allclose(gradient, toy.closed_form(), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_second_order_equals_autograd_through_the_step(seed):
    toy = Bilevel(seed)
    w = toy.w
    (downhill,) = torch.autograd.grad(toy.training(), w, create_graph=True)
    toy.w = w - RATE * downhill
    (exact,) = torch.autograd.grad(toy.validation(), toy.a)
    toy.w = w
    _, gradient = second_order(toy.validation, toy.training, [toy.w], toy.a, RATE)
    assert torch.allclose(gradient, exact, rtol=1e-8, atol=1e-8)


def test_both_points_of_the_difference_are_two_epsilon_apart():
    toy = Bilevel()
    second_order(toy.validation, toy.training, [toy.w], toy.a, RATE)
    here, plus, minus = toy.visited
    assert torch.allclose((plus + minus) / 2, here)
    assert (plus - minus).norm() == pytest.approx(2 * DISPLACEMENT, rel=1e-9)


def test_the_loss_is_that_after_the_step_and_weights_are_restored():
    toy = Bilevel()
    before = toy.w.detach().clone()
    loss, _ = second_order(toy.validation, toy.training, [toy.w], toy.a, RATE)
    assert torch.equal(toy.w, before)
    ahead = before - RATE * toy.A @ (before - toy.M @ toy.a.detach())
    gap, a = ahead - toy.t, toy.a.detach()
    assert float(loss) == pytest.approx(float(gap @ toy.B @ gap / 2 + a @ toy.C @ a / 2))


def test_weights_are_restored_if_a_loss_raises():
    toy = Bilevel()
    before = toy.w.detach().clone()

    def fails():
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        second_order(fails, toy.training, [toy.w], toy.a, RATE)
    assert torch.equal(toy.w, before)


def test_first_order_equals_second_order_with_learning_rate_zero():
    toy = Bilevel()
    loss, gradient = first_order(toy.validation, toy.a)
    assert torch.allclose(gradient, toy.C @ toy.a.detach())
    again, same = second_order(toy.validation, toy.training, [toy.w], toy.a, 0.0)
    assert torch.equal(gradient, same) and loss == again


def test_a_loss_without_weights_has_the_first_order_gradient():
    a, w = torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)
    loss = lambda: (a**2).sum()  # noqa: E731
    _, gradient = second_order(loss, lambda: (w**2).sum() + a.sum(), [w], a, 0.5)
    assert gradient.tolist() == [2, 2]


def test_second_order_reaches_the_optimum_that_first_order_misses():
    """L_val = a w - 2 a + 1 and L_train = w^2 - 2 a w + a^2, whose optimum is a = w = 1 (DARTS)."""

    def descend(order, rate=0.5):
        w = torch.tensor([-2.0], dtype=torch.float64, requires_grad=True)
        a = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
        training = lambda: (w**2 - 2 * a * w + a**2).sum()  # noqa: E731
        validation = lambda: (a * w - 2 * a + 1).sum()  # noqa: E731
        for _ in range(400):
            if order == 1:
                _, gradient = first_order(validation, a)
            else:
                _, gradient = second_order(validation, training, [w], a, rate)
            with torch.no_grad():
                a -= 0.05 * gradient
                w.copy_(a)  # the solution of the inner problem
        return float(a.detach())

    assert descend(2) == pytest.approx(1, abs=1e-3)
    assert descend(1) == pytest.approx(2, abs=1e-3)


def test_the_slope_equals_equation_6():
    rng = np.random.default_rng(0)
    x, y = rng.random(7), rng.random(7)
    m = len(x)
    printed = (m * (x * y).sum() - x.sum() * y.sum()) / (m * (x**2).sum() - x.sum() ** 2)
    assert slope(x, y) == pytest.approx(printed)
    assert slope(x, y) == pytest.approx(np.polyfit(x, y, 1)[0])
    assert slope(x + 1e6, y) == pytest.approx(printed, rel=1e-6)  # params are large numbers


@pytest.mark.parametrize(
    ("x", "y"), [([], []), ([3], [1]), ([3, 3], [1, 2]), ([3, 3, 3], [1, 2, 4])]
)
def test_equal_complexities_have_no_slope_and_no_enhancement(x, y):
    assert math.isnan(slope(x, y))
    assert enhancement(x, y, 1.0) == (0.0, False)


# (complexities, losses, theta_1, slope of the last step, Phi without a limit, red)
HISTORIES = {
    "smaller, with less loss than the slope predicts": (
        [4, 2, 1],
        [0, 4, 5],
        -12 / 7,
        -1,
        7 / 12,
        True,
    ),
    "smaller, with more loss than the slope predicts": ([4, 2, 1], [0, 1, 5], -3 / 2, -4, 0, False),
    "smaller and better, although the slope is negative": (
        [4, 1, 0],
        [0, 9, 8],
        None,
        1,
        None,
        True,
    ),
    "larger and better": ([4, 2, 3], [0, 4, 1], -2, -3, 0, False),
    "larger and worse": ([4, 2, 3], [0, 4, 5], -2, 1, 0, False),
    "smaller and better, steeper than a positive slope": ([1, 3, 2], [0, 2, 0], 1, 2, 2, True),
    "smaller and better, flatter than a positive slope": (
        [1, 3, 2],
        [0, 2, 1.5],
        1,
        0.5,
        0.5,
        True,
    ),
    "smaller and worse, although the slope is positive": ([1, 3, 2], [0, 2, 3], 1, -1, 0, False),
    "smaller, with the same loss": ([4, 2, 1], [0, 4, 4], -10 / 7, 0, 0, True),
    "the same size": ([4, 2, 2], [0, 4, 3], None, None, 0, False),
}


@pytest.mark.parametrize("case", HISTORIES)
def test_phi_and_redness_match_hand_computed_values(case):
    x, y, line, step, phi, red = HISTORIES[case]
    if line is not None:
        assert slope(x, y) == pytest.approx(line)
    if step is not None:
        assert (y[-1] - y[-2]) / (x[-1] - x[-2]) == pytest.approx(step)
    if phi is None:
        phi = abs(step / slope(x, y))
    assert enhancement(x, y, math.inf) == (pytest.approx(phi), red)
    limited, same = enhancement(x, y, 0.3)
    assert limited == pytest.approx(min(phi, 0.3)) and same is red
    assert limited >= 0  # the gradient keeps its sign


def test_phi_equals_the_limit_if_the_slope_is_zero():
    assert slope([0, 2, 1], [1, 1, 0.5]) == 0
    assert enhancement([0, 2, 1], [1, 1, 0.5], 0.7) == (0.7, True)
    assert enhancement([0, 2, 1], [1, 1, 1.5], 0.7) == (0.0, False)
    assert enhancement([0, 2, 1], [1, 1, 1], 0.7) == (0.0, False)


@pytest.mark.parametrize("scale", [(1e6, 1), (1, 1e-3), (1e4, 1e3)])
def test_phi_does_not_depend_on_units(scale):
    for x, y, *_ in HISTORIES.values():
        scaled = [v * scale[0] for v in x], [v * scale[1] for v in y]
        phi, red = enhancement(x, y, 2.0)
        assert enhancement(*scaled, 2.0) == (pytest.approx(phi), red)
