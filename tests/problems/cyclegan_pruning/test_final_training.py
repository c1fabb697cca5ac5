import pytest
import torch
from cyclegans import SMALL
from moonas.problems.cyclegan_pruning import final_training
from moonas.problems.cyclegan_pruning.data import describe
from moonas.problems.cyclegan_pruning.masks import compress
from moonas.problems.cyclegan_pruning.settings import PruningSettings
from moonas.problems.cyclegan_pruning.training import new_gan
from moonas.problems.cyclegan_pruning.weights_file import read_gan, write_gan
from searches import rows

from moonas.files.tensors import fingerprint
from moonas.testing import check_resume


@pytest.fixture
def finished(make, weights, tmp_path):
    """The folder of a finished search, its picked architecture, and the groups of filters."""
    problem = make()
    architecture, saved = problem.decode(rows(problem, 1)[0]), read_gan(weights)
    small = compress(saved.gan, architecture, problem.groups)
    with torch.no_grad():
        for p in small.parameters():
            p.add_(1)  # as if it had been fine-tuned during the search
    folder, s, info = tmp_path / "finished", problem.settings, problem.info
    folder.mkdir()
    write_gan(folder / "cyclegan.pt", saved.gan, s, info)
    write_gan(folder / "compressed.pt", small, s, info, architecture, "filters")
    return folder, architecture, problem.groups


def build(folder, domains, **options):
    return final_training.build(weights=str(folder), **SMALL | dict(data=domains) | options)


def test_fine_tuning_requires_a_finished_search(tmp_path):
    with pytest.raises(ValueError, match="weights=None is invalid"):
        final_training.build()
    with pytest.raises(ValueError, match=r"does not contain compressed\.pt"):
        final_training.build(weights=str(tmp_path), **SMALL)


def test_fine_tuning_starts_from_the_weights_of_the_original(finished, weights, domains):
    folder, architecture, groups = finished
    trained = build(folder, domains, epochs=0, decay_epochs=0).run(1)
    expected = compress(read_gan(weights).gan, architecture, groups)
    for name, tensor in expected.state_dict().items():
        assert torch.equal(trained.gan.state_dict()[name].cpu(), tensor), name


def test_fine_tuning_uses_the_training_and_validation_sets(finished, domains):
    training = build(finished[0], domains).start(1)
    assert {k: len(images) for k, images in training.images.items()} == {"a": 15, "b": 15}


def test_a_stage_can_run_twice(finished, domains):
    stage = build(finished[0], domains, epochs=1, decay_epochs=0)
    one, two = (stage.run(1).gan.state_dict() for _ in range(2))
    assert all(torch.equal(tensor, two[name]) for name, tensor in one.items())


def test_files_of_different_runs_are_refused(finished, domains):
    folder = finished[0]
    settings = PruningSettings(**SMALL | dict(width=3), data=domains)
    other = new_gan(1, "cpu", **settings.network_shape)
    write_gan(folder / "cyclegan.pt", other, settings, describe(settings))
    with pytest.raises(ValueError, match="come from different runs"):
        build(folder, domains)


def test_images_of_another_size_than_in_the_search_are_refused(finished, domains):
    with pytest.raises(ValueError, match="image_size=12 is invalid: expected 8"):
        build(finished[0], domains, image_size=12)


def test_an_interrupted_fine_tuning_resumes_with_the_same_bits(finished, domains, tmp_path):
    def train(stage):
        return fingerprint(stage.run(1).gan.state_dict())

    straight, stopped = check_resume(
        lambda: build(finished[0], domains, epochs=1, decay_epochs=1),
        train,
        tmp_path / "journals",
        measured=["cpu_ms"],
    )
    assert stopped == straight
