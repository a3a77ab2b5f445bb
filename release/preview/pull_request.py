"""The trusted half of the previews on pull requests: checks what the untrusted half left, comments, sets the status.

The workflow `stack-preview.yml` runs code of strangers without any credential and uploads one plan document per stack.
This module runs from the default branch with a token that may comment. It finds the pull request by GitHub's answers
alone, believes nothing of the archive that it cannot check, and fails closed. One thing it cannot check: a pull request
that changes the program or the workflow decides over what its preview says, so that code owners review those files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from components.github_rules import PREVIEWS
from release.clients.github import GitHub, GitHubError, LabelledPull, WorkflowRun
from release.clients.rest import OversizeError
from release.console import Console
from release.preview import markdown, upload
from release.preview.approval import LABEL, Approval, decide, owns
from release.preview.markdown import ARTIFACT, marker
from release.preview.plan import PlanDocument
from release.preview.upload import LONGEST_ARCHIVE, STACKS
from release.reports import CommentReport

WORKFLOW: Final = "stack-preview.yml"
EVENT: Final = "pull_request"
JOB: Final = "Preview"

NOT_MADE: Final = "no preview was made"
EXPIRED: Final = "its archive has expired"
TOO_LARGE: Final = "its archive is too large"


class CommitStatus(NamedTuple):
    """The status of a commit."""

    state: str
    description: str


# Decisions


def is_ours(run: WorkflowRun) -> bool:
    """Return whether a run is a complete one of the untrusted workflow, started by a pull request."""
    path = run.path.partition("@")[0]
    return (run.event, path, run.status) == (EVENT, f".github/workflows/{WORKFLOW}", "completed")


def belongs(pull: LabelledPull, run: WorkflowRun, repository: str) -> bool:
    """Return whether a run is about the commit at which an open pull request stands now, in the same repository."""
    head, base = pull.head.repo, pull.base.repo
    return (
        pull.state == "open"
        and pull.head.sha == run.head_sha
        and head is not None
        and run.head_repository is not None
        and head.id == run.head_repository.id
        and base is not None
        and base.full_name.lower() == repository.lower()
    )


def judge(plans: Mapping[str, PlanDocument | str], *, allowed: bool) -> CommitStatus:
    """Return the status: every stack has a plan, and none destroys data unless a code owner allows it."""
    refused = {stack: plan for stack, plan in plans.items() if isinstance(plan, str)}
    if set(refused.values()) == {NOT_MADE}:
        return CommitStatus("failure", NOT_MADE)
    if refused:
        return CommitStatus("failure", f"no usable preview of {', '.join(refused)}")
    losing = [stack for stack, plan in plans.items() if isinstance(plan, PlanDocument) and plan.data_loss]
    if losing and not allowed:
        return CommitStatus("failure", f"destroys data in {', '.join(losing)}: a code owner has to set {LABEL}")
    if losing:
        return CommitStatus("success", f"destroys data in {', '.join(losing)}, which a code owner allows")
    changed = [stack for stack, plan in plans.items() if isinstance(plan, PlanDocument) and not plan.nothing]
    return CommitStatus("success", f"changes {', '.join(changed)}" if changed else "no stack changes")


def bodies(plans: Mapping[str, PlanDocument | str], approval: Approval, run_url: str) -> dict[str, str]:
    """Return the body of the comment of each stack."""
    return {
        stack: _refusal(stack, plan, run_url)
        if isinstance(plan, str)
        else markdown.comment(plan, run_url=run_url, approval=approval.text if plan.data_loss else "")
        for stack, plan in plans.items()
    }


def _refusal(stack: str, why: str, run_url: str) -> str:
    return (
        f"{marker(stack)}\n### Stack preview: {stack}\n\n"
        f"There is no preview of this commit: {why}. The status `{PREVIEWS}` stays red until there is one.\n\n"
        f"[Run that should have made it]({run_url})\n"
    )


# The work


def comment_on_run(github: GitHub, run_id: int, codeowners: str, console: Console) -> CommentReport:
    """Comment on the pull request whose preview a run has made.

    Raises:
        GitHubError: GitHub does not answer, or the run is not one of the untrusted workflow.
    """
    run = github.workflow_run(run_id)
    if not is_ours(run):
        raise GitHubError(
            f"run {run_id} is no complete run of {WORKFLOW} for a pull request",
            why=f"event {run.event!r}, file {run.path!r}, status {run.status!r}",
            next_step="this command belongs into the workflow preview-comment.yml",
        )
    pull = _pull_of(github, run)
    if pull is None:
        return _nothing(console, "no open pull request stands at the commit of this run: the next run comments")
    return _comment(github, pull, run, codeowners, console)


def comment_on_pull(github: GitHub, number: int, codeowners: str, console: Console) -> CommentReport:
    """Comment on a pull request anew, from the newest preview of its head: its labels have changed.

    Raises:
        GitHubError: GitHub does not answer.
    """
    pull = github.labelled_pull(number)
    runs = github.workflow_runs(WORKFLOW, EVENT, pull.head.sha)
    run = next((run for run in runs if is_ours(run) and belongs(pull, run, github.repository)), None)
    if run is None:
        return _nothing(console, "no run has previewed the head of this pull request yet: its end comments")
    return _comment(github, pull, run, codeowners, console)


def _pull_of(github: GitHub, run: WorkflowRun) -> LabelledPull | None:
    if run.head_repository is None or run.head_branch is None:
        return None
    owner = run.head_repository.full_name.partition("/")[0]
    pulls = github.open_pulls_of(owner, run.head_branch)
    return next((pull for pull in pulls if belongs(pull, run, github.repository)), None)


def _comment(github: GitHub, pull: LabelledPull, run: WorkflowRun, codeowners: str, console: Console) -> CommentReport:
    def tell(status: CommitStatus) -> None:
        github.set_commit_status(run.head_sha, PREVIEWS, status.state, status.description, run.url)

    # Whatever happens to this job from here on, an earlier green status no longer lets anybody merge.
    tell(CommitStatus("pending", "the previews are being read"))
    plans = _plans(github, pull, run)
    approval = Approval(granted=False, text="")
    if any(isinstance(plan, PlanDocument) and plan.data_loss for plan in plans.values()):
        approval = _approval(github, pull, run, codeowners)
    status = judge(plans, allowed=approval.granted)
    # Reading took time: the comments are about the commit that GitHub shows now, or are not written.
    if not belongs(github.labelled_pull(pull.number), run, github.repository):
        return _nothing(console, "the pull request has moved on meanwhile: the next run comments")
    for stack, body in bodies(plans, approval, run.url).items():
        github.upsert_comment(pull.number, marker(stack), body)
    tell(status)
    console.line(f"pull request {pull.number}: {status.state}, {status.description}")
    return CommentReport(
        pull=pull.number,
        run=run.id,
        status=status.state,
        description=status.description,
        digests={stack: plan.digest for stack, plan in plans.items() if isinstance(plan, PlanDocument)},
    )


def _nothing(console: Console, why: str) -> CommentReport:
    console.line(why)
    return CommentReport(pull=None, description=why)


def _plans(github: GitHub, pull: LabelledPull, run: WorkflowRun) -> Mapping[str, PlanDocument | str]:
    artifact = None
    # A second attempt may fail where the first one has left an archive.
    if [job.conclusion for job in github.jobs(run.id) if job.name == JOB] == ["success"]:
        # Each attempt may have left one: the newest is of the attempt that has just ended.
        artifact = next(iter(github.artifacts(run.id, ARTIFACT)), None)
    if artifact is None:
        return dict.fromkeys(STACKS, NOT_MADE)
    if artifact.expired:
        return dict.fromkeys(STACKS, EXPIRED)
    if artifact.size_in_bytes > LONGEST_ARCHIVE:
        return dict.fromkeys(STACKS, TOO_LARGE)
    try:
        archive = github.artifact_archive(artifact.id, LONGEST_ARCHIVE)
    except OversizeError:
        return dict.fromkeys(STACKS, TOO_LARGE)
    return upload.read(archive, run.head_sha, pull.number)


def _approval(github: GitHub, pull: LabelledPull, run: WorkflowRun, codeowners: str) -> Approval:
    # A run of the same commit that is started later counts too: between the two the branch may have been elsewhere.
    runs = [one for one in github.workflow_runs(WORKFLOW, EVENT, run.head_sha) if belongs(pull, one, github.repository)]
    return decide(
        {label.name for label in pull.labels},
        github.label_events(pull.number, LABEL),
        max(one.created for one in (run, *runs)),
        lambda login: owns(login, codeowners, github.role),
    )
