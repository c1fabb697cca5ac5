import math

import numpy as np
import pytest
import torch
from moonas.problems.cyclegan_pruning.segmentation import SCORES, count_pixels, segmentation_scores

IGNORED = 255


def logits_of(predicted, n_classes):
    """Return (n, n_classes, h, w) logits that predict ``predicted``, (n, h, w)."""
    return torch.nn.functional.one_hot(torch.tensor(predicted), n_classes).permute(0, 3, 1, 2) - 0.5


def random_case(n_classes=19, n=4, side=6, absent=(), seed=0):
    """Return random logits and uint8 maps, in which about a fifth of the pixels are ignored."""
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(size=(n, n_classes, side, side)))
    present = [c for c in range(n_classes) if c not in absent]
    maps = rng.choice(present, size=(n, side, side))
    maps[rng.random(maps.shape) < 0.2] = IGNORED
    return logits, torch.from_numpy(maps.astype(np.uint8))


def scores_by_loops(logits, maps):
    """Compute the scores pixel by pixel, with a set of pixels per class."""
    n, _, h, w = logits.shape
    actual, predicted = {}, {}
    for position in np.ndindex(n, h, w):
        i, y, x = position
        if int(maps[position]) == IGNORED:
            continue
        values = logits[i, :, y, x].tolist()
        actual.setdefault(int(maps[position]), set()).add(position)
        predicted.setdefault(values.index(max(values)), set()).add(position)
    hits = {c: len(pixels & predicted.get(c, set())) for c, pixels in actual.items()}
    unions = {c: len(pixels | predicted.get(c, set())) for c, pixels in actual.items()}
    return {
        "pixel_accuracy": 100 * sum(hits.values()) / sum(map(len, actual.values())),
        "class_accuracy": 100 * sum(hits[c] / len(actual[c]) for c in actual) / len(actual),
        "mean_iou": 100 * sum(hits[c] / unions[c] for c in actual) / len(actual),
    }


def test_scores_of_a_small_map_match_a_calculation_by_hand(device):
    maps = torch.tensor([[[0, 0, 1], [1, 1, 2]]], device=device)
    logits = logits_of([[[0, 1, 1], [1, 0, 2]]], 3).to(device)
    counts = count_pixels(logits, maps, IGNORED)
    assert counts.dtype == torch.int64 and counts.device.type == "cpu"
    assert counts.tolist() == [[1, 1, 0], [1, 2, 0], [0, 0, 1]]
    scores = segmentation_scores(counts)
    assert tuple(scores) == SCORES
    assert scores["pixel_accuracy"] == pytest.approx(100 * 4 / 6)
    assert scores["class_accuracy"] == pytest.approx(100 * (1 / 2 + 2 / 3 + 1) / 3)
    assert scores["mean_iou"] == pytest.approx(100 * (1 / 3 + 2 / 4 + 1) / 3)


def test_rows_of_the_confusion_matrix_are_correct_classes_and_columns_are_predictions():
    counts = count_pixels(logits_of([[[2, 2, 0]]], 3), torch.tensor([[[1, 1, 0]]]), IGNORED)
    assert counts.tolist() == [[1, 0, 0], [0, 0, 2], [0, 0, 0]]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("n_classes", "absent"), [(2, ()), (5, (0, 3)), (19, ()), (19, (18,))])
def test_scores_match_a_computation_with_sets_of_pixels(n_classes, absent, seed, device):
    logits, maps = random_case(n_classes, absent=absent, seed=seed)
    scores = segmentation_scores(count_pixels(logits.to(device), maps.to(device), IGNORED))
    assert scores == pytest.approx(scores_by_loops(logits, maps))


def test_predictions_for_ignored_pixels_have_no_effect():
    logits, maps = random_case()
    counts = count_pixels(logits, maps, IGNORED)
    assert counts.sum() == (maps != IGNORED).sum() < maps.numel()
    changed = torch.where((maps == IGNORED)[:, None], -logits, logits)
    assert not torch.equal(changed.argmax(1), logits.argmax(1))
    assert torch.equal(count_pixels(changed, maps, IGNORED), counts)


def test_any_class_can_be_ignored():
    maps = torch.tensor([[[0, 1, 2, 1]]])
    counts = count_pixels(logits_of([[[0, 0, 1, 1]]], 3), maps, 1)
    assert counts.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert segmentation_scores(counts) == {name: 50 for name in SCORES}


def test_means_include_only_classes_that_occur_in_the_maps():
    maps = torch.tensor([[[0, 0, 0, 1]]])
    counts = count_pixels(logits_of([[[0, 1, 2, 1]]], 5), maps, IGNORED)
    scores = segmentation_scores(counts)
    assert scores["pixel_accuracy"] == pytest.approx(100 * 2 / 4)
    assert scores["class_accuracy"] == pytest.approx(100 * (1 / 3 + 1) / 2)
    assert scores["mean_iou"] == pytest.approx(100 * (1 / 3 + 1 / 2) / 2)


def test_perfect_predictions_score_100_and_wrong_ones_0():
    maps = np.random.default_rng(0).integers(0, 4, (2, 5, 5))
    for predicted, score in ((maps, 100), ((maps + 1) % 4, 0)):
        counts = count_pixels(logits_of(predicted, 4), torch.from_numpy(maps), IGNORED)
        assert segmentation_scores(counts) == {name: score for name in SCORES}


def test_the_counts_of_batches_sum_to_the_count_of_all_images():
    logits, maps = random_case(n=5)
    total = count_pixels(logits, maps, IGNORED)
    parts = zip(logits.split(2), maps.split(2), strict=True)
    assert torch.equal(sum(count_pixels(*part, IGNORED) for part in parts), total)


@pytest.mark.filterwarnings("error")
def test_scores_are_nan_if_no_pixel_is_counted():
    logits, maps = random_case(n_classes=3)
    for counts in (
        count_pixels(logits, torch.full_like(maps, IGNORED), IGNORED),
        count_pixels(logits[:0], maps[:0], IGNORED),
        np.zeros((3, 3), int),
    ):
        assert counts.shape == (3, 3) and not counts.any()
        scores = segmentation_scores(counts)
        assert tuple(scores) == SCORES and all(map(math.isnan, scores.values()))


@pytest.mark.parametrize("shape", [(4, 6, 5), (3, 6, 6), (4, 1, 6, 6), (4, 36)])
def test_label_maps_of_the_wrong_shape_raise_an_error(shape):
    logits, _ = random_case()
    message = r"of shape \(4, 6, 6\) .* got \(" + ", ".join(map(str, shape))
    with pytest.raises(ValueError, match=message):
        count_pixels(logits, torch.zeros(shape, dtype=torch.uint8), IGNORED)


def test_an_unknown_class_in_a_label_map_raises_an_error():
    logits, maps = random_case(n_classes=3)
    maps[0, 0, 0] = 3
    with pytest.raises(ValueError, match="class 3, but the network has 3 classes. Use class 255"):
        count_pixels(logits, maps, IGNORED)
    count_pixels(logits, torch.where(maps == 3, IGNORED, maps), IGNORED)
