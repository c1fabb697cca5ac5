import numpy as np
import pytest
import scipy.linalg
import torch
from pytorch_fid.fid_score import calculate_frechet_distance

from moonas.metrics.frechet import FrechetDistance, moments

D = 20  # number of features
ROOT_TOLERANCE = 1e-6  # eigenvalues 0 are computed as about 1e-16, and their roots as 1e-8


def sample(n, d=D, seed=0, scale=1.0, shift=0.0):
    """Return (n, d) correlated normal features; their covariance is well conditioned if n >> d."""
    rng = np.random.default_rng(seed)
    mix = np.linalg.qr(rng.normal(size=(d, d)))[0] * rng.uniform(0.5, 2, d)
    return scale * rng.normal(size=(n, d)) @ mix.T + shift


def features_with_moments(n, mean, covariance, seed=0):
    """Return (n, d) features, n > d, with the given mean and covariance up to rounding errors."""
    X = sample(n, len(mean), seed)
    X = X - X.mean(axis=0)
    whitening = np.linalg.inv(np.linalg.cholesky(np.cov(X, rowvar=False)))
    return X @ whitening.T @ np.linalg.cholesky(covariance).T + mean


@pytest.fixture
def sqrtm_with_disp(monkeypatch):
    """Let SciPy's ``sqrtm`` accept ``disp``: pytorch-fid passes it, but SciPy 1.18 removed it."""
    sqrtm = scipy.linalg.sqrtm

    def with_disp(matrix, disp=True):
        return sqrtm(matrix) if disp else (sqrtm(matrix), None)

    monkeypatch.setattr("scipy.linalg.sqrtm", with_disp)


@pytest.mark.filterwarnings("ignore:Matrix is singular")  # of pytorch-fid
@pytest.mark.usefixtures("sqrtm_with_disp")
@pytest.mark.parametrize("n", [100, D + 1, D, D - 1, 2])
@pytest.mark.parametrize("n_real", [100, D + 1, D - 1, 2])
def test_the_distance_equals_the_distance_that_pytorch_fid_computes(n_real, n):
    real, fake = sample(n_real), sample(n, seed=1, scale=1.3, shift=0.2)
    expected = calculate_frechet_distance(
        real.mean(0), np.cov(real, rowvar=False), fake.mean(0), np.cov(fake, rowvar=False)
    )
    tolerance = 1e-12 if min(n_real, n) > D else ROOT_TOLERANCE
    assert FrechetDistance(moments(real))(fake) == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("n", [100, D + 1, D, D - 1, 2])
@pytest.mark.parametrize("n_real", [100, D - 1, 2])
def test_the_distance_equals_a_formula_with_singular_values(n_real, n):
    real, fake = sample(n_real), sample(n, seed=1, scale=1.3, shift=0.2)
    X, Y = real - real.mean(0), fake - fake.mean(0)
    trace = np.linalg.svd(X @ Y.T, compute_uv=False).sum() / np.sqrt((n_real - 1) * (n - 1))
    variances = (X**2).sum() / (n_real - 1) + (Y**2).sum() / (n - 1)
    expected = ((real.mean(0) - fake.mean(0)) ** 2).sum() + variances - 2 * trace
    assert FrechetDistance(moments(real))(fake) == pytest.approx(expected, rel=ROOT_TOLERANCE)


@pytest.mark.parametrize("n_real", [100, 12])
@pytest.mark.parametrize("n", [30, 8])
def test_constant_features_do_not_change_the_distance(n_real, n):
    real, fake = sample(n_real), sample(n, seed=1, scale=1.3)

    def padded(features):
        return np.hstack([features, np.full((len(features), 50), 3.0)])  # d > n

    expected = FrechetDistance(moments(real))(fake)
    assert FrechetDistance(moments(padded(real)))(padded(fake)) == pytest.approx(
        expected, rel=ROOT_TOLERANCE
    )


def test_the_distance_is_the_squared_distance_of_the_means_if_covariances_are_equal():
    real = sample(50)
    shift = np.arange(D) / 10
    distance = FrechetDistance(moments(real))
    assert distance(real + shift) == pytest.approx(shift @ shift)
    few = sample(9)
    assert FrechetDistance(moments(few))(few + shift) == pytest.approx(
        shift @ shift, rel=ROOT_TOLERANCE
    )


def test_diagonal_covariances_contribute_squared_differences_of_standard_deviations():
    s, t = np.array([1.0, 2.0, 0.5]), np.array([3.0, 2.0, 0.1])
    real = features_with_moments(40, np.zeros(3), np.diag(s**2))
    fake = features_with_moments(30, np.array([0.0, 1.0, 2.0]), np.diag(t**2), seed=1)
    expected = 5 + ((s - t) ** 2).sum()
    assert FrechetDistance(moments(real))(fake) == pytest.approx(expected)


def test_the_distance_is_exact_for_covariances_that_do_not_commute():
    # S1 S2 = [[4, 4], [1, 2]] has trace 6 and determinant 4, so its square root has trace
    # sqrt(6 + 2 sqrt(4))
    S1, S2 = np.diag([4.0, 1.0]), np.array([[1.0, 1.0], [1.0, 2.0]])
    real, fake = (
        features_with_moments(9, np.zeros(2), S1),
        features_with_moments(7, np.zeros(2), S2, seed=1),
    )
    assert FrechetDistance(moments(real))(fake) == pytest.approx(5 + 3 - 2 * np.sqrt(10))


def test_the_distance_between_two_pairs_of_images_equals_the_distance_computed_by_hand():
    def pair(length, axis):
        """Two images with three features; the variance along the axis is 2 length^2."""
        return np.outer([length, -length], np.eye(3)[axis])

    distance = FrechetDistance(moments(pair(3.0, 0)))
    assert distance(pair(1.0, 0)) == pytest.approx(2 * (3 - 1) ** 2)
    assert distance(pair(1.0, 1)) == pytest.approx(2 * 3**2 + 2 * 1**2)


@pytest.mark.parametrize("n", [100, D + 1, D - 1, 2])
def test_the_distance_of_real_images_to_themselves_is_0(n):
    real = sample(n)
    distance = FrechetDistance(moments(real))(real)
    assert 0 <= distance < ROOT_TOLERANCE * np.trace(np.cov(real, rowvar=False))


@pytest.mark.parametrize("n", [50, 8])
def test_the_distance_is_invariant_to_the_order_of_images_and_to_rotations_of_features(n):
    real, fake = sample(60), sample(n, seed=1)
    rotation = np.linalg.qr(sample(D, seed=2))[0]
    expected = pytest.approx(FrechetDistance(moments(real))(fake), rel=ROOT_TOLERANCE)
    assert FrechetDistance(moments(real[::-1]))(fake[::-1]) == expected
    assert FrechetDistance(moments(real @ rotation))(fake @ rotation) == expected


def test_covariances_are_computed_with_divisor_n_minus_1():
    features = sample(7)
    sample_moments = moments(features)
    covariance = sample_moments.covariance
    np.testing.assert_allclose(covariance, np.cov(features, rowvar=False), atol=1e-14)
    np.testing.assert_allclose(sample_moments.mean, features.mean(axis=0))
    assert sample_moments.n == 7
    assert moments(np.array([[0.0], [2.0]])).covariance == 2


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros((1, D)), "requires at least 2 images, got 1"),
        (np.zeros((0, D)), "requires at least 2 images, got 0"),
        (np.zeros(D), r"expected shape \(n, d\), got \(20,\)"),
        (np.zeros((4, D, 1)), r"expected shape \(n, d\), got \(4, 20, 1\)"),
        (np.full((4, D), np.nan), "expected finite numbers"),
        (np.full((4, D), np.inf), "expected finite numbers"),
    ],
)
def test_the_error_about_invalid_features_contains_the_reason(features, message):
    for use in (moments, FrechetDistance(moments(sample(30)))):
        with pytest.raises(ValueError, match=message):
            use(features)


def test_features_of_another_length_than_the_real_ones_are_rejected():
    distance = FrechetDistance(moments(np.eye(5, 4)))
    with pytest.raises(ValueError, match="expected 4 per image, as for the real images, got 3"):
        distance(np.eye(5, 3))


def test_tensors_of_any_type_are_features():
    features = np.random.default_rng(0).integers(0, 9, (8, 3))
    tensor = torch.tensor(features, dtype=torch.bfloat16, requires_grad=True)
    assert np.array_equal(moments(tensor).covariance, moments(features).covariance)
