"""How the networks of digits-table were trained: the seeds of one architecture side by side."""

import torch
from torch.nn import functional as F

from moonas.data import load, split
from moonas.metrics.error import count_wrong
from moonas.nets.devices import repeatable
from moonas.nets.randomness import generator, initial_weights
from moonas.training.sgd import Recipe, cosine, make_optimizer

from . import space
from .networks import DigitsNetwork, of_copy, stack_initial

N_TRAIN, N_VALIDATION = 1077, 360  # of the 1,437 images to search with
RECIPE = Recipe(
    batch=64,
    learning_rate=0.1,
    learning_rate_end=0.0,
    momentum=0.9,
    weight_decay=5e-4,
    clip=float("inf"),  # a norm over all copies would make them depend on each other
    horizon=12,
)


def digits():
    """Images and labels of the parts: {"train": ..., "validation": ..., "test": ...}."""
    data = load("digits")
    train, validation = split(data.labels, N_TRAIN)
    return {
        "train": (data.images[train], data.labels[train]),
        "validation": (data.images[validation], data.labels[validation]),
        "test": (data.test_images, data.test_labels),
    }


def train(architecture, data, seeds):
    """Networks of one architecture, trained side by side, each as if it were alone.

    Args:
        architecture: a :class:`~moonas.problems.digits_table.space.Architecture`.
        data: (images (n, c, h, w), labels (n,)).
        seeds: of initial weights and of the order of the images, one a network.

    Returns:
        A list of :class:`~moonas.problems.digits_table.networks.DigitsNetwork`, in evaluation mode.
    """
    images, labels = data
    n, batch, alone = len(images), RECIPE.batch, []
    who = [(seed, *space.encode(architecture).tolist()) for seed in seeds]
    for key in who:
        with initial_weights(*key, "weights"):
            alone.append(DigitsNetwork(architecture, in_channels=images.shape[1]))
    together = DigitsNetwork(architecture, in_channels=images.shape[1], copies=len(seeds))
    stack_initial(alone, together)
    rngs = [generator(*key, "batches") for key in who]
    optimizer = make_optimizer(together, RECIPE)
    with repeatable(1):
        for epoch in range(RECIPE.horizon):
            rate = cosine(epoch, RECIPE.horizon, RECIPE.learning_rate, RECIPE.learning_rate_end)
            optimizer.param_groups[0]["lr"] = rate
            orders = torch.stack([torch.randperm(n, generator=rng) for rng in rngs])
            for rows in orders[:, : n // batch * batch].split(batch, dim=1):
                x, y = images[rows], labels[rows]  # (copies, b, c, h, w) and (copies, b)
                logits = together(x.transpose(0, 1).flatten(1, 2))
                loss = F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum") / batch
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    shape = dict(in_channels=images.shape[1])
    return [of_copy(together, architecture, i, **shape).eval() for i in range(len(seeds))]


@torch.inference_mode()
def wrong(network, data):
    """How many images of a part a network misses."""
    images, labels = data
    with repeatable(1):
        return int(count_wrong(network, images, labels, len(images))[0])
