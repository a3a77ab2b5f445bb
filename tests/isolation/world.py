"""Everything that the programs of both environments make, as IAM sees it: principals, things, and who says what.

Taken from what the real programs register, so that nothing is tested that is not deployed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from components.arns import Arns
from components.identities import IDENTITIES
from components.naming import ENVIRONMENTS, names
from components.policies import state_access as bootstrap
from components.policies.documents import Document
from localcloud.iam.evaluator import PolicyRequest
from tests.unit.program.harness import Deployment, hand_over, run

REGION = "us-east-1"
ONE_ACCOUNT = {"preprod": "123456789012", "prod": "123456789012"}
TWO_ACCOUNTS = {"preprod": "111111111111", "prod": "222222222222"}
LAYOUTS = (ONE_ACCOUNT, TWO_ACCOUNTS)
EVERYTHING: Document = {
    "Version": "2012-10-17",
    "Statement": [{"Sid": "Everything", "Effect": "Allow", "Action": ["*"], "Resource": ["*"]}],
}
"""What an administrator may do: the positive control of every denial."""

KINDS = {
    "aws:lambda/function:Function": "function",
    "aws:dynamodb/table:Table": "table",
    "aws:sns/topic:Topic": "topic",
    "aws:sqs/queue:Queue": "queue",
    "aws:cloudwatch/logGroup:LogGroup": "log group",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "alarm",
    "aws:cloudwatch/dashboard:Dashboard": "dashboard",
    "aws:scheduler/schedule:Schedule": "schedule",
    "aws:iam/role:Role": "role",
    "aws:iam/policy:Policy": "policy",
    "aws:secretsmanager/secret:Secret": "secret",
    "aws:s3/bucket:Bucket": "bucket",
    "aws:sfn/stateMachine:StateMachine": "state machine",
}
OBJECTS = (
    "packages/d1/dashboard-abc.zip",
    "ledger/entries/00000001.json",
    "ledger/head.json",
    "ledger/lease.json",
    "promotions/d1/manifest.json",
    "promotions/d1/validation.json",
)
STATE_OBJECTS = ("service/.pulumi/stacks/p/s.json", "foundation/.pulumi/stacks/p/s.json")


@dataclass(frozen=True)
class Principal:
    """A role that the programs make."""

    name: str
    arn: str
    environment: str
    account: str
    policies: Sequence[Document] = field(hash=False)
    boundary: Document | None = field(hash=False)
    trust: Document = field(hash=False)

    def asks(self, action: str, thing: "Thing", context: Mapping[str, Any] | None = None) -> PolicyRequest:
        """One call of this principal."""
        return PolicyRequest(
            principal=self.arn,
            action=action,
            resource=thing.arn,
            account=thing.account,
            identity=self.policies,
            boundary=self.boundary,
            resource_policy=thing.policy,
            context=thing.context | (context or {}),
        )


@dataclass(frozen=True)
class Thing:
    """A resource of one environment."""

    kind: str
    arn: str
    environment: str
    account: str
    policy: Document | None = field(default=None, hash=False)
    """Its own policy, where it has one."""
    context: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What AWS knows of the thing itself, and what a well-made call says of it."""

    def unguarded(self) -> "Thing":
        """The same without a policy of its own; a key always has one, and this one leaves all to identity policies."""
        if self.kind != "key":
            return replace(self, policy=None)
        (leaves_it_to_iam, *_) = self.policy["Statement"] if self.policy else ()
        return replace(self, policy={"Version": "2012-10-17", "Statement": [leaves_it_to_iam]})


@dataclass(frozen=True)
class World:
    """Both environments, in one account or in two."""

    accounts: Mapping[str, str]
    principals: Sequence[Principal]
    things: Sequence[Thing]
    deployments: Mapping[str, Deployment]

    def arns(self, environment: str) -> Arns:
        return arns(environment, self.accounts)

    def of(self, environment: str) -> list[Thing]:
        """The things of one environment."""
        return [thing for thing in self.things if thing.environment == environment]

    def ci(self) -> list[Principal]:
        """The roles of the table of identities."""
        return [
            self.principal(identity.environment, identity.role(names(identity.environment))) for identity in IDENTITIES
        ]

    def principal(self, environment: str, name: str) -> Principal:
        (found,) = [one for one in self.principals if (one.environment, one.name) == (environment, name)]
        return found

    def thing(self, arn: str) -> Thing:
        (found,) = [one for one in self.things if one.arn == arn]
        return found

    def examples(self) -> list[Thing]:
        """One thing of each kind and environment, and what preprod offers."""
        offered = [thing for thing in self.things if "/promotions/" in thing.arn]
        return [*{(thing.kind, thing.environment): thing for thing in self.things}.values(), *offered]

    def administrator(self, environment: str) -> Principal:
        """Who may do everything in the account of an environment."""
        account = self.accounts[environment]
        arn = f"arn:aws:iam::{account}:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_AdministratorAccess_0a1b"
        return Principal("administrator", arn, environment, account, [EVERYTHING], None, {})


def arns(environment: str, accounts: Mapping[str, str]) -> Arns:
    """ARNs of one environment in a layout of accounts."""
    other = accounts[names(environment).other_environment]
    return Arns(
        account_id=accounts[environment],
        region=REGION,
        names=names(environment),
        other_account_id=other if other != accounts[environment] else "",
    )


@cache
def world(layout: int) -> World:
    """The world of `LAYOUTS[layout]`."""
    accounts = LAYOUTS[layout]
    deployments = {
        stack: _program(stack, environment, accounts)
        for environment in ENVIRONMENTS
        for stack in (environment, f"{environment}-foundation")
    }
    things, principals = [], []
    for environment in ENVIRONMENTS:
        both = [deployments[environment], deployments[f"{environment}-foundation"]]
        things += _things(arns(environment, accounts), both)
        principals += _principals(arns(environment, accounts), both)
    return World(accounts, principals, things, deployments)


def _program(stack: str, environment: str, accounts: Mapping[str, str]) -> Deployment:
    settings: dict[str, Any] = {
        "accountId": accounts[environment],
        "aws:allowedAccountIds": [accounts[environment]],
        "otherAccountId": arns(environment, accounts).other_account_id,
    }
    if stack == environment:
        settings["release"] = hand_over(environment, 100, confirmed=True)
    return run(stack, **settings)


def _named(deployments: Sequence[Deployment], kind: str) -> list[Mapping[str, Any]]:
    return [
        resource.inputs
        for deployment in deployments
        for resource in deployment.custom
        if KINDS.get(resource.typ) == kind
    ]


def _policies(deployments: Sequence[Deployment], typ: str) -> dict[str, Document]:
    """Policy documents by the logical name of the resource that attaches them."""
    return {
        name: json.loads(resource.inputs["policy"])
        for deployment in deployments
        for name, resource in deployment.of(typ).items()
    }


def _principals(own: Arns, deployments: Sequence[Deployment]) -> list[Principal]:
    inline: dict[str, list[Document]] = {}
    for deployment in deployments:
        for resource in deployment.of("iam/rolePolicy:RolePolicy").values():
            inline.setdefault(resource.inputs["role"], []).append(json.loads(resource.inputs["policy"]))
    boundaries = {
        own.of("policy", policy["name"]): json.loads(policy["policy"]) for policy in _named(deployments, "policy")
    }
    return [
        Principal(
            name=role["name"],
            arn=own.of("role", role["name"]),
            environment=own.names.environment,
            account=own.account_id,
            policies=inline[role["name"]],
            boundary=boundaries[role["permissionsBoundary"]] if "permissionsBoundary" in role else None,
            trust=json.loads(role["assumeRolePolicy"]),
        )
        for role in _named(deployments, "role")
    ]


def _things(own: Arns, deployments: Sequence[Deployment]) -> list[Thing]:
    environment, account = own.names.environment, own.account_id

    def thing(kind: str, arn: str, policy: Document | None = None, **context: Any) -> Thing:
        return Thing(
            kind, arn, environment, account, policy, {key.replace("__", ":"): value for key, value in context.items()}
        )

    topics = {
        resource.inputs["name"]: json.loads(deployments[0].of("sns/topicPolicy:TopicPolicy")[name].inputs["policy"])
        for name, resource in deployments[0].of("sns/topic:Topic").items()
    }
    (queue,) = _policies(deployments, "sqs/queuePolicy:QueuePolicy").values()
    bucket = _policies(deployments, "s3/bucketPolicy:BucketPolicy")["deployments"]
    plain = ("table", "log group", "alarm", "dashboard", "schedule", "policy", "state machine")
    found = [
        thing(kind, own.of(kind, inputs.get("name") or inputs["dashboardName"]))
        for kind in plain
        for inputs in _named(deployments, kind)
    ]
    found += [thing("function", own.of("function", inputs["name"])) for inputs in _named(deployments, "function")]
    for key, qualifier in (
        ("dashboard", "live"),
        ("dashboard", "candidate"),
        ("dashboard", "7"),
        ("ingestion", "live"),
    ):
        found.append(thing("function", f"{own.of('function', own.names.function(key).function)}:{qualifier}"))
    for inputs in _named(deployments, "table"):
        found.append(thing("index", f"{own.of('table', inputs['name'])}/index/by_status"))
    for inputs in _named(deployments, "log group"):
        found.append(thing("log stream", f"{own.of('log group', inputs['name'])}:log-stream:2026/11/23/[7]abc"))
    for name, policy in topics.items():
        found.append(thing("topic", own.of("topic", name), policy))
    found += [thing("queue", own.of("queue", inputs["name"]), queue) for inputs in _named(deployments, "queue")]
    # Names that only the other environment has are asked for too: somebody could take them.
    for name in dict.fromkeys([inputs["name"] for inputs in _named(deployments, "role")] + list(own.names.ci_roles)):
        found.append(thing("role", own.of("role", name), iam__PermissionsBoundary=own.of("policy", own.names.boundary)))
    for inputs in _named(deployments, "secret"):
        found.append(thing("secret", own.of("secret", f"{inputs['name']}-AbCdEf")))
    found += _storage(own, thing, bucket)
    for key in [function["name"].removeprefix(own.names.prefix) for function in _named(deployments, "function")]:
        found.append(thing("schedule", own.of("schedule", own.names.function(key).safety_schedule)))
    found.append(thing("schedule", own.of("schedule", own.names.bake_schedule)))
    found.append(thing("rule", own.of("rule", own.names.bake_rule)))
    return found


def _storage(own: Arns, thing: Any, bucket_policy: Document) -> list[Thing]:
    """Buckets with the objects in them, and the keys of the state: the bootstrap makes those, with policies."""
    bucket, state = own.names.bucket, own.names.state_bucket
    administrator = f"arn:aws:iam::{own.account_id}:role/aws-reserved/sso.amazonaws.com/*"
    state_policy = bootstrap.state_bucket(own, administrator)
    keys = {
        own.names.state_key_alias: bootstrap.service_key(own),
        own.names.foundation_key_alias: bootstrap.foundation_key(own),
    }
    return [
        thing("bucket", own.of("bucket", bucket), bucket_policy, s3__prefix="promotions/"),
        *(thing("object", own.objects(bucket, key), bucket_policy, **{"s3__if-none-match": "*"}) for key in OBJECTS),
        thing("bucket", own.of("bucket", state), state_policy, s3__prefix="service/.pulumi/"),
        *(thing("object", own.objects(state, key), state_policy) for key in STATE_OBJECTS),
        *(
            thing("key", own.of("key", alias.rpartition("-")[2]), policy, kms__ResourceAliases=[alias])
            for alias, policy in keys.items()
        ),
    ]
