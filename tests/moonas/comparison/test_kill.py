"""Kill a comparison with SIGKILL at random times, then run the same command again."""

import subprocess
import sys
import time

import numpy as np
import pytest
from tables201 import write_table

KILLS = 8  # minimum number


@pytest.mark.slow
def test_a_killed_and_resumed_comparison_equals_an_uninterrupted_one(tmp_path):
    table = write_table(tmp_path / "table.csv")
    command = [sys.executable, "-m", "moonas.cli", "compare", "nasbench201", "nsganet-macro"]
    command += [
        "--algorithms",
        "nsga2",
        "spea2",
        "--seeds",
        "3",
        "--evaluations",
        "12",
        "--jobs",
        "1",
    ]
    command += [
        "--set",
        f"table={table}",
        "population=6",
        "proxy_epochs=1",
        "channels=2",
        "batch=128",
    ]

    def start(folder):
        return subprocess.Popen(
            [*command, "--out", str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    uninterrupted = tmp_path / "uninterrupted"
    start_time = time.monotonic()
    process = start(uninterrupted)
    while not list(uninterrupted.rglob("seed-*")) and process.poll() is None:
        time.sleep(0.05)
    time_to_first_run = time.monotonic() - start_time
    assert process.wait() == 0, process.stderr.read()
    total_time = time.monotonic() - start_time

    rng = np.random.default_rng()
    n_completed = []  # number of completed runs at each kill
    n_comparisons = 0
    while len(n_completed) < KILLS:
        folder = tmp_path / str(n_comparisons)
        n_comparisons += 1
        for timeout in [rng.uniform(time_to_first_run, 0.8 * total_time) for _ in range(3)] + [
            None
        ]:
            process = start(folder)
            try:
                assert process.wait(timeout) == 0, process.stderr.read()
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                n_completed.append(len(list(folder.rglob("seed-*.npz"))))
        for name in ("results.csv", "pairs.csv", "runs.csv", "fronts.csv"):
            assert (folder / name).read_bytes() == (uninterrupted / name).read_bytes(), name
    print(
        f"killed {len(n_completed)} times in {n_comparisons} comparisons, with {n_completed} of 12 "
        "runs completed"
    )
