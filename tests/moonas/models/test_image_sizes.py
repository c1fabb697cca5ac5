"""Exported files accept images of other sizes if the network and the format allow it."""

import json

import pytest
import torch
from moonas.problems.cyclegan_pruning.channels import channel_groups, prune
from moonas.problems.cyclegan_pruning.networks import generator
from torch import nn

import moonas.cli
from moonas.models.export import (
    FILE_ENDINGS,
    FORMATS,
    ImageSizes,
    accepted_sizes,
    export_file,
)
from moonas.models.model import Classifier, Translator

formats = pytest.mark.parametrize("format", FORMATS)
slow = pytest.mark.slow


def translator(net, side=16):
    about = {"kind": "translator", "input_shape": [3, side, side]}
    return Translator(net, about).eval()


def classifier(*layers, side=8):
    about = {
        "kind": "classifier",
        "input_shape": [1, side, side],
        "classes": ["no", "yes"],
        "mean": [0.5],
        "std": [0.25],
    }
    return Classifier(nn.Sequential(*layers), about).eval()


def pooling_classifier():
    """A classifier with global average pooling."""
    conv = nn.Conv2d(1, 4, 3, 2, 1)
    return classifier(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


def loaded(path, format):
    """Return a function that runs an exported file, and the description of its input."""
    if format == "onnx":
        import onnx
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path))
        about = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
        run = lambda x: torch.from_numpy(session.run(None, {"input": x.numpy()})[0])  # noqa: E731
        return run, about["input"]
    if format == "torch-export":
        files = {"about.json": ""}
        program = torch.export.load(path, extra_files=files)
        return program.module(), json.loads(files["about.json"])["input"]
    names = {"__file__": str(path)}
    exec(compile(path.read_text(), path.name, "exec"), names)
    return names["load"](), names["Network"].__doc__


@torch.no_grad()
def assert_equal_outputs(model, run, *sizes):
    rng = torch.Generator().manual_seed(1)
    for n, size in enumerate(sizes, start=1):
        x = torch.rand(n, model.input_shape[0], *size, generator=rng)
        assert torch.allclose(run(x), model(x), atol=1e-5), size


@pytest.mark.parametrize(
    "format", ["python", *(pytest.param(f, marks=slow) for f in ("onnx", "torch-export"))]
)
def test_the_file_of_a_pruned_translator_accepts_any_sides_divisible_by_4(format, tmp_path):
    net = generator(width=2, blocks=1)
    groups = channel_groups(net, 3)
    masks = [[True] * (g.size - 1) + [False] for g in groups if not g.fixed]
    model, path = translator(prune(net, groups, masks)), tmp_path / f"net{FILE_ENDINGS[format]}"
    exported = export_file(model, path, format)
    assert exported.sizes == ImageSizes(4, least=8) and exported.difference < 1e-5
    run, about = loaded(path, format)
    assert_equal_outputs(model, run, (16, 16), (8, 8), (20, 12), (12, 44), (40, 16))
    assert about == (
        "(batch, 3, height, width), pixels in [0, 1]; any height and width that are multiples of "
        "4, at least 8 pixels"
    )
    if format != "onnx":  # a file that cannot check sizes
        with pytest.raises((ValueError, AssertionError), match=r"multiples of 4|% 4 == 0"):
            run(torch.rand(1, 3, 16, 18))


@formats
def test_the_file_of_a_classifier_with_global_pooling_accepts_any_size(format, tmp_path):
    model, path = pooling_classifier(), tmp_path / f"net{FILE_ENDINGS[format]}"
    exported = export_file(model, path, format)
    assert exported.sizes.multiple == 1 and exported.sizes.least <= 4
    assert_equal_outputs(model, loaded(path, format)[0], (8, 8), (4, 4), (5, 17), (31, 6))


@formats
def test_the_file_of_a_classifier_with_a_fixed_size_accepts_this_size(format, tmp_path):
    model = classifier(nn.Flatten(), nn.Linear(64, 2))
    path = tmp_path / f"net{FILE_ENDINGS[format]}"
    exported = export_file(model, path, format)
    assert exported.sizes is None
    assert exported.reason == "the network does not accept other sizes"
    run, about = loaded(path, format)
    assert_equal_outputs(model, run, (8, 8), (8, 8))
    assert about == "(batch, 1, 8, 8), pixels in [0, 1]"


class FixedInTraces(nn.Module):
    """A module that accepts any size, but whose traces contain the size of the traced image."""

    def forward(self, x):
        return x.mean((2, 3)) * torch.tensor([1.0, float(x.shape[2])])


@pytest.mark.parametrize("format", ["torch-export", pytest.param("onnx", marks=slow)])
def test_if_the_file_differs_at_other_sizes_a_file_for_one_size_is_written(format, tmp_path):
    model = classifier(FixedInTraces())
    assert accepted_sizes(model) == ImageSizes(1, least=1)
    path = tmp_path / f"net{FILE_ENDINGS[format]}"
    exported = export_file(model, path, format)
    assert exported.sizes is None and "with other sizes" in exported.reason
    run, about = loaded(path, format)
    assert_equal_outputs(model, run, (8, 8), (8, 8))
    assert "(batch, 1, 8, 8)" in about


def halved(times):
    """A translator that halves side lengths, rounding up, and doubles them again."""
    down = [nn.Conv2d(3, 3, 3, 2, 1) for _ in range(times)]
    up = [nn.ConvTranspose2d(3, 3, 3, 2, 1, 1) for _ in range(times)]
    return translator(nn.Sequential(*down, *up))


@formats
def test_the_file_of_a_network_that_halves_sides_accepts_any_even_sides(format, tmp_path):
    model, path = halved(1), tmp_path / f"net{FILE_ENDINGS[format]}"
    sizes = export_file(model, path, format).sizes
    assert sizes.multiple == 2 and sizes.least <= 4
    assert_equal_outputs(model, loaded(path, format)[0], (16, 16), (4, 4), (6, 18), (30, 10))


def test_the_smallest_multiple_and_the_least_side_that_a_network_accepts_are_found():
    assert [accepted_sizes(halved(times)) for times in range(4)] == [
        ImageSizes(k, least=k) for k in (1, 2, 4, 8)
    ]
    assert accepted_sizes(translator(nn.ReflectionPad2d(4))) is None  # images would grow
    pad = nn.Sequential(nn.ReflectionPad2d(4), nn.Conv2d(3, 3, 9))  # requires sides above 4
    assert accepted_sizes(translator(pad)) == ImageSizes(1, least=8)
    # sides from 8 to 11 yield the same number of features, which is not any size
    pooled = classifier(nn.MaxPool2d(4), nn.Flatten(), nn.Linear(4, 2))
    assert accepted_sizes(pooled) is None
    # The training size itself must be a multiple.
    assert accepted_sizes(translator(halved(2).network, side=20)) == ImageSizes(4, least=4)


def test_a_generator_rejects_sides_that_are_not_multiples_of_4_or_below_8():
    net = generator(width=1, blocks=1)
    assert net(torch.rand(1, 3, 8, 12)).shape == (1, 3, 8, 12)
    for size in ((33, 33), (32, 34), (4, 16), (16, 4)):
        with pytest.raises(ValueError, match=f"{size[1]}x{size[0]} pixels cannot be translated"):
            net(torch.rand(1, 3, *size))


def test_the_export_command_prints_which_images_the_file_accepts(tmp_path, monkeypatch, capsys):
    def printed(model):
        monkeypatch.setattr("moonas.models.model.load_model", lambda path: model)
        out = tmp_path / "net.py"
        assert moonas.cli.main(["export", "model.pt", "--format", "python", "--out", str(out)]) == 0
        return capsys.readouterr().out.splitlines()[-1]

    sizes = "any height and width that are multiples of 4, at least 8 pixels"
    assert printed(translator(generator(width=1, blocks=1))) == f"It accepts images of {sizes}."
    assert printed(pooling_classifier()).endswith("any height and width of at least 1 pixel.")
    fixed = classifier(nn.Flatten(), nn.Linear(64, 2))
    reason = "the network does not accept other sizes"
    assert printed(fixed) == f"It accepts images of 8x8 pixels only: {reason}."
    fixed.about["input_shape"] = [1, 4, 16]
    assert "images of 16x4 pixels only" in printed(fixed)  # width x height
