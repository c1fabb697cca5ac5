import contextlib
import io
import json
import math
from functools import partial

import numpy as np
import pytest
import torch
from callbacks import On
from searches import front_rows
from torch.nn import functional as F

import moonas
from moonas.cli import main
from moonas.data import load, shift_and_flip
from moonas.files.tensors import fingerprint
from moonas.nets.counting import count_params
from moonas.nets.devices import repeatable
from moonas.nets.randomness import generator, initial_weights
from moonas.registry import training_module
from moonas.run.journal import RunMismatch, read_run
from moonas.run.search import search
from moonas.testing import check_resume
from moonas.training.sgd import cosine

QUICK = dict(epochs=3, batch=30)  # 100 images: three steps an epoch


def searched(folder, name, options, generations=3):
    """The run folder of a search that has ended."""
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
    searched(folder, "cars", options)
    assert len(front_rows(folder)) > 2
    return folder


def trained(run, seed=1, **options):
    return moonas.load_training(run, **QUICK | options).run(seed=seed)


def images_of(folder):
    """As the search has them."""
    return load(folder, image_size=8)


def state_of(result):
    return fingerprint(result.network.state_dict())


def words(line):
    """What a command line prints; it has to end well."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(line) == 0
    return out.getvalue()


def test_a_training_stopped_after_any_epoch_ends_with_the_same_bits(run, tmp_path):
    def train(stage):
        result = stage.run(seed=1)
        return result.columns, state_of(result)

    build = partial(moonas.load_training, run, **QUICK)
    straight, stopped = check_resume(build, train, tmp_path)
    assert stopped == straight == train(build())  # with a journal and without
    kinds = [record["kind"] for record in read_run(tmp_path / "stopped")[1]]
    assert kinds == ["train"] * 3 + ["final test"]


def test_a_training_reports_its_epochs(run):
    seen, stage = [], moonas.load_training(run, **QUICK)
    stage.callbacks.append(On(on_progress=lambda *args: seen.append(args[1:])))
    stage.run(seed=1)
    assert seen == [(done, 3, "epochs") for done in range(4)]


def test_a_training_is_a_plain_loop_over_all_images_to_search_with(run, options, few_digits):
    stage = moonas.load_training(run, pick="0", learning_rate_end=0.01, **QUICK)
    result, s = stage.run(seed=5), stage.settings
    data, problem = images_of(few_digits), moonas.load_problem("cars", **options)
    assert len(data.labels) == 100 and len(data.test_labels) == 20
    row = front_rows(run)[0]
    architecture = problem.decode(np.array(row["x"].split(), int))
    who = (5, *problem.encode(architecture).tolist())
    with initial_weights(*who, "weights"):
        net = problem.network(architecture, n_classes=10, in_channels=3)  # folders are in colour
    net = net.to(stage.device, memory_format=torch.channels_last).train()
    assert count_params(net) == float(row["params"])
    images = data.images.to(stage.device, memory_format=torch.channels_last)
    labels = data.labels.to(stage.device)
    optimizer = torch.optim.SGD(net.parameters(), 1.0, s.momentum, weight_decay=s.weight_decay)
    with repeatable(s.threads):
        for epoch in range(3):
            rng = generator(*who, "batches", epoch)
            order = torch.randperm(100, generator=rng).to(stage.device)
            optimizer.param_groups[0]["lr"] = cosine(epoch, 3, s.learning_rate, 0.01)
            for rows in order[:90].split(30):  # ten images wait
                optimizer.zero_grad()
                logits = net(shift_and_flip(images[rows], rng, padding=4, flip=True))
                F.cross_entropy(logits, labels[rows]).backward()
                torch.nn.utils.clip_grad_norm_(net.parameters(), s.clip)
                optimizer.step()
    assert state_of(result) == fingerprint(net.state_dict())
    assert not result.network.training


@pytest.mark.parametrize("score_batch", [7, 720])
def test_the_error_is_that_on_the_images_for_the_final_test(run, few_digits, score_batch):
    result = trained(run, pick="best-error", epochs=12, score_batch=score_batch)
    data = images_of(few_digits)
    images = data.test_images.to(next(result.network.parameters()).device)
    with torch.no_grad():
        missed = (result.network(images).argmax(1).cpu() != data.test_labels).sum().item()
    assert 0 < missed < 18  # it has learned something
    assert result.columns == {"error": 100 * missed / 20}


@pytest.mark.parametrize(
    ("pick", "best"),
    [
        ("knee", lambda row: -int(row["picked"])),
        ("best-error", lambda row: float(row["error"])),
        ("smallest", lambda row: float(row["params"])),
    ],
)
def test_a_word_picks_a_row_of_the_front(run, pick, best):
    row = min(front_rows(run), key=best)
    stage = moonas.load_training(run, pick=pick)
    assert str(stage.architecture) == row["description"]
    network = stage.start(1).network
    assert count_params(network) == float(row["params"])


def test_a_number_picks_a_row_of_the_front_and_others_are_refused(run):
    rows = front_rows(run)
    for i, row in enumerate(rows):
        stage = moonas.load_training(run, pick=str(i))
        assert stage.problem.architecture_to_json(stage.architecture) == json.loads(
            row["architecture"]
        )
    for pick in (str(len(rows)), "largest"):
        message = f"pick='{pick}' will not do: knee, .* 0 to {len(rows) - 1}"
        with pytest.raises(ValueError, match=message):
            moonas.load_training(run, pick=pick)


def test_another_seed_or_another_row_gives_another_network(run):
    n = len(front_rows(run))
    states = {state_of(trained(run, seed=s, pick="0", epochs=1)) for s in (1, 2)}
    states |= {state_of(trained(run, pick=str(n - 1), epochs=1))}
    assert len(states) == 3


def test_data_and_device_are_those_of_the_search_and_the_rest_is_its_own(run, few_digits):
    searched, s = read_run(run)[0]["settings"], moonas.load_training(run).settings
    assert s.data == searched["data"] == str(few_digits)
    assert (s.device, s.threads, s.score_batch) == (searched["device"], 1, 720)
    assert searched["batch"] == 25 and s.batch == 64 and s.epochs == 60
    assert moonas.load_training(run, threads=2).settings.threads == 2


def test_a_search_that_has_not_ended_is_refused(options, tmp_path, capsys):
    problem = moonas.load_problem("cars", journal=tmp_path / "run", **options)
    problem.callbacks.append(On(on_generation=stop_at_once))
    with pytest.raises(KeyboardInterrupt):
        search(problem, problem.algorithm(), seed=1, generations=3, verbose=False)
    problem.journal.close()
    message = f"{tmp_path / 'run'} holds no front.csv: the search has not ended"
    with pytest.raises(ValueError, match=message):
        moonas.load_training(tmp_path / "run")
    assert main(["train", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run" / "training").exists()


def stop_at_once(algorithm):
    raise KeyboardInterrupt


def test_a_folder_holds_one_training(run, tmp_path):
    stage = moonas.load_training(run, pick="0", journal=tmp_path / "run", **QUICK)
    stage.run(seed=1)
    stage.journal.close()
    with pytest.raises(RunMismatch, match="pick='0'; this one has pick='1'"):
        moonas.load_training(run, pick="1", journal=tmp_path / "run", **QUICK)
    with pytest.raises(RunMismatch, match="holds a run with seed=1; this one has seed=2"):
        moonas.load_training(run, pick="0", journal=tmp_path / "run", **QUICK).run(seed=2)


def test_an_architecture_that_has_changed_is_refused(run, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("run.json", "journal.jsonl", "front.csv"):
        (folder / name).write_bytes((run / name).read_bytes())
    stage = moonas.load_training(folder, pick="0", journal=tmp_path / "training", **QUICK)
    stage.run(seed=1)
    stage.journal.close()
    head, first, second, *rest = (folder / "front.csv").read_bytes().splitlines(keepends=True)
    (folder / "front.csv").write_bytes(b"".join([head, second, first, *rest]))
    with pytest.raises(RunMismatch, match="inputs"):
        moonas.load_training(folder, pick="0", journal=tmp_path / "training", **QUICK)


def test_the_command_line_trains_into_the_run_folder_and_says_the_error(run):
    line = ["train", str(run), "--set", "epochs=2", "batch=30", "pick=best-error"]
    out = words(line)
    folder = run / "training"
    head, records = read_run(folder)
    (tested,) = records[-1]["result"].values()
    least = min(float(row["error"]) for row in front_rows(run))
    assert f"Test error {tested:.2f} %, after 2 epochs on all images" in out
    assert f"In the search its error was {least:.2f} %." in out
    assert head["problem"] == "cars training" and head["settings"]["epochs"] == 2
    assert tested == trained(run, epochs=2, pick="best-error").columns["error"]
    again = words(line)
    assert "This run is complete" in again and f"Test error {tested:.2f} %" in again


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["epoch=2"], "Unknown setting 'epoch'"),
        (["epochs=0"], "epochs=0 is invalid: expected at least 1"),
        (["pick=tallest"], "pick='tallest' will not do"),
        (["channel=9"], "Unknown setting 'channel'"),
    ],
)
def test_wrong_words_end_with_2_and_no_folder(run, tmp_path, capsys, line, message):
    assert main(["train", str(run), "--out", str(tmp_path / "out"), "--set", *line]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


DIVERGES = dict(learning_rate=1e30, clip=1e30, batch=30, epochs=10)  # the tenth tells its loss


def test_a_training_that_diverges_says_so(run):
    stage = moonas.load_training(run, **DIVERGES)
    result = stage.run(seed=1)
    assert math.isnan(result.columns["error"])
    (line,) = stage.report(result, None)
    assert "diverged" in line


def test_a_training_that_diverges_says_so_with_a_journal_too(run, tmp_path):
    stage = moonas.load_training(run, journal=tmp_path / "run", **DIVERGES)
    result = stage.run(seed=1)
    assert math.isnan(result.columns["error"])
    assert "diverged" in stage.report(result, tmp_path / "run")[0]


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("nsganet-macro", dict(objectives=("error", "macs"))),
        ("eg-darts", dict(cells="PDARTS", final_epochs=1, first_width=(3, 6))),
    ],
)
def test_networks_of_other_problems_train_as_well(name, more, tiny_of, few_digits, tmp_path):
    options = tiny_of(name) | dict(data=few_digits, population=3, batch=25) | more
    run = searched(tmp_path / "run", name, options, generations=2)
    result = trained(run, pick="0", epochs=1)
    assert count_params(result.network) == float(front_rows(run)[0]["params"])
    assert 0 <= result.columns["error"] <= 100


def test_a_problem_without_a_training_is_refused(tmp_path):
    with pytest.raises(ValueError, match="eg-darts-cells has no full training"):
        training_module("eg-darts-cells")
