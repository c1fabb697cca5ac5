import numpy as np
import pytest

from moonas.files.reading import read_csv, read_json, read_npz, read_text


def test_text_is_utf_8_or_has_a_byte_order_mark(tmp_path):
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "x").write_text("é\n", encoding=encoding)
        assert read_text(tmp_path / "x") == "é\n"
    (tmp_path / "x").write_bytes(b"a\nb\xe9")
    with pytest.raises(ValueError, match="x is not UTF-8 text: line 2 contains the byte 0xe9"):
        read_text(tmp_path / "x")
    with pytest.raises(ValueError, match="y does not exist"):
        read_text(tmp_path / "y")
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        read_text(tmp_path)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_separator_of_a_csv_file_is_that_of_its_first_line(tmp_path, separator):
    rows = [("file", " a b ", "c"), ("1", "2.5", '"x\ny"'), ("3", "", "z")]
    text = "\n" + "\n\n".join(separator.join(row) for row in rows)
    (tmp_path / "x.csv").write_text(text)
    table = read_csv(tmp_path / "x.csv")
    assert table.header == ("file", "a b", "c")
    assert table.rows == [["1", "2.5", "x\ny"], ["3", "", "z"]] and table.lines == [5, 7]
    assert table.column("a b") == ["2.5", ""]


def test_a_row_with_another_number_of_values_is_named(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n3\n")
    with pytest.raises(ValueError, match="x.csv, line 3 is invalid: expected 2 values, got 1"):
        read_csv(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_text('a,b\n1,"' + "x" * 200_000)
    with pytest.raises(ValueError, match="x.csv, line 2 is not CSV: field larger than field limit"):
        read_csv(tmp_path / "x.csv")


def test_an_archive_is_read_without_pickled_objects(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.arange(3), b=np.array(["text"]))
    arrays = read_npz(tmp_path / "x.npz")
    assert arrays["a"].tolist() == [0, 1, 2] and arrays["b"].tolist() == ["text"]
    np.savez(tmp_path / "x.npz", a=np.array([print], dtype=object))
    with pytest.raises(ValueError, match="cannot be read as an .npz file: Object arrays cannot"):
        read_npz(tmp_path / "x.npz")
    np.save(tmp_path / "x.npy", np.arange(3))
    with pytest.raises(ValueError, match="x.npy cannot be read .* it is not an .npz file"):
        read_npz(tmp_path / "x.npy")
    with pytest.raises(ValueError, match="y.npz does not exist"):
        read_npz(tmp_path / "y.npz")


@pytest.mark.parametrize("text", ["", "{", "[1, 2", "[" * 100_000])
def test_text_that_is_not_json_is_rejected(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match="x.json is not JSON: ") as error:
        read_json(tmp_path / "x.json")
    assert len(str(error.value)) < 500
