"""Tells the person on call through every channel: the on-call topic always, GitHub where a token is.

Failing to do so changes nothing about a release: each channel that failed is one complaint, for the report. What was
told already is not told again: the ledger says so (`paged` in the entry that ended the attempt). Only a run that dies
between the page and that entry lets the next run tell it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import quote

from release.context import Context
from release.errors import with_why
from release.ledger.ledger import entry_key
from release.ledger.lifecycle import PROMISES, Decision, Entry, LedgerState, ReleaseId, State
from release.oncall import advice, deployment_status, github_issue, sns
from release.oncall.message import LONGEST_LINE, Page
from release.text import one_line

_LOOK_BACK: Final = 10
Channel = Callable[[Context, LedgerState, Page], None]
TOPIC: Final = "the on-call topic"
PEOPLE: Final[Mapping[str, Channel]] = {TOPIC: sns.publish, "GitHub (issue)": github_issue.publish}
"""The channels that somebody reads without looking for anything."""
CHANNELS: Final[Mapping[str, Channel]] = {**PEOPLE, "GitHub (deployment)": deployment_status.publish}


def page(
    context: Context,
    subject: str,
    lines: Iterable[str],
    *,
    release: ReleaseId | None = None,
    state: State | Decision | None = None,
    entry: Entry | None = None,
    dashboard_url: str = "",
) -> list[str]:
    """Tell the person on call; warn and return why it could not be done, one sentence for each channel that failed.

    Args:
        context: The environment it is about.
        subject: What happened, short.
        lines: What and why, one thought each; they may hold text of commits, errors and people.
        release: The release it is about.
        state: The state that was entered, if that is what is told. It is told once per attempt.
        entry: The ledger's entry of it, if it is written already.
        dashboard_url: Where users see the environment; without it, what the ledger knows.
    """
    try:
        view, newest = context.ledger.view(), context.ledger.entries(_LOOK_BACK)
    except Exception:  # whatever is wrong with the ledger, somebody must be told
        view, newest = LedgerState(stack=context.stack), []
    release = release or (entry.release if entry else None)
    state = state or (entry.state if entry else None)
    if release is not None and state is not None and _was_told(newest, release, state):
        context.console.detail(f"the person on call knows that {release} is {state}")
        return []
    known, seen = view.served or view.confirmed, entry or (newest[-1] if newest else None)
    places = (
        ("dashboard", dashboard_url or (known.dashboard_url if known else "")),
        ("ledger", console_url(context, seen.seq) if seen else ""),
        ("its story", f"release explain {release.digest[:12]} --stack {context.stack}" if release else ""),
        ("run", context.run.url),
    )
    entered = state if isinstance(state, State) else None
    way_back = view.confirmed is not None or not newest
    told = Page(
        subject=subject,
        lines=tuple(lines),
        promise=PROMISES[entered] if entered else "",
        next_step=advice.of_state(context.stack, entered, release, way_back=way_back) if entered else "",
        places=tuple((what, place) for what, place in places if place),
        release=release,
        state=state,
        automatic=any(one.release == release and one.details.get("path") == "automatic" for one in newest),
    )
    complaints = [complaint(channel, error) for channel, error in tell(context, view, told).items()]
    for one in complaints:
        context.console.warn(f"not everybody was told: {one}")
    return complaints


def tell(
    context: Context, view: LedgerState, told: Page, channels: Mapping[str, Channel] = CHANNELS
) -> dict[str, Exception]:
    """Publish a page through every channel, and return what went wrong, by channel."""
    failed: dict[str, Exception] = {}
    for channel, publish in channels.items():
        try:
            publish(context, view, told)
        except Exception as error:  # paging must never stand in the way of a release's end, nor of the other channels
            failed[channel] = error
    return failed


def complaint(channel: str, error: Exception) -> str:
    """One sentence about a channel that failed."""
    return one_line(f"{channel}: {with_why(error)}", LONGEST_LINE)


def _was_told(newest: Sequence[Entry], release: ReleaseId, state: State | Decision) -> bool:
    """Whether somebody was told already that this attempt at `release` has come to `state`."""
    for entry in reversed(newest):
        paged = entry.details.get("paged") or (entry.details.get("report") or {}).get("paged")
        if paged and (entry.state, entry.release) == (state, release):
            return True
        if entry.state in {State.LEASED, State.CONFIRMED, State.ROLLED_BACK}:
            return False  # what lies before it was another attempt
    return False


def console_url(context: Context, seq: int) -> str:
    """Where the AWS console shows an entry of the ledger; empty where no region is known."""
    region = getattr(context.aws.topics.meta, "region_name", "")
    if not region:
        return ""
    key, bucket = quote(entry_key(seq), safe=""), context.objects.bucket
    return f"https://{region}.console.aws.amazon.com/s3/object/{bucket}?region={region}&prefix={key}"
