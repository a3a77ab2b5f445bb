"""What the releaser asks of GitHub, and tells it, with the token of the job that runs; `rest.py` makes the calls."""

from __future__ import annotations

import re
import uuid
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import quote, urlsplit

from nacl.exceptions import CryptoError
from nacl.public import PublicKey, SealedBox
from pydantic import AliasChoices, AliasPath, BaseModel, BeforeValidator, ConfigDict, Field

from release.clients.rest import PUBLIC, TRIES, GitHubError, Rest, is_safe, looked_for, unless_missing
from release.clock import Clock
from release.text import one_line

_NOT_ENDED: Final = frozenset({"queued", "in_progress", "requested", "waiting", "pending"})
_WAITING: Final = ("waiting", "queued", "requested", "pending")
_FOUND, _CONFLICT, _UNPROCESSABLE = 302, 409, 422
# GitHub's own limits of an issue's title and body and of a status' description, in characters.
_LONGEST_TITLE, _LONGEST_BODY, _LONGEST_DESCRIPTION = 256, 65_536, 140
_BOT: Final = "github-actions[bot]"
"""As this account a job's token writes."""
_OURS: Final = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})


_Time = Annotated[datetime, BeforeValidator(lambda text: datetime.fromisoformat(str(text)))]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Account(_Answer):
    """The account that wrote a commit or opened a pull request, as far as GitHub knows one."""

    id: int


class SignedCommit(_Answer):
    """A commit as GitHub shows it. `author` and `committer` are null where no account has that e-mail address."""

    sha: str
    author: Account | None
    committer: Account | None
    verified: bool = Field(validation_alias=AliasPath("commit", "verification", "verified"))
    """Whether its signature is good."""


class _Repository(_Answer):
    id: int
    full_name: str


class _Side(_Answer):
    ref: str
    sha: str
    repo: _Repository | None
    """Null when the repository (a fork) has been deleted."""


class Pull(_Answer):
    """A pull request."""

    number: int
    user: Account | None
    merged: bool
    merge_commit_sha: str | None
    base: _Side
    head: _Side
    commits: int
    changed_files: int


class PullFile(_Answer):
    """A file that a pull request changes; `sha` is the blob at its head (null for a file that is gone)."""

    filename: str
    sha: str | None


class Label(_Answer):
    """A label of an issue or a pull request."""

    name: str


class LabelledPull(_Answer):
    """A pull request as lists show it too: where it stands and which labels it has now."""

    number: int
    state: str
    labels: list[Label]
    base: _Side
    head: _Side


class WorkflowRun(_Answer):
    """A run of a workflow, and whose code it runs."""

    id: int
    path: str
    """File of the workflow; `@` and a ref may follow."""
    event: str
    status: str
    head_branch: str | None
    head_sha: str
    head_repository: _Repository | None
    url: str = Field(validation_alias="html_url")
    """The address for people."""
    created: _Time = Field(validation_alias="created_at")
    """The time of the event that started it; running it again does not change that."""


class Job(_Answer):
    """A job of the last attempt of a run."""

    name: str
    conclusion: str | None
    """`None` while it is not over."""
    url: str = Field(default="", validation_alias="html_url")
    """The address for people."""


class Author(_Answer):
    """The author of something, and whether that is a program."""

    login: str
    type: str


class Review(_Answer):
    """What a reviewer has said to the deployments of a run that waited for an approval."""

    state: str
    """`approved`, `rejected` or `pending`."""
    comment: str | None = None
    user: Author | None = None


class Artifact(_Answer):
    """Files that a run has uploaded."""

    id: int
    name: str
    size_in_bytes: int
    expired: bool


class LabelEvent(_Answer):
    """An event of an issue or a pull request; `label` is there where it is about one."""

    id: int
    event: str
    actor: Author | None
    at: _Time = Field(validation_alias="created_at")
    label: Label | None = None


class _Comment(_Answer):
    id: int | None = None
    body: str | None = None
    user: Author | None = None


class _Permission(_Answer):
    role_name: str


class _ListedPull(_Answer):
    number: int
    merged_at: str | None


class _RunAttempt(_Answer):
    id: int
    run_attempt: int
    status: str


class Issue(_Answer):
    """An issue as lists show it."""

    number: int
    html_url: str
    title: str = ""
    body: str | None = None
    user: dict[str, Any] | None = None
    author_association: str = ""
    pull_request: dict[str, Any] | None = None


class _DeploymentId(_Answer):
    id: int


class _Object(_Answer):
    sha: str


class _Nested(_Answer):
    sha: str = Field(validation_alias=AliasChoices(AliasPath("object", "sha"), AliasPath("tree", "sha")))
    """Of what a reference or a commit of git's leads to."""


class _Secret(_Answer):
    name: str
    updated_at: _Time


class _PublicKey(_Answer):
    key_id: str
    key: str


class GitHub(Rest):
    """One repository as the releaser needs it."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> GitHub | None:
        """The repository that `GITHUB_REPOSITORY` names; `None` without that or without a `GITHUB_TOKEN`."""
        token, repository = environment.get("GITHUB_TOKEN", ""), environment.get("GITHUB_REPOSITORY", "")
        if not token or not repository:
            return None
        return cls(token, repository, environment.get("GITHUB_API_URL") or PUBLIC, Clock.from_environment(environment))

    # Runs

    def run_has_ended(self, run_id: str) -> bool:
        """Whether a workflow run is over: `123.2` is attempt 2 of run 123.

        Raises:
            GitHubError: GitHub does not know the run (nor one of somebody's machine, `local-...`), or does not say.
        """
        match = re.fullmatch(r"(\d+)(?:\.(\d+))?", run_id)
        if match is None:
            raise GitHubError(
                f"GitHub knows nothing of run {run_id}",
                why="it is no workflow run: somebody started it on a machine",
                next_step="ask who did; if it is dead: release unlock --reason ...",
            )
        number, attempt = int(match[1]), int(match[2] or 1)
        path = f"actions/runs/{number}/attempts/{attempt}"
        found = self._read(path, _RunAttempt)
        known = found.status == "completed" or found.status in _NOT_ENDED
        if (found.id, found.run_attempt) != (number, attempt) or not known:
            raise GitHubError(
                f"GitHub does not say whether run {run_id} has ended",
                why=f"it answered with run {found.id}.{found.run_attempt} in status {found.status!r}",
                next_step=f"look at it: {self._page_of(f'actions/runs/{number}')}",
            )
        return found.status == "completed"

    def waiting_runs(self, workflow: str) -> list[WorkflowRun]:
        """Runs of a workflow (its file name) that wait for an approval or for a runner, newest first."""
        path = f"actions/workflows/{workflow}/runs"
        found = {
            run.id: run for status in _WAITING for run in self._list(path, WorkflowRun, "workflow_runs", status=status)
        }
        return [found[number] for number in sorted(found, reverse=True)]

    def cancel(self, run_id: int) -> None:
        """Cancel a run; one that has ended meanwhile is fine.

        Raises:
            GitHubError: It could not be cancelled and goes on.
        """
        try:
            self._call("POST", f"actions/runs/{run_id}/cancel")
        except GitHubError as error:
            if error.status != _CONFLICT or self._read(f"actions/runs/{run_id}", _RunAttempt).status != "completed":
                raise

    def reviews(self, run_id: int) -> list[Review]:
        """Return what reviewers have said to the deployments of a run."""
        return list(self._list(f"actions/runs/{run_id}/approvals", Review))

    # Where a commit comes from

    def commit(self, sha: str) -> SignedCommit:
        """Return a commit with its authors and the state of its signature."""
        return self._read(f"commits/{sha}", SignedCommit)

    def merged_pulls_of(self, sha: str) -> list[int]:
        """Numbers of the merged pull requests that a commit belongs to."""
        pulls = self._list(f"commits/{sha}/pulls", _ListedPull)
        return [pull.number for pull in pulls if pull.merged_at is not None]

    def pull(self, number: int) -> Pull:
        """A pull request."""
        return self._read(f"pulls/{number}", Pull)

    def pull_commits(self, number: int) -> list[SignedCommit]:
        """Commits of a pull request, oldest first (GitHub lists 250 at most)."""
        return list(self._list(f"pulls/{number}/commits", SignedCommit))

    def pull_files(self, number: int) -> list[PullFile]:
        """Files that a pull request changes (GitHub lists 3,000 at most)."""
        return list(self._list(f"pulls/{number}/files", PullFile))

    # What a run of strangers' code left

    def workflow_run(self, run_id: int) -> WorkflowRun:
        """A run of a workflow."""
        return self._read(f"actions/runs/{run_id}", WorkflowRun)

    def workflow_runs(self, workflow: str, event: str, head_sha: str) -> list[WorkflowRun]:
        """Runs of a workflow (its file name) that an event started for a commit, newest first."""
        found = self._list(
            f"actions/workflows/{workflow}/runs", WorkflowRun, "workflow_runs", event=event, head_sha=head_sha
        )
        return sorted(found, key=lambda run: run.id, reverse=True)

    def jobs(self, run_id: int) -> list[Job]:
        """Jobs of the last attempt of a run, those among it that were not run again."""
        return list(self._list(f"actions/runs/{run_id}/jobs", Job, "jobs", filter="latest"))

    def artifacts(self, run_id: int, name: str) -> list[Artifact]:
        """Artifacts of that name that the attempts of a run have uploaded, newest first."""
        found = self._list(f"actions/runs/{run_id}/artifacts", Artifact, "artifacts", name=name)
        return sorted((one for one in found if one.name == name), key=lambda one: one.id, reverse=True)

    def artifact_archive(self, artifact_id: int, longest: int) -> bytes:
        """The zip archive of an artifact, which another host keeps: it never sees the token.

        Raises:
            OversizeError: It has more than `longest` bytes.
            GitHubError: It cannot be fetched; `status` 410 where it has expired.
        """
        path = f"actions/artifacts/{artifact_id}/zip"
        place = self._call("GET", path, wanted=_FOUND).headers.get("location", "")
        if not is_safe(place):
            parts = urlsplit(place)
            raise GitHubError(
                "GitHub leads to an artifact over a connection that anybody can change",
                why=f"{parts.scheme or 'no scheme'}, {parts.hostname or 'no host'}",
                next_step="check GITHUB_API_URL",
            )
        return self._tried(f"GET {urlsplit(self._url(path)).path}", lambda: self._foreign(place, longest))

    def open_pulls_of(self, owner: str, branch: str) -> list[LabelledPull]:
        """Open pull requests from a branch of `owner`, whichever of their repositories it is in."""
        return list(self._list("pulls", LabelledPull, state="open", head=f"{owner}:{branch}"))

    def labelled_pull(self, number: int) -> LabelledPull:
        """A pull request with the labels that it has now."""
        return self._read(f"pulls/{number}", LabelledPull)

    def label_events(self, number: int, label: str) -> list[LabelEvent]:
        """Return the events that set a label of an issue or a pull request, oldest first."""
        events = self._list(f"issues/{number}/events", LabelEvent)
        return [one for one in events if one.event == "labeled" and one.label is not None and one.label.name == label]

    def role(self, login: str) -> str:
        """Role of somebody in the repository: `none`, `read`, `triage`, `write`, `maintain`, `admin` or its own one."""
        path = f"collaborators/{quote(login, safe='')}/permission"
        found = unless_missing(lambda: self._read(path, _Permission))
        return found.role_name if found else "none"

    # A branch that holds files of ours

    def put_file(self, branch: str, path: str, content: bytes, message: str) -> str:
        """Make `content` the file at `path` of a branch, which is made where there is none; return the commit.

        A commit that nothing names is harmless, so only moving the branch matters: it never goes back, and where
        another run has moved it meanwhile, this one begins again from there.
        """
        for tries_left in reversed(range(TRIES)):
            parent = self._tip(branch)
            base = {"base_tree": self._read(f"git/commits/{parent}", _Nested).sha} if parent else {}
            entry = {"path": path, "mode": "100644", "type": "blob", "content": content.decode()}
            tree = self._read("git/trees", _Object, "POST", {**base, "tree": [entry]})
            if parent and tree.sha == base["base_tree"]:
                return parent
            commit = {"message": message, "tree": tree.sha, "parents": [parent] if parent else []}
            made = self._read("git/commits", _Object, "POST", commit).sha
            try:
                if parent is None:
                    self._call("POST", "git/refs", {"ref": f"refs/heads/{branch}", "sha": made})
                else:
                    self._call("PATCH", f"git/refs/heads/{branch}", {"sha": made, "force": False})
            except GitHubError as error:
                # 422: it is there by now, or has moved on. An answer that was lost counts as well.
                if self._tip(branch) != made:
                    if error.status != _UNPROCESSABLE or not tries_left:
                        raise
                    continue
            return made
        raise AssertionError("the last try returns or raises")

    def _tip(self, branch: str) -> str | None:
        found = unless_missing(lambda: self._read(f"git/ref/heads/{branch}", _Nested))
        return found.sha if found else None

    def attest(self, bundle: dict[str, Any]) -> None:
        """Give GitHub a signed statement; it finds the files that the statement is about by their digests."""
        # The same bundle twice is one more line in a list.
        self._call("POST", "attestations", {"bundle": bundle})

    # Telling people

    @looked_for
    def upsert_comment(self, number: int, marker: str, body: str) -> None:
        """Write the comment of a pull request that begins with `marker`, or change it where its text differs.

        Only comments of this very token's account count: anybody else may write the marker too. The caller escapes
        what the body quotes of others.
        """
        if not body.startswith(marker) or len(body) > _LONGEST_BODY:
            raise ValueError(f"a comment of {len(body)} characters that must begin with {marker}")
        for comment in self._list(f"issues/{number}/comments", _Comment):
            user = comment.user
            ours = user is not None and (user.login, user.type) == (_BOT, "Bot")
            if ours and (comment.body or "").startswith(marker):
                if (comment.body or "").replace("\r\n", "\n").strip() != body.strip():
                    self._call("PATCH", f"issues/comments/{comment.id}", {"body": body})
                return
        self._call("POST", f"issues/{number}/comments", {"body": body}, repeatable=False)

    def set_commit_status(self, sha: str, context: str, state: str, description: str, target_url: str) -> None:
        """Set the status `context` of a commit to `success`, `failure`, `error` or `pending`."""
        text = one_line(description, _LONGEST_DESCRIPTION)
        # The same status twice says nothing new, so it may be repeated.
        status = {"state": state, "context": context, "description": text, "target_url": target_url}
        self._call("POST", f"statuses/{sha}", status)

    def upsert_issue(self, key: str, title: str, body: str, labels: Sequence[str] = ()) -> str:
        """Open the issue of `key` (letters, digits and `._:/-`), or comment on the open one, and return its address.

        The caller escapes what the body quotes of others. GitHub makes labels that are missing.
        """
        # The marker finds the issue again, the note finds this very text again after an answer was lost.
        marker, note = _marker(key), f"<!-- {uuid.uuid4().hex} -->"
        tail = f"\n\n{marker}\n{note}\n"
        text = body[: _LONGEST_BODY - len(tail)] + tail
        new = {"title": one_line(title, _LONGEST_TITLE), "body": text, "labels": list(labels)}

        @looked_for
        def tell() -> str:
            issue = self._open_issue(marker)
            if issue is None:
                return self._read("issues", Issue, "POST", new, repeatable=False).html_url
            if not self._was_told(issue, note):
                self._call("POST", f"issues/{issue.number}/comments", {"body": text}, repeatable=False)
            return issue.html_url

        return tell()

    def open_issue_of(self, key: str) -> Issue | None:
        """Return the open issue of `key`, if there is one."""
        return self._open_issue(_marker(key))

    def keep_issue(self, key: str, title: str, body: str, news: str = "", labels: Sequence[str] = ()) -> str:
        """Make the open issue of `key` say `body`, opening it where there is none; return its address.

        `news` becomes a comment, which GitHub mails, where the issue was open before. The caller escapes what the texts
        quote of others.
        """
        marker = _marker(key)
        text = f"{body[: _LONGEST_BODY - len(marker) - 3]}\n\n{marker}"
        issue = self._open_issue(marker)
        if issue is None:
            return self.upsert_issue(key, title, body, labels)
        if news:
            self._comment(issue, news)
        if (issue.body or "").replace("\r\n", "\n").strip() != text or issue.title != one_line(title, _LONGEST_TITLE):
            self._call("PATCH", f"issues/{issue.number}", {"title": one_line(title, _LONGEST_TITLE), "body": text})
        return issue.html_url

    def close_issue(self, key: str, why: str) -> str:
        """Comment on the open issue of `key` and close it; return its address, empty where none is open."""
        issue = self._open_issue(_marker(key))
        if issue is None:
            return ""
        self._comment(issue, why)
        self._call("PATCH", f"issues/{issue.number}", {"state": "closed", "state_reason": "completed"})
        return issue.html_url

    def _comment(self, issue: Issue, text: str) -> None:
        """Comment on an issue, once also where an answer was lost."""
        note = f"<!-- {uuid.uuid4().hex} -->"
        body = f"{text[: _LONGEST_BODY - len(note) - 2]}\n\n{note}"

        @looked_for
        def tell() -> None:
            if not self._was_told(issue, note):
                self._call("POST", f"issues/{issue.number}/comments", {"body": body}, repeatable=False)

        tell()

    def set_deployment_status(  # noqa: PLR0917 -- called by the pager as its table says
        self,
        sha: str,
        environment: str,
        state: str,
        description: str,
        log_url: str = "",
        environment_url: str = "",
    ) -> None:
        """Set the status of the newest deployment of `sha` to `environment`; one is made where there is none.

        A state is `in_progress`, `success`, `failure`, `error`, `inactive`, `queued` or `pending`.
        """
        found = next(iter(self._list("deployments", _DeploymentId, sha=sha, environment=environment)), None)
        if found is None:
            # Without these two GitHub would merge the default branch into a branch, and wait for checks.
            new = {"ref": sha, "environment": environment, "auto_merge": False, "required_contexts": []}
            found = self._read("deployments", _DeploymentId, "POST", new)
        status = {
            "state": state,
            "description": one_line(description, _LONGEST_DESCRIPTION),
            "log_url": log_url,
            "environment_url": environment_url,
        }
        # The same status twice says nothing new, so it may be repeated.
        given = {name: value for name, value in status.items() if value}
        self._call("POST", f"deployments/{found.id}/statuses", given)

    def _open_issue(self, marker: str) -> Issue | None:
        for issue in self._list("issues", Issue, state="open", sort="created", direction="desc"):
            # Anybody may open an issue here and write our marker into it: only those who may write count.
            ours = issue.author_association in _OURS or (issue.user or {}).get("type") == "Bot"
            if ours and issue.pull_request is None and marker in (issue.body or ""):
                return issue
        return None

    def _was_told(self, issue: Issue, note: str) -> bool:
        if note in (issue.body or ""):
            return True
        return any(note in (one.body or "") for one in self._list(f"issues/{issue.number}/comments", _Comment))

    # Secrets of environments

    def environment_secrets(self, environment: str) -> dict[str, datetime]:
        """Return the time at which each secret of a GitHub environment was last sealed; nobody can read the values.

        Raises:
            GitHubError: `status` 404 where there is no such environment.
        """
        found = self._list(f"environments/{quote(environment, safe='')}/secrets", _Secret, "secrets")
        return {secret.name: secret.updated_at for secret in found}

    def seal(self, environment: str, name: str, value: str) -> None:
        """Put a secret into a GitHub environment, in a box that only GitHub can open."""
        secrets = f"environments/{quote(environment, safe='')}/secrets"
        key = self._read(f"{secrets}/public-key", _PublicKey)
        try:
            box = SealedBox(PublicKey(b64decode(key.key, validate=True)))
        except (ValueError, TypeError, CryptoError) as error:
            raise GitHubError(f"GitHub's public key of {environment} is none", why=str(error)) from None
        sealed = {"key_id": key.key_id, "encrypted_value": b64encode(box.encrypt(value.encode())).decode()}
        self._call("PUT", f"{secrets}/{name}", sealed)


def _marker(key: str) -> str:
    if not re.fullmatch(r"[\w.:/-]+", key) or "--" in key:
        raise ValueError(f"{key!r} cannot stand in an HTML comment")
    return f"<!-- sentiment-pipeline {key} -->"
