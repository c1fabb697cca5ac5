"""Expected time of a training or a search, measured with a few steps before it starts."""

from __future__ import annotations

import copy
import os
import time
from typing import TYPE_CHECKING

import torch

from moonas.nets.devices import repeatable
from moonas.run.numbers import expected_duration, plural

from .training import TARGET, DiscriminatorTraining, Training, scale_pixels

if TYPE_CHECKING:
    from .evaluator import PruningEvaluator

N_MEASURED = 3  # steps, after a first step that is not counted
MAX_SECONDS = 10.0  # no further step is measured after this time
MIN_STEPS = 20  # a shorter training is not worth a measurement


def seconds_per_step(training: Training) -> float:
    """Measure the duration of a training step, without changing the training.

    A copy of the CycleGAN makes up to ``N_MEASURED`` steps. A first step, which is slower, is not
    counted unless it takes longer than ``MAX_SECONDS``.

    Args:
        training: the training.
    """
    # a subclass of Training may have other arguments
    kind = DiscriminatorTraining if isinstance(training, DiscriminatorTraining) else Training
    trial = kind(
        copy.deepcopy(training.gan), training.images, training.size, training.recipe, 0, "timing"
    )
    device = next(trial.gan.parameters()).device
    start = first = _now(device)
    steps = 0
    while steps <= N_MEASURED and _now(device) - start < MAX_SECONDS:
        trial.run(1)
        steps += 1
        if steps == 1:
            first = _now(device)
    end = _now(device)
    return (end - first) / (steps - 1) if steps > 1 else end - start


def _now(device: torch.device) -> float:
    """Return the time in seconds at which a device has completed its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def training_time(seconds: float, epochs: int, steps: int, device: torch.device) -> str:
    """Format the expected time of a training as a line of text.

    Args:
        seconds: duration of a step in seconds.
        epochs: number of epochs.
        steps: number of steps per epoch.
        device: device of the training.
    """
    return (
        f"{plural(epochs, 'epoch')} of {plural(steps, 'step')} on {_name(device)}, "
        f"{step_time(seconds)} per step: about {expected_duration(seconds * epochs * steps)}."
    )


def step_time(seconds: float) -> str:
    """Format the duration of a step, such as "12 ms" or "1.3 s"."""
    if seconds >= 10:
        return expected_duration(seconds)
    return f"{1000 * seconds:.0f} ms" if seconds < 0.1 else f"{seconds:.2g} s"


def _name(device: torch.device) -> str:
    """Return the name of a device, with the model of a GPU."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)


def search_time(evaluator: PruningEvaluator, evaluations: int) -> str:
    """Measure the evaluation of a candidate, and return the expected time of a search as text.

    The search is the default one; other algorithms may evaluate fewer candidates. A candidate of
    the density of the initial population makes a few fine-tuning steps and translates one batch of
    validation images.

    Args:
        evaluator: evaluator whose CycleGAN has been read or trained.
        evaluations: number of candidates that the search evaluates.
    """
    from .masks import compress

    s, problem = evaluator.settings, evaluator.problem
    architecture = problem.space.uniform(s.density)
    gan = compress(evaluator.require_original(), architecture, problem.groups)
    training = Training(
        gan,
        evaluator.tuning_images,
        problem.info.size,
        evaluator.tuning_recipe,
        evaluator.seed,
        "timing",
    )
    with repeatable(s.threads):
        step = seconds_per_step(training) if s.tune_steps else 0.0
        start = _now(evaluator.device)
        with torch.inference_mode():
            for k, back in TARGET.items():
                x = scale_pixels(evaluator.validation[k][: s.score_batch])
                translated = gan.generators[k](x)
                gan.discriminators[k](translated)
                gan.generators[back](translated)
        batch = _now(evaluator.device) - start
    n_batches = sum(-(-len(images) // s.score_batch) for images in evaluator.validation.values())
    seconds = s.tune_steps * step + n_batches * batch / 2  # a batch of each domain was timed
    workers = min(s.workers, os.cpu_count() or 1) if evaluator.device.type == "cpu" else 1
    several = f", {workers} at a time" if workers > 1 else ""
    return (
        f"An evaluation with {plural(s.tune_steps, 'fine-tuning step')} takes "
        f"{step_time(seconds)} on {_name(evaluator.device)}{several}; the default search, with "
        f"{plural(evaluations, 'evaluation')}, takes about "
        f"{expected_duration(evaluations * seconds / workers)}."
    )
