import json

import numpy as np
import pytest
from eg_darts_tables import table
from moonas.problems.cars import zoo
from moonas.problems.eg_darts import cell_space
from moonas.problems.eg_darts.cell_space import EDGES, NODE_OF, OPERATIONS, STATE_OF
from moonas.problems.eg_darts.space import Architecture, Space, even
from scipy.stats import spearmanr

from moonas.nets.cells import staged_layout
from moonas.nets.counting import CellCosts

PAPER = Space()
SMALL = Space((3, 9), (1, 2), (1.0, 2.0))


def counts(rows, cells="PDARTS", cumulative=True):
    """Params and macs on CIFAR-10 of networks with rows (v0, ..., v5) of one pair of cells."""
    cells = zoo.architectures()[cells]
    edges = (cells.normal, cells.reduction)
    names = np.array([[OPERATIONS.index(name) for name, _ in c] for c in edges])
    states = np.array([[state for _, state in c] for c in edges])
    found = []
    for x in rows:
        architecture = PAPER.decode(x)
        widths = architecture.widths
        if not cumulative:
            widths = (int(x[0]), even(x[0] * x[4]), even(x[0] * x[5]))
        layout = staged_layout(widths, architecture.depths)
        genes = names.reshape(1, 2, 4, 2), states.reshape(1, 2, 4, 2)
        found.append(CellCosts(OPERATIONS, layout=layout).count(*genes)[0])
    return np.array(found)


def test_widths_are_cumulative_and_even_behind_the_first():
    architecture = PAPER.decode([50, 6, 2, 3, 1.20, 1.09])
    assert architecture == Architecture((50, 60, 66), (6, 2, 3))
    assert str(architecture) == "50-60-66 channels, 6-2-3 cells"
    assert counts([[50, 6, 2, 3, 1.20, 1.09]])[0].tolist() == [849_664, 402_581_328]


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_the_depth_that_the_paper_prints_counts_normal_cells(name):
    rows = table(name)
    assert len(rows) == 15
    assert [PAPER.decode(x).depth for x in rows[:, :6]] == rows[:, 10].tolist()
    for x in rows[:, :6]:
        PAPER.genes.check(x)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cumulative_widths_order_the_papers_networks_better_than_the_other_reading(name):
    rows = table(name)
    printed = rows[:, 6]

    def misfit(cumulative):
        """Rank correlation, and the spread of printed over counted params, for fixed cells."""
        params = counts(rows[:, :6], cumulative=cumulative)[:, 0]
        ratio = np.log(printed / params)[printed >= 0.1]  # the others are rounded too far
        return spearmanr(params, printed).statistic, ratio.std()

    (order, spread), (other_order, other_spread) = misfit(True), misfit(False)
    assert order > 0.99 and order >= other_order
    assert spread < 0.5 * other_spread


@pytest.mark.parametrize("space", [PAPER, SMALL])
def test_codes_come_back(space):
    rng = np.random.default_rng(0)
    low, high = space.genes.low, space.genes.high
    for x in rng.uniform(low, high, size=(500, 6)):
        x[:4] = np.round(x[:4])
        architecture = space.decode(x)
        row = space.encode(architecture)
        space.genes.check(row)
        assert space.decode(row) == architecture
        value = json.loads(json.dumps(space.to_json(architecture)))
        assert space.from_json(value) == architecture


def test_more_of_any_gene_is_no_smaller():
    rng = np.random.default_rng(1)
    for x in rng.uniform(PAPER.genes.low, PAPER.genes.high, size=(40, 6)):
        x[:4] = np.round(x[:4])
        for gene in range(6):
            y = x.copy()
            y[gene] = min(x[gene] + (1 if gene < 4 else 0.3), PAPER.genes.high[gene])
            assert (counts([y]) >= counts([x])).all()
    assert (counts([PAPER.genes.high]) > counts([PAPER.genes.low])).all()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1], "keys 'widths' and 'depths'"),
        ({"widths": [8, 8], "depths": [1, 1, 1]}, r"widths=\[8, 8\] will not do"),
        ({"widths": [8, 8, 8.5], "depths": [1, 1, 1]}, "three whole numbers"),
        ({"widths": [8, 8, 8], "depths": [1, 9, 1]}, "gene 2 must be an integer from 1 to 6"),
        ({"widths": [8, 9, 10], "depths": [1, 1, 1]}, "they are even"),
        ({"widths": [8, 40, 40], "depths": [1, 1, 1]}, "they are even, each 1 to 3 times"),
    ],
)
def test_what_is_no_architecture_is_refused(value, message):
    with pytest.raises(ValueError, match=message):
        PAPER.from_json(value)


def test_pairs_of_widths_are_all_there():
    pairs = {p for w in SMALL.neighbouring_widths() for p in ((0, w[0], w[1]), (1, w[1], w[2]))}
    rng = np.random.default_rng(2)
    for x in rng.uniform(SMALL.genes.low, SMALL.genes.high, size=(300, 6)):
        x[:4] = np.round(x[:4])
        a, b, c = SMALL.decode(x).widths
        assert (0, a, b) in pairs and (1, b, c) in pairs


def test_a_cell_has_fourteen_edges_in_order():
    assert len(EDGES) == 14 and EDGES[:3] == ((0, 0), (0, 1), (1, 0))
    assert all(state < node + 2 for node, state in EDGES)
    assert len(OPERATIONS) == 12 and "none" not in OPERATIONS


def test_the_strongest_candidates_stay_in_order():
    alphas = np.zeros((2, 14, 4))
    alphas[0, 3] = [0.1, 0.4, 0.2, 0.3]
    candidates = np.tile([2, 5, 7, 11], (2, 14, 1))
    kept = cell_space.keep_strongest(alphas, candidates, 2)
    assert kept.shape == (2, 14, 2)
    assert kept[0, 3].tolist() == [5, 11] and kept[1, 0].tolist() == [2, 5]


def derived(strength, skip_limit=None):
    """Cells whose edge e has candidate ``e mod 12`` with a strength, against identities."""
    candidates = np.stack([np.array([[0, 1 + e % 11] for e in range(14)])] * 2)
    alphas = np.zeros((2, 14, 2))
    alphas[..., 1] = strength
    return cell_space.derive(alphas, candidates, skip_limit)


def test_a_node_keeps_its_two_strongest_edges():
    strength = np.arange(14.0) + 1  # later edges are stronger
    cells = derived(strength)
    for cell in (cells.normal, cells.reduction):
        assert [state for _, state in cell] == [0, 1, 1, 2, 2, 3, 3, 4]
        assert cell[0][0] == OPERATIONS[1] and cell[2][0] == OPERATIONS[4]
    assert str(cells).count("+") == 8


def test_identities_beyond_the_limit_are_struck_out_weakest_first():
    strength = -np.arange(14.0) - 1  # identities win on every edge, more and more clearly
    free = derived(strength)
    assert [name for name, _ in free.normal] == ["skip_connect"] * 8
    limited = derived(strength, skip_limit=2)
    assert [name for name, _ in limited.normal].count("skip_connect") == 2
    assert limited.reduction == free.reduction
    kept = [i for i, (name, _) in enumerate(limited.normal) if name == "skip_connect"]
    assert kept == [6, 7]  # of the last node, where they are strongest
    assert [n for n, _ in derived(strength, 0).normal].count("skip_connect") == 0


def test_cells_come_back_from_their_text():
    cells = cell_space.random_cells(np.random.default_rng(0))
    assert cell_space.cells_of_text(cells.text) == cells
    states = [s for _, s in cells.normal]
    assert all(states[i] != states[i + 1] for i in range(0, 8, 2))
    assert STATE_OF.max() == 4 and NODE_OF.max() == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sep3@0", "parted by /"),
        ("sep3@0 / sep3@1", "must have 8 edges, two per node; got 1"),
        ("sep9@0 / x", "'sep9@0' is not an edge"),
        (" ".join(["sep3@5"] * 8) + " / x@1", "'x@1' is not an edge"),
        (" / ".join([" ".join(["sep3@5"] * 8)] * 2), "starts from state 5"),
        (" / ".join([" ".join(["se@0"] * 8)] * 2), "Unknown operation 'squeeze_excitation'"),
    ],
)
def test_a_wrong_text_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        cell_space.cells_of_text(text)
