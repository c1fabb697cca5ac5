import numpy as np
import pytest

from moonas.metrics import density_coverage, neighbors, precision_recall


def line(*points):
    """Return points on a line as features, (n, 1)."""
    return np.array(points, float)[:, None]


def brute_force(X, Y, k):
    """Return precision, recall, density and coverage, from distances computed in Python."""

    def distance(a, b):
        return np.sqrt(sum((a - b) ** 2))

    def radius(points, i):
        return sorted(distance(points[i], p) for j, p in enumerate(points) if j != i)[k - 1]

    real = [radius(X, i) for i in range(len(X))]
    fake = [radius(Y, i) for i in range(len(Y))]
    inside = np.array([[distance(x, y) <= r for y in Y] for x, r in zip(X, real, strict=True)])
    recalled = np.array([[distance(x, y) <= r for y, r in zip(Y, fake, strict=True)] for x in X])
    precision_and_recall = inside.any(axis=0).mean(), recalled.any(axis=1).mean()
    return (*precision_and_recall, inside.sum() / (k * len(Y)), inside.any(axis=1).mean())


def test_points_on_a_line_have_the_values_counted_by_hand():
    real, generated = line(0, 1, 2, 10), line(0.5, 1.5, 20)
    # balls of the real points for k=1: [-1, 1], [0, 2], [1, 3], [2, 18]
    # balls of the generated points for k=1: [-0.5, 1.5], [0.5, 2.5], [1.5, 38.5]
    assert precision_recall(real, generated, k=1) == pytest.approx((2 / 3, 1))
    # 0.5 is in 2 balls, 1.5 in 2 and 20 in none; the ball of 10 contains no generated point
    assert density_coverage(real, generated, k=1) == pytest.approx((4 / 3, 3 / 4))


def test_a_ball_contains_its_surface():
    real = line(0, 2, 4)
    assert precision_recall(real, line(-2, 6), k=1) == (1, 0.0 + 1)
    assert precision_recall(real, line(-2.01, -7), k=1)[0] == 0


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("block", [1, 64, 2**24])
def test_all_values_equal_those_of_brute_force(k, block, monkeypatch):
    monkeypatch.setattr(neighbors, "BLOCK_ELEMENTS", block)
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(23, 3)), rng.normal(0.7, 0.8, size=(17, 3))
    values = (*precision_recall(X, Y, k), *density_coverage(X, Y, k))
    assert values == pytest.approx(brute_force(X, Y, k))
    assert 0 < values[1] < values[0]


def test_images_equal_to_the_real_images_have_precision_recall_and_coverage_1():
    X = np.random.default_rng(0).normal(100, 1, size=(50, 8))
    assert precision_recall(X, X) == (1, 1)
    density, coverage = density_coverage(X, X)
    assert coverage == 1 and density == pytest.approx(6 / 5)  # the image itself and 5 neighbors


def test_samples_of_the_same_distribution_have_the_expected_coverage_and_density():
    rng = np.random.default_rng(0)
    n, k = 500, 5
    pairs = [
        density_coverage(rng.normal(size=(n, 2)), rng.normal(size=(n, 2)), k) for _ in range(8)
    ]
    density, coverage = np.mean(pairs, axis=0)
    # Naeem et al., lemma 2; for m = n, it is near 1 - 2^-k
    expected = 1 - np.prod([(n - i) / (2 * n - 1 - i) for i in range(1, k + 1)])
    assert coverage == pytest.approx(expected, abs=0.01) and density == pytest.approx(1, abs=0.05)


def test_half_of_the_modes_missing_lowers_recall_and_coverage_but_not_precision():
    rng = np.random.default_rng(0)
    real = np.concatenate([rng.normal(mode, 0.1, size=(100, 2)) for mode in (0, 10)])
    half, both = rng.normal(0, 0.1, size=(200, 2)), rng.permutation(real)[:100] + 0.01
    assert precision_recall(real, half)[0] > 0.95
    assert precision_recall(real, half)[1] < 0.51 and density_coverage(real, half)[1] < 0.51
    assert precision_recall(real, both)[1] > 0.9 and density_coverage(real, both)[1] > 0.9


@pytest.mark.parametrize("measure", [precision_recall, density_coverage])
@pytest.mark.parametrize(
    ("X", "Y", "k", "message"),
    [
        (np.zeros((3, 2)), np.zeros((9, 2)), 3, "k=3 requires at least 4"),
        (np.zeros((9, 2)), np.zeros((9, 2)), 0, "k=0 is invalid"),
        (np.zeros((9, 2)), np.zeros((9, 3)), 1, "real images have 2 features"),
        (np.zeros((9, 2)), np.full((9, 2), np.inf), 1, "expected finite numbers"),
    ],
)
def test_invalid_arguments_raise_clear_errors(measure, X, Y, k, message):
    with pytest.raises(ValueError, match=message):
        measure(X, Y, k)
