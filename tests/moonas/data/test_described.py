"""What is said of images before a search: their sizes, and what is done to them."""

import pytest
from PIL import Image

from moonas.data import described
from moonas.data.described import describe_images, image_sizes
from moonas.data.form import ImageForm


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


def test_only_evenly_spaced_images_of_a_large_folder_are_read(tmp_path, monkeypatch):
    folder = write_images(tmp_path, [(10 + i, 10) for i in range(9)])
    (tmp_path / "c0" / "damaged.png").write_bytes(b"none")
    assert len(image_sizes(folder)) == 9
    monkeypatch.setattr(described, "MOST_MEASURED", 3)
    assert 2 <= len(image_sizes(folder)) <= 3
    assert image_sizes(tmp_path / "nowhere") == set()
