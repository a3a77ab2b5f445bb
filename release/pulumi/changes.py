"""What an update would do, sorted by whom it hits: the candidate alone, nobody yet, everybody at once, or for good.

Pure: made from the document of `pulumi preview --json --show-sames` (engine: pkg/backend/display/json.go), which lists
a step for every resource. What is in no table here is never taken for harmless: an unknown operation is destructive,
an unknown type is shared.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
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

_JUDGED: Final = {
    _FUNCTION: "there would be no candidate to judge",
    _ALIAS: "there would be no candidate to judge",
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


@dataclass(frozen=True, slots=True)
class UpdateStep:
    """One thing that an update does; `properties` are the names of what changes, never the values."""

    op: str
    type: str
    urn: str
    name: str
    impact: Impact
    properties: tuple[str, ...] = ()
    protected: bool = False
    """Whether Pulumi refuses to delete or replace it."""
    retained: bool = False
    """Whether deleting it only takes it out of the stack."""

    def __str__(self) -> str:
        changed = f" ({', '.join(self.properties)})" if self.properties else ""
        return f"{self.op} {self.type} {self.name}{changed}"


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

    def of(self, impact: Impact) -> tuple[UpdateStep, ...]:
        """The steps of one class."""
        return tuple(step for step in self.steps if step.impact is impact)

    @property
    def shared(self) -> tuple[UpdateStep, ...]:
        """What hits all traffic at once."""
        return self.of(Impact.SHARED)

    @property
    def destructive(self) -> tuple[UpdateStep, ...]:
        """What goes away, and waits until the release is confirmed."""
        return self.of(Impact.DESTRUCTIVE)

    @property
    def deleted(self) -> frozenset[str]:
        """URNs that the program no longer has, components among them."""
        return frozenset(step.urn for step in self.steps if step.op == "delete")

    def targets(self) -> tuple[str, ...]:
        """What to name with `--target` so that what goes away is left; empty when nothing does (= a full update).

        Only what changes is named: the engine takes everything below a target, and everything that depends on it, for
        a target as well when it looks for what to delete. The record is among them so that they are never empty.
        """
        waits = {step.urn for step in self.destructive} | self.deleted
        if not self.destructive:
            return ()
        changing = [step.urn for step in self.steps if step.urn not in waits]
        return tuple(dict.fromkeys([*changing, *self.records]))

    def live_aliases(self) -> tuple[str, ...]:
        """What a traffic step names with `--target`; empty when a function has no `live` yet (= not by targets).

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
    raws = [_Raw.of(step) for step in engine["steps"]]
    created = {raw.urn for raw in raws if raw.op == "create"}
    steps = tuple(
        UpdateStep(
            op=raw.op,
            type=raw.type,
            urn=raw.urn,
            name=raw.name,
            impact=_impact(raw, created),
            properties=raw.properties,
            protected=raw.old.get("protect") is True,
            retained=raw.old.get("retainOnDelete") is True,
        )
        for raw in raws
        if raw.op not in UNCHANGED and raw.type != _STACK
    )
    going = {step.urn for step in steps if step.impact is Impact.DESTRUCTIVE}
    staying = [raw for raw in raws if raw.op not in {"delete", "create"} and raw.urn not in going]
    lives = {raw.urn: raw.text("functionName") for raw in staying if raw.type == _ALIAS and raw.text("name") == LIVE}
    functions = {raw.text("name") for raw in raws if raw.type == _FUNCTION and raw.op != "delete"}
    return UpdatePlan(
        steps=steps,
        conflicts=tuple(sorted(set(_conflicts(raws, steps)))) if going else (),
        records=tuple(raw.urn for raw in staying if raw.type == RECORD_TYPE),
        live=tuple(sorted(lives)),
        lives_missing=not functions <= set(lives.values()),
        engine=engine,
    )


def property_of(path: object) -> str:
    """The property that a path such as `environment.variables["A"]` begins with: what is before a dot or bracket."""
    return str(path).split(".", maxsplit=1)[0].split("[", maxsplit=1)[0]


_SHARED: Final = "what the stable version uses, so it hits all traffic"


def refuse(plan: UpdatePlan, path: ApprovalPath, *, first: bool) -> tuple[str, ...]:
    """Say what of a plan people have to know, or refuse it.

    Args:
        plan: The preview of the release with traffic 0.
        path: Whether people have approved the release.
        first: Whether no release was ever confirmed: nothing stable can be hit.

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


@dataclass(frozen=True, slots=True)
class _Raw:
    """One step as the engine wrote it. `old` and `new` are states of the resource, empty where it has none."""

    op: str
    urn: str
    old: Mapping[str, Any]
    new: Mapping[str, Any]
    properties: tuple[str, ...]

    @classmethod
    def of(cls, step: Mapping[str, Any]) -> _Raw:
        paths = list(step.get("detailedDiff") or {}) or list(step.get("diffReasons") or ())
        return cls(
            op=str(step.get("op")),
            urn=str(step.get("urn")),
            old=step.get("oldState") or {},
            new=step.get("newState") or {},
            properties=tuple(sorted({property_of(path) for path in paths})),
        )

    @property
    def state(self) -> Mapping[str, Any]:
        return self.new or self.old

    @property
    def type(self) -> str:
        return str(self.state.get("type", ""))

    @property
    def name(self) -> str:
        return self.urn.rsplit("::", 1)[-1]

    def text(self, name: str) -> str:
        return str((self.state.get("inputs") or {}).get(name, ""))

    def __str__(self) -> str:
        return f"{self.type} {self.name}"


def _impact(raw: _Raw, created: set[str]) -> Impact:
    if raw.state.get("custom") is False or raw.type.startswith(PROVIDER):
        # Components and providers stand in the state only; but a provider that changes changes how all the others act.
        if raw.op in {"create", "delete"} or (raw.op == "update" and not raw.type.startswith(PROVIDER)):
            return Impact.CANDIDATE_ONLY
        return Impact.SHARED if raw.op == "update" else Impact.DESTRUCTIVE
    if raw.op in {"create", "update"} and raw.type == _ALIAS and raw.text("name") == CANDIDATE:
        return Impact.CANDIDATE_ONLY
    if raw.op == "create":
        return _creation(raw, created)
    if raw.op == "update":
        publishes = raw.type == _FUNCTION and (raw.new.get("inputs") or {}).get("publish") is True
        harmless = publishes and raw.properties and set(raw.properties) <= VERSIONED
        return Impact.CANDIDATE_ONLY if harmless else Impact.SHARED
    return Impact.SHARED if raw.op == "import" else Impact.DESTRUCTIVE


def _creation(raw: _Raw, created: set[str]) -> Impact:
    if raw.type in STANDALONE:
        return Impact.ADDITIVE
    edges = raw.new.get("propertyDependencies") or {}
    names = ATTACHED.get(raw.type, ())
    on_new_things = bool(names) and all(edges.get(name) and set(edges[name]) <= created for name in names)
    return Impact.ADDITIVE if on_new_things else Impact.SHARED


def _conflicts(raws: list[_Raw], steps: tuple[UpdateStep, ...]) -> Iterator[str]:
    going = {step.urn for step in steps if step.impact is Impact.DESTRUCTIVE}
    destructive = {raw.urn: raw for raw in raws if raw.urn in going and raw.op not in UNCHANGED}
    for raw in raws:
        if raw.urn not in going:
            yield from _needs(raw, destructive)
        elif raw.op in REPLACED and raw.type in _JUDGED:
            yield f"{raw} would be replaced: {_JUDGED[raw.type]}"


def _needs(raw: _Raw, destructive: Mapping[str, _Raw]) -> Iterator[str]:
    """Why a step that is to go dark cannot leave the destructive ones for later."""
    if raw.op == "update" and raw.type.startswith(PROVIDER):
        yield f"{raw} changes, and with it everything"
    if raw.op in {"create", "update"}:
        for urn in sorted(_uses(raw.new) & set(destructive)):
            yield f"{raw} uses {destructive[urn]}, which is to be replaced"
    for gone in destructive.values():
        same = raw.type == gone.type and _identity(raw.new) and _identity(raw.new) == _identity(gone.old)
        if raw.op == "create" and same:
            yield f"{raw} is the same thing in AWS as {gone}, which is to be deleted"
        if raw.type == _FUNCTION and raw.op != "delete" and _is_told_of(raw, gone):
            yield f"{raw} is told the name of {gone}, which would only be replaced or deleted later"


def _uses(state: Mapping[str, Any]) -> set[str]:
    by_property = (state.get("propertyDependencies") or {}).values()
    return {*(state.get("dependencies") or ()), *(urn for urns in by_property for urn in urns or ())}


def _identity(state: Mapping[str, Any]) -> dict[str, str]:
    inputs = state.get("inputs") or {}
    return {key: inputs[key] for key in _IDENTITY if isinstance(inputs.get(key), str)}


def _is_told_of(function: _Raw, gone: _Raw) -> bool:
    """Whether the function's environment names what goes away, or what only comes when it has gone.

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
