"""The end of a command: lines for people, one JSON document for machines, outputs and a summary for the workflow."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from release.analysis.verdict import Verdict
from release.oncall.advice import how_to_treat
from release.reports import (
    AuditReport,
    BakeReport,
    DecisionReport,
    DoctorReport,
    KeptReport,
    NoticeReport,
    ReleaseReport,
    Report,
    RollbackReport,
    RouteReport,
    StatusReport,
    WatchReport,
)
from release.text import block, link, one_line, title

_OUTPUTS: Final = ("state", "sha", "manifest", "dashboard_url", "environment", "path", "approval")
_LONGEST_WHY: Final = 300


def lines(report: Report) -> list[str]:
    """What happened, in a few lines."""
    if whole := _whole(report):
        return whole
    told = [": ".join(filter(None, [report.stack, report.state]))] if report.state else []
    if report.sha:
        told.append(f"release {report.sha[:12]}, manifest {report.manifest[:12]}")
    match report:
        case RouteReport():
            told.append(f"goes through {report.environment}: {one_line(report.reason, _LONGEST_WHY)}")
            told += [
                f"{commit.sha[:12]} {'automatic' if commit.automatic else 'needs a person'}: "
                f"{one_line(commit.reason, _LONGEST_WHY)}"
                for commit in report.commits
            ]
        case DoctorReport():
            told += [
                f"{one.verdict}: {one.name} {one.stack}: {one_line(one.evidence, _LONGEST_WHY)}"
                for one in report.problems
            ]
        case ReleaseReport():
            told += _release_lines(report)
        case RollbackReport():
            told += [*rollback_lines(report), *map(verdict_line, report.verdicts)]
            told += [f"not everybody was told: {one_line(complaint, _LONGEST_WHY)}" for complaint in report.complaints]
        case KeptReport():
            told += [f"kept for the way back: {key}" for key in report.kept]
        case StatusReport():
            told += [f"look: {report.dashboard_url}"] if report.dashboard_url else []
            if report.contract_pending:
                told.append("what only the release before needed is not deleted yet: release confirm")
    return told


def _whole(report: Report) -> list[str]:
    """The lines of a report that is about no release in some state."""
    match report:
        case DecisionReport():
            return [one_line(report.told)]
        case NoticeReport():
            return list(_notice_lines(report))
        case WatchReport():
            return list(_watch_lines(report))
        case AuditReport():
            return list(_audit_lines(report))
        case _:
            return []


def _audit_lines(report: AuditReport) -> Iterator[str]:
    yield f"commit {report.sha}, made {report.committed_at or '(could not be read)'}"
    yield f"build {report.manifest}, {report.built_at or '(could not be read)'}"
    for one in report.artifacts:
        right = one.sha256 and one.sha256 == report.packages.get(one.function)
        proof = f"sha256 {one.sha256[:16]}, as built" if right else "NOT proven to be what was built"
        yield f"package {one.stack} {one.function}: s3://{one.bucket}/{one.key} version {one.version}: {proof}"
    if report.attestations:
        yield f"signed for by this repository's workflows, verified: {', '.join(report.attestations)}"
    record = report.validation
    yield (
        f"validation: {record.counts}, {record.at}, run {record.run.id}" if record else "validation: none could be read"
    )
    for entry in report.entries:
        path = f" ({entry.details['path']})" if entry.details.get("path") else ""
        who = f"run {entry.run.id} of {one_line(entry.run.actor)}"
        yield f"{entry.stack} {entry.seq} {entry.state}{path}: {entry.at}, {who}"
    for run in report.runs:
        approved = f"; {', '.join(run.approvals)}" if run.approvals else ""
        yield f"run {run.id} in {run.stack}: {run.url or 'no address'}{one_line(approved)}"
        changing = [call for call in run.calls if call.changes]
        if run.session and not any("calls" in why for why in run.unread):
            yield (
                f"  session {run.session}: {len(changing)} changing calls, {len(run.calls) - len(changing)} that read "
                "(packages and ledger entries are data events: the trail's bucket has them)"
            )
        for call in changing:
            failed, on = f" failed: {call.error}" if call.error else "", " ".join(call.resources)
            yield f"  {call.at} {call.service}:{call.operation} {one_line(on, _LONGEST_WHY)}{failed}"
    yield from (f"could not be read, or is wrong: {one_line(gap, _LONGEST_WHY)}" for gap in report.gaps)


def _watch_lines(report: WatchReport) -> Iterator[str]:
    if report.quiet:
        yield f"{report.stack} was left alone: {one_line(report.quiet, _LONGEST_WHY)}"
        return
    for one in report.observations:
        yield f"{one.verdict}: {one_line(one.title, _LONGEST_WHY)}, since {one.since}"
        yield from (f"  {one_line(line, _LONGEST_WHY)}" for line in one.lines)
        yield from (f"  next: {one_line(fix, _LONGEST_WHY)}" for fix in one.fixes)
    if not report.observations:
        yield f"{report.stack}: nothing to tell"
    if report.issue:
        yield f"{'told in' if report.observations else 'closed'}: {report.issue}"


def _notice_lines(report: NoticeReport) -> Iterator[str]:
    yield f"{'told' if report.told else 'nothing to tell'}: {one_line(report.subject, _LONGEST_WHY)}"
    yield from (one_line(line, _LONGEST_WHY) for line in (*report.lines, *report.notes))
    if report.next_step:
        yield f"next: {one_line(report.next_step, _LONGEST_WHY)}"


def _release_lines(report: ReleaseReport) -> Iterator[str]:
    if report.versions:
        yield "live: " + ", ".join(f"{name} {version}" for name, version in report.versions.items())
    if report.dashboard_url:
        yield f"look: {report.dashboard_url}"
    if report.record:
        yield f"{report.tests} tests passed in {report.seconds} s: {report.record}"
    yield from (f"failed: {one_line(one, _LONGEST_WHY)}" for one in report.failed_tests)
    yield from bake_lines(report.baking, report.no_bake)
    yield from map(verdict_line, report.verdicts)
    if report.seconds is not None:
        clock = report.seconds if report.clock_seconds is None else report.clock_seconds
        scaled = "" if clock == report.seconds else f" ({clock:.0f} s of the scaled clock)"
        yield f"took {report.seconds:.1f} s{scaled}"


def bake_lines(baking: BakeReport | None, no_bake: str) -> Iterator[str]:
    """Until when an alarm takes traffic back, and where to; or why none does."""
    if baking is not None:
        yield f"baking until {baking.until}: an alarm that rings takes traffic back to {baking.to.sha[:12]}"
    elif no_bake:
        yield f"no bake: {one_line(no_bake, _LONGEST_WHY)}"


def verdict_line(verdict: Verdict) -> str:
    """One verdict in short: outcome, what was looked at, and the numbers it rests on."""
    median, p99 = verdict.numbers.get("median_ms"), verdict.numbers.get("p99_ms")
    measured = ""
    if median and p99:
        measured = f"{p99:g} ms" if verdict.numbers.get("measured") == 1 else f"median {median:g} ms, p99 {p99:g} ms"
    why = one_line(verdict.why, _LONGEST_WHY)
    return f"{verdict.outcome}: {verdict.subject} - {why}{f' ({measured})' if measured else ''}"


def rollback_lines(report: RollbackReport) -> list[str]:
    """How a rollback went: from where to where, in how many seconds, proven or not, and what is left."""
    went_to = report.to.sha[:12] if report.to else "no release (none was ever confirmed)"
    times = [
        f"{what} {seconds:.1f} s"
        for what, seconds in (
            ("detected after", report.detected_s),
            ("traffic back after", report.traffic_restored_s),
            ("stack back after", report.converged_s),
        )
        if seconds is not None
    ]
    return [
        f"from {report.from_.sha[:12]} to {went_to}; {', '.join(times)}",
        "verified by reading the cloud" if report.verified else "NOT verified",
        *(f"problem: {one_line(problem, _LONGEST_WHY)}" for problem in report.problems),
        *(f"besides: {one_line(warning, _LONGEST_WHY)}" for warning in report.warnings),
        *(one_line(how_to_treat(left), 2 * _LONGEST_WHY) for left in report.left_in_aws),
    ]


OUTPUTS: Final = frozenset({*_OUTPUTS, "digest"} - {"manifest"})
"""Names of the outputs that a step with a command of the releaser can have."""


def tell_workflow(
    document: Mapping[str, Any], told: Sequence[str], environment: Mapping[str, str] = os.environ
) -> None:
    """Write step outputs (`state` in small letters, `digest`, ...) and a summary where GitHub Actions asks for them."""
    values = {key: document[key] for key in _OUTPUTS if document.get(key)}
    if "manifest" in values:
        values["digest"] = values.pop("manifest")
    if "state" in values:
        values["state"] = str(values["state"]).lower()
    # An output is one line: a line end in a value would begin another output.
    _append(environment.get("GITHUB_OUTPUT"), [f"{key}={one_line(value)}" for key, value in values.items()])
    _append(environment.get("GITHUB_STEP_SUMMARY"), summary(document, told))


def append_summary(markdown: str, environment: Mapping[str, str] = os.environ) -> None:
    """Add Markdown to the summary of the step, where GitHub Actions asks for one."""
    _append(environment.get("GITHUB_STEP_SUMMARY"), markdown.splitlines())


def summary(document: Mapping[str, Any], told: Sequence[str]) -> list[str]:
    """The step's summary in Markdown. Text from commits, errors and people stands in a block of code only."""
    told = list(told)
    if "what" in document:  # an error: what happened, why, what next
        rule = f"refused by rule {document['rule']}: " if document.get("rule") else ""
        told += [f"{rule}{document['what']}"]
        told += [f"{name}: {document[key]}" for name, key in (("why", "why"), ("next", "next_step")) if document[key]]
    if not told:
        return []
    heading = title(": ".join(str(document[key]) for key in ("stack", "state") if document.get(key)) or "release", 200)
    looks = [f"- look: {link(str(document['dashboard_url']))}"] if document.get("dashboard_url") else []
    return [f"### {heading}", "", *block(told).splitlines(), "", *looks]


def _append(file: str | None, new: list[str]) -> None:
    if file and new:
        with Path(file).open("a", encoding="utf-8") as stream:
            stream.write("".join(f"{line}\n" for line in new))
