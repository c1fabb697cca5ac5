import json
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, roc_auc_score

from moonas.metrics.auroc import roc_by_label
from moonas.models.class_report import lines, plot_confusion, report_by_class, write_report


def report_of(logits, labels, classes, batch=4):
    """The report of a network whose logits are its inputs."""
    return report_by_class(lambda x: x.flatten(1), logits[:, :, None, None], labels, batch, classes)


def test_errors_by_class_and_the_confusion_matrix_equal_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(0, 7, 200), rng.normal(size=(200, 7))
    logits[np.arange(200), labels] += 1
    names = list("abcdefg")
    report = report_of(torch.tensor(logits), torch.tensor(labels), names, batch=64)
    predicted = logits.argmax(1)
    assert report["confusion"] == confusion_matrix(labels, predicted).tolist()
    assert report["error"] == pytest.approx(100 * (predicted != labels).mean())
    errors = [100 * (predicted[labels == i] != i).mean() for i in range(7)]
    assert [row["error"] for row in report["classes"].values()] == pytest.approx(errors)
    assert report["balanced_error"] == pytest.approx(np.mean(errors))
    ranks = (logits > logits[np.arange(200), labels][:, None]).sum(1)
    assert report["top5_error"] == pytest.approx(100 * (ranks >= 5).mean())
    assert [row["images"] for row in report["classes"].values()] == np.bincount(labels).tolist()
    assert sum(row["predicted"] for row in report["classes"].values()) == 200
    json.dumps(report)


def test_a_network_that_predicts_one_class_is_named():  # 8 % error, yet useless
    labels = torch.tensor([0] * 276 + [1] * 12 + [2] * 12)
    logits = torch.tensor([[1.0, 0.0, 0.0]]).repeat(300, 1)
    report = report_of(logits, labels, ["good", "scratch", "dent"])
    assert report["error"] == pytest.approx(8)
    assert report["balanced_error"] == pytest.approx(200 / 3)
    assert "top5_error" not in report
    assert lines(report) == [
        "The mean error of the classes is 66.67 %. Errors: good 0.0 %, scratch 100.0 %, "
        "dent 100.0 %.",
        "The network predicts 'good' for every image.",
    ]


def test_the_title_of_a_confusion_matrix_separates_thousands():
    report = {"confusion": [[1_498_000, 2], [0, 400]], "classes": {"a": {}, "b": {}}}
    title = plot_confusion(report).axes[0].get_title(loc="left")
    assert title == "Predictions for 1,498,402 test images"


def test_a_class_without_images_has_no_error():
    logits = torch.eye(3)[[0, 1, 1]]
    report = report_of(logits, torch.tensor([0, 1, 0]), ["a", "b", "c"])
    assert report["classes"]["c"] == {"images": 0, "predicted": 0, "error": None}
    assert report["balanced_error"] == pytest.approx(25)
    assert lines(report)[0].endswith(
        "Errors: a 50.0 %, b 0.0 %; 1 class has none, for lack of test images."
    )


def test_of_many_classes_the_worst_are_listed():
    labels = torch.arange(12).repeat_interleave(2)
    logits = torch.eye(12)[labels]
    logits[6] = torch.eye(12)[0]  # one of the two images of class 3
    report = report_of(logits, labels, [f"c{i}" for i in range(12)])
    (line,) = lines(report)
    assert "Errors of the five worst classes: c3 50.0 %, c0 0.0 %, c1" in line
    assert line.count("%") == 7


def test_several_labels_have_an_auroc_each():
    rng = np.random.default_rng(0)
    truth, logits = rng.integers(0, 2, (40, 3)), rng.normal(size=(40, 3))
    truth[:, 2] = 0
    report = report_of(torch.tensor(logits), torch.tensor(truth).float(), ["a", "b", "c"])
    expected = [100 * roc_auc_score(truth[:, i], logits[:, i]) for i in range(2)]
    values = [row["auroc"] for row in report["classes"].values()]
    assert values[:2] == pytest.approx(expected) and values[2] is None
    assert report["classes"]["a"]["images"] == truth[:, 0].sum()
    (line,) = lines(report)
    assert line.startswith(f"AUROC: a {expected[0]:.1f} %") and "1 class has none" in line


def test_a_roc_curve_joins_the_rates_of_all_thresholds():
    logits = torch.tensor([[4.0], [3.0], [2.0], [1.0]])
    labels = torch.tensor([[1.0], [0.0], [1.0], [0.0]])
    (curve,) = roc_by_label(logits, labels)  # (0, 0.5), (0.5, 0.5), (0.5, 1), (1, 1)
    assert curve[0] == 0.5 and curve[49] == 0.5 and curve[51:].tolist() == [1.0] * 50
    chance = torch.zeros(4, 1)
    assert np.allclose(roc_by_label(chance, labels)[0], np.linspace(0, 1, 101))
    random = roc_by_label(torch.randn(500, 1), (torch.rand(500, 1) < 0.5).float())
    assert abs(random.mean() - 0.5) < 0.1
    assert np.isnan(roc_by_label(logits, torch.ones(4, 1))).all()


def test_logits_that_are_not_finite_have_no_auroc():
    report = report_of(torch.full((4, 2), math.nan), torch.eye(2).repeat(2, 1), ["a", "b"])
    assert [row["auroc"] for row in report["classes"].values()] == [None, None]


@pytest.mark.parametrize("n", [2, 13, 40])
def test_the_confusion_matrix_is_drawn_and_written(n, tmp_path):
    labels = torch.arange(n).repeat(2)
    report = report_of(torch.eye(n)[labels], labels, [f"class {i}" for i in range(n)])
    write_report(report, tmp_path)
    assert json.loads((tmp_path / "classes.json").read_text()) == report
    assert (tmp_path / "classes.png").stat().st_size > 1000
    axes = plot_confusion(report).axes[0]
    assert len(axes.texts) == (n * n if n <= 12 else 0)
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert (names == list(report["classes"])) == (n <= 30)
