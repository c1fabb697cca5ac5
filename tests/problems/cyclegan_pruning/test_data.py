from dataclasses import replace

import pytest
import torch
from cyclegans import SMALL
from moonas.problems.cyclegan_pruning import data, digits
from moonas.problems.cyclegan_pruning.data import describe, load_data
from moonas.problems.cyclegan_pruning.settings import PruningSettings

from moonas.data import load


def of(**options):
    settings = PruningSettings(**SMALL | options)
    return load_data(settings, describe(settings))


def test_digits_are_split_between_the_domains_and_share_the_test_set():
    domains = of(image_size=16)
    sizes = {k: (len(d.train), len(d.validation), len(d.test)) for k, d in domains.items()}
    assert sizes == {"a": (574, 144, 360), "b": (575, 144, 360)}
    assert domains["a"].test_labels.tolist() == domains["b"].test_labels.tolist()
    again = of(image_size=16)
    assert all(torch.equal(domains[k].train, again[k].train) for k in "ab")


def test_known_images_are_all_digits_in_the_style_of_the_domain(few_of_digits):
    for domain in of().values():
        known = {image.numpy().tobytes() for image in domain.known}
        used = [image.numpy().tobytes() for image in torch.cat([domain.train, domain.validation])]
        assert len(domain.known) == 200 and len(used) == len(set(used)) == 100
        assert set(used) < known
        assert torch.equal(domain.labels, few_of_digits.labels)


def test_textures_depend_on_the_seed_only():
    pixels = torch.zeros(2, 1, 8, 8)
    one, other = (digits.outlines(pixels, seed, 8) for seed in (1, 2))
    assert not torch.equal(one, other) and torch.equal(one, digits.outlines(pixels, 1, 8))


def test_the_test_set_of_domain_b_has_other_textures_than_the_training_set(
    few_of_digits, monkeypatch
):
    same = replace(few_of_digits, test_images=few_of_digits.images)
    monkeypatch.setattr(data, "load", lambda name: same)
    a, b = of().values()
    assert torch.equal(a.test, a.known)
    assert all(not torch.equal(*images) for images in zip(b.test, b.known, strict=True))


def test_an_outline_is_bright_where_a_stroke_begins_or_ends():
    stroke = torch.zeros(1, 1, 8, 8)
    stroke[..., 3:5] = 1
    image = digits.outlines(stroke, 1, 16)[0].mean(dim=0)[8]  # one line of pixels
    assert image[[5, 6, 9, 10]].min() > 0.5  # both edges of the stroke
    assert image[[0, 1, 14, 15]].max() < 0.3  # the background


@pytest.mark.parametrize("share", [0.999, 0.001])
def test_too_few_digits_for_training_or_validation_are_refused(share):
    message = f"train_share={share} is invalid: expected at least 10 images for training and 10"
    with pytest.raises(ValueError, match=message):
        of(train_share=share)


def test_data_that_are_neither_digits_nor_a_folder_are_refused():
    with pytest.raises(ValueError, match="data='nothing' is invalid: expected digits or a folder"):
        of(data="nothing")


def test_domain_a_is_white_on_black():
    gray = load("digits").images[:1] * 0 + torch.linspace(0, 1, 64).reshape(1, 1, 8, 8)
    image = digits.white_on_black(gray, 8)
    assert image.shape == (1, 3, 8, 8)
    assert torch.allclose(image, 2 * gray.expand(1, 3, 8, 8) - 1, atol=1e-6)
