"""Which operations do fronts keep, and do more concatenated nodes help? (NSGANetV1, figure 9)

Question: how often is each operation on an edge, among all architectures that NSGANetV1 trains from
scratch, among those on the fronts, and among the fifth with the lowest error? And how does the
error depend on the number of nodes that the two blocks concatenate?

Method: searches with the digits preset. Bars and quartiles are of the candidates of all seeds
together, each front by itself; lines on the bars go from the lowest to the highest seed. Candidates
of one search are relatives, so it is the seeds that tell what is chance.

Command: python benchmarks/nsganet_operations.py        (2 CPU cores, about 20 minutes)
Device: CPU, two processes with one thread each.
Output: nsganet_operations.json and nsganet_operations.png beside this file. The searches are kept
in --runs; interrupted and repeated, only what is missing is computed.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from moonas.problems.nsganet import space
from pymoo.optimize import minimize
from scipy.stats import spearmanr

import moonas
from moonas.pareto import nondominated
from moonas.run.journal import read_run
from moonas.spaces.genotype import SHORT

HERE = Path(__file__).parent
GROUPS = {
    "all": "all that were trained",
    "front": "on the fronts",
    "accurate": "the most accurate fifth, with ties",
}
COLORS = {"all": "#9db4c0", "front": "#c8553d", "accurate": "#22313f"}


def search(seed, runs, generations):
    """Everything that one search trained: rows, errors (%) and macs, each row once."""
    folder = runs / f"seed-{seed}"
    problem = moonas.load_problem("nsganet", device="cpu", generations=generations, journal=folder)
    minimize(problem, problem.algorithm(), ("n_gen", generations), seed=seed, verbose=True)
    problem.journal.close()
    records = read_run(folder)[1]
    X = np.vstack([record["request"]["x"] for record in records])
    F = np.column_stack(
        [np.concatenate([r["result"][name] for r in records]) for name in ("error", "macs")]
    )
    _, first = np.unique(X, axis=0, return_index=True)
    return X[first], F[first]


def shares(X):
    """(n, 12) share of a row's twenty edges that have each operation."""
    operations, _ = space.edges(X)
    return np.array([np.bincount(o.ravel(), minlength=12) for o in operations]) / 20


def analyse(found):
    """Frequencies of operations by group, and errors by number of concatenated nodes."""
    X = np.vstack([X for X, _ in found])
    F = np.vstack([F for _, F in found])
    seed = np.concatenate([np.full(len(F), i) for i, (_, F) in enumerate(found)])
    members = {
        "all": np.ones(len(X), bool),
        "front": np.concatenate([np.isin(np.arange(len(F)), nondominated(F)) for _, F in found]),
        "accurate": F[:, 0] <= np.quantile(F[:, 0], 0.2),
    }
    frequency = {}
    for group, chosen in members.items():
        rows = shares(X[chosen])
        by_seed = [rows[seed[chosen] == i].mean(axis=0) for i in np.unique(seed[chosen])]
        frequency[group] = {
            "architectures": int(chosen.sum()),
            "share": dict(zip(space.OPERATIONS, rows.mean(axis=0).tolist(), strict=True)),
            "low": np.min(by_seed, axis=0).tolist(),
            "high": np.max(by_seed, axis=0).tolist(),
        }
    nodes = space.count_loose_ends(X).sum(axis=1)
    by_nodes = {
        int(n): {
            "architectures": int((nodes == n).sum()),
            "error_quartiles": np.quantile(F[nodes == n, 0], [0.25, 0.5, 0.75]).tolist(),
            "macs_median": float(np.median(F[nodes == n, 1])),
        }
        for n in np.unique(nodes)
    }
    return {
        "frequency": frequency,
        "by_concatenated_nodes": by_nodes,
        "spearman_of_nodes_and_error": _by_seed(nodes, F[:, 0], seed),
        "spearman_of_nodes_and_macs": _by_seed(nodes, F[:, 1], seed),
    }


def _by_seed(a, b, seed):
    return [float(spearmanr(a[seed == i], b[seed == i]).statistic) for i in np.unique(seed)]


def draw(result, path):
    """Figure 9, both parts."""
    figure = Figure(figsize=(13, 4.8), layout="constrained")
    bars, boxes = figure.subplots(1, 2, width_ratios=[3, 2])
    place = np.arange(len(space.OPERATIONS))
    for k, (group, title) in enumerate(GROUPS.items()):
        row = result["frequency"][group]
        share = np.array(list(row["share"].values()))
        error = np.abs(np.array([row["low"], row["high"]]) - share)
        label = f"{title} ({row['architectures']})"
        at = place + 0.27 * (k - 1)
        bars.bar(at, 100 * share, 0.25, yerr=100 * error, color=COLORS[group], label=label)
    bars.axhline(100 / 12, color="#22313f", lw=0.8, ls=":")
    bars.set_xticks(place, [SHORT[name] for name in space.OPERATIONS])
    bars.set(ylabel="share of the edges (%), range of seeds", title="Operations (figure 9a)")
    bars.legend(frameon=False)
    table = result["by_concatenated_nodes"]
    numbers = [n for n in table if table[n]["architectures"] >= 5]
    low, middle, high = np.array([table[n]["error_quartiles"] for n in numbers]).T
    boxes.errorbar(
        numbers, middle, [middle - low, high - middle], fmt="o-", color="#c8553d", capsize=3
    )
    for n, y in zip(numbers, high, strict=True):
        boxes.annotate(
            f"n={table[n]['architectures']}",
            (n, y),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    rho = np.median(result["spearman_of_nodes_and_error"])
    boxes.set(
        xlabel="nodes that the two blocks concatenate",
        ylabel="error (%): median, quartiles",
        title=f"Concatenation (figure 9b), median Spearman {rho:.2f}",
    )
    for axis in (bars, boxes):
        axis.grid(alpha=0.25, axis="y")
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def main():
    """Run what is missing, print the table, write JSON and picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--generations", type=int, default=10)
    parser.add_argument("--runs", type=Path, default=Path("runs/nsganet_operations"))
    parser.add_argument("--out", type=Path, default=HERE / "nsganet_operations")
    args = parser.parse_args()
    found = [search(seed, args.runs, args.generations) for seed in range(1, args.seeds + 1)]
    result = {
        "command": f"python benchmarks/nsganet_operations.py --seeds {args.seeds} "
        f"--generations {args.generations}",
        "torch": torch.__version__,
        **analyse(found),
    }
    args.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    draw(result, args.out.with_suffix(".png"))
    print(f"{'operation':<20}" + "".join(f"{group:>10}" for group in GROUPS))
    for name in space.OPERATIONS:
        row = [result["frequency"][group]["share"][name] for group in GROUPS]
        print(f"{name:<20}" + "".join(f"{100 * share:9.1f}%" for share in row))
    for n, row in result["by_concatenated_nodes"].items():
        print(
            f"{n:>2} nodes: {row['architectures']:>4} architectures, median error "
            f"{row['error_quartiles'][1]:.2f} %, median macs {row['macs_median']:,.0f}"
        )
    for what in ("error", "macs"):
        values = result[f"spearman_of_nodes_and_{what}"]
        print(f"Spearman of nodes and {what}, by seed: {', '.join(f'{v:.2f}' for v in values)}")


if __name__ == "__main__":
    main()
