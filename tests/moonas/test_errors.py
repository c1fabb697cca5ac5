import errno

import pytest
import torch

from moonas.errors import memory_error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        ImportError("libtorch_cuda.so: failed to map segment from shared object"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        RuntimeError("can't start new thread"),
        RuntimeError("could not create a primitive"),
    ],
)
def test_errors_of_exhausted_memory_are_recognized(error):
    assert memory_error(error) is error
    try:
        try:
            raise error
        except type(error) as first:
            raise ImportError("Importing the numpy C-extensions failed.") from first
    except ImportError as second:
        assert memory_error(second) is error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        ImportError("No module named 'onnx'"),
        RuntimeError("could not create a primitive descriptor for a convolution"),
        ValueError("not enough memory of earlier epochs"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    ],
)
def test_other_errors_are_not_taken_for_exhausted_memory(error):
    assert memory_error(error) is None


def test_an_exception_that_replaces_another_one_does_not_count_as_exhausted_memory():
    with pytest.raises(ValueError) as raised:
        try:
            raise MemoryError
        except MemoryError:
            raise ValueError("too large") from None
    assert memory_error(raised.value) is None
