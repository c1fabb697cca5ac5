import gzip
import struct

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from moonas.data import describe, load, shift_and_flip, split
from moonas.nets.randomness import generator


def test_digits_are_split_into_1437_and_360_by_class():
    data = load("digits")
    assert data.images.shape == (1437, 1, 8, 8) and data.test_images.shape == (360, 1, 8, 8)
    assert data.classes == tuple("0123456789")
    share = torch.bincount(data.labels) / 1437
    test_share = torch.bincount(data.test_labels) / 360
    assert (share - test_share).abs().max() < 1 / 360 + 1e-6


def test_every_digit_is_in_one_part_and_no_image_is_in_both():
    data = load("digits")
    raw = load_digits().images
    mean = raw[:, None].astype(np.float32)
    rows = {x.tobytes() for x in mean}
    both = torch.cat([data.images, data.test_images])
    # undo the normalisation from two known values: the darkest and the brightest pixel
    low, high = both.min(), both.max()
    pixels = ((both - low) / (high - low) * 16).round().numpy()
    assert {x.tobytes() for x in pixels} == rows
    search = {x.tobytes() for x in data.images.numpy()}
    assert not any(x.tobytes() in search for x in data.test_images.numpy())


def test_images_are_normalised_by_those_to_search_with():
    data = load("digits")
    assert abs(float(data.images.mean())) < 1e-5
    assert abs(float(data.images.std()) - 1) < 1e-5


def test_a_split_repeats_and_parts():
    labels = np.repeat([0, 1, 2], 30)
    first, second = split(labels, 45)
    again, _ = split(labels, 45)
    assert np.array_equal(first, again)
    assert sorted([*first, *second]) == list(range(90))
    assert np.array_equal(np.bincount(labels[first]), [15, 15, 15])


def test_images_can_be_resized():
    assert load("digits", image_size=5).images.shape == (1437, 1, 5, 5)


def test_shifting_equals_a_plain_loop():
    images = torch.arange(2 * 3 * 4 * 5, dtype=torch.float32).reshape(2, 3, 4, 5)
    out = shift_and_flip(images, generator(3), padding=2, flip=True)
    rng = generator(3)
    dy, dx = torch.randint(0, 5, (2, 2, 1), generator=rng)
    mirrored = torch.randint(0, 2, (2, 1), generator=rng, dtype=torch.bool)
    for i in range(2):
        padded = torch.zeros(3, 8, 9)
        padded[:, 2:6, 2:7] = images[i]
        part = padded[:, dy[i] : dy[i] + 4, dx[i] : dx[i] + 5]
        assert torch.equal(out[i], part.flip(2) if mirrored[i] else part)


def test_shifting_by_nothing_is_the_identity():
    images = torch.randn(3, 1, 4, 4)
    assert torch.equal(shift_and_flip(images, generator(0), 0, False), images)


def test_mirroring_happens_half_of_the_time():
    images = torch.arange(2.0).reshape(1, 1, 1, 2).expand(10_000, 1, 1, 2)
    out = shift_and_flip(images, generator(0), 0, True)
    share = float((out[:, 0, 0, 0] == 1).float().mean())
    assert abs(share - 0.5) < 4 * 0.5 / 100  # 4 standard errors


def write_images(folder, names, n=6, side=9):
    rng = np.random.default_rng(0)
    for level, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            pixels = rng.integers(0, 60, size=(side, side + i, 3)) + 80 * level
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i}.png")


def test_a_folder_of_classes_is_read_and_split(tmp_path):
    write_images(tmp_path, ["cat", "dog"], n=10)
    data = load(str(tmp_path), image_size=8)
    assert data.classes == ("cat", "dog")
    assert data.images.shape == (16, 3, 8, 8) and data.test_images.shape == (4, 3, 8, 8)
    assert torch.bincount(data.test_labels).tolist() == [2, 2]
    # the classes differ in brightness, so labels follow images
    assert (data.images.mean((1, 2, 3)) > 0).long().equal(data.labels)


def test_a_folder_with_train_and_test_is_taken_as_it_is(tmp_path):
    write_images(tmp_path / "train", ["a", "b", "c"], n=4)
    write_images(tmp_path / "test", ["a", "b", "c"], n=2)
    data = load(str(tmp_path))
    assert data.images.shape == (12, 3, 32, 32) and data.test_images.shape == (6, 3, 32, 32)
    assert describe(str(tmp_path)).n_classes == 3


def test_train_and_test_with_different_classes_are_refused(tmp_path):
    write_images(tmp_path / "train", ["a", "b"])
    write_images(tmp_path / "test", ["a", "c"])
    with pytest.raises(ValueError, match=r"\['b', 'c'\] are in one of them only"):
        load(str(tmp_path))


def test_a_folder_without_classes_is_refused(tmp_path):
    with pytest.raises(ValueError, match="a folder of images for each class"):
        load(str(tmp_path))


def test_a_file_that_is_no_image_is_named(tmp_path):
    write_images(tmp_path, ["a", "b"])
    (tmp_path / "a" / "broken.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"broken\.png cannot be read as an image"):
        load(str(tmp_path))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="'cifar11' is not there: .*'cifar10'"):
        load("cifar11")


def test_a_data_set_that_is_not_there_says_where_it_looked_and_what_would_do(tmp_path):
    with pytest.raises(ValueError, match="cifar10 is not in .*--root.*download=true"):
        load("cifar10", root=str(tmp_path))


def test_torchvisions_files_are_found_under_root(tmp_path):
    """Fashion-MNIST in its own file format, with images made here."""
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, n in (("train", 40), ("t10k", 10)):
        images = rng.integers(0, 256, size=(n, 28, 28), dtype=np.uint8)
        labels = (np.arange(n) % 10).astype(np.uint8)
        for kind, code, array in (("images-idx3", 3, images), ("labels-idx1", 1, labels)):
            head = struct.pack(">HBB", 0, 8, code) + struct.pack(f">{code}I", *array.shape)
            path = raw / f"{name}-{kind}-ubyte"
            path.write_bytes(head + array.tobytes())
            path.with_suffix(".gz").write_bytes(gzip.compress(head + array.tobytes()))
    data = load("fashion-mnist", root=str(tmp_path))
    assert data.images.shape == (40, 1, 28, 28) and data.test_images.shape == (10, 1, 28, 28)
    assert data.labels[:10].tolist() == list(range(10))
    assert data.classes[0] == "T-shirt/top"
