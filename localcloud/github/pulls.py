"""Commits and pull requests: who wrote what, who signed it, what belongs to what. Seeded; nothing here makes one."""

from typing import Any

from fastapi import APIRouter, Request

from localcloud.github import shapes
from localcloud.github.errors import GitHubApiError, found, invalid
from localcloud.github.pages import JsonBody, page
from localcloud.github.store import OWNER, REPOSITORY, GitHubStore

_LISTED_COMMITS, _LISTED_FILES = 250, 3_000


def pull_seeds(store: GitHubStore) -> APIRouter:
    """Return the routes by which a test or a rehearsal says what GitHub knows of the history."""
    routes = APIRouter()

    @routes.put("/commits", status_code=204)
    async def put_commit(wanted: JsonBody) -> None:
        """Tell of a commit: `sha`, and what is not as in one of Dependabot's.

        That is `author` and `committer` (logins; null for somebody whom GitHub does not know), `verified`, `parents`,
        `pulls` (numbers), `message`.
        """
        commit: dict[str, Any] = {
            "author": "dependabot[bot]",
            "committer": "web-flow",
            "verified": True,
            "pulls": [],
            **wanted,
        }
        for who in ("author", "committer"):
            if commit[who] is not None:
                store.user(commit[who])
        if not commit.get("sha"):
            raise invalid("sha is missing")
        store.commits[commit["sha"]] = commit

    @routes.put("/pulls", status_code=204)
    async def put_pull(wanted: JsonBody) -> None:
        """Tell of a pull request: `number`, `head`, `commits`, `files`, and what is not as in a merged update.

        `head` has a `sha` and may have a `repo` (full name; null for a fork that is gone), `commits` are SHAs, oldest
        first, `files` have `filename`, `sha`, `status`. Besides: `user`, `base` (`ref`, `sha`), `merged`,
        `merge_commit_sha`, `state` (closed without a merge), and `counts` that GitHub shall show instead of the right
        ones. Labels stay as they are: they are set over the API.
        """
        pull: dict[str, Any] = {
            "user": "dependabot[bot]",
            "merged": True,
            "merge_commit_sha": None,
            "files": [],
            "commits": [],
            **wanted,
        }
        unknown = [sha for sha in pull["commits"] if sha not in store.commits]
        if not isinstance(pull.get("number"), int) or "sha" not in pull.get("head", {}) or unknown:
            raise invalid(f"number and head.sha must be there, and commits known (unknown: {unknown})")
        if pull["user"] is not None:
            store.user(pull["user"])
        known = store.pulls.get(pull["number"], {})
        store.pulls[pull["number"]] = {**pull, "labels": known.get("labels", [])}

    return routes


def pull_routes(store: GitHubStore) -> APIRouter:
    """Return the routes of commits and pull requests."""
    routes = APIRouter(prefix=f"/repos/{OWNER}/{REPOSITORY}")

    def one(number: int) -> dict[str, Any]:
        return found(store.pulls.get(number))

    @routes.get("/commits/{sha}")
    async def commit(sha: str) -> dict[str, Any]:
        return shapes.commit(_known(store, sha), store)

    @routes.get("/commits/{sha}/pulls")
    async def pulls_of_a_commit(sha: str, request: Request) -> Any:
        return page(request, [shapes.listed_pull(one(number), store) for number in _known(store, sha)["pulls"]])

    @routes.get("/pulls")
    async def pulls(request: Request, state: str = "open", head: str = "", base: str = "") -> Any:
        return page(request, _listed(store, state, head, base))

    @routes.get("/pulls/{number}")
    async def pull(number: int) -> dict[str, Any]:
        return shapes.pull(one(number), store)

    @routes.get("/pulls/{number}/commits")
    async def commits(number: int, request: Request) -> Any:
        listed = one(number)["commits"][:_LISTED_COMMITS]
        return page(request, [shapes.commit(_known(store, sha), store) for sha in listed])

    @routes.get("/pulls/{number}/files")
    async def files(number: int, request: Request) -> Any:
        return page(request, [shapes.pull_file(file) for file in one(number)["files"][:_LISTED_FILES]])

    return routes


def _listed(store: GitHubStore, state: str, head: str, base: str) -> list[dict[str, Any]]:
    if state not in ("open", "closed", "all"):
        raise invalid("state must be open, closed or all")
    known = [shapes.listed_pull(store.pulls[number], store) for number in sorted(store.pulls, reverse=True)]
    # As on GitHub a head that names no owner is no filter at all.
    owner, colon, branch = head.partition(":")
    return [
        one
        for one in known
        if state in ("all", one["state"])
        and base in ("", one["base"]["ref"])
        and (not colon or (_owner(one).lower(), one["head"]["ref"]) == (owner.lower(), branch))
    ]


def _owner(pull: dict[str, Any]) -> str:
    repository = pull["head"]["repo"]
    return repository["owner"]["login"] if repository else ""


def _known(store: GitHubStore, sha: str) -> dict[str, Any]:
    if sha not in store.commits:
        raise GitHubApiError(422, f"No commit found for SHA: {sha}")
    return store.commits[sha]
