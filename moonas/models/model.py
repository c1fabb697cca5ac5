"""Model files: trained networks with a description, which are read without running their code.

A :class:`Model` normalizes its inputs itself: inputs are pixels in [0, 1] or latent vectors, so the
model can be used without knowledge of how it was trained. ``model.preprocess`` converts images of
any size to such pixels, and ``model.predict`` of a classifier predicts their classes.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .. import registry
from ..files.tensors import read_tensors, unreadable_file_error, write_tensors

if TYPE_CHECKING:
    from ..run.callbacks import Progress
    from .prediction import Predictions
    from .preprocessing import Preprocess

MODEL = "model.pt"  # default name of a model file
DISCRIMINATOR = "discriminator"  # key in the description, and prefix of tensor names
CONTENT = "a moonas model"  # expected content of a file, for error messages
LARGEST_PIXEL = 2.0  # larger ones are not in [0, 1], whatever noise was added to an image


class Model(nn.Module):
    """A trained network that transforms its inputs and outputs.

    Args:
        network: the network.
        about: description of the model, see :func:`write_model`.
    """

    def __init__(self, network: nn.Module, about: dict[str, Any]) -> None:
        super().__init__()
        self.network, self.about = network, about
        if len(self.input_shape) == 3:  # images
            self.register_forward_pre_hook(_notice_other_range)

    @property
    def preprocess(self) -> Preprocess:
        """A torchvision transform from images of any size to inputs; its repr lists the steps.

        Raises:
            ValueError: the inputs of the model are not images.
        """
        from .preprocessing import Preprocess, form_of

        return Preprocess(form_of(self))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input: (channels, side, side) of an image, or (n,) of a latent vector."""
        return tuple(self.about["input_shape"])

    def example(self, n: int = 2, size: tuple[int, int] | None = None) -> Tensor:
        """Return n random inputs, (n, *input_shape); each call returns the same inputs.

        Args:
            n: number of inputs.
            size: (height, width) of images, instead of the size in ``input_shape``.
        """
        rng = torch.Generator().manual_seed(0)
        sample = torch.randn if len(self.input_shape) == 1 else torch.rand
        shape = self.input_shape if size is None else (self.input_shape[0], *size)
        return sample(n, *shape, generator=rng)


class Classifier(Model):
    """An image classifier, which normalizes its inputs.

    Args:
        network: the network, whose inputs are normalized images.
        about: description of the model, see :func:`write_model`.

    Attributes:
        classes: names of the classes, in the order of the logits.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, about: dict[str, Any]) -> None:
        super().__init__(network, about)
        self.classes: tuple[str, ...] = tuple(about["classes"])
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(about[name]).reshape(1, -1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Compute (b, n_classes) logits from (b, channels, side, side) pixels in [0, 1]."""
        logits: Tensor = self.network((pixels - self.mean) / self.std)
        return logits

    def predict(
        self,
        images: Any,
        *,
        batch: int = 64,
        on_bad_image: str = "stop",
        on_progress: Progress | None = None,
    ) -> Predictions:
        """Predict the classes of images of any size, in evaluation mode.

        Args:
            images: one image or a list of images: paths of files and folders; PIL images; NumPy
                arrays (h, w), (h, w, c) or (n, h, w, c); or tensors (c, h, w) or (n, c, h, w).
                Arrays and tensors have 1 or 3 channels, and are uint8 from 0 to 255 or floats in
                [0, 1]. :attr:`preprocess` converts them.
            batch: largest number of images per batch.
            on_bad_image: "stop" raises an error if files cannot be read as images; "skip" leaves
                them out, see :attr:`.Predictions.skipped`.
            on_progress: called with (phase, done, total, unit).

        Returns:
            The probabilities of all classes, in the order of the images.

        Raises:
            ValueError: a path does not exist, a file cannot be read, or an array or a tensor has
                another shape, type or range.
        """
        from .prediction import predictor_of

        return predictor_of(self).predict(
            images, batch=batch, on_bad_image=on_bad_image, on_progress=on_progress
        )


class Generator(Model):
    """An image generator."""

    def forward(self, latents: Tensor) -> Tensor:
        """Generate (b, channels, side, side) pixels in [0, 1].

        Args:
            latents: (b, n) samples of a standard normal distribution.
        """
        pixels: Tensor = (self.network(latents) + 1) / 2
        return pixels


class Translator(Model):
    """A translator of images from one domain to another."""

    def forward(self, pixels: Tensor) -> Tensor:
        """Translate (b, channels, side, side) pixels in [0, 1] to pixels in [0, 1]."""
        translated: Tensor = (self.network(2 * pixels - 1) + 1) / 2
        return translated


def _notice_other_range(model: nn.Module, inputs: tuple[Any, ...]) -> None:
    """Warn if pixels are obviously not in [0, 1], before a model computes something from them.

    On a GPU, where this waits for the pixels, only the first batch of a model is looked at.
    Exported programs do not contain this check.

    Raises:
        ValueError: the pixels are integers.
    """
    pixels = inputs[0] if inputs else None
    if type(pixels) is not Tensor or torch.compiler.is_compiling():
        return
    if not pixels.is_floating_point():
        kind = str(pixels.dtype).removeprefix("torch.")
        raise ValueError(
            f"Pixels of type {kind} are invalid: the model expects floats in [0, 1]. Divide them "
            "by 255, or pass the images to model.predict."
        )
    if pixels.device.type != "cpu":
        if getattr(model, "_has_seen_pixels", False):
            return
        model._has_seen_pixels = True  # type: ignore[assignment]  # an attribute, not a module
    try:
        high = float(pixels.detach().max()) if pixels.numel() else 0.0
    except RuntimeError:  # within a transformation such as vmap, pixels have no values
        return
    if high > LARGEST_PIXEL:
        warnings.warn(
            f"The model expects pixels in [0, 1] and got pixels up to {high:.3g}, so its output is "
            "meaningless. Divide them by the value of white, such as 255, or pass the images to "
            "model.predict.",
            stacklevel=4,
        )


MODEL_CLASSES: dict[str, type[Model]] = {
    "classifier": Classifier,
    "generator": Generator,
    "translator": Translator,
}


def write_model(
    path: Path,
    network: nn.Module,
    about: dict[str, Any],
    discriminator: nn.Module | None = None,
) -> None:
    """Write a model file atomically, in the format of :mod:`moonas.files.tensors`.

    Args:
        path: path of the file.
        network: the network; ``build_network(about)`` in the problem's training module must be able
            to build it again.
        about: description of the model, serializable as JSON: ``kind``, a key of ``MODEL_CLASSES``;
            ``problem``, the name of the problem; ``input_shape``; for a classifier the lists
            ``classes``, ``mean`` and ``std``; and further keys that ``build_network`` requires.
        discriminator: the discriminator that a generator was trained against, or None. Its tensors
            are stored with the prefix "discriminator."; ``about["discriminator"]`` must describe
            its architecture. :func:`load_model` ignores both.
    """
    tensors = dict(network.state_dict())
    if discriminator is not None:
        weights = discriminator.state_dict()
        tensors |= {f"{DISCRIMINATOR}.{name}": t for name, t in weights.items()}
    write_tensors(path, tensors, about)


def read_model(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Tensor]]:
    """Read the content of a model file, see :func:`write_model`.

    Args:
        path: path of the file.

    Returns:
        (about, tensors of the network, tensors of the discriminator). The last is empty unless
        ``about`` has the key "discriminator".

    Raises:
        ValueError: if the file is missing, damaged, or not a file of tensors.
    """
    about, tensors = read_tensors(path, content=CONTENT)
    if "in_words" in about:  # name of the key in earlier versions
        about["description"] = about.pop("in_words")
    prefix = f"{DISCRIMINATOR}." if DISCRIMINATOR in about else None
    network, discriminator = {}, {}
    for name, tensor in tensors.items():
        if prefix and name.startswith(prefix):
            discriminator[name.removeprefix(prefix)] = tensor
        else:
            network[name] = tensor
    return about, network, discriminator


def model_files(path: str | Path) -> list[Path]:
    """Return the model files of a path: itself, or those in a folder or in its trainings."""
    path = Path(path)
    if not path.is_dir():
        return [path]
    return sorted(path.glob("model*.pt")) or sorted(path.glob("training*/model*.pt"))


def find_model(path: str | Path) -> Path:
    """Return the path of a model file.

    Args:
        path: a model file, the folder that contains it, or the folder of a run with one training.

    Raises:
        ValueError: if the folder contains no model file, or several model files.
    """
    files = model_files(path)
    if len(files) != 1:
        names = [str(p.relative_to(path)) for p in files] or "none"
        raise ValueError(
            f"{path} is invalid: expected a folder with one model file ({MODEL}) or one training, "
            f"got {names}. Pass the path of a file that moonas train has written."
        )
    return files[0]


def load_model(path: str | Path) -> Model:
    """Load a model that ``moonas train`` has written.

    Args:
        path: a model file, the folder that contains it, or the folder of a run with one training.

    Returns:
        A :class:`Classifier`, a :class:`Generator` or a :class:`Translator`: a ``torch.nn.Module``
        on the CPU in evaluation mode.

    Raises:
        ValueError: if the file is missing, damaged, or not a model file.
    """
    path = find_model(path)
    about, tensors, _ = read_model(path)
    try:
        cls = MODEL_CLASSES[about["kind"]]
        network = registry.training_module(about["problem"]).build_network(about)
        network.load_state_dict(tensors)
        model = cls(network, about)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise unreadable_file_error(path, CONTENT, error) from None
    return model.eval()
