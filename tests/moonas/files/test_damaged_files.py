"""Files that are truncated, altered or of another kind: one line of text, or the right result."""

import json
import random
import shutil
import time
import warnings

import numpy as np
import pytest
import torch
from moonas.problems.cyclegan_pruning.data import describe
from moonas.problems.cyclegan_pruning.training import CycleGAN
from moonas.problems.cyclegan_pruning.weights_file import read_gan, write_gan
from moonas.problems.nasbench201.table import read_table as read_table_201
from PIL import Image
from searches import TINY

import moonas
from moonas.data.form import ImageForm
from moonas.data.image_files import read_image
from moonas.data.tables import read_table, read_test_list
from moonas.files.tensors import read_tensors, write_tensors
from moonas.metrics.frechet import read_statistics
from moonas.models.latency_table import read_latency_table
from moonas.models.part_files import read_times as read_times_of_parts
from moonas.run.front_file import read_front_csv
from moonas.run.journal import Journal, read_run, read_times

N_DAMAGED = 14  # damaged versions of each file
LONGEST = 500  # characters of a message, apart from paths
CELL = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|"


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory, few_digits):
    """The run folder of a tiny search for classifiers, with a training of the picked one."""
    folder = tmp_path_factory.mktemp("tiny") / "run"
    options = TINY["cars"] | dict(population=4, generations=2, data=str(few_digits), batch=50)
    moonas.search("cars", out=folder, seed=1, **options)
    moonas.train(folder, epochs=1, device="cpu", batch=50)
    return folder


@pytest.fixture(scope="module")
def tiny_gan(tmp_path_factory):
    """The file of a tiny CycleGAN."""
    path = tmp_path_factory.mktemp("gan") / "cyclegan.pt"
    settings = moonas.registry.settings_class("cyclegan-pruning")(**TINY["cyclegan-pruning"])
    write_gan(path, CycleGAN(**settings.network_shape), settings, describe(settings))
    return path


@pytest.fixture(scope="module")
def samples(tmp_path_factory, tiny_run, tiny_gan):
    """A folder with a file of each kind that moonas reads."""
    folder = tmp_path_factory.mktemp("samples")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)
    for name in ("x.png", "x.jpg", "x.gif", "x.tif", "x.bmp", "x.ppm", "x.webp"):
        Image.fromarray(pixels).save(folder / name)
    (folder / "labels.csv").write_text(
        "file,labels\n" + "".join(f"{i}.png,{'ab'[i % 2]}|c\n" for i in range(30))
    )
    (folder / "test_list.txt").write_text("1.png\n2.png\n")
    (folder / "table.csv").write_text(f"arch_str,acc,params,flops\n{CELL},90,1.5,180\n")
    np.savez(folder / "table.npz", architecture=[CELL], acc=[90.0], params=[1.5], flops=[180.0])
    np.savez(folder / "statistics.npz", mu=np.zeros(6), sigma=np.eye(6))
    (folder / "latency.json").write_text(json.dumps({"parts": {"a": 1.0, "b": 2.0}}))
    parts = moonas.load_problem("digits-table").operations()
    rows = "".join(f"{part.key},{i + 1}.5\n" for i, part in enumerate(parts))
    (folder / "parts.csv").write_text("part,latency_ms\n" + rows)
    write_tensors(folder / "tensors.pt", {"a": torch.rand(3, 4), "b": torch.arange(5)}, {"k": 1})
    shutil.copy(tiny_gan, folder / "cyclegan.pt")
    for path in (tiny_run / "training-knee" / "model.pt", tiny_run / "run.json"):
        shutil.copy(path, folder / path.name)
    for name in ("journal.jsonl", "times.jsonl", "front.csv"):
        shutil.copy(tiny_run / name, folder / name)
    return folder


def of_a_run(read, name):
    """Return a function that reads a file as the file of a run with this name."""

    def read_in_run(path, tiny_run, tmp_path):
        run = tmp_path / "run"
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir()
        for other in ("run.json", "journal.jsonl", "times.jsonl", "front.csv"):
            shutil.copy(tiny_run / other, run / other)
        shutil.copy(path, run / name)
        return read(run)

    return read_in_run


def resume(run):
    """Open the journal of a run and begin to replay it."""
    settings = moonas.registry.settings_class("cars")(**read_run(run)[0]["settings"])
    journal = Journal(run, problem="cars", settings=settings)
    try:
        journal.begin(1, read_run(run)[0]["algorithm"])
    finally:
        journal.close()


def alone(read):
    """Return a function that reads a file without a run."""
    return lambda path, tiny_run, tmp_path: read(path)


READERS = {
    **{
        f"x.{end}": alone(lambda p: read_image(p, ImageForm(8)))
        for end in ("png", "jpg", "gif", "tif")
    },
    **{f"x.{end}": alone(lambda p: read_image(p, ImageForm(8))) for end in ("bmp", "ppm", "webp")},
    "labels.csv": alone(read_table),
    "table.csv": alone(lambda p: read_table_201(p, dict(error="acc", params="params"))),
    "table.npz": alone(lambda p: read_table_201(p, dict(error="acc", params="params"))),
    "statistics.npz": alone(lambda p: read_statistics(p, 6)),
    "latency.json": alone(lambda p: read_latency_table(p, ["a"])),
    "parts.csv": alone(lambda p: read_times_of_parts(moonas.load_problem("digits-table"), p)),
    "tensors.pt": alone(read_tensors),
    "model.pt": alone(moonas.load_model),
    "cyclegan.pt": alone(read_gan),
    "run.json": of_a_run(resume, "run.json"),
    "journal.jsonl": of_a_run(resume, "journal.jsonl"),
    "times.jsonl": of_a_run(read_times, "times.jsonl"),
    "front.csv": of_a_run(read_front_csv, "front.csv"),
}


def damaged(data, others, rng):
    """Yield damaged versions of the content of a file."""
    yield b""
    yield b"\0" * 100
    yield b"<html>404 Not Found</html>\n"
    yield from rng.sample(others, 3)
    for i in range(N_DAMAGED - 6):
        content = bytearray(data)
        if i % 3 == 0:
            del content[rng.randrange(len(content)) :]
        elif i % 3 == 1:
            for _ in range(rng.choice([1, 10, 100])):
                content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        else:
            a, b = sorted(rng.randrange(len(content)) for _ in range(2))
            content[a:b] = reversed(content[a:b])
        yield bytes(content)


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_an_error_of_one_line(name, samples, tiny_run, tmp_path):
    rng = random.Random(name)
    data = (samples / name).read_bytes()
    others = [path.read_bytes() for path in sorted(samples.iterdir()) if path.name != name]
    read = READERS[name]
    read(samples / name, tiny_run, tmp_path)
    path, n_errors = tmp_path / name, 0
    for content in damaged(data, others, rng):
        path.write_bytes(content)
        begun = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read(path, tiny_run, tmp_path)
            except ValueError as error:
                text = str(error).replace(str(tmp_path), "")
                assert "\n" not in text and len(text) <= LONGEST, text
                assert name in text or "run" in text, text
                n_errors += 1
        assert time.monotonic() - begun < 20
    assert n_errors > N_DAMAGED / 3  # some changes do no harm


def test_a_list_of_test_images_may_contain_anything(samples, tmp_path):
    table = read_table(samples / "labels.csv")
    for path in sorted(samples.iterdir()):
        shutil.copy(path, tmp_path / "test_list.txt")
        try:
            assert read_test_list(table, tmp_path).any()
        except ValueError as error:
            assert "test_list.txt" in str(error) and len(str(error)) < LONGEST


class Command:
    """An object whose unpickling creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("name", ["tensors.pt", "model.pt", "cyclegan.pt", "table.npz"])
def test_no_code_of_a_file_is_run(name, tmp_path, tiny_run):
    path, created = tmp_path / name, tmp_path / "created"
    if name.endswith(".npz"):
        np.savez(path, architecture=np.array([Command(created)], dtype=object))
    else:
        torch.save({"about": Command(created), "tensors": {}}, path)
    with pytest.raises(ValueError, match=name):
        READERS[name](path, tiny_run, tmp_path)
    assert not created.exists()
