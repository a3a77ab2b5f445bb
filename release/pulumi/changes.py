"""What an update would do, sorted by whom it hits: the candidate alone, nobody yet, everybody at once, or for good.

Pure: made from the document of `pulumi preview --json --show-sames` (engine: pkg/backend/display/json.go), which lists
a step for every resource. What is in no table here is never taken for harmless: an unknown operation is destructive,
an unknown type is shared.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from components.naming import CANDIDATE, LIVE
from release.errors import Refused
from release.ledger.lifecycle import ApprovalPath
from release.pulumi.checkpoint import DATA, MADE_AGAIN
from release.rules import RefusalRule


class Impact(StrEnum):
    """Whom one step of an update hits."""

    CANDIDATE_ONLY = "candidate-only"
    """Nobody but who calls `candidate`, or only the record of the stack."""
    ADDITIVE = "additive"
    """Nobody yet: something new that nothing existing uses."""
    SHARED = "shared"
    """The stable version too, at once: no canary can hold it back."""
    DESTRUCTIVE = "destructive"
    """Something goes away."""


_STACK: Final = "pulumi:pulumi:Stack"
PROVIDER: Final = "pulumi:providers:"
_FUNCTION: Final = "aws:lambda/function:Function"
_ALIAS: Final = "aws:lambda/alias:Alias"
RECORD_TYPE: Final = "sentiment:service:Record"
"""As components/service/record.py names it; the releaser does not import the program (a test compares them)."""

UNCHANGED: Final = frozenset({"same", "read", "refresh"})
REPLACED: Final = frozenset({"replace", "create-replacement", "delete-replaced"})

_ANALYSED: Final = {
    _FUNCTION: "there would be no candidate to analyse",
    _ALIAS: "there would be no candidate to analyse",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "the watch would look for the new one before it is there",
}

STANDALONE: Final = frozenset(
    {
        _FUNCTION,
        "aws:cloudwatch/compositeAlarm:CompositeAlarm",
        "aws:cloudwatch/dashboard:Dashboard",
        "aws:cloudwatch/logGroup:LogGroup",
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        "aws:dynamodb/table:Table",
        "aws:iam/policy:Policy",
        "aws:iam/role:Role",
        "aws:kms/key:Key",
        "aws:s3/bucket:Bucket",
        "aws:scheduler/scheduleGroup:ScheduleGroup",
        "aws:secretsmanager/secret:Secret",
        "aws:sns/topic:Topic",
        "aws:sqs/queue:Queue",
    }
)
"""Types that nobody uses just because they have been created."""

ATTACHED: Final[Mapping[str, tuple[str, ...]]] = {
    _ALIAS: ("functionName",),
    "aws:iam/rolePolicy:RolePolicy": ("role",),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": ("role",),
    "aws:lambda/eventSourceMapping:EventSourceMapping": ("eventSourceArn", "functionName"),
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": ("functionName",),
    "aws:lambda/functionUrl:FunctionUrl": ("functionName",),
    "aws:lambda/permission:Permission": ("function",),
    "aws:s3/bucketPolicy:BucketPolicy": ("bucket",),
    "aws:scheduler/schedule:Schedule": ("target",),
    "aws:sns/topicPolicy:TopicPolicy": ("arn",),
    "aws:sns/topicSubscription:TopicSubscription": ("topic", "endpoint"),
    "aws:sqs/queuePolicy:QueuePolicy": ("queueUrl",),
}
"""Types that change something else by being created, and the properties that name it. It must be new as well."""

VERSIONED: Final = frozenset(
    {
        "architectures",
        "code",
        "codeSha256",
        "deadLetterConfig",
        "description",
        "environment",
        "ephemeralStorage",
        "fileSystemConfig",
        "handler",
        "imageConfig",
        "imageUri",
        "kmsKeyArn",
        "lastModified",
        "layers",
        "loggingConfig",
        "memorySize",
        "qualifiedArn",
        "qualifiedInvokeArn",
        "role",
        "runtime",
        "s3Bucket",
        "s3Key",
        "s3ObjectVersion",
        "snapStart",
        "sourceCodeHash",
        "sourceCodeSize",
        "timeout",
        "tracingConfig",
        "version",
        "vpcConfig",
    }
)
"""Properties of a function that Lambda freezes into each published version. The others (tags, reserved concurrency,
code signing) belong to the function, and with it to the stable version.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html"""

# Inputs that say which thing in AWS a resource is, whatever the program calls it.
_IDENTITY: Final = (
    "arn",
    "bucket",
    "endpoint",
    "function",
    "functionName",
    "name",
    "qualifier",
    "queueUrl",
    "role",
    "statementId",
    "topic",
)


@dataclass(frozen=True, kw_only=True)
class UpdateStep:
    """One step of an update; its text names what changes, never the values."""

    op: str
    urn: str
    old: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """State of the resource before, empty where it has none; `new` is the one after."""
    new: Mapping[str, Any] = field(default_factory=dict, repr=False)
    properties: tuple[str, ...] = ()
    """Names of what changes."""
    impact: Impact = Impact.CANDIDATE_ONLY

    @classmethod
    def of(cls, step: Mapping[str, Any]) -> UpdateStep:
        """Read a step as the engine writes it."""
        paths = list(step.get("detailedDiff") or {}) or list(step.get("diffReasons") or ())
        return cls(
            op=str(step.get("op")),
            urn=str(step.get("urn")),
            old=step.get("oldState") or {},
            new=step.get("newState") or {},
            properties=tuple(sorted({property_of(path) for path in paths})),
        )

    @property
    def type(self) -> str:
        """Type of the resource."""
        return str((self.new or self.old).get("type", ""))

    @property
    def name(self) -> str:
        """Name of the resource in the program."""
        return self.urn.rsplit("::", 1)[-1]

    @property
    def protected(self) -> bool:
        """Whether Pulumi refuses to delete or replace it."""
        return self.old.get("protect") is True

    @property
    def retained(self) -> bool:
        """Whether deleting it only takes it out of the stack."""
        return self.old.get("retainOnDelete") is True

    def input(self, name: str) -> str:
        """Return one input as text."""
        return str(((self.new or self.old).get("inputs") or {}).get(name, ""))

    @property
    def resource(self) -> str:
        """The resource in sentences."""
        return f"{self.type} {self.name}"

    def __str__(self) -> str:
        changed = f" ({', '.join(self.properties)})" if self.properties else ""
        return f"{self.op} {self.resource}{changed}"


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """Every step of an update that does something, and what follows for the way to do it."""

    steps: tuple[UpdateStep, ...]
    conflicts: tuple[str, ...] = ()
    """Why what goes away cannot wait until the release is confirmed, in sentences."""
    records: tuple[str, ...] = ()
    """URN of the stack's record."""
    live: tuple[str, ...] = ()
    """URNs of the aliases `live` that exist and stay."""
    lives_missing: bool = False
    """Whether a function that the update leaves has no `live` yet."""
    engine: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What the engine said, from which the plan document is made."""

    @property
    def shared(self) -> tuple[UpdateStep, ...]:
        """What hits all traffic at once."""
        return tuple(step for step in self.steps if step.impact is Impact.SHARED)

    @property
    def destructive(self) -> tuple[UpdateStep, ...]:
        """What goes away, and waits until the release is confirmed."""
        return tuple(step for step in self.steps if step.impact is Impact.DESTRUCTIVE)

    @property
    def deleted(self) -> frozenset[str]:
        """URNs that the program no longer has, components among them."""
        return frozenset(step.urn for step in self.steps if step.op == "delete")

    def targets(self) -> tuple[str, ...]:
        """Return what to name with `--target` so that what goes away is left; empty: nothing does (= a full update).

        Only what changes is named: the engine takes everything below a target, and everything that depends on it, for
        a target as well when it looks for what to delete. The record is among them so that they are never empty.
        """
        waits = {step.urn for step in self.destructive} | self.deleted
        if not self.destructive:
            return ()
        changing = [step.urn for step in self.steps if step.urn not in waits]
        return tuple(dict.fromkeys([*changing, *self.records]))

    def live_aliases(self) -> tuple[str, ...]:
        """Return what a traffic step names with `--target`; empty when a function has no `live` yet (= not by targets).

        These are exact URNs: a pattern would also match `live` of a function that the program no longer has, and the
        engine would delete it together with its URL, subscription and alarms (tried).
        """
        return () if self.lives_missing else self.live


def read(document: str) -> UpdatePlan:
    """Classify the document of a preview. Raises `ValueError` when it is not one."""
    return classify(json.loads(document) if document.startswith("{") else {})


def classify(engine: Mapping[str, Any]) -> UpdatePlan:
    """As `read`, from the document as it was parsed."""
    if not engine.get("steps"):
        raise ValueError("the preview lists no steps")
    every = [UpdateStep.of(step) for step in engine["steps"]]
    created = {step.urn for step in every if step.op == "create"}
    steps = tuple(
        replace(step, impact=_impact(step, created))
        for step in every
        if step.op not in UNCHANGED and step.type != _STACK
    )
    going = {step.urn for step in steps if step.impact is Impact.DESTRUCTIVE}
    staying = [step for step in every if step.op not in {"delete", "create"} and step.urn not in going]
    aliases = [step for step in staying if step.type == _ALIAS and step.input("name") == LIVE]
    functions = {step.input("name") for step in every if step.type == _FUNCTION and step.op != "delete"}
    return UpdatePlan(
        steps=steps,
        conflicts=tuple(sorted(set(_conflicts(every, steps)))) if going else (),
        records=tuple(step.urn for step in staying if step.type == RECORD_TYPE),
        live=tuple(sorted({step.urn for step in aliases})),
        lives_missing=not functions <= {step.input("functionName") for step in aliases},
        engine=engine,
    )


def property_of(path: object) -> str:
    """The property that a path such as `environment.variables["A"]` begins with: what is before a dot or bracket."""
    return str(path).split(".", maxsplit=1)[0].split("[", maxsplit=1)[0]


_SHARED: Final = "what the stable version uses, so it hits all traffic"


def refuse(plan: UpdatePlan, path: ApprovalPath, *, first: bool) -> tuple[str, ...]:
    """Say what of a plan people have to know, or refuse it.

    `first`: no release was ever confirmed, so nothing stable can be hit.

    Raises:
        Refused: `loses-data`, `contract-first`, `destructive-change-needs-review` or `shared-change-needs-review`.
    """
    lost = [step for step in plan.destructive if step.protected or (_loses_data(step) and not first)]
    if lost:
        raise Refused(
            RefusalRule.LOSES_DATA,
            f"the release would delete or replace what holds data: {_named(lost)}",
            why="a rollback brings back programs, never data",
            next_step="keep it in the program. To give it up, release twice: first with protect=False and "
            "retain_on_delete=True on it, then without it. It stays in AWS until an administrator deletes it",
        )
    if not first:
        _refuse_what_cannot_go_dark(plan, path)
    return (
        *(f"hits all traffic at once: {step}" for step in plan.shared),
        *(f"waits until the release is confirmed: {step}" for step in plan.destructive if not first),
    )


def _refuse_what_cannot_go_dark(plan: UpdatePlan, path: ApprovalPath) -> None:
    if plan.destructive and plan.conflicts:
        raise Refused(
            RefusalRule.CONTRACT_FIRST,
            "the release needs at once what can only go away after it is confirmed",
            why="; ".join(plan.conflicts),
            next_step="release twice: first add the new beside the old and use it, then remove the old. What only got "
            "another name in the program needs aliases=[...] instead",
        )
    for rule, steps, what in (
        (RefusalRule.DESTRUCTIVE_CHANGE_NEEDS_REVIEW, plan.destructive, "deletes or replaces something"),
        (RefusalRule.SHARED_CHANGE_NEEDS_REVIEW, plan.shared, f"changes {_SHARED}"),
    ):
        if steps and path == "automatic":
            raise Refused(
                rule,
                f"the release {what}: {_named(steps)}",
                why="a release that nobody has reviewed may only bring new code and new resources",
                next_step="promote it on the reviewed path (environment production)",
            )


def detached(checkpoint: bytes, going: Collection[str]) -> bytes | None:
    """Cut what is to go away off what stays; `None` when there is nothing to cut.

    A targeted update fails, after it has changed things, when something to be deleted depends on a target. And what
    goes away nearly always does: every release changes the functions, and aliases, alarms and URLs depend on them.
    Only edges to what stays are cut, so that the deletions keep their order. A program that has the resource registers
    it with its edges again.
    """
    document = json.loads(checkpoint)
    cut = False
    for resource in document["deployment"].get("resources") or ():
        if resource["urn"] not in going:
            continue
        kept = {
            "dependencies": [urn for urn in resource.get("dependencies") or () if urn in going],
            "propertyDependencies": {
                name: [urn for urn in urns or () if urn in going]
                for name, urns in (resource.get("propertyDependencies") or {}).items()
            },
        }
        for name, edges in kept.items():
            if edges != (resource.get(name) or type(edges)()):
                resource[name], cut = edges, True
        if resource.get("deletedWith") and resource["deletedWith"] not in going:
            del resource["deletedWith"]
            cut = True
    return json.dumps(document).encode() if cut else None


def _impact(step: UpdateStep, created: set[str]) -> Impact:
    if (step.new or step.old).get("custom") is False or step.type.startswith(PROVIDER):
        # Components and providers stand in the state only; but a provider that changes changes how all the others act.
        if step.op in {"create", "delete"} or (step.op == "update" and not step.type.startswith(PROVIDER)):
            return Impact.CANDIDATE_ONLY
        return Impact.SHARED if step.op == "update" else Impact.DESTRUCTIVE
    if step.op in {"create", "update"} and step.type == _ALIAS and step.input("name") == CANDIDATE:
        return Impact.CANDIDATE_ONLY
    if step.op == "create":
        return _creation(step, created)
    if step.op == "update":
        publishes = step.type == _FUNCTION and (step.new.get("inputs") or {}).get("publish") is True
        harmless = publishes and step.properties and set(step.properties) <= VERSIONED
        return Impact.CANDIDATE_ONLY if harmless else Impact.SHARED
    return Impact.SHARED if step.op == "import" else Impact.DESTRUCTIVE


def _creation(step: UpdateStep, created: set[str]) -> Impact:
    if step.type in STANDALONE:
        return Impact.ADDITIVE
    edges = step.new.get("propertyDependencies") or {}
    names = ATTACHED.get(step.type, ())
    on_new_things = bool(names) and all(edges.get(name) and set(edges[name]) <= created for name in names)
    return Impact.ADDITIVE if on_new_things else Impact.SHARED


def _conflicts(every: list[UpdateStep], steps: tuple[UpdateStep, ...]) -> Iterator[str]:
    going = {step.urn for step in steps if step.impact is Impact.DESTRUCTIVE}
    destructive = {step.urn: step for step in every if step.urn in going and step.op not in UNCHANGED}
    for step in every:
        if step.urn not in going:
            yield from _needs(step, destructive)
        elif step.op in REPLACED and step.type in _ANALYSED:
            yield f"{step.resource} would be replaced: {_ANALYSED[step.type]}"


def _needs(step: UpdateStep, destructive: Mapping[str, UpdateStep]) -> Iterator[str]:
    """Return why a step that is to go dark cannot leave the destructive ones for later."""
    if step.op == "update" and step.type.startswith(PROVIDER):
        yield f"{step.resource} changes, and with it everything"
    if step.op in {"create", "update"}:
        for urn in sorted(_uses(step.new) & set(destructive)):
            yield f"{step.resource} uses {destructive[urn].resource}, which is to be replaced"
    for gone in destructive.values():
        same = step.type == gone.type and _identity(step.new) and _identity(step.new) == _identity(gone.old)
        if step.op == "create" and same:
            yield f"{step.resource} is the same thing in AWS as {gone.resource}, which is to be deleted"
        if step.type == _FUNCTION and step.op != "delete" and _is_told_of(step, gone):
            yield f"{step.resource} is told the name of {gone.resource}, which would only be replaced or deleted later"


def _uses(state: Mapping[str, Any]) -> set[str]:
    by_property = (state.get("propertyDependencies") or {}).values()
    return {*(state.get("dependencies") or ()), *(urn for urns in by_property for urn in urns or ())}


def _identity(state: Mapping[str, Any]) -> dict[str, str]:
    inputs = state.get("inputs") or {}
    return {key: inputs[key] for key in _IDENTITY if isinstance(inputs.get(key), str)}


def _is_told_of(function: UpdateStep, gone: UpdateStep) -> bool:
    """Return whether the function's environment names what goes away, or what only comes when it has gone.

    The program says names without references (naming.py), so the graph of dependencies does not know.
    """
    old, new = (_identity(state).get("name", "") for state in (gone.old, gone.new))
    name = new if gone.op in REPLACED else old
    if not name or (gone.op in REPLACED and old == new):
        return False
    variables = ((function.new.get("inputs") or {}).get("environment") or {}).get("variables") or {}
    return any(
        isinstance(value, str) and (value == name or value.endswith((f":{name}", f"/{name}")))
        for value in (variables.values() if isinstance(variables, Mapping) else ())
    )


def _loses_data(step: UpdateStep) -> bool:
    is_data = step.type in DATA and step.type not in MADE_AGAIN
    return is_data and not (step.retained and step.op == "delete")


def _named(steps: Collection[UpdateStep]) -> str:
    return "; ".join(str(step) for step in steps)
