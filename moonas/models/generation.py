"""Images from trained generators and translators: samples in a grid, translated image files."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ..data.image_files import to_bytes
from ..files import write_atomically
from ..nets.randomness import generator as random_generator
from ..run.callbacks import Progress
from .description import DIRECTIONS
from .generators import require_generator
from .model import Model, Translator, load_model, model_files, read_model
from .prediction import common_folder, find_images
from .preprocessing import form_of, preprocessed_batches, reason_of

BATCH = 64  # images per batch by default
MIN_IMAGE_SIDE = 40  # pixels; smaller images of a grid are enlarged to about this side length


def sample(model: Model, n: int, *, seed: int = 0, batch: int = BATCH) -> Tensor:
    """Generate images, on the device of the model.

    Args:
        model: a :class:`~moonas.models.model.Generator`.
        n: number of images.
        seed: seed of the latent vectors; the first images do not depend on n.
        batch: largest number of images per batch.

    Returns:
        (n, channels, side, side) pixels in [0, 1], on the CPU.

    Raises:
        ValueError: the model is not a generator.
    """
    generator = require_generator("The model", model).eval()
    rng = random_generator(seed, "samples")
    # one by one, since the numbers of a longer tensor differ from its beginning on
    latents = torch.stack([torch.randn(*generator.input_shape, generator=rng) for _ in range(n)])
    device = next(generator.parameters()).device
    with torch.inference_mode():
        return torch.cat([generator(z.to(device)).cpu() for z in torch.split(latents, batch)])


def save_grid(pixels: Tensor, path: str | Path, n_rows: int = 10) -> None:
    """Save images as a grid in one PNG file, atomically.

    Args:
        pixels: (n, c, h, w) images in [0, 1].
        path: path of the PNG file.
        n_rows: number of rows of the grid; images are arranged row by row.

    Raises:
        ValueError: the path has another ending than .png.
    """
    if Path(path).suffix.lower() != ".png":
        raise ValueError(f"{path} is invalid: expected a PNG file, with the ending .png.")
    from torchvision.utils import save_image

    factor = max(1, round(MIN_IMAGE_SIDE / pixels.shape[-1]))
    enlarged = F.interpolate(pixels, scale_factor=factor, mode="nearest")
    n_columns = -(-len(enlarged) // n_rows)
    png = io.BytesIO()
    save_image(enlarged, png, nrow=n_columns, padding=2, pad_value=1.0, format="png")
    write_atomically(path, png.getvalue())


def load_translator(path: str | Path, direction: str | None = None) -> Translator:
    """Load a translator of images.

    Args:
        path: a model file, or a folder with one or both translators, see :func:`.model.load_model`.
        direction: "a-to-b" or "b-to-a"; required if the folder contains both.

    Raises:
        ValueError: there is no translator, there are several and no direction, or none has this
            direction.
    """
    files = model_files(path)
    if len(files) > 1:
        directions = {_direction(read_model(file)[0]): file for file in files}
        if direction not in directions or len(directions) < len(files):
            known = sorted(filter(None, directions)) if len(directions) == len(files) else []
            advice = f", or by --direction {' or '.join(known)}" if known else ""
            raise ValueError(
                f"{path} contains {len(files)} models: choose one of them by its path{advice}."
            )
        files = [directions[direction]]
    model = load_model(files[0] if files else path)
    if not isinstance(model, Translator):
        raise ValueError(f"The model is a {type(model).__name__.lower()}, not a translator.")
    actual = _direction(model.about)
    if direction is not None and actual != direction:
        raise ValueError(
            f"{path} translates {actual or 'in an unknown direction'}, not {direction}."
        )
    return model


def _direction(about: dict[str, object]) -> str | None:
    direction = DIRECTIONS.get(str(about.get("from_domain")))
    return None if direction is None else direction.lower().replace(" ", "-")


@dataclass(frozen=True)
class Translated:
    """Result of :func:`translate_files`.

    Args:
        files: source -> PNG file with its translation.
        skipped: path -> reason, of the files that could not be read.
    """

    files: dict[Path, Path]
    skipped: dict[Path, str] = field(default_factory=dict)


def translate_files(
    model: Translator,
    images: Iterable[str | Path],
    out: str | Path,
    *,
    batch: int = 8,
    on_progress: Progress | None = None,
) -> Translated:
    """Translate image files, and write each translation as a PNG file.

    Args:
        model: the translator; images are converted as those of its training were.
        images: image files, and folders of images.
        out: folder for the translations. Subfolders of the images are kept.
        batch: largest number of images per batch.
        on_progress: called with (phase, done, total, unit).

    Raises:
        ValueError: a path does not exist, a folder contains no images, or a translation would
            replace one of the images. Nothing has been written then.
    """
    from PIL import Image

    paths, report = find_images(images), on_progress or (lambda *args: None)
    targets = _targets(paths, Path(out))
    device = next(model.parameters()).device
    result = Translated({})
    for rows, pixels, errors in preprocessed_batches(paths, form_of(model), batch):
        report("translating", rows[0] if rows else 0, len(paths), "images")
        result.skipped.update((paths[i], reason_of(e, paths[i])) for i, e in errors.items())
        if not rows:
            continue
        with torch.inference_mode():
            translated = to_bytes(model.eval()(pixels.to(device)).cpu())
        for row, image in zip(rows, translated, strict=True):
            target = targets[row]
            target.parent.mkdir(parents=True, exist_ok=True)
            array = image.permute(1, 2, 0).numpy()
            png = io.BytesIO()
            Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array).save(png, "PNG")
            write_atomically(target, png.getvalue())
            result.files[paths[row]] = target
    report("translating", len(paths), len(paths), "images")
    return result


def _targets(paths: list[Path], out: Path) -> list[Path]:
    """Return the path of each translation within ``out``: with the ending .png, and no path twice.

    Args:
        paths: different image files.
        out: folder for the translations.

    Raises:
        ValueError: a translation would replace one of the images.
    """
    # relative to the common folder of the images or, on several drives, to the drive
    whole = [Path(os.path.abspath(path)) for path in paths]
    folder = common_folder(whole)
    relative = [path.relative_to(path.anchor if folder is None else folder) for path in whole]
    targets = [out / path.with_suffix(".png") for path in relative]
    while len(counts := Counter(targets)) < len(targets):
        targets = [
            out / path.with_name(f"{path.name}.png") if counts[target] > 1 else target
            for path, target in zip(relative, targets, strict=True)
        ]
    sources = {path.resolve() for path in paths}
    for target in targets:
        if target.resolve() in sources:
            raise ValueError(
                f"{target} is one of the images and would be replaced by a translation: choose "
                "another folder for the translations."
            )
    return targets
