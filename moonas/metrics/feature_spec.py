"""Names of feature networks, as text in settings and on the command line. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

EXTRACTORS = ("classifier", "inception")  # networks that need no further description
LIBRARIES = ("torchvision", "timm")
EXPECTED = (
    "classifier, inception, torchvision:NAME, torchvision:NAME=FILE, timm:NAME, timm:NAME=FILE, "
    "package.module:function, file.py:function, or an existing file (TorchScript, or a classifier "
    "that moonas train wrote)"
)


@dataclass(frozen=True)
class FeatureSpec:
    """Description of a feature network.

    Args:
        kind: ``classifier``, ``inception``, ``torchvision``, ``timm``, ``function`` or ``file``.
        name: name of a model of torchvision or timm, name of a function, or empty.
        location: file with weights or with the network, or module of the function; None to use
            the weights that the library downloads.
    """

    kind: str
    name: str = ""
    location: str | None = None


def parse_features(text: str) -> FeatureSpec:
    """Parse the setting ``features``.

    Args:
        text: ``classifier`` or ``inception``; ``torchvision:NAME`` or ``timm:NAME``, a model of
            the library with the weights that it downloads; ``torchvision:NAME=FILE`` or
            ``timm:NAME=FILE``, with weights from a file; ``package.module:function`` or
            ``file.py:function``, a function without arguments that returns a ``torch.nn.Module``;
            or the path of a TorchScript file, or of a ``model.pt`` or its folder.

    Raises:
        ValueError: if the text has another form, or a file does not exist.
    """
    if text in EXTRACTORS:
        return FeatureSpec(text)
    if Path(text).exists():
        return FeatureSpec("file", "", text)
    library, colon, rest = text.partition(":")
    if colon and library in LIBRARIES:
        name, equals, file = rest.partition("=")
        if name and (not equals or Path(file).is_file()):
            return FeatureSpec(library, name, file or None)
        problem = f"{file or 'the name of a file'} is missing" if name else "the name is missing"
        raise ValueError(f"features={text!r} is invalid: {problem}; expected {EXPECTED}.")
    location, colon, name = text.rpartition(":")
    if colon and location and name.isidentifier():
        if location.endswith(".py") and not Path(location).is_file():
            raise ValueError(f"features={text!r} is invalid: {location} does not exist.")
        return FeatureSpec("function", name, location)
    raise ValueError(f"features={text!r} is invalid: expected {EXPECTED}.")
