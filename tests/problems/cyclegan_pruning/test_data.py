from dataclasses import replace

import pytest
import torch
from cyclegans import SMALL
from moonas.problems.cyclegan_pruning import data, digits
from moonas.problems.cyclegan_pruning.data import describe, load_data
from moonas.problems.cyclegan_pruning.settings import PruningSettings

from moonas.data import load


def load_digits(**options):
    settings = PruningSettings(**SMALL | options)
    return load_data(settings, describe(settings))


def test_training_digits_are_split_between_the_domains_and_test_digits_are_shared():
    domains = load_digits(image_size=16)
    sizes = {k: (len(d.train), len(d.validation), len(d.test)) for k, d in domains.items()}
    assert sizes == {"a": (574, 144, 360), "b": (575, 144, 360)}
    assert domains["a"].test_labels.tolist() == domains["b"].test_labels.tolist()
    again = load_digits(image_size=16)
    assert all(torch.equal(domains[k].train, again[k].train) for k in "ab")


def test_labeled_images_are_all_training_and_validation_digits_in_the_style_of_the_domain(
    reduced_digits,
):
    for domain in load_digits().values():
        labeled = {image.numpy().tobytes() for image in domain.labeled}
        used = [image.numpy().tobytes() for image in torch.cat([domain.train, domain.validation])]
        assert len(domain.labeled) == 200 and len(used) == len(set(used)) == 100
        assert set(used) < labeled
        assert torch.equal(domain.labels, reduced_digits.labels)


def test_textures_depend_only_on_the_seed():
    pixels = torch.zeros(2, 1, 8, 8)
    first, second = (digits.outlines(pixels, seed, 8) for seed in (1, 2))
    assert not torch.equal(first, second)
    assert torch.equal(first, digits.outlines(pixels, 1, 8))


def test_textures_of_domain_b_differ_between_the_test_set_and_the_training_set(
    reduced_digits, monkeypatch
):
    identical_sets = replace(reduced_digits, test_images=reduced_digits.images)
    monkeypatch.setattr(data, "load", lambda name: identical_sets)
    a, b = load_digits().values()
    assert torch.equal(a.test, a.labeled)
    assert all(not torch.equal(*images) for images in zip(b.test, b.labeled, strict=True))


def test_outlines_are_bright_at_both_edges_of_a_stroke():
    stroke = torch.zeros(1, 1, 8, 8)
    stroke[..., 3:5] = 1
    image = digits.outlines(stroke, 1, 16)[0].mean(dim=0)[8]  # one row of pixels
    assert image[[5, 6, 9, 10]].min() > 0.5  # both edges of the stroke
    assert image[[0, 1, 14, 15]].max() < 0.3  # the background


@pytest.mark.parametrize("share", [0.999, 0.001])
def test_a_train_share_that_leaves_too_few_digits_raises_an_error(share):
    message = f"train_share={share} is invalid: .* at least 10 training images and 10 validation"
    with pytest.raises(ValueError, match=message):
        load_digits(train_share=share)


def test_a_data_setting_other_than_digits_or_a_folder_raises_an_error():
    with pytest.raises(ValueError, match="data='nothing' is invalid: expected digits or a folder"):
        load_digits(data="nothing")


def test_domain_a_shows_white_strokes_on_black():
    gray = load("digits").images[:1] * 0 + torch.linspace(0, 1, 64).reshape(1, 1, 8, 8)
    image = digits.white_on_black(gray, 8)
    assert image.shape == (1, 3, 8, 8)
    assert torch.allclose(image, 2 * gray.expand(1, 3, 8, 8) - 1, atol=1e-6)
