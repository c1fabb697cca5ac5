"""Importance of filters: how much the loss would change without them, by a Taylor expansion.

The method is described by Molchanov et al., *Pruning convolutional neural networks for resource
efficient inference* (ICLR 2017) and *Importance estimation for neural network pruning* (CVPR 2019).
Every filter gets a gate, a factor of 1 on its output, and the loss is expanded in this gate. Gates
act on the inputs of the convolutions that read a filter, that is, after normalization. Before
instance normalization, a loss does not depend on the scale of a filter, so the product of
activation and gradient that Molchanov et al. sum up is zero there, and norms have no meaning.

The expansion has two terms. Molchanov et al. use the first one only, but the distance between
translations of original and compressed generators (eqs. 4 and 5 of Shu et al., 2019) has its
minimum at the original generators, where its gradient is zero. Since the losses are sums of
squares, first derivatives of the outputs suffice for the second term (the Gauss-Newton
approximation).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from moonas.nets.randomness import generator as seeded_generator

from .channels import Group
from .training import TARGET, CycleGAN, scale_pixels

Importance = dict[str, list[np.ndarray]]


@torch.enable_grad()
def filter_importance(
    gan: CycleGAN,
    images: Mapping[str, torch.Tensor],
    groups: Sequence[Group],
    *,
    loss: str = "discriminator",
    norm: str = "mean",
    cycle_weight: float = 10.0,
    batch: int = 16,
    projections: int = 8,
    seed: int = 0,
) -> Importance:
    """Estimate how much the loss of both generators increases if a single filter is removed.

    The loss is the sum of the losses of both generators, L_DisA + lambda L_cyc (eqs. 5 and 6 of Shu
    et al., 2019) or L_GenA + lambda L_cyc (eqs. 4 and 6). It is a mean over images of |e|^2, where
    e is the vector of weighted differences between outputs and targets. Let J be the derivative of
    e with respect to the gate of a filter. Without the filter, the vector is e - J to first order,
    so the loss increases by the mean of |J|^2 - 2 e J. For the distance, e is zero. The squared
    norm of J is estimated by random projections: the mean of (v J)^2 over vectors v of random
    signs.

    Args:
        gan: CycleGAN before pruning; it is not modified.
        images: domain, "a" or "b" -> (n, 3, s, s) uint8 images, on the device of ``gan``.
        groups: result of :func:`.filter_groups` for either generator.
        loss: "discriminator" (eq. 5) or "generator" (eq. 4).
        norm: whether the "mean" or the "sum" of squares is taken over pixels and patches.
        cycle_weight: weight lambda of the cycle loss.
        batch: number of images in a forward pass.
        projections: number of random vectors per image; 0 for the first term only, -2 e J.
        seed: seed of the random vectors.

    Returns:
        Source domain of a generator, "a" or "b" -> one float array per group that is not fixed, in
        the order of the masks, with one value per filter. Values may be negative, because removing
        a filter can decrease the cycle loss.
    """
    rng = seeded_generator(seed, "importance")
    free = [group for group in groups if not group.fixed]
    sums = {k: [torch.zeros(g.size, dtype=torch.float64) for g in free] for k in "ab"}
    for k, back in TARGET.items():
        for part in torch.split(images[k], batch):
            x = scale_pixels(part)
            with _gates(gan, free, len(x)) as gates:
                translated = gan.generators[k](x)
                compared = translated if loss == "generator" else gan.discriminators[k](translated)
                returned = gan.generators[back](translated)
            differences = [compared - compared.detach(), cycle_weight**0.5 * (returned - x)]
            if norm == "mean":
                differences = [d / d[0].numel() ** 0.5 for d in differences]
            e = torch.cat([d.flatten(1) for d in differences], dim=1)
            inputs = [gate for k in "ab" for gate in gates[k]]

            def derivatives(
                v: torch.Tensor, e: torch.Tensor = e, inputs: list[torch.Tensor] = inputs
            ) -> list[torch.Tensor]:
                """Return v J for every gate, each (images, filters)."""
                grads = torch.autograd.grad(e, inputs, v, retain_graph=True)
                return [grad[:, :, 0, 0].double() for grad in grads]

            changes = [-2 * d for d in derivatives(e.detach())]
            for _ in range(projections):
                v = 2 * torch.randint(2, e.shape, generator=rng).to(e) - 1
                changes = [
                    c + d**2 / projections for c, d in zip(changes, derivatives(v), strict=True)
                ]
            by_generator = iter(changes)
            for source in "ab":
                for total in sums[source]:
                    total += next(by_generator).sum(0).cpu() / len(images[k])
    return {k: [total.numpy() for total in totals] for k, totals in sums.items()}


@contextmanager
def _gates(
    gan: CycleGAN, groups: Sequence[Group], n: int
) -> Iterator[dict[str, list[torch.Tensor]]]:
    """Multiply the channels of each group by a gate of 1 per image wherever they are read.

    Args:
        gan: CycleGAN before pruning.
        groups: groups of channels that are not fixed.
        n: number of images.

    Yields:
        Source domain of a generator -> (n, size, 1, 1) gates, one tensor per group.
    """
    gates: dict[str, list[torch.Tensor]] = {}
    hooks = []

    def multiply(gate: torch.Tensor) -> object:
        return lambda layer, inputs: (inputs[0] * gate,)

    for k, generator in gan.generators.items():
        layers, weight = dict(generator.named_modules()), next(generator.parameters())
        gates[k] = [
            torch.ones(
                n, g.size, 1, 1, dtype=weight.dtype, device=weight.device, requires_grad=True
            )
            for g in groups
        ]
        for group, gate in zip(groups, gates[k], strict=True):
            hooks += [
                layers[name].register_forward_pre_hook(multiply(gate)) for name in group.consumers
            ]
    try:
        yield gates
    finally:
        for hook in hooks:
            hook.remove()
