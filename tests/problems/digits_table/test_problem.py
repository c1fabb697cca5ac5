from dataclasses import replace

import numpy as np
import pytest
import torch
from moonas.problems.digits_table import space, training
from moonas.problems.digits_table.networks import DigitsNetwork, of_copy, stack_initial
from moonas.problems.digits_table.problem import FILE, read
from torch.nn import functional as F

import moonas
from moonas.algorithms.named import ALGORITHMS
from moonas.comparison import run_algorithm
from moonas.nets.counting import count_macs, count_params
from moonas.nets.randomness import generator, initial_weights
from moonas.training.sgd import cosine, make_optimizer


def test_every_row_is_another_network():
    rows = space.every_row()
    assert rows.shape == (1350, 6)
    found = {space.decode(x) for x in rows}
    assert len(found) == 1350
    for x in rows[::97]:
        architecture = space.decode(x)
        assert np.array_equal(space.encode(architecture), x)
        assert space.from_json(space.to_json(architecture)) == architecture
    assert str(space.decode([1, 3, 1, 4, 0, 1])) == "8 sep3x2 / 16 res3x1"


@pytest.mark.parametrize(
    "value", [None, {}, {"width": 5, "operations": ["conv1"] * 2, "depths": [1, 1], "widening": 1}]
)
def test_what_is_no_network_is_refused(value):
    with pytest.raises(ValueError, match="no network of digits-table"):
        space.from_json(value)


def test_sizes_by_hand():
    def params(*row):
        return count_params(DigitsNetwork(space.decode(row)))

    stem, head = 9 * 4 + 8, 4 * 10 + 10
    assert params(0, 0, 0, 0, 0, 0) == stem + 2 * (16 + 8) + head
    assert params(0, 1, 1, 0, 0, 0) == stem + 2 * (144 + 8) + 24 + head
    assert params(0, 3, 0, 2, 0, 0) == stem + (36 + 16 + 8) + (400 + 8) + head
    # a residual layer of another shape has a 1x1 convolution beside it
    assert params(0, 4, 0, 4, 0, 1) == stem + 152 + (288 + 16 + 32) + 8 * 10 + 10


@pytest.mark.parametrize("row", [(0, 0, 1, 3, 1, 1), (0, 4, 1, 4, 0, 1), (0, 2, 0, 1, 1, 0)])
def test_networks_side_by_side_are_trained_as_if_each_were_alone(row):
    architecture, n = space.decode(row), 3
    alone = [DigitsNetwork(architecture) for _ in range(n)]
    together = DigitsNetwork(architecture, copies=n)
    stack_initial(alone, together)
    optimizers = [torch.optim.SGD(net.parameters(), 0.1, momentum=0.9) for net in alone]
    shared = torch.optim.SGD(together.parameters(), 0.1, momentum=0.9)
    rng = torch.Generator().manual_seed(0)
    for _ in range(4):
        images = torch.rand(n, 8, 1, 8, 8, generator=rng)
        labels = torch.randint(10, (n, 8), generator=rng)
        for net, optimizer, x, y in zip(alone, optimizers, images, labels, strict=True):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
        logits = together(images.transpose(0, 1).flatten(1, 2))
        shared.zero_grad()
        (F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum") / 8).backward()
        shared.step()
    x = torch.rand(5, 1, 8, 8, generator=rng)
    for i, net in enumerate(alone):
        mine = of_copy(together, architecture, i).eval()
        assert torch.allclose(mine(x), net.eval()(x), atol=1e-4)
    assert not torch.allclose(alone[0](x), alone[1](x), atol=1e-2)


def test_a_training_is_a_plain_loop(monkeypatch):
    epochs, seed, row = 2, 1, (0, 3, 0, 0, 0, 0)
    recipe = replace(training.RECIPE, horizon=epochs, batch=16)
    monkeypatch.setattr(training, "RECIPE", recipe)
    architecture = space.decode(row)
    rng = torch.Generator().manual_seed(0)
    images, labels = torch.rand(50, 1, 8, 8, generator=rng), torch.arange(50) % 10
    found = training.train(architecture, (images, labels), [0, seed])[1]
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
    assert torch.allclose(found(images), plain.eval()(images), atol=1e-4)


def test_parts_of_digits_have_no_image_in_common():
    parts = training.digits()
    sizes = {name: len(labels) for name, (_, labels) in parts.items()}
    assert sizes == {"train": 1077, "validation": 360, "test": 360}
    seen = [{image.numpy().tobytes() for image in images} for images, _ in parts.values()]
    assert not seen[0] & seen[1] and not seen[1] & seen[2] and not seen[0] & seen[2]


def test_scores_are_those_of_the_networks_that_were_trained():
    found = read()
    data = training.digits()
    rows = [(0, 0, 0, 0, 0, 0), (0, 3, 0, 0, 0, 0)]  # the quickest to train
    for row in rows:
        place = np.ravel_multi_index(row, space.N_CHOICES)
        network = training.train(space.decode(row), data["train"], [0])[0]
        for part in ("validation", "test"):
            missed = training.wrong(network, data[part])
            # to a few images: sums of other processors and versions round otherwise
            assert abs(missed - int(found[f"wrong_{part}"][place, 0])) <= 12
        assert count_params(network) == found["params"][place]
        assert count_macs(network, 1, 8, 8) == found["macs"][place]


def test_the_table_is_whole_and_small():
    found = read()
    assert found["wrong_validation"].shape == found["wrong_test"].shape == (1350, 3)
    assert np.isfinite(found["latency_ms"]).all() and np.isfinite(found["training_ms"]).sum() == 30
    assert FILE.stat().st_size < 2_000_000
    assert set(found["about"]) >= {"command", "seeds", "recipe", "torch", "python"}


def test_columns_are_means_of_seeds_or_one_of_them():
    found, X = read(), space.every_row()
    wrong = found["wrong_validation"]
    for query, values in [("mean", wrong.mean(axis=1)), ("1", wrong[:, 1])]:
        problem = moonas.load_problem("digits-table", query=query)
        F = problem.evaluate(X)
        assert np.allclose(F[:, 0], 100 * values / found["about"]["n_validation"])
        assert np.array_equal(F[:, 1], found["params"])


@pytest.mark.parametrize("objectives", [("error", "params"), ("test_error", "macs", "latency_ms")])
def test_the_true_front_is_what_no_other_network_dominates(objectives):
    problem = moonas.load_problem("digits-table", objectives=objectives)
    F = problem.evaluate(space.every_row())
    better = (F[:, None] <= F).all(axis=2) & (F[:, None] < F).any(axis=2)  # [i, j]: i dominates j
    expected = np.unique(F[~better.any(axis=0)], axis=0)
    X, front = problem.true_front()
    assert np.array_equal(np.unique(front, axis=0), expected)
    assert np.array_equal(problem.evaluate(X), front)


@pytest.mark.parametrize("name", sorted(set(ALGORITHMS) - {"moead", "parallel-moead"}))
def test_no_run_asks_for_a_network_twice_and_runs_are_independent(name):
    problem, rows = moonas.load_problem("digits-table"), []
    evaluate = problem.evaluate
    problem.evaluate = lambda X, *a, **k: rows.append(np.array(X)) or evaluate(X, *a, **k)
    first = run_algorithm(problem, name, 3, 200)
    X = np.concatenate(rows).reshape(-1, 6)
    assert len(np.unique(X, axis=0)) == len(X) >= 200
    again = run_algorithm(problem, name, 3, 200)
    assert np.array_equal(first["best"], again["best"])


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_a_fifth_of_the_space_has_99_percent_of_the_true_hypervolume(name):
    problem = moonas.load_problem("digits-table")
    found = run_algorithm(problem, name, 1, 270)
    assert found["evaluations_to_99"] <= 270
