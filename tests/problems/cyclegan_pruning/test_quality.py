import numpy as np
import pytest
import torch
from cyclegans import SMALL, write_domains
from moonas.problems.cyclegan_pruning import pretraining, quality
from moonas.problems.cyclegan_pruning.data import describe, load_data
from moonas.problems.cyclegan_pruning.drawing import score_lines
from moonas.problems.cyclegan_pruning.settings import PruningSettings
from PIL import Image
from torch import nn

from moonas.metrics import kernel_distance
from moonas.metrics.frechet import FrechetDistance, moments

IDENTITY_GENERATORS = nn.ModuleDict({"a": nn.Identity(), "b": nn.Identity()})


class Threshold(nn.Module):
    """Segmentation network: class 1 for pixels whose red value exceeds 0.5, else class 0."""

    def forward(self, images):
        red = images[:, :1]
        return torch.cat([0.5 - red, red - 0.5], dim=1)


def quality_of(images=None, **options):
    settings = PruningSettings(**SMALL | options)
    info = describe(settings)
    images = images or load_data(settings, info)
    return quality.Quality(settings, info, images, torch.device("cpu"))


def test_fcn_scores_are_computed_from_label_maps(tmp_path):
    folder = write_domains(tmp_path / "data")
    rng, maps = np.random.default_rng(1), []
    (folder / "A" / "test_labels").mkdir()
    for i in range(4):
        maps.append(rng.integers(2, size=(8, 8), dtype=np.uint8))
        Image.fromarray(maps[-1]).save(folder / "A" / "test_labels" / f"{i}.png")
    options = dict(data=folder, segmentation=f"{__name__}:Threshold", score_batch=3)
    scorer = quality_of(**options)
    scores = scorer.evaluate(IDENTITY_GENERATORS)
    fcn_scores = {name for name in scores if "pixel" in name or "class" in name or "iou" in name}
    assert fcn_scores == {"pixel_accuracy_a", "class_accuracy_a", "mean_iou_a"}
    actual = np.stack(maps)
    predicted = (scorer.data["a"].test[:, 0].numpy() > 127).astype(int)
    assert scores["pixel_accuracy_a"] == pytest.approx(100 * (actual == predicted).mean())
    recalls = [(predicted[actual == c] == c).mean() for c in (0, 1)]
    assert scores["class_accuracy_a"] == pytest.approx(100 * np.mean(recalls))
    ious = [
        ((actual == c) & (predicted == c)).sum() / ((actual == c) | (predicted == c)).sum()
        for c in (0, 1)
    ]
    assert scores["mean_iou_a"] == pytest.approx(100 * np.mean(ious))


def test_an_invalid_segmentation_network_is_rejected_before_the_training(domains):
    with pytest.raises(ValueError, match=r"segmentation='nowhere.py:make' is invalid: expected"):
        pretraining.build(**SMALL, data=domains, segmentation="nowhere.py:make")


def test_a_classifier_of_the_target_domain_scores_translated_digits(reduced_digits):
    scorer = quality_of()
    scores = scorer.evaluate(IDENTITY_GENERATORS)
    assert max(scores["accuracy_a"], scores["accuracy_b"]) < 30  # images are not translated
    data = {"a": scorer.data["b"], "b": scorer.data["b"]}
    scores = quality_of(data).evaluate(IDENTITY_GENERATORS)
    assert scores["accuracy_a"] > 60 and scores["fid_a"] == pytest.approx(0, abs=1e-6)


def test_there_are_no_scores_for_a_generator_that_returns_non_finite_pixels(reduced_digits):
    class NanGenerator(nn.Module):
        def forward(self, images):
            return images * torch.nan

    scores = quality_of().evaluate({"a": NanGenerator(), "b": nn.Identity()})
    assert set(scores) == {"accuracy_b", "fid_b", "kid_b", "kid_std_b"}


class MeanColor(nn.Module):
    """Feature network: the mean of each color."""

    def forward(self, images):
        return images.mean((2, 3))


class Darken(nn.Module):
    """Generator that multiplies pixels in [0, 1] by a half."""

    def forward(self, images):
        return (images + 1) / 2 - 1


def test_kid_is_computed_with_a_feature_network_of_ones_own(domains):
    scorer = quality_of(data=domains, features=f"{__name__}:MeanColor")
    scores = scorer.evaluate({"a": Darken(), "b": nn.Identity()})
    source, real = ((scorer.data[k].test.double() / 255).mean((2, 3)).numpy() for k in "ab")
    expected, std = kernel_distance(real, source / 2, subset_size=2)  # half of the four images
    assert scores["kid_a"] == pytest.approx(expected, rel=1e-4)
    assert scores["kid_std_a"] == pytest.approx(std, rel=1e-3)
    assert scores["fid_a"] == pytest.approx(
        FrechetDistance(moments(real))(source / 2), rel=1e-3
    )  # four images are enough for three features
    assert scorer.describe_features() == "Feature network: MeanColor."


def test_the_features_of_a_folder_are_those_of_a_classifier_of_its_domains(tmp_path):
    folder = write_domains(tmp_path / "data", n=30, n_test=10)
    for path in folder.glob("B/*/*.png"):
        Image.open(path).point(lambda value: value // 8).save(path)  # domain B is dark
    scorer = quality_of(data=folder)
    scores = scorer.evaluate({"a": Darken(), "b": nn.Identity()})
    untranslated = scorer.evaluate_untranslated()
    assert scores["recognized_b"] == untranslated["recognized_b"] <= 20
    assert scores["kid_b"] == untranslated["kid_b"] > untranslated["kid_std_b"] > 0
    real = quality_of({"a": scorer.data["b"], "b": scorer.data["b"]}, data=folder)
    real.__dict__["extract"] = scorer.extract  # the same classifier
    assert real.evaluate_untranslated()["recognized_a"] >= 80
    assert real.evaluate_untranslated()["kid_a"] < untranslated["kid_a"] / 10
    assert "fid_a" not in scores  # ten images are too few for 64 features
    text = scorer.describe_features()
    assert "classifier of the domains of data" in text and "features=inception" in text


def test_the_features_of_each_direction_are_named(reduced_digits):
    assert quality_of(data="digits").describe_features() == (
        "Feature networks: classifier of digits, domain A for B to A, and classifier of digits, "
        "domain B for A to B."
    )


def test_the_error_after_translation_back_is_that_of_the_pixels(domains):
    scorer = quality_of(data=domains, features=f"{__name__}:MeanColor", score_batch=3)
    scores = scorer.evaluate({"a": Darken(), "b": nn.Identity()})
    for k in "ab":  # half of each pixel is lost, in either order
        pixels = scorer.data[k].test.double() / 255
        assert scores[f"cycle_error_{k}"] == pytest.approx(50 * float(pixels.mean()), rel=1e-5)
        psnr = -10 * np.log10(float((pixels / 2).square().mean()))
        assert scores[f"cycle_psnr_{k}"] == pytest.approx(psnr, rel=1e-5)
    assert scorer.evaluate(IDENTITY_GENERATORS)["cycle_error_a"] < 1e-4


def test_scores_are_printed_in_one_line_each():
    scores = {"kid_a": 0.01234, "kid_std_a": 0.001, "recognized_a": 80.0, "cycle_psnr_b": 20.0}
    lines = score_lines({"original": scores, "untranslated": {"kid_a": 1.5}})
    assert lines == [
        "A to B, recognized as the target domain: original 80.00 %",
        "A to B, KID: original 0.0123 (sd 0.001), untranslated 1.5",
        "B to A, PSNR after translation back: original 20.00 dB",
    ]
