"""``check_problem`` and ``check_resume`` detect problems that violate a requirement."""

import itertools

import broken_toys
import pytest
from searches import run
from toy import Toy, ToySettings

from moonas.run.session import Session
from moonas.testing import check_problem, check_resume


def test_the_toy_problem_satisfies_all_requirements():
    check_problem(Toy())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("WrongParameterCount", "params of a candidate is .* but its network has"),
        ("IneffectiveCrossover", "the crossover created no new row"),
        ("IneffectiveMutation", "the mutation changed no row"),
        ("WrongEncode", r"decode\(encode\(a\)\) must equal a"),
        ("NoPartsOfNetworks", r"parts\(\) must return the parts of a network, for searches with"),
        ("StateNotRestored", "resumed run differs .* in call .* entry 'result'"),
        ("GeneratorNotSaved", "resumed run differs .* in call .* entry 'result'"),
    ],
)
def test_check_problem_detects_a_faulty_problem(name, message):
    with pytest.raises(AssertionError, match=message):
        check_problem(getattr(broken_toys, name)())


def test_an_evaluator_without_a_device_raises_an_error():
    with pytest.raises(TypeError, match="_EvaluatorWithoutDevice lacks device: derive it from"):
        check_problem(broken_toys.NoDevice())


def test_an_evaluator_that_lacks_warm_up_for_is_warmed_up():
    class PlainEvaluator:  # not derived from Evaluator
        def __init__(self, evaluator):
            names = ("device", "trains", "independent", "phase", "begin", "score", "measure")
            for name in (*names, "warm_up", "train", "state", "load_state"):
                setattr(self, name, getattr(evaluator, name))

    class ToyWithPlainEvaluator(Toy):
        def make_evaluator(self):
            return PlainEvaluator(super().make_evaluator())

    toy = ToyWithPlainEvaluator()
    result = run(toy, generations=2)
    assert float(toy.evaluator.state()["t"]) > 2  # a warm-up and the training of a generation
    assert len(result.opt) > 0


def test_the_constructor_rejects_a_problem_without_decode():
    class ToyWithoutDecode(Toy):
        decode = Toy.__mro__[2].decode

    with pytest.raises(
        TypeError, match=r"ToyWithoutDecode lacks decode\(x\) and encode\(architecture\)"
    ):
        ToyWithoutDecode()


def test_check_resume_detects_a_resumed_run_with_fewer_calls(tmp_path):
    runs = []

    def run(toy):
        runs.append(toy)
        n_calls = 3 if len(runs) == 1 else 1
        for call in range(n_calls):
            toy.session.journal.begin(1, "plain") if call == 0 else None
            toy.session.recorded("score", {"x": call}, lambda: {"error": 1.0})

    with pytest.raises(AssertionError, match="ended after"):
        check_resume(Toy, run, tmp_path)


class TimedStage:
    """A stage that makes five calls; the result of each call is the next reading of a clock."""

    settings, inputs = ToySettings(), {}

    def __init__(self, clock):
        self.session, self.clock = Session(), clock

    def run(self):
        self.session.begin(1, "timed", "")
        for call in range(5):
            self.session.recorded("score", {"x": call}, lambda: {"ms": float(next(self.clock))})


def test_check_resume_ignores_differences_of_measured_values(tmp_path):
    clock = itertools.count()
    with pytest.raises(AssertionError, match="differs .* in call 0 .* entry 'result'"):
        check_resume(lambda: TimedStage(clock), TimedStage.run, tmp_path / "unknown")
    check_resume(lambda: TimedStage(clock), TimedStage.run, tmp_path / "known", measured=["ms"])


@pytest.mark.parametrize(("max_stops", "n_starts"), [(None, 6), (9, 6), (2, 4), (1, 3)])
def test_max_stops_limits_the_number_of_interruptions(max_stops, n_starts, tmp_path):
    starts = []

    def build():
        starts.append(TimedStage(itertools.repeat(0)))
        return starts[-1]

    check_resume(build, TimedStage.run, tmp_path, max_stops=max_stops)
    assert (
        len(starts) == n_starts
    )  # including the uninterrupted run and the run after the last stop
