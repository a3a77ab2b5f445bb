"""Commits and pull requests: who wrote what, who signed it, what belongs to what. Seeded; nothing here makes one."""

from typing import Any

from fastapi import APIRouter, Request

from localcloud.github import shapes
from localcloud.github.errors import GitHubApiError, found, invalid
from localcloud.github.routing import OWN, REPO, JsonBody, Store, page
from localcloud.github.store import GitHubStore

_LISTED_COMMITS, _LISTED_FILES = 250, 3_000
_UPDATE = {"user": "dependabot[bot]", "merged": True, "merge_commit_sha": None}

routes = APIRouter()


@routes.put(f"{OWN}/commits", status_code=204)
async def _put_commit(wanted: JsonBody, store: Store) -> None:
    """Tell of a commit: `sha`, and what is not as in one of Dependabot's.

    That is `author` and `committer` (logins; null for somebody whom GitHub does not know), `verified`, `parents`,
    `pulls` (numbers), `message`.
    """
    dependabot = {"author": "dependabot[bot]", "committer": "web-flow", "verified": True}
    commit: dict[str, Any] = {**dependabot, "pulls": [], **wanted}
    for who in ("author", "committer"):
        if commit[who] is not None:
            store.user(commit[who])
    if not commit.get("sha"):
        raise invalid("sha is missing")
    store.commits[commit["sha"]] = commit


@routes.put(f"{OWN}/pulls", status_code=204)
async def _put_pull(wanted: JsonBody, store: Store) -> None:
    """Tell of a pull request: `number`, `head`, `commits`, `files`, and what is not as in a merged update.

    `head` has a `sha` and may have a `repo` (full name; null for a fork that is gone), `commits` are SHAs, oldest
    first, `files` have `filename`, `sha`, `status`. Besides: `user`, `base` (`ref`, `sha`), `merged`,
    `merge_commit_sha`, `state` (closed without a merge), and `counts` that GitHub shall show instead of the right
    ones. Labels stay as they are: they are set over the API.
    """
    pull: dict[str, Any] = {**_UPDATE, "files": [], "commits": [], **wanted}
    unknown = [sha for sha in pull["commits"] if sha not in store.commits]
    if not isinstance(pull.get("number"), int) or "sha" not in pull.get("head", {}) or unknown:
        raise invalid(f"number and head.sha must be there, and commits known (unknown: {unknown})")
    if pull["user"] is not None:
        store.user(pull["user"])
    known = store.pulls.get(pull["number"], {})
    store.pulls[pull["number"]] = {**pull, "labels": known.get("labels", [])}


@routes.get(f"{REPO}/commits/{{sha}}")
async def _commit(sha: str, store: Store) -> dict[str, Any]:
    return shapes.commit(_known(store, sha), store)


@routes.get(f"{REPO}/commits/{{sha}}/pulls")
async def _pulls_of_commit(sha: str, request: Request, store: Store) -> Any:
    return page(request, [shapes.listed_pull(_one(store, number), store) for number in _known(store, sha)["pulls"]])


@routes.get(f"{REPO}/pulls")
async def _list(request: Request, store: Store, state: str = "open", head: str = "", base: str = "") -> Any:
    if state not in ("open", "closed", "all"):
        raise invalid("state must be open, closed or all")
    known = [shapes.listed_pull(store.pulls[number], store) for number in sorted(store.pulls, reverse=True)]
    # As on GitHub a head that names no owner is no filter at all.
    owner, colon, branch = head.partition(":")
    shown = [
        one
        for one in known
        if state in ("all", one["state"])
        and base in ("", one["base"]["ref"])
        and (not colon or (_owner(one).lower(), one["head"]["ref"]) == (owner.lower(), branch))
    ]
    return page(request, shown)


@routes.get(f"{REPO}/pulls/{{number}}")
async def _pull(number: int, store: Store) -> dict[str, Any]:
    return shapes.pull(_one(store, number), store)


@routes.get(f"{REPO}/pulls/{{number}}/commits")
async def _commits(number: int, request: Request, store: Store) -> Any:
    listed = _one(store, number)["commits"][:_LISTED_COMMITS]
    return page(request, [shapes.commit(_known(store, sha), store) for sha in listed])


@routes.get(f"{REPO}/pulls/{{number}}/files")
async def _files(number: int, request: Request, store: Store) -> Any:
    return page(request, [shapes.pull_file(file) for file in _one(store, number)["files"][:_LISTED_FILES]])


def _one(store: GitHubStore, number: int) -> dict[str, Any]:
    return found(store.pulls.get(number))


def _owner(pull: dict[str, Any]) -> str:
    repository = pull["head"]["repo"]
    return repository["owner"]["login"] if repository else ""


def _known(store: GitHubStore, sha: str) -> dict[str, Any]:
    if sha not in store.commits:
        raise GitHubApiError(422, f"No commit found for SHA: {sha}")
    return store.commits[sha]
