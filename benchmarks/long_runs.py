"""Do memory, journal and replay of long runs grow as they should?

Question: how do the resident memory, the size of the journal and the time grow in a search with
100,000 evaluations and in a search of 2,000 generations whose objectives change? How long does it
take to replay them? Memory should stay within 5 % after the first tenth of a run, apart from what
the run must keep of each architecture that it has evaluated. Journal and replay should be linear.

Method: three searches with a population of 100, each in a process of its own, then the same program
again, which replays the journal. Scores are formulas, so that moonas, pymoo and the disk take all
the time.

    distinct    fixed objectives; the duplicate elimination rejects what has been evaluated, so all
                100,000 rows differ, and the archive keeps each of them
    repeated    fixed objectives; a space of 4,096 architectures that a random search samples again
                and again, so the archive is soon complete
    changing    objectives that change while one shared weight is trained, in 2,000 generations of
                20 candidates; nothing is archived

Memory is the resident set size after each hundredth of a run. The growth is the largest later value
relative to the value after the first tenth; bytes per row are the slope of a line through the
values after the first tenth. The exponent of the CPU time is the slope of its logarithm over that
of the number of evaluations after the first tenth: 1 if it is linear. Wall-clock times include
waits for the disk.

Command: python benchmarks/long_runs.py        (1 CPU core, about 10 minutes)
Device: CPU.
Output: long_runs.json and long_runs.png, next to this file; --scale 0.01 is quick and writes
long_runs-0.01.json and long_runs-0.01.png.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pymoo
import torch
from matplotlib.figure import Figure

from moonas.algorithms import algorithm
from moonas.operators import CategoricalSampling, EvaluatedRow, NodeCrossover, ResetGenes, SameRow
from moonas.problem import ArchitectureProblem, Column, Evaluator
from moonas.run.callbacks import RunCallback
from moonas.run.journal import Journal
from moonas.run.search import search
from moonas.settings import SearchSettings, setting
from moonas.weight_sharing import WeightSharingProblem

HERE = Path(__file__).parent
N_CHOICES = 4
# case -> genes, algorithm, population, generations
CASES = {
    "distinct": (40, "nsga2", 100, 1000),
    "repeated": (6, "random", 100, 1000),
    "changing": (20, "nsga2", 20, 2000),
}
POINTS = 100  # values of each curve
SEED = 1
COLORS = ("#c8553d", "#588157", "#9db4c0")


@dataclass(frozen=True, kw_only=True)
class Settings(SearchSettings):
    """Settings of both problems."""

    objectives: tuple[str, ...] = setting(("error", "params"), "columns to minimize")
    population: int = setting(100, "number of candidates that survive")


class FormulaEvaluator(Evaluator):
    """Errors and sizes by formulas; one number is all that is trained."""

    device = "cpu"

    def __init__(self, trains):
        self.trains = trains
        self.t = torch.zeros((), dtype=torch.float64)

    def begin(self, seed):
        self.t = torch.zeros((), dtype=torch.float64)

    def warm_up(self):
        return self.train(None)

    def train(self, candidates):
        self.t = self.t + 1
        return {"epochs": 1, "steps": 1}

    def score(self, candidates):
        genes = candidates.rows.astype(float)
        size = 1000.0 + (genes * (1 + np.arange(genes.shape[1]))).sum(axis=1)
        # genes of odd places should be large, those of even places small
        wanted = (N_CHOICES - 1) * (np.arange(genes.shape[1]) % 2)
        error = 5 + np.abs(genes - wanted).mean(axis=1) * (20 + 10 * np.exp(-float(self.t) / 500))
        return {"error": error + np.sin(size), "params": size}

    def state(self):
        return {"t": self.t}

    def load_state(self, state):
        self.t = state["t"]


class Fixed(ArchitectureProblem):
    """A problem whose objectives do not change."""

    trains = False

    def __init__(self, settings, n_genes):
        columns = [
            Column("error", "%", worst=100.0, bounds=(0, 100)),
            Column("params", "parameters", bounds=(0, 2000)),
        ]
        super().__init__(settings, columns=columns, n_choices=[N_CHOICES] * n_genes)

    def make_evaluator(self):
        return FormulaEvaluator(self.trains)

    def decode(self, x):
        return tuple(x.tolist())

    def encode(self, architecture):
        return np.array(architecture)

    def network(self, architecture, **shape):
        raise NotImplementedError("The scores are formulas.")

    def operators(self):
        return dict(
            sampling=CategoricalSampling(),
            crossover=NodeCrossover(),
            mutation=ResetGenes(),
            eliminate_duplicates=SameRow() if self.nonstationary else EvaluatedRow(self),
        )


class Changing(WeightSharingProblem, Fixed):
    """A problem whose objectives change while the shared weight is trained."""

    trains = True


def resident_bytes():
    """Return the resident memory of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def run_case(case, scale, folder):
    """Run or replay a search in this process.

    Returns:
        A dict of lists with a value per point: evaluations, resident bytes, bytes of the journal,
        and seconds and CPU seconds since the start, before which the journal was opened;
        ``open_seconds`` is the time that took.
    """
    n_genes, name, population, generations = CASES[case]
    generations = max(POINTS, round(scale * generations))
    settings = Settings(population=population)
    problem = (Changing if case == "changing" else Fixed)(settings, n_genes)
    begun = time.perf_counter()
    journal = Journal(folder, problem=f"long runs, {case}", settings=settings)
    opened = time.perf_counter() - begun
    problem.session.journal = journal
    curves = {"evaluations": [], "memory": [], "journal": [], "seconds": [], "cpu": []}
    options = {"eliminate_duplicates": SameRow()} if case == "repeated" else {}

    class Measure(RunCallback):
        def on_generation(self, running):
            if running.n_gen % (generations // POINTS):
                return
            curves["evaluations"].append(int(running.evaluator.n_eval))
            curves["memory"].append(resident_bytes())
            curves["journal"].append((Path(folder) / "journal.jsonl").stat().st_size)
            curves["seconds"].append(time.perf_counter() - begun)
            curves["cpu"].append(time.process_time() - cpu_begun)

    problem.callbacks.append(Measure())
    begun, cpu_begun = time.perf_counter(), time.process_time()
    result = search(
        problem,
        algorithm(name, problem, **options),
        seed=SEED,
        generations=generations,
    )
    return curves | {
        "open_seconds": opened,
        "total_seconds": time.perf_counter() - begun,
        "front": len(result.rows),
        "computed": result.computed,
    }


def in_a_process(case, scale, folder):
    """Return the result of :func:`run_case` in a new process, so that its memory starts afresh."""
    command = [sys.executable, __file__, "--scale", str(scale), "--case", case, str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def exponent(x, y):
    """Return the slope of log y over log x after the first tenth."""
    tail = slice(len(x) // 10, None)
    return float(np.polyfit(np.log(x[tail]), np.log(y[tail]), 1)[0])


def summary(curves):
    """Return the growth of memory and the exponents; a replay does not change the journal."""
    evaluations, memory = curves["evaluations"], np.array(curves["memory"])
    tail = slice(len(memory) // 10 - 1, None)
    journal = {
        "journal per evaluation": curves["journal"][-1] / evaluations[-1],
        "journal exponent": exponent(evaluations, curves["journal"]),
    }
    return (journal if curves["computed"] else {}) | {
        "memory growth %": float(100 * (memory[tail].max() / memory[tail][0] - 1)),
        "memory per evaluation": float(np.polyfit(evaluations[tail], memory[tail], 1)[0]),
        "seconds": curves["total_seconds"],
        "cpu seconds": curves["cpu"][-1],
        "cpu exponent": exponent(evaluations, curves["cpu"]),
        "seconds to open": curves["open_seconds"],
    }


def plot(results, path):
    """Plot memory, journal and time of the searches and their replays against evaluations."""
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    axes = figure.subplots(1, 3)
    for ax, key, unit, title in zip(
        axes,
        ("memory", "journal", "cpu"),
        (1e6, 1e6, 1),
        ("resident memory (MB)", "journal (MB)", "CPU time (s)"),
        strict=True,
    ):
        for color, (case, runs) in zip(COLORS, results.items(), strict=False):
            for style, (name, run) in zip(("-", ":"), runs.items(), strict=True):
                if key == "journal" and name == "replay":
                    continue
                values = np.array(run["curves"][key]) / unit
                evaluations = np.array(run["curves"]["evaluations"]) / 1000
                ax.plot(evaluations, values, style, color=color, label=f"{case}, {name}")
        ax.set_xlabel("evaluations (thousands)")
        ax.set_ylabel(title)
        ax.set_ylim(bottom=0)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)


def main():
    """Run and replay each case, print a table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1, help="share of the generations")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--case", nargs=2, metavar=("CASE", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        print(json.dumps(run_case(args.case[0], args.scale, args.case[1])))
        return
    results = {}
    for case in args.cases:
        results[case] = {}
        with tempfile.TemporaryDirectory() as folder:
            for name in ("search", "replay"):
                curves = in_a_process(case, args.scale, folder)
                assert curves["computed"] == (name == "search")
                results[case][name] = summary(curves) | {"curves": curves}
                numbers = [f"{key} {value:.4g}" for key, value in summary(curves).items()]
                print(f"{case}, {name}:", ", ".join(numbers), flush=True)
    suffix = "" if args.scale == 1 else f"-{args.scale:g}"
    document = {
        "command": " ".join(["python benchmarks/long_runs.py", *sys.argv[1:]]),
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "pymoo": pymoo.__version__,
            "torch": torch.__version__,
        },
        "results": results,
    }
    (HERE / f"long_runs{suffix}.json").write_text(json.dumps(document) + "\n")
    plot(results, HERE / f"long_runs{suffix}.png")


if __name__ == "__main__":
    main()
