"""Every command of CI with the role that its job takes: no call is denied that it needs; with less it fails by name.

With LOCALCLOUD_ENFORCE_IDENTITIES=1 the cloud of these rehearsals enforces identities: each call of releaser,
engine, provider and integration tests is decided for the role of the GitHub environment of the command
(tests/ci_jobs.py).
"""

import fnmatch
import json
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from components.arns import Arns
from components.identities import IDENTITIES
from components.naming import names
from localcloud.environment import ACCOUNT, REGION
from localcloud.iam.evaluator import decide
from localcloud.iam.switch import VARIABLE, switched_on
from tests.ci_jobs import github_environment
from tests.rehearsal.records import recorded, request

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not switched_on(), reason=f"{VARIABLE}=1 lets the cloud of these rehearsals enforce identities"),
]

SEED = int(os.environ.get("IDENTITIES_SEED", "20261129"))
ALL = "SOAK_MINUTES" in os.environ
"""Whether each right that can be taken away is, or two of them."""


def _identity(github_environment):
    (identity,) = [one for one in IDENTITIES if one.github_environment == github_environment]
    return identity, Arns(account_id=ACCOUNT, region=REGION, names=names(identity.environment))


@contextmanager
def _without(cloud, github_environment, sid) -> Iterator[list[str]]:
    """Take an Allow statement from the role on the running cloud; yield the actions that it allows."""
    identity, arns = _identity(github_environment)
    role, iam = identity.role(arns.names), cloud.client("iam")
    (policy,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    (taken,) = [one for one in document["Statement"] if one.get("Sid") == sid]
    kept = {**document, "Statement": [one for one in document["Statement"] if one is not taken]}
    iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(kept))
    try:
        yield [taken["Action"]] if isinstance(taken["Action"], str) else taken["Action"]
    finally:
        iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))


def test_a_whole_release_is_made_with_the_roles_of_its_jobs_and_is_denied_nothing(production):
    assert production.denials == ()


def test_a_command_with_credentials_that_nobody_handed_out_reads_nothing(production):
    """A test of the test: without the session's token the same command is refused."""
    cloud = production.cloud
    ran = cloud.run("release", "status", "--stack", "prod", expected=None, AWS_SESSION_TOKEN="made-up")
    assert ran.exit_code != 0


@pytest.mark.parametrize(
    ("command", "role"),
    [
        (("release", "deploy", "--stack", "preprod"), "preprod-validate"),
        (("release", "deploy", "--stack", "preprod"), "production"),
        (("release", "validate", "--stack", "preprod"), "preprod-test"),
        (("release", "promote", "--stack", "prod"), "prod-watch"),
        (("release", "promote", "--stack", "prod"), "preprod"),
    ],
    ids=lambda one: one if isinstance(one, str) else one[1],
)
def test_a_command_with_the_role_of_another_job_is_denied_by_name_and_changes_nothing(
    production, another, tmp_path, command, role
):
    cloud, (digest, source) = production.cloud, another
    before = _told(cloud)
    words = {
        "deploy": ("--build", str(source.parent / "build")),
        "validate": ("--digest", digest, "--junit", f"{source.parent / 'build'}.xml"),
        "promote": ("--digest", digest),
    }[command[1]]
    count = len(cloud.denials())
    ran = cloud.run(*command, *words, folder=source, expected=None, **cloud.role(role))
    assert ran.exit_code not in (0, 4), ran.stdout + ran.stderr
    denied = cloud.denials()[count:]
    assert denied, ran.stderr
    assert any(one["action"] in ran.stdout + ran.stderr for one in denied), (denied, ran.stderr)
    assert _told(cloud) == before


def _told(cloud):
    """The head of both ledgers, and the version behind each alias of each function."""
    s3, functions = cloud.client("s3"), cloud.client("lambda")
    heads = [s3.get_object(Bucket=names(one).bucket, Key="ledger/head.json") for one in ("preprod", "prod")]
    found = [head["Body"].read() for head in heads]
    for function in functions.list_functions()["Functions"]:
        aliases = functions.list_aliases(FunctionName=function["FunctionName"])["Aliases"]
        found += [(one["AliasArn"], one["FunctionVersion"], one.get("RoutingConfig")) for one in aliases]
    return found


def _commands(production):
    """Quick commands of CI: their words."""
    validate = ("release", "validate", "--stack", "preprod", "--digest", production.digest)
    junit = ("--junit", f"{production.build}.xml")
    return [
        (*validate, *junit),
        (*validate, *junit, "--no-record"),
        ("release", "status", "--stack", "preprod"),
        ("release", "status", "--stack", "prod"),
    ]


@pytest.fixture(scope="module")
def rights(production):
    """Each command with the Sid of each statement that it needs, by what was recorded of it."""
    cloud, found = production.cloud, []
    for command in _commands(production):
        cloud.run(*command)
        run, environment = recorded(cloud)[-1], github_environment(command)
        identity, arns = _identity(environment)
        document = identity.rights(arns)
        for sid in [one["Sid"] for one in document["Statement"] if one["Effect"] == "Allow"]:
            less = document | {"Statement": [one for one in document["Statement"] if one["Sid"] != sid]}
            asked = [replace(request(identity, need), identity=[less]) for need in run.needs().values()]
            if not all(one.allowed for one in decide(asked)):
                found.append((command, environment, sid))
    return found if ALL else random.Random(SEED).sample(found, 2)


def test_a_command_whose_role_lacks_one_right_fails_by_name_and_leaves_nothing_half_done(production, rights):
    cloud = production.cloud
    before = _told(cloud)
    for command, environment, sid in rights:
        count = len(cloud.denials())
        with _without(cloud, environment, sid) as actions:
            ran = cloud.run(*command, expected=None)
        told = f"{' '.join(command)} without {sid}: {ran.exit_code}\n{ran.stdout}\n{ran.stderr}"
        denied = [one["action"] for one in cloud.denials()[count:]]
        assert ran.exit_code != 0, told
        assert any(fnmatch.fnmatchcase(action, pattern) for action in denied for pattern in actions), (denied, told)
        assert any(action in ran.stdout + ran.stderr for action in denied), told
        assert _told(cloud) == before
        cloud.run(*command)
