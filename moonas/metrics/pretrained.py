"""Feature networks from files, from torchvision and timm, and modules of your own."""

from __future__ import annotations

import hashlib
import importlib
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moonas.errors import reason
from moonas.nets.from_function import network_from_function

from .extractor import Extractor, frozen, weights_digest

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
AUXILIARY = ("inception_v3", "googlenet")  # torchvision's networks with auxiliary classifiers
N_EXAMPLES = 2  # images of the pass that checks a network


class Prepared(nn.Module):
    """A network behind the preparation that its images need.

    The channel of grayscale images is repeated if the network needs three channels. Images are
    resized bilinearly, with antialiasing, and then normalized.

    Args:
        net: images (b, c, side, side) -> features (b, d), or features and logits.
        channels: number of channels that the network needs; None for the channels of the images.
        side: side length that the network needs; None for the size of the images.
        mean: mean of the pixels, for the normalization.
        std: standard deviation of the pixels, for the normalization.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        net: nn.Module,
        channels: int | None = None,
        side: int | None = None,
        mean: Sequence[float] = (0.0,),
        std: Sequence[float] = (1.0,),
    ) -> None:
        super().__init__()
        self.net, self.channels, self.side = net, channels, side
        for name, values in (("mean", mean), ("std", std)):
            tensor = torch.tensor(list(values)).reshape(1, -1, 1, 1)
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, images: Tensor) -> Any:
        """Map images (b, c, h, w), pixels in [0, 1], to the output of the network."""
        if self.channels is not None and images.shape[1] == 1:
            images = images.expand(-1, self.channels, -1, -1)
        if self.side is not None and images.shape[2:] != (self.side, self.side):
            size = (self.side, self.side)
            images = F.interpolate(images, size, mode="bilinear", antialias=True).clamp(0, 1)
        return self.net((images - self.mean) / self.std)


class WithHead(nn.Module):
    """A network whose last layer is applied separately, so that its inputs are available.

    Args:
        body: images -> features (b, d).
        head: features -> logits (b, n_classes).
    """

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, head

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (b, c, h, w) to features and logits."""
        features = self.body(images)
        return features, self.head(features)


class LogitsAsFeatures(nn.Module):
    """A classifier whose logits are also its features."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (b, c, h, w) to logits, twice."""
        logits = self.net(images)
        return logits, logits


@torch.inference_mode()
def split_head(net: nn.Module, example: Tensor) -> nn.Module:
    """Return a network that computes the features before the last linear layer, and the logits.

    If the last linear layer of a classifier is not the last step of its computation, its logits
    also serve as features.

    Args:
        net: classifier, images -> logits (b, n_classes); its last linear layer is replaced.
        example: images for one forward pass.

    Returns:
        A network images -> features (b, d) and logits (b, n_classes).
    """
    net.eval()
    logits = net(example)
    name = last_linear(net)
    if name is None:
        return LogitsAsFeatures(net)
    parent_name, _, child = name.rpartition(".")
    parent = net.get_submodule(parent_name)
    head = getattr(parent, child)
    setattr(parent, child, nn.Identity())
    features = net(example)
    if (
        features.ndim == 2
        and features.shape[1] == head.in_features
        and torch.allclose(head(features), logits, rtol=1e-4, atol=1e-5)
    ):
        return WithHead(net, head)
    setattr(parent, child, head)
    return LogitsAsFeatures(net)


def last_linear(net: nn.Module) -> str | None:
    """Return the name of the last linear layer of a network, or None."""
    names = [name for name, module in net.named_modules() if isinstance(module, nn.Linear)]
    return names[-1] if names else None


def module_extractor(
    net: nn.Module,
    name: str,
    image_shape: Sequence[int],
    device: torch.device | str,
    *,
    fingerprint: str | None = None,
    has_logits: bool | None = None,
) -> Extractor:
    """Return an extractor with any module, after one forward pass that checks it.

    The network is moved to the device, and set to evaluation mode.

    Args:
        net: module that maps images (b, c, h, w), pixels in [0, 1], to features (b, d), or to a
            tuple of features and logits (b, n_classes). It resizes and normalizes images itself. If
            it fails for images of one channel, the channel is repeated three times.
        name: name of the network, which is the unit of scores.
        image_shape: shape (c, h, w) of the images.
        device: device to extract features on.
        fingerprint: fingerprint of the network; by default, the digest of its name and weights.
        has_logits: whether logits are used if the network returns them; by default, they are.

    Raises:
        ValueError: if the network fails or returns something else.
    """
    net = frozen(net, device)
    digest = fingerprint or weights_digest(net, name)
    c, h, w = image_shape
    example = torch.rand(N_EXAMPLES, c, h, w, generator=torch.Generator().manual_seed(0)).to(device)
    try:
        outputs = _outputs(net, example)
    except Exception as error:  # a module can raise anything
        try:
            if c != 1:
                raise
            net = Prepared(net, channels=3)
            outputs = _outputs(net, example)
        except Exception:
            raise ValueError(
                f"The feature network {name} failed for images of shape {tuple(image_shape)}: "
                f"{reason(error)}"
            ) from None
    features, logits = outputs if isinstance(outputs, tuple) else (outputs, None)
    for part, kind, least in ((features, "features", 1), (logits, "logits", 2)):
        if part is None and kind == "logits":
            continue
        shape = tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__
        valid = isinstance(part, Tensor) and part.ndim == 2 and len(part) == N_EXAMPLES
        if not valid or part.shape[1] < least:
            raise ValueError(
                f"The feature network {name} returned {kind} of shape {shape} for {N_EXAMPLES} "
                f"images; expected a tensor ({N_EXAMPLES}, n) with n >= {least}. A network returns "
                "features, or a tuple of features and logits."
            )
    if has_logits is None:
        has_logits = logits is not None
    return Extractor(name, digest, net, device, has_logits)


@torch.inference_mode()
def _outputs(net: nn.Module, example: Tensor) -> Any:
    outputs = net(example)
    if isinstance(outputs, list | tuple):
        if len(outputs) != 2:
            raise ValueError(f"it returned {len(outputs)} outputs; expected features and logits.")
        outputs = tuple(outputs)
    return outputs


def function_extractor(
    location: str, function: str, image_shape: Sequence[int], device: torch.device | str
) -> Extractor:
    """Return an extractor with the module that a function returns, see :func:`module_extractor`.

    Args:
        location: module that contains the function, or path of a Python file.
        function: name of a function without arguments that returns a ``torch.nn.Module``.
        image_shape: shape (c, h, w) of the images.
        device: device to extract features on.

    Raises:
        ValueError: if the function does not exist, fails, or does not return a module.
    """
    net = network_from_function("features", f"{location}:{function}")
    return module_extractor(net, function, image_shape, device)


def file_extractor(
    path: str | Path, image_shape: Sequence[int], device: torch.device | str
) -> Extractor:
    """Return an extractor with a TorchScript file, or with a classifier of ``moonas train``.

    A TorchScript file is a module for :func:`module_extractor`; its name is the name of the file.
    The features of a classifier are the inputs of its last linear layer if it ends with one, and
    otherwise its logits; images are resized to the size that it was trained with, and the channel
    of grayscale images is repeated if it was trained with three. Its name is that of its data set
    and its problem, such as ``cifar10 nsganet classifier``.

    Args:
        path: TorchScript file, ``model.pt``, or the folder that contains it.
        image_shape: shape (c, h, w) of the images.
        device: device to extract features on.

    Raises:
        ValueError: if the file contains something else, or the network needs other images.
    """
    path = Path(path)
    if path.is_file() and _is_torchscript(path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch prefers torch.export
            try:
                net = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
            except Exception as error:  # torch raises many exceptions for damaged files
                raise ValueError(
                    f"{path} is not a readable TorchScript file: {reason(error)}"
                ) from None
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return module_extractor(net, path.name, image_shape, device, fingerprint=digest)
    return _model_extractor(path, image_shape, device)


def _is_torchscript(path: Path) -> bool:
    """Return whether a file is a ZIP archive with code, which other files of torch lack."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def _model_extractor(
    path: Path, image_shape: Sequence[int], device: torch.device | str
) -> Extractor:
    from ..models.model import Classifier, load_model

    try:
        model = load_model(path)
    except ValueError as error:
        raise ValueError(
            f"features={str(path)!r} is invalid: expected a TorchScript file, or a classifier that "
            f"moonas train wrote. {error}"
        ) from None
    if not isinstance(model, Classifier):
        raise ValueError(
            f"features={str(path)!r} is invalid: expected a classifier, and the file contains a "
            f"{type(model).__name__.lower()}."
        )
    channels, side, _ = model.input_shape
    if image_shape[0] not in (1, channels):
        raise ValueError(
            f"features={str(path)!r} is invalid: its network needs images with {channels} channel, "
            f"and the images have {image_shape[0]}."
        )
    name = f"{Path(model.about.get('data', 'moonas')).name} {model.about['problem']} classifier"
    net = Prepared(split_head(model, model.example()), channels, side)
    many_labels = bool(model.about.get("multi_label"))
    has_logits = False if many_labels else None
    return module_extractor(net, name, image_shape, device, has_logits=has_logits)


def torchvision_extractor(
    name: str, file: str | None, image_shape: Sequence[int], device: torch.device | str
) -> Extractor:
    """Return an extractor with a classification network of torchvision.

    The features are the inputs of the last linear layer, or the logits if the network does not end
    with one. Images are resized to the side length of torchvision's evaluation of the default
    weights, without cropping, and normalized in the same way.

    Args:
        name: name of the network, such as ``resnet50``.
        file: file with a state dict; None to use torchvision's default weights, which are
            downloaded if they are missing. The number of classes is that of the file.
        image_shape: shape (c, h, w) of the images.
        device: device to extract features on.

    Raises:
        ValueError: if the name is unknown, or the weights cannot be read or downloaded.
    """
    from torchvision import models

    unit = library_name("torchvision", name, file)
    weights = models.get_model_weights(name).DEFAULT
    transforms = weights.transforms()
    options: dict[str, Any] = {}
    if name in AUXILIARY:
        options = dict(aux_logits=True, transform_input=True, init_weights=False)
    try:
        if file is None:
            net: nn.Module = models.get_model(name, weights=weights)
        else:
            state = read_state(file)
            net = models.get_model(name, weights=None, **options)
            head = last_linear(net)
            n_classes = len(state.get(f"{head}.weight", range(1000)))
            if n_classes != 1000:
                net = models.get_model(name, weights=None, num_classes=n_classes, **options)
            net.load_state_dict(state)
    except OSError as error:  # includes urllib's errors
        raise ValueError(_no_weights("torchvision", name, file, error)) from None
    except Exception as error:  # for other kinds of files, torch raises various exceptions
        raise ValueError(_wrong_weights("torchvision", name, file, error)) from None
    side = int(transforms.crop_size[0])
    example = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    prepared = Prepared(split_head(net, example), 3, side, transforms.mean, transforms.std)
    return _library_extractor(unit, prepared, image_shape, device)


def timm_extractor(
    name: str, file: str | None, image_shape: Sequence[int], device: torch.device | str
) -> Extractor:
    """Return an extractor with a network of timm, PyTorch Image Models.

    The features are the inputs of the classifier, after pooling. Images are resized to the size of
    the network's configuration, without cropping, and normalized as the configuration says. A
    network without a classifier, such as DINOv2, has no logits.

    Args:
        name: name of the network, such as ``vit_small_patch14_dinov2.lvd142m``.
        file: file with weights; None to use the pretrained weights, which are downloaded if they
            are missing.
        image_shape: shape (c, h, w) of the images.
        device: device to extract features on.

    Raises:
        ValueError: if timm is not installed, the name is unknown, or the weights cannot be read or
            downloaded.
    """
    unit = library_name("timm", name, file)
    timm = _import_timm(name)
    try:
        if file is None:
            net = timm.create_model(name, pretrained=True)
        else:
            net = timm.create_model(name, pretrained=False, checkpoint_path=file)
    except OSError as error:  # includes errors of the download
        raise ValueError(_no_weights("timm", name, file, error)) from None
    except Exception as error:  # for other kinds of files, timm raises various exceptions
        raise ValueError(_wrong_weights("timm", name, file, error)) from None
    config = timm.data.resolve_model_data_config(net)
    channels, side, _ = config["input_size"]
    head = net.get_classifier()
    if net.num_classes and not isinstance(head, nn.Linear):
        raise ValueError(
            f"features='timm:{name}' is invalid: expected a network with one linear layer as its "
            f"classifier, or without a classifier; the classifier is a {type(head).__name__}."
        )
    split: nn.Module = TimmFeatures(net, head if net.num_classes else None)
    prepared = Prepared(split, channels, side, config["mean"], config["std"])
    return _library_extractor(unit, prepared, image_shape, device)


class TimmFeatures(nn.Module):
    """A network of timm that returns the inputs of its classifier.

    Args:
        net: network of timm.
        head: its classifier; None if it has none.
    """

    def __init__(self, net: Any, head: nn.Module | None) -> None:
        super().__init__()
        self.net, self.head = net, head

    def forward(self, images: Tensor) -> Any:
        """Map images (b, c, h, w) to features, and to logits if there is a classifier."""
        features = self.net.forward_head(self.net.forward_features(images), pre_logits=True)
        return features if self.head is None else (features, self.head(features))


def library_name(library: str, name: str, file: str | None) -> str:
    """Return the name of a network of torchvision or timm, which is the unit of scores.

    Args:
        library: ``torchvision`` or ``timm``.
        name: name of the network in the library.
        file: file with its weights, or None for the weights of the library.

    Raises:
        ValueError: if the library has no such network, or is not installed.
    """
    if library == "timm":
        timm = _import_timm(name)
        if not timm.is_model(name.partition(".")[0]):
            raise ValueError(
                f"features='timm:{name}' is invalid: timm {timm.__version__} has no network of "
                "this name. timm.list_models() lists the names."
            )
    else:
        from torchvision import models

        known = models.list_models(module=models)
        if name not in known:
            raise ValueError(
                f"features='torchvision:{name}' is invalid: expected one of torchvision's "
                f"classifiers, {', '.join(known)}."
            )
    return f"{library}:{name}" + (f" ({Path(file).name})" if file else "")


def timm_has_logits(name: str) -> bool:
    """Return whether the pretrained network of timm with this name has a classifier."""
    config = _import_timm(name).get_pretrained_cfg(name)
    return config is None or config.num_classes > 0


def _import_timm(name: str) -> Any:
    try:
        return importlib.import_module("timm")
    except ImportError:
        raise ValueError(
            f"features='timm:{name}' requires the package timm: pip install 'moonas[timm]', or pip "
            "install timm."
        ) from None


def _library_extractor(
    name: str, net: Prepared, image_shape: Sequence[int], device: torch.device | str
) -> Extractor:
    if image_shape[0] not in (1, net.channels):
        raise ValueError(
            f"features='{name}' is invalid: the network needs images with {net.channels} channels, "
            f"and the images have {image_shape[0]}."
        )
    return module_extractor(net, name, image_shape, device)


def read_state(file: str | Path) -> Mapping[str, Tensor]:
    """Read a state dict, also from a checkpoint with the key ``state_dict`` or ``model``."""
    state: Any = torch.load(file, map_location="cpu", weights_only=True)
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict):
        raise ValueError(f"expected a state dict, got a {type(state).__name__}.")
    return {str(name).removeprefix("module."): tensor for name, tensor in state.items()}


def _no_weights(library: str, name: str, file: str | None, error: BaseException) -> str:
    if file is not None:
        return f"{file} cannot be read: {error}."
    return (
        f"The weights of {library}'s {name} cannot be downloaded: {reason(error)}. Download them "
        f"elsewhere and set features='{library}:{name}=FILE', or use features='classifier', which "
        "requires none."
    )


def _wrong_weights(library: str, name: str, file: str | None, error: BaseException) -> str:
    if file is not None:
        return f"{file} does not contain the weights of {library}'s {name}: {reason(error)}"
    return (
        f"The weights of {library}'s {name} cannot be loaded: {reason(error)} Set "
        f"features='{library}:{name}=FILE' to use a file."
    )
