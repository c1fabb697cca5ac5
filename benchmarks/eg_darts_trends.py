"""What does latency depend on, when does the front converge, and do searched cells help? (EG-DARTS)

Question: does the latency of the networks in stage 2 of EG-DARTS depend on depth rather than on
parameters (section IV-D)? Does the front still improve after 5 generations (section IV-E)? And is
the picked network smaller with the cells of stage 1 than with the cells of P-DARTS (Table IV)?

Method: searches with the digits preset, but with 15 generations of 15 networks. Latency is measured
for one image on one thread: the minimum of five rounds, each the median of 15 passes. Depth is the
number of normal cells. The front after n generations is the front of all networks evaluated until
then. Its hypervolume is normalized by the rectangle from zero to 100 % error and to the size of
the largest network of the search. Picks are the knees of these fronts (algorithm 2).

Command: python benchmarks/eg_darts_trends.py        (2 CPU cores, about 40 minutes)
Device: CPU, two processes with one thread each; latency is measured in a single process.
Output: eg_darts_trends.json and eg_darts_trends.png, next to this file. Searches are stored in
--runs; an interrupted run resumes and repeats no completed search.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from pymoo.optimize import minimize
from scipy.stats import pearsonr, spearmanr

import moonas
from moonas.metrics.timing import measure_latency
from moonas.nets.devices import repeatable
from moonas.pareto import knee, nondominated
from moonas.run.journal import read_run
from moonas.run.numbers import short_number

HERE = Path(__file__).parent
POPULATION, GENERATIONS, CHECKPOINTS = 15, 15, (5, 10, 15)
ROUNDS = 5  # of latency measurements, each of 15 passes
CELLS = {"found": "cells of stage 1", "published": "cells of P-DARTS"}
COLORS = {"found": "#c8553d", "published": "#22313f"}


def run_stage_1(seed, runs):
    """Run or resume stage 1, the cell search; return its run folder."""
    stage = moonas.load_stage("eg-darts-cells", device="cpu", journal=runs / f"cells-{seed}")
    stage.report(stage.run(seed=seed), stage.journal.folder)
    stage.journal.close()
    return stage.journal.folder


def search(seed, kind, runs):
    """Run or resume a search.

    Returns:
        The problem, the rows of the last population, and the rows and objectives (error in %,
        params) of all evaluated networks, in the order of evaluation.
    """
    options = {"from_run": run_stage_1(seed, runs)} if kind == "found" else {}
    folder = runs / f"{kind}-{seed}"
    problem = moonas.load_problem(
        "eg-darts", device="cpu", generations=GENERATIONS, journal=folder, **options
    )
    result = minimize(problem, problem.algorithm(), ("n_gen", GENERATIONS), seed=seed, verbose=True)
    problem.journal.close()
    records = [r for r in read_run(folder)[1] if r["kind"] == "score"]
    X = np.vstack([r["request"]["x"] for r in records])
    F = np.column_stack(
        [np.concatenate([r["result"][name] for r in records]) for name in ("error", "params")]
    )
    return problem, result.pop.get("X"), X, F


def latencies(problem, X):
    """Return (n, 3) latencies in ms (the minimum over rounds), depths and params of n rows."""
    architectures = [problem.decode(x) for x in X]
    networks = [problem.network(a) for a in architectures]
    with repeatable(1):
        rounds = [
            [measure_latency(network, (1, 8, 8), torch.device("cpu")) for network in networks]
            for _ in range(ROUNDS)
        ]
    params = problem.count(architectures)[:, 0]
    return np.column_stack([np.min(rounds, axis=0), [a.depth for a in architectures], params])


def correlations(rows):
    """Return the correlations of latency with depth and with params."""
    ms, depth, params = rows.T
    return {
        "networks": len(rows),
        "pearson_depth": float(pearsonr(ms, depth).statistic),
        "pearson_params": float(pearsonr(ms, params).statistic),
        "spearman_depth": float(spearmanr(ms, depth).statistic),
        "spearman_params": float(spearmanr(ms, params).statistic),
    }


def analyze(problem, final, X, F):
    """Return fronts, correlations and measurements, from the results of :func:`search`."""
    fronts = {}
    for n in CHECKPOINTS:
        evaluated = F[: n * POPULATION]
        front = evaluated[nondominated(evaluated)]
        picked = front[knee(front)]
        fronts[n] = {
            "front": np.unique(front, axis=0).tolist(),
            "hypervolume": problem.hypervolume(front),
            "picked": {"error": picked[0], "params": picked[1]},
        }
    distinct = {problem.decode(x): x for x in X}
    measured = latencies(problem, list(distinct.values()))
    return {
        "cells": problem.cells.text,
        "fronts": fronts,
        "latency_of_all": correlations(measured),
        "latency_of_the_last_population": correlations(latencies(problem, final)),
        "measured": measured.tolist(),
    }


def plot(runs_by_cells, path):
    """Plot latency over depth and params, and fronts by generation and by kind of cells."""
    figure = Figure(figsize=(13, 8), layout="constrained")
    layout = ["depth"] * 3 + ["params"] * 3, ["found"] * 2 + ["published"] * 2 + ["compared"] * 2
    axes = figure.subplot_mosaic(layout)
    for kind, runs in runs_by_cells.items():
        rows = np.vstack([run["measured"] for run in runs])
        jitter = np.random.default_rng(0).uniform(-0.12, 0.12, len(rows))
        for name, x in (("depth", rows[:, 1] + jitter), ("params", rows[:, 2])):
            axes[name].scatter(x, rows[:, 0], s=14, color=COLORS[kind], alpha=0.5)
        for i, run in enumerate(runs):
            for n, alpha in zip(CHECKPOINTS, (0.3, 0.6, 1), strict=True):
                label = f"after {n} generations" if i == 0 else None
                plot_front(axes[kind], run["fronts"][n], i, COLORS[kind], alpha, label)
            last = run["fronts"][CHECKPOINTS[-1]]
            plot_front(axes["compared"], last, i, COLORS[kind], 1, CELLS[kind] if i == 0 else None)
            picked = last["picked"]
            axes["compared"].scatter(picked["params"], picked["error"], color=COLORS[kind])
        axes[kind].set_title(f"Fronts, {CELLS[kind]}; one line style per seed")
    axes["depth"].set(xlabel="depth (normal cells)", xticks=np.unique(rows[:, 1]))
    axes["depth"].set(title="Latency and depth", ylabel="latency (ms)")
    axes["params"].set(title="Latency and parameters", ylabel="latency (ms)")
    axes["compared"].set_title("Fronts after 15 generations (dots: picked networks)")
    for name, a in axes.items():
        if name in ("found", "published", "compared"):
            a.set(ylabel="error (%)", ylim=(0, 6))
            a.legend(frameon=False)
        if name != "depth":
            a.set(xlabel="parameters", xscale="log")
            a.xaxis.set_major_formatter(lambda value, _: short_number(value))
            a.xaxis.set_minor_formatter(NullFormatter())
        a.grid(alpha=0.25)
        a.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=100)


def plot_front(axes, result, seed, color, alpha, label):
    """Plot a front as a step function."""
    front = np.array(sorted(result["front"], key=lambda row: row[1]))
    style = ("-", "--", ":", "-.")[seed % 4]
    axes.step(
        front[:, 1], front[:, 0], where="post", color=color, alpha=alpha, label=label, ls=style
    )


def main():
    """Run the missing searches, print a table, and write the results and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2, help="number of seeds")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/eg_darts_trends"), help="folder of the searches"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=HERE / "eg_darts_trends",
        help="path of the results, without suffix",
    )
    args = parser.parse_args()
    runs_by_cells = {
        kind: [analyze(*search(seed, kind, args.runs)) for seed in range(1, args.seeds + 1)]
        for kind in CELLS
    }
    result = {
        "command": f"python benchmarks/eg_darts_trends.py --seeds {args.seeds}",
        "torch": torch.__version__,
        "columns_of_measured": ["latency_ms", "depth", "params"],
        **runs_by_cells,
    }
    args.out.with_suffix(".json").write_text(json.dumps(result) + "\n")
    plot(runs_by_cells, args.out.with_suffix(".png"))
    for kind, runs in runs_by_cells.items():
        for seed, run in enumerate(runs, 1):
            print(f"{CELLS[kind]}, seed {seed}")
            for which in ("latency_of_all", "latency_of_the_last_population"):
                print(f"  {which}: " + ", ".join(f"{k} {v:.3g}" for k, v in run[which].items()))
            for n, front in run["fronts"].items():
                picked = front["picked"]
                print(
                    f"  after {n:>2} generations: hypervolume {front['hypervolume']:.4f}, picked "
                    f"{picked['error']:.2f} % with {picked['params']:,.0f} parameters"
                )


if __name__ == "__main__":
    main()
