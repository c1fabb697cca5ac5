import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from moonas.cli import main
from moonas.data import load
from moonas.metrics.adversarial import STRENGTHS as ATTACKS
from moonas.metrics.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from moonas.models import robustness as evaluation
from moonas.models.model import Classifier, Generator

RNG = torch.Generator().manual_seed


def images(n=40, channels=3, side=16):
    return torch.rand(n, channels, side, side, generator=RNG(0))


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_corrupted_images_are_images_and_worse_with_strength(name, channels):
    pixels = F.avg_pool2d(images(channels=channels, side=34), 3, 2)  # smooth, as photographs are
    far = []
    for strength in STRENGTHS:
        out = corrupt(pixels, name, strength, RNG(1))
        assert out.shape == pixels.shape and out.min() >= 0 and out.max() <= 1
        assert torch.equal(out, corrupt(pixels, name, strength, RNG(1)))
        far.append(float((out - pixels).abs().mean()))
    if name == "saturate":  # two less, three more; grey images have no colour to lose
        assert (far[1] > far[0] > 0 and far[4] > far[2] > 0) or channels == 1
    else:
        assert far[-1] > far[0] and far[-1] > 0


def test_corruptions_are_what_they_are_named():
    pixels = images()
    brighter = corrupt(pixels, "brightness", 5, RNG(0))
    assert torch.allclose(brighter, (pixels + 0.3).clamp(0, 1))
    contrast = corrupt(pixels, "contrast", 2, RNG(0))
    mean = pixels.mean((2, 3), keepdim=True)
    assert torch.allclose(contrast, mean + 0.5 * (pixels - mean), atol=1e-6)
    noisy = corrupt(torch.full((200, 1, 16, 16), 0.5), "gaussian noise", 3, RNG(0))
    assert float(noisy.std()) == pytest.approx(0.08, rel=0.02)
    salted = corrupt(torch.full((200, 1, 16, 16), 0.5), "impulse noise", 5, RNG(0))
    assert float((salted != 0.5).float().mean()) == pytest.approx(0.07, rel=0.1)
    flat = torch.full((2, 3, 16, 16), 0.4)
    for name in ("gaussian blur", "defocus blur", "pixelate", "elastic"):
        assert torch.allclose(corrupt(flat, name, 5, RNG(0)), flat, atol=1e-5), name
    with pytest.raises(ValueError, match="Unknown corruption 'fog' of strength 1"):
        corrupt(pixels, "fog", 1, RNG(0))


def linear(seed, side=8, classes=10):
    """A classifier of one linear layer."""
    torch.manual_seed(seed)
    about = {
        "kind": "classifier",
        "classes": [str(i) for i in range(classes)],
        "mean": [0.3],
        "std": [0.4],
        "input_shape": [1, side, side],
        "data": "digits",
    }
    return Classifier(nn.Sequential(nn.Flatten(), nn.Linear(side * side, classes)), about).eval()


@pytest.fixture(scope="module")
def judged():
    models = {str(i): linear(i) for i in range(3)}
    first = evaluation.test_images("digits", models["0"])
    also = evaluation.test_images("digits", models["0"], everything=True)
    return models, first, also, evaluation.evaluate(models, first, also=also, device="cpu")


def test_images_are_those_of_the_final_test_in_pixels(judged):
    _, first, also, _ = judged
    data = load("digits")
    assert torch.allclose(first.pixels, data.test_images * data.std + data.mean, atol=1e-6)
    assert torch.equal(first.labels, data.test_labels)
    assert len(also.pixels) == 1797 and also.pixels.min() >= 0 and also.pixels.max() <= 1


def test_errors_are_counted_by_hand(judged):
    models, first, also, found = judged
    for name, model in models.items():
        one = found["models"][name]
        with torch.no_grad():
            wrong = (model(first.pixels).argmax(1) != first.labels).sum()
            also_wrong = (model(also.pixels).argmax(1) != also.labels).sum()
        assert one["error"] == pytest.approx(100 * int(wrong) / 360)
        assert one["drop"] == pytest.approx(100 * int(also_wrong) / 1797 - one["error"])
        assert one["attacked"]["0.0"] == one["error"] and len(one["attacked"]) == len(ATTACKS)
        assert {len(errors) for errors in one["corrupted"].values()} == {5}
        assert one["params"] == 650


def test_an_attack_moves_every_pixel_up_the_loss(judged):
    models, first, _, found = judged
    model = models["0"]
    x = first.pixels.clone().requires_grad_()
    F.cross_entropy(model(x), first.labels).backward()
    attacked = (first.pixels + 0.05 * x.grad.sign()).clamp(0, 1)
    with torch.no_grad():
        wrong = (model(attacked).argmax(1) != first.labels).sum()
    assert found["models"]["0"]["attacked"]["0.05"] == pytest.approx(100 * int(wrong) / 360)


def test_whether_an_order_holds():
    def models(*pairs):
        return {str(i): dict(error=a, also_error=b) for i, (a, b) in enumerate(pairs)}

    assert evaluation.ranking(models((1, 2))) is None
    assert evaluation.ranking(models((1, 5), (2, 9))) == {
        "same_order": True,
        "rank_correlation": None,
    }
    found = evaluation.ranking(models((1, 5), (2, 9), (3, 7)))
    assert not found["same_order"] and found["rank_correlation"] == pytest.approx(0.5)


def test_what_is_found_is_said_and_drawn(judged, tmp_path):
    found = judged[-1]
    evaluation.write_evaluation(found, tmp_path)
    assert json.loads((tmp_path / "evaluation.json").read_text()) == found
    assert (tmp_path / "evaluation.png").stat().st_size > 10_000
    table = evaluation.errors_table(found)
    rows = table.rows
    assert table.titles == ["error (%)", "0", "1", "2"]
    assert rows[0][1] == f"{found['models']['0']['error']:.2f}"
    mean = np.mean(found["models"]["1"]["corrupted"]["jpeg"])
    assert ["jpeg", f"{mean:.2f}"] == [next(r for r in rows if r[0] == "jpeg")[i] for i in (0, 2)]
    assert any("rank correlation" in line for line in evaluation.summary(found))


def test_other_classes_channels_and_kinds_are_refused(few_digits):
    with pytest.raises(ValueError, match="expects images with 1 channel, got 3"):
        evaluation.test_images(few_digits, linear(0))
    with pytest.raises(ValueError, match="the model expects the classes"):
        evaluation.test_images("digits", linear(0, classes=9))
    model = linear(0)
    maker = Generator(nn.Identity(), {"kind": "generator", "input_shape": [3]})
    with pytest.raises(ValueError, match="x is a generator, not a classifier"):
        evaluation.evaluate({"x": maker}, evaluation.test_images("digits", model))
    with pytest.raises(ValueError, match="The model is a generator, not a classifier"):
        evaluation.test_images("digits", maker)


def test_a_missing_model_ends_with_2(tmp_path, capsys):
    assert main(["evaluate", str(tmp_path / "none.pt")]) == 2
    assert "none.pt is missing" in capsys.readouterr().err
