"""Deprecated names still work and issue a warning."""

import pytest
from toy import Toy

from moonas.deprecation import renamed_arguments
from moonas.problem import Column
from moonas.run import stage


@renamed_arguments(told="on_progress")
def decorated(first, *, on_progress=None):
    return first, on_progress


def test_a_deprecated_keyword_is_passed_on_under_its_current_name():
    with pytest.warns(DeprecationWarning, match="told= is deprecated; use on_progress=") as caught:
        assert decorated(1, told=2) == (1, 2)
    assert caught[0].filename == __file__


def test_the_current_keyword_does_not_warn(recwarn):
    assert decorated(1, on_progress=2) == (1, 2)
    assert not recwarn


def test_a_call_with_the_deprecated_and_the_current_keyword_raises_an_error():
    with pytest.raises(TypeError, match="Got both told= and on_progress="):
        decorated(1, told=2, on_progress=3)


NEW_NAME_OF = {
    "in_words": "architecture_title",
    "picked_as": "pick_description",
    "beside": "secondary_column",
    "moves": "nonstationary",
    "offspring_train": "train_on_offspring",
    "halves": "species_bits",
    "shown": "plotted_columns",
}


@pytest.mark.parametrize("old", NEW_NAME_OF)
def test_deprecated_attributes_of_a_problem_can_be_read(old):
    toy = Toy()
    with pytest.warns(DeprecationWarning, match=f"Toy.{old} is deprecated; use {NEW_NAME_OF[old]}"):
        assert getattr(toy, old) == getattr(toy, NEW_NAME_OF[old])


def test_a_subclass_may_define_a_deprecated_attribute():
    with pytest.warns(DeprecationWarning, match="Old.in_words is deprecated") as caught:

        class Old(Toy):
            in_words = "three genes"

    assert caught[0].filename == __file__
    assert Old.architecture_title == Old().architecture_title == "three genes"
    assert Toy.architecture_title != "three genes"


def test_a_column_accepts_the_deprecated_keyword_and_attribute():
    with pytest.warns(DeprecationWarning, match="listed= is deprecated; use in_table="):
        column = Column("error", "%", listed=False)
    assert column == Column("error", "%", in_table=False)
    with pytest.warns(DeprecationWarning, match="listed is deprecated"):
        assert column.listed is False


def test_a_training_stage_may_still_be_derived_from_its_old_name():
    with pytest.warns(DeprecationWarning, match="stage.Preparation is deprecated"):
        base = stage.Preparation
    assert base is stage.TrainingStage
    with pytest.warns(DeprecationWarning, match="Old.in_words is deprecated; use description"):

        class Old(base):
            in_words = "training something"

    assert Old.description == "training something"
