"""Does co-evolution find better pairs of pruned generators than chance, at equal budget?

Question: with the same number of evaluated pairs, does the default co-evolution of
cyclegan-pruning find pairs with a lower fitness (eq. 8) than random masks, than samples of its own
first population, than pymoo's genetic algorithm with the same or with its own operators, and than
algorithm 1 of the paper? Do the pairs differ after the final fine-tuning?

Method: one CycleGAN per seed. Every method evaluates population x 2 x generations pairs, and its
pair with the lowest fitness is compared. (Algorithm 1 evaluates its final pair as well, and returns
the best pair of its last iteration. Separate evolution returns its final pair, the only one without
an uncompressed generator.) The fitness is that of the search: after a few fine-tuning steps, on
validation images. Losses (eqs. 5 and 6) on test images are measured after these steps and after the
final fine-tuning, together with all scores of the test set that the data allow.

Command: python benchmarks/pruning_networks.py
         python benchmarks/pruning_networks.py --data FOLDER --device cuda --jobs 4 --epochs 50 \\
             --decay-epochs 50 --final-epochs 20 --final-decay-epochs 20 \\
             --set image_size=64 margin=6 flip=true batch=8 --runs runs/pruning_folder
Device: see the JSON file.
Output: pruning_networks.json and pruning_networks.png, next to this file (or --out). Searches and
scores are stored in --runs; the same command resumes an interrupted run and repeats nothing that is
complete. The JSON file is written after each method, with the seeds that are complete.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from matplotlib.figure import Figure
from moonas.problems.cyclegan_pruning.masks import compress
from moonas.problems.cyclegan_pruning.operators import KeepOne
from moonas.problems.cyclegan_pruning.quality import Quality
from moonas.problems.cyclegan_pruning.settings import PretrainingSettings, PruningSettings
from moonas.problems.cyclegan_pruning.training import Training, learning_rate_factor
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.mutation.bitflip import BitflipMutation

import moonas
from moonas.operators import BitSampling, SameRow
from moonas.run.callbacks import RunCallback
from moonas.run.search import search
from moonas.settings import names_of, parse

HERE = Path(__file__).parent
DEFAULT = "co-evolution"
PRESET = PruningSettings.PRESETS["algorithm-1"]
NAMES = ("operators", "replacement", "update", "first_partner", "initial", "archive")
ALGORITHM_1 = {name: PRESET[name] for name in NAMES}
METHODS = {  # method -> settings that differ from the default, and the kind of algorithm
    DEFAULT: ({}, None),
    "random masks": (dict(initial="random"), "random"),
    "random masks, all sizes": (dict(random_share=1.0), "random"),
    "samples of the first population": ({}, "random"),
    "GA, operators()": ({}, "operators"),
    "GA, uniform and flips": (dict(initial="random"), "ga"),
    "random start": (dict(initial="random"), None),
    "algorithm 1": (ALGORITHM_1, None),
    "separate evolution": (dict(separate=True), None),
    "simultaneous": (dict(update="simultaneous"), None),
}


def check_runs(args):
    """Raise an error if the folder of the runs contains runs with other settings."""
    ignored = ("seeds", "methods", "device", "jobs", "searches_only", "runs", "out", "command")
    ignored += (
        "words",
        "final_epochs",
        "final_decay_epochs",
    )  # scores have the latter in their names
    settings = {name: value for name, value in vars(args).items() if name not in ignored}
    path = args.runs / "settings.json"
    if not path.exists():
        args.runs.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings) + "\n")
    elif json.loads(path.read_text()) != settings:
        raise SystemExit(
            f"{args.runs} contains runs with other settings: {path.read_text().strip()}. Choose "
            "another folder (--runs)."
        )


class Fitness(RunCallback):
    """Collects the fitness (eq. 8) and the size of all evaluated pairs, in order."""

    def __init__(self):
        self.fitness, self.size = [], []

    def on_scores(self, candidates, columns):
        self.fitness += columns["fitness"].tolist()
        self.size += columns["size"].tolist()


def pretrain(seed, args):
    """Train the CycleGAN of a seed if its file is missing; return the path of the file."""
    folder = args.runs / f"cyclegan-{seed}"
    path = folder / "cyclegan.pt"
    if not path.exists():
        options = dict(epochs=args.epochs, decay_epochs=args.decay_epochs)
        options |= settings_of(PretrainingSettings, args)
        stage = moonas.load_stage("cyclegan-pretraining", journal=folder, **options)
        stage.report(stage.run(seed), folder)
        stage.journal.close()
    return path


def settings_of(cls, args):
    """Return the options of a stage from the command line."""
    pairs = dict(pair.split("=", 1) for pair in args.set)
    options = {k: parse(cls, k, v) for k, v in pairs.items() if k in names_of(cls)}
    return options | dict(data=args.data, device=args.device, threads=1)


def make_problem(method, seed, args, **more):
    """Return the problem of a method and seed."""
    options = dict(
        population=args.population,
        generations=args.generations,
        gamma=args.gamma,
        tune_steps=args.tune_steps,
        objectives=("fitness",),
        workers=1,
        weights=pretrain(seed, args),
    )
    options |= settings_of(PruningSettings, args) | METHODS[method][0] | more
    return moonas.load_problem("cyclegan-pruning", **options)


def make_algorithm(kind, problem):
    """Return the algorithm of a method; it evaluates as many pairs as the co-evolution."""
    s = problem.settings
    n = 2 * s.population
    if kind == "random":
        return moonas.algorithm("random", problem, n)
    if kind == "operators":
        return GA(pop_size=n, **problem.operators())
    if kind == "ga":
        return GA(
            pop_size=n,
            sampling=BitSampling(s.density),
            crossover=UniformCrossover(prob=0.9),
            mutation=BitflipMutation(prob=1.0, prob_var=1 / problem.n_var),
            repair=KeepOne(),
            eliminate_duplicates=SameRow(),
        )
    return problem.algorithm()


def run_search(method, seed, args):
    """Run or resume a search; return its best pair, and the fitness of all pairs in order."""
    torch.set_num_threads(1)
    folder = args.runs / f"{method.replace(',', '').replace(' ', '-')}-{seed}"
    path = folder / "result.json"
    if path.exists():
        return json.loads(path.read_text())
    problem = make_problem(method, seed, args, journal=folder)
    problem.after_search = lambda row: []
    log = Fitness()
    problem.callbacks.append(log)
    algorithm = make_algorithm(METHODS[method][1], problem)
    generations = args.generations
    found = search(problem, algorithm, seed=seed, generations=generations, verbose=False)
    row = found.rows[found.picked]
    problem.journal.close()
    result = {
        "x": "".join("01"[int(bit)] for bit in row.x),
        "columns": {k: float(v) for k, v in row.columns.items()},
        "evaluations": len(log.fitness),
        "lowest": float(np.min(log.fitness)),
        "by evaluation": np.minimum.accumulate(log.fitness).round(4).tolist(),
        "spread of the size": float(np.std(2 * np.array(log.size[: 2 * args.population]))),
        "spread of the fitness": float(np.std(log.fitness[: 2 * args.population])),
    }
    path.write_text(json.dumps(result) + "\n")
    return result


def evaluate(method, seed, args):
    """Return the scores of a method's pair on the test set before and after final fine-tuning."""
    torch.set_num_threads(1)
    folder = args.runs / f"{method.replace(',', '').replace(' ', '-')}-{seed}"
    name = f"scores-{args.final_epochs}-{args.final_decay_epochs}.json"
    path = folder / name
    if path.exists():
        return json.loads(path.read_text())
    problem = make_problem(DEFAULT if method == "original" else method, seed, args)
    evaluator, s = problem.evaluator, problem.settings
    evaluator.begin(seed)
    evaluator.warm_up()
    if method == "original":
        folder.mkdir(parents=True, exist_ok=True)
        x = np.ones(problem.n_var, dtype=bool)
    else:
        x = np.array(list(run_search(method, seed, args)["x"])) == "1"
    architecture, data = problem.decode(x), evaluator.load()
    tuned = evaluator.compress(architecture)
    pair = compress(evaluator.require_original(), architecture, problem.groups)
    # from here on, losses are those of test images
    evaluator.validation = {k: domain.test.to(evaluator.device) for k, domain in data.items()}
    evaluator._set_original(evaluator.require_original())
    quality = Quality(s, problem.info, data, evaluator.device)

    def scores(gan):
        with torch.inference_mode():
            parts = {k: evaluator._loss_parts(k, gan.eval()) for k in "ab"}
        losses = {k: d + s.cycle_weight * c for k, (d, c) in parts.items()}
        columns = problem.columns_of(architecture, losses)
        cycle = float(np.mean([c for _, c in parts.values()]))
        return {
            "fitness": columns["fitness"],
            "loss": columns["loss"],
            "size": columns["size"],
            "cycle": cycle,
            **quality.evaluate(gan.generators),
        }

    result = {"after the search": scores(tuned)}
    images = {k: torch.cat([d.train, d.validation]).to(evaluator.device) for k, d in data.items()}
    training = Training(pair, images, problem.info.size, evaluator.recipe, seed, "final")
    for epoch in range(args.final_epochs + args.final_decay_epochs):
        training.epoch(learning_rate_factor(epoch, args.final_epochs, args.final_decay_epochs))
    result["after final fine-tuning"] = scores(pair)
    path.write_text(json.dumps(result) + "\n")
    return result


def plot(searches, path):
    """Plot the lowest fitness over the number of evaluations, one line per method."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for i, (method, results) in enumerate(searches.items()):
        curves = np.array([result["by evaluation"] for result in results if result])
        if method == "separate evolution" or not len(curves):
            continue  # its evaluations are no pairs of pruned generators
        evaluations = np.arange(1, curves.shape[1] + 1)
        axes.plot(evaluations, curves.mean(axis=0), color=f"C{i}", label=method, lw=1.8)
        low, high = curves.min(axis=0), curves.max(axis=0)
        axes.fill_between(evaluations, low, high, color=f"C{i}", alpha=0.12)
    axes.set(xlabel="evaluated pairs", ylabel="lowest fitness (eq. 8); band: all seeds")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=110)


def report(args, searches, scores):
    """Write the results so far, print a table, and plot the searches."""
    result = {
        "command": args.command,
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if args.device.startswith("cuda") else "cpu",
        "searches": searches,
        "scores": scores,
    }
    args.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    plot(searches, args.out.with_suffix(".png"))
    for method, results in searches.items():
        line = [f"{r['columns']['fitness']:.3f} ({r['columns']['size']:.2f})" for r in results]
        print(f"{method:<34}", *line, sep="  ", flush=True)
    for method, results in scores.items():
        for state in ("after the search", "after final fine-tuning"):
            names = results[0][state]
            means = (f"{k} {np.mean([r[state][k] for r in results]):.3f}" for k in names)
            print(f"{method:<34} {state}:", *means, sep="  ", flush=True)


def main():
    """Run the missing searches and scores, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="digits", help="digits, or a folder of two domains")
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS)[:9])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--jobs", type=int, default=1, help="number of processes")
    parser.add_argument("--population", type=int, default=16)
    parser.add_argument("--generations", type=int, default=8)
    parser.add_argument("--gamma", type=float, default=10.0)
    parser.add_argument("--tune-steps", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=10, help="pretraining, constant rate")
    parser.add_argument("--decay-epochs", type=int, default=10, help="pretraining, decaying rate")
    parser.add_argument("--final-epochs", type=int, default=5, help="final, constant rate")
    parser.add_argument("--final-decay-epochs", type=int, default=5, help="final, decaying rate")
    parser.add_argument("--searches-only", action="store_true", help="without final fine-tuning")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings")
    parser.add_argument("--runs", type=Path, default=Path("runs/pruning_networks"))
    parser.add_argument("--out", type=Path, default=HERE / "pruning_networks")
    args = parser.parse_args()
    words = {k: v for k, v in vars(args).items() if k not in ("runs", "out")}
    args.command = json.dumps(words)
    check_runs(args)
    seeds, pool = range(1, args.seeds + 1), Parallel(args.jobs)
    pool(delayed(pretrain)(seed, args) for seed in seeds)
    searches, scores = {}, {}
    for method in args.methods:
        results = pool(delayed(run_search)(method, seed, args) for seed in seeds)
        searches[method] = results
        report(args, searches, scores)
    if args.searches_only:
        return
    for method in ("original", *args.methods):
        scores[method] = pool(delayed(evaluate)(method, seed, args) for seed in seeds)
        report(args, searches, scores)


if __name__ == "__main__":
    main()
