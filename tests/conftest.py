import os

import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from moonas.registry import settings_class
from moonas.settings import names_of

DEVICE = os.environ.get("MOONAS_DEVICE", "cpu")
SECONDS = dict(  # settings with which searches take seconds
    channels=2,
    layers=3,
    batch=128,
    score_batch=720,
    population=6,
    generations=3,
    proxy_epochs=1,
    warmup_epochs=1,
    epochs=1,
    frozen_epochs=2,
    threads=1,
    d_channels=2,
    latent=3,
    generator_epochs=1,
    score_images=40,
    width=2,
    blocks=1,
    d_width=2,
    pretrain_epochs=1,
    decay_epochs=0,
    tune_steps=1,
    tune_share=0.02,
    image_size=8,
    d_layers=1,
    device=DEVICE,
)
torch.set_num_threads(1)  # networks are tiny here


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """A cache of the tests' own, which the processes that run them share."""
    base = tmp_path_factory.getbasetemp()
    parallel = "PYTEST_XDIST_WORKER" in os.environ  # then base is a folder of this worker's own
    folder = (base.parent if parallel else base) / "moonas-cache"
    os.environ["MOONAS_CACHE"] = str(folder)
    return folder


@pytest.fixture
def device():
    """Where networks run: MOONAS_DEVICE, or the CPU."""
    return DEVICE


@pytest.fixture(scope="session")
def tiny_of():
    """Name of a problem -> settings of a search that takes seconds."""

    def settings(name):
        known = names_of(settings_class(name))
        return {key: value for key, value in SECONDS.items() if key in known}

    return settings


@pytest.fixture(scope="session")
def few_digits(tmp_path_factory):
    """A folder with ten images of each digit to search with, and two for the test."""
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
def tiny(tiny_of):
    """Settings of a CARS search that takes seconds."""
    return tiny_of("cars")
