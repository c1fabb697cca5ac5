"""Progress bars on a terminal, and lines elsewhere."""

import io

import pytest
from rich.console import Console

from moonas.cli import bars


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still; its only element is the current time in seconds."""
    now = [0.0]
    monkeypatch.setattr(bars.time, "perf_counter", lambda: now[0])
    return now


def lines(bar, clock, steps, capsys, seconds=10):
    """The lines printed while a callback gets progress reports every few seconds."""
    for step in steps:
        bar.on_progress(*step)
        clock[0] += seconds
    return capsys.readouterr().out.splitlines()


def test_without_a_terminal_each_tenth_prints_a_line_with_the_remaining_time(clock, capsys):
    with bars.progress_bar(Console(file=io.StringIO())) as bar:
        steps = [("comparing", n, 40, "runs") for n in range(41)]
        printed = lines(bar, clock, steps, capsys)
    assert printed[0] == "comparing: 0 of 40 runs"
    assert printed[3] == "comparing: 12 of 40 runs, 4:40 left"
    assert printed[-1] == "comparing: 40 of 40 runs"
    assert len(printed) == 11


def test_units_completed_before_a_resume_do_not_count_towards_the_speed(clock, capsys):
    steps = [("comparing", n, 40, "runs") for n in range(30, 41)]
    printed = lines(bars.ProgressLines(), clock, steps, capsys)
    assert printed[0] == "comparing: 30 of 40 runs"  # its speed is unknown yet
    assert printed[1] == "comparing: 32 of 40 runs, 1:20 left"
    assert printed[-1] == "comparing: 40 of 40 runs"


def test_a_phase_that_repeats_prints_at_most_one_line_per_minute(clock, capsys):
    steps = [("training", n, 2, "epochs") for _ in range(30) for n in range(3)]
    printed = lines(bars.ProgressLines(), clock, steps, capsys)  # 15 minutes
    assert printed[:3] == [
        "training: 0 of 2 epochs",
        "training: 1 of 2 epochs, 0:10 left",
        "training: 2 of 2 epochs",
    ]
    assert 13 <= len(printed) <= 3 + 15


def test_bars_have_control_codes_and_lines_have_none(clock, capsys):
    for terminal in (False, True):
        file = io.StringIO()
        with bars.progress_bar(Console(file=file, force_terminal=terminal)) as bar:
            for n in (0, 1, 2, 0, 1):
                bar.on_progress("training", n, 2, "epochs")
        written = file.getvalue() + capsys.readouterr().out
        assert ("\x1b" in written) == terminal
        assert "training" in written


def test_the_bar_of_a_phase_that_repeats_starts_again():
    from rich.progress import Progress

    progress = Progress(console=Console(file=io.StringIO()))
    bar = bars.ProgressBar(progress)
    for n in (0, 1, 2, 0, 1):
        bar.on_progress("training", n, 2, "epochs")
    (task,) = progress.tasks
    assert (task.completed, task.total, task.finished, task.visible) == (1, 2, False, True)
