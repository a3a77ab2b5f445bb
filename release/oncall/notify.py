"""Tells what a run of the workflows came to, as far as nobody was told yet: the work of the jobs `notify`.

The results of the jobs before it say that something went wrong; the ledger says what, how far the run came, and
whether the pager has told it (`paged`). GitHub is asked for what neither says: which job of a called workflow it was,
and who has rejected an approval. What cannot be found out is said, and never keeps anybody from being told.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from botocore.exceptions import ClientError
from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from release.artifacts.store import release_id
from release.clients.github import Job, Review
from release.context import Context
from release.errors import ReleaseError, UsageError, with_why
from release.ledger.lifecycle import PROMISES, Entry, LedgerState, ReleaseId, State
from release.oncall import advice
from release.oncall.message import LONGEST_LINE, Page
from release.oncall.pager import PEOPLE, TOPIC, complaint, console_url, tell
from release.reports import NoticeReport
from release.text import one_line

PRODUCTION: Final = "Production"
"""Name of the job of build-and-promote.yml that calls deploy-prod.yml: its jobs are told by its own `notify`."""
_CHECK: Final = "check-preprod-validation"
_ROLLBACK: Final = "rollback"
_BAD: Final = frozenset({"failure", "cancelled"})
_BAD_CONCLUSIONS: Final = frozenset({"failure", "cancelled", "timed_out", "startup_failure"})
_LOOK_BACK: Final = 60
"""Entries of the ledger among which those of the run are."""
_MISSING: Final = frozenset({"NotFound", "NotFoundException"})
_RUNBOOK: Final = "docs/how-to/runbook.md"


class JobResult(BaseModel):
    """How a job ended that `notify` needs, as the expression `toJSON(needs)` tells it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    result: Literal["success", "failure", "cancelled", "skipped"]
    outputs: Annotated[dict[str, str], BeforeValidator(lambda read: {} if read is None else read)] = {}
    """Empty for a job that declares none, for which a runner may write null."""


_NEEDS: Final = TypeAdapter(dict[str, JobResult])


def needs_of(text: str) -> dict[str, JobResult]:
    """Return the results of the jobs before this one, by the name of the job.

    Raises:
        UsageError: It is not what `toJSON(needs)` gives, or names no job.
    """
    try:
        needs = _NEEDS.validate_json(text)
    except ValidationError as error:
        needs, why = {}, str(error.errors(include_url=False, include_input=False)[0]["msg"])
    else:
        why = "it names no job"
    if not needs:
        raise UsageError(
            "nobody says how the jobs of this run ended", why=why, next_step="set NEEDS: ${{ toJSON(needs) }}"
        )
    return needs


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSeen:
    """What ledger and GitHub say of one attempt of a run. What could not be read is `None`."""

    release: ReleaseId | None = None
    sha: str = ""
    """The commit of the release, or of the workflow where no release is known."""
    entries: tuple[Entry, ...] | None = ()
    """Its entries of the ledger, oldest first."""
    superseded: bool = False
    """Whether a newer release has called it off."""
    contract_pending: bool = False
    jobs: tuple[Job, ...] | None = None
    reviews: tuple[Review, ...] | None = None
    unread: tuple[str, ...] = ()
    """Why something could not be read."""

    @property
    def last(self) -> Entry | None:
        """Its newest entry that names a state."""
        return next((one for one in reversed(self.entries or ()) if isinstance(one.state, State)), None)


@dataclass(frozen=True, slots=True)
class Notice:
    """What is told about a run, or why nothing is (`quiet`)."""

    subject: str
    lines: tuple[str, ...] = ()
    next_step: str = ""
    state: State | None = None
    quiet: bool = False


def notify(context: Context, needs: Mapping[str, JobResult], commit: str = "") -> NoticeReport:
    """Tell the person on call what this run came to, if nobody has been told. `commit` is that of the workflow.

    Raises:
        ReleaseError: A channel failed, so somebody may not know.
    """
    try:
        view = context.ledger.view()
    except Exception:  # whatever is wrong with the ledger, somebody must be told
        view = LedgerState(stack=context.stack)
    seen = _seen(context, view, needs, commit)
    notice = notice_of(context.stack, needs, seen)
    report = NoticeReport(
        stack=context.stack,
        told=not notice.quiet,
        subject=notice.subject,
        lines=notice.lines,
        next_step=notice.next_step,
    )
    if notice.quiet:
        return report
    last, release = seen.last, seen.release
    places = (
        ("ledger", console_url(context, last.seq) if last else ""),
        ("its story", f"release explain {release.digest[:12]} --stack {context.stack}" if release and last else ""),
        ("run", context.run.url),
    )
    told = Page(
        subject=notice.subject,
        lines=notice.lines,
        promise=PROMISES[notice.state] if notice.state else "",
        next_step=notice.next_step,
        places=tuple((what, place) for what, place in places if place),
        release=release,
        state=notice.state,
    )
    failed = tell(context, view, told, PEOPLE)
    notes = _excused(context, view, failed)
    if failed:
        raise ReleaseError(
            f"not everybody was told: {notice.subject}",
            why="; ".join(complaint(channel, error) for channel, error in failed.items()),
            next_step=f"tell them: {context.run.url or 'the run'}; then look at what failed here",
        )
    return report.model_copy(update={"notes": notes})


def _excused(context: Context, view: LedgerState, failed: dict[str, Exception]) -> tuple[str, ...]:
    """Take out of `failed` the topic that the first deployment makes, where another channel has told it."""
    error = failed.get(TOPIC)
    missing = isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") in _MISSING
    if missing and view.served is None and view.confirmed is None and len(failed) == 1 and context.github is not None:
        del failed[TOPIC]
        return (f"nothing was ever deployed to {context.stack}, so its on-call topic is not there yet",)
    return ()


def notice_of(stack: str, needs: Mapping[str, JobResult], seen: RunSeen) -> Notice:
    """What is to be told about a run whose jobs ended like this. Pure."""
    bad = {name: need for name, need in needs.items() if need.result in _BAD}
    if not bad:
        return Notice("every job ended as it should", quiet=True)
    if seen.superseded or (seen.last is not None and seen.last.state is State.SUPERSEDED):
        return Notice("a newer release has called this run off", quiet=True)
    at = f"{stack}: {seen.sha[:7] or 'a release'}"
    lines = (*_job_lines(stack, bad, seen), *seen.unread)
    if stack == "preprod":
        return _notice_of_preprod(at, bad, lines, seen)
    return _notice_of_production(stack, at, bad, lines, seen)


def _notice_of_production(
    stack: str, at: str, bad: Mapping[str, JobResult], lines: tuple[str, ...], seen: RunSeen
) -> Notice:
    last = seen.last
    if last is None:
        return _notice_without_entry(stack, at, bad, lines, seen)
    match State(last.state):
        case State.ROLLED_BACK | State.ROLLED_BACK_TRAFFIC | State.ROLLBACK_FAILED as state:
            return _notice_of_way_back(stack, at, state, last, lines)
        case State.CONFIRMED:
            quiet = seen.contract_pending  # the release told that itself
            return Notice(f"{at} is confirmed, but not every job ended well", lines, "release status", quiet=quiet)
        case State.REFUSED:
            rule, refused = last.details.get("rule", "unnamed"), (*_refusal_lines(last), *lines)
            forward = last.details.get("next_step") or advice.of_state(stack, State.REFUSED, last.release)
            return Notice(f"{at} is refused by rule {rule}", refused, str(forward))
        case state:
            subject = f"{at} stopped in {state}, and nothing has finished it"
            return Notice(subject, (PROMISES[state], *lines), f"release reap --stack {stack}")


def _notice_of_preprod(at: str, bad: Mapping[str, JobResult], lines: tuple[str, ...], seen: RunSeen) -> Notice:
    """Whatever fails before production keeps the release from it."""
    last = seen.last
    refused = _refusal_lines(last) if last is not None and last.state is State.REFUSED else ()
    names = [job.name.rpartition(" / ")[2] for job in _bad_jobs("preprod", seen)] or list(bad)
    subject = f"{at} did not pass {', '.join(names)}, so it does not go to production"
    forward = f"read the summary of the job, which names the reason or the failing tests; then {_RUNBOOK}"
    return Notice(subject, (*refused, *lines), forward)


def _notice_of_way_back(stack: str, at: str, state: State, last: Entry, lines: tuple[str, ...]) -> Notice:
    if last.details.get("paged") or (last.details.get("report") or {}).get("paged"):
        return Notice(f"{at} is {state}, and who is on call knows (entry {last.seq})", quiet=True)
    because = (f"because: {last.reason}",) if last.reason else ()
    return Notice(f"{at} {state}", (*because, *lines), advice.of_state(stack, state, last.release), state)


def _notice_without_entry(
    stack: str, at: str, bad: Mapping[str, JobResult], lines: tuple[str, ...], seen: RunSeen
) -> Notice:
    """What became of a run that the ledger knows nothing of."""
    if seen.entries is None:
        return Notice(f"{at} failed, and its ledger cannot be read", lines, f"release status --stack {stack}")
    rejected = [review for review in seen.reviews or () if review.state == "rejected"]
    if rejected:
        who = ", ".join(dict.fromkeys(review.user.login if review.user else "somebody" for review in rejected))
        said = tuple(f"said: {review.comment}" for review in rejected if review.comment)
        return Notice(f"{at} was rejected by {who}; nothing was changed", (*said, *lines), "ask who rejected it")
    if _CHECK in bad:
        forward = f"the summary of the job names the rule and the way forward ({_RUNBOOK})"
        return Notice(f"{at} was not admitted to production", lines, forward)
    if any(need.result == "cancelled" for need in bad.values()):
        return Notice(
            f"{at} was cancelled, or ran out of time, before it changed anything",
            lines,
            "promote it again: run the workflow deploy-prod with its digest",
        )
    if _ROLLBACK in bad:
        return Notice(f"{at} ended, and its rollback job failed", lines, f"release status --stack {stack}")
    return Notice(
        f"{at} ended before the ledger knew of it: an approval was rejected, or its job could not begin",
        lines,
        "look at the run; nothing was changed",
    )


def _job_lines(stack: str, bad: Mapping[str, JobResult], seen: RunSeen) -> tuple[str, ...]:
    """Which jobs did not end well: by name and address where GitHub has told, else by the names in the workflow."""
    if jobs := _bad_jobs(stack, seen):
        return tuple(f"{job.name}: {job.conclusion} {job.url}".rstrip() for job in jobs)
    return tuple(f"job {name}: {need.result}" for name, need in bad.items())


def _bad_jobs(stack: str, seen: RunSeen) -> list[Job]:
    jobs = seen.jobs or ()
    return [job for job in jobs if job.conclusion in _BAD_CONCLUSIONS and _is_of(stack, job, jobs)]


def _is_of(stack: str, job: Job, jobs: Sequence[Job]) -> bool:
    """Whether a job works on `stack`: on prod those that `Production` calls, or all of a dispatched workflow."""
    called = any(one.name.startswith(f"{PRODUCTION} / ") for one in jobs)
    is_called = job.name.partition(" / ")[0] == PRODUCTION
    return not is_called if stack == "preprod" else is_called or not called


def _refusal_lines(entry: Entry) -> tuple[str, ...]:
    why = str(entry.details.get("why") or "")
    return (entry.reason, *([f"why: {why}"] if why else []))


def _release(context: Context, needs: Mapping[str, JobResult], commit: str) -> ReleaseId | None:
    """The release whose digest a job has put out: preprod's bucket knows its commit, once it was deployed there."""
    digest = next((need.outputs["digest"] for need in needs.values() if need.outputs.get("digest")), "")
    try:
        return release_id(context.promotions.manifest(digest))
    except Exception:  # it was never published, or cannot be read: the release still has its digest
        with contextlib.suppress(ValidationError):
            return ReleaseId(digest=digest, sha=commit)
    return None


def _seen(context: Context, view: LedgerState, needs: Mapping[str, JobResult], commit: str) -> RunSeen:
    number, _ = context.run.attempt
    unread: list[str] = []
    entries: tuple[Entry, ...] | None = None
    superseded = False
    try:
        newest = list(context.ledger.newest_first(_LOOK_BACK))[::-1]
        entries = tuple(one for one in newest if one.run.id == context.run.id)
        superseded = any(one.details.get("superseded_run") == number for one in newest)
    except Exception as error:  # as above
        unread.append(f"the ledger of {context.stack} cannot be read: {one_line(with_why(error), LONGEST_LINE)}")
    jobs: tuple[Job, ...] | None = None
    reviews: tuple[Review, ...] | None = None
    if context.github is not None and number.isdigit():
        try:
            jobs = tuple(context.github.jobs(int(number)))
            reviews = tuple(context.github.reviews(int(number))) if context.stack != "preprod" else ()
        except ReleaseError as error:
            unread.append(f"GitHub does not say which job it was: {one_line(with_why(error), LONGEST_LINE)}")
    named = next((one.release for one in reversed(entries or ()) if one.release is not None), None)
    release = named or _release(context, needs, commit)
    return RunSeen(
        release=release,
        sha=release.sha if release else commit,
        entries=entries,
        superseded=superseded,
        contract_pending=view.contract_pending,
        jobs=jobs,
        reviews=reviews,
        unread=tuple(unread),
    )
