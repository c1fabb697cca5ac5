"""How long does the Frechet distance of one candidate take, against pytorch-fid's?

Question: a search judges hundreds of candidates by their FID to the same real images. What does one
cost with the root of the real covariance taken once and a symmetric eigenproblem a candidate, d x d
or, of fewer images than features, n x n? What does it cost with pytorch-fid's matrix square root,
and do the two agree?

Method: synthetic features, normal in a random basis, whose variances decay as k^-1.5 (real images)
and k^-1.4 (candidates, with another mean); no Inception is run. Both get the same features and
take the candidate's mean and covariance themselves. One thread. Median of 3 repeats for ours, one
run for pytorch-fid's.

Command: python benchmarks/frechet.py        (1 CPU core, about a minute)
Device: CPU.
Output: frechet.json beside this file; --features 256 is quick and writes frechet-256.json.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pytorch_fid.fid_score
import scipy
from threadpoolctl import threadpool_limits

from moonas.metrics.frechet import FrechetDistance, moments

HERE = Path(__file__).parent
FULL = 2048  # features of Inception
REAL, CANDIDATES = 10_000, (5_000, 1_000)  # images at so many features; fewer at fewer
REPEATS = 3


def draw(n, basis, decay, shift, rng):
    """(n, d) features whose variances along the columns of the basis are 1, 2^-decay, ..."""
    d = len(basis)
    deviations = np.arange(1, d + 1) ** (-decay / 2)
    return rng.normal(size=(n, d)) * deviations @ basis.T + shift


def clock(function):
    """(seconds, result) of one call."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def by_pytorch_fid(real, features):
    """(seconds, distance), the mean and covariance of the features included."""

    def distance():
        mean, covariance = features.mean(axis=0), np.cov(features, rowvar=False)
        return pytorch_fid.fid_score.calculate_frechet_distance(
            mean, covariance, real.mean, real.covariance
        )

    return clock(distance)


def compare(n, real, distance, features):
    """A dict of times and of both distances for n candidate images."""
    ours = [clock(lambda: distance(features)) for _ in range(REPEATS)]
    theirs, expected = by_pytorch_fid(real, features)
    seconds, found = float(np.median([s for s, _ in ours])), ours[0][1]
    d = len(real.mean)
    return {
        "images": n,
        "form": "n x n" if n < d else "d x d",
        "seconds": seconds,
        "all_seconds": [s for s, _ in ours],
        "pytorch_fid_seconds": theirs,
        "times_faster": theirs / seconds,
        "distance": found,
        "pytorch_fid_distance": float(expected),
        "relative_difference": abs(found - float(expected)) / float(expected),
    }


def main():
    """Measure, print a table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=FULL)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    d, rng = args.features, np.random.default_rng(args.seed)
    with threadpool_limits(1):
        basis = np.linalg.qr(rng.normal(size=(d, d)))[0]
        real = moments(draw(REAL * d // FULL, basis, 1.5, 0.0, rng))
        roots = [clock(lambda: FrechetDistance(real)) for _ in range(REPEATS)]
        root_seconds, distance = float(np.median([s for s, _ in roots])), roots[0][1]
        print(f"{d:,} features, {real.n:,} real images; their root, once: {root_seconds:.3f} s")
        rows = []
        for n in (n * d // FULL for n in CANDIDATES):
            rows.append(compare(n, real, distance, draw(n, basis, 1.4, 0.01, rng)))
            r = rows[-1]
            print(
                f"{n:>6,} images ({r['form']}): {r['seconds']:.3f} s, pytorch-fid "
                f"{r['pytorch_fid_seconds']:.3f} s, {r['times_faster']:.0f} times; distances "
                f"{r['distance']:.6g} and {r['pytorch_fid_distance']:.6g}, relative difference "
                f"{r['relative_difference']:.1e}"
            )
    name = "frechet.json" if d == FULL else f"frechet-{d}.json"
    result = {
        "command": f"python benchmarks/frechet.py --features {d} --seed {args.seed}",
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "threads": 1,
        "features": d,
        "real_images": real.n,
        "root_seconds": root_seconds,
        "candidates": rows,
    }
    (HERE / name).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
