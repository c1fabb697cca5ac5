"""Reading two domains and the label maps of their test images from a folder."""

import shutil

import numpy as np
import pytest
import torch
from cyclegans import write_domains
from moonas.problems.cyclegan_pruning.domains import (
    IGNORED,
    join,
    load_domains,
)
from moonas.problems.cyclegan_pruning.folders import domain_folders
from PIL import Image

from moonas.data import holding
from moonas.data.form import center_crop
from moonas.data.stores import FileStore
from moonas.run.numbers import plural

PARTS = [(domain, part) for domain in "AB" for part in ("train", "test")]
LAYOUTS = {"nested": "{domain}/{part}", "flat": "{part}{domain}", "by part": "{part}/{domain}"}
LABEL_MAP_FOLDERS = {
    "nested": "{domain}/test_labels",
    "flat": "test_labels{domain}",
    "by part": "test_labels/{domain}",
}
N_IMAGES = {("A", "train"): 10, ("A", "test"): 3, ("B", "train"): 5, ("B", "test"): 4}
FIRST_SHADE = {("A", "train"): 0, ("A", "test"): 50, ("B", "train"): 100, ("B", "test"): 150}


def subfolder(folder, layout, domain, part):
    return folder / LAYOUTS[layout].format(domain=domain, part=part)


def write_images(folder, layout="nested", side=8):
    """Write uniformly gray images, each with a different shade, and return the folder."""
    for key in PARTS:
        images_folder = subfolder(folder, layout, *key)
        images_folder.mkdir(parents=True)
        for i in reversed(range(N_IMAGES[key])):
            Image.new("L", (side, side), FIRST_SHADE[key] + i).save(images_folder / f"{i}.png")
    return folder


def write_maps(folder, layout, domain, maps):
    """Write arrays or images as 0.png, 1.png, ... and return their folder."""
    images_folder = folder / LABEL_MAP_FOLDERS[layout].format(domain=domain)
    images_folder.mkdir(parents=True)
    for i, pixels in enumerate(maps):
        image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
        image.save(images_folder / f"{i}.png")
    return images_folder


def shades(images):
    """Return the shade of each uniformly gray image."""
    assert (images == images[:, :1, :1, :1]).all()
    return images[:, 0, 0, 0].tolist()


def splits(domain):
    return [domain.train, domain.validation, domain.test]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_folders_in_every_layout_are_read(tmp_path, layout):
    write_images(tmp_path, layout)
    folders = domain_folders(tmp_path)
    assert folders == {key: subfolder(tmp_path, layout, *key) for key in PARTS}
    for name, domain in zip("AB", load_domains(str(tmp_path), (8, 8)), strict=True):
        first, n = FIRST_SHADE[name, "train"], N_IMAGES[name, "train"]
        loaded = shades(domain.train) + shades(domain.validation)
        assert sorted(loaded) == list(range(first, first + n))
        first, n = FIRST_SHADE[name, "test"], N_IMAGES[name, "test"]
        assert shades(domain.test) == list(range(first, first + n))
        assert domain.labels is domain.test_labels is domain.test_maps is None


def test_the_side_of_training_and_validation_images_includes_the_margin(tmp_path):
    write_images(tmp_path, side=9)
    for margin in (0, 3):
        for name, domain in zip("AB", load_domains(tmp_path, (6, 6), margin=margin), strict=True):
            side, n_train = 6 + margin, 8 if name == "A" else 4
            assert domain.train.shape == (n_train, 3, side, side)
            assert domain.validation.shape == (N_IMAGES[name, "train"] - n_train, 3, side, side)
            assert domain.test.shape == (N_IMAGES[name, "test"], 3, 6, 6)
            assert all(images.dtype == torch.uint8 for images in splits(domain))


def test_images_of_the_requested_size_keep_their_exact_pixels(tmp_path):
    write_images(tmp_path, side=16)
    values = np.arange(256, dtype=np.uint8)
    pixels = np.stack([values, values[::-1], np.roll(values, 99)], axis=-1).reshape(16, 16, 3)
    for key in PARTS:
        for path in subfolder(tmp_path, "nested", *key).iterdir():
            Image.fromarray(pixels).save(path)
    expected = torch.from_numpy(pixels).permute(2, 0, 1)
    for domain in load_domains(tmp_path, (16, 16)):
        for images in splits(domain):
            assert torch.equal(images, expected.expand_as(images))


def test_resized_pixels_are_rounded_and_images_need_not_be_square(tmp_path):
    write_images(tmp_path)
    images_folder = subfolder(tmp_path, "nested", "A", "test")
    Image.fromarray(np.array([[10, 11], [11, 11]], np.uint8)).save(
        images_folder / "0.png"
    )  # mean 10.75
    Image.new("RGB", (4, 2), (3, 200, 255)).save(images_folder / "1.png")
    test = load_domains(tmp_path, (1, 1))[0].test
    assert test[:2].reshape(2, 3).tolist() == [[11, 11, 11], [3, 200, 255]]


def test_files_other_than_images_are_ignored(tmp_path):
    write_images(tmp_path)
    for key in PARTS:
        (subfolder(tmp_path, "nested", *key) / "Thumbs.db").write_text("no image")
    assert [len(domain.test) for domain in load_domains(tmp_path, (8, 8))] == [3, 4]


@pytest.mark.parametrize(("share", "n_train"), [(0.8, (8, 4)), (0.5, (5, 2)), (0.24, (2, 1))])
def test_the_images_are_split_into_training_and_validation_sets(tmp_path, share, n_train):
    write_images(tmp_path)
    domains = load_domains(tmp_path, (8, 8), train_share=share)
    for name, domain, n in zip("AB", domains, n_train, strict=True):
        train, validation = shades(domain.train), shades(domain.validation)
        first = FIRST_SHADE[name, "train"]
        assert len(train) == n and not set(train) & set(validation)
        assert sorted(train + validation) == list(range(first, first + N_IMAGES[name, "train"]))


def test_the_split_is_shuffled_and_reproducible(tmp_path):
    write_images(tmp_path / "nested")
    write_images(tmp_path / "flat", "flat")
    nested, nested_again = (
        load_domains(tmp_path / "nested", (8, 8)),
        load_domains(tmp_path / "nested", (8, 8)),
    )
    flat = load_domains(tmp_path / "flat", (8, 8))
    for a, b, c in zip(nested, nested_again, flat, strict=True):
        for x, y, z in zip(splits(a), splits(b), splits(c), strict=True):
            assert torch.equal(x, y) and torch.equal(x, z)
    assert shades(nested[0].train) != list(range(8))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_label_maps_are_matched_to_test_images_by_name(tmp_path, layout):
    write_images(tmp_path, layout)
    test = subfolder(tmp_path, layout, "A", "test")
    Image.open(test / "1.png").save(test / "1.jpg", quality=100)
    (test / "1.png").unlink()
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8), dtype=np.uint8)
    write_maps(tmp_path, layout, "A", pixels)
    a, b = load_domains(tmp_path, (8, 8))
    assert a.test_maps.dtype == torch.uint8
    assert a.test_maps.tolist() == pixels.tolist()
    assert b.test_maps is None


def test_label_maps_with_a_palette_are_read_as_classes(tmp_path):
    write_images(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 19, (8, 8), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image.putpalette(np.random.default_rng(1).integers(0, 256, 768, dtype=np.uint8).tobytes())
    assert image.mode == "P"
    write_maps(tmp_path, "nested", "A", [image] * 3)
    maps = load_domains(tmp_path, (8, 8))[0].test_maps
    assert torch.equal(maps, torch.from_numpy(pixels).expand(3, 8, 8))


def test_label_maps_are_resized_by_nearest_neighbor_interpolation(tmp_path):
    write_images(tmp_path)
    rng = np.random.default_rng(0)
    small, large, odd = (
        rng.choice([0, 7, IGNORED], size=shape).astype(np.uint8)
        for shape in ((4, 4), (16, 16), (5, 13))
    )
    write_maps(tmp_path, "nested", "A", [small, large, odd])
    maps = load_domains(tmp_path, (8, 8))[0].test_maps.numpy()
    assert maps.shape == (3, 8, 8)
    assert np.array_equal(maps[0], small.repeat(2, axis=0).repeat(2, axis=1))
    blocks = large.reshape(8, 2, 8, 2)
    assert (maps[1][:, None, :, None] == blocks).any(axis=(1, 3)).all()
    assert set(np.unique(maps[2])) <= {0, 7, IGNORED}


def test_images_of_unequal_sizes_become_rectangles_with_a_margin_on_both_sides(tmp_path):
    folder = write_domains(tmp_path / "data", sizes=[(20, 30), (11, 40), (40, 9)])
    a, b = load_domains(folder, (8, 12), margin=4)
    for domain in (a, b):
        assert domain.train.shape == (12, 3, 12, 16) and domain.validation.shape == (3, 3, 12, 16)
        assert domain.test.shape == (4, 3, 8, 12)
    streamed, _ = load_domains(folder, (8, 12), margin=4, data_in="stream", loader_workers=0)
    assert torch.equal(streamed.train.read(torch.arange(12)), a.train)


def test_a_center_crop_has_the_same_distance_from_all_edges():
    images = torch.arange(2 * 3 * 8 * 8).reshape(2, 3, 8, 8)
    assert torch.equal(center_crop(images, (4, 4)), images[:, :, 2:6, 2:6])
    assert torch.equal(center_crop(images, (8, 8)), images)
    assert center_crop(images, (5, 5)).shape == (2, 3, 5, 5)
    assert torch.equal(center_crop(images, (4, 8)), images[:, :, 2:6])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("domain", "part"), PARTS)
def test_a_missing_subfolder_raises_an_error(tmp_path, layout, domain, part):
    write_images(tmp_path, layout)
    shutil.rmtree(subfolder(tmp_path, layout, domain, part))
    with pytest.raises(ValueError, match=r"expected the subfolders A/train, .* \(or trainA, "):
        load_domains(tmp_path, (8, 8))


def test_a_mixture_of_both_layouts_raises_an_error(tmp_path):
    write_images(tmp_path)
    for part in ("train", "test"):
        (tmp_path / "B" / part).rename(tmp_path / f"{part}B")
    with pytest.raises(ValueError, match="not a folder of two domains"):
        load_domains(tmp_path, (8, 8))


@pytest.mark.parametrize(("n", "share"), [(0, 0.8), (1, 0.8), (3, 0.9), (4, 0.1)])
def test_too_few_images_for_a_training_and_a_validation_set_raise_an_error(tmp_path, n, share):
    write_images(tmp_path)
    images_folder = subfolder(tmp_path, "nested", "B", "train")
    for path in sorted(images_folder.iterdir())[n:]:
        path.unlink()
    with pytest.raises(
        ValueError, match=f"train contains {plural(n, 'image')}, too few .*train_share={share:g}"
    ):
        load_domains(tmp_path, (8, 8), train_share=share)


def test_a_domain_without_test_images_raises_an_error(tmp_path):
    write_images(tmp_path)
    for path in subfolder(tmp_path, "nested", "B", "test").iterdir():
        path.rename(path.with_suffix(".txt"))
    with pytest.raises(ValueError, match="test contains no images"):
        load_domains(tmp_path, (8, 8))


@pytest.mark.parametrize(("domain", "part"), PARTS)
def test_the_error_for_an_unreadable_image_contains_the_file_name(tmp_path, domain, part):
    write_images(tmp_path)
    (subfolder(tmp_path, "nested", domain, part) / "2.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="2.png cannot be read as an image"):
        load_domains(tmp_path, (8, 8))


def test_the_error_for_a_missing_label_map_contains_the_file_name(tmp_path):
    write_images(tmp_path)
    write_maps(tmp_path, "nested", "B", np.zeros((3, 8, 8), np.uint8))
    with pytest.raises(ValueError, match="3.png is missing: 3.png has no label map"):
        load_domains(tmp_path, (8, 8))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "1", "I;16"])
def test_a_label_map_without_exactly_one_8_bit_channel_raises_an_error(tmp_path, mode):
    write_images(tmp_path)
    write_maps(tmp_path, "nested", "A", [Image.new(mode, (8, 8))] * 3)
    with pytest.raises(ValueError, match=f"0.png is not a label map: .* got mode {mode}"):
        load_domains(tmp_path, (8, 8))


def test_the_error_for_an_unreadable_label_map_contains_the_file_name(tmp_path):
    write_images(tmp_path)
    write_maps(tmp_path, "nested", "A", np.zeros((3, 8, 8), np.uint8))
    (tmp_path / "A" / "test_labels" / "2.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="2.png cannot be read as an image"):
        load_domains(tmp_path, (8, 8))


def test_streamed_domains_have_the_images_of_those_in_memory(tmp_path):
    write_images(tmp_path)
    memory = load_domains(str(tmp_path), (6, 6), margin=2, data_in="memory")
    stream = load_domains(str(tmp_path), (6, 6), margin=2, data_in="stream", loader_workers=0)
    for a, b in zip(memory, stream, strict=True):
        everything = torch.arange(len(a.known))
        assert isinstance(a.train, torch.Tensor) and isinstance(b.train, FileStore)
        assert torch.equal(a.train, b.train.read(torch.arange(len(b.train))))
        assert torch.equal(a.known, b.known.read(everything))
        assert torch.equal(a.known, torch.cat([a.train, a.validation]))
    rows = torch.tensor([12, 0, 5])
    joined = [join(a.known, b.known).read(rows) for a, b in (memory, stream)]
    assert torch.equal(*joined) and shades(joined[0])[0] >= FIRST_SHADE["B", "train"]


def test_domains_are_streamed_if_they_take_more_than_a_quarter_of_the_memory(tmp_path, monkeypatch):
    write_images(tmp_path)
    for memory, kind in ((4 * 8 * 192, torch.Tensor), (4 * 8 * 192 - 4, FileStore)):
        monkeypatch.setattr(holding, "machine_memory", lambda memory=memory: memory)
        assert all(isinstance(d.train, kind) for d in load_domains(str(tmp_path), (8, 8)))


@pytest.mark.parametrize("data_in", ["auto", "memory"])
def test_an_error_lists_the_damaged_images_of_both_domains_and_all_parts(tmp_path, data_in):
    folder = write_domains(tmp_path / "domains")
    damaged = ["A/train/0.png", "A/train/7.png", "A/test/1.png", "B/train/4.png", "B/test/3.png"]
    for name in damaged:
        (folder / name).write_bytes(b"")
    with pytest.raises(ValueError, match="^5 of 38 images cannot be read: ") as error:
        load_domains(folder, (8, 8), data_in=data_in)
    for name in damaged:
        assert str(error.value).count(f"{folder / name} cannot be read as an image: ") == 1
