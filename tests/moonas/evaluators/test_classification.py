import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from moonas.data import describe, load
from moonas.evaluators import Classification, TrainingSettings, quality_columns

CPU = torch.device("cpu")


def classification(data, final=False, objectives=(), **options):
    settings = TrainingSettings(data=str(data), image_size=8, device="cpu", **options)
    images = Classification(settings, describe(str(data), 8), CPU, objectives, final)
    images.load()
    return images


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    """A folder of 30 images with several labels; 10 patients have 3 images each."""
    folder, rng = tmp_path_factory.mktemp("patients"), np.random.default_rng(0)
    lines = ["Image Index,Finding Labels,Patient ID"]
    for i in range(30):
        pixels = np.full((8, 8), 8 * (i // 3), dtype=np.uint8)  # the patient as a gray level
        Image.fromarray(pixels).save(folder / f"{i}.png")
        lines.append(f"{i}.png,{rng.choice(['Mass', 'Effusion', 'Mass|Effusion'])},{i // 3}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_the_training_set_is_split_by_train_share(few_digits):
    images = classification(few_digits, train_share=0.7)
    assert (len(images.train[0]), len(images.validation[0])) == (70, 30)
    assert torch.bincount(images.validation[1]).tolist() == [3] * 10
    assert classification(few_digits, train_share=0.7).train[0].equal(images.train[0])


def test_final_training_uses_the_whole_training_set_and_validates_on_the_test_set(few_digits):
    images, data = classification(few_digits, final=True), load(str(few_digits), image_size=8)
    assert images.train[0].equal(data.images) and images.train[1].equal(data.labels)
    assert images.validation[0].equal(data.test_images)


def test_images_of_a_patient_are_either_all_for_training_or_all_for_validation(patients):
    images = classification(patients, train_share=0.5)
    greys = [
        {round(float(image.mean()), 4) for image in part[0]}
        for part in (images.train, images.validation)
    ]
    assert greys[0] and greys[1] and not greys[0] & greys[1]


def test_errors_equal_counts_by_hand_and_are_nan_if_logits_are_not_finite(few_digits):
    images = classification(few_digits, objectives=("error", "robustness_error"))
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


def test_the_loss_is_the_cross_entropy_of_one_or_several_labels(few_digits, patients):
    logits = torch.randn(6, 10)
    single = classification(few_digits)
    labels = torch.arange(6)
    assert torch.equal(single.loss(logits, labels), F.cross_entropy(logits, labels))
    several = classification(patients)
    labels = torch.randint(2, (6, 10)).float()
    p = logits.sigmoid()
    expected = -(labels * p.log() + (1 - labels) * (1 - p).log()).mean()
    assert torch.allclose(several.loss(logits, labels), expected, atol=1e-6)


def test_an_objective_that_the_data_set_does_not_define_is_refused(few_digits, patients):
    single, several = describe(str(few_digits)), describe(str(patients))
    assert [c.name for c in quality_columns(("params",), several)] == ["auroc_error"]
    with pytest.raises(ValueError, match="'auroc_error' is invalid .* expected several labels"):
        quality_columns(("auroc_error",), single)
    with pytest.raises(ValueError, match=r"expected one label .*Choose from \['auroc_error'"):
        quality_columns(("robustness_error",), several)
