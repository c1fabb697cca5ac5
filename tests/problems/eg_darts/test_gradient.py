"""Equations 4 to 10 of EG-DARTS, compared with closed forms or hand-computed values."""

import math

import numpy as np
import pytest
import torch
from moonas.problems.eg_darts import cell_space
from moonas.problems.eg_darts.gradient import (
    DISPLACEMENT,
    enhancement,
    enhancement_of_changes,
    first_order,
    second_order,
    slope,
)
from moonas.problems.eg_darts.relaxed_network import RelaxedNetwork
from torch.func import functional_call
from torch.nn import functional as F

from moonas.nets.randomness import initial_weights

RATE = 0.3  # learning rate of the weight update


class QuadraticProblem:
    """A quadratic problem: training loss (w - M a)' A (w - M a) / 2 with weights w and architecture
    parameters a, and validation loss (w - t)' B (w - t) / 2 + a' C a / 2."""

    def __init__(self, seed=0, n=4, k=3):
        rng = torch.Generator().manual_seed(seed)

        def normal_sample(*shape):
            return torch.randn(*shape, generator=rng, dtype=torch.float64)

        def positive_definite(m):
            root = normal_sample(m, m)
            return root @ root.T + torch.eye(m, dtype=torch.float64)

        self.A, self.B, self.C = positive_definite(n), positive_definite(n), positive_definite(k)
        self.M, self.t = normal_sample(n, k), normal_sample(n)
        self.w = normal_sample(n).requires_grad_()
        self.a = normal_sample(k).requires_grad_()
        self.visited = []  # weights of each training loss

    def training(self):
        self.visited.append(self.w.detach().clone())
        gap = self.w - self.M @ self.a
        return gap @ self.A @ gap / 2

    def validation(self):
        gap = self.w - self.t
        return gap @ self.B @ gap / 2 + self.a @ self.C @ self.a / 2

    def closed_form(self):
        """Gradient for a of the validation loss at the updated weights w - RATE A (w - M a)."""
        w, a = self.w.detach(), self.a.detach()
        ahead = w - RATE * self.A @ (w - self.M @ a)
        return self.C @ a + RATE * self.M.T @ self.A @ self.B @ (ahead - self.t)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_second_order_equals_the_closed_form_of_a_quadratic_problem(seed, exact):
    problem = QuadraticProblem(seed)
    losses = problem.validation, problem.training
    _, gradient = second_order(*losses, [problem.w], problem.a, RATE, exact)
    assert torch.allclose(gradient, problem.closed_form(), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_second_order_equals_autograd_through_the_weight_update(seed):
    problem = QuadraticProblem(seed)
    w = problem.w
    (downhill,) = torch.autograd.grad(problem.training(), w, create_graph=True)
    problem.w = w - RATE * downhill
    (exact,) = torch.autograd.grad(problem.validation(), problem.a)
    problem.w = w
    _, gradient = second_order(problem.validation, problem.training, [problem.w], problem.a, RATE)
    assert torch.allclose(gradient, exact, rtol=1e-8, atol=1e-8)


def test_the_finite_difference_displaces_weights_by_the_displacement_in_both_directions():
    problem = QuadraticProblem()
    losses = problem.validation, problem.training
    second_order(*losses, [problem.w], problem.a, RATE, exact=False)
    here, plus, minus = problem.visited
    assert torch.allclose((plus + minus) / 2, here)
    assert (plus - minus).norm() == pytest.approx(2 * DISPLACEMENT, rel=1e-9)


def test_second_order_is_exact_for_a_relaxed_network():
    """The reference differentiates through the weight update of a network in float64."""
    rng = torch.Generator().manual_seed(0)
    n_operations = len(cell_space.OPERATIONS)
    candidates = np.tile(np.arange(n_operations), (2, 14, 1))
    shape = dict(channels=2, layers=3, n_classes=4, in_channels=1, image_size=8)
    with initial_weights("relaxed"):
        net = RelaxedNetwork(candidates, **shape).double()
    weights = {name: w for name, w in net.named_parameters() if w.requires_grad}
    alphas = torch.randn(2, 14, n_operations, generator=rng, dtype=torch.float64)
    alphas.requires_grad_()
    batches = [
        (
            torch.randn(6, 1, 8, 8, generator=rng, dtype=torch.float64),
            torch.randint(4, (6,), generator=rng),
        )
        for _ in range(2)
    ]

    def loss(batch, values=None):
        images, labels = batches[batch]
        arguments = (images, alphas.softmax(-1))
        logits = net(*arguments) if values is None else functional_call(net, values, arguments)
        return F.cross_entropy(logits, labels)

    gradients = torch.autograd.grad(
        loss(0), list(weights.values()), create_graph=True, allow_unused=True
    )
    ahead = {
        name: w if g is None else w - RATE * g
        for (name, w), g in zip(weights.items(), gradients, strict=True)
    }
    expected_loss = loss(1, ahead)
    (expected,) = torch.autograd.grad(expected_loss, alphas)
    arguments = (lambda: loss(1)), (lambda: loss(0)), list(weights.values()), alphas, RATE
    found, gradient = second_order(*arguments)
    assert float(found) == pytest.approx(expected_loss.item(), rel=1e-10)
    error = (gradient - expected).norm() / expected.norm()
    _, approximate = second_order(*arguments, exact=False)
    assert error < 1e-9 < (approximate - expected).norm() / expected.norm()


@pytest.mark.parametrize("exact", [True, False])
def test_second_order_returns_the_loss_after_the_weight_update_and_restores_the_weights(exact):
    problem = QuadraticProblem()
    before = problem.w.detach().clone()
    losses = problem.validation, problem.training
    loss, _ = second_order(*losses, [problem.w], problem.a, RATE, exact)
    assert torch.equal(problem.w, before)
    ahead = before - RATE * problem.A @ (before - problem.M @ problem.a.detach())
    gap, a = ahead - problem.t, problem.a.detach()
    assert float(loss) == pytest.approx(float(gap @ problem.B @ gap / 2 + a @ problem.C @ a / 2))


def test_weights_are_restored_if_a_loss_function_raises_an_error():
    problem = QuadraticProblem()
    before = problem.w.detach().clone()

    def fails():
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        second_order(fails, problem.training, [problem.w], problem.a, RATE)
    assert torch.equal(problem.w, before)


def test_first_order_equals_second_order_with_learning_rate_zero():
    problem = QuadraticProblem()
    loss, gradient = first_order(problem.validation, problem.a)
    assert torch.allclose(gradient, problem.C @ problem.a.detach())
    second_loss, second_gradient = second_order(
        problem.validation, problem.training, [problem.w], problem.a, 0.0
    )
    assert torch.equal(gradient, second_gradient) and loss == second_loss


def test_second_order_equals_first_order_if_the_validation_loss_ignores_the_weights():
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
    assert slope(x + 1e6, y) == pytest.approx(printed, rel=1e-6)  # numbers of parameters are large


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
def test_phi_and_the_color_of_the_gradient_equal_hand_computed_values(case):
    x, y, line, step, phi, red = HISTORIES[case]
    if line is not None:
        assert slope(x, y) == pytest.approx(line)
    if step is not None:
        assert (y[-1] - y[-2]) / (x[-1] - x[-2]) == pytest.approx(step)
    if phi is None:
        phi = abs(step / slope(x, y))
    assert enhancement(x, y, math.inf) == (pytest.approx(phi), red)
    limited, still_red = enhancement(x, y, 0.3)
    assert limited == pytest.approx(min(phi, 0.3)) and still_red is red
    assert limited >= 0  # the gradient keeps its sign


def test_phi_equals_the_limit_if_the_slope_is_zero():
    assert slope([0, 2, 1], [1, 1, 0.5]) == 0
    assert enhancement([0, 2, 1], [1, 1, 0.5], 0.7) == (0.7, True)
    assert enhancement([0, 2, 1], [1, 1, 1.5], 0.7) == (0.0, False)
    assert enhancement([0, 2, 1], [1, 1, 1], 0.7) == (0.0, False)


@pytest.mark.parametrize("scale", [(1e6, 1), (1, 1e-3), (1e4, 1e3)])
def test_phi_does_not_depend_on_the_units_of_loss_and_complexity(scale):
    for x, y, *_ in HISTORIES.values():
        scaled = [v * scale[0] for v in x], [v * scale[1] for v in y]
        phi, red = enhancement(x, y, 2.0)
        assert enhancement(*scaled, 2.0) == (pytest.approx(phi), red)


# (changes of complexity, changes of loss, theta_1, slope of the last step, Phi, red)
CHANGES = {
    "smaller and better, steeper than the line": ([-2, -1], [-2, -3], 7 / 5, 3, 15 / 7, True),
    "smaller and better, against the line": ([2, -1], [-4, -1], -7 / 5, 1, 5 / 7, True),
    "smaller, with less loss than the line predicts": ([2, -1], [-4, 1], -9 / 5, -1, 5 / 9, True),
    "smaller, with the loss that the line predicts": ([2, -1], [-2, 1], -1, -1, 0, False),
    "smaller, with more loss than the line predicts": ([2, -1], [-2, 3], -7 / 5, -3, 0, False),
    "larger and better": ([-2, 1], [-2, -3], 1 / 5, -3, 0, False),
}


@pytest.mark.parametrize("case", CHANGES)
@pytest.mark.parametrize("scale", [(1, 1), (1e6, 1e-3)])
def test_phi_of_changes_equals_hand_computed_values(case, scale):
    x, y, line, step, phi, red = CHANGES[case]
    x, y = np.array(x, float), np.array(y, float)
    assert np.linalg.lstsq(x[:, None], y, rcond=None)[0] == pytest.approx(line)
    assert y[-1] / x[-1] == pytest.approx(step)
    x, y = x * scale[0], y * scale[1]
    assert enhancement_of_changes(x, y, math.inf) == (pytest.approx(phi), red)
    assert enhancement_of_changes(x, y, 0.3) == (pytest.approx(min(phi, 0.3)), red)


@pytest.mark.parametrize(("x", "y"), [([], []), ([-1], [-1]), ([0, 0], [1, -1])])
def test_changes_without_a_line_have_no_enhancement(x, y):
    assert enhancement_of_changes(x, y, 1.0) == (0.0, False)
