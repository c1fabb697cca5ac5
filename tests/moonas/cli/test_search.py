"""``moonas search``, exit statuses and messages of the command line, and ``moonas list``."""

import argparse
import contextlib
import io
import os
import re
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

CARS_OPTIONS = {key: value for key, value in TINY["cars"].items() if key != "generations"}
TABLE_SEARCH = [
    "search",
    "digits-table",
    "--generations",
    "3",
    "--set",
    *words(TINY["digits-table"]),
]
RUN_FOLDER = Path("runs", "cars-digits-seed1")


@pytest.fixture(scope="module")
def search_arguments(few_digits):
    """Arguments of a search with cars on few images; its run folder is RUN_FOLDER."""
    settings = words(CARS_OPTIONS | {"batch": 25})
    return ["search", "cars", "--generations", "3", "--data", str(few_digits), "--set", *settings]


@pytest.fixture(scope="module")
def completed_search(search_arguments, tmp_path_factory):
    """The working directory and the output of a completed search."""
    folder = tmp_path_factory.mktemp("search")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert main(search_arguments) == 0
    return folder, out.getvalue()


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    """An empty working directory for each test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run_copy(completed_search, working_directory):
    """A copy of the completed run folder in the working directory of a test."""
    return shutil.copytree(completed_search[0] / RUN_FOLDER, working_directory / RUN_FOLDER)


def test_a_search_prints_a_table_and_writes_a_run_folder(completed_search):
    folder, out = completed_search
    for word in ("gen", "evals", "best error", "range of params", "hypervolume", "time left"):
        assert word in out
    assert "Pareto front" in out and "architecture" in out
    files = "front.csv, front.png, losses.png, run.json, journal.jsonl"
    assert f"Results written to {RUN_FOLDER}: {files}." in out
    names = {p.name for p in (folder / RUN_FOLDER).iterdir()}
    assert names >= {"front.csv", "front.png", "journal.jsonl"}
    assert (folder / RUN_FOLDER / "front.png").read_bytes().startswith(b"\x89PNG")
    rows = front_rows(folder / RUN_FOLDER)
    assert rows and set(rows[0]) == {
        *("error", "params", "macs", "growth", "picked", "x", "architecture", "description")
    }


def test_repeating_a_completed_search_recomputes_nothing(search_arguments, run_copy, capsys):
    front = (run_copy / "front.csv").read_bytes()
    assert main(search_arguments) == 0
    assert "This run is complete" in capsys.readouterr().out
    assert (run_copy / "front.csv").read_bytes() == front


def test_front_csv_contains_the_objectives_that_the_problem_evaluates(run_copy):
    problem = moonas.load_problem("cars", **read_run(run_copy)[0]["settings"], journal=run_copy)
    rows = front_rows(run_copy)
    F = problem.evaluate(np.array([row["x"].split() for row in rows], dtype=int))
    assert F.tolist() == [[float(row["error"]), float(row["params"])] for row in rows]


def test_the_seed_defaults_to_the_seed_of_the_run_in_the_output_folder(capsys):
    assert main([*TABLE_SEARCH, "--seed", "7", "--out", "mine"]) == 0
    capsys.readouterr()
    assert main([*TABLE_SEARCH, "--out", "mine"]) == 0
    assert "seed 7" in capsys.readouterr().out


def test_a_search_uses_the_requested_algorithm_and_objectives(working_directory, capsys):
    arguments = ["--algorithm", "smsemoa", "--objectives", "error", "macs", "--out", "b"]
    assert main([*TABLE_SEARCH, *arguments]) == 0
    assert "range of macs" in capsys.readouterr().out
    head = read_run(working_directory / "b")[0]
    assert head["algorithm"].startswith("SMSEMOA")
    assert head["settings"]["objectives"] == ["error", "macs"]
    rows = front_rows(working_directory / "b")
    errors, macs = np.array([[row["error"], row["macs"]] for row in rows], float).T
    assert (np.diff(errors) * np.diff(macs) < 0).all()  # a Pareto front in these two objectives


@pytest.mark.parametrize(
    ("arguments", "message"),
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
def test_a_usage_error_exits_with_status_2_and_creates_no_folder(
    working_directory, capsys, arguments, message
):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
    assert not (working_directory / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "cars", "--seed", "x"], "--seed: expected an integer of at least 0, got 'x'"),
        (["search", "cars", "--seed", "-1"], "--seed: expected an integer of at least 0, got '-1'"),
        (
            ["compare", "cars", "--seeds", "0"],
            "--seeds: expected an integer of at least 1, got '0'",
        ),
    ],
)
def test_an_invalid_or_too_small_integer_argument_exits_with_status_2(capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_the_smallest_valid_integer_arguments_are_accepted():
    assert options.nonnegative_int("0") == 0 and options.positive_int("1") == 1


def test_the_last_value_of_set_takes_precedence_over_other_flags():
    args = argparse.Namespace(population="8", set=["population=4", "population=6", "channels=3"])
    parsed = options.parse_options(args, {"cars": registry.settings_class("cars")})
    assert parsed == {"cars": {"population": 6, "channels": 3}}


def test_a_missing_data_set_exits_with_status_1_and_a_hint_to_download_it(search_arguments, capsys):
    assert main([*search_arguments, "--data", "cifar10", "--root", "nowhere"]) == 1
    assert "download=true" in capsys.readouterr().err


def test_an_output_folder_of_a_different_search_exits_with_status_2(
    search_arguments, run_copy, capsys
):
    assert main([*search_arguments, "--generations", "5"]) == 2
    message = capsys.readouterr().err
    assert "contains a run with generations=3, but this run has generations=5" in message


def test_a_damaged_run_exits_with_status_1(search_arguments, run_copy, capsys):
    path = run_copy / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"error", b"earor", 1))
    assert main(search_arguments) == 1
    assert "journal.jsonl is damaged in line 2" in capsys.readouterr().err


def test_moonas_without_a_command_prints_the_help_and_exits_with_status_2(capsys):
    assert main([]) == 2
    assert "moonas search cars" in capsys.readouterr().out


def test_the_help_of_a_search_lists_the_settings_of_the_task(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["search", "cars", "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert "warmup_epochs=15" in out and "presets of cars (--preset NAME): digits, paper" in out


def test_moonas_list_prints_problems_a_description_and_published_architectures(capsys):
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
def test_an_interrupt_exits_with_status_1(monkeypatch, capsys, command, message):
    def interrupt(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"moonas.cli.{command}.run", interrupt)
    assert main([command, "anything"]) == 1
    assert capsys.readouterr().err == f"moonas: {message}\n"


@pytest.mark.slow
def test_a_process_locks_its_run_folder_and_exits_on_an_interrupt(
    search_arguments, working_directory, capsys
):
    arguments = [*search_arguments, "--generations", "500"]
    pipes = dict(stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def restore_interrupts():  # in background jobs of a shell, SIGINT is ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    process = subprocess.Popen(
        [sys.executable, "-m", "moonas.cli", *arguments], preexec_fn=restore_interrupts, **pipes
    )
    try:
        journal = working_directory / RUN_FOLDER / "journal.jsonl"
        deadline = time.monotonic() + 60
        while not journal.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert main(arguments) == 1
        assert "Another process is writing" in capsys.readouterr().err
        process.send_signal(signal.SIGINT)
        _, message = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "Interrupted. Run the same command again to resume." in message
    finally:
        process.kill()


@pytest.mark.slow
def test_a_killed_search_has_written_each_line_of_a_generation_without_control_codes(
    working_directory,
):
    """In a buffer, all lines of the killed process would be lost."""
    arguments = [*TABLE_SEARCH, "--generations", "100", "--population", "4", "--out", "killed"]
    environment = {
        key: os.environ[key] for key in os.environ if key not in ("FORCE_COLOR", "PYTHONUNBUFFERED")
    }
    journal = working_directory / "killed" / "journal.jsonl"
    with open("log.txt", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moonas.cli", *arguments], stdout=log, env=environment
        )
        try:
            n_calls, deadline = 0, time.monotonic() + 60
            while n_calls < 3 and time.monotonic() < deadline:
                time.sleep(0.002)
                n_calls = journal.read_bytes().count(b"\n") if journal.exists() else 0
            assert process.poll() is None  # the search still runs
        finally:
            process.kill()
            process.wait()
    written = Path("log.txt").read_bytes()
    assert b"\x1b" not in written and b"\r" not in written
    lines = written.decode().rpartition("\n")[0].splitlines()  # the last one may be incomplete
    rows = [line.split("|") for line in lines if line.count("|") > 5]
    assert rows[0][-1].strip() == "time left" and rows[1][-1].strip() == "-"
    assert [int(row[0]) for row in rows[1:]] == list(range(1, len(rows)))
    assert len(rows) - 1 >= n_calls - 2  # all generations before the last call
    assert all(re.fullmatch(r"\d+:\d\d", row[-1].strip()) for row in rows[2:])


def test_the_help_of_train_without_a_run_says_how_to_list_the_settings(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "Run moonas train RUN --help to list the settings" in " ".join(
        capsys.readouterr().out.split()
    )


def test_the_help_of_train_shows_the_settings_of_the_run_as_defaults(
    tmp_path, tiny, few_digits, capsys
):
    data = ["--data", str(few_digits), "--set", *words(tiny | dict(image_size=10, resize="pad"))]
    assert (
        main(["search", "cars", "--out", str(tmp_path / "run"), "--generations", "1", *data]) == 0
    )
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["train", str(tmp_path / "run"), "--help"])
    shown = capsys.readouterr().out.split()
    assert {f"data={few_digits}", "image_size=10", "resize=pad", "pick=knee"} <= set(shown)


@pytest.mark.parametrize("fault", ["more", "moved"])
def test_the_help_of_train_shows_the_settings_of_a_run_whose_images_have_changed(
    tmp_path, few_digits, capsys, fault
):
    data, run = tmp_path / "images", tmp_path / "run"
    shutil.copytree(few_digits, data)
    with _begun_search(run, data=str(data), image_size=10, resize="pad"):
        if fault == "more":
            shutil.copy(data / "train" / "0" / "0.png", data / "train" / "0" / "new.png")
        else:
            data.rename(tmp_path / "elsewhere")
        shown = _help(capsys, "train", str(run))
    assert {f"data={data}", "image_size=10", "resize=pad", "pick=knee"} <= set(shown.split())
    assert "general" not in shown


def test_the_help_of_train_says_why_it_shows_general_defaults(tmp_path, capsys):
    with _begun_search(tmp_path / "run"):
        shown = _help(capsys, "train", str(tmp_path / "run"), "--preset", "unknown")
    (note,) = [line for line in shown.splitlines() if "general" in line]
    assert "the run are unknown: Unknown preset 'unknown'" in note


@contextlib.contextmanager
def _begun_search(folder, **options):
    """Run folder of a search that has not ended, within a context."""
    with contextlib.closing(moonas.load_problem("cars", journal=folder, **options).journal) as run:
        run.begin(1, "nsga2")
        yield


def _help(capsys, *argv):
    with pytest.raises(SystemExit):
        main([*argv, "--help"])
    return capsys.readouterr().out


def test_the_help_of_train_with_a_published_architecture_lists_the_settings(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--architecture", "CARS_A", "--help"])
    assert "drop_path" in capsys.readouterr().out
