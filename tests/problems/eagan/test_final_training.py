import json
import math
import re
from functools import partial

import numpy as np
import pytest
import torch
from moonas.problems.eagan import final_training, zoo
from moonas.problems.eagan.curves import save_curves
from moonas.problems.eagan.final_training import (
    LAST_MODEL,
    GanTrainer,
    build,
    learning_rate_factor,
)
from moonas.problems.eagan.gan_file import read_trained_gan
from moonas.problems.eagan.settings import TrainingSettings
from PIL import Image
from searches import TINY

import moonas
from moonas.files.tensors import fingerprint
from moonas.registry import attach_journal
from moonas.run.journal import RunMismatch, options_of_earlier_version, read_run
from moonas.testing import check_resume

DEVICE = TINY["eagan-generator"]["device"]


@pytest.fixture(scope="module")
def small(few_digits):
    """Settings of a full training that takes a second."""
    return dict(
        **dict(data=few_digits, image_size=8, channels=2, d_channels=4, latent=3, batch=25),
        **dict(score_images=60, epochs=6, device=DEVICE),
    )


def load_training(journal, **options):
    stage = build(**options)
    attach_journal(stage, "eagan training", journal)
    return stage


def train(journal, seed=1, **options):
    """Run and report a training; return the result, the lines, and the log."""
    stage, log = load_training(journal, **options), []
    stage.callbacks.append(Log(log))
    try:
        result = stage.run(seed=seed)
        return result, stage.report(result, journal), log
    finally:
        stage.journal.close()


class Log:
    """Callback that collects messages."""

    def __init__(self, lines):
        self.lines = lines

    def on_log(self, text):
        self.lines.append(text)

    def on_progress(self, *args):
        pass


def scored_epochs(folder):
    records = [r for r in read_run(folder)[1] if r["kind"] == "train"]
    return {r["request"]["epoch"] + 1: r["result"]["fid"] for r in records if "fid" in r["result"]}


def test_by_default_there_are_at_most_20_evaluations_and_one_after_the_last_epoch(few_digits):
    for epochs, expected in ((200, 20), (600, 20), (7, 7), (20, 20), (21, 11), (90, 18)):
        stage = build(data=few_digits, epochs=epochs)
        epochs_ = [epoch for epoch in range(epochs) if stage.is_scored(epoch)]
        assert len(epochs_) == expected and epochs_[-1] == epochs - 1
    stage = build(data=few_digits, epochs=10, score_every=4)
    assert [epoch + 1 for epoch in range(10) if stage.is_scored(epoch)] == [4, 8, 10]
    assert not any(map(build(data=few_digits, epochs=3, score_every=0).is_scored, range(3)))


def test_a_training_keeps_the_best_and_the_last_generator(small, tmp_path):
    # the learning rate is so high that the generator gets worse at some epoch; devices and versions
    # of PyTorch differ in the seeds with which it does
    options = small | dict(learning_rate=0.05, score_every=2, epochs=8)
    for seed in range(1, 6):
        folder = tmp_path / f"a{seed}"
        result, lines, log = train(folder, seed, **options)
        fids = scored_epochs(folder)
        assert list(fids) == [2, 4, 6, 8]
        best = min(fids, key=fids.get)
        assert result.scores["epoch"] == best
        if best < 8:
            break
    assert best < 8  # otherwise the test shows nothing
    # a training that ends at the best epoch has the same generator as its last one
    shorter, _, _ = train(tmp_path / "b", seed, **options | dict(epochs=best, score_every=0))
    assert fingerprint(shorter.generator.state_dict()) == fingerprint(result.generator.state_dict())
    assert shorter.last_generator is None
    longest, _, _ = train(tmp_path / "c", seed, **options | dict(score_every=0))
    last = result.last_generator.state_dict()
    assert fingerprint(longest.generator.state_dict()) == fingerprint(last)
    for name in ("fid", "test_fid", "is_mean"):
        assert result.scores[name] == shorter.scores[name]
        assert result.scores[f"last_{name}"] == longest.scores[name]
    assert result.columns["fid"] == result.scores["fid"]
    # the files
    trained = read_trained_gan(folder)
    assert (
        trained.about["epoch"] == best and trained.about["scores"]["fid"] == shorter.scores["fid"]
    )
    assert fingerprint(trained.generator.state_dict()) == fingerprint(result.generator.state_dict())
    trained = read_trained_gan(folder / LAST_MODEL)
    assert trained.about["epoch"] == 8
    assert trained.about["scores"]["fid"] == longest.scores["fid"]
    assert fingerprint(trained.generator.state_dict()) == fingerprint(last)
    assert f"model.pt contains the generator after epoch {best}" in lines[0]
    assert sum("FID" in line for line in log) == 4 and not (tmp_path / "b" / LAST_MODEL).exists()


def test_each_evaluation_saves_samples_and_learning_curves(small, tmp_path):
    train(tmp_path, **small | dict(epochs=3, score_every=2))
    names = sorted(path.name for path in tmp_path.glob("*.png"))
    assert names == ["curves.png", "samples-0002.png", "samples-0003.png", "samples.png"]
    samples = [Image.open(tmp_path / f"samples-{epoch:04d}.png") for epoch in (2, 3)]
    assert samples[0].size == samples[1].size == Image.open(tmp_path / "samples.png").size
    assert np.asarray(samples[0]).std() > 1


def test_learning_curves_leave_out_what_was_not_measured(tmp_path):
    losses = [{"d_loss": 2.0 - i / 10, "g_loss": i / 10} for i in range(4)]
    heights = []
    for extra in ({}, {"fid": 3.0, "is_mean": math.nan}, {"fid": 3.0, "is_mean": 2.0}):
        save_curves([*losses, losses[0] | extra], "network", tmp_path)
        heights.append(Image.open(tmp_path / "curves.png").size[1])
    assert heights == sorted(set(heights))
    save_curves([{"d_loss": math.nan, "g_loss": math.nan}], "network", tmp_path / "none")


def test_a_training_without_evaluations_has_the_scores_of_the_last_generator(small, tmp_path):
    result, lines, _ = train(tmp_path, **small | dict(score_every=0))
    assert not scored_epochs(tmp_path) and "epoch" not in result.scores
    assert {path.name for path in tmp_path.glob("*.png")} == {"curves.png", "samples.png"}
    assert "Shares of the 10 classes" in lines[-1]
    assert {path.name for path in tmp_path.glob("model*.pt")} == {"model.pt"}


def test_the_final_evaluation_has_other_latent_vectors_than_the_choice_of_the_best(small):
    trainer = GanTrainer(build(**small), seed=1)
    a, b = (torch.cat(trainer.latents(60, name)) for name in ("scores", "interim scores"))
    assert a.shape == b.shape == (60, 3) and not torch.equal(a, b)


def train_and_fingerprint(stage):
    trained = stage.run(seed=1)
    nets = [trained.generator, trained.discriminator, trained.last_generator]
    scores = {k: v.tolist() if k.endswith("shares") else v for k, v in trained.scores.items()}
    return scores, [None if net is None else fingerprint(net.state_dict()) for net in nets]


@pytest.mark.parametrize("checkpoint_minutes", [0, 5])
def test_a_resumed_training_with_all_options_equals_an_uninterrupted_one(
    checkpoint_minutes, small, tmp_path
):
    # with 5 minutes, all epochs before an interruption are trained again
    options = dict(decay_epochs=2, augment=("color", "translation", "cutout"), r1=0.1)
    options |= dict(score_every=2, epochs=4, learning_rate=0.05)
    stage = partial(build, **small | options, checkpoint_minutes=checkpoint_minutes)
    uninterrupted, resumed = check_resume(stage, train_and_fingerprint, tmp_path, max_stops=2)
    assert resumed == uninterrupted


@pytest.mark.slow
def test_checkpoints_are_written_after_some_minutes_and_replaced(small, tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("moonas.run.stage.time.monotonic", lambda: clock[0])
    trained, train_epoch = [], GanTrainer.train

    def train_for_two_minutes(trainer, epoch):
        trained.append(epoch)
        if len(trained) == 7:
            raise KeyboardInterrupt
        clock[0] += 120
        return train_epoch(trainer, epoch)

    monkeypatch.setattr(GanTrainer, "train", train_for_two_minutes)
    options = small | dict(epochs=8, score_every=4, checkpoint_minutes=5.0)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "a", **options)
    records = read_run(tmp_path / "a")[1]
    assert [r["call"] for r in records if "weights" in r] == [2, 5]  # after 6 and 12 minutes
    assert [p.name for p in (tmp_path / "a").glob("weights-*")] == ["weights-000005.pt"]
    assert (tmp_path / "a" / "curves.png").exists()
    clock[0] += 1000
    resumed, _, log = train(tmp_path / "a", **options)
    assert trained == [*range(7), 6, 7]  # no recorded epoch was lost
    assert any(re.search(r"checkpoint after epoch 8: [\d.]+ MB, written in", x) for x in log)
    monkeypatch.setattr(GanTrainer, "train", train_epoch)
    uninterrupted, _, _ = train(tmp_path / "b", **options)
    for a, b in zip(resumed.history, uninterrupted.history, strict=True):
        assert a == b
    assert fingerprint(resumed.generator.state_dict()) == fingerprint(
        uninterrupted.generator.state_dict()
    )


def test_after_a_kill_the_epochs_without_a_checkpoint_are_trained_again(
    small, tmp_path, monkeypatch
):
    train_epoch = GanTrainer.train

    def stop_after_three_epochs(trainer, epoch):
        if epoch == 3:
            raise KeyboardInterrupt
        return train_epoch(trainer, epoch)

    monkeypatch.setattr(GanTrainer, "train", stop_after_three_epochs)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, **small)
    assert not list(tmp_path.glob("weights-*")) and len(read_run(tmp_path)[1]) == 3
    assert not (tmp_path / "curves.png").exists()  # not drawn every second
    monkeypatch.setattr(GanTrainer, "train", train_epoch)
    _, _, log = train(tmp_path, **small)
    assert any("3 epochs after it had no checkpoint and must be trained again" in x for x in log)


def test_discriminator_steps_are_counted_across_epochs(small):
    """100 images in batches of 50 are two steps per epoch, and d_steps is 5."""
    options = small | dict(batch=50, d_steps=5, score_every=0)
    trainer = GanTrainer(build(**options), seed=1)
    reports = [trainer.train(epoch) for epoch in range(6)]
    assert [report["g_steps"] for report in reports] == [0, 0, 1, 0, 1, 0]
    resumed = GanTrainer(build(**options), seed=1)
    for epoch in range(2):
        resumed.train(epoch)
    state = resumed.state()
    resumed = GanTrainer(build(**options), seed=1)
    resumed.load_state(state)
    assert resumed.train(2)["g_steps"] == 1
    with pytest.raises(ValueError, match="d_steps=5 is invalid: 2 epochs .* have 4 steps"):
        GanTrainer(build(**options | dict(epochs=2)), seed=1)


def test_with_statistics_of_real_images_fid_is_relative_to_their_file(small, tmp_path):
    file = tmp_path / "real.npz"
    n = GanTrainer(build(**small), seed=1).quality.extract(torch.zeros(1, 3, 8, 8))[0].shape[1]
    np.savez(file, mu=np.zeros(n), sigma=np.eye(n))
    options = small | dict(epochs=1, real_statistics=str(file))
    result, lines, _ = train(tmp_path / "a", **options)
    assert "test_fid" not in result.scores
    assert f"relative to the statistics in {file}" in lines[0] and "test set" not in lines[0]


def test_the_learning_rates_fall_linearly_in_the_last_epochs(small, monkeypatch):
    factors = [learning_rate_factor(epoch, 10, 4) for epoch in range(10)]
    assert factors == pytest.approx([1] * 6 + [4 / 5, 3 / 5, 2 / 5, 1 / 5])
    assert [learning_rate_factor(epoch, 3, 0) for epoch in range(3)] == [1, 1, 1]
    assert learning_rate_factor(0, 4, 4) == 4 / 5
    trainer = GanTrainer(build(**small | dict(epochs=4, decay_epochs=1, score_every=0)), seed=1)
    rates = []
    for epoch in range(4):
        trainer.train(epoch)
        groups = trainer.optimizer.param_groups[0], trainer.d_optimizer.param_groups[0]
        rates.append([group["lr"] for group in groups])
    assert rates == [[1e-3, 2e-3]] * 3 + [[5e-4, 1e-3]]


@pytest.mark.slow
def test_the_new_options_of_a_training_change_its_result(small, tmp_path):
    base, weights = small | dict(epochs=2, score_every=0), set()
    changes = ({}, {"decay_epochs": 1}, {"r1": 1.0}, {"augment": ("color",)})
    for i, change in enumerate(changes):
        result, _, _ = train(tmp_path / str(i), **base | change)
        weights.add(fingerprint(result.generator.state_dict()))
    assert len(weights) == len(changes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(augment=("blur",)), "augment=.*invalid: expected different names of color"),
        (dict(augment=("color", "color")), "augment=.*invalid"),
        (dict(r1=-1.0), "r1=-1.0 is invalid"),
        (dict(epochs=5, decay_epochs=6), "decay_epochs=6 is invalid: expected at most 5"),
        (dict(interim_score_images=2, is_splits=2), "interim_score_images=2.*at least 4"),
        (dict(cells=6), "cells=6 is invalid"),
    ],
)
def test_invalid_settings_are_rejected(options, message):
    with pytest.raises(ValueError, match=message):
        TrainingSettings(**options)


@pytest.fixture(scope="session")
def small_features(tmp_path_factory):
    """Dict from "logits" and "no logits" to the setting ``features`` of a small network."""
    path = tmp_path_factory.mktemp("features") / "small_networks.py"
    path.write_text(
        "from torch import nn\n"
        "\n"
        "class Features(nn.Module):\n"
        "    def forward(self, images):\n"
        "        return nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)\n"
        "\n"
        "class FeaturesAndLogits(Features):\n"
        "    def forward(self, images):\n"
        "        features = super().forward(images)\n"
        "        return features, features[:, :4]\n"
    )
    return {"logits": f"{path}:FeaturesAndLogits", "no logits": f"{path}:Features"}


@pytest.fixture(scope="session")
def flat_folder(tmp_path_factory):
    """Folder with 60 images of 16x16 pixels and without labels."""
    folder, rng = tmp_path_factory.mktemp("flat") / "photos", np.random.default_rng(0)
    folder.mkdir()
    for i in range(60):
        pixels = np.kron(rng.integers(0, 256, (4, 4, 3)), np.ones((4, 4, 1))).astype("uint8")
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def test_a_gan_learns_from_a_flat_folder_of_images(flat_folder, small, small_features, tmp_path):
    features = small_features["logits"]
    options = small | dict(data=flat_folder, batch=24, epochs=2, features=features)
    result, _, _ = train(tmp_path / "training", **options)
    z = torch.zeros(2, 3, device=next(result.generator.parameters()).device)
    assert result.generator(z).shape == (2, 3, 8, 8)
    assert math.isfinite(result.scores["test_fid"])
    tiny = {k: v for k, v in TINY["eagan-generator"].items() if k not in ("image_size", "batch")}
    problem = moonas.load_problem(
        "eagan-generator",
        **tiny | dict(data=flat_folder, image_size=8, batch=24, features=features),
    )
    X = np.zeros((2, 21), dtype=int)
    X[1, 0] = 1
    assert np.isfinite(problem.evaluate(X)).all()


def test_the_classifier_cannot_judge_images_without_labels(flat_folder, small):
    for load in (build, partial(moonas.load_problem, "eagan-generator")):
        with pytest.raises(
            ValueError, match="features='classifier' is invalid.*features=inception"
        ):
            load(data=flat_folder, image_size=8)
    with pytest.raises(ValueError, match="no labeled images"):
        moonas.load_problem("cars", data=flat_folder)


def test_the_paper_trains_on_the_unlabeled_images_of_stl_10():
    stage = build(**TrainingSettings.PRESETS["paper-stl10"] | dict(device="cpu"))
    assert stage.info.name == "stl10-unlabeled" and stage.info.side == 48
    assert stage.settings.cells == 3


def test_features_without_classes_have_no_inception_score_and_no_shares(
    flat_folder, small, small_features, tmp_path
):
    features = small_features["no logits"]
    options = small | dict(data=flat_folder, batch=24, epochs=2, features=features)
    result, lines, log = train(tmp_path, **options)
    assert math.isnan(result.scores["is_mean"]) and len(result.scores["shares"]) == 0
    assert not any("Inception Score" in x or "classes" in x for x in [*lines, *log])
    assert json.loads(json.dumps(read_run(tmp_path)[1][0]["result"]["is_mean"])) is None


def test_an_architecture_determines_the_number_of_cells_of_its_training(small):
    four = " / ".join(["near bil c3 - c1 - skip"] * 4)
    stage = build(**small | dict(image_size=32, generator=four))
    assert stage.settings.cells == 4 and stage.info.side == 32
    D = stage.build_discriminator()
    assert len(D.architecture.cells) == 4
    three = build(**small | dict(image_size=64, generator="EAGAN_G"))
    assert three.settings.cells == 3
    with pytest.raises(ValueError, match="EAGAN_G is a generator with 3 cells, but 4"):
        build(**small | dict(image_size=64, generator="EAGAN_G", cells=4))
    default = build(**small | dict(image_size=64))
    assert default.settings.cells == 4
    assert default.architecture == zoo.find_generator(None, 4)
    with pytest.raises(ValueError, match="multiple of 16"):
        build(**small | dict(image_size=24, generator=four))


def test_a_trained_generator_with_four_cells_is_read_from_its_file(small, small_features, tmp_path):
    options = small | dict(image_size=32, cells=4, latent=6, channel_schedule="constant", epochs=1)
    options |= dict(features=small_features["logits"])
    result, _, _ = train(tmp_path, **options, spectral=False)
    gan = read_trained_gan(tmp_path)
    assert gan.generator(torch.zeros(1, 6)).shape == (1, 3, 32, 32)
    assert gan.discriminator(torch.zeros(1, 3, 32, 32)).shape == (1,)
    assert fingerprint(gan.generator.state_dict()) == fingerprint(result.generator.state_dict())
    assert moonas.load_model(tmp_path)(torch.zeros(1, 6)).shape == (1, 3, 32, 32)


def forget_new_settings(folder):
    """Rewrite run.json as a version wrote it that lacked the settings of this version."""
    path = folder / "run.json"
    head = json.loads(path.read_text())
    new = ("cells", "channel_schedule", "augment", "r1", "decay_epochs", "score_every")
    new += ("interim_score_images", "checkpoint_minutes")
    head["settings"] = {k: v for k, v in head["settings"].items() if k not in new}
    path.write_text(json.dumps(head))


def former(folder, options):
    """Return options completed by those of the version that wrote a run."""
    return options | options_of_earlier_version(folder, TrainingSettings, options)


def test_a_training_of_an_earlier_version_replays_as_complete(small, tmp_path, monkeypatch):
    options = small | dict(epochs=2)
    train(tmp_path, **options, score_every=0, checkpoint_minutes=0)  # as earlier versions did
    forget_new_settings(tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.suffix in (".jsonl", ".pt")}
    monkeypatch.setattr(GanTrainer, "train", lambda *args: pytest.fail("it trained again"))
    result, lines, _ = train(tmp_path, **former(tmp_path, options))
    after = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.suffix in (".jsonl", ".pt")}
    assert after == before
    assert "epoch" not in result.scores and len(lines) == 2


def test_an_unfinished_training_of_an_earlier_version_continues(small, tmp_path, monkeypatch):
    options, train_epoch = small | dict(epochs=4), GanTrainer.train

    def stop_after_two_epochs(trainer, epoch):
        if epoch == 2:
            raise KeyboardInterrupt
        return train_epoch(trainer, epoch)

    monkeypatch.setattr(GanTrainer, "train", stop_after_two_epochs)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, **options, score_every=0, checkpoint_minutes=0)
    forget_new_settings(tmp_path)
    monkeypatch.setattr(GanTrainer, "train", train_epoch)
    result, _, _ = train(tmp_path, **former(tmp_path, options))
    # earlier versions kept the last generator
    assert not scored_epochs(tmp_path) and "epoch" not in result.scores
    uninterrupted, _, _ = train(tmp_path / "b", **options, score_every=0)
    weights = [fingerprint(r.generator.state_dict()) for r in (result, uninterrupted)]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("stage", "searched", "expected"),
    [
        ("eagan-discriminator", 3e-4, 1e-3),  # the default of stage 2
        ("eagan-discriminator", 5e-4, 5e-4),
        ("eagan-generator", 3e-4, 3e-4),
    ],
)
def test_a_training_has_the_learning_rate_of_the_search_unless_it_is_the_default_of_stage_2(
    monkeypatch, stage, searched, expected
):
    run = {"problem": stage, "settings": {"data": "digits", "learning_rate": searched}}
    gan = {"generator": "EAGAN_G", "discriminator": "EAGAN_D_C"}
    monkeypatch.setattr(final_training, "read_identity", lambda folder: run)
    monkeypatch.setattr(final_training, "read_gan", lambda folder: gan)
    assert build(from_run="run").settings.learning_rate == expected


@pytest.mark.slow
def test_a_search_of_an_earlier_version_at_64_pixels_has_three_cells(
    few_digits, tmp_path, tiny_of, small_features
):
    from moonas.run.search import search
    from moonas.views.run_page import show

    options = tiny_of("eagan-generator") | dict(data=few_digits, batch=50, image_size=64)
    options |= dict(population=2, generations=1, features=small_features["logits"])

    def load(**more):
        return moonas.load_problem("eagan-generator", journal=tmp_path / "g", **options | more)

    problem = load(cells=3)
    result = search(problem, problem.algorithm(), seed=1, generations=1)
    problem.journal.close()
    forget_new_settings(tmp_path / "g")
    with pytest.raises(RunMismatch, match="cells=3, but this run has cells=4"):
        load(cells=4)
    problem = load()
    assert problem.n_cells == 3
    replayed = search(problem, problem.algorithm(), seed=1, generations=1)
    problem.journal.close()
    assert [row.columns for row in replayed.rows] == [row.columns for row in result.rows]
    assert show(tmp_path / "g").exists()  # reads the settings from run.json
    # the next stage and the training have the cells of the picked generator
    second = moonas.load_problem(
        "eagan-discriminator", **options | dict(from_run=tmp_path / "g", generator_epochs=1)
    )
    assert second.n_cells == 3
    training = build(from_run=tmp_path / "g", epochs=1)
    assert training.settings.cells == 3 and training.info.side == 64


@pytest.mark.parametrize("stage", ["eagan-generator", "eagan-discriminator"])
@pytest.mark.parametrize("coupled", [False, True])
def test_a_search_at_64_pixels_has_four_cells(stage, coupled, few_digits, tiny_of, small_features):
    if coupled and stage == "eagan-discriminator":
        return
    more = dict(features=small_features["logits"]) | (dict(coupled=True) if coupled else {})
    options = dict(data=few_digits, batch=50, image_size=64, latent=6, population=2, generations=1)
    problem = moonas.load_problem(stage, **tiny_of(stage) | options | more)
    assert problem.n_var == (56 if coupled else 28)
    assert problem.settings.cells == 4
    X = np.array([problem.n_choices - 1, problem.n_choices * 0])
    sizes = problem.evaluate(X, return_values_of=["params", "macs"])
    bounds = [problem.column(name).bounds[1] for name in ("params", "macs")]
    for values, bound in zip(sizes, bounds, strict=True):
        assert np.all(np.asarray(values) <= bound)
    architecture = problem.decode(X[0])
    network = problem.network(architecture)
    from moonas.nets.counting import count_params

    if stage == "eagan-generator":
        assert problem.cost(architecture)[0] == count_params(network)
    assert problem.operations()
