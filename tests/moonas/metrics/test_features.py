import shutil
from dataclasses import replace
from unittest.mock import patch
from urllib.error import URLError

import numpy as np
import pytest
import torch
from pytorch_fid import inception as pytorch_fid
from torch import nn
from torchvision.models import Inception3

from moonas.data import load
from moonas.metrics.features import CLASSIFIER_WIDTHS, classifier, denormalize, inception
from moonas.nets.randomness import generator, initial_weights

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture(scope="module")
def few(digits):
    """The first 16 digits, on which a classifier is trained quickly."""
    return replace(digits, images=digits.images[:16], labels=digits.labels[:16])


@pytest.fixture(scope="module")
def extract(digits, tmp_path_factory):
    """The classifier of a third of the training images, trained with an empty cache."""
    third = replace(digits, images=digits.images[:500], labels=digits.labels[:500])
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MOONAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        return classifier(third, CPU)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("MOONAS_CACHE", str(tmp_path))
    return tmp_path


def test_the_digits_classifier_is_at_least_94_percent_accurate_on_test_images(digits, extract):
    features, logs = extract(denormalize(digits, digits.test_images))
    assert (logs.argmax(axis=1) == digits.test_labels.numpy()).mean() >= 0.94
    assert features.shape == (360, CLASSIFIER_WIDTHS[-1]) and logs.shape == (360, 10)
    assert extract.name == "digits classifier"


def test_features_are_finite_doubles_and_probabilities_sum_to_one(digits, extract):
    features, logs = extract(denormalize(digits, digits.test_images))
    assert features.dtype == logs.dtype == np.float64
    assert np.isfinite(features).all() and (features.std(axis=0) > 0).any()
    np.testing.assert_allclose(np.exp(logs).sum(axis=1), 1)


def test_features_of_an_image_do_not_depend_on_the_other_images_or_the_batch(digits, extract):
    pixels = denormalize(digits, digits.test_images)
    features, logs = extract(pixels)
    for batch in (1, 7, 50):
        some_features, some_logs = extract(pixels[:50], batch)
        np.testing.assert_allclose(some_features, features[:50], atol=1e-5)
        np.testing.assert_allclose(some_logs, logs[:50], atol=1e-4)


def test_pixels_are_the_images_before_normalization(digits):
    pixels = denormalize(digits, digits.images)
    assert pixels.min() == 0 and pixels.max() == 1
    torch.testing.assert_close((pixels - digits.mean) / digits.std, digits.images)


@pytest.fixture(scope="module")
def trained(few, tmp_path_factory):
    """The fingerprint of the classifier of few digits, and its file in the cache."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MOONAS_CACHE", str(folder))
        fingerprint = classifier(few, CPU).fingerprint
    (file,) = folder.iterdir()
    return fingerprint, file


def test_a_cached_classifier_is_not_trained_again(few, trained, folder, monkeypatch):
    fingerprint, file = trained
    shutil.copy(file, folder)
    monkeypatch.setattr("moonas.metrics.features.train_epochs", None)
    assert classifier(few, CPU).fingerprint == fingerprint


def test_training_is_deterministic_and_independent_of_the_global_random_state(few, trained, folder):
    fingerprint, _ = trained
    torch.rand(1)
    assert classifier(few, CPU).fingerprint == fingerprint


def test_classifiers_of_different_images_or_labels_differ(few, trained, folder):
    flipped = classifier(replace(few, images=few.images.flip(3)), CPU)
    relabeled = classifier(replace(few, labels=few.labels.flip(0)), CPU)
    assert len({trained[0], flipped.fingerprint, relabeled.fingerprint}) == 3
    assert len({trained[1].name, *(file.name for file in folder.iterdir())}) == 3


@pytest.mark.parametrize("damage", [b"", b"not a classifier"])
def test_a_damaged_file_in_the_cache_is_replaced(few, trained, folder, damage):
    fingerprint, file = trained
    (folder / file.name).write_bytes(damage)
    assert classifier(few, CPU).fingerprint == fingerprint
    assert (folder / file.name).read_bytes() != damage


def test_the_classifier_is_available_if_the_cache_cannot_be_written(
    few, trained, tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MOONAS_CACHE", str(tmp_path / "file" / "cache"))
    assert classifier(few, CPU).fingerprint == trained[0]


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


def test_inception_has_the_features_of_pytorch_fid_and_logits_without_bias(tmp_path):
    net, file = random_inception(), tmp_path / "weights.pth"
    torch.save(net.state_dict(), file)
    extract = inception(CPU, weights=file)
    images = torch.rand(2, 3, 32, 32, generator=generator(0, "images"))
    features, logs = extract(images, batch=1)
    assert features.shape == (2, 2048) and logs.shape == (2, 1008)

    with patch.object(pytorch_fid, "fid_inception_v3", lambda: net), torch.inference_mode():
        expected = pytorch_fid.InceptionV3().eval()(images)[0][:, :, 0, 0]
    assert expected.std(0).max() > 0.01  # the features of the images differ
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


def test_a_file_without_inception_weights_is_rejected_with_its_name(tmp_path):
    file = tmp_path / "weights.pth"
    file.write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"weights\.pth does not contain the Inception weights"):
        inception(CPU, weights=file)
    torch.save({"fc.weight": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match=r"weights\.pth does not contain the Inception weights"):
        inception(CPU, weights=file)


def test_a_missing_weights_file_is_rejected_with_its_name(tmp_path):
    with pytest.raises(ValueError, match=r"cannot be read: .*nothing\.pth'. Set inception_weights"):
        inception(CPU, weights=tmp_path / "nothing.pth")


def test_a_failed_download_is_an_error_with_advice():
    with (
        patch.object(pytorch_fid, "load_state_dict_from_url", side_effect=URLError("no route")),
        pytest.raises(ValueError, match="no route.*Set inception_weights.*features='classifier'"),
    ):
        inception(CPU)
