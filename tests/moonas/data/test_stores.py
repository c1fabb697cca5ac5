"""Tests of the places where images are kept: results must not depend on them."""

import json
import os
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
import searches
import torch
from callbacks import CallbackOf
from interruptions import Interrupted, stop_before
from PIL import Image

import moonas
from moonas.data import disk_cache, holding, image_files, load, pixel_statistics, stores
from moonas.data.augment import AutoAugment
from moonas.data.batches import Images, read_batches
from moonas.data.form import ImageForm
from moonas.data.images import build_cache
from moonas.data.stores import CacheStore, FileStore, MemoryStore, changed
from moonas.errors import UnreadableImages
from moonas.models.test_sets import load_test_images
from moonas.nets.randomness import seeded
from moonas.registry import attach_journal
from moonas.training.from_scratch import build

PLACES = ("memory", "stream", "cache")


@pytest.fixture
def cache_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("MOONAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of 24 training and 12 test images of unequal sizes, in three classes."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for part, n in (("train", 8), ("test", 4)):
        for label, name in enumerate(("bird", "cat", "dog")):
            (folder / part / name).mkdir(parents=True)
            for i in range(n):
                size = rng.integers(20, 40, 2)
                pixels = rng.integers(60 * label, 60 * label + 120, (*size, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{i}.jpg")
    return folder


@pytest.mark.parametrize("options", [{}, {"stored_size": 20}, {"image_channels": 1}])
def test_images_do_not_depend_on_where_they_are_kept(photos, cache_dir, options):
    kept = [load(str(photos), image_size=16, data_in=place, **options) for place in PLACES]
    first = kept[0]
    assert first.images.shape[0] == 24 and first.test_images.shape[0] == 12
    for place, data in zip(PLACES, kept, strict=True):
        assert {"memory": "in memory", "stream": "from their files", "cache": "on disk"}[
            place
        ] in data.place
        for name in ("images", "test_images"):
            a, b = getattr(first, name), getattr(data, name)
            assert torch.equal(a.tensor(), b.tensor())
            rows = torch.tensor([5, 0, 5])
            assert torch.equal(a[rows], b[rows]) and torch.equal(a[rows], a.tensor()[rows])
            chosen = torch.tensor([7, 2, 3])
            assert torch.equal(b.subset(chosen).subset(rows // 3)[:], b[chosen[rows // 3]])
        assert torch.equal(first.mean, data.mean) and torch.equal(first.std, data.std)
        assert torch.equal(first.labels, data.labels)


def test_mean_and_standard_deviation_are_exact(photos):
    data = load(str(photos), image_size=16)
    pixels = data.images.store.read(torch.arange(24)).double() / 255
    assert torch.allclose(data.mean.double(), pixels.mean((0, 2, 3), keepdim=True), atol=1e-7)
    assert torch.allclose(data.std.double(), pixels.std((0, 2, 3), keepdim=True), atol=1e-7)


def test_of_many_images_evenly_spaced_ones_determine_mean_and_deviation(
    photos, monkeypatch, cache_dir
):
    monkeypatch.setattr(pixel_statistics, "MOST_MEASURED", 20)
    monkeypatch.setattr(pixel_statistics, "N_MEASURED", 6)
    assert pixel_statistics.measured_rows(20).tolist() == list(range(20))
    assert pixel_statistics.measured_rows(24).tolist() == [0, 4, 8, 12, 16, 20]
    kept = [load(str(photos), image_size=16, data_in=place) for place in PLACES]
    pixels = kept[0].images.store.read(torch.arange(0, 24, 4)).double() / 255
    for data in kept:
        assert torch.allclose(data.mean.double(), pixels.mean((0, 2, 3), keepdim=True), atol=1e-7)


@pytest.mark.parametrize("size", [7, 24])
@pytest.mark.parametrize("change", [None, AutoAugment("RandAugment")])
def test_batches_do_not_depend_on_the_number_of_processes(photos, size, change):
    data = load(str(photos), image_size=16, data_in="memory")
    paths = sorted((photos / "train").rglob("*.jpg"))
    batches = torch.randperm(24).split(size)
    expected = list(data.images.store.batches(batches, change, 3))
    before = torch.get_rng_state()
    for workers in (0, 1, 2):
        store = FileStore(paths, ImageForm(16), workers)
        read = list(store.batches(batches, change, 3))
        assert all(map(torch.equal, read, expected)) and len(read) == len(expected)
    assert torch.equal(torch.get_rng_state(), before), "other random numbers must not change"
    if change is not None:
        other_epoch = list(data.images.store.batches(batches, change, 4))
        assert not torch.equal(torch.cat(other_epoch), torch.cat(expected))
        assert not torch.equal(torch.cat(list(data.images.store.batches(batches))), expected[0])


class OnGPU:
    """Positions of images on a GPU, of which only a copy on the CPU may reach other processes."""

    def __init__(self, rows):
        self.rows = rows

    def cpu(self):
        return self.rows


def test_processes_that_decode_images_receive_positions_on_the_cpu(photos):
    store = FileStore(sorted((photos / "train").rglob("*.jpg")), ImageForm(16), 1)
    rows = torch.tensor([3, 1])
    (read,) = store.batches([OnGPU(rows)])
    assert torch.equal(read, store.read(rows))


def test_images_are_decoded_in_the_main_process_where_processes_are_not_forked(monkeypatch):
    assert stores.default_workers() >= 1
    monkeypatch.setattr(stores.multiprocessing, "get_start_method", lambda allow_none: "spawn")
    assert stores.default_workers() == 0
    monkeypatch.setattr(stores.multiprocessing, "get_start_method", lambda allow_none: None)
    monkeypatch.setattr(stores.multiprocessing, "get_all_start_methods", lambda: ["forkserver"])
    assert stores.default_workers() == 0


def test_a_forked_process_can_seed_while_a_thread_of_its_parent_does(photos):
    entered, leave = threading.Event(), threading.Event()

    def hold_the_lock():
        with seeded(1):
            entered.set()
            leave.wait(60)

    thread = threading.Thread(target=hold_the_lock)
    thread.start()
    entered.wait(60)
    try:
        store = FileStore(sorted((photos / "train").rglob("*.jpg")), ImageForm(16), 1)
        (read,) = store.batches([torch.arange(2)], AutoAugment("RandAugment"), 1)
    finally:
        leave.set()
        thread.join()
    assert read.shape == (2, 3, 16, 16)


def test_a_change_of_images_with_few_gray_levels_scales_them():
    store = MemoryStore(torch.tensor([[[[0, 8, 16]]]], dtype=torch.uint8), levels=16)
    (pixels,) = store.batches([torch.tensor([0])], lambda image, seed: image, 0)
    assert pixels.flatten().tolist() == [0, 128, 255]
    images = Images(store)
    assert images[:].flatten().tolist() == [0.0, 0.5, 1.0]
    (batch,) = images.changed_by(lambda image, seed: 255 - image).batches([torch.tensor([0])], 1)
    assert batch.flatten().tolist() == pytest.approx([1, 127 / 255, 0])


def test_a_random_change_depends_on_the_key_and_the_position_of_an_image_only():
    pixels = torch.zeros(4, 1, 1, 1, dtype=torch.uint8)

    def shade(image, seed):
        return torch.full_like(image, seed % 251)

    def shades(rows, key):
        return changed(pixels[rows], 255, torch.tensor(rows), shade, key).flatten().tolist()

    assert shades([2, 0], 5) == [shades([2], 5)[0], shades([0], 5)[0]]
    assert len({tuple(shades([0, 1, 2, 3], key)) for key in range(5)}) == 5
    assert len(set(shades([0, 1, 2, 3], 5))) > 1


def test_reading_a_tensor_in_batches_returns_its_rows():
    images, batches = torch.randn(6, 1, 2, 2), [torch.tensor([3, 1]), torch.tensor([0])]
    for read, rows in zip(read_batches(images, batches), batches, strict=True):
        assert torch.equal(read, images[rows])


def test_the_place_is_chosen_by_the_size_of_the_images(photos, monkeypatch, cache_dir):
    n_bytes = 36 * 3 * 16 * 16
    monkeypatch.setattr(holding, "machine_memory", lambda: 4 * n_bytes)
    small = load(str(photos), image_size=16)
    assert (
        "36 images are kept in memory (data_in=auto); as 8-bit pixels, they take 27.6 kB"
        in small.place
    )
    monkeypatch.setattr(holding, "machine_memory", lambda: 4 * n_bytes - 4)
    large = load(str(photos), image_size=16)
    assert "from their files" in large.place and isinstance(large.images.store, FileStore)
    assert torch.equal(large.images.tensor(), small.images.tensor())
    load(str(photos), image_size=16, data_in="cache")
    assert "cache on disk" in load(str(photos), image_size=16).place


def test_images_stay_on_the_host_if_they_take_too_much_of_a_gpu(monkeypatch):
    store = MemoryStore(torch.zeros(4, 1, 2, 2, dtype=torch.uint8))
    meta = torch.device("meta")  # in place of a GPU
    for limit, device in ((16, "meta"), (15, "cpu")):
        monkeypatch.setattr(stores, "largest_on", lambda device, limit=limit: limit)
        assert store.to(meta).pixels.device.type == device
    half = store.subset(torch.tensor([0, 2]))
    monkeypatch.setattr(stores, "largest_on", lambda device: 8)
    assert half.to(meta).pixels.shape == (2, 1, 2, 2)


def test_only_folders_can_be_streamed():
    with pytest.raises(ValueError, match="data_in=stream is invalid: .* digits is no folder"):
        load("digits", data_in="stream")
    with pytest.raises(ValueError, match="data_in='disk' is unknown; choose from"):
        load("digits", data_in="disk")


@pytest.mark.parametrize("place", PLACES)
def test_damaged_images_are_refused_or_skipped_in_every_place(photos, tmp_path, cache_dir, place):
    folder = tmp_path / "photos"
    for path in photos.rglob("*.jpg"):
        target = folder / path.relative_to(photos)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (folder / "train" / "cat" / "2.jpg").write_bytes(b"")
    (folder / "test" / "dog" / "1.jpg").write_bytes(b"GIF8")
    both = r"^2 of 36 images cannot be read: .*2.jpg cannot .*1.jpg cannot .*on_bad_image=skip"
    with pytest.raises(ValueError, match=both):
        load(str(folder), image_size=16, data_in=place)
    with pytest.warns(UserWarning, match="Skipped: .*jpg cannot be read"):
        data = load(str(folder), image_size=16, data_in=place, on_bad_image="skip")
    assert (len(data.images), len(data.labels)) == (23, 23)
    assert (len(data.test_images), len(data.test_labels)) == (11, 11)
    assert data.labels.bincount().tolist() == [8, 7, 8]
    with pytest.warns(UserWarning):
        memory = load(str(folder), image_size=16, data_in="memory", on_bad_image="skip")
    assert torch.equal(memory.images.tensor(), data.images.tensor())
    assert torch.equal(memory.mean, data.mean) and torch.equal(memory.std, data.std)


def test_a_file_that_is_damaged_later_is_named(photos, tmp_path):
    path = tmp_path / "0.jpg"
    path.write_bytes((photos / "train" / "cat" / "0.jpg").read_bytes())
    for workers in (0, 1):
        store = FileStore([path], ImageForm(16), workers)
        assert len(store.read(torch.tensor([0]))) == 1
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(ValueError, match="0.jpg cannot be read as an image.*bad_image=skip"):
            list(store.batches([torch.tensor([0])]))
        path.write_bytes((photos / "train" / "cat" / "0.jpg").read_bytes())


@pytest.mark.parametrize("place", ["stream", "cache"])
def test_an_error_that_has_passed_does_not_stay_in_the_cache(photos, cache_dir, place, monkeypatch):
    """Reading can also fail for lack of memory or of a codec."""
    read = image_files.read_image

    def fails_once(path, form):
        if path.name == "2.jpg":
            raise ValueError(f"{path} cannot be read as an image: too many open files")
        return read(path, form)

    options = dict(image_size=16, data_in=place, on_bad_image="skip", loader_workers=0)
    with monkeypatch.context() as patch:
        patch.setattr(image_files, "read_image", fails_once)
        for _ in range(2):
            with pytest.warns(UserWarning, match="Skipped: 6 of"):
                assert len(load(str(photos), **options).images) == 21
    data = load(str(photos), **options)
    assert len(data.images) == 24
    expected = load(str(photos), image_size=16, data_in="memory")
    assert torch.equal(data.images.tensor(), expected.images.tensor())


@pytest.mark.parametrize("part", ["train", "val"])
def test_an_image_that_cannot_be_read_ends_a_search_and_is_no_fault_of_a_candidate(
    few_digits, tmp_path, tiny_of, monkeypatch, cache_dir, part
):
    folder = shutil.copytree(few_digits, tmp_path / "digits")
    shutil.copytree(folder / "test", folder / "val")
    monkeypatch.setattr(pixel_statistics, "MOST_MEASURED", 10)
    monkeypatch.setattr(pixel_statistics, "N_MEASURED", 5)
    for path in (folder / part / "3").iterdir():
        if path.name != "0.png":  # one of those that are measured
            path.write_bytes(path.read_bytes()[:60])
    options = tiny_of("nsganet") | dict(data=str(folder), data_in="stream", loader_workers=0)
    problem = moonas.load_problem("nsganet", **options)
    with pytest.raises(UnreadableImages, match=r"png cannot be read as an image.*=skip"):
        searches.run(problem, generations=1)


def test_the_cache_is_found_by_the_content_of_the_folder(photos, tmp_path, cache_dir):
    load(str(photos), image_size=16, data_in="cache")
    (file,) = cache_dir.glob("images-*.bin")
    assert file.stat().st_size == 36 * 3 * 16 * 16
    moved = tmp_path / "moved"
    for path in photos.rglob("*.jpg"):
        (moved / path.relative_to(photos)).parent.mkdir(parents=True, exist_ok=True)
        (moved / path.relative_to(photos)).write_bytes(path.read_bytes())
    load(str(moved), image_size=16, data_in="cache")
    assert len(list(cache_dir.glob("images-*.bin"))) == 1
    load(str(moved), image_size=12, data_in="cache")
    assert len(list(cache_dir.glob("images-*.bin"))) == 2
    (moved / "train" / "cat" / "0.jpg").write_bytes(
        (moved / "train" / "cat" / "1.jpg").read_bytes()
    )
    changed_data = load(str(moved), image_size=16, data_in="cache")
    assert len(list(cache_dir.glob("images-*.bin"))) == 3
    assert torch.equal(changed_data.images[8:9], changed_data.images[9:10])
    assert not list(cache_dir.glob("*.part"))


def test_the_cache_that_the_command_builds_is_used_by_any_training_with_these_pixels(
    photos, cache_dir, monkeypatch
):
    path = build_cache(str(photos), image_size=20)
    assert path.exists()
    monkeypatch.setattr(holding, "machine_memory", lambda: 1000)
    for options in (dict(image_size=20), dict(image_size=16, stored_size=20)):
        data = load(str(photos), **options)
        assert "cache on disk" in data.place and data.images.store.path == path
    assert "from their files" in load(str(photos), image_size=16).place
    with pytest.raises(ValueError, match="digits is always in memory: only a folder"):
        build_cache("digits")


def test_an_incomplete_cache_is_built_again(photos, cache_dir):
    expected = load(str(photos), image_size=16, data_in="cache").images.tensor()
    (file,) = cache_dir.glob("images-*.bin")
    del expected
    file.write_bytes(file.read_bytes()[:1000])
    memory = load(str(photos), image_size=16, data_in="memory").images.tensor()
    again = load(str(photos), image_size=16, data_in="cache").images.tensor()
    assert torch.equal(again, memory)


def test_a_cache_that_the_user_may_not_read_is_not_used(photos, cache_dir, monkeypatch):
    load(str(photos), image_size=16, data_in="cache")
    (file,) = cache_dir.glob("images-*.bin")
    assert file.stat().st_mode & 0o777 == 0o666 & ~current_umask()
    monkeypatch.setattr(holding, "machine_memory", lambda: 1000)
    monkeypatch.setattr(disk_cache.os, "access", lambda path, mode: False)
    assert "from their files" in load(str(photos), image_size=16).place
    file.unlink()
    with pytest.raises(ValueError, match=r"The cache .*bin cannot be read: .*No such file"):
        CacheStore(file, 36, (3, 16, 16))


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_disk_without_space_for_the_cache_is_an_error(photos, cache_dir, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(disk_cache.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ValueError, match="needs 27.6 kB, but only 1 kB are free in .*MOONAS_CACHE"):
        load(str(photos), image_size=16, data_in="cache")
    assert not list(cache_dir.glob("*.bin"))
    cache_dir.rmdir()
    cache_dir.write_text("a file")
    with pytest.raises(ValueError, match="cache of decoded images cannot be written: .*=stream"):
        load(str(photos), image_size=16, data_in="cache")


@pytest.mark.slow
def test_processes_build_the_cache_at_the_same_time(photos, cache_dir):
    program = (
        "import sys; from moonas.data import load\n"
        "data = load(sys.argv[1], image_size=16, data_in='cache')\n"
        "print(float(data.images.tensor().abs().sum()))"
    )
    command = [sys.executable, "-c", program, str(photos)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
        for _ in range(2)
    ]
    printed = {process.communicate()[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    expected = float(load(str(photos), image_size=16).images.tensor().abs().sum())
    assert [float(text) for text in printed] == pytest.approx([expected])
    assert not list(cache_dir.glob("*.part"))


def calls(folder):
    """Return the lines of a journal."""
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    "name",
    [
        "cars",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("eagan-generator", "nsganet", "eg-darts")
        ),
    ],
)
def test_a_search_does_not_depend_on_where_images_are_kept(
    name, few_digits, tiny_of, tmp_path, cache_dir
):
    options = tiny_of(name) | dict(data=str(few_digits), generations=1)
    if name == "eagan-generator":
        options |= dict(batch=20)
    recorded = []
    for place in PLACES:
        problem = moonas.load_problem(
            name, **options, data_in=place, loader_workers=1, journal=tmp_path / f"in-{place}"
        )
        searches.run(problem, generations=1)
        recorded.append(calls(tmp_path / f"in-{place}"))
        problem.journal.close()
    assert recorded[0] == recorded[1] == recorded[2] and recorded[0]


def test_validation_images_that_do_not_fit_into_memory_are_decoded_for_every_candidate(
    few_digits, tiny_of, monkeypatch, cache_dir
):
    columns, log = [], []
    for memory in (10**9, 1000):
        monkeypatch.setattr(holding, "machine_memory", lambda memory=memory: memory)
        options = tiny_of("cars") | dict(data=str(few_digits), workers=2, loader_workers=1)
        problem = moonas.load_problem("cars", **options)
        problem.callbacks.append(CallbackOf(on_log=log.append))
        columns.append(searches.run(problem, generations=1).pop.get("F").tolist())
    assert columns[0] == columns[1]
    assert any("50 validation images do not fit into memory" in line for line in log)


@pytest.mark.slow
def test_cells_do_not_depend_on_where_images_are_kept(few_digits, tiny_of, cache_dir):
    options = tiny_of("eg-darts-cells") | dict(data=str(few_digits), loader_workers=0)
    results = [
        moonas.load_stage("eg-darts-cells", **options, data_in=place).run(seed=1)
        for place in PLACES
    ]
    assert results[0].cells == results[1].cells == results[2].cells
    losses = [[epoch["loss"] for epoch in result.epochs] for result in results]
    assert losses[0] == losses[1] == losses[2]


TRAINING = dict(
    architecture="CARS_A",
    image_size=16,
    stored_size=20,
    channels=4,
    layers=3,
    epochs=3,
    batch=10,
    device="cpu",
    auto_augment="randaugment",
    crop_scale=(0.3, 1.0),
    mixup=0.5,
    subset=0.9,
)


def train(photos, folder=None, epochs=None, **options):
    """Train a network; return the losses of the epochs, the scores and the weights."""
    stage = build(**TRAINING | options, data=str(photos))
    if folder is not None:
        attach_journal(stage, "cars training", folder)
    if epochs is not None:
        stop_before(stage, epochs)
    try:
        result = stage.run(seed=1)
    finally:
        if folder is not None:
            stage.journal.close()
    weights = {k: v.clone() for k, v in result.network.state_dict().items()}
    return result.columns, weights


def test_a_streamed_training_has_the_same_bits_for_any_number_of_processes_and_if_resumed(
    photos, tmp_path, cache_dir
):
    columns, weights = train(photos, data_in="memory")
    for workers in (0, 1, 2):
        same_columns, same_weights = train(photos, data_in="stream", loader_workers=workers)
        assert same_columns == columns
        assert all(torch.equal(weights[k], same_weights[k]) for k in weights)
    folder = tmp_path / "run"
    with pytest.raises(Interrupted):
        train(photos, folder, epochs=2, data_in="stream", loader_workers=2)
    resumed_columns, resumed = train(photos, folder, data_in="cache")
    assert resumed_columns == columns
    assert all(torch.equal(weights[k], resumed[k]) for k in weights)
    assert not all(torch.equal(weights[k], train(photos, subset=1.0)[1][k]) for k in weights)


def test_an_evaluation_sees_the_images_that_a_training_was_tested_on(photos, tmp_path, cache_dir):
    stage = build(**TRAINING | dict(epochs=1), data=str(photos))
    result = stage.run(seed=1)
    stage.report(result, tmp_path)
    model = moonas.load_model(tmp_path / "model.pt")
    images = load_test_images(str(photos), model)
    mean, std = (torch.tensor(model.about[name])[:, None, None] for name in ("mean", "std"))
    tested = result.data.test_images.map(result.data.info.form.center).tensor()
    assert images.pixels.shape == tested.shape == (12, 3, 16, 16)
    assert torch.allclose((images.pixels.tensor() - mean) / std, tested, atol=1e-5)
    wrong = model(images.pixels.tensor()).argmax(1) != images.labels
    assert 100 * float(wrong.float().mean()) == pytest.approx(result.columns["error"])
