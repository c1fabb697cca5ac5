import pytest

from moonas.files import cached


@pytest.fixture
def cache_folder(tmp_path, monkeypatch):
    """Path of a cache folder that has not been created yet."""
    monkeypatch.setenv("MOONAS_CACHE", str(tmp_path / "a" / "cache"))
    return tmp_path / "a" / "cache"


class CountingFunction:
    """A function that returns bytes and counts its calls."""

    def __init__(self, data=b"expensive result"):
        self.data, self.n_calls = data, 0

    def __call__(self):
        self.n_calls += 1
        return self.data


@pytest.mark.parametrize("data", [b"expensive result", b""])
def test_the_content_of_each_file_is_computed_once(cache_folder, data):
    compute, compute_other = CountingFunction(data), CountingFunction(b"other")
    assert [cached("a", compute) for _ in range(3)] == [data] * 3
    assert cached("b", compute_other) == b"other"
    assert (compute.n_calls, compute_other.n_calls) == (1, 1)
    assert sorted(path.name for path in cache_folder.iterdir()) == ["a", "b"]


@pytest.mark.parametrize(
    "damage",
    [lambda data: b"", lambda data: data[:-1], lambda data: data[:-1] + b"?"],
    ids=["empty", "truncated", "changed"],
)
def test_the_content_of_a_damaged_file_is_computed_again_and_stored(cache_folder, damage):
    compute = CountingFunction()
    cached("a", compute)
    stored = (cache_folder / "a").read_bytes()
    (cache_folder / "a").write_bytes(damage(stored))
    assert cached("a", compute) == compute.data
    assert compute.n_calls == 2
    assert (cache_folder / "a").read_bytes() == stored


def test_the_content_is_computed_on_every_call_if_the_cache_folder_is_not_writable(
    tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MOONAS_CACHE", str(tmp_path / "file" / "cache"))
    compute = CountingFunction()
    assert [cached("a", compute) for _ in range(2)] == [compute.data] * 2
    assert compute.n_calls == 2


def test_no_file_is_stored_if_computing_the_content_raises_an_exception(cache_folder):
    with pytest.raises(ZeroDivisionError):
        cached("a", lambda: b"%d" % (1 // 0))
    assert not cache_folder.exists()


def test_the_cache_folder_is_in_the_home_folder_by_default(tmp_path, monkeypatch):
    monkeypatch.delenv("MOONAS_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    cached("a", CountingFunction())
    assert (tmp_path / ".cache" / "moonas" / "a").exists()
