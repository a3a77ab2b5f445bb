"""Values of the AWS provider stand-in: wire form and back, defaults, and inputs derived from what AWS has."""

from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud.aws_provider.registry import RESOURCE_TYPES
from localcloud.aws_provider.state import derived_inputs, previewed, settle, with_defaults
from localcloud.aws_provider.values import (
    UNKNOWN,
    Secret,
    holds_unknown,
    mark_like,
    plain,
    struct_from_wire,
    struct_to_wire,
)
from tests.examples import examples

FUNCTION = RESOURCE_TYPES["aws:lambda/function:Function"]
SCHEDULE = RESOURCE_TYPES["aws:scheduler/schedule:Schedule"]
TOPIC = RESOURCE_TYPES["aws:sns/topic:Topic"]

scalars = st.text(max_size=5) | st.integers(-1000, 1000) | st.booleans() | st.just(UNKNOWN)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3)
        | inner.map(Secret)
    ),
    max_leaves=6,
)


@settings(max_examples=examples(50))
@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), values, max_size=3))
def test_values_survive_the_wire(properties):
    assert struct_from_wire(struct_to_wire(properties)) == properties


@settings(max_examples=examples(50))
@given(values)
def test_no_secret_mark_is_left_in_plain_values(value):
    assert "Secret(" not in repr(plain(value))


def test_a_secret_input_makes_its_output_secret():
    inputs = {"environment": {"variables": {"KEY": Secret("s"), "OPEN": "o"}}, "layers": ["a", Secret("b")]}
    outputs = {"environment": {"variables": {"KEY": "s", "OPEN": "o"}}, "layers": ["a", "b"], "arn": "x"}
    assert mark_like(outputs, inputs) == {
        "environment": {"variables": {"KEY": Secret("s"), "OPEN": "o"}},
        "layers": Secret(["a", "b"]),
        "arn": "x",
    }


def test_unknowns_are_found_at_any_depth():
    assert holds_unknown({"a": [{"b": Secret(UNKNOWN)}]})
    assert not holds_unknown({"a": [{"b": Secret(1)}]})


def test_a_preview_knows_the_defaults_and_nothing_that_aws_answers():
    outputs = previewed(TOPIC, {"name": "t", "tags": {"a": "b"}})
    assert outputs["tagsAll"] == {"a": "b"}
    assert outputs["arn"] is UNKNOWN
    assert with_defaults(FUNCTION, {"name": "f"})["memorySize"] == 128


def test_nested_defaults_apply_only_inside_a_block_that_is_there():
    target = {"arn": "a", "roleArn": "r"}
    assert with_defaults(SCHEDULE, {"target": target})["target"] == target
    filled = with_defaults(SCHEDULE, {"target": {**target, "retryPolicy": {"maximumRetryAttempts": 1}}})
    assert filled["target"]["retryPolicy"] == {"maximumRetryAttempts": 1, "maximumEventAgeInSeconds": 86400}


def test_what_no_call_answers_is_kept_from_the_state():
    assert settle(FUNCTION, {"name": "f"}, {"s3Key": "k", "publish": UNKNOWN}) == {"name": "f", "s3Key": "k"}


def test_drift_of_a_default_becomes_an_input_and_defaults_do_not():
    outputs = with_defaults(FUNCTION, {"name": "f", "role": "r"})
    given_inputs = {"name": "f", "role": "r"}
    assert derived_inputs(FUNCTION, outputs, given_inputs) == given_inputs
    assert derived_inputs(FUNCTION, {**outputs, "timeout": 9}, given_inputs) == {**given_inputs, "timeout": 9}


def test_a_tag_put_on_by_hand_is_drift():
    outputs = {"name": "t", "tagsAll": {"hand": "made"}, "tags": {"hand": "made"}}
    assert derived_inputs(TOPIC, outputs, {"name": "t"}) == {"name": "t", "tags": {"hand": "made"}}


def test_a_block_removed_by_hand_disappears_from_the_inputs():
    given_inputs = {"name": "f", "deadLetterConfig": {"targetArn": "q"}}
    assert derived_inputs(FUNCTION, {"name": "f"}, given_inputs) == {"name": "f"}
