"""Which steps of a generation take the most time, and does equation 5 of CARS predict it?

Question: which share of the time of a search do training, evaluation, pymoo and the journal take?
And how much does the total time differ from T = E_warm T_tr + E_evo (E_param T_tr B + T_val), where
T_tr is the time to train one architecture for one epoch and T_val the time to evaluate all
architectures of a generation?

Command: python benchmarks/generation_cost.py        (2 CPU cores, about 3 minutes)
Device: CPU by default, --device cuda for a GPU.
Output: generation_cost.json (generation_cost-cuda.json), next to this file.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from pymoo.optimize import minimize

import moonas

HERE = Path(__file__).parent


def measure(device, seed):
    """Run a search with the digits preset; return its settings and times (s) per generation."""
    with tempfile.TemporaryDirectory() as folder:
        problem = moonas.load_problem("cars", device=device, journal=folder)
        ends = [time.perf_counter()]
        starts = [0]  # index of the first recorded call of each generation

        def record(algorithm):
            ends.append(time.perf_counter())
            starts.append(problem.journal.n_calls)

        minimize(
            problem,
            problem.algorithm(),
            ("n_gen", problem.settings.generations),
            seed=seed,
            callback=record,
        )
        text = (Path(folder) / "times.jsonl").read_text()
        calls = [json.loads(line) for line in text.splitlines()]
    generations = []
    for wall, first, last in zip(np.diff(ends), starts, starts[1:], strict=False):
        generation_calls = calls[first:last]
        seconds = {
            "training": sum(c["seconds"] for c in generation_calls if c["kind"] == "train"),
            "scoring": sum(c["seconds"] for c in generation_calls if c["kind"] != "train"),
            "journal": sum(c["journal_seconds"] for c in generation_calls),
        }
        # the remainder is pymoo and the checks between pymoo and the evaluator
        seconds["pymoo"] = float(wall) - sum(seconds.values())
        generations.append(seconds | {"wall": float(wall)})
    return problem.settings, generations


def predict(settings, generations):
    """Predict the time of the search by equation 5, from its warm-up and first generation.

    Returns:
        T_tr, T_val, and the predicted and measured time of the search, in seconds.
    """
    s = settings
    t_train = generations[0]["training"] / s.warmup_epochs  # one architecture, one epoch
    t_score = generations[0]["scoring"] / s.population  # one architecture
    offspring = round(s.expand * s.population)
    t_val = t_score * (
        s.population + 2 * offspring
    )  # offspring are evaluated before and after training
    evolution = s.generations - 1
    epoch = t_train * s.architectures_per_step
    predicted = s.warmup_epochs * t_train + evolution * (s.epochs * epoch + t_val)
    return {
        "T_tr": t_train,
        "T_val": t_val,
        "predicted": predicted,
        "measured": sum(g["wall"] for g in generations),
    }


def main():
    """Measure the times, print a table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="device of the search")
    parser.add_argument("--seed", type=int, default=1, help="random seed")
    args = parser.parse_args()
    settings, generations = measure(args.device, args.seed)
    later = generations[1:]
    wall = np.median([g["wall"] for g in later])
    print(f"Medians per generation of {settings.population} parents and {settings.epochs} epochs:")
    shares = {}
    for name in ("training", "scoring", "pymoo", "journal"):
        seconds = np.median([g[name] for g in later])
        shares[name] = float(seconds / wall)
        print(f"  {name:<9} {seconds:8.3f} s  {100 * shares[name]:6.2f} %")
    print(f"  {'total':<9} {wall:8.3f} s")
    print(f"pymoo and journal: {100 * (shares['pymoo'] + shares['journal']):.2f} %")
    equation = predict(settings, generations)
    print(
        f"Equation 5: T_tr {equation['T_tr']:.3f} s, T_val {equation['T_val']:.3f} s, predicted "
        f"{equation['predicted']:.0f} s, measured {equation['measured']:.0f} s."
    )
    name = "generation_cost.json" if args.device == "cpu" else f"generation_cost-{args.device}.json"
    result = {
        "command": f"python benchmarks/generation_cost.py --device {args.device}",
        "torch": torch.__version__,
        "threads": settings.threads,
        "shares": shares,
        "equation_5": equation,
        "generations": generations,
    }
    (HERE / name).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
