import json
import math
from itertools import product

import numpy as np
import pytest
import searches
import torch
from moonas.problems.eg_darts import cell_space
from moonas.problems.eg_darts.cell_space import EDGES, OPERATIONS
from moonas.problems.eg_darts.cells import read_cells
from moonas.problems.eg_darts.relaxation import Relaxation, skip_dropout
from moonas.problems.eg_darts.relaxed_network import RelaxedNetwork

import moonas
from moonas.nets.cell_network import CellNetwork
from moonas.nets.cells import cell_shapes, even_layout, staged_layout
from moonas.nets.counting import count_params
from moonas.nets.operations import affine_batch_norm, build_operation
from moonas.problem import SearchFailed
from moonas.run.journal import RunMismatch, read_run
from moonas.testing import check_resume

SHAPE = dict(channels=4, n_classes=10, in_channels=1, image_size=8)
TINY_SETTINGS = searches.TINY["eg-darts-cells"]
ONE_PERIOD = dict(layers=(3,), candidates=(12,), skip_dropout=(0.0,))


# one training batch and four validation batches: a shuffle lasts longer than an epoch
RESUMED = dict(epochs=3, batch=20, train_share=0.2, alpha_optimizer="adam", alpha_weight_decay=0.0)


@pytest.fixture(scope="module")
def load(few_digits):
    """A function that loads a search for cells on 100 images; its arguments are settings."""
    data = dict(data=few_digits, batch=25)

    def load(**options):
        return moonas.load_stage("eg-darts-cells", **TINY_SETTINGS | data | options)

    return load


@pytest.fixture(scope="module")
def resumed(load, tmp_path_factory):
    """Results of an uninterrupted search, and of the same search with two interruptions."""
    return check_resume(
        lambda: load(**RESUMED),
        lambda stage: stage.run(seed=1),
        tmp_path_factory.mktemp("resumed"),
        max_stops=2,
    )


@pytest.fixture(scope="module")
def searched(load, resumed):
    """A search for cells and its result for seed 1."""
    return load(**RESUMED), resumed[0]


FEW_CANDIDATES = np.tile([0, 1, 4], (2, 14, 1))  # identity, pooling, separable convolution


def relaxed_network(candidates, layers=3):
    """A relaxed network with the same initial weights in every call."""
    torch.manual_seed(0)
    return RelaxedNetwork(candidates, layers=layers, **SHAPE)


def test_an_edge_is_the_sum_of_its_candidates_weighted_by_their_shares():
    net = relaxed_network(cell_space.all_candidates(), layers=1).double()
    rng = np.random.default_rng(0)
    shares = torch.tensor(cell_space.softmax(rng.normal(size=(2, 14, 12))))
    images = torch.rand(6, 1, 8, 8, dtype=torch.float64)
    (cell,) = net.cells  # a reduction cell
    state0, state1 = net.stem(images)
    states = [cell.older(state0), cell.newer(state1)]
    for node in range(4):
        total = 0
        for edge, (target, state) in enumerate(EDGES):
            if target == node:
                for k in range(12):
                    total = total + shares[1, edge, k] * cell.operations[edge][k](states[state])
        states.append(total)
    expected = net.classifier(torch.cat(states[2:], 1).mean((2, 3)))
    assert torch.allclose(net(images, shares), expected)


def test_a_relaxed_network_with_one_hot_shares_equals_the_stand_alone_network():
    net = relaxed_network(cell_space.all_candidates(), layers=4).double()
    rng = np.random.default_rng(1)
    cells = cell_space.random_cells(rng)
    shares = torch.zeros(2, 14, 12, dtype=torch.float64)
    chosen = []  # edge and candidate of each operation
    for kind, cell in enumerate((cells.normal, cells.reduction)):
        chosen.append([])
        for index, (name, state) in enumerate(cell):
            edge = EDGES.index((index // 2, state))
            shares[kind, edge, OPERATIONS.index(name)] = 1
            chosen[-1].append((edge, OPERATIONS.index(name)))
    stand_alone = CellNetwork(
        cells.normal, cells.reduction, layers=4, last_norm=True, **SHAPE
    ).double()
    with torch.no_grad():
        stand_alone.stem.load_state_dict(net.stem.state_dict(), strict=False)
        stand_alone.classifier.load_state_dict(net.classifier.state_dict())
        for mixed, cell in zip(net.cells, stand_alone.cells, strict=True):
            cell.older.load_state_dict(mixed.older.state_dict(), strict=False)
            cell.newer.load_state_dict(mixed.newer.state_dict(), strict=False)
            for index, (edge, k) in enumerate(chosen[int(mixed.shape.reduction)]):
                operation = mixed.operations[edge][k]
                cell.operations[index].load_state_dict(operation.state_dict(), strict=False)
    images = torch.rand(6, 1, 8, 8, dtype=torch.float64)
    assert torch.allclose(net(images, shares), stand_alone.train()(images), atol=1e-10)


def test_dropout_applies_to_identities_in_training_mode_only():
    skips = np.zeros((2, 14, 1), int)
    net = relaxed_network(skips)
    net.rng = torch.Generator().manual_seed(0)
    shares, images = torch.ones(2, 14, 1), torch.rand(8, 1, 8, 8)
    plain = net(images, shares)
    net.skip_dropout = 0.5
    assert not torch.allclose(net(images, shares), plain)
    assert torch.equal(net.eval()(images, shares), plain)
    x = torch.ones(200, 50)
    dropped = net.train()._drop(x)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert abs(dropped.mean() - 1) < 4 * math.sqrt(1 / x.numel())
    net.rng = None
    with pytest.raises(ValueError, match="requires a random generator"):
        net(images, shares)
    poolings = relaxed_network(np.full((2, 14, 1), OPERATIONS.index("max_pool_3x3")))
    plain = poolings(images, shares)
    poolings.skip_dropout = 0.5
    assert torch.equal(poolings(images, shares), plain)  # there is no identity


def test_the_dropout_rate_falls_linearly_and_after_a_reset_exponentially():
    rates = [skip_dropout(0.4, epoch, 10, 25) for epoch in range(25)]
    assert rates[0] == pytest.approx(0.4 * 24 / 25) and rates[9] == pytest.approx(0.4 * 15 / 25)
    assert rates[10] == 0.4 and rates[15] == pytest.approx(0.4 / math.e)
    assert skip_dropout(0.0, 3, 10, 25) == 0


def test_complexity_is_the_expected_number_of_parameters(load):
    relaxation = Relaxation(load(), 1)
    relaxation.start(0, cell_space.all_candidates())
    shapes = cell_shapes(even_layout(2, 3), 8)
    params = np.zeros((2, 12))
    with torch.device("meta"):
        for shape, (k, name) in product(shapes, enumerate(OPERATIONS)):
            strides = [shape.stride(state) for _, state in EDGES]
            for stride in set(strides):
                operation = build_operation(name, shape.channels, stride, affine_batch_norm)
                n_params = strides.count(stride) * count_params(operation)
                params[int(shape.reduction), k] += n_params
    for k in range(12):
        with torch.no_grad():
            relaxation.alphas.fill_(-1e4)
            relaxation.alphas[0, :, k] = 0
            relaxation.alphas[1, :, 11 - k] = 0
        assert relaxation.complexity() == pytest.approx(params[0, k] + params[1, 11 - k])
    with torch.no_grad():
        relaxation.alphas.zero_()
    assert relaxation.complexity() == pytest.approx(params.mean(axis=1).sum())


def plain_epochs(result):
    """Reports of the epochs, with arrays as lists."""
    return [{k: np.asarray(v).tolist() for k, v in epoch.items()} for epoch in result.epochs]


def comparable(result):
    """Cells and epochs of a result, to be compared by ``==``."""
    return result.cells, plain_epochs(result)


def test_a_resumed_search_equals_an_uninterrupted_one(resumed):
    uninterrupted, interrupted = map(comparable, resumed)
    assert interrupted == uninterrupted


@pytest.mark.slow
def test_a_resumed_second_order_search_equals_an_uninterrupted_one(load, tmp_path):
    options = RESUMED | dict(order="second")
    uninterrupted, interrupted = check_resume(
        lambda: load(**options), lambda stage: comparable(stage.run(seed=1)), tmp_path
    )
    without_journal = comparable(load(**options).run(seed=1))
    assert interrupted == uninterrupted == without_journal


def test_all_losses_of_a_second_order_step_use_the_same_dropout_mask(load):
    relaxation = Relaxation(load(order="second", judged_step="last", skip_dropout=(0.5, 0.5)), 1)
    relaxation.start(0, FEW_CANDIDATES)
    net, (images, labels) = relaxation.net, relaxation.images.train
    net.skip_dropout = 0.5
    before = net.rng.get_state()
    net(relaxation.images.validation[0].tensor()[:240], relaxation.shares())
    after_one_pass = net.rng.get_state()
    assert not torch.equal(before, after_one_pass)
    net.rng.set_state(before)
    relaxation.steps = []
    relaxation._architecture_step(images[:240], labels[:240])
    assert len(relaxation.steps) == 1
    assert torch.equal(net.rng.get_state(), after_one_pass)


def test_a_period_starts_from_the_strongest_candidates_of_the_previous_one(searched):
    _, result = searched
    epochs = result.epochs
    shapes = [np.shape(epoch["alphas"]) for epoch in epochs]
    assert shapes == [(2, 14, 12)] * 3 + [(2, 14, 2)] * 3
    assert [len(epoch["reds"]) for epoch in epochs] == [0, 1, 1] * 2
    for epoch in epochs:
        assert 0 <= epoch["error"] <= 100 and epoch["steps"] == 1
    candidates = cell_space.all_candidates()
    strongest = cell_space.strongest_candidates(epochs[2]["alphas"], candidates, 2)
    assert cell_space.derive_cells(epochs[-1]["alphas"], strongest, 2) == result.cells


@pytest.mark.slow
def test_the_enhancement_changes_all_steps_after_the_first_red_one(load):
    options = ONE_PERIOD | dict(epochs=4, data="digits", batch=120, alpha_learning_rate=5.0)
    enhanced, plain = (load(enhanced=e, **options).run(seed=1) for e in (True, False))
    reds = np.concatenate([epoch["reds"] for epoch in enhanced.epochs])
    assert 0 < reds.sum() < len(reds)
    enhanced_losses, plain_losses = (
        np.concatenate([epoch["losses"] for epoch in result.epochs]) for result in (enhanced, plain)
    )
    red = reds.nonzero()[0][0]
    assert np.array_equal(enhanced_losses[: red + 1], plain_losses[: red + 1])
    assert enhanced_losses[red + 1] != plain_losses[red + 1]
    phis = np.concatenate([epoch["phis"] for epoch in enhanced.epochs])
    assert (phis[reds == 0] == 0).all() and phis.max() <= 1


def test_the_architecture_parameters_of_both_cells_change_in_every_period(searched):
    epochs = searched[1].epochs
    for before, after in ((0, 1), (1, 2), (3, 4), (4, 5)):
        change = np.abs(epochs[after]["alphas"] - epochs[before]["alphas"])
        assert (change.max(axis=(1, 2)) > 1e-3).all()


def test_an_enhanced_step_is_a_plain_step_times_one_plus_phi(load):
    stage = load(history=3, alpha_weight_decay=0.0, alpha_learning_rate=2.0, judged_step="last")
    relaxation = Relaxation(stage, 1)
    relaxation.start(0, FEW_CANDIDATES)
    relaxation.steps = []
    relaxation.images.augment = None
    images, labels = (t[:25] for t in relaxation.images.train)
    relaxation._validation_batch()  # the first of two batches of a shuffle
    for complexity_falls in (True, False):
        size = relaxation.complexity()
        sign = 1 if complexity_falls else -1
        relaxation.history.extend([(size + sign * 300, 9.0), (size + sign * 100, 5.0)])
        if not complexity_falls:
            relaxation._validation_batch()
        rows = relaxation.unseen[:25].to(images.device)
        x, y = (t[rows] for t in relaxation.images.validation)
        before = relaxation.alphas.detach().clone().requires_grad_()
        loss = torch.nn.functional.cross_entropy(relaxation.net(x, before.softmax(-1)), y)
        (gradient,) = torch.autograd.grad(loss, before)
        relaxation._architecture_step(images, labels)
        *_, phi, red = relaxation.steps[-1]
        assert red is complexity_falls and (phi > 0.1) is complexity_falls
        change = before.detach() - relaxation.alphas.detach()
        assert torch.allclose(change, 2.0 * (1 + phi) * gradient, rtol=1e-3, atol=1e-6)
        assert len(relaxation.history) == 3


def test_the_proxy_network_can_have_given_widths_and_depths(load):
    relaxation = Relaxation(load(widths=(6, 8, 12), depths=(1, 2, 1)), 1)
    relaxation.start(0, cell_space.all_candidates())
    shapes = [cell.shape for cell in relaxation.net.cells]
    assert [(s.channels, s.reduction) for s in shapes] == [
        *((6, False), (8, True), (8, False), (8, False), (12, True), (12, False))
    ]
    # one-hot shares: the expected number of parameters is that of the derived network's edges
    one_hot = torch.full((2, 14, 12), -50.0)
    sizes = []
    for operation in ("avg_pool_3x3", "sep_conv_3x3"):
        alphas = one_hot.clone()
        alphas[..., OPERATIONS.index(operation)] = 50
        with torch.no_grad():
            relaxation.alphas.copy_(alphas)
        cells = cell_space.derive_cells(alphas.numpy(), cell_space.all_candidates())
        layout = dict(layout=staged_layout((6, 8, 12), (1, 2, 1)))
        shape = dict(n_classes=10, in_channels=3, image_size=8)
        network = CellNetwork(cells.normal, cells.reduction, **layout, **shape)
        sizes.append((relaxation.complexity(), count_params(network)))
    (small, small_network), (large, large_network) = sizes
    # 14 edges of a relaxed cell, 8 of a derived one
    assert 8 / 14 * (large - small) == pytest.approx(large_network - small_network, rel=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(widths=(6, 8, 12)), r"depths=\(\) is invalid: expected 3 numbers"),
        (dict(widths=(6, 8), depths=(1, 2, 1)), r"widths=\(6, 8\) is invalid: expected 3 numbers"),
        (dict(widths=(6, 7, 12), depths=(1, 2, 1)), "expected even numbers after the first"),
        (dict(widths=(6, 8, 12), depths=(1, 2, 1), target_run="x"), "target_run='x' is invalid"),
    ],
)
def test_invalid_shapes_of_the_proxy_network_are_rejected(load, options, message):
    with pytest.raises(ValueError, match=message):
        load(**options)


@pytest.mark.parametrize("alpha_optimizer", ["sgd", "adam"])
def test_a_trial_step_measures_the_plain_step_on_one_batch_and_is_undone(load, alpha_optimizer):
    stage = load(alpha_optimizer=alpha_optimizer, enhanced=False, skip_dropout=(0.5, 0.5))
    relaxation = Relaxation(stage, 1)
    relaxation.start(0, FEW_CANDIDATES)
    relaxation.steps, relaxation.net.skip_dropout = [], 0.5
    x, y = (t[:25] for t in relaxation.images.train)
    relaxation._architecture_step(x, y)  # so that the optimizer of the architecture has a state

    mask = relaxation.rngs["dropout"].get_state()

    def loss():
        relaxation.rngs["dropout"].set_state(mask)
        return torch.nn.functional.cross_entropy(relaxation.net(x, relaxation.shares()), y)

    gradient = torch.autograd.grad(loss(), relaxation.alphas)[0]
    state = {name: value.clone() for name, value in relaxation.state().items()}
    complexity, before = relaxation.complexity(), loss().item()
    changes = relaxation._changes(gradient, loss, complexity, before)
    assert all(torch.equal(value, state[name]) for name, value in relaxation.state().items())
    relaxation._step(gradient)
    assert changes == (relaxation.complexity() - complexity, loss().item() - before)
    assert changes[0] != 0 and changes[1] < 0  # along the gradient, the loss falls


def test_a_gradient_is_enhanced_if_a_trial_step_along_it_reduces_the_complexity(load):
    stage = load(history=3, alpha_weight_decay=0.0, alpha_learning_rate=0.5, limit=0.7)
    relaxation = Relaxation(stage, 1)
    relaxation.start(0, FEW_CANDIDATES)
    relaxation.steps, relaxation.images.augment = [], None
    images, labels = (t[:25] for t in relaxation.images.train)
    colors = set()
    for _ in range(4):
        relaxation.unseen = torch.arange(25)  # the next validation batch
        x, y = (t[:25] for t in relaxation.images.validation)
        before = relaxation.alphas.detach().clone().requires_grad_()
        loss = torch.nn.functional.cross_entropy(relaxation.net(x, before.softmax(-1)), y)
        (gradient,) = torch.autograd.grad(loss, before)
        complexity = relaxation.complexity()
        relaxation.params = -relaxation.params  # the next step has the opposite color
        relaxation._architecture_step(images, labels)
        *_, phi, red = relaxation.steps[-1]
        colors.add(red)
        changes = np.array(relaxation.history)
        assert red is bool(changes[-1, 0] < 0) or len(changes) < 2
        assert (0 < phi <= 0.7) if red else phi == 0
        change = before.detach() - relaxation.alphas.detach()
        assert torch.allclose(change, 0.5 * (1 + phi) * gradient, rtol=1e-3, atol=1e-6)
        assert (relaxation.complexity() < -complexity) is red or len(changes) < 2
    assert colors == {True, False} and len(relaxation.history) == 3


@pytest.mark.slow
def test_the_dropout_of_each_epoch_follows_the_schedule(load):
    relaxation = Relaxation(load(epochs=3, batch=700, skip_dropout=(0.2, 0.6)), 1)
    for period, start in ((0, 0.2), (1, 0.6)):
        relaxation.start(period, cell_space.all_candidates())
        for epoch in range(3):
            relaxation.train()
            assert relaxation.net.skip_dropout == skip_dropout(start, epoch, 1, 3)


@pytest.mark.slow
def test_order_and_seed_change_the_search(load):
    search = load(**ONE_PERIOD).run(seed=1)
    second_order = load(**ONE_PERIOD, order="second").run(seed=1)
    other_seed = load(**ONE_PERIOD).run(seed=2)
    for changed in (second_order, other_seed):
        assert not np.array_equal(search.epochs[-1]["alphas"], changed.epochs[-1]["alphas"])


def test_the_report_writes_cells_and_a_figure(searched, tmp_path):
    stage, result = searched
    (line,) = stage.report(result, tmp_path)
    assert str(result.cells) in line
    assert read_cells(tmp_path) == result.cells
    assert (tmp_path / "cells.png").read_bytes().startswith(b"\x89PNG")
    assert {p.name for p in tmp_path.iterdir()} == {"cells.json", "cells.png"}


def test_a_missing_or_damaged_cell_file_is_rejected(tmp_path):
    with pytest.raises(ValueError, match=r"contains no cells.json: it is not the run folder of eg"):
        read_cells(tmp_path)
    for text in ("{", "[]", json.dumps({"cells": "sep3@0"}), json.dumps({"cells": 3})):
        (tmp_path / "cells.json").write_text(text)
        with pytest.raises(ValueError, match=r"cells.json is damaged"):
            read_cells(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            dict(candidates=(12, 13)),
            "candidates=.* is invalid: expected numbers in descending order",
        ),
        (dict(candidates=(8, 4)), "start with 12"),
        (dict(candidates=(12, 1)), "candidates=.* is invalid: expected at least 2"),
        (
            dict(layers=(3, 3, 4)),
            r"layers=.* is invalid: expected 2 numbers, one per period",
        ),
        (dict(skip_dropout=(0.0, 1.0)), "skip_dropout=.*less than 1"),
        (dict(weight_epochs=2), "weight_epochs=2 is invalid: expected less than epochs=2"),
        (dict(order="third"), "order='third' is unknown"),
        (
            dict(layers=(3, 2)),
            "layers=.* is invalid: expected at least 3",
        ),
        (dict(layers=(2, 1.5)), "layers=.* is invalid: expected a list of whole numbers"),
    ],
)
def test_invalid_settings_are_rejected(load, options, message):
    with pytest.raises(ValueError, match=message):
        load(**options)


def test_stage_1_cannot_be_loaded_as_a_problem():
    assert "eg-darts-cells" not in moonas.problem_names()
    with pytest.raises(ValueError, match="stage that runs before a problem.*load_stage"):
        moonas.load_problem("eg-darts-cells")


def test_the_error_of_a_diverging_search_suggests_a_lower_learning_rate(load, tmp_path):
    stage = load(journal=tmp_path, learning_rate=1e30, clip=1e30)
    with pytest.raises(SearchFailed, match="Lower learning_rate"):
        stage.run(seed=1)


def test_a_complete_search_is_replayed_with_the_same_seed_only(load, tmp_path, monkeypatch):
    monkeypatch.setattr(cell_space, "all_candidates", lambda: FEW_CANDIDATES)  # less to compute

    def run(seed):
        stage = load(journal=tmp_path, **ONE_PERIOD | dict(epochs=1, weight_epochs=0))
        try:
            return stage.run(seed=seed)
        finally:
            stage.journal.close()

    result = run(1)
    journal = (tmp_path / "journal.jsonl").read_bytes()
    assert read_run(tmp_path)[0]["algorithm"] == "cells by gradient"
    assert comparable(run(1)) == comparable(result)
    assert (tmp_path / "journal.jsonl").read_bytes() == journal
    with pytest.raises(RunMismatch, match="seed=1, but this run has seed=2"):
        run(2)


def test_the_paper_preset_has_the_values_of_table_1():
    settings = moonas.load_stage("eg-darts-cells", preset="paper", device="cpu").settings
    assert (settings.batch, settings.weight_decay, settings.epochs) == (96, 5e-4, 40)
    assert settings.layers == (5, 11, 17) and settings.candidates == (12, 8, 4)
    assert (settings.order, settings.second_order) == ("second", "exact")
    assert settings.alpha_optimizer == "sgd"
    pdarts = moonas.load_stage("eg-darts-cells", preset="paper-pdarts", device="cpu").settings
    assert (pdarts.order, pdarts.alpha_optimizer) == ("first", "adam")
    networks = moonas.load_problem("eg-darts", preset="paper-pdarts", device="cpu")
    assert networks.settings.batch == 128
