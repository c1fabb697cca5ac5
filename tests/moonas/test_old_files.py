"""Run folders and model files of an earlier version can be read; see tests/data/README.md."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from moonas.problems.cyclegan_pruning.weights_file import read_gan
from moonas.problems.eagan.gan_file import read_generator, read_trained_gan
from torch import nn

import moonas
from moonas.cli import main
from moonas.files.tensors import fingerprint, part_of_state, read_tensors, write_tensors
from moonas.models.export import export
from moonas.run.front_file import read_front_csv
from moonas.run.journal import read_run

OLD = Path(__file__).parents[1] / "data" / "old"
SEARCH_COMMAND = ["search", "cars", "--seed", "1", "--population", "4", "--generations", "3"]
SETTINGS = ["channels=1", "layers=1", "batch=720", "score_batch=720", "warmup_epochs=1"]
SETTINGS += ["epochs=1", "device=cpu"]
# return value of trained_fingerprint() on the machine that created the files
FINGERPRINT = "add93e42e6ea01c16b72a6c38a32a1042f28a0d000cd6d02e9586869fd5a8e41"


def trained_fingerprint():
    """Return the fingerprint of a network's weights after three training steps.

    It depends on the version of torch and on the processor.
    """
    rng = torch.Generator().manual_seed(0)
    layers = [
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 5, padding=4, dilation=2, groups=8, bias=False),
        nn.Conv2d(8, 4, 1, stride=2),
        nn.AvgPool2d(3, 1, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 10),
    ]
    net = nn.Sequential(*layers)
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(torch.rand(weight.shape, generator=rng) - 0.5)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=3e-4)
    images = torch.rand(720, 3, 8, 8, generator=rng)
    labels = torch.randint(10, (720,), generator=rng)
    for _ in range(3):
        loss = nn.functional.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
    return fingerprint(net.state_dict())


@pytest.fixture
def old(tmp_path):
    """Folder with a copy of the old files that a test may change."""
    return Path(shutil.copytree(OLD, tmp_path / "old"))


def search(folder):
    return main([*SEARCH_COMMAND, "--out", str(folder), "--set", *SETTINGS])


@pytest.mark.filterwarnings("ignore:.*begun under other circumstances")
def test_a_complete_run_is_replayed_without_new_evaluations(old, capsys):
    before = {path.name: path.read_bytes() for path in (old / "cars").iterdir()}
    assert search(old / "cars") == 0
    assert "This run is complete" in capsys.readouterr().out
    for name in ("run.json", "journal.jsonl", "times.jsonl"):
        assert (old / "cars" / name).read_bytes() == before[name]
    for old_row, row in zip(
        read_front_csv(OLD / "cars"), read_front_csv(old / "cars"), strict=True
    ):
        assert all(
            row.columns[name] == old_row.columns[name] for name in ("error", "params", "macs")
        )
        assert (row.architecture, row.picked) == (old_row.architecture, old_row.picked)
        assert row.trained == old_row.trained


@pytest.mark.filterwarnings("ignore:.*begun under other circumstances")
def test_an_interrupted_run_is_resumed_with_its_weights(old):
    """The journals are equal bit by bit if this machine computes the same bits as the old one."""
    assert search(old / "cars-stopped") == 0
    uninterrupted, resumed = ((old / name / "journal.jsonl") for name in ("cars", "cars-stopped"))
    recorded = (OLD / "cars-stopped" / "journal.jsonl").read_bytes()
    assert resumed.read_bytes().startswith(recorded)
    if trained_fingerprint() == FINGERPRINT:
        assert resumed.read_bytes() == uninterrupted.read_bytes()
    else:  # rounding errors may change which candidates survive
        kinds = [[r["kind"] for r in read_run(old / name)[1]] for name in ("cars", "cars-stopped")]
        assert kinds[0] == kinds[1]


def test_the_weights_of_an_interrupted_run_can_be_evaluated_outside_the_run(old):
    settings = json.loads((OLD / "cars" / "run.json").read_text())["settings"]
    problem = moonas.load_problem("cars", **settings, journal=old / "cars-stopped")
    call = read_run(old / "cars-stopped")[1][3]
    assert problem.evaluate(call["request"]["who"]).shape == (len(call["request"]["who"]), 2)


def test_a_complete_run_can_be_shown_and_trained(old, capsys):
    assert main(["show", str(old / "cars")]) == 0
    assert (old / "cars" / "report.html").exists()
    out = old / "trained"
    options = ["--out", str(out), "--set", "epochs=1", "batch=720"]
    assert main(["train", str(old / "cars"), "--pick", "knee", *options]) == 0
    old_model, model = moonas.load_model(OLD / "model.pt"), moonas.load_model(out)
    assert old_model.about.keys() <= model.about.keys()
    assert old_model.about["architecture"] == model.about["architecture"]


def test_a_model_file_can_be_loaded_and_exported(tmp_path):
    model = moonas.load_model(OLD / "model.pt")
    assert model(model.example(2)).shape == (2, 10) and len(model.classes) == 10
    assert export(model, tmp_path / "net.py", "python") <= 1e-4


def test_the_gan_file_of_a_search_can_be_read_by_the_next_stage():
    state = read_generator(OLD / "eagan" / "gan.pt")
    assert state and all(name.split(".")[0] in ("weights", "memory") for name in state)
    description = json.loads((OLD / "eagan" / "gan.json").read_text())
    problem = moonas.load_problem(
        "eagan-discriminator", from_run=OLD / "eagan", channels=1, d_channels=2, latent=3
    )
    assert str(problem.generator) == description["generator"]
    net = moonas.load_problem("eagan-generator", channels=1, latent=3).network(problem.generator)
    weights = part_of_state(state, "weights")  # in a search, generators have no running statistics
    missing, unexpected = net.load_state_dict(weights, strict=False)
    assert missing == ["norm.running_mean", "norm.running_var"] and not unexpected


def test_a_classifier_cannot_be_read_as_a_gan():
    with pytest.raises(ValueError, match=r"model\.pt does not contain a GAN of a training"):
        read_trained_gan(OLD / "model.pt")


def test_rewriting_a_weights_file_does_not_change_its_bytes(old):
    path = old / "cyclegan" / "compressed.pt"
    about, tensors = read_tensors(path)
    write_tensors(path, tensors, about)
    assert path.read_bytes() == (OLD / "cyclegan" / "compressed.pt").read_bytes()


def test_original_and_compressed_cyclegans_can_be_read():
    original, compressed = (
        read_gan(OLD / "cyclegan" / name) for name in ("cyclegan.pt", "compressed.pt")
    )
    assert original.architecture is None and compressed.architecture is not None
    assert original.about["shape"] == compressed.about["shape"]
    sizes = [
        sum(p.numel() for p in file.gan.generators.parameters()) for file in (original, compressed)
    ]
    assert sizes[1] < sizes[0]
    out = compressed.gan.generators["a"](torch.zeros(1, 3, 8, 8))
    assert out.shape == (1, 3, 8, 8)
