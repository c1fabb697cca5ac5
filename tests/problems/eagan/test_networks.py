import hashlib

import pytest
import torch
from moonas.problems.eagan import zoo
from moonas.problems.eagan.costs import discriminator_cost, generator_cost
from moonas.problems.eagan.discriminator_net import (
    Discriminator,
    SimpleDiscriminator,
    SuperDiscriminator,
)
from moonas.problems.eagan.gan_file import discriminator_shape
from moonas.problems.eagan.generator_net import (
    Generator,
    SuperGenerator,
    estimate_running_statistics,
)
from moonas.problems.eagan.operations import enlarge_bilinearly, inherit_weights
from moonas.problems.eagan.settings import GeneratorSettings
from moonas.problems.eagan.space import CHANNEL_SCHEDULES, DiscriminatorSpace, GeneratorSpace
from searches import uniform_rows
from torch import nn
from torch.nn import functional as F

from moonas.data.images import DataInfo
from moonas.nets.counting import count_macs, count_params
from moonas.nets.randomness import initial_weights

G_NAMES = "1766983b76c5938c44c9d4f2848f8aa83aaeed82c59880d5c29d0927a993ee5e"
D_NAMES = "59d4ff8bbd88ff3f3dea19925bd6c8d58a25959102a340a55253a67d37b57d98"
SHAPE = dict(channels=4, latent=6, side=16, in_channels=1)


def random_images(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("name", "side", "params", "macs"),
    [
        ("EAGAN_G", 32, 7_142_403, 1_889_566_720),
        ("EAGAN_G", 48, 11_550_723, 4_251_525_120),
        ("AdversarialNAS_G", 32, 8_846_851, 2_678_095_872),
    ],
)
def test_published_generators_have_the_sizes_stated_in_the_papers(name, side, params, macs):
    shape = dict(channels=256, latent=120, side=side, in_channels=3)
    assert generator_cost(zoo.generator(name), **shape) == (params, macs)


@pytest.mark.parametrize(
    ("name", "params", "macs_32", "macs_48"),
    [
        ("EAGAN_D_C", 906_240, 262_635_648, 590_930_048),
        ("EAGAN_D_S", 1_578_112, 305_627_264, 687_661_184),
        ("AutoGAN_D", 1_053_824, 272_072_832, None),
    ],
)
def test_published_discriminators_have_the_sizes_stated_in_the_papers(
    name, params, macs_32, macs_48
):
    shape = dict(channels=128, in_channels=3)
    architecture = zoo.discriminator(name)
    assert discriminator_cost(architecture, side=32, **shape) == (params, macs_32)
    assert macs_48 in (None, discriminator_cost(architecture, side=48, **shape)[1])


@pytest.mark.parametrize(
    ("side", "n_cells", "schedule"),
    [
        *((side, 3, "halve") for side in (8, 24, 32)),
        *((64, 4, schedule) for schedule in CHANNEL_SCHEDULES),
        (32, 5, "halve"),
        (32, 5, "constant"),
    ],
)
def test_computed_costs_equal_the_costs_counted_on_built_networks(side, n_cells, schedule):
    options = dict(in_channels=2, channel_schedule=schedule)
    shape = dict(channels=5, latent=7, side=side) | options
    space = GeneratorSpace(n_cells)
    for x in uniform_rows(space.n_choices, 6):
        architecture = space.decode(x)
        net = Generator(architecture, **shape)
        cost = generator_cost(architecture, **shape)
        assert cost == (count_params(net), count_macs(net, 7))
    space, shape = DiscriminatorSpace(side, n_cells), dict(channels=5) | options
    for x in uniform_rows(space.n_choices, 6):
        architecture = space.decode(x)
        net = Discriminator(architecture, spectral=False, **shape)
        cost = discriminator_cost(architecture, side=side, **shape)
        assert cost == (count_params(net), count_macs(net, 2, side, side))


def test_networks_with_three_cells_are_those_of_earlier_versions_at_any_side():
    shape = dict(channels=256, latent=120, side=64, in_channels=3)
    assert generator_cost(zoo.generator("EAGAN_G"), **shape) == (17_722_371, 7_558_266_880)
    with initial_weights(1, "x"):
        G = Generator(zoo.generator("EAGAN_G"), channels=4, latent=6, side=64, in_channels=1)
        D = Discriminator(zoo.discriminator("EAGAN_D_C", 64), channels=4, in_channels=1)
    # fingerprints of names and shapes, computed with the version that knew only three cells
    for net, digest in ((G, G_NAMES), (D, D_NAMES)):
        names = [f"{name} {tuple(t.shape)}" for name, t in net.state_dict().items()]
        assert hashlib.sha256(" ".join(names).encode()).hexdigest() == digest


@pytest.mark.parametrize(("side", "n_cells"), [(64, 4), (128, 5)])
def test_linear_layers_do_not_dominate_the_generators_of_large_images(side, n_cells):
    shape = dict(channels=256, latent=120, side=side, in_channels=3)
    architecture = zoo.find_generator(None, n_cells)
    with torch.device("meta"):
        net = Generator(architecture, **shape)
    n_linear = sum(p.numel() for p in net.inputs.parameters())
    published = zoo.generator("EAGAN_G")
    with torch.device("meta"):
        of_paper = Generator(published)
    share_of_paper = sum(p.numel() for p in of_paper.inputs.parameters()) / count_params(of_paper)
    assert n_linear / count_params(net) < share_of_paper < 0.5
    assert count_params(net) < count_params(of_paper)


def test_the_channels_of_the_fourth_and_fifth_cell_follow_the_schedule():
    for schedule, widths in (("halve", [8, 8, 8, 4, 2]), ("constant", [8] * 5)):
        shape = dict(channels=8, in_channels=1, channel_schedule=schedule)
        G = Generator(zoo.find_generator(None, 5), side=32, latent=10, **shape)
        skips = [[skip.conv for skip in cell.skips] for cell in G.cells]
        assert [[conv.in_channels for conv in cell] for cell in skips] == [
            widths[:i] for i in range(5)
        ]
        assert [conv.out_channels for conv in skips[4]] == [widths[4]] * 4
        assert G.to_image.in_channels == widths[4]
        D = Discriminator(zoo.find_discriminator(None, 128, 5), **shape)
        assert D.first.second.out_channels == widths[4] and D.last.in_features == 8
        changes = {i: c for i, c in enumerate(widths[::-1]) if i and c != widths[::-1][i - 1]}
        assert {int(i): conv.out_channels for i, conv in D.widen.items()} == changes


def test_the_latent_part_of_a_fourth_cell_is_added_to_all_pixels():
    net = Generator(zoo.find_generator(None, 4), channels=4, latent=9, side=16, in_channels=1)
    assert [linear.in_features for linear in net.inputs] == [3, 2, 2, 2]
    assert [linear.out_features for linear in net.inputs] == [4, 4 * 4, 4 * 16, 4]
    inputs = []
    hook = net.cells[3].register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    z = random_images(1, 9)
    other = z.clone()
    other[:, 7:] += 1
    net(torch.cat([z, other]))
    hook.remove()
    difference = inputs[0][1] - inputs[0][0]
    assert difference.shape == (4, 8, 8) and difference.abs().max() > 0
    expected = net.inputs[3](other[:, 7:]) - net.inputs[3](z[:, 7:])
    assert torch.allclose(difference, expected[0, :, None, None].expand(4, 8, 8), atol=1e-5)


def test_the_simple_discriminator_has_the_size_of_the_released_code():
    net = SimpleDiscriminator(32)
    assert count_params(net) == 921_920
    assert count_macs(net, 3, 32, 32) == 14_680_192


def test_supernets_have_the_expected_numbers_of_parameters():
    with torch.device("meta"):
        assert count_params(SuperGenerator()) == 72_776_963
        assert count_params(SuperDiscriminator(spectral=False)) == 23_806_592


def test_spectral_normalization_adds_no_parameters():
    with_norm = Discriminator(zoo.discriminator("EAGAN_D_C"), channels=4)
    without = Discriminator(zoo.discriminator("EAGAN_D_C"), channels=4, spectral=False)
    assert count_params(with_norm) == count_params(without)


def test_every_weight_of_a_discriminator_has_spectral_norm_one():
    net = Discriminator(zoo.discriminator("EAGAN_D_C"), channels=4)
    for _ in range(50):  # each forward pass runs one power iteration
        net(random_images(2, 3, 32, 32))
    net.eval()
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) > 8
    for layer in layers:
        norm = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
        assert float(norm) == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize(("side", "n_cells"), [(8, 3), (32, 3), (48, 3), (64, 4), (128, 5)])
def test_networks_support_different_image_sizes(side, n_cells):
    shape = dict(channels=2, latent=6, side=side, in_channels=3)
    spaces = GeneratorSpace(n_cells), DiscriminatorSpace(side, n_cells)
    for x, y in zip(*(uniform_rows(space.n_choices, 3) for space in spaces), strict=True):
        generated = Generator(spaces[0].decode(x), **shape)(random_images(2, 6))
        assert generated.shape == (2, 3, side, side) and generated.abs().max() <= 1
        score = Discriminator(spaces[1].decode(y), channels=2)(generated)
        assert score.shape == (2,)
        assert SimpleDiscriminator(side, channels=2)(generated).shape == (2,)


@pytest.mark.parametrize(("seed", "n_cells"), [(0, 3), (1, 3), (2, 4)])
def test_a_stand_alone_generator_equals_its_path_through_the_supernet(seed, n_cells):
    supernet = SuperGenerator(n_cells, **SHAPE)
    z = random_images(3, 6)
    # in the published generator, an identity and a skip from an earlier cell lead to the same node
    space = GeneratorSpace(n_cells)
    architectures = [space.decode(x) for x in uniform_rows(space.n_choices, 3, seed)]
    for architecture in [zoo.find_generator(None, n_cells), *architectures]:
        network = inherit_weights(
            Generator(architecture, track_running_stats=False, **SHAPE), supernet
        )
        assert torch.equal(network(z), supernet(z, architecture))


@pytest.mark.parametrize(("seed", "n_cells"), [(0, 3), (1, 3), (2, 4)])
def test_a_stand_alone_discriminator_equals_its_path_through_the_supernet(seed, n_cells):
    shape = dict(channels=4, in_channels=1, scale=3.0)
    supernet = SuperDiscriminator(n_cells, **shape).eval()
    space = DiscriminatorSpace(16, n_cells)
    x = random_images(3, 1, 16, 16)
    architectures = [space.decode(row) for row in uniform_rows(space.n_choices, 3, seed)]
    for architecture in [zoo.find_discriminator(None, 16, n_cells), *architectures]:
        network = inherit_weights(Discriminator(architecture, **shape), supernet).eval()
        assert torch.equal(network(x), supernet(x, architecture))


def test_adding_a_skip_from_an_earlier_cell_modifies_no_node_in_place():
    # E2 is an identity, so node 3 of a later cell is node 1 plus the skips from earlier cells;
    # adding the skips in place would change node 1, where E4 starts
    text = "near near skip - c1 - skip / near near skip - c1 - skip / near near skip - c1 - skip"
    architecture = GeneratorSpace().from_text(text)
    net = Generator(architecture, track_running_stats=False, **SHAPE)
    z = random_images(2, 6)
    x, nodes_3 = 0, []
    for i, cell in enumerate(net.cells):
        part = z.chunk(3, 1)[i]
        x = x + net.inputs[i](part).view(2, 4, 2 * 2**i, 2 * 2**i)
        node_1 = cell.edges[0]["nearest"](x)
        skipped = [s(node, node_1.shape[2:]) for s, node in zip(cell.skips, nodes_3, strict=True)]
        node_3 = node_1.clone() + sum(skipped)
        x = cell.edges[4]["conv_1x1"](node_1.clone()) + node_3
        nodes_3.append(node_3)
    expected = torch.tanh(net.to_image(F.relu(net.norm(x))))
    assert torch.allclose(net(z), expected, atol=1e-6)


def test_an_up_cell_equals_the_same_pytorch_operations():
    architecture = zoo.generator("EAGAN_G")
    net = Generator(architecture, track_running_stats=False, **SHAPE)
    cell, x = net.cells[0], random_images(2, 4, 2, 2)
    up = [
        F.conv2d(
            F.relu(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)),
            cell.edges[e]["bilinear"].conv.weight,
            cell.edges[e]["bilinear"].conv.bias,
        )
        for e in (0, 1)
    ]
    conv_1x1 = cell.edges[4]["conv_1x1"].conv
    conv_3x3 = cell.edges[5]["conv_3x3"].conv
    expected = (
        F.conv2d(F.relu(up[0]), conv_1x1.weight, conv_1x1.bias)
        + F.conv2d(F.relu(up[1]), conv_3x3.weight, conv_3x3.bias, padding=1)
        + up[0]  # node 3 is node 1
    )
    node_4, node_3 = cell(x, architecture.cells[0], [])
    assert torch.allclose(node_4, expected, atol=1e-6) and torch.equal(node_3, up[0])


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4), (8, 7)])
@pytest.mark.parametrize("factor", [1, 2, 3, 4, 8])
def test_the_bilinear_interpolation_of_gpus_equals_that_of_pytorch(factor, size):
    torch.manual_seed(0)
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    expected = F.interpolate(x, scale_factor=factor, mode="bilinear")
    result = enlarge_bilinearly(x, factor)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-14)
    weights = torch.randn_like(result)
    gradients = [torch.autograd.grad((y * weights).sum(), x)[0] for y in (result, expected)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


def test_a_generator_on_a_gpu_computes_the_images_of_one_on_the_cpu(monkeypatch):
    architecture = GeneratorSpace(4).decode(uniform_rows(GeneratorSpace(4).n_choices, 1)[0])
    net = Generator(architecture, channels=4, latent=8, side=32).eval()
    z = torch.randn(2, 8)
    expected, calls = net(z), []
    for module in ("operations", "generator_net"):
        path = f"moonas.problems.eagan.{module}"
        monkeypatch.setattr(f"{path}.is_on_gpu", lambda module: calls.append(module) or True)
    torch.testing.assert_close(net(z), expected, rtol=0, atol=1e-6)
    assert len(calls) >= 3  # cell 4 has skips from three cells


def test_a_down_cell_equals_the_same_pytorch_operations_without_relu_on_e4():
    text = "c3 - c3 c1 c1 avg max / skip - skip - skip - - / skip - skip - skip - -"
    net = Discriminator(DiscriminatorSpace(16).from_text(text), channels=4, spectral=False)
    cell, x = net.cells[0], random_images(2, 4, 8, 8)

    def conv(e, name, node, relu=True):
        layer = cell.edges[e][name].conv
        return layer(F.relu(node) if relu else node)

    node_1 = conv(0, "conv_3x3", x)
    node_2 = conv(2, "conv_3x3", node_1)
    node_3 = conv(3, "conv_1x1", node_1) + conv(4, "conv_1x1", x, relu=False)
    expected = F.avg_pool2d(node_2, 2) + F.max_pool2d(node_3, 2)
    assert torch.allclose(cell(x, net.architecture.cells[0]), expected, atol=1e-6)


def test_a_discriminator_scores_the_sum_over_pixels_times_the_scale():
    text = "skip skip - - skip - - / skip skip - - skip - - / skip skip - - skip - -"
    shape = dict(channels=3, in_channels=1, spectral=False)
    net = Discriminator(DiscriminatorSpace(8).from_text(text), scale=10.0, **shape)
    x = random_images(2, 1, 8, 8)
    # each of the three cells of identities doubles its input
    expected = 10 * net.last(F.relu(8 * net.first(x)).sum((2, 3)))[:, 0]
    assert torch.allclose(net(x), expected, atol=1e-5)


def test_each_cell_receives_one_part_of_the_latent_vector():
    net = Generator(zoo.generator("EAGAN_G"), track_running_stats=False, **SHAPE)
    z = random_images(1, 6).requires_grad_()
    gradient = torch.autograd.grad(net(z).square().sum(), z)[0]
    assert (gradient != 0).all()
    assert [linear.in_features for linear in net.inputs] == [2, 2, 2]


def test_running_statistics_are_batch_statistics_averaged_over_batches():
    net = Generator(zoo.generator("EAGAN_G"), **SHAPE)
    latents = list(random_images(40, 6).split(10))
    inputs = []
    hook = net.norm.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    estimate_running_statistics(net, latents)
    hook.remove()
    mean = torch.stack([x.mean((0, 2, 3)) for x in inputs]).mean(0)
    assert torch.allclose(net.norm.running_mean, mean, atol=1e-5)
    assert net.norm.momentum == 0.1


def test_side_lengths_that_are_not_a_multiple_of_8_are_rejected():
    for side in (0, 4, 12, 28):
        with pytest.raises(ValueError, match="multiple of 8"):
            Generator(zoo.generator("EAGAN_G"), side=side)


def test_convolutions_have_xavier_uniform_initialization():
    net = Generator(zoo.generator("EAGAN_G"), channels=32, side=8)
    weight = net.cells[1].edges[4]["conv_3x3"].conv.weight
    bound = (6 / (2 * 9 * 32)) ** 0.5
    assert weight.abs().max() <= bound
    assert float(weight.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.05)


@pytest.mark.parametrize(
    ("side", "chosen", "scale"), [(8, None, 10), (24, None, 10), (32, None, 1), (64, 3.0, 3)]
)
def test_the_scale_of_the_scores_depends_on_the_size_of_the_images(side, chosen, scale):
    settings = GeneratorSettings(scale=chosen)
    info = DataInfo("data", 10, channels=1, side=side)
    assert discriminator_shape(settings, info)["scale"] == scale
