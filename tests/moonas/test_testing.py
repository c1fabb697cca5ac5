"""The checks that moonas ships notice what they are for."""

import itertools

import broken_toys
import pytest
from toy import Toy, ToySettings

from moonas.run.session import Session
from moonas.testing import check_problem, check_resume


def test_a_problem_in_closed_form_keeps_the_contract():
    check_problem(Toy())


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("WrongSizes", "params of a candidate is .* but its network has"),
        ("DeadCrossover", "the crossover created no new row"),
        ("DeadMutation", "the mutation changed no row"),
        ("WrongEncode", r"decode\(encode\(a\)\) must equal a"),
        ("StateNotRestored", "resumed run differs .* in call .* entry 'result'"),
        ("GeneratorNotSaved", "resumed run differs .* in call .* entry 'result'"),
    ],
)
def test_the_check_notices_a_fault(fault, message):
    with pytest.raises(AssertionError, match=message):
        check_problem(getattr(broken_toys, fault)())


def test_an_evaluator_that_lacks_a_member_is_refused_by_its_name():
    with pytest.raises(TypeError, match="_WithoutDevice lacks device: derive it from"):
        check_problem(broken_toys.NoDevice())


def test_a_problem_without_codes_is_refused_when_it_is_made():
    class NoCodes(Toy):
        decode = Toy.__mro__[2].decode

    with pytest.raises(TypeError, match=r"NoCodes lacks decode\(x\) and encode\(architecture\)"):
        NoCodes()


def test_a_run_that_ends_early_after_a_stop_is_noticed(tmp_path):
    runs = []

    def run(toy):
        runs.append(toy)
        n = 3 if len(runs) == 1 else 1
        for call in range(n):
            toy.session.journal.begin(1, "plain") if call == 0 else None
            toy.session.recorded("score", {"x": call}, lambda: {"error": 1.0})

    with pytest.raises(AssertionError, match="ended after"):
        check_resume(Toy, run, tmp_path)


class Clocked:
    """A stage of five calls, each with a result and a time that no other call has."""

    settings, inputs = ToySettings(), {}

    def __init__(self, clock):
        self.session, self.clock = Session(), clock

    def run(self):
        self.session.begin(1, "clocked", "")
        for call in range(5):
            self.session.recorded("score", {"x": call}, lambda: {"ms": float(next(self.clock))})


def test_values_that_are_measured_may_differ_where_the_check_knows_them(tmp_path):
    clock = itertools.count()
    with pytest.raises(AssertionError, match="differs .* in call 0 .* entry 'result'"):
        check_resume(lambda: Clocked(clock), Clocked.run, tmp_path / "unknown")
    check_resume(lambda: Clocked(clock), Clocked.run, tmp_path / "known", measured=["ms"])


@pytest.mark.parametrize(("max_stops", "n_starts"), [(None, 6), (9, 6), (2, 4), (1, 3)])
def test_a_run_of_many_calls_is_stopped_at_a_few_of_them(max_stops, n_starts, tmp_path):
    starts = []

    def build():
        starts.append(Clocked(itertools.repeat(0)))
        return starts[-1]

    check_resume(build, Clocked.run, tmp_path, max_stops=max_stops)
    assert len(starts) == n_starts  # one straight through, one after the last stop
