"""The tasks of moonas, a folder each. Importing this package imports no task, torch or pymoo."""

from moonas.registry import PreparationEntry, ProblemEntry

CLASSIFIER = dict(
    objectives="error or auroc_error (%), robustness_error (%), params, macs, latency_ms",
    data="images with labels",
    training="moonas.evaluators.full_training",
)
GAN = dict(
    variables="21 labels, the operations of three cells",
    objectives="fid, inverse_is (their unit is the features' network), params, macs",
    moves="yes, as generators and discriminators train",
    data="images",
    cost="both stages 5 minutes",
    training="problems.eagan.final",
)
PROBLEMS = {
    "cars": ProblemEntry(
        task="cars",
        module="problems.cars.problem",
        summary="cells of a DARTS supernet, searched while it trains (CARS, CVPR 2020)",
        variables="24 labels, 9.1e18 pairs of cells",
        moves="yes, as the supernet trains; no with weights=frozen",
        cost="2 minutes",
        **CLASSIFIER,
    ),
    "nsganet": ProblemEntry(
        task="nsganet",
        module="problems.nsganet.problem",
        summary="blocks of 40 decisions, each trained from scratch (NSGANetV1, TEVC 2020)",
        variables="40 labels, an operation or a state each",
        moves="no; yes with evaluator=supernet",
        cost="4 minutes",
        **CLASSIFIER,
    ),
    "nsganet-macro": ProblemEntry(
        task="nsganet-macro",
        module="problems.nsganet_macro.problem",
        summary="connections of a whole network, against adversarial images (NSGA-Net, GECCO 2019)",
        variables="48 labels of two values, 2.8e14 vectors",
        moves="no, each is trained from scratch",
        cost="2 minutes",
        **CLASSIFIER,
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
        variables="6 numbers: first width, cells of three stages, two widenings",
        moves="no, each is trained from scratch",
        cost="both stages 12 minutes",
        **CLASSIFIER,
    ),
    "eagan-generator": ProblemEntry(
        task="eagan",
        module="problems.eagan.generator",
        summary="generators against one discriminator, stage 1 of EAGAN (ECCV 2022)",
        **GAN,
    ),
    "eagan-discriminator": ProblemEntry(
        task="eagan",
        module="problems.eagan.discriminator",
        summary="discriminators, each with a copy of the best generator, stage 2 of EAGAN",
        **GAN,
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
        variables="a bit a filter of both generators, 704 in the preset digits",
        objectives="loss, size, fitness, params, macs; loss, size and fitness of each generator",
        moves="no, each is fine-tuned for some steps",
        data="images of two domains",
        cost="both stages 8 minutes",
        training="problems.cyclegan_pruning.final",
    ),
    "nasbench201": ProblemEntry(
        task="nasbench201",
        module="problems.nasbench201.problem",
        summary="cells of NAS-Bench-201, looked up in a table that you have (ICLR 2020)",
        variables="6 labels, 15,625 cells",
        objectives="error (%), params, macs, latency_... (ms) where the table has them",
        moves="no; the true front is known",
        data="a table, CSV or npz",
        cost="1 second",
    ),
}
