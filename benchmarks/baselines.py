"""Do moonas's own operators search tables as well as what others offer, at equal evaluations?

Question: genes are labels. At the same budget and with the same population, does NSGA-II with the
problem's own operators find as large a hypervolume as NSGA-II with integer SBX and polynomial
mutation (as pymoo's documentation has it), pymoo's MixedVariableGA, Optuna's NSGAIISampler, and
NSGA-II as DEAP's example writes it? Random search and SPEA2 with moonas's operators are there, too.
With these no run asks for an architecture twice, the others have no such rule.

Method: every baseline is given the numbers of choices and the population of the problem's settings,
and otherwise runs with the defaults or the example of its own documentation: MixedVariableGA with
survival by rank and crowding, NSGAIISampler with a categorical parameter a gene, DEAP with uniform
crossover (0.9 a pair, 0.5 a gene) and mutUniformInt (one gene of a child on average). An evaluation
is a look-up, one that is repeated counts again, and what the last generation evaluates beyond the
budget does not count. Each run has one seed, of pymoo, of Optuna's sampler, and for DEAP, which
draws from Python's global generator, of random.seed; run i of every baseline has the same one.
Hypervolume is that of all a run evaluated, a share of the problem's bounds. log10 gap is what it
lacks of the true front's, and to 99 % is after how many evaluations it has 99 % of that, medians
both. A12 is the chance that a run of NSGA-II with moonas's operators is better than one of the
baseline; p is Wilcoxon's, two-sided, over paired seeds, after Holm's correction for all baselines
of a problem.

Command: python benchmarks/baselines.py --nasbench201 FILE        (2 CPU cores, about 2 minutes)
Device: CPU. Optuna and DEAP are optional (pip install optuna deap), and so is FILE, a table of
NAS-Bench-201: what is missing is skipped.
Output: baselines.json beside this file, and a table of each problem in Markdown.
"""

import argparse
import json
import math
import platform
import random
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
from moonas.pareto import hypervolume
from moonas.run.callbacks import RunCallback
from moonas.views.tables import Table, to_markdown

HERE = Path(__file__).parent
PROBLEMS = ("digits-table", "nasbench201")
OURS = "nsga2 (moonas)"
NEAR = 0.99  # of the true hypervolume
ROUNDING = 1e-12  # hypervolumes that differ by less are equal
LEVEL = 0.05  # of significance


class Recorder(RunCallback):
    """Counts what a run evaluates and keeps its objectives, as far as the budget goes.

    Args:
        problem: a :class:`~moonas.tabular.TabularProblem` that no other run has.
        budget: evaluations.
    """

    def __init__(self, problem, budget):
        self.problem, self.budget = problem, budget
        self.n, self._parts = 0, []
        self.population = problem.settings.population
        self.n_choices = problem.n_choices.tolist()
        problem.callbacks.append(self)  # of what pymoo's own calls score

    @property
    def left(self):
        """Evaluations that still count."""
        return self.budget - self.n

    def evaluate(self, rows):
        """Objectives of rows, (n, n_obj); a ``ValueError`` if one is no architecture."""
        F = self.problem.evaluate(np.array(rows))  # outside any run of pymoo: no callback
        self._keep(F)
        return F

    def objectives(self):
        """(budget, n_obj), all that counts, in the order of evaluation.

        Raises:
            RuntimeError: the run has ended before its budget.
        """
        if self.left:
            raise RuntimeError(f"The run ended after {self.n} of {self.budget} evaluations.")
        return np.concatenate(self._parts)

    def on_scores(self, candidates, columns):
        self._keep(np.column_stack([columns[name] for name in self.problem.objectives]))

    def _keep(self, F):
        counted = np.array(F[: self.left], float)
        self._parts.append(counted)
        self.n += len(counted)


def own(name):
    """A baseline: the algorithm of a name with the problem's own operators."""

    def run(recorder, seed):
        problem = recorder.problem
        searching = moonas.algorithm(name, problem)
        minimize(problem, searching, ("n_eval", recorder.budget), seed=seed)

    return run


def integer_nsga2(recorder, seed):
    """NSGA-II with the operators that pymoo's documentation has for integers."""
    rounded = dict(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair())
    searching = NSGA2(
        pop_size=recorder.population,
        sampling=IntegerRandomSampling(),
        crossover=SBX(**rounded),
        mutation=PM(**rounded),
    )
    minimize(recorder.problem, searching, ("n_eval", recorder.budget), seed=seed)


class Choices(Problem):
    """A table as pymoo's mixed variables have it: a row is a dict, a :class:`Choice` a gene.

    Args:
        recorder: a :class:`Recorder`.
    """

    def __init__(self, recorder):
        self.recorder = recorder
        genes = enumerate(recorder.n_choices)
        choices = {f"gene {j}": Choice(options=list(range(n))) for j, n in genes}
        super().__init__(vars=choices, n_obj=recorder.problem.n_obj)

    def _evaluate(self, X, out, *args, **kwargs):
        out["F"] = self.recorder.evaluate([[row[name] for name in self.vars] for row in X])


def mixed_variable_ga(recorder, seed):
    """pymoo's genetic algorithm for mixed variables, all of them choices."""
    searching = MixedVariableGA(pop_size=recorder.population, survival=RankAndCrowding())
    minimize(Choices(recorder), searching, ("n_eval", recorder.budget), seed=seed)


def optuna_nsga2(recorder, seed):
    """Optuna's NSGA-II, a categorical parameter a gene."""
    import optuna

    def objective(trial):
        genes = enumerate(recorder.n_choices)
        row = [trial.suggest_categorical(f"gene {j}", list(range(n))) for j, n in genes]
        return recorder.evaluate([row])[0].tolist()

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.NSGAIISampler(population_size=recorder.population, seed=seed)
    directions = ["minimize"] * recorder.problem.n_obj
    study = optuna.create_study(directions=directions, sampler=sampler)
    study.optimize(objective, n_trials=recorder.budget)


def deap_nsga2(recorder, seed):
    """NSGA-II as DEAP's example writes it, with its operators for integers."""
    from deap import base, tools

    class Fitness(base.Fitness):
        weights = (-1.0,) * recorder.problem.n_obj

    class Individual(list):
        def __init__(self, genes):
            super().__init__(genes)
            self.fitness = Fitness()

    def scored(individuals):
        for individual, f in zip(individuals, recorder.evaluate(individuals), strict=True):
            individual.fitness.values = tuple(f)
        return individuals

    random.seed(seed)  # DEAP draws from the global generator
    size, highest = recorder.population, [n - 1 for n in recorder.n_choices]
    drawn = [Individual(random.randint(0, high) for high in highest) for _ in range(size)]
    population = tools.selNSGA2(scored(drawn), size)
    while recorder.left:
        children = [Individual(parent) for parent in _tournament(tools, population)]
        for first, second in zip(children[::2], children[1::2], strict=False):
            if random.random() <= 0.9:
                tools.cxUniform(first, second, indpb=0.5)
        for child in children:
            tools.mutUniformInt(child, low=0, up=highest, indpb=1 / len(child))
        population = tools.selNSGA2(population + scored(children), size)


def _tournament(tools, population):
    """As many parents as there are; DEAP chooses them by fours, so the last ones come apart."""
    size = len(population)
    rest = size % 4
    parents = tools.selTournamentDCD(population, size - rest)
    return parents + tools.selTournamentDCD(population, rest)[:rest]


OWN = {
    OURS: own("nsga2"),
    "random (moonas)": own("random"),
    "spea2 (moonas)": own("spea2"),
}
OTHERS = {
    "nsga2, integer SBX and PM": integer_nsga2,
    "MixedVariableGA": mixed_variable_ga,
    "Optuna NSGAIISampler": optuna_nsga2,
    "DEAP NSGA-II": deap_nsga2,
}
BASELINES = OWN | OTHERS
WANTED = {"Optuna NSGAIISampler": "optuna", "DEAP NSGA-II": "deap"}  # optional packages


def run_one(name, options, baseline, seed, evaluations, true):
    """One run: a dict of its numbers, or of what went wrong."""
    found = {"problem": name, "baseline": baseline, "seed": seed}
    try:
        recorder = Recorder(moonas.load_problem(name, **options), evaluations)
        BASELINES[baseline](recorder, seed)
        return found | judge(recorder, true)
    except Exception as error:  # whatever a baseline raises must not stop the others
        return found | {"failed": f"{type(error).__name__}: {error}"}


def judge(recorder, true):
    """What a run has reached: the same numbers for every baseline."""
    F, bounds = recorder.objectives(), recorder.problem.objective_bounds()

    def after(n):
        return hypervolume(F[:n], bounds)

    counts = range(1, len(F) + 1)
    needed = 1 + bisect_left(counts, NEAR * true, key=after)
    return {
        "hypervolume": after(len(F)),
        "first_generation": after(recorder.population),
        "evaluations_to_99": needed if needed <= len(F) else math.inf,
    }


def asked_problems(args):
    """Name -> options of the problems that can be run; those that cannot are named."""
    options = {name: {} for name in args.problems}
    if "nasbench201" in options:
        options["nasbench201"] = {"table": args.nasbench201}
        if args.nasbench201 is None:
            print("Skipped: nasbench201, as no table is given (--nasbench201 FILE).")
            del options["nasbench201"]
    return options


def asked_baselines():
    """Labels of the baselines that can be run; those that cannot are named."""
    missing = {label: package for label, package in WANTED.items() if find_spec(package) is None}
    for label, package in missing.items():
        print(f"Skipped: {label}, as {package} is not installed (pip install {package}).")
    return [label for label in BASELINES if label not in missing]


def describe(name, options, evaluations):
    """What every run on a problem has in common, a dict."""
    problem = moonas.load_problem(name, **options)
    settings = problem.settings
    return {
        "objectives": list(problem.objectives),
        "inputs": problem.inputs,
        "space": len(problem.table),
        "population": settings.population,
        "evaluations": evaluations or settings.population * settings.generations,
        "true_hypervolume": problem.true_hypervolume(),
    }


def run_all(problems, abouts, baselines, args):
    """All runs, in any order; a line is printed as each is done."""
    asked = [
        (name, options, label, seed, abouts[name]["evaluations"], abouts[name]["true_hypervolume"])
        for seed in range(1, args.seeds + 1)
        for name, options in problems.items()
        for label in baselines
    ]
    runs = []
    pool = Parallel(args.jobs, return_as="generator_unordered")
    for run in pool(delayed(run_one)(*one) for one in asked):
        runs.append(run)
        said = run["failed"] if "failed" in run else f"hypervolume {run['hypervolume']:.5f}"
        where = f"{run['problem']}, {run['baseline']}, seed {run['seed']}"
        print(f"{len(runs)} of {len(asked)}: {where}: {said}", flush=True)
    return sorted(runs, key=lambda run: run["seed"])


def summarise(runs, true):
    """Numbers of a baseline on a problem, a dict; of one that failed, how often and why."""
    failed = [run["failed"] for run in runs if "failed" in run]
    if failed:
        return {"failed": len(failed), "reason": failed[0]}
    values = np.array([run["hypervolume"] for run in runs])
    needed = np.array([run["evaluations_to_99"] for run in runs], float)
    q1, median, q3 = np.percentile(values, [25, 50, 75]).tolist()
    return {
        "median": median,
        "q1": q1,
        "q3": q3,
        "log10_gap": _finite(np.median([_log_gap(value, true) for value in values])),
        "evaluations_to_99": _finite(np.median(needed)),
        "reached_99": int(np.isfinite(needed).sum()),
        "first_generation": float(np.median([run["first_generation"] for run in runs])),
        "hypervolumes": values.tolist(),
    }


def _log_gap(value, true):
    gap = true - value
    return math.log10(gap) if gap > ROUNDING else -math.inf


def _finite(value):
    """A number that JSON can hold; None for an infinite one."""
    return float(value) if math.isfinite(value) else None


def add_tests(rows):
    """Write A12 and Holm's p of ours against each other baseline into its row."""
    known = {label: row["hypervolumes"] for label, row in rows.items() if "median" in row}
    if OURS not in known:
        return
    digits = round(-math.log10(ROUNDING))
    values = {label: np.round(found, digits) for label, found in known.items()}
    ours = values.pop(OURS)
    p = statistics.holm([statistics.wilcoxon(ours, other) for other in values.values()])
    for (label, other), corrected in zip(values.items(), p.tolist(), strict=True):
        rows[label] |= {"a12": statistics.a12(ours, other), "p_holm": corrected}


def table(rows, seeds):
    """The results of a problem in Markdown, by median hypervolume; failed baselines are last."""
    titles = ["baseline", "hypervolume", "quartiles", "log10 gap", "to 99 %", "reached"]
    order = sorted(rows.items(), key=lambda item: -item[1].get("median", -1))
    lines = [[label, *_cells(row, seeds)] for label, row in order]
    return to_markdown(Table([*titles, "A12 of ours", "p"], lines))


def _cells(row, seeds):
    if "failed" in row:
        return [f"failed in {row['failed']} of {seeds}", *["-"] * 6]
    gap, needed = row["log10_gap"], row["evaluations_to_99"]
    return [
        f"{row['median']:.5f}",
        f"{row['q1']:.5f} to {row['q3']:.5f}",
        "none" if gap is None else f"{gap:.2f}",
        "never" if needed is None else f"{needed:.0f}",
        f"{row['reached_99']} of {seeds}",
        f"{row['a12']:.2f}" if "a12" in row else "-",
        f"{row['p_holm']:.2g}" if "p_holm" in row else "-",
    ]


def verdict(name, rows):
    """Whether ours reaches the best of what others offer, or by how much it does not."""
    known = {label: row for label, row in rows.items() if "median" in row}
    others = [label for label in OTHERS if label in known]
    if OURS not in known or not others:
        return f"{name}: nothing to compare."
    best = max(others, key=lambda label: known[label]["median"])
    ours, theirs = known[OURS]["median"], known[best]["median"]
    lead = ours - theirs
    if abs(lead) <= ROUNDING:
        says = f"reaches the best of the others, {best}: both have"
    elif lead > 0:
        says = f"reaches the best of the others, {best}, and has {lead:.2g} more:"
    else:
        says = f"lacks {-lead:.2g} of the best of the others, {best}:"
    tests = f"A12 {known[best]['a12']:.2f}, p {known[best]['p_holm']:.2g}"
    medians = f"{ours:.5f}" if abs(lead) <= ROUNDING else f"{ours:.5f} against {theirs:.5f}"
    return f"{name}: {OURS} {says} {medians} ({tests})."


def report(name, about, runs, baselines, seeds):
    """Print what a problem's runs say; return it as a dict."""
    true = about["true_hypervolume"]
    by_label = {label: [run for run in runs if run["baseline"] == label] for label in baselines}
    rows = {label: summarise(found, true) for label, found in by_label.items()}
    add_tests(rows)
    print(f"\n## {name}\n\n{about['evaluations']} evaluations a run, population ", end="")
    print(f"{about['population']}, {seeds} seeds; the true front has {true:.5f}.\n")
    print(table(rows, seeds))
    for label, row in rows.items():
        if "failed" in row:
            print(f"{label} failed in {row['failed']} of {seeds} runs: {row['reason']}")
    if statistics.least_p(seeds, max(1, len(rows) - 1)) > LEVEL:
        print(f"{seeds} seeds are too few for a test: no p could be below {LEVEL}.")
    says = verdict(name, rows)
    print(says)
    return about | {"verdict": says, "baselines": rows}


def main():
    """Run everything, print a table a problem, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=PROBLEMS)
    parser.add_argument("--nasbench201", metavar="FILE", help="a table of NAS-Bench-201")
    parser.add_argument("--seeds", type=int, default=31)
    parser.add_argument("--evaluations", type=int, help="default: those of a problem's own search")
    parser.add_argument("--jobs", type=int, default=-1)
    parser.add_argument("--out", type=Path, default=HERE / "baselines.json")
    args = parser.parse_args()
    problems, baselines = asked_problems(args), asked_baselines()
    if not problems:
        raise SystemExit("There is no problem to run.")
    abouts = {name: describe(name, opts, args.evaluations) for name, opts in problems.items()}
    runs = run_all(problems, abouts, baselines, args)
    found = {}
    for name, about in abouts.items():
        mine = [run for run in runs if run["problem"] == name]
        found[name] = report(name, about, mine, baselines, args.seeds)
    packages = ["moonas", "pymoo", "numpy", "scipy", *(p for p in WANTED.values() if find_spec(p))]
    result = {
        "command": _command(args, problems),
        "date": date.today().isoformat(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
        "seeds": args.seeds,
        "skipped": [label for label in BASELINES if label not in baselines],
        "problems": found,
    }
    args.out.write_text(json.dumps(result, indent=1) + "\n")


def _command(args, problems):
    """The command that repeats this, without where the table lies."""
    words = ["python benchmarks/baselines.py", "--problems", *problems]
    words += ["--nasbench201 FILE"] if "nasbench201" in problems else []
    words += [f"--seeds {args.seeds}"]
    words += [f"--evaluations {args.evaluations}"] if args.evaluations else []
    return " ".join(words)


if __name__ == "__main__":
    main()
