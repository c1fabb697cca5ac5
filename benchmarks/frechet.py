"""How long does the Frechet distance of one candidate take, compared with pytorch-fid?

Question: a search computes the FID of hundreds of candidates to the same real images. How long does
one FID take if the square root of the real covariance is computed only once, with a symmetric
eigenproblem per candidate (d x d for d features, or n x n for n < d images)? How long does it take
with the matrix square root of pytorch-fid, and do both distances agree?

Method: features are synthetic: normal in a random basis, with variances that decay as k^-1.5 (real
images) and k^-1.4 (candidates, which also have another mean). Inception is not run. Both methods
get the same features and compute the mean and covariance of the candidate, on one thread. The time
of moonas is the median of 3 repetitions; pytorch-fid runs once.

Command: python benchmarks/frechet.py        (1 CPU core, about a minute)
Device: CPU.
Output: frechet.json, next to this file; --features 256 is quick and writes frechet-256.json.
"""

import argparse
import json
import time
from pathlib import Path
from unittest import mock

import numpy as np
import pytorch_fid.fid_score
import scipy
import scipy.linalg
from threadpoolctl import threadpool_limits

from moonas.metrics.frechet import FrechetDistance, moments

HERE = Path(__file__).parent
N_FEATURES = 2048  # of Inception
# numbers of images for N_FEATURES features; proportionally fewer for fewer features
N_REAL, N_CANDIDATES = 10_000, (5_000, 1_000)
REPEATS = 3


def sample(n, basis, decay, shift, rng):
    """Sample (n, d) features with variances 1, 2^-decay, 3^-decay, ... along a basis."""
    d = len(basis)
    deviations = np.arange(1, d + 1) ** (-decay / 2)
    return rng.normal(size=(n, d)) * deviations @ basis.T + shift


def time_call(function):
    """Call a function; return its time in seconds and its result."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def time_pytorch_fid(real, features):
    """Return time (s) and distance of pytorch-fid; the time includes mean and covariance."""

    sqrtm = scipy.linalg.sqrtm

    def with_disp(matrix, disp=True):  # pytorch-fid passes disp, which SciPy 1.18 removed
        return sqrtm(matrix) if disp else (sqrtm(matrix), None)

    def distance():
        mean, covariance = features.mean(axis=0), np.cov(features, rowvar=False)
        with mock.patch("scipy.linalg.sqrtm", with_disp):
            return pytorch_fid.fid_score.calculate_frechet_distance(
                mean, covariance, real.mean, real.covariance
            )

    return time_call(distance)


def compare(n, real, distance, features):
    """Return times and distances of both methods for n candidate images."""
    timings = [time_call(lambda: distance(features)) for _ in range(REPEATS)]
    pytorch_fid_seconds, expected = time_pytorch_fid(real, features)
    seconds, computed = float(np.median([s for s, _ in timings])), timings[0][1]
    d = len(real.mean)
    return {
        "images": n,
        "form": "n x n" if n < d else "d x d",
        "seconds": seconds,
        "all_seconds": [s for s, _ in timings],
        "pytorch_fid_seconds": pytorch_fid_seconds,
        "times_faster": pytorch_fid_seconds / seconds,
        "distance": computed,
        "pytorch_fid_distance": float(expected),
        "relative_difference": abs(computed - float(expected)) / float(expected),
    }


def main():
    """Measure times and distances, print a table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=N_FEATURES, help="number of features")
    parser.add_argument("--seed", type=int, default=1, help="random seed")
    args = parser.parse_args()
    d, rng = args.features, np.random.default_rng(args.seed)
    with threadpool_limits(1):
        basis = np.linalg.qr(rng.normal(size=(d, d)))[0]
        real = moments(sample(N_REAL * d // N_FEATURES, basis, 1.5, 0.0, rng))
        roots = [time_call(lambda: FrechetDistance(real)) for _ in range(REPEATS)]
        root_seconds, distance = float(np.median([s for s, _ in roots])), roots[0][1]
        print(f"{d:,} features, {real.n:,} real images; square root: {root_seconds:.3f} s")
        rows = []
        for n in (n * d // N_FEATURES for n in N_CANDIDATES):
            rows.append(compare(n, real, distance, sample(n, basis, 1.4, 0.01, rng)))
            r = rows[-1]
            print(
                f"{n:>6,} images ({r['form']}): {r['seconds']:.3f} s, pytorch-fid "
                f"{r['pytorch_fid_seconds']:.3f} s ({r['times_faster']:.0f} times as long); "
                f"distances {r['distance']:.6g} and {r['pytorch_fid_distance']:.6g} "
                f"(relative difference {r['relative_difference']:.1e})"
            )
    name = "frechet.json" if d == N_FEATURES else f"frechet-{d}.json"
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
