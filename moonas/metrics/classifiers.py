"""The built-in classifiers of a data set, whose features are compared by FID.

Images of at most 16 pixels have a network of three convolutions, which is sufficient for digits.
Larger images have a residual network, which is trained with augmented images until further training
no longer helps. Each classifier is trained once and cached, so all runs use the same weights.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.augment import shift_and_flip
from ..data.batches import Images, move, take
from ..data.images import DATA_SETS, FOLDER_SIDE
from ..files import cached
from ..files.tensors import tensor_bytes
from ..nets.convolution import StridedConv2d
from ..nets.devices import repeatable, to_device
from ..nets.randomness import generator, initial_weights
from ..training.sgd import Recipe, make_optimizer, train_epochs
from .extractor import Extractor, denormalize, frozen, weights_digest

if TYPE_CHECKING:
    from ..data.images import DataInfo, ImageData

Progress = Callable[[str, int, int, str], None]  # (phase, done, total, unit) -> None
PHASE = "training the feature network"
DIGESTED_AT_ONCE = 1000  # images

SMALL_SIDE = 16  # larger images have a residual network
CLASSIFIER_WIDTHS = (
    32,
    64,
    64,
)  # channels per layer; the last is the number of features
CLASSIFIER_RECIPE = Recipe(
    batch=64,
    learning_rate=0.1,
    learning_rate_end=0.0,
    momentum=0.9,
    weight_decay=5e-4,
    clip=5.0,
    horizon=30,
)

RESIDUAL_WIDTH = 16  # channels of the first convolution
RESIDUAL_BLOCKS = 2  # per stage
RESIDUAL_STAGES = 3  # each stage halves the side length and doubles the channels
LARGEST_SIDE = 48  # of the first stage; larger images are first halved by further convolutions
RESIDUAL_RECIPE = Recipe(
    batch=64,  # smaller for fewer than 3,200 images, so that an epoch has 50 steps
    learning_rate=0.1,
    learning_rate_end=0.0,
    momentum=0.9,
    weight_decay=5e-4,
    clip=5.0,
    horizon=2,  # of the first cycle; each cycle is twice as long as the previous one
)
MOST_IMAGES = 1_600_000  # that all cycles train on, such as 30 epochs of 50,000 images
FEWEST_STEPS, SMALLEST_BATCH = 50, 16
HELD_OUT_SHARE = 0.1  # of the images, which measure whether a cycle has helped
GOOD_ERROR = 0.01  # error on these images at which training ends
FEWEST_CYCLES = 3  # before training ends because of too small an improvement
LEAST_IMPROVEMENT = 0.1  # relative improvement of the error that justifies a longer cycle


class Classifier(nn.Module):
    """A network of three 3x3 convolutions, the last two with stride 2, and a linear classifier.

    Args:
        in_channels: number of channels of the images.
        n_classes: number of classes.
    """

    def __init__(self, in_channels: int, n_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        c_in = in_channels
        for i, width in enumerate(CLASSIFIER_WIDTHS):
            layers += [
                nn.Conv2d(c_in, width, 3, 2 if i else 1, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            c_in = width
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(c_in, n_classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (b, c, h, w), pixels in [0, 1], to features and logits."""
        features = self.body(2 * images - 1)
        return features, self.head(features)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al., CVPR 2016).

    Args:
        c_in: number of input channels.
        c_out: number of output channels.
        stride: stride of the first convolution; the shortcut is a 1x1 convolution if it is not 1.
    """

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(c_out),
            nn.ReLU(),
            nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(c_out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            self.shortcut = nn.Sequential(
                StridedConv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, c_in, h, w) to (b, c_out, h / stride, w / stride)."""
        return F.relu(self.body(x) + self.shortcut(x))


class ResidualClassifier(nn.Module):
    """A residual network of three stages, with 8 times the channels of its first convolution.

    Args:
        in_channels: number of channels of the images.
        n_classes: number of classes.
        side: side length of the images in pixels.
    """

    def __init__(self, in_channels: int, n_classes: int, side: int) -> None:
        super().__init__()
        width, c_in, layers = RESIDUAL_WIDTH, in_channels, list[nn.Module]()
        n_halvings = max(0, math.ceil(math.log2(side / LARGEST_SIDE)))
        for i in range(n_halvings + 1):
            layers += [
                nn.Conv2d(c_in, width, 3, 2 if i < n_halvings else 1, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            c_in = width
        for _ in range(RESIDUAL_STAGES):
            layers.append(ResidualBlock(c_in, 2 * c_in, 2))
            c_in *= 2
            layers += [ResidualBlock(c_in, c_in, 1) for _ in range(RESIDUAL_BLOCKS - 1)]
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(c_in, n_classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (b, c, h, w), pixels in [0, 1], to features and logits."""
        features = self.body(2 * images - 1)
        return features, self.head(features)


def classifier(
    data: ImageData, device: torch.device | str, *, on_progress: Progress | None = None
) -> Extractor:
    """Return an extractor whose network is a classifier trained on a data set.

    Args:
        data: the data set, an :class:`~moonas.data.images.ImageData` with one label per image.
        device: device to extract features on, and to train a residual network on.
        on_progress: called with (phase, done, total, unit) during the training.

    Raises:
        ValueError: if images can have several labels.
    """
    info = data.info
    require_one_label_per_image(info)
    return classifier_from_pixels(
        denormalize(data, data.images),
        data.labels,
        info.n_classes,
        classifier_name(info),
        device,
        test=(denormalize(data, data.test_images), data.test_labels),
        flip=info.flip,
        on_progress=on_progress,
    )


def classifier_from_pixels(
    pixels: Tensor | Images,
    labels: Tensor,
    n_classes: int,
    name: str,
    device: torch.device | str,
    *,
    test: tuple[Tensor | Images, Tensor] | None = None,
    flip: bool = False,
    residual: bool | None = None,
    on_progress: Progress | None = None,
) -> Extractor:
    """Return an extractor whose network is a classifier trained on the given images.

    The classifier is trained once and cached, so all runs use the same weights. Training is
    deterministic on a given machine.

    Args:
        pixels: n images, whose batches are (b, c, h, w) pixels in [0, 1], on the CPU.
        labels: (n,) ints.
        n_classes: number of classes.
        name: description of the classifier.
        device: device to extract features on, and to train a residual network on; the network of
            three convolutions is always trained on one CPU thread.
        test: images and labels, like ``pixels`` and ``labels``, on which the accuracy is measured.
        flip: whether a mirrored image has the same label; used to augment the images.
        residual: whether to train a residual network; by default, if images have more than 16
            pixels a side.
        on_progress: called with (phase, done, total, unit) during the training.
    """
    side = max(pixels.shape[2:])
    if residual is None:
        residual = side > SMALL_SIDE
    report = on_progress or (lambda *args: None)
    train: Callable[[], bytes]
    if residual:
        size = RESIDUAL_WIDTH, RESIDUAL_BLOCKS, RESIDUAL_STAGES
        recipe = f"residual {RESIDUAL_RECIPE} {size} {MOST_IMAGES} {flip} {torch.__version__}"
        net: nn.Module = ResidualClassifier(pixels.shape[1], n_classes, side)
        train = partial(_train_residual, pixels, labels, n_classes, flip, device, report)
    else:
        recipe = f"{CLASSIFIER_RECIPE} {CLASSIFIER_WIDTHS} {torch.__version__}"
        net = Classifier(pixels.shape[1], n_classes)
        train = partial(_train_classifier, pixels, labels, n_classes, report)
    digest = hashlib.sha256(recipe.encode())
    _update(digest, pixels, labels)
    stored = cached(f"classifier-{digest.hexdigest()[:32]}.pt", train)
    net.load_state_dict(torch.load(io.BytesIO(stored), weights_only=True))
    extract = Extractor(name, weights_digest(net), frozen(net, device), device)
    if test is None or len(test[0]) == 0:
        return extract
    return replace(extract, accuracy=_accuracy(extract, *test), n_test=len(test[0]))


def _update(digest: Any, pixels: Tensor | Images, labels: Tensor) -> None:
    """Add the bytes of images and labels to a digest of hashlib."""
    for part in pixels.split(DIGESTED_AT_ONCE):
        digest.update(tensor_bytes(part))
    digest.update(tensor_bytes(labels))


def _accuracy(extract: Extractor, pixels: Tensor | Images, labels: Tensor) -> float:
    """Return the accuracy (%) of a classifier on test images; it is cached."""
    key = hashlib.sha256(extract.fingerprint.encode())
    _update(key, pixels, labels)

    def measure() -> bytes:
        predicted = extract(pixels)[1].argmax(axis=1)
        return json.dumps(100 * float((predicted == labels.numpy()).mean())).encode()

    return float(json.loads(cached(f"accuracy-{key.hexdigest()[:32]}.json", measure)))


def require_one_label_per_image(info: DataInfo) -> None:
    """Raise a ``ValueError`` if images of a data set can have several labels."""
    if info.multi_label:
        raise ValueError(
            f"features='classifier' requires data with one label per image, but images of "
            f"{info.name} have several; use features='inception'."
        )


def classifier_name(info: DataInfo) -> str:
    """Return the name of a data set's classifier, with the side length if images are resized."""
    original = DATA_SETS[info.name].side if info.name in DATA_SETS else FOLDER_SIDE
    size = "" if info.side == original else f"{info.side}x{info.side} "
    kind = "ResNet classifier" if info.side > SMALL_SIDE else "classifier"
    return f"{Path(info.name).name} {size}{kind}"


def _train_classifier(
    pixels: Tensor | Images, labels: Tensor, n_classes: int, report: Progress
) -> bytes:
    """Train the network of three convolutions and return its serialized state dict."""
    with initial_weights("classifier"):
        net = Classifier(pixels.shape[1], n_classes)
    epochs = CLASSIFIER_RECIPE.horizon
    with repeatable(1):
        train_epochs(
            net,
            (pixels, labels),
            lambda: [lambda images: net(images)[1]],
            make_optimizer(net, CLASSIFIER_RECIPE),
            CLASSIFIER_RECIPE,
            generator("classifier", "batches"),
            epochs,
            on_epoch=lambda done: report(PHASE, done, epochs, "epochs"),
        )
    return _serialized(net)


def cycle_lengths(n: int) -> list[int]:
    """Return the lengths in epochs of the cycles that train on n images, at least one cycle."""
    lengths = [RESIDUAL_RECIPE.horizon]
    while n * (sum(lengths) + 2 * lengths[-1]) <= MOST_IMAGES:
        lengths.append(2 * lengths[-1])
    return lengths


def _train_residual(
    pixels: Tensor | Images,
    labels: Tensor,
    n_classes: int,
    flip: bool,
    device: torch.device | str,
    report: Progress,
) -> bytes:
    """Train the residual network until longer training does not help; return its state dict.

    The learning rate follows cosine annealing with warm restarts (Loshchilov and Hutter, ICLR
    2017), in cycles of 2, 4, 8, ... epochs. A tenth of the images is held out. Training ends after
    a cycle if the error on these images is at most 1 %, if the third or a later cycle has lowered
    it by less than a tenth of it, or if the next cycle would exceed a total of 1.6 million images,
    repetitions included. The weights of the cycle with the lowest error are returned.
    """
    recipe, device = RESIDUAL_RECIPE, torch.device(device)
    rng = generator("residual classifier", "batches")
    order = torch.randperm(len(pixels), generator=rng)
    n_held_out = round(HELD_OUT_SHARE * len(pixels))
    held_out = take(pixels, order[:n_held_out]), labels[order[:n_held_out]]
    rows = order[n_held_out:]
    images = move(take(pixels, rows), device)
    batch = min(recipe.batch, max(SMALLEST_BATCH, len(rows) // FEWEST_STEPS))
    padding = max(pixels.shape[2:]) // 8
    with initial_weights("residual classifier"):
        net = ResidualClassifier(pixels.shape[1], n_classes, max(pixels.shape[2:]))
    net = to_device(net, device)
    optimizer = make_optimizer(net, recipe)
    lowest, best, done = math.inf, b"", 0

    def report_epochs(before: int, horizon: int, epochs: int) -> None:
        report(PHASE, before + epochs, before + horizon, "epochs")

    with repeatable(torch.get_num_threads()):
        for cycle, horizon in enumerate(cycle_lengths(len(rows))):
            train_epochs(
                net,
                (images, labels[rows].to(device)),
                lambda: [lambda images: net(images)[1]],
                optimizer,
                replace(recipe, horizon=horizon, batch=batch),
                rng,
                horizon,
                on_epoch=partial(report_epochs, done, horizon),
                augment=lambda images, rng: shift_and_flip(images, rng, padding, flip),
            )
            done += horizon
            predicted = Extractor("", "", net.eval(), device)(held_out[0])[1].argmax(axis=1)
            error = float((predicted != held_out[1].numpy()).mean()) if n_held_out else 0.0
            before, lowest = lowest, min(error, lowest)
            if error < before or not best:
                best = _serialized(deepcopy(net))
            too_little = error > (1 - LEAST_IMPROVEMENT) * before
            if error <= GOOD_ERROR or (too_little and cycle + 1 >= FEWEST_CYCLES):
                break
    return best


def _serialized(net: nn.Module) -> bytes:
    buffer = io.BytesIO()
    torch.save(net.cpu().state_dict(), buffer)
    return buffer.getvalue()
