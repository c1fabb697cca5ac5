"""Does co-evolution select better filters than separate evolution, random choice or L1 norms?

Question: two generators of a CycleGAN are compressed by a factor of four to five. How well do they
translate digits if their filters are selected by co-evolution; by separate evolution (figure 3b);
with the generator-aware instead of the discriminator-aware loss (figure 3c); with another gamma,
over two decades (figure 2); or, at the size that co-evolution finds, without a search: an equal
share of the filters of every mask, chosen at random or by the largest L1 norm?

Method: one CycleGAN per seed, with the digits preset. Searches have 12 candidates per population
and 12 iterations; the generator pairs that they pick are compared. Every pair is evaluated on the
test set three times: after pruning; after the 20 fine-tuning steps on a tenth of the training set
that precede an evaluation in the search; and after 5 epochs with a constant and 5 epochs with a
decaying learning rate on the training and validation sets. Accuracy is the share of translated
images that a classifier of the target domain assigns to the correct digit. FID is computed with the
features of that classifier and the test images of the target domain. Both are means over the two
directions. Separate and generator-aware searches use the same gamma and may result in other sizes.

Command: python benchmarks/cyclegan_pruning.py        (2 CPU cores, about 55 minutes)
Device: CPU, two processes with one thread each.
Output: cyclegan_pruning.json and cyclegan_pruning.png, next to this file. Searches are stored in
--runs; an interrupted run resumes and repeats no completed search.
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
from moonas.problems.cyclegan_pruning.training import Training, learning_rate_factor

import moonas
from moonas.run.search import search

HERE = Path(__file__).parent
EPOCHS = 5  # of the final fine-tuning with a constant, and again with a decaying learning rate
SETTINGS = dict(device="cpu", workers=1, population=12, generations=12)
CO_EVOLVED = "co-evolved"
SEARCHES = {
    CO_EVOLVED: {},
    "separate": dict(separate=True),
    "generator-aware": dict(loss="generator"),
    "gamma 0.05": dict(gamma=0.05),
    "gamma 5": dict(gamma=5.0),
}
UNIFORM, NORM = "uniform, at random", "uniform, by L1 norm"
VARIANTS = (*SEARCHES, UNIFORM, NORM)
STATES = ("as it is", "as scored", "fine-tuned")  # pruned; as in the search; after fine-tuning


def pretrain(seed, runs):
    """Train the CycleGAN of a seed if its file is missing; return the path of the file."""
    folder = runs / f"cyclegan-{seed}"
    path = folder / "cyclegan.pt"
    if not path.exists():
        stage = moonas.load_stage("cyclegan-pretraining", journal=folder, device="cpu", threads=1)
        stage.report(stage.run(seed), folder)
        stage.journal.close()
    return path


def run_search(label, seed, runs):
    """Run or resume one search and return the architecture that it picks."""
    weights = pretrain(seed, runs)
    folder = runs / f"{label.replace(' ', '-')}-{seed}"
    options = SETTINGS | SEARCHES[label] | dict(weights=weights)
    problem = moonas.load_problem("cyclegan-pruning", journal=folder, **options)
    problem.after_search = lambda row: []
    result = search(problem, problem.algorithm(), seed=seed, generations=12)
    problem.journal.close()
    return result.rows[result.picked].architecture


def match_size(problem, make_architecture, target):
    """Return the architecture whose generators are closest in size to a target architecture.

    Args:
        problem: problem that counts the weights.
        make_architecture: function from the share of filters to keep to an architecture.
        target: architecture whose two sizes are matched.
    """
    architectures = [make_architecture(share) for share in np.linspace(0.1, 1, 181)]
    masks = {}
    for k in "ab":
        size = problem.costs.count(target.masks(k))[0]
        differences = [abs(problem.costs.count(a.masks(k))[0] - size) for a in architectures]
        masks[k] = getattr(architectures[int(np.argmin(differences))], k)
    return Architecture(**masks)


def evaluate(label, seed, runs, searched):
    """Return sizes and scores of one variant with one seed.

    Args:
        label: one of ``VARIANTS`` or "original".
        seed: seed of the CycleGAN and of its searches.
        runs: folder of the searches.
        searched: label -> architecture picked by this search.
    """
    torch.set_num_threads(1)
    options = dict(SETTINGS, weights=pretrain(seed, runs))
    problem = moonas.load_problem("cyclegan-pruning", **options)
    evaluator = problem.evaluator
    evaluator.begin(seed)
    evaluator.warm_up()
    settings, original = problem.settings, evaluator.original
    if label == UNIFORM:
        architecture = match_size(
            problem,
            lambda share: problem.space.uniform(share, np.random.default_rng(seed)),
            searched[CO_EVOLVED],
        )
    elif label == NORM:
        architecture = match_size(
            problem,
            lambda share: select_by_norm(original, problem.groups, share),
            searched[CO_EVOLVED],
        )
    elif label == "original":
        architecture = problem.space.uniform(1.0)
    else:
        architecture = searched[label]
    data = evaluator.load()
    quality = Quality(settings, problem.info, data, problem.device)
    pair = compress(original, architecture, problem.groups)
    tuned = evaluator.compress(architecture)
    columns = evaluator.score(problem.candidates([architecture]))
    images = {k: torch.cat([domain.train, domain.validation]) for k, domain in data.items()}
    scores = [quality.evaluate(pair.generators), quality.evaluate(tuned.generators)]
    training = Training(pair, images, problem.info.side, evaluator.recipe, seed, "final")
    for epoch in range(2 * EPOCHS):
        training.epoch(learning_rate_factor(epoch, EPOCHS, EPOCHS))
    scores.append(quality.evaluate(pair.generators))
    return {
        "size": [float(columns["size_a"][0]), float(columns["size_b"][0])],
        "loss": float(columns["loss"][0]),
        "filters": str(architecture),
        **dict(zip(STATES, scores, strict=True)),
    }


def summarize(rows):
    """Return size, loss, accuracies and FIDs of a variant, each as one value per seed."""
    table = {
        "size": [float(np.mean(row["size"])) for row in rows],
        "loss": [row["loss"] for row in rows],
    }
    for state in STATES:
        for score in ("accuracy", "fid"):
            values = [np.mean([row[state][f"{score}_{k}"] for k in "ab"]) for row in rows]
            table[f"{score} {state}"] = [float(v) for v in values]
    return table


def plot(table, path):
    """Plot accuracy over size, one point per seed, as in the search and after fine-tuning."""
    figure = Figure(figsize=(12, 4.8), layout="constrained")
    colors = ["#c8553d", "#22313f", "#6a994e", "#e8a598", "#8c2f1b", "#9db4c0", "#e09f3e"]
    for axes, state in zip(figure.subplots(1, 2), STATES[1:], strict=True):
        for color, label in zip(colors, VARIANTS, strict=True):
            row = table[label]
            axes.scatter(row["size"], row[f"accuracy {state}"], s=46, color=color, label=label)
        original = np.mean(table["original"]["accuracy as it is"])
        axes.axhline(original, color="#22313f", ls=":", lw=1, label="original CycleGAN")
        axes.set(
            xlabel="share of weights kept, mean of both generators",
            ylabel="accuracy (%), mean of both directions",
            title=f"Digits classified correctly, {state}",
            ylim=(0, 100),
        )
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    figure.savefig(path, dpi=110)


def main():
    """Run the missing searches, print a table, and write the results and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/cyclegan_pruning"), help="folder of the searches"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=HERE / "cyclegan_pruning",
        help="path of the results, without suffix",
    )
    args = parser.parse_args()
    seeds, pool = range(1, args.seeds + 1), Parallel(2)
    pool(delayed(pretrain)(seed, args.runs) for seed in seeds)
    keys = [(label, seed) for seed in seeds for label in SEARCHES]
    picked = pool(delayed(run_search)(label, seed, args.runs) for label, seed in keys)
    picked = dict(zip(keys, picked, strict=True))
    by_seed = {s: {label: picked[label, s] for label in SEARCHES} for s in seeds}
    keys = [(label, seed) for label in ("original", *VARIANTS) for seed in seeds]
    rows = pool(delayed(evaluate)(label, s, args.runs, by_seed[s]) for label, s in keys)
    rows = dict(zip(keys, rows, strict=True))
    by_label = {label: [rows[label, s] for s in seeds] for label in ("original", *VARIANTS)}
    table = {label: summarize(rows) for label, rows in by_label.items()}
    result = {
        "command": f"python benchmarks/cyclegan_pruning.py --seeds {args.seeds}",
        "torch": torch.__version__,
        "seeds": args.seeds,
        "table": table,
        "rows": by_label,
    }
    args.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    plot(table, args.out.with_suffix(".png"))
    for label, row in table.items():
        print(f"{label:<20}", *(f"{k} {np.mean(v):.2f}" for k, v in row.items()), sep="  ")


if __name__ == "__main__":
    main()
