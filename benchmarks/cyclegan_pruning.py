"""Are searched filters better than filters that are selected without a search, at equal size?

Question: two generators of a CycleGAN are compressed. How good are their translations if the
filters are selected by co-evolution, by separate evolution (figure 3b) or as the best of as many
random pairs; and, at the size that the co-evolution finds, without a search: uniformly narrower
networks, filters at random, the best of as many random filters as the search evaluates, the largest
L1 norms, the most important filters by a Taylor expansion, and ThiNet (as in tables 2 and 3)?

Method: one CycleGAN per seed. The searches are those of pruning_networks.py, with the same number
of evaluated pairs. The other methods keep the same share of the filters of every mask, such that
each generator is closest in size to that of the co-evolution; "jointly" compares the filters of all
masks with each other instead; "per weight" divides the importance of a filter by the weights that
it adds, as in the initial population of the co-evolution; "sizes of the search" keeps as many
filters of every mask as the co-evolution, so that only the choice within the masks differs. Taylor
and ThiNet use training images. With "rescaled", ThiNet's least-squares factors are in the weights.
Every pair is scored on the test set three times: after pruning; after the fine-tuning steps that
precede an evaluation in the search; and after the final fine-tuning on the training and validation
sets. Scores are means over both directions.

Command: python benchmarks/cyclegan_pruning.py
         python benchmarks/cyclegan_pruning.py --data FOLDER --device cuda --jobs 4 --epochs 50 \\
             --decay-epochs 50 --final-epochs 20 --final-decay-epochs 20 --tune-steps 30 \\
             --runs runs/pruning_folder --out benchmarks/cyclegan_pruning_folder
Device: see the JSON file.
Output: cyclegan_pruning.json and cyclegan_pruning.png, next to this file (or --out). Searches,
selected filters and scores are stored in --runs, which may be that of pruning_networks.py with the
same settings; the same command resumes an interrupted run and repeats nothing that is complete.
"""

import argparse
import copy
import json
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from matplotlib.figure import Figure
from moonas.problems.cyclegan_pruning import baselines
from moonas.problems.cyclegan_pruning.importance import filter_importance
from moonas.problems.cyclegan_pruning.masks import compress, filter_norms
from moonas.problems.cyclegan_pruning.quality import Quality
from moonas.problems.cyclegan_pruning.training import Training, learning_rate_factor
from pruning_networks import DEFAULT, check_runs, make_problem, pretrain, run_search

from moonas.data.form import center_crop

HERE = Path(__file__).parent
N_IMAGES = 64  # training images per domain for Taylor importance and ThiNet
SEARCHES = (DEFAULT, "random masks", "separate evolution")
SELECTIONS = (
    "uniform width",
    "random",
    "best of random",
    "L1 norm",
    "Taylor",
    "Taylor, jointly",
    "Taylor per weight, jointly",
    "ThiNet",
    "ThiNet, rescaled",
    "random, sizes of the search",
    "Taylor, sizes of the search",
    "ThiNet, sizes of the search",
)
METHODS = (*SEARCHES, *SELECTIONS)
STATES = ("pruned", "as in the search", "after final fine-tuning")
# score -> title, and whether larger values are better
TITLES = {
    "accuracy": ("digits recognized (%)", True),
    "recognized": ("recognized as the target domain (%)", True),
    "kid": ("KID", False),
}


class Selection:
    """Selects filters for one seed; values that several methods need are computed once.

    Args:
        seed: seed of the CycleGAN and of its searches.
        args: arguments of the command line.
    """

    def __init__(self, seed, args):
        torch.set_num_threads(1)
        self.seed, self.args = seed, args
        self.problem = make_problem(DEFAULT, seed, args)
        self.evaluator = self.problem.evaluator
        self.evaluator.begin(seed)
        self.evaluator.warm_up()
        self.gan = self.evaluator.require_original()
        self.groups, self.costs = self.problem.groups, self.problem.costs
        images, size = self.evaluator.train_images, self.problem.info.size
        self.images = {k: center_crop(x[:N_IMAGES], size) for k, x in images.items()}

    def searched(self, method):
        """Return the architecture that a search picks."""
        x = np.array(list(run_search(method, self.seed, self.args)["x"])) == "1"
        return self.problem.decode(x)

    def values(self, method):
        """Return the value of each filter, see :mod:`.baselines`."""
        kind = method.split(",")[0]
        if kind == "uniform width":
            return baselines.first_filters(self.groups)
        if kind == "random":
            return baselines.random_filters(self.groups, np.random.default_rng(self.seed))
        if kind == "L1 norm":
            return filter_norms(self.gan, self.groups)
        if kind.startswith("Taylor"):
            s = self.problem.settings
            options = dict(loss=s.loss, norm=s.norm, cycle_weight=s.cycle_weight)
            importance = filter_importance(
                self.gan, self.images, self.groups, **options, batch=s.score_batch
            )
            if kind == "Taylor":
                return importance
            weights = [self.problem.weights_per_filter[p] for p in self.problem.space.slices]
            return {
                k: [value / n for value, n in zip(values, weights, strict=False)]
                for k, values in importance.items()
            }
        return self.thinet().values

    def thinet(self):
        """Return ThiNet's selection."""
        batch = self.problem.settings.score_batch
        return baselines.thinet(self.gan, self.images, self.groups, batch=batch, seed=self.seed)

    def architecture(self, method):
        """Return the architecture that a method selects."""
        if method in SEARCHES:
            return self.searched(method)
        if method == "original":
            return self.problem.space.uniform(1.0)
        target = self.searched(DEFAULT)
        if method == "best of random":
            return self.best_of_random(target)
        if method.endswith("sizes of the search"):
            return baselines.keep_like(self.values(method), target)
        weights = baselines.weights_of(self.costs, target)
        jointly = method.endswith("jointly")
        return baselines.keep_of_size(self.costs, self.values(method), weights, jointly=jointly)

    def best_of_random(self, target):
        """Return the fittest of as many random pairs of the target's size as a search evaluates."""
        path = folder_of("best of random", self.seed, self.args) / "fitness.json"
        fitness = json.loads(path.read_text()) if path.exists() else []
        weights = baselines.weights_of(self.costs, target)

        def pair(i):
            values = baselines.random_filters(self.groups, np.random.default_rng([self.seed, i]))
            return baselines.keep_of_size(self.costs, values, weights)

        n = 2 * self.args.population * self.args.generations
        for i in range(len(fitness), n):
            candidate = self.problem.candidates([pair(i)])
            fitness.append(float(self.evaluator.score(candidate)["fitness"][0]))
            path.write_text(json.dumps(fitness))
        return pair(int(np.nanargmin(fitness)))


def folder_of(method, seed, args):
    """Return the folder of a method's results; it is created if it does not exist."""
    name = method.replace(",", "").replace(" ", "-")
    folder = args.runs / f"selected-{name}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def evaluate(method, seed, args):
    """Return the sizes, the fitness and the scores of a method's pair in all states."""
    epochs, decay_epochs = args.final_epochs, args.final_decay_epochs
    path = folder_of(method, seed, args) / f"scores-{epochs}-{decay_epochs}.json"
    if path.exists():
        return json.loads(path.read_text())
    selection = Selection(seed, args)
    problem, evaluator = selection.problem, selection.evaluator
    architecture, original = selection.architecture(method), selection.gan
    if method == "ThiNet, rescaled":
        original = selection.thinet().rescaled(original, architecture, problem.groups)
    data, size = evaluator.load(), problem.info.size
    quality = Quality(problem.settings, problem.info, data, evaluator.device)
    pair = compress(original, architecture, problem.groups)
    result = {"filters": str(architecture), "pruned": quality.evaluate(pair.generators)}
    tuned = copy.deepcopy(pair)
    recipe = evaluator.tuning_recipe
    training = Training(tuned, evaluator.tuning_images, size, recipe, seed, "fine-tuning")
    training.run(problem.settings.tune_steps)
    result["as in the search"] = quality.evaluate(tuned.generators)
    columns = evaluator.score(problem.candidates([architecture]))  # without rescaled weights
    result |= {name: float(columns[name][0]) for name in ("size_a", "size_b", "loss", "fitness")}
    images = {k: torch.cat([d.train, d.validation]).to(evaluator.device) for k, d in data.items()}
    training = Training(pair, images, size, evaluator.recipe, seed, "final")
    for epoch in range(epochs + decay_epochs):
        training.epoch(learning_rate_factor(epoch, epochs, decay_epochs))
    result["after final fine-tuning"] = quality.evaluate(pair.generators)
    path.write_text(json.dumps(result) + "\n")
    return result


def summarize(rows):
    """Return sizes, fitness and scores of a method, means over directions, one value per seed."""
    table = {
        "size": [(row["size_a"] + row["size_b"]) / 2 for row in rows],
        "fitness": [row["fitness"] for row in rows],
    }
    for state in STATES:
        for score in dict.fromkeys(key[:-2] for row in rows for key in row[state]):
            values = [[row[state].get(f"{score}_{k}", np.nan) for k in "ab"] for row in rows]
            table[f"{score}, {state}"] = np.mean(values, axis=1).tolist()
    return table


def plot(table, path):
    """Plot the scores of each method, one point per seed."""
    known = next(iter(table.values()))
    scores = [score for score in TITLES if f"{score}, pruned" in known]
    methods = [method for method in table if method != "original"]
    figure = Figure(figsize=(5.2 * len(scores), 0.3 * len(methods) * 2 + 1.6), layout="constrained")
    grid = figure.subplots(2, len(scores), sharey=True, squeeze=False)
    for row, state in zip(grid, STATES[1:], strict=True):
        for axes, score in zip(row, scores, strict=True):
            title, larger = TITLES[score]
            for i, method in enumerate(methods):
                values = table[method][f"{score}, {state}"]
                color = "#c8553d" if method in SEARCHES else "#22313f"
                axes.scatter(values, [-i] * len(values), s=16, color=color, alpha=0.5, lw=0)
                axes.scatter(np.mean(values), -i, s=60, marker="|", color=color)
            original = np.mean(table["original"][f"{score}, {state}"])
            axes.axvline(original, color="#22313f", ls=":", lw=1, label="without pruning")
            axes.set_yticks([-i for i in range(len(methods))], methods, fontsize=8)
            axes.set_title(f"{state}: {title}, {'more' if larger else 'less'} is better", size=9)
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
    grid[0, 0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def report(args, rows):
    """Write the results so far, print a table, and plot them."""
    table = {method: summarize(results) for method, results in rows.items()}
    result = {
        "command": json.dumps(args.words),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if args.device.startswith("cuda") else "cpu",
        "table": table,
        "rows": rows,
    }
    args.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    if len(rows) > 1:
        plot(table, args.out.with_suffix(".png"))
    method = list(rows)[-1]
    means = (f"{name} {np.mean(values):.3g}" for name, values in table[method].items())
    print(f"{method:<28}", *means, sep="  ", flush=True)


def main():
    """Run the missing searches and scores, and write the results after each method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", default="digits", help="digits, or a folder of two domains")
    add("--seeds", type=int, default=5, help="number of seeds")
    add("--methods", nargs="+", choices=METHODS, default=METHODS)
    add("--device", default="cpu")
    add("--jobs", type=int, default=1, help="number of processes")
    add("--population", type=int, default=16)
    add("--generations", type=int, default=8)
    add("--gamma", type=float, default=10.0)
    add("--tune-steps", type=int, default=10)
    add("--epochs", type=int, default=10, help="pretraining, constant rate")
    add("--decay-epochs", type=int, default=10, help="pretraining, decaying rate")
    add("--final-epochs", type=int, default=5, help="final fine-tuning, constant rate")
    add("--final-decay-epochs", type=int, default=5, help="final fine-tuning, decaying rate")
    add("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings")
    add("--runs", type=Path, default=Path("runs/pruning_networks"))
    add("--out", type=Path, default=HERE / "cyclegan_pruning", help="path without suffix")
    args = parser.parse_args()
    args.words = {k: v for k, v in vars(args).items() if k not in ("runs", "out", "methods")}
    check_runs(args)
    seeds, pool, rows = range(1, args.seeds + 1), Parallel(args.jobs), {}
    pool(delayed(pretrain)(seed, args) for seed in seeds)
    needed = [m for m in SEARCHES if m in args.methods or m == DEFAULT]
    pool(delayed(run_search)(method, seed, args) for method in needed for seed in seeds)
    for method in ("original", *args.methods):
        rows[method] = pool(delayed(evaluate)(method, seed, args) for seed in seeds)
        report(args, rows)


if __name__ == "__main__":
    main()
