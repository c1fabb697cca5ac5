import numpy as np
import pytest
import torch
from cyclegans import write_domains
from moonas.problems.cyclegan_pruning.data import describe
from moonas.problems.cyclegan_pruning.masks import compress
from moonas.problems.cyclegan_pruning.settings import PruningSettings
from moonas.problems.cyclegan_pruning.training import scale_pixels
from moonas.problems.cyclegan_pruning.weights_file import (
    describe_gan,
    read_gan,
    read_models,
    read_original,
    write_gan,
    write_models,
)
from searches import rows, run
from torch import nn

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


def test_weights_trained_on_another_folder_or_image_size_are_taken(make_problem, tmp_path):
    folder = write_domains(tmp_path / "horses", side=12)
    problem = make_problem(data=folder, image_size=12)
    assert problem.info.name == "horses" and problem.info.side == 12
    assert np.isfinite(problem.evaluate(rows(problem, 2), return_values_of=["F"])).all()


def test_weights_of_another_network_raise_an_error_that_says_what_to_set(make_problem):
    with pytest.raises(ValueError, match=r"expected width=5, got width=2\. Set width=2 \(--set"):
        make_problem(width=5)


class ReleasedResidual(nn.Module):
    """Residual block with the names of CycleGAN's code."""

    def __init__(self, c):
        super().__init__()
        block = [nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3), nn.InstanceNorm2d(c), nn.ReLU(True)]
        block += [nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3), nn.InstanceNorm2d(c)]
        self.conv_block = nn.Sequential(*block)

    def forward(self, x):
        return x + self.conv_block(x)


class Released(nn.Module):
    """A network whose layers are in ``model``, as in CycleGAN's code."""

    def __init__(self, *layers):
        super().__init__()
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        return self.model(x)


def released_generator(w, blocks):
    def normed(layer):
        return layer, nn.InstanceNorm2d(layer.out_channels), nn.ReLU(True)

    return Released(
        nn.ReflectionPad2d(3),
        *normed(nn.Conv2d(3, w, 7)),
        *normed(nn.Conv2d(w, 2 * w, 3, 2, 1)),
        *normed(nn.Conv2d(2 * w, 4 * w, 3, 2, 1)),
        *(ReleasedResidual(4 * w) for _ in range(blocks)),
        *normed(nn.ConvTranspose2d(4 * w, 2 * w, 3, 2, 1, output_padding=1)),
        *normed(nn.ConvTranspose2d(2 * w, w, 3, 2, 1, output_padding=1)),
        nn.ReflectionPad2d(3),
        nn.Conv2d(w, 3, 7),
        nn.Tanh(),
    )


def released_discriminator(w):
    layers, c = [nn.Conv2d(3, w, 4, 2, 1), nn.LeakyReLU(0.2, True)], w
    for stride in (2, 1):
        layers += [nn.Conv2d(c, 2 * c, 4, stride, 1), nn.InstanceNorm2d(2 * c)]
        layers += [nn.LeakyReLU(0.2, True)]
        c *= 2
    return Released(*layers, nn.Conv2d(c, 1, 4, 1, 1))


@pytest.fixture
def released(tmp_path):
    """Folder with four files in the format of CycleGAN's code, and their networks."""
    torch.manual_seed(0)
    nets = {"G_A": released_generator(3, 2), "G_B": released_generator(3, 2)}
    nets |= {"D_A": released_discriminator(4), "D_B": released_discriminator(4)}
    for name, net in nets.items():
        torch.save(net.state_dict(), tmp_path / f"latest_net_{name}.pth")
    return tmp_path, nets


@pytest.mark.parametrize("name", ["", "latest_net_D_B.pth"])
def test_the_files_of_cyclegans_own_code_are_read(released, domains, name):
    folder, nets = released
    settings = PruningSettings(width=3, blocks=2, d_width=4, d_layers=2, data=domains)
    gan = read_original(folder / name, settings, describe(settings))
    x = torch.rand(2, 3, 16, 16)
    for k in "ab":
        assert torch.equal(gan.generators[k](x), nets[f"G_{k.upper()}"](x))
        assert torch.equal(gan.discriminators[k](x), nets[f"D_{k.upper()}"](x))


def test_a_search_compresses_the_files_of_cyclegans_own_code(released, make_problem):
    folder, _ = released
    shape = dict(width=3, blocks=2, d_width=4, d_layers=2, image_size=16)
    problem = make_problem(weights=folder, **shape)
    assert np.isfinite(problem.evaluate(rows(problem, 1), return_values_of=["F"])).all()
    checksum = problem.inputs["weights"]
    state = torch.load(folder / "latest_net_D_B.pth", weights_only=True)
    next(iter(state.values())).add_(1)
    torch.save(state, folder / "latest_net_D_B.pth")
    assert make_problem(weights=folder, **shape).inputs["weights"] != checksum


def test_missing_or_other_files_of_cyclegans_own_code_are_named(released, make_problem):
    folder, _ = released
    torch.save({"fc.weight": torch.zeros(2)}, folder / "latest_net_G_B.pth")
    with pytest.raises(ValueError, match="does not contain weights of a CycleGAN"):
        make_problem(weights=folder)
    (folder / "latest_net_G_B.pth").unlink()
    with pytest.raises(ValueError, match=r"does not contain latest_net_G_B\.pth"):
        make_problem(weights=folder)


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
