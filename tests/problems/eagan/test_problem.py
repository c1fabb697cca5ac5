import itertools
import json
import math
from functools import partial

import numpy as np
import pytest
import torch
from moonas.problems.eagan import zoo
from moonas.problems.eagan.discriminator_net import SimpleDiscriminator
from moonas.problems.eagan.evaluators import OneToOne
from moonas.problems.eagan.final_training import GanTrainer, build
from moonas.problems.eagan.gan_file import read_trained_gan
from moonas.problems.eagan.operations import inherit_weights
from moonas.problems.eagan.space import DiscriminatorSpace, GeneratorSpace
from moonas.problems.eagan.training import AdversarialReport
from pymoo.algorithms.moo.nsga2 import NSGA2
from searches import DEVICE, TINY, rows, run, words

import moonas
from moonas.cli import main
from moonas.errors import TrainingWarning
from moonas.files.tensors import fingerprint
from moonas.problem import SearchFailed
from moonas.registry import attach_journal
from moonas.run.callbacks import RunCallback
from moonas.run.folders import last_run
from moonas.run.journal import RunMismatch, read_run
from moonas.testing import check_resume
from moonas.training.sgd import training_state

STAGES = ("eagan-generator", "eagan-discriminator")


class TrainingReports(RunCallback):
    """Append the report of each training to a list."""

    def __init__(self, reports):
        self.reports = reports

    def on_training(self, report):
        self.reports.append(report)


@pytest.fixture(scope="module")
def load_small_problem(tiny_of, few_digits):
    """Function that loads a problem whose search takes a second; it accepts a stage and options."""
    images = dict(data=few_digits, batch=50)  # two steps per epoch

    def load_small_problem(name, **options):
        return moonas.load_problem(name, **tiny_of(name) | images | options)

    return load_small_problem


@pytest.fixture(scope="module", params=STAGES)
def finished_search(request, load_small_problem, tmp_path_factory):
    """A problem, the result of its search over three generations, and the calls in its journal."""
    folder = tmp_path_factory.mktemp(request.param) / "run"
    problem = load_small_problem(request.param, journal=folder, population=8)
    result = run(problem)
    return problem, result, read_run(folder)[1]


def fingerprint_of(generator):
    """Return the fingerprint of the weights and the optimizer state of a generator."""
    return fingerprint(training_state(generator.net, generator.optimizer))


def test_each_generation_trains_and_scores_parents_and_offspring_together(finished_search):
    _, result, calls = finished_search
    assert [c["kind"] for c in calls] == ["train", *["train", "score"] * 3]
    for train, score in zip(calls[1::2], calls[2::2], strict=True):
        assert len(train["request"]["who"]) == 16  # 8 parents, 8 offspring; at first 16 networks
        assert train["request"]["who"] == score["request"]["x"]
    assert len(result.pop) == 8


def test_the_first_round_trains_p_random_networks(finished_search):
    problem, _, calls = finished_search
    first = np.array(calls[1]["request"]["who"])
    distances = (first[:, None] != first[None]).sum(axis=2)[~np.eye(16, dtype=bool)]
    # two random networks share the operation on an edge with probability 1/3 or less
    assert distances.mean() > 0.6 * problem.n_var
    survivors = {tuple(row) for row in calls[3]["request"]["who"][:8]}
    assert survivors < {tuple(row) for row in first.tolist()}


def test_a_first_round_of_an_earlier_version_evaluates_untrained_networks(
    load_small_problem, tmp_path
):
    problem = load_small_problem(
        "eagan-generator", journal=tmp_path / "run", population=2, first_round="untrained"
    )
    run(problem, generations=2)
    calls = read_run(tmp_path / "run")[1]
    assert [c["kind"] for c in calls] == ["train", "score", "train", "score"]
    assert [len(calls[k]["request"]["x"]) for k in (1, 3)] == [2, 4]


def test_offspring_differ_from_the_closest_parent_in_one_to_four_genes(finished_search):
    for call in finished_search[2][3::2]:
        population_rows = np.array(call["request"]["who"])
        parents, offspring = population_rows[:8], population_rows[8:]
        distances = (offspring[:, None] != parents[None]).sum(axis=2).min(axis=1)
        # crossover and mutation change one gene each, and the rules at most two more
        assert distances.min() >= 1 and distances.max() <= 4


def test_all_rows_of_a_population_are_canonical(finished_search):
    problem, result, _ = finished_search
    for x in result.pop.get("X"):
        assert np.array_equal(problem.encode(problem.decode(x)), x)


def operation_probabilities(space):
    """Return the probability of each operation on each edge if all genes are uniform.

    Rules replace ``none`` by an identity if every edge into a node is ``none``.
    """
    probabilities = [dict.fromkeys(choices, 1 / len(choices)) for choices in space.edge_choices]
    rule_probabilities = {2: 1 / 49, 4: 1 / 49}
    if isinstance(space, GeneratorSpace):
        rule_probabilities = {3: 1 / 49, 6: 1 / 343}
    for e, p in rule_probabilities.items():
        probabilities[e]["none"] -= p
        probabilities[e]["skip_connect"] += p
    return probabilities


@pytest.mark.parametrize("stage", STAGES)
def test_the_warm_up_samples_operations_uniformly(stage, load_small_problem, monkeypatch):
    side = 32 if stage == "eagan-discriminator" else None
    problem = load_small_problem(
        stage, image_size=side, warmup_networks="new", networks_per_step=2, d_steps=1
    )
    evaluator, n, sampled = problem.evaluator, 4000, []

    def sample(images, sample_pairs, *args, **kwargs):
        pairs = [pair for _ in range(n // 2) for pair in sample_pairs()]
        paths = [p.generate if stage == "eagan-generator" else p.score for p in pairs]
        if isinstance(paths[0], partial):  # false while stage 2 trains the generator
            sampled.extend(path.keywords["architecture"] for path in paths)
        return AdversarialReport.from_losses([0.0], [])

    monkeypatch.setattr("moonas.problems.eagan.evaluators.train_adversarially", sample)
    evaluator.quality.images = torch.empty(50)  # so that no data set is loaded
    evaluator.quality.held_out = torch.empty(0)
    evaluator.begin(1)
    evaluator.warm_up()
    assert len(sampled) == n
    for cell in range(3):
        for e, probabilities in enumerate(operation_probabilities(problem.space)):
            if stage == "eagan-discriminator" and e in (5, 6):
                continue  # E6 depends on E5
            for name, p in probabilities.items():
                share = np.mean([a.cells[cell][e] == name for a in sampled])
                assert abs(share - p) < 4 * math.sqrt(p * (1 - p) / n), (cell, e, name)


@pytest.mark.parametrize("per_step", [1, 3])
def test_training_samples_candidates_uniformly(load_small_problem, per_step):
    problem = load_small_problem("eagan-generator", networks_per_step=per_step)
    problem.evaluate(rows(problem, 1))
    sampled = [problem.evaluator.sample_indices(4) for _ in range(4000)]
    assert {len(set(indices)) for indices in sampled} == {per_step}
    shares, p = np.bincount(np.concatenate(sampled), minlength=4) / 4000, per_step / 4
    assert np.abs(shares - p).max() < 4 * math.sqrt(p * (1 - p) / 4000)
    assert len(problem.evaluator.sample_indices(2)) == min(per_step, 2)


def stage_2_after_warm_up(load_small_problem, **options):
    """Return stage 2 after the warm-up, its evaluator, and four discriminators."""
    problem = load_small_problem("eagan-discriminator", batch=20, **options)  # five steps per epoch
    problem.evaluate(rows(problem, 1))
    evaluator = problem.evaluator
    evaluator.warm_up()
    architectures = [problem.decode(x) for x in rows(problem, 4)]
    return problem, evaluator, architectures


def test_the_warm_up_of_stage_2_trains_discriminators_but_not_the_generator(load_small_problem):
    problem = load_small_problem("eagan-discriminator", generator_epochs=0)
    problem.evaluate(rows(problem, 1))
    evaluator = problem.evaluator
    before = fingerprint_of(evaluator.best_generator), fingerprint(evaluator.D.state_dict())
    evaluator.warm_up()
    assert fingerprint_of(evaluator.best_generator) == before[0]
    assert fingerprint(evaluator.D.state_dict()) != before[1]


def test_training_one_gan_does_not_change_the_generators_of_the_others(load_small_problem):
    problem, evaluator, architectures = stage_2_after_warm_up(load_small_problem)
    evaluator.train(problem.candidates(architectures))
    copies = list(evaluator.generators.values())
    before = [fingerprint_of(copy) for copy in copies]
    first = evaluator.training_pair(copies[0], partial(evaluator.D, architecture=architectures[0]))
    evaluator.run_epochs("training one GAN", 1, lambda: [first], evaluator.D, evaluator.d_optimizer)
    after = [fingerprint_of(copy) for copy in copies]
    assert after[0] != before[0] and after[1:] == before[1:]
    storages = {p.data_ptr() for copy in copies for p in copy.weights}
    assert len(storages) == sum(len(copy.weights) for copy in copies)
    moments = {m["exp_avg_sq"].data_ptr() for c in copies for m in c.optimizer.state.values()}
    assert len(moments) == sum(len(copy.optimizer.state) for copy in copies)


def test_weight_resetting_copies_the_generator_with_the_lowest_fid(load_small_problem):
    problem, evaluator, architectures = stage_2_after_warm_up(load_small_problem)
    evaluator.train(problem.candidates(architectures))
    best = min(evaluator.scores, key=lambda key: evaluator.scores[key][0])
    expected = fingerprint_of(evaluator.generators[best])
    assert len({fingerprint_of(copy) for copy in evaluator.generators.values()}) == 4
    evaluator.assign_generators([evaluator.key_of(a) for a in architectures])
    assert {fingerprint_of(copy) for copy in evaluator.generators.values()} == {expected}


def test_without_weight_resetting_survivors_keep_their_generators_and_offspring_inherit_one(
    load_small_problem,
):
    problem, evaluator, architectures = stage_2_after_warm_up(
        load_small_problem, weight_resetting=False
    )
    evaluator.train(problem.candidates(architectures))
    keys = [evaluator.key_of(a) for a in architectures]
    old = {key: fingerprint_of(evaluator.generators[key]) for key in keys}
    new = evaluator.key_of(problem.decode(rows(problem, 5)[4]))
    evaluator.assign_generators([keys[2], keys[0], new])
    assigned = {key: fingerprint_of(copy) for key, copy in evaluator.generators.items()}
    assert assigned[keys[0]] == old[keys[0]] and assigned[keys[2]] == old[keys[2]]
    assert assigned[new] == old[keys[1]]  # the discriminator that did not survive
    assert len(evaluator.generators) == 3


def test_stage_2_scores_a_discriminator_by_the_images_of_its_generator(load_small_problem):
    problem, evaluator, architectures = stage_2_after_warm_up(load_small_problem)
    evaluator.train(problem.candidates(architectures))
    columns = evaluator.score(problem.candidates(architectures))
    for i, a in enumerate(architectures):
        scores = evaluator.quality.evaluate(evaluator.networks_of(a)[0], evaluator.latents)
        assert columns["fid"][i] == scores["fid"]
    assert len(set(columns["fid"])) == 4
    untrained = problem.decode(rows(problem, 5)[4])
    best = evaluator.quality.evaluate(evaluator.best_generator.net, evaluator.latents)
    assert (
        evaluator.score(problem.candidates([untrained]))["fid"][0]
        == best["fid"]
        == min(columns["fid"])
    )


@pytest.mark.parametrize(
    ("stage", "options"),
    [
        ("eagan-generator", {"coupled": True}),
        pytest.param("eagan-discriminator", {"weight_resetting": False}, marks=pytest.mark.slow),
    ],
)
def test_a_resumed_search_equals_an_uninterrupted_search(
    stage, options, load_small_problem, tmp_path
):
    def search(problem):
        result = run(problem, generations=2)
        return result.pop.get("F").tolist(), fingerprint(problem.evaluator.state())

    uninterrupted, resumed = check_resume(
        lambda: load_small_problem(stage, population=3, **options), search, tmp_path, max_stops=2
    )
    assert resumed == uninterrupted


def test_continuing_stage_1_replaces_the_picked_gan(load_small_problem, tmp_path):
    from moonas.run.search import search

    for generations in (1, 2):
        problem = load_small_problem("eagan-generator", journal=tmp_path / "g")
        result = search(problem, problem.algorithm(), seed=1, generations=generations)
        problem.journal.close()
        gan = json.loads((tmp_path / "g" / "gan.json").read_text())
        assert gan["fid"] == result.rows[result.picked].columns["fid"]
        assert gan["calls"] == 1 + 2 * generations


def test_stage_2_starts_with_the_generator_and_weights_that_stage_1_picked(
    load_small_problem, tmp_path
):
    first = load_small_problem("eagan-generator", journal=tmp_path / "g")
    result = run(first, generations=2)
    front_rows = moonas.front(result)
    picked = front_rows[first.pick(front_rows)]
    first.after_search(picked)
    assert picked.columns["fid"] == min(row.columns["fid"] for row in front_rows)
    first.journal.close()
    second = load_small_problem(
        "eagan-discriminator", from_run=tmp_path / "g", journal=tmp_path / "d"
    )
    assert second.generator == picked.architecture
    assert second.settings.from_run is None
    second.evaluate(rows(second, 1))
    expected = inherit_weights(
        first.network(picked.architecture, track_running_stats=False), first.evaluator.G
    )
    assert fingerprint(second.evaluator.best_generator.net.state_dict()) == fingerprint(
        expected.state_dict()
    )
    expected_states = first.evaluator.optimizer_of(expected).state_dict()["state"]
    states = second.evaluator.best_generator.optimizer.state_dict()["state"]
    assert expected_states.keys() == states.keys() and expected_states
    for i, state in expected_states.items():
        assert all(torch.equal(state[k].cpu(), states[i][k].cpu()) for k in state)
    # both stages evaluate with the same latent vectors, so the generator has the same FID
    third = load_small_problem(
        "eagan-discriminator", from_run=tmp_path / "g", first_round="untrained"
    )
    assert set(run(third, generations=1).pop.get("F")[:, 0]) == {picked.columns["fid"]}


def test_stage_2_rejects_a_generator_with_other_channels_and_a_damaged_run(
    load_small_problem, tmp_path
):
    first = load_small_problem("eagan-generator", journal=tmp_path / "g")
    first.after_search(moonas.front(run(first, generations=1))[0])
    with pytest.raises(ValueError, match="'channels': 2.*'channels': 3"):
        load_small_problem("eagan-discriminator", from_run=tmp_path / "g", channels=3)
    (tmp_path / "g" / "gan.json").write_text("{}")
    with pytest.raises(ValueError, match="gan.json is damaged"):
        load_small_problem("eagan-discriminator", from_run=tmp_path / "g")
    with pytest.raises(ValueError, match="contains no gan.json"):
        load_small_problem("eagan-discriminator", from_run=tmp_path)


def test_initial_discriminator_accepts_names_and_operations_on_edges(load_small_problem):
    def build_from(text):
        problem = load_small_problem("eagan-generator", initial_discriminator=text)
        return problem.build_discriminator()

    assert build_from(None).architecture == zoo.discriminator("EAGAN_D_C", 8)
    assert build_from("EAGAN_D_S").architecture == zoo.discriminator("EAGAN_D_S", 8)
    assert isinstance(build_from("simple"), SimpleDiscriminator)
    text = "3 0 3 0 2 0 0 / 4 0 3 0 1 -1 -1 / 3 0 3 0 1 -1 -1"
    assert build_from(text).architecture == DiscriminatorSpace(8).from_text(text)
    with pytest.raises(ValueError, match="Unknown discriminator 'nosuch'.*EAGAN_D_C"):
        load_small_problem("eagan-generator", initial_discriminator="nosuch")
    with pytest.raises(ValueError, match="Unknown generator 'nosuch'.*EAGAN_G"):
        load_small_problem("eagan-discriminator", generator="nosuch")


def test_contradictory_settings_are_rejected(load_small_problem):
    for options, message in (
        (dict(coupled=True, initial_discriminator="simple"), "initial_discriminator='simple'"),
        (dict(coupled=True, repeat=2), "repeat=2"),
        (dict(coupled=True, from_run="nowhere"), "from_run='nowhere'"),
        (dict(latent=10), "latent=10 is invalid: expected a multiple of 3"),
        (dict(score_images=2, is_splits=2), "score_images=2.*at least 4"),
        (dict(objectives=("fid", "error")), "Unknown objective 'error'"),
        (dict(image_size=12), "multiple of 8"),
    ):
        with pytest.raises(ValueError, match=message):
            load_small_problem("eagan-generator", **options)


def test_the_unit_of_both_scores_is_the_name_of_the_feature_network(load_small_problem):
    for name in ("fid", "inverse_is"):
        problem = load_small_problem("eagan-generator", data="digits")
        assert problem.column(name).unit == "digits classifier"
        assert (
            load_small_problem("eagan-generator", features="inception").column(name).unit
            == "inception"
        )


@pytest.mark.parametrize("fault", [math.nan, 0.0])
def test_a_gan_that_diverges_or_collapses_gets_the_worst_scores(
    fault, load_small_problem, tmp_path
):
    # the weights of one operation become NaN, or all weights 0, for the generators that use it
    problem = load_small_problem("eagan-generator", journal=tmp_path / "run", population=8)
    text = "near near c3 - c1 - c1 / near near c3 - c1 - c1 / near near c3 - c1 - c5"
    faulty_architecture = problem.space.from_text(text)
    problem.evaluate(rows(problem, 1))
    evaluate = problem.evaluator.evaluate_generators

    def evaluate_with_fault(generators):
        uses_faulty_operation = [
            g.keywords["architecture"].cells[2][6] == "conv_5x5" for g in generators
        ]
        state = {k: v.clone() for k, v in problem.evaluator.G.state_dict().items()}
        columns = evaluate(generators)
        with torch.no_grad():
            for name, p in problem.evaluator.G.named_parameters():
                if fault == 0 or "conv_5x5" in name:
                    p.fill_(fault)
        faulty = evaluate(generators)
        problem.evaluator.G.load_state_dict(state)
        return {k: np.where(uses_faulty_operation, faulty[k], columns[k]) for k in columns}

    problem.evaluator.evaluate_generators = evaluate_with_fault
    first = np.vstack([problem.encode(faulty_architecture), rows(problem, 7)])
    algorithm = moonas.algorithm("nsga2", problem, sampling=first)
    result = run(problem, generations=2, algorithm=algorithm)
    call = read_run(tmp_path / "run")[1][2]["result"]
    assert call["failed"][0] and not all(call["failed"])
    worst = np.array(call["fid"])[call["failed"]]
    assert (worst == 200).all() and call["inverse_is"][0] == 1
    assert result.algorithm.n_gen >= 2 and np.isfinite(result.pop.get("F")).all()


def test_weight_resetting_replaces_a_generator_whose_weights_are_nan(
    load_small_problem, monkeypatch
):
    problem = load_small_problem("eagan-discriminator")
    problem.evaluate(rows(problem, 1))
    evaluator, finite = problem.evaluator, []
    train = evaluator.train

    def train_and_set_weights_to_nan(candidates):
        report = train(candidates)
        weights = [p for g in evaluator.generators.values() for p in g.weights]
        finite.append(all(bool(p.isfinite().all()) for p in weights))
        if len(finite) == 1:
            scores, best = evaluator.scores, evaluator.best_scores
            key = next(k for k in evaluator.generators if scores[k] != best)
            evaluator.generators[key].weights[0].data.fill_(math.nan)
            scores[key] = (math.nan, math.nan)
        return report

    monkeypatch.setattr(evaluator, "train", train_and_set_weights_to_nan)
    result = run(problem)
    assert finite == [True] * 3  # one training per generation
    assert np.isfinite(result.pop.get("F")).all()
    assert not result.pop.get("failed").astype(bool).any()


def test_a_search_with_an_excessive_learning_rate_fails_with_advice(load_small_problem):
    # the first step makes the weights of the generator infinite; later losses are not finite
    problem = load_small_problem("eagan-generator", learning_rate=1e38, d_learning_rate=1e38)
    with pytest.raises(SearchFailed, match="learning_rate"):
        run(problem)


@pytest.mark.slow
def test_other_genetic_algorithms_can_search_both_spaces(load_small_problem):
    problem = load_small_problem("eagan-generator")
    result = run(problem, NSGA2(pop_size=5, **problem.operators()), generations=2)
    assert len(result.pop) == 5
    assert moonas.front(run(load_small_problem("eagan-discriminator"), "nsga3", generations=2))


def test_published_networks_have_the_parameters_and_multiply_adds_of_the_papers(load_small_problem):
    zoos = [{item.name: item for item in load_small_problem(stage).zoo()} for stage in STAGES]
    counts = zoos[0]["EAGAN_G"].counts
    assert counts["generators of 32 pixels, 256 channels"] == (7_142_403, 1_889_566_720)
    assert counts["generators of 48 pixels, 256 channels"] == (11_550_723, 4_251_525_120)
    counts = zoos[1]["EAGAN_D_S"].counts
    assert counts["discriminators of 48 pixels, 128 channels"] == (1_578_112, 687_661_184)


@pytest.mark.parametrize("side", [8, 32])
@pytest.mark.parametrize("stage", STAGES)
def test_the_bounds_of_params_and_macs_are_the_sizes_of_the_largest_networks(
    stage, side, load_small_problem
):
    problem = load_small_problem(stage, image_size=side)
    high = [problem.column(name).bounds[1] for name in ("params", "macs")]
    # each edge has its most expensive operation, or every operation if params and macs disagree
    largest = {
        c: len(c) - 1 for c in (*GeneratorSpace.edge_choices, *DiscriminatorSpace.edge_choices)
    }
    largest |= {c: c.index("conv_5x5") for c in largest if "conv_5x5" in c}
    cell = [[largest[choices]] for choices in problem.space.edge_choices[:7]]
    for e in (0, 1) if stage == "eagan-generator" else (5,):
        cell[e] = range(len(problem.space.edge_choices[e]))
    cells = list(itertools.product(*cell))
    sizes = np.array(
        [
            problem.cost(problem.decode(np.concatenate(three)))
            for three in itertools.product(cells, repeat=3)
        ]
    )
    assert sizes.max(axis=0).tolist() == high


@pytest.fixture
def command(tmp_path, monkeypatch, few_digits):
    """Command-line arguments of a search in the folder ``run``; further settings may follow."""
    monkeypatch.chdir(tmp_path)
    options = TINY["eagan-generator"] | dict(data=few_digits, batch=50, d_steps=1)
    del options["population"], options["generations"]
    sizes = ["--population", "2", "--generations", "1"]
    return ["search", "eagan", *sizes, "--out", "run", "--set", *words(options)]


@pytest.mark.slow
def test_the_commands_search_and_train_write_a_trained_gan(command, tmp_path, capsys):
    command[command.index("--generations") + 1] = "2"
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "FID (digits 8x8 classifier)" in out and "* picked: the lowest FID" in out
    for stage in STAGES:
        names = {p.name for p in (tmp_path / "run" / stage).iterdir()}
        assert {"gan.json", "gan.pt", "front.csv", "images-001.png", "images-002.png"} <= names
    assert main(command) == 0
    assert capsys.readouterr().out.count("This run is complete") == 2
    train = ["train", "run", "--set", "epochs=2", "score_images=60"]
    assert main(train) == 0
    out = capsys.readouterr().out
    assert "to the test set" in out and "Shares of the 10 classes" in out
    folder = tmp_path / "run" / "training"
    trained = read_trained_gan(folder)
    # the last generator has a file of its own unless it is the best one
    models = {"model.pt"} if trained.about.get("epoch", 2) == 2 else {"model.pt", "last-model.pt"}
    assert {p.name for p in folder.glob("*.pt") if not p.name.startswith("weights-")} == models
    stage_2 = json.loads((tmp_path / "run" / "eagan-discriminator" / "gan.json").read_text())
    assert str(trained.generator.architecture) == stage_2["generator"]
    assert str(trained.discriminator.architecture) == stage_2["discriminator"]
    assert trained.about["shape"] == stage_2["generator_shape"]
    assert trained.about["discriminator"]["shape"] == stage_2["discriminator_shape"]
    images = trained.generator(torch.zeros(2, 3))
    assert trained.discriminator(images).shape == (2,)
    assert torch.equal((images + 1) / 2, moonas.load_model(folder)(torch.zeros(2, 3)))
    assert read_run(folder)[0]["settings"]["channels"] == 2  # as in the search
    assert main(train) == 0
    assert "This run is complete" in capsys.readouterr().out


@pytest.mark.slow
def test_with_repeat_the_next_stage_1_uses_the_discriminator_that_stage_2_picked(command, tmp_path):
    assert main([*command, "repeat=2", "initial_discriminator=simple"]) == 0
    folders = {p.name for p in (tmp_path / "run").iterdir()}
    assert folders == {name + suffix for name in STAGES for suffix in ("", "-2")}
    first = json.loads((tmp_path / "run/eagan-discriminator/gan.json").read_text())
    second = read_run(tmp_path / "run/eagan-generator-2")[0]["settings"]
    assert second["initial_discriminator"] == first["discriminator"]
    assert last_run(tmp_path / "run")[0].name == "eagan-discriminator-2"


@pytest.mark.slow
def test_a_coupled_search_has_one_stage_and_its_picked_gan_can_be_trained(command, tmp_path):
    assert main([*command, "coupled=true"]) == 0
    assert {p.name for p in (tmp_path / "run").iterdir()} == {"eagan-generator"}
    gan = json.loads((tmp_path / "run/eagan-generator/gan.json").read_text())
    DiscriminatorSpace(8).from_text(gan["discriminator"])
    assert main(["train", "run", "--set", "epochs=1", "score_images=60"]) == 0


@pytest.fixture(scope="module")
def training(few_digits):
    """Settings of a full training that takes a second."""
    return dict(
        **dict(data=few_digits, image_size=8, channels=2, d_channels=2, latent=3, batch=50),
        **dict(score_images=60, epochs=2, device=TINY["eagan-generator"]["device"]),
    )


def test_a_resumed_training_equals_an_uninterrupted_training(training, tmp_path):
    def train(stage):
        trained = stage.run(seed=1)
        nets = trained.generator, trained.discriminator
        return trained.scores["fid"], [fingerprint(net.state_dict()) for net in nets]

    uninterrupted, resumed = check_resume(partial(build, **training), train, tmp_path)
    assert resumed == uninterrupted


@pytest.mark.slow
def test_a_gan_can_train_at_another_image_size(command, tmp_path):
    assert main([*command, "--stage", "eagan-generator"]) == 0
    larger = ["--set", "image_size=16", "epochs=1", "score_images=60", "--out", "large"]
    assert main(["train", "run/eagan-generator", *larger]) == 0
    assert read_trained_gan(tmp_path / "large").about["shape"]["side"] == 16


def load_training(journal, **options):
    stage = build(**options)
    attach_journal(stage, "eagan training", journal)
    return stage


def test_the_weights_of_the_generator_are_averaged_exponentially(training):
    trainer = GanTrainer(build(**training | dict(average=0.9, batch=20)), seed=1)
    biases, update_parameters = [], trainer.averaged_model.update_parameters

    def record_and_update(net):
        biases.append(net.to_image.bias.detach().clone())
        update_parameters(net)

    trainer.averaged_model.update_parameters = record_and_update
    trainer.train(0)
    expected = biases[0]
    for bias in biases[1:]:
        expected = 0.9 * expected + 0.1 * bias
    assert len(biases) == 5
    assert torch.allclose(trainer.averaged_model.module.to_image.bias, expected, atol=1e-7)


def test_the_state_of_a_run_with_another_feature_network_is_rejected(load_small_problem):
    problem = load_small_problem("eagan-generator")
    problem.evaluate(rows(problem, 1))
    state = problem.evaluator.state()
    state["features"] = torch.zeros(32, dtype=torch.uint8)
    with pytest.raises(ValueError, match="another digits 8x8 classifier"):
        problem.evaluator.load_state(state)


def test_a_run_cannot_resume_with_another_feature_network(load_small_problem, tmp_path):
    first = load_small_problem("eagan-generator", journal=tmp_path / "run")
    run(first, generations=1)
    first.journal.close()
    with pytest.raises(RunMismatch, match="features='classifier'"):
        load_small_problem("eagan-generator", journal=tmp_path / "run", features="inception")


def test_stage_2_can_start_from_a_fully_trained_generator(load_small_problem, training, tmp_path):
    stage = load_training(tmp_path / "t", **training)
    trained = stage.run(seed=1)
    stage.report(trained, tmp_path / "t")
    problem = load_small_problem("eagan-discriminator", from_run=tmp_path / "t")
    problem.evaluate(rows(problem, 1))
    assert torch.equal(
        problem.evaluator.best_generator.net.to_image.weight, trained.generator.to_image.weight
    )


def test_d_steps_cannot_exceed_the_discriminator_steps_of_a_generation(load_small_problem):
    problem = load_small_problem("eagan-generator", d_steps=7)
    steps = problem.settings.warmup_epochs * 2
    with pytest.raises(ValueError, match=f"d_steps=7 is invalid: .* have {steps} steps"):
        run(problem)


def test_discriminators_that_learn_exceed_chance_on_images_that_they_have_not_seen(few_digits):
    """A few epochs suffice to beat an untrained generator."""
    problem = moonas.load_problem(
        "eagan-discriminator",
        data=few_digits,
        image_size=8,
        population=2,
        generator_epochs=0,
        warmup_epochs=4,
        epochs=2,
        score_images=100,
        d_channels=8,
        channels=4,
        workers=1,
        device=DEVICE,
    )
    reports = []
    problem.callbacks.append(TrainingReports(reports))
    run(problem, generations=2)
    accuracies = [report["d_accuracy"] for report in reports]
    assert len(accuracies) == 3 and min(accuracies) > 70, accuracies


def test_a_search_whose_discriminators_do_not_learn_warns(load_small_problem):
    problem = load_small_problem("eagan-discriminator", d_learning_rate=1e-9, learning_rate=1e-9)
    with pytest.warns(
        TrainingWarning, match=r"D accuracy is [45]\d.\d %, not above 52.0 %.*random"
    ):
        run(problem, generations=1)


def test_the_accuracy_of_discriminators_is_the_median_of_balanced_shares(load_small_problem):
    problem = load_small_problem("eagan-generator")
    problem.evaluate(rows(problem, 1))
    evaluator = problem.evaluator
    n = len(evaluator.quality.held_out)
    assert 0 < n <= 500

    def networks_of(threshold):
        """Real images score by their index, generated images all score 1."""
        scores = iter((torch.arange(n) - threshold + 0.5).split(problem.settings.score_batch))

        def score(images):
            return next(scores) if images.ndim == 4 else torch.ones(len(images))

        return (lambda z: z), score

    evaluator.networks_of = networks_of
    # a share of (n - threshold) / n real images and no generated image is classified correctly
    assert evaluator.discriminator_accuracy([0]) == pytest.approx(50)
    expected = 50 * (n - 2) / n
    assert evaluator.discriminator_accuracy([0, 2, 4]) == pytest.approx(expected)


@pytest.mark.parametrize("stage", ["eagan-generator", "eagan-discriminator"])
def test_measuring_the_accuracy_of_discriminators_changes_no_weights_and_no_statistics(
    stage, load_small_problem
):
    simple = {"initial_discriminator": "simple"} if stage == "eagan-generator" else {}
    problem = load_small_problem(stage, workers=2, **simple)
    problem.evaluate(rows(problem, 4))
    evaluator = problem.evaluator
    names = [name for name, _ in evaluator.D.named_buffers()]
    expected = "running_mean" if stage == "eagan-generator" else "_u"
    assert any(name.endswith(expected) for name in names)
    before = fingerprint(evaluator.state())
    architectures = [problem.decode(row) for row in rows(problem, 4)]
    accuracies = {evaluator.discriminator_accuracy(architectures) for _ in range(4)}
    assert len(accuracies) == 1 and fingerprint(evaluator.state()) == before
    assert all(m.training for m in evaluator.D.modules())


@pytest.mark.parametrize(
    "stage", ["eagan-generator", pytest.param("eagan-discriminator", marks=pytest.mark.slow)]
)
def test_the_number_of_workers_does_not_change_a_search(stage, load_small_problem):
    results = []
    for workers in (1, 2):
        problem = load_small_problem(stage, population=3, workers=workers)
        result = run(problem, generations=2)
        results.append((result.pop.get("F").tolist(), fingerprint(problem.evaluator.state())))
    assert results[0] == results[1]


def test_each_step_of_a_warm_up_samples_discriminators(load_small_problem, monkeypatch):
    """No generator trains, so pairs are not held until a generator step."""
    problem = load_small_problem("eagan-discriminator", d_steps=2, warmup_epochs=3)
    samples, sample = [], OneToOne.sample_for_warm_up
    monkeypatch.setattr(
        OneToOne, "sample_for_warm_up", lambda self: samples.append(1) or sample(self)
    )
    run(problem, generations=1)
    assert len(samples) == 3 * 2  # two steps per epoch


def test_without_a_warm_up_no_accuracy_is_reported(load_small_problem):
    problem, reports = load_small_problem("eagan-generator", warmup_epochs=0), []
    problem.callbacks.append(TrainingReports(reports))
    run(problem, generations=1)
    assert ["d_accuracy" in report for report in reports] == [False, True]


def test_threads_and_inception_weights_may_change_when_a_run_resumes(load_small_problem, tmp_path):
    first = load_small_problem("eagan-generator", journal=tmp_path / "run", population=2)
    run(first, generations=1)
    first.journal.close()
    changed = dict(threads=2, inception_weights="x")
    with pytest.warns(UserWarning, match="threads"):  # rounding errors may change
        second = load_small_problem(
            "eagan-generator", journal=tmp_path / "run", population=2, **changed
        )
        run(second, generations=1)


def test_damaged_or_replaced_weights_of_stage_1_are_rejected(load_small_problem, tmp_path):
    first = load_small_problem("eagan-generator", journal=tmp_path / "g")
    first.after_search(moonas.front(run(first, generations=1))[0])
    second = load_small_problem(
        "eagan-discriminator", from_run=tmp_path / "g", journal=tmp_path / "d"
    )
    run(second, generations=1)
    second.journal.close()
    problem = load_small_problem("eagan-discriminator", from_run=tmp_path / "g")
    (tmp_path / "g" / "gan.pt").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="gan.pt does not contain weights of a GAN"):
        problem.evaluate(rows(problem, 1))
    with pytest.raises(RunMismatch, match="inputs"):  # the run has started with other weights
        load_small_problem("eagan-discriminator", from_run=tmp_path / "g", journal=tmp_path / "d")


def test_a_training_does_not_take_the_discriminator_steps_of_stage_2(load_small_problem, tmp_path):
    from moonas.run.search import search

    options = dict(journal=tmp_path / "d", population=2, d_steps=2, learning_rate=4e-4)
    problem = load_small_problem("eagan-discriminator", **options)
    search(problem, problem.algorithm(), seed=1, generations=1)
    problem.journal.close()
    settings = build(from_run=tmp_path / "d").settings
    assert (settings.d_steps, settings.learning_rate) == (1, 4e-4)
