"""Where answers differ: the same for every order of the answers, nothing for equal ones, and never the reference."""

import json

from hypothesis import given
from hypothesis import strategies as st

from release.analysis.differences import Reference, excerpt

values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-3, 3) | st.sampled_from(["", "a", "{}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)
MAY_DIFFER = {"d"}


@given(
    values,
    st.lists(values, min_size=2, max_size=5).flatmap(
        lambda given: st.tuples(st.just(given), st.permutations(range(len(given))))
    ),
)
def test_the_order_of_the_answers_decides_nothing(reference, answers_and_order):
    answers, order = answers_and_order
    alone = Reference(reference, MAY_DIFFER).alone(answers)
    assert Reference(reference, MAY_DIFFER).alone([answers[at] for at in order]) == [alone[at] for at in order]


@given(values, values)
def test_what_all_answers_say_is_no_difference(reference, answer):
    assert Reference(reference, MAY_DIFFER).alone([answer, answer]) == [{}, {}]


@given(values)
def test_an_answer_equals_itself_and_its_text(answer):
    again = json.loads(json.dumps(answer))
    assert Reference({"body": answer}, MAY_DIFFER).alone([{"body": again}]) == [{}]
    assert Reference({"body": json.dumps({"a": answer})}, MAY_DIFFER).alone([{"body": {"a": answer}}]) == [{}]


@given(st.dictionaries(st.sampled_from("abc"), values, max_size=3), values, values)
def test_additions_and_fields_that_may_differ_are_none(reference, added, other):
    answer = {**reference, "new": added, "d": other}
    assert Reference({**reference, "d": 1}, MAY_DIFFER).alone([answer]) == [{}]


@given(values, st.lists(values, min_size=1, max_size=4))
def test_a_difference_can_be_put_into_words(reference, answers):
    for one in Reference(reference, MAY_DIFFER).alone(answers):
        for path, pair in one.items():
            assert excerpt(f"question{path}", *pair).startswith("question")


def test_a_field_is_compared_by_its_type_once_it_has_changed_by_chance():
    reference = Reference({"a": 1}, MAY_DIFFER)
    for _ in range(3):
        assert reference.alone([{"a": 1}, {"a": 2}]) == [{}, {".a": (2, 1)}]
        reference.learn({"a": 1}, [".a"])
    assert reference.alone([{"a": 1}, {"a": 2}]) == [{}, {}]
    assert reference.alone([{"a": 1}, {"a": "2"}]) == [{}, {".a (str)": ("2", 1)}]
