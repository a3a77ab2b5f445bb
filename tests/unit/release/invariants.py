"""What must be true of production, whatever happened to the processes that changed it."""

import json

from components.naming import LIVE
from components.service.functions import KEYS
from release.ledger.lifecycle import ENDS, LedgerState, State

TRAFFIC_STATES = frozenset({State.CANARY, State.LIVE, State.CONFIRMED})
"""Entering one of these says that the candidate was judged, with the verdicts in the entry."""


def always(world) -> list[str]:
    """What is wrong now, at any moment: between any two calls of any process."""
    context = world.context()
    entries = context.ledger.entries()
    view = context.ledger.view()
    return [
        *context.ledger.verify(),
        *_unjudged(world, entries),
        *_against_a_decision(entries),
        *_lost(view, entries),
        *_overtaken(entries),
    ]


def at_rest(world, *, may_be_off=False) -> list[str]:
    """What is wrong when nobody works on production any more.

    `may_be_off`: no release was ever confirmed, so that `live` may be missing altogether.
    """
    context = world.context()
    view, problems = context.ledger.view(), always(world)
    if view.attempt is not None:
        problems.append(f"run {view.attempt.run.id} is still {view.attempt.state}")
    if view.state not in {*ENDS, None}:
        problems.append(f"{view.state} is no state to rest in")
    if context.lease.holder() is not None:
        problems.append(f"the lease is held by {context.lease.holder()}")
    if world.stack.locked_by is not None:
        problems.append("the stack is locked")
    served = view.confirmed
    problems += _harmful_schedules(world, served.stable if served else {})
    problems += _harmful_rules(world, view)
    if served is None:
        live = [key for key in world.functions.aliases if key[1] == LIVE]
        return problems + ([] if may_be_off or not live else [f"served, though nothing is confirmed: {live}"])
    known = {f"prod-sentiment-{function}" for function in served.stable}
    strangers = [key for key in world.functions.aliases if key[1] == LIVE and key[0] not in known]
    problems += [f"served, though the confirmed release has no such function: {strangers}"] if strangers else []
    for function, version in served.stable.items():
        if world.functions.serves(function) != {version: 1.0}:
            problems.append(f"`live` of {function} serves {world.functions.serves(function)}, not {version}")
    return problems


def _harmful_schedules(world, stable) -> list[str]:
    """Schedules that would change something: one that could not be removed only does once more what was done."""
    calls = [json.loads(schedule["Target"]["Input"]) for schedule in world.scheduler.schedules.values()]
    moves = [call for call in calls if "FunctionName" in call]
    wanted = {f"prod-sentiment-{function}": version for function, version in stable.items()}
    return [
        f"a schedule is left: {move}" for move in moves if wanted.get(move["FunctionName"]) != move["FunctionVersion"]
    ]


def _harmful_rules(world, view) -> list[str]:
    """Rules that would move traffic elsewhere than to the release before, or without an end."""
    wanted = view.baking.stable if view.baking else {}
    moves = [
        move
        for rule in world.events.rules.values()
        if rule["enabled"]
        for target in rule["targets"].values()
        for move in json.loads(target["Input"])
    ]
    found = {move["FunctionName"].removeprefix("prod-sentiment-"): move["FunctionVersion"] for move in moves}
    ends = any(name.endswith(".end.safety") for _, name in world.scheduler.schedules)
    return [f"a rule is left: {found}"] if found and (found != wanted or not ends) else []


def served_by(world, functions=KEYS) -> set[str]:
    """The manifest digests that any `live` of these functions sends any traffic to."""
    return {
        world.functions.manifest_of(function.removeprefix("prod-sentiment-"), version)
        for function, alias in world.functions.aliases
        if alias == LIVE and function.removeprefix("prod-sentiment-") in functions
        for version in world.functions.serves(function.removeprefix("prod-sentiment-"))
    }


def _unjudged(world, entries) -> list[str]:
    """Traffic on a release that no entry lets through with passing verdicts."""
    judged = {entry.release.digest for entry in entries if entry.state in TRAFFIC_STATES and _passed(entry)}
    return [f"traffic on {digest[:12]}, which was never judged" for digest in served_by(world) - judged]


def _passed(entry) -> bool:
    """Whether the last verdict on every subject passed: what was inconclusive may have been taken once more."""
    last = {verdict["subject"]: verdict for verdict in entry.details.get("verdicts", [])}
    return bool(last) and all(
        verdict["outcome"] == "pass" or (verdict["outcome"] == "inconclusive" and verdict["numbers"].get("accepted"))
        for verdict in last.values()
    )


def _overtaken(entries) -> list[str]:
    """Entries of a run whose successor had written already."""
    newest, problems = 0, []
    for entry in entries:
        if 0 < entry.fence < newest:
            problems.append(f"entry {entry.seq} of lease {entry.fence} follows one of lease {newest}")
        newest = max(newest, entry.fence)
    return problems


def _against_a_decision(entries) -> list[str]:
    """Promotions that went on after a person had blocked the release or frozen production."""
    blocked, frozen, despite, problems = set(), False, False, []
    for entry in entries:
        match str(entry.state):
            case "BLOCKED":
                blocked.add(entry.release.digest)
            case "UNBLOCKED":
                blocked.discard(entry.release.digest)
            case "FROZEN" | "THAWED" as state:
                frozen = state == "FROZEN"
            case "LEASED":
                despite = bool(entry.details["despite"].get("freeze"))
            case "ROLLED_BACK" | "ROLLED_BACK_TRAFFIC" | "ROLLBACK_FAILED" if entry.details.get("blocked"):
                blocked.add(entry.details["blocked"])
            case "DARK" | "CANARY" | "LIVE" | "CONFIRMED" as state:
                contracted = bool(entry.reason)  # CONFIRMED again: what the release before needed is deleted
                if not contracted and (entry.release.digest in blocked or (frozen and not despite)):
                    problems.append(f"entry {entry.seq}, {state}, was written against the decision of a person")
    return problems


def _lost(view: LedgerState, entries) -> list[str]:
    """A confirmed release that is not the one to go back to any more, though nothing else was confirmed."""
    expected = None
    for entry in entries:
        if entry.state is State.CONFIRMED or (entry.state is State.ROLLED_BACK and entry.served):
            expected = entry.served.release
    found = view.confirmed.release if view.confirmed else None
    return [] if found == expected else [f"confirmed is {found}, it should be {expected}"]
