"""Genotypes: text, description, JSON and graphs."""

from moonas.spaces.genotype import Cells, edges_from_json, parse_edges, to_json

CELLS = Cells(
    normal=(("sep_conv_3x3", 0), ("skip_connect", 1), ("none", 0), ("eca_3x3", 2)),
    reduction=(("none", 0), ("none", 1), ("max_pool_3x3", 1), ("max_pool_3x3", 1)),
)


def test_the_description_of_cells_omits_edges_with_the_operation_none():
    assert str(CELLS) == "sep3(0)+skip(1) eca(2) / zero max3(1)+max3(1)"


def test_cells_that_are_written_as_text_or_json_are_read_back_unchanged():
    cells = Cells(CELLS.normal[:2], CELLS.reduction[2:])
    assert cells.text == "sep3@0 skip@1 / max3@1 max3@1"
    assert tuple(tuple(parse_edges(part)) for part in cells.text.split("/")) == (
        cells.normal,
        cells.reduction,
    )
    value = to_json(CELLS)
    assert value["reduce"][0] == ["none", 0]
    normal, reduction = edges_from_json(value)
    assert Cells(tuple(map(tuple, normal)), tuple(map(tuple, reduction))) == CELLS


def test_the_titles_of_cell_graphs_contain_the_given_word_for_a_cell():
    normal, reduction = CELLS.graphs("block")
    assert (normal.title, reduction.title) == ("normal block", "reduction block")


def test_the_graph_of_a_cell_ends_at_the_concatenation_of_its_nodes():
    normal, reduction = CELLS.graphs()
    assert normal.edges == (
        ("0: c[k-2]", "2", "sep3"),
        ("1: c[k-1]", "2", "skip"),
        ("2", "3", "eca"),
        ("2", "c[k]", ""),
        ("3", "c[k]", ""),
    )
    assert len(reduction.edges) == 2 + 2 and reduction.outputs == ("c[k]",)
    normal, _ = CELLS.graphs(concat=lambda edges: (3,))  # its loose ends
    assert normal.edges[3:] == (("3", "c[k]", ""),)
