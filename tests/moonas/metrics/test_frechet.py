import numpy as np
import pytest
from pytorch_fid.fid_score import calculate_frechet_distance

from moonas.metrics.frechet import FrechetDistance, moments

D = 20  # features
ROOT_OF_0 = 1e-6  # an eigenvalue 0 comes out as 1e-16 of the largest, its root as 1e-8, D of them


def draw(n, d=D, seed=0, scale=1.0, shift=0.0):
    """(n, d) correlated normal features; a covariance of them is well conditioned if n >> d."""
    rng = np.random.default_rng(seed)
    mix = np.linalg.qr(rng.normal(size=(d, d)))[0] * rng.uniform(0.5, 2, d)
    return scale * rng.normal(size=(n, d)) @ mix.T + shift


def with_moments(n, mean, covariance, seed=0):
    """(n, d) features, n > d, whose mean and covariance are these but for rounding."""
    X = draw(n, len(mean), seed)
    X = X - X.mean(axis=0)
    whitening = np.linalg.inv(np.linalg.cholesky(np.cov(X, rowvar=False)))
    return X @ whitening.T @ np.linalg.cholesky(covariance).T + mean


@pytest.mark.filterwarnings("ignore:.*disp", "ignore:Matrix is singular")  # pytorch-fid's own
@pytest.mark.parametrize("n", [300, D + 2, D + 1, D, D - 1, 8, 2])
@pytest.mark.parametrize("n_real", [300, D + 1, D - 1, 12, 2])
def test_it_is_the_distance_of_pytorch_fid(n_real, n):
    real, fake = draw(n_real), draw(n, seed=1, scale=1.3, shift=0.2)
    expected = calculate_frechet_distance(
        real.mean(0), np.cov(real, rowvar=False), fake.mean(0), np.cov(fake, rowvar=False)
    )
    tolerance = 1e-12 if min(n_real, n) > D else ROOT_OF_0
    assert FrechetDistance(moments(real))(fake) == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("n", [300, D + 1, D, D - 1, 2])
@pytest.mark.parametrize("n_real", [300, D - 1, 2])
def test_the_trace_of_the_root_is_the_sum_of_singular_values_between_the_images(n_real, n):
    real, fake = draw(n_real), draw(n, seed=1, scale=1.3, shift=0.2)
    X, Y = real - real.mean(0), fake - fake.mean(0)
    between = np.linalg.svd(X @ Y.T, compute_uv=False).sum() / np.sqrt((n_real - 1) * (n - 1))
    variances = (X**2).sum() / (n_real - 1) + (Y**2).sum() / (n - 1)
    expected = ((real.mean(0) - fake.mean(0)) ** 2).sum() + variances - 2 * between
    assert FrechetDistance(moments(real))(fake) == pytest.approx(expected, rel=ROOT_OF_0)


@pytest.mark.parametrize("n_real", [300, 12])
@pytest.mark.parametrize("n", [30, 8])
def test_features_that_never_vary_change_nothing_on_either_side_of_n_and_d(n_real, n):
    real, fake = draw(n_real), draw(n, seed=1, scale=1.3)

    def padded(features):
        return np.hstack([features, np.full((len(features), 50), 3.0)])  # d > n: the n x n form

    short = FrechetDistance(moments(real))(fake)
    assert FrechetDistance(moments(padded(real)))(padded(fake)) == pytest.approx(
        short, rel=ROOT_OF_0
    )


def test_equal_covariances_leave_the_squared_distance_of_the_means():
    real = draw(50)
    shift = np.arange(D) / 10
    distance = FrechetDistance(moments(real))
    assert distance(real + shift) == pytest.approx(shift @ shift)
    few = draw(9)
    assert FrechetDistance(moments(few))(few + shift) == pytest.approx(shift @ shift, rel=ROOT_OF_0)


def test_diagonal_covariances_add_the_squared_differences_of_the_deviations():
    s, t = np.array([1.0, 2.0, 0.5]), np.array([3.0, 2.0, 0.1])
    real = with_moments(40, np.zeros(3), np.diag(s**2))
    fake = with_moments(30, np.array([0.0, 1.0, 2.0]), np.diag(t**2), seed=1)
    expected = 5 + ((s - t) ** 2).sum()
    assert FrechetDistance(moments(real))(fake) == pytest.approx(expected)


def test_two_covariances_that_do_not_commute():
    # roots of S1 S2 = [[4, 4], [1, 2]]: its trace is 6 and its determinant 4, so they add to
    # sqrt(6 + 2 sqrt(4))
    S1, S2 = np.diag([4.0, 1.0]), np.array([[1.0, 1.0], [1.0, 2.0]])
    real, fake = with_moments(9, np.zeros(2), S1), with_moments(7, np.zeros(2), S2, seed=1)
    assert FrechetDistance(moments(real))(fake) == pytest.approx(5 + 3 - 2 * np.sqrt(10))


def test_two_images_on_a_line_against_two_on_the_same_line_and_across():
    def pair(length, axis):
        """Two images in three features: the variance along the axis is 2 length^2."""
        return np.outer([length, -length], np.eye(3)[axis])

    distance = FrechetDistance(moments(pair(3.0, 0)))
    assert distance(pair(1.0, 0)) == pytest.approx(2 * (3 - 1) ** 2)
    assert distance(pair(1.0, 1)) == pytest.approx(2 * 3**2 + 2 * 1**2)


@pytest.mark.parametrize("n", [300, D + 1, D - 1, 2])
def test_real_images_are_at_0_from_themselves_and_never_below(n):
    real = draw(n)
    found = FrechetDistance(moments(real))(real)
    assert 0 <= found < ROOT_OF_0 * np.trace(np.cov(real, rowvar=False))


@pytest.mark.parametrize("n", [50, 8])
def test_neither_the_order_of_images_nor_a_rotation_of_features_matters(n):
    real, fake = draw(60), draw(n, seed=1)
    rotation = np.linalg.qr(draw(D, seed=2))[0]
    expected = pytest.approx(FrechetDistance(moments(real))(fake), rel=ROOT_OF_0)
    assert FrechetDistance(moments(real[::-1]))(fake[::-1]) == expected
    assert FrechetDistance(moments(real @ rotation))(fake @ rotation) == expected


def test_covariances_are_divided_by_one_less_than_the_images():
    features = draw(7)
    found = moments(features)
    np.testing.assert_allclose(found.covariance, np.cov(features, rowvar=False), atol=1e-14)
    np.testing.assert_allclose(found.mean, features.mean(axis=0))
    assert found.n == 7
    assert moments(np.array([[0.0], [2.0]])).covariance == 2


@pytest.mark.parametrize(
    "features, words",
    [
        (np.zeros((1, D)), "wants 2 images at least; got 1"),
        (np.zeros((0, D)), "wants 2 images at least; got 0"),
        (np.zeros(D), r"Expected features \(n, d\); got shape \(20,\)"),
        (np.zeros((4, D, 1)), r"Expected features \(n, d\); got shape \(4, 20, 1\)"),
        (np.full((4, D), np.nan), "not finite"),
        (np.full((4, D), np.inf), "not finite"),
    ],
)
def test_features_that_have_no_covariance_are_refused_in_words(features, words):
    for use in (moments, FrechetDistance(moments(draw(30)))):
        with pytest.raises(ValueError, match=words):
            use(features)
