import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from moonas.cli import main
from moonas.data.summary import summarize
from moonas.run.numbers import memory_text
from moonas.views.data_set import counts_table, lines, plot_samples


@pytest.fixture
def photographs(tmp_path):
    """A folder with 12 photographs of cats, one of them damaged, and 60 gray ones of dogs."""
    rng, folder = np.random.default_rng(0), tmp_path / "pets"
    for name, n, shape in (("cat", 12, (24, 32, 3)), ("dog", 60, (16, 16))):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            pixels = rng.integers(0, 255, shape, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:02d}.png")
    (folder / "cat" / "03.png").write_bytes(b"")
    return folder


def test_a_summary_counts_classes_sizes_and_kinds_of_pixels(photographs):
    progress = []
    summary = summarize(
        str(photographs), image_size=8, on_progress=lambda *args: progress.append(args)
    )
    assert summary.classes == ("cat", "dog")
    counted = summary.counts["train"] + summary.counts["test"]
    assert counted.tolist() == [11, 60] and sum(summary.totals.values()) == 71
    assert summary.sizes == {(32, 24): 11, (16, 16): 60}
    assert summary.kinds == {"color": 11, "gray": 60}
    (error,) = summary.errors
    assert error.startswith(f"{photographs}/cat/03.png cannot be read as an image")
    assert summary.n_bytes == 71 * 3 * 8 * 8
    assert [tuple(x.shape) for x in summary.samples.values()] == [(6, 3, 8, 8)] * 2
    assert progress[-1] == ("reading", 72, 72, "images")
    text = "\n".join(lines(summary))
    assert "Sizes in the files, width x height: 16x16 (60), 32x24 (11)." in text
    assert "A network sees 8x8 pixels in color; of images that are not square, the center" in text
    assert "1 of 72 files cannot be read; on_bad_image=skip leaves them out:\n  " in text
    assert "The classes are of unequal size: objectives=balanced_error" in text
    assert "All images are gray" not in text
    table = counts_table(summary)
    assert table.titles == ["class", "train", "test"] and table.rows[-1][0] == "all images"


def test_a_validation_folder_has_a_column_of_its_own(few_digits, tmp_path):
    shutil.copytree(few_digits / "train", tmp_path / "train")
    shutil.copytree(few_digits / "test", tmp_path / "val")
    shutil.copytree(few_digits / "test", tmp_path / "test")
    summary = summarize(str(tmp_path), image_size=8)
    assert summary.totals == {"train": 100, "val": 20, "test": 20}
    assert counts_table(summary).rows[3] == ["3", "10", "2", "2"]
    text = "\n".join(lines(summary))
    assert "image_channels=1 needs a third of the memory" in text and "unequal" not in text


def test_data_sets_that_are_no_folders_are_summarized():
    summary = summarize("digits", image_size=16)
    assert summary.totals == {"train": 1437, "test": 360} and not summary.sizes
    assert lines(summary)[0] == "A network sees 16x16 pixels in gray."
    pixels = summary.samples["3"]
    assert pixels.shape == (6, 1, 16, 16) and 0 <= pixels.min() < pixels.max() <= 1


def test_images_without_labels_have_no_table(photographs):
    shutil.rmtree(photographs / "cat")
    for path in (photographs / "dog").iterdir():
        path.rename(photographs / path.name)
    (photographs / "dog").rmdir()
    summary = summarize(str(photographs), image_size=8)
    assert counts_table(summary) is None
    assert lines(summary)[0] == "60 images without labels: 48 in train and 12 in test."
    assert len(plot_samples(summary).axes) == 24


def test_of_many_classes_three_numbers_are_listed(tmp_path):
    for i in range(25):
        (tmp_path / f"c{i:02d}").mkdir()
        for j in range(5 + i):
            Image.fromarray(np.full((4, 4), j, np.uint8)).save(tmp_path / f"c{i:02d}" / f"{j}.png")
    summary = summarize(str(tmp_path), image_size=4)
    rows = {row[0]: row[1:] for row in counts_table(summary).rows}
    column = summary.counts["train"]
    assert rows["smallest of 25"][0] == str(column.min())
    assert rows["median of 25"][0] == str(int(np.median(column)))
    assert rows["largest of 25"][0] == str(column.max())
    assert len(summary.samples) == 20


def test_images_with_several_labels_are_counted_by_label(tmp_path):
    lines_of_table = ["file,labels"]
    for i in range(20):
        Image.fromarray(np.full((4, 4), i, np.uint8)).save(tmp_path / f"{i}.png")
        lines_of_table.append(f"{i}.png,{'a|b' if i % 2 else 'a'}")
    (tmp_path / "labels.csv").write_text("\n".join(lines_of_table) + "\n")
    summary = summarize(str(tmp_path), image_size=4)
    counted = summary.counts["train"] + summary.counts["test"]
    assert counted.tolist() == [20, 10] and sum(summary.totals.values()) == 20
    assert counts_table(summary).titles[0] == "label"
    assert torch.stack(list(summary.samples["b"])).shape == (6, 3, 4, 4)


@pytest.mark.parametrize(
    ("n", "text"), [(12, "12 B"), (1500, "1.5 kB"), (2_430_000, "2.43 MB"), (3e9, "3 GB")]
)
def test_memory_has_a_unit(n, text):
    assert memory_text(n) == text


def test_the_command_prints_a_summary_and_draws_samples(photographs, tmp_path, capsys):
    arguments = [str(photographs), "--image-size", "8", "--resize", "pad"]
    assert main(["data", *arguments, "--out", str(tmp_path / "out" / "x.png")]) == 0
    output = capsys.readouterr().out
    assert "all images" in output and "black edges (resize=pad)" in output
    assert (tmp_path / "out" / "x.png").stat().st_size > 1000
    assert main(["data", str(tmp_path / "none")]) == 2
    assert "Unknown data set" in capsys.readouterr().err
