"""Brings the stack back to a confirmed release: names repaired, the plan checked, `up --refresh`, then the proof.

Traffic is safe before any of this begins. Whatever would lose data stops here, and a person decides.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

from components.naming import CANDIDATE
from release.analysis.health import await_health
from release.artifacts.store import ReleaseStore
from release.canonical import canonical_json
from release.context import Context
from release.errors import ReleaseError
from release.ledger.ledger import Ledger
from release.ledger.lifecycle import Deployment, ReleaseId
from release.ledger.objects import AlreadyThereError, ObjectStore
from release.pulumi.changes import Impact, UpdatePlan, UpdateStep
from release.pulumi.checkpoint import (
    DATA,
    MADE_AGAIN,
    Document,
    Repair,
    ResourceNote,
    differences,
    holds,
    parse,
    repair,
    resources_of,
    with_resources,
)
from release.pulumi.stack import ReleaseInput, Stack
from release.traffic.aliases import Traffic

_MOST_KEPT: Final = 20
_LATELY: Final = 60
"""Entries of the ledger that are searched for what rollbacks have left; an older one is imported by a person."""


class DataAtStakeError(ReleaseError):
    """Going on would delete, replace or make anew, empty, what holds data."""


def pinned_to(target: Deployment) -> ReleaseInput:
    """Return what the confirmed program is told: its own code for `candidate`, `live` on the stable versions."""
    return ReleaseInput(target.hand_over, target.stable, traffic=0)


def reconcile(context: Context, stack: Stack, failed: ReleaseId, target: Deployment) -> Repair:
    """Make the stack what the target left, with the target's program. The lease must be held.

    Raises:
        DataAtStakeError: The update was not run, since it would lose data.
        ReleaseError: A step failed; all can be done again.
    """
    confirmed = _confirmed_checkpoint(context.releases, target)
    repaired = repair_record(context, stack, failed, confirmed)
    plan = stack.plan(pinned_to(target), refresh=True)
    at_stake = [line for _, line in _at_stake(plan, {entry["urn"] for entry in resources_of(confirmed)})]
    if at_stake:
        raise DataAtStakeError(
            f"bringing the stack back to {target.release} would lose data, so it was not done",
            why="; ".join(at_stake),
            next_step="first save the data, or restore what is gone from its backup under its name",
        )
    stack.up(pinned_to(target), refresh=True, message=f"roll back {failed} to {target.release}")
    return repaired


def _confirmed_checkpoint(releases: ReleaseStore, target: Deployment) -> Document:
    """Return the checkpoint that was stored when `target` was confirmed, checked against the ledger."""
    return parse(releases.confirmed_checkpoint(target), f"the confirmed checkpoint of {target.release}")


def repair_record(context: Context, stack: Stack, failed: ReleaseId, confirmed: Document | None) -> Repair:
    """Give resources their confirmed names back in the stack's record, and settle what a dead update left pending."""
    today = parse(stack.export(), f"the state of {context.stack}")
    repaired = repair(today, confirmed)
    for what in ("renamed", "put_back", "settled", "unsettled", "kept", "added"):
        for resource in getattr(repaired, what):
            context.console.detail(f"{what.replace('_', ' ')}: {resource}")
    if repaired.kept or repaired.unsettled:
        # Before they leave the record: nobody must have to search AWS for what a rollback has left there.
        _remember_left(context.objects, failed, repaired, today)
    if repaired.changed:
        stack.import_state(json.dumps(repaired.document).encode())
    return repaired


def _remember_left(objects: ObjectStore, failed: ReleaseId, repaired: Repair, today: Document) -> None:
    gone = {(resource.urn, resource.id) for resource in repaired.kept}
    body = canonical_json(
        {
            "schema": 1,
            "kept": [asdict(resource) for resource in repaired.kept],
            "unsettled": [asdict(resource) for resource in repaired.unsettled],
            "entries": [entry for entry in resources_of(today) if (entry["urn"], entry.get("id", "")) in gone],
        }
    )
    for number in range(1, _MOST_KEPT):
        try:
            objects.create(_left_key(failed, number), body)
        except AlreadyThereError:
            continue
        return
    raise ReleaseError(
        f"{_MOST_KEPT} rollbacks of {failed} have left resources in AWS",
        why="that many are not looked after any more",
        next_step=f"look at {_left_key(failed, 1)} and so on in {objects.bucket}",
    )


def left_in_aws(objects: ObjectStore, failed: ReleaseId) -> tuple[ResourceNote, ...]:
    """Return what the rollbacks of `failed` have left in AWS without a place in the stack."""
    documents = _left_documents(objects, failed)
    found = [ResourceNote(**left) for document in documents for left in (*document["kept"], *document["unsettled"])]
    return tuple(dict.fromkeys(found))


def _left_documents(objects: ObjectStore, failed: ReleaseId) -> Iterator[dict[str, Any]]:
    for number in range(1, _MOST_KEPT):
        stored = objects.get(_left_key(failed, number))
        if stored is None:
            return
        yield json.loads(stored.body)


def adopt(context: Context, stack: Stack, hand_over: ReleaseInput, plan: UpdatePlan) -> UpdatePlan:
    """Give the stack back what an earlier rollback left in AWS and the release makes under the same name; the new plan.

    Otherwise a release that was fixed would fail on "already exists". To be called when DEPLOYING is written: what is
    in the record without being in the confirmed program is deleted by a plain update, unless a rollback takes it out.

    Raises:
        DataAtStakeError: The release wants it otherwise than it is, which would replace it.
        ReleaseError: A step failed.
    """
    created = {(step.urn, step.type) for step in plan.steps if step.op == "create"}
    left = _left_entries(context.ledger, context.objects) if created else []
    entries = [entry for entry in left if (entry["urn"], entry["type"]) in created]
    if not entries:
        return plan
    today = parse(stack.export(), f"the state of {context.stack}")
    stack.import_state(json.dumps(with_resources(today, entries)).encode())
    again = stack.plan(hand_over, refresh=True)
    gone = {step.urn for step in again.steps if step.op == "create"}
    there = [entry for entry in entries if entry["urn"] not in gone]
    if len(there) < len(entries):
        stack.import_state(json.dumps(with_resources(today, there)).encode())  # somebody has deleted it meanwhile
    for entry in there:
        context.console.detail(f"taken over from AWS: {entry['type']} {entry['id']}, left by an earlier rollback")
    adopted = {entry["urn"] for entry in there}
    at_stake = [line for step, line in _at_stake(again, set()) if step.urn in adopted]
    if at_stake:
        raise DataAtStakeError(
            "the release would replace what an earlier rollback has left in AWS",
            why="; ".join(at_stake),
            next_step="declare it as it is, or delete it by hand when nobody needs its data",
        )
    return again


def _left_entries(ledger: Ledger, objects: ObjectStore) -> list[dict[str, Any]]:
    """The entries of what rollbacks have left, the latest first; each resource once."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in reversed(ledger.entries(_LATELY)):
        if entry.release is not None and (entry.details.get("report") or {}).get("left_in_aws"):
            for document in reversed(list(_left_documents(objects, entry.release))):
                for left in document["entries"]:
                    found.setdefault((left["type"], left["urn"]), left)
    return list(found.values())


def _left_key(failed: ReleaseId, number: int) -> str:
    return f"ledger/releases/{failed.digest}/left-{number}.json"


def _at_stake(plan: UpdatePlan, confirmed: set[str]) -> Iterator[tuple[UpdateStep, str]]:
    for step in plan.steps:
        held = holds(step.type)
        if held and step.impact is Impact.DESTRUCTIVE and not (step.op == "delete" and step.retained):
            yield step, f"{step}, which holds {held}"
        elif step.op == "create" and step.type in DATA and step.type not in MADE_AGAIN and step.urn in confirmed:
            gone = f"{step.type} {step.name} is gone from AWS with its data ({held})"
            yield step, f"{gone}: it would be made anew, empty"


def what_differs(context: Context, target: Deployment, stack: Stack) -> list[str]:
    """Read the cloud and say in what it is not `target`; an empty list is the proof."""
    problems = [
        problem for function in target.functions for problem in _what_differs_in(context.traffic, target, function)
    ]
    context.console.detail(f"code and configuration of {len(target.functions)} live aliases compared")
    if complaint := await_health(target.dashboard_url, target.release, context.settings, context.clock):
        problems.append(f"the URL does not answer as {target.release}: {complaint}")
    changes = stack.preview(pinned_to(target))
    context.console.detail(f"preview against the refreshed state: {len(changes)} changes")
    problems += [f"the stack is not converged: {change}" for change in changes]
    today, confirmed = (
        parse(stack.export(), f"the state of {context.stack}"),
        _confirmed_checkpoint(context.releases, target),
    )
    other = differences(today, confirmed)
    context.console.detail(f"{len(resources_of(confirmed))} resources compared with the confirmed checkpoint")
    return [*problems, *other]


def _what_differs_in(traffic: Traffic, target: Deployment, function: str) -> list[str]:
    expected = target.functions[function]
    if moved := traffic.moved({function: expected.version}):
        return moved
    problems = []
    deployed = traffic.deployed(function)
    if deployed.code_sha256 != expected.code_sha256:
        problems.append(f"`live` of {function} serves other code: {deployed.code_sha256}")
    different = sorted(
        key
        for key in {*deployed.configuration, *expected.configuration}
        if deployed.configuration.get(key) != expected.configuration.get(key)
    )
    if different:
        problems.append(f"`live` of {function} has another configuration: {', '.join(different)}")
    candidate = traffic.alias(function, CANDIDATE)
    if candidate and traffic.deployed(function, CANDIDATE).code_sha256 != expected.code_sha256:
        problems.append(f"`{CANDIDATE}` of {function} is still the failed code")
    return problems
