import pytest

from moonas import operators


@pytest.mark.parametrize(("old", "new"), operators.RENAMED.items())
def test_a_former_class_name_refers_to_the_new_class_with_a_warning(old, new):
    with pytest.warns(DeprecationWarning, match=f"{old} is deprecated; use {new}"):
        assert getattr(operators, old) is getattr(operators, new)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Mutation'"):
        _ = operators.Mutation
