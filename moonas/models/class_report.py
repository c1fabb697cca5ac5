"""Scores of a classifier by class: errors, predictions and the confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .. import plot
from ..files import save_figure, write_json
from ..metrics.auroc import auroc_by_label, roc_by_label
from ..metrics.error import TOP, balanced_error_percent, count_by_class, error_percent
from ..plot.models import MOST_LABELED
from ..plot.style import create_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..data.batches import Images

FILE_NAMES = ("classes.json", "classes.png")
MOST_LISTED = 10  # classes in a line of text


@torch.inference_mode()
def report_by_class(
    predict: Callable[[Tensor], Tensor],
    images: Tensor | Images,
    labels: Tensor,
    batch: int,
    classes: Sequence[str],
) -> dict[str, Any]:
    """Evaluate a classifier by class.

    Args:
        predict: images (b, c, h, w) -> logits (b, n_classes).
        images: n images (c, h, w).
        labels: (n,) classes, or (n, n_classes) zeros and ones if an image can have several labels.
        batch: maximum number of images per batch.
        classes: names of the classes.

    Returns:
        A dict, serializable as JSON. If each image has one label: ``error`` and ``balanced_error``
        (%), with more than five classes ``top5_error`` (%), ``confusion``, the matrix of numbers of
        images by class (rows) and prediction (columns), and ``classes``, name -> ``images``,
        ``predicted`` (numbers of images) and ``error`` (%, None without images). Otherwise:
        ``classes``, name -> ``images`` (that have the label), ``auroc`` (%) and ``roc``, the true
        positive rates (%) at the false positive rates 0, 1, ..., 100 %; the last two are None if
        they are undefined.
    """
    if labels.ndim > 1:
        logits = torch.cat([predict(x) for x in images.tensor_split(-(-len(images) // batch))])
        aurocs = 100 * auroc_by_label(logits, labels)
        curves = 100 * roc_by_label(logits, labels)
        counts = labels.sum(0).int().tolist()
        return {
            "classes": {
                name: {
                    "images": counts[i],
                    "auroc": None if math.isnan(aurocs[i]) else float(aurocs[i]),
                    "roc": None if math.isnan(aurocs[i]) else curves[i].round(3).tolist(),
                }
                for i, name in enumerate(classes)
            }
        }
    found = count_by_class(predict, images, labels, batch, len(classes))
    confusion, n = found.confusion.cpu().numpy(), len(labels)
    correct, counts = confusion.diagonal(), confusion.sum(1)
    report: dict[str, Any] = {
        "error": float(error_percent(n - int(correct.sum()), n)),
        "balanced_error": float(balanced_error_percent(correct, counts)),
    }
    if len(classes) > TOP:
        report["top5_error"] = float(error_percent(n - int(found.top_correct), n))
    report["classes"] = {
        name: {
            "images": int(counts[i]),
            "predicted": int(confusion[:, i].sum()),
            "error": float(100 * (1 - correct[i] / counts[i])) if counts[i] else None,
        }
        for i, name in enumerate(classes)
    }
    return report | {"confusion": confusion.tolist()}


def lines(report: Mapping[str, Any]) -> list[str]:
    """Describe a report by class in one or two lines of text.

    With more than ten classes, the line lists the five worst of them.

    Args:
        report: result of :func:`report_by_class`.
    """
    if "confusion" not in report:
        return [_listed("AUROC", report["classes"], "auroc", highest_first=False)]
    text = f"The mean error of the classes is {report['balanced_error']:.2f} %"
    if "top5_error" in report:
        text += f", the top-5 error {report['top5_error']:.2f} %"
    text += ". " + _listed("Errors", report["classes"], "error", highest_first=True)
    predicted = [name for name, row in report["classes"].items() if row["predicted"]]
    if len(predicted) == 1:
        return [text, f"The network predicts {predicted[0]!r} for every image."]
    return [text]


def _listed(
    title: str, rows: Mapping[str, Mapping[str, Any]], key: str, *, highest_first: bool
) -> str:
    """Return a sentence with the values of all classes, or of the five worst of many."""
    values = {name: row[key] for name, row in rows.items() if row[key] is not None}
    absent = len(rows) - len(values)
    names = list(values)
    if len(names) > MOST_LISTED:
        names = sorted(names, key=lambda name: values[name], reverse=highest_first)[:5]
        title = f"{title} of the five worst classes"
    text = f"{title}: {', '.join(f'{name} {values[name]:.1f} %' for name in names)}"
    if absent:
        undefined = "class has" if absent == 1 else "classes have"
        text += f"; {absent} {undefined} none, for lack of test images"
    return f"{text}."


def write_report(report: Mapping[str, Any], folder: Path) -> list[str]:
    """Write classes.json, and draw the confusion matrix or the ROC curves into classes.png.

    Args:
        report: result of :func:`report_by_class`.
        folder: folder for the files.

    Returns:
        Lines to print, see :func:`lines`.
    """
    write_json(folder / FILE_NAMES[0], report)
    if "confusion" in report:
        save_figure(plot_confusion(report), folder / FILE_NAMES[1])
    elif any(row["roc"] for row in report["classes"].values()):
        save_figure(plot_roc(report), folder / FILE_NAMES[1])
    return lines(report)


def plot_roc(report: Mapping[str, Any]) -> Figure:
    """Draw the ROC curve of each label (figure 13b of NSGANetV1), the best one first.

    Args:
        report: result of :func:`report_by_class` for images with several labels; at least one label
            has a curve.
    """
    rows = {name: row for name, row in report["classes"].items() if row["roc"]}
    names = sorted(rows, key=lambda name: rows[name]["auroc"], reverse=True)
    figure: Figure
    figure, axes = create_figure((7.6, max(4.8, 0.6 + 0.26 * len(names))))
    plot.roc(axes, {f"{name} ({rows[name]['auroc']:.1f} %)": rows[name]["roc"] for name in names})
    axes.set_title("ROC curves on the test set", loc="left")
    return figure


def plot_confusion(report: Mapping[str, Any]) -> Figure:
    """Draw the confusion matrix; colors are shares of the images of a class.

    Args:
        report: result of :func:`report_by_class` for images with one label.
    """
    confusion, names = np.array(report["confusion"]), list(report["classes"])
    side = min(9.0, max(4.2, 1.8 + 0.42 * min(len(names), MOST_LABELED)))
    figure: Figure
    figure, axes = create_figure((side + 0.8, side))
    plot.confusion(axes, confusion, names)
    n = int(confusion.sum())
    axes.set_title(f"Predictions for {n:,} test image{'s' * (n != 1)}", loc="left")
    return figure
