import io
import warnings

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from moonas.data import load
from moonas.data.form import ImageForm
from moonas.data.image_files import class_folders, images_in, read_image, read_images


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels)).save(path, **options)
    return path


def gray(value, side=8):
    return np.full((side, side, 3), value, np.uint8)


@pytest.fixture
def pets(tmp_path):
    """A folder with ten images in each of two classes."""
    for name in ("cat", "dog"):
        for i in range(10):
            save(tmp_path / "pets" / name / f"{i}.png", gray(20 * i))
    return tmp_path / "pets"


def test_hidden_files_and_folders_are_left_out(pets):
    (pets / "cat" / "._0.png").write_bytes(b"Mac OS X" + bytes(100))
    save(pets / ".ipynb_checkpoints" / "0.png", gray(0))
    save(pets / "cat" / ".hidden" / "0.png", gray(0))
    data = load(str(pets), image_size=8)
    assert data.classes == ("cat", "dog")
    assert len(data.images) + len(data.test_images) == 20


def test_images_are_known_by_their_ending_or_their_first_bytes(pets):
    save(pets / "cat" / "a.gif", gray(1))
    save(pets / "cat" / "b.jfif", gray(1), format="JPEG")
    save(pets / "cat" / "c", gray(1), format="JPEG")
    save(pets / "cat" / "d.PNG", gray(1))
    save(pets / "cat" / "persian" / "e.png", gray(1))
    (pets / "cat" / "notes.txt").write_text("no image")
    (pets / "cat" / "README").write_text("no image")
    with pytest.warns(UserWarning, match=r"1 without an ending\), such as README"):
        names = [path.name for path in images_in(pets / "cat") if not path.stem.isdecimal()]
    assert names == ["a.gif", "b.jfif", "c", "d.PNG", "e.png"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images_in(pets / "dog")


def test_a_class_may_consist_of_subfolders(pets):
    save(pets / "owl" / "barn" / "0.png", gray(1))
    (pets / "empty").mkdir()
    save(pets / "run" / "front.png", gray(1))
    (pets / "run" / "run.json").write_text("{}")
    assert [path.name for path in class_folders(pets)] == ["cat", "dog", "owl"]


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_gray_values_of_16_bits_are_scaled(tmp_path, form):
    ramp = np.linspace(1000, 65000, 64 * 64).reshape(64, 64).astype(np.uint16)
    pixels = read_image(save(tmp_path / "x", ramp, format=form), ImageForm(64))
    expected = torch.tensor(np.round(ramp.astype(np.float32) / 257).astype(np.uint8))
    assert torch.equal(pixels, expected.expand(1, 3, 64, 64))


def test_gray_values_that_are_real_numbers_are_kept_or_refused(tmp_path):
    ramp = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    pixels = read_image(save(tmp_path / "x.tif", ramp), ImageForm(8))
    assert torch.equal(pixels[0, 1], torch.tensor(np.round(255 * ramp).astype(np.uint8)))
    path = save(tmp_path / "y.tif", 300 * ramp)
    with pytest.raises(ValueError, match="y.tif cannot be .* from 0 to 300, expected 0 to 1; conv"):
        read_image(path, ImageForm(8))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_a_viewer_shows_them(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    path = save(tmp_path / "x.png", pixels, exif=exif)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    assert np.array_equal(read_image(path, ImageForm(16))[0].permute(1, 2, 0).numpy(), shown)


def test_an_error_lists_all_damaged_images(pets):
    whole = (pets / "cat" / "1.png").read_bytes()
    (pets / "cat" / "1.png").write_bytes(whole[: len(whole) // 2])
    (pets / "cat" / "2.png").write_bytes(b"")
    (pets / "dog" / "3.png").write_text("<html>404</html>")
    (pets / "dog" / "4.ppm").write_bytes(b"P6\n4x 4\n255\n" + bytes(48))
    paths = images_in(pets / "cat") + images_in(pets / "dog")
    with pytest.raises(ValueError, match="^4 of 21 images cannot be read: ") as damaged:
        read_images(paths, ImageForm(8))
    for name in ("cat/1.png", "cat/2.png", "dog/3.png", "dog/4.ppm"):
        assert str(damaged.value).count(f"{pets / name} cannot be read as an image: ") == 1
    assert "\n" not in str(damaged.value)
    with pytest.raises(ValueError, match=r"^1?.*3.png cannot be read as an image: cannot identify"):
        read_images([pets / "dog" / "3.png"], ImageForm(8))


def test_a_broken_block_of_a_png_is_named(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    data = bytearray(file.getvalue())
    at = data.rindex(b"IDAT")  # the second block of pixels
    data[at : at + 4] = b"a\x96%\0"
    (tmp_path / "x.png").write_bytes(data)
    with pytest.raises(ValueError, match="x.png cannot be read as an image: "):
        read_image(tmp_path / "x.png", ImageForm(8))


def test_pixels_are_bytes(tmp_path):
    paths = [save(tmp_path / f"{i}.png", gray(i)) for i in (0, 100, 255)]
    assert read_images(paths, ImageForm(8))[:, 0, 0, 0].tolist() == [0, 100, 255]
