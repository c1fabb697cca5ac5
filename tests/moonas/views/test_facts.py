"""The facts printed by `moonas list NAME`, compared with the problem itself."""

import re

import numpy as np
import pytest

import moonas
from moonas import registry
from moonas.spaces.genes import Genes, bit_genes, categorical_genes
from moonas.views.facts import facts, variables


@pytest.mark.parametrize("name", list(registry.entries()))
def test_every_stage_has_facts(name):
    found = dict(facts(name))
    assert found[name] == registry.entry(name).summary
    assert found["presets"] == ", ".join(registry.settings_class(name).PRESETS)
    assert found["time"].startswith(f"about {registry.entry(name).cost} per search")
    assert "cannot be built" not in found
    n = len(registry.settings_class(name).__dataclass_fields__) - 1  # PRESETS
    assert found["settings"].startswith(f"{n}, listed by moonas search {registry.entry(name).task}")


def test_facts_match_the_problem():
    found, problem = dict(facts("cars")), moonas.load_problem("cars")
    assert found["objectives"] == "error (%), params (parameters)"
    assert "growth (% per epoch, higher is better)" in found["other columns"]
    assert found["non-stationary"].startswith("yes")
    assert found["variables"] == f"{problem.n_var} integers, 9.1e18 vectors"
    assert found["data"] == "digits (10 classes, 8 x 8 pixels, 1 channel)"
    assert dict(facts("nsganet-macro"))["non-stationary"] == "no"


def test_a_stage_of_a_task_with_several_stages_has_its_number():
    assert dict(facts("eagan-discriminator"))["stage"] == "2 of 2 of eagan"
    assert "stage" not in dict(facts("cars"))


def test_an_unknown_name_is_an_error():
    with pytest.raises(ValueError, match="Unknown problem 'carz'"):
        facts("carz")


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
def test_variables_are_counted_by_kind(genes, text):
    assert variables(genes) == text
    size = re.search(r"([\d.]+)e(\d+)", text)
    if size:
        log10 = np.log10(genes.n_choices.astype(float)).sum()
        assert abs(np.log10(float(size[1])) + int(size[2]) - log10) < 0.03
