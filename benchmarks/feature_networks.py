"""Which feature network notices that a generator leaves out half of the classes?

Question: FID and its companions see only what their feature network sees. How accurate are the two
built-in classifiers, three convolutions and the residual network, on photographs, how long does
their training take, and how do the measures react to images with known faults?

Method: both networks are trained on the same images. The sets below are compared with the training
images. All sets have the same number of images, half of the test set:

- held-out: real images, a random half of the test set;
- half of the classes: the test images of the first half of the classes;
- blur, noise: the held-out images after Gaussian blur and Gaussian noise of strength 3 of 5
  (Hendrycks and Dietterich, 2019);
- uniform noise: independent pixels.

With --features, another network is measured as well, such as torchvision:resnet18 or inception.

Command: python benchmarks/feature_networks.py --data FILE [--images N] [--device cuda]
Data: an .npz file with JPEG images (train_payload, train_lengths, train_labels, header, footer, and
likewise for test), or with arrays x_train, y_train, x_test, y_test of grayscale images, which are
padded to a multiple of 8 pixels.
Device: --device; the times depend on it.
Output: feature_networks-NAME-N.json next to this file, NAME is the stem of FILE. Networks that it
already contains are not measured again.
"""

import argparse
import io
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from moonas.files import CACHE
from moonas.metrics.corruptions import corrupt
from moonas.metrics.features import classifier_from_pixels, feature_network
from moonas.metrics.image_quality import RealImages
from moonas.nets.devices import resolve_device

HERE = Path(__file__).parent
CLASSIFIERS = {"three convolutions": False, "residual network": True}  # name -> residual
STRENGTH = 3  # of blur and noise
MEASURES = ("fid", "is_mean", "kid", "precision", "recall", "density", "coverage")


def read_jpegs(archive, split, rows):
    """Decode the images of some rows to (n, 3, h, w) pixels in [0, 1]."""
    ends = archive[f"{split}_lengths"].astype(int).cumsum()
    starts = np.concatenate([[0], ends[:-1]])
    data = archive[f"{split}_payload"].tobytes()
    head, tail = archive["header"].tobytes(), archive["footer"].tobytes()
    images = [
        np.asarray(Image.open(io.BytesIO(head + data[starts[i] : ends[i]] + tail)).convert("RGB"))
        for i in rows
    ]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


def read_arrays(archive, split, rows):
    """Convert grayscale images of some rows to (n, 1, h, w) pixels in [0, 1], h a multiple of 8."""
    pixels = torch.from_numpy(archive[f"x_{split}"][rows])[:, None].float() / 255
    border = -pixels.shape[-1] % 8
    return F.pad(pixels, [border // 2, border - border // 2] * 2)


def read(path, n_train):
    """Return training images and labels, and test images and labels, in random order.

    Args:
        path: file, see the docstring of this script.
        n_train: number of training images; the share of the test images is the same, but at least
            a fifth.
    """
    parts = []
    with np.load(path) as archive:
        jpeg = "train_payload" in archive
        for split in ("train", "test"):
            labels = archive[f"{split}_labels" if jpeg else f"y_{split}"].astype(np.int64)
            if split == "train":
                share = min(1.0, n_train / len(labels))
            n = round(len(labels) * (share if split == "train" else max(share, 0.2)))
            rows = np.random.default_rng(0).permutation(len(labels))[:n]
            parts += [(read_jpegs if jpeg else read_arrays)(archive, split, rows)]
            parts += [torch.from_numpy(labels[rows])]
    return parts


def faulty_sets(pixels, labels):
    """Return name -> images of the sets that are compared, (n, c, h, w) pixels in [0, 1]."""
    classes = labels.unique()
    half = torch.isin(labels, classes[: len(classes) // 2])
    n = min(len(pixels) // 2, int(half.sum()))
    held_out = pixels[:n]  # the order is random

    def rng():
        return torch.Generator().manual_seed(0)

    return {
        "held-out": held_out,
        "half of the classes": pixels[half][:n],
        "blur": corrupt(held_out, "gaussian blur", STRENGTH, rng()),
        "noise": corrupt(held_out, "gaussian noise", STRENGTH, rng()),
        "uniform noise": torch.rand(held_out.shape, generator=rng()),
    }


def measure(extract, train, sets, device):
    """Return name of a set -> its measures relative to the training images."""
    real = RealImages(extract, train, device)
    measures = {}
    for name, pixels in sets.items():
        features, log_probabilities = extract(pixels)
        measures[name] = real.measure(features, log_probabilities)
    return measures


def main():
    """Train both classifiers, measure all sets, print tables, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=Path, help="file of images")
    parser.add_argument("--images", type=int, default=50_000, help="training images")
    parser.add_argument("--device", default="auto", help="cpu, cuda, ... (default: auto)")
    parser.add_argument(
        "--classifiers",
        nargs="*",
        choices=CLASSIFIERS,
        default=list(CLASSIFIERS),
        help="built-in classifiers; three convolutions are always trained on one CPU thread",
    )
    parser.add_argument("--features", nargs="*", default=[], help="further feature networks")
    args = parser.parse_args()
    device = resolve_device(args.device)
    train, labels, test, test_labels = read(args.data, args.images)
    sets = faulty_sets(test, test_labels)
    path = HERE / f"feature_networks-{args.data.stem}-{len(train)}.json"
    results = json.loads(path.read_text()) if path.exists() else {"networks": {}}
    results |= {
        "data": args.data.stem,
        "train_images": len(train),
        "test_images": len(test),
        "images_per_set": len(sets["held-out"]),
        "torch": torch.__version__,
    }
    for name in [*args.classifiers, *args.features]:
        if name not in results["networks"]:
            begun, cpu_begun = time.perf_counter(), time.process_time()
            with tempfile.TemporaryDirectory() as cache:  # so that training times are measured
                os.environ[CACHE] = cache
                if name in CLASSIFIERS:
                    extract = classifier_from_pixels(
                        train,
                        labels,
                        int(labels.max()) + 1,
                        name,
                        device,
                        test=(test, test_labels),
                        flip=train.shape[1] == 3,  # photographs, not digits
                        residual=CLASSIFIERS[name],
                        on_progress=lambda *progress: print(*progress, flush=True),
                    )
                else:
                    extract = feature_network(name, train.shape[1:], device)
                seconds = time.perf_counter() - begun
                cpu_seconds = time.process_time() - cpu_begun
                measures = measure(extract, train, sets, device)
            results["networks"][name] = {
                "accuracy": extract.accuracy,
                "seconds": seconds,
                "cpu_seconds": cpu_seconds,
                "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
                "threads": torch.get_num_threads(),
                "sets": measures,
            }
            path.write_text(json.dumps(results, indent=1) + "\n")
        report(name, results["networks"][name])


def report(name, network):
    """Print accuracy, times and measures of one network."""
    accuracy = "" if network["accuracy"] is None else f"{network['accuracy']:.1f} % accurate, "
    print(f"\n{name}: {accuracy}ready after {network['seconds']:.0f} s ({network['device']})")
    print(f"{'':20}" + "".join(f"{measure:>11}" for measure in MEASURES))
    for title, measures in network["sets"].items():
        print(f"{title:20}" + "".join(f"{measures[measure]:11.4f}" for measure in MEASURES))


if __name__ == "__main__":
    main()
