"""Train every network of digits-table, three seeds each, and write the table.

Question: what do all 1,350 networks of `problems/tabular/space.py` score on digits? With the answer
in a table a search takes no time, and its true Pareto front is known.

Method: 1,077 images train, 360 validate, and 360 are for the test (12 epochs of SGD, batch 64,
learning rate 0.1 along a cosine; `problems/tabular/training.py`). The three seeds of an
architecture train side by side, as groups of one network, each as if it were alone. Times come from
passes of their own, in one process with one thread: inference of one image for all networks (median
of 9 rounds through them, in each the median of 15 passes after 3), and training of one network of a
random sample of 30.

Command: python benchmarks/build_digits_table.py        (2 CPU cores, about 40 minutes)
Device: CPU, two processes with one thread each.
Output: problems/tabular/digits_table.npz. Architectures that are done are kept in --parts, which is
a folder of JSON; interrupted and repeated, only what is missing is trained.
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
from moonas.problems.digits_table.problem import FILE, SEEDS
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

CHUNK = 10  # architectures a file
SAMPLE = 30  # that training is timed on
ROUNDS = 9  # through all networks, so that what else the machine does spreads over them
SHAPE = (1, 8, 8)


def compute(number, rows, folder):
    """Train the architectures of a chunk, unless its file is there; the file's content."""
    path = folder / f"part-{number:04d}.json"
    if path.exists():
        return json.loads(path.read_text())
    torch.set_num_threads(1)
    data, found = load_splits(), []
    for x in rows:
        networks = train(space.decode(x), data["train"], range(SEEDS))
        scores = {
            part: [count_misclassified(n, data[part]) for n in networks]
            for part in ("validation", "test")
        }
        found.append({"x": x.tolist()} | scores)
    write_atomically(path, json.dumps(found).encode())
    return found


def clock(rows, networks):
    """Milliseconds of one image, (rounds, n), and of one training, (n,), NaN where not timed."""
    latency, training = np.empty((ROUNDS, len(rows))), np.full(len(rows), np.nan)
    data = load_splits()["train"]
    with repeatable(1):
        for turn in range(ROUNDS):
            for i, network in enumerate(networks):
                latency[turn, i] = measure_latency(network, SHAPE, "cpu")
        for i in np.random.default_rng(0).choice(len(rows), SAMPLE, replace=False):
            start = time.perf_counter()
            train(space.decode(rows[i]), data, [0])
            training[i] = 1000 * (time.perf_counter() - start)
    return latency, training


def main():
    """Compute what is missing; write the table when nothing is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--parts", type=Path, default=Path("runs/digits_table"))
    parser.add_argument("--out", type=Path, default=FILE)
    args = parser.parse_args()
    args.parts.mkdir(parents=True, exist_ok=True)
    rows = space.all_rows()
    order = np.random.default_rng(0).permutation(len(rows))  # so that chunks take alike
    chunks = [order[i : i + CHUNK] for i in range(0, len(rows), CHUNK)]
    start, parts = time.perf_counter(), []
    pool = Parallel(args.jobs, return_as="generator")
    for part in pool(delayed(compute)(i, rows[c], args.parts) for i, c in enumerate(chunks)):
        parts.append(part)
        left = (time.perf_counter() - start) / len(parts) * (len(chunks) - len(parts))
        print(f"{CHUNK * len(parts)} of {len(rows)} architectures, {left / 60:.0f} minutes left")
    found = {tuple(one["x"]): one for part in parts for one in part}
    found = [found[tuple(x)] for x in rows.tolist()]
    networks = [DigitsNetwork(space.decode(x)) for x in rows]
    latency, training = clock(rows, networks)
    halves = np.median(latency[::2], axis=0), np.median(latency[1::2], axis=0)
    print(f"Rank correlation of latency between odd and even rounds: {spearmanr(*halves)[0]:.3f}")
    about = {
        "command": "python benchmarks/build_digits_table.py",
        "seeds": SEEDS,
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
        wrong_validation=np.array([one["validation"] for one in found], dtype=np.uint16),
        wrong_test=np.array([one["test"] for one in found], dtype=np.uint16),
        params=np.array([count_params(n) for n in networks], dtype=np.int32),
        macs=np.array([count_macs(n, *SHAPE) for n in networks], dtype=np.int64),
        latency_ms=np.median(latency, axis=0).astype(np.float32),
        training_ms=training.astype(np.float32),
        about=json.dumps(about),
    )
    print(f"Written to {args.out}.")


if __name__ == "__main__":
    main()
