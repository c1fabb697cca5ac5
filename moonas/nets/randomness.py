"""Seeds and generators, one per purpose, all from the run's seed."""

import hashlib
import threading
from contextlib import contextmanager

import torch

_global_state = threading.RLock()


def derived_seed(seed, *purpose):
    """A seed in [0, 2**63) for one purpose of a run; other purposes get unrelated ones."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed, *purpose):
    """A ``torch.Generator`` on the CPU, whatever the device, so that devices draw alike."""
    return torch.Generator().manual_seed(derived_seed(seed, *purpose))


@contextmanager
def initial_weights(seed, *purpose):
    """Modules built inside draw their weights from (seed, purpose); the global state comes back.

    There is one global state, so threads wait for each other here.
    """
    with _global_state:
        before = torch.get_rng_state()
        torch.default_generator.manual_seed(derived_seed(seed, *purpose))  # the CPU's, no GPU's
        try:
            yield
        finally:
            torch.set_rng_state(before)
