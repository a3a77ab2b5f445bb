"""Who may allow a pull request to destroy data, and whether somebody has: pure decisions over GitHub's answers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from release.clients.github import LabelEvent
from release.text import span

LABEL: Final = "allow-data-loss"
_RULING: Final = frozenset({"maintain", "admin"})
_WHO: Final = "a person whom `.github/CODEOWNERS` names, or who maintains or administers this repository"
_HOW: Final = f"To allow it, {_WHO} sets the label `{LABEL}` after this preview was started."


@dataclass(frozen=True, slots=True)
class Approval:
    """Whether the label counts, and the sentences (Markdown) that say why."""

    granted: bool
    text: str


def decide(
    labels: Collection[str], events: Sequence[LabelEvent], since: datetime, is_owner: Callable[[str], bool]
) -> Approval:
    """Decide whether the label allows the loss of data.

    Args:
        labels: Names of the labels that the pull request has now.
        events: Who has set `LABEL`, in any order.
        since: When the newest run for this commit was started: an older label approved another commit.
        is_owner: Whether a login may approve. It is asked only where all else is in order.
    """
    if LABEL not in labels:
        return Approval(granted=False, text=_HOW)
    # Times have whole seconds: of two events in one second the later one has the higher number.
    newest = max(events, key=lambda event: (event.at, event.id), default=None)
    if newest is None or newest.actor is None:
        return _not(f"GitHub does not say who has set the label `{LABEL}`.")
    who = span(newest.actor.login)
    if newest.actor.type != "User":
        return _not(f"The label `{LABEL}` does not count: {who} has set it, which is no person.")
    if newest.at <= since:
        return _not(f"The label `{LABEL}` does not count: {who} has set it before this commit was previewed.")
    if not is_owner(newest.actor.login):
        return _not(f"The label `{LABEL}` does not count: {who} is no code owner.")
    return Approval(granted=True, text=f"{who} has allowed it with the label `{LABEL}`.")


def _not(why: str) -> Approval:
    return Approval(granted=False, text=f"{why} {_HOW}")


def named_owners(codeowners: str) -> frozenset[str]:
    """Return the logins that a CODEOWNERS file names, in small letters; teams and mail addresses are none."""
    words = (word for line in codeowners.splitlines() for word in line.partition("#")[0].split()[1:])
    return frozenset(word[1:].lower() for word in words if word.startswith("@") and "/" not in word)


def owns(login: str, codeowners: str, role: Callable[[str], str]) -> bool:
    """Return whether somebody is a code owner. A job's token cannot see who is in a team: there the role decides."""
    return login.lower() in named_owners(codeowners) or role(login) in _RULING
