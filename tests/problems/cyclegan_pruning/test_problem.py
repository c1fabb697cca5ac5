import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from cyclegans import PRUNING, SMALL
from moonas.problems.cyclegan_pruning.operators import ImportanceSampling, filters_of_size
from moonas.problems.cyclegan_pruning.settings import PretrainingSettings, PruningSettings
from moonas.problems.cyclegan_pruning.weights_file import read_gan, read_models
from PIL import Image
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.population import Population
from searches import TINY, rows, run, words

import moonas
from moonas.algorithms import algorithm
from moonas.cli import main
from moonas.nets.counting import count_params
from moonas.run.callbacks import RunCallback
from moonas.run.journal import read_run


def test_losses_above_the_maximum_are_clipped(make_problem):
    problem = make_problem()
    architecture = problem.decode(rows(problem, 1)[0])
    columns = problem.columns_of(architecture, {"a": 1e9, "b": 1.0})
    assert columns["loss_a"] == problem.max_loss and columns["loss_b"] == 1
    problem_with_sums = make_problem(norm="sum", cycle_weight=2.0)
    assert problem_with_sums.max_loss == problem_with_sums.n_patches + 2 * 3 * 8 * 8
    problem_with_pixels = make_problem(norm="sum", cycle_weight=2.0, loss="generator")
    assert problem_with_pixels.max_loss == 3 * 3 * 8 * 8


def test_a_row_with_an_empty_mask_raises_an_error(make_problem):
    problem = make_problem()
    x = np.ones(problem.n_var, dtype=bool)
    x[:2] = False
    with pytest.raises(ValueError, match=r"Mask 0 of generator a keeps no filter.*operators\(\)"):
        problem.evaluate(x)


def test_a_genetic_algorithm_minimizes_the_fitness_of_equation_8(make_problem):
    problem = make_problem(objectives=["fitness"])
    assert problem.plotted_columns == ("fitness", "size")
    result = run(problem, GA(pop_size=6, **problem.operators()))
    assert result.F.shape == (1,)
    assert result.F[0] == result.pop.get("fitness").min()
    (row,) = moonas.front(result)
    assert problem.pick([row]) == 0
    assert row.objectives["fitness"] == pytest.approx(
        row.columns["fitness_a"] + row.columns["fitness_b"]
    )


def test_random_search_repairs_empty_masks(make_problem):
    problem = make_problem(density=0.1)  # most sampled rows have an empty mask
    assert moonas.front(run(problem, algorithm("random", problem, 6)))


def test_nsga2_minimizes_any_columns_and_the_row_with_the_lowest_fitness_is_picked(make_problem):
    names = ["loss_a", "loss_b", "size_a", "size_b"]
    problem = make_problem(objectives=names)
    front = moonas.front(run(problem, NSGA2(pop_size=6, **problem.operators())))
    assert front and list(front[0].objectives) == names
    picked = problem.pick(front)
    assert front[picked].columns["fitness"] == min(row.columns["fitness"] for row in front)
    assert problem.pick([]) is None


def test_algorithm_1_uses_the_fitness_of_each_generator(make_problem):
    preset = PruningSettings.PRESETS["algorithm-1"]
    names = ("operators", "replacement", "update", "first_partner", "initial", "archive")
    problem = make_problem(population=5, generations=4, **{k: preset[k] for k in names})
    result = run(problem, generations=4, copy_algorithm=False)
    coevolution = result.algorithm
    assert result.pop.get("X").dtype == bool and len(result.pop) == 11
    best = coevolution.species[0][coevolution.costs[0].argmin()]
    assert np.array_equal(coevolution.best[: problem.species_bits[0]], best)
    assert np.array_equal(result.pop[-1].X, coevolution.best)
    fitness = result.pop[:5].get("fitness_a").astype(float)
    assert np.array_equal(coevolution.costs[0], fitness)


class Scores(RunCallback):
    """Collects the rows and columns of all evaluations of a run."""

    def __init__(self):
        self.rows, self.fitness, self.cycle = [], [], []

    def on_scores(self, candidates, columns):
        self.rows.append(candidates.X)
        self.fitness.append(columns["fitness"])
        self.cycle.append(columns["cycle"])


def test_the_best_pair_of_the_whole_run_is_picked(make_problem):
    problem, scores = make_problem(population=6, generations=5, tune_steps=1), Scores()
    problem.callbacks.append(scores)
    result = run(problem, generations=5)
    assert [len(X) for X in scores.rows] == 10 * [6]  # both populations in turn, nothing else
    X, fitness = np.concatenate(scores.rows), np.concatenate(scores.fitness)
    rows = moonas.front(result)
    assert np.array_equal(rows[problem.pick(rows)].x, X[fitness.argmin()])
    assert all(not x.reshape(2, -1).all(axis=1).any() for x in X)  # no uncompressed generator
    assert np.isfinite(np.concatenate(scores.cycle)).all()


def test_initial_masks_keep_important_filters_and_the_journal_records_the_importance(
    make_problem, tmp_path
):
    options = dict(population=8, generations=1, tune_share=1.0)
    problem = make_problem(**options, journal=tmp_path / "run")
    result = run(problem, generations=1)
    kinds = [record["kind"] for record in read_run(tmp_path / "run")[1]]
    assert kinds == ["train", "importance", "score", "score"]
    recorded = read_run(tmp_path / "run")[1][1]["result"]["importance"]
    importance = problem.evaluator.importance()
    assert np.allclose(recorded, importance.ravel())
    first = np.concatenate([X[0] for X in result.algorithm.offspring])
    for k, half in enumerate(np.split(first, 2)):
        value = importance[k] / problem.weights_per_filter
        assert value[half].mean() > value[~half].mean()
    problem.journal.close()
    before = (tmp_path / "run" / "journal.jsonl").read_bytes()
    replayed = make_problem(**options, journal=tmp_path / "run")
    again = run(replayed, generations=1)
    replayed.journal.close()
    assert np.array_equal(again.pop.get("X"), result.pop.get("X"))
    assert (tmp_path / "run" / "journal.jsonl").read_bytes() == before


def test_sampled_generators_have_different_sizes_and_a_share_of_random_masks(make_problem):
    problem = make_problem()
    n = 9
    X = (
        problem.operators()["sampling"]
        .do(problem, n, random_state=np.random.default_rng(1))
        .get("X")
    )
    value = problem.importance() / problem.weights_per_filter
    sizes = np.array(
        [
            [problem.costs.count(problem.decode(x).masks(k))[0] for k in "ab"]
            for x in problem.operators()["repair"](
                problem, Population.new(X=X), random_state=np.random.default_rng(1)
            ).get("X")
        ]
    )
    sizes = sizes / problem.costs.total[0]
    assert sizes.max() > 2 * sizes.min()
    # the greedy generators are as large as possible, and the first has the size density^2
    assert sizes[0].min() > 0.1 and sizes[0].max() <= 0.25
    only_random = ImportanceSampling(0.5, random_share=1.0)
    Y = only_random.do(problem, 400, random_state=np.random.default_rng(2)).get("X")
    kept = np.array([value.ravel()[y].mean() for y in Y[1:]])
    greedy = value.ravel()[X[0]].mean()
    assert kept.mean() < greedy


def test_copies_do_not_limit_the_crossover_of_operators_without_copies(make_problem):
    assert make_problem(crossover=0.9).settings.crossover == 0.9


def test_random_search_evaluates_as_many_pairs_as_the_co_evolution(make_problem):
    problem = make_problem(initial="importance")
    counts = []
    run(
        problem,
        algorithm("random", problem, 6),
        generations=4,
        callback=lambda search: counts.append(search.evaluator.n_eval),
    )
    assert counts == [6, 12, 18, 24]


def test_samples_after_the_initial_population_have_random_sizes(make_problem):
    problem = make_problem()
    sampling = ImportanceSampling(0.5, random_share=0.0)
    started = SimpleNamespace(is_initialized=True)
    importance = problem.importance()
    problem.importance = lambda algorithm: importance
    samples = [
        sampling.do(problem, 1, random_state=np.random.default_rng(i), algorithm=started).get("X")
        for i in range(20)
    ]
    kept = np.concatenate(samples).mean(axis=1)
    assert len(set(kept)) > 10 and kept.max() > 1.5 * kept.min()


def test_an_equally_good_filter_that_needs_fewer_weights_is_kept(make_problem):
    problem = make_problem()
    importance, noise = np.ones(problem.space.n_bits), np.zeros(problem.space.n_bits)
    total = problem.costs.total[0]
    for size in (0.2, 0.4, 0.7, 1.0):
        bits = filters_of_size(problem, importance, noise, size)
        parts = problem.space.slices[: len(problem.space.sizes)]
        weights = problem.costs.count([bits[part] for part in parts])[0]
        assert weights <= size * total
        costs = problem.weights_per_filter
        dropped = costs[~bits]
        if len(dropped):
            # each mask keeps one filter, whatever it costs
            assert (costs[bits] > dropped.min()).sum() <= len(parts)
            cheapest = np.flatnonzero(~bits)[dropped.argmin()]
            bits[cheapest] = True  # one more filter is too large
            assert problem.costs.count([bits[part] for part in parts])[0] > size * total
    assert bits.all()


def test_the_paper_presets_equal_the_settings_in_the_paper():
    s = PruningSettings(**PruningSettings.PRESETS["paper"])
    assert (s.population, s.generations, s.gamma, s.cycle_weight) == (32, 101, 10, 10)
    literal = PruningSettings(**PruningSettings.PRESETS["algorithm-1"])
    assert literal.operators == "segments" and literal.gamma == 10
    assert (s.width, s.blocks, s.image_size, s.tune_share) == (64, 9, 256, 0.1)
    s = PretrainingSettings(**PretrainingSettings.PRESETS["paper"])
    assert (s.batch, s.learning_rate, s.beta1, s.pool) == (1, 2e-4, 0.5, 50)
    assert (s.cycle, s.identity, s.epochs, s.decay_epochs) == (10, 5, 100, 100)
    assert (s.image_size + s.margin, s.flip) == (286, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            dict(crossover=0.9, operators="segments"),
            "crossover=0.9 is invalid: expected at most 1 - copy",
        ),
        (dict(crossover=1.1), "crossover=1.1 is invalid"),
        (dict(features="torchvision:nothing"), "expected one of torchvision's classifiers"),
        (dict(features="nowhere.py:net"), "features='nowhere.py:net' is invalid"),
        (dict(objectives=[]), "one or more different columns"),
        (dict(objectives=["error"]), "Unknown objective 'error'"),
        (dict(image_size=10), "a multiple of 4"),
        (dict(data="digits", segmentation="a:b"), "no label maps"),
        (dict(d_layers=5, weights=None), "d_layers=5 is invalid: images of 8x8 pixels"),
        (dict(width=4), r"expected width=4, got width=2"),
        (dict(weights="nowhere.pt"), "nowhere.pt is missing"),
        (dict(inception_weights="nowhere.pt"), "none, or an existing file"),
        (dict(from_run="nowhere"), "none, because from_run already provides the weights"),
        (dict(from_run="nowhere", weights=None), "nowhere does not contain cyclegan.pt"),
    ],
)
def test_the_error_for_an_invalid_setting_names_the_setting(make_problem, options, message):
    with pytest.raises(ValueError, match=message):
        make_problem(**options)


def test_a_search_that_was_interrupted_within_a_generation_resumes_with_the_same_result(
    make_problem, tmp_path
):
    def search(folder, n_scored=None):
        problem = make_problem(journal=tmp_path / folder, tune_steps=1)
        if n_scored is not None:
            score, remaining = problem.evaluator.score, iter(range(n_scored))

            def interrupted_score(candidates):
                if next(remaining, None) is None:
                    raise KeyboardInterrupt
                return score(candidates)

            problem.evaluator.score = interrupted_score
        try:
            return run(problem, seed=3, generations=2)
        finally:
            problem.journal.close()

    with pytest.raises(KeyboardInterrupt):
        search("resumed", n_scored=8)
    resumed, uninterrupted = search("resumed"), search("uninterrupted")
    assert np.array_equal(resumed.pop.get("X"), uninterrupted.pop.get("X"))
    files = [
        (tmp_path / name / "journal.jsonl").read_bytes() for name in ("resumed", "uninterrupted")
    ]
    assert files[0] == files[1]


def contents(folder):
    """Return the bytes of each file by its name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_the_command_line_searches_and_fine_tunes(reduced_digits, tmp_path, capsys):
    out = tmp_path / "run"
    search = ["search", "cyclegan-pruning", "--out", str(out), "--set"]
    search += words(TINY["cyclegan-pretraining"] | SMALL, "cyclegan-pretraining")
    search += words(PRUNING | dict(tune_steps=1), "cyclegan-pruning")
    assert main(search) == 0
    printed = capsys.readouterr().out
    assert "A to B, original" in printed and "digits recognized: original" in printed
    folder = out / "cyclegan-pruning"
    written = {"compressed.pt", "cyclegan.pt", "translations.png", "comparison.json"}
    written |= {"filters.png"}
    assert written <= set(contents(folder))
    comparison = json.loads((folder / "comparison.json").read_text())
    compressed = read_gan(folder / "compressed.pt")
    for k in "ab":
        sizes = comparison["sizes"]["compressed"][k]
        assert sizes["params"] == count_params(compressed.gan.generators[k])
        assert sizes["cpu_ms"] > 0
    with Image.open(folder / "translations.png") as picture:
        assert picture.size[0] > 500

    # A complete run is not repeated, even after its folder is moved; missing files are rewritten.
    before = contents(folder)
    out = out.rename(tmp_path / "moved")
    search[search.index("--out") + 1] = str(out)
    folder = out / "cyclegan-pruning"
    (folder / "compressed.pt").unlink()
    assert main(search) == 0
    printed = capsys.readouterr().out
    assert "This run is complete" in printed and "digits recognized: original" in printed
    assert contents(folder) == before

    train = ["train", str(out), "--set", "epochs=1", "decay_epochs=1"]
    assert main(train) == 0
    assert "fine-tuning" in capsys.readouterr().out
    names = {path.name for path in (out / "training").glob("*.pt") if "weights" not in path.name}
    assert names == {"model-a.pt", "model-b.pt"}
    tuned = read_models(out / "training")
    assert tuned.architecture == compressed.architecture
    assert tuned.about["settings"]["epochs"] == 1
    shared = ("shape", "side", "data", "encoding", "masks")
    assert all(tuned.about[key] == compressed.about[key] for key in shared)
    searched, trained = (
        torch.cat([p.flatten() for p in saved.gan.generators.parameters()])
        for saved in (compressed, tuned)
    )
    assert searched.shape == trained.shape and not torch.equal(searched, trained)
    assert main(train) == 0
    assert "This run is complete" in capsys.readouterr().out
    # The width and the number of blocks are always those of the searched networks.
    assert main([*train, "epochs=0", "width=9", "blocks=7", "--out", str(tmp_path / "wide")]) == 0
    assert read_models(tmp_path / "wide").about["shape"]["width"] == 2


def test_a_search_with_weights_from_a_file_does_not_train_a_cyclegan(
    domains, weights, tmp_path, capsys
):
    options = PRUNING | dict(data=domains, weights=weights, population=2, generations=1)
    line = ["search", "cyclegan-pruning", "--out", str(tmp_path), "--set", *words(options)]
    assert main(line) == 0
    assert "training the CycleGAN" not in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["cyclegan-pruning"]
