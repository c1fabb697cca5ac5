import os

import pytest
import torch
from PIL import Image
from searches import DEVICE, TINY
from sklearn.datasets import load_digits

torch.set_num_threads(1)  # the networks of the tests are too small to benefit from more threads

if DEVICE != "cpu":
    # TF32, the default of convolutions on GPUs, rounds to 10 bits. Results that are equal up to
    # rounding, such as those of a supernet and a network with its weights, then differ by 1e-3.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


@pytest.fixture(autouse=True)
def seeded_torch():
    """Seed the global generator of torch, so that no test depends on those that ran before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Cache folder of moonas that all processes of a test session share."""
    base = tmp_path_factory.getbasetemp()
    is_worker = "PYTEST_XDIST_WORKER" in os.environ  # each worker has another base folder
    folder = (base.parent if is_worker else base) / "moonas-cache"
    os.environ["MOONAS_CACHE"] = str(folder)
    return folder


@pytest.fixture
def device():
    """Device that networks run on: the value of MOONAS_DEVICE, by default the CPU."""
    return DEVICE


@pytest.fixture(scope="session")
def tiny_of():
    """Return a function from the name of a stage to settings for a fast run."""
    return TINY.__getitem__


@pytest.fixture(scope="session")
def few_digits(tmp_path_factory):
    """Folder of images of digits, with ten training and two test images per class."""
    digits, folder = load_digits(), tmp_path_factory.mktemp("few") / "digits"
    for label in range(10):
        images = digits.images[digits.target == label]
        for part, rows in (("train", images[:10]), ("test", images[10:12])):
            class_folder = folder / part / str(label)
            class_folder.mkdir(parents=True)
            for i, image in enumerate(rows):
                Image.fromarray((image * 15.9).astype("uint8")).save(class_folder / f"{i}.png")
    return folder


@pytest.fixture(scope="session")
def tiny():
    """Settings for a fast CARS search."""
    return TINY["cars"]
