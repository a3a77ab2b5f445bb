"""The one issue of an environment: it opens with the first finding, says what is now, and closes when nothing is left.

Since when each finding stands is kept in the issue itself, in a comment that nobody sees. It is only shown: nothing is
decided by it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from release.clients.github import GitHub
from release.reports import Observation
from release.text import block, link, span, title

LABELS: Final = ("release", "watch")
_LONGEST_TITLE: Final = 250
_SINCE: Final = re.compile(r"<!-- since (\{.*\}) -->")
_STAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT[\d:.+Z-]{5,30}")


def key_of(stack: str) -> str:
    """The name by which the issue is found again."""
    return f"watch-{stack}"


def dated(found: Sequence[Observation], before: Mapping[str, str], now: str) -> list[Observation]:
    """Findings with the time since which each stands."""
    return [one.model_copy(update={"since": before.get(one.key, now)}) for one in found]


def keep(
    github: GitHub, stack: str, found: Sequence[Observation], now: str, run_url: str
) -> tuple[str, list[Observation]]:
    """Make the issue say what was found, or close it; return its address and the findings with their times.

    Raises:
        GitHubError: GitHub did not take it, so nobody may know.
    """
    issue = github.open_issue_of(key_of(stack))
    before = since(issue.body or "") if issue is not None else {}
    current = dated(found, before, now)
    if not current:
        gone = "\n".join(f"- {title(key, _LONGEST_TITLE)}" for key in before)
        why = f"Nothing is left to tell ({now}).\n\n{gone}".strip()
        return github.close_issue(key_of(stack), why) if issue is not None else "", current
    news = _news(before, current) if issue is not None else ""
    address = github.keep_issue(key_of(stack), headline(stack, current), body(current, now, run_url), news, LABELS)
    return address, current


def headline(stack: str, found: Sequence[Observation]) -> str:
    """The title of the issue."""
    first = found[0].title
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return title(f"{stack}: {first}{more}", _LONGEST_TITLE)


def body(found: Sequence[Observation], now: str, run_url: str) -> str:
    """The text of the issue. What comes from AWS, GitHub and people stands in code only."""
    parts = [
        "`release watch` writes this text anew each time it looks, and closes the issue when nothing is left.",
        f"Last look: {now}" + (f", by {link(run_url)}" if run_url else ""),
    ]
    for one in found:
        parts += [f"### {title(one.title, _LONGEST_TITLE)}", f"{one.verdict}, since {one.since}"]
        parts += [block(one.lines)] if one.lines else []
        parts += ["\n".join(f"- {span(fix)}" for fix in one.fixes)] if one.fixes else []
    kept = json.dumps({one.key: one.since for one in found}, sort_keys=True)
    # No hyphen: two of them would end the comment.
    return "\n\n".join([*parts, f"<!-- since {kept.replace('-', chr(92) + 'u002d')} -->"])


def since(text: str) -> dict[str, str]:
    """Since when each finding of an issue stands; what is none of ours is left out."""
    found = _SINCE.search(text)
    try:
        kept = json.loads(found[1]) if found else {}
    except ValueError:
        return {}
    return {key: at for key, at in kept.items() if isinstance(at, str) and _STAMP.fullmatch(at)}


def _news(before: Mapping[str, str], current: Sequence[Observation]) -> str:
    """What has come and what is gone since the last look; empty where it is the same."""
    keys = {one.key for one in current}
    come = [f"- new: {title(one.title, _LONGEST_TITLE)}" for one in current if one.key not in before]
    gone = [f"- gone: {title(key, _LONGEST_TITLE)}" for key in before if key not in keys]
    return "\n".join([*come, *gone])
