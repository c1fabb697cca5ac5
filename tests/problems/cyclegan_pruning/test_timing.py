import time

import torch
from callbacks import CallbackOf
from cyclegans import SMALL
from moonas.problems.cyclegan_pruning import timing
from moonas.problems.cyclegan_pruning.settings import PretrainingSettings
from moonas.problems.cyclegan_pruning.timing import (
    search_time,
    seconds_per_step,
    step_time,
)
from moonas.problems.cyclegan_pruning.training import Recipe, Training, new_gan

from moonas.settings import select


def new_training():
    settings = PretrainingSettings(**SMALL | dict(batch=2))
    images = torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8, generator=torch.manual_seed(0))
    gan = new_gan(1, "cpu", **settings.network_shape)
    recipe = select(Recipe, settings)
    return Training(gan, {"a": images, "b": images.flip(0)}, (8, 8), recipe, 1, "test")


def test_the_measured_time_of_a_step_excludes_the_slow_first_step(monkeypatch):
    durations = iter([0.3, 0.02, 0.02, 0.02, 9])
    monkeypatch.setattr(Training, "run", lambda self, steps: time.sleep(next(durations)))
    assert 0.02 <= seconds_per_step(new_training()) < 0.1
    monkeypatch.setattr(timing, "MAX_SECONDS", 0.05)
    durations = iter([0.1, 9])
    assert 0.1 <= seconds_per_step(new_training()) < 0.5


def test_the_measurement_leaves_the_training_as_it_is():
    first, second = new_training(), new_training()
    seconds_per_step(first)
    state = second.state()
    assert all(torch.equal(tensor, state[name]) for name, tensor in first.state().items())


def test_the_expected_time_of_a_search_grows_with_its_evaluations(make_problem, monkeypatch):
    problem = make_problem(tune_steps=5)
    evaluator = problem.evaluator
    evaluator.begin(1)
    evaluator.warm_up()
    before = {name: t.clone() for name, t in evaluator.state().items()}
    monkeypatch.setattr(timing, "seconds_per_step", lambda training: 2.0)
    text = search_time(evaluator, 120)
    assert text.startswith(
        "An evaluation with 5 fine-tuning steps takes 10 s on cpu; the default search, with 120 "
        "evaluations, takes about 20"
    )
    assert all(torch.equal(t, before[name]) for name, t in evaluator.state().items())


def test_the_evaluator_says_that_it_has_logged_the_expected_time(make_problem, tmp_path):
    problem, lines = make_problem(tune_steps=1, journal=tmp_path), []
    problem.callbacks.append(CallbackOf(on_log=lines.append))
    problem.evaluator.begin(1)
    assert not problem.session.has_logged_time
    problem.evaluator.warm_up()
    assert problem.session.has_logged_time and "the default search, with" in lines[-1]
    problem.journal.close()


def test_the_duration_of_a_step_is_readable():
    texts = [step_time(seconds) for seconds in (0.0123, 1.25, 12.4, 123.4, 4800)]
    assert texts == ["12 ms", "1.2 s", "12 s", "2 min 0 s", "1 h 20 min"]
