"""Compression of generators whose discriminators are missing."""

import json

import numpy as np
import pytest
import torch
from callbacks import CallbackOf
from cyclegans import PRUNING, write_domains, write_released
from moonas.problems.cyclegan_pruning.training import DiscriminatorTraining, Recipe, new_gan
from moonas.problems.cyclegan_pruning.weights_file import read_gan
from searches import rows, run

import moonas
from moonas.files.tensors import fingerprint
from moonas.testing import check_resume

SHAPE = dict(width=3, blocks=2, d_width=8, d_layers=1)
TRAINING = dict(batch=8, learning_rate=5e-3, pretrain_epochs=6)


@pytest.fixture(scope="module")
def gan():
    return new_gan(7, "cpu", **SHAPE)


@pytest.fixture(scope="module")
def build(gan, tmp_path_factory):
    """Function from settings to a problem with the weights of both generators only."""
    folder = tmp_path_factory.mktemp("released")
    options = PRUNING | SHAPE | TRAINING
    options |= dict(data=write_domains(folder / "noise", n=40))
    options |= dict(weights=write_released(folder / "weights", gan, ["generators"]))
    return lambda **more: moonas.load_problem("cyclegan-pruning", **options | more)


@pytest.mark.parametrize(
    "names", [{}, dict(second=6), dict(prefix="module."), dict(prefix="module.", second=6)]
)
def test_generators_alone_are_read_whatever_their_names(gan, build, names, tmp_path):
    folder = write_released(tmp_path / "weights", gan, ["generators"], **names)
    for path in (folder, folder / "latest_net_G_B.pth"):
        problem = build(weights=path)
        read = problem.evaluator.load_original(seed=3)
        assert fingerprint(read.generators.state_dict()) == fingerprint(gan.generators.state_dict())


def test_the_seed_determines_the_initial_discriminators(build):
    first, second, other = (
        build().evaluator.load_original(seed=seed).discriminators.state_dict() for seed in (1, 1, 2)
    )
    assert fingerprint(first) == fingerprint(second) != fingerprint(other)


def test_a_single_missing_discriminator_is_named(gan, build, tmp_path):
    folder = write_released(tmp_path / "weights", gan)
    (folder / "latest_net_D_B.pth").unlink()
    with pytest.raises(ValueError, match=r"latest_net_D_A\.pth but not latest_net_D_B\.pth\. Add"):
        build(weights=folder)


@pytest.mark.parametrize("shape", [(2,), (3, 4), (4096, 512, 3, 3)])
def test_files_of_other_networks_are_refused(build, shape, tmp_path):
    for k in "AB":
        torch.save({"fc.weight": torch.zeros(shape)}, tmp_path / f"latest_net_G_{k}.pth")
    with pytest.raises(ValueError, match="does not contain (the )?weights of a CycleGAN"):
        build(weights=tmp_path)


def test_a_step_changes_the_discriminators_and_no_bit_of_the_generators():
    gan = new_gan(1, "cpu", **SHAPE)
    before = {
        k: fingerprint(getattr(gan, k).state_dict()) for k in ("generators", "discriminators")
    }
    images = torch.randint(256, (2, 6, 3, 8, 8), dtype=torch.uint8)
    recipe = Recipe(2, 1e-2, 0.5, 0.999, 10, 5, 4, False)
    training = DiscriminatorTraining(gan, dict(a=images[0], b=images[1]), (8, 8), recipe, 1, "test")
    report = training.run(3)
    assert set(report.as_dict()) == {"steps", "skipped", "d_loss"} and report.steps == 3
    after = {k: fingerprint(getattr(gan, k).state_dict()) for k in before}
    assert after["generators"] == before["generators"]
    assert after["discriminators"] != before["discriminators"]
    assert all(p.grad is None for p in gan.generators.parameters())


def test_a_search_with_random_discriminators_warns(build):
    problem, lines = build(pretrain_epochs=0), []
    problem.callbacks.append(CallbackOf(on_log=lines.append))
    problem.evaluator.begin(1)
    problem.evaluator.warm_up()
    (warning,) = [line for line in lines if line.startswith("Warning")]
    assert "contains no discriminators, and pretrain_epochs=0" in warning
    assert not [line for line in lines if "they are trained" in line]


def test_discriminators_learn_against_the_given_generators_before_the_search(gan, build, tmp_path):
    lines, phases = [], set()
    problem = build(journal=tmp_path / "run", batch=4)
    problem.callbacks.append(
        CallbackOf(on_log=lines.append, on_progress=lambda phase, *_: phases.add(phase))
    )
    run(problem, generations=1)
    original = problem.evaluator.require_original()
    problem.journal.close()
    assert lines[0] == (
        f"{problem.settings.weights} contains no discriminators; they are trained for 6 epochs "
        "against the given generators."
    )
    assert lines[1].startswith("Training the discriminators: 6 epochs of 8 steps on cpu")
    assert [line[:28] for line in lines[2:8]] == [
        f"  epoch {i:>3}: discriminators " for i in range(1, 7)
    ]
    assert not [line for line in lines if line.startswith("Warning")]
    assert "training the discriminators" in phases
    (record, *_) = map(json.loads, (tmp_path / "run" / "journal.jsonl").read_text().splitlines())
    report = record["result"]
    assert report["steps"] == 6 * 8 and report["d_accuracy"] > 90
    trained = original.generators.state_dict()
    assert fingerprint(trained) == fingerprint(gan.generators.state_dict())

    resumed = build(journal=tmp_path / "run", batch=4)
    lines.clear()
    resumed.callbacks.append(CallbackOf(on_log=lines.append))
    run(resumed, generations=2)
    resumed.journal.close()
    assert not lines, "nothing is trained again"
    again = resumed.evaluator.require_original()
    assert fingerprint(again.state_dict()) == fingerprint(original.state_dict())


def test_an_interrupted_search_equals_an_uninterrupted_one(build, tmp_path):
    first, second = check_resume(
        lambda: build(pretrain_epochs=1), lambda p: run(p, generations=2).F.tolist(), tmp_path
    )
    assert first == second


def test_outside_a_run_the_discriminators_are_trained_as_well(build):
    problem = build(pretrain_epochs=2)
    assert np.isfinite(problem.evaluate(rows(problem, 1), return_values_of=["F"])).all()
    untrained = problem.evaluator.load_original(seed=problem.session.seed).discriminators
    trained = problem.evaluator.require_original().discriminators
    assert fingerprint(trained.state_dict()) != fingerprint(untrained.state_dict())


def test_a_search_writes_the_trained_discriminators(build, tmp_path):
    options = build().settings
    found = moonas.search(
        "cyclegan-pruning",
        out=tmp_path / "run",
        **PRUNING | SHAPE | TRAINING | dict(data=options.data, weights=options.weights),
    )
    saved = read_gan(found.folder / "cyclegan.pt").gan
    original = found.problem.evaluator.require_original()
    assert fingerprint(saved.state_dict()) == fingerprint(original.state_dict())
