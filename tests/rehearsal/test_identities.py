"""Every command of CI with the role that its job takes: no call is denied that it needs; with less it fails by name.

The cloud of these rehearsals enforces identities: each call of releaser, engine, provider and integration tests is
decided for the role of the GitHub environment of the command (tests/ci_jobs.py).
"""

import json
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from components.arns import Arns
from components.identities import IDENTITIES
from components.naming import names
from components.policies.documents import deny
from localcloud.environment import ACCOUNT, REGION
from localcloud.iam.evaluator import decide
from tests.ci_jobs import github_environment
from tests.cloud import ROOT, Ran
from tests.rehearsal.records import recorded, request

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800 if "SOAK_MINUTES" in os.environ else 600)]

SEED = int(os.environ.get("IDENTITIES_SEED", "20261129"))
ALL = "SOAK_MINUTES" in os.environ
"""Whether each right of a quick command is taken away, or one for each role."""


def _identity(github_environment):
    (identity,) = [one for one in IDENTITIES if one.github_environment == github_environment]
    return identity, Arns(account_id=ACCOUNT, region=REGION, names=names(identity.environment))


@dataclass(frozen=True)
class Right:
    """One action of one statement of a role."""

    environment: str
    sid: str
    action: str

    def __str__(self) -> str:
        return f"{self.environment} without {self.action} ({self.sid})"

    @contextmanager
    def taken_away(self, cloud) -> Iterator[None]:
        """Deny the action on the statement's resources, on the running cloud: it may stand there as a wildcard."""
        identity, arns = _identity(self.environment)
        role, iam = identity.role(arns.names), cloud.client("iam")
        (policy,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
        document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
        (allowing,) = [one for one in document["Statement"] if one.get("Sid") == self.sid]
        taken = deny("Taken", [self.action], allowing["Resource"])
        less = {**document, "Statement": [*document["Statement"], taken]}
        iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(less))
        try:
            yield
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
    """What both ledgers say is served and confirmed, and the version behind each alias of each function."""
    s3, functions = cloud.client("s3"), cloud.client("lambda")
    heads = [s3.get_object(Bucket=names(one).bucket, Key="ledger/head.json") for one in ("preprod", "prod")]
    views = [json.loads(head["Body"].read())["view"] for head in heads]
    found = [tuple(str(view[name]) for name in ("served", "confirmed", "resting", "blocked")) for view in views]
    for function in functions.list_functions()["Functions"]:
        aliases = functions.list_aliases(FunctionName=function["FunctionName"])["Aliases"]
        found += [(one["AliasArn"], one["FunctionVersion"], one.get("RoutingConfig")) for one in aliases]
    return found


@dataclass(frozen=True)
class Asked:
    """A command of CI, and the clone in which it runs."""

    command: tuple[str, ...]
    folder: Path

    def run(self, cloud, **variables) -> Ran:
        """Run it as its job does; `notify` tells of a build that failed, of which nobody was told yet."""
        failed = {"NEEDS": json.dumps({"build": {"result": "failure", "outputs": {}}}), "GITHUB_RUN_ID": "77"}
        return cloud.run(*self.command, folder=self.folder, expected=None, **failed, **variables)

    def rights(self, cloud, github_environment, run) -> list["Right"]:
        """The rights of a role that a recorded run of the command needed."""
        identity, arns = _identity(github_environment)
        document = identity.rights(arns)
        allowing = [one for one in document["Statement"] if one["Effect"] == "Allow"]
        pairs = [(statement, need) for statement in allowing for need in run.needs().values()]
        asked = [
            replace(request(identity, need), identity=[document | {"Statement": [statement]}])
            for statement, need in pairs
        ]
        decided = zip(pairs, decide(asked), strict=True)
        found = {(statement["Sid"], need.action) for (statement, need), decision in decided if decision.allowed}
        return [Right(github_environment, sid, action) for sid, action in sorted(found)]


GOES_ON = {"confirm", "notify", "status", "watch"}
"""Commands that tell what could not be seen or done, and do the rest."""


def _quick(production, another, junit) -> list[Asked]:
    """Commands of CI that are quick and leave everything as it is, one or more for each role."""
    digest, source = another
    validate = ("validate", "--stack", "preprod", "--digest", production.digest, "--junit")
    automatic = ("promote", "--stack", "prod", "--digest", digest, "--path", "automatic")
    return [
        Asked(("release", *words), source if digest in words else ROOT)
        for words in (
            ("reap", "--stack", "preprod"),
            (*validate, str(junit.with_name("again.xml")), "--no-record"),
            (*validate, str(junit)),
            ("status", "--stack", "preprod"),
            ("notify", "--stack", "preprod"),
            ("watch", "--stack", "preprod"),
            ("confirm", "--stack", "prod"),
            automatic,  # refused: not all commits are Dependabot's
            ("reap", "--stack", "prod"),
            ("status", "--stack", "prod"),
            ("check", "--stack", "prod", "--digest", digest),
            ("plan", "--stack", "prod", "--digest", digest),
            ("history", "--stack", "prod"),
            ("notify", "--stack", "prod"),
            ("watch", "--stack", "prod"),
        )
    ]


@pytest.fixture
def lacking(production, another, preprod, tmp_path):
    """Quick commands with the rights that each of them needs: all, or one for each role, drawn by the seed."""
    cloud, drawn = production.cloud, random.Random(SEED)
    words = ("release", "validate", "--stack", "preprod", "--digest", production.digest)
    cloud.run(*words, "--junit", str(tmp_path / "tests.xml"), "--no-record")
    of_role: dict[str, list[Asked]] = {one.github_environment: [] for one in IDENTITIES}
    for one in _quick(production, another, tmp_path / "tests.xml"):
        of_role[github_environment(one.command)].append(one)
    assert all(of_role.values()), "a role has no quick command"
    found = []
    for environment, commands in of_role.items():
        for one in commands if ALL else [drawn.choice(commands)]:
            one.run(cloud)
            rights = one.rights(cloud, environment, recorded(cloud)[-1])
            found += [(one, right) for right in (rights if ALL else [drawn.choice(rights)])]
    return found


def test_a_command_whose_role_lacks_one_right_fails_by_name_and_leaves_nothing_half_done(production, lacking):
    cloud, before, wrong = production.cloud, _told(production.cloud), []
    for one, right in lacking:
        count = len(cloud.denials())
        with right.taken_away(cloud):
            ran = one.run(cloud)
        problems = [
            *(["nothing is denied"] if right.action not in _denied(cloud, count) else []),
            *(["it is not named"] if right.action not in ran.stdout + ran.stderr else []),
            *(["it ends well"] if ran.exit_code == 0 and one.command[1] not in GOES_ON else []),
            *(["something has changed"] if _told(cloud) != before else []),
        ]
        wrong += [f"{right}: {' '.join(one.command)}: {it}\n{ran.stdout}\n{ran.stderr}" for it in problems]
    assert wrong == [], "\n".join(wrong)


def _denied(cloud, count) -> set[str]:
    return {one["action"] for one in cloud.denials()[count:]}
