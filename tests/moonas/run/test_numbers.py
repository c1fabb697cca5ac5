"""Durations as text."""

import pytest

from moonas.run.numbers import duration_words, expected_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "less than a second"),
        (59.7, "1 min 0 s"),
        (125, "2 min 5 s"),
        (3 * 3600 + 59, "3 h 0 min"),
        (86_399, "23 h 59 min"),
        (86_400 + 2 * 3600, "1 d 2 h"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds, text):
    assert duration_words(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.1, "1 s"), (44.4, "44 s"), (127, "2 min 10 s"), (93_600, "1 d 2 h")]
)
def test_an_expected_duration_is_rounded(seconds, text):
    assert expected_duration(seconds) == text
