import itertools
import json
import math
from functools import partial

import numpy as np
import pytest
import torch
from moonas.problems.eagan import zoo
from moonas.problems.eagan.discriminator_net import SimpleDiscriminator
from moonas.problems.eagan.final_training import _Gan, build
from moonas.problems.eagan.gan_file import read_trained_gan
from moonas.problems.eagan.operations import own_weights
from moonas.problems.eagan.space import DiscriminatorSpace, GeneratorSpace
from moonas.problems.eagan.training import AdversarialReport
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.optimize import minimize
from searches import TINY, rows, run, words

import moonas
from moonas.cli import main
from moonas.files.tensors import fingerprint
from moonas.problem import SearchFailed
from moonas.registry import attach_journal
from moonas.run.folders import last_run
from moonas.run.journal import RunMismatch, read_run
from moonas.testing import check_resume
from moonas.training.sgd import training_state

STAGES = ("eagan-generator", "eagan-discriminator")


@pytest.fixture
def load(tiny_of):
    """Name of a stage, options -> the problem, of a size that takes seconds."""

    def made(name, **options):
        return moonas.load_problem(name, **tiny_of(name) | options)

    return made


def bits(own):
    return fingerprint(training_state(own.net, own.optimizer))


@pytest.mark.parametrize("stage", STAGES)
def test_a_round_trains_and_scores_parents_and_offspring(stage, load, tmp_path):
    problem = load(stage, journal=tmp_path / "run")
    result = run(problem)
    calls = read_run(tmp_path / "run")[1]
    assert [c["kind"] for c in calls] == ["train", "score", *["train", "score"] * 2]
    for train, score in zip(calls[2::2], calls[3::2], strict=True):
        assert len(train["request"]["who"]) == 12  # 6 parents, 6 offspring
        assert train["request"]["who"] == score["request"]["x"]
    assert len(result.pop) == 6


def test_offspring_differ_from_a_parent_in_few_edges(load, tmp_path):
    problem = load("eagan-generator", journal=tmp_path / "run", population=16)
    run(problem, generations=2)
    who = np.array(read_run(tmp_path / "run")[1][2]["request"]["who"])
    parents, offspring = who[:16], who[16:]
    apart = (offspring[:, None] != parents[None]).sum(axis=2).min(axis=1)
    # one edge crossed, one mutated, and what a rule then adds
    assert apart.min() >= 1 and apart.max() <= 4


def test_all_rows_stand_for_their_architecture(load):
    for stage in STAGES:
        problem = load(stage)
        for x in run(problem, generations=2).pop.get("X"):
            assert np.array_equal(problem.encode(problem.decode(x)), x)


def shares_of(space):
    """Chance of each operation on each edge of a cell, for uniform genes: rules add identities."""
    shares = [dict.fromkeys(choices, 1 / len(choices)) for choices in space.edges]
    starving = {2: 1 / 49, 4: 1 / 49}
    if isinstance(space, GeneratorSpace):
        starving = {3: 1 / 49, 6: 1 / 343}
    for e, chance in starving.items():
        shares[e]["none"] -= chance
        shares[e]["skip_connect"] += chance
    return shares


@pytest.mark.parametrize("stage", STAGES)
def test_warm_up_visits_the_operations_of_every_edge_alike(stage, load, monkeypatch):
    problem = load(stage, image_size=32 if stage == "eagan-discriminator" else None)
    evaluator, n, drawn = problem.evaluator, 4000, []

    def spy(images, draw, *args, **told):
        pairs = [draw() for _ in range(n)]
        paths = [p.generate if stage == "eagan-generator" else p.score for p in pairs]
        if isinstance(paths[0], partial):  # in stage 2 the generator has trained before
            drawn.extend(path.keywords["architecture"] for path in paths)
        return AdversarialReport.of([0.0], [])

    monkeypatch.setattr("moonas.problems.eagan.evaluators.train_adversarially", spy)
    monkeypatch.setattr(evaluator.generation, "load", lambda: None)
    evaluator.begin(1)
    evaluator.warm_up()
    assert len(drawn) == n
    for cell in range(3):
        for e, shares in enumerate(shares_of(problem.space)):
            if stage == "eagan-discriminator" and e in (5, 6):
                continue  # E6 follows E5
            for name, p in shares.items():
                share = np.mean([a.cells[cell][e] == name for a in drawn])
                assert abs(share - p) < 4 * math.sqrt(p * (1 - p) / n), (cell, e, name)


def test_each_step_of_a_round_draws_one_of_its_generators_uniformly(load):
    problem = load("eagan-generator")
    problem.evaluate(rows(problem, 1))
    drawn = [problem.evaluator.one_of(list("abcd")) for _ in range(4000)]
    shares = np.array([drawn.count(letter) for letter in "abcd"]) / 4000
    assert np.abs(shares - 1 / 4).max() < 4 * math.sqrt(3 / 16 / 4000)


def one_to_one(load, **options):
    """Stage 2 after warming up and one round of four discriminators."""
    problem = load("eagan-discriminator", **options)
    problem.evaluate(rows(problem, 1))
    evaluator = problem.evaluator
    evaluator.warm_up()
    architectures = [problem.decode(x) for x in rows(problem, 4)]
    return problem, evaluator, architectures


def test_warming_up_stage_2_trains_discriminators_and_leaves_the_generator(load):
    problem = load("eagan-discriminator", generator_epochs=0)
    problem.evaluate(rows(problem, 1))
    evaluator = problem.evaluator
    before = bits(evaluator.best), fingerprint(evaluator.D.state_dict())
    evaluator.warm_up()
    assert bits(evaluator.best) == before[0]
    assert fingerprint(evaluator.D.state_dict()) != before[1]


def test_training_one_gan_leaves_the_generators_of_the_others_their_bits(load):
    problem, evaluator, architectures = one_to_one(load)
    evaluator.train(problem.candidates(architectures))
    owners = list(evaluator.owners.values())
    before = [bits(own) for own in owners]
    first = evaluator._drawn(owners[0], partial(evaluator.D, architecture=architectures[0]))
    evaluator.run_epochs("one", 1, lambda: first, evaluator.D, evaluator.d_optimizer)
    after = [bits(own) for own in owners]
    assert after[0] != before[0] and after[1:] == before[1:]
    storages = {p.data_ptr() for own in owners for p in own.weights}
    assert len(storages) == sum(len(own.weights) for own in owners)
    moments = {m["exp_avg_sq"].data_ptr() for own in owners for m in own.optimizer.state.values()}
    assert len(moments) == sum(len(own.optimizer.state) for own in owners)


def test_weight_resetting_begins_a_round_with_copies_of_the_generator_of_the_lowest_fid(load):
    problem, evaluator, architectures = one_to_one(load)
    evaluator.train(problem.candidates(architectures))
    best = min(evaluator.found, key=lambda key: evaluator.found[key][0])
    wanted = bits(evaluator.owners[best])
    assert len({bits(own) for own in evaluator.owners.values()}) == 4
    evaluator._hand_out([evaluator.key(a) for a in architectures])
    assert {bits(own) for own in evaluator.owners.values()} == {wanted}


def test_without_resetting_survivors_keep_their_generators_and_new_ones_inherit(load):
    problem, evaluator, architectures = one_to_one(load, weight_resetting=False)
    evaluator.train(problem.candidates(architectures))
    keys = [evaluator.key(a) for a in architectures]
    old = {key: bits(evaluator.owners[key]) for key in keys}
    new = evaluator.key(problem.decode(rows(problem, 5)[4]))
    evaluator._hand_out([keys[2], keys[0], new])
    found = {key: bits(own) for key, own in evaluator.owners.items()}
    assert found[keys[0]] == old[keys[0]] and found[keys[2]] == old[keys[2]]
    assert found[new] == old[keys[1]]  # the first that nobody owns any more
    assert len(evaluator.owners) == 3


def test_stage_2_scores_a_discriminator_by_its_own_generator(load):
    problem, evaluator, architectures = one_to_one(load)
    evaluator.train(problem.candidates(architectures))
    columns = evaluator.score(problem.candidates(architectures))
    for i, a in enumerate(architectures):
        judged = evaluator.generation.evaluate(evaluator.pair(a)[0], evaluator.latents)
        assert columns["fid"][i] == judged["fid"]
    assert len(set(columns["fid"])) == 4
    stranger = problem.decode(rows(problem, 5)[4])
    best = evaluator.generation.evaluate(evaluator.best.net, evaluator.latents)
    assert (
        evaluator.score(problem.candidates([stranger]))["fid"][0]
        == best["fid"]
        == min(columns["fid"])
    )


@pytest.mark.parametrize(
    ("stage", "options"),
    [
        ("eagan-generator", {"coupled": True}),
        ("eagan-discriminator", {"weight_resetting": False}),
    ],
)
def test_a_run_stopped_at_any_call_ends_with_the_same_bits(
    stage, options, load, few_digits, tmp_path
):
    few = dict(data=few_digits, batch=50)  # two steps an epoch

    def search(problem):
        result = run(problem)
        return result.pop.get("F").tolist(), fingerprint(problem.evaluator.state())

    straight, stopped = check_resume(lambda: load(stage, **few, **options), search, tmp_path)
    assert stopped == straight


def test_going_on_with_a_longer_stage_1_replaces_its_gan(load, tmp_path):
    from moonas.run.search import search

    for generations in (1, 2):
        problem = load("eagan-generator", journal=tmp_path / "g")
        found = search(problem, problem.algorithm(), seed=1, generations=generations)
        problem.journal.close()
        gan = json.loads((tmp_path / "g" / "gan.json").read_text())
        assert gan["fid"] == found.rows[found.picked].columns["fid"]
        assert gan["calls"] == 2 * generations


def test_stage_2_takes_the_generator_and_its_weights_from_stage_1(load, tmp_path):
    first = load("eagan-generator", journal=tmp_path / "g")
    result = run(first)
    rows_ = moonas.front(result)
    picked = rows_[first.pick(rows_)]
    first.after_search(picked)
    assert picked.columns["fid"] == min(row.columns["fid"] for row in rows_)
    first.journal.close()
    second = load("eagan-discriminator", from_run=tmp_path / "g", journal=tmp_path / "d")
    assert second.generator == picked.architecture
    assert second.settings.from_run is None
    second.evaluate(rows(second, 1))
    wanted = own_weights(first.network(picked.architecture, running=False), first.evaluator.G)
    assert fingerprint(second.evaluator.best.net.state_dict()) == fingerprint(wanted.state_dict())
    taken = first.evaluator.optimizer_of(wanted).state_dict()["state"]
    found = second.evaluator.best.optimizer.state_dict()["state"]
    assert taken.keys() == found.keys() and taken
    for i, memory in taken.items():
        assert all(torch.equal(memory[k], found[i][k]) for k in memory)
    # the same latent vectors are scored in both stages, so the generator has the same FID
    assert set(run(second, generations=1).pop.get("F")[:, 0]) == {picked.columns["fid"]}


def test_a_generator_of_another_shape_is_refused(load, tmp_path):
    first = load("eagan-generator", journal=tmp_path / "g")
    first.after_search(moonas.front(run(first, generations=1))[0])
    with pytest.raises(ValueError, match="'channels': 2.*'channels': 3"):
        load("eagan-discriminator", from_run=tmp_path / "g", channels=3)
    (tmp_path / "g" / "gan.json").write_text("{}")
    with pytest.raises(ValueError, match="gan.json is damaged"):
        load("eagan-discriminator", from_run=tmp_path / "g")
    with pytest.raises(ValueError, match="contains no gan.json"):
        load("eagan-discriminator", from_run=tmp_path)


def test_the_first_discriminator_is_a_setting(load):
    def made(text):
        problem = load("eagan-generator", initial_discriminator=text)
        return problem.first_discriminator()

    assert made(None).architecture == zoo.discriminator("EAGAN_D_C", 8)
    assert made("EAGAN_D_S").architecture == zoo.discriminator("EAGAN_D_S", 8)
    assert isinstance(made("simple"), SimpleDiscriminator)
    text = "3 0 3 0 2 0 0 / 4 0 3 0 1 -1 -1 / 3 0 3 0 1 -1 -1"
    assert made(text).architecture == DiscriminatorSpace(8).of_text(text)
    with pytest.raises(ValueError, match="No discriminator 'nosuch'.*EAGAN_D_C"):
        load("eagan-generator", initial_discriminator="nosuch")
    with pytest.raises(ValueError, match="No generator 'nosuch'.*EAGAN_G"):
        load("eagan-discriminator", generator="nosuch")


def test_settings_that_contradict_each_other_are_refused(load):
    for options, message in (
        (dict(coupled=True, initial_discriminator="simple"), "initial_discriminator='simple'"),
        (dict(coupled=True, repeat=2), "repeat=2"),
        (dict(coupled=True, from_run="nowhere"), "from_run='nowhere'"),
        (dict(latent=10), "latent=10 is invalid: expected a multiple of 3"),
        (dict(score_images=2, is_splits=2), "score_images=2.*4 or more"),
        (dict(objectives=("fid", "error")), "Unknown objective 'error'"),
        (dict(image_size=12), "multiple of 8"),
    ):
        with pytest.raises(ValueError, match=message):
            load("eagan-generator", **options)


def test_units_say_what_the_features_are_of(load):
    for name in ("fid", "inverse_is"):
        assert load("eagan-generator").column(name).unit == "digits classifier"
        assert load("eagan-generator", features="inception").column(name).unit == "inception"


@pytest.mark.parametrize("fault", [math.nan, 0.0])
def test_a_gan_that_diverges_or_collapses_is_flagged_and_the_search_goes_on(fault, load, tmp_path):
    # one operation's weights break: every generator that uses it gives no number, or one image
    problem = load("eagan-generator", journal=tmp_path / "run", population=8)
    text = "near near c3 - c1 - c1 / near near c3 - c1 - c1 / near near c3 - c1 - c5"
    marked = problem.space.of_text(text)
    problem.evaluate(rows(problem, 1))
    real = problem.evaluator.evaluate_generators

    def breaking(generators):
        broken = [g.keywords["architecture"].cells[2][6] == "conv_5x5" for g in generators]
        state = {k: v.clone() for k, v in problem.evaluator.G.state_dict().items()}
        columns = real(generators)
        with torch.no_grad():
            for name, p in problem.evaluator.G.named_parameters():
                if fault == 0 or "conv_5x5" in name:
                    p.fill_(fault)
        again = real(generators)
        problem.evaluator.G.load_state_dict(state)
        return {k: np.where(broken, again[k], columns[k]) for k in columns}

    problem.evaluator.evaluate_generators = breaking
    first = np.vstack([problem.encode(marked), rows(problem, 7)])
    algorithm = moonas.algorithm("nsga2", problem, sampling=first)
    result = run(problem, generations=3, algorithm=algorithm)
    call = read_run(tmp_path / "run")[1][1]["result"]
    assert call["failed"][0] and not all(call["failed"])
    worst = np.array(call["fid"])[call["failed"]]
    assert (worst == 200).all() and call["inverse_is"][0] == 1
    assert result.algorithm.n_gen >= 3 and np.isfinite(result.pop.get("F")).all()


def test_a_broken_generator_is_healed_by_weight_resetting(load, monkeypatch):
    problem = load("eagan-discriminator")
    algorithm = problem.algorithm()
    broken = []

    def breaking(architectures, real=None):
        report = real(architectures)
        evaluator = problem.evaluator
        if not broken:
            key = next(k for k in evaluator.owners if evaluator.found[k] != evaluator.best_found)
            evaluator.owners[key].weights[0].data.fill_(math.nan)
            evaluator.found[key] = (math.nan, math.nan)
            broken.append(key)
        return report

    problem.evaluate(rows(problem, 1))
    monkeypatch.setattr(problem.evaluator, "train", partial(breaking, real=problem.evaluator.train))
    seen = []
    result = minimize(
        problem,
        algorithm,
        ("n_gen", 4),
        seed=1,
        callback=lambda a: seen.append(int(a.off.get("failed").sum()) if a.off is not None else 0),
    )
    assert broken and np.isfinite(result.pop.get("F")).all()
    assert not result.pop.get("failed").astype(bool).any()


def test_a_learning_rate_far_too_high_fails_with_advice(load):
    # the generator's first step makes its weights infinite; nothing is finite afterwards
    problem = load("eagan-generator", learning_rate=1e38, d_learning_rate=1e38)
    with pytest.raises(SearchFailed, match="learning_rate"):
        run(problem)


def test_any_other_genetic_algorithm_may_search(load):
    for stage in STAGES:
        problem = load(stage)
        result = run(problem, NSGA2(pop_size=5, **problem.operators()), generations=2)
        assert len(result.pop) == 5
        assert moonas.front(run(problem, "nsga3", generations=2))


def test_the_zoo_counts_as_the_papers_do():
    zoo_ = moonas.zoo()
    counts = zoo_["EAGAN_G"].counts
    assert counts["generators of 32 pixels, 256 channels"] == (7_142_403, 1_889_566_720)
    assert counts["generators of 48 pixels, 256 channels"] == (11_550_723, 4_251_525_120)
    counts = zoo_["EAGAN_D_S"].counts
    assert counts["discriminators of 48 pixels, 128 channels"] == (1_578_112, 687_661_184)


@pytest.mark.parametrize("side", [8, 32])
@pytest.mark.parametrize("stage", STAGES)
def test_no_network_of_the_space_is_larger_than_the_bounds(stage, side, load):
    problem = load(stage, image_size=side)
    high = [problem.column(name).bounds[1] for name in ("params", "macs")]
    # what costs most on every edge, with every way to halve; macs and params each reach their bound
    largest = {c: len(c) - 1 for c in (*GeneratorSpace.edges, *DiscriminatorSpace.edges)}
    largest |= {c: c.index("conv_5x5") for c in largest if "conv_5x5" in c}
    cell = [[largest[choices]] for choices in problem.space.edges[:7]]
    for e in (0, 1) if stage == "eagan-generator" else (5,):
        cell[e] = range(len(problem.space.edges[e]))
    cells = list(itertools.product(*cell))
    sizes = np.array(
        [
            problem.cost(problem.decode(np.concatenate(three)))
            for three in itertools.product(cells, repeat=3)
        ]
    )
    assert sizes.max(axis=0).tolist() == high


SIZES = ("population", "generations")  # options of their own in LINE
WORDS = words({k: v for k, v in TINY["eagan-generator"].items() if k not in SIZES})
LINE = ["search", "eagan", "--population", "4", "--generations", "2", "--out", "run", "--set"]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_pipeline_from_a_shell_ends_with_a_trained_gan(elsewhere, capsys):
    assert main([*LINE, *WORDS]) == 0
    out = capsys.readouterr().out
    assert "FID (digits classifier)" in out and "* picked: the lowest fid" in out
    for stage in STAGES:
        names = {p.name for p in (elsewhere / "run" / stage).iterdir()}
        assert {"gan.json", "gan.pt", "front.csv", "images-001.png", "images-002.png"} <= names
    assert main([*LINE, *WORDS]) == 0
    assert capsys.readouterr().out.count("This run is complete") == 2
    train = ["train", "run", "--set", "epochs=3", "score_images=60"]
    assert main(train) == 0
    out = capsys.readouterr().out
    assert "to those for the final test" in out and "Shares of the 10 classes" in out
    folder = elsewhere / "run" / "training"
    assert [path.name for path in folder.glob("*.pt") if "weights" not in path.name] == ["model.pt"]
    trained = read_trained_gan(folder)
    stage_2 = json.loads((elsewhere / "run" / "eagan-discriminator" / "gan.json").read_text())
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


def test_repeating_gives_the_second_stage_1_the_first_ones_discriminator(elsewhere):
    assert main([*LINE, *WORDS, "repeat=2", "initial_discriminator=simple"]) == 0
    folders = {p.name for p in (elsewhere / "run").iterdir()}
    assert folders == {name + end for name in STAGES for end in ("", "-2")}
    first = json.loads((elsewhere / "run/eagan-discriminator/gan.json").read_text())
    again = read_run(elsewhere / "run/eagan-generator-2")[0]["settings"]
    assert again["initial_discriminator"] == first["discriminator"]
    assert last_run(elsewhere / "run")[0].name == "eagan-discriminator-2"


def test_a_coupled_search_has_one_stage_and_trains_both_of_its_pick(elsewhere, capsys):
    assert main([*LINE, *WORDS, "coupled=true"]) == 0
    assert {p.name for p in (elsewhere / "run").iterdir()} == {"eagan-generator"}
    gan = json.loads((elsewhere / "run/eagan-generator/gan.json").read_text())
    DiscriminatorSpace(8).of_text(gan["discriminator"])
    assert main(["train", "run", "--set", "epochs=1", "score_images=60"]) == 0


def test_a_training_stopped_after_any_epoch_ends_with_the_same_bits(tmp_path, device):
    options = dict(channels=2, d_channels=2, latent=3, batch=240, score_images=60, epochs=3)

    def train(stage):
        trained = stage.run(seed=1)
        nets = trained.generator, trained.discriminator
        return trained.scores["fid"], [fingerprint(net.state_dict()) for net in nets]

    straight, stopped = check_resume(partial(build, device=device, **options), train, tmp_path)
    assert stopped == straight


@pytest.mark.slow  # the classifier of larger images takes half a minute
def test_a_found_gan_trains_at_another_image_size(elsewhere):
    assert main([*LINE, *WORDS, "--stage", "eagan-generator"]) == 0
    larger = ["--set", "image_size=16", "epochs=1", "score_images=60", "--out", "large"]
    assert main(["train", "run/eagan-generator", *larger]) == 0
    assert read_trained_gan(elsewhere / "large").about["shape"]["side"] == 16


def load_training(journal, **options):
    stage = build(**options)
    attach_journal(stage, "eagan training", journal)
    return stage


def test_the_average_follows_its_definition(tiny_of):
    options = dict(channels=2, d_channels=2, latent=3, batch=240, average=0.9)
    gan = _Gan(build(device="cpu", **options), seed=1)
    seen, real = [], gan.average.update_parameters

    def watched(net):
        seen.append(net.to_image.bias.detach().clone())
        real(net)

    gan.average.update_parameters = watched
    gan.train(0)
    wanted = seen[0]
    for value in seen[1:]:
        wanted = 0.9 * wanted + 0.1 * value
    assert len(seen) == 5
    assert torch.allclose(gan.average.module.to_image.bias, wanted, atol=1e-7)


def test_weights_of_a_run_scored_by_other_features_are_refused(load, tmp_path):
    problem = load("eagan-generator")
    problem.evaluate(rows(problem, 1))
    state = problem.evaluator.state()
    state["features"] = torch.zeros(32, dtype=torch.uint8)
    with pytest.raises(ValueError, match="another digits classifier"):
        problem.evaluator.load_state(state)


def test_a_run_with_other_features_is_refused_by_name(load, tmp_path):
    first = load("eagan-generator", journal=tmp_path / "run")
    run(first, generations=1)
    first.journal.close()
    with pytest.raises(RunMismatch, match="features='classifier'"):
        load("eagan-generator", journal=tmp_path / "run", features="inception")


def test_stage_2_may_begin_with_a_generator_that_was_fully_trained(load, tmp_path):
    options = dict(channels=2, d_channels=2, latent=3, batch=240, score_images=60, epochs=1)
    stage = load_training(tmp_path / "t", device=load("eagan-generator").settings.device, **options)
    trained = stage.run(seed=1)
    stage.report(trained, tmp_path / "t")
    problem = load("eagan-discriminator", from_run=tmp_path / "t")
    problem.evaluate(rows(problem, 1))
    assert torch.equal(
        problem.evaluator.best.net.to_image.weight, trained.generator.to_image.weight
    )


def test_more_steps_of_d_than_an_epoch_has_are_refused(load):
    with pytest.raises(ValueError, match="d_steps=7.*5 steps an epoch"):
        run(load("eagan-generator", d_steps=7))


def test_threads_and_where_inceptions_weights_are_may_change(load, tmp_path):
    first = load("eagan-generator", journal=tmp_path / "run")
    run(first, generations=1)
    first.journal.close()
    with pytest.warns(UserWarning, match="threads"):  # the last bits may change
        second = load("eagan-generator", journal=tmp_path / "run", threads=2, inception_weights="x")
        run(second, generations=2)


def test_damage_to_stage_1s_weights_is_noticed(load, tmp_path):
    first = load("eagan-generator", journal=tmp_path / "g")
    first.after_search(moonas.front(run(first, generations=1))[0])
    second = load("eagan-discriminator", from_run=tmp_path / "g", journal=tmp_path / "d")
    run(second, generations=1)
    second.journal.close()
    problem = load("eagan-discriminator", from_run=tmp_path / "g")
    (tmp_path / "g" / "gan.pt").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="gan.pt does not contain weights of a GAN"):
        problem.evaluate(rows(problem, 1))
    with pytest.raises(RunMismatch, match="inputs"):  # nor does a run go on with other weights
        load("eagan-discriminator", from_run=tmp_path / "g", journal=tmp_path / "d")
