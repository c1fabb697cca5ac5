"""How much faster is a pruned generator, relative to the multiply-adds that it saves?

Question: the compressed generator of the paper has 4.23 times fewer FLOPs than the original and is
3.1 times faster, a ratio of 0.73 (section 4, runtime). In this implementation, what is the ratio of
the measured speed-up to the reduction of multiply-adds, and does it depend on the number of
threads?

Method: the generator of CycleGAN (width 64, 9 blocks) has random weights and translates one image
of 256x256 pixels. Pruned generators keep the same share of the filters of every mask, selected at
random; the sizes in Table 1 are between the sizes for these shares. Latencies are medians of 7
passes after 3 warm-up passes.

Command: python benchmarks/pruned_speed.py        (2 CPU cores, about 5 minutes)
Device: CPU.
Output: pruned_speed.json, next to this file.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from moonas.problems.cyclegan_pruning import networks
from moonas.problems.cyclegan_pruning.channels import ChannelCosts, prune
from moonas.problems.cyclegan_pruning.masks import filter_groups
from moonas.problems.cyclegan_pruning.space import Space

from moonas.metrics.timing import measure_latency
from moonas.nets.devices import repeatable
from moonas.nets.randomness import initial_weights

HERE = Path(__file__).parent
SHARES = (0.45, 0.5, 0.55)  # of filters that each mask keeps
ENCODING = "released"


def main():
    """Measure latencies, print a table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=256, help="side length of the image in pixels")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads")
    parser.add_argument("--repeats", type=int, default=7, help="timed passes")
    parser.add_argument(
        "--out", type=Path, default=HERE / "pruned_speed.json", help="path of the results"
    )
    args = parser.parse_args()
    shape = (3, args.side, args.side)
    with initial_weights(0):
        original = networks.generator()
    groups = filter_groups(original, ENCODING)
    costs = ChannelCosts(original, groups, *shape)
    space = Space([group.size for group in groups if not group.fixed])
    rows = []
    for threads in args.threads:
        for share in SHARES:
            masks = space.uniform(share, np.random.default_rng(0)).masks("a")
            pruned = prune(original, groups, masks)
            weights, _, macs = costs.count(masks)
            with repeatable(threads):
                ms = [measure_latency(n, shape, "cpu", 1, args.repeats) for n in (original, pruned)]
            ratio, speed_up = costs.total[2] / macs, ms[0] / ms[1]
            rows.append(
                {
                    "threads": threads,
                    "share": share,
                    "weights ratio": costs.total[0] / weights,
                    "macs ratio": ratio,
                    "original ms": ms[0],
                    "pruned ms": ms[1],
                    "speed-up": speed_up,
                    "speed-up over macs ratio": speed_up / ratio,
                }
            )
            print("  ".join(f"{name} {value:.4g}" for name, value in rows[-1].items()), flush=True)
    result = {
        "command": " ".join(["python benchmarks/pruned_speed.py", *sys.argv[1:]]),
        "side": args.side,
        "torch": torch.__version__,
        "rows": rows,
    }
    args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
