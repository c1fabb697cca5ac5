import pickle

import joblib
import numpy as np
import pytest
import torch
from moonas.problems.cyclegan_pruning.data import load_data
from moonas.problems.cyclegan_pruning.masks import compress
from moonas.problems.cyclegan_pruning.training import TARGET, scale_pixels
from moonas.problems.cyclegan_pruning.weights_file import read_gan
from searches import rows, run
from torch import nn

import moonas
from moonas.nets.counting import count_macs, count_params


def n_weights(net):
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    return sum(layer.weight.numel() for layer in layers)


def losses_and_sizes(problem, gan):
    """Return losses and cycle losses (eqs. 4 to 6) and sizes (eq. 10) of generators, by image."""
    s, original = problem.settings, read_gan(problem.settings.weights).gan
    data = load_data(s, problem.info)
    losses, cycles, sizes = {}, {}, {}
    for k, target in TARGET.items():
        total = total_cycle = 0.0
        for image in scale_pixels(data[k].validation):
            before = original.generators[k](image[None])
            after = gan.generators[k](image[None])
            back = gan.generators[target](after)
            if s.loss == "discriminator":
                before, after = (original.discriminators[k](x) for x in (before, after))
            distance, cycle = (before - after) ** 2, (back - image) ** 2
            distance, cycle = (x.mean() if s.norm == "mean" else x.sum() for x in (distance, cycle))
            total += float(distance + s.cycle_weight * cycle)
            total_cycle += float(cycle)
        losses[k], cycles[k] = (v / len(data[k].validation) for v in (total, total_cycle))
        sizes[k] = n_weights(gan.generators[k]) / n_weights(original.generators[k])
    return losses, cycles, sizes


@pytest.mark.parametrize(
    ("loss", "norm"), [("discriminator", "mean"), ("discriminator", "sum"), ("generator", "mean")]
)
@torch.no_grad()
def test_columns_equal_the_equations_of_the_paper(make_problem, loss, norm):
    options = dict(loss=loss, norm=norm, gamma=0.3, cycle_weight=4.0, score_batch=2)
    problem = make_problem(**options, scale_loss=False)
    scaled = make_problem(**options)
    original = read_gan(problem.settings.weights).gan
    X = rows(problem, 3)
    columns = problem.evaluate(X, return_as_dictionary=True)
    scaled_columns = scaled.evaluate(X, return_as_dictionary=True)
    for i, x in enumerate(X):
        gan = compress(original, problem.decode(x), problem.groups)
        losses, cycles, sizes = losses_and_sizes(problem, gan)
        assert columns["cycle"][i] == pytest.approx(np.mean(list(cycles.values())), rel=1e-5)
        for k in "ab":
            fitness = sizes[k] + 0.3 * losses[k]
            assert columns[f"loss_{k}"][i] == pytest.approx(losses[k], rel=1e-5)
            assert columns[f"size_{k}"][i] == sizes[k]
            assert columns[f"fitness_{k}"][i] == pytest.approx(fitness, rel=1e-5)
            fitness = sizes[k] + 0.3 * losses[k] / problem.max_loss
            assert scaled_columns[f"fitness_{k}"][i] == pytest.approx(fitness, rel=1e-5)
            assert scaled_columns[f"loss_{k}"][i] == columns[f"loss_{k}"][i]
        for name in ("loss", "size"):
            both = [columns[f"{name}_{k}"][i] for k in "ab"]
            assert columns[name][i] == pytest.approx(np.mean(both))
        both = [columns[f"fitness_{k}"][i] for k in "ab"]
        assert columns["fitness"][i] == pytest.approx(sum(both))
        generators = gan.generators.values()
        assert columns["params"][i] == sum(map(count_params, generators))
        assert columns["macs"][i] == sum(count_macs(net, 3, 8, 8) for net in generators)


def test_the_loss_of_uncompressed_generators_is_only_their_cycle_loss(make_problem):
    problem = make_problem(cycle_weight=0.0)
    columns = problem.evaluate(np.ones(problem.n_var, dtype=bool), return_as_dictionary=True)
    assert columns["loss"] == 0 and columns["size"] == 1
    assert make_problem().evaluate(np.ones(problem.n_var, dtype=bool))[0] > 0


def test_fine_tuning_changes_the_losses_and_depends_on_the_seed_of_the_run(make_problem):
    problem = make_problem(tune_steps=2)
    X = rows(problem, 2)
    before, after = make_problem().evaluate(X), problem.evaluate(X)
    assert (before[:, 0] != after[:, 0]).all() and (before[:, 1] == after[:, 1]).all()
    assert np.array_equal(problem.evaluate(X[::-1])[::-1], after)
    evaluator = problem.evaluator
    state = evaluator.state()
    evaluator.begin(2)
    evaluator.load_state(state)
    columns = evaluator.score(problem.session.candidates(X))
    assert (columns["loss"] != after[:, 0]).all()


def test_fine_tuning_uses_tune_batch_and_tune_learning_rate_unless_they_are_none(make_problem):
    options = dict(batch=5, learning_rate=1e-3)
    recipe = make_problem(tune_batch=2, tune_learning_rate=0.1, **options).evaluator.tuning_recipe
    assert (recipe.batch, recipe.learning_rate) == (2, 0.1)
    recipe = make_problem(
        tune_batch=None, tune_learning_rate=None, **options
    ).evaluator.tuning_recipe
    assert (recipe.batch, recipe.learning_rate) == (5, 1e-3)


@pytest.mark.parametrize("backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)])
def test_scores_do_not_depend_on_the_number_of_workers(make_problem, backend):
    X = rows(make_problem(), 4)
    expected = make_problem(tune_steps=1).evaluate(X)
    with joblib.parallel_config(backend, n_jobs=2):
        assert np.array_equal(make_problem(tune_steps=1).evaluate(X), expected)


def test_an_unpickled_problem_computes_the_same_scores(make_problem):
    problem = make_problem(tune_steps=1, weights=None, pretrain_epochs=1)
    X = rows(problem, 2)
    expected = problem.evaluate(X)
    copy = pickle.loads(pickle.dumps(problem))
    copy.evaluator.begin(problem.evaluator.seed)
    copy.evaluator.load_state(problem.evaluator.state())
    columns = copy.evaluator.score(copy.session.candidates(X))
    assert np.array_equal(columns["loss"], expected[:, 0])


def test_all_candidates_are_fine_tuned_on_the_same_share_of_the_training_set(make_problem):
    evaluator = make_problem(tune_share=0.25).evaluator
    evaluator.begin(5)
    for k, subset in evaluator.tuning_images.items():
        train = evaluator.train_images[k]
        assert (len(train), len(subset)) == (12, 3)
        assert all(any(torch.equal(image, t) for t in train) for image in subset)
        assert len(torch.unique(subset, dim=0)) == 3


def test_a_candidate_with_a_non_finite_loss_has_the_worst_loss_and_is_marked_as_failed(
    make_problem, monkeypatch
):
    problem = make_problem()
    X = rows(problem, 2)
    parts = iter([(np.nan, 0.0), (0.1, 0.0), (0.1, 0.01), (0.1, 0.02)])
    monkeypatch.setattr(type(problem.evaluator), "_loss_parts", lambda self, k, gan: next(parts))
    columns = problem.evaluate(X, return_as_dictionary=True)
    assert columns["failed"].tolist() == [True, False]
    assert columns["loss"][0] == problem.max_loss == 11
    assert columns["size"][0] < 1
    assert columns["loss"][1] == pytest.approx(0.25)


def test_validation_images_with_a_margin_are_cropped_to_the_center(make_problem, domains):
    problem = make_problem(
        weights=None, margin=2, flip=True, batch=2, pretrain_epochs=1, tune_steps=1
    )
    F = problem.evaluate(rows(problem, 3))
    low, high = problem.objective_bounds()
    assert ((low <= F) & (high >= F)).all() and len(np.unique(F, axis=0)) > 1
    evaluator = problem.evaluator
    assert evaluator.train_images["a"].shape == (12, 3, 10, 10)
    assert evaluator.validation["a"].shape == (3, 3, 8, 8)
    uncropped = evaluator.load()["a"].validation
    assert torch.equal(evaluator.validation["a"], uncropped[..., 1:9, 1:9])


def test_searches_and_trainings_do_not_depend_on_where_images_are_kept(domains, tiny_of, tmp_path):
    fronts, translators = [], []
    for place in ("memory", "stream"):
        options = dict(data=str(domains), data_in=place, loader_workers=1)
        problem = moonas.load_problem("cyclegan-pruning", **tiny_of("cyclegan-pruning") | options)
        fronts.append(run(problem, generations=1).pop.get("F").tolist())
        stage = moonas.load_stage(
            "cyclegan-pretraining", **tiny_of("cyclegan-pretraining") | options
        )
        translators.append(stage.run(seed=1).gan.state_dict())
    assert fronts[0] == fronts[1]
    assert all(torch.equal(translators[0][k], translators[1][k]) for k in translators[0])
