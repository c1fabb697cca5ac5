"""NSGANetV1 as a problem: proxies, supernet, objectives, settings and the search of the paper."""

import json
import math
import subprocess
import sys
import threading

import joblib
import numpy as np
import pytest
import torch
from moonas.problems import nsganet
from moonas.problems.nsganet import space
from PIL import Image
from searches import TINY, rows, run
from torch.nn import functional as F

import moonas
from moonas.algorithms.sources import SOURCE_KEY
from moonas.data import load, split
from moonas.evaluators import NetworkCosts
from moonas.nets.counting import CellCosts, count_macs, count_params
from moonas.nets.randomness import generator, initial_weights
from moonas.problem import SearchFailed
from moonas.run.journal import RunMismatch


@pytest.fixture
def small_settings():
    """Return settings of a search that trains each candidate serially in less than a second."""
    return TINY["nsganet"]


@pytest.fixture
def one_cell_settings(small_settings, few_digits):
    """Return settings of a search with a hundred images and networks of a single cell."""
    return small_settings | dict(data=few_digits, batch=25, layers=1)


@pytest.mark.parametrize("evaluator", ["proxy", "supernet"])
def test_a_fifth_of_the_training_images_are_the_validation_set_and_no_test_image_is_used(
    evaluator, small_settings
):
    problem = moonas.load_problem("nsganet", evaluator=evaluator, **small_settings)
    problem.evaluator.begin(1)
    train, validation = problem.evaluator.images.train, problem.evaluator.images.validation
    assert len(train[0]) == 1150 and len(validation[0]) == 287
    seen = {
        x.tobytes()
        for part in (train, validation)
        for x in part[0].tensor().cpu().contiguous().numpy()
    }
    assert len(seen) == 1437
    assert not any(x.tobytes() in seen for x in load("digits").test_images.tensor().numpy())


def test_the_error_of_a_proxy_equals_the_error_after_a_plain_training_loop(small_settings):
    """Algorithm 2 written out: SGD with a cosine schedule and shuffled batches."""
    epochs, seed, layout = 3, 5, torch.channels_last
    options = small_settings | dict(proxy_epochs=epochs, layers=1, device="cpu")
    problem = moonas.load_problem("nsganet", **options)
    x = rows(problem, 1)[0]
    problem.evaluator.begin(seed)
    columns = problem.evaluator.score(problem.session.candidates(x[None]))

    s, data = problem.settings, load("digits")
    train, validation = split(data.labels, round(0.8 * len(data.labels)))
    with initial_weights(seed, *x.tolist(), "weights"):
        network = nsganet.network(
            space.decode(x), channels=2, increment=1, layers=1, in_channels=1, image_size=8
        ).to(memory_format=layout)
    images = data.images.tensor().to(memory_format=layout)
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
    assert columns["error"][0] == pytest.approx(100 * float(wrong.double().mean()))
    assert columns["error"][0] < 80  # chance level is 90


def test_the_error_of_a_proxy_depends_only_on_the_candidate_and_the_seed_of_the_run(small_settings):
    problem = moonas.load_problem("nsganet", **small_settings | dict(layers=1))
    X = rows(problem, 3)

    def errors(X):
        return problem.evaluator.score(problem.session.candidates(X))["error"]

    problem.evaluator.begin(1)
    together = errors(X)
    assert len(set(together)) > 1
    one_by_one = [errors(x[None])[0] for x in X[::-1]]
    assert np.array_equal(together, one_by_one[::-1])
    problem.evaluator.begin(2)
    assert not np.array_equal(errors(X), together)


SCRIPT = """
import numpy as np
from moonas.problems.nsganet.problem import NSGANet
from moonas.problems.nsganet.settings import Settings

class Subclass(NSGANet):
    pass

problem = Subclass(Settings(proxy_epochs=1, batch=128, channels=2, device="cpu", workers=2))
rng = np.random.default_rng(0)
rows = problem.operators()["sampling"].do(problem, 3, random_state=rng).get("X")
print(problem.evaluate(rows)[:, 0].tolist())
"""


@pytest.mark.slow
def test_candidates_of_a_problem_defined_in_a_script_train_in_other_processes(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    line = [sys.executable, tmp_path / "script.py"]
    done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 3


class NonFiniteLogits(torch.nn.Module):
    """Wraps a network and makes its logits infinite or NaN."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        return self.network(images) * math.inf


def test_a_candidate_that_diverges_gets_the_worst_error_and_counts_as_failed(
    one_cell_settings, monkeypatch
):
    problem = moonas.load_problem("nsganet", **one_cell_settings)
    X = rows(problem, 3)
    build, diverging = problem.evaluator.build, space.decode(X[1])
    monkeypatch.setattr(
        problem.evaluator,
        "build",
        lambda a: NonFiniteLogits(build(a)) if a == diverging else build(a),
    )
    out = problem.evaluate(X, return_as_dictionary=True)
    assert out["failed"].astype(bool).tolist() == [False, True, False]
    assert out["F"][1, 0] == 100
    assert out["macs"][1] == problem.count(problem.session.candidates(X[1:2]))[0, 1]


def test_a_search_stops_with_an_error_if_all_candidates_diverge(one_cell_settings):
    problem = moonas.load_problem("nsganet", learning_rate=1e30, clip=1e30, **one_cell_settings)
    with pytest.raises(SearchFailed, match="All 6 candidates"):
        run(problem)


def test_the_algorithm_is_nsga2_with_offspring_sampled_from_a_bayesian_network(small_settings):
    search = moonas.load_problem("nsganet", **small_settings).algorithm()
    assert type(search).__name__ == "NSGA2"
    assert search.tournament_type == "comp_by_rank_and_crowding"
    assert type(search.mating.base.crossover).__name__ == "BlockCrossover"
    assert search.mating.base.crossover.prob.value == 0.9
    assert search.mating.base.mutation.n_genes == 4  # 0.1 of 40 genes
    assert (search.mating.start, search.mating.first_share) == (2 / 3, 0.25)
    assert search.mating.n_best == 100 and search.n_offsprings == search.pop_size == 6
    plain = moonas.load_problem("nsganet", exploitation=None, **small_settings).algorithm()
    assert type(plain.mating).__name__ == "Mating"


def test_the_search_and_its_baselines_evaluate_the_same_number_of_candidates(one_cell_settings):
    problem = moonas.load_problem(
        "nsganet", evaluator="supernet", weights="frozen", **one_cell_settings
    )
    for name in (None, "nsga2", "random"):
        assert run(problem, name).algorithm.evaluator.n_eval == 18


def test_the_bayesian_network_is_used_after_two_thirds_of_the_generations(one_cell_settings):
    options = one_cell_settings | dict(population=12, generations=6)
    problem = moonas.load_problem("nsganet", evaluator="supernet", weights="frozen", **options)
    counts = []

    def count(algorithm):
        counts.append(sum(i.get(SOURCE_KEY) == "model" for i in algorithm.off))

    run(problem, generations=6, callback=count)
    assert counts[:4] == [0] * 4 and sum(counts[4:]) > 0


def test_while_weights_train_the_bayesian_network_is_fitted_to_current_objectives_only(
    one_cell_settings,
):
    options = one_cell_settings | dict(evaluator="supernet", exploitation=0.2)
    problem = moonas.load_problem("nsganet", **options)
    # for each generation: the objectives by row, and the number of rows that the model is fitted to
    evaluated, sizes = [], []

    def check(algorithm):
        if evaluated:
            X, F = algorithm.mating.archive.get("X", "F")  # the data that the model was fitted to
            fitted = {tuple(x): f.tolist() for x, f in zip(X.tolist(), F, strict=True)}
            assert fitted == evaluated[-1] and len(X) == len(fitted)
            sizes.append(len(X))
        individuals = [*algorithm.pop, *algorithm.off]
        evaluated.append({tuple(i.X.tolist()): i.F.tolist() for i in individuals})

    run(problem, generations=4, callback=check)
    assert len(sizes) == 3 and sizes[-1] > 6  # survivors and offspring that did not survive


@pytest.mark.parametrize(
    "name",
    ["moead", *(pytest.param(n, marks=pytest.mark.slow) for n in ("nsga3", "smsemoa", "random"))],
)
@pytest.mark.parametrize("weights", ["shared", "frozen"])
def test_objectives_on_the_front_of_other_algorithms_agree_with_the_supernet(
    name, weights, one_cell_settings
):
    problem = moonas.load_problem(
        "nsganet", evaluator="supernet", weights=weights, **one_cell_settings
    )
    for row in moonas.front(run(problem, name)):
        F = problem.evaluate(row.x)
        assert F.tolist() == [row.objectives["error"], row.objectives["macs"]]


@pytest.mark.parametrize(
    ("name", "options"),
    [("nsganet", {}), ("nsganet", dict(evaluator="supernet")), ("cars", dict(weights="frozen"))],
)
def test_robustness_error_is_available_with_proxies_and_with_supernets(
    name, options, small_settings, tiny
):
    options = (small_settings if name == "nsganet" else tiny) | dict(layers=1) | options
    problem = moonas.load_problem(name, objectives=("error", "robustness_error"), **options)
    X = rows(problem, 3)
    F = problem.evaluate(X)
    assert ((F >= 0) & (F <= 100)).all() and len(np.unique(F)) > 2
    without = moonas.load_problem(name, **options)
    assert np.array_equal(without.evaluate(X)[:, 0], F[:, 0])


@pytest.fixture
def chest(tmp_path):
    """Return settings with forty images; each label means that one half of the image is bright."""
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
def test_a_search_on_images_with_several_labels_minimizes_the_auroc_error(
    name, chest, small_settings, tiny
):
    options = (small_settings if name == "nsganet" else tiny) | chest | dict(batch=8, layers=1)
    problem = moonas.load_problem(name, objectives=("auroc_error", "macs"), **options)
    assert problem.columns[0].name == "auroc_error"
    result = run(problem, generations=2)
    F = result.pop.get("F")
    assert ((F[:, 0] >= 0) & (F[:, 0] <= 100)).all() and len(set(F[:, 0])) > 1


def test_resuming_a_run_with_changed_labels_raises_an_error(chest, one_cell_settings, tmp_path):
    options = one_cell_settings | chest | dict(batch=8, objectives=("auroc_error", "macs"))
    run(moonas.load_problem("nsganet", journal=tmp_path / "run", **options), generations=1)
    path = tmp_path / "labels.csv"
    path.write_text(path.read_text().replace("\n0.png,", "\n0.png,Mass|"))
    with pytest.raises(RunMismatch, match="'labels.csv' changed"):
        moonas.load_problem("nsganet", journal=tmp_path / "run", **options)


def test_proxies_learn_to_classify_images_with_several_labels(chest, one_cell_settings):
    options = (
        one_cell_settings | chest | dict(batch=8, proxy_epochs=15, channels=4, learning_rate=0.05)
    )
    problem = moonas.load_problem("nsganet", objectives=("auroc_error", "macs"), **options)
    assert problem.evaluate(rows(problem, 3))[:, 0].min() < 25  # chance level is 50


def test_an_objective_that_does_not_suit_the_labels_raises_an_error(chest, small_settings):
    with pytest.raises(
        ValueError,
        match="'error' is invalid .* expected one label .*limits from .'auroc_error'",
    ):
        moonas.load_problem("nsganet", **small_settings | chest)
    with pytest.raises(ValueError, match="'auroc_error' is invalid .* expected several labels"):
        moonas.load_problem("nsganet", objectives=("auroc_error", "macs"), **small_settings)


def test_latency_is_measured_once_per_architecture_and_only_in_the_main_thread(
    one_cell_settings, monkeypatch
):
    measured, threads = [], set()
    original = NetworkCosts.measure

    def record(self, candidates):
        measured.extend(candidates)
        threads.add(threading.current_thread())
        return original(self, candidates)

    monkeypatch.setattr(NetworkCosts, "measure", record)
    options = one_cell_settings | dict(objectives=("error", "latency_ms"), proxy_epochs=2)
    problem = moonas.load_problem("nsganet", **options)
    with joblib.parallel_config(backend="threading", n_jobs=2):
        result = run(problem, generations=2)
    assert len(measured) == len(set(measured)) == 12
    assert threads == {threading.main_thread()}
    assert (result.pop.get("latency_ms") > 0).all()
    X, F = result.pop.get("X"), result.pop.get("F")
    assert np.array_equal(problem.evaluate(X), F) and len(measured) == 12
    serial = moonas.load_problem("nsganet", **options)
    serial.evaluator.begin(1)
    columns = serial.evaluator.score(serial.session.candidates(X))
    assert np.array_equal(columns["error"], F[:, 0]) and len(set(F[:, 0])) > 1


def test_params_and_macs_are_counted_for_the_target_network(one_cell_settings):
    options = one_cell_settings | dict(
        objectives=("params", "macs"), target_channels=6, target_layers=5
    )
    problem = moonas.load_problem("nsganet", **options)
    (x,) = rows(problem, 1)
    network = problem.network(space.decode(x))
    assert [cell.shape.channels for cell in network.cells] == [6, 7, 8, 9, 10]
    assert problem.evaluate(x).tolist() == [count_params(network), count_macs(network, 3, 8, 8)]


def test_parts_of_a_network_are_parts_of_the_space(small_settings):
    problem = moonas.load_problem("nsganet", **small_settings)
    known = {part.key for part in problem.operations()}
    for x in rows(problem, 20):
        assert {part.key for part in problem.parts(space.decode(x))} <= known


def test_the_reference_point_of_the_hypervolume_comes_from_section_h_or_from_the_space():
    paper = moonas.load_problem("nsganet", preset="paper", device="cpu")
    assert paper.objective_bounds().tolist() == [[0, 0], [100, 1e9]]
    digits = moonas.load_problem("nsganet", device="cpu")
    assert digits.objective_bounds().tolist() == [[0, 0], [100, 478_224]]
    with_fixed_weights = moonas.load_problem("nsganet", device="cpu", count_fixed=True)
    assert with_fixed_weights.objective_bounds().tolist() == [[0, 0], [100, 519_824]]


@pytest.mark.parametrize(("count_fixed", "share"), [(False, 0.029), (True, 0.514)])
def test_few_networks_exceed_the_largest_of_the_paper_if_fixed_weights_do_not_count(
    count_fixed, share
):
    """The paper calls 1,000 M the largest number of multiply-adds of the space."""
    costs = CellCosts(
        space.OPERATIONS,
        n_nodes=space.N_NODES,
        count_fixed=count_fixed,
        **dict(channels=36, increment=6, layers=14, n_classes=100),
    )
    problem = moonas.load_problem("nsganet", device="cpu")
    X = rows(problem, 20_000)
    macs = costs.count(*space.edges(X), space.count_loose_ends(X))[:, 1]
    assert (macs > 1e9).mean() == pytest.approx(share, abs=0.01)


def test_no_network_exceeds_the_bounds_of_the_space(small_settings):
    problem = moonas.load_problem("nsganet", **small_settings)
    top = problem.costs.largest()
    assert (problem.count(problem.session.candidates(rows(problem, 500))) <= top).all()
    # the most expensive operation of each block on all of its edges, all five nodes concatenated
    for column in (0, 1):
        operations = problem.costs.table[:, 0, :, column].argmax(axis=1)
        x = np.concatenate([[operation, 0] * 10 for operation in operations])
        assert problem.count(problem.session.candidates(x[None]))[0, column] == top[column]


def test_the_preset_of_the_paper_has_the_settings_of_table_1():
    s = moonas.load_problem("nsganet", preset="paper", device="cpu").settings
    assert (s.population, s.generations, s.crossover, s.mutation) == (40, 30, 0.9, 0.1)
    assert (s.channels, s.increment, s.layers, s.proxy_epochs) == (36, 6, 3 * 4 + 2, 36)
    assert (s.data, s.train_share, s.batch, s.weight_decay) == ("cifar100", 0.8, 128, 5e-4)


def test_the_zoo_has_the_published_params_and_macs():
    zoo = moonas.zoo()
    counts = zoo["NSGANet"].counts
    assert counts["CIFAR-10, 34 + 4 channels, 20 cells"] == (2_196_980, 527_758_384)
    assert counts["CIFAR-10, 36 + 6 channels, 20 cells, SE"] == (4_053_502, 789_353_184)
    # Table II has 3.1 M parameters; the 3.3 M of NASNet-A refer to other widths
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
def test_published_blocks_concatenate_their_loose_ends(name, concat):
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
def test_invalid_settings_raise_an_error_with_the_reason(options, message):
    with pytest.raises(ValueError, match=message):
        moonas.load_problem("nsganet", **options)
