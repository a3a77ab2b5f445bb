"""`release plan`: what the reviewer of a release sees before the approval, and what the approval is bound to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import model_serializer

from release.artifacts.program import archive
from release.context import Context
from release.errors import ReleaseError
from release.git.history import CommitLine, commits_between
from release.preview import markdown
from release.preview.approved import ApprovedPlan, plan_for_approval
from release.reporting.workflow_summary import append_summary
from release.reports import Report
from release.text import block, one_line, span

_MOST_COMMITS: Final = 50
_LONGEST_SUBJECT: Final = 100
_LONGEST_AUTHOR: Final = 40


class ReviewReport(Report):
    """What a release brings: its commits, its plan, and the digest that an approval is bound to."""

    approved: ApprovedPlan
    since: str
    """Commit of the confirmed release; empty for the first one."""
    commits: tuple[CommitLine, ...]
    unlisted: str
    """Why the commits could not be listed."""

    @model_serializer
    def _flat(self) -> dict[str, Any]:
        """The plan stands for itself; `approval` is the digest that binds it."""
        return {
            "stack": self.stack,
            "sha": self.sha,
            "manifest": self.manifest,
            "approval": self.approved.digest,
            "serial": self.approved.serial,
            "since": self.since,
            "commits": [{"sha": one.sha, "author": one.author, "subject": one.subject} for one in self.commits],
            "unlisted": self.unlisted,
            "plan": self.approved.plan.model_dump(mode="json") | {"digest": self.approved.plan.digest},
        }

    def told(self) -> list[str]:
        """What ships and what the approval is bound to, a line each."""
        since = f"since {self.since[:12]}" if self.since else "up to the first release"
        return [
            f"release {self.sha[:12]}, manifest {self.manifest[:12]}",
            f"commits {since}:" if not self.unlisted else f"commits {since} could not be listed: {self.unlisted}",
            *(
                f"  {one.sha[:12]} {one_line(one.author, _LONGEST_AUTHOR)}: {one_line(one.subject, _LONGEST_SUBJECT)}"
                for one in self.commits
            ),
            *([f"  (only the newest {_MOST_COMMITS})"] if len(self.commits) == _MOST_COMMITS else []),
            f"approval {self.approved.digest} (state {self.approved.serial[:12]})",
        ]


def review(context: Context, digest: str, out: Path | None, environment: Mapping[str, str]) -> ReviewReport:
    """Plan a release that preprod offers, write the plan into the file `out`, and add it to the workflow's summary.

    Raises:
        Refused: There is no such release, or its manifest cannot be used.
        ReleaseError: It cannot be planned.
    """
    manifest, confirmed = context.promotions.manifest(digest), context.ledger.view().confirmed
    with context.program(archive(context.repo, manifest.sha, context.stack)) as stack:
        approved = plan_for_approval(context, manifest, stack, confirmed)
    since, commits, unlisted = confirmed.release.sha if confirmed else "", [], ""
    try:
        commits = commits_between(context.repo, since or None, manifest.sha, _MOST_COMMITS)
    except ReleaseError as error:
        unlisted = one_line(f"{error.what} {error.why}")
    report = ReviewReport(
        stack=context.stack,
        sha=manifest.sha,
        manifest=digest,
        approved=approved,
        since=since,
        commits=tuple(commits),
        unlisted=unlisted,
    )
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(approved.model_dump_json(indent=1) + "\n", encoding="utf-8")
    append_summary(_markdown(report), environment)
    return report


def _markdown(report: ReviewReport) -> str:
    """What the reviewer reads. Text from commits stands in a block of code only."""
    return "\n".join(
        [
            "### What this release brings",
            "",
            block(report.told()),
            "",
            markdown.full(report.approved.plan),
            f"The approval is bound to {span(report.approved.digest)}: anything else is refused.",
        ]
    )
