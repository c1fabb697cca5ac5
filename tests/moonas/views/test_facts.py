"""The description printed by ``moonas list NAME``, compared with the problem itself."""

import re

import numpy as np
import pytest

import moonas
from moonas import registry
from moonas.spaces.genes import Genes, bit_genes, categorical_genes
from moonas.views.facts import describe_stage, describe_variables


@pytest.mark.parametrize("name", list(registry.entries()))
def test_every_stage_has_a_description(name):
    description = dict(describe_stage(name))
    assert description[name] == registry.entry(name).summary
    assert description["presets"] == ", ".join(registry.settings_class(name).PRESETS)
    assert description["time"].startswith(f"about {registry.entry(name).cost} per search")
    assert "cannot be built" not in description
    n = len(registry.settings_class(name).__dataclass_fields__) - 1  # PRESETS
    assert description["settings"].startswith(
        f"{n}, listed by moonas search {registry.entry(name).task}"
    )


def test_a_description_matches_its_problem():
    description, problem = dict(describe_stage("cars")), moonas.load_problem("cars")
    assert description["objectives"] == "error (%), params (parameters)"
    assert "growth (% per epoch, higher is better)" in description["other columns"]
    assert description["non-stationary"].startswith("yes")
    assert description["variables"] == f"{problem.n_var} integers, 9.1e18 vectors"
    assert description["data"] == "digits (10 classes, 8 x 8 pixels, 1 channel)"
    assert dict(describe_stage("nsganet-macro"))["non-stationary"] == "no"


def test_the_description_of_a_stage_contains_its_number_if_the_task_has_several_stages():
    assert dict(describe_stage("eagan-discriminator"))["stage"] == "2 of 2 of eagan"
    assert "stage" not in dict(describe_stage("cars"))


def test_an_unknown_problem_name_raises_an_error():
    with pytest.raises(ValueError, match="Unknown problem 'carz'"):
        describe_stage("carz")


@pytest.mark.parametrize(
    ("genes", "text"),
    [
        (categorical_genes([2, 3, 5]), "3 integers, 30 vectors"),
        (categorical_genes([10] * 6), "6 integers, 1,000,000 vectors"),
        (categorical_genes([10] * 6 + [2]), "7 integers, 2.0e6 vectors"),
        (categorical_genes([996, 1004]), "2 integers, 999,984 vectors"),
        (categorical_genes([9999, 1000]), "2 integers, 1.0e7 vectors"),
        (bit_genes(10), "10 bits, 1,024 vectors"),
        (bit_genes(2000), "2000 bits, 1.1e602 vectors"),
        (Genes([0, 1], [1, 2], [False, True]), "1 integer and 1 real number"),
        (Genes([0], [1], [True]), "1 real number"),
    ],
)
def test_the_description_of_variables_counts_bits_integers_and_real_numbers(genes, text):
    assert describe_variables(genes) == text
    size = re.search(r"([\d.]+)e(\d+)", text)
    if size:
        log10 = np.log10(genes.n_choices.astype(float)).sum()
        assert abs(np.log10(float(size[1])) + int(size[2]) - log10) < 0.03
