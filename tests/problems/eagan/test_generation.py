from dataclasses import replace

import numpy as np
import pytest
import torch
from moonas.problems.eagan.generation import (
    MAX_FIDS,
    ImageQuality,
    quality_columns,
)
from moonas.problems.eagan.settings import ImageQualitySettings

from moonas.data import describe, load
from moonas.data.images import DataInfo
from moonas.metrics.features import denormalize
from moonas.metrics.frechet import FrechetDistance, moments
from moonas.nets.devices import resolve_device
from moonas.nets.randomness import generator

N_IMAGES = 300  # per evaluation


@pytest.fixture(scope="module")
def settings(tiny):
    return ImageQualitySettings(score_images=N_IMAGES, device=tiny["device"])


@pytest.fixture(scope="module")
def quality(settings):
    return load_quality(settings)


def load_quality(settings, **options):
    quality = ImageQuality(settings, describe("digits"), resolve_device(settings.device), **options)
    quality.load()
    return quality


def evaluate(quality, images):
    """Evaluate images as if a generator had produced them; latent vectors are their indices."""
    images = images.to(quality.device)
    indices = torch.arange(len(images), dtype=torch.float32, device=quality.device)[:, None]
    return quality.evaluate(lambda z: images[z[:, 0].long()], indices)


def noise_images(n=N_IMAGES):
    return 2 * torch.rand(n, 1, 8, 8, generator=generator(0, "noise")) - 1


def images_of_test_set():
    """Return the images of the test set, with pixels in [-1, 1]."""
    data = load("digits")
    return 2 * denormalize(data, data.test_images.tensor()) - 1


def test_images_are_the_whole_training_set_scaled_to_minus_1_to_1(quality):
    images, data = quality.images.tensor().cpu(), load("digits")
    assert images.shape == (1437, 1, 8, 8) and quality.classes == data.classes
    assert images.min() == -1 and images.max() == 1
    torch.testing.assert_close(((images + 1) / 2 - data.mean) / data.std, data.images.tensor())


def test_the_training_images_have_an_fid_of_0(quality):
    scores = evaluate(quality, quality.images.tensor())
    assert 0 <= scores["fid"] < 1e-3
    counts = torch.bincount(load("digits").labels) / 1437
    np.testing.assert_allclose(scores["shares"], counts, atol=0.01)
    assert 1 / scores["inverse_is"] > 8  # of 10 classes


def test_fid_increases_with_the_share_of_noise(quality):
    mixed = [
        images_of_test_set() + share * (noise_images(360) - images_of_test_set())
        for share in (0, 0.1, 0.2, 0.4)
    ]
    fids = [evaluate(quality, images)["fid"] for images in mixed]
    assert fids == sorted(fids) and fids[0] < 1 and fids[-1] > 10


def test_fid_increases_with_the_number_of_missing_classes(quality):
    images, labels = quality.images.tensor().cpu(), load("digits").labels
    fids = [evaluate(quality, images[labels < k])["fid"] for k in (9, 5, 2, 1)]
    assert fids == sorted(fids) and fids[-1] > 10


def test_fid_equals_the_frechet_distance_of_the_extracted_features(quality):
    features, _ = quality.extract((quality.images.tensor() + 1) / 2)
    generated, _ = quality.extract((noise_images().to(quality.device) + 1) / 2)
    expected = min(FrechetDistance(moments(features))(generated), MAX_FIDS["classifier"])
    assert evaluate(quality, noise_images())["fid"] == pytest.approx(expected, rel=1e-3)


def test_identical_images_have_nan_scores(quality):
    scores = evaluate(quality, quality.images[:1].repeat(N_IMAGES, 1, 1, 1))
    assert np.isnan(scores["fid"]) and np.isnan(scores["inverse_is"])


def test_nearly_identical_images_have_an_inception_score_of_1_and_one_class(quality):
    scores = evaluate(quality, quality.images[:1].cpu() + 0.02 * noise_images())
    assert scores["inverse_is"] == pytest.approx(1, abs=1e-4)
    assert sorted(scores["shares"])[-2:] == [0, 1]
    assert evaluate(quality, images_of_test_set())["fid"] < scores["fid"] <= MAX_FIDS["classifier"]


def test_fid_is_at_most_its_worst_value(quality):
    assert evaluate(quality, 1e4 * noise_images())["fid"] == MAX_FIDS["classifier"]


def test_the_shares_of_all_classes_sum_to_1(quality):
    for images in (images_of_test_set(), noise_images(), noise_images(2)):
        shares = evaluate(quality, images)["shares"]
        assert shares.shape == (10,) and shares.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    "value", [torch.nan, torch.inf, 3e38]
)  # pixels of 3e38 make the features overflow
def test_a_single_image_with_non_finite_pixels_makes_the_scores_nan(quality, value):
    images = noise_images()
    images[7] = value
    scores = evaluate(quality, images)
    assert np.isnan([scores["fid"], scores["inverse_is"]]).all() and len(scores["shares"]) == 0


def test_scores_do_not_depend_on_the_batch_size(settings, quality):
    with_batches_of_7 = load_quality(replace(settings, score_batch=7))
    scores, scores_with_batches_of_7 = (
        evaluate(quality, images_of_test_set()),
        evaluate(with_batches_of_7, images_of_test_set()),
    )
    assert scores["fid"] == pytest.approx(scores_with_batches_of_7["fid"], rel=1e-4)
    assert scores["inverse_is"] == pytest.approx(scores_with_batches_of_7["inverse_is"], rel=1e-4)


def test_the_inception_score_is_the_mean_over_the_splits(settings, quality):
    # the digits 0, 1 and some of the digits 2, in this order
    images_by_class = quality.images.tensor().cpu()[load("digits").labels.argsort()][:N_IMAGES]
    one_split = evaluate(quality, images_by_class)["inverse_is"]
    three_splits = evaluate(load_quality(replace(settings, is_splits=3)), images_by_class)[
        "inverse_is"
    ]
    assert one_split < three_splits  # each split contains fewer classes


def test_fid_relative_to_the_test_set_leaves_the_training_images_unchanged(settings, quality):
    test_quality = load_quality(settings, use_test_set=True)
    assert (
        evaluate(test_quality, images_of_test_set())["fid"]
        < 1e-3
        < evaluate(quality, images_of_test_set())["fid"]
    )
    assert torch.equal(test_quality.images.tensor(), quality.images.tensor())


def test_a_second_call_of_load_does_nothing(quality):
    images, distance = quality.images, quality.distance
    quality.load()
    assert quality.images is images and quality.distance is distance


def test_the_fingerprint_of_another_feature_network_is_rejected(settings, quality):
    fingerprint = quality.fingerprint
    assert fingerprint.dtype == torch.uint8 and fingerprint.shape == (32,)
    quality.check_fingerprint(fingerprint)
    fingerprint[0] ^= 1
    with pytest.raises(ValueError, match="evaluated with another digits classifier"):
        quality.check_fingerprint(fingerprint)


@pytest.mark.parametrize("name", ["digits", "/data/of mine/cells", "/data/of mine/cells/"])
def test_units_name_the_feature_network_and_upper_bounds_are_the_worst_values(name):
    info = DataInfo(name, 10, 1, 8 if name == "digits" else 32)
    fid, inverse_is = quality_columns(ImageQualitySettings(), info)
    unit = "digits classifier" if name == "digits" else "cells ResNet classifier"
    assert (fid.name, fid.unit, inverse_is.name, inverse_is.unit) == (
        *("fid", unit),
        *("inverse_is", unit),
    )
    assert (fid.worst, fid.bounds) == (200, (0, 200))
    assert (inverse_is.worst, inverse_is.bounds) == (1, (0, 1))
    fid, inverse_is = quality_columns(ImageQualitySettings(features="inception"), info)
    assert fid.unit == inverse_is.unit == "inception" and fid.worst == 1000


def test_units_name_the_size_of_resized_images():
    for name, side, text in (("digits", 16, "digits 16x16"), ("/some/cells", 8, "cells 8x8")):
        fid, _ = quality_columns(ImageQualitySettings(), DataInfo(name, 10, 1, side))
        assert fid.unit == f"{text} classifier"


def test_the_unit_of_the_columns_is_the_name_of_the_extractor(settings, quality):
    assert quality_columns(settings, quality.info)[0].unit == quality.extract.name


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(score_images=19, is_splits=10), "score_images=19 is invalid: expected at least 20"),
        (dict(score_images=1), "score_images=1 is invalid"),
        (dict(score_batch=1), "score_batch=1 is invalid"),
        (dict(is_splits=0), "is_splits=0 is invalid"),
        (dict(image_size=0), "image_size=0 is invalid"),
        (dict(features="vgg"), "features='vgg' is invalid: expected classifier, inception"),
        (dict(real_statistics="none.npz"), "real_statistics='none.npz' is invalid"),
    ],
)
def test_errors_about_invalid_settings_name_the_setting(options, message):
    with pytest.raises(ValueError, match=message):
        ImageQualitySettings(**options)
    ImageQualitySettings(score_images=20, is_splits=10)
