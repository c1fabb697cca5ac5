"""Settings whose default depends on the size of the images."""

import pytest
from cyclegans import write_domains
from moonas.problems.cyclegan_pruning.data import describe
from moonas.problems.cyclegan_pruning.settings import (
    BY_SIZE,
    FineTuningSettings,
    PretrainingSettings,
    PruningSettings,
)
from PIL import Image

from moonas.settings import names_of, to_json


def shape_of(settings):
    return settings.width, settings.blocks, settings.batch


def test_larger_images_get_the_networks_of_cyclegan(tmp_path):
    folder = write_domains(tmp_path / "data", side=8)
    by_side = {
        side: shape_of(PretrainingSettings(data=folder, image_size=side))
        for side in (32, 64, 128, 252, 256, 512)
    }
    assert by_side == {
        32: (32, 3, 16),
        64: (32, 6, 8),
        128: (64, 6, 4),
        252: (64, 6, 4),
        256: (64, 9, 1),
        512: (64, 9, 1),
    }
    cyclegan = PretrainingSettings(data=folder, image_size=256)
    assert cyclegan == PretrainingSettings(
        data=folder, **PretrainingSettings.PRESETS["paper"] | dict(score_batch=4)
    )


def test_explicit_settings_and_presets_take_precedence(tmp_path):
    folder = write_domains(tmp_path / "data", side=8)
    settings = PruningSettings(data=folder, image_size=256, blocks=2, flip=False, tune_steps=0)
    assert (settings.blocks, settings.flip, settings.tune_steps) == (2, False, 0)
    assert settings.width == 64
    paper = PruningSettings(data=folder, **PruningSettings.PRESETS["paper"] | dict(width=8))
    assert (paper.width, paper.tune_batch, paper.tune_steps) == (8, None, 100)


@pytest.mark.parametrize("side, expected", [(8, 8), (66, 64), (300, 256)])
def test_the_default_image_size_is_the_size_of_the_images_in_the_folder(tmp_path, side, expected):
    folder = write_domains(tmp_path / "data", n=3, n_test=1, side=side)
    settings = PretrainingSettings(data=folder)
    assert settings.size == describe(settings).size == (expected, expected)
    assert settings == PretrainingSettings(data=folder, image_size=None)
    explicit = PretrainingSettings(data=folder, image_size=expected)
    assert shape_of(settings) == shape_of(explicit)


def test_the_default_image_size_is_the_median_of_the_shorter_sides(tmp_path):
    folder = write_domains(tmp_path / "data", n=2, n_test=1, side=40)
    for name in ("A", "B"):
        Image.new("RGB", (4000, 4000)).save(folder / name / "train" / "0.png")
        Image.new("RGB", (90, 50)).save(folder / name / "train" / "2.png")
    # shorter sides 4000, 40 and 50 in each domain
    assert PretrainingSettings(data=folder).size == (48, 48)


def test_the_settings_of_digits_are_those_of_earlier_versions():
    recorded = dict(margin=0, flip=False, width=16, blocks=3, d_width=32, d_layers=2, batch=16)
    recorded |= dict(learning_rate=5e-4, score_batch=72, tune_steps=20, tune_batch=8)
    recorded |= dict(tune_learning_rate=1e-3, pretrain_epochs=20, image_size=None)
    settings = to_json(PruningSettings())
    assert {name: settings[name] for name in recorded} == recorded
    for cls in (PretrainingSettings, FineTuningSettings):
        settings = cls(**({"weights": "folder"} if cls is FineTuningSettings else {}))
        assert (settings.epochs, settings.decay_epochs) == (20, 20)


def test_every_setting_gets_a_value(tmp_path):
    folder = write_domains(tmp_path / "data", side=8)
    for data in ("digits", folder, tmp_path / "nothing"):
        for cls in (PretrainingSettings, PruningSettings):
            settings = cls(data=data)
            assert all(getattr(settings, name) != BY_SIZE for name in names_of(cls))


@pytest.mark.parametrize("options", [dict(image_size="12"), dict(data=3), dict(width="8")])
def test_a_value_of_the_wrong_type_is_rejected_by_name(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"{name}=.* is invalid: expected"):
        PretrainingSettings(**options)


def test_settings_with_all_values_do_not_read_the_folder(tmp_path):
    settings = PruningSettings(data=write_domains(tmp_path / "data", side=8))
    again = PruningSettings(**to_json(settings) | dict(data=str(tmp_path / "moved")))
    assert shape_of(again) == shape_of(settings)


@pytest.mark.parametrize(
    "options, expected",
    [
        (dict(image_size=16, image_width=32), "none for digits"),
        (dict(data="images", image_width=32), "none, unless image_size sets the height"),
        (dict(data="images", image_size=16, image_width=30), "a multiple of 4"),
        (dict(data="images", image_size=16, image_width=4), "none, or at least 8"),
        (dict(data="images", image_size=16, image_width="8"), "a whole number or none"),
    ],
)
def test_an_invalid_width_is_refused(options, expected):
    with pytest.raises(ValueError, match=f"image_width=.* is invalid: expected {expected}"):
        PretrainingSettings(**options)


def test_the_shorter_side_decides_which_settings_suit_images():
    wide, tall = (
        PretrainingSettings(data="images", image_size=height, image_width=width)
        for height, width in ((128, 256), (256, 128))
    )
    square = PretrainingSettings(data="images", image_size=128)
    assert shape_of(wide) == shape_of(tall) == shape_of(square) == (64, 6, 4)
    assert wide.margin == tall.margin == square.margin == 15
