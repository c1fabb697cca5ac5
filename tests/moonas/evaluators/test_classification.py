import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from moonas.data import describe, load
from moonas.evaluators import Classification, TrainingSettings, quality_columns

CPU = torch.device("cpu")


def load_classification(data, final=False, objectives=(), **options):
    settings = TrainingSettings(data=str(data), image_size=8, device="cpu", **options)
    images = Classification(settings, describe(str(data), 8), CPU, objectives, final)
    images.load()
    return images


@pytest.fixture(scope="module")
def patients_folder(tmp_path_factory):
    """A folder with 30 images of 10 patients; an image may have several labels."""
    folder, rng = tmp_path_factory.mktemp("patients"), np.random.default_rng(0)
    lines = ["Image Index,Finding Labels,Patient ID"]
    for i in range(30):
        # all images of a patient have the same gray level
        pixels = np.full((8, 8), 8 * (i // 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        lines.append(f"{i}.png,{rng.choice(['Mass', 'Effusion', 'Mass|Effusion'])},{i // 3}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_train_share_is_the_fraction_of_images_for_training(few_digits):
    images = load_classification(few_digits, train_share=0.7)
    assert (len(images.train[0]), len(images.validation[0])) == (70, 30)
    assert torch.bincount(images.validation[1]).tolist() == [3] * 10
    assert load_classification(few_digits, train_share=0.7).train[0].equal(images.train[0])


def test_final_training_uses_the_whole_training_set_and_evaluates_on_the_test_set(few_digits):
    images, data = load_classification(few_digits, final=True), load(str(few_digits), image_size=8)
    assert images.train[0].equal(data.images) and images.train[1].equal(data.labels)
    assert images.validation[0].equal(data.test_images)


def test_all_images_of_a_patient_are_in_the_same_part_of_the_split(patients_folder):
    images = load_classification(patients_folder, train_share=0.5)
    gray_levels = [
        {round(float(image.mean()), 4) for image in part[0]}
        for part in (images.train, images.validation)
    ]
    assert gray_levels[0] and gray_levels[1] and not gray_levels[0] & gray_levels[1]


def test_the_error_is_the_percentage_of_wrong_predictions_or_nan_for_non_finite_logits(few_digits):
    images = load_classification(few_digits, objectives=("error", "robustness_error"))
    assert images.names == ["error", "robustness_error"]
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 10))
    x, labels = images.validation
    results = [images.evaluate(network), images.evaluate(lambda x: network(x) * math.nan)]
    columns = images.columns(results)
    wrong = int((network(x).argmax(1) != labels).sum())
    assert columns["error"][0] == pytest.approx(100 * wrong / len(labels))
    assert 0 <= columns["robustness_error"][0] <= 100
    assert all(np.isnan(values[1]) for values in columns.values())


def test_the_loss_for_several_labels_is_the_mean_binary_cross_entropy(few_digits, patients_folder):
    logits = torch.randn(6, 10)
    single = load_classification(few_digits)
    labels = torch.arange(6)
    assert torch.equal(single.loss(logits, labels), F.cross_entropy(logits, labels))
    several = load_classification(patients_folder)
    labels = torch.randint(2, (6, 10)).float()
    p = logits.sigmoid()
    expected = -(labels * p.log() + (1 - labels) * (1 - p).log()).mean()
    assert torch.allclose(several.loss(logits, labels), expected, atol=1e-6)


def test_an_objective_that_is_undefined_for_the_data_set_raises_an_error(
    few_digits, patients_folder
):
    single, several = describe(str(few_digits)), describe(str(patients_folder))
    assert [c.name for c in quality_columns(("params",), several)] == ["auroc_error"]
    with pytest.raises(ValueError, match="'auroc_error' is invalid .* expected several labels"):
        quality_columns(("auroc_error",), single)
    with pytest.raises(
        ValueError, match=r"expected one label .*Choose objectives and limits from \['auroc_error'"
    ):
        quality_columns(("robustness_error",), several)
