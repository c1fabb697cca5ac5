import sys

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models

from moonas.data.images import DataInfo
from moonas.metrics.features import describe_features, feature_network
from moonas.metrics.image_quality import RealImages
from moonas.metrics.pretrained import Prepared
from moonas.models.model import load_model
from moonas.nets.randomness import generator, initial_weights

CPU = torch.device("cpu")


def pixels(n=6, channels=1, side=8, purpose="pixels"):
    return torch.rand(n, channels, side, side, generator=generator(0, purpose))


class Convolution(nn.Module):
    """A network that needs images of three channels and returns features and logits."""

    def __init__(self):
        super().__init__()
        with initial_weights(0, "network"):
            self.convolution, self.head = nn.Conv2d(3, 5, 8), nn.Linear(5, 4)

    def forward(self, images):
        features = self.convolution(images).flatten(1)
        return features, self.head(features)


def test_the_fid_of_pixels_equals_a_closed_form(tmp_path, monkeypatch):
    """All images 2 x + 0.1 of real images x have the mean 2 m + 0.1 and the covariance 4 S."""
    monkeypatch.setenv("MOONAS_CACHE", str(tmp_path))
    real = pixels(200, side=4).double()
    extract = feature_network(nn.Flatten(), (1, 4, 4), CPU)
    assert (extract.name, extract.has_logits) == ("Flatten", False)
    reference = RealImages(extract, real, CPU)
    features, logs = extract(2 * real + 0.1)
    assert logs.shape == (200, 0)
    measures = reference.measure(features, logs)
    X = real.flatten(1).numpy()
    expected = ((X.mean(0) + 0.1) ** 2).sum() + X.var(axis=0, ddof=1).sum()
    assert measures["fid"] == pytest.approx(expected, rel=1e-6)
    assert np.isnan(measures["is_mean"])  # there is no Inception Score without logits
    same = reference.measure(extract(real)[0], logs)
    assert same["fid"] < 1e-6 and same["recall"] == same["coverage"] == 1


def test_a_module_receives_grayscale_images_with_three_channels_if_it_needs_them():
    net, images = Convolution(), pixels()
    extract = feature_network(net, (1, 8, 8), CPU, name="mine")
    features, logs = extract(images, batch=2)
    with torch.inference_mode():
        expected, logits = net(images.repeat(1, 3, 1, 1))
    np.testing.assert_allclose(features, expected, atol=1e-6)
    np.testing.assert_allclose(logs, logits.log_softmax(1), atol=1e-6)
    assert extract.name == "mine" and extract.has_logits


def test_the_fingerprint_depends_on_the_weights_only():
    first, same, other = Convolution(), Convolution(), Convolution()
    with torch.no_grad():
        other.head.bias[0] += 1
    digests = [feature_network(net, (3, 8, 8), CPU).fingerprint for net in (first, same, other)]
    assert digests[0] == digests[1] != digests[2] and len(bytes.fromhex(digests[0])) == 32


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_torchscript_file_computes_what_its_module_computes(tmp_path):
    net, images = Convolution().eval(), pixels(channels=3)
    torch.jit.script(net).save(tmp_path / "mine.pt")
    extract = feature_network(str(tmp_path / "mine.pt"), (3, 8, 8), CPU)
    np.testing.assert_allclose(extract(images)[0], net(images)[0].detach(), atol=1e-6)
    assert extract.name == "mine.pt" and extract.has_logits
    info = DataInfo("mine", 4, 3, 8)
    assert describe_features(str(tmp_path / "mine.pt"), info) == ("mine.pt", True)


def test_a_model_file_of_a_classifier_returns_the_inputs_of_its_last_layer(old_model):
    model, images = load_model(old_model), pixels()
    extract = feature_network(str(old_model), (1, 8, 8), CPU)
    inputs = []
    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    last.register_forward_pre_hook(lambda module, args: inputs.append(args[0]))
    with torch.inference_mode():
        logits = model(images)
    features, logs = extract(images)
    np.testing.assert_allclose(features, inputs[0], atol=1e-6)
    np.testing.assert_allclose(logs, logits.log_softmax(1), atol=1e-5)
    assert extract.name == "digits cars classifier"
    larger = feature_network(str(old_model), (1, 16, 16), CPU)
    assert larger(pixels(side=16))[0].shape == features.shape  # images are resized
    with pytest.raises(ValueError, match="needs images with 1 channel, and the images have 3"):
        feature_network(str(old_model), (3, 8, 8), CPU)


@pytest.fixture
def old_model():
    """A classifier that an earlier version trained on digits."""
    from pathlib import Path

    return Path(__file__).parents[2] / "data" / "old" / "model.pt"


def save_torchvision(path, name="shufflenet_v2_x0_5", **options):
    """Write the state dict of a network of torchvision with random weights; return the network."""
    with initial_weights(0, name):
        net = models.get_model(name, weights=None, **options)
    torch.save(net.state_dict(), path)
    return net.eval()


@pytest.mark.parametrize("n_classes", [1000, 7])
def test_torchvision_networks_with_weights_from_a_file_compute_their_features(tmp_path, n_classes):
    file = tmp_path / "weights.pth"
    net = save_torchvision(file, num_classes=n_classes)
    images = pixels(2, side=32)
    spec = f"torchvision:shufflenet_v2_x0_5={file}"
    extract = feature_network(spec, (1, 32, 32), CPU)
    prepared = Prepared(nn.Identity(), 3, 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with torch.inference_mode():
        logits = net(prepared(images))
        net.fc = nn.Identity()
        expected = net(prepared(images))
    features, logs = extract(images)
    assert features.shape == (2, 1024) and logs.shape == (2, n_classes)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(logs, logits.double().log_softmax(1), atol=1e-4)
    assert extract.name == "torchvision:shufflenet_v2_x0_5 (weights.pth)"
    assert describe_features(spec, DataInfo("mine", 4, 3, 32)) == (extract.name, True)


def test_images_are_repeated_resized_and_normalized():
    images = torch.full((2, 1, 4, 4), 0.25)
    prepared = Prepared(nn.Identity(), 3, 9, (0.25, 0, 0.5), (1, 0.5, 0.25))(images)
    expected = torch.tensor([0, 0.5, -1]).reshape(1, 3, 1, 1).expand(2, 3, 9, 9)
    torch.testing.assert_close(prepared, expected)


def test_a_function_in_a_file_or_module_returns_the_network(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("from torch import nn\n\ndef pixels():\n    return nn.Flatten()\n\nx = 3\n")
    extract = feature_network(f"{file}:pixels", (1, 8, 8), CPU)
    assert extract.name == "pixels" and extract(pixels())[0].shape == (6, 64)
    assert feature_network("torch.nn:Flatten", (1, 8, 8), CPU).name == "Flatten"
    for name in ("absent", "x"):
        with pytest.raises(ValueError, match=f"{name}' is invalid: expected package.module:func"):
            feature_network(f"{file}:{name}", (1, 8, 8), CPU)
    with pytest.raises(ValueError, match=r"returns a torch.nn.Module; it returned a dict"):
        feature_network("builtins:dict", (1, 8, 8), CPU)


def failing_download(*args, **kwargs):
    raise OSError("no route to host")


def test_errors_about_weights_say_what_is_wrong_and_what_helps(tmp_path, monkeypatch, old_model):
    file = tmp_path / "weights.pth"
    file.write_bytes(b"no weights")
    other = tmp_path / "other.pth"
    save_torchvision(other)
    shape = (3, 32, 32)
    for spec, message in {
        "torchvision:resnet": "expected one of torchvision's classifiers, alexnet",
        f"torchvision:resnet18={file}": "does not contain the weights of torchvision's resnet18",
        f"torchvision:resnet18={other}": "Missing key",
        f"torchvision:resnet18={tmp_path / 'absent'}": "absent is missing",
        "torchvision:": "the name is missing",
        str(tmp_path / "absent"): "invalid: expected classifier, inception",
        "absent.py:network": r"absent\.py does not exist",
        str(file): "expected a TorchScript file, or a classifier",
        str(old_model.parent / "eagan"): "expected a TorchScript file, or a classifier",
    }.items():
        with pytest.raises(ValueError, match=message):
            feature_network(spec, shape, CPU)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", failing_download)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", failing_download)
    with pytest.raises(ValueError, match=r"cannot be downloaded: no route.*resnet18=FILE"):
        feature_network("torchvision:resnet18", shape, CPU)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match="requires the package timm: pip install"):
        feature_network("timm:resnet18", shape, CPU)
    with pytest.raises(ValueError, match="requires labeled images to train on"):
        feature_network("classifier", shape, CPU)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Identity(), r"returned features of shape \(2, 3, 8, 8\) for 2 images"),
        (nn.Linear(5, 2), "failed for images of shape .3, 8, 8.: mat1 and mat2 shapes"),
        (nn.Sequential(nn.Flatten(), nn.Flatten(0)), r"returned features of shape \(384,\)"),
    ],
)
def test_networks_that_do_not_return_features_are_rejected(net, message):
    with pytest.raises(ValueError, match=message):
        feature_network(net, (3, 8, 8), CPU)


def test_features_and_logits_may_be_a_list_or_a_tuple():
    class Both(nn.Module):
        def __init__(self, kind):
            super().__init__()
            self.kind = kind

        def forward(self, images):
            features = images.flatten(1)
            return self.kind([features, features[:, :3]])

    outputs = [feature_network(Both(kind), (3, 8, 8), CPU)(pixels(4)) for kind in (list, tuple)]
    for a, b in zip(*outputs, strict=True):
        np.testing.assert_array_equal(a, b)
    assert outputs[0][1].shape == (4, 3)


def test_a_network_of_timm_with_several_classifiers_is_rejected(tmp_path):
    timm = pytest.importorskip("timm")
    net = timm.create_model("deit_tiny_distilled_patch16_224", num_classes=1000)
    file = tmp_path / "weights.pth"
    torch.save(net.state_dict(), file)
    with pytest.raises(ValueError, match="expected a network with one linear layer"):
        feature_network(f"timm:deit_tiny_distilled_patch16_224={file}", (3, 16, 16), CPU)


def test_networks_of_timm_return_the_inputs_of_their_classifier(tmp_path):
    timm = pytest.importorskip("timm")
    net = timm.create_model("resnet18", num_classes=1000).eval()
    file = tmp_path / "weights.pth"
    torch.save(net.state_dict(), file)
    extract = feature_network(f"timm:resnet18={file}", (1, 16, 16), CPU)
    features, logs = extract(pixels(2, side=16))
    assert features.shape == (2, 512) and logs.shape == (2, 1000)
    logits = torch.from_numpy(features).float() @ net.fc.weight.T + net.fc.bias
    np.testing.assert_allclose(logs, logits.double().log_softmax(1).detach(), atol=1e-4)
