"""kill -9 at random moments of a real search, then the same line again."""

import subprocess
import sys
import time

import numpy as np
import pytest

KILLS = 12
LINE = [sys.executable, "-m", "moonas.cli", "search", "cars", "--population", "6"]
LINE += ["--generations", "12", "--set", "channels=4", "batch=64", "warmup_epochs=3", "epochs=1"]


def start(folder):
    return subprocess.Popen(
        [*LINE, "--out", str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


@pytest.mark.slow
def test_killed_at_random_and_started_again_equals_the_uninterrupted_run(tmp_path):
    straight = tmp_path / "straight"
    begun = time.monotonic()
    process = start(straight)
    while not (straight / "journal.jsonl").exists() and process.poll() is None:
        time.sleep(0.05)
    first_call = time.monotonic() - begun
    assert process.wait() == 0
    whole = time.monotonic() - begun

    rng = np.random.default_rng()
    recorded = []  # calls in the journal at each kill
    rounds = 0
    while len(recorded) < KILLS:
        folder = tmp_path / str(rounds)
        rounds += 1
        for patience in [rng.uniform(0.5 * first_call, 0.7 * whole) for _ in range(6)] + [None]:
            process = start(folder)
            try:
                assert process.wait(patience) == 0, process.stderr.read()
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                journal = folder / "journal.jsonl"
                recorded.append(journal.read_bytes().count(b"\n") if journal.exists() else 0)
        for name in ("journal.jsonl", "front.csv"):
            assert (folder / name).read_bytes() == (straight / name).read_bytes(), name
    print(f"killed {len(recorded)} times in {rounds} runs, with {recorded} calls recorded")
