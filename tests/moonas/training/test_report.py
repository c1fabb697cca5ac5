import math

import pytest

from moonas.problem import SearchFailed
from moonas.training.report import TrainingReport, require_a_step


def test_require_a_step_raises_an_error_only_if_all_steps_were_skipped():
    require_a_step(TrainingReport({"loss": math.nan}, steps=0, skipped=0), advice="")
    require_a_step(TrainingReport({"loss": 1.0}, steps=1, skipped=9), advice="")
    with pytest.raises(SearchFailed, match=r"None of the 9 .* Lower learning_rate\."):
        require_a_step(TrainingReport({}, steps=0, skipped=9), advice="Lower learning_rate.")


def test_the_dict_of_a_report_contains_each_loss_by_name():
    report = TrainingReport({"d_loss": 1.0, "g_loss": 2.0}, steps=3, skipped=4)
    assert report.as_dict() == {"steps": 3, "skipped": 4, "d_loss": 1.0, "g_loss": 2.0}
