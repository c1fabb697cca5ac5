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


class NewRow(SameRow):
    """The same, and a row goes, too, that its run has scored before: no evaluation is wasted.

    A survival may forget what it has dropped, and mating then find it again. For problems whose
    scores do not move. Where a space is exhausted, pymoo ends the run.

    Args:
        problem: an :class:`~moonas.problem.ArchitectureProblem`; its session knows what was scored.
    """

    def __init__(self, problem):
        super().__init__()
        self.problem = problem
        self.before = ""  # the run that was on when this one made its first rows

    def _do(self, pop, other, is_duplicate):
        if self.before == "":
            self.before = self.problem.session.token
        is_duplicate = super()._do(pop, other, is_duplicate)
        if other is None and self.problem.session.token != self.before:
            is_duplicate |= self.problem.session.already_scored(pop.get("X"))
        return is_duplicate


def _bytes(row):
    return row.tobytes()
