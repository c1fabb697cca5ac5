"""Do decoupling, weight resetting and the first discriminator matter? (EAGAN, section 5.3)

Question: how does FID develop over the rounds of a search on digits, and how much does it vary, if
discriminators are searched after generators (GD1) or together with them (figure 6); with or without
weight resetting in stage 2 (figure 7); and if stage 1 starts with the simple discriminator (GD2) or
with the discriminator that an earlier search found (GD3)?

Method: the digits preset, with fewer epochs (10 epochs of warm-up, 6 epochs per round, 8 rounds per
stage) and 500 images per score. A coupled search has as many rounds as both stages together. FID
uses the features of the digits classifier; the FID of a round is the lowest among its 16 GANs. Mean
and standard deviation of a search are taken over the rounds of its last stage, or over the second
half of a coupled search.

Command: python benchmarks/eagan_ablation.py        (2 CPU cores, about 35 minutes)
Device: CPU, two processes with one thread each.
Output: eagan_ablation.json and eagan_ablation.png, next to this file. Searches are stored in
--runs; an interrupted run resumes and repeats no completed search.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from matplotlib.figure import Figure

import moonas
from moonas.run.journal import read_run
from moonas.run.search import search

HERE = Path(__file__).parent
ROUNDS = 8  # per stage
SETTINGS = dict(
    device="cpu",
    workers=1,
    warmup_epochs=10,
    epochs=6,
    generations=ROUNDS + 1,
    score_images=500,
)
G, D = "eagan-generator", "eagan-discriminator"
SEARCHES = {  # label -> (stage, label of the preceding search, options)
    "generators": (G, None, {}),
    "decoupled (GD1)": (D, "generators", {}),
    "without resetting": (D, "generators", dict(weight_resetting=False)),
    "coupled": (G, None, dict(coupled=True, generations=2 * ROUNDS + 1)),
    "simple generators": (G, None, dict(initial_discriminator="simple")),
    "GD2": (D, "simple generators", {}),
    "repeated generators": (G, "decoupled (GD1)", {}),
    "GD3": (D, "repeated generators", {}),
}
VARIANTS = {  # label -> labels of its consecutive searches
    "decoupled (GD1)": ("generators", "decoupled (GD1)"),
    "without resetting": ("generators", "without resetting"),
    "coupled": ("coupled",),
    "GD2": ("simple generators", "GD2"),
    "GD3": ("repeated generators", "GD3"),
}
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


def run_search(label, seed, runs):
    """Run or resume one search and return the lowest FID of each round."""
    stage, preceding, options = SEARCHES[label]
    options = SETTINGS | options
    if preceding is not None:
        options["from_run"] = folder_of(preceding, seed, runs)
    folder = folder_of(label, seed, runs)
    problem = moonas.load_problem(stage, journal=folder, **options)
    search(problem, problem.algorithm(), seed=seed, generations=problem.settings.generations)
    problem.journal.close()
    calls = [call for call in read_run(folder)[1] if call["kind"] == "score"]
    return [min(call["result"]["fid"]) for call in calls[1:]]  # the first call follows the warm-up


def run_all(seed, runs):
    """Run all searches with one seed; return their FIDs by label."""
    torch.set_num_threads(1)
    return {label: run_search(label, seed, runs) for label in SEARCHES}


def summarize(fids):
    """Summarize the FIDs of each variant.

    Args:
        fids: one result of :func:`run_all` per seed.

    Returns:
        A dict by label: "curves", (n_seeds, n_rounds), over both stages; "mean" and "spread",
        (n_seeds,), mean and standard deviation over the last ``ROUNDS`` rounds; and "last",
        (n_seeds,), the FID of the last round.
    """
    table = {}
    for label, parts in VARIANTS.items():
        curves = np.array([np.concatenate([searches[part] for part in parts]) for searches in fids])
        late = curves[:, -ROUNDS:]
        table[label] = {
            "curves": curves.tolist(),
            "mean": late.mean(axis=1).tolist(),
            "spread": late.std(axis=1).tolist(),
            "last": late[:, -1].tolist(),
        }
    return table


def plot(table, path):
    """Plot FID over rounds (median and range over seeds), and its mean and standard deviation."""
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    for label, row in table.items():
        curves = np.array(row["curves"])
        rounds = np.arange(1, curves.shape[1] + 1)
        left.plot(rounds, np.median(curves, axis=0), color=COLORS[label], label=label)
        left.fill_between(rounds, curves.min(0), curves.max(0), color=COLORS[label], alpha=0.12)
        right.scatter(row["spread"], row["mean"], color=COLORS[label], s=46, label=label)
    left.axvline(ROUNDS + 0.5, color="#22313f", ls=":", lw=1)
    left.set(
        xlabel="round (dotted: start of stage 2)",
        ylabel="lowest FID of a round (digits classifier)",
        yscale="log",
        title="Median and range of the seeds",
    )
    right.set(
        xlabel=f"standard deviation over the last {ROUNDS} rounds",
        ylabel=f"mean over the last {ROUNDS} rounds",
        title="One point per seed",
    )
    for axes in (left, right):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    left.legend(frameon=False)
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
    parser.add_argument("--seeds", type=int, default=4, help="number of seeds")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/eagan_ablation"), help="folder of the searches"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=HERE / "eagan_ablation",
        help="path of the results, without suffix",
    )
    args = parser.parse_args()
    seeds = range(1, args.seeds + 1)
    table = summarize(Parallel(2)(delayed(run_all)(seed, args.runs) for seed in seeds))
    first = "decoupled (GD1)"
    lower = {other: count_lower_seeds(table, first, other) for other in VARIANTS if other != first}
    result = {
        "command": f"python benchmarks/eagan_ablation.py --seeds {args.seeds}",
        "torch": torch.__version__,
        "seeds": args.seeds,
        "table": table,
        f"seeds in which {first} is lower": lower,
    }
    args.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    plot(table, args.out.with_suffix(".png"))
    for label, row in table.items():
        numbers = " ".join(
            f"{name} {np.mean(row[name]):6.2f}" for name in ("mean", "spread", "last")
        )
        print(f"{label:<20} {numbers}   (means of {args.seeds} seeds)")
    print(f"seeds of {args.seeds} in which {first} is lower:", lower)


if __name__ == "__main__":
    main()
