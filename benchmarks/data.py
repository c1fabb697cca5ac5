"""How fast are images read, and how much memory does it take? (stream, cache, memory)

Question: at the same number of processes, are images streamed as fast as by torchvision's
ImageFolder and PyTorch's DataLoader, and how much faster are they read from the cache? How much
memory does reading take? Do a search and a training have the same results with each of them?

Method: images of a folder such as CIFAR-10 are enlarged to 224 pixels and saved as JPEG files of
quality 90. Each way reads epochs of shuffled batches of 64 normalized float32 images in a process
of its own; ways take turns, and the best of --repeats epochs counts. The processes of torchvision
convert and normalize images; with moonas the main process does, with as many threads as there are
processes, or a GPU. So the 8-bit pixels that a GPU would receive are also read from the cache. The
memory of a process and its workers is measured every 50 ms: their proportional set
size, which divides shared pages among them, without pages of files, which the system can drop. The
peak in memory is that of loading the folder at its own size, minus what the process took before.
Then a CARS search and a training of CARS_A at 224 pixels take a few steps on --train-images images,
streamed and through the cache.

Command: python benchmarks/data.py --data FOLDER        (2 CPU cores, about 25 minutes)
Device: CPU, on Linux.
Output: benchmarks/data.json
"""

import argparse
import json
import multiprocessing
import os
import platform
import shutil
import threading
import time
from pathlib import Path

import torch
from PIL import Image
from pymoo.optimize import minimize
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

import moonas
from moonas.data import load
from moonas.registry import attach_journal
from moonas.training.from_scratch import build

HERE = Path(__file__).parent
SIDE, BATCH, QUALITY = 224, 64, 90
SECONDS_BETWEEN_SAMPLES = 0.05
SEARCH = dict(
    image_size=SIDE, channels=8, layers=3, population=2, generations=1, warmup_epochs=1, epochs=1
)
TRAINING = dict(architecture="CARS_A", image_size=SIDE, channels=8, layers=4, epochs=1)


def enlarge(source, target, n):
    """Save the first images of each class, enlarged, until there are n; return the folder."""
    if target.exists():
        return target
    unfinished = target.with_name("unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    classes = sorted(path for path in (source / "train").iterdir() if path.is_dir())
    for part, n_of_class in (("train", n // len(classes)), ("test", n // len(classes) // 10)):
        for folder in classes:
            new = unfinished / part / folder.name
            new.mkdir(parents=True)
            paths = sorted((source / part / folder.name).iterdir())[:n_of_class]
            for path in paths:
                image = Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.BICUBIC)
                image.save(new / f"{path.stem}.jpg", quality=QUALITY)
    unfinished.rename(target)
    return target


class PeakMemory:
    """Measures the largest memory of this process and its children in a context, in bytes."""

    def __enter__(self):
        self.peak, self._ended = self._now(), threading.Event()
        self.before = self.peak
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._ended.set()
        self._thread.join()
        self.peak = max(self.peak, self._now())

    def _watch(self):
        while not self._ended.wait(SECONDS_BETWEEN_SAMPLES):
            self.peak = max(self.peak, self._now())

    @staticmethod
    def _now():
        return _memory(os.getpid())


def _memory(pid):
    """Return the memory of a process and its children without pages of files, in bytes."""
    process = Path("/proc") / str(pid)
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
        children = " ".join(path.read_text() for path in process.glob("task/*/children")).split()
    except OSError:  # the process has ended
        return 0
    sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
    return 1024 * (sizes["Pss_Anon"] + sizes["Pss_Shmem"]) + sum(map(_memory, children))


def torchvision_epoch(folder, workers):
    """Read an epoch as most PyTorch users do."""
    convert = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    normalize = v2.Normalize([0.5] * 3, [0.25] * 3)
    data = ImageFolder(folder / "train", v2.Compose([*convert, normalize]))
    yield from (x for x, _ in DataLoader(data, BATCH, shuffle=True, num_workers=workers))


def moonas_epoch(folder, workers, place, as_bytes):
    """Read an epoch with moonas."""
    data = load(str(folder), image_size=SIDE, data_in=place, loader_workers=workers)
    images = data.images.store if as_bytes else data.images
    yield from images.batches(torch.randperm(len(images)).split(BATCH))


def read_epoch(way, folder, workers):
    """Read an epoch; return images per second from the first batch on, and the peak of memory."""
    torch.set_num_threads(1 if way == "torchvision" else workers)
    with PeakMemory() as memory:
        batches = torchvision_epoch if way == "torchvision" else moonas_epoch
        more = () if way == "torchvision" else (way.split(",")[0], way.endswith("8 bits"))
        epoch = batches(folder, workers, *more)
        n = 0
        next(epoch)  # loads the folder and starts the processes
        start = time.perf_counter()
        for batch in epoch:
            n += len(batch)
        seconds = time.perf_counter() - start
    return n / seconds, memory.peak


def load_in_memory(folder, side, workers):
    """Load a folder into memory; return the growth of memory at its peak, and the bytes held."""
    torch.set_num_threads(1)
    with PeakMemory() as memory:
        data = load(str(folder), image_size=side, data_in="memory", loader_workers=workers)
    held = data.images.store.pixels
    return memory.peak - memory.before, held.numel() * held.element_size()


def search_and_train(folder, place, runs):
    """Run a short search and a short training; return their results and the peak of memory."""
    torch.set_num_threads(1)
    folders = runs / f"search-{place}", runs / f"training-{place}"
    for path in folders:
        shutil.rmtree(path, ignore_errors=True)
    options = dict(data=str(folder), device="cpu", data_in=place)
    with PeakMemory() as memory:
        problem = moonas.load_problem(
            "cars", **options, **SEARCH, subset=256, validation_images=100, journal=folders[0]
        )
        minimize(problem, problem.algorithm(), ("n_gen", 1), seed=1)
        problem.journal.close()
        stage = build(**options, **TRAINING, subset=256)
        attach_journal(stage, "cars training", folders[1])
        result = stage.run(seed=1)
        stage.journal.close()
    journals = [(path / "journal.jsonl").read_text() for path in folders]
    return {"error": result.columns["error"], "journals": journals, "peak": memory.peak}


def in_process(function, *args):
    """Call a function in a new process, whose memory is its own, and return the result."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_send_result, args=(send, function, *args))
    process.start()
    send.close()
    result = receive.recv()
    process.join()
    return result


def _send_result(connection, function, *args):
    multiprocessing.set_start_method("fork", force=True)  # of workers, the default on Linux
    connection.send(function(*args))


def main():
    """Measure everything, print it, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with train/ and test/, a folder per class")
    add("--images", type=int, default=20_000, help="images of the epochs")
    add("--train-images", type=int, default=2_000, help="images of the search and the training")
    add("--workers", type=int, default=2, help="processes that decode images")
    add("--repeats", type=int, default=3, help="epochs of each way")
    add("--work", type=Path, default=Path("runs/data"), help="folder of the enlarged images")
    add("--out", type=Path, default=HERE / "data.json", help="file of the results")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    os.environ["MOONAS_CACHE"] = str(args.work.absolute() / "cache")
    folder = enlarge(args.data, args.work / f"enlarged-{args.images}", args.images)
    ways = ("torchvision", "stream", "cache", "cache, 8 bits")
    measured = {way: [] for way in ways}
    for repeat in range(args.repeats + 1):
        for way in ways:
            result = in_process(read_epoch, way, folder, args.workers)
            if repeat:  # the first one reads files from the disk, scans them and builds the cache
                measured[way].append(result)
            print(
                f"{way:<12} {result[0]:>8.0f} images/s, peak {result[1] / 1e6:.0f} MB", flush=True
            )
    rates = {way: max(rate for rate, _ in results) for way, results in measured.items()}
    peaks = {way: max(peak for _, peak in results) for way, results in measured.items()}
    in_memory = {}
    for workers in (0, args.workers):
        growth, held = in_process(load_in_memory, args.data, 32, workers)
        in_memory[workers] = {"held_bytes": held, "peak_growth_bytes": growth}
        print(
            f"in memory, {workers} processes: {held / 1e6:.0f} MB, peak {growth / held:.2f} of it"
        )
    few = enlarge(args.data, args.work / f"enlarged-{args.train_images}", args.train_images)
    trained = {
        place: in_process(search_and_train, few, place, args.work) for place in ("stream", "cache")
    }
    same = trained["stream"]["journals"] == trained["cache"]["journals"]
    result = {
        "images": args.images,
        "side": SIDE,
        "batch": BATCH,
        "workers": args.workers,
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "images_per_second": rates,
        "peak_bytes": peaks,
        "relative_rate": {way: rates[way] / rates["torchvision"] for way in ways[1:]},
        "in_memory": {
            workers: result | {"ratio": result["peak_growth_bytes"] / result["held_bytes"]}
            for workers, result in in_memory.items()
        },
        "search_and_training": {
            "images": args.train_images,
            "peak_bytes": {place: r["peak"] for place, r in trained.items()},
            "error": {place: r["error"] for place, r in trained.items()},
            "equal_journals": same,
        },
    }
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
