"""An issue on GitHub, where a token is: one for each release and environment."""

from __future__ import annotations

from release.context import Context
from release.ledger.lifecycle import LedgerState
from release.oncall.message import LONGEST_TITLE, Page
from release.text import title


def publish(context: Context, _: LedgerState, told: Page) -> None:
    """Open the issue of the release, or comment on it when it exists: what happens later belongs to the same story."""
    if context.github is None:
        return
    key = f"{context.stack}-{told.release.digest}" if told.release else context.stack
    context.github.upsert_issue(key, title(told.subject, LONGEST_TITLE), told.markdown(), ("release",))
