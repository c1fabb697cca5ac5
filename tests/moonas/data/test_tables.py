"""Images with several labels: a folder and a CSV."""

import numpy as np
import pytest
import torch
from PIL import Image

from moonas.data import describe, load, split

LISTED = "Image Index,Finding Labels,Patient ID\n"


def write(folder, text, n=20, places=("",)):
    """``n`` grey images of one shade each, 0.png to (n - 1).png, and a CSV."""
    for i in range(n):
        place = folder / places[i % len(places)]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("L", (6, 6), i * 10).save(place / f"{i}.png")
    (folder / "labels.csv").write_text(text)


def shade(images, data):
    """The number of each image, from its pixels."""
    pixels = images * data.std + data.mean
    return (pixels[:, 0, 0, 0] * 25.5).round().int().tolist()


def test_a_column_of_names_as_chest_x_rays_have_it(tmp_path):
    finding = {0: "Cardiomegaly", 1: "Cardiomegaly|Effusion", 2: "No Finding", 3: "Effusion"}
    text = LISTED + "".join(f"{i}.png,{finding[i % 4]},{i // 2}\n" for i in range(20))
    write(tmp_path, text)
    info = describe(str(tmp_path))
    assert info.multi_label and info.n_classes == 2
    data = load(str(tmp_path), image_size=6)
    assert data.classes == ("Cardiomegaly", "Effusion")
    expected = torch.tensor([[1, 0], [1, 1], [0, 0], [0, 1]]).float()
    for images, labels in (
        (data.images, data.labels),
        (data.test_images, data.test_labels),
    ):
        assert torch.equal(labels, expected[[i % 4 for i in shade(images, data)]])
    search, test = shade(data.images, data), shade(data.test_images, data)
    assert sorted(search + test) == list(range(20)) and len(test) == 4
    assert not {i // 2 for i in search} & {i // 2 for i in test}  # patients stay together
    first, second = split(data.labels, 8, data.groups)
    assert not set(data.groups[first]) & set(data.groups[second])
    assert sorted([*first, *second]) == list(range(16))


def test_a_column_a_label_and_images_in_folders_below(tmp_path):
    text = "file,Mass,Nodule\n" + "".join(f"{i}.png,{i % 2},{int(i > 9)}.0\n" for i in range(20))
    write(tmp_path, text, places=("a/images", "b/images"))
    data = load(str(tmp_path), image_size=6)
    assert data.classes == ("Mass", "Nodule") and data.groups is None
    numbers = np.array(shade(data.images, data))
    assert torch.equal(data.labels[:, 0], torch.tensor(numbers % 2).float())
    assert torch.equal(data.labels[:, 1], torch.tensor(numbers > 9).float())


def test_a_list_of_test_images_is_kept_to(tmp_path):
    write(tmp_path, "file,Mass\n" + "".join(f"{i}.png,{i % 2}\n" for i in range(20)))
    (tmp_path / "test_list.txt").write_text("3.png\n 17.png \n8 .png\n")
    data = load(str(tmp_path), image_size=6)
    assert shade(data.test_images, data) == [3, 17]


def test_a_table_beside_folders_of_images_is_one_of_labels_if_it_says_so(tmp_path):
    write(tmp_path, "file,Mass\n0.png,1\n", places=("cat", "dog"))
    assert describe(str(tmp_path)).multi_label
    (tmp_path / "labels.csv").rename(tmp_path / "photographers.csv")
    assert not describe(str(tmp_path)).multi_label


def test_a_name_that_several_files_have_wants_its_folder(tmp_path):
    text = "file,Mass\n" + "".join(f"{i}.png,{i % 2}\n" for i in range(20))
    write(tmp_path, text, places=("a", "b"))
    Image.new("L", (6, 6), 0).save(tmp_path / "a" / "1.png")  # b has it, too
    with pytest.raises(ValueError, match=r"'1.png', .* holds 2 files of that name"):
        load(str(tmp_path))
    listed = [f"{'ab'[i % 2]}/{i}.png" for i in range(20)]
    rows = "".join(f"{name},{i % 2}\n" for i, name in enumerate(listed))
    (tmp_path / "labels.csv").write_text("file,Mass\n" + rows)
    data = load(str(tmp_path), image_size=6)
    assert sorted(shade(data.images, data) + shade(data.test_images, data)) == list(range(20))
    # a path that is not there is not looked for elsewhere
    (tmp_path / "labels.csv").write_text("file,Mass\n" + rows.replace("a/2.png", "b/2.png"))
    with pytest.raises(ValueError, match=r"the first of them 'b/2.png'"):
        load(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no images"),
        ("file,Mass\n", "lists no images"),
        ("file\n0.png\n", "names no labels"),
        (LISTED + "0.png,No Finding,1\n", "names no labels"),
        ("file,Mass\n0.png,1\n0.png,0\n", "lists '0.png' more than once"),
        ("file,Mass\n0.png\n", "row 2: 1 values under 2 titles"),
        ("file,Mass,Age\n0.png,1,58\n", "row 2, column 'Age': '58' is no label; expected 0 or 1"),
    ],
)
def test_a_table_that_will_not_do_is_refused_with_the_reason(tmp_path, text, message):
    write(tmp_path, text, n=1)
    with pytest.raises(ValueError, match=message):
        describe(str(tmp_path))


def test_too_few_patients_cannot_be_parted(tmp_path):
    write(tmp_path, LISTED + "".join(f"{i}.png,{'Mass' * (i % 2)},{i % 3}\n" for i in range(20)))
    with pytest.raises(ValueError, match="is of 3 patients; 5 are needed"):
        load(str(tmp_path))


def test_missing_images_are_named(tmp_path):
    write(tmp_path, "file,Mass\n" + "".join(f"{i}.png,{i % 2}\n" for i in range(22)))
    with pytest.raises(ValueError, match=r"2 of the 22 images .* the first of them '20.png'"):
        load(str(tmp_path))


def test_several_tables_want_a_name(tmp_path):
    write(tmp_path, "file,Mass\n0.png,1\n", n=1)
    (tmp_path / "labels.csv").rename(tmp_path / "one.csv")
    (tmp_path / "two.csv").write_text("x\n")
    with pytest.raises(ValueError, match=r"call the one with the labels labels\.csv"):
        describe(str(tmp_path))


def test_a_folder_of_nothing_says_what_is_wanted(tmp_path):
    with pytest.raises(ValueError, match="or images and a CSV of their labels"):
        describe(str(tmp_path))
