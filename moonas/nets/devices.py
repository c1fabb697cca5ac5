"""Where networks run."""

from contextlib import contextmanager

import torch


def resolve_device(name):
    """The ``torch.device`` of a name; ``auto`` is the first GPU, or the CPU where there is none.

    Raises:
        ValueError: the name is unknown, or this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"Unknown device {name!r}; use auto, cpu, cuda or cuda:N.") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device={name!r} is not on this machine: PyTorch sees {torch.cuda.device_count()} "
            "GPUs. Use device='cpu'."
        )
    return device


@contextmanager
def cpu_threads(n):
    """Compute with ``n`` torch threads inside, and with as many as before afterwards.

    The number of threads changes the order of sums, hence the last bits of a score.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
