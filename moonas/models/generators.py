"""Evaluation of trained generators by measures of their images.

All models are evaluated with the same latent vectors, relative to the same real images.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..data import load
from ..files import write_json
from ..metrics.features import denormalize, feature_network
from ..metrics.image_quality import MEASURES, RealImages
from ..nets.devices import repeatable, resolve_device
from ..nets.randomness import generator as random_generator
from ..run.callbacks import Progress
from ..views.tables import Table
from .model import Generator, Model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..data.images import ImageData

FILE_NAME = "evaluation.json"
REAL_SETS = ("train", "test")
IS_SPLITS = 10  # in the literature
MIN_PIXEL_STD = 1 / 255  # images are identical if the standard deviation of every pixel is smaller
TITLES = {
    "fid": "FID",
    "is_mean": "Inception Score",
    "is_std": "+- (std of the splits)",
    "kid": "KID x 1000",
    "kid_std": "+- (std of the subsets)",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "params": "params",
}


def evaluate(
    models: Mapping[str, Model],
    data: str,
    *,
    features: str | nn.Module = "classifier",
    real: str = "train",
    n_images: int = 5000,
    seed: int = 0,
    root: str | None = None,
    inception_weights: str | None = None,
    real_statistics: str | None = None,
    device: str = "auto",
    batch: int = 250,
    threads: int | None = None,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Evaluate generators by FID, Inception Score, KID, precision, recall, density and coverage.

    Args:
        models: name -> :class:`~moonas.models.model.Generator`; their images have equal shapes.
        data: name of the data set of the real images, or a folder; they are resized to the size of
            the generated images.
        features: the feature network, see :func:`moonas.metrics.features.feature_network`.
        real: ``train`` or ``test``, the real images to compare with.
        n_images: number of generated images of each model, at least 2.
        seed: seed of the latent vectors.
        root: folder with torchvision's data sets.
        inception_weights: file with the weights of ``features="inception"``.
        real_statistics: file with statistics of real images, to which FID is relative, see
            :func:`moonas.metrics.frechet.read_statistics`.
        device: device name, see :func:`~moonas.nets.devices.resolve_device`.
        batch: maximum number of images per batch.
        threads: number of PyTorch threads on a CPU; by default, the current number.
        on_progress: called with (phase, done, total, unit).

    Returns:
        The evaluation, serializable as JSON: ``data``, ``real``, ``n_real``, ``n_images`` and
        ``seed``; ``features``, the name of the feature network, its ``fingerprint`` and its
        ``accuracy`` (%) on test images, or None; ``real_statistics``; and ``models``, name ->
        dict with ``params`` and the measures of
        :meth:`moonas.metrics.image_quality.RealImages.measure`. A measure that cannot be computed
        is None: those of a generator whose images are not finite or all identical, and the
        Inception Score if the network has no logits.

    Raises:
        ValueError: if a model is not a generator, an argument is invalid, or the images of the
            models or the real images have different shapes.
    """
    generators = {name: require_generator(name, model) for name, model in models.items()}
    if real not in REAL_SETS:
        raise ValueError(f"real={real!r} is invalid: expected one of {list(REAL_SETS)}.")
    if n_images < 2:
        raise ValueError(f"n_images={n_images} is invalid: expected at least 2.")
    torch_device = resolve_device(device)
    shape = _image_shape(generators)
    first = next(iter(generators.values()))
    images = _load(data, shape, first.about.get("resize", "squash"), root)
    n_threads = torch.get_num_threads() if threads is None else threads
    report = on_progress or (lambda *args: None)
    extract = feature_network(
        features,
        shape,
        torch_device,
        data=images,
        inception_weights=inception_weights,
        on_progress=on_progress,
    )
    pixels = denormalize(images, images.images if real == "train" else images.test_images)
    reference = RealImages(extract, pixels, torch_device, real_statistics)
    results = {}
    splits = IS_SPLITS if n_images >= 2 * IS_SPLITS else 1
    with repeatable(n_threads):
        for i, (name, model) in enumerate(generators.items()):
            report("evaluating", i, len(generators), "models")
            result = _measure(
                model.to(torch_device).eval(), reference, n_images, seed, batch, splits
            )
            result["params"] = sum(p.numel() for p in model.parameters())
            results[name] = {k: None if v != v else v for k, v in result.items()}  # NaN to None
        report("evaluating", len(generators), len(generators), "models")
    return {
        "data": data,
        "real": real,
        "n_real": len(pixels),
        "n_images": n_images,
        "seed": seed,
        "features": extract.name,
        "fingerprint": extract.fingerprint,
        "accuracy": extract.accuracy,
        "real_statistics": real_statistics,
        "models": results,
    }


def require_generator(name: str, model: Model) -> Generator:
    """Return the model if it is a generator; raise ``ValueError`` otherwise."""
    if not isinstance(model, Generator):
        raise ValueError(f"{name} is a {type(model).__name__.lower()}, not a generator.")
    return model


@torch.inference_mode()
def _image_shape(models: Mapping[str, Generator]) -> tuple[int, int, int]:
    """Return the shape (c, side, side) of the images of all models."""
    shapes = {
        name: tuple(model.cpu().eval()(model.example()).shape[1:]) for name, model in models.items()
    }
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(
            f"Models can be compared only if their images have equal shapes: {listed}."
        )
    c, h, w = next(iter(shapes.values()))
    return c, h, w


def _load(name: str, shape: Sequence[int], resize: str, root: str | None) -> ImageData:
    """Load a data set in the form of generated images."""
    channels, side, _ = shape
    return load(
        name,
        root=root,
        image_size=side,
        image_channels=channels,
        resize=resize,
        labels_required=False,
    )


@torch.inference_mode()
def _measure(
    model: Generator, reference: RealImages, n_images: int, seed: int, batch: int, splits: int
) -> dict[str, float]:
    """Return the measures of the images of one model; NaN if they are invalid."""
    rng = random_generator(seed, "evaluation")
    latents = torch.randn(n_images, *model.input_shape, generator=rng)
    pixels = torch.cat([model(z.to(reference.device)).cpu() for z in torch.split(latents, batch)])
    failed = dict.fromkeys(MEASURES, float("nan"))
    if not _valid(pixels):
        return failed
    features, log_probabilities = reference.extract(pixels.to(reference.device), batch)
    if not (abs(features) < float("inf")).all():
        return failed
    return reference.measure(features, log_probabilities, splits)


def _valid(pixels: Tensor) -> bool:
    """Return whether all pixels are finite, and not all images are identical."""
    return bool(pixels.isfinite().all()) and float(pixels.std(dim=0).max()) >= MIN_PIXEL_STD


def measures_table(evaluation: Mapping[str, Any]) -> Table:
    """Return the measures of an evaluation as a table, with one column per model.

    Args:
        evaluation: the result of :func:`evaluate`.
    """
    models = evaluation["models"]
    rows = []
    for key, title in TITLES.items():
        if any(key in result for result in models.values()):
            rows.append([title, *(_text(key, result.get(key)) for result in models.values())])
    return Table(["measure", *models], rows)


def _text(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    if key == "params":
        return f"{value:,}"
    return f"{1000 * value:.2f}" if key in ("kid", "kid_std") else f"{value:.3f}"


def summary(evaluation: Mapping[str, Any]) -> list[str]:
    """Return lines of text that describe how an evaluation was made.

    Args:
        evaluation: the result of :func:`evaluate`.
    """
    real = f"{evaluation['n_real']:,} {evaluation['real']} images of {evaluation['data']}"
    if evaluation["real_statistics"]:
        real = f"the statistics in {evaluation['real_statistics']}"
    accuracy = ""
    if evaluation["accuracy"] is not None:
        accuracy = f" ({evaluation['accuracy']:.1f} % accurate on test images)"
    return [
        f"Evaluated {evaluation['n_images']:,} images of each model relative to {real}.",
        f"Feature network: {evaluation['features']}{accuracy}.",
    ]


def write_evaluation(evaluation: Mapping[str, Any], folder: Path) -> None:
    """Write evaluation.json.

    Args:
        evaluation: the result of :func:`evaluate`.
        folder: folder for the file, which is created if it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / FILE_NAME, evaluation)
