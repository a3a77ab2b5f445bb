"""Brings the stack back to a confirmed release: names mended, the plan looked at, `up --refresh`, then the proof.

Traffic is safe before any of this begins. Whatever would lose data stops here, and a person decides.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from components.naming import CANDIDATE
from release.analysis.watch import right_answers
from release.context import Context
from release.errors import ReleaseError
from release.ledger.ledger import canonical
from release.ledger.lifecycle import ReleaseId, Served
from release.ledger.objects import AlreadyThereError
from release.pulumi.changes import Change, Plan, Step
from release.pulumi.checkpoint import (
    DATA,
    MADE_AGAIN,
    Document,
    Mended,
    Named,
    differences,
    holds,
    mend,
    parse,
    resources_of,
    with_resources,
)
from release.pulumi.stack import HandOver, LockedError, Stack

_LAST_ENTRIES: Final = 12
_MOST_KEPT: Final = 20
_LATELY: Final = 60
"""Entries of the ledger that are searched for what rollbacks have left; an older one is imported by a person."""


@dataclass(frozen=True, slots=True)
class Way:
    """From which release to which."""

    failed: ReleaseId
    target: Served


class DataAtStakeError(ReleaseError):
    """Going on would delete, replace or make anew, empty, what holds data."""


def hand_over_of(target: Served) -> HandOver:
    """What the confirmed program is handed over: its own code for `candidate`, `live` pinned to the stable versions."""
    return HandOver(target.hand_over, target.stable, traffic=0)


def converge(context: Context, stack: Stack, way: Way) -> Mended:
    """Make the stack what the target left, with the target's program. The lease must be held.

    Raises:
        DataAtStakeError: The update was not run, since it would lose data.
        ReleaseError: A step failed; all can be done again.
    """
    confirmed = confirmed_checkpoint(context, way.target)
    mended = mend_record(context, stack, way.failed, confirmed)
    hand_over = hand_over_of(way.target)
    at_stake = data_at_stake(stack.plan(hand_over, refresh=True), {entry["urn"] for entry in resources_of(confirmed)})
    if at_stake:
        raise DataAtStakeError(
            f"bringing the stack back to {way.target.release} would lose data, so it was not done",
            why="; ".join(at_stake),
            next_step="first save the data, or restore what is gone from its backup under its name",
        )
    update(context, stack, hand_over, f"roll back {way.failed} to {way.target.release}")
    return mended


def confirmed_checkpoint(context: Context, target: Served) -> Document:
    """The checkpoint that was stored when `target` was confirmed, checked against the ledger."""
    body = context.own.confirmed_checkpoint(target.release, target.checkpoint_sha256)
    return parse(body, f"the confirmed checkpoint of {target.release}")


def mend_record(context: Context, stack: Stack, failed: ReleaseId, confirmed: Document | None) -> Mended:
    """Give resources their confirmed names back in the stack's record, and settle what a dead update left pending."""
    today = parse(stack.export(), f"the state of {context.stack}")
    mended = mend(today, confirmed)
    for what in ("renamed", "put_back", "settled", "unsettled", "kept", "added"):
        for resource in getattr(mended, what):
            context.console.detail(f"{what.replace('_', ' ')}: {resource}")
    if mended.kept or mended.unsettled:
        # Before they leave the record: nobody must have to search AWS for what a rollback has left there.
        _remember_left(context, failed, mended, today)
    if mended.changed:
        _import(context, stack, mended.document)
    return mended


def _import(context: Context, stack: Stack, document: Document) -> None:
    """The engine checks that all references hold, and clears pending operations."""
    body = json.dumps(document).encode()
    unlocked(context, stack, lambda: stack.import_state(body))


def _remember_left(context: Context, failed: ReleaseId, mended: Mended, today: Document) -> None:
    gone = {(resource.urn, resource.id) for resource in mended.kept}
    entries = [entry for entry in resources_of(today) if (entry["urn"], entry.get("id", "")) in gone]
    body = canonical(
        {
            "schema": 1,
            "kept": [asdict(resource) for resource in mended.kept],
            "unsettled": [asdict(resource) for resource in mended.unsettled],
            "entries": entries,
        }
    )
    for number in range(1, _MOST_KEPT):
        try:
            context.registry.create(_left_key(failed, number), body)
        except AlreadyThereError:
            continue
        return
    raise ReleaseError(
        f"{_MOST_KEPT} rollbacks of {failed} have left resources in AWS",
        why="that many are not looked after any more",
        next_step=f"look at {_left_key(failed, 1)} and so on in {context.registry.bucket}",
    )


def left_in_aws(context: Context, failed: ReleaseId) -> tuple[Named, ...]:
    """What every rollback of `failed` so far has left in AWS without a place in the stack."""
    documents = _left_documents(context, failed)
    found = [Named(**left) for document in documents for left in (*document["kept"], *document["unsettled"])]
    return tuple(dict.fromkeys(found))


def _left_documents(context: Context, failed: ReleaseId) -> Iterator[dict[str, Any]]:
    for number in range(1, _MOST_KEPT):
        stored = context.registry.get(_left_key(failed, number))
        if stored is None:
            return
        yield json.loads(stored.body)


def adopt(context: Context, stack: Stack, hand_over: HandOver, plan: Plan) -> Plan:
    """Give the stack back what an earlier rollback left in AWS and the release makes under the same name; the new plan.

    Otherwise a release that was mended would fail on "already exists". To be called when DEPLOYING is written: what is
    in the record without being in the confirmed program is deleted by a plain update, unless a rollback takes it out.

    Raises:
        DataAtStakeError: The release wants it otherwise than it is, which would replace it.
        ReleaseError: A step failed.
    """
    created = {(step.urn, step.type) for step in plan.steps if step.op == "create"}
    entries = [entry for entry in _left_entries(context) if (entry["urn"], entry["type"]) in created] if created else []
    if not entries:
        return plan
    today = parse(stack.export(), f"the state of {context.stack}")
    _import(context, stack, with_resources(today, entries))
    again = stack.plan(hand_over, refresh=True)
    gone = {step.urn for step in again.steps if step.op == "create"}
    there = [entry for entry in entries if entry["urn"] not in gone]
    if len(there) < len(entries):
        _import(context, stack, with_resources(today, there))  # somebody has deleted it meanwhile
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


def _left_entries(context: Context) -> list[dict[str, Any]]:
    """The entries of what rollbacks have left, the latest first; each resource once."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in reversed(context.ledger.entries(_LATELY)):
        if entry.release is not None and (entry.details.get("report") or {}).get("left_in_aws"):
            for document in reversed(list(_left_documents(context, entry.release))):
                for left in document["entries"]:
                    found.setdefault((left["type"], left["urn"]), left)
    return list(found.values())


def _left_key(failed: ReleaseId, number: int) -> str:
    return f"ledger/releases/{failed.digest}/left-{number}.json"


def data_at_stake(plan: Plan, confirmed: set[str]) -> list[str]:
    """The steps of a plan that would lose data, in words; `confirmed` are the URNs of the confirmed checkpoint."""
    return [line for _, line in _at_stake(plan, confirmed)]


def _at_stake(plan: Plan, confirmed: set[str]) -> Iterator[tuple[Step, str]]:
    for step in plan.steps:
        held = holds(step.type)
        if held and step.change is Change.DESTRUCTIVE and not (step.op == "delete" and step.retained):
            yield step, f"{step}, which holds {held}"
        elif step.op == "create" and step.type in DATA and step.type not in MADE_AGAIN and step.urn in confirmed:
            gone = f"{step.type} {step.name} is gone from AWS with its data ({held})"
            yield step, f"{gone}: it would be made anew, empty"


def update(context: Context, stack: Stack, hand_over: HandOver, message: str) -> None:
    """`up --refresh`; a lock that a dead run of ours left is removed first."""
    unlocked(context, stack, lambda: stack.up(hand_over, refresh=True, message=message))


def unlocked(context: Context, stack: Stack, work: Callable[[], None]) -> None:
    """Do `work`; where a lock of a dead run of ours is in the way, remove it and do it again.

    Raises:
        LockedError: The lock is somebody else's, or nobody can tell: it is left alone.
    """
    try:
        work()
    except LockedError as error:
        if not (error.dead_own or _is_of_a_run_that_is_over(context, error)):
            raise
        context.console.detail("removing the Pulumi lock of a run of ours that is over")
        stack.cancel()
        work()


def _is_of_a_run_that_is_over(context: Context, error: LockedError) -> bool:
    """Whether every lock was made on the machine of a run that is over: we hold the lease, so its holder before is.

    Runners have machines of their own. On our own machine the process is looked for instead (`dead_own`).
    """
    over = {
        entry.run.host
        for entry in context.ledger.entries(_LAST_ENTRIES)
        if entry.run.id != context.run.id and entry.run.host != context.run.host
    }
    hosts = {host for host, _ in error.owners}
    return bool(hosts) and hosts <= over - {""}


def what_differs(context: Context, target: Served, stack: Stack) -> list[str]:
    """Read the cloud and say in what it is not `target`; an empty list is the proof."""
    problems = [problem for function in target.functions for problem in _what_differs_in(context, target, function)]
    context.console.detail(f"code and configuration of {len(target.functions)} live aliases compared")
    right, said = right_answers(target.dashboard_url, target.release, context.settings, context.clock)
    if not right:
        problems.append(f"the URL does not answer as {target.release}: {said}")
    changes = stack.preview(hand_over_of(target)).changes
    context.console.detail(f"preview against the refreshed state: {len(changes)} changes")
    problems += [f"the stack is not converged: {change}" for change in changes]
    today, confirmed = parse(stack.export(), f"the state of {context.stack}"), confirmed_checkpoint(context, target)
    other = differences(today, confirmed)
    context.console.detail(f"{len(resources_of(confirmed))} resources compared with the confirmed checkpoint")
    return [*problems, *other]


def _what_differs_in(context: Context, target: Served, function: str) -> list[str]:
    expected, alias = target.functions[function], context.traffic.alias(function)
    if alias is None or alias.version != expected.version or alias.weights:
        return [f"`live` of {function} is {alias}, not version {expected.version} alone"]
    problems = []
    deployed = context.traffic.deployed(function)
    if deployed.code_sha256 != expected.code_sha256:
        problems.append(f"`live` of {function} serves other code: {deployed.code_sha256}")
    different = sorted(
        key
        for key in {*deployed.configuration, *expected.configuration}
        if deployed.configuration.get(key) != expected.configuration.get(key)
    )
    if different:
        problems.append(f"`live` of {function} has another configuration: {', '.join(different)}")
    candidate = context.traffic.alias(function, CANDIDATE)
    if candidate and context.traffic.deployed(function, CANDIDATE).code_sha256 != expected.code_sha256:
        problems.append(f"`{CANDIDATE}` of {function} is still the failed code")
    return problems
