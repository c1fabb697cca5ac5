import threading

import pytest
import torch

from moonas.nets.devices import repeatable, resolve_device


def test_what_was_set_comes_back_when_the_last_thread_leaves():
    cudnn, seen = torch.backends.cudnn, []
    before = cudnn.benchmark, cudnn.deterministic
    first_left, second_in = threading.Event(), threading.Event()

    def second():
        with repeatable(1):
            second_in.set()
            first_left.wait()
            seen.append((cudnn.benchmark, cudnn.deterministic))

    thread = threading.Thread(target=second)
    with repeatable(1):
        thread.start()
        second_in.wait()
    first_left.set()
    thread.join()
    assert seen == [(False, True)]
    assert (cudnn.benchmark, cudnn.deterministic) == before


def test_threads_are_set_inside_and_come_back():
    before = torch.get_num_threads()
    with repeatable(3):
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta", "xpu"])
def test_an_unknown_device_is_refused_by_name(name):
    with pytest.raises(ValueError, match=f"'{name}'"):
        resolve_device(name)
