import dataclasses
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from moonas.data import describe, load
from moonas.evaluators import Classification, TrainingSettings, quality_columns
from moonas.evaluators.classification import class_weights

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
    again = load_classification(few_digits, train_share=0.7)
    assert again.train[0].tensor().equal(images.train[0].tensor())


def test_validation_images_are_a_stratified_part_of_the_validation_set(few_digits):
    whole = load_classification(few_digits, train_share=0.5)
    few = load_classification(few_digits, train_share=0.5, validation_images=20)
    assert torch.bincount(few.validation[1]).tolist() == [2] * 10
    assert few.train[0].tensor().equal(whole.train[0].tensor())
    known = {image.numpy().tobytes() for image in whole.validation[0].tensor()}
    assert all(image.numpy().tobytes() in known for image in few.validation[0].tensor())
    again = load_classification(few_digits, train_share=0.5, validation_images=20)
    assert again.validation[0].tensor().equal(few.validation[0].tensor())
    more = load_classification(few_digits, train_share=0.5, validation_images=10**6)
    assert len(more.validation[0]) == 50
    with pytest.raises(
        ValueError, match="validation_images=9 is invalid: expected at least 10, on"
    ):
        load_classification(few_digits, train_share=0.5, validation_images=9)


def test_final_training_uses_the_whole_training_set_and_evaluates_on_the_test_set(few_digits):
    images, data = load_classification(few_digits, final=True), load(str(few_digits), image_size=8)
    assert images.train[0].tensor().equal(data.images.tensor()) and images.train[1].equal(
        data.labels
    )
    assert images.validation[0].tensor().equal(data.test_images.tensor())


def test_all_images_of_a_patient_are_in_the_same_part_of_the_split(patients_folder):
    images = load_classification(patients_folder, train_share=0.5)
    gray_levels = [
        {round(float(image.mean()), 4) for image in part[0].tensor()}
        for part in (images.train, images.validation)
    ]
    assert gray_levels[0] and gray_levels[1] and not gray_levels[0] & gray_levels[1]


def test_the_error_is_the_percentage_of_wrong_predictions_or_nan_for_non_finite_logits(few_digits):
    images = load_classification(few_digits, objectives=("error", "robustness_error"))
    assert images.names == ["error", "robustness_error"]
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 10))
    x, labels = images.validation[0].tensor(), images.validation[1]
    results = [images.evaluate(network), images.evaluate(lambda x: network(x) * math.nan)]
    columns = images.columns(results)
    wrong = int((network(x).argmax(1) != labels).sum())
    assert columns["error"][0] == pytest.approx(100 * wrong / len(labels))
    assert 0 <= columns["robustness_error"][0] <= 100
    assert all(np.isnan(values[1]) for values in columns.values())


def test_the_balanced_error_is_the_mean_error_of_the_classes(few_digits):
    names = ("balanced_error", "top5_error", "robustness_error")
    images = load_classification(few_digits, objectives=names)
    assert images.names == ["error", "robustness_error", "balanced_error", "top5_error"]
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 10))
    x, labels = images.validation
    keep = torch.cat([(labels == i).nonzero().flatten()[: i + 1] for i in range(10)])
    images.validation = x[keep], labels[keep]  # 1, 2, ... images of the classes
    columns = images.columns(
        [images.evaluate(net) for net in (network, lambda x: network(x) * math.nan)]
    )
    x, labels = images.validation
    logits = network(x).detach()
    wrong = logits.argmax(1) != labels
    by_class = [float(wrong[labels == i].float().mean()) for i in range(10)]
    assert columns["balanced_error"][0] == pytest.approx(100 * np.mean(by_class))
    assert columns["error"][0] == pytest.approx(100 * float(wrong.float().mean()))
    higher = (logits > logits.gather(1, labels[:, None])).sum(1)
    assert columns["top5_error"][0] == pytest.approx(100 * float((higher >= 5).float().mean()))
    assert all(np.isnan(values[1]) for values in columns.values())
    alone = load_classification(few_digits, objectives=("robustness_error",))
    alone.validation = images.validation
    expected = alone.columns([alone.evaluate(network)])["robustness_error"]
    assert np.array_equal(columns["robustness_error"][:1], expected)


def test_a_constant_prediction_is_as_bad_as_guessing_by_the_balanced_error(few_digits):
    images = load_classification(few_digits, objectives=("balanced_error",))
    images.validation = images.validation[0], torch.zeros_like(images.validation[1])
    images.validation[1][:4] = 3
    result = images.evaluate(lambda x: torch.eye(10)[[0]].repeat(len(x), 1))
    columns = images.columns([result])
    assert columns["balanced_error"][0] == 50 and columns["error"][0] < 10


def test_balanced_class_weights_weight_classes_by_the_inverse_of_their_frequency():
    weights = class_weights(torch.tensor([0] * 6 + [1] * 2), 3)
    assert weights.tolist() == pytest.approx([8 / 18, 8 / 6, 0])
    several = torch.tensor([[1, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 1]])
    assert class_weights(several, 3).tolist() == [3, 1, 1]


def test_balanced_class_weights_apply_to_the_loss(few_digits, patients_folder):
    images = load_classification(few_digits, class_weights="balanced")
    logits, labels = torch.randn(6, 10), torch.arange(6)
    weights = class_weights(images.train[1], 10)
    terms = F.cross_entropy(logits, labels, reduction="none") * weights[labels]
    expected = terms.sum() / weights[labels].sum()
    assert torch.allclose(images.loss(logits, labels), expected)
    several = load_classification(patients_folder, class_weights="balanced")
    n = several.info.n_classes
    logits, labels = torch.randn(6, n), torch.randint(2, (6, n)).float()
    p, weights = logits.sigmoid(), class_weights(several.train[1], n)
    expected = -(weights * labels * p.log() + (1 - labels) * (1 - p).log()).mean()
    assert torch.allclose(several.loss(logits, labels), expected, atol=1e-6)


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
    with pytest.raises(ValueError, match="'top5_error' is invalid .* expected more than 5 classes"):
        quality_columns(("top5_error",), dataclasses.replace(single, n_classes=5))
    with pytest.raises(
        ValueError, match=r"expected one label .*Choose objectives and limits from \['auroc_error'"
    ):
        quality_columns(("robustness_error",), several)
