import pytest
import torch
from cyclegans import write_domains
from moonas.problems.cyclegan_pruning.masks import compress
from moonas.problems.cyclegan_pruning.training import scale_pixels
from moonas.problems.cyclegan_pruning.weights_file import (
    describe_gan,
    read_gan,
    read_models,
    write_gan,
    write_models,
)
from searches import rows, run

import moonas
from moonas.files.tensors import fingerprint


def test_a_file_with_compressed_generators_is_read_as_written(make, weights, tmp_path):
    problem = make()
    saved = read_gan(weights)
    assert saved.architecture is None and saved.about["side"] == 8
    architecture = problem.decode(rows(problem, 1)[0])
    small = compress(saved.gan, architecture, problem.groups)
    path = tmp_path / "compressed.pt"
    write_gan(path, small, problem.settings, problem.info, architecture, "filters")
    again = read_gan(path)
    assert again.architecture == architecture
    x = scale_pixels(torch.arange(192).reshape(1, 3, 8, 8).to(torch.uint8))
    for k in "ab":
        assert torch.equal(again.gan.generators[k](x), small.generators[k](x))
    with pytest.raises(ValueError, match="compressed already"):
        make(weights=path)


def test_model_files_contain_all_four_networks(make, weights, tmp_path):
    problem, saved = make(), read_gan(weights)
    for folder, row in (("one", 0), ("other", 1)):
        (tmp_path / folder).mkdir()
        architecture = problem.decode(rows(problem, 2)[row])
        small = compress(saved.gan, architecture, problem.groups)
        about = describe_gan(small, problem.settings, problem.info, architecture, "filters")
        write_models(tmp_path / folder, small, about)
    again = read_models(tmp_path / "other")
    assert again.architecture == architecture
    assert fingerprint(again.gan.state_dict()) == fingerprint(small.state_dict())
    x = torch.rand(1, 3, 8, 8)
    for k in "ab":
        model = moonas.load_model(tmp_path / "other" / f"model-{k}.pt")
        assert torch.equal(model(x), (small.generators[k](2 * x - 1) + 1) / 2)
    (tmp_path / "one" / "model-a.pt").replace(tmp_path / "other" / "model-a.pt")
    with pytest.raises(ValueError, match="come from different runs"):
        read_models(tmp_path / "other")
    with pytest.raises(ValueError, match=r"model-a\.pt is missing"):
        read_models(tmp_path / "one")


def test_a_cyclegan_of_another_data_set_is_refused(make, tmp_path):
    folder = write_domains(tmp_path / "horses")
    with pytest.raises(ValueError, match="expected data='horses', got data='noise'"):
        make(data=folder)


@pytest.mark.parametrize("damage", ["cut", "other bytes", "not weights", "another tensor"])
def test_a_damaged_file_is_refused(weights, tmp_path, damage):
    path, data = tmp_path / "cyclegan.pt", weights.read_bytes()
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "other bytes":
        path.write_text("weights")
    elif damage == "not weights":
        torch.save({"x": torch.zeros(3)}, path)
    else:
        found = torch.load(weights, weights_only=True)
        next(iter(found["tensors"].values())).add_(1)
        torch.save(found, path)
    with pytest.raises(ValueError, match=r"cyclegan\.pt (.* weights of a CycleGAN|is damaged)"):
        read_gan(path)


def test_a_run_is_not_resumed_with_other_weights(make, weights, tmp_path):
    path = tmp_path / "cyclegan.pt"
    path.write_bytes(weights.read_bytes())
    first = make(weights=path, journal=tmp_path / "run")
    run(first, generations=1)
    first.journal.close()
    gan = read_gan(path).gan
    with torch.no_grad():
        next(gan.parameters()).add_(1)
    write_gan(path, gan, first.settings, first.info)
    with pytest.raises(ValueError, match="inputs"):
        make(weights=path, journal=tmp_path / "run")
