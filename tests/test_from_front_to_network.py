"""Search, train, evaluate and export networks on the command line."""

import json

import pytest
import torch
from searches import front_rows, words

import moonas
from moonas.cli import main
from moonas.registry import settings_class
from moonas.settings import names_of


def run(*arguments):
    assert main([str(argument) for argument in arguments]) == 0, arguments


def search_train_and_export(folder, search_options, train_options, capsys):
    """Search, train three rows of the front, evaluate and export; return pick -> test error (%)."""
    cars = folder / "cars"
    run("search", "cars", "--out", cars, *search_options)
    before = front_rows(cars)
    last = len(before) - 1
    run("train", cars, "--pick", "knee", "0", last, "--out", folder / "net", *train_options)
    output = capsys.readouterr().out
    index_of_pick = {"knee": [row["picked"] for row in before].index("1"), "0": 0, str(last): last}
    rows, errors = front_rows(cars), {}
    for pick, index in index_of_pick.items():
        model = moonas.load_model(folder / f"net-{pick}")
        row = rows[index]
        errors[pick] = float(row["trained_error"])
        assert model.about["scores"]["error"] == pytest.approx(errors[pick])
        assert float(row["trained_params"]) == sum(p.numel() for p in model.parameters())
        assert float(row["trained_seconds"]) > 0 and float(row["trained_latency_ms"]) > 0
    assert "rank correlation" not in output  # of three rows
    run(
        "search", "cars", "--out", cars, *search_options
    )  # a complete run keeps the columns of its trainings
    assert front_rows(cars) == rows

    knee = folder / "net-knee"
    run("evaluate", knee, folder / "net-0", "--out", folder / "evaluation")
    evaluation = json.loads((folder / "evaluation" / "evaluation.json").read_text())
    assert [scores["error"] for scores in evaluation["models"].values()] == [
        pytest.approx(errors["knee"]),
        pytest.approx(errors["0"]),
    ]
    run("export", knee, "--format", "onnx")
    run("export", knee, "--format", "python", "--out", folder / "shipped" / "net.py")
    import onnxruntime

    model = moonas.load_model(knee)
    session = onnxruntime.InferenceSession(str(knee / "model.onnx"))
    images = torch.rand(5, *model.input_shape)
    (outputs,) = session.run(None, {"input": images.numpy()})
    assert torch.allclose(torch.from_numpy(outputs), model(images), atol=1e-4)
    return errors


@pytest.mark.slow
def test_networks_of_a_front_can_be_trained_evaluated_and_exported(
    tmp_path, tiny_of, few_digits, capsys
):
    settings = tiny_of("cars") | dict(population=4, generations=2)
    search_options = ["--data", few_digits, "--set", *words(settings)]
    train_options = ["--set", "epochs=2", "batch=25", f"device={settings['device']}"]
    search_train_and_export(tmp_path, search_options, train_options, capsys)


@pytest.mark.slow
def test_the_trained_knee_of_a_search_on_digits_has_at_most_three_percent_error(tmp_path, capsys):
    errors = search_train_and_export(tmp_path, ["--seed", "1"], ["--set", "epochs=30"], capsys)
    assert errors["knee"] <= 3


def test_a_network_found_on_one_data_set_can_be_trained_on_another_data_set(
    tmp_path, tiny_of, few_digits, capsys
):
    settings = tiny_of("cars") | dict(population=2, generations=1)
    run("search", "cars", "--out", tmp_path, "--set", *words(settings))
    options = ["--data", few_digits, "--set", "epochs=1", "batch=25", "image_size=12"]
    run("train", tmp_path, "--pick", "smallest", *options)
    model = moonas.load_model(tmp_path / "training-smallest")
    assert model.input_shape == (3, 12, 12) and model(model.example(2)).shape == (2, 10)
    assert model.about["data"] == str(few_digits)
    capsys.readouterr()
    run("predict", tmp_path, few_digits / "test")  # the images of the final test
    assert f"Error {model.about['scores']['error']:.2f} %: " in capsys.readouterr().out


def test_invalid_arguments_of_train_exit_with_status_2(tmp_path, capsys):
    for arguments, message in (
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
        (["train", str(tmp_path)], f"{tmp_path} is not the run folder of a search"),
    ):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err


def test_every_classifier_problem_can_be_trained_from_scratch():
    for name in moonas.problem_names():
        known = names_of(settings_class(name))
        module = moonas.registry.training_module(name)
        if "learning_rate" in known and "proxy_epochs" in known:
            assert module.__name__ == "moonas.training.from_scratch"
        assert callable(module.build_network)
