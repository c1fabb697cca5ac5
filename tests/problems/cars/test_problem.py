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
from pymoo.optimize import minimize
from searches import rows, run

import moonas
from moonas.algorithms import ALGORITHMS
from moonas.data import load
from moonas.operators import SameRow
from moonas.problem import SearchFailed
from moonas.run.journal import RunMismatch, read_run
from moonas.training.report import TrainingReport


def test_half_of_the_search_images_trains_and_half_validates_and_none_is_a_test_image(tiny):
    problem = moonas.load_problem("cars", **tiny)
    problem.evaluate(rows(problem, 1))
    train, validation = problem.evaluator.images.train, problem.evaluator.images.validation
    assert len(train[0]) == 718 and len(validation[0]) == 719
    # stratified: the counts of a class differ by one at most
    counts = [torch.bincount(labels.cpu()) for _, labels in (train, validation)]
    assert (counts[0] - counts[1]).abs().max() <= 1
    seen = {x.tobytes() for part in (train, validation) for x in part[0].cpu().contiguous().numpy()}
    assert len(seen) == 1437
    assert not any(x.tobytes() in seen for x in load("digits").test_images.numpy())


def draws_of(evaluator, monkeypatch, train):
    """The architectures of 200 steps, as ``train`` draws them."""
    steps = []

    def spy(net, data, draw, *args, **options):
        steps.extend([path.keywords["architecture"] for path in draw()] for _ in range(200))
        return TrainingReport({"loss": 0.0}, steps=1, skipped=0)

    monkeypatch.setattr("moonas.evaluators.supernet.train_epochs", spy)
    train(evaluator)
    return steps


def test_warm_up_draws_every_choice_of_every_gene_alike(tiny, monkeypatch):
    problem = moonas.load_problem("cars", **tiny, architectures_per_step=20)
    problem.evaluate(rows(problem, 1))
    steps = draws_of(problem.evaluator, monkeypatch, lambda evaluator: evaluator.warm_up())
    drawn = np.array([space.encode(a) for step in steps for a in step])
    assert len(drawn) == 4000
    for gene, k in enumerate(space.N_CHOICES):
        shares = np.bincount(drawn[:, gene], minlength=k) / len(drawn)
        # 4 standard errors
        assert np.abs(shares - 1 / k).max() <= 4 * math.sqrt(1 / k * (1 - 1 / k) / len(drawn))


def test_a_step_trains_b_different_parents(tiny, monkeypatch):
    problem = moonas.load_problem("cars", **tiny, architectures_per_step=2)
    problem.evaluate(rows(problem, 1))
    candidates = problem.session.candidates(rows(problem, 5))
    parents = list(candidates)
    steps = draws_of(problem.evaluator, monkeypatch, lambda e: e.train(candidates))
    assert all(len(set(step)) == 2 for step in steps)
    visits = np.array([sum(parent in step for step in steps) for parent in parents])
    # each pair is alike, so a parent is in a step with chance 2/5; 4 standard errors
    assert np.abs(visits / 200 - 0.4).max() <= 4 * math.sqrt(0.4 * 0.6 / 200)


def test_training_makes_scores_better(tiny):
    options = tiny | dict(channels=4, batch=32, epochs=3, generations=4)
    problem = moonas.load_problem("cars", **options)
    best = []
    minimize(
        problem,
        problem.algorithm(),
        ("n_gen", 4),
        seed=1,
        callback=lambda algorithm: best.append(algorithm.pop.get("error").min()),
    )
    assert best[-1] < best[0] - 10


def test_growth_is_the_difference_of_the_scores_before_and_after_by_epoch(tiny, tmp_path):
    problem = moonas.load_problem("cars", **tiny | dict(epochs=2), journal=tmp_path)
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


def test_frozen_scores_do_not_depend_on_the_run(tiny):
    problem = moonas.load_problem("cars", weights="frozen", **tiny)
    X = rows(problem, 3)
    before = problem.evaluate(X)
    result = run(problem, seed=5)
    assert np.array_equal(problem.evaluate(X), before)
    assert np.array_equal(problem.evaluate(result.pop.get("X")), result.pop.get("F"))
    other = moonas.load_problem("cars", weights="frozen", **tiny)
    assert np.array_equal(other.evaluate(X), before)
    reseeded = moonas.load_problem("cars", weights="frozen", supernet_seed=1, **tiny)
    assert not np.array_equal(reseeded.evaluate(X), before)


def test_a_frozen_run_resumes_without_training_again(tiny, tmp_path):
    def start(generations):
        problem = moonas.load_problem("cars", weights="frozen", journal=tmp_path / "a", **tiny)
        return problem, run(problem, generations=generations)

    start(2)
    problem, resumed = start(4)
    assert problem.evaluator._warm is None
    straight = run(moonas.load_problem("cars", weights="frozen", **tiny), generations=4)
    assert np.array_equal(resumed.pop.get("F"), straight.pop.get("F"))


@pytest.mark.parametrize(
    ("weights", "name"),
    [("shared", name) for name in sorted(ALGORITHMS)]
    + [("frozen", name) for name in ("moead", "pnsga3", "random")],
)
def test_every_algorithm_searches(name, weights, tiny):
    problem = moonas.load_problem("cars", weights=weights, **tiny | dict(frozen_epochs=1))
    result = run(problem, moonas.algorithm(name, problem))
    found = moonas.front(result)
    assert found
    X = np.array([row.x for row in found])
    assert np.array_equal(
        problem.evaluate(X), [[r.objectives["error"], r.objectives["params"]] for r in found]
    )


def test_scores_do_not_depend_on_the_number_of_workers(tiny):
    X = rows(moonas.load_problem("cars", **tiny), 7)
    scores = [
        moonas.load_problem("cars", **tiny | dict(workers=workers)).evaluate(X)
        for workers in (1, 2, 5)
    ]
    assert np.array_equal(scores[0], scores[1]) and np.array_equal(scores[0], scores[2])


@pytest.mark.parametrize("backend", [pytest.param("loky", marks=pytest.mark.slow), "threading"])
def test_a_search_does_not_depend_on_joblibs_workers(tiny, backend):
    alone = run(moonas.load_problem("cars", **tiny))
    with joblib.parallel_config(backend=backend, n_jobs=2):
        spread = run(moonas.load_problem("cars", **tiny))
    assert np.array_equal(alone.pop.get("X"), spread.pop.get("X"))
    assert np.array_equal(alone.pop.get("F"), spread.pop.get("F"))


def test_three_objectives_by_name(tiny):
    problem = moonas.load_problem("cars", objectives=("macs", "error", "params"), **tiny)
    result = run(problem, generations=2)
    assert result.pop.get("F").shape == (6, 3)
    X = result.pop.get("X").astype(int)
    counts = problem.costs.count(*space.edges(X))
    assert np.array_equal(result.pop.get("F")[:, [2, 0]], counts)


def test_measured_latency_is_an_objective_and_is_kept_for_the_run(tiny, tmp_path):
    options = tiny | dict(objectives=("error", "latency_ms"), latency_batch=2)
    problem = moonas.load_problem("cars", **options, journal=tmp_path)
    first = run(problem, generations=3)
    by_row = {}
    for record in read_run(tmp_path)[1]:
        if "latency_ms" in record["result"]:
            for x, ms in zip(record["request"]["x"], record["result"]["latency_ms"], strict=True):
                assert ms > 0 and by_row.setdefault(tuple(x), ms) == ms
    again = moonas.load_problem("cars", **options, journal=tmp_path)
    resumed = run(again, generations=4)
    for individual in resumed.pop:
        ms = by_row.get(tuple(individual.X.tolist()))
        assert ms is None or individual.F[1] == ms
    assert set(first.pop.get("F")[:, 1]) <= set(by_row.values())


def test_latency_can_come_from_a_table(tiny, tmp_path):
    problem = moonas.load_problem("cars", **tiny)
    keys = [part.key for part in problem.operations()]
    table = {key: float(2**i % 97) for i, key in enumerate(keys)}
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"parts": table}))
    options = tiny | dict(objectives=("error", "latency_ms"), latency_table=str(path))
    x = rows(problem, 1)
    found = moonas.load_problem("cars", **options).evaluate(x)[0, 1]

    architecture = space.decode(x[0])
    stem, pre, classifier = "stem 1-2 s1 8x8", "preprocess", "classifier 32-10 s1 2x2"
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
    assert found == pytest.approx(sum(table[key] for key in fixed + edges))


def test_a_latency_table_of_another_shape_is_refused(tiny, tmp_path):
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"parts": {}}))
    options = tiny | dict(objectives=("error", "latency_ms"), latency_table=str(path))
    with pytest.raises(ValueError, match="lacks .* parts of this search space"):
        moonas.load_problem("cars", **options)


def test_another_latency_table_under_the_same_name_is_noticed(tiny, tmp_path):
    keys = [part.key for part in moonas.load_problem("cars", **tiny).operations()]
    path = tmp_path / "table.json"
    options = tiny | dict(objectives=("error", "latency_ms"), latency_table=str(path))
    for ms in (1.0, 2.0):
        path.write_text(json.dumps({"parts": dict.fromkeys(keys, ms)}))
        problem = moonas.load_problem("cars", **options)
        if ms == 1.0:
            run(moonas.load_problem("cars", **options, journal=tmp_path / "run"), generations=1)
    assert problem.evaluate(rows(problem, 1))[0, 1] == 2 * (1 + 2 * 3 + 8 * 3 + 1)
    with pytest.raises(RunMismatch, match="inputs"):
        moonas.load_problem("cars", **options, journal=tmp_path / "run")


def test_params_and_macs_are_those_of_the_target_network(tiny):
    problem = moonas.load_problem("cars", target_channels=36, target_layers=20, **tiny)
    architecture = zoo.architectures()["CARS_A"]
    # the published 2,432,206 less the stem's and first cell's share of two channels of colour
    params = problem.evaluate(space.encode(architecture))[1]
    network = problem.network(architecture)
    assert params == sum(p.numel() for p in network.parameters())
    assert params == 2_432_206 - 2 * 9 * 3 * 36


def test_algorithm_of_the_paper(tiny):
    algorithm = moonas.load_problem("cars", **tiny | dict(population=10, expand=1.5)).algorithm()
    assert type(algorithm).__name__ == "NSGA3"
    assert type(algorithm.survival).__name__ == "PNSGA3Survival"
    assert algorithm.pop_size == 10 and algorithm.n_offsprings == 15
    assert algorithm.survival.cut == "niching" and algorithm.survival.second == "growth"
    released = moonas.load_problem("cars", protection="size", cut="random", **tiny).algorithm()
    assert (released.survival.second, released.survival.cut) == ("size", "random")
    by_name = moonas.algorithm("pnsga3", moonas.load_problem("cars", protection="size", **tiny))
    assert by_name.survival.second == "size"
    plain = moonas.load_problem("cars", protection="none", **tiny).algorithm()
    assert type(plain.survival).__name__ == "ReferenceDirectionSurvival"
    assert type(plain.mating).__name__ == "CARSMating"


def test_preset_of_the_paper_is_500_epochs():
    s = moonas.load_problem("cars", preset="paper").settings
    assert s.warmup_epochs + (s.generations - 1) * s.epochs == 500
    assert (s.population, s.warmup_epochs, s.channels, s.layers, s.batch) == (128, 50, 16, 8, 128)
    assert s.data == "cifar10"


def test_offspring_are_crossed_mutated_and_new_in_the_papers_shares(tiny):
    problem = moonas.load_problem("cars", **tiny)
    # parents of two kinds: all genes at their lowest, all at their highest
    low, high = np.zeros(space.N_VAR, int), space.N_CHOICES - 1
    pop = Population.new(X=np.array([low, high] * 10))
    n = 4000
    off = CARSMating().do(problem, pop, n, random_state=np.random.default_rng(0)).get("X")
    problem.check_rows(off)
    # a node of 6 genes has the lowest or the highest value throughout: by chance only if fresh
    kept = [((off[:, g] == low[g]).all(1) | (off[:, g] == high[g]).all(1)) for g in space.NODES]
    crossed = np.all(kept, axis=0)  # all nodes from parents: crossed, or mutated nowhere
    some = np.any(kept, axis=0)
    # mutated nowhere: 0.25 * 0.5**4; mutated everywhere: the same, looks fresh
    for share, expected in ((crossed, 0.25 + 0.25 / 16), (some, 0.5 - 0.25 / 16)):
        # 4 standard errors, and 0.003 for fresh nodes that look like a parent's
        error = 4 * math.sqrt(expected * (1 - expected) / n) + 0.003
        assert abs(share.mean() - expected) <= error


def test_children_never_repeat_the_population_or_each_other(tiny):
    problem = moonas.load_problem("cars", **tiny)
    pop = Population.new(X=rows(problem, 6))
    mating = CARSMating(crossover=1.0, mutation=0.0, eliminate_duplicates=SameRow())
    off = mating.do(problem, pop, 60, random_state=np.random.default_rng(0)).get("X")
    both = np.vstack([off, pop.get("X")])
    assert len(np.unique(both, axis=0)) == len(both)


def test_a_learning_rate_that_is_too_high_is_named(tiny):
    problem = moonas.load_problem("cars", learning_rate=1e30, **tiny | dict(warmup_epochs=3))
    with pytest.raises(SearchFailed):
        run(problem)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(epochs=0), "epochs=0 is invalid: expected at least 1"),
        (dict(size="macs"), r"size='macs' is invalid: expected one of \['params'\]"),
        (dict(objectives=("error", "speed")), "Unknown objective 'speed'; choose from"),
        (dict(objectives=("error",)), "two or more"),
        (dict(weights="cold"), r"weights='cold' is unknown; choose from \['shared', 'frozen'\]"),
        (dict(data="nowhere"), "'nowhere' is not there"),
        (dict(device="gpu"), "Unknown device 'gpu'"),
        (dict(learning_rate=0.0), "learning_rate=0.0 is invalid: expected more than 0"),
        (dict(target_layers=0), "target_layers=0"),
        (dict(image_size=0), "image_size=0"),
    ],
)
def test_settings_that_will_not_do_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        moonas.load_problem("cars", **options)


def test_settings_list_their_help():
    from moonas.settings import describe

    assert {"warmup_epochs", "protection"} <= {row[0] for row in describe(Settings)}


def test_zoo_has_the_published_counts():
    item = moonas.zoo("CARS_A")
    assert item.counts["CIFAR-10, 36 channels, 20 cells"] == (2_432_206, 392_054_400)
    assert item.counts["ImageNet, 48 channels, 14 cells"] == (3_687_712, 410_524_032)
    assert "Yang" in item.source
    with pytest.raises(ValueError, match="'CARS_Z'; choose from .*'CARS_A'"):
        moonas.zoo("CARS_Z")
