"""Classification error."""

import torch


@torch.no_grad()
def count_wrong(predict, images, labels, batch):
    """How many labels a network misses.

    The images are taken in their order and in equal parts of at most ``batch`` (their sizes differ
    by one at most), so that a network which normalises by the batch sees the same batches
    every time.

    Args:
        predict: images (b, c, h, w) -> logits (b, n_classes).
        images: (n, c, h, w).
        labels: (n,) ints.
        batch: images a part, at most.

    Returns:
        Two 0-dimensional tensors on the device: the number of wrong predictions, and whether all
        logits were finite.
    """
    parts = -(-len(images) // batch)
    wrong = torch.zeros((), dtype=torch.int64, device=images.device)
    finite = torch.ones((), dtype=torch.bool, device=images.device)
    for x, y in zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True):
        logits = predict(x)
        wrong += (logits.argmax(1) != y).sum()
        finite &= logits.isfinite().all()
    return wrong, finite


def error_percent(wrong, n):
    """Error in percent, 0 to 100, of ``wrong`` misses among ``n`` images."""
    return 100.0 * wrong / n
