import threading

import pytest
import torch

from moonas.nets.devices import (
    deterministic_gradients,
    map_in_threads,
    repeatable,
    resolve_device,
)


def test_cudnn_flags_are_restored_when_the_last_thread_leaves_the_context():
    cudnn, flags = torch.backends.cudnn, []
    before = cudnn.benchmark, cudnn.deterministic
    first_left, second_entered = threading.Event(), threading.Event()

    def second():
        with repeatable(1):
            second_entered.set()
            first_left.wait()
            flags.append((cudnn.benchmark, cudnn.deterministic))

    thread = threading.Thread(target=second)
    with repeatable(1):
        thread.start()
        second_entered.wait()
    first_left.set()
    thread.join()
    assert flags == [(False, True)]
    assert (cudnn.benchmark, cudnn.deterministic) == before


def test_repeatable_sets_and_restores_the_number_of_pytorch_threads():
    before = torch.get_num_threads()
    with repeatable(3):
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before


def deterministic_flags():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
    )


def test_gradients_are_deterministic_on_a_gpu_and_previous_flags_are_restored():
    before = deterministic_flags()
    assert before == (False, False, True)  # PyTorch's defaults
    with deterministic_gradients(torch.device("cuda")):
        assert deterministic_flags() == (True, True, False)
    assert deterministic_flags() == before
    with deterministic_gradients(torch.device("cpu")):
        assert deterministic_flags() == before


def test_deterministic_algorithms_that_the_user_requires_stay_required():
    torch.use_deterministic_algorithms(True)  # errors instead of warnings
    try:
        with deterministic_gradients(torch.device("cuda")):
            assert deterministic_flags() == (True, False, True)
        assert deterministic_flags() == (True, False, True)
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("workers", [1, 2])
def test_map_in_threads_uses_the_given_number_of_pytorch_threads_per_call(workers):
    def call(item):
        return item, torch.get_num_threads(), torch.is_inference_mode_enabled()

    results = map_in_threads(call, range(5), workers=workers, threads=3, device=torch.device("cpu"))
    assert results == [(i, 3, True) for i in range(5)]


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta", "xpu"])
def test_the_error_about_an_unknown_device_contains_its_name(name):
    with pytest.raises(ValueError, match=f"'{name}'"):
        resolve_device(name)
