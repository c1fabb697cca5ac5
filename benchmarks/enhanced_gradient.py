"""Does the enhanced gradient find better cells than the plain gradient or chance? (EG-DARTS)

Question: stage 1 of EG-DARTS derives cells with and without the enhancement of equations 5 to 10,
which judges a gradient by a trial step on one batch, or by the last step, whose losses are of
different batches. Over several seeds, how many parameters and which validation error do these cells
have, and how do they compare with 20 random cells?

Method: searches with the digits preset; all variants of a seed start from the same initial weights
and use the same batches. Every pair of cells is used in a network with 3 cells and 8 channels,
which is trained from scratch for 15 epochs on the training set of stage 1, with --trainings seeds.
Its error is the mean over these seeds on the validation set of stage 1.

Command: python benchmarks/enhanced_gradient.py        (2 CPU cores, about three hours)
         python benchmarks/enhanced_gradient.py --data FOLDER --images 200 --set image_size=16 \
             --out benchmarks/enhanced_gradient-NAME
Device: CPU, one process with one thread for each job.
Output: OUT.json and OUT.png. Searches and trainings are stored in --runs; an interrupted run
resumes and repeats none that is complete.
"""

import argparse
import hashlib
import json
import shutil
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
from moonas.settings import parse, select
from moonas.training.sgd import Recipe, make_optimizer, train_epochs

HERE = Path(__file__).parent
VARIANTS = {
    "plain": dict(enhanced=False),
    "trial step": dict(),
    "last step": dict(judged_step="last"),
}
COLORS = {"random": "#9db4c0", "plain": "#22313f", "trial step": "#c8553d", "last step": "#e09f3e"}
N_RANDOM = 20  # pairs of random cells


def first_images(folder, n, out):
    """Copy the first n training images and all test images of each class; return the new folder."""
    new, unfinished = out / folder.name, out / "unfinished"
    if not new.exists():
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(folder / "test", unfinished / "test")
        for class_folder in sorted((folder / "train").iterdir()):
            (unfinished / "train" / class_folder.name).mkdir(parents=True)
            for path in sorted(class_folder.iterdir())[:n]:
                shutil.copy(path, unfinished / "train" / class_folder.name)
        unfinished.rename(new)
    return new


def search(seed, variant, args):
    """Run or resume a search; return its cells and its share of red gradients."""
    stage = moonas.load_stage(
        "eg-darts-cells",
        device="cpu",
        journal=args.runs / f"{variant.replace(' ', '-')}-{seed}",
        **VARIANTS[variant],
        **args.options,
    )
    result = stage.run(seed=seed)
    stage.journal.close()
    reds = np.concatenate([epoch["reds"] for epoch in result.epochs])
    return result.cells, float(reds.mean())


def train(cells, seed, args):
    """Train a network with given cells from scratch; return its validation error (%) and params."""
    identity = json.dumps([cells.text, seed, args.epochs, args.options], sort_keys=True)
    name = hashlib.sha256(identity.encode()).hexdigest()[:16]
    path = args.runs / "trainings" / f"{name}.json"
    if path.exists():
        return json.loads(path.read_text())
    settings = CellSettings(device="cpu", **args.options)
    info = describe(settings.data, settings.image_size)
    images = Classification(settings, info, torch.device("cpu"))
    images.load()
    shape = dict(n_classes=info.n_classes, in_channels=info.channels, image_size=info.side)
    with repeatable(1):
        with initial_weights(seed, "weights"):
            network = CellNetwork(cells.normal, cells.reduction, channels=8, layers=3, **shape)
        recipe = select(Recipe, settings, horizon=args.epochs)
        optimizer, rng = make_optimizer(network, recipe), generator(seed, "batches")
        train_epochs(
            network,
            images.train,
            lambda: [network],
            optimizer,
            recipe,
            rng,
            args.epochs,
            loss_function=images.loss,
            augment=images.augment,
        )
        error = images.columns([images.evaluate(network.eval())])["error"][0]
    result = float(error), count_params(network)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result))
    return result


def plot(groups, path):
    """Plot error over parameters; lines join plain gradients and trial steps of a seed."""
    figure = Figure(figsize=(7.5, 5), layout="constrained")
    axes = figure.subplots()
    for name, rows in groups.items():
        params, errors = zip(*((row["params"], row["error"]) for row in rows), strict=True)
        axes.scatter(params, errors, s=46, color=COLORS[name], label=f"{name} ({len(rows)})")
    for a, b in zip(groups["plain"], groups["trial step"], strict=True):
        ends = [a["params"], b["params"]], [a["error"], b["error"]]
        axes.plot(*ends, color=COLORS["trial step"], lw=0.8, alpha=0.6)
    median = np.median([row["error"] for row in groups["random"]])
    axes.axhline(median, color=COLORS["random"], ls=":", label="median of the random cells")
    axes.set(
        xlabel="parameters of the network",
        ylabel=f"validation error (%), mean of {len(groups['plain'][0]['errors'])} trainings",
        title="Cells of EG-DARTS, stage 1; lines join plain gradients and trial steps",
    )
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


def p_value(rows, others, column):
    """Return the p value of a Wilcoxon test that is paired by seed; 1 if all pairs are equal."""
    a, b = ([row[column] for row in group] for group in (rows, others))
    return 1.0 if a == b else float(wilcoxon(a, b).pvalue)


def main():
    """Run the missing searches, print a table, and write the results and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--seeds", type=int, default=6, help="number of seeds")
    add("--trainings", type=int, default=8, help="trainings of each pair of cells")
    add("--data", default="digits", help="data set or folder")
    add("--images", type=int, help="training images of each class of a folder (default: all)")
    add("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS), metavar="VARIANT")
    add("--epochs", type=int, default=15, help="epochs of a training")
    add("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of the searches")
    add("--jobs", type=int, default=2, help="searches or trainings that run at the same time")
    add("--runs", type=Path, default=Path("runs/enhanced_gradient"), help="folder of the searches")
    add("--out", type=Path, default=HERE / "enhanced_gradient", help="results, without suffix")
    args = parser.parse_args()
    pairs = (word.split("=", 1) for word in args.set)
    args.runs /= Path(args.data).name
    data = args.data
    if args.images:
        data = str(first_images(Path(data), args.images, args.runs / "images"))
    args.options = {"data": data} | {k: parse(CellSettings, k, v) for k, v in pairs}
    seeds = range(1, args.seeds + 1)
    rng = np.random.default_rng(0)
    cells = {"random": [cell_space.random_cells(rng) for _ in range(N_RANDOM)]}
    pool = Parallel(args.jobs)
    keys = [(seed, variant) for seed in seeds for variant in args.variants]
    results = pool(delayed(search)(seed, variant, args) for seed, variant in keys)
    reds = {}
    for variant in args.variants:
        searches = [r for r, (_, v) in zip(results, keys, strict=True) if v == variant]
        cells[variant] = [c for c, _ in searches]
        if VARIANTS[variant].get("enhanced", True):  # otherwise, no gradient is judged
            reds[variant] = [r for _, r in searches]
    trainings = [
        (c, seed) for group in cells.values() for c in group for seed in range(args.trainings)
    ]
    scores = iter(pool(delayed(train)(c, seed, args) for c, seed in trainings))
    groups = {
        name: [
            {"cells": c.text, "errors": [e for e, _ in t], "params": int(t[0][1])}
            for c in group
            for t in [[next(scores) for _ in range(args.trainings)]]
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
        "seeds": args.seeds,
        "images_per_class": args.images,
        "epochs": args.epochs,
        "settings": args.options | {"data": Path(args.data).name},
        "torch": torch.__version__,
        "quantiles": table,
        "red_share": reds,
        "better_than_random_median": {
            name: sum(row["error"] < median for row in groups[name]) for name in args.variants
        },
        "p_against_plain": {
            f"{name}, {column}": p_value(groups[name], groups["plain"], column)
            for name in args.variants
            if name != "plain"
            for column in ("error", "params")
        },
        "cells": groups,
    }
    args.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    plot({name: groups[name] for name in COLORS if name in groups}, args.out.with_suffix(".png"))
    for name, columns in table.items():
        for column, values in columns.items():
            print(f"{name:<10} {column:<7} " + " ".join(f"{v:>10,.2f}" for v in values))
    for name in args.variants:
        better = result["better_than_random_median"][name]
        print(f"{name}: better than the random median in {better} of {args.seeds} seeds")
    print("p (Wilcoxon, paired by seed):", result["p_against_plain"])


if __name__ == "__main__":
    main()
