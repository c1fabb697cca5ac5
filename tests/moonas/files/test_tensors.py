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


def same(found):
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in TENSORS.items())
    assert all(found[name].dtype == tensor.dtype for name, tensor in TENSORS.items())


def saved(path, content):
    torch.save(content, path)
    return path


def test_fingerprint_tells_names_types_shapes_and_bits_apart():
    base = {"a": torch.zeros(2, 3)}
    others = [
        {"b": torch.zeros(2, 3)},
        {"a": torch.zeros(3, 2)},
        {"a": torch.zeros(2, 3, dtype=torch.float64)},
        {"a": -torch.zeros(2, 3)},
    ]
    assert len({fingerprint(state) for state in [base, *others]}) == 5
    assert fingerprint(base) == fingerprint({"a": torch.zeros(3, 2).T})


def test_a_fingerprint_is_what_older_journals_recorded():
    recorded = "246687e7f979865969a4a70420c43d4b"
    assert fingerprint(TENSORS).startswith(recorded)


def test_a_file_holds_its_header_and_its_tensors(path):
    about, tensors = read_tensors(path)
    assert about == ABOUT
    same(tensors)


def test_the_fingerprint_is_what_writing_returns(tmp_path):
    assert write_tensors(tmp_path / "a.pt", TENSORS, {}) == fingerprint(TENSORS)


def test_files_of_the_same_content_have_the_same_bytes(path, tmp_path):
    write_tensors(tmp_path / "other name.pt", TENSORS, ABOUT)
    assert (tmp_path / "other name.pt").read_bytes() == path.read_bytes()


def test_older_files_without_a_format_or_a_header_are_read(path, tmp_path):
    held = torch.load(path, weights_only=True)
    del held["format"]
    about, tensors = read_tensors(saved(tmp_path / "no format.pt", held))
    assert about == ABOUT
    same(tensors)
    write_state_dict(tmp_path / "plain.pt", TENSORS)
    about, tensors = read_tensors(tmp_path / "plain.pt")
    assert about == {}
    same(tensors)
    same(torch.load(tmp_path / "plain.pt", weights_only=True))


def test_an_older_file_of_the_same_content_stays_as_it_is(path, tmp_path):
    held = torch.load(path, weights_only=True)
    del held["format"]
    old = saved(tmp_path / "old.pt", held)
    before = old.read_bytes()
    write_tensors(old, TENSORS, ABOUT)
    assert old.read_bytes() == before
    for tensors, about in ((TENSORS, {}), ({"count": torch.tensor(4)}, ABOUT)):
        write_tensors(old, tensors, about)
        assert read_tensors(old)[0] == about and read_tensors(old)[1].keys() == tensors.keys()
    old.write_bytes(before[:-100])
    write_tensors(old, TENSORS, ABOUT)
    same(read_tensors(old)[1])


def test_a_check_of_the_caller_comes_before_that_of_the_file(path, tmp_path):
    same(read_tensors(path, check=fingerprint(TENSORS))[1])
    write_state_dict(tmp_path / "plain.pt", TENSORS)
    for file in (path, tmp_path / "plain.pt"):
        with pytest.raises(ValueError, match="is damaged: it does not hold the tensors"):
            read_tensors(file, check=fingerprint({}))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.pt is missing"):
        read_tensors(tmp_path / "none.pt")


def test_changed_tensors_are_noticed(path):
    held = torch.load(path, weights_only=True)
    held["tensors"]["count"] += 1
    with pytest.raises(ValueError, match="is damaged: it does not hold the tensors"):
        read_tensors(saved(path, held))


class Bomb:
    """What a pickle could do."""

    def __reduce__(self):
        return print, ("exploded",)


def contents(path):
    """Contents of other kinds, by what is said of them."""
    held = torch.load(path, weights_only=True)
    return [
        (held | {"format": 9}, "it has format 9, expected 1"),
        (held | {"about": "{"}, "Expecting property name"),
        ({"about": "{}", "tensors": {}}, "'check'"),
        ({"weight": 3}, "'int' object has no attribute"),
        ([torch.zeros(1)], "'list' object has no attribute"),
        (Bomb(), "Weights only load failed"),
    ]


@pytest.mark.parametrize("i", range(6))
def test_another_kind_of_file_is_refused_by_name_with_one_line(path, capsys, i):
    content, reason = contents(path)[i]
    with pytest.raises(ValueError, match=rf"some\.pt holds no cats: {reason}") as caught:
        read_tensors(saved(path, content), holds="cats")
    assert "\n" not in str(caught.value) and capsys.readouterr().out == ""


def test_a_file_that_is_cut_off_is_refused(path):
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"some\.pt holds no cats"):
        read_tensors(path, holds="cats")


def test_a_header_that_json_cannot_hold_leaves_no_file(tmp_path):
    with pytest.raises(TypeError):
        write_tensors(tmp_path / "a.pt", TENSORS, {"file": io.BytesIO()})
    assert list(tmp_path.iterdir()) == []
