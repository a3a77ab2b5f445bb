"""One page: what happened, why, what to do and where to look, as text for a mail and as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from release.ledger.lifecycle import Decision, ReleaseId, State
from release.text import block, link, one_line, span, title, within

LONGEST_MESSAGE: Final = 256 * 1024
"""Bytes of UTF-8 that SNS takes as a message."""
LONGEST_TITLE: Final = 256
"""Characters that GitHub takes as the title of an issue."""
# With these a page stays below all limits; a cut through the end of its text would take the links away.
LONGEST_LINE: Final = 1_500
_MOST_LINES: Final = 25


@dataclass(frozen=True, slots=True)
class Page:
    """One thing to tell: what happened, why, what to do, and where to look."""

    subject: str
    lines: tuple[str, ...] = ()
    promise: str = ""
    next_step: str = ""
    places: tuple[tuple[str, str], ...] = ()
    """What is found where: addresses and commands."""
    release: ReleaseId | None = None
    """The release it is about."""
    state: State | Decision | None = None
    """The state that was entered, if that is what is told."""
    automatic: bool = False
    """Whether that release took the path without a reviewer."""

    def message(self) -> str:
        """The text for a mail: every line is one line, whatever was in it."""
        parts = [
            one_line(self.subject, LONGEST_LINE),
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
            title(self.promise, LONGEST_LINE),
            block(self._told()) if self.lines else "",
            f"Next: {span(self.next_step)}" if self.next_step else "",
            "\n".join(f"- {what}: {link(place)}" for what, place in self.places),
        ]
        return "\n\n".join(filter(None, parts))

    def _told(self) -> list[str]:
        told = [one_line(line, LONGEST_LINE) for line in self.lines[:_MOST_LINES]]
        left = len(self.lines) - len(told)
        return [*told, *([f"and {left} more"] if left else [])]
