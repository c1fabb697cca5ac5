"""Training of the networks of digits-table: one network per seed, trained in parallel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from moonas.data import load, split
from moonas.metrics.error import count_wrong
from moonas.nets.devices import repeatable
from moonas.nets.randomness import generator, initial_weights
from moonas.training.sgd import Recipe, cosine, make_optimizer

from . import space
from .networks import DigitsNetwork, extract_copy, stack_weights

Split = tuple[torch.Tensor, torch.Tensor]  # images (n, c, h, w) and labels (n,)

N_TRAIN, N_VALIDATION = 1077, 360  # sizes of the training and the validation set
RECIPE = Recipe(
    batch=64,
    learning_rate=0.1,
    learning_rate_end=0.0,
    momentum=0.9,
    weight_decay=5e-4,
    clip=float("inf"),  # clipping by the norm over all copies would couple them
    horizon=12,
)


def load_splits() -> dict[str, Split]:
    """Load the images and labels of the splits ``train``, ``validation`` and ``test``."""
    data = load("digits")
    train, validation = split(data.labels, N_TRAIN)
    images = data.images.tensor()
    return {
        "train": (images[train], data.labels[train]),
        "validation": (images[validation], data.labels[validation]),
        "test": (data.test_images.tensor(), data.test_labels),
    }


def train(
    architecture: space.Architecture, data: Split, seeds: Sequence[int]
) -> list[DigitsNetwork]:
    """Train several networks of one architecture in parallel, independently of each other.

    Args:
        architecture: a :class:`~moonas.problems.digits_table.space.Architecture`.
        data: training images, (n, c, h, w), and labels, (n,).
        seeds: for each network, the seed of its initial weights and batches.

    Returns:
        One network per seed, in evaluation mode.
    """
    images, labels = data
    n, batch, singles = len(images), RECIPE.batch, []
    keys = [(seed, *space.encode(architecture).tolist()) for seed in seeds]
    for key in keys:
        with initial_weights(*key, "weights"):
            singles.append(DigitsNetwork(architecture, in_channels=images.shape[1]))
    stacked = DigitsNetwork(architecture, in_channels=images.shape[1], copies=len(seeds))
    stack_weights(singles, stacked)
    rngs = [generator(*key, "batches") for key in keys]
    optimizer = make_optimizer(stacked, RECIPE)
    with repeatable(1):
        for epoch in range(RECIPE.horizon):
            rate = cosine(epoch, RECIPE.horizon, RECIPE.learning_rate, RECIPE.learning_rate_end)
            optimizer.param_groups[0]["lr"] = rate
            orders = torch.stack([torch.randperm(n, generator=rng) for rng in rngs])
            for rows in torch.split(orders[:, : n // batch * batch], batch, dim=1):
                x, y = images[rows], labels[rows]  # (copies, b, c, h, w) and (copies, b)
                logits = stacked(x.transpose(0, 1).flatten(1, 2))
                loss = F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum") / batch
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch lacks the annotation
                optimizer.step()
    shape = dict(in_channels=images.shape[1])
    return [extract_copy(stacked, architecture, i, **shape).eval() for i in range(len(seeds))]


@torch.inference_mode()
def count_misclassified(network: DigitsNetwork, data: Split) -> int:
    """Count the images of a split that a network classifies wrongly.

    Args:
        network: a :class:`~moonas.problems.digits_table.networks.DigitsNetwork` without copies.
        data: images, (n, c, h, w), and labels, (n,).
    """
    images, labels = data
    with repeatable(1):
        return int(count_wrong(network, images, labels, len(images))[0])
