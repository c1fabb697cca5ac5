"""digits-table: encoding, networks, training, the table and the problem."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from moonas.problems.digits_table import space, training
from moonas.problems.digits_table.networks import (
    DigitsNetwork,
    extract_copy,
    network_parts,
    stack_weights,
)
from moonas.problems.digits_table.problem import FILE, read
from searches import MULTI_OBJECTIVE
from torch.nn import functional as F

import moonas
from moonas.comparison import run_algorithm
from moonas.nets.counting import count_macs, count_params
from moonas.nets.randomness import generator, initial_weights
from moonas.training.sgd import cosine, make_optimizer


def test_every_row_is_a_different_network():
    rows = space.all_rows()
    assert rows.shape == (1350, 6)
    assert len({space.decode(x) for x in rows}) == 1350
    for x in rows[::97]:
        architecture = space.decode(x)
        assert np.array_equal(space.encode(architecture), x)
        assert space.from_json(space.to_json(architecture)) == architecture
    assert str(space.decode([1, 3, 1, 4, 0, 1])) == "8 sep3x2 / 16 res3x1"


@pytest.mark.parametrize(
    "value", [None, {}, {"width": 5, "operations": ["conv1"] * 2, "depths": [1, 1], "widening": 1}]
)
def test_json_that_is_not_an_architecture_raises_an_error(value):
    with pytest.raises(ValueError, match="not a network of digits-table"):
        space.from_json(value)


def test_params_agree_with_a_count_by_hand():
    def params(*row):
        return count_params(DigitsNetwork(space.decode(row)))

    stem, head = 9 * 4 + 8, 4 * 10 + 10
    assert params(0, 0, 0, 0, 0, 0) == stem + 2 * (16 + 8) + head
    assert params(0, 1, 1, 0, 0, 0) == stem + 2 * (144 + 8) + 24 + head
    assert params(0, 3, 0, 2, 0, 0) == stem + (36 + 16 + 8) + (400 + 8) + head
    # a residual layer whose shape changes has a 1x1 convolution as its shortcut
    assert params(0, 4, 0, 4, 0, 1) == stem + 152 + (288 + 16 + 32) + 8 * 10 + 10


def test_parts_are_the_layers_of_the_network_at_their_shapes():
    architecture = space.decode((0, 2, 1, 4, 1, 1))
    network = DigitsNetwork(architecture)
    *parts, classifier = network_parts(architecture)
    x = torch.rand(2, 1, 8, 8)
    for layer, part in zip(network.body[:-1], parts, strict=True):
        assert x.shape[1:] == part.shape
        assert count_params(layer) == count_params(part.build())
        x = layer(x)
        assert part.build()(torch.rand(2, *part.shape)).shape == x.shape
    assert x.shape[1:] == classifier.shape
    assert count_params(network.classifier) == count_params(classifier.build())


@pytest.mark.parametrize("row", [(0, 0, 1, 3, 1, 1), (0, 4, 1, 4, 0, 1), (0, 2, 0, 1, 1, 0)])
def test_networks_trained_in_parallel_equal_networks_trained_one_by_one(row):
    architecture, n = space.decode(row), 3
    singles = [DigitsNetwork(architecture) for _ in range(n)]
    stacked = DigitsNetwork(architecture, copies=n)
    stack_weights(singles, stacked)
    optimizers = [torch.optim.SGD(net.parameters(), 0.1, momentum=0.9) for net in singles]
    optimizer_of_all = torch.optim.SGD(stacked.parameters(), 0.1, momentum=0.9)
    rng = torch.Generator().manual_seed(0)
    for _ in range(4):
        images = torch.rand(n, 8, 1, 8, 8, generator=rng)
        labels = torch.randint(10, (n, 8), generator=rng)
        for net, optimizer, x, y in zip(singles, optimizers, images, labels, strict=True):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
        logits = stacked(images.transpose(0, 1).flatten(1, 2))
        optimizer_of_all.zero_grad()
        (F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum") / 8).backward()
        optimizer_of_all.step()
    x = torch.rand(5, 1, 8, 8, generator=rng)
    for i, net in enumerate(singles):
        copy = extract_copy(stacked, architecture, i).eval()
        assert torch.allclose(copy(x), net.eval()(x), atol=1e-4)
    assert not torch.allclose(singles[0](x), singles[1](x), atol=1e-2)


def test_training_equals_a_plain_training_loop(monkeypatch):
    epochs, seed, row = 2, 1, (0, 3, 0, 0, 0, 0)
    recipe = replace(training.RECIPE, horizon=epochs, batch=16)
    monkeypatch.setattr(training, "RECIPE", recipe)
    architecture = space.decode(row)
    rng = torch.Generator().manual_seed(0)
    images, labels = torch.rand(50, 1, 8, 8, generator=rng), torch.arange(50) % 10
    trained = training.train(architecture, (images, labels), [0, seed])[1]
    with initial_weights(seed, *row, "weights"):
        plain = DigitsNetwork(architecture)
    optimizer, batches = make_optimizer(plain, recipe), generator(seed, *row, "batches")
    for epoch in range(epochs):
        optimizer.param_groups[0]["lr"] = cosine(epoch, epochs, 0.1, 0.0)
        order = torch.randperm(50, generator=batches)
        for rows in order[:48].split(16):
            optimizer.zero_grad()
            F.cross_entropy(plain(images[rows]), labels[rows]).backward()
            optimizer.step()
    assert torch.allclose(trained(images), plain.eval()(images), atol=1e-4)


def test_the_splits_of_digits_have_no_image_in_common():
    splits = training.load_splits()
    sizes = {name: len(labels) for name, (_, labels) in splits.items()}
    assert sizes == {"train": 1077, "validation": 360, "test": 360}
    train, validation, test = (
        {image.numpy().tobytes() for image in images} for images, _ in splits.values()
    )
    assert not train & validation and not validation & test and not train & test


def test_retrained_networks_reproduce_the_scores_in_the_table():
    table = read()
    data = training.load_splits()
    rows = [(0, 0, 0, 0, 0, 0), (0, 3, 0, 0, 0, 0)]  # the fastest to train
    for row in rows:
        index = np.ravel_multi_index(row, space.N_CHOICES)
        network = training.train(space.decode(row), data["train"], [0])[0]
        for split in ("validation", "test"):
            wrong = training.count_misclassified(network, data[split])
            # a few images of tolerance: rounding differs between processors and versions
            assert abs(wrong - int(table[f"wrong_{split}"][index, 0])) <= 12
        assert count_params(network) == table["params"][index]
        assert count_macs(network, 1, 8, 8) == table["macs"][index]


def test_the_table_is_complete_and_smaller_than_2_megabytes():
    table = read()
    assert table["wrong_validation"].shape == table["wrong_test"].shape == (1350, 3)
    assert np.isfinite(table["latency_ms"]).all() and np.isfinite(table["training_ms"]).sum() == 30
    assert FILE.stat().st_size < 2_000_000
    assert set(table["about"]) >= {"command", "seeds", "recipe", "torch", "python"}


def test_errors_are_means_over_seeds_or_the_errors_of_one_seed():
    table, X = read(), space.all_rows()
    wrong = table["wrong_validation"]
    for query, values in [("mean", wrong.mean(axis=1)), ("1", wrong[:, 1])]:
        problem = moonas.load_problem("digits-table", query=query)
        F = problem.evaluate(X)
        assert np.allclose(F[:, 0], 100 * values / table["about"]["n_validation"])
        assert np.array_equal(F[:, 1], table["params"])


@pytest.mark.parametrize("objectives", [("error", "params"), ("test_error", "macs", "latency_ms")])
def test_the_true_front_contains_exactly_the_networks_that_no_network_dominates(objectives):
    problem = moonas.load_problem("digits-table", objectives=objectives)
    F = problem.evaluate(space.all_rows())
    dominates = (F[:, None] <= F).all(axis=2) & (F[:, None] < F).any(axis=2)  # [i, j]
    expected = np.unique(F[~dominates.any(axis=0)], axis=0)
    X, front = problem.true_front()
    assert np.array_equal(np.unique(front, axis=0), expected)
    assert np.array_equal(problem.evaluate(X), front)


@pytest.mark.parametrize("name", sorted(set(MULTI_OBJECTIVE) - {"moead", "parallel-moead"}))
def test_a_run_evaluates_no_network_twice_and_depends_only_on_the_seed(name):
    problem, rows = moonas.load_problem("digits-table"), []
    evaluate = problem.evaluate
    problem.evaluate = lambda X, *a, **k: rows.append(np.array(X)) or evaluate(X, *a, **k)
    first = run_algorithm(problem, name, 3, 200)
    X = np.concatenate(rows).reshape(-1, 6)
    assert len(np.unique(X, axis=0)) == len(X) >= 200
    again = run_algorithm(problem, name, 3, 200)
    assert np.array_equal(first["best"], again["best"])


@pytest.mark.parametrize("name", MULTI_OBJECTIVE)
def test_270_evaluations_reach_99_percent_of_the_true_hypervolume(name):
    problem = moonas.load_problem("digits-table")
    result = run_algorithm(problem, name, 1, 270)
    assert result["evaluations_to_99"] <= 270


def test_a_row_of_the_front_can_be_trained(tmp_path):
    found = moonas.search("digits-table", seed=1, out=tmp_path / "run", population=4, generations=1)
    (trained,) = moonas.train(found.folder, pick="smallest", epochs=1, out=tmp_path / "trained")
    row = min(found.rows, key=lambda row: row.columns["params"])
    network = moonas.load_model(trained.folder)
    assert count_params(network) == row.columns["params"]
    assert 0 <= trained.result.columns["error"] <= 100
