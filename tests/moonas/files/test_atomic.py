import errno
import hashlib
import os
from pathlib import Path

import pytest

from moonas.files import sha256, write_atomically, write_json


def raise_disk_full(*args):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_writing_and_overwriting_a_file_leaves_no_other_files(tmp_path):
    path = tmp_path / "run.json"
    for data in (b"old, and longer", b"new"):
        write_atomically(path, data)
        assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_does_not_change_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "run.json"
    write_atomically(path, b"old")
    monkeypatch.setattr(os, step, raise_disk_full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    if step == "fsync":
        assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_is_replaced_only_after_the_new_file_is_complete(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    write_atomically(path, b"old")
    contents = []
    replace = os.replace

    def spy(new, old):
        contents.append((Path(new).read_bytes(), Path(old).read_bytes()))
        replace(new, old)

    monkeypatch.setattr(os, "replace", spy)
    write_atomically(path, b"new")
    assert contents == [(b"new", b"old")]


def test_writing_to_a_missing_folder_raises_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "none" / "run.json", b"")


def test_json_files_are_indented_and_end_with_a_newline(tmp_path):
    write_json(tmp_path / "a.json", {"x": [1, "\u00e4"]})
    text = (tmp_path / "a.json").read_text()
    assert text == '{\n "x": [\n  1,\n  "\\u00e4"\n ]\n}\n'


def test_a_value_that_is_not_json_serializable_does_not_overwrite_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"x": object()})
    assert (tmp_path / "a.json").read_text() == "1\n"


# the file is read in blocks of one mebibyte
@pytest.mark.parametrize("size", [0, 3, (1 << 20) + 1])
def test_the_sha256_of_a_file_equals_the_sha256_of_its_bytes(tmp_path, size):
    data = bytes(range(256)) * (size // 256 + 1)
    (tmp_path / "file").write_bytes(data[:size])
    assert sha256(tmp_path / "file") == hashlib.sha256(data[:size]).hexdigest()
