"""Selection of the device that networks run on, and deterministic computation."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")
Network = TypeVar("Network", bound=torch.nn.Module)


def resolve_device(name: str) -> torch.device:
    """Return the device with the given name.

    Args:
        name: ``cpu``, ``cuda`` or ``cuda:N``; ``auto`` is the first GPU, or the CPU if there is
            none.

    Raises:
        ValueError: if the name is unknown, or this machine has no device with this name.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise ValueError(f"Unknown device {name!r}; use auto, cpu, cuda or cuda:N.")
    if device.type == "cuda" and (device.index or 0) >= (n_gpus := torch.cuda.device_count()):
        gpus = {0: "no GPU", 1: "1 GPU"}.get(n_gpus, f"{n_gpus} GPUs")
        raise ValueError(
            f"device={name!r} is not available: PyTorch sees {gpus} on this machine. "
            "Use device='cpu'."
        )
    return device


def to_device(net: Network, device: torch.device | str) -> Network:
    """Move a network to a device, in channels-last memory format, and return it."""
    # one call, which traverses the modules once; torch's types lack it
    moved: Network = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved


_is_forked = False


def _note_fork() -> None:
    """Use one thread in a forked process; see :func:`repeatable`."""
    global _is_forked
    _is_forked = True
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_note_fork)


@contextmanager
def repeatable(threads: int) -> Iterator[None]:
    """Compute deterministically in this context: equal inputs produce bit-identical results.

    PyTorch uses a fixed number of threads, because this number affects the order of summation and
    thus the last bits of a result. cuDNN uses deterministic algorithms. Previous settings are
    restored on exit. The cuDNN flags apply to the whole process, so they are restored when the last
    Python thread leaves the context.

    A process that was forked from another Python process uses one thread, because PyTorch's threads
    do not exist there, and waiting for them would never end.

    Args:
        threads: number of PyTorch threads.
    """
    if _is_forked and threads > 1:
        warnings.warn(
            f"This process was forked, so PyTorch uses 1 thread instead of {threads}. Start "
            'processes with multiprocessing.get_context("spawn") to use more.',
            stacklevel=3,
        )
        threads = 1
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    _deterministic_cudnn.enter()
    try:
        yield
    finally:
        _deterministic_cudnn.leave()
        torch.set_num_threads(before)


@contextmanager
def deterministic_gradients(device: torch.device) -> Iterator[None]:
    """Choose deterministic gradients on a GPU in this context, where PyTorch has them.

    :func:`repeatable` makes cuDNN deterministic. The gradients of some other operations, such as
    reflection padding, sum in a random order on a GPU unless PyTorch is asked not to. PyTorch warns
    about a gradient for which it has no deterministic algorithm. The flags apply to the whole
    process; previous flags are restored on exit.

    Args:
        device: device of the computation; nothing changes unless it is a GPU.
    """
    if device.type != "cuda" or torch.are_deterministic_algorithms_enabled():
        yield
        return
    settings: Any = torch.utils.deterministic
    before = settings.fill_uninitialized_memory
    settings.fill_uninitialized_memory = False  # a check that takes time
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)
        settings.fill_uninitialized_memory = before


class _DeterministicCudnn:
    """Makes cuDNN deterministic while at least one Python thread is in the context."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_entered = 0
        self._before = (False, False)  # previous flags benchmark and deterministic

    def enter(self) -> None:
        cudnn = torch.backends.cudnn
        with self._lock:
            if self._n_entered == 0:
                self._before = cudnn.benchmark, cudnn.deterministic
                cudnn.benchmark, cudnn.deterministic = False, True
            self._n_entered += 1

    def leave(self) -> None:
        cudnn = torch.backends.cudnn
        with self._lock:
            self._n_entered -= 1
            if self._n_entered == 0:
                cudnn.benchmark, cudnn.deterministic = self._before


_deterministic_cudnn = _DeterministicCudnn()


def map_in_threads(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    threads: int,
    device: torch.device,
) -> list[Result]:
    """Apply a function to each item in inference mode, on a CPU in several Python threads.

    The result for an item must not depend on other calls; then ``workers`` affects only the speed.

    Args:
        function: item -> result; it must be thread-safe.
        items: arguments of the function, one per call.
        workers: number of concurrent calls on a CPU; on a GPU, calls are sequential.
        threads: number of PyTorch threads per call.
        device: device that the function computes on.

    Returns:
        The results, in the order of the items.
    """

    def infer(item: Item) -> Result:
        with torch.inference_mode():
            return function(item)

    with repeatable(threads):
        if device.type != "cpu" or workers == 1:
            return [infer(item) for item in items]
        # In some builds of PyTorch, each Python thread must set the number of PyTorch threads.
        with ThreadPoolExecutor(
            workers, initializer=torch.set_num_threads, initargs=(threads,)
        ) as pool:
            return list(pool.map(infer, items))
