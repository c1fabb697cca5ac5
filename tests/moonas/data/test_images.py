import gzip
import shutil
import struct

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

import moonas
from moonas.data import cutout, describe, load, shift_and_flip, split
from moonas.nets.randomness import generator


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def test_digits_are_split_into_1437_training_and_360_test_images_stratified_by_class(digits):
    assert digits.images.shape == (1437, 1, 8, 8) and digits.test_images.shape == (360, 1, 8, 8)
    assert digits.classes == tuple("0123456789")
    frequency = torch.bincount(digits.labels) / 1437
    test_frequency = torch.bincount(digits.test_labels) / 360
    assert (frequency - test_frequency).abs().max() < 1 / 360 + 1e-6


def test_every_digit_is_in_either_the_training_or_the_test_set(digits):
    originals = load_digits().images[:, None].astype(np.float32)
    images = torch.cat([digits.images.tensor(), digits.test_images.tensor()])
    # undo the normalization from two known values: the darkest and the brightest pixel
    low, high = images.min(), images.max()
    pixels = ((images - low) / (high - low) * 16).round().numpy()
    assert {x.tobytes() for x in pixels} == {x.tobytes() for x in originals}
    train = {x.tobytes() for x in digits.images.tensor().numpy()}
    assert not any(x.tobytes() in train for x in digits.test_images.tensor().numpy())


def test_images_are_normalized_with_mean_and_standard_deviation_of_the_training_images(digits):
    assert abs(float(digits.images.tensor().mean())) < 1e-5
    assert abs(float(digits.images.tensor().std()) - 1) < 1e-5
    for images in (digits.images.tensor(), digits.test_images.tensor()):
        pixels = images * digits.std + digits.mean
        assert abs(float(pixels.min())) < 1e-6 and abs(float(pixels.max()) - 1) < 1e-6


def test_a_split_is_deterministic_stratified_and_complete():
    labels = np.repeat([0, 1, 2], 30)
    first, second = split(labels, 45)
    assert np.array_equal(first, split(labels, 45)[0])
    assert sorted([*first, *second]) == list(range(90))
    assert np.array_equal(np.bincount(labels[first]), [15, 15, 15])


def test_images_are_resized_to_image_size():
    assert load("digits", image_size=5).images.shape == (1437, 1, 5, 5)


def test_shift_and_flip_equals_a_loop_over_images():
    images = torch.arange(2 * 3 * 4 * 5, dtype=torch.float32).reshape(2, 3, 4, 5)
    out = shift_and_flip(images, generator(3), padding=2, flip=True)
    rng = generator(3)
    dy, dx = torch.randint(0, 5, (2, 2, 1), generator=rng)
    flipped = torch.randint(0, 2, (2, 1), generator=rng, dtype=torch.bool)
    for i in range(2):
        padded = torch.zeros(3, 8, 9)
        padded[:, 2:6, 2:7] = images[i]
        crop = padded[:, dy[i] : dy[i] + 4, dx[i] : dx[i] + 5]
        assert torch.equal(out[i], crop.flip(2) if flipped[i] else crop)


def test_without_padding_and_flip_images_are_unchanged():
    images = torch.randn(3, 1, 4, 4)
    assert torch.equal(shift_and_flip(images, generator(0), 0, False), images)


def test_images_are_flipped_with_probability_one_half():
    images = torch.arange(2.0).reshape(1, 1, 1, 2).expand(10_000, 1, 1, 2)
    out = shift_and_flip(images, generator(0), 0, True)
    frequency = float((out[:, 0, 0, 0] == 1).float().mean())
    assert abs(frequency - 0.5) < 4 * 0.5 / 100  # 4 standard errors


def test_cutout_sets_a_square_with_a_uniformly_sampled_center_to_zero():
    n, side, size = 4000, 6, 4
    out = cutout(torch.ones(n, 2, side, side), generator(0), size)
    assert torch.equal(out[:, 0], out[:, 1])
    holes = out[:, 0] == 0
    # the center c in [0, 6) erases pixels c - 2 to c + 1, so pixel 0 is erased if c is 0, 1 or 2
    p = torch.tensor([3, 4, 4, 4, 3, 2]) / side
    expected = p[:, None] * p
    frequency = holes.float().mean(0)
    assert ((frequency - expected).abs() < 4 * (expected * (1 - expected) / n).sqrt()).all()
    rows, columns = holes.any(2).sum(1), holes.any(1).sum(1)
    assert torch.equal(holes.flatten(1).sum(1), rows * columns)
    assert rows.max() == columns.max() == size


def write_images(folder, names, n=6, side=9):
    """Write ``n`` images per class, brighter for later classes."""
    rng = np.random.default_rng(0)
    for level, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            pixels = rng.integers(0, 60, size=(side, side + i, 3)) + 80 * level
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i}.png")


def test_a_folder_with_a_subfolder_per_class_is_read_and_split(tmp_path):
    write_images(tmp_path, ["cat", "dog"], n=10)
    data = load(str(tmp_path), image_size=8)
    assert data.classes == ("cat", "dog")
    assert data.images.shape == (16, 3, 8, 8) and data.test_images.shape == (4, 3, 8, 8)
    assert torch.bincount(data.test_labels).tolist() == [2, 2]
    # the second class is brighter
    assert (data.images.tensor().mean((1, 2, 3)) > 0).long().equal(data.labels)


def test_a_folder_with_train_and_test_subfolders_is_not_split_again(tmp_path):
    write_images(tmp_path / "train", ["a", "b", "c"], n=4)
    write_images(tmp_path / "test", ["a", "b", "c"], n=2)
    data = load(str(tmp_path))
    assert data.images.shape == (12, 3, 32, 32) and data.test_images.shape == (6, 3, 32, 32)
    assert describe(str(tmp_path)).n_classes == 3


def test_different_classes_in_train_and_test_are_rejected(tmp_path):
    write_images(tmp_path / "train", ["a", "b"])
    write_images(tmp_path / "test", ["a", "c"])
    with pytest.raises(ValueError, match=r"only one of them contains \['b', 'c'\]"):
        load(str(tmp_path))


def test_a_train_folder_without_a_test_folder_is_rejected(tmp_path):
    write_images(tmp_path / "train", ["a", "b"])
    with pytest.raises(ValueError, match="contains train/ but no test/"):
        load(str(tmp_path))


def test_a_class_with_four_images_is_rejected(tmp_path):
    write_images(tmp_path, ["a", "b"], n=4)
    write_images(tmp_path, ["c"], n=5)
    few = "at least 5 per class are required, but 'a' has 4 images, 'b' has 4 images[.]"
    with pytest.raises(ValueError, match=few):
        load(str(tmp_path))


def test_a_test_folder_without_subfolders_of_classes_is_rejected(tmp_path):
    write_images(tmp_path / "train", ["a", "b"])
    write_images(tmp_path, ["test"])
    with pytest.raises(ValueError, match="test contains no subfolder with images: expected one"):
        load(str(tmp_path))


def test_the_error_about_an_empty_folder_lists_the_expected_contents(tmp_path):
    with pytest.raises(ValueError, match="contains no labeled images: .* got 0 such subfolders"):
        load(str(tmp_path))


def test_the_error_about_a_broken_image_names_the_file(tmp_path):
    write_images(tmp_path, ["a", "b"])
    (tmp_path / "a" / "broken.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"broken\.png cannot be read as an image"):
        load(str(tmp_path))


def test_the_error_about_an_unknown_data_set_lists_the_known_names():
    with pytest.raises(ValueError, match="Unknown data set 'cifar11': .*'cifar10'"):
        load("cifar11")


def test_the_error_about_a_missing_data_set_contains_its_folder_and_advice(tmp_path):
    with pytest.raises(ValueError, match="cifar10 is missing in .*--root.*download=true"):
        load("cifar10", root=str(tmp_path))


def test_root_is_the_folder_of_torchvisions_files(tmp_path):
    """The files contain random images in the format of Fashion-MNIST."""
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


def write_flat_folder(folder, n, side=12):
    """Write n images with different gray values, and return their values."""
    folder.mkdir(parents=True, exist_ok=True)
    values = np.arange(n) * 5 + 10
    for i, value in enumerate(values):
        pixels = np.full((side, side), value, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03d}.png")
    return values


def gray_values(data, images):
    pixels = images * data.std + data.mean
    return sorted((pixels.mean((1, 2, 3)) * 255).round().int().tolist())


def test_a_flat_folder_of_images_can_be_loaded_if_no_labels_are_required(tmp_path):
    values = write_flat_folder(tmp_path, 20).tolist()
    info = describe(str(tmp_path), 8, labels_required=False)
    assert not info.labeled and info.n_classes == 0 and (info.channels, info.side) == (3, 8)
    data = load(str(tmp_path), image_size=8, labels_required=False)
    assert data.images.shape == (16, 3, 8, 8) and data.test_images.shape == (4, 3, 8, 8)
    assert data.labels.shape == (16, 0) and data.test_labels.shape == (4, 0)
    assert data.classes == ()
    both = gray_values(data, data.images.tensor()) + gray_values(data, data.test_images.tensor())
    assert sorted(both) == values
    again = load(str(tmp_path), image_size=8, labels_required=False)
    assert torch.equal(data.images.tensor(), again.images.tensor())  # the same split


def test_a_single_subfolder_and_train_and_test_folders_are_read_without_labels(tmp_path):
    write_flat_folder(tmp_path / "one" / "photos", 10)
    data = load(str(tmp_path / "one"), labels_required=False)
    assert len(data.images) == 8 and len(data.test_images) == 2
    train = write_flat_folder(tmp_path / "two" / "train", 6)
    test = write_flat_folder(tmp_path / "two" / "test" / "deeper", 3)
    data = load(str(tmp_path / "two"), labels_required=False)
    assert gray_values(data, data.images.tensor()) == train.tolist()
    assert gray_values(data, data.test_images.tensor()) == test.tolist()


def test_a_folder_with_a_subfolder_per_class_keeps_its_labels(tmp_path):
    for name in ("a", "b"):
        write_flat_folder(tmp_path / name, 5)
    info = describe(str(tmp_path), labels_required=False)
    assert info.labeled and info == describe(str(tmp_path))


def test_tasks_that_require_labels_reject_images_without_labels_in_words(tmp_path):
    write_flat_folder(tmp_path / "flat", 10)
    for function in (describe, load):
        with pytest.raises(ValueError, match="no labeled images.*Only GANs can learn"):
            function(str(tmp_path / "flat"))
        with pytest.raises(ValueError, match="stl10-unlabeled contains images without labels"):
            function("stl10-unlabeled")
    with pytest.raises(ValueError, match="expected an existing folder or one of") as error:
        describe("nosuch")
    assert "stl10-unlabeled" not in str(error.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty contains no images"):
        describe(str(tmp_path / "empty"), labels_required=False)
    write_flat_folder(tmp_path / "few", 9)
    with pytest.raises(ValueError, match="contains 9 images; at least 10"):
        load(str(tmp_path / "few"), labels_required=False)


def test_stl10_without_labels_consists_of_the_training_and_the_unlabeled_images(
    tmp_path, monkeypatch
):
    from torchvision import datasets

    folder, rng = tmp_path / "stl10_binary", np.random.default_rng(0)
    folder.mkdir()
    images = {}
    for name, n in (("train", 3), ("unlabeled", 5), ("test", 2)):
        images[name] = rng.integers(0, 256, (n, 3, 96, 96), dtype=np.uint8)
        images[name].transpose(0, 1, 3, 2).tofile(folder / f"{name}_X.bin")  # column by column
        if name != "unlabeled":
            np.arange(1, n + 1, dtype=np.uint8).tofile(folder / f"{name}_y.bin")
    (folder / "class_names.txt").write_text("\n".join(f"class {i}" for i in range(10)))
    monkeypatch.setattr(datasets.STL10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("moonas.data.images.CHUNK", 3)  # the last chunk is smaller
    data = load("stl10-unlabeled", root=tmp_path, image_size=48, labels_required=False)
    assert data.images.shape == (8, 3, 48, 48) and data.labels.shape == (8, 0)
    for tensor, parts in (
        (data.images.tensor(), ("train", "unlabeled")),
        (data.test_images.tensor(), ("test",)),
    ):
        original = torch.from_numpy(np.concatenate([images[part] for part in parts])).float() / 255
        expected = torch.nn.functional.interpolate(
            original, (48, 48), mode="bilinear", antialias=True
        )
        pixels = tensor * data.std + data.mean  # of 8 bits, hence rounded
        torch.testing.assert_close(pixels, expected, atol=0.501 / 255, rtol=0)
    labeled = load("stl10", root=tmp_path)
    assert labeled.images.shape == (3, 3, 96, 96) and labeled.labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_a_validation_folder_is_the_test_set_if_there_is_no_other(tmp_path, name):
    write_images(tmp_path / "train", ["cat", "dog"], 6)
    write_images(tmp_path / name, ["cat", "dog"], 2)
    data = load(str(tmp_path), image_size=8)
    assert (len(data.images), len(data.test_images), data.is_validation) == (12, 4, None)


def test_a_validation_folder_beside_a_test_folder_validates_candidates(tmp_path):
    for name, n in (("train", 6), ("val", 3), ("test", 2)):
        write_images(tmp_path / name, ["cat", "dog"], n)
    data = load(str(tmp_path), image_size=8)
    assert data.is_validation.tolist() == [False] * 12 + [True] * 6
    assert data.labels.tolist() == [0] * 6 + [1] * 6 + [0] * 3 + [1] * 3
    assert len(data.test_images) == 4
    problem = moonas.load_problem("cars", data=str(tmp_path), image_size=8, device="cpu")
    images = problem.evaluator.images
    images.load()
    assert torch.equal(images.train[0].tensor(), data.images[:12])
    assert torch.equal(images.validation[0].tensor(), data.images[12:])


def test_different_classes_in_a_validation_folder_are_rejected(tmp_path):
    for name in ("train", "val", "test"):
        write_images(tmp_path / name, ["cat", "dog"], 2)
    (tmp_path / "val" / "cat").rename(tmp_path / "val" / "katze")
    message = r"train/ and val/ .* only one of them contains \['cat', 'katze'\]"
    with pytest.raises(ValueError, match=message):
        load(str(tmp_path), image_size=8)


def test_bad_images_stop_the_reading_or_are_skipped(few_digits, tmp_path):
    folder = tmp_path / "digits"
    shutil.copytree(few_digits, folder)
    (folder / "train" / "3" / "2.png").write_bytes(b"")
    (folder / "train" / "4" / "5.png").write_text("<html>")
    (folder / "test" / "7" / "0.png").write_bytes(b"")
    with pytest.raises(ValueError, match="3 of 120 .*3/2.png .*4/5.png .*7/0.png .*=skip"):
        load(str(folder))
    with pytest.warns(UserWarning, match="Skipped: ") as warned:
        data = load(str(folder), on_bad_image="skip")
    assert len(warned) == 1 and "3 of 120 images cannot be read" in str(warned[0].message)
    whole = load(str(few_digits))
    counts = torch.bincount(data.labels).tolist()
    assert counts == [10, 10, 10, 9, 9, 10, 10, 10, 10, 10] and len(data.test_labels) == 19
    kept = [i for i in range(100) if i not in (32, 45)]
    pixels, expected = (
        data.images.tensor() * data.std + data.mean,
        whole.images.tensor() * whole.std + whole.mean,
    )
    assert torch.allclose(pixels, expected[kept], atol=1e-6)
    for path in (folder / "test").rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="^No test image can be read: 22 of 120 images cannot "):
        load(str(folder), on_bad_image="skip")


def test_skipped_images_leave_the_validation_images_in_their_place(few_digits, tmp_path):
    shutil.copytree(few_digits / "train", tmp_path / "train")
    shutil.copytree(few_digits / "test", tmp_path / "val")
    shutil.copytree(few_digits / "test", tmp_path / "test")
    (tmp_path / "train" / "0" / "0.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="Skipped"):
        data = load(str(tmp_path), on_bad_image="skip")
    assert data.is_validation.sum() == 20 and len(data.is_validation) == 119
    assert data.is_validation[-20:].all()
