"""What does latency follow, when has the front settled, and do found cells pay? (EG-DARTS)

Question: over the networks that stage 2 of EG-DARTS tries, is latency a matter of depth, and not
of parameters (section IV-D)? Does the front still move after 5 generations (section IV-E)? And is
the network that stage 2 picks smaller with the cells of stage 1 than with P-DARTS's (Table IV)?

Method: searches with the digits preset, but 15 generations of 15 networks. Latency is that of one
image on one thread, the fastest of five rounds, each the median of 15 passes. Depth counts normal
cells. The front after some generations is that of all networks tried until then; its hypervolume is
a share of the rectangle from zero to 100 % error and to the largest network of the search. Picks
are knees (algorithm 2).

Command: python benchmarks/eg_darts_trends.py        (2 CPU cores, about 40 minutes)
Device: CPU, two processes with one thread each; one process measures latency.
Output: eg_darts_trends.json and eg_darts_trends.png beside this file. The searches are kept in
--runs; interrupted and repeated, only what is missing is computed.
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
from moonas.pareto import hypervolume, knee, nondominated
from moonas.run.journal import read_run
from moonas.run.numbers import short_number

HERE = Path(__file__).parent
POPULATION, GENERATIONS, MOMENTS = 15, 15, (5, 10, 15)
ROUNDS = 5  # of measuring every latency, each the median of 15 passes
CELLS = {"found": "cells of stage 1", "published": "P-DARTS's cells"}
COLORS = {"found": "#c8553d", "published": "#22313f"}


def find_cells(seed, runs):
    """Stage 1's folder, run to its end."""
    stage = moonas.load_stage("eg-darts-cells", device="cpu", journal=runs / f"cells-{seed}")
    stage.report(stage.run(seed=seed), stage.journal.folder)
    stage.journal.close()
    return stage.journal.folder


def search(seed, kind, runs):
    """A problem, and all that it tried: rows, errors (%) and params, in order."""
    options = {"from_run": find_cells(seed, runs)} if kind == "found" else {}
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
    """Latency (ms), depth and params of rows; of several rounds, a network's fastest counts."""
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
    """Of latency with depth and with params."""
    ms, depth, params = rows.T
    return {
        "networks": len(rows),
        "pearson_depth": float(pearsonr(ms, depth).statistic),
        "pearson_params": float(pearsonr(ms, params).statistic),
        "spearman_depth": float(spearmanr(ms, depth).statistic),
        "spearman_params": float(spearmanr(ms, params).statistic),
    }


def analyse(problem, final, X, F):
    """What one search says."""
    fronts = {}
    for moment in MOMENTS:
        tried = F[: moment * POPULATION]
        front = tried[nondominated(tried)]
        chosen = front[knee(front)]
        fronts[moment] = {
            "front": np.unique(front, axis=0).tolist(),
            "hypervolume": hypervolume(front, problem.objective_bounds()),
            "picked": {"error": chosen[0], "params": chosen[1]},
        }
    different = {problem.decode(x): x for x in X}
    measured = latencies(problem, list(different.values()))
    return {
        "cells": problem.cells.text,
        "fronts": fronts,
        "latency_of_all": correlations(measured),
        "latency_of_the_last_population": correlations(latencies(problem, final)),
        "measured": measured.tolist(),
    }


def draw(found, path):
    """Latency over depth and params, and fronts by generation and by cells."""
    figure = Figure(figsize=(13, 8), layout="constrained")
    places = ["depth"] * 3 + ["params"] * 3, ["found"] * 2 + ["published"] * 2 + ["compared"] * 2
    axes = figure.subplot_mosaic(places)
    for kind, runs in found.items():
        rows = np.vstack([run["measured"] for run in runs])
        jitter = np.random.default_rng(0).uniform(-0.12, 0.12, len(rows))
        for place, x in (("depth", rows[:, 1] + jitter), ("params", rows[:, 2])):
            axes[place].scatter(x, rows[:, 0], s=14, color=COLORS[kind], alpha=0.5)
        for i, run in enumerate(runs):
            for moment, alpha in zip(MOMENTS, (0.3, 0.6, 1), strict=True):
                label = f"after {moment} generations" if i == 0 else None
                step(axes[kind], run["fronts"][moment], i, COLORS[kind], alpha, label)
            last = run["fronts"][MOMENTS[-1]]
            step(axes["compared"], last, i, COLORS[kind], 1, CELLS[kind] if i == 0 else None)
            picked = last["picked"]
            axes["compared"].scatter(picked["params"], picked["error"], color=COLORS[kind])
        axes[kind].set_title(f"Fronts, {CELLS[kind]}; a style of line a seed")
    axes["depth"].set(xlabel="depth (normal cells)", xticks=np.unique(rows[:, 1]))
    axes["depth"].set(title="Latency and depth", ylabel="latency (ms)")
    axes["params"].set(title="Latency and parameters", ylabel="latency (ms)")
    axes["compared"].set_title("Fronts after 15 generations, dots: picked")
    for place, a in axes.items():
        if place in ("found", "published", "compared"):
            a.set(ylabel="error (%)", ylim=(0, 6))
            a.legend(frameon=False)
        if place != "depth":
            a.set(xlabel="parameters", xscale="log")
            a.xaxis.set_major_formatter(lambda value, _: short_number(value))
            a.xaxis.set_minor_formatter(NullFormatter())
        a.grid(alpha=0.25)
        a.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=100)


def step(axes, moment, seed, color, alpha, label):
    """A front as a staircase."""
    front = np.array(sorted(moment["front"], key=lambda row: row[1]))
    style = ("-", "--", ":", "-.")[seed % 4]
    axes.step(
        front[:, 1], front[:, 0], where="post", color=color, alpha=alpha, label=label, ls=style
    )


def main():
    """Run what is missing, print the table, write JSON and picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=Path("runs/eg_darts_trends"))
    parser.add_argument("--out", type=Path, default=HERE / "eg_darts_trends")
    args = parser.parse_args()
    found = {
        kind: [analyse(*search(seed, kind, args.runs)) for seed in range(1, args.seeds + 1)]
        for kind in CELLS
    }
    result = {
        "command": f"python benchmarks/eg_darts_trends.py --seeds {args.seeds}",
        "torch": torch.__version__,
        "columns_of_measured": ["latency_ms", "depth", "params"],
        **found,
    }
    args.out.with_suffix(".json").write_text(json.dumps(result) + "\n")
    draw(found, args.out.with_suffix(".png"))
    for kind, runs in found.items():
        for seed, run in enumerate(runs, 1):
            print(f"{CELLS[kind]}, seed {seed}")
            for which in ("latency_of_all", "latency_of_the_last_population"):
                print(f"  {which}: " + ", ".join(f"{k} {v:.3g}" for k, v in run[which].items()))
            for moment, at in run["fronts"].items():
                picked = at["picked"]
                print(
                    f"  after {moment:>2} generations: hypervolume {at['hypervolume']:.4f}, picked "
                    f"{picked['error']:.2f} % with {picked['params']:,.0f} parameters"
                )


if __name__ == "__main__":
    main()
