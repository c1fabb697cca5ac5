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
from moonas.metrics.features import WIDTHS, classifier, inception, pixels_of
from moonas.nets.randomness import generator, initial_weights

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture(scope="module")
def few(digits):
    """Of the digits so few that a classifier is trained in no time."""
    return replace(digits, images=digits.images[:64], labels=digits.labels[:64])


@pytest.fixture(scope="module")
def extract(digits, tmp_path_factory):
    """The digits classifier, trained here and not found in the cache of an earlier run."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MOONAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        return classifier(digits, CPU)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("MOONAS_CACHE", str(tmp_path))
    return tmp_path


def test_the_digits_classifier_is_right_about_97_percent_of_the_test_images(digits, extract):
    features, logs = extract(pixels_of(digits, digits.test_images))
    assert (logs.argmax(axis=1) == digits.test_labels.numpy()).mean() >= 0.97
    assert features.shape == (360, WIDTHS[-1]) and logs.shape == (360, 10)
    assert extract.name == "digits classifier"


def test_features_and_log_probabilities_are_double_finite_and_add_to_one(digits, extract):
    features, logs = extract(pixels_of(digits, digits.test_images))
    assert features.dtype == logs.dtype == np.float64
    assert np.isfinite(features).all() and (features.std(axis=0) > 0).any()
    np.testing.assert_allclose(np.exp(logs).sum(axis=1), 1)


def test_neither_the_batch_nor_the_company_of_an_image_matters(digits, extract):
    pixels = pixels_of(digits, digits.test_images)
    features, logs = extract(pixels)
    for batch in (1, 7, 360):
        again, logs_again = extract(pixels[:50], batch)
        np.testing.assert_allclose(again, features[:50], atol=1e-5)
        np.testing.assert_allclose(logs_again, logs[:50], atol=1e-4)


def test_pixels_are_the_images_before_they_were_normalised(digits):
    pixels = pixels_of(digits, digits.images)
    assert pixels.min() == 0 and pixels.max() == 1
    torch.testing.assert_close((pixels - digits.mean) / digits.std, digits.images)


def test_a_second_classifier_comes_from_the_cache(few, folder):
    first = classifier(few, CPU)
    (file,) = folder.iterdir()
    before = file.stat()
    assert classifier(few, CPU).fingerprint == first.fingerprint
    (file,) = folder.iterdir()
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_training_again_gives_the_same_classifier_whatever_was_drawn_before(few, folder):
    first = classifier(few, CPU)
    for file in folder.iterdir():
        file.unlink()
    torch.rand(1)
    assert classifier(few, CPU).fingerprint == first.fingerprint


def test_other_images_or_labels_give_another_classifier(few, folder):
    others = [
        few,
        replace(few, images=few.images.flip(3)),
        replace(few, labels=few.labels.flip(0)),
    ]
    assert len({classifier(data, CPU).fingerprint for data in others}) == 3
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize("damage", [b"", b"nothing of the kind"])
def test_a_damaged_file_in_the_cache_is_replaced(few, folder, damage):
    mark = classifier(few, CPU).fingerprint
    (file,) = folder.iterdir()
    file.write_bytes(damage)
    assert classifier(few, CPU).fingerprint == mark
    assert file.read_bytes() != damage


def test_a_cache_that_cannot_be_written_stops_nothing(few, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MOONAS_CACHE", str(tmp_path / "file" / "cache"))
    assert classifier(few, CPU).fingerprint == classifier(few, CPU).fingerprint


def test_images_with_several_labels_have_no_classifier(digits):
    data = replace(digits, info=replace(digits.info, multi_label=True))
    with pytest.raises(ValueError, match="one label an image, and digits has more"):
        classifier(data, CPU)


def random_inception():
    """pytorch-fid's Inception with weights that let signals through, without a download."""
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


def test_inception_gives_the_features_of_pytorch_fid_and_logits_without_bias(tmp_path):
    net, file = random_inception(), tmp_path / "weights.pth"
    torch.save(net.state_dict(), file)
    extract = inception(CPU, weights=file)
    images = torch.rand(3, 3, 32, 32, generator=generator(0, "images"))
    features, logs = extract(images, batch=2)
    assert features.shape == (3, 2048) and logs.shape == (3, 1008)

    with patch.object(pytorch_fid, "fid_inception_v3", lambda: net), torch.inference_mode():
        expected = pytorch_fid.InceptionV3().eval()(images)[0][:, :, 0, 0]
    assert expected.std(0).max() > 0.01  # images differ, so that equality says something
    torch.testing.assert_close(torch.from_numpy(features).float(), expected)
    logits = expected.double() @ net.fc.weight.detach().double().T
    np.testing.assert_allclose(logs, logits.log_softmax(1), atol=1e-4)

    grey = extract(images[:1, :1])
    np.testing.assert_array_equal(grey[0], extract(images[:1, :1].repeat(1, 3, 1, 1))[0])
    assert extract.name == "inception" and len(bytes.fromhex(extract.fingerprint)) == 32


def test_a_file_that_holds_no_inception_is_named(tmp_path):
    file = tmp_path / "weights.pth"
    file.write_bytes(b"no weights at all")
    with pytest.raises(ValueError, match=r"weights\.pth holds no weights of Inception"):
        inception(CPU, weights=file)
    torch.save({"fc.weight": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match=r"weights\.pth holds no weights of Inception"):
        inception(CPU, weights=file)


def test_a_missing_file_of_weights_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"cannot be had: .*nothing\.pth'. Name a file"):
        inception(CPU, weights=tmp_path / "nothing.pth")


def test_without_a_network_the_way_out_is_told():
    with (
        patch.object(pytorch_fid, "load_state_dict_from_url", side_effect=URLError("no route")),
        pytest.raises(ValueError, match="no route.*inception_weights=.*features='classifier'"),
    ):
        inception(CPU)
