"""Do both stages of EAGAN work: do the discriminators learn, and does stage 2 lower FID?

Question: in the default search on digits, do the discriminators tell real images that they have
not seen from generated images at the end of every round? Does stage 2 end with a lower FID than
stage 1, and is its selection better than a random one?

Method: ``moonas search eagan`` with several seeds. The accuracy of a round is the median over its
GANs; a random guess has 50 %, and a hinge loss of 2. FID uses the features of the digits
classifier; the FID of a round is the lowest among its candidates. The control is stage 2 from the
same generator with random search, which trains as many new random discriminators in each round.

Command: python benchmarks/eagan_search.py           (about an hour and a half on two CPU cores)
Device: CPU, one search per job with one thread.
Output: eagan_search.json and eagan_search.png next to this file, and a table. Searches are stored
in --runs; an interrupted search resumes, and no completed search is repeated.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

import moonas
from moonas.run.journal import read_run

HERE = Path(__file__).parent
STAGES = ("eagan-generator", "eagan-discriminator")
CONTROL = "random discriminators"
COLORS = ("#c8553d", "#22313f", "#6a994e", "#9db4c0", "#e09f3e")


def run_search(seed, runs):
    """Run or resume the search with one seed, and its control.

    Returns:
        Stage or :data:`CONTROL` -> measure -> values by round: "fid", "d_loss", "g_loss" and
        "d_accuracy" (%). The first values of the last three measures describe the warm-up.
    """
    torch.set_num_threads(1)
    folder, control = runs / str(seed), runs / f"{seed}-random"
    options = dict(seed=seed, workers=1, device="cpu")
    moonas.search("eagan", out=folder, **options)
    moonas.search(
        "eagan",
        stage=STAGES[1],
        algorithm="random",
        from_run=folder / STAGES[0],
        out=control,
        **options,
    )
    return {
        STAGES[0]: read_rounds(folder / STAGES[0]),
        STAGES[1]: read_rounds(folder / STAGES[1]),
        CONTROL: read_rounds(control / STAGES[1]),
    }


def read_rounds(folder):
    """Return measure -> values by round; see :func:`run_search`."""
    calls = read_run(folder)[1]
    trainings = [call["result"] for call in calls if call["kind"] == "train"]
    scores = [call["result"] for call in calls if call["kind"] == "score"]
    rounds = {
        name: [training[name] for training in trainings]
        for name in ("d_loss", "g_loss", "d_accuracy")
    }
    return rounds | {"fid": [min(columns["fid"]) for columns in scores]}


def plot(results, path):
    """Plot FID, and the hinge loss and the accuracy of D, over the rounds of both stages."""
    figure = Figure(figsize=(9, 8.4), layout="constrained")
    rows = figure.subplots(3, 1, sharex=True, height_ratios=[3, 2, 2])
    titles = {
        "fid": "lowest FID of a round",
        "d_loss": "hinge loss of D",
        "d_accuracy": "accuracy of D on\nunseen images (%)",
    }
    for axes, (measure, title) in zip(rows, titles.items(), strict=True):
        for (seed, result), color in zip(results.items(), COLORS, strict=False):
            start = 0
            for stage in STAGES:
                values = result[stage][measure][-len(result[stage]["fid"]) :]
                rounds = start + 1 + np.arange(len(values))
                label = f"seed {seed}" if stage == STAGES[0] else None
                axes.plot(rounds, values, color=color, marker=".", label=label)
                start += len(values)
            values = result[CONTROL][measure][-len(rounds) :]
            axes.plot(rounds, values, color=color, marker=".", ms=4, ls=":")
        axes.axvline(start / 2 + 0.5, color="#22313f", ls=":", lw=1)
        axes.set_ylabel(title)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    rows[0].set_yscale("log")
    for axes, chance in ((rows[1], 2), (rows[2], 50)):
        axes.axhline(chance, color="#22313f", lw=1)
        axes.annotate("chance", (1, chance), xytext=(0, 3), textcoords="offset points", fontsize=8)
    rows[2].xaxis.set_major_locator(MaxNLocator(integer=True))
    rows[2].set_xlabel("round of stage 1, then of stage 2")
    rows[0].plot([], [], color="#22313f", marker=".", ms=4, ls=":", label=CONTROL)
    figure.legend(*rows[0].get_legend_handles_labels(), loc="outside upper center", ncols=6)
    figure.savefig(path, dpi=110)


def main():
    """Run the missing searches, print a table, and write the results and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--seeds", type=int, default=5, help="number of seeds")
    add("--jobs", type=int, default=2, help="searches that run at the same time")
    add("--runs", type=Path, default=Path("runs/eagan_search"), help="folder of the searches")
    args = parser.parse_args()
    seeds = range(1, args.seeds + 1)
    rows = Parallel(args.jobs)(delayed(run_search)(seed, args.runs) for seed in seeds)
    results = dict(zip(seeds, rows, strict=True))
    document = {"seeds": args.seeds, "torch": torch.__version__, "results": results}
    out = HERE / "eagan_search"
    out.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n")
    plot(results, out.with_suffix(".png"))
    print("      FID at the end of               stage 2: accuracy of D (%)")
    print("seed  stage 1  stage 2  its control  lowest  median  last round")
    for seed, result in results.items():
        fids = "".join(f"{result[part]['fid'][-1]:9.2f}" for part in (*STAGES, CONTROL))
        accuracies = result[STAGES[1]]["d_accuracy"][1:]
        values = (min(accuracies), float(np.median(accuracies)), accuracies[-1])
        print(f"{seed:>4}{fids}    {values[0]:7.1f} {values[1]:7.1f} {values[2]:11.1f}")


if __name__ == "__main__":
    main()
