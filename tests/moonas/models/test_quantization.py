import json
import shutil

import numpy as np
import pytest
import torch
from pictures import write_small_classifier

import moonas
from moonas.cli import main
from moonas.models.export import export
from moonas.models.prediction import load_predictor
from moonas.models.quantization import quantize
from moonas.models.test_sets import load_test_images


@pytest.fixture(scope="module")
def path(tmp_path_factory, few_digits):
    return write_small_classifier(
        tmp_path_factory.mktemp("model") / "model.pt",
        channels=1,
        side=8,
        shape=dict(n_classes=10, in_channels=1, image_size=8),
        classes=[str(digit) for digit in range(10)],
        data=str(few_digits),
        resize="crop",
    )


def test_a_quantized_file_has_weights_of_8_bits_and_is_tested(path, few_digits, tmp_path):
    import onnx

    model = moonas.load_model(path)
    export(model, tmp_path / "net.onnx", "onnx")
    result = quantize(tmp_path / "net.onnx", model, str(few_digits))
    assert result.path == tmp_path / "net_int8.onnx" and result.n_test == 20
    weights = [onnx.numpy_helper.to_array(t) for t in onnx.load(result.path).graph.initializer]
    assert sum(w.size for w in weights if w.dtype == np.int8 and w.ndim == 4) > 100
    test = load_test_images(str(few_digits), model)
    pixels = test.pixels.tensor()
    for file, error in ((tmp_path / "net.onnx", result.float_error), (result.path, result.error)):
        predictor = load_predictor(file)  # the description is copied
        assert predictor.classes == model.classes
        wrong = predictor.logits(pixels).argmax(1) != test.labels
        assert error == pytest.approx(100 * float(wrong.float().mean()))
    actual, expected = predictor.logits(pixels), model(pixels).detach()
    spread = float(expected.std())
    assert 0 < float((actual - expected).abs().mean()) < 0.1 * spread
    assert torch.isfinite(actual).all()


def test_a_quantized_file_records_its_own_error(path, few_digits, tmp_path):
    import onnx

    model = moonas.load_model(path)
    model.about["scores"] = {"error": 12.5, "top5_error": 1.5}  # of the network of 32 bits
    export(model, tmp_path / "net.onnx", "onnx")
    result = quantize(tmp_path / "net.onnx", model, str(few_digits))
    about = [
        {e.key: e.value for e in onnx.load(file).metadata_props}
        for file in (tmp_path / "net.onnx", result.path)
    ]
    assert [json.loads(a.pop("scores")) for a in about] == [
        model.about["scores"],
        {"error": result.error},
    ]
    assert about[0].items() <= about[1].items()


def test_images_that_cannot_be_read_are_left_out_of_the_calibration_and_the_test(
    path, few_digits, tmp_path
):
    folder = shutil.copytree(few_digits, tmp_path / "digits")
    for part in ("train", "test"):
        (folder / part / "3" / "0.png").write_bytes(b"no image")
    model = moonas.load_model(path)
    export(model, tmp_path / "net.onnx", "onnx")
    with pytest.warns(UserWarning, match="Skipped: .*0.png cannot be read as an image"):
        result = quantize(tmp_path / "net.onnx", model, str(folder))
    assert result.n_test == 19


def test_the_export_command_prints_the_error_of_the_quantized_file(path, tmp_path, capsys):
    out = tmp_path / "net.onnx"
    assert main(["export", str(path), "--out", str(out), "--int8"]) == 0
    printed = capsys.readouterr().out
    assert f"Quantized network written to {tmp_path / 'net_int8.onnx'}. Its error on 20" in printed
    assert main(["export", str(path), "--format", "python", "--int8"]) == 2
    assert "--int8 is invalid with --format python: expected onnx" in capsys.readouterr().err


def test_a_data_set_with_other_classes_is_rejected(tmp_path, few_digits):
    model = moonas.load_model(write_small_classifier(tmp_path / "model.pt"))
    with pytest.raises(ValueError, match="the model expects the classes"):
        quantize(tmp_path / "net.onnx", model, str(few_digits))
