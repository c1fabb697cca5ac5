"""Model cards: ``model.md`` beside an exported model says what it is and what it was trained on.

The card of a further exported file in the folder is ``STEM.md``, named like this file. A card
contains only what the model file and the folder of its training record; what is unknown is left
out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from .. import registry
from ..data.described import describe_form
from ..files import replaceable, write_atomically, write_json
from ..nets.counting import count_macs, count_params
from ..run.journal import read_identity, recorded_images
from ..run.numbers import plural
from ..settings import free_names
from .class_report import FILE_NAMES as CLASS_FILES
from .description import ImageSizes, describe_model
from .model import Classifier, Model
from .preprocessing import form_of

NAME = "model.md"
MEASURED_FILE = "measured.json"  # of a training
MARK = "Written by moonas"  # in cards that may be replaced
MOST_CLASSES = 20  # that a card lists
WITH_INTERVAL = ("error", "top5_error")  # scores (%) that are shares of the test images
UNSET: tuple[Any, ...] = (None, "", [])  # settings that say nothing


def write_measured(folder: Path, columns: Mapping[str, Any], device: object, busy: bool) -> None:
    """Write what a training has measured of its network, for the model card.

    Args:
        folder: folder of the training.
        columns: params, macs and latency_ms of the network.
        device: device of the measurement of the latency.
        busy: whether the machine seemed busy during this measurement.
    """
    names = ("params", "macs", "latency_ms")
    measured = {name: columns[name] for name in names}
    write_json(folder / MEASURED_FILE, measured | {"device": str(device), "busy": busy})


def write_card(
    model: Model,
    exported: Path,
    *,
    training: Path | None = None,
    sizes: ImageSizes | None = None,
) -> Path:
    """Write the card of a model into the folder of its exported file; return the path of the card.

    Args:
        model: the model.
        exported: path of the exported file.
        training: folder of the training, which may lack any of its files; None if unknown.
        sizes: sizes of images that the exported file accepts.
    """
    names = (NAME, f"{exported.stem}.md", f"{exported.name}.md")
    path = replaceable(map(exported.with_name, names), (MARK, _file(exported.name)))
    card = model_card(model, training=training, sizes=sizes, file=exported.name)
    write_atomically(path, card.encode())
    return path


def model_card(
    model: Model,
    *,
    training: Path | None = None,
    sizes: ImageSizes | None = None,
    file: str | None = None,
) -> str:
    """Return the text of a card in Markdown.

    Args:
        model: see :func:`write_card`, as the next two.
        training: see there.
        sizes: see there.
        file: name of the exported file; None to name no file.
    """
    about, kind = model.about, model.about["kind"]
    identity = _identity(training)
    lines = [f"# A {kind} trained with moonas", "", f"{MARK} {_version(identity)}".rstrip() + "."]
    if "description" in about:
        lines += [
            "",
            f"Architecture, of the search space of {about['problem']}: {about['description']}",
        ]
    lines += _section("Use", ([] if file is None else [_file(file)]) + _use(model, sizes))
    lines += _section("Data", _data(about, identity))
    lines += _section("Scores on the test images", _scores(about, training))
    lines += _section("Size and speed", _sizes(model, training))
    lines += _section("Training", _recipe(about, identity))
    lines += _section("Limits", _limits(model))
    lines += _section(
        "License",
        [
            "The weights were learned from the images above: whether the model may be passed on or "
            "sold depends on the license of these images, which moonas does not know."
        ],
    )
    return "\n".join(lines) + "\n"


def _section(title: str, items: Iterable[str]) -> list[str]:
    items = [f"- {item}" for item in items]
    return ["", f"## {title}", "", *items] if items else []


def _identity(training: Path | None) -> dict[str, Any]:
    """Return the content of run.json; empty if it is missing or damaged."""
    try:
        return {} if training is None else read_identity(training)
    except ValueError:
        return {}


def _read(training: Path | None, name: str) -> dict[str, Any]:
    """Return the content of a JSON file of a training; empty if it is missing or damaged."""
    try:
        content = {} if training is None else json.loads((training / name).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _version(identity: Mapping[str, Any]) -> str:
    version = identity.get("versions", {}).get("moonas")
    return "" if version is None else f"from a training with version {version}"


def _file(name: str) -> str:
    return f"File: `{name}`."


def _use(model: Model, sizes: ImageSizes | None) -> list[str]:
    description = describe_model(model, sizes)
    items = [f"Input: {description['input']}."]
    if "direction" in description:
        items.append(f"Direction of the translation: {description['direction']}.")
    if len(model.input_shape) == 3:
        items.append(f"Preprocessing of the training images: {describe_form(form_of(model))}.")
    if isinstance(model, Classifier):
        names = ", ".join(model.classes[:MOST_CLASSES])
        rest = len(model.classes) - MOST_CLASSES
        more = f" and {rest} more" if rest > 0 else ""
        what = "labels, of which an image can have several" if _multi_label(model) else "classes"
        items.append(f"Output: logits of {len(model.classes)} {what}: {names}{more}.")
    return items


def _multi_label(model: Model) -> bool:
    return bool(model.about.get("multi_label", False))


def _data(about: Mapping[str, Any], identity: Mapping[str, Any]) -> list[str]:
    if "data" not in about:
        return []
    images = recorded_images(identity)
    name = Path(about["data"]).name
    if images is None:
        return [f"Data set: {name}."]
    n = sum(entry.get("images", 0) for entry in images.content.values())
    content = json.dumps(images.content, sort_keys=True).encode()
    digest = hashlib.sha256(content).hexdigest()[:16]
    return [f"Folder {name} with {plural(n, 'image')}; digest of its content: {digest}."]


def _scores(about: Mapping[str, Any], training: Path | None) -> list[str]:
    by_class = _read(training, CLASS_FILES[0])
    n = 0
    if "confusion" in by_class:  # otherwise an image can have several labels
        n = sum(entry["images"] for entry in by_class["classes"].values())
    items = []
    for name, value in about.get("scores", {}).items():
        if value is None or value != value:
            continue
        text = f"{name}: {value:.4g}"
        if name in WITH_INTERVAL and n:
            interval = binomtest(round(value / 100 * n), n).proportion_ci(method="wilson")
            text = (
                f"{name}: {value:.2f} % of {plural(n, 'image')} (95 % interval "
                f"{100 * interval.low:.2f} to {100 * interval.high:.2f} %, by Wilson's method)"
            )
        items.append(f"{text}.")
    if "fid_of" in about and items:
        items.append(f"Features of the measures: {about['fid_of']}.")
    return items


def _sizes(model: Model, training: Path | None) -> list[str]:
    measured = _read(training, MEASURED_FILE)
    items = [f"Parameters: {count_params(model.network):,}."]
    macs = measured.get("macs")
    if macs is None and len(model.input_shape) == 3:
        is_on_cpu = all(p.device.type == "cpu" for p in model.parameters())
        macs = count_macs(model.network, *model.input_shape) if is_on_cpu else None
    if macs is not None:
        items.append(f"Multiply-adds per input: {macs:,}.")
    if "latency_ms" in measured:
        busy = ", measured while the machine seemed busy" if measured.get("busy") else ""
        device = measured.get("device", "an unknown device")
        items.append(f"Latency: {measured['latency_ms']:.3g} ms per image on {device}{busy}.")
    return items


def _recipe(about: Mapping[str, Any], identity: Mapping[str, Any]) -> list[str]:
    settings = identity.get("settings", {})
    free = free_names(registry.training_settings_class(about["problem"])) if settings else set()
    shown = {k: v for k, v in settings.items() if k not in free | {"data"} and v not in UNSET}
    if not shown:
        return []
    text = " ".join(f"`{name}={_text(value)}`" for name, value in shown.items())
    items = [f"Settings: {text}.", f"Seed: {identity['seed']}."]
    versions = identity.get("versions", {})
    software = ", ".join(f"{name} {v}" for name, v in versions.items() if name != "where")
    return [*items, f"Software: {software}."] if software else items


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _limits(model: Model) -> list[str]:
    if not isinstance(model, Classifier):
        return [
            "The images that it makes are like those that it was trained on, with their gaps and "
            "biases. They are no evidence of anything."
        ]
    items = [
        "Do not trust it with images of another kind than those it was trained on: other cameras, "
        "places, crops or distortions. `moonas evaluate` measures some of them.",
        "The scores hold for images like the test images, with their shares of the classes.",
        "The probabilities have not been calibrated.",
    ]
    if not _multi_label(model):
        items.insert(1, "It names one of its classes for any image, even if none of them is right.")
    return items
