import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from moonas.problems.eagan import zoo as gans

import moonas
from moonas.models.export import ENDINGS, as_python, described, export
from moonas.models.model import load_model, read_model, write_model
from moonas.registry import training_module


def classifier(problem, path, **shape):
    """A model file of an untrained network of a problem, with statistics that are not the first."""
    made = moonas.load_problem(problem)
    rng = torch.Generator().manual_seed(0)
    x = made.operators()["sampling"].do(made, 1, random_state=_numpy()).get("X")[0]
    about = {
        "kind": "classifier",
        "problem": problem,
        "searched": {},
        "architecture": made.architecture_to_json(made.decode(x)),
        "shape": dict(n_classes=4, in_channels=3, image_size=16) | shape,
        "input_shape": [3, 16, 16],
        "classes": ["ant", "bee", 'c"at', "dog"],
        "mean": [0.2, 0.3, 0.4],
        "std": [0.5, 0.6, 0.7],
    }
    network = training_module(problem).build_network(about)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.copy_(torch.rand(module.num_features, generator=rng))
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=rng))
    write_model(path, network.eval(), about)
    return network


def _numpy():
    import numpy as np

    return np.random.default_rng(1)


def generator(path):
    shape = dict(channels=6, latent=9, side=16, in_channels=3)
    about = {
        "kind": "generator",
        "problem": "eagan-generator",
        "generator": str(gans.find_generator("EAGAN_G")),
        "shape": shape,
        "input_shape": [9],
    }
    network = training_module("eagan-generator").build_network(about)
    network.norm.running_var.fill_(0.7)
    write_model(path, network.eval(), about)


def translator(path):
    made = moonas.load_problem("cyclegan-pruning", width=4, blocks=1)
    x = made.operators()["sampling"].do(made, 1, random_state=_numpy()).get("X")[0]
    masks = made.decode(x)
    about = {
        "kind": "translator",
        "problem": "cyclegan-pruning",
        "from_domain": "b",
        "masks": {"a": masks.a, "b": masks.b},
        "encoding": made.settings.encoding,
        "shape": dict(width=4, blocks=1, d_width=4, d_layers=1),
        "input_shape": [3, 16, 16],
    }
    write_model(path, training_module("cyclegan-pruning").build_network(about), about)


MODELS = {
    "cars": lambda path: classifier("cars", path, channels=4, layers=3),
    "nsganet": lambda path: classifier("nsganet", path, channels=4, layers=3),
    "eg-darts": lambda path: classifier("eg-darts", path),
    "nsganet-macro": lambda path: classifier("nsganet-macro", path, channels=4),
    "digits-table": lambda path: classifier("digits-table", path),
    "nasbench201": lambda path: classifier("nasbench201", path, channels=4, cells=1),
    "generator": generator,
    "translator": translator,
}


@pytest.fixture(scope="module", params=MODELS)
def model(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param) / "model.pt"
    MODELS[request.param](path)
    return load_model(path)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("cars") / "model.pt"
    MODELS["cars"](path)
    return path


def test_a_model_is_its_network_on_normalised_pixels(tmp_path):
    network = classifier("cars", tmp_path / "model.pt", channels=4, layers=3)
    model = moonas.load_model(tmp_path)  # the folder will do
    pixels = torch.rand(3, 3, 16, 16)
    mean = torch.tensor([0.2, 0.3, 0.4]).reshape(3, 1, 1)
    std = torch.tensor([0.5, 0.6, 0.7]).reshape(3, 1, 1)
    assert torch.allclose(model(pixels), network((pixels - mean) / std), atol=1e-6)
    assert model.classes == ("ant", "bee", 'c"at', "dog") and not model.training


def test_pixels_of_generators_are_between_0_and_1(tmp_path):
    for make in (generator, translator):
        make(tmp_path / "model.pt")
        out = load_model(tmp_path)(load_model(tmp_path).example(4))
        assert out.shape == (4, 3, 16, 16) and 0 <= out.min() < out.max() <= 1


@pytest.mark.parametrize(
    "form", ["python", *(pytest.param(f, marks=pytest.mark.slow) for f in ("onnx", "torch-export"))]
)
def test_what_is_exported_equals_the_model(model, form, tmp_path):
    assert export(model, tmp_path / f"net{ENDINGS[form]}", form) <= 1e-4


def test_the_python_file_wants_torch_alone_and_takes_any_batch(path, tmp_path):
    export(load_model(path), tmp_path / "net.py", "python")
    code = (
        "import sys, torch\nfrom net import CLASSES, INPUT_SHAPE, load\n"
        "out = load()(torch.zeros(7, *INPUT_SHAPE))\n"
        "print(tuple(out.shape), CLASSES[2], [m for m in sys.modules if m == 'moonas'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == """(7, 4) c"at []"""
    lines = (tmp_path / "net.py").read_text().splitlines()
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    assert imports == ["from pathlib import Path", "import torch", "from torch import nn"]


def test_an_onnx_file_says_what_goes_in_and_comes_out(path, tmp_path):
    import onnx

    export(load_model(path), tmp_path / "net.onnx", "onnx")
    held = onnx.load(tmp_path / "net.onnx")
    about = {entry.key: entry.value for entry in held.metadata_props}
    assert json.loads(about["classes"]) == ["ant", "bee", 'c"at', "dog"]
    assert json.loads(about["mean"]) == [0.2, 0.3, 0.4] and "16, 16" in about["input"]
    (batch, *rest) = held.graph.input[0].type.tensor_type.shape.dim
    assert batch.dim_param and [d.dim_value for d in rest] == [3, 16, 16]


def test_a_program_of_torch_says_it_too(path, tmp_path):
    export(load_model(path), tmp_path / "net.pt2", "torch-export")
    found = {"about.json": ""}
    program = torch.export.load(tmp_path / "net.pt2", extra_files=found)
    assert json.loads(found["about.json"]) == described(load_model(path))
    assert program.module()(torch.zeros(5, 3, 16, 16)).shape == (5, 4)


def test_a_model_is_read_without_the_discriminator_in_its_file(path, tmp_path):
    model, beside = load_model(path), torch.nn.Linear(2, 1)
    about = model.about | {"discriminator": {"inputs": 2}}
    write_model(tmp_path / "model.pt", model.network, about, beside)
    again = load_model(tmp_path)
    assert torch.equal(again(model.example()), model(model.example()))
    found, network, discriminator = read_model(tmp_path / "model.pt")
    assert found == about and network.keys() == model.network.state_dict().keys()
    assert torch.equal(discriminator["weight"], beside.weight)
    assert read_model(path)[2] == {}


def test_what_differs_from_its_model_is_removed(path, tmp_path, monkeypatch):
    def wrong(model, weights):
        source, state = as_python(model, weights)
        return source.replace("return classifier", "return 1 + classifier"), state

    monkeypatch.setattr("moonas.models.export.as_python", wrong)
    with pytest.raises(ValueError, match="differs from the model by"):
        export(load_model(path), tmp_path / "net.py", "python")
    assert not (tmp_path / "net.py").exists()
    with pytest.raises(ValueError, match="Unknown format 'tflite'; choose from"):
        export(load_model(path), tmp_path / "net", "tflite")


def test_a_missing_package_is_named(path, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match=r"onnx, onnxscript, onnxruntime.*pip install 'moonas\[onnx"
    ):
        export(load_model(path), tmp_path / "net.onnx", "onnx")


class Evil:
    """What a pickle could do."""

    def __reduce__(self):
        return (Path.touch, (Path("evil"),))


def test_damaged_and_foreign_files_are_refused_by_name(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good, bad = torch.load(path, weights_only=True), tmp_path / "bad.pt"

    def refused(match, content=None, raw=None):
        if raw is None:
            torch.save(content, bad)
        else:
            bad.write_bytes(raw)
        with pytest.raises(ValueError, match=match) as caught:
            load_model(bad)
        assert str(bad) in str(caught.value)

    refused("does not contain a model", raw=b"nothing")
    refused("does not contain a model", raw=path.read_bytes()[:2000])
    refused("does not contain a model", {"weights": torch.zeros(3)})
    refused("does not contain a model", Evil())
    assert not Path("evil").exists()
    refused("has format 9", good | {"format": 9})
    changed = {k: v + 1 for k, v in good["tensors"].items()}
    refused("is damaged: it does not contain the tensors", good | {"tensors": changed})
    about = json.loads(good["about"])
    for key, value in (("problem", "nothing"), ("kind", "cat"), ("architecture", {"normal": []})):
        refused("does not contain a model", good | {"about": json.dumps(about | {key: value})})
    fewer = json.dumps(about | {"shape": about["shape"] | {"n_classes": 5}})
    refused("size mismatch|does not contain a model", good | {"about": fewer})
    with pytest.raises(ValueError, match="is missing"):
        load_model(tmp_path / "none.pt")
    with pytest.raises(ValueError, match="should hold one model.pt"):
        load_model(tmp_path)
