import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

import moonas
from moonas.data import load
from moonas.data.disk_cache import DiskCache
from moonas.data.form import ImageForm
from moonas.data.image_files import read_image
from moonas.models import test_sets
from moonas.models.model import load_model
from moonas.run.journal import read_run


def disk(height, width, radius=10):
    """Pixels of an image with a white disk in its center."""
    y, x = np.mgrid[:height, :width]
    inside = (x - width / 2) ** 2 + (y - height / 2) ** 2 < radius**2
    return (255 * inside).astype(np.uint8)


@pytest.mark.parametrize("size", [(32, 64), (64, 32), (33, 47)])
@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
def test_only_squash_changes_proportions(size, resize, tmp_path):
    Image.fromarray(disk(*size)).save(tmp_path / "x.png")
    pixels = read_image(tmp_path / "x.png", ImageForm(32, 1, resize))
    assert pixels.shape == (1, 1, 32, 32)
    shown = pixels[0, 0] > 127
    high, wide = int(shown.any(1).sum()), int(shown.any(0).sum())
    assert (abs(high - wide) <= 1) == (resize != "squash")
    expected = 20 * 32 / (min(size) if resize == "crop" else max(size))
    if resize != "squash":
        assert abs(high - expected) <= 1.5
    rows, columns = shown.nonzero().float().mean(0).tolist()
    assert rows == pytest.approx(15.5, abs=0.8) and columns == pytest.approx(15.5, abs=0.8)


def test_crop_and_squash_equal_torchvision():
    images = torch.rand(2, 3, 40, 61)
    crop = v2.Compose([v2.Resize(16, antialias=True), v2.CenterCrop(16)])
    assert torch.allclose(ImageForm(16).fit(images), crop(images), atol=1e-5)
    squash = v2.Resize((16, 16), antialias=True)
    assert torch.allclose(ImageForm(16, 3, "squash").fit(images), squash(images), atol=1e-5)


def test_pad_adds_black_edges():
    fitted = ImageForm(8, 1, "pad").fit(torch.ones(1, 1, 8, 16))
    assert fitted[0, 0].mean(1).tolist() == pytest.approx([0, 0, 1, 1, 1, 1, 0, 0])


def test_maps_of_labels_are_fitted_as_the_images_are():
    labels = torch.arange(4, dtype=torch.uint8).repeat_interleave(4)[None, None].repeat(1, 8, 1)
    assert ImageForm(4).fit_map(labels, 255).tolist() == [[[1, 1, 2, 2]] * 4]
    assert ImageForm(4, 3, "squash").fit_map(labels, 255).tolist() == [[[0, 1, 2, 3]] * 4]
    padded = ImageForm(4, 3, "pad").fit_map(labels, 255).tolist()
    assert padded == [[[255] * 4, [0, 1, 2, 3], [0, 1, 2, 3], [255] * 4]]


# (height, width) of an image -> those after it was resized, before edges are cropped or added
@pytest.mark.parametrize(
    "size, resize, resized",
    [
        ((40, 50), "crop", (26, 32)),  # 50 columns become 32, so 40 rows become 25.6
        ((40, 100), "crop", (16, 40)),
        ((64, 32), "crop", (64, 32)),
        ((40, 50), "pad", (16, 20)),  # 40 rows become 16
        ((40, 100), "pad", (13, 32)),  # 100 columns become 32, so 40 rows become 12.8
        ((24, 24), "squash", (16, 32)),
        ((20, 40), "crop", (16, 32)),
        ((20, 40), "pad", (16, 32)),
    ],
)
def test_a_rectangle_is_covered_or_contains_the_image(size, resize, resized):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    fitted = ImageForm(16, 3, resize, width=32).fit(image)
    pillow = Image.fromarray(pixels).resize(resized[::-1], Image.Resampling.BILINEAR)
    expected = torch.from_numpy(np.array(pillow)).permute(2, 0, 1)
    h, w = resized
    if resize == "pad":
        left, top = (32 - w) // 2, (16 - h) // 2
        edges = left, 32 - w - left, top, 16 - h - top
        expected = torch.nn.functional.pad(expected, edges)
    elif resize == "crop":
        top, left = (h - 16) // 2, (w - 32) // 2
        expected = expected[:, top : top + 16, left : left + 32]
    assert fitted.shape == (1, 3, 16, 32)
    assert (255 * fitted[0] - expected).abs().max() < 1.5  # Pillow rounds twice


def test_maps_of_labels_fit_a_rectangle_exactly():
    labels = torch.arange(6, dtype=torch.uint8)[None, :, None].repeat(1, 1, 4)  # 6 rows of 4
    cropped = ImageForm(2, width=4).fit_map(labels, 255).tolist()
    assert cropped == [[[2] * 4, [3] * 4]]
    padded = ImageForm(6, 3, "pad", width=7).fit_map(labels, 255).tolist()
    assert padded == [[[255, *[i] * 4, 255, 255] for i in range(6)]]


def test_a_margin_is_added_to_height_and_width():
    form = ImageForm(4, 1, width=8)
    assert form.larger(2).size == (6, 10) and form.larger(0) == form.whole == form
    stored = ImageForm(4, 1, stored=6, width=8)
    assert stored.whole == form.larger(2)
    images = torch.arange(60.0).reshape(1, 1, 6, 10)
    assert torch.equal(stored.fit(images), images[..., 1:5, 1:9])


def test_names_of_caches_contain_a_width_only_if_images_are_not_square(few_digits):
    text = "ImageForm(side=8, channels=3, resize='crop', stored=None)"
    square, rectangle = (DiskCache(few_digits, ImageForm(8, width=w), 5) for w in (None, 12))
    assert str(square.form) == str(rectangle.form) == text, "as in earlier versions"
    assert (square.shape, rectangle.shape) == ((5, 3, 8, 8), (5, 3, 8, 12))
    assert DiskCache(few_digits, ImageForm(8, width=8), 5).key == square.key != rectangle.key


def test_gray_has_the_weights_of_pillow():
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    gray = np.asarray(Image.fromarray(pixels).convert("L"), np.float32)
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    assert np.abs(255 * ImageForm(8, 1).fit(images)[0, 0].numpy() - gray).max() < 1
    color = ImageForm(8, 3).fit(torch.tensor(gray)[None, None])
    assert all(torch.equal(color[:, i : i + 1], torch.tensor(gray)[None, None]) for i in range(3))


@pytest.mark.parametrize("name", ["digits", "folder"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_data_set_has_the_channels_on_request(name, channels, few_digits):
    data = load("digits" if name == "digits" else str(few_digits), image_channels=channels)
    assert data.info.channels == channels == data.images.shape[1] == data.mean.shape[1]
    assert data.test_images.shape[1] == channels


def test_an_unknown_form_is_refused(few_digits):
    with pytest.raises(ValueError, match=r"image_channels=2 is invalid: expected 1 \(gray\) or 3"):
        load(str(few_digits), image_channels=2)
    with pytest.raises(ValueError, match="resize='stretch' is unknown; choose from"):
        load(str(few_digits), resize="stretch")
    with pytest.raises(ValueError, match="image_channels=2 is invalid.*1, 3, or none"):
        moonas.load_problem("cars", data=few_digits, image_channels=2)


def test_a_training_and_its_evaluation_use_the_form_of_the_search(tiny, tmp_path):
    rng = np.random.default_rng(0)
    for name, level in (("dark", 40), ("light", 200)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(10):
            pixels = rng.integers(0, 50, (8, 16, 3), dtype=np.uint8) + np.uint8(level)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{i}.png")
    form = dict(image_size=8, image_channels=1, resize="pad", mirror="no")
    options = tiny | dict(data=str(tmp_path / "data"), out=tmp_path / "run", batch=4) | form
    moonas.search("cars", **options)
    (trained,) = moonas.train(tmp_path / "run", epochs=1, batch=4)
    recorded = read_run(trained.folder)[0]["settings"]
    assert {key: recorded[key] for key in form} == form
    model = load_model(trained.folder)
    assert tuple(model.input_shape) == (1, 8, 8)
    images = test_sets.load_test_images(str(tmp_path / "data"), model)
    assert images.pixels.shape == (4, 1, 8, 8)
    assert float(images.pixels.tensor()[:, :, 0].max()) < 1e-6  # black edges
