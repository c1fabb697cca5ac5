import re
import runpy
import shutil
import subprocess
import sys
import venv

import numpy as np
import pytest
import torch
from pictures import CLASSES, FORMS, write_pictures, write_small_classifier
from PIL import Image

import moonas
from moonas.data.batches import Images
from moonas.data.holding import hold_files
from moonas.models.export import FILE_ENDINGS, export_file
from moonas.models.predict_script import predict_script, write_predict_script

ALLOWED = {  # format -> packages that predict.py may import
    "onnx": ("numpy", "PIL", "onnxruntime"),
    "torch-export": ("numpy", "PIL", "torch"),
    "python": ("numpy", "PIL", "torch"),
    "safetensors": ("numpy", "PIL", "torch", "safetensors"),
}
RUN_WITHOUT = """
import runpy, sys
for name in ("moonas", "moonas.problems", "torchvision", "pymoo", *sys.argv[2].split()):
    sys.modules[name] = None  # importing it raises an ImportError
sys.argv = [sys.argv[1], *sys.argv[3:]]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"))


def read_function(model, file, folder, monkeypatch):
    """Return the function of the script that reads an image."""
    path = folder / "predict.py"
    path.write_text(predict_script(model, file))
    monkeypatch.setattr(sys, "argv", ["predict.py"])
    source = path.read_text().split("if len(sys.argv)")[0]
    path.write_text(source)
    return runpy.run_path(str(path))["read"]


@pytest.mark.parametrize("file", ["net.onnx", "net.pt2"])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_script_reads_the_pixels_that_the_data_layer_reads(
    form, file, pictures, tmp_path, monkeypatch
):
    about = dict(resize=form.resize, stored_size=form.stored)
    path = write_small_classifier(
        tmp_path / "model.pt", channels=form.channels, side=form.side, **about
    )
    read = read_function(moonas.load_model(path), file, tmp_path, monkeypatch)
    expected = Images(hold_files(pictures, form), form.center).tensor()
    for path, pixels in zip(pictures, expected, strict=True):
        actual = read(path)
        assert actual.dtype == np.float32 and actual.shape == pixels.shape
        differing = np.abs(actual - pixels.numpy()) > 1e-6
        # other processors may round a sum in the last bit
        assert differing.mean() < 0.001, path.name
        assert np.abs(actual - pixels.numpy()).max() < 1.1 / 255


@pytest.mark.parametrize("file", ["net.onnx", "net.pt2"])
def test_the_script_reads_gray_values_of_any_depth_as_moonas_does(file, tmp_path, monkeypatch):
    model = moonas.load_model(write_small_classifier(tmp_path / "model.pt", resize="crop"))
    read = read_function(model, file, tmp_path, monkeypatch)
    values = np.random.default_rng(0).random((24, 40))
    for scale, type in ((1, np.float32), (65535, np.uint16), (65535, np.int32), (255, np.uint8)):
        path = tmp_path / "gray.tiff"
        Image.fromarray((scale * values).astype(type)).save(path)
        with Image.open(path) as image:
            expected = model.preprocess(image).numpy()
        assert np.abs(read(path) - expected).max() < 1.1 / 255 and expected.std() > 0.1
    for image, message in (
        (Image.fromarray(np.float32([[0, 1.5]])), "gray values from 0 to 1.5, expected 0 to 1."),
        (Image.fromarray(np.float32([[-1, 0]])), "gray values from -1 to 0, expected 0 to 1."),
        (Image.fromarray(np.float32([[0, np.nan]])), "gray values from nan to nan"),
        (Image.fromarray(np.int32([[0, 70000]])), "from 0 to 70000, expected 0 to 65535."),
    ):
        image.save(path)
        with pytest.raises(SystemExit, match=message):
            read(path)
        with pytest.raises(ValueError, match="its gray values are from"):
            model.predict(path)


def probabilities(printed):
    """Return path -> probability of each class, of what the script has printed."""
    lines = [line.rsplit(": ", 1) for line in printed.splitlines()]
    found = {path: dict(re.findall(r"(\w+) ([\d.]+)", text)) for path, text in lines}
    return {path: [float(values[name]) for name in CLASSES] for path, values in found.items()}


@pytest.mark.parametrize(
    ("format", "multi_label"),
    [
        *((name, False) for name in ALLOWED if name != "torch-export"),
        ("onnx", True),
        pytest.param("torch-export", False, marks=pytest.mark.slow),
    ],
)
def test_the_script_prints_the_probabilities_of_the_model(format, multi_label, pictures, tmp_path):
    path = write_small_classifier(tmp_path / "model.pt", resize="crop", multi_label=multi_label)
    model = moonas.load_model(path)
    exported = export_file(model, tmp_path / f"net{FILE_ENDINGS[format]}", format)
    assert exported.script == tmp_path / "predict.py"
    others = {"torch", "onnxruntime", "safetensors"} - set(ALLOWED[format])
    command = [sys.executable, "-I", "-c", RUN_WITHOUT, str(exported.script), " ".join(others)]
    done = subprocess.run([*command, *map(str, pictures)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    actual, expected = probabilities(done.stdout), model.predict(pictures)
    assert list(actual) == list(map(str, pictures))
    assert torch.allclose(
        torch.tensor(list(actual.values())), expected.probabilities, rtol=0, atol=1e-4
    )


def test_the_script_does_not_replace_a_file_of_the_user(tmp_path):
    model = moonas.load_model(write_small_classifier(tmp_path / "model.pt"))
    (tmp_path / "predict.py").write_text("print('mine')\n")
    for _ in range(2):
        exported = export_file(model, tmp_path / "net.py", "python")
        assert exported.script == tmp_path / "predict_net.py"
    assert (tmp_path / "predict.py").read_text() == "print('mine')\n"


def test_each_export_of_a_folder_has_its_own_script(tmp_path):
    model = moonas.load_model(write_small_classifier(tmp_path / "model.pt"))
    files = {"a.onnx": "predict.py", "b.onnx": "predict_b.py", "b.pt2": "predict_b_pt2.py"}
    for _ in range(2):
        scripts = {name: write_predict_script(model, tmp_path / name) for name in files}
        assert {name: script.name for name, script in scripts.items()} == files
    for name, script in scripts.items():
        assert f"with_name({name!r})" in script.read_text()


def test_the_script_without_images_prints_how_it_is_called(tmp_path):
    model = moonas.load_model(write_small_classifier(tmp_path / "model.pt"))
    script = export_file(model, tmp_path / "net.py", "python").script
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.returncode == 1 and "python predict.py IMAGE ..." in done.stderr


def test_the_weights_of_a_safetensors_export_are_those_of_the_model(tmp_path):
    from safetensors import safe_open

    model = moonas.load_model(write_small_classifier(tmp_path / "model.pt"))
    export_file(model, tmp_path / "net.py", "safetensors")
    with safe_open(tmp_path / "net.safetensors", "pt") as file:
        assert file.metadata()["classes"] == '["ant", "bee", "cat", "dog"]'
        written = sorted(float(file.get_tensor(key).sum()) for key in file.keys())  # noqa: SIM118
    expected = sorted(float(t.sum()) for t in model.state_dict().values())
    assert written == pytest.approx(expected)
    assert not (tmp_path / "net.pt").exists()


@pytest.mark.slow
def test_the_script_runs_in_an_environment_of_three_packages(pictures, tmp_path):
    path = write_small_classifier(tmp_path / "model.pt", resize="crop")
    model = moonas.load_model(path)
    export_file(model, tmp_path / "net" / "net.onnx", "onnx")
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    install = [python, "-m", "pip", "install", "--quiet", "numpy", "pillow", "onnxruntime"]
    subprocess.run(install, check=True)
    moved = shutil.move(tmp_path / "net", tmp_path / "elsewhere")
    done = subprocess.run(
        [python, "-I", f"{moved}/predict.py", *pictures], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    actual = torch.tensor(list(probabilities(done.stdout).values()))
    expected = model.predict(pictures).probabilities
    assert torch.allclose(actual, expected, rtol=0, atol=1e-4)
    missing = subprocess.run([python, "-I", "-c", "import moonas"], capture_output=True)
    assert missing.returncode != 0
