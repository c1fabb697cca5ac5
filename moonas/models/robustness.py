"""Evaluation of trained classifiers on clean, corrupted and adversarial images.

The evaluation follows figures 9 to 11 of NSGANetV1 (Lu et al., 2020). All models are evaluated on
the same images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .. import plot
from ..data.batches import Images, read_batches
from ..data.published_sets import N_STRENGTHS, CorruptedSet
from ..deprecation import renamed_arguments
from ..files import save_figure, write_json
from ..metrics.adversarial import ATTACK_STRENGTHS, count_correct_under_attack
from ..metrics.auroc import auroc_error
from ..metrics.corruptions import CORRUPTION_STRENGTHS, CORRUPTIONS, corrupt
from ..metrics.error import count_wrong, error_percent
from ..metrics.rank_correlation import rank_correlation
from ..nets.devices import repeatable, resolve_device
from ..nets.randomness import generator
from ..plot.style import create_figure
from ..run.callbacks import Progress, progress_function
from ..views.tables import Table
from . import class_report
from .class_report import report_by_class
from .model import Classifier, Model
from .test_sets import LabeledImages, require_classifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

FILE_NAMES = ("evaluation.json", "evaluation.png")
CHUNK = 1000  # images that are corrupted at a time


@renamed_arguments(also="second_test_set")
def evaluate(
    models: Mapping[str, Model],
    images: LabeledImages,
    *,
    second_test_set: LabeledImages | None = None,
    corrupted_set: CorruptedSet | None = None,
    device: str = "auto",
    batch: int = 360,
    threads: int = 1,
    on_progress: Progress | None = None,
    told: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Evaluate classifiers on a test set, and on its corrupted and adversarial variants.

    The variants are twelve common corruptions at five strengths, and adversarial images (FGSM) at
    several strengths. They are used only if each image has one label.

    Args:
        models: name -> :class:`~moonas.models.model.Classifier`.
        images: the test set.
        second_test_set: another test set with the same classes, whose variants are not used.
        corrupted_set: result of :func:`load_corrupted_set`, or None.
        device: device name, see :func:`~moonas.nets.devices.resolve_device`.
        batch: maximum number of images per batch.
        threads: number of PyTorch threads on a CPU.
        on_progress: called with (phase, done, total, unit) after each evaluation.
        told: deprecated; (done, total) -> None.

    Returns:
        The evaluation, serializable as JSON: ``data`` and ``n_images``, name and size of the test
        set; ``also`` and ``also_n_images``, name and size of the second test set, or None;
        ``corrupted_set``, name of the set of corrupted images, or None;
        ``models``, name -> dict; ``ranking``, see :func:`ranking`, or None. The dict of a model has
        ``error`` (%), ``params`` and ``by_class``, see
        :func:`~moonas.models.class_report.report_by_class`. With a second test set, it has
        ``also_error`` (%) and ``drop``, the difference of the two errors. If each image has one
        label, it has ``attacked``, strength -> error (%), and ``corrupted``, name of a corruption
        -> error (%) at each strength. With a set of corrupted images, it has ``published``, name of
        a corruption -> error (%) at each strength.

    Raises:
        ValueError: if a model is not a classifier.
    """
    report_progress = progress_function(on_progress, told)
    torch_device, evaluations = resolve_device(device), {}
    single_label = images.labels.ndim == 1
    published = () if corrupted_set is None else tuple(corrupted_set.sources)
    total = len(models) * (1 + single_label * len(CORRUPTIONS) + len(published))
    done = 0
    for name, any_model in models.items():
        model = require_classifier(name, any_model).to(torch_device).eval()
        with repeatable(threads):
            result: dict[str, Any] = {"error": _error(model, images, batch)}
            result["params"] = sum(p.numel() for p in model.parameters())
            pixels, labels = _move_to_model_device(model, images)
            result["by_class"] = report_by_class(model, pixels, labels, batch, images.classes)
            if second_test_set is not None:
                result["also_error"] = _error(model, second_test_set, batch)
                result["drop"] = result["also_error"] - result["error"]
            if single_label:
                result["attacked"] = _adversarial_errors(model, images, batch)
            done += 1
            report_progress("evaluating", done, total, "sets of images")
            if single_label:
                result["corrupted"] = {}
                for corruption in CORRUPTIONS:
                    errors = _corruption_errors(model, images, corruption, batch)
                    result["corrupted"][corruption] = errors
                    done += 1
                    report_progress("evaluating", done, total, "sets of images")
            if corrupted_set is not None:
                result["published"] = {}
                for corruption in published:
                    result["published"][corruption] = [
                        _error_of_chunks(model, corrupted_set.chunks(corruption, strength), batch)
                        for strength in range(1, N_STRENGTHS + 1)
                    ]
                    done += 1
                    report_progress("evaluating", done, total, "sets of images")
        evaluations[name] = result
    return {
        "data": images.name,
        "n_images": len(images.pixels),
        "also": second_test_set.name if second_test_set else None,
        "also_n_images": len(second_test_set.pixels) if second_test_set else None,
        "corrupted_set": corrupted_set.name if corrupted_set else None,
        "models": evaluations,
        "ranking": ranking(evaluations) if second_test_set else None,
    }


def _move_to_model_device(
    model: Classifier, images: LabeledImages
) -> tuple[Tensor | Images, Tensor]:
    """Move images to the device of a model, and return their pixels and labels."""
    return images.pixels.to(model.mean.device), images.labels.to(model.mean.device)


@torch.inference_mode()
def _error(model: Classifier, images: LabeledImages, batch: int) -> float:
    """Return the error in percent; with several labels per image, 100 minus the mean AUROC."""
    pixels, labels = _move_to_model_device(model, images)
    if labels.ndim > 1:
        return float(auroc_error(model, pixels, labels, batch))
    wrong, finite = count_wrong(model, pixels, labels, batch)
    return float(error_percent(int(wrong), len(labels))) if bool(finite) else 100.0


@torch.inference_mode()
def _error_of_chunks(
    model: Classifier, chunks: Iterable[tuple[Tensor, Tensor]], batch: int
) -> float:
    """Return the error in percent on images with one label, which are read in chunks."""
    device, n_wrong, n = model.mean.device, 0, 0
    for pixels, labels in chunks:
        wrong, finite = count_wrong(model, pixels.to(device), labels.to(device), batch)
        n_wrong += int(wrong) if bool(finite) else len(labels)
        n += len(labels)
    return float(error_percent(n_wrong, n))


def _adversarial_errors(model: Classifier, images: LabeledImages, batch: int) -> dict[str, float]:
    """Return the error in percent for each attack strength: strength -> error."""
    pixels, labels = _move_to_model_device(model, images)
    # The model normalizes its inputs, so mean 0 and standard deviation 1 are used here.
    zero = torch.zeros(1, pixels.shape[1], 1, 1, device=pixels.device)
    correct, finite = count_correct_under_attack(model, pixels, labels, batch, zero, zero + 1)
    correct = torch.where(finite, correct, 0)
    errors = error_percent(len(labels) - correct.cpu().numpy(), len(labels))
    return {str(strength): float(e) for strength, e in zip(ATTACK_STRENGTHS, errors, strict=True)}


def _corruption_errors(
    model: Classifier, images: LabeledImages, corruption: str, batch: int
) -> list[float]:
    """Return the errors in percent at all strengths of a corruption."""
    errors = []
    rows = torch.split(torch.arange(len(images.labels)), CHUNK)
    for strength in CORRUPTION_STRENGTHS:
        rng = generator(0, "corruption", corruption, strength)  # equal for all models
        chunks = zip(read_batches(images.pixels, rows), rows, strict=True)
        corrupted = (
            (corrupt(pixels, corruption, strength, rng), images.labels[of_chunk])
            for pixels, of_chunk in chunks
        )
        errors.append(_error_of_chunks(model, corrupted, batch))
    return errors


def ranking(evaluations: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """Compare the rankings of models on two test sets.

    Args:
        evaluations: name of a model -> dict with ``error`` and ``also_error``.

    Returns:
        A dict: ``same_order``, whether both test sets rank every pair of models equally, and
        ``rank_correlation``, in [-1, 1], or None for fewer than three models. If there is only one
        model, None is returned instead of a dict.
    """
    first = np.array([result["error"] for result in evaluations.values()])
    second = np.array([result["also_error"] for result in evaluations.values()])
    if len(first) < 2:
        return None
    pairs = [(i, j) for i in range(len(first)) for j in range(i)]
    same = all((first[i] - first[j]) * (second[i] - second[j]) >= 0 for i, j in pairs)
    return {"same_order": bool(same), "rank_correlation": rank_correlation(first, second)}


def errors_table(evaluation: Mapping[str, Any]) -> Table:
    """Return the errors of an evaluation as a table, with one column per model.

    Args:
        evaluation: the result of :func:`evaluate`.
    """
    models = evaluation["models"]
    rows = [["clean", *(f"{result['error']:.2f}" for result in models.values())]]
    if evaluation["also"]:
        errors = (f"{result['also_error']:.2f}" for result in models.values())
        rows.append([evaluation["also"], *errors])
    if all("corrupted" in result for result in models.values()):
        for corruption in CORRUPTIONS:
            lists = [result["corrupted"][corruption] for result in models.values()]
            rows.append([corruption, *(f"{np.mean(errors):.2f}" for errors in lists)])
        for strength in map(str, ATTACK_STRENGTHS[1:]):
            errors = (f"{result['attacked'][strength]:.2f}" for result in models.values())
            rows.append([f"FGSM, strength {strength}", *errors])
    if evaluation["corrupted_set"]:
        name = evaluation["corrupted_set"]
        published = [result["published"] for result in models.values()]
        means = (f"{np.mean(list(of_model.values())):.2f}" for of_model in published)
        rows.append([f"{name}, mean", *means])
        for corruption in published[0]:
            errors = (f"{np.mean(of_model[corruption]):.2f}" for of_model in published)
            rows.append([f"{name}, {corruption}", *errors])
    return Table(["error (%)", *models], rows)


def summary(evaluation: Mapping[str, Any]) -> list[str]:
    """Summarize the results of an evaluation that :func:`errors_table` does not contain.

    Args:
        evaluation: the result of :func:`evaluate`.

    Returns:
        Lines of text.
    """
    lines = [f"Evaluated on {evaluation['n_images']:,} test images of {evaluation['data']}."]
    if all("corrupted" in result for result in evaluation["models"].values()):
        lines[0] += (
            f" Errors under corruptions are means over {len(CORRUPTION_STRENGTHS)} strengths."
        )
    for name, result in evaluation["models"].items():
        lines += [f"{name}: {line}" for line in class_report.lines(result["by_class"])]
    if evaluation["also"]:
        for name, result in evaluation["models"].items():
            lines.append(
                f"{name}: the error on {evaluation['also_n_images']:,} images of "
                f"{evaluation['also']} differs by {result['drop']:+.2f} percentage points."
            )
    if evaluation["ranking"]:
        same = "the same" if evaluation["ranking"]["same_order"] else "not the same"
        correlation = evaluation["ranking"]["rank_correlation"]
        detail = "" if correlation is None else f"; rank correlation {correlation:.2f}"
        lines.append(f"The ranking of the models is {same} on both test sets{detail}.")
    return lines


def write_evaluation(evaluation: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write evaluation.json and, if images were corrupted, evaluation.png.

    Args:
        evaluation: the result of :func:`evaluate`.
        folder: folder for the files, which is created if it is missing.

    Returns:
        Paths of the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / FILE_NAMES[0]]
    write_json(written[0], evaluation)
    if all("corrupted" in result for result in evaluation["models"].values()):
        written += save_figure(plot_evaluation(evaluation), folder / FILE_NAMES[1])
    return written


def plot_evaluation(evaluation: Mapping[str, Any]) -> Figure:
    """Plot errors by corruption and by strength of the attack (figures 10 and 11 of NSGANetV1).

    Args:
        evaluation: the result of :func:`evaluate`.
    """
    models = evaluation["models"]
    height = 2.2 + 0.24 * len(CORRUPTIONS) * max(1, len(models) / 1.6)
    figure: Figure
    figure, (left, right) = create_figure((10.5, height), columns=2, width_ratios=[1.6, 1])
    plot.corruptions(
        left,
        {name: result["corrupted"] for name, result in models.items()},
        {name: result["error"] for name, result in models.items()},
    )
    plot.attack(
        right,
        {
            name: {float(strength): error for strength, error in result["attacked"].items()}
            for name, result in models.items()
        },
    )
    return figure
