import shutil
from dataclasses import replace
from unittest.mock import patch
from urllib.error import URLError

import numpy as np
import pytest
import torch
from pytorch_fid import inception as pytorch_fid
from torch import nn
from torch.nn import functional as F
from torchvision.models import Inception3

from moonas.data import load
from moonas.metrics.classifiers import cycle_lengths
from moonas.metrics.features import (
    CLASSIFIER_WIDTHS,
    ResidualClassifier,
    classifier,
    classifier_from_pixels,
    denormalize,
    inception,
)
from moonas.nets.randomness import generator, initial_weights

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture(scope="module")
def digits_subset(digits):
    """The first 16 digits, for fast training of a classifier."""
    return replace(digits, images=digits.images[:16], labels=digits.labels[:16])


@pytest.fixture(scope="module")
def extract(digits, tmp_path_factory):
    """A classifier that is trained on the first 500 training images, with an empty cache."""
    first_500 = replace(digits, images=digits.images[:500], labels=digits.labels[:500])
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MOONAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        return classifier(first_500, CPU)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("MOONAS_CACHE", str(tmp_path))
    return tmp_path


def test_the_digits_classifier_is_at_least_94_percent_accurate_on_test_images(digits, extract):
    features, logs = extract(denormalize(digits, digits.test_images.tensor()))
    assert (logs.argmax(axis=1) == digits.test_labels.numpy()).mean() >= 0.94
    assert features.shape == (360, CLASSIFIER_WIDTHS[-1]) and logs.shape == (360, 10)
    assert extract.name == "digits classifier"


def test_features_are_finite_doubles_and_probabilities_sum_to_one(digits, extract):
    features, logs = extract(denormalize(digits, digits.test_images.tensor()))
    assert features.dtype == logs.dtype == np.float64
    assert np.isfinite(features).all() and (features.std(axis=0) > 0).any()
    np.testing.assert_allclose(np.exp(logs).sum(axis=1), 1)


def test_features_of_an_image_do_not_depend_on_other_images_or_the_batch_size(digits, extract):
    pixels = denormalize(digits, digits.test_images.tensor())
    features, logs = extract(pixels)
    for batch in (1, 7, 50):
        some_features, some_logs = extract(pixels[:50], batch)
        np.testing.assert_allclose(some_features, features[:50], atol=1e-5)
        np.testing.assert_allclose(some_logs, logs[:50], atol=1e-4)


def test_denormalized_images_are_pixels_between_0_and_1(digits):
    pixels = denormalize(digits, digits.images.tensor())
    assert pixels.min() == 0 and pixels.max() == 1
    torch.testing.assert_close((pixels - digits.mean) / digits.std, digits.images.tensor())


@pytest.fixture(scope="module")
def cached_classifier(digits_subset, tmp_path_factory):
    """The fingerprint of the classifier of ``digits_subset``, and its file in the cache."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MOONAS_CACHE", str(folder))
        fingerprint = classifier(digits_subset, CPU).fingerprint
    (file,) = folder.glob("classifier-*")
    return fingerprint, file


def test_a_cached_classifier_is_not_trained_again(
    digits_subset, cached_classifier, empty_cache, monkeypatch
):
    fingerprint, file = cached_classifier
    shutil.copy(file, empty_cache)
    monkeypatch.setattr("moonas.metrics.classifiers.train_epochs", None)
    assert classifier(digits_subset, CPU).fingerprint == fingerprint


def test_classifier_training_does_not_depend_on_the_global_random_state(
    digits_subset, cached_classifier, empty_cache
):
    fingerprint, _ = cached_classifier
    torch.rand(1)
    assert classifier(digits_subset, CPU).fingerprint == fingerprint


def test_different_images_or_labels_result_in_different_classifiers(
    digits_subset, cached_classifier, empty_cache
):
    flipped = classifier(replace(digits_subset, images=digits_subset.images.flip(3)), CPU)
    relabeled = classifier(replace(digits_subset, labels=digits_subset.labels.flip(0)), CPU)
    assert len({cached_classifier[0], flipped.fingerprint, relabeled.fingerprint}) == 3
    assert (
        len({cached_classifier[1].name, *(file.name for file in empty_cache.glob("classifier-*"))})
        == 3
    )


@pytest.mark.parametrize("damage", [b"", b"not a classifier"])
def test_a_damaged_classifier_in_the_cache_is_replaced(
    digits_subset, cached_classifier, empty_cache, damage
):
    fingerprint, file = cached_classifier
    (empty_cache / file.name).write_bytes(damage)
    assert classifier(digits_subset, CPU).fingerprint == fingerprint
    assert (empty_cache / file.name).read_bytes() != damage


def test_the_classifier_is_trained_if_the_cache_cannot_be_written(
    digits_subset, cached_classifier, tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MOONAS_CACHE", str(tmp_path / "file" / "cache"))
    assert classifier(digits_subset, CPU).fingerprint == cached_classifier[0]


def test_images_with_several_labels_are_rejected(digits):
    data = replace(digits, info=replace(digits.info, multi_label=True))
    with pytest.raises(ValueError, match="one label per image, but images of digits have several"):
        classifier(data, CPU)


def random_inception():
    """pytorch-fid's Inception with random weights that preserve variances, without a download."""
    with (
        initial_weights(0, "inception"),
        patch.object(pytorch_fid, "load_state_dict_from_url", lambda *args, **kwargs: {}),
        patch.object(Inception3, "load_state_dict"),
    ):
        net = pytorch_fid.fid_inception_v3()
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
    return net.eval()


@pytest.mark.slow
def test_inception_returns_the_features_of_pytorch_fid_and_logits_without_bias(tmp_path):
    net, file = random_inception(), tmp_path / "weights.pth"
    torch.save(net.state_dict(), file)
    extract = inception(CPU, weights=file)
    images = torch.rand(2, 3, 32, 32, generator=generator(0, "images"))
    features, logs = extract(images, batch=1)
    assert features.shape == (2, 2048) and logs.shape == (2, 1008)

    with patch.object(pytorch_fid, "fid_inception_v3", lambda: net), torch.inference_mode():
        expected = pytorch_fid.InceptionV3().eval()(images)[0][:, :, 0, 0]
    assert expected.std(0).max() > 0.01  # different images have different features
    torch.testing.assert_close(torch.from_numpy(features).float(), expected)
    logits = expected.double() @ net.fc.weight.detach().double().T
    np.testing.assert_allclose(logs, logits.log_softmax(1), atol=1e-4)

    assert extract.name == "inception" and len(bytes.fromhex(extract.fingerprint)) == 32

    inputs = []

    class Body(nn.Module):
        def forward(self, x):
            inputs.append(x)
            return [torch.zeros(len(x), 2048, 1, 1)]

    extract.net.body = Body()
    extract(images[:, :1])  # grayscale
    torch.testing.assert_close(inputs[0], images[:, :1].repeat(1, 3, 1, 1))


def test_the_error_about_a_file_without_inception_weights_names_the_file(tmp_path):
    file = tmp_path / "weights.pth"
    file.write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"weights\.pth does not contain the Inception weights"):
        inception(CPU, weights=file)
    torch.save({"fc.weight": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match=r"weights\.pth does not contain the Inception weights"):
        inception(CPU, weights=file)


def test_the_weights_of_torchvisions_inception_are_rejected_with_the_reason(tmp_path):
    file = tmp_path / "inception_v3.pth"
    torch.save({"AuxLogits.fc.weight": torch.zeros(1), "fc.weight": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match=r"features='torchvision:inception_v3=.*v3\.pth'"):
        inception(CPU, weights=file)
    torch.save({"fc.weight": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match="Missing key.*Set inception_weights"):
        inception(CPU, weights=file)


def test_the_accuracy_of_the_classifier_is_measured_and_cached(digits, extract):
    logs = extract(denormalize(digits, digits.test_images.tensor()))[1]
    expected = 100 * (logs.argmax(axis=1) == digits.test_labels.numpy()).mean()
    assert extract.accuracy == pytest.approx(expected) and extract.n_test == 360
    assert f"digits classifier, {expected:.1f} % accurate on 360 test" in extract.describe()


def larger_digits(digits, n, side=24):
    """Return n training and 50 test digits, with the given side length, as pixels and labels."""

    def resized(images, n):
        return F.interpolate(denormalize(digits, images)[:n], (side, side), mode="bilinear")

    train = resized(digits.images.tensor(), n), digits.labels[:n]
    return train, (resized(digits.test_images.tensor(), 50), digits.test_labels[:50])


def test_larger_images_have_a_residual_network_that_reports_progress(
    digits, empty_cache, monkeypatch
):
    monkeypatch.setattr("moonas.metrics.classifiers.MOST_IMAGES", 2000)
    (pixels, labels), test = larger_digits(digits, 200)
    calls = []

    def train():
        return classifier_from_pixels(
            pixels, labels, 10, "mine", CPU, test=test, on_progress=lambda *c: calls.append(c)
        )

    extract = train()
    assert isinstance(extract.net, ResidualClassifier) and extract.accuracy > 60
    assert {call[0] for call in calls} == {"training the feature network"}
    assert calls[0][1:] == (0, 2, "epochs") and calls[-1][1] == calls[-1][2]
    calls.clear()
    assert train().fingerprint == extract.fingerprint and not calls  # from the cache


def test_cycles_double_until_all_images_have_been_seen_often_enough():
    assert cycle_lengths(45_000) == [2, 4, 8, 16] and cycle_lengths(10**7) == [2]
    assert sum(cycle_lengths(2700)) * 2700 <= 1_600_000 < sum(cycle_lengths(2700)) * 2 * 2700


def test_the_side_length_of_the_residual_network_is_at_most_48_in_its_first_stage():
    for side, n_halvings in ((32, 0), (48, 0), (64, 1), (96, 1), (128, 2)):
        net = ResidualClassifier(3, 10, side)
        strides = [m.stride[0] for m in net.body if isinstance(m, nn.Conv2d)]
        assert strides == [2] * n_halvings + [1]
        features, logits = net.eval()(torch.rand(2, 3, side, side))
        assert features.shape == (2, 128) and logits.shape == (2, 10)


def test_the_error_about_a_missing_weights_file_names_the_file(tmp_path):
    with pytest.raises(ValueError, match=r"cannot be read: .*nothing\.pth'. Set inception_weights"):
        inception(CPU, weights=tmp_path / "nothing.pth")


def test_a_failed_download_raises_an_error_with_advice():
    with (
        patch.object(pytorch_fid, "load_state_dict_from_url", side_effect=URLError("no route")),
        pytest.raises(ValueError, match="no route.*Set inception_weights.*features='classifier'"),
    ):
        inception(CPU)
