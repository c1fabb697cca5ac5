"""Which warm-up teaches the shared discriminators of EAGAN's stage 2 anything? (section 5.1)

Question: after the warm-up of stage 2, do the discriminators of the first round tell real from
generated images? The warm-up of the paper trains a new random path through SuperNet-D at every
step; the alternative trains the networks of the first round. Both train one or four networks per
step.

Method: a generator trains against EAGAN_D_C. Then SuperNet-D trains against it with each warm-up,
from equal initial weights and for equal numbers of forward passes. The accuracy is the median over
16 discriminators of the first round, on up to 500 real images of the test set and as many generated
images; a random guess has 50 %, and a hinge loss of 2. The preset "paper" has the network shapes,
the batches and the learning rates of the paper.

Command: python benchmarks/eagan_warmup.py                              (about 20 minutes, 2 cores)
         python benchmarks/eagan_warmup.py --data FOLDER --preset paper --device cuda \
             --generator-epochs 3 --epochs 1
Output: eagan_warmup-DATA.json next to this file, and a table.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed

import moonas

HERE = Path(__file__).parent
N_NETWORKS = 16
WARM_UPS = {  # label -> settings
    "new networks, 1 per step (paper)": dict(warmup_networks="new", networks_per_step=1),
    "new networks, 4 per step": dict(warmup_networks="new", networks_per_step=4),
    "first round, 1 per step": dict(warmup_networks="population", networks_per_step=1),
    "first round, 4 per step": dict(warmup_networks="population", networks_per_step=4),
}


def measure(label, seed, args):
    """Return the result of one warm-up: "d_loss", "d_accuracy" (%) and "g_fid"."""
    torch.set_num_threads(1)
    options = WARM_UPS[label]
    problem = moonas.load_problem(
        "eagan-discriminator",
        preset=args.preset,
        data=args.data,
        device=args.device,
        features="classifier",
        workers=1,
        score_images=1000,
        generator_epochs=args.generator_epochs,
        # the same number of forward passes of discriminators
        warmup_epochs=args.epochs * 4 // options["networks_per_step"],
        **options,
    )
    rng = np.random.default_rng(seed)
    X = problem.operators()["sampling"].do(problem, N_NETWORKS, random_state=rng).get("X")
    evaluator, candidates = problem.evaluator, problem.session.candidates(X)
    evaluator.begin(seed)
    report = evaluator.warm_up_for(candidates)
    fid = evaluator.evaluate_generators([evaluator.best_generator.net])["fid"][0]
    return {name: report[name] for name in ("d_loss", "d_accuracy")} | {"g_fid": float(fid)}


def main():
    """Run all warm-ups, print a table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", default="digits", help="data set or folder of images")
    add("--preset", default="digits", help="preset of eagan-discriminator")
    add("--device", default="cpu")
    add("--generator-epochs", type=int, default=100, help="epochs of the generator")
    add("--epochs", type=int, default=20, help="epochs of a warm-up with 4 networks per step")
    add("--jobs", type=int, default=2, help="warm-ups that run at the same time")
    add("--seeds", type=int, default=3, help="number of seeds")
    args = parser.parse_args()
    tasks = [(label, seed) for seed in range(1, args.seeds + 1) for label in WARM_UPS]
    results = Parallel(args.jobs)(delayed(measure)(*task, args) for task in tasks)
    table = {label: [] for label in WARM_UPS}
    for (label, _), result in zip(tasks, results, strict=True):
        table[label].append(result)
    name = Path(args.data).name
    on_gpu = args.device.startswith("cuda")
    document = {
        "arguments": {k: v for k, v in vars(args).items() if k not in ("data", "jobs")},
        "data": name,
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(args.device) if on_gpu else args.device,
        "table": table,
    }
    path = HERE / f"eagan_warmup-{name}.json"
    path.write_text(json.dumps(document, indent=1) + "\n")
    for label, rows in table.items():
        values = "   ".join(
            f"{name} {' '.join(f'{row[name]:6.2f}' for row in rows)}"
            for name in ("d_loss", "d_accuracy", "g_fid")
        )
        print(f"{label:<34} {values}")


if __name__ == "__main__":
    main()
