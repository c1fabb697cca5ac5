"""Does co-evolution choose better filters than separate evolution, chance, or their norm?

Question: two generators of a CycleGAN are made four to five times smaller. How well do they
translate digits when their filters are chosen by co-evolution; by separate evolution (figure 3 b);
with the generator-aware loss in place of the discriminator-aware one (figure 3 c); at another
gamma, over two decades (figure 2); or at the co-evolved size without a search, as many of every
mask: drawn at random, or those of the largest L1 norm?

Method: a CycleGAN a seed, the digits preset. Searches with 12 candidates a population and 12
iterations; the pair that each picks. Every pair is judged by the images for the final test: as it
is, after the 20 steps on a tenth of the images that a search scores with, and after 5 epochs at the
full rate and 5 with a falling one on all images to search with. Accuracy: share of translations
that a classifier of the target domain reads as the right digit, the mean of both directions. FID:
of that classifier's features, to the target domain's own test images, the mean of both. Separate
and generator-aware searches have the same gamma and end at sizes of their own.

Command: python benchmarks/cyclegan_pruning.py        (2 CPU cores, about 55 minutes)
Device: CPU, two processes with one thread each.
Output: cyclegan_pruning.json and cyclegan_pruning.png beside this file. The searches are kept in
--runs; interrupted and repeated, only what is missing is computed.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from matplotlib.figure import Figure
from moonas.problems.cyclegan_pruning.masks import compress, select_by_norm
from moonas.problems.cyclegan_pruning.quality import Quality
from moonas.problems.cyclegan_pruning.space import Architecture
from moonas.problems.cyclegan_pruning.training import Training, decay

import moonas
from moonas.run.search import search

HERE = Path(__file__).parent
EPOCHS = 5  # of the final fine-tuning, and as many with a falling rate
SETTINGS = dict(device="cpu", workers=1, population=12, generations=12)
CO = "co-evolved"
SEARCHES = {
    CO: {},
    "separate": dict(separate=True),
    "generator-aware": dict(loss="generator"),
    "gamma 0.05": dict(gamma=0.05),
    "gamma 5": dict(gamma=5.0),
}
UNIFORM, NORM = "uniform, at random", "uniform, by L1 norm"
VARIANTS = (*SEARCHES, UNIFORM, NORM)
MOMENTS = ("as it is", "as scored", "fine-tuned")


def pretrain(seed, runs):
    """The file of a seed's CycleGAN."""
    folder = runs / f"cyclegan-{seed}"
    path = folder / "cyclegan.pt"
    if not path.exists():
        stage = moonas.load_stage("cyclegan-pretraining", journal=folder, device="cpu", threads=1)
        stage.report(stage.run(seed), folder)
        stage.journal.close()
    return path


def find(label, seed, runs):
    """The architecture that one search picks; the search is kept in its folder."""
    weights = pretrain(seed, runs)
    folder = runs / f"{label.replace(' ', '-')}-{seed}"
    options = SETTINGS | SEARCHES[label] | dict(weights=weights)
    problem = moonas.load_problem("cyclegan-pruning", journal=folder, **options)
    problem.after_search = lambda row: []
    found = search(problem, problem.algorithm(), seed=seed, generations=12)
    problem.journal.close()
    return found.rows[found.picked].architecture


def same_size(problem, make, wanted):
    """Of the architectures ``make(share)``, generator by generator the nearest in size.

    Args:
        problem: that counts.
        make: share of the filters -> architecture.
        wanted: the architecture whose sizes are wanted.
    """
    made = [make(share) for share in np.linspace(0.1, 1, 181)]
    halves = {}
    for k in "ab":
        size = problem.costs.count(wanted.masks(k))[0]
        off = [abs(problem.costs.count(a.masks(k))[0] - size) for a in made]
        halves[k] = getattr(made[int(np.argmin(off))], k)
    return Architecture(**halves)


def judge(label, seed, runs, found):
    """Sizes and scores of one variant of a seed.

    Args:
        label: one of ``VARIANTS``.
        seed: of the CycleGAN and of its searches.
        runs: folder.
        found: architecture by search.
    """
    torch.set_num_threads(1)
    options = dict(SETTINGS, weights=pretrain(seed, runs))
    problem = moonas.load_problem("cyclegan-pruning", **options)
    evaluator = problem.evaluator
    evaluator.begin(seed)
    evaluator.warm_up()
    settings, original = problem.settings, evaluator.original
    if label == UNIFORM:
        architecture = same_size(
            problem,
            lambda share: problem.space.uniform(share, np.random.default_rng(seed)),
            found[CO],
        )
    elif label == NORM:
        architecture = same_size(
            problem, lambda share: select_by_norm(original, problem.groups, share), found[CO]
        )
    elif label == "original":
        architecture = problem.space.uniform(1.0)
    else:
        architecture = found[label]
    quality = Quality(settings, problem.info, evaluator.data, problem.device)
    pair = compress(original, architecture, problem.groups)
    scored = evaluator.compress(architecture)
    columns = evaluator.score(problem.candidates([architecture]))
    images = {
        k: torch.cat([domain.train, domain.validation]) for k, domain in evaluator.data.items()
    }
    moments = [quality.evaluate(pair.generators), quality.evaluate(scored.generators)]
    training = Training(pair, images, problem.info.side, evaluator.recipe, seed, "final")
    for epoch in range(2 * EPOCHS):
        training.epoch(decay(epoch, EPOCHS, EPOCHS))
    moments.append(quality.evaluate(pair.generators))
    return {
        "size": [float(columns["size_a"][0]), float(columns["size_b"][0])],
        "loss": float(columns["loss"][0]),
        "filters": str(architecture),
        **dict(zip(MOMENTS, moments, strict=True)),
    }


def summarise(rows):
    """Size, loss, accuracies and FIDs of a variant, lists over the seeds."""
    table = {
        "size": [float(np.mean(row["size"])) for row in rows],
        "loss": [row["loss"] for row in rows],
    }
    for moment in MOMENTS:
        for score in ("accuracy", "fid"):
            values = [np.mean([row[moment][f"{score}_{k}"] for k in "ab"]) for row in rows]
            table[f"{score} {moment}"] = [float(v) for v in values]
    return table


def draw(table, path):
    """Accuracy over size, as scored and after the final fine-tuning, a point a seed."""
    figure = Figure(figsize=(12, 4.8), layout="constrained")
    colors = ["#c8553d", "#22313f", "#6a994e", "#e8a598", "#8c2f1b", "#9db4c0", "#e09f3e"]
    for axes, moment in zip(figure.subplots(1, 2), MOMENTS[1:], strict=True):
        for color, label in zip(colors, VARIANTS, strict=True):
            row = table[label]
            axes.scatter(row["size"], row[f"accuracy {moment}"], s=46, color=color, label=label)
        whole = np.mean(table["original"]["accuracy as it is"])
        axes.axhline(whole, color="#22313f", ls=":", lw=1, label="original CycleGAN")
        axes.set(
            xlabel="share of the weights that is kept, mean of both generators",
            ylabel="accuracy (%), mean of both directions",
            title=f"Digits read rightly, {moment}",
            ylim=(0, 100),
        )
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    figure.savefig(path, dpi=110)


def main():
    """Run what is missing, print the table, write JSON and picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/cyclegan_pruning"))
    parser.add_argument("--out", type=Path, default=HERE / "cyclegan_pruning")
    args = parser.parse_args()
    seeds, pool = range(1, args.seeds + 1), Parallel(2)
    pool(delayed(pretrain)(seed, args.runs) for seed in seeds)
    asked = [(label, seed) for seed in seeds for label in SEARCHES]
    found = pool(delayed(find)(label, seed, args.runs) for label, seed in asked)
    found = dict(zip(asked, found, strict=True))
    by_seed = {s: {label: found[label, s] for label in SEARCHES} for s in seeds}
    judged = [(label, seed) for label in ("original", *VARIANTS) for seed in seeds]
    rows = pool(delayed(judge)(label, s, args.runs, by_seed[s]) for label, s in judged)
    rows = dict(zip(judged, rows, strict=True))
    every = {label: [rows[label, s] for s in seeds] for label in ("original", *VARIANTS)}
    table = {label: summarise(rows) for label, rows in every.items()}
    result = {
        "command": f"python benchmarks/cyclegan_pruning.py --seeds {args.seeds}",
        "torch": torch.__version__,
        "seeds": args.seeds,
        "table": table,
        "rows": every,
    }
    args.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    draw(table, args.out.with_suffix(".png"))
    for label, row in table.items():
        print(f"{label:<20}", *(f"{k} {np.mean(v):.2f}" for k, v in row.items()), sep="  ")


if __name__ == "__main__":
    main()
