"""Tests of trainings whose learning rate falls when the score stops improving."""

import math

import numpy as np
import pytest
import torch
from interruptions import stop_before
from PIL import Image

from moonas.registry import attach_journal
from moonas.training.from_scratch import build
from moonas.training.plateau import Plateau

TRAINING = dict(
    architecture="CARS_A", schedule="plateau", image_size=8, channels=4, layers=3, device="cpu"
)


def test_the_rate_falls_to_a_tenth_after_three_epochs_without_an_improvement():
    plateau, rates = Plateau(0.1), []
    for score in [9, 8, 8, 8, 8, 7, 7, math.nan, 7, 7, 7, 7]:
        plateau.step(score)
        rates.append(plateau.rate)
    assert rates == pytest.approx([0.1] * 4 + [0.01] * 4 + [0.001] * 3 + [0.0001])


def test_the_state_of_a_schedule_can_be_restored():
    first, second = Plateau(0.1), Plateau(0.1)
    for score in [5, 5, 5]:
        first.step(score)
    second.load_state(first.state())
    assert second.rate == 0.1
    for schedule in (first, second):
        schedule.step(5)
    assert first.rate == second.rate == pytest.approx(0.01)


def journal_of(folder):
    return (folder / "journal.jsonl").read_text()


def train(data, folder, epochs, **options):
    stage = build(**TRAINING | options, data=str(data), epochs=epochs)
    attach_journal(stage, "cars training", folder)
    try:
        return stage, stage.run(seed=1)
    finally:
        stage.journal.close()


def test_a_training_holds_images_out_and_lowers_its_rate(few_digits, tmp_path):
    stage = build(**TRAINING, data=str(few_digits), epochs=5, batch=8)
    log, trainer = [], stage.start(1)
    assert len(trainer.images.train[1]) == 90 and len(trainer.images.validation[1]) == 20
    held_out = trainer.images.held_out.validation
    assert torch.bincount(held_out[1]).tolist() == [1] * 10
    known = {image.numpy().tobytes() for image in trainer.images.train[0].tensor()}
    assert not any(image.numpy().tobytes() in known for image in held_out[0].tensor())
    scores = iter([8.0, 8.0, 8.0, 8.0, 7.0])
    trainer._scores = lambda images: {"error": next(scores)}
    for epoch in range(5):
        log.append(trainer.train(epoch))
    rates = [metrics["learning_rate"] for metrics in log]
    assert rates == pytest.approx([stage.settings.learning_rate] * 4 + [rates[0] / 10])
    assert [metrics["held_out_error"] for metrics in log] == [8.0, 8.0, 8.0, 8.0, 7.0]
    assert "held-out error 7.00 %, rate 0.01" in stage.line(4, log[4])


def test_a_training_with_a_plateau_resumes_with_the_same_bits(few_digits, tmp_path):
    _, whole = train(few_digits, tmp_path / "whole", 6)
    stage = build(**TRAINING, data=str(few_digits), epochs=6)
    attach_journal(stage, "cars training", tmp_path / "parts")
    stop_before(stage, 5)
    with pytest.raises(KeyboardInterrupt):
        stage.run(seed=1)
    stage.journal.close()
    _, resumed = train(few_digits, tmp_path / "parts", 6)
    assert resumed.columns == whole.columns
    assert journal_of(tmp_path / "parts") == journal_of(tmp_path / "whole")
    rates = [line for line in journal_of(tmp_path / "whole").splitlines() if "held_out" in line]
    assert len(rates) == 6


def test_a_folder_of_labeled_xrays_is_trained_with_the_preset(tmp_path):
    rng, lines = np.random.default_rng(0), ["Image Index,Finding Labels,Patient ID"]
    for i in range(40):
        Image.fromarray(rng.integers(0, 255, (30, 24), dtype=np.uint8)).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,{['Mass', 'Effusion', 'Mass|Effusion'][i % 3]},{i // 2}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    preset = build(architecture="NSGANet", data=str(tmp_path)).settings.PRESETS["xrays"]
    small = dict(image_size=16, stored_size=18, channels=4, layers=3, epochs=2, batch=8)
    stage = build(architecture="NSGANet", data=str(tmp_path), device="cpu", **preset | small)
    result = stage.run(seed=1)
    assert stage.info.channels == 1 and 0 <= result.columns["auroc_error"] <= 100
    printed = stage.report(result, tmp_path)
    assert "on the training set" in printed[0] and (tmp_path / "classes.png").exists()
