import numpy as np
import pytest
import torch
from model_files import write_generator, write_translator
from pictures import write_pictures, write_small_classifier
from PIL import Image

import moonas
from moonas.cli import main
from moonas.data.image_files import to_bytes
from moonas.models.generation import load_translator, sample


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    path = tmp_path_factory.mktemp("generator") / "model.pt"
    write_generator(path)
    return path


@pytest.fixture(scope="module")
def translators(tmp_path_factory):
    """The folder of a run whose training has written both generators of a CycleGAN."""
    run = tmp_path_factory.mktemp("run")
    (run / "training").mkdir()
    for domain in "ab":
        write_translator(run / "training" / f"model-{domain}.pt", domain)
    return run


def test_samples_depend_on_the_seed_and_not_on_their_number_or_the_batch(generator):
    model = moonas.load_model(generator)
    images = sample(model, 5, seed=3)
    assert images.shape == (5, 3, 16, 16) and 0 <= images.min() < images.max() <= 1
    assert torch.allclose(sample(model, 3, seed=3, batch=2), images[:3], atol=1e-5)
    assert not torch.allclose(sample(model, 5, seed=4), images, atol=1e-2)


def test_the_sample_command_saves_a_grid_of_all_images(generator, tmp_path, capsys):
    out = tmp_path / "new" / "grid.png"
    assert main(["sample", str(generator), "--n", "7", "--out", str(out), "--seed", "2"]) == 0
    assert "7 images of 16x16 pixels, seed 2" in capsys.readouterr().out
    # three rows of three; each side of 16 pixels is enlarged to 32, with edges of 2 pixels
    pixels = np.asarray(Image.open(out))
    assert pixels.shape == (3 * 34 + 2, 3 * 34 + 2, 3)
    first = to_bytes(sample(moonas.load_model(generator), 1, seed=2))[0].permute(1, 2, 0).numpy()
    assert np.abs(pixels[2:34:2, 2:34:2].astype(int) - first).max() <= 1


def test_a_grid_is_not_written_under_the_name_of_another_format(generator, tmp_path, capsys):
    for name in ("grid.jpg", "grid"):
        assert main(["sample", str(generator), "--n", "1", "--out", str(tmp_path / name)]) == 2
        assert f"{name} is invalid: expected a PNG file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("domain", "direction"), [("a", "a-to-b"), ("b", "b-to-a")])
def test_the_translate_command_writes_the_translation_of_each_picture(
    domain, direction, translators, tmp_path, capsys
):
    pictures = write_pictures(tmp_path / "images" / "inner")
    (tmp_path / "images" / "bad.png").write_bytes(b"no image")
    (tmp_path / "images" / "gray.jpg").write_bytes(
        (tmp_path / "images/inner/gray.png").read_bytes()
    )
    command = ["translate", str(translators), str(tmp_path / "images"), "--batch", "4"]
    command += ["--out", str(tmp_path / "out"), "--direction", direction]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert "Skipped" in printed.err and "bad.png" in printed.err
    assert "7 translated images written" in printed.out and "Left out: 1 file" in printed.out
    model = moonas.load_model(translators / "training" / f"model-{domain}.pt")
    for path in pictures:
        with Image.open(path) as image, torch.inference_mode():
            expected = to_bytes(model(model.preprocess(image)[None]))[0].permute(1, 2, 0)
        written = np.asarray(Image.open(tmp_path / "out" / "inner" / f"{path.stem}.png"))
        assert written.shape == (16, 16, 3)
        assert np.abs(written.astype(int) - expected.numpy()).max() <= 1


def test_translations_of_files_that_differ_in_their_ending_have_different_names(
    translators, tmp_path
):
    Image.new("RGB", (20, 20), "red").save(tmp_path / "a.png")
    Image.new("RGB", (20, 20), "blue").save(tmp_path / "a.jpg")
    files = [str(tmp_path / name) for name in ("a.png", "a.jpg")]
    path = str(translators / "training" / "model-a.pt")
    assert main(["translate", path, *files, "--out", str(tmp_path / "out")]) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.jpg.png", "a.png.png"]


def test_translations_have_different_names_whatever_the_names_of_the_files(translators, tmp_path):
    for name in ("a.png", "a.jpg.png", "a.bmp"):
        Image.new("RGB", (20, 20), "red").save(tmp_path / name)
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    path = str(translators / "training" / "model-a.pt")
    files = [str(tmp_path / name) for name in ("a.jpg", "a.bmp", "a.jpg.png")]
    twice = str(tmp_path / "x" / ".." / "a.bmp")  # a file that has been named before
    (tmp_path / "x").mkdir()
    assert main(["translate", path, *files, twice, "--out", str(tmp_path / "out")]) == 0
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["a.bmp.png", "a.jpg.png", "a.jpg.png.png"]


def test_all_translations_are_written_below_the_given_folder(translators, tmp_path, monkeypatch):
    for name in ("work/b.png", "photos/a.png"):
        (tmp_path / name).parent.mkdir()
        Image.new("RGB", (20, 20), "red").save(tmp_path / name)
    before = (tmp_path / "photos" / "a.png").read_bytes()
    monkeypatch.chdir(tmp_path / "work")
    path = str(translators / "training" / "model-a.pt")
    assert main(["translate", path, "../photos/a.png", "b.png", "--out", "../results"]) == 0
    assert (tmp_path / "photos" / "a.png").read_bytes() == before
    written = [p.relative_to(tmp_path / "results") for p in (tmp_path / "results").rglob("*.png")]
    assert sorted(map(str, written)) == ["photos/a.png", "work/b.png"]


@pytest.mark.parametrize("out", ["same", "same/../same", "link"])
def test_a_translation_that_would_replace_an_image_is_rejected_before_any_is_written(
    out, translators, tmp_path, capsys
):
    same = tmp_path / "same"
    same.mkdir()
    (tmp_path / "link").symlink_to(same)
    for name in ("w.jpg", "x.png"):  # only the translation of the second one replaces an image
        Image.new("RGB", (20, 20), "red").save(same / name)
    before = {p: p.read_bytes() for p in same.iterdir()}
    path = str(translators / "training" / "model-a.pt")
    assert main(["translate", path, str(same), "--out", str(tmp_path / out)]) == 2
    assert "x.png is one of the images and would be replaced" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in same.iterdir()} == before


def test_models_that_are_no_translators_are_chosen_by_path_only(tmp_path, capsys):
    for number in range(2):
        (tmp_path / f"training-{number}").mkdir()
        write_small_classifier(tmp_path / f"training-{number}" / "model.pt")
    assert main(["translate", str(tmp_path), "x", "--out", str(tmp_path / "out")]) == 2
    assert "contains 2 models: choose one of them by its path.\n" in capsys.readouterr().err


def test_unsuitable_models_are_rejected_in_one_line(translators, generator, tmp_path, capsys):
    classifier = write_small_classifier(tmp_path / "model.pt")
    training, out = translators / "training", ["--out", str(tmp_path / "out")]
    for command, message in (
        (["sample", str(classifier)], "The model is a classifier, not a generator."),
        (["translate", str(classifier), "x", *out], "The model is a classifier, not a translator."),
        (["translate", str(training), "x", *out], "--direction a-to-b or b-to-a"),
        (
            ["translate", str(training / "model-a.pt"), "x", "--direction", "b-to-a", *out],
            "translates a-to-b, not b-to-a",
        ),
        (["predict", str(generator), "x"], "The model is a generator, not a classifier."),
    ):
        assert main(command) == 2
        assert message in capsys.readouterr().err


def test_a_single_translator_needs_no_direction(tmp_path):
    write_translator(tmp_path / "model.pt", "b")
    assert load_translator(tmp_path).about["from_domain"] == "b"
