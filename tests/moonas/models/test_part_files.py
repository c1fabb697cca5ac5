import csv
import json

import numpy as np
import onnxruntime
import pytest
import torch

import moonas
from moonas.cli import main
from moonas.models import part_files
from moonas.models.part_files import read_times, write_parts


@pytest.fixture(scope="module")
def problem(few_digits):
    """A problem with ten parts."""
    return moonas.load_problem("nsganet-macro", data=few_digits, device="cpu")


@pytest.fixture(scope="module")
def written(problem, tmp_path_factory):
    """The table of the parts of the problem."""
    return write_parts(problem, tmp_path_factory.mktemp("parts") / "files")


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def fill(path, times, to, delimiter=","):
    """Write a copy of a table of parts with times."""
    rows = rows_of(path)
    for row, time in zip(rows, times, strict=True):
        row["latency_ms"] = time
    with open(to, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return to


def test_every_part_is_written_as_an_onnx_file_with_its_input_shape(problem, written):
    parts = {part.key: part for part in problem.operations()}
    rows = rows_of(written)
    assert {row["part"] for row in rows} == set(parts) and len(rows) == len(parts)
    assert {row["latency_ms"] for row in rows} == {""}
    files = {path.name for path in written.parent.glob("*.onnx")}
    assert files == {row["file"] for row in rows} and not any(" " in name for name in files)
    for row in rows:
        session = onnxruntime.InferenceSession(written.parent / row["file"])
        shape = [1, *parts[row["part"]].shape]
        assert session.get_inputs()[0].shape == shape == [int(n) for n in row["input"].split("x")]
        (output,) = session.run(None, {"input": np.zeros(shape, np.float32)})
        expected = parts[row["part"]].build().eval()(torch.zeros(shape)).shape
        assert output.shape == tuple(expected)


def test_an_interrupted_call_goes_on_and_times_are_kept(problem, written, tmp_path, monkeypatch):
    (tmp_path / "some.onnx").write_bytes(b"")
    times = [str(0.1 * (i + 1)) for i in range(len(rows_of(written)))]
    for row in rows_of(written)[1:]:
        (tmp_path / row["file"]).write_bytes(b"written before")
    fill(written, times, tmp_path / "parts.csv")
    seen = []
    write_parts(problem, tmp_path, on_progress=lambda *progress: seen.append(progress))
    n = len(times)
    assert seen[0] == ("writing parts", 0, n, "parts") and seen[-1][1:3] == (n, n)
    first, *others = rows_of(tmp_path / "parts.csv")
    assert (tmp_path / first["file"]).stat().st_size > 100
    assert all((tmp_path / r["file"]).read_bytes() == b"written before" for r in others)
    assert [row["latency_ms"] for row in (first, *others)] == times


def test_times_of_other_spaces_are_kept(problem, written, few_digits, tmp_path, monkeypatch):
    monkeypatch.setattr(part_files, "_write_part", lambda part, path: path.write_bytes(b""))
    fill(written, np.arange(1, 11), tmp_path / "parts.csv")
    other = moonas.load_problem("nsganet-macro", data=few_digits, device="cpu", channels=4)
    write_parts(other, tmp_path)
    with pytest.raises(ValueError, match="lacks the times of"):
        read_times(other, tmp_path / "parts.csv")
    write_parts(problem, tmp_path)
    assert sorted(read_times(problem, tmp_path / "parts.csv")["parts"].values()) == [*range(1, 11)]


def test_a_table_without_keys_can_be_completed(problem, written, tmp_path, monkeypatch):
    monkeypatch.setattr(part_files, "_write_part", lambda part, path: path.write_bytes(b""))
    lines = [f"{row['file']},2.5" for row in rows_of(written)]
    (tmp_path / "parts.csv").write_text("\n".join(["file,latency_ms", *lines[:4]]))
    write_parts(problem, tmp_path)
    assert [row["latency_ms"] for row in rows_of(tmp_path / "parts.csv")] == ["2.5"] * 4 + [""] * 6


def test_a_part_with_two_outputs_is_written_and_a_failed_export_leaves_no_file(
    few_digits, tmp_path, monkeypatch
):
    cars = moonas.load_problem("cars", data=few_digits, device="cpu", channels=2)
    stem = next(part for part in cars.operations() if part.key.startswith("stem"))
    path = tmp_path / "stem.onnx"
    part_files._write_part(stem, path)
    outputs = onnxruntime.InferenceSession(path).run(
        None, {"input": np.zeros((1, *stem.shape), np.float32)}
    )
    expected = stem.build().eval()(torch.zeros(1, *stem.shape))
    assert [o.shape for o in outputs] == [tuple(e.shape) for e in expected] and len(outputs) == 2
    path.unlink()
    monkeypatch.setattr(part_files, "TOLERANCE", -1.0)
    with pytest.raises(ValueError, match=r"outputs of the exported part 'stem .* differ by"):
        part_files._write_part(stem, path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_times_become_a_latency_table(problem, written, tmp_path, delimiter):
    times = np.arange(1, 11) / 8
    table = read_times(problem, fill(written, times, tmp_path / "t.csv", delimiter), "a phone")
    keys = [row["part"] for row in rows_of(written)]
    assert table["parts"] == dict(zip(keys, times, strict=True))
    assert table["about"] == {"problem": "NSGANetMacro", "device": "a phone", "batch": 1}


def test_the_column_file_is_enough(problem, written, tmp_path):
    lines = [f"{row['file']},2.5" for row in rows_of(written)]
    path = tmp_path / "times.csv"
    path.write_text("\n".join(["\ufefffile, latency_ms", *lines, ""]))
    assert set(read_times(problem, path)["parts"].values()) == {2.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("part,latency_ms\n", r"lacks the times of 10 parts of 10, for example 'macro_stem"),
        ("part,ms\nx,1\n", r"expected the columns part \(or file\) and latency_ms.*got part, ms"),
        ("", "got an empty file"),
        ("part,latency_ms\n\nKEY,abc\n", "line 3: latency_ms='abc' is invalid"),
        ("part,latency_ms\nKEY,-1\n", "line 2: latency_ms='-1' is invalid: expected a positive"),
        (
            "part,latency_ms\nKEY,1,5\n",
            "line 2 is invalid: .* got 3. .*a decimal point",
        ),
        ("file,latency_ms\na.tflite,1\n", "10 parts of 10.*The file has others.*'a.tflite'"),
    ],
)
def test_invalid_tables_of_times_are_rejected(problem, tmp_path, text, message):
    path = tmp_path / "times.csv"
    path.write_text(text.replace("KEY", problem.operations()[0].key))
    with pytest.raises(ValueError, match=message):
        read_times(problem, path)


def test_a_missing_table_of_times_is_reported(problem, tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        read_times(problem, tmp_path / "nothing.csv")


def test_the_command_writes_parts_and_reads_times(
    written, few_digits, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    line = ["latency", "nsganet-macro", "--data", str(few_digits)]
    assert main([*line, "--parts", str(written.parent)]) == 0  # the files exist
    out = capsys.readouterr().out
    assert f"listed in {written}" in out and f"--times {written} instead of --parts" in out
    fill(written, np.arange(1, 11), "times.csv")
    command = [*line, "--times", "times.csv", "--device-name", "a phone", "--out", "phone.json"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "10 parts on a phone: 1.000 to 10.000 ms." in out
    table = json.loads((tmp_path / "phone.json").read_text())["parts"]
    options = dict(data=few_digits, device="cpu", latency_table="phone.json")
    problem = moonas.load_problem(
        "nsganet-macro", objectives=("error", "latency_ms"), proxy_epochs=1, **options
    )
    x = problem.genes.high
    latency = problem.evaluate(np.array([x]))[0, 1]
    parts = problem.parts(problem.decode(x))
    assert latency == pytest.approx(sum(table[part.key] for part in parts))
    assert main([*line, "--times", "nothing.csv"]) == 2
    assert "nothing.csv does not exist" in capsys.readouterr().err
