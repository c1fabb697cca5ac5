"""Features of images for Frechet distances and Inception Scores, from a network that was trained.

Two networks give them: pytorch-fid's Inception, for numbers that compare with the literature, and a
small classifier of the data set's own labels, for data that Inception says nothing about and for
machines without its weights. Numbers of different networks do not compare, so each says its own.
"""

import hashlib
import io
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch
from torch import nn
from torch.nn import functional as F

from ..data.images import DATA_SETS, FOLDER_SIDE
from ..files import cached
from ..files.tensors import first_line, tensor_bytes
from ..nets.devices import repeatable
from ..nets.randomness import generator, initial_weights
from ..training.sgd import Recipe, make_optimizer, train_epochs

EXTRACTORS = ("classifier", "inception")
WIDTHS = (32, 64, 64)  # of the classifier; the last is the length of its features
RECIPE = Recipe(  # of the classifier
    batch=64,
    learning_rate=0.1,
    learning_rate_end=0.0,
    momentum=0.9,
    weight_decay=5e-4,
    clip=5.0,
    horizon=30,
)


@dataclass(frozen=True)
class Extractor:
    """A network whose features are taken.

    Args:
        name: which one, in words, as ``digits classifier``.
        fingerprint: hexadecimal digits that tell it from any other.
        net: images (b, c, h, w), pixels from 0 to 1 -> features (b, d) and logits (b, n_classes).
    """

    name: str
    fingerprint: str
    net: nn.Module

    @torch.inference_mode()
    def __call__(self, images, batch=250):
        """Features and log probabilities, float64 (n, d) and (n, n_classes).

        Args:
            images: (n, c, h, w), pixels from 0 to 1.
            batch: images a pass; it changes the last bits at most.
        """
        parts = [self.net(part) for part in images.split(batch)]
        features = torch.cat([f for f, _ in parts])
        logs = torch.cat([logits.double().log_softmax(1) for _, logits in parts])
        return features.double().cpu().numpy(), logs.cpu().numpy()


class Classifier(nn.Module):
    """Three 3x3 convolutions, the later two of stride 2, and the mean over pixels as features."""

    def __init__(self, in_channels, n_classes):
        super().__init__()
        layers, c_in = [], in_channels
        for i, width in enumerate(WIDTHS):
            layers += [
                nn.Conv2d(c_in, width, 3, 2 if i else 1, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            c_in = width
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(c_in, n_classes)

    def forward(self, images):
        features = self.body(2 * images - 1)
        return features, self.head(features)


def classifier(data, device):
    """The :class:`Extractor` of a data set: trained once on the images to search with, and kept.

    Args:
        data: a :class:`~moonas.data.images.ImageData` with one label an image.
        device: where it runs; it trains on a CPU, on one thread, so that all runs share it.

    Raises:
        ValueError: images have several labels each.
    """
    info = data.info
    check_labels(info)
    pixels = pixels_of(data, data.images)
    return classifier_of(pixels, data.labels, info.n_classes, classifier_name(info), device)


def classifier_of(pixels, labels, n_classes, name, device):
    """The same of any images.

    Args:
        pixels: (n, c, h, w) from 0 to 1, on the CPU.
        labels: (n,) ints.
        n_classes: number of classes.
        name: of it, in words.
        device: where it runs.
    """
    with initial_weights("classifier"):
        net = Classifier(pixels.shape[1], n_classes)
    asked = hashlib.sha256(f"{RECIPE} {WIDTHS} {torch.__version__}".encode())
    for tensor in (pixels, labels):
        asked.update(tensor_bytes(tensor))
    train = partial(_trained, pixels, labels, n_classes)
    stored = cached(f"classifier-{asked.hexdigest()[:32]}.pt", train)
    net.load_state_dict(torch.load(io.BytesIO(stored), weights_only=True))
    return Extractor(name, _mark(net), _frozen(net, device))


def check_labels(info):
    """Raise a ``ValueError`` unless a data set has one label an image, which classifiers want."""
    if info.multi_label:
        raise ValueError(
            f"features='classifier' wants data with one label an image, and {info.name} has more; "
            "features='inception' wants none."
        )


def classifier_name(info):
    """The classifier of a data set in words; of images that were resized, with their size."""
    own = DATA_SETS[info.name].side if info.name in DATA_SETS else FOLDER_SIDE
    size = "" if info.side == own else f"{info.side}x{info.side} "
    return f"{Path(info.name).name} {size}classifier"


def _trained(pixels, labels, n_classes):
    """The bytes of a trained classifier's weights."""
    with initial_weights("classifier"):
        net = Classifier(pixels.shape[1], n_classes)
    with repeatable(1):
        train_epochs(
            net,
            (pixels, labels),
            lambda: [lambda images: net(images)[1]],
            make_optimizer(net, RECIPE),
            RECIPE,
            generator("classifier", "batches"),
            RECIPE.horizon,
        )
    buffer = io.BytesIO()
    torch.save(net.state_dict(), buffer)
    return buffer.getvalue()


class Inception(nn.Module):
    """pytorch-fid's Inception: its 2,048 features, and its logits without their bias.

    The Inception Score's original program leaves the bias out, so that is what numbers in papers
    are made with. Grey images are taken as three equal channels.

    Args:
        inception: what ``pytorch_fid.inception.fid_inception_v3`` returns.
    """

    def __init__(self, inception):
        super().__init__()
        from pytorch_fid import inception as pytorch_fid

        with patch.object(pytorch_fid, "fid_inception_v3", lambda: inception):
            self.body = pytorch_fid.InceptionV3()
        self.weight = nn.Parameter(inception.fc.weight.detach(), requires_grad=False)

    def forward(self, images):
        if images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        features = self.body(images)[0][:, :, 0, 0]
        return features, F.linear(features, self.weight)


def inception(device, weights=None):
    """The :class:`Extractor` of Inception.

    Args:
        device: where it runs.
        weights: file that holds pytorch-fid's weights; by default PyTorch's own folder of
            downloads, into which they come when they are not there.

    Raises:
        ValueError: there are no weights, or the file holds something else.
    """
    from pytorch_fid import inception as pytorch_fid

    def read(*args, **kwargs):
        return torch.load(weights, map_location="cpu", weights_only=True)

    advice = (
        f"Name a file that holds them (inception_weights=); pytorch-fid offers it at "
        f"{pytorch_fid.FID_WEIGHTS_URL}. features='classifier' needs none."
    )
    try:
        if weights is None:
            net = pytorch_fid.fid_inception_v3()
        else:
            with patch.object(pytorch_fid, "load_state_dict_from_url", read):
                net = pytorch_fid.fid_inception_v3()
    except OSError as error:  # urllib's errors are such, too
        raise ValueError(f"Inception's weights cannot be had: {error}. {advice}") from None
    except Exception as error:  # whatever a file of another kind makes torch raise
        raise ValueError(
            f"{weights or 'The download'} holds no weights of Inception: {first_line(error)} "
            f"{advice}"
        ) from None
    net = Inception(net)
    return Extractor("inception", _mark(net), _frozen(net, device))


def pixels_of(data, images):
    """Normalised images of a data set as pixels from 0 to 1."""
    return (images * data.std.to(images.device) + data.mean.to(images.device)).clamp(0, 1)


def _frozen(net, device):
    return net.to(device).eval().requires_grad_(False)


def _mark(net):
    """SHA-256 of the weights; not their fingerprint, since run folders record this value."""
    digest = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor_bytes(tensor))
    return digest.hexdigest()
