"""A folder of images and a CSV file of their labels."""

import numpy as np
import pytest
import torch
from PIL import Image

from moonas.data import checksums, describe, load, split

CHESTXRAY_HEADER = "Image Index,Finding Labels,Patient ID\n"


def write_images_and_csv(folder, text, n=20, subfolders=("",)):
    """Write ``n`` uniform gray images, 0.png to (n - 1).png, and a CSV file."""
    for i in range(n):
        subfolder = folder / subfolders[i % len(subfolders)]
        subfolder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (6, 6), i * 10).save(subfolder / f"{i}.png")
    (folder / "labels.csv").write_text(text)


def image_numbers(images, data):
    """Return the number of each image, which its gray value encodes."""
    pixels = images * data.std + data.mean
    return (pixels[:, 0, 0, 0] * 25.5).round().int().tolist()


def test_labels_are_read_from_a_column_of_label_names_as_in_chestxray14(tmp_path):
    findings = {0: "Cardiomegaly", 1: "Cardiomegaly|Effusion", 2: "No Finding", 3: "Effusion"}
    text = CHESTXRAY_HEADER + "".join(f"{i}.png,{findings[i % 4]},{i // 2}\n" for i in range(20))
    write_images_and_csv(tmp_path, text)
    info = describe(str(tmp_path))
    assert info.multi_label and info.n_classes == 2
    data = load(str(tmp_path), image_size=6)
    assert data.classes == ("Cardiomegaly", "Effusion")
    expected = torch.tensor([[1, 0], [1, 1], [0, 0], [0, 1]]).float()
    for images, labels in (
        (data.images.tensor(), data.labels),
        (data.test_images.tensor(), data.test_labels),
    ):
        assert torch.equal(labels, expected[[i % 4 for i in image_numbers(images, data)]])
    train, test = (
        image_numbers(data.images.tensor(), data),
        image_numbers(data.test_images.tensor(), data),
    )
    assert sorted(train + test) == list(range(20)) and len(test) == 4
    assert not {i // 2 for i in train} & {
        i // 2 for i in test
    }  # images of a patient are in one part
    first, second = split(data.labels, 8, data.groups)
    assert not set(data.groups[first]) & set(data.groups[second])
    assert sorted([*first, *second]) == list(range(16))


def test_labels_are_read_from_one_column_per_label_and_images_from_subfolders(tmp_path):
    text = "file,Mass,Nodule\n" + "".join(f"{i}.png,{i % 2},{int(i > 9)}.0\n" for i in range(20))
    write_images_and_csv(tmp_path, text, subfolders=("a/images", "b/images"))
    data = load(str(tmp_path), image_size=6)
    assert data.classes == ("Mass", "Nodule") and data.groups is None
    numbers = np.array(image_numbers(data.images.tensor(), data))
    assert torch.equal(data.labels[:, 0], torch.tensor(numbers % 2).float())
    assert torch.equal(data.labels[:, 1], torch.tensor(numbers > 9).float())


def test_test_list_txt_determines_the_test_images(tmp_path):
    write_images_and_csv(tmp_path, "file,Mass\n" + "".join(f"{i}.png,{i % 2}\n" for i in range(20)))
    (tmp_path / "test_list.txt").write_text("3.png\n 17.png \n8 .png\n")
    data = load(str(tmp_path), image_size=6)
    assert image_numbers(data.test_images.tensor(), data) == [3, 17]
    assert len(data.images) == 18


@pytest.mark.parametrize("names", ["", "".join(f"{i}.png\n" for i in range(20))])
def test_a_test_list_that_names_no_image_or_all_images_is_rejected(tmp_path, names):
    write_images_and_csv(tmp_path, "file,Mass\n" + "".join(f"{i}.png,{i % 2}\n" for i in range(20)))
    (tmp_path / "test_list.txt").write_text(names)
    with pytest.raises(ValueError, match="expected some but not all of the 20 images"):
        load(str(tmp_path), image_size=6)


def test_checksums_change_with_the_labels_and_the_test_list(tmp_path):
    write_images_and_csv(tmp_path, "file,Mass\n0.png,1\n", n=1)
    first = checksums(describe(str(tmp_path)))
    assert first.keys() == {"labels.csv"}
    (tmp_path / "labels.csv").write_text("file,Mass\n0.png,0\n")
    (tmp_path / "test_list.txt").write_text("0.png\n")
    second = checksums(describe(str(tmp_path)))
    assert second.keys() == {"labels.csv", "test_list.txt"}
    assert second["labels.csv"] != first["labels.csv"]
    assert checksums(describe("digits")) == {}


def test_a_csv_file_next_to_class_folders_is_used_only_if_its_name_is_labels_csv(tmp_path):
    write_images_and_csv(tmp_path, "file,Mass\n0.png,1\n", subfolders=("cat", "dog"))
    assert describe(str(tmp_path)).multi_label
    (tmp_path / "labels.csv").rename(tmp_path / "photographers.csv")
    assert not describe(str(tmp_path)).multi_label


def test_ambiguous_file_names_are_rejected_but_paths_are_accepted(tmp_path):
    text = "file,Mass\n" + "".join(f"{i}.png,{i % 2}\n" for i in range(20))
    write_images_and_csv(tmp_path, text, subfolders=("a", "b"))
    Image.new("L", (6, 6), 0).save(tmp_path / "a" / "1.png")  # also in b
    with pytest.raises(ValueError, match=r"'1.png', but .* contains 2 files with that name"):
        load(str(tmp_path))
    paths = [f"{'ab'[i % 2]}/{i}.png" for i in range(20)]
    rows = "".join(f"{name},{i % 2}\n" for i, name in enumerate(paths))
    (tmp_path / "labels.csv").write_text("file,Mass\n" + rows)
    data = load(str(tmp_path), image_size=6)
    assert sorted(
        image_numbers(data.images.tensor(), data) + image_numbers(data.test_images.tensor(), data)
    ) == list(range(20))
    # the file name of a missing path is not searched in other folders
    (tmp_path / "labels.csv").write_text("file,Mass\n" + rows.replace("a/2.png", "b/2.png"))
    with pytest.raises(ValueError, match=r"the first missing one is 'b/2.png'"):
        load(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no images"),
        ("file,Mass\n", "lists no images"),
        ("file\n0.png\n", "contains no labels"),
        ("0.png,1\n", "has no header: its first line names the image '0.png'"),
        ("file,label\n0.png,\n", "line 2 is invalid: expected a class, got none"),
        ("file,label\n0.png,cat\n", "contains the single class 'cat'"),
        ("file,labels\n0.png,golden retriever\n", "is ambiguous: .* Separate the names .* by [|]"),
        ("file,Mass\n0.png,-1\n1.png,0\n2.png,1\n", "line 2, column 'Mass' is .* got '-1'"),
        (CHESTXRAY_HEADER + "0.png,No Finding,1\n", "contains no labels"),
        ("file,Mass\n0.png,1\n0.png,0\n", "lists '0.png' more than once"),
        ("file,Mass\n0.png\n", "line 2 is invalid: expected 2 values, got 1"),
        (
            "file,Mass,Age\n0.png,1,58\n",
            "line 2, column 'Age' is invalid: expected 0 or 1, got '58'",
        ),
    ],
)
def test_the_error_about_an_invalid_csv_file_contains_the_reason(tmp_path, text, message):
    write_images_and_csv(tmp_path, text, n=1)
    with pytest.raises(ValueError, match=message):
        describe(str(tmp_path))


def test_too_few_patients_are_rejected(tmp_path):
    write_images_and_csv(
        tmp_path,
        CHESTXRAY_HEADER + "".join(f"{i}.png,{'Mass' * (i % 2)},{i % 3}\n" for i in range(20)),
    )
    with pytest.raises(ValueError, match="lists 3 patients; at least 5 are required"):
        load(str(tmp_path))


def test_the_error_about_missing_images_names_the_first_missing_image(tmp_path):
    write_images_and_csv(tmp_path, "file,Mass\n" + "".join(f"{i}.png,{i % 2}\n" for i in range(22)))
    with pytest.raises(
        ValueError, match=r"lacks 2 of the 22 images .* the first missing one is '20.png'"
    ):
        load(str(tmp_path))


def test_several_csv_files_without_labels_csv_are_rejected(tmp_path):
    write_images_and_csv(tmp_path, "file,Mass\n0.png,1\n", n=1)
    (tmp_path / "labels.csv").rename(tmp_path / "one.csv")
    (tmp_path / "two.csv").write_text("x\n")
    with pytest.raises(ValueError, match=r"rename the one with the labels to labels\.csv"):
        describe(str(tmp_path))


def test_the_error_about_an_empty_folder_mentions_csv_files(tmp_path):
    with pytest.raises(ValueError, match="or images and a CSV file of their labels"):
        describe(str(tmp_path))


CAT_OR_DOG = ["cat" if i % 3 else "dog" for i in range(20)]


@pytest.mark.parametrize("header", ["file,label", "id,breed", "file;Class", "file\tcategory"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_images_with_one_class_each_are_classified(tmp_path, header, encoding):
    separator = next(s for s in ",;\t" if s in header)
    rows = "".join(f"{i}.png{separator}{CAT_OR_DOG[i]}\n" for i in range(20))
    write_images_and_csv(tmp_path, "")
    (tmp_path / "labels.csv").write_text(f"{header}\n{rows}", encoding=encoding)
    info = describe(str(tmp_path))
    assert (info.multi_label, info.n_classes) == (False, 2)
    data = load(str(tmp_path), image_size=6)
    assert data.classes == ("cat", "dog")
    for images, labels in (
        (data.images.tensor(), data.labels),
        (data.test_images.tensor(), data.test_labels),
    ):
        expected = [data.classes.index(CAT_OR_DOG[i]) for i in image_numbers(images, data)]
        assert labels.tolist() == expected
    assert checksums(info).keys() == {"labels.csv"}


def test_classes_that_are_numbers_are_sorted_by_number(tmp_path):
    rows = "".join(f"{i}.png,{(2, 10)[i % 2]}\n" for i in range(20))
    write_images_and_csv(tmp_path, "file,label\n" + rows)
    assert load(str(tmp_path), image_size=6).classes == ("2", "10")


def test_a_class_with_few_images_in_a_csv_file_is_rejected(tmp_path):
    rows = "".join(f"{i}.png,{'cat' if i > 3 else 'dog'}\n" for i in range(20))
    write_images_and_csv(tmp_path, "file,label\n" + rows)
    with pytest.raises(ValueError, match="per class are required, but 'dog' has 4 images"):
        load(str(tmp_path), image_size=6)


@pytest.mark.parametrize("separator", ["|", ",", ";", " "])
def test_the_names_of_several_labels_have_a_separator(tmp_path, separator):
    both = f'"cat{separator}dog"'
    rows = "".join(f"{i}.png,{('cat', 'dog', both)[i % 3]}\n" for i in range(20))
    write_images_and_csv(tmp_path, "file,labels\n" + rows)
    data = load(str(tmp_path), image_size=6)
    assert data.info.multi_label and data.classes == ("cat", "dog")
    expected = torch.tensor([[1, 0], [0, 1], [1, 1]]).float()
    assert torch.equal(
        data.labels, expected[[i % 3 for i in image_numbers(data.images.tensor(), data)]]
    )


def test_a_csv_file_in_another_encoding_is_rejected_with_advice(tmp_path):
    write_images_and_csv(tmp_path, "")
    (tmp_path / "labels.csv").write_bytes("file,label\n0.png,é\n".encode("cp1252"))
    with pytest.raises(ValueError, match="labels.csv is not UTF-8 text: line 2 .* 0xe9. Save the"):
        describe(str(tmp_path))
