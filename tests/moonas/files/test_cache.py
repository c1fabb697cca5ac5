import pytest

from moonas.files import cached


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache folder that does not exist yet."""
    monkeypatch.setenv("MOONAS_CACHE", str(tmp_path / "a" / "cache"))
    return tmp_path / "a" / "cache"


class Counter:
    """A function that returns bytes and counts its calls."""

    def __init__(self, data=b"expensive result"):
        self.data, self.calls = data, 0

    def __call__(self):
        self.calls += 1
        return self.data


@pytest.mark.parametrize("data", [b"expensive result", b""])
def test_each_name_is_computed_once(folder, data):
    compute, other = Counter(data), Counter(b"other")
    assert [cached("a", compute) for _ in range(3)] == [data] * 3
    assert cached("b", other) == b"other"
    assert (compute.calls, other.calls) == (1, 1)
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]


@pytest.mark.parametrize(
    "damage",
    [lambda data: b"", lambda data: data[:-1], lambda data: data[:-1] + b"?"],
    ids=["empty", "truncated", "changed"],
)
def test_a_damaged_file_is_computed_again_and_repaired(folder, damage):
    compute = Counter()
    cached("a", compute)
    stored = (folder / "a").read_bytes()
    (folder / "a").write_bytes(damage(stored))
    assert cached("a", compute) == compute.data
    assert compute.calls == 2
    assert (folder / "a").read_bytes() == stored


def test_results_are_computed_on_every_call_if_the_cache_is_not_writable(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MOONAS_CACHE", str(tmp_path / "file" / "cache"))
    compute = Counter()
    assert [cached("a", compute) for _ in range(2)] == [compute.data] * 2
    assert compute.calls == 2


def test_an_exception_is_not_cached(folder):
    with pytest.raises(ZeroDivisionError):
        cached("a", lambda: b"%d" % (1 // 0))
    assert not folder.exists()


def test_the_cache_is_in_the_home_folder_by_default(tmp_path, monkeypatch):
    monkeypatch.delenv("MOONAS_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    cached("a", Counter())
    assert (tmp_path / ".cache" / "moonas" / "a").exists()
