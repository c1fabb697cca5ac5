import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from moonas.cli import main
from moonas.data import load
from moonas.metrics.adversarial import ATTACK_STRENGTHS
from moonas.metrics.corruptions import CORRUPTION_STRENGTHS, CORRUPTIONS, corrupt
from moonas.models import robustness, test_sets
from moonas.models.model import Classifier, Generator, load_model
from moonas.models.test_sets import LabeledImages

seeded_generator = torch.Generator().manual_seed
OLD_FILES = Path(__file__).parents[2] / "data" / "old"


def random_pixels(n=40, channels=3, side=16):
    return torch.rand(n, channels, side, side, generator=seeded_generator(0))


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_corrupted_pixels_are_in_0_to_1_and_change_more_at_higher_strength(name, channels):
    pixels = random_pixels(channels=channels, side=34)
    pixels = F.avg_pool2d(pixels, 3, 2)  # smooth, like photographs
    differences = []
    for strength in CORRUPTION_STRENGTHS:
        out = corrupt(pixels, name, strength, seeded_generator(1))
        assert out.shape == pixels.shape and out.min() >= 0 and out.max() <= 1
        assert torch.equal(out, corrupt(pixels, name, strength, seeded_generator(1)))
        differences.append(float((out - pixels).abs().mean()))
    if name == "saturate":  # strengths 1 and 2 reduce saturation, 3 to 5 increase it
        less, more = differences[:2], differences[2:]
        assert (less[1] > less[0] > 0 and more[2] > more[0] > 0) or channels == 1
    else:
        assert differences[-1] > differences[0] and differences[-1] > 0


def test_corruptions_change_pixels_by_the_defined_amounts():
    pixels = random_pixels()
    brighter = corrupt(pixels, "brightness", 5, seeded_generator(0))
    assert torch.allclose(brighter, (pixels + 0.3).clamp(0, 1))
    contrast = corrupt(pixels, "contrast", 2, seeded_generator(0))
    mean = pixels.mean((2, 3), keepdim=True)
    assert torch.allclose(contrast, mean + 0.5 * (pixels - mean), atol=1e-6)
    noisy = corrupt(torch.full((200, 1, 16, 16), 0.5), "gaussian noise", 3, seeded_generator(0))
    assert float(noisy.std()) == pytest.approx(0.08, rel=0.02)
    impulse_noise = corrupt(
        torch.full((200, 1, 16, 16), 0.5), "impulse noise", 5, seeded_generator(0)
    )
    assert float((impulse_noise != 0.5).float().mean()) == pytest.approx(0.07, rel=0.1)
    flat = torch.full((2, 3, 16, 16), 0.4)
    for name in ("gaussian blur", "defocus blur", "pixelate", "elastic"):
        assert torch.allclose(corrupt(flat, name, 5, seeded_generator(0)), flat, atol=1e-5), name
    with pytest.raises(ValueError, match="fog"):
        corrupt(pixels, "fog", 1, seeded_generator(0))


def linear_classifier(seed, side=8, classes=10):
    """Return a classifier with a single linear layer."""
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


def first_images(images, n):
    return LabeledImages(
        images.pixels.subset(torch.arange(n)), images.labels[:n], images.classes, images.name
    )


@pytest.fixture(scope="module")
def digits():
    """The test images of digits, and all images of digits."""
    model = linear_classifier(0)
    return [
        test_sets.load_test_images("digits", model, include_training_set=e) for e in (False, True)
    ]


@pytest.fixture(scope="module")
def evaluated(digits):
    """Three models, two sets of images, and the evaluation of the models on both sets."""
    models = {str(i): linear_classifier(i) for i in range(3)}
    images, all_images = first_images(digits[0], 60), first_images(digits[1], 90)
    evaluation = robustness.evaluate(models, images, second_test_set=all_images, device="cpu")
    return models, images, all_images, evaluation


def test_load_test_images_returns_the_pixels_of_the_test_set(digits):
    images, all_images = digits
    data = load("digits")
    assert torch.allclose(
        images.pixels.tensor(), data.test_images.tensor() * data.std + data.mean, atol=1e-6
    )
    assert torch.equal(images.labels, data.test_labels)
    assert torch.equal(all_images.labels, torch.cat([data.labels, data.test_labels]))
    assert len(all_images.pixels) == 1797
    pixels = all_images.pixels.tensor()
    assert pixels.min() >= 0 and pixels.max() <= 1


def test_errors_equal_the_counted_fractions_of_wrong_predictions(evaluated):
    models, images, all_images, evaluation = evaluated
    assert (evaluation["n_images"], evaluation["also_n_images"]) == (60, 90)
    for name, model in models.items():
        result = evaluation["models"][name]
        with torch.no_grad():
            wrong = (model(images.pixels.tensor()).argmax(1) != images.labels).sum()
            wrong_of_all = (model(all_images.pixels.tensor()).argmax(1) != all_images.labels).sum()
        assert result["error"] == pytest.approx(100 * int(wrong) / 60)
        assert result["drop"] == pytest.approx(100 * int(wrong_of_all) / 90 - result["error"])
        assert result["attacked"]["0.0"] == result["error"]
        assert len(result["attacked"]) == len(ATTACK_STRENGTHS)
        assert {len(errors) for errors in result["corrupted"].values()} == {5}
        assert result["params"] == 650


def test_the_attack_moves_each_pixel_in_the_direction_that_increases_the_loss(evaluated):
    models, images, _, evaluation = evaluated
    model = models["0"]
    x = images.pixels.tensor().requires_grad_()
    F.cross_entropy(model(x), images.labels).backward()
    adversarial = (images.pixels.tensor() + 0.05 * x.grad.sign()).clamp(0, 1)
    with torch.no_grad():
        wrong = (model(adversarial).argmax(1) != images.labels).sum()
    error = evaluation["models"]["0"]["attacked"]["0.05"]
    assert error == pytest.approx(100 * int(wrong) / 60)


def test_the_error_of_a_model_with_nan_logits_is_100_percent(digits):
    model = linear_classifier(0)
    with torch.no_grad():
        model.network[1].bias.fill_(torch.nan)
    images = first_images(digits[0], 60)
    assert (images.labels == 0).any()  # argmax of NaN is class 0
    result = robustness.evaluate({"nan": model}, images, device="cpu")["models"]["nan"]
    assert result["error"] == 100
    assert {e for errors in result["corrupted"].values() for e in errors} == {100}
    assert set(result["attacked"].values()) == {100}


def test_the_rankings_of_models_on_two_test_sets_are_compared():
    def models(*pairs):
        return {str(i): dict(error=a, also_error=b) for i, (a, b) in enumerate(pairs)}

    assert robustness.ranking(models((1, 2))) is None
    assert robustness.ranking(models((1, 5), (2, 9))) == {
        "same_order": True,
        "rank_correlation": None,
    }
    ranking = robustness.ranking(models((1, 5), (2, 9), (3, 7)))
    assert not ranking["same_order"] and ranking["rank_correlation"] == pytest.approx(0.5)


def test_an_evaluation_is_written_plotted_and_summarized(evaluated, tmp_path):
    evaluation = evaluated[-1]
    robustness.write_evaluation(evaluation, tmp_path)
    assert json.loads((tmp_path / "evaluation.json").read_text()) == evaluation
    assert (tmp_path / "evaluation.png").stat().st_size > 10_000
    table = robustness.errors_table(evaluation)
    assert table.titles == ["error (%)", "0", "1", "2"]
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["clean"][0] == f"{evaluation['models']['0']['error']:.2f}"
    assert rows["jpeg"][1] == f"{np.mean(evaluation['models']['1']['corrupted']['jpeg']):.2f}"
    errors = [evaluation["models"]["2"]["attacked"][str(s)] for s in ATTACK_STRENGTHS[1:]]
    assert [row[3] for row in table.rows[-len(errors) :]] == [f"{e:.2f}" for e in errors]
    assert any("rank correlation" in line for line in robustness.summary(evaluation))


def test_a_model_file_of_an_earlier_version_can_be_evaluated(digits):
    model, images = load_model(OLD_FILES / "model.pt"), first_images(digits[0], 20)
    result = robustness.evaluate({"old": model}, images, device="cpu")["models"]["old"]
    with torch.no_grad():
        wrong = (model(images.pixels.tensor()).argmax(1) != images.labels).sum()
    assert result["error"] == pytest.approx(100 * int(wrong) / 20)


@pytest.mark.parametrize("counts", [{"owl": 3, "cat": 2}, {"cat": 1, "dog": 1, "owl": 1}])
def test_a_second_test_set_may_lack_a_class_or_have_few_images_per_class(counts, tmp_path):
    """The classifier recognizes classes by gray levels, and one image per class is another's."""
    levels = {"cat": 0, "dog": 120, "owl": 240}
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))
    network[2].weight.data = torch.tensor([[0.0], [1.0], [2.0]]).expand(3, 3) / 3
    network[2].bias.data = torch.tensor([0.0, -0.25, -1.0])  # bounds at 0.25 and 0.75
    about = {"kind": "classifier", "classes": list(levels), "input_shape": [3, 8, 8]}
    model = Classifier(network, about | {"mean": [0.0] * 3, "std": [1.0] * 3}).eval()
    for name, n in counts.items():
        (tmp_path / name).mkdir()
        for i in range(n):
            level = levels[name] if i == 0 else 120
            Image.fromarray(np.full((8, 8), level, np.uint8)).save(tmp_path / name / f"{i}.png")
    images = test_sets.load_test_images(str(tmp_path), model, include_training_set=True)
    assert images.pixels.shape == (sum(counts.values()), 3, 8, 8)
    assert images.labels.bincount(minlength=3).tolist() == [counts.get(c, 0) for c in levels]
    result = robustness.evaluate({"m": model}, images, second_test_set=images, device="cpu")
    wrong = sum(n - 1 for n in counts.values())
    expected = 100 * wrong / sum(counts.values())
    assert result["models"]["m"]["also_error"] == pytest.approx(expected)


def test_a_second_test_set_with_an_unknown_class_is_rejected(tmp_path):
    about = {"classes": ["cat", "dog"], "input_shape": [3, 8, 8], "mean": [0.0], "std": [1.0]}
    for name in ("cat", "hen"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "0.png")
    with pytest.raises(ValueError, match=r"classes \['cat', 'dog'\], got \['hen'\]"):
        test_sets.load_test_images(
            str(tmp_path), Classifier(nn.Identity(), about), include_training_set=True
        )


def test_models_with_unsuitable_channels_classes_or_kinds_are_rejected(few_digits, digits):
    with pytest.raises(ValueError, match="the model expects the classes"):
        test_sets.load_test_images("digits", linear_classifier(0, classes=9))
    generator = Generator(nn.Identity(), {"kind": "generator", "input_shape": [3]})
    with pytest.raises(ValueError, match="x is a generator, not a classifier"):
        robustness.evaluate({"x": generator}, digits[0])
    with pytest.raises(ValueError, match="The model is a generator, not a classifier"):
        test_sets.load_test_images("digits", generator)


def test_the_evaluate_command_exits_with_2_if_a_model_file_is_missing(tmp_path, capsys):
    assert main(["evaluate", str(tmp_path / "none.pt")]) == 2
    assert "none.pt is missing" in capsys.readouterr().err
