"""Training measures of searches for classifiers: above chance if training works, else a warning."""

import numpy as np
import pytest
import torch
from pymoo.optimize import minimize
from scipy.stats import rankdata

import moonas
from moonas.data.images import DataInfo
from moonas.evaluators import SupernetEvaluator
from moonas.evaluators.measures import classifier_measures
from moonas.run.callbacks import RunCallback
from moonas.run.journal import read_run
from moonas.run.monitor import TrainingMeasure
from moonas.weight_sharing import rank_measures

TRAINED = {  # enough to learn digits, in seconds
    "cars": dict(channels=4, warmup_epochs=8, epochs=1, population=8),
    "nsganet-macro": dict(channels=4, proxy_epochs=2, population=4),
}


class Log(RunCallback):
    def __init__(self):
        self.lines = []

    def on_log(self, text):
        self.lines.append(text)


def search(name, folder=None, generations=1, **options):
    """Return the problem and the warnings of a search on digits."""
    problem = moonas.load_problem(
        name, device="cpu", workers=1, journal=folder, **TRAINED[name] | options
    )
    log = Log()
    problem.callbacks.append(log)
    minimize(problem, problem.algorithm(), ("n_gen", generations), seed=1)
    return problem, [line for line in log.lines if line.startswith("Warning: ")]


def info(n_classes, **options):
    return DataInfo("data", n_classes, channels=1, side=8, **options)


@pytest.mark.parametrize(
    ("n_classes", "limit"), [(2, 45.0), (3, 200 / 3 - 5), (10, 88.0), (1000, 99.88)]
)
def test_the_limits_are_those_of_a_random_guess(n_classes, limit):
    loss, error = classifier_measures(info(n_classes), "error")
    assert error.limit == pytest.approx(limit) and loss.limit is None
    assert error.fails(100 - 100 / n_classes)
    assert not error.fails(limit - 0.01)


def test_the_limit_of_several_labels_is_that_of_a_random_order():
    _, auroc = classifier_measures(info(14, multi_label=True), "auroc_error")
    assert auroc.limit == 48 and auroc.name == "auroc_error"


@pytest.mark.parametrize("name", [pytest.param("cars", marks=pytest.mark.slow), "nsganet-macro"])
def test_a_training_that_works_passes_its_limits(name):
    problem, warnings = search(name)
    assert warnings == []
    values = problem.session.monitor.values
    assert values["loss"] < 3 and values["error"] < 86


@pytest.mark.parametrize("name", TRAINED)
def test_a_training_that_changes_no_weights_warns(name, monkeypatch):
    monkeypatch.setattr(torch.optim.SGD, "step", lambda *_: None)
    short = dict(warmup_epochs=1) if name == "cars" else dict(proxy_epochs=1, population=2)
    _, warnings = search(name, **short)
    (error,) = warnings
    assert error.startswith("Warning: median error is ") and "not below 88.0 %" in error
    assert "A random guess has an error of 90 %" in error


def test_rank_measures_are_the_correlation_of_at_least_eight_varied_scores():
    before = np.array([5.0, 4, 3, 2, 1, 0, 7, 6])
    assert rank_measures(before, 2 * before)["rank_correlation"] == pytest.approx(1)
    assert rank_measures(before, -before)["rank_correlation"] == pytest.approx(-1)
    swapped = before.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    expected = 1 - 6 * 2 / (8 * 63)
    assert rank_measures(before, swapped)["rank_correlation"] == pytest.approx(expected)
    assert rank_measures(before[:7], before[:7]) == {}
    assert rank_measures(before, np.ones(8)) == {}


def test_growth_and_rank_correlation_compare_the_scores_of_two_generations(tmp_path, few_digits):
    options = dict(data=few_digits, batch=20, warmup_epochs=2)
    problem, _ = search("cars", tmp_path, generations=2, **options)
    values = problem.session.monitor.values
    problem.journal.close()
    first, before, both = (
        {
            str(x): error
            for x, error in zip(call["request"]["x"], call["result"]["error"], strict=True)
        }
        for call in read_run(tmp_path)[1]
        if call["kind"] in ("score", "score before")
    )
    assert set(both) == set(first) | set(before)
    ranks = [rankdata([scores[x] for x in first]) for scores in (first, both)]
    assert values["rank_correlation"] == pytest.approx(np.corrcoef(ranks)[0, 1])
    growths = [error - both[x] for x, error in (first | before).items()]
    assert values["growth"] == pytest.approx(np.median(growths) / problem.settings.epochs)
    assert values["error"] == pytest.approx(np.median(list(both.values())))


def test_a_supernet_that_orders_candidates_differently_each_generation_warns(
    few_digits, monkeypatch
):
    score, calls = SupernetEvaluator.score, []

    def reverse(evaluator, candidates):
        """Return errors in the order of the genes, which is reversed in each generation."""
        columns = score(evaluator, candidates)
        calls.append(len(candidates))
        order = rankdata([sum(x) for x in candidates.rows.tolist()], method="ordinal")
        return columns | {"error": order if len(calls) == 1 else len(order) - order}

    monkeypatch.setattr(SupernetEvaluator, "score", reverse)
    options = dict(data=few_digits, batch=20, warmup_epochs=1, channels=2, population=12)
    _, warnings = search("cars", generations=2, **options)
    (warning,) = (line for line in warnings if "rank corr. is" in line)
    assert "not above 0" in warning


def test_a_subclass_can_assign_other_measures(few_digits):
    problem = moonas.load_problem("cars", data=few_digits, device="cpu")
    problem.training_measures = measures = (TrainingMeasure("loss", "loss"),)
    assert problem.training_measures is measures


def test_the_search_for_cells_warns_at_the_end_of_a_period(few_digits, tiny_of, monkeypatch):
    monkeypatch.setattr(torch.optim.SGD, "step", lambda *_: None)
    options = tiny_of("eg-darts-cells") | dict(data=few_digits, batch=40)
    stage, log = moonas.load_stage("eg-darts-cells", **options), Log()
    stage.session.callbacks.append(log)
    stage.run(seed=1)
    warnings = [line for line in log.lines if line.startswith("Warning: ")]
    assert any("validation error is" in line for line in warnings)
    first_warning = log.lines.index(warnings[0])
    assert log.lines[first_warning - 1].startswith("  epoch  2:")  # the last of the period
