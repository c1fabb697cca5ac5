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
def finished_search(make_problem, weights, tmp_path):
    """Folder of a finished search, the picked architecture, and the groups of filters."""
    problem = make_problem()
    architecture, saved = problem.decode(rows(problem, 1)[0]), read_gan(weights)
    compressed = compress(saved.gan, architecture, problem.groups)
    with torch.no_grad():
        for p in compressed.parameters():
            p.add_(1)  # as if it had been fine-tuned during the search
    folder, s, info = tmp_path / "finished", problem.settings, problem.info
    folder.mkdir()
    write_gan(folder / "cyclegan.pt", saved.gan, s, info)
    write_gan(folder / "compressed.pt", compressed, s, info, architecture, "filters")
    return folder, architecture, problem.groups


def build(folder, domains, **options):
    """Return the fine-tuning stage for the search in a folder."""
    return final_training.build(weights=str(folder), **SMALL | dict(data=domains) | options)


def test_fine_tuning_requires_a_finished_search(tmp_path):
    with pytest.raises(ValueError, match="weights=None is invalid"):
        final_training.build()
    with pytest.raises(ValueError, match=r"does not contain compressed\.pt"):
        final_training.build(weights=str(tmp_path), **SMALL)


def test_fine_tuning_starts_from_the_weights_of_the_original_cyclegan(
    finished_search, weights, domains
):
    folder, architecture, groups = finished_search
    trained = build(folder, domains, epochs=0, decay_epochs=0).run(1)
    expected = compress(read_gan(weights).gan, architecture, groups)
    for name, tensor in expected.state_dict().items():
        assert torch.equal(trained.gan.state_dict()[name].cpu(), tensor), name


def test_fine_tuning_uses_the_training_and_validation_sets(finished_search, domains):
    training = build(finished_search[0], domains).start(1)
    assert {k: len(images) for k, images in training.images.items()} == {"a": 15, "b": 15}


def test_running_a_stage_twice_returns_the_same_weights(finished_search, domains):
    stage = build(finished_search[0], domains, epochs=1, decay_epochs=0)
    first, second = (stage.run(1).gan.state_dict() for _ in range(2))
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_files_from_different_runs_raise_an_error(finished_search, domains):
    folder = finished_search[0]
    settings = PruningSettings(**SMALL | dict(width=3), data=domains)
    another_gan = new_gan(1, "cpu", **settings.network_shape)
    write_gan(folder / "cyclegan.pt", another_gan, settings, describe(settings))
    with pytest.raises(ValueError, match="come from different runs"):
        build(folder, domains)


def test_generators_can_be_fine_tuned_on_images_of_another_size(finished_search, domains):
    stage = build(finished_search[0], domains, image_size=12, epochs=1, decay_epochs=0)
    assert stage.info.side == 12
    assert stage.run(1).scores["side"] == 12


def test_a_resumed_fine_tuning_ends_with_the_same_weights(finished_search, domains, tmp_path):
    def train(stage):
        return fingerprint(stage.run(1).gan.state_dict())

    uninterrupted, resumed = check_resume(
        lambda: build(finished_search[0], domains, epochs=1, decay_epochs=1),
        train,
        tmp_path / "journals",
        measured=["cpu_ms"],
    )
    assert resumed == uninterrupted
