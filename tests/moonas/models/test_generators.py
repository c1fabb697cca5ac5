import json
import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from moonas.cli import main
from moonas.data import load
from moonas.metrics.features import denormalize
from moonas.metrics.frechet import FrechetDistance, moments
from moonas.models import generators
from moonas.models.model import Generator, Translator
from moonas.nets.randomness import generator, initial_weights

OLD_FILES = Path(__file__).parents[2] / "data" / "old"
N = 60


def flat_generator(seed, side=8, scale=1.0, channels=1):
    """Return a generator of images (channels, side, side) with a single linear layer."""
    with initial_weights(seed):
        shape = channels, side, side
        net = nn.Sequential(nn.Linear(5, math.prod(shape)), nn.Tanh(), nn.Unflatten(1, shape))
    with torch.no_grad():
        net[0].weight.mul_(scale)
        net[0].bias.mul_(scale)
    return Generator(net, {"kind": "generator", "input_shape": [5], "data": "digits"})


@pytest.fixture(scope="module")
def evaluation():
    models = {
        "a": flat_generator(0),
        "b": flat_generator(1),
        "constant": flat_generator(0, scale=0),
    }
    return generators.evaluate(models, "digits", features=nn.Flatten(), n_images=N, device="cpu")


def test_the_fid_of_a_model_is_that_of_its_images_relative_to_the_training_set(evaluation):
    data = load("digits")
    real = denormalize(data, data.images.tensor()).flatten(1)
    latents = torch.randn(N, 5, generator=generator(0, "evaluation"))
    with torch.inference_mode():
        images = flat_generator(0)(latents).flatten(1)
    expected = FrechetDistance(moments(real.numpy()))(images.numpy())
    assert evaluation["models"]["a"]["fid"] == pytest.approx(expected, rel=1e-4)
    assert (evaluation["n_images"], evaluation["n_real"]) == (N, len(data.images))
    assert evaluation["features"] == "Flatten" and evaluation["models"]["a"]["is_mean"] is None


def test_identical_images_have_no_scores(evaluation):
    assert evaluation["models"]["constant"]["fid"] is None
    assert evaluation["models"]["constant"]["params"] == 5 * 64 + 64


def test_an_evaluation_is_repeatable_written_and_shown_in_a_table(evaluation, tmp_path):
    again = generators.evaluate(
        {"a": flat_generator(0)}, "digits", features=nn.Flatten(), n_images=N, device="cpu"
    )
    assert again["models"]["a"] == evaluation["models"]["a"]
    generators.write_evaluation(evaluation, tmp_path)
    assert json.loads((tmp_path / "evaluation.json").read_text()) == evaluation
    table = generators.measures_table(evaluation)
    rows = {row[0]: row[1:] for row in table.rows}
    assert table.titles == ["measure", "a", "b", "constant"]
    assert rows["FID"][0] == f"{evaluation['models']['a']['fid']:.3f}" and rows["FID"][2] == "-"


def test_statistics_of_real_images_replace_the_data_set(tmp_path):
    data = load("digits")
    X = denormalize(data, data.images.tensor()).flatten(1).double().numpy()
    file = tmp_path / "real.npz"

    def fid(**options):
        result = generators.evaluate(
            {"a": flat_generator(0)},
            "digits",
            **dict(features=nn.Flatten(), n_images=N, device="cpu") | options,
        )
        return result["models"]["a"]

    np.savez(file, mu=X.mean(0), sigma=np.cov(X, rowvar=False))
    with_file = fid(real_statistics=str(file))
    assert with_file["fid"] == pytest.approx(fid()["fid"], rel=1e-6) and "kid" not in with_file
    for mu, sigma, message in (
        (np.zeros(3), np.eye(3), r"expected mu of shape \(64,\)"),
        (np.full(64, np.nan), np.eye(64), "expected finite numbers"),
        (np.zeros(64), np.triu(np.ones((64, 64))), "sigma is not symmetric"),
    ):
        np.savez(file, mu=mu, sigma=sigma)
        with pytest.raises(ValueError, match=message):
            fid(real_statistics=str(file))
    np.savez(file, mean=np.zeros(64))
    with pytest.raises(ValueError, match=r"expected an .npz file with mu and sigma"):
        fid(real_statistics=str(file))


def test_images_need_labels_only_if_a_classifier_must_learn_them(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(N):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    models = {"a": flat_generator(0, channels=3)}
    evaluate = partial(generators.evaluate, models, str(folder), device="cpu")
    result = evaluate(features=nn.Flatten(), n_images=N)
    assert result["models"]["a"]["fid"] > 0 and result["n_real"] == N - N // 5
    with pytest.raises(ValueError, match="requires labeled images.*already trained"):
        evaluate(features="classifier", n_images=N)


def test_unsuitable_models_and_arguments_are_rejected():
    about = {"kind": "translator", "input_shape": [3, 8, 8]}
    for models, options, message in (
        ({"x": Translator(nn.Identity(), about)}, {}, "x is a translator, not a generator"),
        ({"x": flat_generator(0), "y": flat_generator(0, 16)}, {}, "have equal shapes: x"),
        ({"x": flat_generator(0)}, dict(n_images=1), "n_images=1 is invalid"),
        ({"x": flat_generator(0)}, dict(real="all"), "real='all' is invalid"),
    ):
        with pytest.raises(ValueError, match=message):
            generators.evaluate(models, "digits", device="cpu", **options)


def test_the_command_rejects_options_of_other_kinds_of_models(capsys):
    assert main(["evaluate", str(OLD_FILES / "model.pt"), "--images", "9"]) == 2
    assert "--images is invalid: the models are classifiers" in capsys.readouterr().err
