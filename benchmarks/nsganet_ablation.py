"""Do offspring from a Bayesian network help, and from which start? (NSGANetV1, figures 8a, 26)

Question: with equal budgets of 40 x 30 architectures in the encoding of NSGANet, how does the
normalized hypervolume grow for random search; NSGA-II with its usual operators, rounded (SBX and
polynomial mutation); NSGA-II with the operators of NSGANet, without exploitation; NSGA-II with
these operators and exploitation by the Bayesian network from 1/3, 1/2, 2/3 or 3/4 of the budget on;
and NSGA-II with these operators, without exploitation, but with one mutated gene per child instead
of four? And do the errors in this experiment rank architectures as training from scratch does?

Method: the error is measured on the validation set of digits, with the weights of a single supernet
that is trained for 200 epochs and then frozen; the second objective is multiply-adds. All variants
of a seed start from the same population, and each row is evaluated once. Hypervolumes include all
evaluated architectures and are normalized by the rectangle up to 100 % error and the most expensive
network of the space. For the rank correlation, 60 random architectures with the channels and layers
of the supernet are trained from scratch five times each.

Command: python benchmarks/nsganet_ablation.py        (2 CPU cores, about 35 minutes)
Device: CPU, two processes with one thread each.
Output: nsganet_ablation.json and nsganet_ablation.png, next to this file. The supernet and all
errors are stored in --runs; an interrupted run resumes and computes no stored result again.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from matplotlib.figure import Figure
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.optimize import minimize
from scipy.stats import spearmanr, wilcoxon

import moonas
from moonas.operators import CategoricalSampling
from moonas.problem import Evaluator
from moonas.run.callbacks import RunCallback

HERE = Path(__file__).parent
SHAPE = dict(channels=8, increment=4, layers=3, device="cpu", workers=1)
SUPERNET = dict(architectures_per_step=4, learning_rate=0.05, batch=32)
POPULATION, GENERATIONS = 40, 30
STARTS = {"1/3": 1 / 3, "1/2": 1 / 2, "2/3": 2 / 3, "3/4": 3 / 4}  # of exploitation
RANDOM, VANILLA, NEVER = "random search", "NSGA-II, SBX and PM", "NSGANetV1, never"
AS_PUBLISHED, ONE_GENE = "NSGANetV1, from 2/3", "never, one gene a child"
NSGANET = {NEVER: dict(exploitation=None)}  # variant -> settings of the problem
NSGANET |= {f"NSGANetV1, from {name}": dict(exploitation=start) for name, start in STARTS.items()}
VARIANTS = (
    {RANDOM: {}, VANILLA: {}} | NSGANET | {ONE_GENE: dict(exploitation=None, mutation=1 / 40)}
)
COLORS = {
    RANDOM: "#9db4c0",
    VANILLA: "#588157",
    NEVER: "#22313f",
    AS_PUBLISHED: "#c8553d",
    ONE_GENE: "#e9a03b",
}


class CachedEvaluator(Evaluator):
    """Evaluator that caches the errors of another evaluator in a file.

    Args:
        inner: evaluator with frozen weights.
        path: path of the file.
    """

    def __init__(self, inner, path):
        self.inner, self.path = inner, path
        self.device = inner.device
        self.errors = json.loads(path.read_text()) if path.exists() else {}

    def begin(self, seed):
        """Do nothing, because scores do not depend on the run."""

    def score(self, candidates):
        """Return cached errors, or errors of the inner evaluator, and costs."""
        keys = [",".join(map(str, row)) for row in candidates.rows.tolist()]
        new = {k: i for i, k in enumerate(keys) if k not in self.errors}
        if new:
            scored = self.inner.score(candidates[list(new.values())])["error"].tolist()
            self.errors.update(zip(new, scored, strict=True))
        costs = self.inner.costs.count(candidates)
        return {"error": np.array([self.errors[k] for k in keys])} | costs

    def save(self):
        """Write the errors to the file."""
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.errors))
        part.replace(self.path)


def supernet_problem(epochs, **options):
    """Return the problem with a supernet that is trained for ``epochs`` and then frozen."""
    return moonas.load_problem(
        "nsganet",
        evaluator="supernet",
        weights="frozen",
        frozen_epochs=epochs,
        count_fixed=True,
        population=POPULATION,
        generations=GENERATIONS,
        **SHAPE,
        **SUPERNET,
        **options,
    )


class Progress(RunCallback):
    """Prints the progress of the current phase after every 20 steps."""

    def on_progress(self, phase, done, total, unit):
        if done % 20 == 0:
            print(f"{phase} {done}/{total} {unit}", flush=True)


def train_supernet(epochs, runs):
    """Train the supernet and write its state, unless the file exists; return the state."""
    path = runs / f"supernet-{epochs}.pt"
    if not path.exists():
        problem = supernet_problem(epochs)
        problem.callbacks.append(Progress())
        problem.evaluator.begin(0)
        problem.evaluator.warm_up()
        torch.save(problem.evaluator.state(), path)
    return torch.load(path, weights_only=True)


def trained_problem(epochs, runs, name, **options):
    """Return the problem with the trained supernet and a cache of errors."""
    problem = supernet_problem(epochs, **options)
    inner = problem.make_evaluator()
    inner.begin(0)
    inner.load_state(torch.load(runs / f"supernet-{epochs}.pt", weights_only=True))
    cached = CachedEvaluator(inner, runs / f"{name}-{epochs}.json")
    problem.make_evaluator = lambda: cached
    return problem


def algorithm(problem, variant):
    """Return the algorithm of a variant; it evaluates ``POPULATION`` rows per generation."""
    if variant == RANDOM:
        return moonas.algorithm("random", problem)
    if variant == VANILLA:
        rounded = dict(vtype=float, repair=RoundingRepair())
        operators = dict(crossover=SBX(prob=0.9, eta=20, **rounded), mutation=PM(eta=20, **rounded))
        return moonas.algorithm("nsga2", problem, **operators)
    return problem.algorithm()


def search(seed, epochs, runs):
    """Run all variants with one seed.

    Returns:
        A dict per variant, with the hypervolume after each generation and the final front.
    """
    torch.set_num_threads(1)
    results = []
    cache = None
    for variant, options in VARIANTS.items():
        problem = trained_problem(epochs, runs, f"seed-{seed}", **options)
        cache = problem.make_evaluator() if cache is None else cache
        problem.make_evaluator = lambda cache=cache: cache
        evaluated, curve, shares = [], [], []

        def record(algorithm, problem=problem, evaluated=evaluated, curve=curve, shares=shares):
            new = algorithm.off if algorithm.n_gen > 1 else algorithm.pop
            evaluated.append(new.get("F"))
            curve.append(problem.hypervolume(np.vstack(evaluated)))
            shares.append(float(getattr(algorithm.mating, "shares", [1, 0])[1]))

        result = minimize(
            problem, algorithm(problem, variant), ("n_gen", GENERATIONS), seed=seed, callback=record
        )
        front = [list(row.objectives.values()) for row in moonas.front(result)]
        results.append(
            {
                "variant": variant,
                "seed": seed,
                "evaluations": int(result.algorithm.evaluator.n_eval),
                "hypervolume": curve,
                "share_of_the_model": shares,
                "front": front,
            }
        )
        cache.save()
    return results


def train_from_scratch(x, seed, epochs):
    """Train one architecture with the channels of the supernet; return its error (%)."""
    problem = moonas.load_problem("nsganet", proxy_epochs=epochs, **SHAPE)
    problem.evaluator.begin(seed)
    return float(problem.evaluator.score(problem.session.candidates(x[None]))["error"][0])


def rank_correlations(args):
    """Correlate errors of architectures in the supernet and after training from scratch."""
    problem = trained_problem(args.epochs, args.runs, "random")
    rng = np.random.default_rng(0)
    X = CategoricalSampling().do(problem, args.architectures, random_state=rng).get("X")
    shared = problem.evaluate(X)[:, 0]
    path = args.runs / f"scratch-{args.scratch_epochs}-{args.architectures}.json"
    if not path.exists():
        jobs = [(x, seed) for seed in range(1, args.scratch_seeds + 1) for x in X]
        errors = Parallel(args.jobs, verbose=5)(
            delayed(train_from_scratch)(x, seed, args.scratch_epochs) for x, seed in jobs
        )
        path.write_text(json.dumps(np.reshape(errors, (-1, len(X))).tolist()))
    scratch = np.array(json.loads(path.read_text()))
    pairs = [spearmanr(a, b).statistic for i, a in enumerate(scratch) for b in scratch[:i]]
    return {
        "supernet": shared.tolist(),
        "scratch": scratch.tolist(),
        "scratch_epochs": args.scratch_epochs,
        "spearman_of_supernet_and_mean_of_scratch": float(
            spearmanr(shared, scratch.mean(axis=0)).statistic
        ),
        "spearman_between_two_seeds_of_scratch": float(np.mean(pairs)),
    }


def summarize(searches):
    """Return quartiles of final hypervolumes, and paired tests against no exploitation."""
    last = {
        v: np.array([s["hypervolume"][-1] for s in searches if s["variant"] == v]) for v in VARIANTS
    }
    table = {}
    for variant, values in last.items():
        row = dict(
            zip(("q25", "median", "q75"), np.quantile(values, [0.25, 0.5, 0.75]), strict=True)
        )
        difference = values - last[NEVER]
        if variant != NEVER:
            row["better_than_never"] = int((difference > 0).sum())
            row["median_difference_to_never"] = float(np.median(difference))
            row["p_wilcoxon"] = float(wilcoxon(difference).pvalue) if difference.any() else 1.0
        table[variant] = {k: v if isinstance(v, int) else float(v) for k, v in row.items()}
    return table


def plot(searches, ranks, path):
    """Plot figures 8a and 26 and the rank correlation."""
    figure = Figure(figsize=(14, 4.6), layout="constrained")
    curves, zoom, scatter = figure.subplots(1, 3)
    x = POPULATION * np.arange(1, GENERATIONS + 1)
    for variant, color in COLORS.items():
        values = np.array([s["hypervolume"] for s in searches if s["variant"] == variant])
        low, median, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
        curves.plot(x, median, color=color, label=variant)
        curves.fill_between(x, low, high, color=color, alpha=0.18, lw=0)
    curves.set(
        xlabel="architectures evaluated",
        ylabel="normalized hypervolume: median, quartiles",
        title="Figure 8a, small scale",
    )
    early = [s["hypervolume"][3] for s in searches if s["variant"] == RANDOM]
    curves.set_ylim(bottom=np.median(early))
    curves.legend(frameon=False, loc="center right", bbox_to_anchor=(1, 0.42), fontsize=9)
    for i, variant in enumerate(NSGANET):
        values = [s["hypervolume"][-1] for s in searches if s["variant"] == variant]
        zoom.boxplot([values], positions=[i], widths=0.5, medianprops={"color": "#c8553d"})
        zoom.scatter(np.full(len(values), i), values, s=12, color="#22313f", alpha=0.6)
    zoom.set_xticks(range(len(NSGANET)), ["never", *STARTS])
    zoom.set(xlabel="start of exploitation", ylabel="final hypervolume", title="Figure 26")
    mean = np.mean(ranks["scratch"], axis=0)
    scatter.scatter(ranks["supernet"], mean, s=18, color="#457b9d")
    rho = ranks["spearman_of_supernet_and_mean_of_scratch"]
    scatter.set(
        xlabel="error under the supernet (%)",
        ylabel="error from scratch (%), mean of seeds",
        title=f"Spearman {rho:.2f}",
    )
    for axis in (curves, zoom, scatter):
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def main():
    """Run the missing searches, print a table, and write the results and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=11, help="number of seeds")
    parser.add_argument("--epochs", type=int, default=200, help="epochs of the supernet")
    parser.add_argument(
        "--architectures",
        type=int,
        default=60,
        help="number of architectures that are trained from scratch",
    )
    parser.add_argument(
        "--scratch-epochs", type=int, default=5, help="epochs of training from scratch"
    )
    parser.add_argument("--scratch-seeds", type=int, default=5, help="trainings per architecture")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/nsganet_ablation"), help="folder of the searches"
    )
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    parser.add_argument(
        "--out",
        type=Path,
        default=HERE / "nsganet_ablation",
        help="path of the results, without suffix",
    )
    args = parser.parse_args()
    args.runs.mkdir(parents=True, exist_ok=True)
    train_supernet(args.epochs, args.runs)
    ranks = rank_correlations(args)
    seeds = range(1, args.seeds + 1)
    by_seed = Parallel(args.jobs, verbose=10)(
        delayed(search)(seed, args.epochs, args.runs) for seed in seeds
    )
    searches = [search for results in by_seed for search in results]
    budgets = {s["evaluations"] for s in searches}
    assert budgets == {POPULATION * GENERATIONS}, budgets
    table = summarize(searches)
    result = {
        "command": f"python benchmarks/nsganet_ablation.py --seeds {args.seeds} "
        f"--epochs {args.epochs} --scratch-epochs {args.scratch_epochs}",
        "torch": torch.__version__,
        "summary": table,
        "ranks": ranks,
        "searches": searches,
    }
    args.out.with_suffix(".json").write_text(json.dumps(result) + "\n")
    plot(searches, ranks, args.out.with_suffix(".png"))
    for variant, row in table.items():
        test = (
            ""
            if variant == NEVER
            else (
                f"  better than never in {row['better_than_never']} of {args.seeds}, median "
                f"difference {row['median_difference_to_never']:+.5f}, p {row['p_wilcoxon']:.3f}"
            )
        )
        print(f"{variant:<24} {row['q25']:.5f} {row['median']:.5f} {row['q75']:.5f}{test}")
    for name in (
        "spearman_of_supernet_and_mean_of_scratch",
        "spearman_between_two_seeds_of_scratch",
    ):
        print(f"{name.replace('_', ' ')}: {ranks[name]:.3f}")


if __name__ == "__main__":
    main()
