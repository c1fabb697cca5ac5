"""Model files of untrained generators."""

import numpy as np
from moonas.problems.eagan import zoo as gans

import moonas
from moonas.models.model import write_model
from moonas.registry import training_module


def sampled_row(problem):
    """Return the row of a random architecture."""
    sampling = problem.operators()["sampling"]
    return sampling.do(problem, 1, random_state=np.random.default_rng(1)).get("X")[0]


def write_generator(path):
    """Write a model file of an untrained generator."""
    shape = dict(channels=6, latent=9, side=16, in_channels=3)
    about = {
        "kind": "generator",
        "problem": "eagan-generator",
        "generator": str(gans.find_generator("EAGAN_G")),
        "shape": shape,
        "input_shape": [9],
    }
    network = training_module("eagan-generator").build_network(about)
    network.norm.running_var.fill_(0.7)
    write_model(path, network.eval(), about)


def write_translator(path, from_domain="b"):
    """Write a model file of a random CycleGAN, of the generator from a domain."""
    problem = moonas.load_problem("cyclegan-pruning", width=4, blocks=1, initial="random")
    masks = problem.decode(sampled_row(problem))
    about = {
        "kind": "translator",
        "problem": "cyclegan-pruning",
        "from_domain": from_domain,
        "masks": {"a": masks.a, "b": masks.b},
        "encoding": problem.settings.encoding,
        "shape": dict(width=4, blocks=1, d_width=4, d_layers=1),
        "input_shape": [3, 16, 16],
    }
    write_model(path, training_module("cyclegan-pruning").build_network(about), about)
