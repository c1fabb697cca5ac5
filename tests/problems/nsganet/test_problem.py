"""NSGANetV1 as a problem: proxies from scratch, the supernet, and the paper's search."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from moonas.problems import nsganet
from moonas.problems.nsganet import space
from PIL import Image
from searches import TINY, rows, run
from torch.nn import functional as F

import moonas
from moonas.algorithms.bayesian import SOURCE
from moonas.data import load, split
from moonas.evaluators import NetworkCosts, ScratchEvaluator
from moonas.nets.randomness import generator, initial_weights
from moonas.problem import SearchFailed
from moonas.run.journal import RunMismatch


@pytest.fixture
def small():
    """Settings with which a candidate trains in a fraction of a second, in this process."""
    return TINY["nsganet"]


@pytest.fixture
def fewer(small, few_digits):
    """The same on a hundred images."""
    return small | dict(data=few_digits, batch=25)


@pytest.mark.parametrize("evaluator", ["proxy", "supernet"])
def test_four_fifths_train_one_fifth_validates_and_none_is_a_test_image(evaluator, small):
    problem = moonas.load_problem("nsganet", evaluator=evaluator, **small)
    problem.evaluate(rows(problem, 1))
    train, validation = problem.evaluator.images.train, problem.evaluator.images.validation
    assert len(train[0]) == 1150 and len(validation[0]) == 287
    seen = {x.tobytes() for part in (train, validation) for x in part[0].cpu().contiguous().numpy()}
    assert len(seen) == 1437
    assert not any(x.tobytes() in seen for x in load("digits").test_images.numpy())


def test_a_proxys_score_equals_that_of_a_plain_training_loop(small):
    """Algorithm 2, written out: SGD, the learning rate along a cosine, shuffled batches."""
    epochs, seed, layout = 4, 5, torch.channels_last
    problem = moonas.load_problem("nsganet", **small | dict(proxy_epochs=epochs, device="cpu"))
    x = rows(problem, 1)[0]
    problem.evaluator.begin(seed)
    score = problem.evaluator.score(problem.session.candidates(x[None]))

    s, data = problem.settings, load("digits")
    train, validation = split(data.labels, round(0.8 * len(data.labels)))
    with initial_weights(seed, *x.tolist(), "weights"):
        network = nsganet.network(
            space.decode(x), channels=2, increment=1, layers=3, in_channels=1, image_size=8
        ).to(memory_format=layout)
    images = data.images.to(memory_format=layout)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    order = generator(seed, *x.tolist(), "batches")
    for _ in range(epochs):
        shuffled = train[torch.randperm(len(train), generator=order).numpy()]
        for part in range(len(train) // s.batch):
            batch = shuffled[part * s.batch : (part + 1) * s.batch]
            optimizer.zero_grad()
            F.cross_entropy(network(images[batch]), data.labels[batch]).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), s.clip)
            optimizer.step()
        schedule.step()
    network.eval()
    with torch.no_grad():
        wrong = network(images[validation]).argmax(1) != data.labels[validation]
    assert score["error"][0] == pytest.approx(100 * float(wrong.double().mean()))
    assert score["error"][0] < 70  # it has learned


def test_a_score_depends_on_the_runs_seed_and_the_candidate_alone(small):
    problem = moonas.load_problem("nsganet", **small)
    X = rows(problem, 4)
    problem.evaluator.begin(1)
    together = problem.evaluator.score(problem.session.candidates(X))["error"]
    alone = [
        problem.evaluator.score(problem.session.candidates(x[None]))["error"][0] for x in X[::-1]
    ]
    assert np.array_equal(together, alone[::-1])
    problem.evaluator.begin(2)
    assert not np.array_equal(
        problem.evaluator.score(problem.session.candidates(X))["error"], together
    )


SCRIPT = """
import numpy as np
from moonas.problems.nsganet.problem import NSGANet
from moonas.problems.nsganet.settings import Settings

class Mine(NSGANet):
    pass

problem = Mine(Settings(proxy_epochs=1, batch=128, channels=2, device="cpu", workers=2))
rng = np.random.default_rng(0)
rows = problem.operators()["sampling"].do(problem, 3, random_state=rng).get("X")
print(problem.evaluate(rows)[:, 0].tolist())
"""


@pytest.mark.slow
def test_a_problem_that_a_script_defines_is_trained_in_processes(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    line = [sys.executable, tmp_path / "script.py"]
    done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 3


def test_a_candidate_that_diverges_gets_the_worst_error_and_is_flagged(fewer, monkeypatch):
    problem = moonas.load_problem("nsganet", **fewer)
    X = rows(problem, 3)
    original = ScratchEvaluator._train_and_evaluate

    def spoilt(self, architecture, row):
        if architecture == space.decode(X[1]):
            build, self.build = self.build, lambda a: Spoilt(build(a))
            try:
                return original(self, architecture, row)
            finally:
                self.build = build
        return original(self, architecture, row)

    class Spoilt(torch.nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, images):
            return self.network(images) * math.inf

    monkeypatch.setattr(ScratchEvaluator, "_train_and_evaluate", spoilt)
    out = problem.evaluate(X, return_as_dictionary=True)
    assert out["failed"].astype(bool).tolist() == [False, True, False]
    assert (
        out["F"][1, 0] == 100
        and out["macs"][1] == problem.count(problem.session.candidates(X[1:2]))[0, 1]
    )


def test_a_population_that_diverges_stops_the_search(fewer):
    problem = moonas.load_problem("nsganet", learning_rate=1e30, clip=1e30, **fewer)
    with pytest.raises(SearchFailed, match="All 6 candidates"):
        run(problem)


def test_the_papers_search_is_nsga2_with_a_bayesian_network(small):
    search = moonas.load_problem("nsganet", **small).algorithm()
    assert type(search).__name__ == "NSGA2"
    assert search.tournament_type == "comp_by_rank_and_crowding"
    assert type(search.mating.base.crossover).__name__ == "BlockCrossover"
    assert search.mating.base.crossover.prob.value == 0.9
    assert search.mating.base.mutation.n_genes == 4  # 0.1 of 40 genes
    assert (search.mating.start, search.mating.first_share) == (2 / 3, 0.25)
    assert search.mating.n_best == 100 and search.n_offsprings == search.pop_size == 6
    never = moonas.load_problem("nsganet", exploitation=None, **small).algorithm()
    assert type(never.mating).__name__ == "Mating"


def test_baselines_have_equal_budgets(fewer):
    problem = moonas.load_problem("nsganet", evaluator="supernet", weights="frozen", **fewer)
    for search in (None, "nsga2", "random"):
        assert run(problem, search).algorithm.evaluator.n_eval == 18


def test_offspring_of_the_model_begin_at_two_thirds(fewer):
    options = fewer | dict(population=12, generations=6)
    problem = moonas.load_problem("nsganet", evaluator="supernet", weights="frozen", **options)
    counts = []

    def note(algorithm):
        counts.append(sum(i.get(SOURCE) == "model" for i in algorithm.off))

    run(problem, generations=6, callback=note)
    assert counts[:4] == [0] * 4 and sum(counts[4:]) > 0


def test_where_scores_move_the_model_learns_from_todays_scores_alone(small):
    options = small | dict(evaluator="supernet", exploitation=0.2)
    problem = moonas.load_problem("nsganet", **options)
    scored, checked = [], []  # rows and scores at the end of each generation

    def note(algorithm):
        if scored:
            X, F = algorithm.mating.archive  # as this generation's mating made it
            learned = {tuple(x): f.tolist() for x, f in zip(X.tolist(), F, strict=True)}
            assert learned == scored[-1] and len(X) == len(learned)
            checked.append(len(X))
        individuals = [*algorithm.pop, *algorithm.off]
        scored.append({tuple(i.X.tolist()): i.F.tolist() for i in individuals})

    run(problem, generations=4, callback=note)
    assert len(checked) == 3 and checked[-1] > 6  # survivors, and offspring that died


@pytest.mark.parametrize(
    "name",
    ["moead", *(pytest.param(n, marks=pytest.mark.slow) for n in ("nsga3", "smsemoa", "random"))],
)
@pytest.mark.parametrize("weights", ["shared", "frozen"])
def test_other_algorithms_search_the_supernet(name, weights, small):
    problem = moonas.load_problem("nsganet", evaluator="supernet", weights=weights, **small)
    result = run(problem, name)
    for row in moonas.front(result):
        now = problem.evaluate(row.x)
        assert now.tolist() == [row.objectives["error"], row.objectives["macs"]]


def test_robustness_is_an_objective_of_proxies_supernets_and_cars(small, tiny):
    objectives = ("error", "robustness_error")
    for name, options in (
        ("nsganet", small),
        ("nsganet", small | dict(evaluator="supernet")),
        ("cars", tiny),
    ):
        problem = moonas.load_problem(name, objectives=objectives, **options)
        X = problem.operators()["sampling"].do(problem, 4, random_state=np.random.default_rng(0))
        F = problem.evaluate(X.get("X"))
        assert ((F >= 0) & (F <= 100)).all()
        plain = moonas.load_problem(name, **options)
        assert np.array_equal(plain.evaluate(X.get("X"))[:, 0], F[:, 0])


@pytest.fixture
def chest(tmp_path):
    """Forty images with two labels that can be seen: a bright left and a bright right half."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, size=(40, 2))
    text = "Image Index,Finding Labels,Patient ID\n"
    for i, (left, right) in enumerate(labels):
        pixels = rng.integers(0, 60, size=(8, 8), dtype=np.uint8)
        pixels[:, :4] += np.uint8(150 * left)
        pixels[:, 4:] += np.uint8(150 * right)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        words = "|".join(w for w, bit in (("Mass", left), ("Effusion", right)) if bit)
        text += f"{i}.png,{words or 'No Finding'},{i // 2}\n"
    (tmp_path / "labels.csv").write_text(text)
    return dict(data=str(tmp_path), image_size=8)


@pytest.mark.parametrize("name", ["nsganet", "cars"])
def test_images_with_several_labels_are_searched_by_auroc(name, chest, small, tiny):
    options = (small if name == "nsganet" else tiny) | chest | dict(batch=8)
    problem = moonas.load_problem(name, objectives=("auroc_error", "macs"), **options)
    assert problem.columns[0].name == "auroc_error"
    result = run(problem, generations=2)
    F = result.pop.get("F")
    assert ((F[:, 0] >= 0) & (F[:, 0] <= 100)).all() and len(set(F[:, 0])) > 1


def test_other_labels_under_the_same_name_are_noticed(chest, small, tmp_path):
    options = small | chest | dict(batch=8, objectives=("auroc_error", "macs"))
    run(moonas.load_problem("nsganet", journal=tmp_path / "run", **options), generations=1)
    path = tmp_path / "labels.csv"
    path.write_text(path.read_text().replace("\n0.png,", "\n0.png,Mass|"))
    with pytest.raises(RunMismatch, match="inputs"):
        moonas.load_problem("nsganet", journal=tmp_path / "run", **options)


def test_proxies_learn_several_labels(chest, small):
    options = small | chest | dict(batch=8, proxy_epochs=15, channels=4, learning_rate=0.05)
    problem = moonas.load_problem("nsganet", objectives=("auroc_error", "macs"), **options)
    assert problem.evaluate(rows(problem, 4))[:, 0].min() < 25  # guessing is 50


def test_an_objective_that_the_data_does_not_have_is_refused(chest, small):
    with pytest.raises(
        ValueError, match="'error' is invalid .* expected one label .*Choose from .'auroc_error'"
    ):
        moonas.load_problem("nsganet", **small | chest)
    with pytest.raises(ValueError, match="'auroc_error' is invalid .* expected several labels"):
        moonas.load_problem("nsganet", objectives=("auroc_error", "macs"), **small)


def test_latency_is_measured_in_this_process_and_once(fewer, monkeypatch):
    measured = []
    original = NetworkCosts._latency

    def spy(self, architecture):
        measured.append(architecture)
        return original(self, architecture)

    monkeypatch.setattr(NetworkCosts, "_latency", spy)
    options = fewer | dict(objectives=("error", "latency_ms"), proxy_epochs=6)
    problem = moonas.load_problem("nsganet", **options | dict(workers=2))  # processes
    result = run(problem, generations=2)
    assert len(measured) == len(set(measured)) == 12
    assert (result.pop.get("latency_ms") > 0).all()
    X, F = result.pop.get("X"), result.pop.get("F")
    assert np.array_equal(problem.evaluate(X), F)
    alone = moonas.load_problem("nsganet", **options)
    alone.evaluator.begin(1)
    scored = alone.evaluator.score(alone.session.candidates(X))
    assert np.array_equal(scored["error"], F[:, 0]) and len(set(F[:, 0])) > 1


def test_parts_of_a_network_are_parts_of_the_space(small):
    problem = moonas.load_problem("nsganet", **small)
    known = {part.key for part in problem.operations()}
    for x in rows(problem, 20):
        assert {part.key for part in problem.parts(space.decode(x))} <= known


def test_hypervolumes_are_those_of_section_h(small):
    paper = moonas.load_problem("nsganet", preset="paper", device="cpu")
    assert paper.objective_bounds().tolist() == [[0, 0], [100, 1e9]]
    digits = moonas.load_problem("nsganet", device="cpu")
    assert digits.objective_bounds().tolist() == [[0, 0], [100, 519_824]]


def test_no_network_exceeds_the_bound_of_the_space(small):
    problem = moonas.load_problem("nsganet", **small)
    top = problem.costs.largest()
    assert (problem.count(problem.session.candidates(rows(problem, 500))) <= top).all()
    # the dearest operation of each block on all its edges, all five nodes loose
    for count in (0, 1):
        dearest = problem.costs.table[:, 0, :, count].argmax(axis=1)
        x = np.concatenate([[operation, 0] * 10 for operation in dearest])
        assert problem.count(problem.session.candidates(x[None]))[0, count] == top[count]


def test_preset_of_the_paper(small):
    s = moonas.load_problem("nsganet", preset="paper", device="cpu").settings
    assert (s.population, s.generations, s.crossover, s.mutation) == (40, 30, 0.9, 0.1)
    assert (s.channels, s.increment, s.layers, s.proxy_epochs) == (36, 6, 3 * 4 + 2, 36)
    assert (s.data, s.train_share, s.batch, s.weight_decay) == ("cifar100", 0.8, 128, 5e-4)


def test_zoo_has_the_published_sizes():
    zoo = moonas.zoo()
    pyramid = zoo["NSGANet"].counts
    assert pyramid["CIFAR-10, 34 + 4 channels, 20 cells"] == (2_196_980, 527_758_384)
    assert pyramid["CIFAR-10, 36 + 6 channels, 20 cells, SE"] == (4_053_502, 789_353_184)
    # table II prints NASNet-A with 3.3 M, AmoebaNet-A with 3.1 M: NASNet's widths differ
    assert zoo["AmoebaNet_A"].counts["CIFAR-10, 36 channels, 20 cells"][0] == 3_145_078


@pytest.mark.parametrize(
    ("name", "concat"),
    [
        ("NSGANet", ((2, 4, 5, 6), (3, 4, 5, 6))),
        ("NASNet_A", ((2, 3, 4, 5, 6), (4, 5, 6))),
        ("AmoebaNet_A", ((4, 5, 6), (3, 4, 6))),
        ("ENAS", ((2, 3, 4, 5, 6), (2, 3, 6))),
    ],
)
def test_loose_ends_of_published_blocks_are_what_they_concatenate(name, concat):
    from moonas.nets.cells import loose_ends

    architecture = moonas.zoo(name).architecture
    assert (loose_ends(architecture.normal), loose_ends(architecture.reduction)) == concat


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(evaluator="oracle"), r"evaluator='oracle' is unknown; choose from"),
        (dict(exploitation=0.0), "exploitation=0.0 is invalid: expected more than 0"),
        (dict(exploitation=1.5), "exploitation=1.5 is invalid: expected at most 1"),
        (dict(train_share=1.0), "train_share=1.0 is invalid: expected less than 1"),
        (dict(mutation=0.0), "mutation=0.0 is invalid: expected more than 0"),
    ],
)
def test_settings_that_will_not_do_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        moonas.load_problem("nsganet", **options)
