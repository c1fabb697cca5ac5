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


def test_reading_a_file_restores_the_compressed_generators(make_problem, weights, tmp_path):
    problem = make_problem()
    saved = read_gan(weights)
    assert saved.architecture is None and saved.about["side"] == 8
    architecture = problem.decode(rows(problem, 1)[0])
    compressed = compress(saved.gan, architecture, problem.groups)
    path = tmp_path / "compressed.pt"
    write_gan(path, compressed, problem.settings, problem.info, architecture, "filters")
    restored = read_gan(path)
    assert restored.architecture == architecture
    x = scale_pixels(torch.arange(192).reshape(1, 3, 8, 8).to(torch.uint8))
    for k in "ab":
        assert torch.equal(restored.gan.generators[k](x), compressed.generators[k](x))
    with pytest.raises(ValueError, match="already compressed"):
        make_problem(weights=path)


def test_model_files_contain_all_four_networks(make_problem, weights, tmp_path):
    problem, saved = make_problem(), read_gan(weights)
    for folder, row in (("first", 0), ("second", 1)):
        (tmp_path / folder).mkdir()
        architecture = problem.decode(rows(problem, 2)[row])
        compressed = compress(saved.gan, architecture, problem.groups)
        about = describe_gan(compressed, problem.settings, problem.info, architecture, "filters")
        write_models(tmp_path / folder, compressed, about)
    restored = read_models(tmp_path / "second")
    assert restored.architecture == architecture
    assert fingerprint(restored.gan.state_dict()) == fingerprint(compressed.state_dict())
    x = torch.rand(1, 3, 8, 8)
    for k in "ab":
        model = moonas.load_model(tmp_path / "second" / f"model-{k}.pt")
        assert torch.equal(model(x), (compressed.generators[k](2 * x - 1) + 1) / 2)
    (tmp_path / "first" / "model-a.pt").replace(tmp_path / "second" / "model-a.pt")
    with pytest.raises(ValueError, match="come from different runs"):
        read_models(tmp_path / "second")
    with pytest.raises(ValueError, match=r"model-a\.pt is missing"):
        read_models(tmp_path / "first")


def test_weights_trained_on_another_data_set_raise_an_error(make_problem, tmp_path):
    folder = write_domains(tmp_path / "horses")
    with pytest.raises(ValueError, match="expected data='horses', got data='noise'"):
        make_problem(data=folder)


@pytest.mark.parametrize("damage", ["truncated", "text file", "not a CycleGAN", "changed tensor"])
def test_a_damaged_file_raises_an_error(weights, tmp_path, damage):
    path, data = tmp_path / "cyclegan.pt", weights.read_bytes()
    if damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "text file":
        path.write_text("weights")
    elif damage == "not a CycleGAN":
        torch.save({"x": torch.zeros(3)}, path)
    else:
        content = torch.load(weights, weights_only=True)
        next(iter(content["tensors"].values())).add_(1)
        torch.save(content, path)
    with pytest.raises(ValueError, match=r"cyclegan\.pt (.* weights of a CycleGAN|is damaged)"):
        read_gan(path)


def test_resuming_a_run_with_changed_weights_raises_an_error(make_problem, weights, tmp_path):
    path = tmp_path / "cyclegan.pt"
    path.write_bytes(weights.read_bytes())
    first = make_problem(weights=path, journal=tmp_path / "run")
    run(first, generations=1)
    first.journal.close()
    gan = read_gan(path).gan
    with torch.no_grad():
        next(gan.parameters()).add_(1)
    write_gan(path, gan, first.settings, first.info)
    with pytest.raises(ValueError, match="inputs"):
        make_problem(weights=path, journal=tmp_path / "run")
