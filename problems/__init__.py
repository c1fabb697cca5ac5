"""The problems and training stages that moonas includes; each task is a package.

Importing this package does not import these packages, torch or pymoo.
"""

from moonas.registry import ProblemEntry, StageEntry

CLASSIFIER_OPTIONS = dict(
    training="moonas.training.from_scratch", training_settings="moonas.training.settings:Settings"
)
GAN_OPTIONS = dict(
    task="eagan",
    cost="5 minutes",
    training="moonas.problems.eagan.final_training",
    training_settings="moonas.problems.eagan.settings:TrainingSettings",
)
PROBLEMS = {
    "cars": ProblemEntry(
        "moonas.problems.cars.problem",
        "cells of a DARTS supernet, searched while it trains (CARS, CVPR 2020)",
        settings="moonas.problems.cars.settings:Settings",
        cost="2 minutes",
        training="moonas.training.from_scratch",
        training_settings="moonas.training.settings:CellTrainingSettings",
    ),
    "nsganet": ProblemEntry(
        "moonas.problems.nsganet.problem",
        "normal and reduction blocks, trained from scratch (NSGANetV1, TEVC 2020)",
        settings="moonas.problems.nsganet.settings:Settings",
        cost="4 minutes",
        training="moonas.training.from_scratch",
        training_settings="moonas.problems.nsganet.settings:TrainingSettings",
    ),
    "nsganet-macro": ProblemEntry(
        "moonas.problems.nsganet_macro.problem",
        "connections of a whole network, for adversarial robustness (NSGA-Net, GECCO 2019)",
        settings="moonas.problems.nsganet_macro.settings:Settings",
        cost="2 minutes",
        training="moonas.training.from_scratch",
        training_settings="moonas.problems.nsganet_macro.settings:TrainingSettings",
    ),
    "eg-darts-cells": StageEntry(
        "moonas.problems.eg_darts.cell_search",
        "differentiable search for cells, stage 1 of EG-DARTS (Zhang et al.)",
        settings="moonas.problems.eg_darts.settings:CellSettings",
        task="eg-darts",
        cost="12 minutes",
    ),
    "eg-darts": ProblemEntry(
        "moonas.problems.eg_darts.problem",
        "depth and width of a network of given cells, stage 2 of EG-DARTS (Zhang et al.)",
        settings="moonas.problems.eg_darts.settings:NetworkSettings",
        cost="12 minutes",
        training="moonas.training.from_scratch",
        training_settings="moonas.problems.eg_darts.settings:TrainingSettings",
    ),
    "eagan-generator": ProblemEntry(
        "moonas.problems.eagan.generator_problem",
        "generators against one discriminator, stage 1 of EAGAN (ECCV 2022)",
        settings="moonas.problems.eagan.settings:GeneratorSettings",
        **GAN_OPTIONS,
    ),
    "eagan-discriminator": ProblemEntry(
        "moonas.problems.eagan.discriminator_problem",
        "discriminators, each with a copy of the best generator, stage 2 of EAGAN (ECCV 2022)",
        settings="moonas.problems.eagan.settings:DiscriminatorSettings",
        **GAN_OPTIONS,
    ),
    "cyclegan-pretraining": StageEntry(
        "moonas.problems.cyclegan_pruning.pretraining",
        "training of a CycleGAN, which the next stage prunes",
        settings="moonas.problems.cyclegan_pruning.settings:PretrainingSettings",
        task="cyclegan-pruning",
        cost="8 minutes",
    ),
    "cyclegan-pruning": ProblemEntry(
        "moonas.problems.cyclegan_pruning.problem",
        "filters of both generators of a CycleGAN, pruned together (Shu et al., ICCV 2019)",
        settings="moonas.problems.cyclegan_pruning.settings:PruningSettings",
        cost="8 minutes",
        training="moonas.problems.cyclegan_pruning.final_training",
        training_settings="moonas.problems.cyclegan_pruning.settings:FineTuningSettings",
    ),
    "digits-table": ProblemEntry(
        "moonas.problems.digits_table.problem",
        "1,350 small networks, trained in advance and looked up in a table",
        settings="moonas.problems.digits_table.settings:Settings",
        cost="1 second",
        **CLASSIFIER_OPTIONS,
    ),
    "nasbench-macro": ProblemEntry(
        "moonas.problems.nasbench_macro.problem",
        "6,561 networks of eight layers, looked up in a table (NAS-Bench-Macro, CVPR 2021)",
        settings="moonas.problems.nasbench_macro.settings:Settings",
        cost="1 second",
        **CLASSIFIER_OPTIONS,
    ),
    "nasbench201": ProblemEntry(
        "moonas.problems.nasbench201.problem",
        "cells of NAS-Bench-201, looked up in a table that you provide (ICLR 2020)",
        settings="moonas.problems.nasbench201.settings:Settings",
        cost="1 second",
        **CLASSIFIER_OPTIONS,
    ),
}
