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
ABOUT = {"kind": "toy", "sizes": [1, 2], "none": None}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "some.pt"
    write_tensors(path, TENSORS, ABOUT)
    return path


def assert_same(tensors):
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())
    assert all(tensors[name].dtype == tensor.dtype for name, tensor in TENSORS.items())


def save(path, content):
    torch.save(content, path)
    return path


def test_a_fingerprint_depends_on_names_types_shapes_and_bits():
    base = {"a": torch.zeros(2, 3)}
    others = [
        {"b": torch.zeros(2, 3)},
        {"a": torch.zeros(3, 2)},
        {"a": torch.zeros(2, 3, dtype=torch.float64)},
        {"a": -torch.zeros(2, 3)},
    ]
    assert len({fingerprint(state) for state in [base, *others]}) == 5
    assert fingerprint(base) == fingerprint({"a": torch.zeros(3, 2).T})


def test_fingerprints_equal_those_in_older_journals():
    recorded = "246687e7f979865969a4a70420c43d4b"
    assert fingerprint(TENSORS).startswith(recorded)


def test_header_and_tensors_survive_a_round_trip(path):
    about, tensors = read_tensors(path)
    assert about == ABOUT
    assert_same(tensors)


def test_writing_returns_the_fingerprint(tmp_path):
    assert write_tensors(tmp_path / "a.pt", TENSORS, {}) == fingerprint(TENSORS)


def test_files_with_equal_content_have_equal_bytes(path, tmp_path):
    write_tensors(tmp_path / "other name.pt", TENSORS, ABOUT)
    assert (tmp_path / "other name.pt").read_bytes() == path.read_bytes()


def test_older_files_without_a_format_or_a_header_can_be_read(path, tmp_path):
    content = torch.load(path, weights_only=True)
    del content["format"]
    about, tensors = read_tensors(save(tmp_path / "no format.pt", content))
    assert about == ABOUT
    assert_same(tensors)
    write_state_dict(tmp_path / "plain.pt", TENSORS)
    about, tensors = read_tensors(tmp_path / "plain.pt")
    assert about == {}
    assert_same(tensors)
    assert_same(torch.load(tmp_path / "plain.pt", weights_only=True))


def test_an_older_file_with_equal_content_is_not_rewritten(path, tmp_path):
    content = torch.load(path, weights_only=True)
    del content["format"]
    old = save(tmp_path / "old.pt", content)
    before = old.read_bytes()
    write_tensors(old, TENSORS, ABOUT)
    assert old.read_bytes() == before
    for tensors, about in ((TENSORS, {}), ({"count": torch.tensor(4)}, ABOUT)):
        write_tensors(old, tensors, about)
        assert read_tensors(old)[0] == about and read_tensors(old)[1].keys() == tensors.keys()
    old.write_bytes(before[:-100])
    write_tensors(old, TENSORS, ABOUT)
    assert_same(read_tensors(old)[1])


def test_an_expected_fingerprint_takes_precedence_over_that_of_the_file(path, tmp_path):
    assert_same(read_tensors(path, expected_fingerprint=fingerprint(TENSORS))[1])
    write_state_dict(tmp_path / "plain.pt", TENSORS)
    for file in (path, tmp_path / "plain.pt"):
        with pytest.raises(ValueError, match="is damaged: it does not contain the tensors"):
            read_tensors(file, expected_fingerprint=fingerprint({}))


def test_a_missing_file_raises_an_error_that_names_it(tmp_path):
    with pytest.raises(ValueError, match=r"none\.pt is missing"):
        read_tensors(tmp_path / "none.pt")


def test_changed_tensors_are_detected(path):
    content = torch.load(path, weights_only=True)
    content["tensors"]["count"] += 1
    with pytest.raises(ValueError, match="is damaged: it does not contain the tensors"):
        read_tensors(save(path, content))


class Exploit:
    """An object whose unpickling runs code."""

    def __reduce__(self):
        return print, ("executed",)


def invalid_contents(path):
    """Invalid contents of a file, with the reason in the error message."""
    content = torch.load(path, weights_only=True)
    return [
        (content | {"format": 9}, "it has format 9; expected 1"),
        (content | {"about": "{"}, "Expecting property name"),
        ({"about": "{}", "tensors": {}}, "'check'"),
        ({"weight": 3}, "'int' object has no attribute"),
        ([torch.zeros(1)], "'list' object has no attribute"),
        (Exploit(), "Weights only load failed"),
    ]


@pytest.mark.parametrize("i", range(6))
def test_invalid_content_raises_a_one_line_error_that_names_the_file(path, capsys, i):
    content, reason = invalid_contents(path)[i]
    with pytest.raises(ValueError, match=rf"some\.pt does not contain cats: {reason}") as caught:
        read_tensors(save(path, content), content="cats")
    assert "\n" not in str(caught.value) and capsys.readouterr().out == ""


def test_a_truncated_file_raises_an_error(path):
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"some\.pt does not contain cats"):
        read_tensors(path, content="cats")


def test_a_header_that_is_not_json_serializable_leaves_no_file(tmp_path):
    with pytest.raises(TypeError):
        write_tensors(tmp_path / "a.pt", TENSORS, {"file": io.BytesIO()})
    assert list(tmp_path.iterdir()) == []
