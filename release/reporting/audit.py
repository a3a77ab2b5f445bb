"""`release audit`: one release from its commit to the calls that deployed it, as far as each step can be read.

Every step stands for itself: what could not be read is said beside what could, and never shown as nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from components.naming import trail_bucket
from release.artifacts.manifest import Manifest
from release.artifacts.store import VALIDATION_FILE, release_id
from release.canonical import sha256
from release.context import Context
from release.errors import ReleaseError, UsageError, with_why
from release.gates.attested import refuse_unattested
from release.git.commit import find_commit
from release.ledger.lifecycle import Entry, ReleaseId, Run, State
from release.reports import AuditedArtifact, AuditedCall, AuditedRun, AuditReport
from release.text import one_line
from release.validation.record import ValidationRecord

T = TypeVar("T")
EVENT_HISTORY: Final = timedelta(days=90)
"""How long CloudTrail answers LookupEvents."""
BEFORE: Final = timedelta(hours=2)
AFTER: Final = timedelta(hours=1)
"""A job works before its first entry of the ledger and after its last one."""
_AT_ONCE: Final = 50
_PAGES: Final = 100
_PAUSE_S: Final = 0.5
"""CloudTrail answers two look-ups a second, for the whole account."""
_LONGEST_WHY: Final = 300


def audit(contexts: Sequence[Context], wanted: str) -> AuditReport:
    """Return all that can be read of the release that a commit or a digest names.

    `contexts` are the environments whose ledgers and calls are read.

    Raises:
        UsageError: Neither preprod nor a ledger knows such a release.
    """
    unread: list[str] = []
    entries = {one.stack: _try(unread, f"ledger of {one.stack}", one.ledger.entries) or [] for one in contexts}
    release = _named(contexts[0], [one for each in entries.values() for one in each], wanted, unread)
    of_release = {stack: [one for one in each if one.release == release] for stack, each in entries.items()}
    first = contexts[0]
    commit = _try(unread, "commit", lambda: find_commit(first.repo, release.sha))
    manifest = _try(unread, "manifest", lambda: first.promotions.manifest(release.digest))
    record = _try(unread, "validation record", lambda: _record(first, release))
    attested = (_try(unread, "attestations", lambda: _attested(first, manifest)) if manifest else None) or {}
    artifacts = [artifact for one in contexts for artifact in _artifacts(one, release, of_release[one.stack], unread)]
    runs = [run for one in contexts for run in _runs(one, of_release[one.stack])]
    report = AuditReport(
        sha=release.sha,
        manifest=release.digest,
        committed_at=commit.committed_at.isoformat() if commit else "",
        built_at=manifest.built_at if manifest else "",
        packages={name: one.sha256 for name, one in manifest.functions.items()} if manifest else {},
        artifacts=tuple(artifacts),
        validation=record,
        entries=tuple(entry for each in of_release.values() for entry in each),
        runs=tuple(runs),
        unread=tuple(unread),
    )
    return report.model_copy(update={"attestations": tuple(attested)}) if attested else report


def _try(unread: list[str], what: str, read: Callable[[], T]) -> T | None:
    """Return what `read` returns; where it fails, note why and return nothing."""
    try:
        return read()
    except (ReleaseError, ClientError, BotoCoreError, ValueError) as error:
        unread.append(f"{what}: {_why(error)}")
        return None


def _why(error: Exception) -> str:
    return one_line(with_why(error), _LONGEST_WHY)


def _named(context: Context, entries: Sequence[Entry], wanted: str, unread: Sequence[str]) -> ReleaseId:
    known = {one.release.digest: one.release for one in entries if one.release}
    found = [release for release in known.values() if len(wanted) >= 4 and release.fits(wanted.lower())]  # noqa: PLR2004
    if not found and re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", wanted):
        try:
            digest = wanted if len(wanted) == 64 else context.promotions.digest_of(wanted)  # noqa: PLR2004 -- of SHA-256
            found = [release_id(context.promotions.manifest(digest))]
        except (ReleaseError, ClientError, BotoCoreError) as error:
            unread = [*unread, _why(error)]
    if len(found) != 1:
        raise UsageError(
            f"{one_line(wanted, 80)!r} names {len(found) or 'no'} release{'' if len(found) == 1 else 's'} "
            "that the ledgers or preprod's bucket know",
            why="; ".join(unread) or "it takes a commit or a manifest digest, or the start of one",
            next_step=f"release history --stack {context.stack}",
        )
    return found[0]


def _record(context: Context, release: ReleaseId) -> ValidationRecord:
    stored = context.promotions.objects.get(context.promotions.key(release.digest, VALIDATION_FILE))
    return ValidationRecord.load(stored.body if stored else None, release)


def _attested(context: Context, manifest: Manifest) -> dict[str, bytes]:
    """The signed statements about a release, each verified as a promotion does."""
    stored = context.promotions.objects.get(context.promotions.key(manifest.digest, VALIDATION_FILE))
    return refuse_unattested(context, manifest, stored.body if stored else b"")


def _artifacts(
    context: Context, release: ReleaseId, entries: Sequence[Entry], unread: list[str]
) -> Iterator[AuditedArtifact]:
    """The packages that the program of an environment was handed, each hashed again."""
    if not entries:
        return
    handed = _try(unread, f"what {context.stack} was handed", lambda: _handed_over(context, release, entries))
    for function, package in sorted((handed or {}).get("functions", {}).items()):
        key, version = str(package["key"]), str(package["version_id"])
        artifact = AuditedArtifact(
            stack=context.stack, function=function, bucket=str(package["bucket"]), key=key, version=version
        )
        try:
            stored = context.objects.get(key, version)
        except (ReleaseError, ClientError, BotoCoreError) as error:
            yield artifact.model_copy(update={"unread": _why(error)})
            continue
        if stored is None:
            yield artifact.model_copy(update={"unread": "there is no such version of the object"})
            continue
        yield artifact.model_copy(update={"sha256": sha256(stored.body)})


def _handed_over(context: Context, release: ReleaseId, entries: Sequence[Entry]) -> Mapping[str, Any]:
    if context.stack != "preprod":
        if not any(one.state is State.ARMED for one in entries):
            return {}  # it was refused before anything was copied
        return context.releases.hand_over(release)
    handed = [one.details["hand_over"] for one in entries if one.details.get("hand_over")]
    return handed[-1] if handed else {}


def _runs(context: Context, entries: Sequence[Entry]) -> Iterator[AuditedRun]:
    """The runs that have written these entries, with who approved them and what their sessions called."""
    by_id: dict[str, list[Entry]] = {}
    for entry in entries:
        by_id.setdefault(entry.run.id, []).append(entry)
    for written in by_id.values():
        run, path = written[0].run, next((one.details["path"] for one in written if one.details.get("path")), "")
        audited = AuditedRun(
            stack=context.stack,
            id=run.id,
            actor=run.actor,
            url=run.url,
            path=path,
            jobs=tuple(sorted({one.run.job for one in written if one.run.job})),
            session=session_of(run),
        )
        reviews, no_reviews = _approvals(context, run, path)
        calls, no_calls = _calls_of(context, audited.session, written)
        yield audited.model_copy(
            update={"approvals": reviews, "calls": calls, "unread": tuple(filter(None, (no_reviews, no_calls)))}
        )


def session_of(run: Run) -> str:
    """The name that the sessions of a run's jobs have in AWS; empty for a process of somebody's machine."""
    number, attempt = run.attempt
    return f"{number}-{attempt}" if number.isdigit() else ""


def _approvals(context: Context, run: Run, path: str) -> tuple[tuple[str, ...], str]:
    """Who has approved or rejected the run; and why that could not be read."""
    number, _ = run.attempt
    if path != "reviewed" or not number.isdigit():
        return (), ""
    if context.github is None:
        return (), "who approved it: there is no GITHUB_TOKEN to ask GitHub with"
    try:
        reviews = context.github.reviews(int(number))
    except ReleaseError as error:
        return (), f"who approved it: {_why(error)}"
    return tuple(f"{one.state} by {one.user.login if one.user else 'somebody'}" for one in reviews), ""


def _calls_of(context: Context, session: str, written: Sequence[Entry]) -> tuple[tuple[AuditedCall, ...], str]:
    """The calls of a session around its entries; and why they, or all of them, could not be read."""
    if not session:
        return (), "its calls: it ran on somebody's machine, whose session has another name"
    times = [datetime.fromisoformat(one.at) for one in written]
    since, until = min(times) - BEFORE, max(times) + AFTER
    if context.clock.now() - since > EVENT_HISTORY:
        bucket = trail_bucket(context.aws.account())
        return (
            (),
            f"its calls: older than CloudTrail's {EVENT_HISTORY.days} days; the trail keeps them in s3://{bucket}",
        )
    calls: list[AuditedCall] = []
    try:
        for page in _pages(context, session, since, until):
            calls += page
    except (ReleaseError, ClientError, BotoCoreError, ValueError, KeyError) as error:
        return tuple(calls), f"{'not all of ' if calls else ''}its calls: {_why(error)}"
    return tuple(sorted(calls, key=lambda one: one.at)), ""


def _pages(context: Context, session: str, since: datetime, until: datetime) -> Iterator[list[AuditedCall]]:
    asked: dict[str, Any] = {
        "LookupAttributes": [{"AttributeKey": "Username", "AttributeValue": session}],
        "StartTime": since,
        "EndTime": until,
        "MaxResults": _AT_ONCE,
    }
    for _ in range(_PAGES):
        answer = context.aws.trail.lookup_events(**asked)
        yield [_call(event) for event in answer["Events"]]
        if not answer.get("NextToken"):
            return
        asked["NextToken"] = answer["NextToken"]
        context.clock.sleep(_PAUSE_S)
    raise ReleaseError(f"there are more than {_PAGES * _AT_ONCE}")


def _call(event: Mapping[str, Any]) -> AuditedCall:
    whole = json.loads(event.get("CloudTrailEvent") or "{}")
    return AuditedCall(
        at=event["EventTime"].isoformat(),
        service=str(event["EventSource"]).partition(".")[0],
        operation=str(event["EventName"]),
        changes=str(event.get("ReadOnly", "")).lower() != "true",
        resources=tuple(str(one.get("ResourceName", "")) for one in event.get("Resources") or ()),
        error=str(whole.get("errorCode") or ""),
        id=str(event["EventId"]),
    )
