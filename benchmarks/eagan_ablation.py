"""Do decoupling, weight resetting and the first discriminator matter? (EAGAN, section 5.3)

Question: how does FID develop over the rounds of a search, and how much does it vary, if
discriminators are searched after generators (GD1) or together with them (figure 6); with or without
weight resetting in stage 2 (figure 7); and if stage 1 starts with the simple discriminator (GD2) or
with the discriminator that an earlier search found (GD3)? Do the discriminators learn?

Method: the digits preset, with fewer epochs (10 epochs of warm-up, 20 if it trains discriminators,
and 6 epochs per round, 8 rounds per stage) and 500 images per score; on MNIST at 32 pixels, the
first --images training images. A coupled search has as many rounds as both stages together. FID
uses the features of a classifier of the data set; the FID of a round is the lowest among its 16
GANs. The accuracy of the discriminators is the median over these GANs, on images that no
discriminator has seen. Mean and standard deviation of a search are taken over the rounds of its
last stage, or over the second half of a coupled search.

Command: python benchmarks/eagan_ablation.py --jobs 2
         python benchmarks/eagan_ablation.py --data mnist --root FOLDER --device cuda
Output: eagan_ablation-DATA.json and eagan_ablation-DATA.png, next to this file. Searches are stored
in --runs; an interrupted search resumes, and no completed search is repeated.
"""

import argparse
import json
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torchvision.datasets import MNIST

import moonas
from moonas.plot.style import format_log_axis
from moonas.run.journal import read_run
from moonas.run.search import search

HERE = Path(__file__).parent
ROUNDS = 8  # per stage
SETTINGS = dict(workers=1, warmup_epochs=10, epochs=6, generations=ROUNDS, score_images=500)
G, D = "eagan-generator", "eagan-discriminator"
SEARCHES = {  # label -> (stage, label of the preceding search, options)
    "generators": (G, None, {}),
    "decoupled (GD1)": (D, "generators", {}),
    "without resetting": (D, "generators", dict(weight_resetting=False)),
    "coupled": (
        G,
        None,
        dict(coupled=True, generations=2 * ROUNDS, warmup_networks="population"),
    ),
    "simple generators": (G, None, dict(initial_discriminator="simple")),
    "GD2": (D, "simple generators", {}),
    "repeated generators": (G, "decoupled (GD1)", {}),
    "GD3": (D, "repeated generators", {}),
}
LONGEST_CHAIN = ("generators", "decoupled (GD1)", "repeated generators", "GD3")
VARIANTS = {  # label -> labels of its consecutive searches
    "decoupled (GD1)": ("generators", "decoupled (GD1)"),
    "without resetting": ("generators", "without resetting"),
    "coupled": ("coupled",),
    "GD2": ("simple generators", "GD2"),
    "GD3": ("repeated generators", "GD3"),
}
IN_COMMAND = ("data", "images", "variants", "seeds")  # arguments that change results
COLORS = {
    "decoupled (GD1)": "#c8553d",
    "without resetting": "#22313f",
    "coupled": "#6a994e",
    "GD2": "#9db4c0",
    "GD3": "#e09f3e",
}


def folder_of(label, seed, runs):
    """Return the run folder of a search."""
    return runs / f"{label.replace(' ', '-').replace('(', '').replace(')', '')}-{seed}"


def run_search(label, seed, args):
    """Run or resume one search.

    Returns:
        Measure -> its value in each round: "fid", the lowest FID; "d_loss", "g_loss" and
        "d_accuracy" (%) of the training.
    """
    torch.set_num_threads(1)
    stage, preceding, options = SEARCHES[label]
    options = SETTINGS | dict(data=args.folder, device=args.device) | options
    if stage == D or options.get("coupled"):
        options["warmup_epochs"] = 2 * SETTINGS["warmup_epochs"]
    if args.data == "mnist":
        options["image_size"] = 32
    if preceding is not None:
        options["from_run"] = folder_of(preceding, seed, args.runs)
    folder = folder_of(label, seed, args.runs)
    problem = moonas.load_problem(stage, journal=folder, **options)
    search(
        problem,
        problem.algorithm(),
        seed=seed,
        generations=problem.settings.generations,
        verbose=False,
    )
    problem.journal.close()
    calls = read_run(folder)[1][1:]  # without the warm-up
    rounds = {
        name: [call["result"][name] for call in calls if call["kind"] == "train"]
        for name in ("d_loss", "g_loss", "d_accuracy")
    }
    return rounds | {"fid": [min(c["result"]["fid"]) for c in calls if c["kind"] == "score"]}


def write_mnist_folder(root, n_training, n_test, folder):
    """Write the first images of MNIST as PNG files, in a folder that moonas reads."""
    for split, n in (("train", n_training), ("test", n_test)):
        images = MNIST(root, train=split == "train")
        for i in range(n):
            image, label = images[i]
            path = folder / split / str(label) / f"{i:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)


def chain(variant):
    """Return the labels of all searches that a variant needs, its predecessors included."""
    labels = list(VARIANTS[variant])
    while (preceding := SEARCHES[labels[0]][1]) is not None:
        labels.insert(0, preceding)
    return labels


def run_all(args):
    """Run the searches of all seeds, each as soon as the search that it starts from is complete.

    Returns:
        (label, seed) -> result of :func:`run_search`.
    """
    results, running = {}, {}
    needed = {label for variant in args.variants for label in chain(variant)}
    waiting = sorted(
        (
            (label, seed)
            for label in SEARCHES
            if label in needed
            for seed in range(1, args.seeds + 1)
        ),
        key=lambda task: (task[0] not in LONGEST_CHAIN, task[1]),
    )
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        while waiting or running:
            for label, seed in list(waiting):
                preceding = SEARCHES[label][1]
                is_ready = preceding is None or (preceding, seed) in results
                if is_ready and len(running) < args.jobs:
                    waiting.remove((label, seed))
                    running[pool.submit(run_search, label, seed, args)] = label, seed
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                task = running.pop(future)
                results[task] = future.result()
                print(f"{len(results)} of {len(needed) * args.seeds} searches:", *task, flush=True)
    return results


def summarize(results, n_seeds, variants):
    """Summarize the searches of each variant.

    Args:
        results: result of :func:`run_all`.
        n_seeds: number of seeds.
        variants: their labels.

    Returns:
        A dict by label: "curves", measure -> (n_seeds, n_rounds) over both stages; "mean" and
        "spread", (n_seeds,), mean and standard deviation of FID over the last ``ROUNDS`` rounds;
        "stage 1" and "last", (n_seeds,), FID of the last round of stage 1 and of the search; and
        "accuracy", (n_seeds,), the lowest accuracy of the discriminators over the last rounds.
    """
    table = {}
    for label in variants:
        parts = VARIANTS[label]
        curves = {
            measure: np.array(
                [
                    np.concatenate([results[part, seed][measure] for part in parts])
                    for seed in range(1, n_seeds + 1)
                ]
            )
            for measure in ("fid", "d_loss", "g_loss", "d_accuracy")
        }
        late = curves["fid"][:, -ROUNDS:]
        table[label] = {
            "curves": {measure: values.tolist() for measure, values in curves.items()},
            "mean": late.mean(axis=1).tolist(),
            "spread": late.std(axis=1).tolist(),
            "stage 1": curves["fid"][:, -ROUNDS - 1].tolist(),
            "last": late[:, -1].tolist(),
            "accuracy": curves["d_accuracy"][:, -ROUNDS:].min(axis=1).tolist(),
        }
    return table


def plot(table, data, path):
    """Plot FID, D's loss and D's accuracy over rounds (median and range over seeds)."""
    figure = Figure(figsize=(9, 9.6), layout="constrained")
    rows = figure.subplots(3, 1, sharex=True, height_ratios=[3, 2, 2])
    titles = {
        "fid": f"lowest FID of a round ({data} classifier)",
        "d_loss": "hinge loss of D",
        "d_accuracy": "accuracy of D on unseen images (%)",
    }
    for axes, (measure, title) in zip(rows, titles.items(), strict=True):
        for label, row in table.items():
            curves = np.array(row["curves"][measure])
            rounds = np.arange(1, curves.shape[1] + 1)
            first = curves.shape[1] - 2 * ROUNDS  # GD3 begins earlier
            axes.plot(rounds - first, np.median(curves, axis=0), color=COLORS[label], label=label)
            axes.fill_between(
                rounds - first, curves.min(0), curves.max(0), color=COLORS[label], alpha=0.1, lw=0
            )
        axes.axvline(ROUNDS + 0.5, color="#22313f", ls=":", lw=1)
        axes.set_ylabel(title)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    rows[0].set_yscale("log")
    format_log_axis(rows[0].yaxis, *rows[0].get_ylim())
    rows[1].axhline(2, color="#22313f", lw=1)
    rows[2].axhline(50, color="#22313f", lw=1)
    rows[1].annotate("chance", (1, 2), xytext=(0, 3), textcoords="offset points", fontsize=8)
    rows[2].annotate("chance", (1, 50), xytext=(0, 3), textcoords="offset points", fontsize=8)
    rows[2].set_xlabel("round (dotted: start of stage 2)")
    rows[0].legend(frameon=False, ncols=3)
    figure.savefig(path, dpi=110)


def count_lower_seeds(table, first, second):
    """Return, by column, the number of seeds for which the first variant has the lower value."""
    return {
        column: int(np.sum(np.array(table[first][column]) < np.array(table[second][column])))
        for column in ("mean", "spread", "last")
    }


def main():
    """Run the missing searches, print a table, and write the results and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", default="digits", choices=("digits", "mnist"), help="data set")
    add("--root", default="data", help="folder with torchvision's MNIST")
    add("--images", type=int, default=3000, help="number of training images of MNIST")
    add("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    add("--device", default="cpu")
    add("--jobs", type=int, default=2, help="searches that run at the same time")
    add("--seeds", type=int, default=5, help="number of seeds")
    add("--runs", type=Path, default=Path("runs/eagan_ablation"), help="folder of the searches")
    args = parser.parse_args()
    args.runs, args.folder = args.runs / args.data, args.data
    if args.data == "mnist":
        args.folder = args.runs / "images"
        if not args.folder.exists():
            write_mnist_folder(args.root, args.images, args.images // 3, args.folder)
    table = summarize(run_all(args), args.seeds, args.variants)
    first = "decoupled (GD1)"
    lower = {other: count_lower_seeds(table, first, other) for other in table if other != first}
    row = table[first]
    result = {
        "command": json.dumps({k: v for k, v in vars(args).items() if k in IN_COMMAND}),
        "torch": torch.__version__,
        "device": device_name(args.device),
        "seeds": args.seeds,
        "table": table,
        f"seeds in which {first} is lower": lower,
        "seeds in which stage 2 of GD1 ends below stage 1": int(
            np.sum(np.array(row["last"]) < np.array(row["stage 1"]))
        ),
    }
    out = HERE / f"eagan_ablation-{args.data}"
    out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    plot(table, args.data, out.with_suffix(".png"))
    columns = ("mean", "spread", "stage 1", "last", "accuracy")
    for label, row in table.items():
        numbers = " ".join(f"{name} {np.median(row[name]):6.2f}" for name in columns)
        print(f"{label:<20} {numbers}   (medians of {args.seeds} seeds)")
    print(f"seeds of {args.seeds} in which {first} is lower:", lower)


def device_name(device):
    """Return the name of a GPU, or the name of another device."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


if __name__ == "__main__":
    main()
