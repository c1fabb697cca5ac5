import matplotlib.image
import numpy as np
import pytest
import torch
from moonas.problems.cyclegan_pruning import drawing
from moonas.problems.cyclegan_pruning.masks import compress, filter_groups
from moonas.problems.cyclegan_pruning.space import Space
from moonas.problems.cyclegan_pruning.training import CycleGAN

FIRST = "convolution 1", "convolution 2", "convolution 3 and blocks"


def test_kept_filters_are_colored_and_the_others_pale_gray():
    weights = torch.tensor([[1.0, -1.0, 0.5]] * 2)[:, :, None, None].expand(-1, -1, 3, 3)
    image = drawing._filter_mosaic(weights, np.array([True, False]), 1.0)
    assert image.shape == (5, 10, 3)  # a border of one pixel around each filter
    assert image[2, 2] == pytest.approx([1, 0, 0.75])
    red, green, blue = image[2, 7]
    assert red == green == blue > 0.7
    assert (image[0] == 1).all() and (image[:, [0, 4, 5, 9]] == 1).all()
    hidden = drawing._filter_mosaic(weights, np.array([True, False]), 1.0, np.array([False, True]))
    assert (hidden[:, :5] == 1).all() and (hidden[2, 7] == image[2, 7]).all()


def test_filters_beyond_a_row_start_another_row():
    weights = torch.zeros(33, 3, 7, 7)
    image = drawing._filter_mosaic(weights, np.ones(33, bool), 1.0)
    assert image.shape == (18, 32 * 9, 3)
    assert (image[9:, 9:] == 1).all() and (image[10:17, 1:8] == 0.5).all()


@pytest.mark.parametrize(
    "encoding, expected",
    [
        (
            "filters",
            [*FIRST, "block 1", "block 2", "transposed 1", "transposed 2"],
        ),
        (
            "released",
            [*FIRST, "transposed 1", "transposed 2"],
        ),
    ],
)
def test_the_picture_of_filters_has_a_strip_per_mask(tmp_path, encoding, expected):
    gan = CycleGAN(width=4, blocks=2, d_width=2, d_layers=1)
    groups = filter_groups(gan.generators["a"], encoding)
    free = [group for group in groups if not group.fixed]
    assert drawing._mask_titles(gan.generators["a"], free) == expected
    space = Space([group.size for group in free])
    images = []
    for seed in (0, 0, 1):
        architecture = space.uniform(0.5, np.random.default_rng(seed))
        path = tmp_path / "filters.png"
        compressed = compress(gan, architecture, groups)
        drawing.draw_filters(gan, compressed, architecture, groups, path)
        images.append(matplotlib.image.imread(path))
    assert (images[0] == images[1]).all() and (images[0] != images[2]).any()
    kept = (np.abs(images[0][..., :3] - [0.835, 0.369, 0]) < 0.01).all(-1)
    assert 0.02 < kept.mean() < 0.5  # marks in the color of filters that are kept
