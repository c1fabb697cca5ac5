import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from moonas.problems.eg_darts import cell_space
from moonas.problems.eg_darts.problem import find_cells
from moonas.problems.eg_darts.space import Architecture
from pymoo.algorithms.moo.nsga2 import NSGA2
from searches import TINY, front_rows, rows, run, words

import moonas
from moonas.algorithms import ALGORITHMS
from moonas.cli import main
from moonas.nets.counting import count_macs, count_params
from moonas.pareto import Row
from moonas.run.journal import read_run

TEXT = cell_space.random_cells(np.random.default_rng(3)).text


@pytest.fixture
def load(tiny_of):
    def make(**options):
        return moonas.load_problem("eg-darts", **tiny_of("eg-darts") | options)

    return make


@pytest.mark.parametrize(
    "cells", [*(pytest.param(c, marks=pytest.mark.slow) for c in ("PDARTS", "CARS_A")), TEXT]
)
def test_counts_are_those_of_the_networks(load, cells, few_digits):
    few = dict(data=few_digits, batch=25)
    problem = load(cells=cells, first_width=(3, 9), widening=(1.0, 3.0), **few)
    X = rows(problem, 6)
    counted = problem.count(problem.session.candidates(X))
    for x, numbers in zip(X, counted, strict=True):
        network = problem.network(problem.decode(x))
        assert (count_params(network), count_macs(network, *problem.input_shape)) == tuple(numbers)
    out = problem.evaluate(X, return_as_dictionary=True)
    assert out["params"].tolist() == counted[:, 0].tolist()
    assert (counted <= problem.count(problem.candidates([problem.space.widest()]))).all()


def test_operations_hold_every_part_of_every_network(load):
    problem = load(first_width=(3, 6), stage_cells=(1, 4), widening=(1.0, 2.0))
    parts = problem.operations()
    assert len(set(parts)) == len(parts)
    for x in rows(problem, 60):
        assert set(problem.parts(problem.decode(x))) <= set(parts)


def test_latency_is_the_sum_of_a_table(load, tmp_path):
    plain = load()
    table = {part.key: 0.5 for part in plain.operations()}
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"parts": table}))
    problem = load(latency_table=str(path), objectives=("error", "latency_ms"))
    X = rows(problem, 3)
    F = problem.evaluate(X)
    expected = [0.5 * len(problem.parts(problem.decode(x))) for x in X]
    assert F[:, 1].tolist() == pytest.approx(expected)


def test_cells_come_by_name_by_text_and_by_default(load):
    published = find_cells("PDARTS")
    assert find_cells(None) == load().cells == published
    assert load(cells=TEXT).cells.text == TEXT
    with pytest.raises(ValueError, match=r"cells='PDRTS' are not known; choose from \['CARS_A'"):
        load(cells="PDRTS")
    with pytest.raises(ValueError, match="must have 8 edges, two per node; got 1"):
        load(cells="sep3@0 / sep3@0")


def test_cells_of_a_run_become_a_setting_that_needs_the_run_no_more(load, tmp_path):
    (tmp_path / "cells.json").write_text(json.dumps({"cells": TEXT}))
    problem = load(from_run=tmp_path)
    assert problem.settings.cells == TEXT and problem.settings.from_run is None
    with pytest.raises(ValueError, match="none, since from_run brings cells"):
        load(from_run=tmp_path, cells="PDARTS")
    with pytest.raises(ValueError, match="no run of eg-darts-cells"):
        load(from_run=tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            dict(first_width=(9, 3)),
            r"first_width=\(9, 3\) is invalid: expected the least and the most",
        ),
        (dict(stage_cells=(1, 2, 3)), "stage_cells=.*two numbers in order"),
        (dict(widening=(0.5, 2.0)), "widening=.* is invalid: expected at least 1"),
    ],
)
def test_bounds_that_are_none_are_refused(load, options, message):
    with pytest.raises(ValueError, match=message):
        load(**options)


def test_rows_with_halves_are_refused_with_advice(load):
    problem = load()
    X = rows(problem, 6)
    X[0, 1] = 1.5
    with pytest.raises(ValueError, match=r"x\[0, 1\] = 1.5 is not an integer.*problem.operators"):
        problem.evaluate(X)


def test_vectors_of_one_network_score_alike_and_count_as_duplicates(load):
    problem = load(first_width=(4, 12))
    X = np.array([[4, 1, 1, 1, 1.5, 1.0], [4, 1, 1, 1, 1.51, 1.01]])
    assert problem.decode(X[0]) == problem.decode(X[1]) == Architecture((4, 6, 6), (1, 1, 1))
    F = problem.evaluate(X)
    assert np.array_equal(F[0], F[1])
    algorithm = NSGA2(
        pop_size=4, sampling=X, **{k: v for k, v in problem.operators().items() if k != "sampling"}
    )
    result = run(problem, algorithm, generations=1)
    assert len(result.pop) == 1


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_every_algorithm_searches_it(load, name):
    problem = load(population=4)
    seen = []

    def score(candidates):  # in place of training, which takes seconds
        seen.extend(candidates)
        error = np.array([100 / (1 + a.depth) for a in candidates])
        return {"error": error} | problem.network_costs.count(candidates)

    problem.evaluator.score, problem.evaluator.independent = score, False
    result = run(problem, name)
    assert moonas.front(result) and len(seen) >= 4


def test_the_final_test_is_on_images_that_the_search_has_not_seen(load):
    problem = load()
    problem.evaluator.begin(1)
    final = problem.scratch_evaluator(epochs=1, final=True)
    final.begin(1)
    searched, tested = problem.evaluator.images, final.images
    assert len(tested.train[1]) == 1437 and len(tested.validation[1]) == 360
    everything = {image.numpy().tobytes() for image in tested.train[0].cpu()}
    for images, _ in (searched.train, searched.validation):
        assert {image.numpy().tobytes() for image in images.cpu()} <= everything
    assert not {i.numpy().tobytes() for i in tested.validation[0].cpu()} & everything


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def line(few_digits):
    """A search of both stages on a hundred images."""
    cells = TINY["eg-darts-cells"] | dict(batch=25)
    networks = TINY["eg-darts"] | dict(batch=25, population=4, generations=2)
    line = ["search", "eg-darts", "--data", str(few_digits), "--set"]
    return [*line, *words(cells, "eg-darts-cells"), *words(networks, "eg-darts")]


def without_cells(line):
    """The same of the second stage alone."""
    return [word for word in line if not word.startswith("eg-darts-cells.")]


RUN = Path("runs", "eg-darts-digits-seed1")


@pytest.fixture(scope="module")
def searched(line, tmp_path_factory):
    """The folder in which that search has run, and what it has printed."""
    folder = tmp_path_factory.mktemp("search")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert main(line) == 0
    return folder, out.getvalue()


@pytest.fixture
def copied(searched, elsewhere):
    """A copy of that run in the folder of a test."""
    return shutil.copytree(searched[0] / RUN, elsewhere / RUN)


def test_a_search_runs_both_stages_and_the_same_line_computes_nothing(
    searched, copied, capsys, line
):
    out, folder = searched[1], copied
    cells = json.loads((folder / "eg-darts-cells" / "cells.json").read_text())["cells"]
    head, records = read_run(folder / "eg-darts")
    assert head["settings"]["cells"] == cells
    assert [r["kind"] for r in records] == ["score", "score", "final test"]
    for text in ("Normal cell / reduction cell: ", "Period 2 of 2: 3 cells, 2 candidates an edge"):
        assert text in out
    (picked,) = [row for row in front_rows(folder / "eg-darts") if row["picked"] == "1"]
    assert f"Picked: {picked['description']}. Trained from scratch for 2 epochs" in out
    test_error = records[-1]["result"]["error"][0]
    assert f"it has a test error of {test_error:.2f} %" in out
    assert test_error > 0 and test_error / 5 == pytest.approx(round(test_error / 5))  # of 20
    assert f"its validation error was {float(picked['error']):.2f} %" in out
    x = picked["x"].split()
    assert all("." not in value for value in x[:4]) and len(x) == 6
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert main(line) == 0
    again = capsys.readouterr().out
    assert again.count("This run is complete") == 2
    assert f"it has a test error of {test_error:.2f} %" in again
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_a_lone_second_stage_goes_on_with_the_cells_beside_it(copied, capsys, line):
    ours = without_cells(line)
    assert main([*ours, "--stage", "eg-darts"]) == 0
    assert "This run is complete" in capsys.readouterr().out
    assert main([*ours, "mutation=0.2", "--stage", "eg-darts"]) == 2
    (copied / "eg-darts-cells" / "cells.json").unlink()
    assert main([*ours, "--stage", "eg-darts"]) == 2
    assert "or that has not ended" in capsys.readouterr().err


def test_a_folder_of_another_second_stage_is_found_before_the_first_one_runs(
    elsewhere, capsys, line
):
    ours = without_cells(line)
    assert main([*ours, "cells=CARS_A", "mutation=0.2", "--stage", "eg-darts"]) == 0
    assert main(line) == 2
    assert "run with mutation=0.2, but this run has mutation=0.1" in capsys.readouterr().err
    assert [p.name for p in (elsewhere / RUN).iterdir()] == ["eg-darts"]


def test_a_preparation_wants_no_algorithm(elsewhere, capsys):
    line = ["search", "eg-darts", "--stage", "eg-darts-cells", "--algorithm", "nsga2"]
    assert main(line) == 2
    assert (
        "algorithm='nsga2' is invalid: eg-darts-cells does not use an algorithm"
        in capsys.readouterr().err
    )


def test_networks_that_were_trained_are_not_trained_again(load):
    problem = load(first_width=(3, 4), stage_cells=(1, 1), widening=(1.0, 1.4), population=6)
    trained, build = [], problem.evaluator.build
    problem.evaluator.build = lambda a: trained.append(a) or build(a)
    operators = problem.operators() | {"eliminate_duplicates": False}
    search = NSGA2(pop_size=6, **operators)
    result = run(problem, search, generations=4)
    assert result.algorithm.evaluator.n_eval == 24
    assert len(trained) == len(set(trained)) < 24


def test_a_final_training_that_diverges_says_so(load):
    problem = load(final_epochs=1)
    problem.session.seed = 1
    row = Row(rows(problem, 6)[0], problem.decode(rows(problem, 6)[0]), {}, {"error": 1.0})
    problem.session.recorded = lambda *args: {"error": np.array([np.nan])}
    (line,) = problem.after_search(row)
    assert "diverged" in line and "nan" not in line


def test_one_stage_runs_alone_with_cells_of_any_kind(elsewhere, capsys, line):
    ours = without_cells(line)
    assert main([*ours, "cells=CARS_A", "--stage", "eg-darts"]) == 0
    folder = elsewhere / RUN
    assert [p.name for p in folder.iterdir()] == ["eg-darts"]
    assert read_run(folder / "eg-darts")[0]["settings"]["cells"] == "CARS_A"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["cells=PDARTS"], "run --stage eg-darts alone"),
        (["cellz=PDARTS"], "Unknown setting 'cellz'"),
        (["eg-dart.batch=3"], "unknown stage 'eg-dart'; choose from ['eg-darts-cells', 'eg-darts'"),
        (["eg-darts.history=3"], "Unknown setting 'history'"),
        (["from_run=x"], "from_run='x' is invalid: eg-darts starts from the stage before it"),
        (["--stage", "x"], "Unknown stage 'x' of eg-darts"),
        (["--algorithm", "nsga9"], "Unknown algorithm 'nsga9'"),
        (["stage_cells=2,1"], "stage_cells=(2, 1) is invalid"),
        (["layers=2,b"], "layers=2,b is invalid: expected a list of whole numbers"),
    ],
)
def test_wrong_words_end_with_2_before_any_work(elsewhere, capsys, line, more, message):
    assert main([*line, *more]) == 2
    assert message in capsys.readouterr().err
    assert not (elsewhere / "runs").exists()


def test_the_paper_preset_is_table_1(device):
    problem = moonas.load_problem("eg-darts", preset="paper", device=device)
    s = problem.settings
    assert (s.population, s.generations, s.proxy_epochs, s.final_epochs) == (15, 20, 36, 600)
    assert problem.genes.low.tolist() == [8, 1, 1, 1, 1, 1]
    assert problem.genes.high.tolist() == [60, 6, 6, 6, 3, 3]
    assert problem.genes.real.tolist() == [False] * 4 + [True] * 2
