"""``predict.py``: a script next to an exported classifier that predicts the classes of image files.

The script requires only NumPy, Pillow, and ONNX Runtime or PyTorch. It must prepare an image as
those of the training were prepared, to the last bit, so that its probabilities are those of
``moonas predict``. There, PyTorch resizes in float32, and pixels are rounded to 8 bits. Another
implementation, such as Pillow's, rounds some pixels to the other side, which changes probabilities
by more than 1e-4. Without PyTorch, the script therefore follows PyTorch's arithmetic.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

from ..data.described import describe_form
from ..data.form import LUMA, ImageForm
from ..files import replaceable, write_atomically
from .model import Classifier
from .preprocessing import form_of

NAME = "predict.py"
MARK = "Written by moonas export."  # in scripts that may be replaced
TOP = 5  # classes that the script prints

TEMPLATE = '''"""Print the most probable {labels} of images: python {name} IMAGE ...

{mark} It requires {packages}, and the file
{file} in the same folder.
"""

{standard}import sys
from pathlib import Path

import numpy as np
{libraries}

CLASSES = {classes}
{network}
{resize}

def center(x, side):
    top, left = (x.shape[1] - side) // 2, (x.shape[2] - side) // 2
    return x[:, top : top + side, left : left + side]


def read(path):
    """Return an image as the network expects it, float32 ({channels}, {side}, {side}) in [0, 1].

{words}
    """
    image = ImageOps.exif_transpose(Image.open(path))
    white = {{"F": 1, "I": 65535}}.get(image.mode[0], 255)  # of floats, 16 bits or 8 bits
    x = np.asarray(image.convert("RGB") if white == 255 else image, np.float32)
    low, high = x.min(), x.max()
    if not 0 <= low <= high <= white:
        sys.exit(f"{{path}}: gray values from {{low:g}} to {{high:g}}, expected 0 to {{white}}.")
    x = x / np.float32(white)
    x = np.stack([x] * 3) if x.ndim == 2 else x.transpose(2, 0, 1)
{fit}
    return np.round(x * np.float32(255)).clip(0, 255) / np.float32(255)


if len(sys.argv) < 2:
    sys.exit(__doc__)
{load}
for path in sys.argv[1:]:
    {run}
    {probabilities}
    best = sorted(zip(p.tolist(), CLASSES), reverse=True)[:{top}]
    print(f"{{path}}: " + ", ".join(f"{{name}} {{value:.6f}}" for value, name in best))
'''

NUMPY_RESIZE = '''

def resize_last_axis(x, size):
    """Resize by antialiased linear interpolation, with the float32 arithmetic of PyTorch."""
    f, n = np.float32, x.shape[-1]
    if n == size:
        return x
    scale = f(n) / f(size)
    support = max(scale, f(1))  # the filter is a triangle that ends there, in pixels
    middle = scale * (np.arange(size, dtype=f) + f(0.5))
    first = np.maximum((middle - support + f(0.5)).astype(int), 0)
    length = np.minimum((middle + support + f(0.5)).astype(int), n) - first
    steps = np.arange(length.max())
    offsets = (first[:, None] + steps).astype(f) - middle[:, None] + f(0.5)
    weights = np.maximum(f(0), 1 - np.abs(offsets * (f(1) / support))) * (steps < length[:, None])
    weights = weights / np.cumsum(weights, axis=1, dtype=f)[:, -1:]
    out = np.zeros((*x.shape[:-1], size))
    for i in steps:  # each sum is rounded to float32, each product is not
        out = (out + weights[:, i].astype(float) * x[..., np.minimum(first + i, n - 1)]).astype(f)
    return out


def resize(x, height, width):
    x = resize_last_axis(x, width).swapaxes(1, 2)
    return resize_last_axis(x, height).swapaxes(1, 2)
'''
TORCH_RESIZE = """

def resize(x, height, width):
    x = torch.from_numpy(x.copy())[None]
    x = F.interpolate(x, (height, width), mode="bilinear", antialias=True)
    return x[0].numpy()

"""


def write_predict_script(model: Classifier, path: Path) -> Path:
    """Write the script for an exported file, into the folder of this file.

    Args:
        model: the classifier.
        path: the exported file: ``.onnx``, ``.pt2``, or ``.py`` with the source code of the model.

    Returns:
        Path of the script: ``predict.py``, or ``predict_STEM.py`` if the folder contains another
        file with this name, such as the script for another exported file.
    """
    names = (NAME, f"predict_{path.stem}.py", f"predict_{path.name.replace('.', '_')}.py")
    scripts = [path.with_name(name) for name in names if name != path.name]
    script = replaceable(scripts, (MARK, _network(path.name)))
    write_atomically(script, predict_script(model, path.name, script.name).encode())
    return script


def _network(file: str) -> str:
    return f"NETWORK = Path(__file__).with_name({file!r})"


def predict_script(model: Classifier, file: str, name: str = NAME) -> str:
    """Return the source code of the script, see :func:`write_predict_script`.

    Args:
        model: the classifier.
        file: name of the exported file.
        name: name of the script.
    """
    form = form_of(model)
    run = "logits = network(torch.from_numpy(read(path))[None])[0].detach().numpy()"
    standard, libraries = "", "import torch\nfrom PIL import Image, ImageOps"
    libraries += "\nfrom torch.nn import functional as F"
    if is_onnx := file.endswith(".onnx"):
        libraries = "import onnxruntime\nfrom PIL import Image, ImageOps"
        load = 'session = onnxruntime.InferenceSession(NETWORK, providers=["CPUExecutionProvider"])'
        run = 'logits = session.run(None, {"input": read(path)[None]})[0][0]'
    elif file.endswith(".py"):
        standard, load = "import runpy\n", 'network = runpy.run_path(str(NETWORK))["load"]()'
    else:
        load = "network = torch.export.load(NETWORK).module()"
    multi_label = bool(model.about.get("multi_label", False))
    probabilities = "p = np.exp(logits - logits.max())\n    p /= p.sum()"
    if multi_label:
        probabilities = "p = 1 / (1 + np.exp(-logits))"
    return TEMPLATE.format(
        labels="labels" if multi_label else "classes",
        name=name,
        mark=MARK,
        packages=f"NumPy, Pillow and {'ONNX Runtime' if is_onnx else 'PyTorch'}",
        file=file,
        network=_network(file),
        standard=standard,
        libraries=libraries,
        classes=repr(list(model.classes)),
        resize=NUMPY_RESIZE if is_onnx else TORCH_RESIZE,
        channels=form.channels,
        side=form.side,
        words=textwrap.fill(
            f"The image was prepared in this way for the training: {describe_form(form)}.",
            96,
            initial_indent="    ",
            subsequent_indent="    ",
        ),
        fit="\n".join(f"    {line}" for line in _fitting_lines(form)),
        load=load,
        run=run,
        probabilities=probabilities,
        top=min(TOP, len(model.classes)),
    )


def _fitting_lines(form: ImageForm) -> list[str]:
    """Return the lines that convert pixels (3, h, w) to a form, as :meth:`.ImageForm.fit` does."""
    lines, side = [], form.whole.side  # classifiers have square images
    if form.channels == 1:
        lines.append(f"weights = np.float32({list(LUMA)})[:, None, None]  # of red, green and blue")
        lines.append("x = (x * weights).sum(0, keepdims=True)")
    if form.resize == "squash":
        lines.append(f"x = resize(x, {side}, {side})")
    else:
        nearest = "min" if form.resize == "crop" else "max"
        lines += [
            "height, width = x.shape[1:]",
            f"reference = {nearest}(height, width)",
            f"h, w = max(1, round({side} * height / reference)), "
            f"max(1, round({side} * width / reference))",
            "x = resize(x, h, w)",
        ]
    if form.resize == "pad":
        lines += [
            f"top, left = ({side} - h) // 2, ({side} - w) // 2",
            f"x = np.pad(x, ((0, 0), (top, {side} - h - top), (left, {side} - w - left)))",
        ]
    if form.resize == "crop":
        lines.append(f"x = center(x, {side})")
    if form.side != side:
        lines.append(f"x = center(x, {form.side})")
    return lines
