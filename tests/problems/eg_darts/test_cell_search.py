import json
import math

import numpy as np
import pytest
import searches
import torch
from moonas.problems.eg_darts import cell_space
from moonas.problems.eg_darts.cell_search import read_cells
from moonas.problems.eg_darts.cell_space import EDGES, OPERATIONS
from moonas.problems.eg_darts.relaxation import Relaxation, skip_dropout
from moonas.problems.eg_darts.relaxed_network import RelaxedNetwork

import moonas
from moonas.nets.cell_network import CellNetwork
from moonas.nets.cells import even_layout, stack
from moonas.nets.counting import count_params
from moonas.nets.operations import affine_batch_norm, build_operation
from moonas.problem import SearchFailed
from moonas.run.journal import RunMismatch, read_run
from moonas.testing import check_resume

SHAPE = dict(channels=4, n_classes=10, in_channels=1, image_size=8)
TINY = searches.TINY["eg-darts-cells"]
ONE_PERIOD = dict(layers=(3,), candidates=(12,), skip_dropout=(0.0,))


@pytest.fixture
def tiny_cells(few_digits):
    few = dict(data=few_digits, batch=25)

    def load(**options):
        return moonas.load_stage("eg-darts-cells", **TINY | few | options)

    return load


@pytest.fixture(scope="module")
def found(few_digits):
    """What the tiny search of seed 1 finds, without decay of the weights of candidates."""
    options = TINY | dict(data=few_digits, batch=25, alpha_weight_decay=0.0)
    stage = moonas.load_stage("eg-darts-cells", **options)
    return stage, stage.run(seed=1)


def relaxed(candidates, layers=3):
    torch.manual_seed(0)
    return RelaxedNetwork(candidates, layers=layers, **SHAPE)


def test_an_edge_is_the_sum_of_its_candidates_by_their_shares():
    net = relaxed(cell_space.all_candidates(), layers=1).double()
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


def test_with_one_candidate_a_share_it_is_the_network_of_those_cells():
    """One-hot shares on two edges a node compute what a stand-alone network does."""
    net = relaxed(cell_space.all_candidates(), layers=4).double()
    rng = np.random.default_rng(1)
    cells = cell_space.random_cells(rng)
    shares = torch.zeros(2, 14, 12, dtype=torch.float64)
    places = []
    for kind, cell in enumerate((cells.normal, cells.reduction)):
        places.append([])
        for index, (name, state) in enumerate(cell):
            edge = EDGES.index((index // 2, state))
            shares[kind, edge, OPERATIONS.index(name)] = 1
            places[-1].append((edge, OPERATIONS.index(name)))
    alone = CellNetwork(cells.normal, cells.reduction, layers=4, last_norm=True, **SHAPE).double()
    with torch.no_grad():
        alone.stem.load_state_dict(net.stem.state_dict(), strict=False)
        alone.classifier.load_state_dict(net.classifier.state_dict())
        for mine, other in zip(net.cells, alone.cells, strict=True):
            other.older.load_state_dict(mine.older.state_dict(), strict=False)
            other.newer.load_state_dict(mine.newer.state_dict(), strict=False)
            for index, (edge, k) in enumerate(places[int(mine.shape.reduction)]):
                operation = mine.operations[edge][k]
                other.operations[index].load_state_dict(operation.state_dict(), strict=False)
    images = torch.rand(6, 1, 8, 8, dtype=torch.float64)
    assert torch.allclose(net(images, shares), alone.train()(images), atol=1e-10)


def test_dropout_falls_on_identities_of_stride_one_in_training_alone():
    skips = np.zeros((2, 14, 1), int)
    net = relaxed(skips)
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
    with pytest.raises(ValueError, match="needs a generator"):
        net(images, shares)
    others = relaxed(np.full((2, 14, 1), OPERATIONS.index("max_pool_3x3")))
    plain = others(images, shares)
    others.skip_dropout = 0.5
    assert torch.equal(others(images, shares), plain)  # no identity, nothing to drop


def test_dropout_falls_begins_again_and_falls():
    rates = [skip_dropout(0.4, epoch, 10, 25) for epoch in range(25)]
    assert rates[0] == pytest.approx(0.4 * 24 / 25) and rates[9] == pytest.approx(0.4 * 15 / 25)
    assert rates[10] == 0.4 and rates[15] == pytest.approx(0.4 / math.e)
    assert skip_dropout(0.0, 3, 10, 25) == 0


def test_complexity_is_the_expected_number_of_parameters(tiny_cells):
    relaxation = Relaxation(tiny_cells(layers=(3, 4)), 1)
    relaxation.start(0, cell_space.all_candidates())
    shapes = stack(even_layout(2, 3), 8)
    params = np.array(
        [
            [
                sum(
                    count_params(
                        build_operation(
                            name, shape.channels, shape.stride(state), affine_batch_norm
                        )
                    )
                    for shape in shapes
                    for _, state in EDGES
                    if shape.reduction == reduction
                )
                for name in OPERATIONS
            ]
            for reduction in (False, True)
        ]
    )
    for k in range(12):
        with torch.no_grad():
            relaxation.alphas.fill_(-1e4)
            relaxation.alphas[0, :, k] = 0
            relaxation.alphas[1, :, 11 - k] = 0
        assert relaxation.complexity() == pytest.approx(params[0, k] + params[1, 11 - k])
    with torch.no_grad():
        relaxation.alphas.zero_()
    assert relaxation.complexity() == pytest.approx(params.mean(axis=1).sum())


def epochs_of(found):
    return [{k: np.asarray(v).tolist() for k, v in epoch.items()} for epoch in found.epochs]


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"order": "second", "alpha_optimizer": "adam"}, marks=pytest.mark.slow),
    ],
)
def test_a_search_that_stops_anywhere_ends_with_the_same_bits(tiny_cells, tmp_path, options):
    # two steps an epoch, but three batches of validation images: rounds go on from epoch to epoch
    options = dict(epochs=3, batch=20, train_share=0.4) | options

    def search(stage):
        found = stage.run(seed=3)
        return found.cells, epochs_of(found)

    straight, stopped = check_resume(lambda: tiny_cells(**options), search, tmp_path)
    assert stopped == straight == search(tiny_cells(**options))  # with a journal and without


def test_all_losses_of_a_second_order_step_see_one_dropout(tiny_cells):
    relaxation = Relaxation(tiny_cells(order="second", skip_dropout=(0.5, 0.5), layers=(3, 4)), 1)
    relaxation.start(0, cell_space.all_candidates())
    net, (images, labels) = relaxation.net, relaxation.images.train
    net.skip_dropout = 0.5
    before = net.rng.get_state()
    net(relaxation.images.validation[0][:240], relaxation.shares())
    after_one_pass = net.rng.get_state()
    assert not torch.equal(before, after_one_pass)
    net.rng.set_state(before)
    relaxation.steps = []
    relaxation._architecture_step(images[:240], labels[:240])
    assert len(relaxation.steps) == 1
    assert torch.equal(net.rng.get_state(), after_one_pass)


def test_periods_begin_with_the_strongest_of_the_one_before(found):
    _, found = found
    shapes = [np.shape(epoch["alphas"]) for epoch in found.epochs]
    assert shapes == [(2, 14, 12)] * 2 + [(2, 14, 2)] * 2
    assert [len(epoch["reds"]) for epoch in found.epochs] == [0, 2, 0, 2]
    for epoch in found.epochs:
        assert 0 <= epoch["error"] <= 100 and epoch["steps"] == 2
    kept = cell_space.keep_strongest(found.epochs[1]["alphas"], cell_space.all_candidates(), 2)
    assert cell_space.derive(found.epochs[-1]["alphas"], kept, 2) == found.cells


@pytest.mark.slow
def test_the_enhancement_changes_what_is_found_from_the_first_red_step_on(tiny_cells):
    options = ONE_PERIOD | dict(epochs=4, data="digits", batch=120, alpha_learning_rate=5.0)
    with_it, without = (tiny_cells(enhanced=e, **options).run(seed=1) for e in (True, False))
    reds = np.concatenate([epoch["reds"] for epoch in with_it.epochs])
    assert 0 < reds.sum() < len(reds)
    first, second = (np.concatenate([e["losses"] for e in f.epochs]) for f in (with_it, without))
    red = reds.nonzero()[0][0]
    assert np.array_equal(first[: red + 1], second[: red + 1])
    assert first[red + 1] != second[red + 1]
    phis = np.concatenate([epoch["phis"] for epoch in with_it.epochs])
    assert (phis[reds == 0] == 0).all() and phis.max() <= 1


def test_both_cells_learn_in_every_period(found):
    _, found = found
    for before, after in ((0, 1), (2, 3)):
        moved = np.abs(found.epochs[after]["alphas"] - found.epochs[before]["alphas"])
        assert (moved.max(axis=(1, 2)) > 1e-3).all()


def test_an_enhanced_step_is_a_plain_one_times_one_plus_phi(tiny_cells):
    stage = tiny_cells(
        data="digits", batch=240, history=3, alpha_weight_decay=0.0, alpha_learning_rate=2.0
    )
    relaxation = Relaxation(stage, 1)
    relaxation.start(0, cell_space.all_candidates())
    relaxation.steps = []
    images, labels = (t[:240] for t in relaxation.images.train)
    relaxation._validation_batch()  # begins a round of two batches
    for larger_before in (True, False):
        size = relaxation.complexity()
        sign = 1 if larger_before else -1
        relaxation.trail.extend([(size + sign * 300, 9.0), (size + sign * 100, 5.0)])
        if not larger_before:
            relaxation._validation_batch()
        rows = relaxation.unseen[:240].to(images.device)
        x, y = (t[rows] for t in relaxation.images.validation)
        before = relaxation.alphas.detach().clone().requires_grad_()
        loss = torch.nn.functional.cross_entropy(relaxation.net(x, before.softmax(-1)), y)
        (gradient,) = torch.autograd.grad(loss, before)
        relaxation._architecture_step(images, labels)
        *_, phi, red = relaxation.steps[-1]
        assert red is larger_before and (phi > 0.1) is larger_before
        moved = before.detach() - relaxation.alphas.detach()
        assert torch.allclose(moved, 2.0 * (1 + phi) * gradient, rtol=1e-3, atol=1e-6)
        assert len(relaxation.trail) == 3


@pytest.mark.slow
def test_dropout_of_a_period_is_that_of_the_schedule(tiny_cells):
    relaxation = Relaxation(tiny_cells(epochs=3, batch=700, skip_dropout=(0.2, 0.6)), 1)
    for period, start in ((0, 0.2), (1, 0.6)):
        relaxation.start(period, cell_space.all_candidates())
        for epoch in range(3):
            relaxation.train()
            assert relaxation.net.skip_dropout == skip_dropout(start, epoch, 1, 3)


@pytest.mark.slow
def test_another_order_or_seed_gives_another_search(tiny_cells):
    first = tiny_cells(**ONE_PERIOD).run(seed=1)
    second = tiny_cells(**ONE_PERIOD, order="second").run(seed=1)
    for other in (second, tiny_cells(**ONE_PERIOD).run(seed=2)):
        assert not np.array_equal(first.epochs[-1]["alphas"], other.epochs[-1]["alphas"])


def test_the_report_leaves_cells_and_a_picture(found, tmp_path):
    stage, found = found
    (line,) = stage.report(found, tmp_path)
    assert str(found.cells) in line
    assert read_cells(tmp_path) == found.cells
    assert (tmp_path / "cells.png").read_bytes().startswith(b"\x89PNG")
    assert {p.name for p in tmp_path.iterdir()} == {"cells.json", "cells.png"}


def test_cells_that_are_not_there_or_damaged_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"contains no cells.json: it is not the run folder of eg"):
        read_cells(tmp_path)
    for text in ("{", "[]", json.dumps({"cells": "sep3@0"}), json.dumps({"cells": 3})):
        (tmp_path / "cells.json").write_text(text)
        with pytest.raises(ValueError, match=r"cells.json is damaged"):
            read_cells(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(candidates=(12, 13)), "candidates=.* is invalid: expected falling from 12"),
        (dict(candidates=(8, 4)), "falling from 12"),
        (dict(candidates=(12, 1)), "candidates=.* is invalid: expected at least 2"),
        (
            dict(layers=(3, 3, 4)),
            r"layers=.* is invalid: expected 2 numbers, one a period",
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
def test_settings_that_will_not_do_are_refused(tiny_cells, options, message):
    with pytest.raises(ValueError, match=message):
        tiny_cells(**options)


def test_a_stage_is_no_problem():
    assert "eg-darts-cells" not in moonas.problem_names()
    with pytest.raises(ValueError, match="stage that prepares one.*load_stage"):
        moonas.load_problem("eg-darts-cells")


def test_diverging_weights_end_the_search_with_a_word(tiny_cells, tmp_path):
    for folder in (None, tmp_path):
        stage = tiny_cells(journal=folder, learning_rate=1e30, epochs=4, clip=1e30)
        with pytest.raises(SearchFailed, match="lower learning_rate"):
            stage.run(seed=1)


def test_a_complete_search_is_replayed_and_another_seed_in_its_folder_is_refused(
    tiny_cells, tmp_path
):
    def run(seed):
        stage = tiny_cells(journal=tmp_path)
        try:
            return stage.run(seed=seed)
        finally:
            stage.journal.close()

    found = run(1)
    journal = (tmp_path / "journal.jsonl").read_bytes()
    assert read_run(tmp_path)[0]["algorithm"] == "cells by gradient"
    again = run(1)
    assert again.cells == found.cells and epochs_of(again) == epochs_of(found)
    assert (tmp_path / "journal.jsonl").read_bytes() == journal
    with pytest.raises(RunMismatch, match="seed=1, but this run has seed=2"):
        run(2)


def test_the_paper_preset_is_table_1():
    settings = moonas.load_stage("eg-darts-cells", preset="paper", device="cpu").settings
    assert (settings.batch, settings.weight_decay, settings.epochs) == (96, 5e-4, 40)
    assert settings.layers == (5, 11, 17) and settings.candidates == (12, 8, 4)
