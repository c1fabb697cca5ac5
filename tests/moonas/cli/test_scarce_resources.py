"""Commands that run out of memory or disk space, or are interrupted, end in one line, and go on.

After each such end, the same command without the limit completes the run, with the results of a run
that was not disturbed. Each command runs in a process of its own.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest
from searches import TINY, words

resource = pytest.importorskip("resource")
MB = 2**20
NATIVE_ERRORS = (  # with which OpenBLAS and glibc end the process
    "OpenBLAS error: Memory",
    "cannot allocate memory for thread-local data",
)
EXHAUSTED = "moonas: The memory of this machine is exhausted ("
SMALL = ["--population", "4", "--generations", "2", "--set"]
SEARCHES = {
    "digits-table": ["search", "digits-table", "--population", "8", "--generations", "4"],
    "cars": ["search", "cars", *SMALL, *words(TINY["cars"])],
    "nsganet-macro": ["search", "nsganet-macro", *SMALL, *words(TINY["nsganet-macro"])],
}


def without(options, *names):
    """Return the arguments of a search without some of its settings."""
    return [word for word in options if word.split("=")[0] not in names]


for name in ("cars", "nsganet-macro"):
    SEARCHES[name] = without(SEARCHES[name], "population", "generations", "workers")
SEARCHES["nsganet-macro"] += ["workers=2"]


def start(arguments, folder, limit=None, size=None):
    """Start a command in a new process, with a limit of a resource in bytes."""

    def prepare():
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # background jobs of a shell ignore it
        if limit is not None:
            resource.setrlimit(limit, (size, resource.getrlimit(limit)[1]))

    return subprocess.Popen(
        [sys.executable, "-m", "moonas.cli", *arguments, "--out", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=prepare,
        # with more threads, OpenBLAS needs more memory, and ends the process if it gets none
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )


def wait(process, timeout=300):
    """Wait for the end of a process; return what it wrote to stderr."""
    process.wait(timeout)
    os.set_blocking(process.stderr.fileno(), False)  # workers that outlive it keep the pipe open
    with process.stderr as errors:
        return (errors.read() or b"").decode()


def end(process, native=False):
    """Wait for a process that succeeds, or writes one line to stderr; return this line.

    With ``native``, libraries may also write a warning of their own, or end the process: where
    OpenBLAS and the runtime libraries of C and C++ lack memory, Python gets no exception.
    """
    errors = wait(process)
    if process.returncode == 0:
        return ""
    assert len(errors) <= 1000 and "Traceback" not in errors, errors
    lines = errors.splitlines()
    if native and (process.returncode < 0 or errors.startswith(NATIVE_ERRORS)):
        return errors
    assert process.returncode == 1 and lines[-1].startswith("moonas: "), errors
    assert len(lines[-1]) <= 500 and (native or len(lines) == 1), errors
    return lines[-1]


def complete(arguments, folder):
    """Run a command without limits, and return the content of the files that must be equal."""
    assert end(start(arguments, folder)) == ""
    return {name: (folder / name).read_bytes() for name in ("front.csv", "journal.jsonl")}


@pytest.mark.parametrize("megabytes", [40, 100, 185, 200, 300])  # OpenBLAS hangs near 200
def test_a_command_without_memory_for_its_libraries_ends_in_one_line(megabytes, tmp_path):
    folder = tmp_path / "run"
    process = start(SEARCHES["digits-table"], folder, resource.RLIMIT_AS, megabytes * MB)
    line = end(process, native=True)
    assert line.startswith((EXHAUSTED, *NATIVE_ERRORS)) and not folder.exists()


ALL_MEMORY = """
import resource, sys
from argparse import ArgumentParser
from moonas import cli

def run(args):
    blocks, size = [], 2**20
    while True:
        try:
            blocks.append(bytearray(size))
        except MemoryError:
            if size < 64:
                raise
            size //= 2

def make_parser(argv):
    parser = ArgumentParser()
    parser.add_argument("command")
    parser.set_defaults(run=run)
    return parser

cli.make_parser = make_parser
resource.setrlimit(resource.RLIMIT_AS, (300 * 2**20, resource.getrlimit(resource.RLIMIT_AS)[1]))
sys.argv[1:] = ["search"]
sys.exit(cli.run_script())
"""


def test_the_error_line_is_written_although_no_memory_is_left():
    ended = subprocess.run([sys.executable, "-c", ALL_MEMORY], capture_output=True, text=True)
    assert ended.returncode == 1 and ended.stderr.startswith(EXHAUSTED), ended.stderr
    assert ended.stderr.count("\n") == 1


def least_memory(arguments, folder):
    """Return the address space in bytes, in steps of 25 MB, with which a command succeeds."""
    low, high = 0, 400  # in steps; the last step with an error and the first without
    while high - low > 1:
        middle = (low + high) // 2
        process = start(arguments, folder / str(middle), resource.RLIMIT_AS, middle * 25 * MB)
        low, high = (low, middle) if end(process, native=True) == "" else (middle, high)
    return high * 25 * MB


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_that_ran_out_of_memory_goes_on_with_the_same_result(name, tmp_path):
    expected = complete(SEARCHES[name], tmp_path / "undisturbed")
    least = least_memory(SEARCHES[name], tmp_path / "attempts")
    sizes = [least - step * 25 * MB for step in (0, 1, 2, 3, 4, 6, 8)] + [500 * MB, 200 * MB]
    lines = []
    for size in sizes:
        folder = tmp_path / str(size)
        lines.append(end(start(SEARCHES[name], folder, resource.RLIMIT_AS, size), native=True))
        results = complete(SEARCHES[name], folder)
        if b'"failures"' not in results["journal.jsonl"]:  # of candidates that lacked memory
            assert results == expected, lines[-1]
    assert sum("memory of this machine" in line for line in lines) >= 3, lines


@pytest.mark.slow
def test_a_search_whose_files_cannot_grow_goes_on_with_the_same_result(tmp_path):
    expected = complete(SEARCHES["cars"], tmp_path / "undisturbed")
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "undisturbed").iterdir()}
    weights = next(name for name in sizes if name.startswith("weights-"))
    last_bytes = [sizes[name] - 1 for name in (weights, "journal.jsonl", "front.csv", "front.png")]
    for size in [100, *last_bytes]:
        folder = tmp_path / str(size)
        line = end(start(SEARCHES["cars"], folder, resource.RLIMIT_FSIZE, size))
        assert line == "" or "File too large" in line
        assert complete(SEARCHES["cars"], folder) == expected
    assert "File too large" in end(
        start(SEARCHES["cars"], tmp_path / "again", resource.RLIMIT_FSIZE, 100)
    )


DISK = 384  # kB; the files of a training take 250


@pytest.fixture
def small_disk(tmp_path):
    """A file system with ``DISK`` kB; skips the test where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}k", "tmpfs", str(folder)]
    with suppress(FileNotFoundError):
        if subprocess.run(mount, capture_output=True).returncode == 0:
            yield folder
            subprocess.run(["umount", str(folder)], check=True)
            return
    pytest.skip("file systems cannot be mounted here")


@pytest.mark.slow
@pytest.mark.parametrize("free", [0, 4, 12, 24])  # kB; a file takes multiples of 4 kB
def test_a_search_on_a_full_disk_goes_on_when_there_is_space(free, tmp_path, small_disk):
    expected = complete(SEARCHES["digits-table"], tmp_path / "undisturbed")
    filler = small_disk / "filler"
    filler.write_bytes(bytes((DISK - 4 * 4 - free) * 1024))
    line = end(start(SEARCHES["digits-table"], small_disk / "run"))
    assert "No space left on device" in line
    filler.unlink()
    assert complete(SEARCHES["digits-table"], small_disk / "run") == expected


@pytest.mark.slow
def test_a_training_on_a_full_disk_goes_on_when_there_is_space(tmp_path, small_disk):
    assert end(start(SEARCHES["cars"], tmp_path / "run")) == ""
    train = ["train", str(tmp_path / "run"), "--set", "epochs=2"]
    assert end(start(train, tmp_path / "undisturbed")) == ""
    names = ("journal.jsonl", "model.pt", "classes.json", "classes.png", "losses.png")
    expected = {name: (tmp_path / "undisturbed" / name).read_bytes() for name in names}
    filler, training, missing = small_disk / "filler", small_disk / "training", set()
    for free in (0, 72, 120, 144, 216):  # kB
        filler.write_bytes(bytes((DISK - 4 * 4 - free) * 1024))
        line = end(start(train, training))
        assert line == "" or "No space left on device" in line
        missing.add(tuple(name for name in names if not (training / name).exists()))
        filler.unlink()
        assert end(start(train, training)) == ""
        assert {name: (training / name).read_bytes() for name in names} == expected
        shutil.rmtree(training)
    assert names[1:] in missing  # after the last epoch, too


def children(process):
    """Return the ids of the worker processes that a process has started."""
    found = []
    for line in subprocess.run(
        ["ps", "-eww", "-o", "pid,ppid,args"], capture_output=True, text=True, check=True
    ).stdout.splitlines():
        pid, parent, arguments = line.split(None, 2)
        if parent == str(process.pid) and "LokyProcess" in arguments:
            found.append(int(pid))
    return found


@pytest.mark.slow
def test_a_search_goes_on_when_a_worker_process_is_killed(tmp_path):
    expected = complete(SEARCHES["nsganet-macro"], tmp_path / "undisturbed")
    process = start(SEARCHES["nsganet-macro"], tmp_path / "killed")
    while not children(process):
        assert process.poll() is None
        time.sleep(0.1)
    os.kill(children(process)[0], signal.SIGKILL)
    assert end(process) == ""
    assert complete(SEARCHES["nsganet-macro"], tmp_path / "killed") == expected


LONG_WARM_UP = [*without(SEARCHES["cars"], "warmup_epochs"), "warmup_epochs=20"]


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize(
    ("arguments", "started"),
    [(LONG_WARM_UP, "run.json"), (SEARCHES["nsganet-macro"], "unfinished.jsonl")],
    ids=["warm-up", "candidates"],
)
def test_a_search_that_ends_within_a_training_goes_on(arguments, started, sent, tmp_path):
    expected = complete(arguments, tmp_path / "undisturbed")
    folder, rng = tmp_path / "ended", np.random.default_rng()
    process = start(arguments, folder)
    while not (folder / started).exists():
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(rng.uniform(0, 0.5))
    workers = children(process)
    process.send_signal(sent)
    errors = wait(process, timeout=60)
    for worker in workers:
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
    if started == "run.json":  # within the warm-up, which is the first call
        assert not (folder / "journal.jsonl").exists()
    if sent == signal.SIGINT:
        assert errors == "moonas: Interrupted. Run the same command again to resume.\n"
    assert complete(arguments, folder) == expected
