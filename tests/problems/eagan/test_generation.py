from dataclasses import replace

import numpy as np
import pytest
import torch
from moonas.problems.eagan.generation import (
    CEILINGS,
    Generation,
    generation_columns,
)
from moonas.problems.eagan.settings import GenerationSettings

from moonas.data import describe, load
from moonas.data.images import DataInfo
from moonas.metrics.features import pixels_of
from moonas.metrics.frechet import FrechetDistance, moments
from moonas.nets.devices import resolve_device
from moonas.nets.randomness import generator

N = 300  # images that are judged


@pytest.fixture(scope="module")
def settings(tiny):
    return GenerationSettings(score_images=N, device=tiny["device"])


@pytest.fixture(scope="module")
def generation(settings):
    return loaded(settings)


def loaded(settings, **options):
    found = Generation(settings, describe("digits"), resolve_device(settings.device), **options)
    found.load()
    return found


def judge(generation, images):
    """The scores of a 'generator' whose latent vectors are the numbers of its images."""
    images = images.to(generation.device)
    rows = torch.arange(len(images), dtype=torch.float32, device=generation.device)[:, None]
    return generation.evaluate(lambda z: images[z[:, 0].long()], rows)


def noise(n=N):
    return 2 * torch.rand(n, 1, 8, 8, generator=generator(0, "noise")) - 1


def unseen():
    """The images for the test, in [-1, 1]."""
    data = load("digits")
    return 2 * pixels_of(data, data.test_images) - 1


def test_images_to_train_on_are_all_those_to_search_with_from_minus_1_to_1(generation):
    images, data = generation.images.cpu(), load("digits")
    assert images.shape == (1437, 1, 8, 8) and generation.classes == data.classes
    assert images.min() == -1 and images.max() == 1
    torch.testing.assert_close(((images + 1) / 2 - data.mean) / data.std, data.images)


def test_the_real_images_themselves_are_at_0(generation):
    found = judge(generation, generation.images)
    assert 0 <= found["fid"] < 1e-3
    counts = torch.bincount(load("digits").labels) / 1437
    np.testing.assert_allclose(found["shares"], counts, atol=0.01)
    assert 1 / found["inverse_is"] > 8  # of 10 classes


def test_other_real_images_are_nearer_the_less_noise_is_in_them(generation):
    mixed = [unseen() + share * (noise(360) - unseen()) for share in (0, 0.1, 0.2, 0.4)]
    fids = [judge(generation, images)["fid"] for images in mixed]
    assert fids == sorted(fids) and fids[0] < 1 and fids[-1] > 10


def test_images_of_fewer_classes_are_farther(generation):
    images, labels = generation.images.cpu(), load("digits").labels
    fids = [judge(generation, images[labels < k])["fid"] for k in (9, 5, 2, 1)]
    assert fids == sorted(fids) and fids[-1] > 10


def test_fid_is_to_all_real_images_with_the_features_of_the_extractor(generation):
    features, _ = generation.extract((generation.images + 1) / 2)
    generated, _ = generation.extract((noise().to(generation.device) + 1) / 2)
    expected = min(FrechetDistance(moments(features))(generated), CEILINGS["classifier"])
    assert judge(generation, noise())["fid"] == pytest.approx(expected, rel=1e-3)


def test_one_image_again_and_again_is_no_number(generation):
    found = judge(generation, generation.images[:1].repeat(N, 1, 1, 1))
    assert np.isnan(found["fid"]) and np.isnan(found["inverse_is"])


def test_almost_one_image_scores_1_and_is_of_one_class(generation):
    found = judge(generation, generation.images[:1].cpu() + 0.02 * noise())
    assert found["inverse_is"] == pytest.approx(1, abs=1e-4)
    assert sorted(found["shares"])[-2:] == [0, 1]
    assert judge(generation, unseen())["fid"] < found["fid"] <= CEILINGS["classifier"]


def test_fid_stops_at_its_ceiling(generation):
    assert judge(generation, 1e4 * noise())["fid"] == CEILINGS["classifier"]


def test_shares_are_of_all_classes_and_add_to_1(generation):
    for images in (unseen(), noise(), noise(2)):
        shares = judge(generation, images)["shares"]
        assert shares.shape == (10,) and shares.sum() == pytest.approx(1)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 3e38])  # the last is too much for features
def test_one_image_that_is_not_finite_makes_the_scores_nan(generation, value):
    images = noise()
    images[7] = value
    found = judge(generation, images)
    assert np.isnan([found["fid"], found["inverse_is"]]).all() and len(found["shares"]) == 0


def test_batches_change_no_score(settings, generation):
    in_sevens = loaded(replace(settings, score_batch=7))
    one, other = judge(generation, unseen()), judge(in_sevens, unseen())
    assert one["fid"] == pytest.approx(other["fid"], rel=1e-4)
    assert one["inverse_is"] == pytest.approx(other["inverse_is"], rel=1e-4)


def test_inception_scores_are_means_over_the_splits(settings, generation):
    by_class = generation.images.cpu()[load("digits").labels.argsort()][
        :N
    ]  # zeros, ones, some twos
    whole = judge(generation, by_class)["inverse_is"]
    parts = judge(loaded(replace(settings, is_splits=3)), by_class)["inverse_is"]
    assert whole < parts  # a part holds fewer classes


def test_the_final_test_compares_with_the_images_for_it_and_trains_on_the_others(
    settings, generation
):
    final = loaded(settings, final=True)
    assert judge(final, unseen())["fid"] < 1e-3 < judge(generation, unseen())["fid"]
    assert torch.equal(final.images, generation.images)


def test_loading_again_loads_nothing(generation):
    images, distance = generation.images, generation.distance
    generation.load()
    assert generation.images is images and generation.distance is distance


def test_scores_of_other_features_are_refused(settings, generation):
    mark = loaded(settings).fingerprint
    assert mark.dtype == torch.uint8 and mark.shape == (32,)
    generation.check_fingerprint(mark)
    mark[0] ^= 1
    with pytest.raises(ValueError, match="scored with another digits classifier"):
        generation.check_fingerprint(mark)


@pytest.mark.parametrize("name", ["digits", "/data/of mine/cells", "/data/of mine/cells/"])
def test_columns_name_the_features_and_end_at_what_a_failure_gets(name):
    info = DataInfo(name, 10, 1, 8 if name == "digits" else 32)
    fid, inverse_is = generation_columns(GenerationSettings(), info)
    words = "digits classifier" if name == "digits" else "cells classifier"
    assert (fid.name, fid.unit, inverse_is.name, inverse_is.unit) == (
        *("fid", words),
        *("inverse_is", words),
    )
    assert (fid.worst, fid.bounds) == (200, (0, 200))
    assert (inverse_is.worst, inverse_is.bounds) == (1, (0, 1))
    fid, inverse_is = generation_columns(GenerationSettings(features="inception"), info)
    assert fid.unit == inverse_is.unit == "inception" and fid.worst == 1000


def test_columns_name_the_size_of_resized_images():
    for name, side, words in (("digits", 16, "digits 16x16"), ("/some/cells", 8, "cells 8x8")):
        fid, _ = generation_columns(GenerationSettings(), DataInfo(name, 10, 1, side))
        assert fid.unit == f"{words} classifier"


def test_the_features_call_themselves_as_the_columns_do(settings, generation):
    assert generation_columns(settings, generation.info)[0].unit == generation.extract.name


@pytest.mark.parametrize(
    "options, words",
    [
        (dict(score_images=19, is_splits=10), "score_images=19 is invalid: expected 20 or more"),
        (dict(score_images=1), "score_images=1 is invalid"),
        (dict(score_batch=1), "score_batch=1 is invalid"),
        (dict(is_splits=0), "is_splits=0 is invalid"),
        (dict(image_size=0), "image_size=0 is invalid"),
        (dict(features="vgg"), "features='vgg' is unknown; choose from"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(options, words):
    with pytest.raises(ValueError, match=words):
        GenerationSettings(**options)
    GenerationSettings(score_images=20, is_splits=10)
