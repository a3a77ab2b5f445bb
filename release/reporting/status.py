"""What an environment serves and how it came to that: the ledger's view beside the cloud as it is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from pydantic import TypeAdapter
from rich.console import Console as RichConsole
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from components.naming import CANDIDATE, LIVE
from components.service.functions import KEYS
from release.analysis.verdict import Verdict
from release.console import columns
from release.context import Context
from release.errors import ReleaseError
from release.ledger.ledger import Ledger
from release.ledger.lifecycle import PROMISES, Decision, Deployment, Entry, LedgerState, Rollout, Run, State
from release.oncall import advice
from release.reports import (
    BakeReport,
    HistoryReport,
    LeaseReport,
    NamedRelease,
    SafetyReport,
    ServedRelease,
    StatusReport,
)
from release.text import one_line
from release.traffic.aliases import Alias, astray
from release.traffic.bake import Bake, gone_back, may_be_taken_back
from release.traffic.failsafe import Failsafe

_FOLLOW_EVERY_S: Final = 2.0  # real seconds: a person looks at it
_ATTEMPT_ENTRIES: Final = 12  # more than an attempt that is resumed and rolled back writes
_SHOWN_REASON: Final = 200
_ASTRAY: Final = "the live aliases are not what the ledger recorded"

_VERDICTS: Final = TypeAdapter(list[Verdict])
_STYLES: Final[Mapping[str, str]] = {
    State.CONFIRMED: "green",
    State.VALIDATED: "green",
    State.ROLLED_BACK: "yellow",
    State.ROLLING_BACK: "yellow",
    State.REFUSED: "yellow",
    State.ROLLED_BACK_TRAFFIC: "bold red",
    State.ROLLBACK_FAILED: "bold red",
    **dict.fromkeys(Decision, "magenta"),
}


def status(context: Context) -> StatusReport:
    """Ledger, lease, aliases and safety schedules of one environment."""
    # The lease first: a run ends its lease after its last entry, so that no run is taken for dead that has just ended.
    lease = context.lease.holder()
    view = context.ledger.view()
    lease = lease or (context.lease.holder() if view.attempt else None)  # a run may have begun at this moment
    known = view.served or view.confirmed
    functions = {
        name: {alias: context.traffic.alias(name, alias) for alias in (LIVE, CANDIDATE)}
        for name in (dict.fromkeys((*known.functions, *KEYS)) if known else ())
    }
    found = astray({name: aliases[LIVE] for name, aliases in functions.items()}, known.stable if known else {})
    # Who is at work moves traffic: also a run that has begun while this looked.
    busy = lease or view.attempt or (found and context.lease.holder())
    elsewhere = [] if busy else found
    promise = PROMISES[view.state] if view.state else "nothing was ever released here"
    baking = _baking(context.bake, view, {name: aliases[LIVE] for name, aliases in functions.items()})
    taken_back = bool(elsewhere and baking and baking.fired)
    if taken_back and view.baking:
        promise = f"an alarm has taken traffic back to {view.baking.to}: {'; '.join(map(str, elsewhere))}"
    elif elsewhere:
        promise = f"{_ASTRAY}: {'; '.join(map(str, elsewhere))}"
    attempt, confirmed, newest = view.attempt, _release(view.confirmed), context.ledger.entries(1)
    return StatusReport(
        stack=context.stack,
        at=context.clock.stamp(),
        state=view.state,
        promise=promise,
        next_step=advice.next_step(view, elsewhere, left=lease is None, taken_back=taken_back),
        # At the top as well: what a workflow's summary shows of the environment.
        **(confirmed.model_dump(include={"sha", "manifest", "dashboard_url"}) if confirmed else {}),
        confirmed=confirmed,
        serves=_release(view.served),
        candidate=NamedRelease.of(attempt.release) if attempt and attempt.release else None,
        last_entry=newest[0] if newest else None,
        under_way=attempt,
        lease=LeaseReport(**lease, held_s=_seconds(lease["since"], context.clock.now())) if lease else None,
        functions=functions,
        as_recorded=not found,
        astray=tuple(map(str, elsewhere)),
        safety=_safety(context.failsafe, list(functions)) if context.stack != "preprod" else SafetyReport(pending={}),
        baking=baking,
        no_bake=view.no_bake if view.state is State.CONFIRMED else "",
        contract_pending=view.contract_pending,
        frozen=view.frozen,
        blocked=view.blocked,
        rollbacks_in_a_row=view.rollbacks,
    )


def history(ledger: Ledger, newest: int, *, verify: bool) -> HistoryReport:
    """The last entries, newest first; with `verify` also what is wrong with the chain."""
    report = HistoryReport(stack=ledger.stack, entries=tuple(reversed(ledger.entries(newest))))
    return report.model_copy(update={"problems": ledger.verify()}) if verify else report


def follow(context: Context, out: RichConsole, *, every_s: float = _FOLLOW_EVERY_S) -> StatusReport:
    """Draw the environment again every `every_s` real seconds until no run is at work, and return its last status.

    The last picture stays. Where `out` is no terminal it is the only one.
    """
    idle = 0
    with Live(console=out, auto_refresh=False) as live:
        while True:
            document = status(context)
            newest = attempts(context.ledger.entries(_ATTEMPT_ENTRIES))
            live.update(picture(document, newest[-1] if newest else ()), refresh=True)
            # A run that begins or ends is between lease and ledger for a moment: only the second look counts.
            idle = 0 if document.lease else idle + 1
            if idle > 1 or (idle and document.under_way is None):
                return document
            time.sleep(every_s)


def attempts(entries: Sequence[Entry]) -> list[list[Entry]]:
    """The entries of each attempt, oldest first: each begins with LEASED (or BUILT)."""
    found: list[list[Entry]] = []
    for entry in entries:
        if not found or entry.state in {State.LEASED, State.BUILT}:
            found.append([])
        found[-1].append(entry)
    return found


def picture(document: StatusReport, entries: Sequence[Entry] = ()) -> RenderableType:
    """The status for people; with the entries of an attempt also how far it has come."""
    state = document.state or "untouched"
    promise = (document.promise, "bold red" if document.astray else "")
    headline = Text.assemble(f"{document.stack}: ", (state, style_of(state)), " - ", promise)
    parts: list[RenderableType] = [headline, _facts(document)]
    if document.functions:
        parts.append(_aliases(document))
    if entries:
        parts.append(history_table(entries))
    if document.next_step:
        parts.append(Text(f"next: {one_line(document.next_step)}", style="bold"))
    return Group(*parts)


def _facts(document: StatusReport) -> Table:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    for name, value, style in (*_what_is(document), *_what_is_open(document)):
        if value:
            facts.add_row(name, Text(one_line(value), style=style))
    return facts


def _what_is(document: StatusReport) -> Iterator[tuple[str, str, str]]:
    """What is confirmed, live and under way, and who is at work: name, value, style."""
    serves, confirmed = document.serves, document.confirmed
    yield "confirmed", _named(confirmed) or "no release yet", ""
    if serves and (not confirmed or serves.manifest != confirmed.manifest):
        yield "serves", _named(serves), ""
    lease, last = document.lease, document.last_entry
    if document.under_way:
        yield from _what_is_under_way(document.under_way, document.at, orphan=lease is None)
    elif last:
        named = f"{last.release.sha[:12]} " if last.release else ""
        reason = one_line(last.reason, _SHOWN_REASON)
        because = f"because: {reason}" if reason else ""
        yield "last", f"{named}{last.state} at {last.at} by {_who(last.run)} {because}", ""
    held = f"run {lease.run.id} of {_who(lease.run)} for {_span(lease.held_s)}: {lease.what}" if lease else ""
    yield "lease", held or "nobody holds it", ""


def _what_is_under_way(attempt: Rollout, now: str, *, orphan: bool) -> Iterator[tuple[str, str, str]]:
    run = attempt.run
    named = f"{attempt.release.sha[:12]} " if attempt.release else ""
    begun = f"{named}{attempt.state}, begun at {attempt.began_at} by {_who(run)}, run {run.id}"
    yield "under way", begun, "bold"
    yield "run", run.url, ""
    if orphan:
        yield "", "nobody holds the lease: that run has ended or died", "bold red"
    if attempt.deadline:
        left = _seconds(now, datetime.fromisoformat(attempt.deadline))
        yield "deadline", f"{attempt.deadline} ({_span(left)} left): then the schedules take traffic back", ""


def _what_is_open(document: StatusReport) -> Iterator[tuple[str, str, str]]:
    """What stands in the way of the next release, or waits for somebody."""
    if baking := document.baking:
        left = _seconds(document.at, datetime.fromisoformat(baking.until))
        to = f"an alarm takes traffic back to {baking.to.sha[:12]}"
        state = {True: "", False: "; nothing is armed any more", None: "; whether that is armed could not be read"}
        yield "baking", f"until {baking.until} ({_span(left)} left): {to}{state[baking.armed]}" if left > 0 else "", ""
    yield "bake", f"none: {document.no_bake}" if document.no_bake else "", ""
    for function, at in document.safety.pending.items():
        yield "schedule", f"{function}: back to its stable version at {at}", ""
    yield "schedules", document.safety.unknown, "yellow"
    stable = document.serves.versions if document.serves else {}
    new = [name for name, aliases in document.functions.items() if aliases[LIVE] and name not in stable]
    for function in new if document.under_way else ():
        yield "", f"{function}: new in this release, so no schedule takes it back: release reap does", "yellow"
    left = "the confirmed release has left things to delete" if document.contract_pending else ""
    yield "contract", left, "yellow"
    yield "frozen", document.frozen, "bold yellow"
    in_a_row = document.rollbacks_in_a_row
    yield "rolled back", f"{in_a_row} in a row since the last confirmation" if in_a_row else "", "yellow"
    for digest, why in document.blocked.items():
        yield "blocked", f"{digest[:12]}: {one_line(why, _SHOWN_REASON)}", ""
    yield "look", document.dashboard_url, ""


def _aliases(document: StatusReport) -> Table:
    table = columns("function", LIVE, CANDIDATE)
    for name, aliases in document.functions.items():
        table.add_row(name, *(_version(aliases[alias]) for alias in (LIVE, CANDIDATE)))
    return table


def new_verdicts(entries: Sequence[Entry], place: int) -> list[Verdict]:
    """The verdicts of one entry that none before it has: each state of an attempt repeats those that led to it."""
    before = [verdict for entry in entries[:place] for verdict in _verdicts(entry)]
    return [verdict for verdict in _verdicts(entries[place]) if verdict not in before]


def _verdicts(entry: Entry) -> list[Verdict]:
    return _VERDICTS.validate_python(entry.details.get("verdicts", ()))


def history_table(entries: Sequence[Entry]) -> Table:
    """Entries for people; decisions stand out, with who took them and why."""
    table = columns("entry", "at (UTC)", "state", "release", "who", "run", "why")
    for entry in entries:
        table.add_row(
            str(entry.seq),
            entry.at[:19].replace("T", " "),
            Text(entry.state, style=style_of(entry.state)),
            entry.release.sha[:12] if entry.release else "-",
            Text(one_line(entry.run.actor, 24)),
            Text(one_line(entry.run.id, 24)),
            Text(one_line(entry.reason, _SHOWN_REASON)),
        )
    return table


def style_of(state: str) -> str:
    """How a state looks."""
    return _STYLES.get(state, "cyan")


def _safety(failsafe: Failsafe, functions: list[str]) -> SafetyReport:
    """The one-time schedules that would take traffic back. Not knowing them is shown, never taken for none."""
    try:
        pending = failsafe.pending(functions)
    except ReleaseError as error:
        return SafetyReport(pending={}, unknown=f"could not be read: {error.what} ({error.why})")
    return SafetyReport(
        pending={name: f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for name, at in sorted(pending.items())}
    )


def _baking(bake: Bake, view: LedgerState, there: Mapping[str, Alias | None]) -> BakeReport | None:
    """How the confirmed release bakes, or did; the schedule that ends it tells whether it is armed."""
    if view.baking is None or view.confirmed is None or not may_be_taken_back(view):
        return None
    until, to = view.baking.until, NamedRelease.of(view.baking.to)
    fired = gone_back(there, view.confirmed.stable, view.baking.stable)
    try:
        return BakeReport(until=until, to=to, armed=bake.ends() is not None, fired=fired)
    except ReleaseError:
        return BakeReport(until=until, to=to, fired=fired)


def _version(alias: Alias | None) -> str:
    if alias is None:
        return "-"
    weights = "".join(f" + {share:.0%} on {version}" for version, share in alias.weights.items())
    return f"{alias.version}{weights}"


def _named(release: ServedRelease | None) -> str:
    return f"{release.sha[:12]} (manifest {release.manifest[:12]}) since {release.at}" if release else ""


def _who(run: Run) -> str:
    return one_line(run.actor or run.id, 40)


def _seconds(since: str, now: datetime) -> float:
    return round((now - datetime.fromisoformat(since)).total_seconds(), 1)


def _span(seconds: float) -> str:
    """A length of time for people."""
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{max(0.0, seconds):.1f} s"


def _release(served: Deployment | None) -> ServedRelease | None:
    if served is None:
        return None
    return ServedRelease(
        sha=served.release.sha,
        manifest=served.release.digest,
        at=served.at,
        versions=served.stable,
        dashboard_url=served.dashboard_url,
    )
