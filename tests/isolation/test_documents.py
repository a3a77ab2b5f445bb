"""Every document that the programs make, held against a linter's rules and the limits of AWS."""

import json
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from components.naming import ENVIRONMENTS, foundation_stack
from components.policies.documents import Document, to_json
from tests.isolation.world import LAYOUTS, World, world
from tests.unit.program.harness import Deployment, run

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # parliament imports pkg_resources
    import parliament

INLINE_LIMIT, MANAGED_LIMIT, TRUST_LIMIT, BUCKET_LIMIT, TOPIC_LIMIT = 10_240, 6_144, 2_048, 20_480, 30_720
LONGEST = {
    "githubRepository": f"{'o' * 39}/{'r' * 100}",
    "githubOwnerId": "1" * 12,
    "githubRepositoryId": "2" * 12,
    "nameSuffix": "s" * 26,
    "aws:region": "ap-southeast-1",
}
"""What GitHub and AWS allow, and ids longer than any that GitHub has given."""
RESERVE = 400
"""Characters that the rights of a role keep free for what a new function or a new call of AWS needs."""

TRUST = "assumeRolePolicy"
ATTACHMENTS = {
    "aws:iam/rolePolicy:RolePolicy": "inline",
    "aws:iam/policy:Policy": "managed",
    "aws:s3/bucketPolicy:BucketPolicy": "bucket",
    "aws:sns/topicPolicy:TopicPolicy": "topic",
    "aws:sqs/queuePolicy:QueuePolicy": "topic",
}


@dataclass(frozen=True)
class Made:
    """A document, the kind of its place, and who has it."""

    kind: str
    owner: str
    document: Document


def _made(deployment: Deployment) -> Iterator[Made]:
    for resource in deployment.custom:
        if resource.typ in ATTACHMENTS:
            owner = resource.inputs.get("role") or resource.name
            yield Made(ATTACHMENTS[resource.typ], owner, json.loads(resource.inputs["policy"]))
        else:
            assert "policy" not in resource.inputs, f"{resource.typ} has a policy of a kind that is not known here"
        if TRUST in resource.inputs:
            yield Made("trust", resource.inputs["name"], json.loads(resource.inputs[TRUST]))


def _all(world: World) -> list[Made]:
    by_program = [made for deployment in world.deployments.values() for made in _made(deployment)]
    by_bootstrap = {
        str(thing.policy): Made("bucket" if thing.kind == "bucket" else "key", thing.arn, thing.policy)
        for thing in world.things
        if thing.policy and (thing.kind == "key" or thing.arn.endswith("-pulumi-state"))
    }
    assert len(by_bootstrap) == 6
    return by_program + list(by_bootstrap.values())


# The linter

INTENDED = {
    "UNKNOWN_CONDITION_FOR_ACTION": {
        "kms:ResourceAliases": "a key of the resource, and parliament looks at those of the action only",
        "iam:PermissionsBoundary for action iam:UpdateAssumeRolePolicy": "AWS has added it since parliament's data",
    },
    "RESOURCE_STAR": {
        "cloudwatch:DescribeAlarms": "alarms that do not exist are found missing by listing: see ACCOUNT_WIDE",
        "kms:": "in the policy of a key every resource is that key",
    },
    "MISMATCHED_TYPE_BUT_USABLE": {
        "StringEquals requires a value of type String but given Arn": "exact, where ArnEquals would take wildcards",
    },
}
"""Findings that are meant, by what stands in them, each with its reason."""


# Lists of ARNs came to AWS's tables after parliament.
_translated = parliament.statement.translate_documentation_types
parliament.statement.translate_documentation_types = lambda name: _translated("ARN" if name == "ArrayOfARN" else name)


def _findings(document: Document) -> list[tuple[str, str]]:
    found = parliament.analyze_policy_string(json.dumps(document)).findings
    return [(finding.issue, str(finding.detail)) for finding in found]


def _is_meant(issue: str, detail: str, document: Document) -> bool:
    if issue == "RESOURCE_MISMATCH":  # a wildcard stands for actions on other things too, and those are then not given
        ours = [statement for statement in document["Statement"] if statement.get("Resource") != ["*"]]
        named = {action for statement in ours for action in statement.get("Action", [])}
        return not set(re.findall(r"'action': '([^']+)'", detail)) & named
    return any(part in detail for part in INTENDED.get(issue, {}))


@pytest.mark.parametrize("layout", range(len(LAYOUTS)), ids=["one account", "two accounts"])
def test_the_linter_finds_nothing_that_is_not_meant(layout):
    """Trust policies are not among what parliament knows (it misses their resource); the evaluator validates those."""
    documents = [made for made in _all(world(layout)) if made.kind != "trust"]
    assert len(documents) > 25
    findings = {
        (made.owner, made.kind, *finding)
        for made in documents
        for finding in _findings(made.document)
        if not _is_meant(*finding, made.document)
    }
    assert findings == set()


def test_no_exception_for_the_linter_is_out_of_date():
    found = [finding for made in _all(world(0)) if made.kind != "trust" for finding in _findings(made.document)]
    unused = {
        (issue, part)
        for issue, parts in INTENDED.items()
        for part in parts
        if not any(issue == one and part in detail for one, detail in found)
    }
    assert unused == set()


def test_the_linter_finds_a_misspelt_action():
    statement = {"Effect": "Allow", "Action": ["s3:GetObjects"], "Resource": ["arn:aws:s3:::bucket/*"]}
    ((issue, detail),) = _findings({"Version": "2012-10-17", "Statement": [statement]})
    assert not _is_meant(issue, detail, {"Statement": [statement]})


# The limits


def _sizes(deployment: Deployment) -> dict[tuple[str, str], int]:
    """Characters per place, without white space; the inline policies of a role count together."""
    sizes: dict[tuple[str, str], int] = {}
    for made in _made(deployment):
        key = made.kind, made.owner
        sizes[key] = sizes.get(key, 0) + len(to_json(made.document))
    return sizes


def _too_long(sizes: dict[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    limits = {
        "inline": INLINE_LIMIT,
        "managed": MANAGED_LIMIT,
        "trust": TRUST_LIMIT,
        "bucket": BUCKET_LIMIT,
        "topic": TOPIC_LIMIT,
    }
    return {key: size for key, size in sizes.items() if size > limits[key[0]]}


def test_documents_fit_into_the_limits_of_aws(both):
    for stack, deployment in both.deployments.items():
        assert _too_long(_sizes(deployment)) == {}, stack


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_documents_fit_with_the_longest_names_and_ids_and_rights_keep_a_reserve(environment):
    administrator = "arn:aws:iam::123456789012:role/" + "p" * 200 + "/" + "r" * 64
    sizes = _sizes(run(foundation_stack(environment), **LONGEST, administratorRoleArn=administrator))
    assert _too_long(sizes) == {}
    assert max(size for (kind, _), size in sizes.items() if kind == "inline") <= INLINE_LIMIT - RESERVE
    assert max(size for (kind, _), size in sizes.items() if kind == "trust") > 500  # the long names are in there


def test_a_document_that_is_too_long_would_be_found():
    assert _too_long({("inline", "role"): INLINE_LIMIT + 1, ("trust", "role"): TRUST_LIMIT}) == {
        ("inline", "role"): INLINE_LIMIT + 1
    }
