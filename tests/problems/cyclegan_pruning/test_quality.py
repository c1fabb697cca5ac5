import numpy as np
import pytest
import torch
from cyclegans import SMALL, write_domains
from moonas.problems.cyclegan_pruning import pretraining, quality
from moonas.problems.cyclegan_pruning.data import describe, load_data
from moonas.problems.cyclegan_pruning.settings import PruningSettings
from PIL import Image
from torch import nn

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
    assert set(scores) == {"pixel_accuracy_a", "class_accuracy_a", "mean_iou_a"}
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


def test_a_segmentation_network_is_built_by_a_function_in_a_file(tmp_path, domains):
    file = tmp_path / "network.py"
    file.write_text("import torch\n\ndef make():\n    return torch.nn.Conv2d(3, 2, 1)\n")
    assert isinstance(quality.segmentation_network(f"{file}:make"), nn.Conv2d)
    with pytest.raises(ValueError, match=r"segmentation='nowhere.py:make' is invalid: expected"):
        pretraining.build(**SMALL, data=domains, segmentation="nowhere.py:make")


@pytest.mark.parametrize("function", ["nothing", "moonas:nothing", "json:loads", "builtins:dict"])
def test_the_error_for_a_function_that_returns_no_network_names_the_function(function):
    with pytest.raises(ValueError, match=f"segmentation='{function}' is invalid"):
        quality.segmentation_network(function)


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
    assert set(scores) == {"accuracy_b", "fid_b"}
