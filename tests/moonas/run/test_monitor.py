"""Training measures: columns of the table of generations, and warnings if a training fails."""

import math
import re
import warnings

import numpy as np
import pytest
from pymoo.optimize import minimize
from toy import Toy, journalled

from moonas.errors import TrainingWarning
from moonas.problem import TrainingMeasure
from moonas.run.callbacks import Callbacks, RunCallback
from moonas.run.monitor import TrainingMonitor
from moonas.run.progress import SearchOutput

ACCURACY = TrainingMeasure("acc", "accuracy", "%", limit=55.0, advice="Train longer.")
LOSS = TrainingMeasure("loss", "loss", limit=2.0, direction="min")
CYCLE = TrainingMeasure("cycle", "cycle loss", of_candidates=True)


class Lines(RunCallback):
    def __init__(self):
        self.lines, self.reports = [], []

    def on_log(self, text):
        self.lines.append(text)

    def on_training(self, report):
        self.reports.append(report)


def lines_after(measure, values):
    log = Lines()
    monitor = TrainingMonitor([measure], Callbacks([log]))
    for value in values:
        monitor.update_from_report({measure.name: value})
    return log.lines


def test_a_measure_warns_when_it_fails_and_again_only_after_it_has_passed():
    message = "Warning: accuracy is 55.0 %, not above 55.0 %. Train longer."
    assert lines_after(ACCURACY, [55.0, 54.0, 55.1, 55.0]) == [message] * 2
    assert lines_after(ACCURACY, [56.0, 99.0]) == []


def test_the_direction_of_a_measure_decides_on_which_side_of_the_limit_it_fails():
    assert lines_after(LOSS, [1.9]) == []
    assert lines_after(LOSS, [2.0]) == ["Warning: loss is 2, not below 2."]


def test_a_value_that_is_not_a_number_fails_only_if_there_is_a_limit():
    assert lines_after(ACCURACY, [math.nan]) == [
        "Warning: accuracy is -, not above 55.0 %. Train longer."
    ]
    assert lines_after(TrainingMeasure("loss", "loss"), [math.nan]) == []


def test_a_report_without_the_measure_changes_nothing():
    monitor = TrainingMonitor([ACCURACY], Callbacks())
    monitor.update_from_report({"steps": 3})
    assert monitor.values == {}


def test_a_measure_of_candidates_is_the_median_over_those_that_did_not_fail():
    monitor = TrainingMonitor([CYCLE], Callbacks())
    columns = {"cycle": np.array([4.0, 1.0, 2.0, 100.0]), "failed": np.array([0, 0, 0, 1])}
    monitor.update_from_columns(columns)
    assert monitor.values == {"cycle": 2.0}
    monitor.update_from_columns({"cycle": np.array([7.0]), "failed": np.array([True])})
    assert monitor.values == {"cycle": 2.0}


def test_without_callbacks_the_warning_is_a_python_warning():
    monitor = TrainingMonitor([LOSS], Callbacks())
    with pytest.warns(TrainingWarning, match="loss is 3, not below 2"):
        monitor.update_from_report({"loss": 3.0})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monitor.update_from_report({"loss": 3.0})


class MeasuredToy(Toy):
    training_measures = (
        TrainingMeasure("t", "amount", limit=3.0, advice="Wait."),
        TrainingMeasure("error", "median error", "%", of_candidates=True),
        TrainingMeasure("unknown", "new loss"),
    )


def search_measured(problem, capsys, generations=4):
    log = Lines()
    problem.callbacks.append(log)
    algorithm = problem.algorithm()
    algorithm.output = SearchOutput()
    minimize(problem, algorithm, ("n_gen", generations), seed=1, verbose=True)
    return log, capsys.readouterr().out.splitlines()[1:]  # the first line is a rule


def test_the_table_of_generations_shows_the_measures_of_each_round(capsys):
    problem = MeasuredToy()
    log, printed = search_measured(problem, capsys)
    titles, rows = re.split(r" *\| *", printed[0]), printed[2:]
    assert {"amount", "median error", "new loss"} <= set(titles)
    cells = [re.split(r" *\| *", row) for row in rows]
    amounts = [row[titles.index("amount")] for row in cells]
    assert amounts == [f"{report['t']:.3g}" for report in log.reports]
    assert len(amounts) == 4
    assert {row[titles.index("new loss")] for row in cells} == {"-"}
    medians = [float(row[titles.index("median error")].split()[0]) for row in cells]
    assert medians == sorted(medians, reverse=True)
    # t grows by more than 1 per training and passes 3 in the third
    assert [line for line in log.lines if line.startswith("Warning")] == [
        f"Warning: amount is {amounts[0]}, not above 3. Wait."
    ]


def test_a_resumed_run_reports_the_recorded_trainings(tmp_path, capsys):
    first = journalled(tmp_path, MeasuredToy)
    log, printed = search_measured(first, capsys)
    first.journal.close()
    second = journalled(tmp_path, MeasuredToy)
    again, printed_again = search_measured(second, capsys)
    assert second.evaluator.calls == []
    assert again.reports == log.reports and again.lines == log.lines
    without_time = [line.rsplit("|", 1)[0] for line in printed]
    assert [line.rsplit("|", 1)[0] for line in printed_again] == without_time
