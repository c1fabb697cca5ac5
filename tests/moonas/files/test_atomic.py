import errno
import hashlib
import os
from pathlib import Path

import pytest

from moonas.files import sha256, write_atomically, write_json


def no_space(*args):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_is_written_and_overwritten_without_leaving_other_files(tmp_path):
    path = tmp_path / "run.json"
    for data in (b"old, and longer", b"new"):
        write_atomically(path, data)
        assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "run.json"
    write_atomically(path, b"old")
    monkeypatch.setattr(os, step, no_space)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    if step == "fsync":
        assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_is_replaced_only_when_the_new_one_is_complete(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    write_atomically(path, b"old")
    seen = []
    replace = os.replace

    def spy(new, old):
        seen.append((Path(new).read_bytes(), Path(old).read_bytes()))
        replace(new, old)

    monkeypatch.setattr(os, "replace", spy)
    write_atomically(path, b"new")
    assert seen == [(b"new", b"old")]


def test_a_missing_folder_raises_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "none" / "run.json", b"")


def test_json_is_indented_and_ends_with_a_line_end(tmp_path):
    write_json(tmp_path / "a.json", {"x": [1, "\u00e4"]})
    text = (tmp_path / "a.json").read_text()
    assert text == '{\n "x": [\n  1,\n  "\\u00e4"\n ]\n}\n'


def test_a_value_that_is_not_json_serializable_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"x": object()})
    assert (tmp_path / "a.json").read_text() == "1\n"


@pytest.mark.parametrize(
    "size", [0, 3, (1 << 20) + 1]
)  # the file is read in blocks of one mebibyte
def test_the_digest_of_a_file_equals_the_digest_of_its_bytes(tmp_path, size):
    data = bytes(range(256)) * (size // 256 + 1)
    (tmp_path / "file").write_bytes(data[:size])
    assert sha256(tmp_path / "file") == hashlib.sha256(data[:size]).hexdigest()
