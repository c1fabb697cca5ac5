import pytest

from moonas import operators

OLD_NAMES = {
    "MixedMoves": "MixedMutation",
    "NewRow": "EvaluatedRow",
    "PolynomialMoves": "PolynomialMutation",
}


@pytest.mark.parametrize(("old", "new"), OLD_NAMES.items())
def test_a_deprecated_class_name_returns_the_new_class_with_a_warning(old, new):
    with pytest.warns(DeprecationWarning, match=f"{old} is deprecated; use {new}"):
        assert getattr(operators, old) is getattr(operators, new)


def test_an_unknown_class_name_raises_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Mutation'"):
        _ = operators.Mutation
