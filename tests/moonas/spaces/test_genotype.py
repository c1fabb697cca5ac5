"""Genotypes: text, description, JSON and graphs."""

from moonas.spaces.genotype import Cells, edges_from_json, parse_edges, to_json

CELLS = Cells(
    normal=(("sep_conv_3x3", 0), ("skip_connect", 1), ("none", 0), ("eca_3x3", 2)),
    reduction=(("none", 0), ("none", 1), ("max_pool_3x3", 1), ("max_pool_3x3", 1)),
)


def test_the_description_omits_edges_that_are_none():
    assert str(CELLS) == "sep3(0)+skip(1) eca(2) / zero max3(1)+max3(1)"


def test_cells_survive_a_round_trip_through_text_and_json():
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


def test_graph_titles_use_the_tasks_name_for_a_cell():
    normal, reduction = CELLS.graphs("block")
    assert (normal.title, reduction.title) == ("normal block", "reduction block")
    assert len(normal.edges) == 3 and len(reduction.edges) == 2
