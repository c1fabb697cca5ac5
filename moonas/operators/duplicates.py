"""Duplicate elimination by the bytes of a row: linear in the population, exact for integers."""

from pymoo.core.duplicate import DuplicateElimination


class SameRow(DuplicateElimination):
    """Two individuals are the same when their rows have the same bytes; the later one goes.

    All rows must have one type, as those of moonas's operators do.
    """

    def _do(self, pop, other, is_duplicate):
        seen = set() if other is None else {individual.X.tobytes() for individual in other}
        for index, individual in enumerate(pop):
            key = individual.X.tobytes()
            is_duplicate[index] = key in seen
            if other is None:
                seen.add(key)
        return is_duplicate
