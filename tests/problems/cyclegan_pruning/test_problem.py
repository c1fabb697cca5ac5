import json
from dataclasses import replace
from functools import partial

import joblib
import numpy as np
import pytest
import torch
from moonas.problems.cyclegan_pruning import final_training as final
from moonas.problems.cyclegan_pruning import pretraining, quality
from moonas.problems.cyclegan_pruning.data import describe, load_data
from moonas.problems.cyclegan_pruning.masks import compressed
from moonas.problems.cyclegan_pruning.settings import PretrainingSettings, PruningSettings
from moonas.problems.cyclegan_pruning.training import new_gan, pixels
from moonas.problems.cyclegan_pruning.weights_file import (
    describe_gan,
    read_gan,
    read_models,
    write_gan,
    write_models,
)
from PIL import Image
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.soo.nonconvex.ga import GA
from searches import TINY, rows, run, words
from torch import nn

import moonas
from moonas.algorithms import algorithm
from moonas.cli import main
from moonas.files.tensors import fingerprint
from moonas.nets.counting import count_macs, count_params
from moonas.registry import load_stage
from moonas.testing import check_resume

SHAPE = ("width", "blocks", "d_width", "d_layers", "image_size")
SMALL = {name: TINY["cyclegan-pruning"][name] for name in SHAPE} | dict(batch=64, device="cpu")
PRUNING = SMALL | dict(population=3, generations=2, tune_steps=0, workers=1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of a CycleGAN whose weights are large, so that its translations differ."""
    settings = PruningSettings(**SMALL)
    gan = new_gan(1, "cpu", **settings.network_shape)
    with torch.no_grad():
        for p in gan.parameters():
            p.mul_(3)
    path = tmp_path_factory.mktemp("weights") / "cyclegan.pt"
    write_gan(path, gan, settings, describe(settings))
    return path


@pytest.fixture
def make(weights):
    """Options -> the problem of that file, with small populations."""

    def build(**options):
        return moonas.load_problem("cyclegan-pruning", **PRUNING | {"weights": weights} | options)

    return build


def by_hand(made, architecture, gan):
    """Every loss and size from the equations, image by image."""
    s, saved = made.settings, read_gan(made.settings.weights).gan
    data = load_data(s, made.info)
    names = {"a": "b", "b": "a"}
    mean = s.norm == "mean"
    losses, sizes = {}, {}
    for k, other in names.items():
        total = 0.0
        for image in pixels(data[k].validation):
            before = saved.generators[k](image[None])
            after = gan.generators[k](image[None])
            back = gan.generators[other](after)
            if s.loss == "discriminator":
                before, after = (saved.discriminators[k](x) for x in (before, after))
            distance, cycle = (before - after) ** 2, (back - image) ** 2
            distance, cycle = (x.mean() if mean else x.sum() for x in (distance, cycle))
            total += float(distance + s.cycle_weight * cycle)
        losses[k] = total / len(data[k].validation)
        kept, whole = (
            sum(
                m.weight.numel()
                for m in net.generators[k].modules()
                if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)
            )
            for net in (gan, saved)
        )
        sizes[k] = kept / whole
    return losses, sizes


@pytest.mark.parametrize("loss", ["discriminator", "generator"])
@pytest.mark.parametrize("norm", ["mean", "sum"])
@torch.no_grad()
def test_columns_are_those_of_the_equations(make, loss, norm):
    made = make(loss=loss, norm=norm, gamma=0.3, cycle_weight=4.0, score_batch=50)
    saved = read_gan(made.settings.weights).gan
    X = rows(made, 3)
    found = made.evaluate(X, return_as_dictionary=True)
    for i, x in enumerate(X):
        architecture = made.decode(x)
        gan = compressed(saved, architecture, made.groups)
        losses, sizes = by_hand(made, architecture, gan)
        for k in "ab":
            fitness = sizes[k] + 0.3 * losses[k]
            assert found[f"loss_{k}"][i] == pytest.approx(losses[k], rel=1e-5)
            assert found[f"size_{k}"][i] == sizes[k]
            assert found[f"fitness_{k}"][i] == pytest.approx(fitness, rel=1e-5)
        for name in ("loss", "size"):
            both = [found[f"{name}_{k}"][i] for k in "ab"]
            assert found[name][i] == pytest.approx(np.mean(both))
        both = [found[f"fitness_{k}"][i] for k in "ab"]
        assert found["fitness"][i] == pytest.approx(sum(both))
        nets = gan.generators.values()
        assert found["params"][i] == sum(map(count_params, nets))
        assert found["macs"][i] == sum(count_macs(net, 3, 8, 8) for net in nets)


def test_without_compression_and_steps_only_the_cycle_is_lost(make):
    made = make(cycle_weight=0.0)
    found = made.evaluate(np.ones(made.n_var, dtype=bool), return_as_dictionary=True)
    assert found["loss"] == 0 and found["size"] == 1
    assert make().evaluate(np.ones(made.n_var, dtype=bool))[0] > 0


def test_steps_change_scores_and_the_seed_decides_how(make):
    made = make(tune_steps=2, tune_share=0.05)
    X = rows(made, 2)
    still, tuned = make().evaluate(X), made.evaluate(X)
    assert (still[:, 0] != tuned[:, 0]).all() and (still[:, 1] == tuned[:, 1]).all()
    assert np.array_equal(made.evaluate(X[::-1])[::-1], tuned)
    evaluator = made.evaluator
    state = evaluator.state()
    evaluator.begin(2)
    evaluator.load_state(state)
    other = evaluator.score(made.session.candidates(X))
    assert (other["loss"] != tuned[:, 0]).all()


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_scores_do_not_depend_on_who_computes_them(make, backend):
    options = dict(tune_steps=1, tune_share=0.05)
    X = rows(make(), 4)
    alone = make(**options).evaluate(X)
    with joblib.parallel_config(backend, n_jobs=2):
        assert np.array_equal(make(**options).evaluate(X), alone)


def test_candidates_fine_tune_on_the_same_tenth(make):
    evaluator = make(tune_share=0.1).evaluator
    evaluator.begin(5)
    for k, subset in evaluator.subset.items():
        train = evaluator.train[k]
        assert len(subset) == round(0.1 * len(train))
        assert all(any(torch.equal(image, t) for t in train) for image in subset)


def test_a_network_that_diverges_gets_the_worst_and_is_flagged(make, monkeypatch):
    made = make()
    X = rows(made, 2)
    losses = iter([np.nan, 0.1, 0.2, 0.3])
    monkeypatch.setattr(type(made.evaluator), "_loss", lambda self, k, gan: next(losses))
    found = made.evaluate(X, return_as_dictionary=True)
    assert found["failed"].tolist() == [True, False]
    assert found["loss"][0] == made.ceiling == 11
    assert found["size"][0] < 1
    assert found["loss"][1] == pytest.approx(0.25)


def test_losses_beyond_the_ceiling_say_no_more(make):
    made = make()
    architecture = made.decode(rows(made, 1)[0])
    found = made.columns_of(architecture, {"a": 1e9, "b": 1.0})
    assert found["loss_a"] == made.ceiling
    summed = make(norm="sum", cycle_weight=2.0)
    assert summed.ceiling == summed.patches + 2 * 3 * 8 * 8


def test_rows_that_keep_nothing_of_a_mask_are_refused(make):
    made = make()
    x = np.ones(made.n_var, dtype=bool)
    x[:2] = False
    with pytest.raises(ValueError, match=r"Mask 0 of generator a keeps no filter.*operators\(\)"):
        made.evaluate(x)


def test_a_plain_genetic_algorithm_minimises_the_sum_of_equation_8(make):
    made = make(objectives=["fitness"])
    assert made.plotted_columns == ("fitness", "size")
    result = run(made, GA(pop_size=6, **made.operators()))
    assert result.F.shape == (1,)
    assert result.F[0] == result.pop.get("fitness").min()
    (row,) = moonas.front(result)
    assert made.pick([row]) == 0
    assert row.objectives["fitness"] == pytest.approx(
        row.columns["fitness_a"] + row.columns["fitness_b"]
    )


def test_random_search_repairs_what_it_draws(make):
    made = make(density=0.1)  # most rows have a mask without any filter
    result = run(made, algorithm("random", made, 6))
    assert moonas.front(result)


def test_any_other_algorithm_takes_four_columns(make):
    names = ["loss_a", "loss_b", "size_a", "size_b"]
    made = make(objectives=names)
    result = run(made, NSGA2(pop_size=6, **made.operators()))
    found = moonas.front(result)
    assert found and list(found[0].objectives) == names
    picked = made.pick(found)
    assert found[picked].columns["fitness"] == min(row.columns["fitness"] for row in found)


def test_its_own_algorithm_reads_the_columns_of_each_generator(make):
    made = make(population=5, generations=4)
    result = run(made, generations=4, copy_algorithm=False)
    algorithm = result.algorithm
    assert result.pop.get("X").dtype == bool
    best = algorithm.species[0][algorithm.brackets[0].argmin()]
    assert np.array_equal(algorithm.best[: made.species_bits[0]], best)
    assert np.array_equal(result.pop[-1].X, algorithm.best)
    pairs = {name: result.pop[:5].get(name).astype(float) for name in ("fitness_a", "fitness_b")}
    assert np.array_equal(algorithm.brackets[0], pairs["fitness_a"])


def test_presets_are_the_papers():
    s = PruningSettings(**PruningSettings.PRESETS["paper"])
    assert (s.population, s.generations, s.gamma, s.cycle_weight) == (32, 101, 10, 10)
    assert (s.width, s.blocks, s.image_size, s.tune_share) == (64, 9, 256, 0.1)
    s = PretrainingSettings(**PretrainingSettings.PRESETS["paper"])
    assert (s.batch, s.learning_rate, s.beta1, s.pool) == (1, 2e-4, 0.5, 50)
    assert (s.cycle, s.identity, s.epochs, s.decay_epochs) == (10, 5, 100, 100)
    assert (s.image_size + s.margin, s.flip) == (286, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(crossover=0.9), r"crossover=0.9 is invalid: expected at most 1 less copy=0.2"),
        (dict(objectives=[]), "one or more different columns"),
        (dict(objectives=["error"]), "Unknown objective 'error'"),
        (dict(image_size=10), "a multiple of 4"),
        (dict(data="nothing"), "neither digits nor a folder"),
        (dict(segmentation="a:b"), "no label maps"),
        (
            dict(d_layers=5, weights=None),
            "d_layers=5 will not do: images of 8 pixels are too small",
        ),
        (dict(width=4), r"has width=2, and width=4 is asked for"),
        (dict(image_size=12), r"has image_size=8, and image_size=12 is asked for"),
        (dict(weights="nowhere.pt"), "nowhere.pt is missing"),
        (dict(inception_weights="nowhere.pt"), "none, or a file that is there"),
        (dict(from_run="nowhere"), "none where from_run brings weights"),
        (dict(from_run="nowhere", weights=None), "nowhere holds no cyclegan.pt"),
    ],
)
def test_what_will_not_do_is_named(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_a_file_of_weights_holds_what_was_written(make, weights, tmp_path):
    made = make()
    saved = read_gan(weights)
    assert saved.architecture is None and saved.about["side"] == 8
    architecture = made.decode(rows(made, 1)[0])
    small = compressed(saved.gan, architecture, made.groups)
    path = tmp_path / "compressed.pt"
    write_gan(path, small, made.settings, made.info, architecture, "filters")
    again = read_gan(path)
    assert again.architecture == architecture
    x = pixels(torch.arange(192).reshape(1, 3, 8, 8).to(torch.uint8))
    for k in "ab":
        assert torch.equal(again.gan.generators[k](x), small.generators[k](x))
    with pytest.raises(ValueError, match="compressed already"):
        make(weights=path)


def test_model_files_hold_all_four_networks(make, weights, tmp_path):
    made, saved = make(), read_gan(weights)
    for folder, row in (("one", 0), ("other", 1)):
        (tmp_path / folder).mkdir()
        architecture = made.decode(rows(made, 2)[row])
        small = compressed(saved.gan, architecture, made.groups)
        about = describe_gan(small, made.settings, made.info, architecture, "filters")
        write_models(tmp_path / folder, small, about)
    again = read_models(tmp_path / "other")
    assert again.architecture == architecture
    assert fingerprint(again.gan.state_dict()) == fingerprint(small.state_dict())
    x = torch.rand(1, 3, 8, 8)
    for k in "ab":
        model = moonas.load_model(tmp_path / "other" / f"model-{k}.pt")
        assert torch.equal(model(x), (small.generators[k](2 * x - 1) + 1) / 2)
    (tmp_path / "one" / "model-a.pt").replace(tmp_path / "other" / "model-a.pt")
    with pytest.raises(ValueError, match="do not belong together"):
        read_models(tmp_path / "other")
    with pytest.raises(ValueError, match=r"model-a\.pt is missing"):
        read_models(tmp_path / "one")


def test_a_cyclegan_of_other_data_is_refused(make, weights, tmp_path):
    folder = folder_of_two_domains(tmp_path / "horses")
    with pytest.raises(ValueError, match="has data='digits', and data='horses' is asked for"):
        make(data=folder)


def test_too_few_images_of_a_part_are_named(make):
    with pytest.raises(ValueError, match=r"train_share=0\.999 is invalid"):
        make(train_share=0.999).evaluate(np.ones(112, dtype=bool)[: make().n_var])


def test_a_discriminator_that_is_too_deep_is_named_before_any_work():
    with pytest.raises(ValueError, match="d_layers=4 will not do: images of 8 pixels"):
        pretraining.build(**SMALL | dict(d_layers=4))


@pytest.mark.parametrize("how", ["cut", "other bytes", "not weights", "another tensor"])
def test_damaged_weights_are_noticed(weights, tmp_path, how):
    path, data = tmp_path / "cyclegan.pt", weights.read_bytes()
    if how == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif how == "other bytes":
        path.write_text("weights")
    elif how == "not weights":
        torch.save({"x": torch.zeros(3)}, path)
    else:
        found = torch.load(weights, weights_only=True)
        next(iter(found["tensors"].values())).add_(1)
        torch.save(found, path)
    with pytest.raises(ValueError, match=r"cyclegan\.pt (does not contain weights|is damaged)"):
        read_gan(path)


def test_weights_that_change_under_a_run_are_noticed(make, weights, tmp_path):
    path = tmp_path / "cyclegan.pt"
    path.write_bytes(weights.read_bytes())
    first = make(weights=path, journal=tmp_path / "run")
    run(first, generations=1)
    first.journal.close()
    gan = read_gan(path).gan
    with torch.no_grad():
        next(gan.parameters()).add_(1)
    write_gan(path, gan, first.settings, first.info)
    with pytest.raises(ValueError, match="inputs"):
        make(weights=path, journal=tmp_path / "run")


def test_a_search_stopped_within_a_generation_goes_on_where_it_stopped(make, tmp_path):
    def search(folder, n_scored=None):
        made = make(journal=tmp_path / folder, population=4, tune_steps=1, tune_share=0.05)
        if n_scored is not None:
            score, left = made.evaluator.score, iter(range(n_scored))

            def until(candidates):
                if next(left, None) is None:
                    raise KeyboardInterrupt
                return score(candidates)

            made.evaluator.score = until
        try:
            return run(made, seed=3)
        finally:
            made.journal.close()

    with pytest.raises(KeyboardInterrupt):
        search("stopped", n_scored=11)
    again, whole = search("stopped"), search("whole")
    assert np.array_equal(again.pop.get("X"), whole.pop.get("X"))
    files = [(tmp_path / name / "journal.jsonl").read_bytes() for name in ("stopped", "whole")]
    assert files[0] == files[1]


def test_the_command_line_searches_and_fine_tunes(tmp_path, capsys):
    out = tmp_path / "run"
    line = ["search", "cyclegan-pruning", "--out", str(out), "--set"]
    line += words(TINY["cyclegan-pretraining"] | SMALL, "cyclegan-pretraining")
    line += words(PRUNING | dict(tune_steps=1), "cyclegan-pruning")
    assert main(line) == 0
    printed = capsys.readouterr().out
    assert "A to B, original" in printed and "accuracy original" in printed
    folder = out / "cyclegan-pruning"
    found = {path.name for path in folder.iterdir()}
    assert {"compressed.pt", "cyclegan.pt", "translations.png", "comparison.json"} <= found
    numbers = json.loads((folder / "comparison.json").read_text())
    small = read_gan(folder / "compressed.pt")
    for k in "ab":
        sizes = numbers["sizes"]["compressed"][k]
        assert sizes["params"] == count_params(small.gan.generators[k])
        assert sizes["cpu_ms"] > 0
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    out = out.rename(tmp_path / "moved")
    line[line.index("--out") + 1] = str(out)
    folder = out / "cyclegan-pruning"
    assert main(line) == 0
    again = capsys.readouterr().out
    assert "This run is complete" in again and "accuracy original" in again
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert [name for name in before | after if before.get(name) != after.get(name)] == []
    (folder / "compressed.pt").unlink()
    assert main(line) == 0
    assert (folder / "compressed.pt").read_bytes() == before["compressed.pt"]
    capsys.readouterr()
    with Image.open(folder / "translations.png") as picture:
        assert picture.size[0] > 500

    train = ["train", str(out), "--set", "epochs=1", "decay_epochs=1"]
    assert main(train) == 0
    assert "fine-tuning" in capsys.readouterr().out
    # whatever a preset says of networks that are there already
    assert main([*train, "width=9", "blocks=7", "--out", str(tmp_path / "wide")]) == 0
    assert read_models(tmp_path / "wide").about["shape"]["width"] == 2
    capsys.readouterr()
    names = {path.name for path in (out / "training").glob("*.pt") if "weights" not in path.name}
    assert names == {"model-a.pt", "model-b.pt"}
    tuned = read_models(out / "training")
    assert tuned.architecture == small.architecture
    assert tuned.about["settings"]["epochs"] == 1
    shared = ("shape", "side", "data", "encoding", "masks")
    assert all(tuned.about[key] == small.about[key] for key in shared)
    before, after = (
        torch.cat([p.flatten() for p in saved.gan.generators.parameters()])
        for saved in (small, tuned)
    )
    assert before.shape == after.shape and not torch.equal(before, after)
    assert main(train) == 0
    assert "This run is complete" in capsys.readouterr().out


def test_the_final_fine_tuning_wants_a_search_that_has_ended(tmp_path):
    with pytest.raises(ValueError, match="weights=None is invalid"):
        final.build()
    with pytest.raises(ValueError, match=r"holds no compressed\.pt"):
        final.build(weights=str(tmp_path), **SMALL)


@pytest.fixture
def ended(make, weights, tmp_path):
    """A folder with what a search leaves, and the architecture that it picked."""
    made = make()
    architecture, saved = made.decode(rows(made, 1)[0]), read_gan(weights)
    small = compressed(saved.gan, architecture, made.groups)
    with torch.no_grad():
        for p in small.parameters():
            p.add_(1)  # as if it had been fine-tuned for its score
    write_gan(tmp_path / "cyclegan.pt", saved.gan, made.settings, made.info)
    write_gan(tmp_path / "compressed.pt", small, made.settings, made.info, architecture, "filters")
    return tmp_path, architecture, made.groups


def test_the_final_fine_tuning_starts_from_the_original(ended, weights):
    folder, architecture, groups = ended
    stage = final.build(weights=str(folder), epochs=0, decay_epochs=0, **SMALL)
    trained = stage.run(1)
    expected = compressed(read_gan(weights).gan, architecture, groups)
    for name, tensor in expected.state_dict().items():
        assert torch.equal(trained.gan.state_dict()[name].cpu(), tensor), name


def test_a_fine_tuning_can_be_run_twice(ended):
    stage = final.build(weights=str(ended[0]), epochs=1, decay_epochs=0, **SMALL)
    one, two = (stage.run(1).gan.state_dict() for _ in range(2))
    assert all(torch.equal(tensor, two[name]) for name, tensor in one.items())


def test_files_that_do_not_belong_together_are_refused(ended):
    folder = ended[0]
    settings = PruningSettings(**SMALL | dict(width=3))
    other = new_gan(1, "cpu", **settings.network_shape)
    write_gan(folder / "cyclegan.pt", other, settings, describe(settings))
    with pytest.raises(ValueError, match="do not belong together"):
        final.build(weights=str(folder), **SMALL)
    with pytest.raises(ValueError, match="image_size=12 will not do"):
        settings = PruningSettings(**SMALL)
        gan = new_gan(1, "cpu", **settings.network_shape)
        write_gan(folder / "cyclegan.pt", gan, settings, describe(settings))
        final.build(weights=str(folder), **SMALL | dict(image_size=12))


@pytest.mark.parametrize("stage", ["pretraining", "fine-tuning"])
def test_a_training_that_stops_goes_on_with_the_same_bits(stage, ended, tmp_path):
    options = SMALL | dict(epochs=2, decay_epochs=1)
    if stage == "pretraining":
        build = partial(pretraining.build, **options)
    else:
        build = partial(final.build, weights=str(ended[0]), **options)

    def train(made):
        return fingerprint(made.run(1).gan.state_dict())

    straight, stopped = check_resume(build, train, tmp_path / "journals", measured=["cpu_ms"])
    assert stopped == straight


def test_a_search_of_given_weights_trains_no_cyclegan(weights, tmp_path, capsys):
    options = PRUNING | dict(weights=weights, population=2, generations=1, tune_steps=0)
    line = ["search", "cyclegan-pruning", "--out", str(tmp_path), "--set", *words(options)]
    assert main(line) == 0
    assert "training the CycleGAN" not in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["cyclegan-pruning"]


def folder_of_two_domains(tmp_path, n=10, side=14):
    rng = np.random.default_rng(0)
    for domain in "AB":
        for part, count in (("train", n), ("test", 4)):
            place = tmp_path / domain / part
            place.mkdir(parents=True)
            for i in range(count):
                dots = rng.integers(256, size=(side, side, 3), dtype=np.uint8)
                Image.fromarray(dots).save(place / f"{i}.png")
    return tmp_path


def test_folders_of_two_domains_train_and_search(tmp_path):
    folder = folder_of_two_domains(tmp_path / "data")
    options = SMALL | dict(data=folder, margin=2, flip=True, batch=2)
    stage = load_stage("cyclegan-pretraining", epochs=1, decay_epochs=0, **options)
    trained = stage.run(1)
    assert trained.scores == {}
    made = moonas.load_problem(
        "cyclegan-pruning", population=2, pretrain_epochs=1, tune_steps=1, workers=1, **options
    )
    F = run(made, generations=2).pop.get("F")
    low, high = made.objective_bounds()
    assert ((low <= F) & (high >= F)).all() and len(np.unique(F, axis=0)) > 1
    assert made.evaluator.train["a"].shape == (8, 3, 10, 10)
    assert made.evaluator.validation["a"].shape == (2, 3, 8, 8)


class Threshold(nn.Module):
    """A segmentation network: class 1 where the red of a pixel is above one half, else class 0."""

    def forward(self, images):
        red = images[:, :1]
        return torch.cat([0.5 - red, red - 0.5], dim=1)


def test_label_maps_give_fcn_scores(tmp_path):
    folder = folder_of_two_domains(tmp_path / "data", side=8)
    rng, maps = np.random.default_rng(1), []
    place = folder / "A" / "test_labels"
    place.mkdir()
    for i in range(4):
        maps.append(rng.integers(2, size=(8, 8), dtype=np.uint8))
        Image.fromarray(maps[-1]).save(place / f"{i}.png")
    settings = PruningSettings(**SMALL, data=folder, segmentation=f"{__name__}:Threshold")
    info = describe(settings)
    data = load_data(settings, info)
    judged = quality.Quality(replace(settings, score_batch=3), info, data, torch.device("cpu"))
    same = nn.ModuleDict({"a": nn.Identity(), "b": nn.Identity()})
    scores = judged.evaluate(same)
    assert set(scores) == {"pixel_accuracy_a", "class_accuracy_a", "mean_iou_a"}
    real = np.stack(maps)
    guess = (data["a"].test[:, 0].numpy() > 127).astype(int)
    assert scores["pixel_accuracy_a"] == pytest.approx(100 * (real == guess).mean())
    recalls = [(guess[real == c] == c).mean() for c in (0, 1)]
    assert scores["class_accuracy_a"] == pytest.approx(100 * np.mean(recalls))
    ious = [((real == c) & (guess == c)).sum() / ((real == c) | (guess == c)).sum() for c in (0, 1)]
    assert scores["mean_iou_a"] == pytest.approx(100 * np.mean(ious))


def test_a_segmentation_network_may_come_from_a_file(tmp_path):
    file = tmp_path / "network.py"
    file.write_text("import torch\n\ndef make():\n    return torch.nn.Conv2d(3, 2, 1)\n")
    assert isinstance(quality.segmentation_network(f"{file}:make"), nn.Conv2d)
    with pytest.raises(ValueError, match="segmentation='nowhere.py:make' will not do"):
        pretraining.build(
            **SMALL, data=folder_of_two_domains(tmp_path), segmentation="nowhere.py:make"
        )


@pytest.mark.parametrize("words", ["nothing", "moonas:nothing", "json:loads", "builtins:dict"])
def test_a_segmentation_network_that_is_none_is_named(words):
    with pytest.raises(ValueError, match=words):
        quality.segmentation_network(words)


def test_digits_are_read_by_a_classifier_of_the_target_domain():
    settings = PruningSettings(device="cpu", image_size=8)
    info = describe(settings)
    data = load_data(settings, info)
    same = nn.ModuleDict({"a": nn.Identity(), "b": nn.Identity()})
    apart = quality.Quality(settings, info, data, torch.device("cpu")).evaluate(same)
    assert max(apart["accuracy_a"], apart["accuracy_b"]) < 30  # no pixel is translated
    twice = {"a": data["b"], "b": data["b"]}
    alike = quality.Quality(settings, info, twice, torch.device("cpu")).evaluate(same)
    assert alike["accuracy_a"] > 90 and alike["fid_a"] == pytest.approx(0, abs=1e-6)


def test_domains_of_digits_share_no_digit_to_search_with():
    settings = PruningSettings(device="cpu")
    data = load_data(settings, describe(settings))
    sizes = {k: (len(d.train), len(d.validation), len(d.test)) for k, d in data.items()}
    assert sizes == {"a": (574, 144, 360), "b": (575, 144, 360)}
    assert data["a"].test_labels.tolist() == data["b"].test_labels.tolist()
    again = load_data(settings, describe(settings))
    assert all(torch.equal(data[k].train, again[k].train) for k in "ab")
