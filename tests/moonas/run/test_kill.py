"""A test that kills a search at random moments and restarts it with the same command."""

import subprocess
import sys
import time

import numpy as np
import pytest

MIN_KILLS = 12
COMMAND = [sys.executable, "-m", "moonas.cli", "search", "cars", "--population", "6"]
COMMAND += ["--generations", "12", "--set", "channels=4", "batch=64", "warmup_epochs=3", "epochs=1"]


def start_search(folder):
    return subprocess.Popen(
        [*COMMAND, "--out", str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


@pytest.mark.slow
def test_a_killed_and_restarted_search_equals_an_uninterrupted_one(tmp_path):
    uninterrupted = tmp_path / "uninterrupted"
    begun = time.monotonic()
    process = start_search(uninterrupted)
    while not (uninterrupted / "journal.jsonl").exists() and process.poll() is None:
        time.sleep(0.05)
    first_call = time.monotonic() - begun
    assert process.wait() == 0
    total = time.monotonic() - begun

    rng = np.random.default_rng()
    recorded = []  # number of recorded calls at each kill
    rounds = 0
    while len(recorded) < MIN_KILLS:
        folder = tmp_path / str(rounds)
        rounds += 1
        for timeout in [rng.uniform(0.5 * first_call, 0.7 * total) for _ in range(6)] + [None]:
            process = start_search(folder)
            try:
                assert process.wait(timeout) == 0, process.stderr.read()
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                journal = folder / "journal.jsonl"
                recorded.append(journal.read_bytes().count(b"\n") if journal.exists() else 0)
        for name in ("journal.jsonl", "front.csv"):
            assert (folder / name).read_bytes() == (uninterrupted / name).read_bytes(), name
    print(f"killed {len(recorded)} times in {rounds} runs, after {recorded} recorded calls")
