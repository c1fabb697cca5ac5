import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from moonas.data.form import ImageForm
from moonas.data.published_sets import find_arrays, find_corrupted_set, read_arrays
from moonas.models import robustness, test_sets
from moonas.models.model import Classifier

FORM, CLASSES = ImageForm(8), ("a", "b", "c")


class MeanColor(nn.Module):
    """A network whose logits are the mean red, green and blue of an image."""

    def forward(self, images):
        return images.mean((2, 3))


def classifier():
    about = {
        "input_shape": [3, 8, 8],
        "classes": list(CLASSES),
        "mean": [0.0] * 3,
        "std": [1.0] * 3,
        "data": "colors",
    }
    return Classifier(MeanColor(), about)


def colors(labels, side=32):
    """Images (n, side, side, 3) uint8 in the color of their labels: red, green or blue."""
    pixels = np.zeros((len(labels), side, side, 3), np.uint8)
    pixels[np.arange(len(labels)), :, :, labels] = 200
    return pixels


def write_corrupted_arrays(folder):
    """Write 3 images at 5 strengths; of fog, as many are wrong as the strength is above 2."""
    folder.mkdir()
    labels = np.tile([0, 1, 2], 5)
    np.save(folder / "labels.npy", labels.astype(np.int32))
    np.save(folder / "snow.npy", colors(labels))
    shown = labels.copy()
    for strength in range(3, 6):
        start = 3 * (strength - 1)
        shown[start : start + strength - 2] = (shown[start : start + strength - 2] + 1) % 3
    np.save(folder / "fog.npy", colors(shown))
    return folder


def test_arrays_of_corrupted_images_hold_the_strengths_one_after_another(tmp_path, monkeypatch):
    folder = write_corrupted_arrays(tmp_path / "CIFAR-10-C")
    found = find_corrupted_set(folder, FORM, CLASSES)
    assert list(found.sources) == ["fog", "snow"] and found.name == "CIFAR-10-C"
    ((pixels, labels),) = found.chunks("snow", 2)
    expected = torch.from_numpy(colors([0, 1, 2], 8)).permute(0, 3, 1, 2) / 255
    assert torch.allclose(pixels, expected, atol=1e-6) and labels.tolist() == [0, 1, 2]
    monkeypatch.setattr("moonas.data.published_sets.CHUNK", 2)
    chunks = list(found.chunks("snow", 5))
    assert [len(pixels) for pixels, _ in chunks] == [2, 1]
    assert torch.cat([pixels for pixels, _ in chunks]).equal(pixels)


def test_folders_of_corrupted_images_may_be_in_groups(tmp_path):
    for corruption, group in (("fog", "weather"), ("jpeg_compression", "digital")):
        for strength in range(1, 6):
            for i, name in enumerate(CLASSES):
                folder = tmp_path / group / corruption / str(strength) / name
                folder.mkdir(parents=True)
                Image.fromarray(colors([i], 16)[0]).save(folder / "x.JPEG", quality=95)
    found = find_corrupted_set(tmp_path, FORM, CLASSES)
    assert list(found.sources) == ["jpeg_compression", "fog"]
    ((pixels, labels),) = found.chunks("fog", 4)
    assert labels.tolist() == [0, 1, 2] and pixels.mean((2, 3)).argmax(1).tolist() == [0, 1, 2]


def test_errors_on_published_corrupted_images(tmp_path):
    corrupted = test_sets.load_corrupted_set(write_corrupted_arrays(tmp_path / "C"), classifier())
    images = torch.from_numpy(colors([0, 1, 2], 8)).permute(0, 3, 1, 2) / 255
    clean = test_sets.LabeledImages(images, torch.tensor([0, 1, 2]), CLASSES, "colors")
    evaluation = robustness.evaluate({"x": classifier()}, clean, corrupted_set=corrupted)
    published = evaluation["models"]["x"]["published"]
    assert published["snow"] == [0] * 5
    assert published["fog"] == pytest.approx([0, 0, 100 / 3, 200 / 3, 100])
    rows = {row[0]: row[1] for row in robustness.errors_table(evaluation).rows}
    assert (rows["C, mean"], rows["C, fog"], rows["C, snow"]) == ("20.00", "40.00", "0.00")
    assert "published" not in robustness.evaluate({"x": classifier()}, clean)["models"]["x"]


def test_the_last_version_of_a_test_set_of_arrays_is_read(tmp_path):
    for version, labels in (("v4", [0, 0]), ("v6", [2, 1])):
        np.save(tmp_path / f"cifar10.1_{version}_data.npy", colors(labels))
        np.save(tmp_path / f"cifar10.1_{version}_labels.npy", np.array(labels, np.int32))
    pixels, labels = read_arrays(*find_arrays(tmp_path), FORM, 3)
    assert labels.tolist() == [2, 1] == pixels.float().mean((2, 3)).argmax(1).tolist()
    data, names = find_arrays(tmp_path / "cifar10.1_v4_data.npy")
    assert (data.name, names.name) == ("cifar10.1_v4_data.npy", "cifar10.1_v4_labels.npy")
    images = test_sets.load_test_images(str(tmp_path), classifier(), include_training_set=True)
    assert images.labels.tolist() == [2, 1] and images.pixels.shape == (2, 3, 8, 8)
    assert find_arrays(tmp_path / "none") is None


def test_folders_may_be_named_by_the_number_of_the_class(tmp_path):
    for i in (0, 2):
        (tmp_path / str(i)).mkdir()
        Image.fromarray(colors([i], 8)[0]).save(tmp_path / str(i) / "x.png")
    images = test_sets.load_test_images(str(tmp_path), classifier(), include_training_set=True)
    assert (
        images.labels.tolist() == [0, 2] == images.pixels.tensor().mean((2, 3)).argmax(1).tolist()
    )
    (tmp_path / "3").mkdir()
    Image.fromarray(colors([0], 8)[0]).save(tmp_path / "3" / "x.png")
    with pytest.raises(ValueError, match=r"names of the classes \['a', 'b', 'c'\], got \['0'"):
        test_sets.load_test_images(str(tmp_path), classifier(), include_training_set=True)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("labels.npy", np.array([0, 1, 3] * 5), "expected labels from 0 to 2.*, got 0 to 3"),
        ("labels.npy", np.zeros((15, 2), int), r"expected labels, \(n,\) integers, got \(15, 2\)"),
        ("labels.npy", np.zeros(12, int), "expected 12 images, one per label, got 15"),
        ("fog.npy", np.zeros((15, 8, 8), np.uint8), r"expected images, \(n, h, w, 3\) uint8, got"),
        ("fog.npy", np.zeros((15, 8, 8, 3)), r"expected images, .* float64"),
    ],
)
def test_arrays_with_other_content_are_refused(tmp_path, name, array, message):
    folder = write_corrupted_arrays(tmp_path / "C")
    np.save(folder / name, array)
    found = find_corrupted_set(folder, FORM, CLASSES)
    with pytest.raises(ValueError, match=message):
        list(found.chunks("fog", 1))


@pytest.mark.parametrize("content", [b"", b"<html>", np.lib.format.magic(1, 0) + b"\xff\xff"])
def test_a_damaged_array_is_named(tmp_path, content):
    folder = write_corrupted_arrays(tmp_path / "C")
    (folder / "fog.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"fog.npy cannot be read as an array: "):
        list(find_corrupted_set(folder, FORM, CLASSES).chunks("fog", 1))


def test_no_code_from_an_array_is_run(tmp_path):
    folder = write_corrupted_arrays(tmp_path / "C")
    np.save(folder / "fog.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"fog.npy cannot be read as an array: .*Python objects"):
        list(find_corrupted_set(folder, FORM, CLASSES).chunks("fog", 1))


def test_a_folder_without_corrupted_images_is_refused(few_digits, tmp_path):
    with pytest.raises(ValueError, match="contains no corrupted images: expected an array per"):
        find_corrupted_set(few_digits, FORM, CLASSES)
    np.save(tmp_path / "x_data.npy", colors([0]))
    with pytest.raises(ValueError, match="x_labels.npy is missing"):
        read_arrays(*find_arrays(tmp_path), FORM, 3)
