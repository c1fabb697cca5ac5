import numpy as np
import pytest

from moonas.metrics import kernel_distance


def brute_force(X, Y, degree=3):
    """Return the unbiased squared maximum mean discrepancy, summed over pairs in Python."""

    def kernel(x, y):
        return (sum(a * b for a, b in zip(x, y, strict=True)) / len(x) + 1) ** degree

    n, m = len(X), len(Y)
    real = sum(kernel(X[i], X[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    fake = sum(kernel(Y[i], Y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return real + fake - 2 * sum(kernel(x, y) for x in X for y in Y) / (n * m)


def test_the_distance_of_two_pairs_of_numbers_equals_the_result_by_hand():
    # kernels: (1 * 2 + 1)^3 = 27 and (0 * 3 + 1)^3 = 1; between: 1, 64, 1, 343
    mean, std = kernel_distance([[1], [2]], [[0], [3]])
    assert mean == pytest.approx(27 + 1 - 2 * (1 + 64 + 1 + 343) / 4) and std == 0


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_the_distance_equals_a_sum_over_pairs(degree):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(9, 4)), rng.normal(0.5, 2, size=(9, 4))
    mean, _ = kernel_distance(X, Y, degree=degree)
    assert mean == pytest.approx(brute_force(X, Y, degree), rel=1e-12)


def test_the_mean_distance_of_samples_of_the_same_distribution_is_0():
    rng = np.random.default_rng(1)
    distances = [
        kernel_distance(rng.normal(size=(40, 3)), rng.normal(size=(40, 3)))[0] for _ in range(200)
    ]
    error = np.std(distances) / np.sqrt(len(distances))
    assert abs(np.mean(distances)) < 4 * error and min(distances) < 0 < max(distances)


@pytest.mark.parametrize("n", [10, 100])
def test_the_mean_distance_of_shifted_normal_samples_is_13_for_any_number_of_images(n):
    """The moments of t = x . y / 2 are 0, 1/2, 0 for real images, whose mean is (0, 0).

    They are 1, 5/2, 7 for generated images, whose mean is (1, 1), and 0, 1, 0 between both, so the
    means of (t + 1)^3 are 2.5, 18.5 and 4.
    """
    rng = np.random.default_rng(2)
    distances = [
        kernel_distance(rng.normal(size=(n, 2)), rng.normal(1, 1, size=(n, 2)))[0]
        for _ in range(8_000 // n)
    ]
    error = np.std(distances) / np.sqrt(len(distances))
    assert abs(np.mean(distances) - (2.5 + 18.5 - 2 * 4)) < 4 * error < 4


def test_subsets_are_averaged_and_reproducible():
    rng = np.random.default_rng(3)
    X, Y = rng.normal(size=(50, 3)), rng.normal(0.3, 1, size=(60, 3))
    mean, std = kernel_distance(X, Y, subsets=100, subset_size=20)
    assert std > 0 and mean == pytest.approx(kernel_distance(X, Y, subset_size=50)[0], abs=0.1)
    assert kernel_distance(X, Y, subsets=100, subset_size=20) == (mean, std)
    assert kernel_distance(X, Y, subsets=100, subset_size=20, seed=1) != (mean, std)


@pytest.mark.parametrize(
    ("X", "Y", "options", "message"),
    [
        (np.zeros((3, 2)), np.zeros((3, 4)), {}, "real images have 2 features.* have 4"),
        (np.zeros((1, 2)), np.zeros((3, 2)), {}, "at least 2 images, got 1"),
        (np.full((3, 2), np.nan), np.zeros((3, 2)), {}, "expected finite numbers"),
        (np.zeros((3, 2)), np.zeros((3, 2)), dict(subset_size=1), "subset_size=1"),
        (np.zeros((3, 2)), np.zeros((3, 2)), dict(subsets=0), "subsets=0"),
    ],
)
def test_invalid_features_and_options_raise_clear_errors(X, Y, options, message):
    with pytest.raises(ValueError, match=message):
        kernel_distance(X, Y, **options)
