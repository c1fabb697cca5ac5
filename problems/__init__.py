"""The tasks of moonas, a folder each. Importing this package imports no task, torch or pymoo."""

from moonas.registry import PreparationEntry, ProblemEntry

PROBLEMS = {
    "cars": ProblemEntry(
        task="cars",
        module="problems.cars.problem",
        summary="cells of a DARTS supernet, searched while it trains (CARS, CVPR 2020)",
        objectives="error or auroc_error (%), robustness_error (%), params, macs, latency_ms",
        data="images with labels",
    ),
    "nsganet": ProblemEntry(
        task="nsganet",
        module="problems.nsganet.problem",
        summary="blocks of 40 decisions, each trained from scratch (NSGANetV1, TEVC 2020)",
        objectives="error or auroc_error (%), robustness_error (%), params, macs, latency_ms",
        data="images with labels",
    ),
    "nsganet-macro": ProblemEntry(
        task="nsganet-macro",
        module="problems.nsganet_macro.problem",
        summary="connections of a whole network, against adversarial images (NSGA-Net, GECCO 2019)",
        objectives="error or auroc_error (%), robustness_error (%), params, macs, latency_ms",
        data="images with labels",
    ),
    "eg-darts-cells": PreparationEntry(
        task="eg-darts",
        module="problems.eg_darts.cells",
        summary="cells by enhanced gradient, stage 1 of EG-DARTS (Zhang et al.)",
        result="a normal and a reduction cell",
        data="images with labels",
    ),
    "eg-darts": ProblemEntry(
        task="eg-darts",
        module="problems.eg_darts.problem",
        summary="depth and width of a network of given cells, stage 2 of EG-DARTS (Zhang et al.)",
        objectives="error or auroc_error (%), robustness_error (%), params, macs, latency_ms",
        data="images with labels",
    ),
    "eagan-generator": ProblemEntry(
        task="eagan",
        module="problems.eagan.generator",
        summary="generators against one discriminator, stage 1 of EAGAN (ECCV 2022)",
        objectives="fid, inverse_is, params, macs",
        data="images",
        training="problems.eagan.final",
    ),
    "eagan-discriminator": ProblemEntry(
        task="eagan",
        module="problems.eagan.discriminator",
        summary="discriminators, each with a copy of the best generator, stage 2 of EAGAN",
        objectives="fid, inverse_is, params, macs",
        data="images",
        training="problems.eagan.final",
    ),
    "cyclegan-pretraining": PreparationEntry(
        task="cyclegan-pruning",
        module="problems.cyclegan_pruning.pretraining",
        summary="a CycleGAN between two domains of images, to be compressed",
        result="two generators and their discriminators",
        data="images of two domains",
    ),
    "cyclegan-pruning": ProblemEntry(
        task="cyclegan-pruning",
        module="problems.cyclegan_pruning.problem",
        summary="filters of both generators of a CycleGAN, pruned together (Shu et al., ICCV 2019)",
        objectives="loss, size, fitness, params, macs; loss, size and fitness of each generator",
        data="images of two domains",
        training="problems.cyclegan_pruning.final",
    ),
    "nasbench201": ProblemEntry(
        task="nasbench201",
        module="problems.nasbench201.problem",
        summary="cells of NAS-Bench-201, looked up in a table that you have (ICLR 2020)",
        objectives="error (%), params, macs, latency_... (ms) where the table has them",
        data="a table, CSV or npz",
    ),
}
