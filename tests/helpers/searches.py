"""Settings for fast runs of every stage, and functions that run searches and read results."""

import csv
import os

import numpy as np
from pymoo.core.population import Population
from pymoo.optimize import minimize

import moonas
from moonas.algorithms.named import ALGORITHMS, FOR_ONE_OBJECTIVE

DEVICE = os.environ.get("MOONAS_DEVICE", "cpu")
MULTI_OBJECTIVE = sorted(set(ALGORITHMS) - set(FOR_ONE_OBJECTIVE))
RUN = dict(device=DEVICE, threads=1)
SEARCH = RUN | dict(population=6, generations=3, workers=1)
IMAGES = dict(image_size=8, batch=128, score_batch=720)
PROXIES = SEARCH | IMAGES | dict(proxy_epochs=1)
GAN = dict(channels=2, d_channels=2, latent=3, batch=240, score_images=40, score_batch=20)
EAGAN = SEARCH | GAN | dict(image_size=8, warmup_epochs=1, epochs=1)
CYCLEGAN = IMAGES | dict(width=2, blocks=1, d_width=2, d_layers=1, margin=0, flip=False)
TINY = {  # name of a stage -> settings for a fast run
    "cars": SEARCH
    | IMAGES
    | dict(channels=2, layers=3, warmup_epochs=1, epochs=1, frozen_epochs=2),
    "nsganet": PROXIES
    | dict(channels=2, increment=1, layers=3, warmup_epochs=1, epochs=1, frozen_epochs=2),
    "nsganet-macro": PROXIES | dict(channels=2),
    "eg-darts-cells": RUN
    | IMAGES
    | dict(channels=2, layers=(3, 3), candidates=(12, 2), skip_dropout=(0.0, 0.4))
    | dict(epochs=2, weight_epochs=1, batch=240),
    "eg-darts": PROXIES | dict(first_width=(2, 3), final_epochs=2),
    "eagan-generator": EAGAN,
    "eagan-discriminator": EAGAN | dict(generator_epochs=1, d_steps=1),
    "cyclegan-pretraining": RUN | CYCLEGAN | dict(epochs=1, decay_epochs=0),
    "cyclegan-pruning": SEARCH | CYCLEGAN | dict(pretrain_epochs=1, tune_steps=1, tune_share=0.02),
    "digits-table": SEARCH,
    "nasbench-macro": SEARCH,
    "nasbench201": SEARCH,
}


def words(options, stage=""):
    """Return options as arguments of ``--set``: KEY=VALUE, or STAGE.KEY=VALUE for one stage."""
    prefix = f"{stage}." if stage else ""
    return [f"{prefix}{key}={_word(value)}" for key, value in options.items()]


def _word(value):
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def run(problem, algorithm=None, generations=3, seed=1, **options):
    """Run a search and return its result.

    Args:
        problem: problem to search.
        algorithm: a pymoo algorithm or its name; by default, the problem's default algorithm.
        generations: number of generations.
        seed: seed of the run.
        options: keyword arguments of :func:`pymoo.optimize.minimize`.
    """
    if isinstance(algorithm, str):
        algorithm = moonas.algorithm(algorithm, problem)
    algorithm = algorithm or problem.algorithm()
    return minimize(problem, algorithm, ("n_gen", generations), seed=seed, **options)


def rows(problem, n, seed=0):
    """Sample n rows, (n, n_var), with the sampling and repair operators of the problem."""
    rng, operators = np.random.default_rng(seed), problem.operators()
    X = operators["sampling"].do(problem, n, random_state=rng).get("X")
    if "repair" in operators:
        return operators["repair"].do(problem, Population.new(X=X), random_state=rng).get("X")
    return X


def uniform_rows(n_choices, n, seed=0):
    """Sample (n, n_var) ints; column j is uniform in [0, n_choices[j])."""
    return np.random.default_rng(seed).integers(0, n_choices, (n, len(n_choices)))


def front_rows(folder):
    """Return the rows of front.csv in a run folder; each row is a dict of strings."""
    with open(folder / "front.csv", newline="") as file:
        return list(csv.DictReader(file))
