"""The report of a run, compared with the run folder."""

import contextlib
import io
import itertools
import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from moonas.problems.nasbench201 import space
from PIL import Image
from reading import ParsedPage, faults_of
from searches import front_rows
from tables201 import score, write_table
from toy import Toy

import moonas
from moonas.cli import main
from moonas.pareto import front_from_scores
from moonas.plot.style import ACCENT
from moonas.registry import stage_module
from moonas.run.journal import Journal, read_run
from moonas.run.search import search
from moonas.spaces.graph import Graph
from moonas.views.front import save_front
from moonas.views.run_page import _graphs, show
from moonas.views.scores import hypervolume_curve, read_scores

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table that contains half of the cells; the evaluation of all other cells fails."""
    folder = tmp_path_factory.mktemp("table")
    head, *lines = write_table(folder / "table.csv").read_text().splitlines()
    (folder / "half.csv").write_text("\n".join([head, *lines[::2]]) + "\n")
    return folder / "half.csv"


def show_by_command(folder):
    """Run ``moonas show`` on a run folder; return the folder, its former files and the output."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    with contextlib.redirect_stdout(io.StringIO()) as out:
        status = main(["show", str(folder)])
    text = (folder / "report.html").read_text()
    return SimpleNamespace(folder=folder, files=files, status=status, out=out.getvalue(), text=text)


@pytest.fixture(scope="module")
def cells(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cells") / "run"
    line = ["search", "nasbench201", "--population", "12", "--generations", "5"]
    with contextlib.redirect_stdout(io.StringIO()):
        assert main([*line, "--out", str(folder), "--set", f"table={table}"]) == 0
    return show_by_command(folder)


@pytest.fixture(scope="module")
def cars(tiny_of, few_digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cars") / "run"
    options = tiny_of("cars") | dict(data=few_digits, batch=25)
    problem = moonas.load_problem("cars", journal=folder, **options)
    result = search(problem, problem.algorithm(), seed=1, generations=3, verbose=False)
    save_front(problem, result, folder)
    problem.journal.close()
    return show_by_command(folder)


@pytest.fixture(params=["cells", "cars"])
def run(request):
    return request.getfixturevalue(request.param)


def problem_of(folder):
    head, records = read_run(folder)
    return stage_module(head["problem"]).build(**head["settings"]), records


def recorded_scores(folder):
    """Return, per evaluator call, rows of genes, error, params and whether the candidate failed."""
    calls = []
    for record in read_run(folder)[1]:
        if record["kind"] == "score":
            scores = record["result"]
            columns = (scores[name] for name in ("error", "params", "failed"))
            calls.append(list(zip(record["request"]["x"], *columns, strict=True)))
    return calls


def nondominated_genes(rows):
    """Return the genes of the nondominated rows (genes, error, params, failed)."""
    points = {tuple(x): (error, params) for x, error, params, failed in rows if not failed}
    return {
        x
        for x, (a, b) in points.items()
        if not any(c <= a and d <= b and (c, d) != (a, b) for c, d in points.values())
    }


def dominated_fraction(rows, bounds):
    """Return the fraction of a rectangle that rows dominate, as a sum of rectangles."""
    low, high = bounds
    scaled = ((np.array([row[1:3] for row in rows if not row[3]]) - low) / (high - low)).tolist()
    total, best = 0.0, 1.0
    for error, params in sorted(scaled):
        if error < 1 and params < best:
            total += (1 - error) * (best - max(params, 0))
            best = params
    return total


def test_moonas_show_prints_the_path_of_the_report(run):
    assert run.status == 0
    path = run.folder / "report.html"
    assert run.out == f"Report written to {path}, with its figures as PNG files next to it.\n"


def test_each_row_of_the_front_has_a_point_with_a_tooltip(run):
    rows = front_rows(run.folder)
    tips = [a["data-tip"].splitlines() for a in ParsedPage(run.text).attributes("circle")]
    assert len(tips) == len(rows) > 1
    for tip, row in zip(tips, rows, strict=True):
        assert tip[-1] == row["description"]
        assert f"error (%): {float(row['error']):.2f}" in tip
        assert f"params: {float(row['params']):,.0f}" in tip


def test_the_table_contains_the_front_and_marks_the_picked_row(run):
    rows, read = front_rows(run.folder), ParsedPage(run.text)
    start = run.text.index('<caption class="hidden">Pareto front')
    table = run.text[start : run.text.index("</table>", start)]
    lines = [ParsedPage(line).words("td") for line in table.split("<tr")[3:]]
    assert [line[-1] for line in lines[1::2]] == [row["description"] for row in rows]
    numbers = ParsedPage(table).words("th")[-len(rows) :]
    assert numbers == [str(i) for i in range(len(rows))]
    (picked,) = (i for i, row in enumerate(rows) if row["picked"] == "1")
    classes = [a.get("class", "") for a in ParsedPage(table).attributes("tr")]
    marked = [i for i, css in enumerate(classes) if "marked" in css]
    assert marked == [2 * picked + 2, 2 * picked + 3]
    titles = read.words("h3")
    assert titles[0].startswith(f"Row {picked}: picked")
    for name, words in {"error": "error", "params": "parameters"}.items():
        lowest = min(range(len(rows)), key=lambda i: float(rows[i][name]))
        assert any(re.match(rf"Row {lowest}: .*lowest {words}", title) for title in titles)


def test_figures_are_written_as_png_and_no_other_file_changes(run):
    after = {path.name: path.read_bytes() for path in run.folder.iterdir()}
    names = {"front.png", "population.png", "hypervolume.png", "architectures.png", "time.png"}
    assert all(after[name].startswith(PNG) for name in names)
    if "losses.png" in after:  # of a supernet
        names.add("losses.png")
    changed = {name for name in after if run.files.get(name) != after[name]}
    assert set(run.files) <= set(after) and changed - names == {"report.html"}


def test_the_page_is_valid_small_and_has_no_script_or_font_from_elsewhere(run):
    assert faults_of(run.text) == []
    assert len(run.text) < 2e6
    assert run.text.count("<script") == 1 and "<link" not in run.text and "@font" not in run.text
    sources = [a["src"] for a in ParsedPage(run.text).attributes("img")]
    assert all(source.startswith("data:") for source in sources)


def test_the_report_draws_the_same_front_as_the_search(run):
    assert (run.folder / "front.png").read_bytes() == run.files["front.png"]


def test_pictures_are_written_in_every_chosen_format(cells, tmp_path, capsys):
    folder = shutil.copytree(cells.folder, tmp_path / "run")
    for path in folder.glob("*.png"):
        path.unlink()
    assert main(["show", str(folder), "--format", "pdf", "svg"]) == 0
    assert "with its figures as PDF and SVG files next to it." in capsys.readouterr().out
    names = {"front", "population", "hypervolume", "architectures", "time"}
    assert {path.name for path in folder.glob("*.pdf")} == {f"{name}.pdf" for name in names}
    assert {path.name for path in folder.glob("*.svg")} == {f"{name}.svg" for name in names}
    assert not list(folder.glob("*.png"))


def figure_of(text, caption):
    """Return the only figure of a page that contains a caption."""
    (figure,) = (f for f in re.findall(r"<figure>.*?</figure>", text, re.S) if caption in f)
    return figure


def marker_positions(svg, style):
    """Return the (n, 2) positions of the markers with a style."""
    uses = (a for a in ParsedPage(svg).attributes("use") if style in a.get("style", ""))
    return np.array([[float(a["x"]), float(a["y"])] for a in uses])


def test_the_population_figure_has_a_marker_per_successfully_evaluated_candidate(run):
    n = sum(not row[3] for call in recorded_scores(run.folder) for row in call)
    svg = figure_of(run.text, "the number of evaluations so far")
    assert len(marker_positions(svg, "stroke-width: 0.25")) == n


def test_the_hypervolume_figure_shows_the_hypervolume_over_evaluations(run):
    problem, _ = problem_of(run.folder)
    calls = recorded_scores(run.folder)
    so_far = [
        calls[i : i + 1] if problem.nonstationary else calls[: i + 1] for i in range(len(calls))
    ]
    box = problem.hypervolume_box()
    values = [dominated_fraction(list(itertools.chain(*group)), box) for group in so_far]
    evaluations = np.cumsum([len(call) for call in calls])
    x, y = marker_positions(figure_of(run.text, "<figcaption>Hypervolume of"), f"fill: {ACCENT}").T
    assert len(x) == len(calls) >= 3
    # axes are affine and preserve ratios of differences; y grows downwards in SVG
    for drawn, expected in ((x, evaluations), (-y, np.array(values))):
        assert np.ptp(expected) > 0
        ratios = [(v - v.min()) / np.ptp(v) for v in (drawn, expected)]
        assert np.allclose(*ratios, atol=1e-4)


def test_read_scores_returns_the_scores_of_the_journal(cells, table):
    problem, records = problem_of(cells.folder)
    scores = read_scores(problem, records)
    tabulated = {tuple(x) for x in problem.table.X.tolist()}
    assert [s.n for s in scores] == [12] * 5
    failed = 0
    for s, record in zip(scores, records, strict=True):
        scored = [x for x in record["request"]["x"] if tuple(x) in tabulated]
        failed += 12 - len(scored)
        assert s.X.tolist() == scored and s.X.dtype == np.int64
        expected = np.array([score(space.decode(x).operations) for x in s.X])
        assert np.allclose(s.columns["error"], 100 - expected[:, 0])
        assert np.allclose(s.columns["params"], 1e6 * expected[:, 1])
    assert failed > 0


def score_record(kind, n, **columns):
    """Return the journal record of a call with n candidates."""
    return {"kind": kind, "request": {"x": [[i] * 6 for i in range(n)]}, "result": columns}


def test_read_scores_omits_failed_candidates_and_other_kinds_of_calls():
    records = [
        {"kind": "train", "request": {"who": "uniform"}, "result": {"epochs": 1}},
        score_record("score", 2, error=[5.0, 6.0], params=[7, 8], failed=[False, False]),
        score_record("score before", 1, error=[1.0], params=[1], failed=[False]),
        score_record(
            "score", 3, error=[100.0, 4.0, 3.0], params=[1, None, 3], failed=[True, False, False]
        ),
        score_record("final test", 1, error=[1.0]),
        score_record("score", 1, error=[100.0], params=[2], failed=[True]),
    ]
    records = [record | {"call": i} for i, record in enumerate(records)]
    first, second, third = read_scores(Toy(nonstationary=False), records)
    assert first.X.tolist() == [[0] * 6, [1] * 6] and first.n == 2
    assert {name: v.tolist() for name, v in first.columns.items()} == {
        "error": [5.0, 6.0],
        "params": [7.0, 8.0],
    }
    assert second.X.tolist() == [[1] * 6, [2] * 6] and second.n == 3
    assert second.columns["error"].tolist() == [4.0, 3.0]
    assert np.array_equal(second.columns["params"], [np.nan, 3.0], equal_nan=True)
    assert third.X.shape == (0, 6) and third.n == 1 and third.columns["error"].shape == (0,)


def copy_unfinished_run(run, destination, lines=None):
    """Copy a run folder without its front and with only the first lines of its journal."""
    folder = shutil.copytree(run.folder, destination)
    for path in (*folder.glob("*.png"), folder / "front.csv", folder / "report.html"):
        path.unlink()
    journal = folder / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:lines]))
    return folder


@pytest.mark.parametrize(("name", "lines"), [("cells", 3), ("cars", 7)])
def test_the_report_of_a_run_in_progress_shows_the_results_recorded_so_far(
    name, lines, request, tmp_path
):
    folder = copy_unfinished_run(request.getfixturevalue(name), tmp_path / "run", lines)
    if name == "cars":  # the last call is the training of the third generation
        assert read_run(folder)[1][-1]["kind"] == "train"
    with open(folder / "journal.jsonl", "ab") as file:
        file.write(b'{"call": ')  # a line that is being written
    text = show(folder).read_text()
    calls = recorded_scores(folder)
    front = nondominated_genes(calls[-1] if name == "cars" else itertools.chain(*calls))
    problem, _ = problem_of(folder)
    tips = [a["data-tip"] for a in ParsedPage(text).attributes("circle")]
    words = [str(problem.decode(np.array(x))) for x in front]
    assert sorted(tip.splitlines()[-1] for tip in tips) == sorted(words)
    assert f"{lines} recorded calls" in text and "the search is still running" in text
    assert not any("marked" in a.get("class", "") for a in ParsedPage(text).attributes("tr"))
    assert (folder / "hypervolume.png").read_bytes().startswith(PNG)
    assert not (folder / "front.csv").exists()


def test_a_candidate_that_is_evaluated_twice_has_one_point_in_the_report(table, tmp_path):
    problem = moonas.load_problem("nasbench201", table=table, journal=tmp_path)
    X = problem.true_front()[0][[0, 1, 1, -1]]
    problem.journal.begin(1, "by hand")
    scored = problem.table.look_up(X) | {"failed": np.zeros(4, bool)}
    for _ in range(2):
        problem.journal.call("score", {"x": X.tolist()}, lambda: scored)
    problem.journal.close()
    assert len(ParsedPage(show(tmp_path).read_text()).of("circle")) == 3


def start_stage(folder, name, **options):
    """Start a stage without any work; return it, since closing its journal would remove its run."""
    stage = moonas.load_stage(name, journal=folder, **options)
    stage.journal.begin(1, "some algorithm", stage.environment())
    return stage


def test_the_report_of_a_task_is_about_its_last_started_stage(tmp_path, tiny_of):
    stages = []
    for name in ("eg-darts-cells", "eg-darts"):
        options = {"cells": "PDARTS"} if name == "eg-darts" else {}
        stages.append(start_stage(tmp_path / name, name, device="cpu", **options))
        path = show(tmp_path)
        assert path == tmp_path / name / "report.html"
        assert ParsedPage(path.read_text()).words("h1") == [f"{name} on digits, seed 1"]
    assert "No candidate has been evaluated yet." in path.read_text()


@pytest.fixture
def cell_search(tmp_path):
    """The run folder of an EG-DARTS cell search, without any training."""
    stage = stage_module("eg-darts-cells").build(device="cpu", epochs=7)
    journal = Journal(tmp_path / "run", problem="eg-darts-cells", settings=stage.settings)
    journal.begin(3, "cells by gradient", stage.environment())
    for epoch in range(2):
        journal.call("train", {"epoch": epoch}, lambda: {"loss": 1.0})
    journal.call("final test", {}, lambda: {"error": 2.0})
    journal.close()
    times = [
        dict(call=0, kind="train", at="2030-01-02T03:00:00+00:00", seconds=70, journal_seconds=1),
        dict(call=1, kind="train", at="2030-01-02T03:05:00+00:00", seconds=50, journal_seconds=2),
        dict(call=2, kind="final test", at="2030-01-02T04:00:00+00:00", seconds=120)
        | dict(journal_seconds=0),
    ]
    text = "".join(json.dumps(call) + "\n" for call in times)
    (tmp_path / "run" / "times.jsonl").write_text(text)
    return tmp_path / "run"


def test_the_report_of_a_training_stage_contains_images_times_and_settings(cell_search):
    for i in range(30):
        color = (8 * i, 0, 0)
        Image.new("RGB", (2, 2), color).save(cell_search / f"images-{i:03d}.png")
    read = ParsedPage(show(cell_search).read_text())
    assert read.words("h1") == ["eg-darts-cells on digits, seed 3"]
    assert read.words("h2") == ["In short", "Training", "Images", "Time", "Settings"]
    names = [text for _, a, text in read.of("th") if a["scope"] == "row"]
    pairs = dict(zip(names, read.words("td"), strict=True))
    shown = [pairs[name] for name in ("training", "final test", "saving results")]
    assert shown == ["2:00", "2:00", "3 s"]
    assert pairs["epochs"] == "7" and pairs["layers"] == "3 4 5" and pairs["root"] == "none"
    assert pairs["torch"] == read_run(cell_search)[0]["versions"]["torch"]
    assert (
        "From 2030-01-02 03:00 to 2030-01-02 04:02 UTC, with 4:03 of recorded computing time."
        in read.words("p")
    )
    recorded = "Recorded as cells by gradient, with 3 recorded calls in journal.jsonl."
    assert recorded in read.words("p")
    assert any("It ran for 4 min 3 s (2030-01-02 03:00 to 04:02 UTC)" in p for p in read.words("p"))
    names = [a["alt"] for a in read.attributes("img")]
    rounds = [int(name.removeprefix("Samples of round ")) for name in names]
    assert len(rounds) == 12 and rounds == sorted(rounds)
    assert rounds[0] == 0 and rounds[-1] == 29


def test_captions_of_known_images_are_words(cell_search):
    captions = {
        "classes.png": "Scores by class",
        "evaluation.png": "Robustness",
        "images-010.png": "Samples of round 10",
        "mine.png": "mine.png",
        "samples-0200.png": "Samples after epoch 200",
        "samples.png": "Samples",
    }
    for name in captions:
        Image.new("RGB", (2, 2)).save(cell_search / name)
    read = ParsedPage(show(cell_search).read_text())
    assert [a["alt"] for a in read.attributes("img")] == list(captions.values())


def test_repeated_reports_of_a_run_are_identical(cell_search):
    first = show(cell_search).read_bytes()
    assert show(cell_search).read_bytes() == first


def test_an_incomplete_last_line_of_times_jsonl_is_ignored(cell_search):
    with open(cell_search / "times.jsonl", "a") as file:
        file.write('{"call": 3, "ki')
    assert "with 4:03 of recorded computing time." in show(cell_search).read_text()


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[1]",
        b'{"kind": "train"}',
        b"\xff",
        b'{"kind": "train", "at": "today", "seconds": 1, "journal_seconds": 1}',
        b'{"kind": "train", "at": "2030-01-02", "seconds": "1", "journal_seconds": 1}',
    ],
)
def test_a_damaged_times_jsonl_causes_an_error_message_with_its_path(cell_search, capsys, line):
    path = cell_search / "times.jsonl"
    path.write_bytes(line + b"\n" + path.read_bytes())
    assert main(["show", str(cell_search)]) == 1
    assert f"moonas: {path} is damaged: " in capsys.readouterr().err
    assert not (cell_search / "report.html").exists()


def test_a_damaged_journal_causes_an_error_message_with_its_path(cell_search, capsys):
    path = cell_search / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"loss", b"lost", 1))
    assert main(["show", str(cell_search)]) == 1
    assert f"{path} is damaged in line 1" in capsys.readouterr().err


def test_a_folder_without_a_run_causes_an_error_message_with_its_path(tmp_path, capsys):
    for folder, message in (
        (tmp_path, "is not the run folder of a search"),
        ("nowhere", "contains no run"),
    ):
        assert main(["show", str(folder)]) == 2
        assert f"moonas: {folder} {message}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_option_open_opens_the_report_in_a_browser(cell_search, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.chdir(cell_search.parent)
    assert main(["show", cell_search.name, "--open"]) == 0
    assert opened == [(cell_search / "report.html").as_uri()]


def test_a_run_with_only_failed_candidates_has_a_report(tmp_path):
    head, line, *_ = write_table(tmp_path / "table.csv").read_text().splitlines()
    (tmp_path / "one.csv").write_text(f"{head}\n{line}\n")
    problem = moonas.load_problem(
        "nasbench201", table=tmp_path / "one.csv", journal=tmp_path / "run"
    )
    with pytest.raises(moonas.problem.SearchFailed):
        search(problem, problem.algorithm(), seed=1, generations=2, verbose=False)
    assert "with 1 recorded call in" in show(tmp_path / "run").read_text()


def test_calls_in_which_all_candidates_failed_count_as_evaluations(tmp_path):
    problem = moonas.load_problem("digits-table", journal=tmp_path, population=20)
    search(problem, problem.algorithm(), seed=1, generations=3, verbose=False)
    problem.journal.close()
    head, records = read_run(tmp_path)
    records = [record | {"result": dict(record["result"])} for record in records]
    records[0]["result"]["failed"] = [True] * 20
    scores = read_scores(problem, records)
    evaluations, values = hypervolume_curve(problem, scores)
    assert evaluations.tolist() == [20, 40, 60] and values[0] == 0 < values[1] <= values[2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("moonas.views.run_page.read_run", lambda folder: (head, records))
        text = show(tmp_path).read_text()
    assert "networks in 60 evaluations." in text
    figure = figure_of(text, "<figcaption>Hypervolume of")
    assert len(marker_positions(figure, f"fill: {ACCENT}")) == 3
    population = figure_of(text, "the number of evaluations so far")
    assert len(marker_positions(population, "stroke-width: 0.25")) == 40


def test_equal_graphs_are_drawn_once(monkeypatch, tmp_path):
    problem = moonas.load_problem("digits-table", population=20)
    X = problem.true_front()[0]
    rows = front_from_scores(problem, X, problem.table.look_up(X))
    edges = (("0", "2", "c1"), ("1", "2", "c3"), ("2", "3", "c5"), ("0", "3", "skip"))
    graph = Graph("cell", ("0", "1"), ("2", "3"), edges)
    monkeypatch.setattr(problem, "graphs", lambda architecture: [graph])
    text = _graphs(problem, tmp_path, rows, 1)
    assert text.count("<svg") == 1 and "Its graph is the same as that of row 1." in text
    other = [Graph(str(row.architecture), ("0", "1"), ("2", "3"), edges) for row in rows]
    monkeypatch.setattr(problem, "graphs", lambda a: [g for g in other if g.title == str(a)])
    text = _graphs(problem, tmp_path, rows, 1)
    assert text.count("<svg") == 3 and "Its graph" not in text


def test_the_caption_of_four_objectives_names_what_the_figure_shows(tmp_path):
    objectives = ("error", "params", "macs", "latency_ms")
    problem = moonas.load_problem("digits-table", objectives=objectives, journal=tmp_path)
    search(problem, problem.algorithm(), seed=1, generations=1, verbose=False)
    problem.journal.close()
    text = show(tmp_path).read_text()
    caption = re.search("<figcaption>(Pareto front.*?)</figcaption>", text)[1]
    assert "the thick line with dots marks the picked candidate, " in caption
    assert text.count('class="paper"') == 1
    assert "Hover" not in caption and ParsedPage(text).of("circle") == []


def test_read_scores_merges_calls_under_the_same_weights():
    records = [
        {"kind": "train", "request": {"who": "uniform"}, "result": {"epochs": 1}},
        score_record("score", 1, error=[5.0], params=[7], failed=[False]),
        score_record("score", 2, error=[100.0, 4.0], params=[1, 3], failed=[True, False]),
        {"kind": "train", "request": {"who": []}, "result": {"epochs": 1}},
        score_record("score", 1, error=[3.0], params=[2], failed=[False]),
    ]
    records = [record | {"call": i} for i, record in enumerate(records)]
    first, second = read_scores(Toy(), records)
    assert first.columns["error"].tolist() == [5.0, 4.0] and first.n == 3
    assert second.columns["params"].tolist() == [2.0] and len(second.X) == 1


def test_a_report_counts_failed_candidates_with_their_reasons(tmp_path):
    problem = moonas.load_problem("digits-table", journal=tmp_path, population=20)
    score = problem.evaluator.score

    def score_small_networks(candidates):
        if (candidates.rows[:, 0] == 0).any():
            raise MemoryError("500 MB are not available")
        return score(candidates)

    problem.evaluator.score = score_small_networks
    search(problem, problem.algorithm(), seed=1, generations=1, verbose=False)
    problem.journal.close()
    (record,) = read_run(tmp_path)[1]
    n = len(record["result"]["failures"])
    assert n == sum(x[0] == 0 for x in record["request"]["x"]) > 1
    text = show(tmp_path).read_text()
    assert f"{n} evaluations failed; these candidates have the worst scores." in text
    assert f"{n} times: MemoryError: 500 MB are not available (test_run_page.py, line " in text
