import contextlib
import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from eg_darts_tables import BOLD_ROW, table
from moonas.problems.eg_darts import cell_space
from moonas.problems.eg_darts.cells import find_cells
from moonas.problems.eg_darts.space import Architecture
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.population import Population
from searches import MULTI_OBJECTIVE, TINY, front_rows, rows, run, words

import moonas
from moonas.cli import main
from moonas.files.tensors import fingerprint
from moonas.nets.counting import count_macs, count_params
from moonas.pareto import Row
from moonas.run.journal import read_run
from moonas.training.from_scratch import ClassifierTrainer

CELLS_TEXT = cell_space.random_cells(np.random.default_rng(3)).text


@pytest.fixture
def load(tiny_of, few_digits):
    """A function that loads a search for networks on 100 images; its arguments are settings."""
    data = dict(data=few_digits, batch=25)

    def load(**options):
        return moonas.load_problem("eg-darts", **tiny_of("eg-darts") | data | options)

    return load


@pytest.mark.parametrize(
    "cells", [*(pytest.param(c, marks=pytest.mark.slow) for c in ("PDARTS", "CARS_A")), CELLS_TEXT]
)
def test_counts_equal_those_of_the_networks(load, cells):
    problem = load(cells=cells, first_width=(3, 9), widening=(1.0, 3.0))
    X = rows(problem, 4)
    candidates = problem.session.candidates(X)
    counts = problem.count(candidates)
    for x, expected in zip(X, counts, strict=True):
        network = problem.network(problem.decode(x))
        assert (count_params(network), count_macs(network, *problem.input_shape)) == tuple(expected)
    assert problem.network_costs.count(candidates)["params"].tolist() == counts[:, 0].tolist()
    assert (counts <= problem.count(problem.candidates([problem.space.widest()]))).all()


def test_operations_include_every_part_of_every_network(load):
    problem = load(first_width=(3, 6), stage_cells=(1, 4), widening=(1.0, 2.0))
    parts = problem.operations()
    assert len(set(parts)) == len(parts)
    for x in rows(problem, 60):
        assert set(problem.parts(problem.decode(x))) <= set(parts)


def test_latency_is_the_sum_of_the_latencies_of_the_parts(load, tmp_path):
    plain = load()
    table = {part.key: 0.5 for part in plain.operations()}
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"parts": table}))
    problem = load(latency_table=str(path), objectives=("error", "latency_ms"))
    X = rows(problem, 2)
    F = problem.evaluate(X)
    expected = [0.5 * len(problem.parts(problem.decode(x))) for x in X]
    assert F[:, 1].tolist() == pytest.approx(expected)


def test_cells_are_given_by_a_name_or_a_text_and_default_to_those_of_p_darts(load):
    published = find_cells("PDARTS")
    assert find_cells(None) == load().cells == published
    assert load(cells=CELLS_TEXT).cells.text == CELLS_TEXT
    with pytest.raises(ValueError, match=r"cells='PDRTS' is unknown; choose from \['CARS_A'"):
        load(cells="PDRTS")
    with pytest.raises(ValueError, match="must have 8 edges, two per node; got 1"):
        load(cells="sep3@0 / sep3@0")


def test_cells_of_a_run_are_copied_into_the_settings(load, tmp_path):
    (tmp_path / "cells.json").write_text(json.dumps({"cells": CELLS_TEXT}))
    for options in (dict(from_run=tmp_path), dict(cells=str(tmp_path))):
        problem = load(**options)
        assert problem.settings.cells == CELLS_TEXT and problem.settings.from_run is None
    with pytest.raises(ValueError, match="none, because from_run provides the cells"):
        load(from_run=tmp_path, cells="PDARTS")
    with pytest.raises(ValueError, match="not the run folder of eg-darts-cells"):
        load(from_run=tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            dict(first_width=(9, 3)),
            r"first_width=\(9, 3\) is invalid: expected two numbers, the smallest",
        ),
        (dict(stage_cells=(1, 2, 3)), "stage_cells=.*two numbers, the smallest"),
        (dict(widening=(0.5, 2.0)), "widening=.* is invalid: expected at least 1"),
    ],
)
def test_invalid_bounds_are_rejected(load, options, message):
    with pytest.raises(ValueError, match=message):
        load(**options)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_the_pick_is_the_row_in_bold_in_table_iii(load, name):
    numbers, bold = table(name), BOLD_ROW[name]
    X, F = numbers[:, :6], numbers[:, [7, 6]]
    bounds = dict(first_width=(8, 60), stage_cells=(1, 6), widening=(1.0, 3.0))
    problem = load(**bounds)
    population = Population.new("X", X, "F", F, "error", F[:, 0], "params", F[:, 1])
    front = moonas.front(SimpleNamespace(problem=problem, pop=population))
    assert len(front) == {"cifar10": 9, "cifar100": 7}[name]  # the others are dominated
    assert np.array_equal(front[problem.pick(front)].x, X[bold])
    of_the_front = load(knee_of="front", **bounds)
    # on CIFAR-100 the largest network is dominated, so the line of the front alone ends elsewhere
    row = {"cifar10": bold, "cifar100": 9}[name]
    assert np.array_equal(front[of_the_front.pick(front)].x, X[row])
    assert problem.pick(list(front)) == of_the_front.pick(front)  # no population is known


def test_a_network_that_failed_is_no_end_point_of_the_knee(load):
    problem = load(first_width=(8, 60), stage_cells=(1, 6), widening=(1.0, 3.0))
    X = table("cifar10")[:5, :6]
    F = np.array([[30, 1e4], [15, 2e4], [12, 4e4], [11, 8e4], [100, 9e4]])
    failed = np.array([False] * 4 + [True])

    def picked(rows):
        columns = dict(error=F[rows, 0], params=F[rows, 1], failed=failed[rows])
        named = [part for pair in columns.items() for part in pair]
        population = Population.new("X", X[rows], "F", F[rows], *named)
        return problem.pick(moonas.front(SimpleNamespace(problem=problem, pop=population)))

    assert picked([0, 1, 2, 3]) == picked([0, 1, 2, 3, 4]) == 1
    failed[:] = False
    assert picked([0, 1, 2, 3, 4]) == 3  # a line to an error of 100 %


def test_fractional_integer_genes_are_rejected_with_advice(load):
    problem = load()
    X = rows(problem, 6)
    X[0, 1] = 1.5
    with pytest.raises(ValueError, match=r"x\[0, 1\] = 1.5 is not an integer.*problem.operators"):
        problem.evaluate(X)


def test_vectors_of_the_same_network_have_equal_scores_and_are_duplicates(load):
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


@pytest.mark.parametrize("name", MULTI_OBJECTIVE)
def test_every_algorithm_can_search(load, name):
    problem = load(population=4)
    scored = []

    def score(candidates):  # replaces training, which takes seconds
        scored.extend(candidates)
        error = np.array([100 / (1 + a.depth) for a in candidates])
        return {"error": error} | problem.network_costs.count(candidates)

    problem.evaluator.score, problem.evaluator.independent = score, False
    result = run(problem, name)
    assert moonas.front(result) and len(scored) >= 4


def test_the_final_test_uses_images_that_the_search_does_not_use(load):
    problem = load(data="digits")
    problem.evaluator.begin(1)
    final = problem.scratch_evaluator(epochs=1, final=True)
    final.begin(1)
    search_images, final_images = problem.evaluator.images, final.images
    assert len(final_images.train[1]) == 1437 and len(final_images.validation[1]) == 360
    training_set = {image.numpy().tobytes() for image in final_images.train[0].tensor().cpu()}
    for images, _ in (search_images.train, search_images.validation):
        assert {image.numpy().tobytes() for image in images.tensor().cpu()} <= training_set
    assert (
        not {i.numpy().tobytes() for i in final_images.validation[0].tensor().cpu()} & training_set
    )


@pytest.fixture
def working_directory(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def command(few_digits):
    """Command-line arguments of a search with both stages on 100 images."""
    cells = TINY["eg-darts-cells"] | dict(batch=50)
    networks = TINY["eg-darts"] | dict(batch=25, population=3, generations=2)
    search = ["search", "eg-darts", "--data", str(few_digits), "--set"]
    return [*search, *words(cells, "eg-darts-cells"), *words(networks, "eg-darts")]


def stage_2_arguments(command):
    """Command-line arguments without the settings of stage 1."""
    return [word for word in command if not word.startswith("eg-darts-cells.")]


RUN_FOLDER = Path("runs", "eg-darts-digits-seed1")


@pytest.fixture(scope="module")
def searched(command, tmp_path_factory):
    """The working directory of a complete search, and the output of the command."""
    folder = tmp_path_factory.mktemp("search")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert main(command) == 0
    return folder, out.getvalue()


@pytest.fixture
def copied_run(searched, working_directory):
    """The run folder of a copy of the complete search, in a new working directory."""
    return shutil.copytree(searched[0] / RUN_FOLDER, working_directory / RUN_FOLDER)


def test_a_search_runs_both_stages_and_repeating_it_computes_nothing(
    searched, copied_run, capsys, command
):
    out, folder = searched[1], copied_run
    cells = json.loads((folder / "eg-darts-cells" / "cells.json").read_text())["cells"]
    head, records = read_run(folder / "eg-darts")
    assert head["settings"]["cells"] == cells
    assert [r["kind"] for r in records] == ["score", "score"]
    for text in ("Normal cell / reduction cell: ", "Period 2 of 2: 3 cells, 2 candidates per edge"):
        assert text in out
    (picked,) = [row for row in front_rows(folder / "eg-darts") if row["picked"] == "1"]
    assert f"Network: {picked['description']};" in out
    trained = read_run(folder / "training")[1]
    assert [r["kind"] for r in trained] == ["train", "train", "final test"]
    test_error = trained[-1]["result"]["error"]
    assert f"Test error {test_error:.2f} % after 2 epochs" in out
    assert test_error > 0 and test_error / 5 == pytest.approx(round(test_error / 5))  # of 20
    assert f"In the search, its error was {float(picked['error']):.2f} %" in out
    assert str(moonas.load_model(folder / "training").about["description"]) == picked["description"]
    x = picked["x"].split()
    assert all("." not in value for value in x[:4]) and len(x) == 6
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert main(command) == 0
    repeated = capsys.readouterr().out
    assert repeated.count("This run is complete") == 3
    assert f"Test error {test_error:.2f} % after 2 epochs" in repeated
    after = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    changed = {p.name for p in before if before[p] != after[p]}
    assert changed <= {"front.csv", "measured.json"}  # measured latency
    assert before.keys() == after.keys()
    # moonas train does not train the network again
    assert main(["train", str(folder), "--set", "epochs=2"]) == 0
    assert "This run is complete" in capsys.readouterr().out


@pytest.mark.slow
def test_an_interrupted_final_training_resumes_within_its_epochs(
    few_digits, tiny_of, tmp_path, monkeypatch
):
    options = tiny_of("eg-darts") | dict(data=str(few_digits), batch=25, cells=CELLS_TEXT)
    options |= dict(population=2, generations=1, final_epochs=3)
    trained, train = [], ClassifierTrainer.train

    def stop_once(trainer, epoch):
        trained.append(epoch)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return train(trainer, epoch)

    def search(name):
        return moonas.search("eg-darts", stage="eg-darts", out=tmp_path / name, **options)

    monkeypatch.setattr(ClassifierTrainer, "train", stop_once)
    with pytest.raises(KeyboardInterrupt):
        search("stopped")
    result = search("stopped")
    assert trained == [0, 1, 1, 2]
    assert [stage.folder.name for stage in result.stages] == ["eg-darts", "training"]
    assert result.folder.name == "eg-darts" and not result.stages[0].computed
    search("straight")
    states = [
        moonas.load_model(tmp_path / name / "training").state_dict()
        for name in ("stopped", "straight")
    ]
    assert fingerprint(states[0]) == fingerprint(states[1])


@pytest.mark.slow
def test_cells_can_be_searched_again_at_the_picked_depth_and_width(
    load, copied_run, capsys, few_digits
):
    """Table V: a second search of cells, whose proxy network is the picked network."""
    cells = words(TINY["eg-darts-cells"] | dict(batch=50), "eg-darts-cells")
    search = ["search", "eg-darts", "--stage", "eg-darts-cells", "--data", str(few_digits)]
    second = [*search, "--out", "second", "--set", *cells, f"target_run={copied_run}"]
    assert main(second) == 0
    (picked,) = [row for row in front_rows(copied_run / "eg-darts") if row["picked"] == "1"]
    network = json.loads(picked["architecture"])
    settings = read_run("second/eg-darts-cells")[0]["settings"]
    assert settings["target_run"] is None
    assert {name: settings[name] for name in ("widths", "depths")} == network
    n_cells = sum(network["depths"]) + 2  # and two reduction cells
    assert f"Period 2 of 2: {n_cells} cells, 2 candidates per edge" in capsys.readouterr().out

    front = (copied_run / "eg-darts" / "front.csv").read_bytes()
    options = ["--out", "trained", "--set", "epochs=1", "cells=second/eg-darts-cells"]
    assert main(["train", str(copied_run), *options]) == 0
    problem = load(cells=cells_of("second"))
    architecture = problem.architecture_from_json(network)
    params = count_params(problem.network(architecture))
    assert f"{params:,} params" in capsys.readouterr().out
    assert read_run("trained")[0]["settings"]["cells"] == cells_of("second")  # not a path
    assert count_params(moonas.load_model("trained")) == params != int(float(picked["params"]))
    assert (copied_run / "eg-darts" / "front.csv").read_bytes() == front  # another network


def cells_of(folder):
    """The text of the cells that a search wrote."""
    return json.loads(Path(folder, "eg-darts-cells", "cells.json").read_text())["cells"]


def test_stage_2_alone_uses_the_cells_in_the_same_run_folder(copied_run, capsys, command):
    networks = stage_2_arguments(command)
    assert main([*networks, "--stage", "eg-darts"]) == 0
    assert "This run is complete" in capsys.readouterr().out
    assert main([*networks, "mutation=0.2", "--stage", "eg-darts"]) == 2
    (copied_run / "eg-darts-cells" / "cells.json").unlink()
    assert main([*networks, "--stage", "eg-darts"]) == 2
    assert "or that run has not ended" in capsys.readouterr().err


def test_incompatible_settings_of_stage_2_are_detected_before_stage_1_runs(
    working_directory, capsys, command
):
    networks = stage_2_arguments(command)
    options = ["population=2", "generations=1", "final_epochs=0"]
    stage = [*options, "cells=CARS_A", "mutation=0.2", "--stage", "eg-darts"]
    assert main([*networks, *stage]) == 0
    settings = read_run(working_directory / RUN_FOLDER / "eg-darts")[0]["settings"]
    assert settings["cells"] == "CARS_A"
    assert main(command) == 2
    assert (
        "contains a run with population=2, but this run has population=3" in capsys.readouterr().err
    )
    assert [p.name for p in (working_directory / RUN_FOLDER).iterdir()] == ["eg-darts"]


def test_stage_1_rejects_an_algorithm(working_directory, capsys):
    search = ["search", "eg-darts", "--stage", "eg-darts-cells", "--algorithm", "nsga2"]
    assert main(search) == 2
    assert (
        "algorithm='nsga2' is invalid: eg-darts-cells does not use an algorithm"
        in capsys.readouterr().err
    )


def test_no_network_is_trained_twice(load):
    problem = load(first_width=(2, 3), stage_cells=(1, 1), widening=(1.0, 1.4), population=6)
    trained, build = [], problem.evaluator.build
    problem.evaluator.build = lambda a: trained.append(a) or build(a)
    operators = problem.operators() | {"eliminate_duplicates": False}
    search = NSGA2(pop_size=6, **operators)
    result = run(problem, search, generations=2)
    assert result.algorithm.evaluator.n_eval == 12
    assert len(trained) == len(set(trained)) < 12


def test_the_test_of_an_earlier_version_uses_the_whole_training_set_and_the_test_set(load):
    problem = load(final_epochs=1, final="test")
    problem.session.seed = 1
    evaluators, make = [], problem.scratch_evaluator
    problem.scratch_evaluator = lambda **options: (
        evaluators.append(make(**options)) or evaluators[0]
    )
    x = rows(problem, 1)[0]
    (line,) = problem.after_search(Row(x, problem.decode(x), {}, {"error": 1.0}))
    images = evaluators[0].images
    assert len(images.train[1]) == 100 and len(images.validation[1]) == 20
    assert "Test error after training" in line


def test_a_diverging_test_of_an_earlier_version_is_reported(load):
    problem = load(final_epochs=1, final="test")
    problem.session.seed = 1
    row = Row(rows(problem, 6)[0], problem.decode(rows(problem, 6)[0]), {}, {"error": 1.0})
    problem.session.recorded = lambda *args: {"error": np.array([np.nan])}
    (line,) = problem.after_search(row)
    assert "diverged" in line and "nan" not in line


@pytest.mark.parametrize(
    ("arguments", "message"),
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
def test_invalid_arguments_end_the_command_with_exit_code_2_before_any_stage_runs(
    working_directory, capsys, command, arguments, message
):
    assert main([*command, *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (working_directory / "runs").exists()


def test_the_paper_preset_has_the_values_of_table_1(device):
    problem = moonas.load_problem("eg-darts", preset="paper", device=device)
    s = problem.settings
    assert (s.population, s.generations, s.proxy_epochs, s.final_epochs) == (15, 21, 36, 600)
    assert problem.genes.low.tolist() == [8, 1, 1, 1, 1, 1]
    assert problem.genes.high.tolist() == [60, 6, 6, 6, 3, 3]
    assert problem.genes.real.tolist() == [False] * 4 + [True] * 2
