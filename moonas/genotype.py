"""Genotypes of two cells, as papers print them: lists of (operation, state) pairs, two a node."""


def check_cell(name, pairs, operations, n_nodes):
    """The edges of a cell as a tuple of (operation, state), two a node.

    Args:
        name: of the cell, for messages.
        pairs: (operation, state) pairs; node i may start from the states 0 to i + 1.
        operations: the names there are.
        n_nodes: of the cell.

    Raises:
        ValueError: the cell has another number of edges, an unknown operation, or an edge that
            starts from a state that is not there yet.
    """
    if len(pairs) != 2 * n_nodes:
        raise ValueError(
            f"The {name} cell has {len(pairs)} edges; this space has {2 * n_nodes}, two a node."
        )
    cell = tuple((str(operation), int(state)) for operation, state in pairs)
    for index, (operation, state) in enumerate(cell):
        node = index // 2
        if operation not in operations:
            raise ValueError(
                f"Unknown operation {operation!r} in node {node} of the {name} cell; "
                f"choose from {list(operations)}."
            )
        if not 0 <= state < node + 2:
            raise ValueError(
                f"Node {node} of the {name} cell starts from state {state}; "
                f"it can start from 0 to {node + 1}."
            )
    return cell


def to_json(architecture):
    """A dict that JSON can hold: {"normal": [[operation, state], ...], "reduce": [...]}."""
    return {
        "normal": [list(edge) for edge in architecture.normal],
        "reduce": [list(edge) for edge in architecture.reduction],
    }


def cells_of_json(value):
    """The pairs of both cells that :func:`to_json` wrote; else a ``ValueError``."""
    if not isinstance(value, dict) or not {"normal", "reduce"} <= set(value):
        raise ValueError(f"An architecture has the keys 'normal' and 'reduce'; got {value!r}.")
    return value["normal"], value["reduce"]
