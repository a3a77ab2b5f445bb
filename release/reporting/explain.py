"""One release's whole story: what, who, when and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from release.analysis.verdict import Verdict
from release.context import Context
from release.errors import UsageError
from release.ledger.lifecycle import PROMISES, Entry, LedgerState, ReleaseId, State
from release.oncall.pager import console_url
from release.reporting.status import attempts, new_verdicts, style_of
from release.reporting.workflow_summary import rollback_lines, verdict_line
from release.reports import NamedRelease, RollbackReport, StoryReport, ToldEntry
from release.text import one_line

_SHORTEST_NAME: Final = 4
_SHOWN_SAID: Final = 500
_SHOWN_EVIDENCE: Final = 6
"""Points of the course of the evidence."""


def explain(context: Context, wanted: str | None) -> StoryReport:
    """The story of the release that `wanted` names; of the newest one without it.

    Raises:
        UsageError: Nothing, or more than one release, is meant.
    """
    entries, view = context.ledger.entries(), context.ledger.view()
    release = _release(context.stack, entries, wanted)
    return story(context, view, release, [entry for entry in entries if entry.release == release])


def story(context: Context, view: LedgerState, release: ReleaseId, entries: Sequence[Entry]) -> StoryReport:
    """What the entries of one release say; `view` is the environment as it stands now."""
    last = next((entry for entry in reversed(entries) if isinstance(entry.state, State)), None)
    return StoryReport(
        stack=context.stack,
        release=NamedRelease.of(release),
        state=last.state if last and isinstance(last.state, State) else None,
        promise=PROMISES[last.state] if last and isinstance(last.state, State) else "",
        stands=_stands(view, release),
        blocked=view.blocked.get(release.digest, ""),
        url=console_url(context, last.seq) if last else "",
        entries=tuple(
            ToldEntry(entry=entry, new_verdicts=tuple(new_verdicts(attempt, place)))
            for attempt in attempts(entries)
            for place, entry in enumerate(attempt)
        ),
    )


def _release(stack: str, entries: Sequence[Entry], wanted: str | None) -> ReleaseId:
    known = {entry.release.digest: entry.release for entry in entries if entry.release}
    if wanted is None:
        if not known:
            raise UsageError(f"nothing was ever released to {stack}", next_step="release promote --help")
        return next(entry.release for entry in reversed(entries) if entry.release)
    name = wanted.lower()
    found = [release for release in known.values() if len(name) >= _SHORTEST_NAME and release.fits(name)]
    if len(found) != 1:
        raise UsageError(
            f"{one_line(wanted, 80)!r} names {len(found) or 'no'} release{'' if len(found) == 1 else 's'} "
            f"that the ledger of {stack} knows",
            why=f"it takes a manifest digest or a commit (at least {_SHORTEST_NAME} digits)",
            next_step=f"release history --stack {stack}",
        )
    return found[0]


def _stands(view: LedgerState, release: ReleaseId) -> str:
    """What the release is to the environment now."""
    if view.attempt is not None and view.attempt.release == release:
        return "under way"
    if view.confirmed is not None and view.confirmed.release == release:
        return "confirmed: what users get, and what every rollback goes back to"
    if release.digest in view.blocked:
        return "blocked"
    if any(place.release == release for place in view.confirmations):
        return (
            f"confirmed before: release rollback --stack {view.stack} --to {release.digest[:12]} --reason ... goes back"
        )
    return "not live"


def story_picture(report: StoryReport) -> RenderableType:
    """The story for people."""
    release, state = report.release, report.state or ""
    parts: list[RenderableType] = [
        Text.assemble(
            f"{report.stack}: release {release.sha[:12]} (manifest {release.manifest[:12]}) ",
            (state, style_of(state)),
            f" - {report.promise}" if report.promise else "",
        ),
        Text(f"now: {report.stands}"),
    ]
    if report.blocked:
        parts.append(Text(f"blocked: {one_line(report.blocked, _SHOWN_SAID)}", style="yellow"))
    for told in report.entries:
        parts += ["", *_entry_parts(told.entry, told.new_verdicts)]
    if report.url:
        parts.append(Text(f"ledger: {report.url}", style="dim"))
    return Group(*parts)


def _entry_parts(entry: Entry, new_verdicts: Sequence[Verdict]) -> list[RenderableType]:
    run, details = entry.run, entry.details
    parts: list[RenderableType] = [
        Text.assemble(
            (f"{entry.seq:>4} ", "dim"),
            (entry.state, style_of(entry.state)),
            f"  {entry.at}  {one_line(run.actor, 40)}, run {one_line(run.id, 40)}",
            (f"  {one_line(run.url)}" if run.url else "", "dim"),
        )
    ]
    told: list[tuple[str, str]] = []
    if details.get("rule"):
        told.append((f"refused by rule {details['rule']}", "yellow"))
    if entry.reason:
        told.append((f"because: {one_line(entry.reason, _SHOWN_SAID)}", ""))
    told += _prepared_lines(details)
    told += [(f"{name}: {one_line(details[key], _SHOWN_SAID)}", "") for key, name in _SAID.items() if details.get(key)]
    told += [
        (f"despite {rule}: {one_line(why, _SHOWN_SAID)}", "magenta")
        for rule, why in (details.get("despite") or {}).items()
    ]
    told += [
        (f"variable {name}={one_line(value, _SHOWN_SAID)}", "magenta")
        for name, value in (details.get("settings") or {}).items()
    ]
    for verdict in new_verdicts:
        told += _verdict_lines(verdict)
    if isinstance(details.get("report"), dict) and "verified" in details["report"]:
        report = RollbackReport.model_validate(details["report"])
        told += [(line, "") for line in rollback_lines(report)]
        told += [(f"not everybody was told: {one_line(why)}", "") for why in report.complaints]
    if details.get("blocked"):
        told.append((f"blocks release {str(details['blocked'])[:12]}", ""))
    parts += [Padding(Text(line, style=style), (0, 0, 0, 5), expand=False) for line, style in told]
    return parts


_SAID: Final[Mapping[str, str]] = {
    "why": "why",
    "next_step": "way forward",
    "path": "path",
    "deadline": "traffic goes back automatically at",
    "was": "was",
    "baking_until": "an alarm takes traffic back until",
    "no_bake": "no bake",
    "ended_run": "ends the dead run",
    "superseded_run": "calls off run",
}


def _prepared_lines(details: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What ARMED has proven: the tests that passed, the rollback, and what the update changes."""
    told = []
    validation, back_to, changes = details.get("validation"), details.get("back_to"), details.get("changes")
    if validation:
        told.append(
            (f"validated: {validation['tests']} tests, {validation['failed']} failed, at {validation['at']}", "")
        )
    if back_to:
        told.append((f"the rollback to {back_to['sha'][:12]} is proven", ""))
    if changes:
        told += [(f"changes: {one_line(change, _SHOWN_SAID)}", "") for change in changes]
    if plan := details.get("plan"):
        told.append((f"plan {plan['digest'][:12]}: {len(plan.get('changes') or ())} resources change", ""))
    if approval := details.get("approval"):
        told.append((f"approved: plan {approval['digest'][:12]} from state {approval['serial'][:12]}", ""))
    if details.get("set_aside"):
        told.append((f"muted alarms: {', '.join(details['set_aside'])}", "magenta"))
    return told


def _duel_lines(numbers: Mapping[str, Any]) -> Iterator[str]:
    """The numbers of a duel (release/analysis/duel.py) in words."""
    yield (
        f"{numbers['pairs']} pairs ({numbers['stable_asked']} answers of the stable version): failed "
        f"{numbers['failed']} and {numbers['stable_failed']}, only the candidate {numbers['only_candidate_failed']}, "
        f"only the stable version {numbers['only_stable_failed']}; {numbers['errors']} answers say nothing"
    )
    times = numbers["latency_ms"]
    if own := times.get("candidate"):
        beside = times.get("stable", {})
        quantiles = (
            f"{name} {ms:g}{f' (stable {beside[name]:g})' if name in beside else ''}" for name, ms in own.items()
        )
        yield f"latency in ms: {', '.join(quantiles)}"
    if course := numbers["evidence"]:
        step = max(1, len(course) // _SHOWN_EVIDENCE)
        shown = [*course[::step][: _SHOWN_EVIDENCE - 1], course[-1]]
        points = ", ".join(f"{broken:+.1f} and {worse:+.1f} after {asked}" for asked, broken, worse in shown)
        yield f"evidence that it is broken, and worse than the stable version, in powers of ten: {points}"
    for difference in numbers["differing"]:
        yield f"differs: {one_line(difference, _SHOWN_SAID)}"


def _verdict_lines(verdict: Verdict) -> Iterator[tuple[str, str]]:
    yield verdict_line(verdict), {"pass": "green", "fail": "red"}.get(verdict.outcome, "yellow")
    yield f"  rule: {verdict.rule}", "dim"
    if "pairs" in verdict.numbers:
        yield from ((f"  {line}", "dim") for line in _duel_lines(verdict.numbers))
    elif verdict.numbers:
        yield f"  numbers: {', '.join(f'{name} {value}' for name, value in verdict.numbers.items())}", "dim"
    for sample in verdict.samples:
        yield f"  sample {one_line(sample.name, 60)}: {sample.taken} {one_line(sample.said, _SHOWN_SAID)}", "dim"
