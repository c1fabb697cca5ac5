"""Architectures drawn as graphs, and the layered layout."""

import pytest
from figures import assert_no_text_overlaps, text_boxes
from searches import rows

import moonas
from moonas import plot
from moonas.plot import layers
from moonas.plot.graphs import used_nodes
from moonas.spaces.graph import Graph


def cell(*edges, inputs=("a", "b"), outputs=("out",)):
    """Return a graph from edges like "a-x-c", or "a-c" without a label."""
    parsed = []
    for edge in edges:
        start, *label, end = edge.split("-")
        parsed.append((start, end, label[0] if label else ""))
    names = {name for start, end, _ in parsed for name in (start, end)} - set(inputs)
    return Graph("cell", tuple(inputs), tuple(sorted(names)), tuple(parsed), tuple(outputs))


def draw(graph):
    figure, axes = plot.create_figure(plot.graph_size(graph))
    assert plot.graph(axes, graph) is axes
    return figure


@pytest.fixture(params=[True, False], ids=["igraph", "own"])
def order(request, monkeypatch):
    """Draw with the order of igraph and without it."""
    if request.param:
        pytest.importorskip("igraph")
    else:
        monkeypatch.setattr(layers, "_order_by_igraph", lambda level, links: None)


def test_nodes_that_lead_nowhere_or_come_from_nowhere_are_left_out():
    graph = cell("a-skip-c", "c-out", "b-sep3-d", "e-f", "f-out")
    assert used_nodes(graph) == {"a", "c", "out"}
    texts = [text for text, _ in text_boxes(draw(graph))]
    assert sorted(texts) == ["a", "c", "cell", "out", "skip"]


def test_a_graph_without_paths_shows_its_inputs():
    assert used_nodes(cell("c-out")) == {"a", "b"}


def test_the_states_of_papers_have_an_index():
    edges = (("0: c[k-2]", "2", "skip"), ("2", "c[k]", ""))
    graph = Graph("cell", ("0: c[k-2]",), ("2", "c[k]"), edges, ("c[k]",))
    texts = {text for text, _ in text_boxes(draw(graph))}
    assert {"0: $c_{k-2}$", "$c_{k}$"} <= texts


@pytest.mark.parametrize("name", ["CARS_A", "CARS_I", "NSGANet", "PDARTS"])
def test_no_text_of_a_published_cell_overlaps(name, order):
    published = moonas.zoo(name)
    problem = moonas.load_problem(published.problem)
    for graph in problem.graphs(published.architecture):
        figure = draw(graph)
        assert_no_text_overlaps(figure)
        texts = [text for text, _ in text_boxes(figure)]
        labels = sorted(label for *_, label in graph.edges if label)
        assert sorted(t for t in texts if t in labels) == labels


def test_no_text_of_random_cells_overlaps(order):
    problem = moonas.load_problem("cars")
    for seed in range(6):
        (row,) = rows(problem, 1, seed)
        for graph in problem.graphs(problem.decode(row)):
            assert_no_text_overlaps(draw(graph))


def test_a_layer_is_the_length_of_the_longest_path():
    edges = [("a", "b"), ("b", "c"), ("a", "c"), ("d", "c")]
    assert layers.layers("abcd", edges) == {"a": 0, "b": 1, "c": 2, "d": 0}


def test_a_cycle_is_an_error():
    with pytest.raises(ValueError, match="no cycles"):
        layers.layers("ab", [("a", "b"), ("b", "a")])


def test_crossings_are_counted():
    links = [("a", "c"), ("b", "d")]
    assert layers.crossings([["a", "b"], ["c", "d"]], links) == 0
    assert layers.crossings([["a", "b"], ["d", "c"]], links) == 1


def test_the_layout_has_no_avoidable_crossing(order):
    level = {"a": 0, "b": 0, "c": 0, "x": 1, "y": 1, "z": 1}
    edges = [("a", "z"), ("b", "y"), ("c", "x")]
    position, routes = layers.layout(level, edges, dict.fromkeys(level, 1.0))
    rows = [sorted(names, key=position.__getitem__) for names in ("abc", "xyz")]
    assert layers.crossings(rows, edges) == 0
    assert routes == {edge: [] for edge in edges}


def test_an_edge_passes_beside_the_nodes_of_the_layers_between(order):
    level = {"a": 0, "b": 1, "c": 2}
    edges = [("a", "b"), ("b", "c"), ("a", "c")]
    position, routes = layers.layout(level, edges, dict.fromkeys(level, 1.0))
    ((x, layer),) = routes["a", "c"]
    assert layer == 1 and abs(x - position["b"]) >= 0.5


def test_positions_are_the_closest_ones_without_overlaps():
    assert layers._spread([0.0, 0.0], [1.0, 1.0]) == [-0.5, 0.5]
    assert layers._spread([0.0, 5.0], [1.0, 1.0]) == [0.0, 5.0]
    assert layers._spread([2.0, 1.0, 0.0], [2.0, 2.0, 2.0]) == [-1.0, 1.0, 3.0]
