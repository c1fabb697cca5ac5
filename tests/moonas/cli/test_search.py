"""``moonas search``, exit statuses and messages of the command line, and ``moonas list``."""

import argparse
import contextlib
import io
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from searches import TINY, front_rows, words

import moonas
from moonas import registry
from moonas.cli import main, options
from moonas.run.journal import read_run

OPTIONS = {key: value for key, value in TINY["cars"].items() if key != "generations"}
TABLE = ["search", "digits-table", "--generations", "3", "--set", *words(TINY["digits-table"])]
RUN = Path("runs", "cars-digits-seed1")


@pytest.fixture(scope="module")
def search(few_digits):
    """A command line that searches for cells on few images; its run folder is RUN."""
    settings = words(OPTIONS | {"batch": 25})
    return ["search", "cars", "--generations", "3", "--data", str(few_digits), "--set", *settings]


@pytest.fixture(scope="module")
def searched(search, tmp_path_factory):
    """The working directory of a completed search, and its output."""
    folder = tmp_path_factory.mktemp("search")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert main(search) == 0
    return folder, out.getvalue()


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    """An empty working directory for each test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def copied(searched, working_directory):
    """A copy of the completed run in the working directory of a test."""
    return shutil.copytree(searched[0] / RUN, working_directory / RUN)


def test_a_search_prints_a_table_and_writes_a_run_folder(searched):
    folder, out = searched
    for word in ("gen", "evals", "best error", "range of params", "hypervolume", "time left"):
        assert word in out
    assert "Pareto front" in out and "architecture" in out
    assert f"Results written to {RUN}: front.csv, front.png, run.json, journal.jsonl." in out
    names = {p.name for p in (folder / RUN).iterdir()}
    assert names >= {"front.csv", "front.png", "journal.jsonl"}
    assert (folder / RUN / "front.png").read_bytes().startswith(b"\x89PNG")
    rows = front_rows(folder / RUN)
    assert rows and set(rows[0]) == {
        *("error", "params", "macs", "growth", "picked", "x", "architecture", "description")
    }


def test_repeating_a_completed_search_recomputes_nothing(search, copied, capsys):
    front = (copied / "front.csv").read_bytes()
    assert main(search) == 0
    assert "This run is complete" in capsys.readouterr().out
    assert (copied / "front.csv").read_bytes() == front


def test_front_csv_contains_the_scores_of_the_problem(copied):
    problem = moonas.load_problem("cars", **read_run(copied)[0]["settings"], journal=copied)
    rows = front_rows(copied)
    F = problem.evaluate(np.array([row["x"].split() for row in rows], dtype=int))
    assert F.tolist() == [[float(row["error"]), float(row["params"])] for row in rows]


def test_the_default_seed_is_that_of_the_run_in_the_output_folder(capsys):
    assert main([*TABLE, "--seed", "7", "--out", "mine"]) == 0
    capsys.readouterr()
    assert main([*TABLE, "--out", "mine"]) == 0
    assert "seed 7" in capsys.readouterr().out


def test_any_algorithm_searches_by_any_objectives(working_directory, capsys):
    line = ["--algorithm", "smsemoa", "--objectives", "error", "macs", "--out", "b"]
    assert main([*TABLE, *line]) == 0
    assert "range of macs" in capsys.readouterr().out
    head = read_run(working_directory / "b")[0]
    assert head["algorithm"].startswith("SMSEMOA")
    assert head["settings"]["objectives"] == ["error", "macs"]
    rows = front_rows(working_directory / "b")
    errors, macs = np.array([[row["error"], row["macs"]] for row in rows], float).T
    assert (np.diff(errors) * np.diff(macs) < 0).all()  # a front in these two


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["search", "carz"], "Unknown task 'carz'; choose from ['cars'"),
        (["search", "cars", "--algorithm", "nsga9"], "Unknown algorithm 'nsga9'; choose from"),
        (["search", "cars", "--data", "cifar11"], "Unknown data set 'cifar11'"),
        (["search", "cars", "--objectives", "error", "speed"], "Unknown objective 'speed'"),
        (["search", "cars", "--preset", "big"], "Unknown preset 'big'"),
        (["search", "cars", "--set", "epoch=1"], "Unknown setting 'epoch'"),
        (
            ["search", "cars", "--set", "epochs"],
            "--set is invalid: expected KEY=VALUE, got 'epochs'",
        ),
        (
            ["search", "cars", "--set", "eagan.epochs=1"],
            "unknown stage 'eagan'; choose from ['cars']",
        ),
        (["search", "cars", "--population", "ten"], "population=ten is invalid"),
        (["search", "cars", "--device", "tpu9"], "Unknown device 'tpu9'"),
    ],
)
def test_wrong_usage_exits_with_2_and_creates_no_folder(working_directory, capsys, line, message):
    assert main(line) == 2
    assert message in capsys.readouterr().err
    assert not (working_directory / "runs").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["search", "cars", "--seed", "x"], "--seed: expected an integer of at least 0, got 'x'"),
        (["search", "cars", "--seed", "-1"], "--seed: expected an integer of at least 0, got '-1'"),
        (
            ["compare", "cars", "--seeds", "0"],
            "--seeds: expected an integer of at least 1, got '0'",
        ),
    ],
)
def test_an_argument_that_is_no_integer_in_range_exits_with_2(capsys, line, message):
    with pytest.raises(SystemExit) as caught:
        main(line)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_the_smallest_integers_are_accepted():
    assert options.nonnegative_int("0") == 0 and options.positive_int("1") == 1


def test_set_wins_over_other_flags_and_the_last_value_wins():
    args = argparse.Namespace(population="8", set=["population=4", "population=6", "channels=3"])
    parsed = options.parse_options(args, {"cars": registry.settings_class("cars")})
    assert parsed == {"cars": {"population": 6, "channels": 3}}


def test_a_missing_data_set_exits_with_1_and_a_hint_to_download_it(search, capsys):
    assert main([*search, "--data", "cifar10", "--root", "nowhere"]) == 1
    assert "download=true" in capsys.readouterr().err


def test_a_folder_with_another_search_exits_with_2(search, copied, capsys):
    assert main([*search, "--generations", "5"]) == 2
    message = capsys.readouterr().err
    assert "contains a run with generations=3, but this run has generations=5" in message


def test_a_damaged_run_exits_with_1(search, copied, capsys):
    path = copied / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"error", b"earor", 1))
    assert main(search) == 1
    assert "journal.jsonl is damaged in line 2" in capsys.readouterr().err


def test_no_command_prints_the_help_and_exits_with_2(capsys):
    assert main([]) == 2
    assert "moonas search cars" in capsys.readouterr().out


def test_the_help_on_a_task_lists_its_settings(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["search", "cars", "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert "warmup_epochs=15" in out and "presets of cars (--preset NAME): digits, paper" in out


def test_list_prints_problems_facts_and_published_architectures(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert "cars" in out and "stage of eagan, about 5 minutes" in out
    assert main(["list", "cars"]) == 0
    assert "24 integers, 9.1e18 vectors" in capsys.readouterr().out
    assert main(["list", "carz"]) == 2
    assert "Unknown problem 'carz'" in capsys.readouterr().err
    assert main(["list", "--zoo"]) == 0
    out = capsys.readouterr().out
    assert "CARS_A" in out and "2,432,206" in out and "DARTS_V2" in out


@pytest.mark.parametrize(
    ("command", "message"),
    [("search", "Interrupted. Run the same command again to resume."), ("show", "Interrupted.")],
)
def test_an_interrupt_exits_with_1(monkeypatch, capsys, command, message):
    def interrupt(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"moonas.cli.{command}.run", interrupt)
    assert main([command, "anything"]) == 1
    assert capsys.readouterr().err == f"moonas: {message}\n"


def test_a_process_locks_its_run_folder_and_exits_on_an_interrupt(
    search, working_directory, capsys
):
    line = [*search, "--generations", "500"]
    pipes = dict(stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def restore_interrupts():  # background jobs of a shell inherit that SIGINT is ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    process = subprocess.Popen(
        [sys.executable, "-m", "moonas.cli", *line], preexec_fn=restore_interrupts, **pipes
    )
    try:
        journal = working_directory / RUN / "journal.jsonl"
        deadline = time.monotonic() + 60
        while not journal.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert main(line) == 1
        assert "Another process is writing" in capsys.readouterr().err
        process.send_signal(signal.SIGINT)
        _, message = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "Interrupted. Run the same command again to resume." in message
    finally:
        process.kill()


def test_the_help_of_train_without_a_run_says_how_to_list_the_settings(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "Run moonas train RUN --help to list the settings" in " ".join(
        capsys.readouterr().out.split()
    )


def test_the_help_of_train_with_a_published_architecture_lists_the_settings(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--architecture", "CARS_A", "--help"])
    assert "drop_path" in capsys.readouterr().out
