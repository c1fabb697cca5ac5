"""Train every network of digits-table with three seeds and write the table.

Question: which scores does each of the 1,350 networks of `problems/digits_table/space.py` have on
digits? With these scores in a table, a search takes little time, and the true Pareto front is
known.

Method: the training set has 1,077 images, the validation and the test set 360 each (12 epochs of
SGD with batch size 64 and a cosine learning rate from 0.1; `problems/digits_table/training.py`).
The three networks of an architecture, one per seed, train in parallel as groups of one network,
with the same results as independent networks. Times are measured separately, in a single process
with one thread: the inference time of one image for all networks (the median of 9 rounds over all
networks, each the median of 15 passes after 3 passes of warm-up), and the training time of a random
sample of 30 networks.

Command: python benchmarks/build_digits_table.py        (2 CPU cores, about 40 minutes)
Device: CPU, two processes with one thread each.
Output: problems/digits_table/digits_table.npz. Completed architectures are stored as JSON files in
--parts; an interrupted run resumes and trains only the missing architectures.
"""

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from moonas.problems.digits_table import space
from moonas.problems.digits_table.networks import DigitsNetwork
from moonas.problems.digits_table.problem import FILE, N_SEEDS
from moonas.problems.digits_table.training import (
    N_TRAIN,
    N_VALIDATION,
    RECIPE,
    count_misclassified,
    load_splits,
    train,
)
from scipy.stats import spearmanr

from moonas.files import write_atomically
from moonas.metrics.timing import measure_latency
from moonas.nets.counting import count_macs, count_params
from moonas.nets.devices import repeatable

CHUNK = 10  # architectures per file
SAMPLE = 30  # networks whose training is timed
ROUNDS = 9  # over all networks, to spread the effect of other load on the machine evenly
SHAPE = (1, 8, 8)


def train_chunk(number, rows, folder):
    """Train the architectures of a chunk, unless its file exists; return their scores."""
    path = folder / f"part-{number:04d}.json"
    if path.exists():
        return json.loads(path.read_text())
    torch.set_num_threads(1)
    data, results = load_splits(), []
    for x in rows:
        networks = train(space.decode(x), data["train"], range(N_SEEDS))
        scores = {
            part: [count_misclassified(n, data[part]) for n in networks]
            for part in ("validation", "test")
        }
        results.append({"x": x.tolist()} | scores)
    write_atomically(path, json.dumps(results).encode())
    return results


def measure_times(rows, networks):
    """Measure inference and training times in milliseconds.

    Returns:
        (ROUNDS, n) inference times of one image, and (n,) training times, NaN for networks outside
        the sample.
    """
    latency, training = np.empty((ROUNDS, len(rows))), np.full(len(rows), np.nan)
    data = load_splits()["train"]
    with repeatable(1):
        for r in range(ROUNDS):
            for i, network in enumerate(networks):
                latency[r, i] = measure_latency(network, SHAPE, "cpu")
        for i in np.random.default_rng(0).choice(len(rows), SAMPLE, replace=False):
            start = time.perf_counter()
            train(space.decode(rows[i]), data, [0])
            training[i] = 1000 * (time.perf_counter() - start)
    return latency, training


def main():
    """Train the missing architectures and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    parser.add_argument(
        "--parts", type=Path, default=Path("runs/digits_table"), help="folder of completed parts"
    )
    parser.add_argument("--out", type=Path, default=FILE, help="path of the table")
    args = parser.parse_args()
    args.parts.mkdir(parents=True, exist_ok=True)
    rows = space.all_rows()
    order = np.random.default_rng(0).permutation(len(rows))  # equalizes the times of chunks
    chunks = [order[i : i + CHUNK] for i in range(0, len(rows), CHUNK)]
    start, parts = time.perf_counter(), []
    pool = Parallel(args.jobs, return_as="generator")
    for part in pool(delayed(train_chunk)(i, rows[c], args.parts) for i, c in enumerate(chunks)):
        parts.append(part)
        left = (time.perf_counter() - start) / len(parts) * (len(chunks) - len(parts))
        print(f"{CHUNK * len(parts)} of {len(rows)} architectures, {left / 60:.0f} minutes left")
    by_row = {tuple(result["x"]): result for part in parts for result in part}
    results = [by_row[tuple(x)] for x in rows.tolist()]
    networks = [DigitsNetwork(space.decode(x)) for x in rows]
    latency, training = measure_times(rows, networks)
    halves = np.median(latency[::2], axis=0), np.median(latency[1::2], axis=0)
    print(f"Rank correlation of latency between odd and even rounds: {spearmanr(*halves)[0]:.3f}")
    about = {
        "command": "python benchmarks/build_digits_table.py",
        "seeds": N_SEEDS,
        "n_train": N_TRAIN,
        "n_validation": N_VALIDATION,
        "n_test": len(load_splits()["test"][1]),
        "recipe": {name: str(value) for name, value in vars(RECIPE).items()},
        "torch": torch.__version__,
        "python": platform.python_version(),
        "timed": f"one process, one thread; {ROUNDS} rounds of one image, {SAMPLE} trainings",
    }
    np.savez_compressed(
        args.out,
        wrong_validation=np.array([result["validation"] for result in results], dtype=np.uint16),
        wrong_test=np.array([result["test"] for result in results], dtype=np.uint16),
        params=np.array([count_params(n) for n in networks], dtype=np.int32),
        macs=np.array([count_macs(n, *SHAPE) for n in networks], dtype=np.int64),
        latency_ms=np.median(latency, axis=0).astype(np.float32),
        training_ms=training.astype(np.float32),
        about=json.dumps(about),
    )
    print(f"Written to {args.out}.")


if __name__ == "__main__":
    main()
