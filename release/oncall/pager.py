"""Tells the person on call, by every way there is: the on-call topic always, GitHub where a token is.

Failing to do so changes nothing about a release: each way that failed is one complaint, for the report. What was told
already is not told again: the ledger says so (`paged` in the entry that ended the attempt). Only a run that dies
between the page and that entry lets the next run tell it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from components.identities import PRODUCTION_AUTO, github_environments
from release.context import Context
from release.ledger.ledger import entry_key
from release.ledger.lifecycle import PROMISES, Decision, Entry, LedgerState, ReleaseId, State
from release.oncall import advice
from release.text import ascii_line, block, link, one_line, span, title, within

LONGEST_SUBJECT: Final = 100
"""Characters of printable ASCII that SNS takes as a subject."""
LONGEST_MESSAGE: Final = 256 * 1024
"""Bytes of UTF-8 that SNS takes as a message."""
LONGEST_TITLE: Final = 256
LONGEST_BODY: Final = 65_536
"""Characters that GitHub takes as the title and the text of an issue."""
LONGEST_DESCRIPTION: Final = 140
"""Characters that GitHub takes as the description of a deployment's status."""
# With these a page stays below all limits; a cut through the end of its text would take the links away.
_LONGEST_LINE: Final = 1_500
_MOST_LINES: Final = 25
_LOOK_BACK: Final = 10

_DEPLOYMENT: Final[dict[State | Decision, str]] = {
    State.ROLLED_BACK: "failure",
    State.ROLLED_BACK_TRAFFIC: "error",
    State.ROLLBACK_FAILED: "error",
}


@dataclass(frozen=True, slots=True)
class Page:
    """One thing to tell: what happened, why, what to do, and where to look."""

    subject: str
    lines: tuple[str, ...] = ()
    promise: str = ""
    next_step: str = ""
    places: tuple[tuple[str, str], ...] = ()
    """What is found where: addresses and commands."""

    def message(self) -> str:
        """The text for a mail: every line is one line, whatever was in it."""
        parts = [
            one_line(self.subject, _LONGEST_LINE),
            *([self.promise] if self.promise else []),
            "",
            *(f"- {line}" for line in self._told()),
            "",
            *([f"next: {one_line(self.next_step)}"] if self.next_step else []),
            *(f"{what}: {one_line(place)}" for what, place in self.places),
        ]
        return within("\n".join(parts), LONGEST_MESSAGE)

    def markdown(self) -> str:
        """The text for GitHub. What comes from commits, errors and people stands in code only."""
        parts = [
            f"**{title(self.subject, LONGEST_TITLE)}**",
            title(self.promise, _LONGEST_LINE),
            block(self._told()) if self.lines else "",
            f"Next: {span(self.next_step)}" if self.next_step else "",
            "\n".join(f"- {what}: {link(place)}" for what, place in self.places),
        ]
        return "\n\n".join(filter(None, parts))

    def _told(self) -> list[str]:
        told = [one_line(line, _LONGEST_LINE) for line in self.lines[:_MOST_LINES]]
        left = len(self.lines) - len(told)
        return [*told, *([f"and {left} more"] if left else [])]


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
    """Tell the person on call; warn and return why it could not be done, one sentence per way that failed.

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
    )
    ways: dict[str, Callable[[], object]] = {
        "the on-call topic": lambda: _publish(context, view, told),
        "GitHub (issue)": lambda: _issue(context, told, release),
        "GitHub (deployment)": lambda: _deployment(context, told, release, state, newest),
    }
    complaints = []
    for way, tell in ways.items():
        try:
            tell()
        except Exception as error:  # paging must never stand in the way of a release's end
            why = getattr(error, "why", "")
            complaints.append(one_line(f"{way}: {error}{f' ({why})' if why else ''}", _LONGEST_LINE))
            context.console.warn(f"not everybody was told: {complaints[-1]}")
    return complaints


def _was_told(newest: Sequence[Entry], release: ReleaseId, state: State | Decision) -> bool:
    """Whether somebody was told already that this attempt at `release` has come to `state`."""
    for entry in reversed(newest):
        paged = entry.details.get("paged") or (entry.details.get("report") or {}).get("paged")
        if paged and (entry.state, entry.release) == (state, release):
            return True
        if entry.state in {State.LEASED, State.CONFIRMED, State.ROLLED_BACK}:
            return False  # what lies before it was another attempt
    return False


def _publish(context: Context, view: LedgerState, told: Page) -> None:
    context.aws.topics.publish(
        TopicArn=_topic(context, view),
        # Printable ASCII only, or SNS refuses the whole page.
        Subject=ascii_line(told.subject, LONGEST_SUBJECT) or f"{context.stack}: look at the release",
        Message=told.message(),
    )


def _topic(context: Context, view: LedgerState) -> str:
    for known in (view.confirmed, view.served):
        if known is not None and known.on_call_topic:
            return known.on_call_topic
    region, account = context.aws.topics.meta.region_name, context.aws.account()
    return f"arn:aws:sns:{region}:{account}:{context.names.on_call_topic}"


def _issue(context: Context, told: Page, release: ReleaseId | None) -> None:
    if context.github is None:
        return
    # One issue per release and environment: what happens later to the same release is a comment there.
    key = f"{context.stack}-{release.digest}" if release else context.stack
    context.github.upsert_issue(key, title(told.subject, LONGEST_TITLE), told.markdown(), ("release",))


def _deployment(
    context: Context, told: Page, release: ReleaseId | None, state: State | Decision | None, newest: Sequence[Entry]
) -> None:
    if context.github is None or release is None or state not in _DEPLOYMENT:
        return
    # `production`, unless the ledger says that the release took the way without a reviewer.
    automatic = any(entry.release == release and entry.details.get("path") == "automatic" for entry in newest)
    context.github.set_deployment_status(
        release.sha,
        _environment(context, automatic=automatic),
        _DEPLOYMENT[state],
        one_line(told.subject, LONGEST_DESCRIPTION),
        context.run.url,
        dict(told.places).get("dashboard", ""),
    )


def _environment(context: Context, *, automatic: bool) -> str:
    """The GitHub environment that the release went through."""
    return PRODUCTION_AUTO if automatic else github_environments(context.stack)[0]


def console_url(context: Context, seq: int) -> str:
    """Where the AWS console shows an entry of the ledger; empty where no region is known."""
    region = getattr(context.aws.topics.meta, "region_name", "")
    if not region:
        return ""
    key, bucket = quote(entry_key(seq), safe=""), context.objects.bucket
    return f"https://{region}.console.aws.amazon.com/s3/object/{bucket}?region={region}&prefix={key}"
