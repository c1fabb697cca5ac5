"""Where networks run."""

from concurrent.futures import ThreadPoolExecutor
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


def side_by_side(function, items, *, workers, threads, device):
    """``function`` of each item, without gradients, a few at a time on a CPU.

    A result must not depend on what else is computed; then ``workers`` changes nothing but time.

    Args:
        function: item -> anything; called from several Python threads.
        items: a list.
        workers: calls at a time; a GPU gets one.
        threads: torch threads of each.
        device: where the function computes.
    """

    def one(item):
        with torch.inference_mode():
            return function(item)

    if device.type != "cpu" or workers == 1:
        with cpu_threads(threads):
            return [one(item) for item in items]
    # the number of torch threads is a property of each Python thread
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads,)) as p:
        return list(p.map(one, items))
