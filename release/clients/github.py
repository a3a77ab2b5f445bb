"""What the releaser asks of GitHub, and tells it. Over the REST API, with the token of the job that runs.

Calls that may be repeated are: a broken connection, a 5xx or a rate limit costs time and nothing else. What would be
made twice (an issue, a comment) is sent once, and looked for before it is sent again. The token is in no message.
"""

from __future__ import annotations

import re
import uuid
from base64 import b64decode, b64encode
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import quote, urlsplit

import httpx
from nacl.exceptions import CryptoError
from nacl.public import PublicKey, SealedBox
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)
from tenacity import RetryCallState, Retrying, retry, retry_if_exception, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from release.clock import Clock
from release.errors import ReleaseError
from release.text import one_line

_PUBLIC: Final = "https://api.github.com"
_VERSION: Final = "2022-11-28"
_LIMIT: Final = httpx.Timeout(15.0, connect=5.0)
_TRIES: Final = 5
_LONGEST_WAIT_S: Final = 90.0
_PAGE: Final = 100
_PAGES: Final = 30
_NOT_ENDED: Final = frozenset({"queued", "in_progress", "requested", "waiting", "pending"})
_WAITING: Final = ("waiting", "queued", "requested", "pending")
_OK, _FOUND, _TOO_MANY, _SERVER_ERROR = 200, 302, 429, 500
_NOT_FOUND, _CONFLICT, _UNPROCESSABLE = 404, 409, 422
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
# GitHub's own limits of an issue's title and body and of a status' description, in characters.
_LONGEST_TITLE, _LONGEST_BODY, _LONGEST_DESCRIPTION = 256, 65_536, 140
_BOT: Final = "github-actions[bot]"
"""As this account a job's token writes."""
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_OURS: Final = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
T = TypeVar("T")


class GitHubError(ReleaseError):
    """GitHub did not say or do what was asked; `status` is that of its answer, 0 where there was none."""

    def __init__(self, what: str, *, why: str = "", next_step: str = "", status: int = 0) -> None:
        super().__init__(what, why=why, next_step=next_step)
        self.status = status


class OversizeError(GitHubError):
    """What GitHub sends is longer than its reader takes."""


class _SentError(GitHubError):
    """A call that must not be repeated blindly: GitHub may have done it before its answer was lost."""


_LOOKED_FOR: Final = retry(retry=retry_if_exception_type(_SentError), stop=stop_after_attempt(_TRIES), reraise=True)
"""For what begins by looking whether it is there: then it may be sent again after an answer was lost."""


class _FailedError(Exception):
    """One try that failed."""

    def __init__(self, why: str, *, again: bool, sent: bool, after_s: float | None = None, status: int = 0) -> None:
        super().__init__(why)
        self.again, self.sent, self.after_s, self.status = again, sent, after_s, status


_Time = Annotated[datetime, BeforeValidator(lambda text: datetime.fromisoformat(str(text)))]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Account(_Answer):
    """Who wrote a commit or opened a pull request, as far as GitHub knows an account for it."""

    id: int


class _Verification(_Answer):
    verified: bool


class _Signed(_Answer):
    verification: _Verification


class Commit(_Answer):
    """A commit as GitHub shows it. `author` and `committer` are null where no account has that e-mail address."""

    sha: str
    author: Account | None
    committer: Account | None
    commit: _Signed


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
    status: str
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
    html_url: str
    created: _Time = Field(validation_alias="created_at")
    """When the event started it; running it again does not change that."""


class Job(_Answer):
    """A job of the last attempt of a run."""

    name: str
    conclusion: str | None


class Artifact(_Answer):
    """Files that a run has uploaded."""

    id: int
    name: str
    size_in_bytes: int
    expired: bool


class Person(_Answer):
    """Who wrote or set something, and whether that is a program."""

    login: str
    type: str


class LabelEvent(_Answer):
    """An event of an issue or a pull request; `label` is there where it is about one."""

    id: int
    event: str
    actor: Person | None
    at: _Time = Field(validation_alias="created_at")
    label: Label | None = None


class _Comment(_Answer):
    id: int | None = None
    body: str | None = None
    user: Person | None = None


class _Permission(_Answer):
    role_name: str


class _ListedPull(_Answer):
    number: int
    merged_at: str | None


class WaitingRun(_Answer):
    """A workflow run that waits for an approval or for a runner."""

    id: int
    head_sha: str
    url: str = Field(validation_alias="html_url")
    """Where a person looks at it."""
    status: str
    created_at: str = ""


class _Attempt(_Answer):
    id: int
    run_attempt: int
    status: str


class _Issue(_Answer):
    number: int
    html_url: str
    body: str | None = None
    user: dict[str, Any] | None = None
    author_association: str = ""
    pull_request: dict[str, Any] | None = None


class _Deployment(_Answer):
    id: int


class _Named(_Answer):
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


class GitHub:
    """One repository, as the job's token may see it. Making it opens no connection and never fails; a call may."""

    def __init__(
        self,
        token: str,
        repository: str,
        api: str = _PUBLIC,
        clock: Clock | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.repository = repository
        self._token = token
        self._clock = clock or Clock()
        self._api = api.rstrip("/")
        self._transport = transport

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> GitHub | None:
        """The repository that `GITHUB_REPOSITORY` names; `None` without that or without a `GITHUB_TOKEN`."""
        token, repository = environment.get("GITHUB_TOKEN", ""), environment.get("GITHUB_REPOSITORY", "")
        if not token or not repository:
            return None
        return cls(token, repository, environment.get("GITHUB_API_URL") or _PUBLIC, Clock.from_environment(environment))

    @cached_property
    def _client(self) -> httpx.Client:
        _require(self._token, self.repository, self._api)
        return httpx.Client(
            headers={
                "Authorization": f"Bearer {self._token}",
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": _VERSION,
                "User-Agent": "sentiment-pipeline-release",
            },
            timeout=_LIMIT,
            transport=self._transport,
        )

    def close(self) -> None:
        """Close the connections; a command that ends does so anyway."""
        self._client.close()

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
        found = self._read(path, _Attempt)
        known = found.status == "completed" or found.status in _NOT_ENDED
        if (found.id, found.run_attempt) != (number, attempt) or not known:
            raise GitHubError(
                f"GitHub does not say whether run {run_id} has ended",
                why=f"it answered with run {found.id}.{found.run_attempt} in status {found.status!r}",
                next_step=f"look at it: {self._page_of(f'actions/runs/{number}')}",
            )
        return found.status == "completed"

    def waiting_runs(self, workflow: str) -> list[WaitingRun]:
        """Runs of a workflow (its file name) that wait for an approval or for a runner, newest first."""
        path = f"actions/workflows/{workflow}/runs"
        found = {
            run.id: run for status in _WAITING for run in self._list(path, WaitingRun, "workflow_runs", status=status)
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
            if error.status != _CONFLICT or self._read(f"actions/runs/{run_id}", _Attempt).status != "completed":
                raise

    # Where a commit comes from

    def commit(self, sha: str) -> Commit:
        """Who wrote a commit, and whether its signature is good."""
        return self._read(f"commits/{sha}", Commit)

    def merged_pulls_of(self, sha: str) -> list[int]:
        """Numbers of the merged pull requests that a commit belongs to."""
        pulls = self._list(f"commits/{sha}/pulls", _ListedPull)
        return [pull.number for pull in pulls if pull.merged_at is not None]

    def pull(self, number: int) -> Pull:
        """A pull request."""
        return self._read(f"pulls/{number}", Pull)

    def pull_commits(self, number: int) -> list[Commit]:
        """Commits of a pull request, oldest first (GitHub lists 250 at most)."""
        return list(self._list(f"pulls/{number}/commits", Commit))

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
        _require_safe(place)
        return self._tried("GET", self._url(path), lambda: self._foreign(place, longest))

    def open_pulls_of(self, owner: str, branch: str) -> list[LabelledPull]:
        """Open pull requests from a branch of `owner`, whichever of their repositories it is in."""
        return list(self._list("pulls", LabelledPull, state="open", head=f"{owner}:{branch}"))

    def labelled_pull(self, number: int) -> LabelledPull:
        """A pull request with the labels that it has now."""
        return self._read(f"pulls/{number}", LabelledPull)

    def label_events(self, number: int, label: str) -> list[LabelEvent]:
        """Who has set a label of an issue or a pull request, oldest first."""
        events = self._list(f"issues/{number}/events", LabelEvent)
        return [one for one in events if one.event == "labeled" and one.label is not None and one.label.name == label]

    def role(self, login: str) -> str:
        """Role of somebody in the repository: `none`, `read`, `triage`, `write`, `maintain`, `admin` or its own one."""
        try:
            return self._read(f"collaborators/{quote(login, safe='')}/permission", _Permission).role_name
        except GitHubError as error:
            if error.status == _NOT_FOUND:
                return "none"
            raise

    # A branch that holds files of ours

    def put_file(self, branch: str, path: str, content: bytes, message: str) -> str:
        """Make `content` the file at `path` of a branch, which is made where there is none; return the commit.

        A commit that nothing names is harmless, so only moving the branch matters: it never goes back, and where
        another run has moved it meanwhile, this one begins again from there.
        """
        for tries_left in reversed(range(_TRIES)):
            parent = self._tip(branch)
            base = {"base_tree": self._read(f"git/commits/{parent}", _Nested).sha} if parent else {}
            entry = {"path": path, "mode": "100644", "type": "blob", "content": content.decode()}
            tree = _parsed(self._call("POST", "git/trees", {**base, "tree": [entry]}), _Named, "trees")
            if parent and tree.sha == base["base_tree"]:
                return parent
            commit = {"message": message, "tree": tree.sha, "parents": [parent] if parent else []}
            made = _parsed(self._call("POST", "git/commits", commit), _Named, "commits").sha
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
        try:
            return self._read(f"git/ref/heads/{branch}", _Nested).sha
        except GitHubError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    # Telling people

    @_LOOKED_FOR
    def upsert_comment(self, number: int, marker: str, body: str) -> None:
        """Write the comment of a pull request that begins with `marker`, or change it where its text differs.

        Only comments of this very token's account count: anybody else may write the marker too.

        Args:
            number: Number of the pull request.
            marker: A hidden line that finds the comment again.
            body: Markdown that begins with it, escaped by the caller where it quotes what others wrote.
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
        """Set the status `context` of a commit.

        Args:
            sha: The commit.
            context: Name of the status.
            state: `success`, `failure`, `error` or `pending`.
            description: One line of plain text; GitHub keeps 140 characters.
            target_url: Where to read more.
        """
        status = {
            "state": state,
            "context": context,
            "description": one_line(description, _LONGEST_DESCRIPTION),
            "target_url": target_url,
        }
        # The same status twice says nothing new, so it may be repeated.
        self._call("POST", f"statuses/{sha}", status)

    def upsert_issue(self, key: str, title: str, body: str, labels: Sequence[str] = ()) -> str:
        """Open the issue of `key`, or comment on the one that is open, and return its address.

        Args:
            key: What the issue is about; letters, digits and `._:/-`. There is one open issue per key.
            title: One line, plain text.
            body: Markdown, escaped by the caller where it quotes what others wrote.
            labels: Labels of a new issue; missing ones are made by GitHub.
        """
        # The marker finds the issue again, the note finds this very text again after an answer was lost.
        marker, note = _marker(key), f"<!-- {uuid.uuid4().hex} -->"
        tail = f"\n\n{marker}\n{note}\n"
        text = body[: _LONGEST_BODY - len(tail)] + tail
        new = {"title": one_line(title, _LONGEST_TITLE), "body": text, "labels": list(labels)}

        @_LOOKED_FOR
        def tell() -> str:
            issue = self._open_issue(marker)
            if issue is None:
                return _parsed(self._call("POST", "issues", new, repeatable=False), _Issue, "issues").html_url
            if not self._was_told(issue, note):
                self._call("POST", f"issues/{issue.number}/comments", {"body": text}, repeatable=False)
            return issue.html_url

        return tell()

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

        Args:
            sha: Commit that is deployed.
            environment: Name of the environment.
            state: `in_progress`, `success`, `failure`, `error`, `inactive`, `queued` or `pending`.
            description: One line of plain text; GitHub keeps 140 characters.
            log_url: Where the run can be read.
            environment_url: Where the result can be seen.
        """
        found = next(iter(self._list("deployments", _Deployment, sha=sha, environment=environment)), None)
        if found is None:
            # Without these two GitHub would merge the default branch into a branch, and wait for checks.
            new = {"ref": sha, "environment": environment, "auto_merge": False, "required_contexts": []}
            found = _parsed(self._call("POST", "deployments", new), _Deployment, "deployments")
        status = {
            "state": state,
            "description": one_line(description, _LONGEST_DESCRIPTION),
            "log_url": log_url,
            "environment_url": environment_url,
        }
        # The same status twice says nothing new, so it may be repeated.
        given = {name: value for name, value in status.items() if value}
        self._call("POST", f"deployments/{found.id}/statuses", given)

    def _open_issue(self, marker: str) -> _Issue | None:
        for issue in self._list("issues", _Issue, state="open", sort="created", direction="desc"):
            # Anybody may open an issue here and write our marker into it: only those who may write count.
            ours = issue.author_association in _OURS or (issue.user or {}).get("type") == "Bot"
            if ours and issue.pull_request is None and marker in (issue.body or ""):
                return issue
        return None

    def _was_told(self, issue: _Issue, note: str) -> bool:
        if note in (issue.body or ""):
            return True
        return any(note in (one.body or "") for one in self._list(f"issues/{issue.number}/comments", _Comment))

    # Secrets of environments

    def environment_secrets(self, environment: str) -> dict[str, datetime]:
        """When each secret of a GitHub environment was last sealed, by name; nobody can read the values.

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

    # Whatever else

    def document(self, path: str) -> Any:
        """What GitHub answers at `path` below the repository (empty: about the repository itself), as it came.

        Raises:
            GitHubError: There is no answer; its `status` 404 also stands for what this token may not see.
        """
        return _json(self._call("GET", path), path)

    def items(self, path: str, key: str = "", **wanted: str) -> list[dict[str, Any]]:
        """Every item of the list at `path` below the repository, as it came; `key` is where an object holds it."""
        return list(self._list(path, dict[str, Any], key, **wanted))

    # The wire

    def _read(self, path: str, kind: type[T]) -> T:
        return _parsed(self._call("GET", path), kind, path)

    def _list(self, path: str, kind: type[T], key: str = "", **wanted: str) -> Iterator[T]:
        """Every item of a list, page by page as the Link header leads.

        Raises:
            GitHubError: There is no end to it, or the next page lies on another host.
        """
        address: str | None = str(httpx.URL(self._url(path), params={**wanted, "per_page": str(_PAGE)}))
        for _ in range(_PAGES):
            answer = self._call("GET", address or "")
            document = _json(answer, path)
            items = document.get(key) if key and isinstance(document, dict) else document
            yield from _valid(items, list[kind], path)  # ty: ignore[invalid-type-form] -- a type made of a type argument
            address = answer.links.get("next", {}).get("url")
            if address is None:
                return
            if not address.startswith(f"{self._api}/"):
                raise GitHubError(
                    f"GitHub sends the next page of {path} from another address",
                    why=f"{urlsplit(address).netloc} would be given the token",
                    next_step="check GITHUB_API_URL",
                )
        raise GitHubError(f"{path} has more than {_PAGES * _PAGE} items", why="what is cut off cannot be judged")

    def _url(self, path: str) -> str:
        return f"{self._api}/repos/{self.repository}/{path}".rstrip("/")

    def _page_of(self, path: str) -> str:
        host = "https://github.com" if self._api == _PUBLIC else self._api
        return f"{host}/{self.repository}/{path}"

    def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        repeatable: bool = True,
        wanted: int | None = None,
    ) -> httpx.Response:
        """The answer to one call: with status `wanted`, or with any that means success."""
        url = path if path.startswith(f"{self._api}/") else self._url(path)
        return self._tried(method, url, lambda: self._once(method, url, body, wanted), repeatable=repeatable)

    def _tried(self, method: str, url: str, once: Callable[[], T], *, repeatable: bool = True) -> T:
        again = Retrying(
            retry=retry_if_exception(lambda error: _try_again(error, repeatable=repeatable)),
            wait=_wait,
            stop=stop_after_attempt(_TRIES),
            sleep=self._clock.sleep,
            reraise=True,
        )
        try:
            return again(once)
        except _FailedError as failure:
            said = str(failure).replace(self._token, "***")
            kind = _SentError if failure.sent and not repeatable else GitHubError
            raise kind(
                f"GitHub did not answer {method} {urlsplit(url).path} as it should",
                why=said,
                next_step=_advice(failure.status),
                status=failure.status,
            ) from None  # the cause holds the request, and that the token

    def _once(self, method: str, url: str, body: dict[str, Any] | None, wanted: int | None) -> httpx.Response:
        with _transport_errors():
            answer = self._client.request(method, url, json=body)
        status = answer.status_code
        if status == wanted or (wanted is None and _OK <= status < _OK + 100):
            return answer
        raise self._failure(answer)

    def _foreign(self, place: str, longest: int) -> bytes:
        """What a host that is not GitHub's API gives out at a signed address; undecoded, so that nothing swells."""
        headers = {"Accept-Encoding": "identity", "User-Agent": "sentiment-pipeline-release"}
        with (
            _transport_errors(),
            httpx.Client(headers=headers, timeout=_LIMIT, transport=self._transport) as client,
            client.stream("GET", place) as answer,
        ):
            if answer.status_code != _OK:
                raise self._failure(answer, why=f"HTTP {answer.status_code} of {urlsplit(place).hostname}")
            body = bytearray()
            for chunk in answer.iter_raw():
                body += chunk
                if len(body) > longest:
                    raise OversizeError(f"an artifact has more than {longest} bytes")
            return bytes(body)

    def _failure(self, answer: httpx.Response, why: str = "") -> _FailedError:
        status = answer.status_code
        why = why or f"HTTP {status}: {_message(answer)}"
        limited_s = self._limited_for(answer) if answer.is_closed else None
        if limited_s is not None:
            # Refused before anything was done.
            return _FailedError(why, again=limited_s <= _LONGEST_WAIT_S, sent=False, after_s=limited_s, status=status)
        broken = status >= _SERVER_ERROR
        return _FailedError(why, again=broken, sent=broken, after_s=self._retry_after_s(answer), status=status)

    def _retry_after_s(self, answer: httpx.Response) -> float | None:
        """Seconds that the answer asks to wait: HTTP allows a number and a date (RFC 9110, section 10.2.3)."""
        said = answer.headers.get("retry-after", "")
        if (seconds := _seconds(said)) is not None:
            return seconds
        try:
            return max(0.0, parsedate_to_datetime(said).timestamp() - self._clock.now().timestamp())
        except (ValueError, OverflowError):
            return None

    def _limited_for(self, answer: httpx.Response) -> float | None:
        """Seconds until a rate limit allows the next call; `None` when the answer is no rate limit.

        As docs.github.com ("Best practices for using the REST API") says: Retry-After, else the reset time when
        nothing remains, else a minute.
        """
        if answer.status_code not in {403, _TOO_MANY}:
            return None
        told = self._retry_after_s(answer)
        if told is not None:
            return told
        if answer.headers.get("x-ratelimit-remaining") == "0":
            reset = _seconds(answer.headers.get("x-ratelimit-reset", ""))
            return 60.0 if reset is None else max(0.0, reset - self._clock.now().timestamp())
        limited = answer.status_code == _TOO_MANY or "rate limit" in _message(answer).lower()
        return 60.0 if limited else None


@contextmanager
def _transport_errors() -> Generator[None]:
    """Say of a connection that fails whether the call may have arrived."""
    try:
        yield
    except _NEVER_SENT as error:
        raise _FailedError(f"{type(error).__name__}: {error}", again=True, sent=False) from None
    except httpx.TransportError as error:
        raise _FailedError(f"{type(error).__name__}: {error}", again=True, sent=True) from None
    except httpx.HTTPError as error:
        raise _FailedError(f"{type(error).__name__}: {error}", again=False, sent=True) from None


def _require_safe(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise GitHubError(
            "GitHub leads to an artifact over a connection that anybody can change",
            why=f"{parts.scheme or 'no scheme'}, {parts.hostname or 'no host'}",
            next_step="check GITHUB_API_URL",
        )


def _require(token: str, repository: str, api: str) -> None:
    if not re.fullmatch(r"[!-~]+", token):
        raise GitHubError(
            "GITHUB_TOKEN is no token", why="it holds spaces, line ends or other letters", next_step="set it again"
        )
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise GitHubError(
            f"{repository!r} is not the name of a repository", next_step="set GITHUB_REPOSITORY to OWNER/NAME"
        )
    parts = urlsplit(api)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise GitHubError(
            f"{parts.hostname} would be sent the token in clear text",
            next_step="set GITHUB_API_URL to an https address",
        )


def _marker(key: str) -> str:
    if not re.fullmatch(r"[\w.:/-]+", key) or "--" in key:
        raise ValueError(f"{key!r} cannot stand in an HTML comment")
    return f"<!-- sentiment-pipeline {key} -->"


def _try_again(error: BaseException, *, repeatable: bool) -> bool:
    return isinstance(error, _FailedError) and error.again and (repeatable or not error.sent)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    told = error.after_s if isinstance(error, _FailedError) and error.after_s is not None else 0.0
    return max(min(told, _LONGEST_WAIT_S), wait_random_exponential(multiplier=0.5, max=8)(state))


def _seconds(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[0-9]{1,12}", text.strip()) else None


def _message(answer: httpx.Response) -> str:
    try:
        said = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        said = answer.reason_phrase or "no message"
    return one_line(said, 200)


def _advice(status: int) -> str:
    if status in {401, 403}:
        return "look at the `permissions` of the job, and at the token's rate limit"
    return "try again; https://www.githubstatus.com says how GitHub is"


def _json(answer: httpx.Response, path: str) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise GitHubError(f"GitHub's answer to {path} is no JSON", why=str(error), next_step=_advice(0)) from None


def _parsed(answer: httpx.Response, kind: type[T], path: str) -> T:
    return _valid(_json(answer, path), kind, path)


def _valid(document: Any, kind: type[T], path: str) -> T:
    try:
        return TypeAdapter(kind).validate_python(document, strict=True)
    except ValidationError as error:
        where = ", ".join(sorted({".".join(map(str, one["loc"])) or "all of it" for one in error.errors()}))
        raise GitHubError(
            f"GitHub's answer to {path} is not what its documentation says", why=f"wrong or missing: {where[:200]}"
        ) from None
