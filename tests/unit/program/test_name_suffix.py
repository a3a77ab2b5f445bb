"""Names of buckets are shared by everybody on AWS: the setting `nameSuffix` makes them anybody's."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.arns import Arns
from components.identities import IDENTITIES
from components.naming import ENVIRONMENTS, PhysicalNameError, names, state_place, trail_bucket
from components.policies.bucket import deployment_bucket
from components.policies.documents import to_json
from components.policies.state_access import state_bucket
from components.settings import SettingError, parse
from tests.unit.program.harness import ACCOUNT, FOUNDATION_STACKS, STACKS, configuration, hand_over, run

SUFFIX = "acme-7"
GLOBAL = ("bucket", "state_bucket")
LONGEST = 63 - len("preprod-sentiment-lambda-deployments-")
SUFFIXES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,10}[a-z0-9]|[a-z0-9]", fullmatch=True)


def _arns(environment, suffix, other=""):
    return Arns(account_id=ACCOUNT, region="us-east-1", names=names(environment, suffix), other_account_id=other)


def _settings(stack, suffix):
    return parse(configuration(stack, nameSuffix=suffix), stack)


def _renamed(document, suffix):
    """The document of nobody's suffix, as the one of `suffix` has to be; keys have aliases of the account's own."""
    bucket = r"(?<![a-z/])((?:pre)?prod-sentiment-(?:lambda-deployments|pulumi-state))"
    return re.sub(bucket, rf"\1-{suffix}", to_json(document))


@given(suffix=SUFFIXES)
def test_only_the_buckets_take_the_suffix(suffix):
    for environment in ENVIRONMENTS:
        plain, own = names(environment).physical(), names(environment, suffix).physical()
        assert own == plain | {field: f"{plain[field]}-{suffix}" for field in GLOBAL}
    assert names("prod", "") == names("prod")


@pytest.mark.parametrize(
    "suffix", ["-acme", "acme-", "Acme", "ac.me", "a_b", "ä", "\u0661", "a b", "a" * (LONGEST + 1)]
)
@pytest.mark.parametrize("stack", STACKS)
def test_a_suffix_that_no_bucket_can_have_is_refused_by_name(stack, suffix):
    with pytest.raises(SettingError, match="nameSuffix"):
        _settings(stack, suffix)


def test_a_suffix_that_is_too_long_is_told_by_how_much():
    assert _settings("prod", "a" * LONGEST).name_suffix == "a" * LONGEST
    with pytest.raises(SettingError, match=r"at most 63.* by 1"):
        _settings("prod", "a" * (LONGEST + 1))
    with pytest.raises(PhysicalNameError):
        names("prod", "-")


@given(suffix=SUFFIXES)
def test_every_policy_is_the_one_that_isolation_is_proven_of_with_the_buckets_renamed(suffix):
    for other in ("", "210987654321"):
        for identity in IDENTITIES:
            plain, own = (_arns(identity.environment, one, other) for one in ("", suffix))
            assert to_json(identity.rights(own)) == _renamed(identity.rights(plain), suffix)
        for environment in ENVIRONMENTS:
            plain, own = (_arns(environment, one, other) for one in ("", suffix))
            administrator = f"arn:aws:iam::{ACCOUNT}:role/admin"
            for policy in (deployment_bucket, state_bucket):
                assert to_json(policy(own, administrator)) == _renamed(policy(plain, administrator), suffix)


@pytest.mark.parametrize("stack", FOUNDATION_STACKS)
def test_the_program_makes_and_names_the_buckets_with_the_suffix(stack):
    plain, own = run(stack), run(stack, nameSuffix=SUFFIX)
    environment = stack.removesuffix("-foundation")
    made = {bucket.inputs["bucket"] for bucket in own.of("s3/bucket:Bucket").values()}
    trail = {trail_bucket(ACCOUNT)} if own.of("trail:Trail") else set()
    assert made == {names(environment, SUFFIX).bucket} | trail
    assert json.loads(_renamed(_inputs(plain), SUFFIX)) == json.loads(to_json(_inputs(own)))


def _inputs(deployment):
    return {resource.urn: dict(resource.inputs) for resource in deployment.custom}


def test_where_the_state_lies_follows_the_suffix():
    assert state_place("prod-foundation", SUFFIX) == (f"prod-sentiment-pulumi-state-{SUFFIX}", "foundation")


def test_the_service_takes_packages_from_the_bucket_with_the_suffix_only():
    offered = hand_over("prod", 100, confirmed=True)
    with pytest.raises(Exception, match=f"lambda-deployments-{SUFFIX}"):
        run("prod", release=offered, nameSuffix=SUFFIX)
    made = run("prod", release=_renamed(json.loads(offered), SUFFIX), nameSuffix=SUFFIX)
    functions = made.of("lambda/function:Function").values()
    assert {function.inputs["s3Bucket"] for function in functions} == {names("prod", SUFFIX).bucket}
