import re

import numpy as np
import pytest
import torch
from cyclegans import SMALL
from moonas.problems.cyclegan_pruning import pretraining, training
from PIL import Image

from moonas.files.tensors import fingerprint
from moonas.run.callbacks import RunCallback
from moonas.testing import check_resume


def test_a_discriminator_with_too_many_layers_raises_an_error_when_the_stage_is_built():
    with pytest.raises(ValueError, match="d_layers=4 is invalid: images of 8x8 pixels"):
        pretraining.build(**SMALL | dict(d_layers=4))


def test_a_resumed_pretraining_ends_with_the_same_weights(domains, tmp_path):
    def build():
        return pretraining.build(**SMALL | dict(data=domains, epochs=1, decay_epochs=1))

    def train(stage):
        return fingerprint(stage.run(1).gan.state_dict())

    uninterrupted, resumed = check_resume(build, train, tmp_path)
    assert resumed == uninterrupted


def test_a_stage_trains_for_all_epochs_and_writes_the_weights(domains, tmp_path):
    stage = pretraining.build(**SMALL | dict(data=domains, epochs=1, decay_epochs=2))
    assert stage.n_epochs == 3
    trained = stage.run(1)
    names = {"kid", "kid_std", "recognized", "cycle_error", "cycle_psnr"}
    assert set(trained.scores) == {f"{name}_{k}" for name in names for k in "ab"}
    lines = stage.report(trained, tmp_path)
    assert len(lines) == 9 and lines[-1].startswith("Feature network: classifier of the domains")
    assert {path.name for path in tmp_path.iterdir()} == {"cyclegan.pt", "translations.png"}


def test_the_progress_line_of_an_epoch_contains_each_loss():
    metrics = dict(gan_loss=1.0, cycle_loss=0.25, identity_loss=0.5, d_loss=2.0)
    stage = pretraining.build(**SMALL)
    line = "  epoch  10: GAN loss 1.000, cycle 0.250, identity 0.500, discriminators 2.000"
    assert stage.line(9, metrics) == line  # a run folder of an earlier version
    line += ", which tell real from translated images in 75 %"
    assert stage.line(9, metrics | dict(d_accuracy=75.0)) == line


class Lines(RunCallback):
    """Collect the lines of the log and the reported progress."""

    def __init__(self):
        self.lines, self.progress = [], []

    def on_log(self, text):
        self.lines.append(text)

    def on_progress(self, phase, done, total, unit):
        self.progress.append((phase, done, total, unit))


def logged(stage, seed=1):
    """Run a stage and return its log."""
    log = Lines()
    stage.callbacks.append(log)
    stage.run(seed)
    return log


def test_the_expected_time_is_logged_before_the_first_epoch_and_every_epoch_has_a_line(domains):
    options = SMALL | dict(data=domains, batch=2, epochs=2, decay_epochs=2)
    lines = logged(pretraining.build(**options)).lines
    assert re.fullmatch(
        r"Training the CycleGAN: 4 epochs of 6 steps on cpu, .* per step: about .*\.", lines[0]
    )
    assert [line[:11] for line in lines[1:5]] == [f"  epoch   {i}" for i in range(1, 5)]


def test_the_measurement_of_the_expected_time_does_not_change_the_training(domains, monkeypatch):
    options = SMALL | dict(data=domains, batch=2, epochs=4, decay_epochs=0)
    measured = pretraining.build(**options).run(1).gan.state_dict()
    monkeypatch.setattr(pretraining, "MIN_STEPS", 1000)
    unmeasured = pretraining.build(**options).run(1).gan.state_dict()
    assert fingerprint(measured) == fingerprint(unmeasured)


def test_long_epochs_report_each_step(domains, monkeypatch):
    options = SMALL | dict(data=domains, batch=2, epochs=4, decay_epochs=0)
    unit = ("training the CycleGAN, one epoch", 3, 6, "steps")
    assert unit not in logged(pretraining.build(**options)).progress
    monkeypatch.setattr(pretraining, "LONG_EPOCH", 0.0)
    assert logged(pretraining.build(**options)).progress.count(unit) == 4


@pytest.fixture
def stripes(tmp_path):
    """Options of a pretraining on horizontal and vertical stripes of random brightness."""
    rng = np.random.default_rng(0)
    for domain in "AB":
        for part, n in (("train", 50), ("test", 2)):
            folder = tmp_path / part / domain
            folder.mkdir(parents=True)
            for i in range(n):
                phase, brightness = rng.integers(4), rng.integers(150, 256)
                rows = (np.arange(8) + phase) // 2 % 2 * brightness
                pixels = np.tile(rows.astype(np.uint8)[:, None], (1, 8))
                pixels = pixels if domain == "A" else pixels.T
                Image.fromarray(pixels).save(folder / f"{i}.png")
    shape = dict(width=4, blocks=1, d_width=8, d_layers=1, flip=False, margin=0)
    rates = dict(batch=4, learning_rate=5e-3, epochs=8, decay_epochs=0)
    return shape | rates | dict(data=tmp_path, device="cpu")


def test_a_working_training_is_not_warned_of(stripes):
    lines = logged(pretraining.build(**stripes)).lines
    assert not [line for line in lines if line.startswith("Warning")], lines


@pytest.mark.parametrize("broken", ["discriminators", "generators"])
def test_a_training_that_does_not_work_is_warned_of_once(stripes, monkeypatch, broken):
    step_if_finite = training.step_if_finite

    def step_only_the_others(loss, optimizer, weights):
        n_weights = sum(p.numel() for p in weights)
        sizes = {
            name: sum(p.numel() for p in getattr(gans[-1], name).parameters())
            for name in ("discriminators", "generators")
        }
        if n_weights == sizes[broken]:
            optimizer = torch.optim.SGD(weights, 0.0)
        return step_if_finite(loss, optimizer, weights)

    gans, new_gan = [], pretraining.new_gan
    monkeypatch.setattr(
        pretraining, "new_gan", lambda *args, **kw: gans.append(new_gan(*args, **kw)) or gans[-1]
    )
    monkeypatch.setattr(training, "step_if_finite", step_only_the_others)
    lines = logged(pretraining.build(**stripes)).lines
    warnings = [line for line in lines if line.startswith("Warning")]
    sentence = {
        "discriminators": "the discriminators distinguished real from translated images in .* of "
        "the held",
        "generators": "the cycle loss has not fallen",
    }[broken]
    assert len([line for line in warnings if re.search(sentence, line)]) == 1, lines


def metrics(accuracy, cycle):
    return [dict(d_accuracy=a, cycle_loss=c) for a, c in zip(accuracy, cycle, strict=True)]


@pytest.mark.parametrize(
    "accuracy, cycle, expected",
    [
        ([70] * 6, np.linspace(1, 0.5, 6), set()),
        ([70] * 5, [1] * 5, set()),  # too few epochs
        ([54] * 6, np.linspace(1, 0.5, 6), {"d"}),
        ([70] * 6, [1] * 6, {"cycle"}),
        ([np.nan] * 6, [1] + [0.95] * 5, {"cycle"}),
        ([90] * 3 + [50] * 5, [1] * 3 + [0.8] * 5, {"d"}),
    ],
)
def test_warnings_follow_from_the_last_five_epochs(accuracy, cycle, expected):
    assert set(pretraining.training_warnings(metrics(accuracy, cycle))) == expected


def test_discriminators_that_are_trained_alone_are_warned_of_at_chance():
    (warning,) = pretraining.training_warnings([dict(d_accuracy=50, d_loss=0.5)] * 6).values()
    assert "50 % of the held-out pairs" in warning and "losses of candidates" in warning
    assert not pretraining.training_warnings([dict(d_accuracy=70, d_loss=0.5)] * 6)
    line = pretraining.epoch_line(0, dict(d_loss=0.5, d_accuracy=70))
    assert line == (
        "  epoch   1: discriminators 0.500, which tell real from translated images in 70 %"
    )
