"""Seeds and random generators for the purposes of a run, derived from the seed of the run."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_global_rng_lock = threading.RLock()


def _renew_lock() -> None:
    """Replace the lock in a forked process: the thread that may hold it does not exist there."""
    global _global_rng_lock
    _global_rng_lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_renew_lock)


def derived_seed(seed: int | str, *purpose: object) -> int:
    """Return a seed in [0, 2**63) for one purpose of a run.

    The seeds for different purposes are statistically independent.

    Args:
        seed: seed of the run; a name if the seed must not depend on a run.
        purpose: words and numbers that identify the purpose.
    """
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(
    seed: int | str, *purpose: object, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Return a random generator for one purpose of a run, see :func:`derived_seed`.

    Args:
        seed: seed of the run; a name if the seed must not depend on a run.
        purpose: words and numbers that identify the purpose.
        device: device of the generator. By default, it is the CPU, so that random numbers do not
            depend on the device of the networks. Use another device only for tensors as large as a
            feature map, which take long to copy.
    """
    return torch.Generator(device).manual_seed(derived_seed(seed, *purpose))


@contextmanager
def initial_weights(seed: int | str, *purpose: object) -> Iterator[None]:
    """Seed the initial weights of modules built in this context by :func:`derived_seed`.

    The state of PyTorch's global CPU generator is restored on exit, see :func:`seeded`.
    """
    with seeded(derived_seed(seed, *purpose)):
        yield


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed PyTorch's global CPU generator in this context, and restore its state on exit.

    Because all threads share that generator, threads wait until no other thread is in this context.
    """
    with _global_rng_lock:
        before = torch.get_rng_state()
        # torch.manual_seed would also seed the GPU generators.
        torch.default_generator.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_rng_state(before)
