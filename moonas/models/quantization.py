"""Static int8 quantization of exported classifiers, by ONNX Runtime."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..data import load
from ..data.batches import Images
from ..files import write_atomically
from ..metrics.auroc import auroc_error
from ..metrics.error import count_wrong, error_percent
from ..metrics.features import denormalize
from .model import Model
from .onnx_files import require_onnx
from .prediction import Predictor, load_predictor
from .preprocessing import form_of
from .test_sets import require_classifier

N_CALIBRATION = 256  # training images that determine the ranges of the activations
BATCH = 64


@dataclass(frozen=True)
class Quantized:
    """A quantized ONNX file, compared with the file that it was made from.

    Args:
        path: path of the file.
        n_test: number of test images.
        float_error: error (%) of the original file on the test images; if an image can have several
            labels, 100 minus the mean AUROC.
        error: error (%) of the quantized file.
    """

    path: Path
    n_test: int
    float_error: float
    error: float


def quantize(
    path: str | Path, model: Model, data: str, *, root: str | Path | None = None
) -> Quantized:
    """Quantize the weights and activations of an exported classifier to 8 bits, and test it.

    The ranges of the activations are those of evenly spaced training images.

    Images that cannot be read are left out, with a warning.

    Args:
        path: ONNX file of the model, see :func:`.export.export_file`; the result is written next to
            it, as STEM_int8.onnx.
        model: the classifier.
        data: the data set that it was trained on.
        root: folder of downloaded data sets.

    Raises:
        ValueError: a package is not installed, the model is not a classifier, the data set is
            missing, or it has other classes.
    """
    require_onnx()
    classifier, path = require_classifier("The model", model), Path(path)
    form = form_of(classifier)
    images = load(
        data,
        root=root,
        image_size=form.side,
        image_channels=form.channels,
        resize=form.resize,
        stored_size=form.stored,
        on_bad_image="skip",  # as for the training; a warning names such files
    )
    if images.classes != classifier.classes:
        raise ValueError(
            f"{data} is invalid: the model expects the classes {list(classifier.classes)}, got "
            f"{list(images.classes)}."
        )
    train, test = (
        denormalize(images, part).map(form.center) for part in (images.images, images.test_images)
    )
    rows = torch.linspace(0, len(train) - 1, min(N_CALIBRATION, len(train))).long()
    target = path.with_name(f"{path.stem}_int8.onnx")
    _quantize_file(path, target, (train[part] for part in torch.split(rows, BATCH)))
    errors = [_error(load_predictor(file), test, images.test_labels) for file in (path, target)]
    _record_error(target, "auroc_error" if images.info.multi_label else "error", errors[1])
    return Quantized(target, len(test), *errors)


def _quantize_file(source: Path, target: Path, batches: Iterator[Tensor]) -> None:
    """Write the quantized version of an ONNX file, calibrated by batches of its inputs."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def get_next(self) -> dict[str, object] | None:
            pixels = next(batches, None)
            return None if pixels is None else {"input": pixels.numpy()}

    with tempfile.TemporaryDirectory() as folder:
        prepared, quantized = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            quantized,
            Reader(),
            op_types_to_quantize=["Conv", "Gemm", "MatMul"],  # almost all multiply-adds
            per_channel=True,  # a range per filter
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        proto = onnx.load(quantized)
    known = {entry.key for entry in proto.metadata_props} | {"scores"}  # those of the source
    for entry in onnx.load(source).metadata_props:
        if entry.key not in known:
            proto.metadata_props.add(key=entry.key, value=entry.value)
    write_atomically(target, proto.SerializeToString())


def _record_error(path: Path, name: str, error: float) -> None:
    """Add the error on the test images to the metadata of an ONNX file."""
    import onnx

    proto = onnx.load(path)
    proto.metadata_props.add(key="scores", value=json.dumps({name: error}))
    write_atomically(path, proto.SerializeToString())


@torch.inference_mode()
def _error(predictor: Predictor, images: Images, labels: Tensor) -> float:
    """Return the error of a file in percent, see :class:`Quantized`."""
    if labels.ndim > 1:
        return float(auroc_error(predictor.logits, images, labels, BATCH))
    wrong, finite = count_wrong(predictor.logits, images, labels, BATCH)
    return float(error_percent(int(wrong), len(labels))) if bool(finite) else 100.0
