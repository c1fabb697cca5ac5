"""How far are the architecture gradients of EG-DARTS from the exact second-order gradient?

Question: what are the relative errors of the first-order gradient and of the finite difference of
eq. 4, with the displacement of DARTS, and how long does each gradient take?

Method: the relaxed network of the first period of the digits preset, untrained or after --epochs
epochs of training of the weights; one training batch and one validation batch. The exact gradient
differentiates twice; in float64, it agrees with a reference that differentiates through the weight
update (see the tests). Errors are norms of differences, divided by the norm of the exact gradient.
The learning rate of the weight update is that of the preset.

Command: python benchmarks/second_order.py              (one CPU core, about two minutes)
Device: CPU, one thread.
Output: second_order.json, next to this file.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from moonas.problems.eg_darts.gradient import first_order, second_order
from moonas.problems.eg_darts.relaxation import Relaxation
from torch.nn import functional as F

import moonas

HERE = Path(__file__).parent
METHODS = ("first order", "finite difference", "exact")


def measure(seed, epochs, dtype):
    """Return the error, the cosine with the exact gradient, and the seconds of each method."""
    stage = moonas.load_stage("eg-darts-cells", device="cpu", threads=1, weight_epochs=epochs + 1)
    relaxation = Relaxation(stage, seed)
    n_operations = stage.settings.candidates[0]
    relaxation.start(0, np.tile(np.arange(n_operations), (2, 14, 1)))
    for _ in range(epochs):
        relaxation.train()
    net = relaxation.net.train().to(dtype)
    net.skip_dropout = 0.0
    alphas = relaxation.alphas.detach().to(dtype).requires_grad_()
    size = stage.settings.batch
    batches = [
        (images[:size].to(dtype), labels[:size])
        for images, labels in (relaxation.images.train, relaxation.images.validation)
    ]

    def loss(batch):
        images, labels = batches[batch]
        return F.cross_entropy(net(images, alphas.softmax(-1)), labels)

    losses = (lambda: loss(1)), (lambda: loss(0))
    weights = [w for w in net.parameters() if w.requires_grad]
    rate = stage.settings.learning_rate
    gradients, seconds = {}, {}
    for method in METHODS:
        start = time.process_time()
        if method == "first order":
            _, gradients[method] = first_order(losses[0], alphas)
        else:
            exact = method == "exact"
            _, gradients[method] = second_order(*losses, weights, alphas, rate, exact)
        seconds[method] = time.process_time() - start
    reference = gradients["exact"].double()
    return {
        method: {
            "error": float((gradient.double() - reference).norm() / reference.norm()),
            "cosine": float(F.cosine_similarity(gradient.double().ravel(), reference.ravel(), 0)),
            "seconds": seconds[method],
        }
        for method, gradient in gradients.items()
    }


def main():
    """Measure all seeds, print a table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, nargs="+", default=[0])
    args = parser.parse_args()
    torch.set_num_threads(1)
    results = {}
    for epochs in args.epochs:
        for dtype in (torch.float64, torch.float32):
            name = f"{epochs} epochs, {str(dtype).removeprefix('torch.')}"
            results[name] = [measure(seed, epochs, dtype) for seed in range(1, args.seeds + 1)]
            for method in METHODS:
                rows = [result[method] for result in results[name]]
                columns = (
                    f"{key} " + " ".join(f"{row[key]:.3g}" for row in rows)
                    for key in ("error", "cosine", "seconds")
                )
                print(f"{name:<20} {method:<18}", *columns, sep="  ", flush=True)
    result = {"command": "python benchmarks/second_order.py", "torch": torch.__version__}
    text = json.dumps(result | {"results": results}, indent=1)
    (HERE / "second_order.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
