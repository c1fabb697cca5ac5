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
from moonas.cli import main
from moonas.run.journal import read_run

OPTIONS = {key: value for key, value in TINY["cars"].items() if key != "generations"}
SEARCH = ["search", "cars", "--generations", "3", "--set", *words(OPTIONS)]
RUN = Path("runs", "cars-digits-seed1")


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """The folder in which a search has run, and what it has printed."""
    folder = tmp_path_factory.mktemp("search")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert main(SEARCH) == 0
    return folder, out.getvalue()


@pytest.fixture
def copied(searched, elsewhere):
    """A copy of that run in the folder of a test."""
    return shutil.copytree(searched[0] / RUN, elsewhere / RUN)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_search_ends_with_a_table_and_a_run_folder(searched):
    folder, out = searched
    for word in ("gen", "evals", "best error", "range of params", "hypervolume", "time left"):
        assert word in out
    assert "Pareto front" in out and "architecture" in out
    names = {p.name for p in (folder / RUN).iterdir()}
    assert names >= {"front.csv", "front.png", "journal.jsonl"}
    assert (folder / RUN / "front.png").read_bytes().startswith(b"\x89PNG")
    rows = front_rows(folder / RUN)
    assert rows and set(rows[0]) == {
        *("error", "params", "macs", "growth", "picked", "x", "architecture", "description")
    }


def test_the_same_line_again_says_that_the_run_is_complete(copied, capsys):
    front = (copied / "front.csv").read_bytes()
    assert main(SEARCH) == 0
    assert "This run is complete" in capsys.readouterr().out
    assert (copied / "front.csv").read_bytes() == front


def test_front_csv_is_what_the_problem_scores(copied):
    problem = moonas.load_problem("cars", **read_run(copied)[0]["settings"], journal=copied)
    rows = front_rows(copied)
    F = problem.evaluate(np.array([row["x"].split() for row in rows], dtype=int))
    assert F.tolist() == [[float(row["error"]), float(row["params"])] for row in rows]


def test_out_remembers_its_seed(elsewhere, capsys):
    assert main([*SEARCH, "--seed", "7", "--out", "mine"]) == 0
    capsys.readouterr()
    assert main([*SEARCH, "--out", "mine"]) == 0
    assert "seed 7" in capsys.readouterr().out


def test_any_algorithm_and_other_objectives(elsewhere, capsys):
    line = ["--algorithm", "smsemoa", "--objectives", "error", "macs", "--out", "b"]
    assert main([*SEARCH, *line]) == 0
    assert "range of macs" in capsys.readouterr().out
    head = read_run(elsewhere / "b")[0]
    assert head["algorithm"].startswith("SMSEMOA")
    assert head["settings"]["objectives"] == ["error", "macs"]
    rows = front_rows(elsewhere / "b")
    errors, macs = np.array([[row["error"], row["macs"]] for row in rows], float).T
    assert (np.diff(errors) * np.diff(macs) < 0).all()  # a front in these two


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["search", "carz"], "Unknown task 'carz'; choose from ['cars'"),
        (["search", "cars", "--algorithm", "nsga9"], "Unknown algorithm 'nsga9'; choose from"),
        (["search", "cars", "--data", "cifar11"], "Data set 'cifar11' is not there"),
        (["search", "cars", "--objectives", "error", "speed"], "Unknown objective 'speed'"),
        (["search", "cars", "--preset", "big"], "Unknown preset 'big'"),
        (["search", "cars", "--set", "epoch=1"], "Unknown setting 'epoch'"),
        (["search", "cars", "--set", "epochs"], "--set expects KEY=VALUE; got 'epochs'"),
        (["search", "cars", "--population", "ten"], "population=ten is invalid"),
        (["search", "cars", "--device", "tpu9"], "Unknown device 'tpu9'"),
    ],
)
def test_wrong_lines_end_with_2_a_message_and_no_folder(elsewhere, capsys, line, message):
    assert main(line) == 2
    assert message in capsys.readouterr().err
    assert not (elsewhere / "runs").exists()


def test_a_seed_that_is_no_number_ends_with_2(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["search", "cars", "--seed", "x"])
    assert caught.value.code == 2


def test_a_data_set_that_is_not_there_ends_with_1_and_says_what_would_do(capsys):
    assert main([*SEARCH, "--data", "cifar10", "--root", "nowhere"]) == 1
    assert "download=true" in capsys.readouterr().err


def test_a_run_of_another_search_ends_with_2(copied, capsys):
    assert main([*SEARCH, "--generations", "5"]) == 2
    message = capsys.readouterr().err
    assert "contains a run with generations=3, but this run has generations=5" in message


def test_a_damaged_run_ends_with_1(copied, capsys):
    path = copied / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"error", b"earor", 1))
    assert main(SEARCH) == 1
    assert "journal.jsonl is damaged in line 2" in capsys.readouterr().err


def test_nothing_prints_the_help_and_ends_with_2(capsys):
    assert main([]) == 2
    assert "moonas search cars" in capsys.readouterr().out


def test_help_of_a_task_lists_its_settings(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["search", "cars", "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert "warmup_epochs=15" in out and "presets of cars: digits, paper" in out


def test_lists(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert "cars" in out and "stage of eagan, 5 minutes" in out
    assert main(["list", "cars"]) == 0
    assert "24 integers, 9.1e18 vectors" in capsys.readouterr().out
    assert main(["list", "carz"]) == 2
    assert "Unknown problem 'carz'" in capsys.readouterr().err
    assert main(["list", "--zoo"]) == 0
    out = capsys.readouterr().out
    assert "CARS_A" in out and "2,432,206" in out and "DARTS_V2" in out


def test_a_search_in_another_process_keeps_its_folder_and_stops_on_interrupt(elsewhere):
    line = [sys.executable, "-m", "moonas.cli", *SEARCH, "--generations", "500"]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def hear_interrupts():  # which a shell's background jobs, and these tests in one, do not
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    one = subprocess.Popen(line, preexec_fn=hear_interrupts, **pipes)
    try:
        journal = elsewhere / RUN / "journal.jsonl"
        deadline = time.monotonic() + 60
        while not journal.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        two = subprocess.run(line, capture_output=True, text=True)
        assert two.returncode == 1
        assert "Another process is writing" in two.stderr
        one.send_signal(signal.SIGINT)
        _, message = one.communicate(timeout=60)
        assert one.returncode == 1
        assert "The same line again goes on from here" in message
    finally:
        one.kill()
