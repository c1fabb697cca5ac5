"""Pairs of cells: text, description, JSON and graphs."""

from moonas.spaces.genotype import Cells, edges_of_json, edges_of_text, to_json

CELLS = Cells(
    normal=(("sep_conv_3x3", 0), ("skip_connect", 1), ("none", 0), ("eca_3x3", 2)),
    reduction=(("none", 0), ("none", 1), ("max_pool_3x3", 1), ("max_pool_3x3", 1)),
)


def test_a_description_leaves_out_what_is_none():
    assert str(CELLS) == "sep3(0)+skip(1) eca(2) / zero max3(1)+max3(1)"


def test_text_and_json_hold_every_edge():
    cells = Cells(CELLS.normal[:2], CELLS.reduction[2:])
    assert cells.text == "sep3@0 skip@1 / max3@1 max3@1"
    assert tuple(tuple(edges_of_text(part)) for part in cells.text.split("/")) == (
        cells.normal,
        cells.reduction,
    )
    plain = to_json(CELLS)
    assert plain["reduce"][0] == ["none", 0]
    normal, reduction = edges_of_json(plain)
    assert Cells(tuple(map(tuple, normal)), tuple(map(tuple, reduction))) == CELLS


def test_graphs_are_titled_as_a_task_calls_its_cells():
    normal, reduction = CELLS.graphs("block")
    assert (normal.title, reduction.title) == ("normal block", "reduction block")
    assert len(normal.edges) == 3 and len(reduction.edges) == 2
