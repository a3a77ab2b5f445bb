"""The rules. Each takes all resources of one stack and yields its findings; what cannot be seen is a finding too."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from guardrails.resource import UNKNOWN, Resource, listed

Resources = Sequence[Resource]
Statement = Mapping[str, Any]

_BUCKET: Final = "aws:s3/bucket:Bucket"
_COMPANIONS: Final = (
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
    "aws:s3/bucketVersioning:BucketVersioning",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketPolicy:BucketPolicy",
)
_PUBLIC_ACCESS: Final = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_IDENTITY_POLICIES: Final = ("aws:iam/rolePolicy:RolePolicy", "aws:iam/policy:Policy", "aws:iam/userPolicy:UserPolicy")
_RESOURCE_POLICIES: Final = (
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:sns/topicPolicy:TopicPolicy",
    "aws:sqs/queuePolicy:QueuePolicy",
    "aws:kms/key:Key",
    "aws:secretsmanager/secretPolicy:SecretPolicy",
)
_FORBIDDEN: Final = (
    # Their values would stand in the state, readable by everybody who may preview the stack.
    "aws:secretsmanager/secretVersion:SecretVersion",
    "aws:iam/accessKey:AccessKey",
    # Rights come from the documents of this program, not from what AWS may change.
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    # Secrets and variables belong to environments.
    "github:index/actionsSecret:ActionsSecret",
    "github:index/actionsVariable:ActionsVariable",
)
_DATA: Final = ("aws:dynamodb/table:Table", _BUCKET, "aws:secretsmanager/secret:Secret", "aws:kms/key:Key")
# Actions for which AWS knows no resource, or only one that has no name yet.
_WITHOUT_RESOURCE: Final = frozenset(
    {
        "cloudwatch:DescribeAlarms",
        "cloudwatch:GetMetricData",
        "lambda:GetAccountSettings",
        "logs:DescribeLogGroups",
        "sns:GetSubscriptionAttributes",
        "sns:SetSubscriptionAttributes",
        "sns:Unsubscribe",
    }
)
_SECRET_NAME: Final = re.compile(r"(?i)(?:key|token|password|secret|credential)$")
_CLAIM: Final = "token.actions.githubusercontent.com"


@dataclass(frozen=True, slots=True)
class Violation:
    """What breaks a rule."""

    rule: str
    resource: Resource
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.resource} {self.what}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A security property; `check` yields the resources that lack it, and what is wrong with them."""

    name: str
    description: str
    check: Callable[[Resources], Iterator[tuple[Resource, str]]]


def _of(resources: Resources, *types: str) -> Iterator[Resource]:
    return (resource for resource in resources if resource.type in types)


def _is_prod(resources: Resources) -> bool:
    """Whether data are at stake: the tag that every taggable resource has to carry says so."""
    return any((resource.props.get("tags") or {}).get("Environment") == "prod" for resource in resources)


def _buckets(resources: Resources) -> Iterator[tuple[Resource, str]]:
    for bucket in _of(resources, _BUCKET):
        name = bucket.props.get("bucket")
        for kind in _COMPANIONS:
            found = [one for one in _of(resources, kind) if one.props.get("bucket") in (name, UNKNOWN)]
            if not [one for one in found if one.parent == bucket.parent]:
                yield bucket, f"has no {kind.rpartition(':')[2]}"
    for block in _of(resources, _COMPANIONS[0]):
        if not all(block.props.get(key) is True for key in _PUBLIC_ACCESS):
            yield block, f"must set all of {', '.join(_PUBLIC_ACCESS)}"
    for ownership in _of(resources, _COMPANIONS[1]):
        if (ownership.props.get("rule") or {}).get("objectOwnership") != "BucketOwnerEnforced":
            yield ownership, "must leave objects to the bucket's owner (BucketOwnerEnforced): no access lists"
    for versioning in _of(resources, _COMPANIONS[2]):
        if (versioning.props.get("versioningConfiguration") or {}).get("status") != "Enabled":
            yield versioning, "must keep old versions"


def _tls(resources: Resources) -> Iterator[tuple[Resource, str]]:
    for policy in _of(resources, "aws:s3/bucketPolicy:BucketPolicy", "aws:sns/topicPolicy:TopicPolicy"):
        statements = policy.policy("policy")
        if statements is None:
            yield policy, "has a document that is not known before the update"
        elif not any(_denies_plain_http(statement) for statement in statements):
            yield policy, "does not deny requests without TLS (aws:SecureTransport)"


def _denies_plain_http(statement: Statement) -> bool:
    wanted = {"Bool": {"aws:SecureTransport": "false"}}
    return (statement["Effect"], statement.get("Principal"), statement.get("Condition")) == ("Deny", "*", wanted)


def _open_policies(resources: Resources) -> Iterator[tuple[Resource, str]]:
    for resource in _of(resources, *_RESOURCE_POLICIES):
        statements = resource.policy("policy")
        if statements is None:
            yield resource, "has a document that is not known before the update"
            continue
        for statement in statements:
            principal = statement.get("Principal")
            everyone = principal == "*" or "*" in listed(principal.get("AWS") if isinstance(principal, dict) else None)
            if statement["Effect"] == "Allow" and everyone:
                yield resource, f"lets everyone {', '.join(listed(statement.get('Action')))}"
            if statement["Effect"] == "Allow" and isinstance(principal, dict) and "Service" in principal:
                keys = {key for values in statement.get("Condition", {}).values() for key in values}
                if not keys & {"aws:SourceAccount", "aws:SourceArn"}:
                    yield (
                        resource,
                        f"lets {principal['Service']} act for any account (no aws:SourceAccount or aws:SourceArn)",
                    )


def _wide_rights(resources: Resources) -> Iterator[tuple[Resource, str]]:
    for resource in _of(resources, *_IDENTITY_POLICIES):
        statements = resource.policy("policy")
        if statements is None:
            yield resource, "has a document that is not known before the update"
            continue
        for statement in statements:
            if statement["Effect"] == "Allow":
                yield from ((resource, f"statement {statement.get('Sid')}: {what}") for what in _wide(statement))


def _wide(statement: Statement) -> Iterator[str]:
    if "NotAction" in statement or "NotResource" in statement:
        yield "allows everything but something"
        return
    actions, resources = listed(statement["Action"]), listed(statement["Resource"])
    for action in actions:
        if action == "*" or action.endswith(":*"):
            yield f"allows {action}"
    if "*" in resources and not set(actions) <= _WITHOUT_RESOURCE:
        yield f"allows {', '.join(sorted(set(actions) - _WITHOUT_RESOURCE))} on every resource"
    if any(action.lower() == "iam:passrole" for action in actions):
        condition = statement.get("Condition", {}).get("StringEquals", {})
        if "iam:PassedToService" not in condition:
            yield "passes a role on to any service (no iam:PassedToService)"
    making = {
        "iam:CreateRole",
        "iam:PutRolePolicy",
        "iam:PutRolePermissionsBoundary",
        "iam:UpdateAssumeRolePolicy",
    } & set(actions)
    if making and "iam:PermissionsBoundary" not in statement.get("Condition", {}).get("StringEquals", {}):
        yield f"allows {', '.join(sorted(making))} without a permissions boundary"


def _trust(resources: Resources) -> Iterator[tuple[Resource, str]]:
    for role in _of(resources, "aws:iam/role:Role"):
        statements = role.policy("assumeRolePolicy")
        if statements is None:
            yield role, "has a trust document that is not known before the update"
            continue
        for statement in statements:
            yield from ((role, what) for what in _trusts(statement))


def _trusts(statement: Statement) -> Iterator[str]:
    principal = statement.get("Principal")
    if not isinstance(principal, dict) or "*" in [one for value in principal.values() for one in listed(value)]:
        yield "can be assumed by anybody"
    elif "Federated" in principal:
        claims = statement.get("Condition", {})
        if set(claims) != {"StringEquals"}:
            yield f"compares claims by {', '.join(claims) or 'nothing'}, not by StringEquals alone"
        for claim in ("aud", "sub", "ref"):
            values = listed(claims.get("StringEquals", {}).get(f"{_CLAIM}:{claim}"))
            if not values or any("*" in value or "?" in value for value in values):
                yield f"does not name the exact claim {claim}"


def _bounded(resources: Resources) -> Iterator[tuple[Resource, str]]:
    if not any(resource.type == "aws:lambda/function:Function" for resource in resources):
        return
    for role in _of(resources, "aws:iam/role:Role"):
        if not role.props.get("permissionsBoundary"):
            yield role, "has no permissions boundary, though CI makes it"


def _functions(resources: Resources) -> Iterator[tuple[Resource, str]]:
    for function in _of(resources, "aws:lambda/function:Function"):
        props = function.props
        if props.get("publish") is not True:
            yield function, "publishes no version, so that nothing can be gone back to"
        if not all(props.get(key) for key in ("s3Bucket", "s3Key", "s3ObjectVersion", "sourceCodeHash")):
            yield function, "is not pinned to one version of one object with its hash"
        for name, value in ((props.get("environment") or {}).get("variables") or {}).items():
            if _SECRET_NAME.search(name) and value and "/" not in value:
                yield function, f"may hold a secret in its variable {name}: name the secret, read it at run time"


def _recursion(resources: Resources) -> Iterator[tuple[Resource, str]]:
    for config in _of(resources, "aws:lambda/functionRecursionConfig:FunctionRecursionConfig"):
        if config.props.get("recursiveLoop") != "Terminate":
            yield config, "lets a function call itself through a topic or queue without end"


def _callers(resources: Resources) -> Iterator[tuple[Resource, str]]:
    for caller in _of(resources, "aws:lambda/permission:Permission", "aws:lambda/functionUrl:FunctionUrl"):
        if caller.props.get("qualifier") != "live":
            yield caller, "is not bound to the alias live: going back would not reach it"
    for permission in _of(resources, "aws:lambda/permission:Permission"):
        props = permission.props
        by_url = props.get("functionUrlAuthType") or props.get("invokedViaFunctionUrl")
        if props.get("principal") == "*" and not by_url:
            yield permission, "lets everyone call the function, and not only through its URL"
        if str(props.get("principal", "")).endswith(".amazonaws.com") and not props.get("sourceArn"):
            yield permission, "lets a service call the function for any account (no sourceArn)"


def _data(resources: Resources) -> Iterator[tuple[Resource, str]]:
    for table in _of(resources, "aws:dynamodb/table:Table"):
        for key in ("pointInTimeRecovery", "serverSideEncryption"):
            if (table.props.get(key) or {}).get("enabled") is not True:
                yield table, f"needs {key}"
    for queue in _of(resources, "aws:sqs/queue:Queue"):
        if not (queue.props.get("sqsManagedSseEnabled") or queue.props.get("kmsMasterKeyId")):
            yield queue, "is not encrypted"
    for key in _of(resources, "aws:kms/key:Key"):
        if key.props.get("enableKeyRotation") is not True:
            yield key, "is never rotated"


def _protected(resources: Resources) -> Iterator[tuple[Resource, str]]:
    if not _is_prod(resources):
        return
    for store in _of(resources, *_DATA):
        if not store.protect:
            yield store, "holds data of production and is not protected"
    for table in _of(resources, "aws:dynamodb/table:Table"):
        if table.props.get("deletionProtectionEnabled") is not True:
            yield table, "can be deleted by one call"


def _forbidden(resources: Resources) -> Iterator[tuple[Resource, str]]:
    return ((resource, "must not be made by Pulumi here") for resource in _of(resources, *_FORBIDDEN))


def _logs(resources: Resources) -> Iterator[tuple[Resource, str]]:
    for group in _of(resources, "aws:cloudwatch/logGroup:LogGroup"):
        if not group.props.get("retentionInDays"):
            yield group, "keeps its logs for ever"


def _alarms(resources: Resources) -> Iterator[tuple[Resource, str]]:
    for alarm in _of(resources, "aws:cloudwatch/metricAlarm:MetricAlarm"):
        if not alarm.props.get("alarmActions") or alarm.props.get("actionsEnabled") is False:
            yield alarm, "tells nobody"
        if alarm.props.get("treatMissingData") not in {"breaching", "notBreaching", "ignore", "missing"}:
            yield alarm, "does not say what missing data mean"
    for topic in _of(resources, "aws:sns/topic:Topic"):
        if str(topic.props.get("kmsMasterKeyId") or "").endswith("alias/aws/sns"):
            yield topic, "is encrypted with the AWS-managed key, by which CloudWatch cannot publish"


def _trails(resources: Resources) -> Iterator[tuple[Resource, str]]:
    for trail in _of(resources, "aws:cloudtrail/trail:Trail"):
        for key in ("enableLogFileValidation", "isMultiRegionTrail"):
            if trail.props.get(key) is not True:
                yield trail, f"needs {key}"
        if trail.props.get("enableLogging") is False:
            yield trail, "does not log"


def _environments(resources: Resources) -> Iterator[tuple[Resource, str]]:
    branches = {
        one.props.get("environment"): one.props.get("branchPattern")
        for one in _of(
            resources, "github:index/repositoryEnvironmentDeploymentPolicy:RepositoryEnvironmentDeploymentPolicy"
        )
    }
    for environment in _of(resources, "github:index/repositoryEnvironment:RepositoryEnvironment"):
        props = environment.props
        if props.get("canAdminsBypass") is not False:
            yield environment, "can be skipped by administrators"
        policy = props.get("deploymentBranchPolicy") or {}
        if policy.get("customBranchPolicies") is not True or branches.get(props.get("environment")) != "main":
            yield environment, "deploys from other branches than main"
        if props.get("environment") == "production" and not props.get("reviewers"):
            yield environment, "deploys to production without a reviewer"


RULES: Final = (
    Rule("private-buckets", "Every bucket is private, versioned, encrypted, owner-enforced and has a policy", _buckets),
    Rule("tls-only", "Buckets and topics refuse requests without TLS", _tls),
    Rule("no-open-policies", "No resource policy allows everyone, or a service for any account", _open_policies),
    Rule(
        "narrow-rights",
        "No identity policy allows all actions, all resources, or passing roles on freely",
        _wide_rights,
    ),
    Rule("exact-trust", "Roles are assumed by named services, or by exact claims of GitHub's tokens", _trust),
    Rule("bounded-roles", "Every role that CI makes lies inside the permissions boundary", _bounded),
    Rule("pinned-code", "Functions publish versions of pinned code and hold no secret", _functions),
    Rule("no-endless-loops", "Lambda ends a loop of functions that call themselves, as it does unasked", _recursion),
    Rule("bound-to-live", "Whatever calls a function calls live, and is named", _callers),
    Rule("encrypted-data", "Tables, queues and keys are encrypted, recoverable and rotated", _data),
    Rule("protected-data", "What holds data of production is protected against deletion", _protected),
    Rule("no-secret-values", "No secret value, key or shared variable is made by Pulumi", _forbidden),
    Rule("bounded-logs", "Logs are kept for a limited time", _logs),
    Rule("heard-alarms", "Alarms tell somebody and say what missing data mean", _alarms),
    Rule("sound-trail", "The audit trail covers all regions and can be validated", _trails),
    Rule("guarded-environments", "GitHub environments deploy from main only and cannot be skipped", _environments),
)


def findings(resources: Resources) -> list[Violation]:
    """Everything that breaks a rule in one stack."""
    return [Violation(rule.name, resource, what) for rule in RULES for resource, what in rule.check(resources)]
