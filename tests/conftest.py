import os

import pytest
import torch
from PIL import Image
from searches import DEVICE, TINY
from sklearn.datasets import load_digits

torch.set_num_threads(1)  # networks are tiny here


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """A cache folder that all processes of a test session share."""
    base = tmp_path_factory.getbasetemp()
    parallel = "PYTEST_XDIST_WORKER" in os.environ  # then each worker has its own base
    folder = (base.parent if parallel else base) / "moonas-cache"
    os.environ["MOONAS_CACHE"] = str(folder)
    return folder


@pytest.fixture
def device():
    """Device for networks: the value of MOONAS_DEVICE, or the CPU."""
    return DEVICE


@pytest.fixture(scope="session")
def tiny_of():
    """Function: name of a stage -> small settings."""
    return TINY.__getitem__


@pytest.fixture(scope="session")
def few_digits(tmp_path_factory):
    """A folder of digits with ten training and two test images per class."""
    digits, folder = load_digits(), tmp_path_factory.mktemp("few") / "digits"
    for label in range(10):
        images = digits.images[digits.target == label]
        for part, rows in (("train", images[:10]), ("test", images[10:12])):
            place = folder / part / str(label)
            place.mkdir(parents=True)
            for i, image in enumerate(rows):
                Image.fromarray((image * 15.9).astype("uint8")).save(place / f"{i}.png")
    return folder


@pytest.fixture(scope="session")
def tiny():
    """Small settings of a CARS search."""
    return TINY["cars"]
