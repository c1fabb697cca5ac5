import copy
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import FORMS, write_pictures, write_small_classifier
from PIL import Image
from torchvision.transforms import v2

import moonas
from moonas.data.batches import Images
from moonas.data.form import ImageForm
from moonas.data.holding import hold_files
from moonas.models.preprocessing import Preprocess


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def model(tmp_path):
    return moonas.load_model(write_small_classifier(tmp_path / "model.pt"))


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_transform_returns_the_pixels_that_the_data_layer_reads(form, pictures):
    read = Images(hold_files(pictures, form), form.center).tensor()
    preprocess = Preprocess(form)
    for path, expected in zip(pictures, read, strict=True):
        with Image.open(path) as image:
            actual = preprocess(image)
        assert actual.dtype == torch.float32 and torch.equal(actual, expected), path.name


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_tensors_of_bytes_and_of_floats_are_treated_as_the_image_that_they_contain(form, pictures):
    with Image.open(next(p for p in pictures if p.name == "alpha.png")) as image:
        rgb = image.convert("RGB")
    preprocess, pixels = Preprocess(form), v2.functional.pil_to_tensor(rgb)
    expected = preprocess(rgb)
    assert torch.equal(preprocess(pixels), expected)
    assert torch.equal(preprocess(pixels.float() / 255), expected)
    assert torch.equal(preprocess(pixels.expand(2, 5, 3, 32, 64))[1, 3], expected)


def test_floats_of_the_right_size_are_not_rounded():
    pixels = torch.rand(2, 3, 16, 16)
    assert torch.equal(Preprocess(ImageForm(16))(pixels), pixels)


def test_the_transform_can_be_composed_copied_and_used_by_loaders(model, pictures):
    composed = v2.Compose([model.preprocess, v2.Lambda(lambda pixels: 1 - pixels)])
    with Image.open(pictures[0]) as image:
        expected = model.preprocess(image)
        assert torch.equal(composed(image), 1 - expected)
        for twin in (copy.deepcopy(model.preprocess), pickle.loads(pickle.dumps(model.preprocess))):
            assert torch.equal(twin(image), expected)


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (
            ImageForm(32),
            "converts to RGB, resizes the shorter side to 32 pixels, keeps the center of 32x32, "
            "scales pixels to [0, 1]",
        ),
        (
            ImageForm(224, 3, "crop", 256),
            "converts to RGB, resizes the shorter side to 256 pixels, keeps the center of 224x224, "
            "scales pixels to [0, 1]",
        ),
        (
            ImageForm(28, 1, "pad", 30),
            "converts to gray, resizes the longer side to 30 pixels, adds black edges up to 30x30, "
            "keeps the center of 28x28, scales pixels to [0, 1]",
        ),
        (
            ImageForm(8, 3, "squash"),
            "converts to RGB, resizes to 8x8 pixels whatever the proportions, scales pixels to "
            "[0, 1]",
        ),
    ],
)
def test_the_transform_is_printed_in_words(form, words):
    assert repr(Preprocess(form)) == f"Preprocess({words})"


def test_a_model_has_the_preprocessing_that_its_file_records(tmp_path):
    path = write_small_classifier(
        tmp_path / "model.pt", channels=1, side=12, resize="pad", stored_size=14
    )
    assert moonas.load_model(path).preprocess.form == ImageForm(12, 1, "pad", 14)
    path = write_small_classifier(tmp_path / "old.pt")  # earlier versions squashed all images
    assert moonas.load_model(path).preprocess.form == ImageForm(16, 3, "squash")


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (torch.full((3, 4, 4), 255.0), "from 255 to 255 are invalid: expected [0, 1]. Divide them"),
        (torch.full((3, 4, 4), 16.0), "Divide them by the value of white"),
        (torch.full((3, 4, 4), -1.5), "before any normalization"),
        (torch.full((3, 4, 4), torch.nan), "not numbers"),
        (torch.zeros(3, 4, 4, dtype=torch.int64), "type int64 are invalid: expected uint8"),
        (torch.zeros(4, 4), "(4, 4) is invalid: expected images (c, h, w)"),
        (torch.zeros(4, 4, 3), "(4, 4, 3) is invalid: expected images (c, h, w)"),
        (torch.zeros(3, 0, 4), "(3, 0, 4) is invalid"),
    ],
)
def test_pixels_of_another_range_type_or_shape_are_rejected(pixels, message):
    with pytest.raises(ValueError) as error:
        Preprocess(ImageForm(4))(pixels)
    assert message in str(error.value)


@pytest.mark.parametrize("image", [np.zeros((8, 8, 3), np.uint8), "x.jpg", Path("x.jpg"), None])
def test_anything_but_images_and_tensors_is_rejected(image):
    preprocess, kind = Preprocess(ImageForm(4)), type(image).__name__
    for inputs in ([image], [image, "a label"]):
        with pytest.raises(ValueError, match=f"{kind}.* is invalid: expected a PIL image or a te"):
            preprocess(*inputs)
    pixels, label = preprocess(Image.new("RGB", (8, 8)), "a label")
    assert pixels.shape == (3, 4, 4) and label == "a label"


def test_a_model_warns_of_pixels_that_are_not_in_0_to_1(model):
    pixels = torch.rand(2, 3, 16, 16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(pixels)
        model(pixels + 0.5 * torch.rand(2, 3, 16, 16))  # noise may leave the range
        torch.func.vmap(model)(pixels[None])
        assert model(pixels[:0]).shape == (0, 4)
    with pytest.warns(UserWarning, match="expects pixels in \\[0, 1\\] and got pixels up to 2"):
        model(255 * pixels)
    with pytest.raises(ValueError, match="type uint8 are invalid: the model expects floats"):
        model((255 * pixels).to(torch.uint8))


def test_exported_programs_contain_no_check_of_the_range(model):
    inputs = (torch.rand(2, 3, 16, 16),)
    program = torch.export.export(model, inputs)
    strict = torch.export.export(model, inputs, strict=True)
    names = {str(node.target) for p in (program, strict) for node in p.graph.nodes}
    assert not [name for name in names if "max.default" in name or "item" in name]
    large = np.float32(255) * inputs[0]
    with pytest.warns(UserWarning, match="expects pixels"):
        expected = model(large)
    assert torch.allclose(program.module()(large), expected, rtol=1e-4)


def test_a_generator_has_no_preprocessing(tmp_path):
    from moonas.models.model import Generator

    model = Generator(torch.nn.Identity(), {"input_shape": [5]})
    with pytest.raises(ValueError, match="generator has no preprocessing: its inputs are latent"):
        _ = model.preprocess
