"""The page that lays several runs over each other."""

import contextlib
import io
import shutil

import numpy as np
import pytest
from reading import ParsedPage, faults_of
from searches import front_rows

import moonas
from moonas.cli import main
from moonas.views.runs_page import show_runs

SEARCH = ["search", "digits-table", "--population", "6", "--generations", "3"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run folders "a" and "b", which differ in seed and crossover, and "macs"."""
    folder = tmp_path_factory.mktemp("runs")
    for name, words in {
        "a": [],
        "b": ["--seed", "2", "--set", "crossover=0.5"],
        "macs": ["--objectives", "error", "macs"],
    }.items():
        with contextlib.redirect_stdout(io.StringIO()):
            assert main([*SEARCH, *words, "--out", str(folder / name)]) == 0
    return folder


def table_of(text, caption):
    start = text.index(f"{caption}</caption>")
    return ParsedPage(text[start : text.index("</table>", start)])


def test_a_page_of_several_runs_has_their_fronts_hypervolumes_and_different_settings(
    runs, tmp_path, capsys
):
    out = tmp_path / "both.html"
    assert main(["show", str(runs / "a"), str(runs / "b"), "--out", str(out)]) == 0
    assert f"Comparison of 2 runs written to {out}." in capsys.readouterr().out
    text = out.read_text()
    assert faults_of(text) == [] and len(text) < 2e6
    different = table_of(text, "Settings that differ")
    assert different.words("th") == ["setting", "a", "b", "seed", "crossover"]
    assert different.words("td") == ["1", "2", "0.9", "0.5"]
    fronts = {name: front_rows(runs / name) for name in "ab"}
    tips = [a["data-tip"].splitlines() for a in ParsedPage(text).attributes("circle")]
    assert [tip[0] for tip in tips] == ["a"] * len(fronts["a"]) + ["b"] * len(fronts["b"])
    assert tips[0][-1] == fronts["a"][0]["description"]
    results = table_of(text, "Results of the searches")
    problem = moonas.load_problem("digits-table")
    F = [
        np.array([[float(r["error"]), float(r["params"])] for r in rows])
        for rows in fronts.values()
    ]
    expected = [f"{problem.hypervolume(objectives):.4f}" for objectives in F]
    assert results.words("th")[:3] == ["result", "a", "b"]
    pairs = np.reshape(results.words("td"), (-1, 2))
    cells = dict(zip(results.words("th")[3:], pairs.tolist(), strict=True))
    assert cells["hypervolume"] == expected
    assert cells["evaluations"] == ["18", "18"]
    assert "as a share of the hypervolume of the true front." in text


def test_runs_with_other_objectives_or_data_cannot_be_compared(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["show", str(runs / "a"), str(runs / "macs")]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "cannot be compared: their objectives are" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--watch", "{a}", "{b}"], "--watch is invalid with several runs"),
        (["{a}", "--out", "x.html"], "--out is invalid with one run"),
        (["{a}"] * 13, "13 runs given: expected 2 to 12"),
        (["{a}", "nowhere"], "nowhere contains no run"),
        (["{a}", "{b}", "{b}/../a"], "/../a is given twice: expected different runs"),
    ],
)
def test_invalid_arguments_cause_one_line(runs, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    paths = {name: str(runs / name) for name in "ab"}
    assert main(["show", *(word.format(**paths) for word in words)]) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1 and message in text


def test_runs_with_different_boxes_are_compared_by_a_box_around_both(runs, tmp_path):
    other = shutil.copytree(runs / "b", tmp_path / "other")
    text = (other / "run.json").read_text()
    changed = text.replace('"reference_point": []', '"reference_point": ["error=99"]')
    assert changed != text
    (other / "run.json").write_text(changed)
    out = show_runs([runs / "a", other], tmp_path / "both.html")
    assert "as a share of the smallest box that contains the boxes" in out.read_text()
