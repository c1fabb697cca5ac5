import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import moonas
from moonas.cli import main
from moonas.comparison import proxies as module
from moonas.comparison.proxies import (
    Proxy,
    ProxyComparison,
    compare_proxies,
    plot_proxies,
    proxy_table,
)
from moonas.evaluators import ScratchEvaluator
from moonas.run.journal import read_run

PROBLEM = "nsganet-macro"


@pytest.fixture(scope="module")
def options(few_digits):
    return dict(data=str(few_digits), device="cpu", workers=1, batch=25, proxy_epochs=2)


@pytest.fixture(scope="module")
def compared(options, tmp_path_factory):
    """A comparison of four architectures with two proxies."""
    folder = tmp_path_factory.mktemp("proxies")
    vary = {"proxy_epochs": [1], "channels": [4]}
    return compare_proxies(PROBLEM, vary, out=folder, architectures=4, **options)


def comparison(full, *proxies):
    scores = [Proxy("layers", i, np.array(e, float), 10.0) for i, e in enumerate(proxies)]
    return ProxyComparison(
        "p", "error", Proxy("full scale", None, np.array(full, float), 40.0), scores, Path()
    )


def test_the_rank_correlation_and_the_saved_time_have_known_values():
    full = [1, 2, 3, 4, 5]
    result = comparison(full, [10, 20, 30, 40, 50], [5, 4, 3, 2, 1], [2, 1, 4, 3, 5], [7] * 5)
    same, reverse, swapped, constant = result.proxies
    assert [result.correlation(p) for p in (same, reverse)] == [pytest.approx(1), pytest.approx(-1)]
    assert result.correlation(swapped) == pytest.approx(1 - 6 * 4 / (5 * 24))  # four of 1
    assert math.isnan(result.correlation(constant))
    assert result.saved(same) == 75 and same.label == "layers=0"
    r = 0.8
    half = 1.96 * math.sqrt((1 + r * r / 2) / 2)
    expected = [math.tanh(math.atanh(r) + sign * half) for sign in (-1, 1)]
    assert result.interval(swapped) == pytest.approx(expected)
    for proxy in (same, reverse, constant):
        assert np.isnan(result.interval(proxy)).all()
    table = proxy_table(result)
    assert [row[2] for row in table.rows] == ["-", "-", "{:.2f} to {:.2f}".format(*expected), "-"]
    assert plot_proxies(result).axes[0].get_ylim()[0] < -1


def test_diverged_trainings_are_left_out():
    result = comparison([1, 2, 3, 4, 5, np.nan], [np.nan, 6, 7, 9, 8, 1])
    r = 1 - 6 * 2 / (4 * 15)  # of four architectures
    assert result.correlation(result.proxies[0]) == pytest.approx(r)
    half = 1.96 * math.sqrt(1 + r * r / 2)
    expected = [math.tanh(math.atanh(r) + sign * half) for sign in (-1, 1)]
    assert result.interval(result.proxies[0]) == pytest.approx(expected)


def test_an_unknown_time_is_shown_as_such():
    result = comparison([1, 2, 3], [1, 2, 3])
    unknown = replace(result, full=replace(result.full, seconds=math.nan))
    assert math.isnan(unknown.saved(unknown.proxies[0]))
    assert "nan" in proxy_table(unknown).rows[0][-1]


def test_the_interval_covers_the_correlation_of_the_population():
    """95 % of the intervals of bivariate normal samples contain their rank correlation."""
    rng, rho = np.random.default_rng(0), 0.6
    true = 6 / math.pi * math.asin(rho / 2)
    covered = []
    for _ in range(300):
        x, y = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], 40).T
        result = comparison(x, y)
        low, high = result.interval(result.proxies[0])
        covered.append(low <= true <= high)
    assert 0.92 <= np.mean(covered) <= 0.99


def test_all_scales_train_the_same_architectures(compared, options):
    folder = compared.folder
    runs = ["full-scale", "proxy_epochs=1", "channels=4"]
    calls = [read_run(folder / name) for name in runs]
    (request,) = {str(call[1][0]["request"]) for call in calls}
    assert request.count("[") >= 4
    changed = [(c[0]["settings"]["proxy_epochs"], c[0]["settings"]["channels"]) for c in calls]
    default = moonas.load_problem(PROBLEM).settings.channels
    assert changed == [(2, default), (1, default), (2, 4)]
    with open(folder / "errors.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["architecture", "full scale", "proxy_epochs=1", "channels=4"]
    errors = np.array([row[1:] for row in rows], float)
    assert len({row[0] for row in rows}) == 4
    assert np.array_equal(errors[:, 0], calls[0][1][0]["result"]["error"])
    assert (folder / "proxies.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_contains_the_measures_of_each_proxy(tmp_path):
    result = replace(comparison([1, 2, 3, 4], [1, 2, 4, 3], [4, 3, 2, 1]), folder=tmp_path)
    module._write(result, list("abcd"))
    with open(tmp_path / "proxies.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["setting"], row["value"]) for row in rows] == [("layers", "0"), ("layers", "1")]
    assert [float(row["rank_correlation"]) for row in rows] == pytest.approx([0.8, -1])
    assert [float(row["saved_percent"]) for row in rows] == [75, 75]
    low, high = result.interval(result.proxies[0])
    assert (float(rows[0]["low"]), float(rows[0]["high"])) == pytest.approx((low, high))


def test_the_scores_are_those_of_the_problem(compared, options):
    """Full scale and proxies are trained as a search trains its candidates."""
    problem = moonas.load_problem(PROBLEM, **options | dict(proxy_epochs=1))
    X = np.array(read_run(compared.folder / "full-scale")[1][0]["request"]["x"])
    problem.session._begin_evaluator(1)
    errors = problem.evaluator.score(problem.session.candidates(X[:2]))["error"]
    assert compared.proxies[0].errors[:2] == pytest.approx(errors)


@pytest.mark.slow
def test_an_interrupted_comparison_resumes_and_a_complete_one_trains_nothing(
    compared, options, tmp_path, monkeypatch
):
    vary = {"proxy_epochs": [1], "channels": [4]}
    train, trained = ScratchEvaluator._train_and_evaluate, []

    def stop_once(evaluator, architecture, row):
        trained.append(tuple(row))
        if len(trained) == 6:
            raise KeyboardInterrupt
        return train(evaluator, architecture, row)

    monkeypatch.setattr(ScratchEvaluator, "_train_and_evaluate", stop_once)

    def compare():
        return compare_proxies(PROBLEM, vary, out=tmp_path, architectures=4, **options)

    with pytest.raises(KeyboardInterrupt):
        compare()
    resumed = compare()
    assert len(trained) == 13  # 12, and the interrupted one again
    for scale, expected in zip(resumed.proxies, compared.proxies, strict=True):
        assert np.array_equal(scale.errors, expected.errors)
    again = compare()
    assert len(trained) == 13
    assert [p.seconds for p in again.proxies] == [p.seconds for p in resumed.proxies]


def test_the_errors_are_ranked_whatever_the_order_of_the_objectives(compared, options):
    problem = moonas.load_problem(PROBLEM, objectives=("params", "error"), **options)
    assert problem.columns[0].name == "error" == compared.quality


@pytest.mark.slow
def test_trainings_that_diverge_have_no_error(options, tmp_path):
    result = compare_proxies(
        PROBLEM, {"learning_rate": [1e9]}, out=tmp_path, architectures=3, **options
    )
    assert np.isnan(result.proxies[0].errors).all()
    assert math.isnan(result.correlation(result.proxies[0]))
    assert np.isfinite(result.full.errors).all()


def test_a_figure_has_axes_for_each_setting(compared):
    axes = plot_proxies(compared).axes
    assert [a.get_xlabel() for a in axes] == ["proxy_epochs", "channels"]


def test_a_figure_shows_every_interval():
    result = comparison(range(6), [5, 4, 3, 2, 0, 1], [0, 1, 2, 3, 5, 4])
    low = result.interval(result.proxies[0])[0]
    named = [replace(p, setting=name) for p, name in zip(result.proxies, "ab", strict=True)]
    first, second = plot_proxies(replace(result, proxies=named)).axes
    assert low < -0.9 and first.get_ylim()[0] < low and second.get_ylim() == first.get_ylim()


@pytest.mark.parametrize(
    ("name", "vary", "architectures", "message"),
    [
        ("cars", {"channels": [4]}, 4, "cars does not train each candidate from scratch"),
        ("nsganet", {"evaluator": ["supernet"]}, 4, "nsganet does not train each candidate"),
        (PROBLEM, {"chanels": [4]}, 4, "Unknown setting 'chanels'"),
        (PROBLEM, {"channels": []}, 4, "at least one value of a setting"),
        (PROBLEM, {"channels": [0]}, 4, "channels=0 is invalid"),
        (PROBLEM, {"channels": [4]}, 2, "architectures=2 is invalid: expected at least 3"),
    ],
)
def test_invalid_comparisons_are_rejected_before_any_training(
    options, tmp_path, name, vary, architectures, message
):
    with pytest.raises(ValueError, match=message):
        compare_proxies(name, vary, out=tmp_path / "out", architectures=architectures)
    assert not (tmp_path / "out").exists()


def test_a_space_with_too_few_architectures_is_reported(options, tmp_path):
    full = moonas.load_problem("nsganet-macro", **options)
    full.decode = lambda x: "the same"
    with pytest.raises(ValueError, match="300 random rows of this search space contained only 1"):
        module._distinct(full, 3, np.random.default_rng(0))


def test_the_command_prints_a_table(compared, options, capsys):
    settings = [f"{name}={value}" for name, value in options.items() if name != "data"]
    line = ["proxies", PROBLEM, "--data", options["data"], "--architectures", "4", "--set"]
    vary = ["--vary", "proxy_epochs=1", "channels=4", "--out", str(compared.folder)]
    assert main([*line, *settings, *vary]) == 0
    out = capsys.readouterr().out
    for text in ("4 random architectures", "proxy_epochs=1", "channels=4", "proxies.png"):
        assert text in out
    assert main(["proxies", "nothing", "--vary", "channels=4", "--out", "x"]) == 2
    assert "Unknown problem 'nothing'" in capsys.readouterr().err
    assert main(["proxies", PROBLEM, "--vary", "channels=a", "--out", "x"]) == 2
    assert "channels=a is invalid" in capsys.readouterr().err
