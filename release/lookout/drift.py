"""Drift: what AWS has, compared with what the release that is served has made.

The program of that release is previewed with a refresh against a copy of the stack's state, in a backend that is thrown
away. The state's secrets stay sealed: who looks has no key that opens them, so they are taken out and not compared.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from components.naming import PROJECT
from release.artifacts.program import archive
from release.context import Context
from release.ledger.lifecycle import Deployment, LedgerState
from release.preview.compare import SECRET, plan_of
from release.preview.copy import without_secrets
from release.preview.engine import refreshed
from release.preview.plan import Against, Head, PropertyChange, ResourceChange
from release.preview.state import deployed_state
from release.pulumi import stack_config
from release.pulumi.stack import CONFIG_KEY, ReleaseInput
from release.reports import Observation, Readiness

SETTINGS: Final[Mapping[tuple[str, str], str]] = {
    ("aws:lambda/function:Function", "memorySize"): "functionMemoryMb",
    ("aws:lambda/function:Function", "timeout"): "functionTimeoutSeconds",
    ("aws:cloudwatch/logGroup:LogGroup", "retentionInDays"): "logRetentionDays",
    ("aws:scheduler/schedule:Schedule", "scheduleExpression"): "scheduleExpression",
}
"""Properties whose value is a setting of the stack file."""
_MOST_LINES: Final = 20


def look_for_drift(context: Context, view: LedgerState) -> list[Observation]:
    """What AWS has otherwise than the release that `view` calls served; empty where nothing is.

    Raises:
        ReleaseError: The state, the program or AWS could not be read: nobody knows whether anything differs.
    """
    served = view.served
    if served is None:
        return []
    deployment = state_of(context)
    config = stack_config.stack_values(context.stack, context.repo, os.environ)
    with context.program(_program(context, served)) as stack:
        own = stack_config.stack_values(context.stack, stack.program, os.environ)
        handed = {CONFIG_KEY: _handed_over(context.stack, served).as_config_value()}
        with context.console.step(f"comparing AWS with what {served.release} has made"):
            settled = {name: one for name, one in deployment.items() if name != "pending_operations"}
            document = refreshed(stack.program, context.stack, own | handed, settled)
    return [
        *_interrupted(context.stack, deployment),
        *differences(context.stack, served, document, config, context.repo),
    ]


def state_of(context: Context) -> dict[str, Any]:
    """The deployment in the state of the stack, without its secrets and without the name of the key that opens them.

    Raises:
        ReleaseError: It is not there, or cannot be read.
    """
    deployment = deployed_state(context).deployment
    kept = ("manifest", "resources", "pending_operations")
    return without_secrets({name: deployment[name] for name in kept if deployment.get(name)})


def differences(
    stack: str, served: Deployment, document: Mapping[str, Any], config: Mapping[str, Any], repo: Path
) -> Iterator[Observation]:
    """One observation for each resource that differs, from the engine's document of a refreshed preview."""
    plan = plan_of(document, stack=stack, head=Head(sha=served.release.sha), against=Against(kind="state"))
    for change in plan.changes:
        if change.follows:  # an alias of a function that differs: undoing that would make a new version
            continue
        properties = [one for one in change.properties if not _is_secret(one)]
        if change.op == "update" and not properties and not change.statements:
            continue
        named = f"{change.short_type} {change.name}"
        lines = [*_what(change), *map(_property_line, properties)]
        lines += [f"{one.path}: AWS {'lacks' if one.added else 'has'} {one.statement}" for one in change.statements]
        left = len(lines) - _MOST_LINES
        yield Observation(
            key=f"drift of {change.type} {change.name}",
            verdict=Readiness.FAILED,
            title=f"{named} is not what the release has made",
            lines=(*lines[:_MOST_LINES], *([f"and {left} more"] if left > 0 else [])),
            fixes=(_undo(stack, served), _keep(stack, change, properties, config, repo)),
        )


def _program(context: Context, served: Deployment) -> bytes:
    if context.stack == "preprod":  # nothing is rolled back there, so no program is kept
        return archive(context.repo, served.release.sha, context.stack)
    return context.releases.confirmed_program(served)


def _handed_over(stack: str, served: Deployment) -> ReleaseInput:
    if stack == "preprod":
        return ReleaseInput(served.hand_over, {}, 100, confirmed=True)
    return ReleaseInput(served.hand_over, served.stable, traffic=0)


def _interrupted(stack: str, deployment: Mapping[str, Any]) -> Iterator[Observation]:
    pending = deployment.get("pending_operations") or ()
    if pending:
        yield Observation(
            key="interrupted update",
            verdict=Readiness.FAILED,
            title="an update of the stack was interrupted",
            lines=tuple(f"{one.get('type')} {one.get('resource', {}).get('urn', '')}" for one in pending[:_MOST_LINES]),
            fixes=(f"release reap --stack {stack}; if it has nothing to do: pulumi refresh --stack {stack}",),
        )


def _is_secret(one: PropertyChange) -> bool:
    return any(SECRET in (side or "") for side in (one.old, one.new))


def _what(change: ResourceChange) -> Iterator[str]:
    match change.op:
        case "create":
            yield "AWS does not have it any more"
        case "delete":
            yield "the program does not have it"
        case "update":
            return
        case other:
            yield f"the program could only {other} it"


def _property_line(one: PropertyChange) -> str:
    return f"{one.path}: the release has made {one.new or 'nothing'}, AWS has {one.old or 'nothing'}"


def _undo(stack: str, served: Deployment) -> str:
    if stack == "preprod":
        return f"to undo it: pulumi up --refresh --stack {stack}"
    return f"to undo it: release rollback --stack {stack} --to {served.release.digest[:12]} --reason 'undo a change'"


def _keep(
    stack: str, change: ResourceChange, properties: list[PropertyChange], config: Mapping[str, Any], repo: Path
) -> str:
    """Where the difference is written into the repository, if it is to stay."""
    if change.op == "create":
        return f"to leave it away: take it out of {_file_of(change, repo)}, and release that"
    if change.op != "update":
        return f"to keep it: write it into {_file_of(change, repo)}, and release that"
    edits = []
    for one in properties:
        setting = SETTINGS.get((change.type, one.path))
        if setting is None or one.old is None:
            continue
        set_there = "change" if f"{PROJECT}:{setting}" in config else "add"
        edits.append(f"{set_there} `{PROJECT}:{setting}: {one.old}` in Pulumi.{stack}.yaml (for all functions)")
    if len(edits) < len(properties) or change.statements:
        paths = ", ".join(one.path for one in properties if (change.type, one.path) not in SETTINGS)
        edits.append(f"write {paths or 'the policy'} into {_file_of(change, repo)}")
    return f"to keep it: {'; '.join(edits)}, and release that"


def _file_of(change: ResourceChange, repo: Path) -> str:
    """The files of the program that make resources of this type."""
    module, _, last = change.type.partition(":")[2].partition("/")
    makes = re.compile(rf"\baws\.{re.escape(module)}_?\.{re.escape(last.rpartition(':')[2])}\(")
    folder = repo / "components" / "service"
    found = [file.name for file in sorted(folder.glob("*.py")) if makes.search(file.read_text(encoding="utf-8"))]
    return ", ".join(f"components/service/{name}" for name in found) or "components/service/"
