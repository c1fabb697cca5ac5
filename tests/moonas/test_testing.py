"""The checks that moonas ships detect violations of the contract."""

import itertools

import broken_toys
import pytest
from toy import Toy, ToySettings

from moonas.run.session import Session
from moonas.testing import check_problem, check_resume


def test_the_toy_satisfies_the_contract():
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
def test_the_check_detects_a_fault(fault, message):
    with pytest.raises(AssertionError, match=message):
        check_problem(getattr(broken_toys, fault)())


def test_an_evaluator_without_a_member_is_rejected():
    with pytest.raises(TypeError, match="_WithoutDevice lacks device: derive it from"):
        check_problem(broken_toys.NoDevice())


def test_a_problem_without_decode_is_rejected_at_construction():
    class NoCodes(Toy):
        decode = Toy.__mro__[2].decode

    with pytest.raises(TypeError, match=r"NoCodes lacks decode\(x\) and encode\(architecture\)"):
        NoCodes()


def test_a_resumed_run_with_fewer_calls_is_detected(tmp_path):
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
    """A stage of five calls whose results are readings of a clock."""

    settings, inputs = ToySettings(), {}

    def __init__(self, clock):
        self.session, self.clock = Session(), clock

    def run(self):
        self.session.begin(1, "clocked", "")
        for call in range(5):
            self.session.recorded("score", {"x": call}, lambda: {"ms": float(next(self.clock))})


def test_measured_values_may_differ_if_their_names_are_given(tmp_path):
    clock = itertools.count()
    with pytest.raises(AssertionError, match="differs .* in call 0 .* entry 'result'"):
        check_resume(lambda: Clocked(clock), Clocked.run, tmp_path / "unknown")
    check_resume(lambda: Clocked(clock), Clocked.run, tmp_path / "known", measured=["ms"])


@pytest.mark.parametrize(("max_stops", "n_starts"), [(None, 6), (9, 6), (2, 4), (1, 3)])
def test_max_stops_limits_the_number_of_interruptions(max_stops, n_starts, tmp_path):
    starts = []

    def build():
        starts.append(Clocked(itertools.repeat(0)))
        return starts[-1]

    check_resume(build, Clocked.run, tmp_path, max_stops=max_stops)
    assert len(starts) == n_starts  # includes the uninterrupted run and the one after the last stop
