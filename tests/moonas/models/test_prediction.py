import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import CLASSES, write_pictures, write_small_classifier
from PIL import Image

import moonas
from moonas.cli import main
from moonas.models import prediction
from moonas.models.export import export


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_small_classifier(tmp_path_factory.mktemp("model") / "model.pt", resize="crop")


@pytest.fixture
def model(path):
    return moonas.load_model(path)


def arrays(pictures):
    """Return the pixels of all pictures but the one of 16 bits, as arrays (h, w, 3)."""
    return [np.array(Image.open(p).convert("RGB")) for p in pictures if "deep" not in p.name]


def test_the_probabilities_are_the_softmax_of_the_logits_of_preprocessed_images(model, pictures):
    expected = torch.stack([model.preprocess(Image.open(p)) for p in pictures])
    predicted = model.predict(pictures)
    assert torch.allclose(predicted.probabilities, model(expected).softmax(1), atol=1e-6)
    assert predicted.files == tuple(pictures) and predicted.classes == CLASSES
    best = predicted.probabilities.argmax(1)
    assert predicted.names == [CLASSES[i] for i in best] and len(set(predicted.names)) > 1
    ((name, probability), (_, second)) = predicted.top(2)[0]
    assert name == predicted.names[0] and probability >= second


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_the_batch_and_the_kind_of_input_do_not_matter(model, pictures, batch):
    expected = model.predict(pictures).probabilities
    folder = pictures[0].parent
    for images in (
        folder,
        str(folder),
        list(map(str, pictures)),
        [Image.open(p) for p in pictures],
    ):
        actual = model.predict(images, batch=batch).probabilities
        assert torch.allclose(actual, expected, atol=1e-6)
    for i, array in enumerate(arrays(pictures)):
        tensor = torch.from_numpy(array).permute(2, 0, 1)
        image = Image.fromarray(array)
        one = model.predict(image).probabilities
        for same in (
            *(array, array / 255, np.float32(array / 255), array[None], [array]),
            *(tensor, tensor.float() / 255, tensor[None], [tensor]),
        ):
            assert torch.allclose(model.predict(same).probabilities, one, atol=1e-6), i


def test_gray_arrays_have_an_axis_of_channels_or_none(model):
    gray = np.arange(0, 200, 2, dtype=np.uint8).reshape(10, 10)
    expected = model.predict(Image.fromarray(gray)).probabilities
    for images in (gray, gray[:, :, None], gray[None, :, :, None], torch.from_numpy(gray)[None]):
        assert torch.allclose(model.predict(images).probabilities, expected, atol=1e-6)


def test_prediction_uses_the_evaluation_mode_and_restores_the_mode(model, pictures):
    expected = model.predict(pictures).probabilities
    model.train()
    assert torch.equal(model.predict(pictures).probabilities, expected) and model.training


def test_of_several_labels_each_has_a_probability_of_its_own(tmp_path, pictures):
    path = write_small_classifier(tmp_path / "model.pt", multi_label=True)
    model = moonas.load_model(path)
    predicted = model.predict(pictures)
    pixels = torch.stack([model.preprocess(Image.open(p)) for p in pictures])
    assert torch.allclose(predicted.probabilities, model(pixels).sigmoid(), atol=1e-6)
    for names, row in zip(predicted.names, predicted.probabilities, strict=True):
        present = [name for name, p in zip(CLASSES, row, strict=True) if p >= 0.5]
        assert names == "; ".join(present)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.full((8, 8, 3), 255.0), "Divide them by the value of white"),
        (np.zeros((8, 8, 3), np.int64), "type int64 are invalid: expected uint8"),
        (np.zeros((5, 8, 8)), "(5, 8, 8) is invalid: expected an array (h, w)"),
        (np.zeros((8, 8, 4), np.uint8), "(8, 8, 4) is invalid"),
        (torch.zeros(8, 8), "(8, 8) is invalid: expected a tensor (c, h, w)"),
        ("missing.png", "missing.png does not exist: expected an image or a folder of images"),
        (3, "int is invalid: expected paths, PIL images, NumPy arrays or tensors"),
        (["a.png", torch.zeros(3, 8, 8)], "A list of paths and other images is invalid"),
    ],
)
def test_unsuitable_images_are_rejected_in_one_line(model, images, message):
    with pytest.raises(ValueError) as error:
        model.predict(images)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_no_images_have_no_predictions(model):
    assert model.predict([]).probabilities.shape == (0, 4)


def test_files_that_cannot_be_read_stop_the_prediction_or_are_skipped(model, pictures, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    images = [pictures[0], bad, pictures[1]]
    with pytest.raises(ValueError, match="bad.png cannot be read as an image.*on_bad_image='skip'"):
        model.predict(images)
    predicted = model.predict(images, on_bad_image="skip")
    assert predicted.files == (pictures[0], pictures[1]) and list(predicted.skipped) == [bad]
    assert torch.allclose(
        predicted.probabilities, model.predict(pictures[:2]).probabilities, atol=1e-6
    )


def test_the_command_prints_a_table_and_writes_the_probabilities(path, pictures, tmp_path, capsys):
    folder, out = tmp_path / "images", tmp_path / "out" / "predictions.csv"
    shutil.copytree(pictures[0].parent, folder)
    (folder / "bad.png").write_bytes(b"no image")
    assert main(["predict", str(path), str(folder), "--top", "2", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert f"Skipped {folder / 'bad.png'}: " in printed.err
    assert "Left out: 1 file" in printed.out and "keeps the center of 16x16" in printed.out
    expected = moonas.load_model(path).predict(sorted(pictures))
    with open(out) as file:
        rows = list(csv.DictReader(file))
    assert [row["file"].split("/")[-1] for row in rows] == [p.name for p in sorted(pictures)]
    assert [row["class"] for row in rows] == expected.names
    values = [[float(row[f"probability of {name}"]) for name in CLASSES] for row in rows]
    assert torch.allclose(torch.tensor(values), expected.probabilities, atol=1e-5)
    for file, best in zip(sorted(pictures), expected.top(2), strict=True):
        (line,) = [line for line in printed.out.splitlines() if file.name in line]
        (first, p), (second, q) = best
        assert line.split()[1:] == [first, f"{100 * p:.1f}", "%", second, f"{100 * q:.1f}", "%"]


def test_relative_and_absolute_paths_with_brackets_are_printed_as_they_are(
    path, tmp_path, monkeypatch, capsys
):
    files = [tmp_path / "work" / "photos[/red]" / "c[1].png", tmp_path / "b[/b].png"]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), "red").save(file)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("COLUMNS", "300")
    command = ["predict", str(path), "photos[/red]", str(files[1]), "--out", "o[/b].csv"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "photos[/red]/c[1].png" in printed and str(files[1]) in printed
    assert "Predictions for 2 images written to o[/b].csv." in printed
    assert main(["predict", str(path), "photos[/red]"]) == 0
    assert "Images in photos[/red]" in capsys.readouterr().out


def test_the_probabilities_are_written_before_the_table_is_printed(
    path, pictures, tmp_path, monkeypatch
):
    def fail(*args):
        raise ValueError("no table")

    monkeypatch.setattr(prediction, "predictions_table", fail)
    out = tmp_path / "out.csv"
    with pytest.raises(ValueError, match="no table"):
        main(["predict", str(path), str(pictures[0]), "--out", str(out)])
    assert out.read_text().startswith("file,class")


def test_of_many_images_the_first_are_printed():
    files = tuple(Path(f"{i}.png") for i in range(60))
    table = prediction.predictions_table(
        prediction.Predictions(CLASSES, torch.rand(60, 4), files=files)
    )
    assert len(table.rows) == prediction.MOST_ROWS and table.caption == "and 10 more"


def test_a_folder_without_readable_images_exits_with_1_and_a_missing_one_with_2(
    path, tmp_path, capsys
):
    (tmp_path / "bad.png").write_bytes(b"no image")
    assert main(["predict", str(path), str(tmp_path)]) == 1
    assert "None of 1 file can be read as an image." in capsys.readouterr().err
    assert main(["predict", str(path), str(tmp_path / "missing")]) == 2
    assert "missing does not exist" in capsys.readouterr().err


def test_a_picture_in_the_place_of_the_model_is_rejected_in_a_line_of_moonas(pictures, capsys):
    assert main(["predict", str(pictures[0]), str(pictures[0])]) == 2
    printed = capsys.readouterr().err
    assert printed == (
        f"moonas: {pictures[0]} does not contain a moonas model: it is another file, is damaged, "
        "or contains more than tensors\n"
    )


def test_the_reason_why_a_file_is_skipped_is_printed_with_its_advice(path, tmp_path, capsys):
    Image.fromarray(np.int32([[0, 70000]])).save(tmp_path / "deep.tiff")
    assert main(["predict", str(path), str(tmp_path / "deep.tiff")]) == 1
    assert "expected 0 to 65535; convert it to 8 or 16 bits\n" in capsys.readouterr().err


def test_an_exported_onnx_file_predicts_as_its_model_does(tmp_path, pictures, capsys):
    path = write_small_classifier(tmp_path / "model.pt", resize="pad", stored_size=20)
    model = moonas.load_model(path)
    export(model, tmp_path / "net.onnx", "onnx")
    predictor = prediction.load_predictor(tmp_path / "net.onnx")
    assert repr(predictor.preprocess) == repr(model.preprocess)
    actual, expected = predictor.predict(pictures), model.predict(pictures)
    assert actual.names == expected.names
    assert torch.allclose(actual.probabilities, expected.probabilities, atol=1e-4)
    assert main(["predict", str(tmp_path / "net.onnx"), str(pictures[0])]) == 0
    assert "adds black edges" in capsys.readouterr().out


def test_an_onnx_file_that_does_not_record_how_images_are_resized_is_rejected(
    path, pictures, tmp_path, capsys
):
    import onnx

    export(moonas.load_model(path), tmp_path / "net.onnx", "onnx")
    proto = onnx.load(tmp_path / "net.onnx")
    known = {e.key: e.value for e in proto.metadata_props if e.key not in ("resize", "stored_size")}
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, known)
    onnx.save(proto, tmp_path / "old.onnx")
    assert main(["predict", str(tmp_path / "old.onnx"), str(pictures[0])]) == 2
    message = "old.onnx was exported by an earlier version, which did not record how images are"
    assert message in capsys.readouterr().err


def test_files_without_the_required_description_are_rejected(tmp_path, capsys):
    import onnx
    from onnx import TensorProto, helper

    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("input", "output")]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["input"], ["output"])], "g", *([v] for v in value)
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), tmp_path / "other.onnx")
    (tmp_path / "damaged.onnx").write_bytes(b"nothing")
    for name, message in (
        ("other.onnx", "does not record its classes and the size of its images"),
        ("damaged.onnx", "cannot be read as an ONNX file"),
        ("missing.onnx", "missing.onnx is missing"),
    ):
        assert main(["predict", str(tmp_path / name), "x.png"]) == 2
        assert message in capsys.readouterr().err
