"""Where does the time of a generation go, and does equation 5 of CARS predict it?

Question: how much of a search is training, scoring, pymoo and the journal; and how far is the whole
from T = E_warm T_tr + E_evo (E_param T_tr B + T_val), with T_tr the time to train one architecture
for an epoch and T_val that to score all architectures of a generation?

Command: python benchmarks/generation_cost.py        (2 CPU cores, about 3 minutes)
Device: CPU by default, --device cuda for a GPU.
Output: generation_cost.json (generation_cost-cuda.json) beside this file.
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
    """Seconds of each generation by part, from a search with the digits preset."""
    with tempfile.TemporaryDirectory() as folder:
        problem = moonas.load_problem("cars", device=device, journal=folder)
        ends = [time.perf_counter()]
        starts = [0]  # first call of each generation

        def note(algorithm):
            ends.append(time.perf_counter())
            starts.append(problem.journal.n_calls)

        minimize(
            problem,
            problem.algorithm(),
            ("n_gen", problem.settings.generations),
            seed=seed,
            callback=note,
        )
        text = (Path(folder) / "times.jsonl").read_text()
        calls = [json.loads(line) for line in text.splitlines()]
    generations = []
    for wall, first, last in zip(np.diff(ends), starts, starts[1:], strict=False):
        mine = calls[first:last]
        part = {
            "training": sum(c["seconds"] for c in mine if c["kind"] == "train"),
            "scoring": sum(c["seconds"] for c in mine if c["kind"] != "train"),
            "journal": sum(c["journal_seconds"] for c in mine),
        }
        # what is left is pymoo, and the checks between it and the evaluator
        part["pymoo"] = float(wall) - sum(part.values())
        generations.append(part | {"wall": float(wall)})
    return problem.settings, generations


def predict(settings, generations):
    """Equation 5 from the warm-up's time and the first generation's scores, against the clock."""
    s = settings
    t_train = generations[0]["training"] / s.warmup_epochs  # an epoch of one architecture
    t_score = generations[0]["scoring"] / s.population  # one architecture
    offspring = round(s.expand * s.population)
    t_val = t_score * (s.population + 2 * offspring)  # offspring before and after
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
    """Measure, print a table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    settings, generations = measure(args.device, args.seed)
    later = generations[1:]
    wall = np.median([g["wall"] for g in later])
    print(f"A generation of {settings.population} parents, {settings.epochs} epochs, medians:")
    shares = {}
    for name in ("training", "scoring", "pymoo", "journal"):
        seconds = np.median([g[name] for g in later])
        shares[name] = float(seconds / wall)
        print(f"  {name:<9} {seconds:8.3f} s  {100 * shares[name]:6.2f} %")
    print(f"  {'all':<9} {wall:8.3f} s")
    print(f"pymoo and journal: {100 * (shares['pymoo'] + shares['journal']):.2f} %")
    equation = predict(settings, generations)
    print(
        f"Equation 5: T_tr {equation['T_tr']:.3f} s, T_val {equation['T_val']:.3f} s, predicted "
        f"{equation['predicted']:.0f} s, measured {equation['measured']:.0f} s in all."
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
