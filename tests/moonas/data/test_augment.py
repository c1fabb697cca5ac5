import math

import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as TF

from moonas.data import Augmentation, load
from moonas.data.augment import CHANGES, Mixing, color_jitter, crop_and_rotate, shift_and_flip
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


def test_larger_images_are_cropped_to_the_side_length_that_a_network_sees():
    images = pixels(side=8)
    augment = Augmentation(MEAN[None], STD[None], side=6)
    assert augment.changes_images(8) and not augment.changes_images(6)
    cropped = augment(images, generator(0))
    windows = images.unfold(2, 6, 1).unfold(3, 6, 1)  # (b, c, y, x, 6, 6)
    for image, of_image in zip(cropped, windows, strict=True):
        same = (image[:, None, None] == of_image).all(-1).all(-1).all(0)
        assert same.sum() == 1
    zoomed = Augmentation(MEAN[None], STD[None], side=6, crop_scale=(0.1, 1.0))(
        images, generator(0)
    )
    assert zoomed.shape == (len(images), 3, 6, 6)
    whole = Augmentation(MEAN[None], STD[None], side=4, crop_scale=(1.0, 1.0))(images, generator(0))
    halved = torch.nn.functional.avg_pool2d(images, 2)  # the bilinear interpolation of this scale
    assert torch.allclose(whole, halved, atol=1e-4)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mixing_joins_two_images_and_their_labels(kind):
    images, labels = pixels(), torch.arange(6)
    mixing, owned = Mixing(6, **{kind: 0.8}), []
    for seed in range(5):
        mixed, shares = mixing(images, labels, generator(seed))
        again, _ = mixing(images, labels, generator(seed))
        assert torch.equal(mixed, again) and torch.allclose(shares.sum(1), torch.ones(6))
        others = images.roll(1, 0)
        for i in range(6):
            own = float(shares[i, i])
            assert float(shares[i, i - 1]) == pytest.approx(1 - own, abs=1e-6)
            if kind == "mixup":
                assert torch.allclose(mixed[i], own * images[i] + (1 - own) * others[i], atol=1e-5)
            else:
                kept = (mixed[i] == images[i]).all(0)
                assert torch.equal(mixed[i][:, ~kept], others[i][:, ~kept])
                assert float(kept.float().mean()) == pytest.approx(own, abs=1e-5)
        owned.append(own)
    assert min(owned) < 0.9 and len(set(owned)) > 2


def test_mixup_and_cutmix_take_turns_at_random():
    images, labels = pixels(), torch.arange(6)
    mixing, rng = Mixing(6, mixup=1.0, cutmix=1.0), generator(0)
    kinds = {bool((mixing(images, labels, rng)[0] == images).any()) for _ in range(20)}
    assert kinds == {True, False}


@pytest.mark.parametrize("name", ["randaugment", "trivialaugment"])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_automatic_change_is_determined_by_its_seed(name, channels):
    change = CHANGES[name]
    image = (255 * pixels(channels=channels)[0]).to(torch.uint8)
    changed = [change(image, seed) for seed in range(20)]
    assert all(torch.equal(c, change(image, seed)) for seed, c in enumerate(changed))
    assert all(c.shape == image.shape and c.dtype == torch.uint8 for c in changed)
    assert sum(not torch.equal(c, image) for c in changed) >= 10
    torch.manual_seed(5)
    expected = v2.RandAugment()(image) if name == "randaugment" else v2.TrivialAugmentWide()(image)
    assert torch.equal(change(image, 5), expected)
