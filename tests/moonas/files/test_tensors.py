import io

import pytest
import torch

from moonas.files.tensors import (
    fingerprint,
    read_tensors,
    write_state_dict,
    write_tensors,
)

TENSORS = {
    "weight": torch.arange(6.0).reshape(2, 3).T,  # not contiguous
    "count": torch.tensor(3),
    "empty": torch.empty(0, dtype=torch.float64),
    "half": torch.tensor([1.5, -0.0], dtype=torch.bfloat16),
    "mask": torch.tensor([True, False]),
}
HEADER = {"kind": "toy", "sizes": [1, 2], "none": None}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "some.pt"
    write_tensors(path, TENSORS, HEADER)
    return path


def assert_original_tensors(tensors):
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())
    assert all(tensors[name].dtype == tensor.dtype for name, tensor in TENSORS.items())


def save(path, content):
    torch.save(content, path)
    return path


def test_a_fingerprint_depends_on_names_data_types_shapes_and_elements():
    base = {"a": torch.zeros(2, 3)}
    others = [
        {"b": torch.zeros(2, 3)},
        {"a": torch.zeros(3, 2)},
        {"a": torch.zeros(2, 3, dtype=torch.float64)},
        {"a": -torch.zeros(2, 3)},
    ]
    assert len({fingerprint(state) for state in [base, *others]}) == 5
    assert fingerprint(base) == fingerprint({"a": torch.zeros(3, 2).T})


def test_the_fingerprint_of_tensors_equals_the_fingerprint_in_older_journals():
    recorded = "246687e7f979865969a4a70420c43d4b"
    assert fingerprint(TENSORS).startswith(recorded)


def test_the_header_and_tensors_that_are_read_equal_the_ones_that_were_written(path):
    about, tensors = read_tensors(path)
    assert about == HEADER
    assert_original_tensors(tensors)


def test_writing_tensors_returns_their_fingerprint(tmp_path):
    assert write_tensors(tmp_path / "a.pt", TENSORS, {}) == fingerprint(TENSORS)


def test_equal_headers_and_tensors_are_written_as_equal_bytes(path, tmp_path):
    write_tensors(tmp_path / "other name.pt", TENSORS, HEADER)
    assert (tmp_path / "other name.pt").read_bytes() == path.read_bytes()


def test_older_files_without_a_format_or_without_a_header_can_be_read(path, tmp_path):
    content = torch.load(path, weights_only=True)
    del content["format"]
    about, tensors = read_tensors(save(tmp_path / "no format.pt", content))
    assert about == HEADER
    assert_original_tensors(tensors)
    write_state_dict(tmp_path / "plain.pt", TENSORS)
    about, tensors = read_tensors(tmp_path / "plain.pt")
    assert about == {}
    assert_original_tensors(tensors)
    assert_original_tensors(torch.load(tmp_path / "plain.pt", weights_only=True))


def test_an_older_file_is_rewritten_only_if_its_header_or_tensors_differ(path, tmp_path):
    content = torch.load(path, weights_only=True)
    del content["format"]
    old = save(tmp_path / "old.pt", content)
    before = old.read_bytes()
    write_tensors(old, TENSORS, HEADER)
    assert old.read_bytes() == before
    for tensors, about in ((TENSORS, {}), ({"count": torch.tensor(4)}, HEADER)):
        write_tensors(old, tensors, about)
        assert read_tensors(old)[0] == about and read_tensors(old)[1].keys() == tensors.keys()
    old.write_bytes(before[:-100])
    write_tensors(old, TENSORS, HEADER)
    assert_original_tensors(read_tensors(old)[1])


def test_an_expected_fingerprint_takes_precedence_over_the_fingerprint_in_the_file(path, tmp_path):
    assert_original_tensors(read_tensors(path, expected_fingerprint=fingerprint(TENSORS))[1])
    write_state_dict(tmp_path / "plain.pt", TENSORS)
    for file in (path, tmp_path / "plain.pt"):
        with pytest.raises(ValueError, match="is damaged: it does not contain the tensors"):
            read_tensors(file, expected_fingerprint=fingerprint({}))


def test_a_missing_file_raises_an_error_that_names_the_file(tmp_path):
    with pytest.raises(ValueError, match=r"none\.pt is missing"):
        read_tensors(tmp_path / "none.pt")


def test_a_file_with_changed_tensors_raises_an_error(path):
    content = torch.load(path, weights_only=True)
    content["tensors"]["count"] += 1
    with pytest.raises(ValueError, match="is damaged: it does not contain the tensors"):
        read_tensors(save(path, content))


class Exploit:
    """An object whose unpickling runs code."""

    def __reduce__(self):
        return print, ("executed",)


def invalid_contents_and_reasons(path):
    """Pairs of an invalid file content and the reason that the error message states."""
    content = torch.load(path, weights_only=True)
    return [
        (content | {"format": 9}, "it has format 9; expected 1"),
        (content | {"about": "{"}, "Expecting property name"),
        ({"about": "{}", "tensors": {}}, "'check'"),
        ({"weight": 3}, "'int' object has no attribute"),
        ([torch.zeros(1)], "'list' object has no attribute"),
        (Exploit(), "it is another file, is damaged, or contains more than tensors"),
    ]


@pytest.mark.parametrize("i", range(6))
def test_invalid_content_raises_a_one_line_error_that_names_the_file(path, capsys, i):
    content, reason = invalid_contents_and_reasons(path)[i]
    with pytest.raises(ValueError, match=rf"some\.pt does not contain cats: {reason}") as caught:
        read_tensors(save(path, content), content="cats")
    assert "\n" not in str(caught.value) and capsys.readouterr().out == ""


def test_a_truncated_file_raises_an_error_that_names_the_file(path):
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"some\.pt does not contain cats"):
        read_tensors(path, content="cats")


def test_no_file_is_written_if_the_header_is_not_json_serializable(tmp_path):
    with pytest.raises(TypeError):
        write_tensors(tmp_path / "a.pt", TENSORS, {"file": io.BytesIO()})
    assert list(tmp_path.iterdir()) == []
