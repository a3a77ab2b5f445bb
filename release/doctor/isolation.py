"""Isolation: what belongs to the other environment is denied, asked of AWS itself.

A role of CI tries it: the same call on its own side and on the other one. Anybody else asks IAM's simulator about each
role. Either way only a denial counts, and only beside an answer that is allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from components.arns import Arns
from components.identities import identities
from components.naming import FOUNDATION_STATE, SERVICE_STATE
from components.settings import Settings
from release.doctor.buckets import ALREADY_THERE, PROBE, put_probe
from release.doctor.check import Notes, Unseen, check
from release.doctor.identity import CI_ROLES
from release.doctor.place import ALLOWED_CALL, DENIED_CALL, CannotLookError, Place, outcome

_LET_IN: Final = ALREADY_THERE | {"NoSuchKey", "ResourceNotFoundException"}
"""Codes of calls that were let in: what they would write is there, or nothing that they would read."""
_HEAD: Final = "ledger/head.json"
_FUNCTION: Final = "dashboard"


Question = tuple[str, str]
"""An action, and the resource that a role would do it to."""
Sides = tuple[str, str]
"""The same call on the own and on the other side: `allowed`, `denied`, or what else was said."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """Calls that were tried as `role`, or the simulator's decisions about each role, by question."""

    role: str = ""
    tried: Mapping[str, Sides] = field(default_factory=dict)
    simulated: Mapping[str, Mapping[Question, str]] = field(default_factory=dict)


def questions(arns: Arns, role: str) -> dict[Question, bool]:
    """Return what the simulator is asked about a role, each with the design's answer; the first one is the control."""
    names, other = arns.names, arns.other
    function, table = other.of("function", other.names.function(_FUNCTION).function), other.names.items_table
    denied = (
        ("s3:GetObject", other.objects(other.names.bucket, _HEAD)),
        ("s3:PutObject", other.objects(other.names.bucket, PROBE)),
        ("s3:GetObject", other.objects(other.names.state_bucket, f"{SERVICE_STATE}/state.json")),
        ("lambda:UpdateFunctionCode", function),
        ("lambda:InvokeFunction", function),
        ("dynamodb:PutItem", other.of("table", table)),
        ("secretsmanager:GetSecretValue", other.of("secret", f"{other.names.dashboard_key_secret}-AbCdEf")),
        ("iam:PassRole", other.of("role", other.names.safety_role)),
        # Nor may it free itself, or remove what it has left behind.
        ("iam:PutRolePolicy", arns.of("role", role)),
        ("s3:DeleteObject", arns.objects(names.bucket, _HEAD)),
        ("s3:GetObject", arns.objects(names.state_bucket, f"{FOUNDATION_STATE}/state.json")),
        ("cloudtrail:StopLogging", "*"),
    )
    return {("s3:GetObject", arns.objects(names.bucket, _HEAD)): True, **dict.fromkeys(denied, False)}


def _isolation(place: Place) -> Isolation:
    role = place.caller.role
    roles = [identity.role(place.names) for identity in identities(place.settings.environment)]
    if role in roles:
        own, other = place.arns, place.arns.other
        tried = {
            what: (outcome(partial(call, place, own), _LET_IN), outcome(partial(call, place, other), _LET_IN))
            for what, call in _CALLS.items()
        }
        return Isolation(role=role, tried=tried)
    if role in CI_ROLES:
        raise CannotLookError(f"{role} belongs to the other environment: ask in one of its own jobs, or there")
    return Isolation(simulated={one: _simulate(place, one) for one in roles})


def _simulate(place: Place, role: str) -> dict[Question, str]:
    ask = partial(place.aws("iam").simulate_principal_policy, PolicySourceArn=place.arns.of("role", role))
    return {
        (action, resource): ask(ActionNames=[action], ResourceArns=[resource])["EvaluationResults"][0]["EvalDecision"]
        for action, resource in questions(place.arns, role)
    }


_CALLS: Final[Mapping[str, Callable[[Place, Arns], Any]]] = {
    "list releases": lambda place, arns: place.aws("s3").list_objects_v2(Bucket=arns.names.bucket, MaxKeys=1),
    "write a promotion": lambda place, arns: put_probe(place, arns.names.bucket, IfNoneMatch="*"),
    "read a function": lambda place, arns: place.aws("lambda").get_function_configuration(
        FunctionName=arns.of("function", arns.names.function(_FUNCTION).function)
    ),
    "read an item": lambda place, arns: place.aws("dynamodb").get_item(
        TableName=arns.of("table", arns.names.items_table),
        Key={"source_id": {"S": "doctor"}, "timestamp": {"S": "doctor"}},
    ),
    # The value is dropped where it arrives.
    "read the dashboard's key": lambda place, arns: place.aws("secretsmanager").get_secret_value(
        SecretId=arns.of("secret", arns.names.dashboard_key_secret)
    ),
}


@check(
    "isolation.other-environment",
    asks="as a role of CI: S3, Lambda, DynamoDB and Secrets Manager for the same thing of both environments; "
    "as an administrator: IAM's simulator about every role of CI",
    expected="own allowed, and the other environment's AccessDenied (anything but AccessDenied proves nothing)",
    fix="release doctor --stack {stack} --only roles says which document differs; docs/explanation/architecture.md",
    look=_isolation,
    not_local="it has no policy simulator, which the check asks",
)
def _isolation_other_environment(settings: Settings, answers: Isolation) -> Notes:
    """Everything of the other environment is denied, and something of the own one is allowed."""
    if answers.tried:
        return (yield from _judge_tried(answers.role, answers.tried))
    return (yield from _judge_simulated(settings.arns, answers.simulated))


def _judge_tried(role: str, tried: Mapping[str, Sides]) -> Notes:
    proven = [what for what, sides in tried.items() if sides == (ALLOWED_CALL, DENIED_CALL)]
    for what, (own, other) in tried.items():
        if other == ALLOWED_CALL:
            yield f"{role} may {what} of the other environment"
        if not {own, other} <= {ALLOWED_CALL, DENIED_CALL}:
            yield Unseen(f"{what}: own side {own}, other side {other}")
    if not proven:
        yield Unseen(f"{role} may do nothing of what was tried on its own side, so the denials prove nothing")
    return f"tried as {role}, own allowed and other denied: {', '.join(proven)}"


def _judge_simulated(arns: Arns, simulated: Mapping[str, Mapping[Question, str]]) -> Notes:
    for role, decisions in simulated.items():
        for (action, resource), allowed in questions(arns, role).items():
            decision = decisions[action, resource]
            told = f"{role}: {action} on {resource} is {decision}"
            if (decision == "allowed") is not allowed:
                yield Unseen(f"{told}, so its denials prove nothing") if allowed else told
    asked = sum(map(len, simulated.values()))
    return f"IAM's simulator decided {asked} questions about {len(simulated)} roles as the design does"
