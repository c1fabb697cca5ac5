"""What a run's page says in words, its commands, its trainings, and pages that follow a run."""

import contextlib
import hashlib
import html
import io
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from reading import ParsedPage, faults_of
from searches import TINY, words

import moonas
from moonas import settings
from moonas.cli import main
from moonas.registry import settings_class, training_settings_class
from moonas.run.front_file import add_results, read_front_csv
from moonas.run.journal import Journal, read_run
from moonas.spaces.graph import Graph
from moonas.views import run_page
from moonas.views.commands import algorithm_name, search_command, search_of, training_command
from moonas.views.run_page import is_complete, show, watch
from moonas.views.run_summary import final_scores, network_words, read_trainings

OPTIONS = ["--population", "6", "--generations", "3", "--limits", "params <= 5000"]


def search(*words):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(["search", *map(str, words)]) == 0
    return out.getvalue()


@pytest.fixture(scope="module")
def table_run(tmp_path_factory):
    """The run folder of a search of digits-table with random search."""
    folder = tmp_path_factory.mktemp("table") / "run"
    search("digits-table", *OPTIONS, "--algorithm", "random", "--seed", 4, "--out", folder)
    return folder


def commands_of(folder):
    """Return the commands on the page of a run."""
    found = re.findall("<code>(.*?)</code>", show(folder).read_text())
    return [html.unescape(re.sub("<[^>]*>", "", text)) for text in found]


def words_of(folder):
    return " ".join(ParsedPage(show(folder).read_text()).words("p"))


def test_the_page_says_what_was_searched_found_and_comes_next(table_run, tmp_path):
    folder = shutil.copytree(table_run, tmp_path / "run")
    rows = read_front_csv(folder)
    (i,) = (i for i, row in enumerate(rows) if row.picked)
    text = words_of(folder)
    searched = "The search minimizes error (%) and params on digits, with the algorithm random: 3 "
    assert searched + "generations, 6 networks each." in text
    assert "Networks must satisfy params <= 5000." in text
    records = read_run(folder)[1]
    X = {tuple(x) for record in records for x in record["request"]["x"]}
    n = sum(len(record["request"]["x"]) for record in records)
    assert f"and evaluated {len(X)} networks in {n} evaluations." in text
    low, high = (f(row.columns["error"] for row in rows) for f in (min, max))
    assert f"It found a Pareto front of {len(rows)} networks: error from {low:.2f} to" in text
    assert f"to {high:.2f} % and parameters from" in text
    error, params = rows[i].columns["error"], rows[i].columns["params"]
    assert (
        f"It picked row {i}, " in text and f"error {error:.2f} %, parameters {params:,.0f}" in text
    )
    assert commands_of(folder)[0] == f"moonas train {folder}"
    for jargon in ("pop_size=", "survival=", "RankAndCrowding"):
        lead, _, recorded = text.partition("Recorded as ")
        assert jargon not in lead and jargon in recorded


def test_the_command_on_the_page_makes_the_same_run(table_run, tmp_path):
    folder = shutil.copytree(table_run, tmp_path / "a run")
    *_, command = commands_of(folder)
    program, *arguments = shlex.split(command)
    assert program == "moonas" and "--algorithm random" in command
    assert "This run is complete, and nothing was recomputed" in search(*arguments[1:])
    arguments[-1] = str(tmp_path / "new")
    search(*arguments[1:])
    assert (tmp_path / "new" / "front.csv").read_bytes() == (folder / "front.csv").read_bytes()


def test_a_command_has_the_options_that_are_not_the_defaults():
    head = {"seed": 7, "settings": {"data": "my images", "epochs": 3, "objectives": ["error"]}}
    head["settings"] |= {"download": True, "start": ["CARS_A"], "population": 24, "gone": 1}
    command = search_command("cars", Path("runs/mine"), head, "nsga2")
    assert command == (
        "moonas search cars --algorithm nsga2 --objectives error --start CARS_A "
        "--data 'my images' --set epochs=3 download=true --seed 7 --out runs/mine"
    )
    stage = search_command("eagan-discriminator", Path("runs/gan/eagan-discriminator"), head)
    assert "search eagan --stage eagan-discriminator" in stage and stage.endswith("runs/gan")


@pytest.mark.slow
def test_the_command_of_a_second_stage_starts_from_the_first(tmp_path):
    tiny = TINY["eagan-discriminator"] | {"generations": 2}
    of_second = {k: tiny.pop(k) for k in ("generator_epochs", "d_steps")}
    stage = "eagan-discriminator"
    out = tmp_path / "gan"
    search("eagan", "--out", out, "--set", *words(tiny), *words(of_second, stage))
    *_, command = commands_of(out / stage)
    assert "generator=" not in command and f"--stage {stage}" in command
    assert "This run is complete, and nothing was recomputed" in search(*shlex.split(command)[2:])


@pytest.mark.parametrize("value", [None, True, False, 3, 0.25, "auto", (), (1, 2), ("a", "b")])
def test_the_text_of_a_setting_is_parsed_to_its_value(value):
    kinds = {tuple: (int if 1 in (value or ()) else str) if isinstance(value, tuple) else None}
    kind = tuple[kinds[tuple], ...] if isinstance(value, tuple) else (type(value) | None)
    fields = {"__annotations__": {"x": kind}, "x": settings.setting(value, "a setting")}
    cls = settings.dataclass(frozen=True, kw_only=True)(type("S", (settings.RunSettings,), fields))
    assert settings.parse(cls, "x", settings.to_text(value)) == value


def test_the_name_of_an_algorithm_follows_from_its_description():
    problem = moonas.load_problem("digits-table")
    describe = moonas.problem.describe_algorithm
    assert algorithm_name(problem, describe(problem.algorithm())) == "default"
    for name in ("random", "moead", "smsemoa"):
        assert algorithm_name(problem, describe(moonas.algorithm(name, problem))) == name
    assert algorithm_name(problem, "MyAlgorithm pop_size=3") is None


def test_a_single_network_beyond_the_limits_is_closest_to_them(tmp_path):
    limits = ("--limits", "params <= 1")
    search("digits-table", *OPTIONS[:4], *limits, "--seed", 1, "--out", tmp_path / "run")
    text = words_of(tmp_path / "run")
    assert "no network within the limits; 1 network is closest to them: error " in text


def record_training(folder, run, row, error, problem="digits-table training"):
    """Record a training as ``moonas train`` does, without training."""
    architecture = json.dumps(read_front_csv(run)[row].architecture)
    stage = moonas.planning.load_training(run, pick=str(row), device="cpu")
    inputs = {"architecture": architecture}
    journal = Journal(folder, problem=problem, settings=stage.settings, inputs=inputs)
    journal.begin(1, "training", "here")
    journal.call("final test", {}, lambda: {"error": error})
    journal.close()
    add_results(run, row, {"error": error})


@pytest.mark.slow
def test_the_page_compares_trainings_with_the_search_from_five_rows_on(table_run, tmp_path):
    run = shutil.copytree(table_run, tmp_path / "run")
    rows = read_front_csv(run)
    assert len(rows) >= 5 and "After training" not in words_of(run)
    for i in range(4):
        record_training(run / f"training-{i}", run, i, 10.0 + i)
    record_training(run / "training-other", run, 0, 1.0, problem="cars training")
    assert "rank correlation" not in words_of(run)
    record_training(run / "training", run, 4, 12.5)
    trainings = read_trainings(run, "digits-table", read_front_csv(run))
    assert [t.row for t in trainings] == [0, 1, 2, 3, 4]
    text = show(run).read_text()
    assert faults_of(text) == []
    start = text.index("Trainings from scratch</caption>")
    table = ParsedPage(text[start : text.index("</table>", start)])
    searched = [f"{row.columns['error']:.2f}" for row in rows[:5]]
    assert table.words("td")[::3] == searched
    assert table.words("td")[1::3] == ["10.00", "11.00", "12.00", "13.00", "12.50"]
    assert table.words("td")[2::3] == [*(f"training-{i}" for i in range(4)), "training"]
    note = "5 rows of the front have been trained; the rank correlation between their error"
    assert note in words_of(run) and "(95 % interval -" in words_of(run)


@pytest.fixture
def beside(table_run, tmp_path):
    """A folder with the search "mine", another search "digits-table", and "training" of "mine"."""
    run = shutil.copytree(table_run, tmp_path / "mine")
    other = shutil.copytree(table_run, tmp_path / "digits-table")
    text = (other / "front.csv").read_text()
    (other / "front.csv").write_text(text.replace('""width"": ', '""width"": 9'))  # other networks
    assert read_front_csv(other)[2].architecture not in [
        r.architecture for r in read_front_csv(run)
    ]
    record_training(tmp_path / "training", run, 2, 12.5)
    (tmp_path / "training" / "model.pt").touch()
    return tmp_path


def test_the_command_of_a_training_names_the_search_beside_it_that_found_its_network(beside):
    command = commands_of(beside / "training")[-1]
    assert command.startswith(f"moonas train {beside / 'mine'} --pick 2 ")
    inside = shutil.move(beside / "training", beside / "mine" / "training-2")
    assert commands_of(inside)[-1].startswith(f"moonas train {beside / 'mine'} --pick 2 ")


def test_the_page_of_a_search_says_what_can_be_done_with_a_trained_network(beside):
    assert commands_of(beside / "mine")[0] == f"moonas train {beside / 'mine'}"
    inside = shutil.move(beside / "training", beside / "mine" / "training-2")
    (inside / "classes.json").write_text("{}")
    export = f"moonas export {inside} --format onnx"
    assert commands_of(beside / "mine")[:2] == [export, f"moonas predict {inside} IMAGES"]


def test_the_page_of_a_training_has_no_command_if_its_search_is_unknown(beside):
    shutil.rmtree(beside / "mine")
    assert not any(c.startswith("moonas train") for c in commands_of(beside / "training"))


def test_the_command_of_a_training_of_a_gan_names_the_search_that_picked_it(tmp_path):
    def record(folder, name, settings, inputs=None):
        journal = Journal(folder, problem=name, settings=settings, inputs=inputs)
        journal.begin(1, "by hand", "here")
        journal.call("train", {}, lambda: {"epochs": 1})
        journal.close()

    for name, generator in (("first", "c1"), ("second", "c3 d5")):
        record(tmp_path / name, "cyclegan-pruning", settings_class("cyclegan-pruning")())
        front = f"loss,picked,x,architecture,description\n1,1,0,0,{generator}\n"
        (tmp_path / name / "front.csv").write_text(front)
        (tmp_path / name / "compressed.pt").write_text(generator)
    name = "cyclegan-pruning training"
    inputs = {"compressed.pt": hashlib.sha256(b"c3 d5").hexdigest()}
    settings = training_settings_class("cyclegan-pruning")(weights="moved")
    record(tmp_path / "tuned", name, settings, inputs)
    head = read_run(tmp_path / "tuned")[0]
    assert search_of(tmp_path / "tuned", head) == tmp_path / "second"
    command = training_command(tmp_path / "tuned", head, tmp_path / "second")
    assert command.startswith(f"moonas train {tmp_path / 'second'} ") and "moved" not in command
    described = head | {"inputs": {}, "settings": {"generator": "c1"}}
    assert search_of(tmp_path / "tuned", described) == tmp_path / "first"
    assert search_of(tmp_path / "tuned", described | {"settings": {"generator": "d3"}}) is None


def test_the_page_of_a_training_says_what_it_scored_and_what_comes_next(beside):
    folder = beside / "training"
    assert commands_of(folder)[:2] == [f"moonas sample {folder}", f"moonas evaluate {folder}"]
    (folder / "classes.json").write_text("{}")
    export, predict = commands_of(folder)[:2]
    assert export == f"moonas export {folder} --format onnx"
    assert predict == f"moonas predict {folder} IMAGES"
    text = show(folder).read_text()
    assert faults_of(text) == []
    start = text.index("Scores of the final test</caption>")
    table = ParsedPage(text[start : text.index("</table>", start)])
    assert table.words("th")[-1] == "error (%)" and table.words("td") == ["12.50"]
    (folder / "model.pt").rename(folder / "model-a.pt")
    assert commands_of(folder)[0].startswith(f"moonas translate {folder} IMAGES")


def test_scores_of_several_networks_have_a_column_each():
    scores = {"original": {"fid_a": 9.363, "accuracy_b": 1.0}, "untranslated": {"fid_a": 21.2}}
    table = final_scores([{"kind": "final test", "result": {"side": 16, "scores": scores}}])
    assert table.titles == ["final test", "original", "untranslated"]
    assert table.rows == [["FID, A to B", "9.363", "21.2"], ["accuracy (%), B to A", "1.00", "-"]]
    gan = {"fid": 3.0, "test_fid": 4.0, "is_mean": float("nan"), "shares": [1.0]}
    table = final_scores([{"kind": "final test", "result": gan}])
    names = ["FID, training images", "FID, test images", "IS mean"]
    assert table.rows == [[name, text] for name, text in zip(names, "34-", strict=True)]
    assert final_scores([{"kind": "train", "result": {"loss": 1}}]) is None


def test_the_words_of_a_network_name_the_operations_and_inputs_of_each_node():
    edges = (("0", "2", "sep3"), ("1", "2", "skip"), ("0", "3", "max3"), ("2", "3", "max3"))
    graph = Graph("cell", ("0", "1"), ("2", "3", "4"), (*edges, ("2", "5", ""), ("3", "5", "")))
    assert network_words(graph) == [
        "2: 3x3 separable convolution of 0 + skip connection of 1",
        "3: 3x3 max pooling of 0 and 2",
    ]
    edges = (("1: c[k-1]", "2", "skip"), ("2", "c[k]", ""))
    graph = Graph("cell", ("1: c[k-1]",), ("2", "c[k]"), edges)
    assert network_words(graph) == ["2: skip connection of c[k\N{MINUS SIGN}1]", "c[k]: 2"]


def unfinished(run, folder, lines):
    """Copy a run without its front, and with only the first lines of its journal."""
    shutil.copytree(run, folder)
    (folder / "front.csv").unlink()
    journal = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "journal.jsonl").write_bytes(b"".join(journal[:lines]))
    return folder


def test_the_page_of_an_interrupted_run_has_the_command_that_resumes_it(table_run, tmp_path):
    folder = unfinished(table_run, tmp_path / "run", 2)
    assert "The search is still running, or was interrupted." in words_of(folder)
    command = commands_of(folder)[0]
    search(*shlex.split(command)[2:])
    assert (folder / "front.csv").read_bytes() == (table_run / "front.csv").read_bytes()


def test_a_watched_page_refreshes_until_the_run_is_complete(table_run, tmp_path, monkeypatch):
    folder, pages, told = unfinished(table_run, tmp_path / "run", 1), [], []
    parts = iter([0, 1, 0, 2])  # lines that the search records in between

    def sleep(seconds):
        pages.append((folder / "report.html").read_text())
        with open(folder / "journal.jsonl", "ab") as file:
            journal = (table_run / "journal.jsonl").read_bytes().splitlines(keepends=True)
            done = (folder / "journal.jsonl").read_bytes().count(b"\n")
            file.write(b"".join(journal[done : done + next(parts)]))
        if len(pages) == 4:
            shutil.copy(table_run / "front.csv", folder)

    monkeypatch.setattr(run_page.time, "sleep", sleep)
    assert not is_complete(folder)
    path = watch(folder, told.append)
    assert told == [path] and is_complete(folder)
    assert all('http-equiv="refresh" content="5"' in text for text in pages)
    assert pages[0] == pages[1] != pages[2] == pages[3]
    assert 'http-equiv="refresh"' not in path.read_text() and "It picked row" in path.read_text()


def test_watching_ends_with_status_0_on_an_interrupt(table_run, tmp_path, monkeypatch, capsys):
    folder = unfinished(table_run, tmp_path / "run", 2)

    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_page.time, "sleep", interrupt)
    assert main(["show", str(folder), "--watch"]) == 0
    assert "is kept up to date while the run goes on" in capsys.readouterr().out
    assert 'http-equiv="refresh"' not in (folder / "report.html").read_text()


def test_watching_a_complete_run_writes_its_page_and_ends(table_run, tmp_path, capsys):
    folder = shutil.copytree(table_run, tmp_path / "run")
    assert main(["show", str(folder), "--watch"]) == 0
    assert "The run is complete." in capsys.readouterr().out
    assert (folder / "report.html").exists()
