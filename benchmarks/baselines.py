r"""Do moonas's operators search tables as well as other operators, with equal budgets?

Question: genes are labels. With the same budget and population size, does NSGA-II with the
problem's operators reach as large a hypervolume as NSGA-II with integer SBX and polynomial mutation
(as in pymoo's documentation), pymoo's MixedVariableGA, Optuna's NSGAIISampler, and NSGA-II as in
DEAP's example? Random search, SPEA2, Pareto local search and NSGA-II with neighbors are included as
well. With moonas's operators, no run evaluates an architecture twice; the other baselines may do
so. How do they compare with samplers that fit a model, Optuna's TPE and Gaussian processes, with
few evaluations?

Method: every baseline uses the problem's numbers of choices and its population size, and otherwise
the defaults or the example in the documentation of the library: MixedVariableGA with rank and
crowding survival, NSGAIISampler with one categorical parameter per gene, DEAP with uniform
crossover (probability 0.9 per pair, 0.5 per gene) and mutUniformInt (on average one gene per
child). An evaluation is a table look-up; repeated evaluations count again, and evaluations of the
last generation beyond the budget do not count. Each run has one seed, for pymoo, Optuna's sampler
or random.seed (DEAP uses Python's global generator); run i of every baseline has the same seed. The
hypervolume includes all architectures that a run evaluates and is a share of that of the true
front. "log10 gap" is the logarithm of the missing share, and "to
99 %" the number of evaluations until a run reaches 99 % of the true hypervolume; both are medians.
A12 is the probability that a run of NSGA-II with moonas's operators is better than a run of the
baseline; p is the p-value of a two-sided Wilcoxon test over paired seeds, with Holm's correction
for all baselines of a problem.

Command: python benchmarks/baselines.py --nasbench201 FILE        (2 CPU cores, about 4 minutes)
         python benchmarks/baselines.py --evaluations 200 --seeds 11 --out baselines-200.json \
             --baselines "nsga2 (moonas)" "pareto-local-search (moonas)" "nsga2-local (moonas)" \
             "Optuna TPESampler" "Optuna GPSampler"
Device: CPU. Optuna and DEAP (pip install optuna deap) and FILE, a table of NAS-Bench-201, are
optional; without them, the baselines or the problem that require them are skipped.
Output: baselines.json, next to this file, and a Markdown table per problem.
"""

import argparse
import json
import math
import platform
import random
import warnings
from bisect import bisect_left
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from pymoo.algorithms.moo.nsga2 import NSGA2, RankAndCrowding
from pymoo.core.mixed import MixedVariableGA
from pymoo.core.problem import Problem
from pymoo.core.variable import Choice
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize

import moonas
from moonas.comparison import statistics
from moonas.run.callbacks import RunCallback
from moonas.views.tables import Table, to_markdown

HERE = Path(__file__).parent
PROBLEMS = ("digits-table", "nasbench-macro", "nasbench201")
REFERENCE = "nsga2 (moonas)"
TARGET_SHARE = 0.99  # of the true hypervolume
TOLERANCE = 1e-12  # hypervolumes that differ by less count as equal
SIGNIFICANCE_LEVEL = 0.05


class Recorder(RunCallback):
    """Records the objectives of a run until its budget is exhausted.

    Args:
        problem: a :class:`~moonas.tabular.TabularProblem` that no other run uses.
        budget: number of evaluations.
    """

    def __init__(self, problem, budget):
        self.problem, self.budget = problem, budget
        self.n_evaluated, self._parts = 0, []
        self.population_size = problem.settings.population
        self.n_choices = problem.n_choices.tolist()
        problem.callbacks.append(self)  # records the evaluations of pymoo algorithms

    @property
    def remaining(self):
        """Number of evaluations that remain in the budget."""
        return self.budget - self.n_evaluated

    def evaluate(self, rows):
        """Evaluate rows and record them.

        Args:
            rows: (n, n_var) ints.

        Returns:
            (n, n_obj) objectives.

        Raises:
            ValueError: a row is invalid.
        """
        F = self.problem.evaluate(np.array(rows))  # calls no callback outside a pymoo run
        self._record(F)
        return F

    def objectives(self):
        """Return the objectives of all evaluations within the budget, (budget, n_obj), in order.

        Raises:
            RuntimeError: the run ended before its budget was exhausted.
        """
        if self.remaining:
            raise RuntimeError(
                f"The run ended after {self.n_evaluated} of {self.budget} evaluations."
            )
        return np.concatenate(self._parts)

    def on_scores(self, candidates, columns):
        self._record(np.column_stack([columns[name] for name in self.problem.objectives]))

    def _record(self, F):
        counted = np.array(F[: self.remaining], float)
        self._parts.append(counted)
        self.n_evaluated += len(counted)


def with_operators_of_moonas(name):
    """Return a function that runs an algorithm by name with the operators of the problem."""

    def run(recorder, seed):
        problem = recorder.problem
        algorithm = moonas.algorithm(name, problem)
        minimize(problem, algorithm, ("n_eval", recorder.budget), seed=seed)

    return run


def integer_nsga2(recorder, seed):
    """Run NSGA-II with the operators for integers in pymoo's documentation."""
    rounded = dict(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair())
    algorithm = NSGA2(
        pop_size=recorder.population_size,
        sampling=IntegerRandomSampling(),
        crossover=SBX(**rounded),
        mutation=PM(**rounded),
    )
    minimize(recorder.problem, algorithm, ("n_eval", recorder.budget), seed=seed)


class ChoiceProblem(Problem):
    """A tabular problem with pymoo's mixed variables: a row is a dict with one choice per gene.

    Args:
        recorder: recorder that evaluates the rows.
    """

    def __init__(self, recorder):
        self.recorder = recorder
        genes = enumerate(recorder.n_choices)
        choices = {f"gene {j}": Choice(options=list(range(n))) for j, n in genes}
        super().__init__(vars=choices, n_obj=recorder.problem.n_obj)

    def _evaluate(self, X, out, *args, **kwargs):
        out["F"] = self.recorder.evaluate([[row[name] for name in self.vars] for row in X])


def mixed_variable_ga(recorder, seed):
    """Run pymoo's genetic algorithm for mixed variables; all variables are choices."""
    algorithm = MixedVariableGA(pop_size=recorder.population_size, survival=RankAndCrowding())
    minimize(ChoiceProblem(recorder), algorithm, ("n_eval", recorder.budget), seed=seed)


def optuna_nsga2(recorder, seed):
    """Run Optuna's NSGA-II."""
    import optuna

    size = recorder.population_size
    _optimize(recorder, optuna.samplers.NSGAIISampler(population_size=size, seed=seed))


def optuna_tpe(recorder, seed):
    """Run Optuna's tree-structured Parzen estimators, which model all genes together."""
    import optuna

    _optimize(recorder, optuna.samplers.TPESampler(multivariate=True, seed=seed))


def optuna_gp(recorder, seed):
    """Run Optuna's Gaussian processes, which maximize the expected hypervolume improvement."""
    import optuna

    _optimize(recorder, optuna.samplers.GPSampler(seed=seed))


def _optimize(recorder, sampler):
    """Run a sampler of Optuna with one categorical parameter per gene."""
    import optuna

    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)

    def objective(trial):
        genes = enumerate(recorder.n_choices)
        row = [trial.suggest_categorical(f"gene {j}", list(range(n))) for j, n in genes]
        return recorder.evaluate([row])[0].tolist()

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    directions = ["minimize"] * recorder.problem.n_obj
    study = optuna.create_study(directions=directions, sampler=sampler)
    study.optimize(objective, n_trials=recorder.budget)


def deap_nsga2(recorder, seed):
    """Run NSGA-II as in DEAP's example, with DEAP's operators for integers."""
    from deap import base, tools

    class Fitness(base.Fitness):
        weights = (-1.0,) * recorder.problem.n_obj

    class Individual(list):
        def __init__(self, genes):
            super().__init__(genes)
            self.fitness = Fitness()

    def evaluate(individuals):
        for individual, f in zip(individuals, recorder.evaluate(individuals), strict=True):
            individual.fitness.values = tuple(f)
        return individuals

    random.seed(seed)  # DEAP uses Python's global generator
    size, highest = recorder.population_size, [n - 1 for n in recorder.n_choices]
    initial = [Individual(random.randint(0, high) for high in highest) for _ in range(size)]
    population = tools.selNSGA2(evaluate(initial), size)
    while recorder.remaining:
        children = [Individual(parent) for parent in _tournament(tools, population)]
        for first, second in zip(children[::2], children[1::2], strict=False):
            if random.random() <= 0.9:
                tools.cxUniform(first, second, indpb=0.5)
        for child in children:
            tools.mutUniformInt(child, low=0, up=highest, indpb=1 / len(child))
        population = tools.selNSGA2(population + evaluate(children), size)


def _tournament(tools, population):
    """Select one parent per individual; a single call in DEAP selects only multiples of four."""
    size = len(population)
    remainder = size % 4
    parents = tools.selTournamentDCD(population, size - remainder)
    return parents + tools.selTournamentDCD(population, remainder)[:remainder]


MOONAS_BASELINES = {
    REFERENCE: with_operators_of_moonas("nsga2"),
    "random (moonas)": with_operators_of_moonas("random"),
    "spea2 (moonas)": with_operators_of_moonas("spea2"),
    "pareto-local-search (moonas)": with_operators_of_moonas("pareto-local-search"),
    "nsga2-local (moonas)": with_operators_of_moonas("nsga2-local"),
}
OTHER_BASELINES = {
    "nsga2, integer SBX and PM": integer_nsga2,
    "MixedVariableGA": mixed_variable_ga,
    "Optuna NSGAIISampler": optuna_nsga2,
    "Optuna TPESampler": optuna_tpe,
    "Optuna GPSampler": optuna_gp,
    "DEAP NSGA-II": deap_nsga2,
}
BASELINES = MOONAS_BASELINES | OTHER_BASELINES
SLOW_BASELINES = ("Optuna TPESampler", "Optuna GPSampler")  # seconds to minutes per run
OPTIONAL_PACKAGES = {  # by baseline
    **{name: "optuna" for name in OTHER_BASELINES if name.startswith("Optuna")},
    "DEAP NSGA-II": "deap",
}


def run_baseline(name, options, baseline, seed, evaluations):
    """Run a baseline once; return its results, or its error message under the key "failed"."""
    run = {"problem": name, "baseline": baseline, "seed": seed}
    try:
        recorder = Recorder(moonas.load_problem(name, **options), evaluations)
        BASELINES[baseline](recorder, seed)
        return run | results_of(recorder)
    except Exception as error:  # a failing baseline must not stop the other baselines
        return run | {"failed": f"{type(error).__name__}: {error}"}


def results_of(recorder):
    """Return hypervolumes, and the number of evaluations until 99 % of the true hypervolume."""
    F = recorder.objectives()

    def hypervolume_after(n):
        return recorder.problem.hypervolume(F[:n])

    counts = range(1, len(F) + 1)
    n_to_target = 1 + bisect_left(counts, TARGET_SHARE, key=hypervolume_after)
    return {
        "hypervolume": hypervolume_after(len(F)),
        "first_generation": hypervolume_after(recorder.population_size),
        "evaluations_to_99": n_to_target if n_to_target <= len(F) else math.inf,
    }


def available_problems(args):
    """Return the options of each available problem, by name; print the skipped problems."""
    options = {name: {} for name in args.problems}
    if "nasbench201" in options:
        options["nasbench201"] = {"table": args.nasbench201}
        if args.nasbench201 is None:
            print("Skipped nasbench201 because no table is given (--nasbench201 FILE).")
            del options["nasbench201"]
    return options


def available_baselines(chosen):
    """Return the labels of the chosen baselines that are available; print the skipped ones."""
    missing = {
        label: package
        for label, package in OPTIONAL_PACKAGES.items()
        if label in chosen and find_spec(package) is None
    }
    for label, package in missing.items():
        print(f"Skipped {label} because {package} is not installed (pip install {package}).")
    return [label for label in BASELINES if label in chosen and label not in missing]


def describe(name, options, evaluations):
    """Return the properties that all runs on a problem share."""
    problem = moonas.load_problem(name, **options)
    settings = problem.settings
    return {
        "objectives": list(problem.objectives),
        "inputs": problem.inputs,
        "space": len(problem.table),
        "population": settings.population,
        "evaluations": evaluations or settings.population * settings.generations,
    }


def run_all(problems, descriptions, baselines, args):
    """Run all baselines with all seeds, and print a line per run; return results by seed."""
    tasks = [
        (
            name,
            options,
            label,
            seed,
            descriptions[name]["evaluations"],
        )
        for seed in range(1, args.seeds + 1)
        for name, options in problems.items()
        for label in baselines
    ]
    runs = []
    pool = Parallel(args.jobs, return_as="generator_unordered")
    for run in pool(delayed(run_baseline)(*task) for task in tasks):
        runs.append(run)
        outcome = run["failed"] if "failed" in run else f"hypervolume {run['hypervolume']:.5f}"
        name = f"{run['problem']}, {run['baseline']}, seed {run['seed']}"
        print(f"{len(runs)} of {len(tasks)}: {name}: {outcome}", flush=True)
    return sorted(runs, key=lambda run: run["seed"])


def summarize(runs):
    """Summarize the runs of a baseline on a problem, or their failures if any run failed."""
    failed = [run["failed"] for run in runs if "failed" in run]
    if failed:
        return {"failed": len(failed), "reason": failed[0]}
    values = np.array([run["hypervolume"] for run in runs])
    evaluations = np.array([run["evaluations_to_99"] for run in runs], float)
    q1, median, q3 = np.percentile(values, [25, 50, 75]).tolist()
    return {
        "median": median,
        "q1": q1,
        "q3": q3,
        "log10_gap": _finite(np.median([_log_gap(value) for value in values])),
        "evaluations_to_99": _finite(np.median(evaluations)),
        "reached_99": int(np.isfinite(evaluations).sum()),
        "first_generation": float(np.median([run["first_generation"] for run in runs])),
        "hypervolumes": values.tolist(),
    }


def _log_gap(share):
    """Return log10 of the share of the true hypervolume that is missing; -inf for none."""
    gap = 1 - share
    return math.log10(gap) if gap > TOLERANCE else -math.inf


def _finite(value):
    """Return a number as a float; None, which JSON can represent, for an infinite number."""
    return float(value) if math.isfinite(value) else None


def add_tests(rows):
    """Add A12 and the corrected p-value, against moonas's NSGA-II, to each baseline."""
    succeeded = {label: row["hypervolumes"] for label, row in rows.items() if "median" in row}
    if REFERENCE not in succeeded:
        return
    digits = round(-math.log10(TOLERANCE))
    values = {label: np.round(runs, digits) for label, runs in succeeded.items()}
    reference = values.pop(REFERENCE)
    p = statistics.holm([statistics.wilcoxon(reference, other) for other in values.values()])
    for (label, other), corrected in zip(values.items(), p.tolist(), strict=True):
        rows[label] |= {"a12": statistics.a12(reference, other), "p_holm": corrected}


def markdown_table(rows, seeds):
    """Return a Markdown table sorted by median hypervolume, with failed baselines at the end."""
    titles = ["baseline", "hypervolume", "quartiles", "log10 gap", "to 99 %", "reached"]
    order = sorted(rows.items(), key=lambda item: -item[1].get("median", -1))
    lines = [[label, *_cells(row, seeds)] for label, row in order]
    return to_markdown(Table([*titles, "A12 of ours", "p"], lines))


def _cells(row, seeds):
    if "failed" in row:
        return [f"failed in {row['failed']} of {seeds}", *["-"] * 6]
    gap, evaluations = row["log10_gap"], row["evaluations_to_99"]
    return [
        f"{row['median']:.5f}",
        f"{row['q1']:.5f} to {row['q3']:.5f}",
        "none" if gap is None else f"{gap:.2f}",
        "never" if evaluations is None else f"{evaluations:.0f}",
        f"{row['reached_99']} of {seeds}",
        f"{row['a12']:.2f}" if "a12" in row else "-",
        f"{row['p_holm']:.2g}" if "p_holm" in row else "-",
    ]


def verdict(name, rows):
    """Return a sentence that compares moonas's NSGA-II with the best other library."""
    succeeded = {label: row for label, row in rows.items() if "median" in row}
    others = [label for label in OTHER_BASELINES if label in succeeded]
    if REFERENCE not in succeeded or not others:
        return f"{name}: nothing to compare."
    best = max(others, key=lambda label: succeeded[label]["median"])
    ours, theirs = succeeded[REFERENCE]["median"], succeeded[best]["median"]
    lead = ours - theirs
    if abs(lead) <= TOLERANCE:
        comparison = f"equals the best other baseline, {best}: both have"
    elif lead > 0:
        comparison = f"exceeds the best other baseline, {best}, by {lead:.2g}:"
    else:
        comparison = f"is {-lead:.2g} below the best other baseline, {best}:"
    tests = f"A12 {succeeded[best]['a12']:.2f}, p {succeeded[best]['p_holm']:.2g}"
    medians = f"{ours:.5f}" if abs(lead) <= TOLERANCE else f"{ours:.5f} against {theirs:.5f}"
    return f"{name}: {REFERENCE} {comparison} {medians} ({tests})."


def report(name, description, runs, baselines, seeds):
    """Print the results of a problem and return them."""
    by_label = {label: [run for run in runs if run["baseline"] == label] for label in baselines}
    rows = {label: summarize(group) for label, group in by_label.items()}
    add_tests(rows)
    print(f"\n## {name}\n\n{description['evaluations']} evaluations per run, population ", end="")
    print(f"{description['population']}, {seeds} seeds.\n")
    print(markdown_table(rows, seeds))
    for label, row in rows.items():
        if "failed" in row:
            print(f"{label} failed in {row['failed']} of {seeds} runs: {row['reason']}")
    if statistics.smallest_p(seeds, max(1, len(rows) - 1)) > SIGNIFICANCE_LEVEL:
        print(f"{seeds} seeds are too few for a test: p cannot be below {SIGNIFICANCE_LEVEL}.")
    sentence = verdict(name, rows)
    print(sentence)
    return description | {"verdict": sentence, "baselines": rows}


def main():
    """Run all baselines, print a table per problem, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--problems", nargs="+", choices=PROBLEMS, default=PROBLEMS, help="problems to search"
    )
    parser.add_argument("--nasbench201", metavar="FILE", help="table of NAS-Bench-201")
    parser.add_argument("--seeds", type=int, default=31, help="number of seeds")
    parser.add_argument(
        "--evaluations",
        type=int,
        help="evaluations per run (default: the budget in the settings of the problem)",
    )
    parser.add_argument(
        "--baselines",
        nargs="+",
        choices=BASELINES,
        default=[label for label in BASELINES if label not in SLOW_BASELINES],
        help="baselines to run (default: all but those whose models take long)",
    )
    parser.add_argument("--jobs", type=int, default=-1, help="number of processes")
    parser.add_argument(
        "--out", type=Path, default=HERE / "baselines.json", help="path of the results"
    )
    args = parser.parse_args()
    problems, baselines = available_problems(args), available_baselines(args.baselines)
    if not problems:
        raise SystemExit("None of the problems can run.")
    descriptions = {name: describe(name, opts, args.evaluations) for name, opts in problems.items()}
    runs = run_all(problems, descriptions, baselines, args)
    results = {}
    for name, description in descriptions.items():
        problem_runs = [run for run in runs if run["problem"] == name]
        results[name] = report(name, description, problem_runs, baselines, args.seeds)
    packages = [
        "moonas",
        "pymoo",
        "numpy",
        "scipy",
        *(p for p in OPTIONAL_PACKAGES.values() if find_spec(p)),
    ]
    result = {
        "command": _command(args, problems),
        "date": date.today().isoformat(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
        "seeds": args.seeds,
        "skipped": [label for label in BASELINES if label not in baselines],
        "problems": results,
    }
    args.out.write_text(json.dumps(result, indent=1) + "\n")


def _command(args, problems):
    """Return the command of these runs, with FILE instead of the path of the table."""
    words = ["python benchmarks/baselines.py", "--problems", *problems]
    words += ["--nasbench201 FILE"] if "nasbench201" in problems else []
    words += [f"--seeds {args.seeds}"]
    words += [f"--evaluations {args.evaluations}"] if args.evaluations else []
    return " ".join(words)


if __name__ == "__main__":
    main()
