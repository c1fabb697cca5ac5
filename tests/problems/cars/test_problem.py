"""The CARS search as a problem: data, training, objectives, settings and the paper's algorithm."""

import json
import math

import joblib
import numpy as np
import pytest
import torch
from moonas.problems.cars import space, zoo
from moonas.problems.cars.operators import CARSMating
from moonas.problems.cars.settings import Settings
from pymoo.core.population import Population
from searches import rows, run

import moonas
from moonas.data import load
from moonas.nets.counting import count_macs, count_params
from moonas.operators import SameRow
from moonas.problem import SearchFailed
from moonas.run.journal import RunMismatch, read_run
from moonas.training.report import TrainingReport


@pytest.fixture
def small_settings(tiny, few_digits):
    """Return settings of a search that trains on a hundred images."""
    return tiny | dict(data=few_digits, batch=25)


def test_half_of_the_training_images_are_the_validation_set_and_no_test_image_is_used(tiny):
    problem = moonas.load_problem("cars", **tiny)
    problem.evaluator.begin(1)
    train, validation = problem.evaluator.images.train, problem.evaluator.images.validation
    assert len(train[0]) == 718 and len(validation[0]) == 719
    # stratified: the counts of each class differ by at most one
    counts = [torch.bincount(labels.cpu()) for _, labels in (train, validation)]
    assert (counts[0] - counts[1]).abs().max() <= 1
    seen = {
        x.tobytes()
        for part in (train, validation)
        for x in part[0].tensor().cpu().contiguous().numpy()
    }
    assert len(seen) == 1437
    assert not any(x.tobytes() in seen for x in load("digits").test_images.tensor().numpy())


def sampled_architectures(evaluator, monkeypatch, train):
    """Return the architectures that ``train(evaluator)`` samples, a list for each of 200 steps."""
    steps = []

    def record(net, data, sample, *args, **options):
        steps.extend([path.keywords["architecture"] for path in sample()] for _ in range(200))
        return TrainingReport({"loss": 0.0}, steps=1, skipped=0)

    monkeypatch.setattr("moonas.evaluators.supernet.train_epochs", record)
    train(evaluator)
    return steps


def test_warm_up_samples_every_choice_of_every_gene_equally_often(small_settings, monkeypatch):
    problem = moonas.load_problem("cars", **small_settings, architectures_per_step=20)
    problem.evaluator.begin(1)
    steps = sampled_architectures(problem.evaluator, monkeypatch, lambda e: e.warm_up())
    sampled = np.array([space.encode(a) for step in steps for a in step])
    assert len(sampled) == 4000
    for gene, k in enumerate(space.N_CHOICES):
        shares = np.bincount(sampled[:, gene], minlength=k) / len(sampled)
        # 4 standard errors
        assert np.abs(shares - 1 / k).max() <= 4 * math.sqrt(1 / k * (1 - 1 / k) / len(sampled))


def test_a_training_step_uses_two_different_parents_if_architectures_per_step_is_two(
    small_settings, monkeypatch
):
    problem = moonas.load_problem("cars", **small_settings, architectures_per_step=2)
    problem.evaluator.begin(1)
    candidates = problem.session.candidates(rows(problem, 5))
    parents = list(candidates)
    steps = sampled_architectures(problem.evaluator, monkeypatch, lambda e: e.train(candidates))
    assert all(len(set(step)) == 2 for step in steps)
    visits = np.array([sum(parent in step for step in steps) for parent in parents])
    # all pairs are equally likely, so a step uses a parent with probability 2/5; 4 standard errors
    assert np.abs(visits / 200 - 0.4).max() <= 4 * math.sqrt(0.4 * 0.6 / 200)


def test_errors_fall_as_the_supernet_trains(tiny):
    options = tiny | dict(channels=4, layers=1, batch=32, epochs=2)
    problem = moonas.load_problem("cars", **options)
    best = []
    run(problem, callback=lambda algorithm: best.append(algorithm.pop.get("error").min()))
    assert best[-1] < best[0] - 10


def test_growth_is_the_decrease_of_the_error_per_training_epoch(small_settings, tmp_path):
    problem = moonas.load_problem("cars", **small_settings | dict(epochs=2), journal=tmp_path)
    result = run(problem, generations=2)
    first, before, train, after = read_run(tmp_path)[1][1:]
    assert train["result"]["epochs"] == 2

    def errors(*records):
        return {
            tuple(x): error
            for r in records
            for x, error in zip(r["request"]["x"], r["result"]["error"], strict=True)
        }

    earlier, later = errors(first, before), errors(after)
    for individual in result.pop:
        x = tuple(individual.X.tolist())
        assert individual.get("growth") == (earlier[x] - later[x]) / 2


def test_errors_under_frozen_weights_do_not_depend_on_the_run(small_settings):
    problem = moonas.load_problem("cars", weights="frozen", **small_settings)
    X = rows(problem, 3)
    before = problem.evaluate(X)
    result = run(problem, seed=5)
    assert np.array_equal(problem.evaluate(X), before)
    assert np.array_equal(problem.evaluate(result.pop.get("X")), result.pop.get("F"))
    same_seed = moonas.load_problem("cars", weights="frozen", **small_settings)
    assert np.array_equal(same_seed.evaluate(X), before)
    reseeded = moonas.load_problem("cars", weights="frozen", supernet_seed=1, **small_settings)
    assert not np.array_equal(reseeded.evaluate(X), before)


def test_a_resumed_run_does_not_train_frozen_weights_again(small_settings, tmp_path):
    def start(generations):
        problem = moonas.load_problem(
            "cars", weights="frozen", journal=tmp_path / "a", **small_settings
        )
        return problem, run(problem, generations=generations)

    start(2)
    problem, resumed = start(3)
    assert problem.evaluator._warm_up_report is None
    uninterrupted = run(moonas.load_problem("cars", weights="frozen", **small_settings))
    assert np.array_equal(resumed.pop.get("F"), uninterrupted.pop.get("F"))


@pytest.mark.parametrize(
    ("weights", "name"),
    [("shared", name) for name in ("ctaea", "nsga2", "parallel-moead", "smsemoa")]
    + [("frozen", name) for name in ("moead", "pnsga3", "random")],
)
def test_errors_on_the_front_are_measured_with_the_current_weights_for_every_algorithm(
    name, weights, small_settings
):
    problem = moonas.load_problem("cars", weights=weights, **small_settings | dict(frozen_epochs=1))
    front = moonas.front(run(problem, name))
    assert front
    X = np.array([row.x for row in front])
    assert np.array_equal(
        problem.evaluate(X), [[r.objectives["error"], r.objectives["params"]] for r in front]
    )


def test_objectives_do_not_depend_on_the_number_of_workers(small_settings):
    X = rows(moonas.load_problem("cars", **small_settings), 7)
    F = [
        moonas.load_problem("cars", **small_settings | dict(workers=workers)).evaluate(X)
        for workers in (1, 2, 5)
    ]
    assert np.array_equal(F[0], F[1]) and np.array_equal(F[0], F[2])


@pytest.mark.parametrize("backend", [pytest.param("loky", marks=pytest.mark.slow), "threading"])
def test_a_search_does_not_depend_on_the_number_of_joblib_workers(small_settings, backend):
    serial = run(moonas.load_problem("cars", **small_settings))
    with joblib.parallel_config(backend=backend, n_jobs=2):
        parallel = run(moonas.load_problem("cars", **small_settings))
    assert np.array_equal(serial.pop.get("X"), parallel.pop.get("X"))
    assert np.array_equal(serial.pop.get("F"), parallel.pop.get("F"))


def test_objectives_are_in_the_order_of_the_setting(small_settings):
    problem = moonas.load_problem("cars", objectives=("macs", "error", "params"), **small_settings)
    result = run(problem, generations=2)
    F, X = result.pop.get("F"), result.pop.get("X").astype(int)
    assert F.shape == (6, 3)
    assert np.array_equal(F[:, [2, 0]], problem.costs.count(*space.edges(X)))
    assert np.array_equal(F[:, 1], result.pop.get("error"))


def test_latency_is_measured_once_per_architecture_even_in_a_resumed_run(small_settings, tmp_path):
    options = small_settings | dict(objectives=("error", "latency_ms"), latency_batch=2, layers=1)
    problem = moonas.load_problem("cars", **options, journal=tmp_path)
    first = run(problem, generations=2)
    by_row = {}
    for record in read_run(tmp_path)[1]:
        if "latency_ms" in record["result"]:
            for x, ms in zip(record["request"]["x"], record["result"]["latency_ms"], strict=True):
                assert ms > 0 and by_row.setdefault(tuple(x), ms) == ms
    problem = moonas.load_problem("cars", **options, journal=tmp_path)
    resumed = run(problem, generations=3)
    for individual in resumed.pop:
        ms = by_row.get(tuple(individual.X.tolist()))
        assert ms is None or individual.F[1] == ms
    assert set(first.pop.get("F")[:, 1]) <= set(by_row.values())


def test_latency_from_a_table_is_the_sum_of_the_latencies_of_all_parts(small_settings, tmp_path):
    problem = moonas.load_problem("cars", **small_settings)
    keys = [part.key for part in problem.operations()]
    table = {key: float(2**i % 97) for i, key in enumerate(keys)}
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"parts": table}))
    options = small_settings | dict(objectives=("error", "latency_ms"), latency_table=str(path))
    x = rows(problem, 1)
    latency = moonas.load_problem("cars", **options).evaluate(x)[0, 1]

    architecture = space.decode(x[0])
    stem, pre, classifier = "stem 3-2 s1 8x8", "preprocess", "classifier 32-10 s1 2x2"
    fixed = [
        stem,
        *(f"{pre} 6-2 s1 8x8", f"{pre} 6-2 s1 8x8"),  # cell 1
        *(f"{pre} 6-4 s1 8x8", f"{pre} 8-4 s1 8x8"),  # cell 2, a reduction
        *("reduce 8-8 s2 8x8", f"{pre} 16-8 s1 4x4"),  # cell 3, a reduction after one
        classifier,
    ]
    edges = [f"{name} 2-2 s1 8x8" for name, _ in architecture.normal]
    for c, side in ((4, 8), (8, 4)):
        for name, state in architecture.reduction:
            tail = f"s2 {side}x{side}" if state < 2 else f"s1 {side // 2}x{side // 2}"
            edges.append(f"{name} {c}-{c} {tail}")
    assert latency == pytest.approx(sum(table[key] for key in fixed + edges))


def test_a_latency_table_that_lacks_parts_of_the_space_raises_an_error(small_settings, tmp_path):
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"parts": {}}))
    options = small_settings | dict(objectives=("error", "latency_ms"), latency_table=str(path))
    with pytest.raises(ValueError, match="lacks .* parts of this search space"):
        moonas.load_problem("cars", **options)


def test_resuming_a_run_with_a_changed_latency_table_raises_an_error(small_settings, tmp_path):
    keys = [part.key for part in moonas.load_problem("cars", **small_settings).operations()]
    path = tmp_path / "table.json"
    options = small_settings | dict(objectives=("error", "latency_ms"), latency_table=str(path))
    for ms in (1.0, 2.0):
        path.write_text(json.dumps({"parts": dict.fromkeys(keys, ms)}))
        problem = moonas.load_problem("cars", **options)
        if ms == 1.0:
            run(moonas.load_problem("cars", **options, journal=tmp_path / "run"), generations=1)
    assert problem.evaluate(rows(problem, 1))[0, 1] == 2 * (1 + 2 * 3 + 8 * 3 + 1)
    with pytest.raises(RunMismatch, match="inputs"):
        moonas.load_problem("cars", **options, journal=tmp_path / "run")


def test_params_and_macs_are_counted_for_the_target_network(small_settings):
    options = small_settings | dict(
        objectives=("params", "macs"), target_channels=36, target_layers=20
    )
    problem = moonas.load_problem("cars", **options)
    architecture = zoo.architectures()["CARS_A"]
    params, macs = problem.evaluate(space.encode(architecture))
    network = problem.network(architecture)
    assert params == count_params(network) == 2_432_206
    assert macs == count_macs(network, 3, 8, 8)


def test_the_target_network_may_be_for_other_images_than_those_of_the_search(small_settings):
    target = dict(target_image_size=224, target_classes=1000)
    target |= dict(target_channels=48, target_layers=14)
    costs, errors = [], []
    for options in ({}, target):
        objectives = ("error", "params", "macs")
        problem = moonas.load_problem(
            "cars", **small_settings | {"objectives": objectives} | options
        )
        X = space.encode(zoo.architectures()["CARS_A"])[None]
        out = problem.evaluate(X)[0]
        errors.append(out[0])
        costs.append(tuple(out[1:]))
        assert (out[1:] <= problem.objective_bounds()[1, 1:]).all()
    assert costs[1] == (3_687_712, 410_524_032)  # table 2: 3.7 M
    assert costs[0] != costs[1] and errors[0] == errors[1]
    assert problem.input_shape == (3, 224, 224)


def test_the_settings_determine_the_algorithm_and_its_survival(small_settings):
    algorithm = moonas.load_problem(
        "cars", **small_settings | dict(population=10, expand=1.5)
    ).algorithm()
    assert type(algorithm).__name__ == "NSGA3"
    assert type(algorithm.survival).__name__ == "PNSGA3Survival"
    assert algorithm.pop_size == 10 and algorithm.n_offsprings == 15
    assert algorithm.survival.cut == "niching" and algorithm.survival.second == "growth"
    release = moonas.load_problem(
        "cars", protection="size", cut="random", **small_settings
    ).algorithm()
    assert (release.survival.second, release.survival.cut) == ("size", "random")
    by_name = moonas.algorithm(
        "pnsga3", moonas.load_problem("cars", protection="size", **small_settings)
    )
    assert by_name.survival.second == "size"
    three = small_settings | dict(objectives=("error", "params", "macs"))
    for size, expected in ((None, "params"), ("macs", "macs")):
        assert moonas.load_problem("cars", size=size, **three).algorithm().survival.size == expected
    plain = moonas.load_problem("cars", protection="none", **small_settings).algorithm()
    assert type(plain.survival).__name__ == "ReferenceDirectionSurvival"
    assert type(plain.mating).__name__ == "CARSMating"


def test_operators_for_other_algorithms_mutate_half_of_the_children(small_settings):
    mutation = moonas.load_problem("cars", **small_settings).operators()["mutation"]
    assert type(mutation).__name__ == "NodeReset" and mutation.prob.value == 0.5


def test_the_preset_of_the_paper_has_500_epochs():
    s = moonas.load_problem("cars", preset="paper").settings
    assert s.warmup_epochs + (s.generations - 1) * s.epochs == 500
    assert (s.population, s.warmup_epochs, s.channels, s.layers, s.batch) == (128, 50, 16, 8, 128)
    assert s.data == "cifar10"


def test_offspring_are_crossed_mutated_or_sampled_with_the_probabilities_of_the_paper(
    small_settings,
):
    problem = moonas.load_problem("cars", **small_settings)
    # two kinds of parents: all genes at their lowest value, or all at their highest
    low, high = np.zeros(space.N_VAR, int), space.N_CHOICES - 1
    pop = Population.new(X=np.array([low, high] * 10))
    n = 4000
    off = CARSMating().do(problem, pop, n, random_state=np.random.default_rng(0)).get("X")
    problem.check_rows(off)
    # a node of 6 genes has only lowest or only highest values if it comes from a parent, and
    # otherwise with a small probability
    inherited = [(off[:, g] == low[g]).all(1) | (off[:, g] == high[g]).all(1) for g in space.NODES]
    # mutation leaves all four nodes unchanged with probability 1/16, and changes all with 1/16
    for children, expected in (
        (np.all(inherited, axis=0), 0.25 + 0.25 / 16),  # crossed, or mutated in no node
        (np.any(inherited, axis=0), 0.5 - 0.25 / 16),  # crossed, or mutated in some nodes only
    ):
        # 4 standard errors, and 0.003 for sampled nodes that look like those of a parent
        tolerance = 4 * math.sqrt(expected * (1 - expected) / n) + 0.003
        assert abs(children.mean() - expected) <= tolerance


def test_the_shares_of_offspring_are_settings(small_settings):
    shares = dict(crossover=0.1, mutation=0.7, node_share=1.0)
    mating = moonas.load_problem("cars", **small_settings | shares).algorithm().mating
    assert isinstance(mating, CARSMating)
    assert (mating.crossover, mating.mutation, mating.prob_node) == (0.1, 0.7, 1.0)


def test_all_individuals_are_equally_likely_to_be_parents(small_settings):
    problem = moonas.load_problem("cars", **small_settings)
    pop = Population.new(X=rows(problem, 5))
    mating = CARSMating(crossover=0.0, mutation=1.0, prob_node=0.0)  # children equal a parent
    off = mating.do(problem, pop, 400, random_state=np.random.default_rng(0)).get("X")
    shares = (off[:, None] == pop.get("X")).all(axis=2).mean(axis=0)
    assert np.abs(shares - 0.2).max() <= 4 * math.sqrt(0.2 * 0.8 / 400)  # 4 standard errors


def test_children_differ_from_the_population_and_from_each_other(small_settings):
    problem = moonas.load_problem("cars", **small_settings)
    pop = Population.new(X=rows(problem, 6))
    mating = CARSMating(crossover=1.0, mutation=0.0, eliminate_duplicates=SameRow())
    off = mating.do(problem, pop, 60, random_state=np.random.default_rng(0)).get("X")
    X = np.vstack([off, pop.get("X")])
    assert len(np.unique(X, axis=0)) == len(X)


def test_a_learning_rate_that_is_too_high_stops_the_search(small_settings):
    problem = moonas.load_problem(
        "cars", learning_rate=1e30, **small_settings | dict(warmup_epochs=3)
    )
    with pytest.raises(SearchFailed):
        run(problem)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(epochs=0), "epochs=0 is invalid: expected at least 1"),
        (dict(size="macs"), r"size='macs' is invalid: expected one of \['params'\]"),
        (dict(objectives=("error", "speed")), "Unknown objective 'speed'; choose from"),
        (dict(objectives=()), "one or more"),
        (dict(weights="cold"), r"weights='cold' is unknown; choose from \['shared', 'frozen'\]"),
        (dict(data="nowhere"), "Unknown data set 'nowhere'"),
        (dict(device="gpu"), "Unknown device 'gpu'"),
        (dict(learning_rate=0.0), "learning_rate=0.0 is invalid: expected more than 0"),
        (dict(target_layers=0), "target_layers=0"),
        (dict(crossover=0.6, mutation=0.5), "mutation=0.5 is invalid: expected at most 0.4"),
        (dict(image_size=0), "image_size=0"),
    ],
)
def test_invalid_settings_raise_an_error_with_the_reason(options, message):
    with pytest.raises(ValueError, match=message):
        moonas.load_problem("cars", **options)


def test_settings_are_listed_with_their_descriptions():
    from moonas.settings import describe

    assert {"warmup_epochs", "protection"} <= {row[0] for row in describe(Settings)}


def test_the_zoo_has_the_published_params_and_macs():
    item = moonas.zoo("CARS_A")
    assert item.counts["CIFAR-10, 36 channels, 20 cells"] == (2_432_206, 392_054_400)
    assert item.counts["ImageNet, 48 channels, 14 cells"] == (3_687_712, 410_524_032)
    assert "Yang" in item.source
    with pytest.raises(ValueError, match="'CARS_Z'; choose from .*'CARS_A'"):
        moonas.zoo("CARS_Z")
