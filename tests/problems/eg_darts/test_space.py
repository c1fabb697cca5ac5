import json

import numpy as np
import pytest
from eg_darts_tables import table
from moonas.problems.cars import zoo
from moonas.problems.eg_darts import cell_space
from moonas.problems.eg_darts.cell_space import EDGE_NODES, EDGE_STATES, EDGES, OPERATIONS
from moonas.problems.eg_darts.space import Architecture, Space, round_to_even
from scipy.stats import spearmanr

from moonas.nets.cells import staged_layout
from moonas.nets.counting import CellCosts

PAPER_SPACE = Space()
SMALL_SPACE = Space((3, 9), (1, 2), (1.0, 2.0))


def counts(rows, cells="PDARTS", cumulative=True):
    """Parameters and multiply-adds on CIFAR-10 of networks of published cells, (n, 2) ints.

    Args:
        rows: (n, 6) vectors v0, ..., v5.
        cells: name of the published cells.
        cumulative: whether C3 = C2 v5 rather than C3 = v0 v5.
    """
    cells = zoo.architectures()[cells]
    edges = (cells.normal, cells.reduction)
    names = np.array([[OPERATIONS.index(name) for name, _ in c] for c in edges])
    states = np.array([[state for _, state in c] for c in edges])
    results = []
    for x in rows:
        architecture = PAPER_SPACE.decode(x)
        widths = architecture.widths
        if not cumulative:
            widths = (int(x[0]), round_to_even(x[0] * x[4]), round_to_even(x[0] * x[5]))
        layout = staged_layout(widths, architecture.depths)
        genes = names.reshape(1, 2, 4, 2), states.reshape(1, 2, 4, 2)
        results.append(CellCosts(OPERATIONS, layout=layout).count(*genes)[0])
    return np.array(results)


def test_widths_are_cumulative_and_even_after_the_first():
    architecture = PAPER_SPACE.decode([50, 6, 2, 3, 1.20, 1.09])
    assert architecture == Architecture((50, 60, 66), (6, 2, 3))
    assert str(architecture) == "50-60-66 channels, 6-2-3 cells"
    assert counts([[50, 6, 2, 3, 1.20, 1.09]])[0].tolist() == [849_664, 402_581_328]


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_the_printed_depth_is_the_number_of_normal_cells(name):
    rows = table(name)
    assert len(rows) == 15
    assert [PAPER_SPACE.decode(x).depth for x in rows[:, :6]] == rows[:, 10].tolist()
    for x in rows[:, :6]:
        PAPER_SPACE.genes.check(x)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cumulative_widths_agree_better_with_the_printed_params(name):
    rows = table(name)
    printed = rows[:, 6]

    def agreement(cumulative):
        """Rank correlation of parameters, and standard deviation of the log of their ratio."""
        params = counts(rows[:, :6], cumulative=cumulative)[:, 0]
        ratio = np.log(printed / params)[printed >= 0.1]  # smaller numbers are rounded too much
        return spearmanr(params, printed).statistic, ratio.std()

    (rank, std), (separate_rank, separate_std) = agreement(True), agreement(False)
    assert rank > 0.99 and rank >= separate_rank
    assert std < 0.5 * separate_std


@pytest.mark.parametrize("space", [PAPER_SPACE, SMALL_SPACE])
def test_decode_inverts_encode(space):
    rng = np.random.default_rng(0)
    low, high = space.genes.low, space.genes.high
    for x in rng.uniform(low, high, size=(200, 6)):
        x[:4] = np.round(x[:4])
        architecture = space.decode(x)
        row = space.encode(architecture)
        space.genes.check(row)
        assert space.decode(row) == architecture
        value = json.loads(json.dumps(space.to_json(architecture)))
        assert space.from_json(value) == architecture


def test_increasing_a_gene_never_reduces_the_network_size():
    rng = np.random.default_rng(1)
    for x in rng.uniform(PAPER_SPACE.genes.low, PAPER_SPACE.genes.high, size=(15, 6)):
        x[:4] = np.round(x[:4])
        for gene in range(6):
            y = x.copy()
            y[gene] = min(x[gene] + (1 if gene < 4 else 0.3), PAPER_SPACE.genes.high[gene])
            assert (counts([y]) >= counts([x])).all()
    assert (counts([PAPER_SPACE.genes.high]) > counts([PAPER_SPACE.genes.low])).all()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1], "keys 'widths' and 'depths'"),
        ({"widths": [8, 8], "depths": [1, 1, 1]}, r"widths=\[8, 8\] is invalid"),
        ({"widths": [8, 8, 8.5], "depths": [1, 1, 1]}, "expected 3 whole numbers"),
        ({"widths": [8, 8, 8], "depths": [1, 9, 1]}, "gene 2 must be an integer from 1 to 6"),
        ({"widths": [8, 9, 10], "depths": [1, 1, 1]}, "expected even widths"),
        ({"widths": [8, 40, 40], "depths": [1, 1, 1]}, "expected even widths.*each 1 to 3 times"),
    ],
)
def test_json_that_does_not_describe_an_architecture_is_rejected(value, message):
    with pytest.raises(ValueError, match=message):
        PAPER_SPACE.from_json(value)


def test_neighboring_widths_contain_every_pair_of_successive_widths():
    pairs = {
        p for w in SMALL_SPACE.neighboring_widths() for p in ((0, w[0], w[1]), (1, w[1], w[2]))
    }
    rng = np.random.default_rng(2)
    for x in rng.uniform(SMALL_SPACE.genes.low, SMALL_SPACE.genes.high, size=(300, 6)):
        x[:4] = np.round(x[:4])
        a, b, c = SMALL_SPACE.decode(x).widths
        assert (0, a, b) in pairs and (1, b, c) in pairs


def test_a_cell_has_fourteen_edges_sorted_by_node():
    assert len(EDGES) == 14 and EDGES[:3] == ((0, 0), (0, 1), (1, 0))
    assert all(state < node + 2 for node, state in EDGES)
    assert len(OPERATIONS) == 12 and "none" not in OPERATIONS


def test_the_strongest_candidates_are_returned_in_ascending_order():
    alphas = np.zeros((2, 14, 4))
    alphas[0, 3] = [0.1, 0.4, 0.2, 0.3]
    candidates = np.tile([2, 5, 7, 11], (2, 14, 1))
    strongest = cell_space.strongest_candidates(alphas, candidates, 2)
    assert strongest.shape == (2, 14, 2)
    assert strongest[0, 3].tolist() == [5, 11] and strongest[1, 0].tolist() == [2, 5]


def derive_cells(strength, skip_limit=None):
    """Derive cells; edge e has two candidates: an identity and OPERATIONS[1 + e % 11].

    Args:
        strength: architecture parameter of the second candidate, one number per edge; that of the
            identity is 0.
        skip_limit: largest number of identities in the normal cell.
    """
    candidates = np.stack([np.array([[0, 1 + e % 11] for e in range(14)])] * 2)
    alphas = np.zeros((2, 14, 2))
    alphas[..., 1] = strength
    return cell_space.derive_cells(alphas, candidates, skip_limit)


def test_a_node_keeps_its_two_strongest_edges():
    strength = np.arange(14.0) + 1  # later edges are stronger
    cells = derive_cells(strength)
    for cell in (cells.normal, cells.reduction):
        assert [state for _, state in cell] == [0, 1, 1, 2, 2, 3, 3, 4]
        assert cell[0][0] == OPERATIONS[1] and cell[2][0] == OPERATIONS[4]
    assert str(cells).count("+") == 8


def test_the_weakest_identities_beyond_the_limit_are_removed():
    strength = -np.arange(14.0) - 1  # identities are the strongest, more so on later edges
    free = derive_cells(strength)
    assert [name for name, _ in free.normal] == ["skip_connect"] * 8
    limited = derive_cells(strength, skip_limit=2)
    assert [name for name, _ in limited.normal].count("skip_connect") == 2
    assert limited.reduction == free.reduction
    remaining = [i for i, (name, _) in enumerate(limited.normal) if name == "skip_connect"]
    assert remaining == [6, 7]  # both edges of the last node, where they are strongest
    assert [n for n, _ in derive_cells(strength, 0).normal].count("skip_connect") == 0


def test_parsing_the_text_of_cells_returns_the_same_cells():
    cells = cell_space.random_cells(np.random.default_rng(0))
    assert cell_space.cells_from_text(cells.text) == cells
    states = [s for _, s in cells.normal]
    assert all(states[i] != states[i + 1] for i in range(0, 8, 2))
    assert EDGE_STATES.max() == 4 and EDGE_NODES.max() == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sep3@0", "separated by '/'"),
        ("sep3@0 / sep3@1", "must have 8 edges, two per node; got 1"),
        ("sep9@0 / x", "'sep9@0' is not an edge"),
        (" ".join(["sep3@5"] * 8) + " / x@1", "'x@1' is not an edge"),
        (" / ".join([" ".join(["sep3@5"] * 8)] * 2), "starts from state 5"),
        (" / ".join([" ".join(["se@0"] * 8)] * 2), "Unknown operation 'squeeze_excitation'"),
    ],
)
def test_invalid_texts_of_cells_are_rejected(text, message):
    with pytest.raises(ValueError, match=message):
        cell_space.cells_from_text(text)
