import pytest

from moonas.files import cached


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache that is not there yet."""
    monkeypatch.setenv("MOONAS_CACHE", str(tmp_path / "a" / "cache"))
    return tmp_path / "a" / "cache"


class Counter:
    """() -> bytes; counts its calls."""

    def __init__(self, data=b"what took long"):
        self.data, self.calls = data, 0

    def __call__(self):
        self.calls += 1
        return self.data


@pytest.mark.parametrize("data", [b"what took long", b""])
def test_what_is_cached_is_computed_once_for_each_name(folder, data):
    compute, other = Counter(data), Counter(b"other")
    assert [cached("a", compute) for _ in range(3)] == [data] * 3
    assert cached("b", other) == b"other"
    assert (compute.calls, other.calls) == (1, 1)
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]


@pytest.mark.parametrize(
    "damage",
    [lambda whole: b"", lambda whole: whole[:-1], lambda whole: whole[:-1] + b"?"],
    ids=["empty", "cut off", "changed"],
)
def test_a_damaged_file_is_computed_anew_and_repaired(folder, damage):
    compute = Counter()
    cached("a", compute)
    whole = (folder / "a").read_bytes()
    (folder / "a").write_bytes(damage(whole))
    assert cached("a", compute) == compute.data
    assert compute.calls == 2
    assert (folder / "a").read_bytes() == whole


def test_where_the_cache_cannot_be_written_things_are_computed_each_time(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MOONAS_CACHE", str(tmp_path / "file" / "cache"))
    compute = Counter()
    assert [cached("a", compute) for _ in range(2)] == [compute.data] * 2
    assert compute.calls == 2


def test_what_cannot_be_computed_is_not_cached(folder):
    with pytest.raises(ZeroDivisionError):
        cached("a", lambda: b"%d" % (1 // 0))
    assert not folder.exists()


def test_the_cache_is_in_the_home_folder_where_nothing_else_is_said(tmp_path, monkeypatch):
    monkeypatch.delenv("MOONAS_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    cached("a", Counter())
    assert (tmp_path / ".cache" / "moonas" / "a").exists()
