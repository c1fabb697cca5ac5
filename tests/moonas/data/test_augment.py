import math

import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as TF

from moonas.data import Augmentation, load
from moonas.data.augment import color_jitter, crop_and_rotate, shift_and_flip
from moonas.evaluators import TrainingSettings
from moonas.evaluators.classification import augmentation_for
from moonas.nets.randomness import generator

MEAN = torch.tensor([0.5, 0.4, 0.3])[:, None, None]
STD = torch.tensor([0.2, 0.25, 0.3])[:, None, None]


def pixels(n=6, side=16, channels=3):
    return torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(1))


def test_shifted_images_have_black_or_mean_edges():
    images = (pixels() - MEAN) / STD
    for edges, color in (("black", torch.zeros(3)), ("mean", MEAN.flatten())):
        augment = Augmentation(MEAN[None], STD[None], padding=16, edges=edges)
        shown = augment(images, generator(0)) * STD + MEAN
        rng = generator(0)
        dy, dx = (torch.randint(0, 33, (6, 1), generator=rng) for _ in "yx")
        for image, y, x in zip(shown, dy.flatten().tolist(), dx.flatten().tolist(), strict=True):
            row, column = (0 if y < 16 else 15), (0 if x < 16 else 15)
            if (y, x) != (16, 16):
                assert torch.allclose(image[:, row, column], color, atol=1e-5)


def test_without_any_step_images_do_not_change():
    augment = Augmentation(MEAN[None], STD[None])
    assert not augment.changes_images(8)
    images = pixels()
    assert augment(images, generator(0)) is images


def test_the_mean_edges_are_those_of_earlier_versions():
    images = pixels()
    augment = Augmentation(MEAN[None], STD[None], padding=3, mirror=True, edges="mean")
    expected = shift_and_flip(images, generator(0), 3, True)
    assert torch.equal(augment(images, generator(0)), expected)


def test_a_whole_crop_without_rotation_is_the_image():
    images = pixels(side=9)
    assert torch.allclose(crop_and_rotate(images, generator(0), (1.0, 1.0), 0.0), images, atol=1e-5)


@pytest.mark.parametrize("size", [(16, 16), (12, 20)])
def test_a_rotation_equals_that_of_torchvision(size):
    images = torch.rand(5, 3, *size)
    rotated = crop_and_rotate(images, generator(4), (1.0, 1.0), 60.0)
    turns = torch.rand(5, 5, generator=generator(4))[4]
    for image, result, turn in zip(images, rotated, turns.tolist(), strict=True):
        angle = (2 * turn - 1) * 60
        expected = TF.rotate(image, angle, interpolation=v2.InterpolationMode.BILINEAR)
        inside = TF.rotate(torch.ones_like(image), angle) > 0.5
        assert (result - expected).abs()[inside].mean() < 0.02, angle


def test_a_crop_shows_the_rectangle_that_it_keeps():
    side = 32
    position = (2 * torch.arange(side) + 1) / side - 1  # centers of the pixels in [-1, 1]
    ramps = torch.stack([position.expand(side, side), position[:, None].expand(side, side)])
    images = ramps.expand(200, 2, side, side)
    crops = crop_and_rotate(images, generator(0), (0.1, 0.6), 0.0)
    middle = slice(8, 24)
    slopes = [
        (crops[:, i].diff(dim=2 - i)[:, middle, middle].mean((1, 2))) * side / 2 for i in (0, 1)
    ]
    width, height = slopes
    area, ratio = width * height, width / height
    assert 0.1 <= area.min() < 0.14 and 0.55 < area.max() <= 0.6 + 1e-4
    assert area.mean() == pytest.approx(0.35, abs=0.03)
    assert 0.74 < ratio.min() < 0.8 and 1.25 < ratio.max() < 1.34
    x, y = (crops[:, i, middle, middle].mean((1, 2)) for i in (0, 1))
    assert (x.abs() <= 1 - width + 1e-4).all() and (y.abs() <= 1 - height + 1e-4).all()
    assert abs(float(x.mean())) < 0.1 and x.std() > 0.2


@pytest.mark.parametrize("channels", [1, 3])
def test_color_jitter_equals_torchvision(channels):
    images = pixels(channels=channels)
    jittered = color_jitter(images, generator(2), 0.6)
    factors = 1 + 0.6 * (2 * torch.rand(3, 6, 1, 1, 1, generator=generator(2)) - 1)
    for i, image in enumerate(images):
        brightness, contrast, saturation = factors[:, i].flatten().tolist()
        expected = TF.adjust_brightness(image, brightness)
        expected = TF.adjust_contrast(expected, contrast)
        if channels == 3:
            expected = TF.adjust_saturation(expected, saturation)
        assert torch.allclose(jittered[i], expected, atol=2e-3)


def test_settings_select_the_augmentation(few_digits):
    data = load(str(few_digits), image_size=8)

    def select(**options):
        settings = TrainingSettings(data=str(few_digits), image_size=8, **options)
        return augmentation_for(settings, data)

    usual = select()
    assert (usual.padding, usual.mirror, usual.edges) == (4, True, "black")
    assert not select(padding=0, mirror="no").changes_images(8)
    chosen = select(padding=1, mirror="no", crop_scale=(0.2, 1), rotation=15, jitter=0.4)
    assert (chosen.crop_scale, chosen.rotation, chosen.jitter) == ((0.2, 1.0), 15.0, 0.4)
    images = data.images[:8]
    one, same, other = (chosen(images, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.allclose(one, other)
    assert one.shape == images.shape and one.isfinite().all()
    assert not augmentation_for(TrainingSettings(), load("digits")).changes_images(8)
    for scale in ((0.5,), (1.0, 0.2)):
        with pytest.raises(ValueError, match="crop_scale=.* two numbers in ascending order"):
            TrainingSettings(crop_scale=scale)


def test_the_colors_of_normalized_images_stay_in_the_range_of_pixels():
    images = (pixels() - MEAN) / STD
    augment = Augmentation(MEAN[None], STD[None], crop_scale=(0.3, 1.0), rotation=20, jitter=0.8)
    shown = augment(images, generator(0)) * STD + MEAN
    assert shown.min() >= -1e-5 and shown.max() <= 1 + 1e-5
    assert math.isfinite(float(shown.sum()))
