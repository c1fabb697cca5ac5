"""Does the enhanced gradient find better cells than the plain gradient or chance? (EG-DARTS)

Question: stage 1 of EG-DARTS derives cells with and without the enhancement of equations 5 to 10.
Over several seeds, how many parameters and which validation error do these cells have, and how do
they compare with 20 random cells?

Method: searches with the digits preset; both variants of a seed start from the same initial weights
and use the same batches. Every pair of cells is used in a network with 3 cells and 8 channels,
which is trained from scratch for 15 epochs on the training set of stage 1, with eight seeds. Its
error is the mean over these seeds on the validation set of stage 1.

Command: python benchmarks/enhanced_gradient.py        (2 CPU cores, about 20 minutes)
Device: CPU, two processes with one thread each.
Output: enhanced_gradient.json and enhanced_gradient.png, next to this file. Searches are stored in
--runs; an interrupted run resumes and repeats no completed search.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from matplotlib.figure import Figure
from moonas.problems.eg_darts import cell_space
from moonas.problems.eg_darts.settings import CellSettings
from scipy.stats import wilcoxon

import moonas
from moonas.data import describe
from moonas.evaluators import Classification
from moonas.nets.cell_network import CellNetwork
from moonas.nets.counting import count_params
from moonas.nets.devices import repeatable
from moonas.nets.randomness import generator, initial_weights
from moonas.settings import select
from moonas.training.sgd import Recipe, make_optimizer, train_epochs

HERE = Path(__file__).parent
VARIANTS = {"enhanced": True, "plain": False}
COLORS = {"random": "#9db4c0", "plain": "#22313f", "enhanced": "#c8553d"}
N_RANDOM, N_TRAININGS, EPOCHS = 20, 8, 15  # random cells; trainings per pair of cells
SHAPE = dict(channels=8, layers=3, in_channels=1, image_size=8)


def search(seed, variant, runs, options):
    """Run or resume a search; return its cells and its share of red gradients."""
    stage = moonas.load_stage(
        "eg-darts-cells",
        device="cpu",
        enhanced=VARIANTS[variant],
        journal=runs / f"{variant}-{seed}",
        **options,
    )
    result = stage.run(seed=seed)
    stage.journal.close()
    reds = np.concatenate([epoch["reds"] for epoch in result.epochs])
    return result.cells, float(reds.mean())


def train(cells, seed):
    """Train a network with given cells from scratch; return its validation error (%) and params."""
    settings = CellSettings(device="cpu")
    images = Classification(settings, describe("digits"), torch.device("cpu"))
    images.load()
    with repeatable(1):
        with initial_weights(seed, "weights"):
            network = CellNetwork(cells.normal, cells.reduction, **SHAPE)
        recipe = select(Recipe, settings, horizon=EPOCHS)
        optimizer, rng = make_optimizer(network, recipe), generator(seed, "batches")
        train_epochs(network, images.train, lambda: [network], optimizer, recipe, rng, EPOCHS)
        error = images.columns([images.evaluate(network.eval())])["error"][0]
    return float(error), count_params(network)


def plot(groups, path):
    """Plot error over parameters; lines join the plain and the enhanced variant of a seed."""
    figure = Figure(figsize=(7.5, 5), layout="constrained")
    axes = figure.subplots()
    for name, rows in groups.items():
        params, errors = zip(*((row["params"], row["error"]) for row in rows), strict=True)
        axes.scatter(params, errors, s=46, color=COLORS[name], label=f"{name} ({len(rows)})")
    for a, b in zip(groups["plain"], groups["enhanced"], strict=True):
        ends = [a["params"], b["params"]], [a["error"], b["error"]]
        axes.plot(*ends, color=COLORS["enhanced"], lw=0.8, alpha=0.6)
    median = np.median([row["error"] for row in groups["random"]])
    axes.axhline(median, color=COLORS["random"], ls=":", label="median of the random cells")
    axes.set(
        xlabel="parameters of the network",
        ylabel=f"validation error (%), mean of {N_TRAININGS}",
        title="Cells of EG-DARTS, stage 1; lines join the variants of a seed",
    )
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


def main():
    """Run the missing searches, print a table, and write the results and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=6, help="number of seeds")
    parser.add_argument(
        "--epochs", type=int, default=CellSettings().epochs, help="epochs per search"
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/enhanced_gradient"), help="folder of the searches"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=HERE / "enhanced_gradient",
        help="path of the results, without suffix",
    )
    args = parser.parse_args()
    options = {"epochs": args.epochs}
    seeds = range(1, args.seeds + 1)
    rng = np.random.default_rng(0)
    cells = {"random": [cell_space.random_cells(rng) for _ in range(N_RANDOM)]}
    pool = Parallel(2)
    keys = [(seed, variant) for seed in seeds for variant in VARIANTS]
    results = pool(delayed(search)(seed, variant, args.runs, options) for seed, variant in keys)
    reds = {}
    for variant in VARIANTS:
        searches = [r for r, (_, v) in zip(results, keys, strict=True) if v == variant]
        cells[variant], reds[variant] = [c for c, _ in searches], [r for _, r in searches]
    trainings = [
        (c, seed) for group in cells.values() for c in group for seed in range(N_TRAININGS)
    ]
    scores = iter(np.array(pool(delayed(train)(c, seed) for c, seed in trainings)).tolist())
    groups = {
        name: [
            {"cells": c.text, "errors": [e for e, _ in t], "params": int(t[0][1])}
            for c in group
            for t in [[next(scores) for _ in range(N_TRAININGS)]]
        ]
        for name, group in cells.items()
    }
    for row in [row for rows in groups.values() for row in rows]:
        row["error"] = float(np.mean(row["errors"]))
    table = {
        name: {
            column: np.quantile([row[column] for row in rows], [0, 0.25, 0.5, 0.75, 1]).tolist()
            for column in ("error", "params")
        }
        for name, rows in groups.items()
    }
    median = table["random"]["error"][2]
    result = {
        "command": f"python benchmarks/enhanced_gradient.py --seeds {args.seeds} "
        f"--epochs {args.epochs}",
        "torch": torch.__version__,
        "quantiles": table,
        "red_share": reds,
        "better_than_random_median": {
            name: sum(row["error"] < median for row in groups[name]) for name in VARIANTS
        },
        "p_enhanced_against_plain": {
            column: float(
                wilcoxon(*([row[column] for row in groups[name]] for name in VARIANTS)).pvalue
            )
            for column in ("error", "params")
        },
        "cells": groups,
    }
    args.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    plot({name: groups[name] for name in COLORS}, args.out.with_suffix(".png"))
    for name, columns in table.items():
        for column, values in columns.items():
            print(f"{name:<9} {column:<7} " + " ".join(f"{v:>10,.2f}" for v in values))
    for name in VARIANTS:
        better = result["better_than_random_median"][name]
        print(f"{name}: better than the random median in {better} of {args.seeds} seeds")
    print("p (Wilcoxon, paired by seed):", result["p_enhanced_against_plain"])


if __name__ == "__main__":
    main()
