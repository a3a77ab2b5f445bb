"""Statuses of commits: what a job says of a commit besides its checks."""

import re
from typing import Any

from fastapi import APIRouter, Request

from localcloud.github import shapes
from localcloud.github.errors import GitHubApiError, invalid
from localcloud.github.pages import JsonBody, page
from localcloud.github.people import writer
from localcloud.github.store import OWNER, REPOSITORY, GitHubStore

_STATES = frozenset({"error", "failure", "pending", "success"})
_FIELDS = frozenset({"state", "target_url", "description", "context"})
_LONGEST_DESCRIPTION = 140


def commit_status_routes(store: GitHubStore) -> APIRouter:
    """Return the routes of commit statuses."""
    routes = APIRouter(prefix=f"/repos/{OWNER}/{REPOSITORY}")

    @routes.post("/statuses/{sha}", status_code=201)
    async def add(sha: str, request: Request, wanted: JsonBody) -> dict[str, Any]:
        if sha not in _known(store):
            raise GitHubApiError(422, f"No commit found for SHA: {sha}")
        _check(wanted)
        status = {"description": None, "target_url": None, "context": "default", **wanted}
        return store.add(f"statuses/{sha}", {**status, "creator": shapes.account(writer(request, store), store)})

    @routes.get("/commits/{sha}/statuses")
    async def listed(sha: str, request: Request) -> Any:
        return page(request, store.collection(f"statuses/{sha}")[::-1])

    return routes


def _known(store: GitHubStore) -> set[str]:
    heads = {one["head"]["sha"] for one in store.pulls.values()}
    return heads | set(store.commits) | {store.run(run_id).get("head_sha", "") for run_id in store.runs}


def _check(wanted: dict[str, Any]) -> None:
    problems = [f"{name} is not a field" for name in wanted.keys() - _FIELDS]
    if wanted.get("state") not in _STATES:
        problems.append("state must be error, failure, pending or success")
    if len(wanted.get("description") or "") > _LONGEST_DESCRIPTION:
        problems.append(f"description is too long (maximum is {_LONGEST_DESCRIPTION} characters)")
    if wanted.get("target_url") and not re.match(r"https?://", wanted["target_url"]):
        problems.append("target_url must use http or https")
    if problems:
        raise invalid(*problems)
