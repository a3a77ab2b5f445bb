"""Every check of the doctor: a case where all is well, those where it is not, and one where nothing can be seen."""

import copy
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from components import way_back
from components.github_rules import CHECKS as REQUIRED
from components.github_rules import GITHUB_ACTIONS_APP, THIRD_PARTY_ACTIONS
from components.github_secrets import github_secrets
from components.identities import identities
from components.naming import names
from components.policies import execution, messaging, state_access
from components.policies.bucket import deployment_bucket
from components.service.alarms import Judges, alarms
from release.clients.github import WorkflowRun
from release.doctor import alarms as heard
from release.doctor import (
    buckets,
    functions,
    isolation,
    releases,
    roles,
    tools,
)
from release.doctor import secrets as values
from release.doctor import state as stored
from release.doctor.examine import make
from release.doctor.place import Caller
from release.doctor.table import CHECKS
from release.ledger.lifecycle import LedgerState, Run, State
from release.pulumi import stack_config
from release.reports import Readiness
from release.traffic.aliases import Alias
from tests.stacks import STACK_FILES
from tests.unit.release.doctor_world import a_run, denied, nobody, place, settings

PROD = settings("prod")
OWN = names("prod")
BY_NAME = {check.name: check for check in CHECKS}
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SHA = "a" * 40
RUN = Run(id="77.1", actor="somebody", host="runner")


def changed(document, change):
    """A deep copy, changed."""
    other = copy.deepcopy(document)
    change(other)
    return other


# What is deployed when all is well

BUCKET = buckets.Bucket(
    versioning="Enabled",
    encryption=("AES256",),
    public_blocks=dict.fromkeys(
        ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
    ),
    ownership=("BucketOwnerEnforced",),
    policy=deployment_bucket(PROD.arns, PROD.administrator_role_arn),
)
STATE_BUCKET = replace(BUCKET, policy=state_access.state_bucket(PROD.arns, PROD.administrator_role_arn))
ROLES = {
    name: roles.Role(trust=one.trust, inline={"rights": one.rights}, attached=())
    for name, one in roles.expected_roles(PROD).items()
}
WAY_BACK = {
    "status": "ACTIVE",
    "roleArn": PROD.arns.of("role", OWN.safety_role),
    "definition": json.dumps(way_back.definition()),
}
BOUNDARY_ARN = PROD.arns.of("policy", OWN.boundary)
KEYS = {
    OWN.state_key_alias: stored.StateKey("Enabled", True, state_access.service_key(PROD.arns)),
    OWN.foundation_key_alias: stored.StateKey("Enabled", True, state_access.foundation_key(PROD.arns)),
}
SERVICE = stack_config.load("prod", STACK_FILES, {})


def watched(alarm):
    """What CloudWatch describes of the metrics of an alarm."""
    if not alarm.expression:
        return {"MetricName": alarm.metric, "Period": alarm.period}
    stats = [{"Id": name, "MetricStat": {"Period": alarm.period}} for name in alarm.inputs]
    return {"Metrics": [{"Id": "watched", "Expression": alarm.expression}, *stats]}


ALARMS = heard.AlarmsSeen(
    there={
        alarm.name: {
            "AlarmName": alarm.name,
            "ActionsEnabled": True,
            "AlarmActions": [PROD.arns.of("topic", OWN.on_call_topic)],
            "StateValue": "OK",
            **watched(alarm),
            "Threshold": float(alarm.threshold),
            "ComparisonOperator": str(alarm.comparison),
            "EvaluationPeriods": alarm.evaluation_periods,
            "TreatMissingData": str(alarm.missing_data),
        }
        for alarm in alarms(SERVICE)
    },
    service=SERVICE,
    released=True,
)
SIMULATED = {
    identity.role(OWN): {
        question: "allowed" if allowed else "implicitDeny"
        for question, allowed in isolation.questions(PROD.arns, identity.role(OWN)).items()
    }
    for identity in identities("prod")
}
TRIED = {"read a function": ("allowed", "denied"), "read an item": ("denied", "denied")}
TRAIL = {
    "Name": "sentiment-pipeline",
    "S3BucketName": "logs",
    "IsLogging": True,
    "IsMultiRegionTrail": True,
    "LogFileValidationEnabled": True,
}


def environment(name, **changes):
    """An environment as GitHub answers."""
    reviewers = {
        "type": "required_reviewers",
        "prevent_self_review": False,
        "reviewers": [{"type": "User", "reviewer": {"login": "traylorre", "id": 1}}],
    }
    return {
        "name": name,
        "can_admins_bypass": False,
        "protection_rules": [{"type": "branch_policy"}, *([reviewers] if name == "production" else [])],
        "deployment_branch_policy": {"protected_branches": False, "custom_branch_policies": True},
        "patterns": [{"type": "branch", "name": "main"}],
        **changes,
    }


ENVIRONMENTS = {one.github_environment: environment(one.github_environment) for one in identities("prod")}
MAIN = {"type": "branch", "name": "main"}
OF_PROD = (*github_secrets("prod").of_program, *github_secrets("prod").of_bootstrap)
HELD = {
    one.github_environment: (
        dict.fromkeys(OF_PROD if one.secrets else ()),
        {
            "AWS_ROLE_ARN": PROD.arns.of("role", one.role(OWN)),
            "AWS_REGION": "us-east-1",
            "DEPLOYMENT_BUCKET": OWN.bucket,
        },
    )
    for one in identities("prod")
}
RULESET = {
    "id": 1,
    "name": "main",
    "target": "branch",
    "enforcement": "active",
    "bypass_actors": [],
    "conditions": {"ref_name": {"include": ["refs/heads/main"], "exclude": []}},
    "rules": [
        {"type": "pull_request", "parameters": {"required_approving_review_count": PROD.required_approvals}},
        {
            "type": "required_status_checks",
            "parameters": {
                "strict_required_status_checks_policy": True,
                "required_status_checks": [
                    {"context": check, "integration_id": GITHUB_ACTIONS_APP} for check in REQUIRED
                ],
            },
        },
        {"type": "non_fast_forward"},
        {"type": "deletion"},
    ],
}
ACTIONS = (
    {"enabled": True, "allowed_actions": "selected", "sha_pinning_required": True},
    {"patterns_allowed": [f"{action}@*" for action in THIRD_PARTY_ACTIONS], "verified_allowed": False},
    {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": False},
)
TOPIC = ("", messaging.on_call_topic(PROD.arns), [{"SubscriptionArn": "arn:x", "Endpoint": "a@example.com"}])
UNCONFIRMED = {"SubscriptionArn": "PendingConfirmation", "Endpoint": "b@example.com"}
KEY = values.Value(has_key=True, length=32)
WORKFLOWS = {"watch.yml": "active", "preview-comment.yml": "active"}
USD = {"Amount": str(PROD.monthly_budget_usd), "Unit": "USD"}


def subject(made_at="2026-01-01", name="traylorre/sentiment-pipeline", **template):
    """The repository and the template of its tokens' subject as GitHub answers."""
    repository = {"id": 2, "owner": {"id": 1}, "created_at": f"{made_at}T00:00:00Z", "full_name": name}
    return repository, {"use_default": True, **template}


ALIASES = functions.Aliases(
    there={"dashboard": Alias("7", {}, ""), "analysis": Alias("4", {}, "")},
    recorded={"dashboard": "7", "analysis": "4"},
    leased=False,
)
CANARY = {**ALIASES.there, "dashboard": Alias("7", {"8": 0.1}, "")}
SERVED = releases.Main(head=SHA, confirmed=SHA, behind=0, since=None, waits=False, now=NOW)
BEHIND = replace(SERVED, confirmed="b" * 40, behind=2, since=NOW - timedelta(days=2))


def waiting(days):
    at = (NOW - timedelta(days=days)).isoformat().replace("+00:00", "Z")
    return WorkflowRun.model_validate(a_run(id=9, head_sha=SHA, created_at=at))


def role(name=OWN.deploy_role, **changes):
    """All roles, one of them changed."""
    return {**ROLES, name: replace(ROLES[name], **changes)}


def alarm(**changes):
    """All alarms, one that judges releases changed."""
    name = next(alarm.name for alarm in alarms(SERVICE) if alarm.judges is Judges.RELEASE)
    return replace(ALARMS, there={**ALARMS.there, name: {**ALARMS.there[name], **changes}})


def widened(document):
    document["Statement"][0]["Condition"]["StringEquals"].popitem()


def opened(document):
    document["Statement"].pop()


def without_tls(document):
    document["Statement"] = [one for one in document["Statement"] if one["Sid"] != "TlsOnly"]


# Name of a check: what is seen when all is well, and each thing that is seen when it is not.
CASES = {
    "tools.python": (
        tools.Tool("3.11.7", "==3.11.*", "pyproject.toml"),
        [tools.Tool("3.12.0", "==3.11.*", "pyproject.toml")],
    ),
    "tools.engine": (
        tools.Tool("3.259.0", ">=3.259.0,==3.*", "go.mod"),
        [tools.Tool(version, ">=3.259.0,==3.*", "go.mod") for version in ("", "3.200.0", "4.0.0")],
    ),
    "tools.uv": (tools.Tool("0.13.9", ">=0.11", "pyproject.toml"), [tools.Tool("0.2", ">=0.11", "pyproject.toml")]),
    "tools.git": (
        tools.Tool("2.39.5", ">=2.24", "x"),
        [tools.Tool("", ">=2.24", "x"), tools.Tool("1.9", ">=2.24", "x")],
    ),
    "identity.account": (
        Caller(PROD.account_id, f"arn:aws:iam::{PROD.account_id}:user/somebody"),
        [Caller("999999999999", "arn:aws:iam::999999999999:user/somebody")],
    ),
    "identity.who": (
        Caller(
            PROD.account_id,
            f"arn:aws:sts::{PROD.account_id}:assumed-role/AWSReservedSSO_AdministratorAccess_1a2b/me@example.com",
        ),
        [Caller(PROD.account_id, f"arn:aws:iam::{PROD.account_id}:root")],
    ),
    "identity.settings": (
        ("us-east-1", replace(PROD, other_account_id="")),
        [
            ("eu-west-1", PROD),
            ("us-east-1", replace(PROD, region="eu-west-1")),
            ("us-east-1", replace(PROD, account_id="999999999999", other_account_id="")),
            ("us-east-1", replace(PROD, other_account_id="999999999999")),
        ],
    ),
    "state.bucket": (
        STATE_BUCKET,
        [
            None,
            replace(STATE_BUCKET, versioning="Suspended"),
            replace(STATE_BUCKET, encryption=()),
            replace(STATE_BUCKET, public_blocks={}),
            replace(STATE_BUCKET, policy=None),
            replace(STATE_BUCKET, policy=changed(STATE_BUCKET.policy, opened)),
            replace(STATE_BUCKET, policy=changed(STATE_BUCKET.policy, without_tls)),
        ],
    ),
    "state.stacks": ({"prod": True, "prod-foundation": True}, [{"prod": True, "prod-foundation": False}]),
    "state.locks": (
        ({}, NOW),
        [({"service/.pulumi/locks/x.json": NOW - timedelta(hours=2)}, NOW)],
    ),
    "state.keys": (
        KEYS,
        [
            {**KEYS, OWN.state_key_alias: None},
            {**KEYS, OWN.state_key_alias: replace(KEYS[OWN.state_key_alias], state="PendingDeletion")},
            {**KEYS, OWN.state_key_alias: replace(KEYS[OWN.state_key_alias], rotates=False)},
            {**KEYS, OWN.foundation_key_alias: KEYS[OWN.state_key_alias]},
        ],
    ),
    "state.provider": (
        {"prod": ("awskms://alias/x", "awskms://alias/x")},
        [{"prod": ("", "awskms://alias/x")}],
    ),
    "bucket.settings": (
        BUCKET,
        [
            None,
            replace(BUCKET, versioning="off"),
            replace(BUCKET, ownership=("ObjectWriter",)),
            replace(BUCKET, policy=None),
            replace(BUCKET, policy=changed(BUCKET.policy, opened)),
            replace(BUCKET, policy=changed(BUCKET.policy, without_tls)),
        ],
    ),
    "bucket.create-only": (("allowed", "denied"), [("allowed", "allowed")]),
    "roles.provider": (
        ("sts.amazonaws.com",),
        [None, (), ("https://github.com/traylorre",)],
    ),
    "roles.table": (
        ROLES,
        [
            {**ROLES, OWN.watch_role: None},
            role(trust=changed(ROLES[OWN.deploy_role].trust, widened)),
            role(inline={"rights": changed(ROLES[OWN.deploy_role].inline["rights"], opened)}),
            role(inline={}),
            role(OWN.safety_role, inline={"any": ROLES[OWN.deploy_role].inline["rights"]}),
            role(attached=("arn:aws:iam::aws:policy/AdministratorAccess",)),
            role(inline={"rights": ROLES[OWN.deploy_role].inline["rights"], "more": {}}),
        ],
    ),
    "roles.way-back": (
        WAY_BACK,
        [
            None,
            WAY_BACK | {"status": "DELETING"},
            WAY_BACK | {"roleArn": PROD.arns.of("role", OWN.schedule_role)},
            WAY_BACK | {"definition": WAY_BACK["definition"].replace("live", "candidate")},
        ],
    ),
    "roles.boundary": (
        (execution.boundary(PROD.arns), {"prod-sentiment-dashboard-exec": BOUNDARY_ARN}),
        [
            (None, {}),
            (changed(execution.boundary(PROD.arns), opened), {}),
            (execution.boundary(PROD.arns), {"prod-sentiment-dashboard-exec": ""}),
        ],
    ),
    "roles.strangers": (
        {PROD.arns.of("role", name): one.trust for name, one in ROLES.items()},
        [{PROD.arns.of("role", "somebody"): ROLES[OWN.deploy_role].trust}],
    ),
    "isolation.other-environment": (
        isolation.Isolation(simulated=SIMULATED),
        [
            isolation.Isolation(
                simulated={**SIMULATED, OWN.watch_role: dict.fromkeys(SIMULATED[OWN.watch_role], "allowed")}
            ),
            isolation.Isolation(role=OWN.watch_role, tried={**TRIED, "read x": ("allowed", "allowed")}),
            isolation.Isolation(role=OWN.watch_role, tried={**TRIED, "read x": ("denied", "allowed")}),
        ],
    ),
    "environments.rules": (
        ENVIRONMENTS,
        [
            {},
            {**ENVIRONMENTS, "production": environment("production", protection_rules=[])},
            {
                **ENVIRONMENTS,
                "production-auto": environment(
                    "production-auto", protection_rules=ENVIRONMENTS["production"]["protection_rules"]
                ),
            },
            changed(
                ENVIRONMENTS, lambda all_: all_["production"]["protection_rules"][1].update(prevent_self_review=True)
            ),
            changed(
                ENVIRONMENTS,
                lambda all_: all_["production"]["protection_rules"][1]["reviewers"].append(
                    {"type": "Team", "reviewer": {"slug": "everybody"}}
                ),
            ),
            {**ENVIRONMENTS, "production": environment("production", can_admins_bypass=True)},
            {**ENVIRONMENTS, "production": environment("production", can_admins_bypass=None)},
            *(
                {**ENVIRONMENTS, "production": environment("production", **change)}
                for change in (
                    {"deployment_branch_policy": None},
                    {"deployment_branch_policy": {"protected_branches": True, "custom_branch_policies": False}},
                    {"patterns": []},
                    {"patterns": [MAIN, {"type": "branch", "name": "release/*"}]},
                    {"patterns": [{"type": "tag", "name": "main"}]},
                )
            ),
        ],
    ),
    "environments.values": (
        HELD,
        [
            {**HELD, "production": ({}, HELD["production"][1])},
            {**HELD, "production": (HELD["production"][0], {})},
            {**HELD, "production": HELD["production-auto"]},
        ],
    ),
    "environments.strangers": (
        {**ENVIRONMENTS, "preprod": {}, "github-pages": {}},
        [{**ENVIRONMENTS, "prodution": {}}, {**ENVIRONMENTS, "Production": {}}],
    ),
    "environments.repository-level": (
        ["variable COLOUR"],
        [["secret PROD_DASHBOARD_API_KEY"], ["variable AWS_ROLE_ARN"], ["secret aws_access_key_id"]],
    ),
    "repository.ruleset": (
        [RULESET],
        [
            [],
            [{**RULESET, "bypass_actors": [{"actor_id": 5}]}],
            [{**RULESET, "rules": RULESET["rules"][:2]}],
            [{**RULESET, "conditions": {"ref_name": {"include": ["refs/heads/other"], "exclude": []}}}],
            [
                changed(
                    RULESET,
                    lambda one: one["rules"][1]["parameters"]["required_status_checks"][0].update(integration_id=1),
                )
            ],
        ],
    ),
    "repository.actions": (
        ACTIONS,
        [
            ({**ACTIONS[0], "allowed_actions": "all"}, None, ACTIONS[2]),
            ({**ACTIONS[0], "sha_pinning_required": False}, ACTIONS[1], ACTIONS[2]),
            (ACTIONS[0], {**ACTIONS[1], "verified_allowed": True}, ACTIONS[2]),
            (ACTIONS[0], {"patterns_allowed": ["somebody/*"], "verified_allowed": False}, ACTIONS[2]),
            (*ACTIONS[:2], {**ACTIONS[2], "default_workflow_permissions": "write"}),
            (*ACTIONS[:2], {**ACTIONS[2], "can_approve_pull_request_reviews": True}),
        ],
    ),
    "repository.subject": (
        subject(),
        [
            subject(use_default=False),
            subject("2026-08-01"),
            subject(use_immutable_subject=True),
            subject(name="Traylorre/sentiment-pipeline"),
            subject(name="traylorre/Sentiment-Pipeline"),
            subject(name="traylorre/renamed"),
        ],
    ),
    "repository.workflows": (
        WORKFLOWS,
        [
            {**WORKFLOWS, file: state}
            for file in WORKFLOWS
            for state in (None, "disabled_inactivity", "disabled_manually", "disabled_fork", "deleted")
        ],
    ),
    "repository.codeowners": ("# who\n* @traylorre\n", [None, "", "/docs @traylorre\n", "*\n"]),
    "secrets.values": (
        {OWN.newsapi_secret: replace(KEY, length=8), OWN.dashboard_key_secret: KEY},
        [
            *(
                {OWN.newsapi_secret: KEY, OWN.dashboard_key_secret: KEY, name: value}
                for name in (OWN.newsapi_secret, OWN.dashboard_key_secret)
                for value in (None, values.Value(has_key=False), replace(KEY, placeholder=True))
            ),
            {OWN.newsapi_secret: KEY, OWN.dashboard_key_secret: replace(KEY, length=8)},
        ],
    ),
    "alarms.table": (
        ALARMS,
        [
            replace(ALARMS, there={}),
            alarm(ActionsEnabled=False),
            alarm(AlarmActions=[]),
            alarm(Threshold=1000.0),
        ],
    ),
    "alarms.quiet": (ALARMS, [alarm(StateValue="ALARM")]),
    "alarms.topic": (
        TOPIC,
        [
            None,
            ("alias/aws/sns", *TOPIC[1:]),
            ("", changed(TOPIC[1], opened), TOPIC[2]),
            (*TOPIC[:2], []),
            (*TOPIC[:2], [UNCONFIRMED]),
        ],
    ),
    "alarms.page": (heard.TestPage(message="1"), [heard.TestPage(refused="KMSDisabled")]),
    "trail.logging": (
        [TRAIL],
        [
            [],
            [{**TRAIL, "IsLogging": False}],
            [{**TRAIL, "IsMultiRegionTrail": False}],
            [{**TRAIL, "LogFileValidationEnabled": False}],
            [{**TRAIL, "LatestDeliveryError": "AccessDenied"}],
        ],
    ),
    "trail.bucket": (
        {"logs": BUCKET},
        [{"logs": None}, {"logs": replace(BUCKET, public_blocks={})}, {"logs": replace(BUCKET, versioning="off")}],
    ),
    "budget.limit": (
        (USD, ["EMAIL somebody@example.com"] * 3),
        [
            None,
            ({**USD, "Amount": "1e6"}, ["EMAIL somebody@example.com"]),
            (USD, []),
            (USD, ["EMAIL somebody@example.com", ""]),
        ],
    ),
    "functions.concurrency": (1000, [10, 99]),
    "functions.aliases": (
        ALIASES,
        [
            replace(ALIASES, there=CANARY),
            replace(ALIASES, there={**ALIASES.there, "dashboard": Alias("8", {}, "")}),
            replace(ALIASES, there={**ALIASES.there, "dashboard": None}),
            replace(ALIASES, there=CANARY, recorded={}),
        ],
    ),
    "functions.runtime": (
        ({"the program": "python3.11"}, NOW.date()),
        [
            ({"the program": "python3.11"}, date(2027, 7, 1)),
            ({"the program": "python3.12", "dashboard": "python3.11"}, date(2027, 7, 1)),
        ],
    ),
    "releases.ledger": ([], [["entry 3 does not follow the entry before it"]]),
    "releases.state": (
        LedgerState(stack="prod", state=State.CONFIRMED),
        [
            LedgerState(stack="prod", state=State.ROLLBACK_FAILED),
            LedgerState(stack="prod", state=State.ROLLED_BACK_TRAFFIC),
        ],
    ),
    "releases.lease": (
        releases.LeaseSeen(),
        [releases.LeaseSeen(run=RUN), releases.LeaseSeen(run=RUN, left=State.DARK)],
    ),
    "releases.schedules": (
        ({}, False),
        [({"dashboard": NOW}, False)],
    ),
    "releases.waiting": (
        ([waiting(0.1)], NOW),
        [([waiting(4)], NOW)],
    ),
    "releases.main": (SERVED, [BEHIND]),
}


def judged(name, answer):
    return BY_NAME[name].judge(PROD, answer)


def test_every_check_has_its_cases():
    assert set(CASES) == set(BY_NAME)
    assert all(len(failing) > 0 for _, failing in CASES.values())
    assert len(BY_NAME) == len(CHECKS)


@pytest.mark.parametrize("name", CASES)
def test_what_is_as_it_should_be_is_ok_and_says_what_was_seen(name):
    judgement = judged(name, CASES[name][0])
    assert judgement.verdict is Readiness.OK, judgement.evidence
    assert judgement.evidence


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        pytest.param(name, answer, id=f"{name}-{place}")
        for name, (_, failing) in CASES.items()
        for place, answer in enumerate(failing)
    ],
)
def test_what_is_not_as_it_should_be_has_failed_and_says_why(name, answer):
    judgement = judged(name, answer)
    assert judgement.verdict is Readiness.FAILED, judgement.evidence
    assert judgement.evidence


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("why", [denied, nobody], ids=["not-allowed", "no-network"])
def test_what_cannot_be_looked_at_is_unknown(name, why, tmp_path, monkeypatch):
    finding = make(BY_NAME[name], place(name, why, tmp_path, monkeypatch))
    assert finding.verdict is Readiness.UNKNOWN, finding
    assert "broke" not in finding.evidence
    assert finding.fix


@pytest.mark.parametrize("name", CASES)
def test_the_fix_names_no_stack_that_is_not_asked_about(name):
    fix = BY_NAME[name].finding(PROD, Readiness.FAILED, "").fix
    assert "{" not in fix.replace('{"api_key"', "")
    assert "preprod" not in fix


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("identity.who", Caller(PROD.account_id, f"arn:aws:sts::{PROD.account_id}:assumed-role/{OWN.watch_role}/7")),
        ("identity.who", Caller(PROD.account_id, f"arn:aws:iam::{PROD.account_id}:user/somebody")),
        ("state.locks", ({"x": NOW - timedelta(minutes=5)}, NOW)),
        (
            "environments.values",
            {**HELD, "prod-watch": ({"PROD_AWS_ACCESS_KEY_ID": None}, HELD["prod-watch"][1])},
        ),
        ("alarms.table", replace(ALARMS, released=False, there={n: a for n, a in ALARMS.there.items() if "dead" in n})),
        ("alarms.page", heard.TestPage()),
        ("alarms.topic", (*TOPIC[:2], [*TOPIC[2], UNCONFIRMED])),
        ("functions.aliases", replace(ALIASES, recorded={})),
        ("functions.runtime", ({"dashboard": "python3.11"}, date(2027, 4, 2))),
        ("releases.state", LedgerState(stack="prod", state=State.ROLLED_BACK)),
        ("releases.state", LedgerState(stack="prod", state=State.CONFIRMED, frozen="holidays")),
        ("releases.state", LedgerState(stack="prod")),
        ("releases.waiting", ([waiting(2)], NOW)),
        ("releases.main", replace(BEHIND, waits=True)),
        ("releases.main", replace(BEHIND, since=NOW - timedelta(hours=1))),
        ("releases.main", replace(SERVED, confirmed="")),
    ],
)
def test_what_works_and_somebody_should_know_is_a_warning(name, answer):
    judgement = judged(name, answer)
    assert judgement.verdict is Readiness.WARNING, judgement.evidence


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("repository.ruleset", [{key: value for key, value in RULESET.items() if key != "bypass_actors"}]),
        ("functions.runtime", ({"dashboard": "python9.9"}, NOW.date())),
        ("bucket.create-only", ("allowed", "PutObject was answered with SlowDown")),
        ("releases.lease", releases.LeaseSeen(run=RUN, alive="it may live", certain=False)),
        (
            "isolation.other-environment",
            isolation.Isolation(role=OWN.watch_role, tried={"read x": ("denied", "denied")}),
        ),
        (
            "isolation.other-environment",
            isolation.Isolation(role=OWN.watch_role, tried={**TRIED, "read x": ("allowed", "Throttling")}),
        ),
        (
            "isolation.other-environment",
            isolation.Isolation(
                simulated={
                    OWN.watch_role: dict.fromkeys(isolation.questions(PROD.arns, OWN.watch_role), "implicitDeny")
                }
            ),
        ),
    ],
)
def test_what_was_seen_in_part_or_proves_nothing_is_unknown(name, answer):
    judgement = judged(name, answer)
    assert judgement.verdict is Readiness.UNKNOWN, judgement.evidence


def test_what_has_failed_is_not_hidden_by_what_could_not_be_seen():
    hidden = {key: value for key, value in RULESET.items() if key != "bypass_actors"}
    judgement = judged("repository.ruleset", [{**hidden, "rules": RULESET["rules"][:2]}])
    assert judgement.verdict is Readiness.FAILED
    assert "does not show this token" in judgement.evidence


def test_a_role_of_ci_that_tried_is_enough_proof():
    judgement = judged("isolation.other-environment", isolation.Isolation(role=OWN.watch_role, tried=TRIED))
    assert judgement.verdict is Readiness.OK
    assert "read a function" in judgement.evidence
    assert "read an item" not in judgement.evidence  # its control was denied too, so it proves nothing


@pytest.mark.parametrize(
    ("subject", "stranger"),
    [
        ("repo:traylorre/sentiment-pipeline:environment:production", True),
        ("repo:traylorre@1/sentiment-pipeline@2:environment:production", True),
        ("repo:traylorre/*", True),
        ("repo:*:ref:refs/heads/main", True),
        ("repo:somebody/else:environment:production", False),
        ("repo:traylorre/other:environment:production", False),
    ],
)
def test_a_role_of_another_project_is_no_stranger_unless_it_lets_our_jobs_in(subject, stranger):
    trust = changed(ROLES[OWN.deploy_role].trust, lambda one: None)
    conditions = trust["Statement"][0]["Condition"]
    trust["Statement"][0]["Condition"] = {"StringLike": {"token.actions.githubusercontent.com:sub": [subject]}}
    assert conditions
    judgement = judged("roles.strangers", {PROD.arns.of("role", "theirs"): trust})
    assert (judgement.verdict is Readiness.FAILED) is stranger


def test_a_role_that_asks_for_no_subject_lets_everybody_in():
    trust = changed(ROLES[OWN.deploy_role].trust, lambda one: one["Statement"][0].pop("Condition"))
    assert judged("roles.strangers", {PROD.arns.of("role", "theirs"): trust}).verdict is Readiness.FAILED


def test_a_run_that_is_at_work_may_send_a_part_of_the_traffic_elsewhere():
    assert judged("functions.aliases", replace(ALIASES, there=CANARY, leased=True)).verdict is Readiness.OK


def test_the_last_day_without_a_warning_about_the_runtime_is_ninety_days_before_its_end():
    assert judged("functions.runtime", ({"x": "python3.11"}, date(2027, 4, 1))).verdict is Readiness.OK


def test_github_says_whether_ids_are_in_the_subject_and_not_the_age_of_the_repository():
    check, young = BY_NAME["repository.subject"], subject("2026-08-01", use_immutable_subject=False)
    assert check.judge(PROD, young).verdict is Readiness.OK
    trusting_ids = replace(PROD, github_owner_id="1", github_repository_id="2")
    assert check.judge(trusting_ids, subject(use_immutable_subject=True)).verdict is Readiness.OK
    assert check.judge(trusting_ids, young).verdict is Readiness.FAILED


def test_one_reviewer_in_two_spellings_who_may_not_approve_own_deployments_locks_everybody_out():
    one_person = replace(PROD, reviewers=("traylorre", "Traylorre"), prevent_self_review=True)
    there = changed(
        ENVIRONMENTS, lambda all_: all_["production"]["protection_rules"][1].update(prevent_self_review=True)
    )
    judgement = BY_NAME["environments.rules"].judge(one_person, there)
    assert judgement.verdict is Readiness.FAILED
    assert "traylorre alone reviews production" in judgement.evidence
    two = changed(
        there,
        lambda all_: all_["production"]["protection_rules"][1]["reviewers"].append(
            {"type": "User", "reviewer": {"login": "Mona"}}
        ),
    )
    people = replace(one_person, reviewers=("traylorre", "mona"))
    assert BY_NAME["environments.rules"].judge(people, two).verdict is Readiness.OK


def test_an_adopted_trail_of_any_name_is_good_enough():
    other = {**TRAIL, "Name": "of-the-company"}
    adopting = replace(PROD, adopt_trail=True)
    assert BY_NAME["trail.logging"].judge(adopting, [{**other, "IsLogging": False}, other]).verdict is Readiness.OK


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", values.Value(has_key=False)),
        ("plain", values.Value(has_key=False)),
        ('{"api_key": ""}', values.Value(has_key=False)),
        ('{"api_key": 7}', values.Value(has_key=False)),
        ('["api_key"]', values.Value(has_key=False)),
        ('{"api_key": "changeme-changeme"}', values.Value(has_key=True, length=17, placeholder=True)),
        ('{"api_key": "YOUR_API_KEY"}', values.Value(has_key=True, length=12, placeholder=True)),
    ],
)
def test_of_a_secret_only_facts_are_told(text, said):
    assert values.facts(text) == said


def test_errors_are_told_in_one_line_without_a_stack_trace(tmp_path, monkeypatch):
    check = replace(BY_NAME["roles.table"], look=lambda _: {}["missing"])
    finding = make(check, place("roles.table", denied, tmp_path, monkeypatch))
    assert finding.verdict is Readiness.UNKNOWN
    assert "Traceback" not in finding.evidence
    assert "\n" not in finding.evidence
    assert "this check itself broke: KeyError" in finding.evidence
