"""Selection of filters without a search: at random, by norms, by Taylor expansion, and ThiNet.

Every method gives each filter of each mask a value; the filters with the largest values are kept.
Then the sizes of the generators decide how many filters these are, so all methods are compared at
the same size:

    values = thinet.values
    architecture = keep_of_size(problem.costs, values, weights_of(problem.costs, searched))

or, with as many filters in each mask as another architecture has, ``keep_like(values, searched)``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from moonas.nets.randomness import generator as seeded_generator

from .channels import ChannelCosts, Convolution, Group, channel_axis
from .importance import Importance
from .masks import keep_largest
from .space import Architecture
from .training import CycleGAN, scale_pixels


def first_filters(groups: Sequence[Group]) -> Importance:
    """Return values with which each mask keeps its first filters: uniformly narrower networks.

    Args:
        groups: result of :func:`.filter_groups` for either generator.
    """
    return {k: [-np.arange(g.size, dtype=float) for g in groups if not g.fixed] for k in "ab"}


def random_filters(groups: Sequence[Group], rng: np.random.Generator) -> Importance:
    """Return random values.

    Args:
        groups: result of :func:`.filter_groups` for either generator.
        rng: random number generator.
    """
    return {k: [rng.random(g.size) for g in groups if not g.fixed] for k in "ab"}


def weights_of(costs: ChannelCosts, architecture: Architecture) -> dict[str, int]:
    """Return the number of convolution weights of each generator (eq. 10), by source domain.

    Args:
        costs: costs of a generator.
        architecture: masks of both generators.
    """
    return {k: costs.count(architecture.masks(k))[0] for k in "ab"}


def keep_like(values: Importance, architecture: Architecture) -> Architecture:
    """Return the architecture that keeps as many filters in each mask as another architecture.

    Args:
        values: source domain of a generator, "a" or "b" -> one array per mask with a value per
            filter.
        architecture: architecture whose numbers of filters are used.
    """

    def masks(k: str) -> tuple[str, ...]:
        n_kept = [int(mask.sum()) for mask in architecture.masks(k)]
        return tuple(_largest(v, n) for v, n in zip(values[k], n_kept, strict=True))

    return Architecture(masks("a"), masks("b"))


def keep_of_size(
    costs: ChannelCosts, values: Importance, weights: Mapping[str, int], *, jointly: bool = False
) -> Architecture:
    """Return the architecture whose generators are closest to given sizes.

    Args:
        costs: costs of a generator.
        values: source domain of a generator, "a" or "b" -> one array per mask with a value per
            filter.
        weights: source domain of a generator -> number of convolution weights, see
            :func:`weights_of`.
        jointly: whether the values of all masks of a generator are compared with each other. If
            not, each mask keeps the same share of its filters.
    """

    def masks(k: str) -> tuple[str, ...]:
        n_filters = sum(map(len, values[k]))
        # every step keeps at least as many filters of each mask as the step before
        if jointly:
            order = np.sort(np.concatenate(values[k]))[::-1]

            def masks_at(step: int) -> tuple[str, ...]:
                least = order[step] if step < n_filters else -np.inf
                return tuple(_largest(v, max(1, int((v >= least).sum()))) for v in values[k])
        else:

            def masks_at(step: int) -> tuple[str, ...]:
                return getattr(keep_largest(values, step / n_filters), k)  # type: ignore[no-any-return]

        def size(step: int) -> int:
            bits = [np.array(list(mask)) == "1" for mask in masks_at(step)]
            return costs.count(bits)[0]

        low, high = 0, n_filters
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if size(middle) > weights[k] else (middle, high)
        return masks_at(min((low, high), key=lambda step: abs(size(step) - weights[k])))

    return Architecture(masks("a"), masks("b"))


def _largest(values: np.ndarray, n: int) -> str:
    """Return the mask of the n largest values; of equal values, the first counts as larger."""
    kept = set(np.argsort(-values, kind="stable")[:n].tolist())
    return "".join("1" if i in kept else "0" for i in range(len(values)))


@dataclass(frozen=True)
class ThiNet:
    """Greedy selection of the channels that best reconstruct the outputs of the next layers.

    The method is described by Luo, Wu and Lin, *ThiNet: a filter level pruning method for deep
    neural network compression* (ICCV 2017). An output of a convolution, without the bias, is a sum
    of one contribution per input channel. Channels are removed one by one; the next one is the
    channel with which the sum of all removed contributions, squared and summed over a sample of
    outputs, is smallest (algorithm 1). The contributions of the channels that are kept are then
    weighted by least squares (eq. 7), and the weights of the convolution absorb these factors.

    Differences: the channels that share a mask may be read by several convolutions, such as those
    of all residual blocks. Their errors are divided by the sum of the squared outputs of each
    convolution and added, so every convolution has the same influence; factors are computed
    separately for each. All masks are chosen with the activations of the original generators, and
    there is no fine-tuning between two layers. Luo et al. prune and fine-tune one layer at a time.

    Args:
        values: source domain of a generator -> one array per mask: when each channel is removed,
            from 0 for the channel that is removed first.
        contributions: source domain of a generator -> name of a convolution -> (samples, channels)
            contributions of its input channels to sampled outputs.
    """

    values: Importance
    contributions: Mapping[str, Mapping[str, np.ndarray]]

    def rescaled(
        self, gan: CycleGAN, architecture: Architecture, groups: Sequence[Group]
    ) -> CycleGAN:
        """Return a copy of a CycleGAN with the least-squares factors in its weights.

        Channels that the architecture prunes keep their weights; :func:`.compress` removes them.

        Args:
            gan: CycleGAN before pruning, to whose contributions this selection belongs.
            architecture: masks of both generators.
            groups: result of :func:`.filter_groups` for either generator.
        """
        gan = copy.deepcopy(gan)
        free = [group for group in groups if not group.fixed]
        for k, generator in gan.generators.items():
            layers = dict(generator.named_modules())
            for group, mask in zip(free, architecture.masks(k), strict=True):
                for name in group.consumers:
                    layer, kept = layers[name], np.flatnonzero(mask)
                    assert isinstance(layer, Convolution)
                    factors = least_squares_factors(self.contributions[k][name], kept)
                    with torch.no_grad():
                        by_channel = layer.weight.movedim(channel_axis(layer, out=False), 0)
                        scale = torch.as_tensor(factors).to(by_channel)
                        by_channel[torch.as_tensor(kept)] *= scale[:, None, None, None]
        return gan


def thinet(
    gan: CycleGAN,
    images: Mapping[str, torch.Tensor],
    groups: Sequence[Group],
    *,
    samples: int = 50,
    batch: int = 8,
    seed: int = 0,
) -> ThiNet:
    """Select channels by ThiNet's greedy reconstruction.

    Args:
        gan: CycleGAN before pruning; it is not modified.
        images: domain, "a" or "b" -> (n, 3, s, s) uint8 images, on the device of ``gan``.
        groups: result of :func:`.filter_groups` for either generator.
        samples: number of outputs of each convolution that are sampled per image, uniformly over
            output channels and positions.
        batch: number of images in a forward pass.
        seed: seed of the sampled outputs.
    """
    values: Importance = {}
    contributions: dict[str, dict[str, np.ndarray]] = {}
    free = [group for group in groups if not group.fixed]
    for k, generator in gan.generators.items():
        rng = seeded_generator(seed, "ThiNet", k)
        names = [name for group in free for name in group.consumers]
        parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
        with torch.inference_mode(), _hooks(generator, names, samples, rng, parts):
            for part in torch.split(images[k], batch):
                generator(scale_pixels(part))
        contributions[k] = {name: np.concatenate(parts[name]) for name in names}
        values[k] = []
        for group in free:
            grams = [_relative_gram(contributions[k][name]) for name in group.consumers]
            order = removal_order(np.sum(grams, axis=0))
            values[k].append(np.argsort(order).astype(float))
    return ThiNet(values, contributions)


@contextmanager
def _hooks(
    generator: nn.Module,
    names: Sequence[str],
    samples: int,
    rng: torch.Generator,
    parts: dict[str, list[np.ndarray]],
) -> Iterator[None]:
    """Append the contributions in every forward pass to ``parts``, by name of the convolution."""

    def hook_of(name: str) -> Callable[[nn.Module, Any, torch.Tensor], None]:
        def hook(layer: nn.Module, inputs: Any, output: torch.Tensor) -> None:
            assert isinstance(layer, Convolution)
            n = output[0].numel()
            chosen = torch.stack(
                [torch.randperm(n, generator=rng)[:samples] for _ in range(len(output))]
            )
            parts[name].append(channel_contributions(layer, inputs[0], chosen))

        return hook

    layers = dict(generator.named_modules())
    handles = [layers[name].register_forward_hook(hook_of(name)) for name in names]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def channel_contributions(
    layer: Convolution, inputs: torch.Tensor, chosen: torch.Tensor
) -> np.ndarray:
    """Return the contribution of each input channel to some outputs of a convolution.

    Args:
        layer: the convolution, with ``groups=1``.
        inputs: (n, c, h, w) input of the convolution.
        chosen: (n, samples) indices of the outputs of each image, in an image whose dimensions are
            flattened.

    Returns:
        (n samples, c) float64; the sum of a row is an output without the bias.
    """
    columns = []
    for i in range(inputs.shape[1]):
        x = inputs[:, i : i + 1]
        if isinstance(layer, nn.ConvTranspose2d):
            assert not isinstance(layer.padding, str)  # torch's types allow names for it
            out = F.conv_transpose2d(
                x, layer.weight[i : i + 1], None, layer.stride, layer.padding, layer.output_padding
            )
        else:
            out = F.conv2d(x, layer.weight[:, i : i + 1], None, layer.stride, layer.padding)
        columns.append(out.flatten(1).gather(1, chosen.to(out.device)).flatten())
    return torch.stack(columns, dim=1).double().cpu().numpy()


def _relative_gram(contributions: np.ndarray) -> np.ndarray:
    """Return the Gram matrix of contributions, divided by the sum of the squared outputs."""
    total = float((contributions.sum(axis=1) ** 2).sum())
    gram: np.ndarray = contributions.T @ contributions / max(total, 1e-30)
    return gram


def removal_order(gram: np.ndarray) -> np.ndarray:
    """Return the order in which ThiNet removes channels (algorithm 1 of Luo et al., 2017).

    Removing the set T causes the squared error 1_T' G 1_T. The next channel is the one that
    increases it least.

    Args:
        gram: (c, c) Gram matrix G of the contributions of c channels.

    Returns:
        (c,) ints; the channel that is removed last is the most important one.
    """
    n = len(gram)
    with_removed = np.zeros(n)  # products of each channel with the sum of the removed ones
    left, order = np.ones(n, bool), []
    for _ in range(n):
        increase = np.where(left, 2 * with_removed + np.diag(gram), np.inf)
        chosen = int(np.argmin(increase))
        order.append(chosen)
        left[chosen] = False
        with_removed += gram[chosen]
    return np.array(order)


def least_squares_factors(contributions: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return the factors of the kept channels that best reconstruct the outputs (eq. 7).

    Args:
        contributions: (samples, channels) contributions.
        kept: indices of the channels that are kept.
    """
    outputs = contributions.sum(axis=1)
    factors: np.ndarray = np.linalg.lstsq(contributions[:, kept], outputs, rcond=None)[0]
    return factors
