"""Which gate a release goes through: `production`, where a person approves, or `production-auto` for Dependabot's.

Automatic is only what is proven for every single commit since the confirmed release; everything else, and everything
that could not be found out, goes to a person. Who started the run says nothing: after a merge that is the merger.

What is proven, by the clone (objects named by their digests) and by GitHub (who signed, what belongs to what):

- the commit was signed by GitHub, either as the bot's own or as the merge of the bot's pull request;
- it belongs to exactly one merged pull request, the bot's, from this repository to main, all of whose commits are the
  bot's and signed;
- a merge or a squash left the very files that the pull request holds (a merge by hand could have slipped others in; so
  could two updates of one file that git has mixed, which is refused with them);
- only lock files and pins of the functions changed, as `release/gates/dependency_updates.py` allows; and the same holds
  for everything together, whatever GitHub said of its parts.

What others say of the packages is asked last (`release/gates/package_evidence.py`): who has published the new files,
and whether a vulnerability is known in any package that would be shipped.

A rebase merge is never automatic: GitHub does not sign the commits that it makes. Squash or merge instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

from components.identities import PRODUCTION, PRODUCTION_AUTO, github_environments
from release.clients.github import GitHub, Pull, PullFile, SignedCommit
from release.context import Context
from release.errors import Refused, ReleaseError, UsageError, with_why
from release.gates.dependency_updates import PATTERN, NotProvableError, moves
from release.gates.package_evidence import require_evidence
from release.git.commit import find_commit
from release.git.history import HistoryStep, PathChange, changes_between, steps_between
from release.reports import RoutedCommit, RouteReport
from release.rules import RefusalRule

BOT: Final = 49_699_333
"""Account id of dependabot[bot]. A login can be given away, an id cannot."""
WEB_FLOW: Final = 19_864_447
"""Account id of web-flow, as which GitHub commits and signs what is made on its servers, the bot's commits among them.

`verified` alone says that the committer has signed: anybody may sign a commit that names the bot as its author.
"""
BASE: Final = "main"
LAMBDAS: Final = "lambdas"
_MOST_COMMITS: Final = 100
_COMMITS_LISTED: Final = 250


@dataclass(frozen=True, kw_only=True, slots=True)
class PullRequest:
    """A pull request with its commits and files."""

    pull: Pull
    commits: tuple[SignedCommit, ...]
    files: tuple[PullFile, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """All that is known about one commit; `problem` says why it is not enough."""

    step: HistoryStep
    changes: tuple[PathChange, ...] = ()
    commit: SignedCommit | None = None
    pulls: tuple[PullRequest, ...] = ()
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """The gate, and why."""

    automatic: bool
    reason: str
    commits: tuple[RoutedCommit, ...] = ()


def decide(repository: str, commits: Sequence[Evidence], together: Sequence[PathChange]) -> Route:
    """Choose the gate by every commit since the confirmed release, and by what they changed together. Pure."""
    checked = tuple(_checked(repository, one) for one in commits)
    if not checked:
        return Route(automatic=False, reason="there is no commit since the confirmed release")
    refused = [one for one in checked if not one.automatic]
    if refused:
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        reason = f"commit {refused[0].sha[:12]}: {refused[0].reason}{more}"
        return Route(automatic=False, reason=reason, commits=checked)
    try:
        moved = _moved(together)
    except NotProvableError as reason:
        return Route(automatic=False, reason=f"taken together: {reason}", commits=checked)
    return Route(automatic=True, reason=f"only Dependabot's updates: {', '.join(moved)}", commits=checked)


def _checked(repository: str, one: Evidence) -> RoutedCommit:
    try:
        reason = _proven(repository, one)
    except NotProvableError as refusal:
        return RoutedCommit(sha=one.step.sha, automatic=False, reason=str(refusal))
    return RoutedCommit(sha=one.step.sha, automatic=True, reason=reason)


def _proven(repository: str, one: Evidence) -> str:
    """Why a commit is the bot's, or `NotProvableError`."""
    commit = one.commit
    if one.problem or commit is None:
        raise NotProvableError(one.problem or "GitHub was not asked about it")
    _require(commit.sha == one.step.sha, f"GitHub answered with commit {commit.sha[:12]}")
    _signed(commit, "it")
    _require(len(one.pulls) == 1, f"it belongs to {len(one.pulls)} merged pull requests, not to one")
    request = one.pulls[0]
    number = request.pull.number
    _of_the_bot(repository, request)
    parents = one.step.parents
    if commit.sha in {own.sha for own in request.commits}:
        _written_by_the_bot(commit, "it")
        _require(len(parents) == 1, "it is a merge inside the pull request")
        how = f"a commit of Dependabot's pull request #{number}"
    else:
        _require(commit.sha == request.pull.merge_commit_sha, f"pull request #{number} neither holds nor made it")
        if len(parents) == 1:
            _written_by_the_bot(commit, "it")
        else:
            # Its author is who pressed the button: it has to hold nothing of theirs.
            _require(parents[1:] == (request.pull.head.sha,), f"it merges something else than pull request #{number}")
        here = {(change.path, change.blob) for change in one.changes}
        there = {(file.filename, file.sha) for file in request.files}
        _require(here == there, f"it holds other files than pull request #{number}")
        how = f"the merge of Dependabot's pull request #{number}"
    return f"{how}: {', '.join(_moved(one.changes))}"


def _of_the_bot(repository: str, request: PullRequest) -> None:
    pull = request.pull
    name = f"pull request #{pull.number}"
    _require(pull.user is not None and pull.user.id == BOT, f"{name} is not Dependabot's")
    _require(pull.merged, f"{name} is not merged")
    _require(pull.base.ref == BASE, f"{name} went to {pull.base.ref}, not to {BASE}")
    base, head = pull.base.repo, pull.head.repo
    if base is None or base.full_name.lower() != repository.lower():
        raise NotProvableError(f"{name} is not of {repository}")
    if head is None or (head.id, head.full_name) != (base.id, base.full_name):
        raise NotProvableError(f"{name} came from another repository")
    _require(
        0 < len(request.commits) == pull.commits < _COMMITS_LISTED,
        f"{name} has {pull.commits} commits, GitHub lists {len(request.commits)}",
    )
    _require(
        len(request.files) == pull.changed_files,
        f"{name} changes {pull.changed_files} files, GitHub lists {len(request.files)}",
    )
    _require(request.commits[-1].sha == pull.head.sha, f"{name} ends with another commit than GitHub lists")
    for commit in request.commits:
        _signed(commit, f"commit {commit.sha[:12]} of {name}")
        _written_by_the_bot(commit, f"commit {commit.sha[:12]} of {name}")


def _signed(commit: SignedCommit, what: str) -> None:
    _require(commit.verified, f"{what} has no signature that GitHub could verify")
    by_github = commit.committer is not None and commit.committer.id == WEB_FLOW
    _require(by_github, f"{what} was not committed and signed by GitHub")


def _written_by_the_bot(commit: SignedCommit, what: str) -> None:
    _require(commit.author is not None and commit.author.id == BOT, f"{what} is not written by Dependabot")


def _moved(changes: Sequence[PathChange]) -> list[str]:
    """Which versions moved, or `NotProvableError` when something else changed."""
    foreign = [change.path for change in changes if not (change.edited and PATTERN.fullmatch(change.path))]
    if foreign:
        raise NotProvableError(f"it changes {', '.join(foreign[:5])}")
    found = {move for change in changes for move in moves(change.path, change.old, change.new)}
    if not found:
        raise NotProvableError("no version moves")
    return sorted(found)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise NotProvableError(otherwise)


def route(context: Context, digest: str | None = None, sha: str | None = None) -> RouteReport:
    """Say through which environment a release goes to production, and why. Whatever goes wrong, a person approves it.

    Raises:
        UsageError: It was not called with exactly one release, or for an environment without gates.
    """
    if (digest is None) == (sha is None):
        raise UsageError("name one release", why="it needs exactly one of --digest and --sha")
    if not {PRODUCTION, PRODUCTION_AUTO} <= set(github_environments(context.stack)):
        raise UsageError(f"{context.stack} has no gate to choose", next_step="release route --stack prod")
    known = {"stack": context.stack}
    try:
        found = _found_out(context, digest or context.promotions.digest_of(sha or ""), known)
    except ReleaseError as error:
        found = Route(automatic=False, reason=with_why(error))
    except Exception as error:  # the safe gate is the answer to whatever happens here
        found = Route(automatic=False, reason=f"{type(error).__name__}: {error}")
    return RouteReport(
        **known,
        environment=PRODUCTION_AUTO if found.automatic else PRODUCTION,
        path="automatic" if found.automatic else "reviewed",
        reason=found.reason,
        commits=found.commits,
    )


def refuse_unproven(context: Context, digest: str) -> None:
    """Raise `Refused` (rule `needs-a-person`) unless a release may still go the automatic way.

    The gate was chosen before the lease was taken. Whoever went back to an older release meanwhile has made the range
    longer, by commits that only a person may let through again.
    """
    with context.console.step("choosing the gate again, now that nobody else can change the environment"):
        found = route(context, digest)
    if found.path != "automatic":
        raise Refused(
            RefusalRule.NEEDS_A_PERSON,
            "this release may not go to production without a person",
            why=found.reason,
            next_step="start the workflow again: it chooses the gate anew, and asks the reviewer",
        )


def _found_out(context: Context, digest: str, known: dict[str, str]) -> Route:
    manifest = context.promotions.manifest(digest)
    known |= {"sha": manifest.sha, "manifest": digest}
    confirmed = context.ledger.view().confirmed
    if confirmed is None:
        return Route(automatic=False, reason=f"no release is confirmed in {context.stack} yet")
    since = confirmed.release.sha
    known["since"] = since
    github = context.github
    if github is None:
        return Route(automatic=False, reason="GitHub cannot be asked: GITHUB_TOKEN or GITHUB_REPOSITORY is not set")
    steps = steps_between(context.repo, since, manifest.sha, _MOST_COMMITS)
    together = changes_between(context.repo, since, manifest.sha, PATTERN)
    ask = asking(context.repo, github)
    with context.console.step(f"asking GitHub where {len(steps)} commits come from"):
        found = decide(github.repository, [ask(step) for step in steps], together)
    return _with_evidence(context, found, together, manifest.sha) if found.automatic else found


def _with_evidence(context: Context, found: Route, together: Sequence[PathChange], sha: str) -> Route:
    """The automatic way, if others say of its packages what they must; else a person's, with what they say."""
    locks = {
        file.path: file.content
        for file in find_commit(context.repo, sha).files(LAMBDAS)
        if PATTERN.fullmatch(file.path) and file.path.endswith("/uv.lock")
    }
    with context.console.step(f"asking who has published the updates, and what is known of {len(locks)} locks"):
        try:
            said = require_evidence(context.package_index, together, locks)
        except NotProvableError as reason:
            return replace(found, automatic=False, reason=str(reason))
    return replace(found, reason="; ".join([found.reason, *said]))


def asking(repo: Path, github: GitHub) -> Callable[[HistoryStep], Evidence]:
    """A function that finds out everything about one commit, each pull request once, until GitHub fails once."""
    failed: list[str] = []

    @cache
    def request(number: int) -> PullRequest:
        return PullRequest(
            pull=github.pull(number),
            commits=tuple(github.pull_commits(number)),
            files=tuple(github.pull_files(number)),
        )

    def ask(step: HistoryStep) -> Evidence:
        if not step.parents:
            return Evidence(step=step, problem="it begins a history of its own")
        if failed:
            return Evidence(step=step, problem="it was not looked at any more")
        try:
            return Evidence(
                step=step,
                changes=tuple(changes_between(repo, step.parents[0], step.sha, PATTERN)),
                commit=github.commit(step.sha),
                pulls=tuple(request(number) for number in github.merged_pulls_of(step.sha)),
            )
        except ReleaseError as error:
            failed.append(step.sha)
            return Evidence(step=step, problem=with_why(error))

    return ask
