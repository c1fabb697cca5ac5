"""Does pNSGA-III keep large models that NSGA-III drops? (CARS, figures 2 and 3)

Question: with the same supernet, mating and training, which network sizes remain in the population
with the survival of NSGA-III, of pNSGA-III with the growth of accuracy (the paper), or of pNSGA-III
with size alone (the released code)? And are small networks more accurate than large ones in early
epochs if they are trained independently?

Command: python benchmarks/small_model_trap.py        (2 CPU cores, about 30 minutes)
Device: CPU, two processes with one thread each.
Output: small_model_trap.json and small_model_trap.png, next to this file. Searches are stored in
--runs; an interrupted run resumes its searches where they stopped.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from matplotlib.figure import Figure
from moonas.problems.cars import network, space
from pymoo.optimize import minimize
from torch.nn import functional as F

import moonas
from moonas.data import load, split
from moonas.metrics.error import count_wrong, error_percent
from moonas.nets.randomness import generator, initial_weights
from moonas.pareto import population_front
from moonas.run.numbers import short_number

HERE = Path(__file__).parent
RULES = {  # value of the setting "protection" -> title
    "none": "NSGA-III",
    "growth": "pNSGA-III, growth (the paper)",
    "size": "pNSGA-III, size (released code)",
}
COLORS = {"none": "#9db4c0", "growth": "#c8553d", "size": "#588157"}
NETWORKS = {"small": 0.05, "middle": 0.5, "large": 0.95}  # quantile of size among random networks
NETWORK_EPOCHS = 60


def search(rule, seed, runs, generations):
    """Run or resume a search.

    Returns:
        A dict of JSON values: sizes and errors of the population after every generation, and the
        final front with its hypervolume.
    """
    problem = moonas.load_problem(
        "cars",
        protection=rule,
        threads=1,
        device="cpu",
        generations=generations,
        journal=runs / f"{rule}-{seed}",
    )
    history = []

    def record(algorithm):
        params, error = algorithm.pop.get("params"), algorithm.pop.get("error")
        history.append({"params": params.astype(int).tolist(), "error": error.tolist()})

    result = minimize(
        problem, problem.algorithm(), ("n_gen", generations), seed=seed, callback=record
    )
    rows = population_front(problem, result.pop)
    front = [list(row.objectives.values()) for row in rows]
    return {
        "rule": rule,
        "seed": seed,
        "generations": history,
        "front": front,
        "hypervolume": problem.hypervolume(front),
    }


def train_network(name, quantile, seed):
    """Train one network from scratch; return its size and its error (%) after each epoch."""
    torch.set_num_threads(1)
    problem = moonas.load_problem("cars", device="cpu")
    rng = np.random.default_rng(0)  # the same networks with every seed
    X = rng.integers(0, space.N_CHOICES, size=(2000, space.N_VAR))
    params = problem.costs.count(*space.edges(X))[:, 0]
    chosen = np.argsort(params)[int(quantile * len(X))]
    data = load("digits")
    train, validation = split(data.labels, len(data.labels) // 2)
    with initial_weights(seed, name):
        net = network(space.decode(X[chosen]), **problem.shape)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.025, momentum=0.9, weight_decay=3e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, NETWORK_EPOCHS)
    order, curve = generator(seed, "batches"), []
    for _ in range(NETWORK_EPOCHS):
        net.train()
        shuffled = train[torch.randperm(len(train), generator=order).numpy()]
        for rows in np.array_split(shuffled, len(shuffled) // 32):
            optimizer.zero_grad()
            F.cross_entropy(net(data.images[rows]), data.labels[rows]).backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 5)
            optimizer.step()
        scheduler.step()
        net.eval()
        wrong, _ = count_wrong(net, data.images[validation], data.labels[validation], 360)
        curve.append(float(error_percent(wrong, len(validation))))
    return {"name": name, "params": int(params[chosen]), "seed": seed, "error": curve}


def summarize(searches):
    """Return sizes, best errors and hypervolumes of the last populations, by survival rule."""
    table = {}
    for rule in RULES:
        selected = [s for s in searches if s["rule"] == rule]
        last = [np.array(s["generations"][-1]["params"]) for s in selected]
        pooled = np.concatenate(last)
        table[rule] = {
            "largest": [int(x.max()) for x in last],
            "median": [float(np.median(x)) for x in last],
            "smallest": [int(x.min()) for x in last],
            "quartiles_of_all": np.quantile(pooled, [0.25, 0.5, 0.75]).tolist(),
            "best_error": [min(s["generations"][-1]["error"]) for s in selected],
            "front_size": [len(s["front"]) for s in selected],
            "hypervolume": [s["hypervolume"] for s in selected],
        }
    return table


def plot(searches, networks, path):
    """Plot populations and their sizes (figure 2), and independent training (figure 3)."""
    figure = Figure(figsize=(12, 7), layout="constrained")
    axes = figure.subplots(2, 3)
    top = max(max(g["params"]) for s in searches for g in s["generations"])
    for axis, (rule, title) in zip(axes[0], RULES.items(), strict=True):
        selected = [s for s in searches if s["rule"] == rule]
        for s in selected:
            last = s["generations"][-1]
            axis.scatter(last["params"], last["error"], s=14, color=COLORS[rule], alpha=0.7)
        axis.set(title=title, xlabel="params", xlim=(0, 1.05 * top), ylim=(0, 60))
        axis.xaxis.set_major_formatter(lambda value, _: short_number(value))
    axes[0, 0].set_ylabel(f"error (%), last population, {len(selected)} seeds")

    sizes, hv, curves = axes[1]
    for rule, title in RULES.items():
        selected = [s for s in searches if s["rule"] == rule]
        pooled = [
            np.concatenate([s["generations"][g]["params"] for s in selected])
            for g in range(len(selected[0]["generations"]))
        ]
        low, median, high = np.array([np.quantile(p, [0.1, 0.5, 0.9]) for p in pooled]).T
        x = np.arange(1, len(median) + 1)
        sizes.plot(x, median, color=COLORS[rule], label=title)
        sizes.fill_between(x, low, high, color=COLORS[rule], alpha=0.18, lw=0)
    sizes.set(xlabel="generation", ylabel="params: median, 10th to 90th percentile", ylim=(0, None))
    sizes.yaxis.set_major_formatter(lambda value, _: short_number(value))
    sizes.legend(frameon=False, fontsize=8)

    for i, rule in enumerate(RULES):
        values = [s["hypervolume"] for s in searches if s["rule"] == rule]
        hv.scatter([i] * len(values), values, color=COLORS[rule])
    hv.set_xticks(range(len(RULES)), ["NSGA-III", "growth", "size"])
    hv.set(ylabel="hypervolume of the front", xlim=(-0.5, 2.5))

    for name, color in zip(NETWORKS, ("#457b9d", "#588157", "#c8553d"), strict=True):
        selected = [a for a in networks if a["name"] == name]
        error = np.array([a["error"] for a in selected])
        x = np.arange(1, error.shape[1] + 1)
        label = f"{name}, {short_number(selected[0]['params'])}"
        curves.plot(x, 100 - np.median(error, axis=0), color=color, label=label)
        low, high = 100 - error.max(axis=0), 100 - error.min(axis=0)
        curves.fill_between(x, low, high, color=color, alpha=0.15, lw=0)
    curves.set(
        xlabel="epoch",
        ylabel="accuracy (%), trained independently",
        ylim=(40, 100),
        title="Figure 3",
    )
    curves.legend(frameon=False, loc="lower right")
    for axis in axes.flat:
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def main():
    """Run the missing searches, print a table, and write the results and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds")
    parser.add_argument("--generations", type=int, default=16, help="generations per search")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/small_model_trap"), help="folder of the searches"
    )
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    parser.add_argument(
        "--out",
        type=Path,
        default=HERE / "small_model_trap",
        help="path of the results, without suffix",
    )
    args = parser.parse_args()
    seeds = range(1, args.seeds + 1)
    searches = Parallel(args.jobs, verbose=5)(
        delayed(search)(rule, seed, args.runs, args.generations) for seed in seeds for rule in RULES
    )
    networks = Parallel(args.jobs, verbose=5)(
        delayed(train_network)(name, quantile, seed)
        for seed in seeds
        for name, quantile in NETWORKS.items()
    )
    table = summarize(searches)
    result = {
        "command": f"python benchmarks/small_model_trap.py --seeds {args.seeds} "
        f"--generations {args.generations}",
        "torch": torch.__version__,
        "summary": table,
        "alone": networks,
        "searches": searches,
    }
    args.out.with_suffix(".json").write_text(json.dumps(result) + "\n")
    plot(searches, networks, args.out.with_suffix(".png"))
    for rule, title in RULES.items():
        row = table[rule]
        print(
            f"{title:<32} smallest {np.median(row['smallest']):>7.0f}  median "
            f"{np.median(row['median']):>7.0f}  largest {np.median(row['largest']):>7.0f}  "
            f"best error {np.median(row['best_error']):.2f} %  "
            f"hypervolume {np.median(row['hypervolume']):.4f}   (medians over seeds)"
        )
    for name in NETWORKS:
        error = np.median([a["error"] for a in networks if a["name"] == name], axis=0)
        values = ", ".join(
            f"{100 - error[e - 1]:.1f}" for e in (1, 2, 3, 5, 10, 20, NETWORK_EPOCHS)
        )
        print(f"{name:<8} accuracy (%) after 1, 2, 3, 5, 10, 20, {NETWORK_EPOCHS} epochs: {values}")


if __name__ == "__main__":
    main()
