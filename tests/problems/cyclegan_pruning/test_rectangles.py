"""Images that are not square, from the folder to the exported generators."""

import json

import pytest
import torch
from cyclegans import PRUNING, SMALL, write_domains
from moonas.problems.cyclegan_pruning.drawing import size_table
from moonas.problems.cyclegan_pruning.networks import n_patches
from moonas.problems.cyclegan_pruning.training import CycleGAN, Recipe, Training
from moonas.problems.cyclegan_pruning.weights_file import read_gan, read_models

import moonas
from moonas.models.export import export

SIZE = dict(image_size=8, image_width=16)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Folder with random images of unequal sizes."""
    folder = tmp_path_factory.mktemp("photos") / "photos"
    return write_domains(folder, sizes=[(20, 30), (11, 40), (40, 9)])


def macs_of_a_generator(width, blocks, pixels):
    """Return the multiply-adds of a generator for images of so many pixels, in closed form."""
    ends = 2 * 49 * 3 * width * pixels
    down = 9 * width * 2 * width * pixels // 4 + 9 * 2 * width * 4 * width * pixels // 16
    up = 9 * 4 * width * 2 * width * pixels // 16 + 9 * 2 * width * width * pixels // 4
    return ends + down + 2 * blocks * 9 * (4 * width) ** 2 * pixels // 16 + up


def test_costs_and_bounds_count_the_pixels_of_a_rectangle(photos):
    problem = moonas.load_problem(
        "cyclegan-pruning", **PRUNING | SIZE, data=photos, pretrain_epochs=1, norm="sum"
    )
    assert problem.info.shape == (3, 8, 16)
    assert problem.costs.total[2] == macs_of_a_generator(2, 1, 8 * 16)
    # d_layers=1: strides 2, 1 and 1 with kernels of 4 and padding 1 turn 8x16 into 4x8, 3x7, 2x6
    assert problem.n_patches == n_patches(2, 1, (8, 16)) == 2 * 6
    assert problem.max_cycle == 4 * 3 * 8 * 16
    assert problem.max_loss == 12 + 10 * 3 * 8 * 16
    with pytest.raises(ValueError, match="images of 16x8 pixels are too small"):
        n_patches(2, 4, (8, 16))
    # reflection padding adds 3 pixels on each side of an image, and 1 in residual blocks
    sizes = {part.key.split()[-1]: part.shape[1:] for part in problem.operations()}
    expected = [(14, 22), (8, 16), (4, 8), (4, 6), (2, 4)]
    assert sizes == {f"{h}x{w}": (h, w) for h, w in expected}


def test_a_table_of_sizes_names_the_width_before_the_height():
    sizes = {"a": {"memory_mb": 1.0, "macs": 1e6, "cpu_ms": 1.0}}
    assert size_table(sizes, sizes, (12, 24))[0].startswith("24x12 pixels ")


@pytest.mark.parametrize("flip", [False, True])
def test_training_crops_rectangles_of_random_positions(flip):
    gan = CycleGAN(width=2, blocks=1, d_width=2, d_layers=1)
    images = torch.arange(60, dtype=torch.uint8).reshape(1, 1, 6, 10).expand(1, 3, 6, 10)
    recipe = Recipe(1, 1e-3, 0.5, 0.999, 10, 5, 0, flip)
    training = Training(gan, {"a": images, "b": images}, (4, 8), recipe, 1, "test")
    seen = set()
    for _ in range(200):
        crop = ((training._changed(images)[0, 0] + 1) * 127.5).round()
        crop = crop.flip(-1) if crop[0, 0] > crop[0, -1] else crop
        first = int(crop[0, 0])
        assert torch.equal(crop, images[0, 0, first // 10 :, first % 10 :][:4, :8].float())
        seen.add((first // 10, first % 10))
    assert seen == {(y, x) for y in range(3) for x in range(3)}


def test_a_search_and_its_training_use_rectangles_throughout(photos, tmp_path):
    options = PRUNING | SIZE | dict(margin=4, flip=True, data=photos, tune_steps=1)
    found = moonas.search(
        "cyclegan-pruning", out=tmp_path / "run", epochs=1, decay_epochs=0, **options
    )
    assert read_gan(found.folder / "cyclegan.pt").about["image_width"] == 16
    (trained,) = moonas.train(tmp_path / "run", epochs=1, decay_epochs=0)
    assert read_models(trained.folder).about["side"] == 8
    comparison = json.loads((trained.folder / "comparison.json").read_text())
    assert (comparison["side"], comparison["image_width"]) == (8, 16)
    model = moonas.load_model(trained.folder / "model-a.pt")
    assert model.input_shape == (3, 8, 16)
    assert export(model, tmp_path / "network.py", "python") < 1e-6
    assert "INPUT_SHAPE = (3, 8, 16)" in (tmp_path / "network.py").read_text()


def test_files_of_square_images_do_not_contain_a_width(photos, tmp_path):
    options = SMALL | dict(data=photos, epochs=0, decay_epochs=0)
    abouts = []
    for name, width in (("plain", None), ("equal", 8)):
        found = moonas.search(
            "cyclegan-pruning",
            stage="cyclegan-pretraining",
            out=tmp_path / name,
            **options | dict(image_width=width),
        )
        abouts.append(read_gan(found.folder / "cyclegan.pt").about)
    names = {"shape", "side", "data", "settings", "encoding", "masks"}
    assert [set(about) for about in abouts] == [names] * 2
    # a search that an earlier version began records a checksum of the file
    assert "image_width" not in abouts[0]["settings"]
