"""Kill a comparison with SIGKILL at random times, then run the same command again."""

import subprocess
import sys
import time

import numpy as np
import pytest
from tables201 import write_table

KILLS = 8


@pytest.mark.slow
def test_a_killed_and_resumed_comparison_equals_an_uninterrupted_one(tmp_path):
    table = write_table(tmp_path / "table.csv")
    line = [sys.executable, "-m", "moonas.cli", "compare", "nasbench201", "nsganet-macro"]
    line += ["--algorithms", "nsga2", "spea2", "--seeds", "3", "--evaluations", "12", "--jobs", "1"]
    line += ["--set", f"table={table}", "population=6", "proxy_epochs=1", "channels=2", "batch=128"]

    def start(folder):
        return subprocess.Popen(
            [*line, "--out", str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    straight = tmp_path / "straight"
    begun = time.monotonic()
    process = start(straight)
    while not list(straight.rglob("seed-*")) and process.poll() is None:
        time.sleep(0.05)
    first = time.monotonic() - begun
    assert process.wait() == 0, process.stderr.read()
    whole = time.monotonic() - begun

    rng = np.random.default_rng()
    done = []  # completed runs at each kill
    rounds = 0
    while len(done) < KILLS:
        folder = tmp_path / str(rounds)
        rounds += 1
        for patience in [rng.uniform(first, 0.8 * whole) for _ in range(3)] + [None]:
            process = start(folder)
            try:
                assert process.wait(patience) == 0, process.stderr.read()
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                done.append(len(list(folder.rglob("seed-*.npz"))))
        for name in ("results.csv", "pairs.csv", "runs.csv", "fronts.csv"):
            assert (folder / name).read_bytes() == (straight / name).read_bytes(), name
    print(f"killed {len(done)} times in {rounds} comparisons, with {done} of 12 runs completed")
