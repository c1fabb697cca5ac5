import ast
import json
from pathlib import Path

import pytest
import torch
from model_files import sampled_row, write_generator, write_translator

import moonas
from moonas.cli import main
from moonas.models.export import (
    FILE_ENDINGS,
    ImageSizes,
    describe_model,
    export,
    python_source,
)
from moonas.models.model import load_model, read_model, write_model
from moonas.registry import training_module

OLD_FILES = Path(__file__).parents[2] / "data" / "old"


def write_classifier(problem_name, path, **shape):
    """Write a model file of an untrained classifier with random running statistics."""
    problem = moonas.load_problem(problem_name)
    rng = torch.Generator().manual_seed(0)
    about = {
        "kind": "classifier",
        "problem": problem_name,
        "searched": {},
        "architecture": problem.architecture_to_json(problem.decode(sampled_row(problem))),
        "shape": dict(n_classes=4, in_channels=3, image_size=16) | shape,
        "input_shape": [3, 16, 16],
        "classes": ["ant", "bee", 'c"at', "dog"],
        "mean": [0.2, 0.3, 0.4],
        "std": [0.5, 0.6, 0.7],
    }
    network = training_module(problem_name).build_network(about)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.copy_(torch.rand(module.num_features, generator=rng))
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=rng))
    write_model(path, network.eval(), about)
    return network


MODEL_WRITERS = {
    "cars": lambda path: write_classifier("cars", path, channels=4, layers=3),
    "nsganet": lambda path: write_classifier("nsganet", path, channels=4, layers=3),
    "eg-darts": lambda path: write_classifier("eg-darts", path),
    "nsganet-macro": lambda path: write_classifier("nsganet-macro", path, channels=4),
    "digits-table": lambda path: write_classifier("digits-table", path),
    "nasbench201": lambda path: write_classifier("nasbench201", path, channels=4, cells=1),
    "generator": write_generator,
    "translator": write_translator,
}


@pytest.fixture(scope="module", params=MODEL_WRITERS)
def model(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param) / "model.pt"
    MODEL_WRITERS[request.param](path)
    return load_model(path)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A model file of a classifier with few layers."""
    path = tmp_path_factory.mktemp("small") / "model.pt"
    write_classifier("digits-table", path)
    return path


def test_a_classifier_applies_its_network_to_normalized_pixels(tmp_path):
    network = write_classifier("cars", tmp_path / "model.pt", channels=4, layers=3)
    model = moonas.load_model(tmp_path)  # a folder with one model file
    pixels = torch.rand(3, 3, 16, 16)
    mean = torch.tensor([0.2, 0.3, 0.4]).reshape(3, 1, 1)
    std = torch.tensor([0.5, 0.6, 0.7]).reshape(3, 1, 1)
    assert torch.allclose(model(pixels), network((pixels - mean) / std), atol=1e-6)
    assert model.classes == ("ant", "bee", 'c"at', "dog") and not model.training


def test_the_pixels_of_generated_and_translated_images_are_in_0_to_1(tmp_path):
    for write in (write_generator, write_translator):
        write(tmp_path / "model.pt")
        model = load_model(tmp_path)
        out = model(model.example(4))
        assert out.shape == (4, 3, 16, 16) and 0 <= out.min() < out.max() <= 1


@pytest.mark.parametrize(
    "format",
    ["python", *(pytest.param(f, marks=pytest.mark.slow) for f in ("onnx", "torch-export"))],
)
def test_the_outputs_of_an_exported_file_equal_those_of_the_model(model, format, tmp_path):
    assert export(model, tmp_path / f"net{FILE_ENDINGS[format]}", format) <= 1e-4


def test_an_exported_python_file_imports_only_torch_and_accepts_any_batch_size(path, tmp_path):
    export(load_model(path), tmp_path / "net.py", "python")
    source = (tmp_path / "net.py").read_text()
    imports = {
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imports == {"from pathlib import Path", "import torch", "from torch import nn"}
    assert "__import__" not in source and "importlib" not in source
    names = {"__file__": str(tmp_path / "net.py")}
    exec(compile(source, "net.py", "exec"), names)
    assert names["load"]()(torch.zeros(7, *names["INPUT_SHAPE"])).shape == (7, 4)
    assert names["CLASSES"] == ("ant", "bee", 'c"at', "dog")


def test_an_onnx_file_describes_its_input_and_output(path, tmp_path):
    import onnx

    export(load_model(path), tmp_path / "net.onnx", "onnx")
    proto = onnx.load(tmp_path / "net.onnx")
    about = {entry.key: entry.value for entry in proto.metadata_props}
    assert json.loads(about["classes"]) == ["ant", "bee", 'c"at', "dog"]
    assert json.loads(about["mean"]) == [0.2, 0.3, 0.4]
    assert about["input"] == (
        "(batch, 3, height, width), pixels in [0, 1]; any height and width of at least 1 pixel"
    )
    assert about["normalization"] == "(pixels - mean) / std, within the network"
    recorded = {key: about[key] for key in ("channels", "size", "resize", "stored_size")}
    assert recorded == {
        "channels": "3",
        "size": "[16, 16]",
        "resize": "squash",
        "stored_size": "null",
    }
    assert about["preprocessing"].startswith("converts to RGB, resizes to 16x16 pixels")
    batch, channels, *sides = proto.graph.input[0].type.tensor_type.shape.dim
    assert batch.dim_param and channels.dim_value == 3
    assert [side.dim_param for side in sides] == ["height", "width"]


def test_a_torch_export_file_describes_its_model_and_accepts_any_batch_size(path, tmp_path):
    export(load_model(path), tmp_path / "net.pt2", "torch-export")
    files = {"about.json": ""}
    program = torch.export.load(tmp_path / "net.pt2", extra_files=files)
    assert json.loads(files["about.json"]) == describe_model(load_model(path), ImageSizes(1, 4))
    assert program.module()(torch.zeros(5, 3, 16, 16)).shape == (5, 4)


def test_the_old_name_of_the_format_argument_works_with_a_warning(path, tmp_path):
    with pytest.warns(DeprecationWarning, match="form= is deprecated; use format="):
        export(load_model(path), tmp_path / "net.py", form="python")


def test_the_description_in_a_file_of_an_earlier_version_is_exported(tmp_path):
    model = load_model(OLD_FILES / "model.pt")
    text = "skip(0)+sep3(1) dil5(1) dil3(0)+dil5(1)"
    assert "in_words" not in model.about and model.about["description"].startswith(text)
    export(model, tmp_path / "net.py", "python")
    assert f"description: {text}" in (tmp_path / "net.py").read_text()
    assert read_model(OLD_FILES / "model.pt")[0] == model.about


def test_a_discriminator_in_a_model_file_does_not_affect_the_loaded_model(path, tmp_path):
    model, discriminator = load_model(path), torch.nn.Linear(2, 1)
    about = model.about | {"discriminator": {"inputs": 2}}
    write_model(tmp_path / "model.pt", model.network, about, discriminator)
    assert torch.equal(load_model(tmp_path)(model.example()), model(model.example()))
    read_about, network, tensors = read_model(tmp_path / "model.pt")
    assert read_about == about and network.keys() == model.network.state_dict().keys()
    assert torch.equal(tensors["weight"], discriminator.weight)
    assert read_model(path)[2] == {}


@pytest.mark.parametrize("change", ["1 + {}", "float('nan') * {}"])
def test_an_export_whose_outputs_differ_keeps_earlier_files(path, tmp_path, monkeypatch, change):
    def wrong_source(*args):
        source, state = python_source(*args)
        output = source.partition("        return ")[2].split()[0]
        state = {name: value + 1 for name, value in state.items()}
        return source.replace(f"return {output}", f"return {change.format(output)}"), state

    monkeypatch.setattr("moonas.models.export.python_source", wrong_source)
    with pytest.raises(ValueError, match="differ from the model by.*No file was written"):
        export(load_model(path), tmp_path / "net.py", "python")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    export(load_model(path), tmp_path / "net.py", "python")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert before.keys() == {"net.py", "net.pt", "predict.py", "model.md"}
    monkeypatch.setattr("moonas.models.export.python_source", wrong_source)
    with pytest.raises(ValueError, match="differ from the model by"):
        export(load_model(path), tmp_path / "net.py", "python")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_the_weights_of_an_export_do_not_replace_a_trained_model(path, tmp_path, capsys):
    for name in ("model", "other"):
        (tmp_path / f"{name}.pt").write_bytes(path.read_bytes())
    for name in ("model", "other"):
        command = ["export", str(tmp_path / "model.pt"), "--format", "python"]
        assert main([*command, "--out", str(tmp_path / f"{name}.py")]) == 2
        message = f"would replace {tmp_path / f'{name}.pt'}, which is not the weights of an earlier"
        assert message in capsys.readouterr().err
        assert (tmp_path / f"{name}.pt").read_bytes() == path.read_bytes()
    for _ in range(2):  # weights of an export are replaced by those of the next
        assert main([*command, "--out", str(tmp_path / "net.py")]) == 0
    assert main([*command[:2], "--format", "safetensors", "--out", str(tmp_path / "model.py")]) == 0


@pytest.mark.parametrize("format", FILE_ENDINGS)
def test_another_ending_than_that_of_the_format_is_rejected(path, format, tmp_path):
    for name in ("net.pt", "net.v2", "predict.py" if format == "onnx" else "net.onnx"):
        with pytest.raises(ValueError, match=f"expected the ending {FILE_ENDINGS[format]}"):
            export(load_model(path), tmp_path / name, format)
    assert list(tmp_path.iterdir()) == []


def test_a_name_without_an_ending_gets_that_of_the_format(path, tmp_path, capsys):
    command = ["export", str(path), "--format", "python", "--out", str(tmp_path / "net")]
    assert main(command) == 0
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"net.py", "net.pt", "predict.py", "model.md"}
    assert f"Network written to {tmp_path / 'net.py'}, with" in capsys.readouterr().out
    assert "runpy" in (tmp_path / "predict.py").read_text()  # it runs the Python file


def test_an_unknown_export_format_is_rejected(path, tmp_path):
    with pytest.raises(ValueError, match="Unknown format 'tflite'; choose from"):
        export(load_model(path), tmp_path / "net", "tflite")


def test_the_error_about_missing_packages_names_them_and_keeps_the_file(
    path, tmp_path, monkeypatch
):
    (tmp_path / "net.onnx").write_bytes(b"of an earlier export")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    message = r"requires onnx, onnxscript, onnxruntime, which are not.*pip install 'moonas\[onnx"
    with pytest.raises(ValueError, match=message):
        export(load_model(path), tmp_path / "net.onnx", "onnx")
    assert (tmp_path / "net.onnx").read_bytes() == b"of an earlier export"


class CreatesFileWhenUnpickled:
    """An object whose pickle would create a file when it is loaded."""

    def __reduce__(self):
        return (Path.touch, (Path("created"),))


def test_damaged_and_foreign_model_files_are_rejected_without_running_their_code(
    path, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    good, bad = torch.load(path, weights_only=True), tmp_path / "bad.pt"

    def assert_rejected(match, content=None, raw=None):
        if raw is None:
            torch.save(content, bad)
        else:
            bad.write_bytes(raw)
        with pytest.raises(ValueError, match=match) as caught:
            load_model(bad)
        assert str(bad) in str(caught.value)

    assert_rejected("a moonas model", raw=b"nothing")
    assert_rejected("a moonas model", raw=path.read_bytes()[:2000])
    assert_rejected("a moonas model", {"weights": torch.zeros(3)})
    assert_rejected("a moonas model", CreatesFileWhenUnpickled())
    assert not Path("created").exists()
    assert_rejected("format 9", good | {"format": 9})
    changed = {k: v + 1 for k, v in good["tensors"].items()}
    assert_rejected("is damaged", good | {"tensors": changed})
    about = json.loads(good["about"])
    for key, value in (("problem", "nothing"), ("kind", "cat"), ("architecture", {"normal": []})):
        assert_rejected("a moonas model", good | {"about": json.dumps(about | {key: value})})
    fewer = json.dumps(about | {"shape": about["shape"] | {"n_classes": 5}})
    assert_rejected("loading state_dict", good | {"about": fewer})


def test_a_path_without_exactly_one_model_file_is_rejected(tmp_path):
    with pytest.raises(ValueError, match="is missing"):
        load_model(tmp_path / "none.pt")
    with pytest.raises(ValueError, match="expected a folder with one model file"):
        load_model(tmp_path)
