import math

import pytest
import torch

from moonas.metrics.error import count_wrong, error_percent


def test_the_number_of_wrong_predictions_does_not_depend_on_the_batch_size():
    logits = torch.eye(4)[[0, 1, 2, 3, 0, 1, 2]]
    labels = torch.tensor([0, 1, 2, 3, 1, 1, 3])
    for batch in (1, 2, 3, 7, 100):
        wrong, finite = count_wrong(lambda x: x, logits, labels, batch)
        assert (int(wrong), bool(finite)) == (2, True)
    assert error_percent(2, 7) == pytest.approx(28.5714, abs=1e-4)


def test_a_nan_logit_is_detected_in_every_batch():
    for row in (0, 4):
        logits = torch.zeros(5, 3)
        logits[row, 1] = math.nan
        assert not count_wrong(lambda x: x, logits, torch.zeros(5, dtype=torch.int64), 2)[1]


def test_the_sizes_of_batches_differ_by_at_most_one():
    sizes = []

    def predict(x):
        sizes.append(len(x))
        return x

    count_wrong(predict, torch.zeros(719, 2), torch.zeros(719, dtype=torch.int64), 360)
    assert sizes == [360, 359]
