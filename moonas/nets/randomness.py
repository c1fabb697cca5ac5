"""Seeds and random generators for each purpose, all derived from the seed of the run."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_global_state = threading.RLock()


def derived_seed(seed: int | str, *purpose: object) -> int:
    """Return a seed in [0, 2**63) for one purpose of a run.

    Seeds for different purposes are statistically independent.

    Args:
        seed: seed of the run, or a name for what belongs to no run.
        purpose: words and numbers that identify the purpose.
    """
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int | str, *purpose: object) -> torch.Generator:
    """Return a generator for one purpose of a run, see :func:`derived_seed`.

    It is always on the CPU, so that random numbers do not depend on the device of the networks.
    """
    return torch.Generator().manual_seed(derived_seed(seed, *purpose))


@contextmanager
def initial_weights(seed: int | str, *purpose: object) -> Iterator[None]:
    """Initialize modules that are built in this context from ``derived_seed(seed, *purpose)``.

    The state of PyTorch's global CPU generator is restored on exit. Because all threads share that
    generator, only one thread at a time can be in this context.
    """
    with _global_state:
        before = torch.get_rng_state()
        # torch.manual_seed would also seed the generators of GPUs.
        torch.default_generator.manual_seed(derived_seed(seed, *purpose))
        try:
            yield
        finally:
            torch.set_rng_state(before)
