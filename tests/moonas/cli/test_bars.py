"""Progress bars in a terminal, and lines of text elsewhere."""

import io

import pytest
from rich.console import Console

import moonas
from moonas.cli import bars, output
from moonas.run import progress_lines
from moonas.views.tables import Table, to_console


@pytest.fixture
def clock(monkeypatch):
    """A fake clock: a list whose only element is the current time in seconds."""
    now = [0.0]
    monkeypatch.setattr(progress_lines.time, "perf_counter", lambda: now[0])
    return now


def printed_lines(callback, clock, reports, capsys, seconds=10):
    """Return the lines that a callback prints while it gets a report every ``seconds``."""
    for report in reports:
        callback.on_progress(*report)
        clock[0] += seconds
    return capsys.readouterr().out.splitlines()


def test_without_a_terminal_a_line_with_the_remaining_time_is_printed_after_each_tenth(
    clock, capsys
):
    with bars.progress_bar(Console(file=io.StringIO())) as bar:
        reports = [("comparing", n, 40, "runs") for n in range(41)]
        printed = printed_lines(bar, clock, reports, capsys)
    assert printed[0] == "comparing: 0 of 40 runs"
    assert printed[3] == "comparing: 12 of 40 runs, 4:40 left"
    assert printed[-1] == "comparing: 40 of 40 runs"
    assert len(printed) == 11


def test_units_completed_before_a_resume_are_not_included_in_the_speed(clock, capsys):
    reports = [("comparing", n, 40, "runs") for n in range(30, 41)]
    printed = printed_lines(progress_lines.ProgressLines(), clock, reports, capsys)
    assert printed[0] == "comparing: 30 of 40 runs"  # the speed is still unknown
    assert printed[1] == "comparing: 32 of 40 runs, 1:20 left"
    assert printed[-1] == "comparing: 40 of 40 runs"


def test_a_repeated_phase_prints_at_most_one_line_per_minute(clock, capsys):
    reports = [("training", n, 2, "epochs") for _ in range(30) for n in range(3)]
    printed = printed_lines(progress_lines.ProgressLines(), clock, reports, capsys)  # 15 minutes
    assert printed[:3] == [
        "training: 0 of 2 epochs",
        "training: 1 of 2 epochs, 0:10 left",
        "training: 2 of 2 epochs",
    ]
    assert 13 <= len(printed) <= 3 + 15


def test_output_contains_control_codes_if_and_only_if_it_goes_to_a_terminal(clock, capsys):
    for terminal in (False, True):
        file = io.StringIO()
        with bars.progress_bar(Console(file=file, force_terminal=terminal)) as bar:
            for n in (0, 1, 2, 0, 1):
                bar.on_progress("training", n, 2, "epochs")
        written = file.getvalue() + capsys.readouterr().out
        assert ("\x1b" in written) == terminal
        assert "training" in written


def test_the_bar_of_a_repeated_phase_is_reset():
    from rich.progress import Progress

    progress = Progress(console=Console(file=io.StringIO()))
    bar = bars.ProgressBar(progress)
    for n in (0, 1, 2, 0, 1):
        bar.on_progress("training", n, 2, "epochs")
    (task,) = progress.tasks
    assert (task.completed, task.total, task.finished, task.visible) == (1, 2, False, True)


def test_a_phase_whose_tenths_take_hours_prints_a_line_after_ten_minutes(clock, capsys):
    lines = progress_lines.ProgressLines()
    for done in range(4):  # of 1,000 steps of 400 seconds
        clock[0] = 400.0 * done
        lines.on_progress("training", done, 1000, "steps")
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in printed] == [
        "training: 0 of 1000 steps",
        "training: 2 of 1000 steps",
    ]


def test_show_progress_prints_the_progress_and_the_log_of_a_run_without_control_codes(capsys):
    problem = moonas.load_problem("nasbench-macro")
    problem.callbacks.append(moonas.ShowProgress())
    for done in range(3):
        problem.callbacks.on_progress("warming up", done, 2, "epochs")
    problem.log("Warning: the loss is [high].")
    lines = capsys.readouterr().out.split("\n")
    assert lines[0] == "warming up: 0 of 2 epochs"
    assert lines[1].startswith("warming up: 1 of 2 epochs, 0:0") and lines[1].endswith(" left")
    assert lines[2:] == ["warming up: 2 of 2 epochs", "Warning: the loss is [high].", ""]


def test_a_table_off_a_terminal_is_as_wide_as_its_rows_up_to_160_columns(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    for length, n_lines in ((150, 1), (250, 2)):
        file = io.StringIO()
        monkeypatch.setattr(output.sys, "stdout", file)
        architecture = "sep " * (length // 4)
        table = Table(["row", "architecture"], [["0", architecture]], alignment="rl")
        output.make_console().print(to_console(table))
        written = [line for line in file.getvalue().splitlines() if "sep" in line]
        assert len(written) == n_lines and max(map(len, written)) <= 160


def test_the_environment_can_set_the_width_of_tables(monkeypatch):
    monkeypatch.setattr(output.sys, "stdout", io.StringIO())
    monkeypatch.setenv("COLUMNS", "90")
    assert output.make_console().width == 90
