"""All steps from a search to an exported network, on the command line."""

import json

import pytest
import torch
from searches import front_rows, words

import moonas
from moonas.cli import main
from moonas.registry import settings_class
from moonas.settings import names_of


def run(*line):
    assert main([str(word) for word in line]) == 0, line


def all_steps(folder, searched, trained, capsys):
    """Search, train three rows, evaluate, export and load; return pick -> trained error."""
    cars = folder / "cars"
    run("search", "cars", "--out", cars, *searched)
    before = front_rows(cars)
    last = len(before) - 1
    run("train", cars, "--pick", "knee", "0", last, "--out", folder / "net", *trained)
    words = capsys.readouterr().out
    places = {"knee": [row["picked"] for row in before].index("1"), "0": 0, str(last): last}
    rows, errors = front_rows(cars), {}
    for pick, place in places.items():
        model = moonas.load_model(folder / f"net-{pick}")
        row = rows[place]
        errors[pick] = float(row["trained_error"])
        assert model.about["scores"]["error"] == pytest.approx(errors[pick])
        assert float(row["trained_params"]) == sum(p.numel() for p in model.parameters())
        assert float(row["trained_seconds"]) > 0 and float(row["trained_latency_ms"]) > 0
    if len(set(places.values())) == 3 and len(set(errors.values())) > 1:
        assert "3 rows of the front have been trained; the rank correlation" in words
    run("search", "cars", "--out", cars, *searched)  # the run is complete; trained columns remain
    assert front_rows(cars) == rows

    knee = folder / "net-knee"
    run("evaluate", knee, folder / "net-0", "--out", folder / "evaluation")
    found = json.loads((folder / "evaluation" / "evaluation.json").read_text())
    assert [one["error"] for one in found["models"].values()] == [
        pytest.approx(errors["knee"]),
        pytest.approx(errors["0"]),
    ]
    run("export", knee, "--format", "onnx")
    run("export", knee, "--format", "python", "--out", folder / "shipped" / "net.py")
    import onnxruntime

    model = moonas.load_model(knee)
    session = onnxruntime.InferenceSession(str(knee / "model.onnx"))
    pixels = torch.rand(5, *model.input_shape)
    (out,) = session.run(None, {"input": pixels.numpy()})
    assert torch.allclose(torch.from_numpy(out), model(pixels), atol=1e-4)
    return errors


def test_a_searched_network_is_trained_evaluated_and_exported(
    tmp_path, tiny_of, few_digits, capsys
):
    settings = tiny_of("cars") | dict(population=4, generations=2)
    searched = ["--data", few_digits, "--set", *words(settings)]
    device = ["--set", "epochs=2", "batch=25", f"device={settings['device']}"]
    all_steps(tmp_path, searched, device, capsys)


@pytest.mark.slow
def test_the_knee_of_a_search_on_digits_has_at_most_three_percent_error(tmp_path, capsys):
    errors = all_steps(tmp_path, ["--seed", "1"], ["--set", "epochs=30"], capsys)
    assert errors["knee"] <= 3


def test_a_front_of_one_data_set_is_trained_on_another(tmp_path, tiny_of, few_digits):
    settings = tiny_of("cars") | dict(population=2, generations=1)
    run("search", "cars", "--out", tmp_path, "--set", *words(settings))
    other = ["--data", few_digits, "--set", "epochs=1", "batch=25", "image_size=12"]
    run("train", tmp_path, "--pick", "smallest", *other)
    model = moonas.load_model(tmp_path / "training")
    assert model.input_shape == (3, 12, 12) and model(model.example(2)).shape == (2, 10)
    assert model.about["data"] == str(few_digits)


def test_invalid_arguments_of_train_exit_with_status_2(tmp_path, capsys):
    for line, message in (
        (["train"], "--architecture NAME); got neither"),
        (["train", "x", "--architecture", "CARS_A"], "--architecture NAME); got both"),
        (
            ["train", "--architecture", "CARS_A", "--pick", "knee"],
            "pick selects rows from the front",
        ),
        (
            ["train", "--architecture", "EAGAN_G"],
            "EAGAN_G' is invalid: expected the name of a classifier",
        ),
        (["train", str(tmp_path)], "contains no run"),
    ):
        assert main(line) == 2
        assert message in capsys.readouterr().err


def test_every_classifier_problem_can_be_trained_from_scratch():
    for name in moonas.problem_names():
        known = names_of(settings_class(name))
        module = moonas.registry.training_module(name)
        if "learning_rate" in known and "proxy_epochs" in known:
            assert module.__name__ == "moonas.training.from_scratch"
        assert callable(module.build_network)
