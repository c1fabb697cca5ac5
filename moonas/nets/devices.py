"""Where networks run."""

import threading
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
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise ValueError(f"Unknown device {name!r}; use auto, cpu, cuda or cuda:N.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device={name!r} is not on this machine: PyTorch sees {torch.cuda.device_count()} "
            "GPUs. Use device='cpu'."
        )
    return device


@contextmanager
def repeatable(threads):
    """Compute the same bits every time: ``threads`` torch threads, and cuDNN's fixed algorithms.

    The number of threads changes the order of sums, hence the last bits of a score. What was set
    before comes back: cuDNN's flags, of which a process has one set, when the last of several
    Python threads leaves.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    _fixed_cudnn.enter()
    try:
        yield
    finally:
        _fixed_cudnn.leave()
        torch.set_num_threads(before)


class _FixedCudnn:
    """cuDNN's deterministic algorithms, for as long as anyone is inside."""

    def __init__(self):
        self._lock, self._inside, self._before = threading.Lock(), 0, None

    def enter(self):
        cudnn = torch.backends.cudnn
        with self._lock:
            if self._inside == 0:
                self._before = cudnn.benchmark, cudnn.deterministic
                cudnn.benchmark, cudnn.deterministic = False, True
            self._inside += 1

    def leave(self):
        cudnn = torch.backends.cudnn
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                cudnn.benchmark, cudnn.deterministic = self._before


_fixed_cudnn = _FixedCudnn()


def map_in_threads(function, items, *, workers, threads, device):
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

    with repeatable(threads):
        if device.type != "cpu" or workers == 1:
            return [one(item) for item in items]
        # a new Python thread begins with torch's own number of threads
        start = dict(initializer=torch.set_num_threads, initargs=(threads,))
        with ThreadPoolExecutor(workers, **start) as pool:
            return list(pool.map(one, items))
