"""The evaluator reads conditions as GitHub does, and refuses what it does not know."""

import pytest

from tests.unit.workflows.expressions import ExpressionError, Scope, asks_for_status, condition, evaluate, truthy

SCOPE = Scope(
    {"needs": {"build": {"result": "success", "outputs": {"state": "CONFIRMED"}}}, "github": {"ref_name": "main"}},
    {"always": True, "success": False, "failure": True, "cancelled": False},
)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("true", True),
        ("null", None),
        ("'it''s'", "it's"),
        ("needs.build.result == 'success'", True),
        ("needs.build.result == 'SUCCESS'", True),
        ("needs['build'].result != 'failure'", True),
        ("needs.other.result", None),
        ("needs.other.outputs.state == ''", True),
        ("!needs.other.outputs.state", True),
        ("always() && !success()", True),
        ("success() || failure() && cancelled()", False),
        ("(success() || failure()) && always()", True),
        ("needs.build.outputs.state || 'none'", "CONFIRMED"),
        ("needs.other.outputs.state || 'none'", "none"),
        ('contains(fromJSON(\'["confirmed", "refused"]\'), needs.build.outputs.state)', True),
        ("contains(fromJSON('[\"confirmed\"]'), needs.other.outputs.state)", False),
        ("contains('preprod-test', 'TEST')", True),
        ("startsWith(github.ref_name, 'ma')", True),
        ("1 == '1'", True),
        ("0 == ''", True),
    ],
)
def test_an_expression_has_the_value_that_github_gives_it(expression, value):
    assert evaluate(expression, SCOPE) == value


@pytest.mark.parametrize(
    "expression",
    [
        "neds.build.result",
        "hashFiles('x')",
        "true &&",
        "(true",
        "needs.",
        "true true",
        "needs.build.result = 'x'",
        '"x"',
        "",
    ],
)
def test_what_cannot_be_read_is_an_error_and_not_false(expression):
    with pytest.raises(ExpressionError):
        evaluate(expression, SCOPE)


def test_both_sides_of_an_or_are_read():
    with pytest.raises(ExpressionError):
        evaluate("always() || neds.build.result", SCOPE)


@pytest.mark.parametrize(("text", "expected"), [("${{ always() }}", " always() "), ("failure()", "failure()")])
def test_a_condition_may_stand_without_braces(text, expected):
    assert condition(text) == expected


def test_text_beside_the_braces_of_a_condition_is_refused():
    with pytest.raises(ExpressionError, match="always holds"):
        condition("${{ success() }} && false")


@pytest.mark.parametrize(
    ("expression", "asks"),
    [
        ("always() && true", True),
        ("needs.always == 'always()'", False),
        ("Failure()", True),
        ("contains('success()', 'x')", False),
    ],
)
def test_a_status_function_is_told_from_its_name_in_a_text(expression, asks):
    assert asks_for_status(expression) is asks


@pytest.mark.parametrize("value", [None, False, "", 0, float("nan")])
def test_what_github_takes_for_false(value):
    assert not truthy(value)


@pytest.mark.parametrize("value", ["false", "0", [], {}, 1, True])
def test_what_github_takes_for_true(value):
    assert truthy(value)
