from dataclasses import replace

import numpy as np
import pytest
import torch
from cyclegans import PRUNING, SMALL, write_domains
from moonas.problems.cyclegan_pruning import data
from moonas.problems.cyclegan_pruning.data import describe
from moonas.problems.cyclegan_pruning.settings import PruningSettings
from moonas.problems.cyclegan_pruning.training import new_gan
from moonas.problems.cyclegan_pruning.weights_file import write_gan

import moonas
from moonas.data import load


@pytest.fixture(scope="session")
def domains(tmp_path_factory):
    """Folder with a few random images of two domains."""
    return write_domains(tmp_path_factory.mktemp("domains") / "noise")


@pytest.fixture(scope="session")
def weights(domains, tmp_path_factory):
    """File with a CycleGAN whose weights are large enough for its translations to differ."""
    settings = PruningSettings(**SMALL, data=domains)
    gan = new_gan(1, "cpu", **settings.network_shape)
    with torch.no_grad():
        for p in gan.parameters():
            p.mul_(3)
    path = tmp_path_factory.mktemp("weights") / "cyclegan.pt"
    write_gan(path, gan, settings, describe(settings))
    return path


@pytest.fixture
def make_problem(domains, weights):
    """Function from settings to the problem that compresses the CycleGAN in ``weights``."""

    def build(**options):
        defaults = PRUNING | dict(data=domains, weights=weights)
        return moonas.load_problem("cyclegan-pruning", **defaults | options)

    return build


@pytest.fixture(scope="module")
def reduced_digits():
    """Reduce the digits to 20 training and validation images and 4 test images per class."""
    digits = load("digits")

    def first_rows(labels, n):
        return np.concatenate([np.flatnonzero(labels == c)[:n] for c in range(10)])

    rows, test_rows = first_rows(digits.labels, 20), first_rows(digits.test_labels, 4)
    reduced = replace(
        digits,
        images=digits.images.subset(rows),
        labels=digits.labels[rows],
        test_images=digits.test_images.subset(test_rows),
        test_labels=digits.test_labels[test_rows],
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda name: reduced)
        yield reduced
