"""The checks that moonas ships notice what they are for."""

import broken_toys
import pytest
from toy import Toy

from moonas.testing import check_problem, check_resume


def test_a_problem_in_closed_form_keeps_the_contract():
    check_problem(Toy())


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("WrongSizes", "params of a candidate is .* but the network built has"),
        ("DeadCrossover", "the crossover never made a new row"),
        ("DeadMutation", "the mutation changed nothing"),
        ("WrongEncode", "decode after encode"),
        ("StateNotRestored", "resumed differs in call .* another 'result'"),
        ("GeneratorNotSaved", "resumed differs in call .* another 'result'"),
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
