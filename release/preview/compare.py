"""The plan document from what the engine says: `pulumi preview --json --show-sames`. Pure.

The differences are taken between the inputs of before and after, not between what a provider reports: a person reads
`memorySize 256 -> 512`, and policies by statement. What the provider adds (which property forces a replacement, which
outputs change) is read from its answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from release.preview.alarms import alarm_changes
from release.preview.plan import (
    SEVERITY,
    UNKNOWN,
    Against,
    Head,
    PlanDocument,
    PropertyChange,
    ResourceChange,
    StatementChange,
)
from release.preview.prices import cost_changes
from release.preview.statements import is_policy, statement_changes
from release.pulumi import changes

ENGINE_UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The engine's text for a value that it does not know yet (sdk/go/common/resource/plugin, `UnknownStringValue`)."""
SECRET: Final = "[secret]"  # noqa: S105 -- how the engine writes a value that it does not show
ALWAYS_SECRET: Final = frozenset(
    {"encryptedValue", "password", "plaintextValue", "privateKey", "secretBinary", "secretKey", "secretString", "token"}
)
"""Names of inputs whose value is shown to nobody, whether the program has marked it or not."""
_LONGEST: Final = 2_000
_COMPONENT_OPS: Final = frozenset({"create", "update", "delete"})


def plan_of(
    document: Mapping[str, Any],
    *,
    stack: Any,
    head: Head,
    against: Against,
    pull: int | None = None,
    people: Mapping[str, str] | None = None,
) -> PlanDocument:
    """The plan document of a preview, from the engine's document.

    `people` are the names of users and teams of GitHub by the ids that stand in the program's inputs.

    Raises:
        ValueError: The document lists no steps.
    """
    steps = document.get("steps") or ()
    plan = changes.classify(document)
    by_urn = {step.urn: step for step in plan.steps}
    raws = {str(raw["urn"]): raw for raw in steps if str(raw.get("urn")) in by_urn}
    found = [
        _resource_change(step, raws[urn], people or {})
        for urn, step in by_urn.items()
        if not _is_component(raws[urn], step.op)
    ]
    # What a provider changes in its own outputs alone is no difference of the program.
    found = [one for one in found if one.op != "update" or one.properties or one.statements or one.computed]
    return PlanDocument(
        stack=stack,
        head=head,
        against=against,
        pull=pull,
        changes=tuple(sorted(found, key=_order)),
        unchanged=sum(raw.get("op") in changes.UNCHANGED for raw in steps),
        alarms=alarm_changes(steps),
        costs=cost_changes(steps),
    )


def _order(one: ResourceChange) -> tuple[Any, ...]:
    return SEVERITY.index(one.change), not one.loses_data, one.follows, one.component, one.type, one.name


def _is_component(raw: Mapping[str, Any], op: str) -> bool:
    """Whether a step stands in the state only: components, and providers that come and go with others."""
    state = raw.get("newState") or raw.get("oldState") or {}
    is_provider = str(state.get("type", "")).startswith(changes.PROVIDER)
    return (state.get("custom") is False and op in _COMPONENT_OPS) or (is_provider and op in {"create", "delete"})


def _resource_change(step: changes.UpdateStep, raw: Mapping[str, Any], people: Mapping[str, str]) -> ResourceChange:
    old, new = raw.get("oldState") or {}, raw.get("newState") or {}
    before, after = old.get("inputs") or {}, new.get("inputs") or {}
    if step.op == "delete":
        after = {}
    detailed: Mapping[str, Any] = raw.get("detailedDiff") or {}
    forcing = {changes.property_of(path) for path, one in detailed.items() if "replace" in str(one.get("kind"))}
    forced = sorted({*forcing, *map(str, raw.get("replaceReasons") or ())}) if step.op in changes.REPLACED else []
    found: list[tuple[str, str, Any, Any]] = []
    statements: list[StatementChange] = []
    hidden = step.type.startswith(changes.PROVIDER)
    for key in sorted({*before, *after} - {"__defaults"}):
        path = str(key)
        one, other = before.get(key, _ABSENT), after.get(key, _ABSENT)
        if one == other or (hidden and path == "version" and step.op != "update"):
            continue
        policies = _parsed(one), _parsed(other)
        if any(map(is_policy, policies)) and ENGINE_UNKNOWN not in (one, other):
            statements += statement_changes(path, *policies)
        else:
            found += ((path, *difference) for difference in _differences(path, one, other))
    properties = tuple(
        PropertyChange(
            path=path[:300], old=_shown(path, one, people), new=_shown(path, other, people), replaces=key in forced
        )
        for key, path, one, other in found
    )
    shown = {changes.property_of(change.path) for change in properties} | {one.path for one in statements}
    return ResourceChange(
        op=step.op,
        type=step.type,
        name=step.name,
        component=_component(str(new.get("parent") or old.get("parent") or "")),
        change=step.impact,
        properties=properties,
        statements=tuple(statements),
        forced_by=tuple(forced),
        computed=tuple(sorted({changes.property_of(path) for path in detailed} - shown)),
        protected=step.protected,
        retained=step.retained,
    )


_ABSENT: Final = object()
"""Stands for a value that is not there, which is not the same as null."""


def _differences(path: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """Where two values differ, as deep as both have the same shape: path, and what stands there on either side."""
    one, other = _parsed(old), _parsed(new)
    if _is_secret(path) and one != other:  # before its parts: a secret may be a JSON text or an object
        yield path, old, new
    elif isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}, key=str):
            here, there = one.get(key, _ABSENT), other.get(key, _ABSENT)
            if here != there:
                yield from _differences(f"{path}.{key}", here, there)
    elif isinstance(one, list) and isinstance(other, list) and one and other:
        yield from _list_differences(path, one, other)
    elif one != other:
        yield path, one, other


def _list_differences(path: str, old: list[Any], new: list[Any]) -> Iterator[tuple[str, Any, Any]]:
    gone, come = [one for one in old if one not in new], [one for one in new if one not in old]
    if len(gone) == len(come) == 1 and isinstance(gone[0], dict) and isinstance(come[0], dict):
        yield from _differences(f"{path}[{new.index(come[0])}]", gone[0], come[0])
        return
    yield from ((f"{path}[]", one, _ABSENT) for one in gone)
    yield from ((f"{path}[]", _ABSENT, one) for one in come)
    if not gone and not come:  # another order, or one of several equals
        yield path, old, new


def _shown(path: str, value: Any, people: Mapping[str, str]) -> str | None:
    """A value as JSON text; what is too long says how much is missing."""
    if value is _ABSENT:
        return None
    if ENGINE_UNKNOWN in (text := json.dumps(_masked(value), ensure_ascii=False, sort_keys=True)):
        return UNKNOWN
    if _is_secret(path):
        return json.dumps(SECRET)
    if (name := people.get(str(value))) is not None:
        text = f"{name} ({text})"
    if len(text) > _LONGEST:
        return f"{text[:_LONGEST]}… (and {len(text) - _LONGEST} characters)"
    return text


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: SECRET if key in ALWAYS_SECRET else _masked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner) for inner in value]
    # A JSON text within a value may hold what is secret, too.
    parsed = _parsed(value)
    masked = _masked(parsed) if isinstance(parsed, dict | list) else parsed
    return value if masked == parsed else json.dumps(masked, ensure_ascii=False, sort_keys=True)


def _is_secret(path: str) -> bool:
    return path.rpartition(".")[2].split("[")[0] in ALWAYS_SECRET


def _parsed(value: Any) -> Any:
    """The value that a JSON text stands for, where it stands for an object or a list."""
    if isinstance(value, str) and value[:1] in {"{", "["}:
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _component(parent: str) -> str:
    """`Function ingestion` for the URN of that component; nothing for the stack itself."""
    kind, _, name = parent.rpartition("::")
    kind = kind.rpartition("::")[2].rpartition("$")[2].rpartition(":")[2]
    return "" if kind in {"", "Stack"} else f"{kind} {name}"[:300]
