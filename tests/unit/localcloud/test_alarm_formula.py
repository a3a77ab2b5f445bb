"""Metric math of alarms: what is evaluated, by CloudWatch's own examples, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.alarms.formula import Formula, UnsupportedFormulaError

NAMES = frozenset({"a", "b", "c"})
IF_TABLES = [
    # the tables of "Using IF expressions" in the user guide; None where there is no value
    ("IF(a, b, c)", [1, 1, 0, 0, None], [30, None, 0, 0, 30], [0, 0, 20, None, 20], [30, 0, 20, None, None]),
    ("IF(a, 5, c)", [1, 1, 0, 0, None], [None] * 5, [0, 0, 20, None, 20], [5, 5, 20, None, None]),
    ("IF(a, b, 5)", [1, 1, 0, 0, None], [30, None, 0, 0, 30], [None] * 5, [30, 0, 5, 5, 5]),
]
LOGICAL = [
    # the table of "Comparison and logical operators": metric1 is 30, 20, 0, 0 and metric2 is 20, -, 20, -
    ("a < b", [0, 0, 1, 0]),
    ("a >= 30", [1, 0, 0, 0]),
    ("a > 15 AND b > 15", [1, 0, 0, 0]),
]


def formula(expression) -> Formula:
    return Formula(expression, NAMES)


@pytest.mark.parametrize(("expression", "a", "b", "c", "expected"), IF_TABLES)
def test_if_chooses_as_in_the_documented_tables(expression, a, b, c, expected):
    chosen = formula(expression)
    assert [chosen.point({"a": x, "b": y, "c": z}) for x, y, z in zip(a, b, c, strict=True)] == expected


@pytest.mark.parametrize(("expression", "expected"), LOGICAL)
def test_comparisons_are_0_or_1_as_in_the_documented_table(expression, expected):
    compared = formula(expression)
    one, other = (30, 20, 0, 0), (20, None, 20, None)
    assert [compared.point({"a": x, "b": y, "c": None}) for x, y in zip(one, other, strict=True)] == expected


@pytest.mark.parametrize(
    ("expression", "a", "b", "expected"),
    [
        ("a + b", 2, 3, 5),
        ("a - b", 2, None, 2),
        ("a - b", None, 3, -3),
        ("a / b", 1, 0, None),
        ("a / b", 1, None, None),
        ("a / b", None, 4, 0),
        ("a / b", None, None, None),
        ("100 * a", None, 4, None),
        ("100 * a / b", 1, 4, 25),
        ("a >= 1 OR b >= 1", 0, 1, 1),
        ("a >= 1 OR b >= 1", None, None, None),
        ("a <= 1", 1, None, 1),
    ],
)
def test_a_missing_value_counts_as_0_beside_another_and_a_division_by_0_has_none(expression, a, b, expected):
    assert formula(expression).point({"a": a, "b": b, "c": None}) == expected


def test_a_series_has_a_value_in_each_period_in_which_a_metric_has_one():
    assert formula("a + b").series({"a": {0: 1.0, 60: 2.0}, "b": {60: 3.0, 120: 4.0}}) == {0: 1.0, 60: 5.0, 120: 4.0}
    assert formula("a / b").series({"a": {0: 1.0}}) == {}


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("SUM(METRICS())", "'SUM(METRICS())'"),
        ("FILL(a, 0)", "'FILL(a, 0)'"),
        ("IF(a, b)", "'IF(a, b)'"),
        ("IF(1, a, b)", "a condition that is a number"),
        ("a ^ b", "'a ^ b'"),
        ("-a", "'-a'"),
        ("a == b", "'a == b'"),
        ("1 < a < 2", "'1 < a < 2'"),
        ("2 * 3 * a", "'2 * 3'"),
        ("7", "a number alone"),
        ("a + 'b'", "it is no number"),
        ("a + TRUE", "no metric has this id"),
        ("a + x", "'x' in 'a + x': no metric has this id"),
        ("a and b", "CloudWatch knows no and"),
        ("a if b else c", "CloudWatch knows no if"),
        ("a && b", "cannot be read"),
        ("(a", "cannot be read"),
        ("", "cannot be read"),
        ("a AND NOT(b)", "'NOT(b)'"),
    ],
)
def test_what_is_not_evaluated_is_refused_and_named(expression, why):
    with pytest.raises(UnsupportedFormulaError) as refused:
        formula(expression)
    assert why in str(refused.value)


@given(st.text(alphabet="abcANDORIF(),.<>=+-*/0129 \n", max_size=40))
def test_whatever_the_text_it_is_evaluated_or_refused(expression):
    try:
        read = formula(expression)
    except UnsupportedFormulaError:
        return
    point = read.point({"a": 1.0, "b": 0.0, "c": None})
    assert point is None or isinstance(point, float)
