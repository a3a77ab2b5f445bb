"""Previews as the engine writes them, made by hand: only what a difference is taken from."""

import json

from release.preview.compare import plan_of
from release.preview.plan import Against, Head

HEAD = Head(sha="5a" * 20)
PUBLISHED = Against(kind="published", sha="c0" * 20, at="2026-11-25T12:00:00Z", behind=0)
TABLE = "aws:dynamodb/table:Table"
FUNCTION = "aws:lambda/function:Function"
ALIAS = "aws:lambda/alias:Alias"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
ENVIRONMENT = "github:index/repositoryEnvironment:RepositoryEnvironment"
RULESET = "github:index/repositoryRuleset:RepositoryRuleset"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SERVICE = "urn:pulumi:prod::sentiment-pipeline::sentiment:service:Service"


def component(kind, name):
    return f"{SERVICE}$sentiment:service:{kind}::{name}"


def step(op, typ, name, old=None, new=None, *, parent="", forces=(), **state):
    """One step; `old` and `new` are inputs. What differs at the top is what the provider names."""
    base = {"custom": True, "type": typ, "parent": parent} | state
    found = {"op": op, "urn": f"{parent.rpartition('::')[0] or SERVICE}${typ}::{name}"}
    if old is not None:
        found["oldState"] = base | {"inputs": old}
    if new is not None:
        found["newState"] = base | {"inputs": new}
    if old is not None and new is not None and op != "same":
        kinds = {key: "update-replace" if key in forces else "update" for key in {*old, *new}}
        found["detailedDiff"] = {
            key: {"inputDiff": True, "kind": kind}
            for key, kind in sorted(kinds.items())
            if old.get(key) != new.get(key) or key in forces
        }
    if forces:
        found["replaceReasons"] = list(forces)
    return found


def same(number):
    """Resources that stay."""
    return [step("same", "aws:sns/topic:Topic", f"stays-{place}", new={}) for place in range(number)]


def plan(steps, *, stack="prod", head=HEAD, against=PUBLISHED, **rest):
    document = {"steps": list(steps) or same(1)}
    return plan_of(document, stack=stack, head=head, against=against, **rest)


def alarm(threshold, name="prod-sentiment-ingestion-errors", **rest):
    return {
        "actionsEnabled": True,
        "alarmActions": ["arn:aws:sns:us-east-1:123456789012:prod-sentiment-alarms"],
        "comparisonOperator": "GreaterThanOrEqualToThreshold",
        "datapointsToAlarm": 2,
        "evaluationPeriods": 3,
        "metricName": "Errors",
        "name": name,
        "namespace": "AWS/Lambda",
        "period": 60,
        "statistic": "Sum",
        "threshold": threshold,
        "treatMissingData": "notBreaching",
    } | rest


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, resource, **rest):
    return {"Effect": "Allow", "Action": action, "Resource": resource} | rest


def renamed_function():
    def parts(name):
        parent = component("Function", name)
        physical = f"prod-sentiment-{name}"
        return [
            (FUNCTION, name, {"name": physical, "memorySize": 256, "publish": True, "runtime": "python3.11"}, parent),
            ("aws:iam/role:Role", name, {"name": physical}, parent),
            ("aws:cloudwatch/logGroup:LogGroup", name, {"name": f"/aws/lambda/{physical}"}, parent),
            (ALIAS, f"{name}-live", {"functionName": physical, "name": "live", "functionVersion": "7"}, parent),
        ]

    old, new = parts("analysis"), parts("scoring")
    new[3] = (ALIAS, "scoring-live", new[3][2] | {"functionVersion": UNKNOWN}, new[3][3])
    errors = [
        alarm(1, f"prod-sentiment-{name}-errors", dimensions={"FunctionName": name}) for name in ("analysis", "scoring")
    ]
    parents = [component("FunctionAlarms", name) for name in ("analysis", "scoring")]
    return plan(
        [
            *(step("delete", typ, name, old=inputs, parent=parent) for typ, name, inputs, parent in old),
            *(step("create", typ, name, new=inputs, parent=parent) for typ, name, inputs, parent in new),
            step("delete", ALARM, "analysis-errors", old=errors[0], parent=parents[0]),
            step("create", ALARM, "scoring-errors", new=errors[1], parent=parents[1]),
            *same(48),
        ],
    )


def widened_statement():
    table = "arn:aws:dynamodb:us-east-1:123456789012:table/prod-sentiment-items"
    old = policy(allow(["dynamodb:PutItem", "dynamodb:GetItem"], table), allow("sns:Publish", "arn:aws:sns:::items"))
    new = policy(
        allow("sns:Publish", ["arn:aws:sns:::items"]),  # another place and another spelling of the same
        allow("dynamodb:*", "*"),
        allow("iam:PassRole", "arn:aws:iam::123456789012:role/prod-sentiment-ingestion"),
    )
    parent = component("Function", "ingestion")
    return plan(
        [
            step(
                "update",
                ROLE_POLICY,
                "ingestion",
                old={"role": "prod-sentiment-ingestion", "policy": old},
                new={"role": "prod-sentiment-ingestion", "policy": new},
                parent=parent,
            ),
            *same(61),
        ]
    )


def alarm_threshold():
    parent = component("FunctionAlarms", "ingestion")
    return plan(
        [
            step("update", ALARM, "ingestion-errors", old=alarm(1), new=alarm(5, datapointsToAlarm=3), parent=parent),
            *same(61),
        ]
    )


def table_replacement():
    old = {"name": "prod-sentiment-items", "hashKey": "id", "billingMode": "PAY_PER_REQUEST"}
    parent, reads = component("Items", "items"), component("Function", "dashboard")
    return plan(
        [
            step(
                "replace", TABLE, "items", old=old, new=old | {"hashKey": "source"}, parent=parent, forces=("hashKey",)
            ),
            step(
                "update",
                FUNCTION,
                "dashboard",
                old={"publish": True, "environment": {"variables": {"TABLE_STREAM": "arn:aws:dynamodb:::one"}}},
                new={"publish": True, "environment": {"variables": {"TABLE_STREAM": UNKNOWN}}},
                parent=reads,
            ),
            *same(60),
        ],
        against=Against(kind="base", sha="ba" * 20),
    )


def removed_reviewer():
    old = {
        "environment": "production",
        "repository": "sentiment-pipeline",
        "canAdminsBypass": False,
        "preventSelfReview": True,
        "reviewers": [{"users": [101, 202], "teams": [7]}],
    }
    new = old | {"preventSelfReview": False, "reviewers": [{"users": [101], "teams": [7]}]}
    rules = {"rules": {"requiredStatusChecks": {"requiredChecks": [{"context": "Checks"}, {"context": "Lint"}]}}}
    fewer = {"rules": {"requiredStatusChecks": {"requiredChecks": [{"context": "Checks"}]}}}
    parent = "urn:pulumi:prod-foundation::sentiment-pipeline::sentiment:foundation:GithubEnvironment::production"
    return plan(
        [
            step("update", ENVIRONMENT, "production", old=old, new=new, parent=parent),
            step("update", RULESET, "main", old=rules, new=fewer),
            *same(40),
        ],
        stack="prod-foundation",
        people={"202": "octocat"},
    )


def many(number=300):
    """A change of everything: a tag of all the resources, long texts, alarms and a few replacements."""
    steps = []
    for place in range(number):
        parent = component("Function", f"function-{place % 25:02}")
        name = f"thing-{place:03}"
        tags = {"tags": {"Owner": "news-team", "Note": "n" * 180}}, {"tags": {"Owner": "data-team", "Note": "m" * 180}}
        match place % 6:
            case 0:
                steps.append(step("update", ALARM, name, old=alarm(1, name), new=alarm(5, name), parent=parent))
            case 1:
                steps.append(step("create", "aws:sqs/queue:Queue", name, new={"name": name} | tags[1], parent=parent))
            case 2 if place % 4 == 0:
                steps.append(
                    step(
                        "replace",
                        "aws:sns/topic:Topic",
                        name,
                        old={"name": name} | tags[0],
                        new={"name": f"{name}-new"} | tags[1],
                        parent=parent,
                        forces=("name",),
                    )
                )
            case 3:
                memory = [{"publish": True, "memorySize": size, "name": name} for size in (256, 512)]
                steps.append(step("update", FUNCTION, name, old=memory[0], new=memory[1], parent=parent))
            case _:
                steps.append(step("update", "aws:iam/role:Role", name, old=tags[0], new=tags[1], parent=parent))
    return plan([*steps, *same(52)])


MADE = {
    "alarm-threshold": alarm_threshold,
    "many": many,
    "nothing": lambda: plan(same(62)),
    "removed-reviewer": removed_reviewer,
    "renamed-function": renamed_function,
    "table-replacement": table_replacement,
    "widened-statement": widened_statement,
}
