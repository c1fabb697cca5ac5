"""A CycleGAN that translates gray images, from its training to the models of its generators."""

import json

import numpy as np
import pytest
import torch
from cyclegans import write_domains
from moonas.problems.cyclegan_pruning.networks import image_channels
from moonas.problems.cyclegan_pruning.weights_file import read_gan, read_models
from PIL import Image
from searches import words

import moonas
from moonas.cli import main


def test_a_cyclegan_of_gray_images_is_trained_pruned_and_tuned(tmp_path, tiny_of):
    folder = write_domains(tmp_path / "domains")
    search = ["search", "cyclegan-pruning", "--data", str(folder), "--out", str(tmp_path / "run")]
    search += ["--seed", "1", "--set"]
    for stage in ("cyclegan-pretraining", "cyclegan-pruning"):
        options = tiny_of(stage) | dict(image_channels=1)
        search += words(options, stage)
    assert main(search) == 0
    pruning = tmp_path / "run" / "cyclegan-pruning"
    original = read_gan(tmp_path / "run" / "cyclegan-pretraining" / "cyclegan.pt").gan
    compressed = read_gan(pruning / "compressed.pt").gan
    assert all(image_channels(net) == 1 for net in original.generators.values())
    sizes = json.loads((pruning / "comparison.json").read_text())["sizes"]
    assert sizes["compressed"]["a"]["params"] < sizes["original"]["a"]["params"]
    translated = compressed.generators["a"](torch.zeros(2, 1, 8, 8))
    assert translated.shape == (2, 1, 8, 8)
    for name in ("translations.png", "filters.png"):
        with Image.open(pruning / name) as picture:
            assert len(np.unique(np.asarray(picture))) > 10
    train = ["train", str(tmp_path / "run"), "--set", "epochs=1", "decay_epochs=0"]
    assert main(train) == 0
    assert read_models(tmp_path / "run" / "training").about["shape"]["image_channels"] == 1
    model = moonas.load_model(tmp_path / "run" / "training" / "model-a.pt")
    assert model.input_shape == (1, 8, 8)
    assert model(torch.rand(2, 1, 8, 8)).shape == (2, 1, 8, 8)


def test_weights_for_color_images_are_refused_for_gray_images(weights, domains, tiny_of):
    options = tiny_of("cyclegan-pruning") | dict(data=str(domains), weights=str(weights))
    with pytest.raises(ValueError, match="expected image_channels=1, got image_channels=3. Set"):
        moonas.load_problem("cyclegan-pruning", **options, image_channels=1)
    for data, channels in (("digits", 1), (str(domains), 2)):
        with pytest.raises(ValueError, match=f"image_channels={channels} is invalid: expected "):
            moonas.load_problem("cyclegan-pruning", data=data, image_channels=channels)
