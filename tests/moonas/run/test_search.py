"""The line about the expected time of a search."""

from types import SimpleNamespace

import pytest

from moonas.run import search as module


def logged_lines(monkeypatch, seconds, generations=5, replayed=0, has_logged_time=False):
    """Return the lines that a search logs whose generations end at these times in seconds."""
    lines, now = [], [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    journal = SimpleNamespace(replaying=False, elapsed_seconds=0.0)
    session = SimpleNamespace(has_logged_time=has_logged_time)
    problem = SimpleNamespace(journal=journal, log=lines.append, session=session)
    expected = module._ExpectedTime(problem, generations)
    for i, end in enumerate(seconds):
        now[0] = journal.elapsed_seconds = end
        journal.replaying = i < replayed
        expected.after_generation(SimpleNamespace(n_gen=i + 1))
    return lines


def test_the_expected_time_is_that_of_the_generations_after_the_warm_up(monkeypatch):
    # 100 s for warm-up and generation 1, then 30 s each
    lines = logged_lines(monkeypatch, [100, 130, 165, 200, 230])
    assert lines == ["The whole search will take about 3 min 40 s."]


def test_the_expected_time_is_not_logged_again_if_the_evaluator_has_logged_it(monkeypatch):
    assert logged_lines(monkeypatch, [100, 130, 165, 200, 230], has_logged_time=True) == []


def test_replayed_generations_do_not_count_as_fast(monkeypatch):
    lines = logged_lines(monkeypatch, [100, 100, 130, 160], replayed=1)
    assert lines == ["The whole search will take about 3 min 10 s."]


@pytest.mark.parametrize("seconds", [[1, 2, 3], [100], [100, 130]])
def test_a_short_or_almost_complete_search_has_no_expected_time(monkeypatch, seconds):
    generations = 2 if seconds == [100, 130] else 5
    assert logged_lines(monkeypatch, seconds, generations) == []
