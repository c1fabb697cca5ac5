"""What is said of images before a search: their sizes, and what is done to them."""

from pathlib import Path

import pytest
from PIL import Image

from moonas.data import described
from moonas.data.described import describe_images, image_sizes
from moonas.data.form import ImageForm
from moonas.data.image_files import image_pixels, open_image


def write_images(folder, sizes):
    for i, size in enumerate(sizes):
        (folder / f"c{i % 2}").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(folder / f"c{i % 2}" / f"{i}.png")
    return str(folder)


@pytest.mark.parametrize(
    ("sizes", "form", "text"),
    [
        (
            [(320, 240), (640, 480)],
            ImageForm(32),
            "Images: 320x240 to 640x480 pixels. Preprocessing: converts to RGB, resizes the "
            "shorter side to 32 pixels, keeps the center of 32x32, scales pixels to [0, 1].",
        ),
        (
            [(40, 30)],
            ImageForm(16, 1, "pad"),
            "Images: 40x30 pixels. Preprocessing: converts to gray, resizes the longer side to 16 "
            "pixels, adds black edges up to 16x16, scales pixels to [0, 1].",
        ),
        (
            [(40, 30)],
            ImageForm(16, 3, "squash"),
            "Images: 40x30 pixels. Preprocessing: converts to RGB, resizes to 16x16 pixels "
            "whatever the proportions, scales pixels to [0, 1].",
        ),
        (
            [(64, 64)],
            ImageForm(16, 3, "crop", 20),
            "Images: 64x64 pixels. Preprocessing: converts to RGB, resizes to 20x20 pixels, keeps "
            "the center of 16x16, scales pixels to [0, 1].",
        ),
        (
            [(40, 30)],
            ImageForm(16, width=32),
            "Images: 40x30 pixels. Preprocessing: converts to RGB, resizes to cover 32x16 pixels, "
            "keeps the center of 32x16, scales pixels to [0, 1].",
        ),
        (
            [(8, 8)],
            ImageForm(8),
            "Images: 8x8 pixels. Preprocessing: converts to RGB, scales pixels to [0, 1].",
        ),
    ],
)
def test_a_sentence_describes_sizes_and_how_images_are_fitted(tmp_path, sizes, form, text):
    assert describe_images(write_images(tmp_path, sizes), form) == text


def test_the_sizes_of_a_named_data_set_are_known_without_its_files():
    text = (
        "Images: 8x8 pixels. Preprocessing: converts to gray, resizes to 4x4 pixels, scales pixels "
        "to [0, 1]."
    )
    assert describe_images("digits", ImageForm(4, 1)) == text


def test_the_sizes_are_those_of_the_images_that_the_data_layer_lists(tmp_path):
    folder, elsewhere = Path(write_images(tmp_path / "images", [(10, 8)])), tmp_path / "elsewhere"
    write_images(elsewhere, [(20, 10)])
    (folder / "linked").symlink_to(elsewhere / "c0")
    Image.new("RGB", (3, 3)).save(folder / "c0" / "._hidden.png")
    write_images(folder / ".thumbnails", [(4, 4)])
    assert image_sizes(folder) == {(10, 8), (20, 10)}


@pytest.mark.parametrize("ending", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize(("orientation", "size"), [(3, (30, 20)), (5, (20, 30)), (8, (20, 30))])
def test_the_sizes_are_those_of_turned_images(tmp_path, ending, orientation, size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (30, 20)).save(tmp_path / f"photo{ending}", exif=exif)
    assert image_sizes(tmp_path) == {size}
    with open_image(tmp_path / f"photo{ending}") as image:
        assert image_pixels(image).shape[-2:] == size[::-1]  # as the data layer reads it


def test_only_evenly_spaced_images_of_a_large_folder_are_read(tmp_path, monkeypatch):
    folder = write_images(tmp_path, [(10 + i, 10) for i in range(9)])
    (tmp_path / "c0" / "damaged.png").write_bytes(b"none")
    assert len(image_sizes(folder)) == 9
    monkeypatch.setattr(described, "MOST_MEASURED", 3)
    assert 2 <= len(image_sizes(folder)) <= 3
    assert image_sizes(tmp_path / "nowhere") == set()
