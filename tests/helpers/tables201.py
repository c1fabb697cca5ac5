"""Write a table in the format of NAS-Bench-201 whose scores are computed by a formula."""

import csv
import itertools

from moonas.problems.nasbench201.space import OPERATIONS, Architecture

COST_OF_OPERATION = {
    "none": 0,
    "skip_connect": 0,
    "nor_conv_1x1": 1,
    "nor_conv_3x3": 9,
    "avg_pool_3x3": 0,
}


def score(operations):
    """Return accuracy (%), parameters (millions) and latency (ms) of a cell.

    Larger cells have higher accuracy and latency.
    """
    cost = sum(COST_OF_OPERATION[op] for op in operations)
    n_none = operations.count("none")
    return (
        60 + 30 * cost / (cost + 10) - 3 * n_none,
        0.07 + 0.02 * cost,
        1 + cost / 9 + len(set(operations)),
    )


def write_table(path):
    """Write the scores of all 15,625 cells to a CSV file and return its path."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        columns = ("cifar10_test_200ep", "mparams_cifar10", "mflops_cifar10", "latency_board")
        writer.writerow(["architecture", *columns])
        for operations in itertools.product(OPERATIONS, repeat=6):
            accuracy, params, ms = score(operations)
            writer.writerow([Architecture(operations), accuracy, params, 100 * params, ms])
    return path
