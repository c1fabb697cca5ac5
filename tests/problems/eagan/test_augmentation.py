import pytest
import torch
from moonas.problems.eagan.augmentation import CUTOUT, diff_augment
from moonas.problems.eagan.settings import AUGMENTATIONS

from moonas.nets.randomness import generator


def random_images(n=5, c=3, side=16):
    return 2 * torch.rand(n, c, side, side, generator=generator(0, "images")) - 1


def test_without_names_images_are_unchanged_and_no_random_numbers_are_used():
    rng, images = generator(1), random_images()
    state = rng.get_state()
    assert diff_augment(images, (), rng) is images
    assert torch.equal(rng.get_state(), state)


def test_translation_moves_each_image_by_up_to_an_eighth_and_fills_with_gray():
    images = 1 + torch.arange(16 * 16.0).view(1, 1, 16, 16).repeat(200, 2, 1, 1)
    moved = diff_augment(images, ["translation"], generator(1))
    shifts = set()
    for before, after in zip(images, moved, strict=True):
        found = []
        for dy in range(-3, 4):
            for dx in range(-3, 4):
                expected = torch.zeros_like(before)
                to_y, from_y = (
                    slice(max(0, dy), 16 + min(0, dy)),
                    slice(max(0, -dy), 16 - max(0, dy)),
                )
                to_x, from_x = (
                    slice(max(0, dx), 16 + min(0, dx)),
                    slice(max(0, -dx), 16 - max(0, dx)),
                )
                expected[:, to_y, to_x] = before[:, from_y, from_x]
                if torch.equal(expected, after):
                    found.append((dy, dx))
        assert len(found) == 1
        shifts.add(found[0])
    # 2 = 16 / 8 pixels in each direction; all 25 shifts occur among 200 images
    assert shifts == {(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)}


def test_cutout_removes_a_square_of_half_the_side_length_that_may_extend_beyond_the_image():
    cut = diff_augment(torch.ones(400, 3, 8, 8), ["cutout"], generator(1))
    assert torch.equal(cut[:, 0], cut[:, 1]) and set(cut.unique().tolist()) == {0.0, 1.0}
    removed = cut[:, 0] == 0
    heights, widths = removed.any(2).sum(1), removed.any(1).sum(1)
    assert torch.equal(removed.sum((1, 2)), heights * widths)  # a rectangle
    size = round(8 * CUTOUT)
    assert heights.min() == size // 2 and heights.max() == size == widths.max()
    assert removed.any(0).all()
    # as many positions beyond the top as beyond the bottom: half of the square stays inside
    for edge in (0, -1):
        at_edge = removed[:, edge].any(1)
        assert set(heights[at_edge].tolist()) == {size // 2, size // 2 + 1, size}


def test_color_changes_brightness_saturation_and_contrast_as_in_the_formulas():
    images, rng = random_images(), generator(1)
    changed = diff_augment(images, ["color"], generator(1))
    brightness, saturation, contrast = (torch.rand(5, 1, 1, 1, generator=rng) for _ in range(3))
    expected = images + brightness - 0.5
    gray = expected.mean(1, keepdim=True)
    expected = gray + 2 * saturation * (expected - gray)
    mean = expected.mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(changed, mean + (contrast + 0.5) * (expected - mean))


def test_color_shifts_and_scales_images_with_one_channel():
    images = random_images(c=1)
    changed = diff_augment(images, ["color"], generator(1))
    for before, after in zip(images.flatten(1), changed.flatten(1), strict=True):
        slope = (after - after.mean()) / (before - before.mean())
        assert slope.std() < 1e-4 and 0.5 <= slope.mean() <= 1.5
        assert (after.mean() - before.mean()).abs() <= 0.5


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_gradient_equals_finite_differences(name):
    images = random_images(n=2, c=2, side=4).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: diff_augment(x, [name], generator(2)), images)


def test_all_changes_are_applied_in_a_fixed_order_and_depend_on_the_random_generator():
    images = random_images()
    changed = diff_augment(images, AUGMENTATIONS, generator(1))
    rng = generator(1)
    for name in AUGMENTATIONS:
        images = diff_augment(images, [name], rng)
    assert torch.equal(changed, images)
    assert torch.equal(changed, diff_augment(random_images(), AUGMENTATIONS[::-1], generator(1)))
    assert not torch.equal(changed, diff_augment(random_images(), AUGMENTATIONS, generator(2)))
