"""Stand-in: the renderer of the plan document in Markdown is written elsewhere at this time."""

from __future__ import annotations

from release.preview.plan import PlanDocument
from release.wording import block, link

_SHOWN = 100


def full(_: PlanDocument) -> str:
    """Return all of a plan."""
    return ""


def comment(document: PlanDocument, *, run_url: str, approval: str) -> str:
    """Return a plan as the body of a comment."""
    lines = [f"{one.op} {one.short_type} {one.name}" for one in document.changes[:_SHOWN]]
    told = [
        f"### Preview of `{document.stack}`",
        f"{len(document.changes)} changes, plan `{document.digest}`",
        *([block(lines)] if lines else []),
        *([approval] if approval else []),
        link(run_url),
    ]
    return "\n\n".join(told) + "\n"
