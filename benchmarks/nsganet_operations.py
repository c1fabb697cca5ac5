"""Which operations are on the fronts, and do more concatenated nodes help? (NSGANetV1, figure 9)

Question: how often does each operation occur on edges of all architectures that NSGANetV1 trains
from scratch, of architectures on the fronts, and of the fifth of the architectures with the lowest
error? And how does the error depend on the number of nodes that the two blocks concatenate?

Method: searches with the digits preset. Bars and quartiles show the candidates of all seeds
together, with one front per seed; error bars show the range over seeds. Candidates of one search
are not independent, so differences between seeds indicate the statistical uncertainty.

Command: python benchmarks/nsganet_operations.py        (2 CPU cores, about 20 minutes)
Device: CPU, two processes with one thread each.
Output: nsganet_operations.json and nsganet_operations.png, next to this file. Searches are stored
in --runs; an interrupted run resumes and repeats no completed search.
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
from moonas.spaces.genotype import SHORT_NAMES

HERE = Path(__file__).parent
GROUPS = {
    "all": "all trained architectures",
    "front": "on the fronts",
    "accurate": "the most accurate fifth, with ties",
}
COLORS = {"all": "#9db4c0", "front": "#c8553d", "accurate": "#22313f"}


def search(seed, runs, generations):
    """Run or resume a search; return its distinct rows, and (n, 2) errors (%) and macs."""
    folder = runs / f"seed-{seed}"
    problem = moonas.load_problem(
        "nsganet", device="cpu", generations=generations, count_fixed=True, journal=folder
    )
    minimize(problem, problem.algorithm(), ("n_gen", generations), seed=seed, verbose=True)
    problem.journal.close()
    records = read_run(folder)[1]
    X = np.vstack([record["request"]["x"] for record in records])
    F = np.column_stack(
        [np.concatenate([r["result"][name] for r in records]) for name in ("error", "macs")]
    )
    _, first = np.unique(X, axis=0, return_index=True)
    return X[first], F[first]


def operation_shares(X):
    """Return (n, 12) shares of the twenty edges of each row that have each operation."""
    operations, _ = space.edges(X)
    return np.array([np.bincount(o.ravel(), minlength=12) for o in operations]) / 20


def analyze(searches):
    """Return frequencies of operations by group, and errors by number of concatenated nodes."""
    X = np.vstack([X for X, _ in searches])
    F = np.vstack([F for _, F in searches])
    seed = np.concatenate([np.full(len(F), i) for i, (_, F) in enumerate(searches)])
    members = {
        "all": np.ones(len(X), bool),
        "front": np.concatenate([np.isin(np.arange(len(F)), nondominated(F)) for _, F in searches]),
        "accurate": F[:, 0] <= np.quantile(F[:, 0], 0.2),
    }
    frequency = {}
    for group, chosen in members.items():
        rows = operation_shares(X[chosen])
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
        "spearman_of_nodes_and_error": _correlations(nodes, F[:, 0], seed),
        "spearman_of_nodes_and_macs": _correlations(nodes, F[:, 1], seed),
    }


def _correlations(a, b, seed):
    """Return the rank correlation of two arrays for each seed."""
    return [float(spearmanr(a[seed == i], b[seed == i]).statistic) for i in np.unique(seed)]


def plot(result, path):
    """Plot figure 9: shares of operations, and errors by number of concatenated nodes."""
    figure = Figure(figsize=(13, 4.8), layout="constrained")
    bars, boxes = figure.subplots(1, 2, width_ratios=[3, 2])
    positions = np.arange(len(space.OPERATIONS))
    for k, (group, title) in enumerate(GROUPS.items()):
        row = result["frequency"][group]
        share = np.array(list(row["share"].values()))
        error = np.abs(np.array([row["low"], row["high"]]) - share)
        label = f"{title} ({row['architectures']})"
        offset = 0.27 * (k - 1)
        bars.bar(
            positions + offset,
            100 * share,
            0.25,
            yerr=100 * error,
            color=COLORS[group],
            label=label,
        )
    bars.axhline(100 / 12, color="#22313f", lw=0.8, ls=":")
    bars.set_xticks(positions, [SHORT_NAMES[name] for name in space.OPERATIONS])
    bars.set(ylabel="share of edges (%), range over seeds", title="Operations (figure 9a)")
    bars.legend(frameon=False)
    table = result["by_concatenated_nodes"]
    numbers = [n for n in table if table[n]["architectures"] >= 5]
    low, median, high = np.array([table[n]["error_quartiles"] for n in numbers]).T
    boxes.errorbar(
        numbers, median, [median - low, high - median], fmt="o-", color="#c8553d", capsize=3
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
        xlabel="concatenated nodes in both blocks",
        ylabel="error (%): median, quartiles",
        title=f"Concatenation (figure 9b), median Spearman {rho:.2f}",
    )
    for axis in (bars, boxes):
        axis.grid(alpha=0.25, axis="y")
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def main():
    """Run the missing searches, print a table, and write the results and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds")
    parser.add_argument("--generations", type=int, default=10, help="generations per search")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/nsganet_operations"), help="folder of the searches"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=HERE / "nsganet_operations",
        help="path of the results, without suffix",
    )
    args = parser.parse_args()
    searches = [search(seed, args.runs, args.generations) for seed in range(1, args.seeds + 1)]
    result = {
        "command": f"python benchmarks/nsganet_operations.py --seeds {args.seeds} "
        f"--generations {args.generations}",
        "torch": torch.__version__,
        **analyze(searches),
    }
    args.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    plot(result, args.out.with_suffix(".png"))
    print(f"{'operation':<20}" + "".join(f"{group:>10}" for group in GROUPS))
    for name in space.OPERATIONS:
        row = [result["frequency"][group]["share"][name] for group in GROUPS]
        print(f"{name:<20}" + "".join(f"{100 * share:9.1f}%" for share in row))
    for n, row in result["by_concatenated_nodes"].items():
        print(
            f"{n:>2} nodes: {row['architectures']:>4} architectures, median error "
            f"{row['error_quartiles'][1]:.2f} %, median macs {row['macs_median']:,.0f}"
        )
    for column in ("error", "macs"):
        values = result[f"spearman_of_nodes_and_{column}"]
        print(f"Spearman of nodes and {column}, by seed: {', '.join(f'{v:.2f}' for v in values)}")


if __name__ == "__main__":
    main()
