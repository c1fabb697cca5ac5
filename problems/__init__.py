"""The tasks of moonas, a folder each. Importing this package imports no task, torch or pymoo."""

from moonas.registry import ProblemEntry

PROBLEMS = {
    "cars": ProblemEntry(
        task="cars",
        module="problems.cars.problem",
        summary="cells of a DARTS supernet, searched while it trains (CARS, CVPR 2020)",
        objectives="error (%), params, macs, latency_ms; two or more",
        data="images with labels",
    ),
}
