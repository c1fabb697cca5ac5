"""Duplicate elimination by a key of each row: linear in the population, exact."""

from pymoo.core.duplicate import DuplicateElimination


class SameArchitecture(DuplicateElimination):
    """Two individuals are the same when their rows mean the same architecture; the later one goes.

    Args:
        decode: row -> architecture, hashable.
    """

    def __init__(self, decode):
        super().__init__()
        self.decode = decode

    def _do(self, pop, other, is_duplicate):
        seen = set() if other is None else {self.decode(individual.X) for individual in other}
        for index, individual in enumerate(pop):
            key = self.decode(individual.X)
            is_duplicate[index] = key in seen
            if other is None:
                seen.add(key)
        return is_duplicate


class SameRow(SameArchitecture):
    """Two individuals are the same when their rows have the same bytes; the later one goes.

    All rows must have one type, as those of moonas's operators do.
    """

    def __init__(self):
        super().__init__(_bytes)


def _bytes(row):
    return row.tobytes()
