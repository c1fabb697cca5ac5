"""Tests of the regularization and schedules of training from scratch against their definitions."""

import json
import math
import re
from functools import partial

import numpy as np
import pytest
import torch
from callbacks import CallbackOf
from searches import rows
from torch.nn import functional as F

import moonas
from moonas.data import cutout, describe
from moonas.files.tensors import fingerprint
from moonas.nets.cell_network import CellNetwork, drop_path
from moonas.nets.randomness import generator
from moonas.planning import plan_training
from moonas.registry import training_settings_class
from moonas.testing import check_resume
from moonas.training.from_scratch import FullTraining, autocast, build, learning_rate
from moonas.training.settings import Settings

EDGES = [("sep_conv_3x3", 0), ("skip_connect", 1)] * 4
ALL_OPTIONS = dict(
    epochs=3,
    batch=100,
    channels=2,
    layers=3,
    auxiliary=0.4,
    drop_path=0.3,
    cutout=8,
    label_smoothing=0.1,
    warmup_epochs=1,
    schedule="linear",
)


def test_path_dropout_sets_whole_images_to_zero_and_preserves_the_expected_value():
    x = torch.rand(4000, 2, 3, 3) + 0.5
    out = drop_path(x, 0.3, generator(0, "paths"))
    zero = (out == 0).flatten(1)
    assert (zero.all(1) | ~zero.any(1)).all()  # each image is dropped entirely or not at all
    assert torch.allclose(out[~zero.any(1)], x[~zero.any(1)] / 0.7)
    rate = float(zero.all(1).float().mean())
    assert abs(rate - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 4000)  # 4 standard errors


def test_path_dropout_does_not_drop_identities_and_is_off_in_evaluation_mode():
    torch.manual_seed(0)
    net = CellNetwork(EDGES, EDGES, channels=2, layers=3, image_size=8, in_channels=1)
    x = torch.rand(8, 1, 8, 8)
    net.eval()
    undropped = net(x)
    net.set_drop_path(0.9, generator(1, "paths"))
    assert torch.equal(net(x), undropped)
    net.train()
    operation_names = []
    for cell in net.cells:
        for operation in cell.operations:
            operation.register_forward_hook(
                lambda m, i, o: operation_names.append(type(m).__name__)
            )
    dropped = net(x)
    net.set_drop_path(0.9, generator(1, "paths"))
    assert torch.equal(net(x), dropped)  # the generator determines the dropped edges
    net.set_drop_path(0.0, generator(1, "paths"))
    assert not torch.allclose(net(x), dropped)
    assert "Identity" in operation_names
    rng = generator(3, "paths")
    before = rng.get_state()
    skip = [("skip_connect", 0), ("skip_connect", 1)] * 4
    cell = CellNetwork(skip, skip, channels=2, layers=3, image_size=8).cells[0].train()
    cell.dropped = (0.9, rng)
    cell(torch.rand(2, 6, 8, 8), torch.rand(2, 6, 8, 8))
    assert torch.equal(rng.get_state(), before)  # identities are not dropped


def test_cutout_sets_a_square_to_zero():
    images = torch.ones(500, 2, 10, 12)
    out = cutout(images, generator(0, "cutout"), 4)
    for image in out:
        assert torch.equal(image[0], image[1])
        rows, columns = torch.where(image[0] == 0)
        height, width = rows.max() - rows.min() + 1, columns.max() - columns.min() + 1
        assert len(rows) == height * width and 2 <= height <= 4 and 2 <= width <= 4
    assert (out == 0).any(0).all()  # every pixel is zero in at least one image
    sides = [sum(min(n, c + 2) - max(0, c - 2) for c in range(n)) / n for n in (10, 12)]
    expected = sides[0] * sides[1]  # mean area over all positions of the center
    counts = (out[:, 0] == 0).sum((1, 2)).float()
    assert abs(float(counts.mean()) - expected) < 4 * float(counts.std()) / math.sqrt(500)


def test_the_learning_rate_increases_during_warm_up_and_is_then_annealed():
    linear = Settings(epochs=10, warmup_epochs=2, schedule="linear", learning_rate=0.8)
    rates = [learning_rate(epoch, linear) for epoch in (0, 1, 2, 6, 10)]
    assert np.allclose(rates, [0.4, 0.8, 0.8, 0.4, 0])
    cosine = Settings(epochs=8, learning_rate=1.0, learning_rate_end=0.2)
    assert np.allclose([learning_rate(e, cosine) for e in (0, 4, 8)], [1.0, 0.6, 0.2])


def test_the_precision_auto_is_float32_on_a_cpu():
    cpu = torch.device("cpu")
    a = torch.rand(4, 4)
    for precision, dtype in (
        ("auto", torch.float32),
        ("full", torch.float32),
        ("mixed", torch.bfloat16),
    ):
        with autocast(precision, cpu):
            assert (a @ a).dtype == dtype


@pytest.fixture
def stage(few_digits):
    return build(architecture="CARS_A", data=few_digits, image_size=32, **ALL_OPTIONS)


def test_the_loss_is_the_weighted_sum_of_both_classifiers_with_label_smoothing(stage):
    trainer = stage.start(1)
    logits, auxiliary = torch.randn(6, 10), torch.randn(6, 10)
    labels = torch.arange(6)

    def smoothed_loss(z):
        target = torch.full((6, 10), 0.1 / 10)
        target[range(6), labels] += 0.9
        return -(target * F.log_softmax(z, 1)).sum(1).mean()

    expected = smoothed_loss(logits) + 0.4 * smoothed_loss(auxiliary)
    assert torch.allclose(trainer._loss((logits, auxiliary), labels), expected)
    assert torch.allclose(trainer._loss(logits, labels), smoothed_loss(logits))


@pytest.mark.parametrize("rates", [[0, 0.3], [0, 0.15, 0.3]])
def test_the_path_dropout_rate_increases_linearly_until_the_last_epoch(few_digits, rates):
    options = ALL_OPTIONS | dict(epochs=len(rates), architecture="CARS_A", image_size=32)
    trainer, recorded = build(data=few_digits, **options).start(1), []
    set_drop_path = trainer.network.set_drop_path
    trainer.network.set_drop_path = lambda rate, rng: (
        recorded.append(rate) or set_drop_path(rate, rng)
    )
    for epoch in range(len(rates)):
        trainer.train(epoch)
    assert np.allclose(recorded, rates)


def test_a_resumed_training_with_all_options_equals_an_uninterrupted_one(few_digits, tmp_path):
    options = ALL_OPTIONS | dict(epochs=2, architecture="CARS_A", data=few_digits, image_size=32)

    def train(stage):
        return fingerprint(stage.run(1).network.state_dict())

    uninterrupted, resumed = check_resume(partial(build, **options), train, tmp_path)
    assert resumed == uninterrupted


def test_the_model_file_excludes_the_auxiliary_classifier(stage, tmp_path):
    from moonas.registry import attach_journal

    attach_journal(stage, "cars training", tmp_path)
    result = stage.run(1)
    lines = stage.report(result, tmp_path)
    assert any("auxiliary" in name for name in result.network.state_dict())
    model = moonas.load_model(tmp_path)
    assert not any("auxiliary" in name for name in model.state_dict())
    pixels = model.example(4)
    normalized = (pixels - model.mean) / model.std
    network = result.network.cpu().eval()  # a model that is read from a file is on the CPU
    assert torch.allclose(model(pixels), network(normalized), atol=1e-5)
    params = sum(p.numel() for p in model.parameters())
    assert f"{params:,} params" in lines[0]


def test_settings_that_the_network_does_not_support_raise_an_error(few_digits):
    with pytest.raises(ValueError, match="Unknown architecture 'CARS_Z'"):
        build(architecture="CARS_Z")
    with pytest.raises(ValueError, match="expected a run folder, or the name of a published"):
        build()


PUBLISHED = {  # parameters of CIFAR-10 networks, in millions as published
    "NSGANet": (2_196_980, 2.20),
    "NASNet_A": (3_830_950, 3.83),
    "AmoebaNet_A": (3_145_078, 3.15),
    "ENAS": (3_859_894, 3.86),
    "CARS_I": (3_594_718, 3.59),
    "DARTS_V2": (3_349_342, 3.35),
}


def params_of(stage):
    with torch.device("meta"):
        return sum(p.numel() for p in stage.network().parameters())


@pytest.mark.parametrize("preset", [None, "paper"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_architecture_is_trained_in_its_published_shape(name, preset, few_digits):
    options = dict(data=str(few_digits), image_size=32)
    (planned,) = plan_training(architecture=name, preset=preset, **options)
    params, millions = PUBLISHED[name]
    assert params_of(planned.stage) == params and round(params / 1e6, 2) == millions


def test_a_training_of_an_earlier_version_keeps_the_shape_of_the_default_search(
    few_digits, tmp_path
):
    options = dict(architecture="CARS_A", data=str(few_digits), image_size=8, out=tmp_path / "run")
    options |= dict(epochs=1, batch=100, device="cpu")
    moonas.train(**options, published_shape=False)
    path = tmp_path / "run" / "run.json"
    head = json.loads(path.read_text())
    assert head["settings"].pop("published_shape") is False
    path.write_text(json.dumps(head))
    (again,) = moonas.train(**options)
    assert not again.computed


def test_every_number_of_a_published_shape_is_a_setting(few_digits):
    options = dict(data=few_digits, image_size=32)
    larger = dict(channels=36, increment=6, squeeze=True)
    assert params_of(build(architecture="NSGANet", **options, **larger)) == 4_053_502
    assert params_of(build(architecture="NASNet_A", **options, channels=8, layers=5)) < 200_000
    assert params_of(build(architecture="NASNet_A", **options, increment=1)) < 3_000_000
    searched = build(architecture="NSGANet", **options, published_shape=False)
    assert "channels" not in searched.shape and params_of(searched) < 100_000


@pytest.mark.parametrize(
    ("side", "stem", "shape", "large"),
    [
        *[(127, {}, (36, 20), False), (128, {}, (48, 14), True)],
        *[(64, {"stem": "from64"}, (48, 14), True), (32, {"stem": "large"}, (48, 14), True)],
        *[(224, {"stem": "small"}, (36, 20), False), (63, {"stem": "from64"}, (36, 20), False)],
    ],
)
def test_a_network_with_the_large_stem_has_the_published_shape_for_imagenet(
    side, stem, shape, large, few_digits
):
    stage = build(architecture="CARS_A", data=few_digits, image_size=side, **stem)
    assert (stage.shape["channels"], stage.shape["layers"]) == shape
    with torch.device("meta"):
        assert (stage.network().stem.second is not None) == large


def test_a_network_that_is_not_published_for_imagenet_has_its_shape_for_cifar(few_digits):
    stage = build(architecture="NASNet_A", data=few_digits, image_size=128)
    assert (stage.shape["channels"], stage.shape["layers"]) == (36, 20)


def test_a_training_of_an_earlier_version_keeps_the_large_stem_from_64_pixels_on(
    few_digits, tmp_path
):
    options = dict(architecture="CARS_A", data=str(few_digits), image_size=64, out=tmp_path / "run")
    options |= dict(epochs=1, batch=50, device="cpu", channels=2, layers=1)
    (first,) = moonas.train(**options, stem="from64")
    path = tmp_path / "run" / "run.json"
    head = json.loads(path.read_text())
    assert head["settings"].pop("stem") == "from64"
    path.write_text(json.dumps(head))
    (again,) = moonas.train(**options)
    assert first.computed and not again.computed
    assert moonas.load_model(tmp_path / "run" / "model.pt").network.stem.second is not None


def test_the_log_compares_the_number_of_parameters_with_the_published_number(few_digits):
    log, stage = [], build(architecture="CARS_A", data=few_digits, image_size=32, channels=4)
    stage.callbacks.append(CallbackOf(on_log=log.append))
    stage.start(1)
    assert re.fullmatch(
        r"Network: .*; [\d,]+ parameters \(published network for CIFAR-10, 36 channels, 20 cells: "
        r"2,432,206\)\.",
        log[-1],
    )


@pytest.mark.parametrize("name", ["digits", "paper", "paper-imagenet"])
@pytest.mark.parametrize("problem", ["cars", "nsganet", "nsganet-macro", "eg-darts"])
def test_every_preset_of_a_training_suits_the_networks_of_its_problem(problem, name, few_digits):
    preset, side = training_settings_class(problem).PRESETS[name], 224 if "net" in name else 32
    found = moonas.load_problem(problem, device="cpu")
    stage = FullTraining(
        training_settings_class(problem)(**preset | dict(data=str(few_digits), image_size=side)),
        describe(str(few_digits), side),
        problem,
        found,
        found.decode(rows(found, 1)[0]),
    )
    if problem == "nsganet" and name == "paper":
        assert stage.shape["increment"] == 6 and stage.settings.weight_decay == 5e-4


def test_settings_that_do_not_apply_to_a_problem_are_rejected_by_name():
    with pytest.raises(ValueError, match="layers=20 is invalid: expected none: networks of this"):
        training_settings_class("nsganet-macro")(layers=20)
    with pytest.raises(ValueError, match="channels=36 is invalid: expected none"):
        training_settings_class("eg-darts")(channels=36)
    with pytest.raises(ValueError, match="stem='big' is invalid: expected none, auto, small,"):
        training_settings_class("cars")(stem="big")


def test_the_network_of_the_paper_preset_has_the_published_size():
    preset = Settings.PRESETS["paper"] | {"data": "cifar10"}
    stage = build(architecture="CARS_A", **preset)
    with torch.device("meta"):
        net = stage.network()
    # the paper reports 2.4 M parameters for 36 channels and 20 cells
    assert (
        sum(p.numel() for p in net.parameters())
        == moonas.zoo("CARS_A").counts["CIFAR-10, 36 channels, 20 cells"][0]
    )
