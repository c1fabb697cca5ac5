import contextlib
import io
import json
import math
from functools import partial

import numpy as np
import pytest
import torch
from callbacks import CallbackOf
from searches import TINY, front_rows
from torch.nn import functional as F

import moonas
from moonas.cli import main
from moonas.data import load, shift_and_flip
from moonas.files.tensors import fingerprint
from moonas.metrics.timing import Measurement
from moonas.nets.counting import count_params
from moonas.nets.devices import repeatable
from moonas.nets.randomness import generator, initial_weights
from moonas.registry import training_module
from moonas.run.journal import RunMismatch, read_run
from moonas.run.search import search
from moonas.testing import check_resume
from moonas.training import from_scratch
from moonas.training.sgd import cosine

QUICK_SETTINGS = dict(epochs=2, batch=30)  # 100 images: three steps per epoch


def search_in(folder, name, options, generations=3):
    """Run a search in a folder, and return the folder."""
    problem = moonas.load_problem(name, journal=folder, **options)
    search(problem, problem.algorithm(), seed=1, generations=generations, verbose=False)
    problem.journal.close()
    return folder


@pytest.fixture(scope="module")
def options(tiny, few_digits):
    return tiny | dict(data=few_digits, batch=25, objectives=("error", "params", "macs"))


@pytest.fixture(scope="module")
def run(options, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cars") / "run"
    search_in(folder, "cars", options, generations=2)
    assert len(front_rows(folder)) > 2
    return folder


def train_network(run, seed=1, **options):
    return moonas.load_training(run, **QUICK_SETTINGS | options).run(seed=seed)


def load_images(folder):
    """Load the data set with the same image size as in the search."""
    return load(folder, image_size=8)


def weights_fingerprint(result):
    return fingerprint(result.network.state_dict())


def run_command(command):
    """Run a command, check that its exit status is 0, and return its output."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(command) == 0
    return out.getvalue()


def test_a_resumed_training_equals_an_uninterrupted_one(run, tmp_path):
    def train(stage):
        result = stage.run(seed=1)
        return result.columns, weights_fingerprint(result)

    build = partial(moonas.load_training, run, **QUICK_SETTINGS)
    uninterrupted, resumed = check_resume(build, train, tmp_path)
    assert resumed == uninterrupted == train(build())  # with and without a journal
    kinds = [record["kind"] for record in read_run(tmp_path / "stopped")[1]]
    assert kinds == ["train"] * 2 + ["final test"]


def test_a_training_reports_its_progress_before_each_epoch_and_at_the_end(run):
    reports, stage = [], moonas.load_training(run, **QUICK_SETTINGS)
    stage.callbacks.append(CallbackOf(on_progress=lambda *args: reports.append(args[1:])))
    stage.run(seed=1)
    epochs = [report for report in reports if report[-1] == "epochs"]
    assert epochs == [(done, 2, "epochs") for done in range(3)]


def test_a_preset_keeps_its_own_size_of_images_if_it_says_how_they_are_cropped(run):
    stage = moonas.load_training(run, preset="paper-imagenet", device="cpu", layers=3, channels=4)
    assert (stage.info.side, stage.info.stored) == (224, 256)
    assert stage.settings.data == moonas.load_training(run, **QUICK_SETTINGS).settings.data
    assert moonas.load_training(run, preset="paper", device="cpu").info.side == 8


def test_a_training_equals_a_plain_pytorch_loop_over_training_and_validation_images(
    run, options, few_digits
):
    options_of_training = QUICK_SETTINGS | dict(learning_rate_end=0.01, precision="full")
    stage = moonas.load_training(run, pick="0", **options_of_training)
    result, s = stage.run(seed=5), stage.settings
    data, problem = load_images(few_digits), moonas.load_problem("cars", **options)
    assert len(data.labels) == 100 and len(data.test_labels) == 20
    row = front_rows(run)[0]
    architecture = problem.decode(np.array(row["x"].split(), int))
    seeds = (5, *problem.encode(architecture).tolist())
    with initial_weights(*seeds, "weights"):
        # images from folders are RGB
        net = problem.network(architecture, n_classes=10, in_channels=3)
    net = net.to(stage.device, memory_format=torch.channels_last).train()
    assert count_params(net) == float(row["params"])
    images = data.images.tensor().to(stage.device, memory_format=torch.channels_last)
    labels = data.labels.to(stage.device)
    black = (-data.mean / data.std).to(stage.device)
    optimizer = torch.optim.SGD(net.parameters(), 1.0, s.momentum, weight_decay=s.weight_decay)
    with repeatable(s.threads):
        for epoch in range(2):
            rng = generator(*seeds, "batches", epoch)
            order = torch.randperm(100, generator=rng).to(stage.device)
            optimizer.param_groups[0]["lr"] = cosine(epoch, 2, s.learning_rate, 0.01)
            for rows in order[:90].split(30):  # ten images do not fill a batch
                optimizer.zero_grad()
                x = shift_and_flip(images[rows] - black, rng, padding=4, flip=True) + black
                logits = net(x)
                F.cross_entropy(logits, labels[rows]).backward()
                torch.nn.utils.clip_grad_norm_(net.parameters(), s.clip)
                optimizer.step()
    if stage.device.type == "cpu":
        assert weights_fingerprint(result) == fingerprint(net.state_dict())
    else:  # the gradient of max pooling sums in a random order there
        trained = result.network.state_dict()
        for name, tensor in net.state_dict().items():
            assert torch.allclose(tensor, trained[name], rtol=1e-3, atol=1e-4), name
    assert not result.network.training


def test_the_error_is_computed_on_the_test_set_and_does_not_depend_on_the_batch_size(
    run, few_digits
):
    result = train_network(run, pick="best-error", epochs=12, padding=1, score_batch=7)
    data = load_images(few_digits)
    images = data.test_images.tensor().to(next(result.network.parameters()).device)
    with torch.no_grad():
        n_wrong = (result.network(images).argmax(1).cpu() != data.test_labels).sum().item()
    assert 0 < n_wrong < 18  # the error is better than chance
    assert result.columns == {"error": 100 * n_wrong / 20}
    trainer = moonas.load_training(run, pick="best-error", score_batch=720).start(1)
    trainer.network = result.network
    assert trainer.evaluate() == result.columns


@pytest.mark.parametrize(
    ("pick", "best"),
    [
        ("knee", lambda row: -int(row["picked"])),
        ("best-error", lambda row: float(row["error"])),
        ("smallest", lambda row: float(row["params"])),
    ],
)
def test_a_rule_picks_a_row_of_the_front(run, pick, best):
    row = min(front_rows(run), key=best)
    stage = moonas.load_training(run, pick=pick)
    assert str(stage.architecture) == row["description"]
    network = stage.start(1).network
    assert count_params(network) == float(row["params"])


def test_a_number_picks_a_row_of_the_front_and_an_invalid_pick_raises_an_error(run):
    rows = front_rows(run)
    for i, row in enumerate(rows):
        stage = moonas.load_training(run, pick=str(i))
        assert stage.problem.architecture_to_json(stage.architecture) == json.loads(
            row["architecture"]
        )
    for pick in (str(len(rows)), "largest"):
        message = f"pick='{pick}' is invalid: expected knee, .* 0 to {len(rows) - 1}"
        with pytest.raises(ValueError, match=message):
            moonas.load_training(run, pick=pick)


def test_different_seeds_or_rows_result_in_different_trained_networks(run):
    n = len(front_rows(run))
    states = {weights_fingerprint(train_network(run, seed=s, pick="0", epochs=1)) for s in (1, 2)}
    states |= {weights_fingerprint(train_network(run, pick=str(n - 1), epochs=1))}
    assert len(states) == 3


def test_data_and_device_settings_are_taken_from_the_search_and_other_settings_are_not(
    run, few_digits
):
    searched, s = read_run(run)[0]["settings"], moonas.load_training(run).settings
    assert s.data == searched["data"] == str(few_digits)
    assert (s.device, s.threads, s.score_batch) == (searched["device"], 1, 720)
    assert searched["batch"] == 25 and s.batch == 64 and s.epochs == 60
    assert moonas.load_training(run, threads=2).settings.threads == 2


def test_training_from_an_unfinished_search_raises_an_error(options, tmp_path, capsys):
    problem = moonas.load_problem("cars", journal=tmp_path / "run", **options)
    problem.session.begin(1, "algorithm", problem.environment())
    problem.journal.call("train", {}, dict)
    problem.journal.close()
    message = f"{tmp_path / 'run'} contains no front.csv: the search has not ended"
    with pytest.raises(ValueError, match=message):
        moonas.load_training(tmp_path / "run")
    assert main(["train", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err
    assert not list((tmp_path / "run").glob("training*"))


def test_a_folder_that_contains_a_different_training_raises_an_error(run, tmp_path):
    stage = moonas.load_training(run, pick="0", journal=tmp_path / "run", **QUICK_SETTINGS)
    stage.run(seed=1)
    stage.journal.close()
    with pytest.raises(RunMismatch, match="pick='0', but this run has pick='1'"):
        moonas.load_training(run, pick="1", journal=tmp_path / "run", **QUICK_SETTINGS)
    with pytest.raises(RunMismatch, match="contains a run with seed=1, but this run has seed=2"):
        moonas.load_training(run, pick="0", journal=tmp_path / "run", **QUICK_SETTINGS).run(seed=2)


def test_resuming_a_training_after_the_architecture_changed_raises_an_error(run, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("run.json", "journal.jsonl", "front.csv"):
        (folder / name).write_bytes((run / name).read_bytes())
    stage = moonas.load_training(folder, pick="0", journal=tmp_path / "training", **QUICK_SETTINGS)
    stage.run(seed=1)
    stage.journal.close()
    head, first, second, *rest = (folder / "front.csv").read_bytes().splitlines(keepends=True)
    (folder / "front.csv").write_bytes(b"".join([head, second, first, *rest]))
    with pytest.raises(RunMismatch, match="inputs"):
        moonas.load_training(folder, pick="0", journal=tmp_path / "training", **QUICK_SETTINGS)


def test_the_train_command_trains_in_the_run_folder_and_prints_the_error(run):
    command = ["train", str(run), "--set", "epochs=1", "batch=30", "pick=best-error"]
    out = run_command(command)
    folder = run / "training-best-error"
    head, records = read_run(folder)
    (error,) = records[-1]["result"].values()
    best = min(float(row["error"]) for row in front_rows(run))
    assert f"Test error {error:.2f} % after 1 epoch on the training and validation sets" in out
    assert f"In the search, its error was {best:.2f} %." in out
    assert head["problem"] == "cars training" and head["settings"]["epochs"] == 1
    assert error == train_network(run, epochs=1, pick="best-error").columns["error"]
    repeated = run_command(command)
    assert "This run is complete" in repeated and f"Test error {error:.2f} %" in repeated


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["epoch=2"], "Unknown setting 'epoch'"),
        (["epochs=0"], "epochs=0 is invalid: expected at least 1"),
        (["pick=tallest"], "pick='tallest' is invalid"),
        (["channel=9"], "Unknown setting 'channel'"),
    ],
)
def test_invalid_settings_exit_with_status_2_and_create_no_folder(
    run, tmp_path, capsys, arguments, message
):
    assert main(["train", str(run), "--out", str(tmp_path / "out"), "--set", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# ten epochs, because the tenth epoch is logged
DIVERGING_SETTINGS = dict(learning_rate=1e30, clip=1e30, batch=100, epochs=10)


@pytest.mark.parametrize(
    ("spread", "note"), [(0.2, ""), (0.3, ", measured while the machine seemed busy")]
)
def test_the_report_says_whether_the_machine_seemed_busy(run, tmp_path, monkeypatch, spread, note):
    monkeypatch.setattr(from_scratch, "measure", lambda *_: Measurement(1.5, spread))
    stage = moonas.load_training(run, **QUICK_SETTINGS, journal=tmp_path / "run")
    result = stage.run(seed=1)
    stage.row = None
    line, *_ = stage.report(result, tmp_path / "run")
    assert line.endswith(f"1.50 ms per image on cpu{note}.")


@pytest.mark.parametrize("with_journal", [False, True])
def test_the_report_of_a_diverged_training_states_the_divergence(run, tmp_path, with_journal):
    journal = tmp_path / "run" if with_journal else None
    stage = moonas.load_training(run, journal=journal, **DIVERGING_SETTINGS)
    result = stage.run(seed=1)
    assert math.isnan(result.columns["error"])
    line, *_ = stage.report(result, tmp_path / "run")
    assert line.startswith("The training diverged")


@pytest.mark.parametrize(
    ("name", "more_options"),
    [
        ("nsganet-macro", dict(objectives=("error", "macs"))),
        ("eg-darts", dict(cells="PDARTS", final_epochs=1)),
    ],
)
def test_networks_of_other_problems_can_be_trained(
    name, more_options, tiny_of, few_digits, tmp_path
):
    options = tiny_of(name) | dict(data=few_digits, population=2, batch=25) | more_options
    run = search_in(tmp_path / "run", name, options, generations=1)
    result = train_network(run, pick="0", epochs=1)
    assert count_params(result.network) == float(front_rows(run)[0]["params"])
    assert 0 <= result.columns["error"] <= 100


def test_a_problem_without_a_training_from_scratch_raises_an_error(tmp_path):
    with pytest.raises(ValueError, match="eg-darts-cells has no training from scratch"):
        training_module("eg-darts-cells")


def test_an_objective_for_unequal_classes_decides_the_pick_and_classes_are_reported(
    few_digits, tmp_path
):
    options = TINY["cars"] | dict(data=few_digits, objectives=("balanced_error", "params"))
    found = moonas.search("cars", out=tmp_path / "run", **options)
    (trained,) = moonas.train(tmp_path / "run", pick="best-error", **QUICK_SETTINGS)
    best = min(found.rows, key=lambda row: row.columns["balanced_error"])
    expected = found.problem.architecture_to_json(best.architecture)
    recorded = read_run(trained.folder)[0]["inputs"]["architecture"]
    assert json.loads(recorded) == json.loads(json.dumps(expected))
    report = json.loads((trained.folder / "classes.json").read_text())
    assert [row["images"] for row in report["classes"].values()] == [2] * 10
    assert (trained.folder / "classes.png").exists()
    assert any("The mean error of the classes is" in line for line in trained.lines)
