"""How trained classifiers do: on test images, on corrupted and attacked ones, on another test set.

After NSGANetV1 (Lu et al., 2020), figures 9 to 11. Models are compared on the same images.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..data import load
from ..files import save_figure, write_json
from ..metrics.adversarial import STRENGTHS as ATTACKS
from ..metrics.adversarial import count_correct_under_attack
from ..metrics.auroc import auroc_error
from ..metrics.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from ..metrics.error import count_wrong, error_percent
from ..metrics.rank_correlation import rank_correlation
from ..nets.devices import repeatable, resolve_device
from ..nets.randomness import generator
from ..run.callbacks import Progress, progress_function
from ..views.drawing import COLORS, finish, one_plot
from ..views.tables import Table
from .model import Classifier

NAMES = ("evaluation.json", "evaluation.png")


@dataclass(frozen=True)
class Images:
    """Images with labels.

    Args:
        pixels: (n, c, side, side), 0 to 1.
        labels: (n,) ints, or (n, n_classes) of zeros and ones.
        classes: names.
        name: of the data set.
    """

    pixels: torch.Tensor
    labels: torch.Tensor
    classes: tuple
    name: str


def test_images(name, model, *, everything=False, root=None, download=False):
    """The images for the final test of a data set, as a model wants them.

    Args:
        name: of the data set, or a folder.
        model: a :class:`~moonas.models.model.Classifier`.
        everything: all images of it, not those for the test alone.
        root: folder with torchvision's files.
        download: let torchvision download what is not there.

    Raises:
        ValueError: its images or classes are not those that the model knows, or the model is no
            classifier.
    """
    _require_classifier("The model", model)
    channels, side, _ = model.input_shape
    data = load(name, root=root, download=download, image_size=side)
    if data.info.channels != channels:
        raise ValueError(
            f"{name} has {data.info.channels} channels, and the model takes {channels}."
        )
    if tuple(data.classes) != model.classes:
        raise ValueError(
            f"{name} has the classes {list(data.classes)}, and the model {list(model.classes)}."
        )
    images, labels = data.test_images, data.test_labels
    if everything:
        images = torch.cat([data.images, images])
        labels = torch.cat([data.labels, labels])
    return Images((images * data.std + data.mean).clamp(0, 1), labels, model.classes, name)


def _require_classifier(name, model):
    if not isinstance(model, Classifier):
        raise ValueError(f"{name} is a {type(model).__name__.lower()}, no classifier.")


def evaluate(
    models,
    images,
    *,
    also=None,
    device="auto",
    batch=360,
    threads=1,
    on_progress: Progress | None = None,
    told=None,
):
    """Errors of models on images, and where each has one label, on corrupted and attacked ones.

    Args:
        models: name -> :class:`~moonas.models.model.Classifier`.
        images: an :class:`Images`.
        also: a second :class:`Images`, or None.
        device: where to compute.
        batch: images a pass.
        threads: of torch on a CPU.
        on_progress: called with (phase, done, total, unit) after each set of images.
        told: deprecated; (done, total) -> None.

    Returns:
        A dict that JSON can hold: by name of a model error, params, and, where each image has one
        label, attacked (strength -> error) and corrupted (name -> five errors); with ``also``
        also_error and drop; and ``ranking``, see :func:`ranking`.

    Raises:
        ValueError: a model is no classifier.
    """
    report_progress = progress_function(on_progress, told)
    place, found = resolve_device(device), {}
    single = images.labels.ndim == 1
    total = len(models) * (1 + single * len(CORRUPTIONS))
    done = 0
    for name, model in models.items():
        _require_classifier(name, model)
        model = model.to(place).eval()
        with repeatable(threads):
            one = {"error": _error(model, images, batch)}
            one["params"] = sum(p.numel() for p in model.parameters())
            if also is not None:
                one["also_error"] = _error(model, also, batch)
                one["drop"] = one["also_error"] - one["error"]
            if single:
                one["attacked"] = _attacked(model, images, batch)
            done += 1
            report_progress("evaluating", done, total, "sets of images")
            if single:
                one["corrupted"] = {}
                for kind in CORRUPTIONS:
                    one["corrupted"][kind] = _corrupted(model, images, kind, batch)
                    done += 1
                    report_progress("evaluating", done, total, "sets of images")
        found[name] = one
    return {
        "data": images.name,
        "n_images": len(images.pixels),
        "also": also.name if also else None,
        "also_n_images": len(also.pixels) if also else None,
        "models": found,
        "ranking": ranking(found) if also else None,
    }


def _on(model, images):
    place = next(model.buffers()).device
    return images.pixels.to(place), images.labels.to(place)


@torch.inference_mode()
def _error(model, images, batch):
    pixels, labels = _on(model, images)
    if labels.ndim > 1:
        return float(auroc_error(model, pixels, labels, batch))
    wrong, finite = count_wrong(model, pixels, labels, batch)
    return float(error_percent(int(wrong), len(labels))) if bool(finite) else 100.0


def _attacked(model, images, batch):
    pixels, labels = _on(model, images)
    zero = torch.zeros(1, pixels.shape[1], 1, 1, device=pixels.device)
    correct, _ = count_correct_under_attack(model, pixels, labels, batch, zero, zero + 1)
    errors = error_percent(len(labels) - correct.cpu().numpy(), len(labels))
    return {str(strength): float(e) for strength, e in zip(ATTACKS, errors, strict=True)}


def _corrupted(model, images, kind, batch):
    errors = []
    for strength in STRENGTHS:
        rng = generator(0, "corruption", kind, strength)  # the same images for all models
        changed = corrupt(images.pixels, kind, strength, rng)
        worse = Images(changed, images.labels, images.classes, images.name)
        errors.append(_error(model, worse, batch))
    return errors


def ranking(found):
    """How the order of models on one test set holds on the other; None for a single model.

    Returns:
        A dict: same_order, and Spearman's correlation for three models or more.
    """
    first = np.array([one["error"] for one in found.values()])
    second = np.array([one["also_error"] for one in found.values()])
    if len(first) < 2:
        return None
    pairs = [(i, j) for i in range(len(first)) for j in range(i)]
    same = all((first[i] - first[j]) * (second[i] - second[j]) >= 0 for i, j in pairs)
    return {"same_order": bool(same), "rank_correlation": rank_correlation(first, second)}


def errors_table(found: Mapping[str, Any]) -> Table:
    """The errors of an evaluation: a column per model, a row per set of images."""
    models = found["models"]
    rows = [["clean", *(f"{one['error']:.2f}" for one in models.values())]]
    if found["also"]:
        rows.append([found["also"], *(f"{one['also_error']:.2f}" for one in models.values())])
    if all("corrupted" in one for one in models.values()):
        for kind in CORRUPTIONS:
            errors = [one["corrupted"][kind] for one in models.values()]
            rows.append([kind, *(f"{np.mean(e):.2f}" for e in errors)])
        for strength in map(str, ATTACKS[1:]):
            errors = [one["attacked"][strength] for one in models.values()]
            rows.append([f"attack of {strength}", *(f"{e:.2f}" for e in errors)])
    return Table(["error (%)", *models], rows)


def summary(found: Mapping[str, Any]) -> list[str]:
    """A summary of an evaluation besides its table, a list of lines."""
    lines = [
        f"On {found['n_images']:,} images of {found['data']}; corruptions: mean of 5 strengths."
    ]
    if found["also"]:
        for name, one in found["models"].items():
            lines.append(
                f"{name}: {one['drop']:+.2f} points of error on {found['also_n_images']:,} images "
                f"of {found['also']}."
            )
    if found["ranking"]:
        same = "holds" if found["ranking"]["same_order"] else "does not hold"
        correlation = found["ranking"]["rank_correlation"]
        tail = "" if correlation is None else f"; rank correlation {correlation:.2f}"
        lines.append(f"The order of the models {same} on it{tail}.")
    return lines


def write_evaluation(found, folder):
    """Write evaluation.json and evaluation.png."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / NAMES[0], found)
    if all("corrupted" in one for one in found["models"].values()):
        save_figure(picture(found), folder / NAMES[1], dpi=150)


def picture(found):
    """Errors by corruption, and by the strength of an attack (figures 10 and 11 of NSGANetV1)."""
    figure, _ = one_plot((9.5, 4.6))
    figure.clear()
    left, right = figure.subplots(1, 2, width_ratios=[1.6, 1])
    models = found["models"]
    width = 0.8 / len(models)
    for i, (name, one) in enumerate(models.items()):
        color = COLORS[i % len(COLORS)]
        means = [np.mean(one["corrupted"][kind]) for kind in CORRUPTIONS]
        places = np.arange(len(means)) + (i - (len(models) - 1) / 2) * width
        left.barh(places, means, width, color=color, label=name)
        left.axvline(one["error"], color=color, lw=1, ls=":")
        strengths = [float(s) for s in one["attacked"]]
        right.plot(strengths, list(one["attacked"].values()), color=color, marker="o", ms=4)
    left.set_yticks(range(len(CORRUPTIONS)), list(CORRUPTIONS))
    left.invert_yaxis()
    left.set_xlabel("error (%), mean of five strengths; dotted: clean images")
    right.set(xlabel="strength of the attack (FGSM)", ylabel="error (%)", ylim=(0, None))
    finish(left)
    finish(right)
    return figure
