"""What AWS asks for a call: action, resource and what it knows of the call, from its service, operation and parameters.

Most operations of an API are actions of the same name; the table says which are not, and what else they ask for. From
AWS's service authorization reference.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from components.arns import Arns

Parameters = Mapping[str, Any]
SERVICES = {"cloudwatch", "dynamodb", "events", "iam", "lambda", "logs", "s3", "scheduler"}
SERVICES |= {"secretsmanager", "sns", "sqs"}
NO_RIGHT = {
    ("sts", "GetCallerIdentity"),
    # The provider wants to know which key is the one that AWS manages, and goes on where it may not look.
    ("kms", "ListAliases"),
}
OTHER_NAMES = {
    ("lambda", "Invoke"): "InvokeFunction",
    ("s3", "HeadBucket"): "ListBucket",
    ("s3", "HeadObject"): "GetObject",
    ("s3", "ListObjectsV2"): "ListBucket",
    ("sns", "PublishBatch"): "Publish",
}
OF_A_VERSION = {
    "GetObject": "GetObjectVersion",
    "HeadObject": "GetObjectVersion",
    "DeleteObject": "DeleteObjectVersion",
}
TAGGING = {
    "iam": "TagRole",
    "sqs": "TagQueue",
    **dict.fromkeys(["cloudwatch", "dynamodb", "lambda", "logs", "sns"], "TagResource"),
}
"""Who makes something with tags needs this right too."""
SENT_BY_THE_STAND_IN_ONLY = {("lambda", "UpdateFunctionConfiguration")}
"""The real provider sends the role of a function again only when it is another one, which AWS takes for passing it."""
WITHOUT_RESOURCE = {("lambda", "GetAccountSettings"), ("logs", "DescribeLogGroups")}


@dataclass(frozen=True)
class Need:
    """One right that a call needs."""

    action: str
    resource: str
    context: Mapping[str, str | list[str]] = field(default_factory=dict, hash=False)


BoundaryOf = Callable[[str], str | None]
"""From the name of a role to the ARN of its permissions boundary; None for a role that is not there or has none."""


def needs(
    service: str, operation: str, parameters: Parameters, arns: Arns, boundary_of: BoundaryOf | None = None
) -> list[Need]:
    """The rights for one call; raises KeyError for a service or a form of call that is not in the tables.

    Without `boundary_of` every role has the boundary of its environment.
    """
    if (service, operation) in NO_RIGHT:
        return []
    if service not in SERVICES:
        raise KeyError(f"{service}:{operation} is not in the tables of localcloud/iam/needs.py")
    action = OTHER_NAMES.get((service, operation), operation)
    if "VersionId" in parameters:
        action = OF_A_VERSION.get(operation, action)
    boundary_of = boundary_of or (lambda _: arns.of("policy", arns.names.boundary))
    context = _context(service, parameters, boundary_of)
    found = []
    for resource in _resources(service, operation, parameters, arns):
        found.append(Need(f"{service}:{action}", resource, context))
        if parameters.get("Tags") and operation.startswith(("Create", "Put")):
            found.append(Need(f"{service}:{TAGGING[service]}", resource))
    return found + _besides(service, operation, parameters, arns)


def _resources(service: str, operation: str, parameters: Parameters, arns: Arns) -> list[str]:
    if (service, operation) in WITHOUT_RESOURCE:
        return ["*"]
    if operation == "GetMetricData":
        return [f"arn:aws:cloudwatch:{arns.region}:{arns.account_id}:dataset/default"]
    if parameters.get("AlarmNames"):
        return [arns.of("alarm", name) for name in parameters["AlarmNames"]]
    return [_RESOURCES[service](parameters, arns)]


def _besides(service: str, operation: str, parameters: Parameters, arns: Arns) -> list[Need]:
    """What the service asks for beyond its own action: roles that are passed to it, and packages that it fetches."""
    found = []
    # EventBridge takes a role with each target.
    roles = [parameters.get("Role") or parameters.get("RoleArn")]
    roles += [target.get("RoleArn") for target in parameters.get("Targets", ())]
    if (service, operation) not in SENT_BY_THE_STAND_IN_ONLY:
        passed = {"iam:PassedToService": f"{service}.amazonaws.com"}
        found += [Need("iam:PassRole", role, passed) for role in roles if role]
    if "S3Key" in parameters:
        action = "s3:GetObjectVersion" if "S3ObjectVersion" in parameters else "s3:GetObject"
        found.append(Need(action, arns.objects(parameters["S3Bucket"], parameters["S3Key"])))
    return found


def _context(service: str, parameters: Parameters, boundary_of: BoundaryOf) -> dict[str, str | list[str]]:
    """What AWS knows of the call: preconditions and prefix, and the boundary that the role has or gets."""
    if service == "iam":
        boundary = parameters.get("PermissionsBoundary") or boundary_of(parameters["RoleName"])
        return {"iam:PermissionsBoundary": boundary} if boundary else {}
    if service == "events" and parameters.get("Targets"):
        return {"events:TargetArn": [target["Arn"] for target in parameters["Targets"]]}
    keys = {"IfNoneMatch": "s3:if-none-match", "IfMatch": "s3:if-match", "Prefix": "s3:prefix"}
    return {key: parameters[name] for name, key in keys.items() if service == "s3" and name in parameters}


def _function(parameters: Parameters, arns: Arns) -> str:
    name = parameters.get("FunctionName") or parameters.get("Resource") or parameters["ResourceArn"]
    arn = name if name.startswith("arn:") else arns.of("function", name)
    return f"{arn}:{parameters['Qualifier']}" if "Qualifier" in parameters else arn


def _object(parameters: Parameters, arns: Arns) -> str:
    return (
        arns.objects(parameters["Bucket"], parameters["Key"])
        if "Key" in parameters
        else arns.of("bucket", parameters["Bucket"])
    )


def _topic(parameters: Parameters, arns: Arns) -> str:
    if "SubscriptionArn" in parameters:
        return parameters["SubscriptionArn"].rpartition(":")[0]
    return parameters.get("TopicArn") or parameters.get("ResourceArn") or arns.of("topic", parameters["Name"])


def _metric_thing(parameters: Parameters, arns: Arns) -> str:
    if "DashboardName" in parameters:
        return arns.of("dashboard", parameters["DashboardName"])
    if "ResourceARN" in parameters:
        return parameters["ResourceARN"]
    # Alarms are read all at once: a name that is nobody's stands for all.
    return arns.of("alarm", parameters.get("AlarmName") or "all")


def _table(parameters: Parameters, arns: Arns) -> str:
    table = parameters.get("ResourceArn") or arns.of("table", parameters["TableName"])
    return f"{table}/index/{parameters['IndexName']}" if "IndexName" in parameters else table


def _secret(parameters: Parameters, arns: Arns) -> str:
    secret = parameters["SecretId"]
    return secret if secret.startswith("arn:") else arns.of("secret", f"{secret}-AbCdEf")


_RESOURCES: Mapping[str, Callable[[Parameters, Arns], str]] = {
    "cloudwatch": _metric_thing,
    "dynamodb": _table,
    "events": lambda parameters, arns: arns.of("rule", parameters.get("Rule") or parameters["Name"]),
    "iam": lambda parameters, arns: arns.of("role", parameters["RoleName"]),
    "lambda": _function,
    "logs": lambda parameters, arns: parameters.get("resourceArn") or arns.of("log group", parameters["logGroupName"]),
    "s3": _object,
    "scheduler": lambda parameters, arns: arns.of("schedule", parameters["Name"]),
    "secretsmanager": _secret,
    "sns": _topic,
    "sqs": lambda parameters, arns: arns.of(
        "queue", parameters.get("QueueName") or parameters["QueueUrl"].rpartition("/")[2]
    ),
}
