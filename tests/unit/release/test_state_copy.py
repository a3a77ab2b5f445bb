"""The copy of a state that is published: what it holds, and above all what it does not."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from release.errors import ReleaseError
from release.preview.copy import LARGEST, copy_of, read_copy
from release.pulumi.stack_config import load
from tests.examples import examples
from tests.stacks import STACK_FILES

SETTINGS = load("prod", STACK_FILES, {})
WRAPPED = "4dabf18193072939515e22adb298388d"
WHOSE = {"sha": "a1" * 20, "manifest": "b2" * 32, "at": "2026-11-25T16:00:00+00:00"}

names = st.sampled_from(["inputs", "outputs", "a", "policy", "tags", "environment"])
plain = st.one_of(st.integers(0, 9_999), st.booleans(), st.none(), st.text("abc:/-_ ", max_size=12))


def nested(leaves):
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
    )


def checkpoint(*resources, **deployment):
    return json.dumps({"version": 3, "deployment": {"resources": list(resources), **deployment}}).encode()


def published(*resources, **deployment):
    return copy_of(checkpoint(*resources, **deployment), SETTINGS, **WHOSE).canonical().decode()


def resource(**fields):
    return {"urn": "urn:pulumi:prod::p::t::n", "type": "t", "custom": True, "id": "n", **fields}


@st.composite
def planted(draw, leaf):
    """A resource with a value somewhere in it, at any depth, alone or among others."""
    value = draw(nested(st.just(leaf) | plain).filter(lambda made: json.dumps(leaf)[1:-1] in json.dumps(made)))
    return resource(**{draw(st.sampled_from(["inputs", "outputs"])): {"here": value}})


SECRET = "correct-horse-battery-staple"
WRAPPINGS = [
    {WRAPPED: "1b47061264138c4ac30d75fd1eb44270", "ciphertext": SECRET},
    {WRAPPED: "1b47061264138c4ac30d75fd1eb44270", "plaintext": json.dumps({"k": SECRET})},
    {"secretString": SECRET},
    {"plaintextValue": SECRET},
    {"token": {"deep": [SECRET]}},
]


@pytest.mark.parametrize("wrapping", WRAPPINGS, ids=lambda one: next(iter(one)) + str(len(one)))
@given(data=st.data())
@settings(max_examples=examples(40))
def test_no_secret_is_published_at_whatever_depth_it_lies(wrapping, data):
    made = data.draw(planted("LEAF"))
    text = json.dumps(made).replace('"LEAF"', json.dumps(wrapping))
    assert SECRET in text
    assert SECRET not in published(json.loads(text))


def test_outputs_that_the_provider_calls_secret_and_the_ways_to_decrypt_are_left_out():
    text = published(
        resource(outputs={"key": SECRET, "name": "n"}, additionalSecretOutputs=["key"]),
        secrets_providers={"type": "cloud", "state": {"encryptedkey": SECRET}},
        pending_operations=[{"resource": resource(inputs={"a": SECRET}), "type": "creating"}],
        metadata={"integrity": SECRET},
    )
    assert SECRET not in text
    assert '"name": "n"' in text


FOREIGN = [
    "210987654321",
    "arn:aws:iam::210987654321:role/somebody",
    "arn:aws:kms:us-east-1:123456789012:key/1b1b1b1b-2c2c-4d3d-8e4e-5f5f5f5f5f5f",
    "somebody.else@example.com",
    "AROAABCDEFGHIJKLMNOPQ",
    "AKIA" + "ABCDEFGHIJKLMNOP",  # no key, and not written as one
    "https://abcdefghijklmnopqrstuvwxyz012345.lambda-url.us-east-1.on.aws/",
]
TELLING = re.compile(r"210987654321|1b1b1b1b|somebody\.else|AROAABC|AKIAABC|abcdefghijklmnopqrstuvwxyz012345")


@pytest.mark.parametrize("foreign", FOREIGN)
@given(data=st.data())
@settings(max_examples=examples(25))
def test_nothing_is_published_of_other_accounts_people_and_ids_that_aws_made_up(foreign, data):
    made = data.draw(planted("LEAF"))
    made = json.loads(json.dumps(made).replace("LEAF", foreign))
    assert TELLING.search(json.dumps(made))
    assert not TELLING.search(published({**made, "id": foreign}))


def test_a_number_of_an_account_is_masked_where_it_is_no_text_and_where_it_is_a_key():
    text = published(resource(inputs={"owner": 210987654321, "210987654321": True}))
    assert "210987654321" not in text


def test_what_the_repository_says_stays_and_what_is_the_same_stays_the_same():
    arn = f"arn:aws:sns:us-east-1:{SETTINGS.account_id}:prod-sentiment-new-items"
    key = "arn:aws:kms:us-east-1:123456789012:key/1b1b1b1b-2c2c-4d3d-8e4e-5f5f5f5f5f5f"
    copy = copy_of(
        checkpoint(resource(inputs={"topic": arn, "key": key}), resource(id=key, outputs={"arn": key, "n": 5})),
        SETTINGS,
        **WHOSE,
    )
    one, other = copy.deployment["resources"]
    assert one["inputs"]["topic"] == arn
    assert one["inputs"]["key"] == other["id"] == other["outputs"]["arn"] != key
    assert other["outputs"]["n"] == 5


def test_a_copy_of_a_copy_is_the_same():
    first = copy_of(checkpoint(resource(inputs={"a": FOREIGN})), SETTINGS, **WHOSE)
    again = copy_of(json.dumps({"version": 3, "deployment": first.deployment}).encode(), SETTINGS, **WHOSE)
    assert again == first


def test_a_copy_reads_back_and_one_that_is_none_is_refused_with_the_way_forward():
    copy = copy_of(checkpoint(resource()), SETTINGS, **WHOSE)
    assert read_copy(copy.canonical(), "prod") == copy
    wrong = {
        "preprod": copy.canonical(),
        "prod": b"{}",
    }
    for stack, body in wrong.items():
        with pytest.raises(ReleaseError, match="copy of the state"):
            read_copy(body, stack)
    with pytest.raises(ReleaseError) as refused:
        read_copy(copy.canonical().replace(b'"format": 1', b'"format": 2'), "prod")
    assert "format" in refused.value.why
    assert "release publish" in refused.value.next_step
    with pytest.raises(ReleaseError, match="too large"):
        read_copy(b" " * (LARGEST + 1), "prod")


def test_where_a_resource_was_registered_is_not_published():
    assert "/home/me" not in published(resource(sourcePosition="project:///home/me/x.py#1", stackTrace=[{}]))
    assert Path(__file__).name not in published(resource())
