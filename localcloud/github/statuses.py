"""Statuses of commits: what a job says of a commit besides its checks."""

from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from localcloud.github import shapes
from localcloud.github.errors import GitHubApiError
from localcloud.github.routing import REPO, Store, Writer, page
from localcloud.github.store import GitHubStore

routes = APIRouter()


class NewStatus(BaseModel):
    """What GitHub takes as the status of a commit."""

    model_config = ConfigDict(extra="forbid")

    state: Literal["error", "failure", "pending", "success"]
    target_url: str | None = Field(None, pattern="^(https?://|$)")
    description: str | None = Field(None, max_length=140)
    context: str = "default"


@routes.post(f"{REPO}/statuses/{{sha}}", status_code=201)
async def _add(sha: str, wanted: NewStatus, login: Writer, store: Store) -> dict[str, Any]:
    if sha not in _known(store):
        raise GitHubApiError(422, f"No commit found for SHA: {sha}")
    return store.add(f"statuses/{sha}", {**wanted.model_dump(), "creator": shapes.account(login, store)})


@routes.get(f"{REPO}/commits/{{sha}}/statuses")
async def _list(sha: str, request: Request, store: Store) -> Any:
    return page(request, store.collection(f"statuses/{sha}")[::-1])


def _known(store: GitHubStore) -> set[str]:
    heads = {one["head"]["sha"] for one in store.pulls.values()}
    return heads | set(store.commits) | {store.run(run_id).get("head_sha", "") for run_id in store.runs}
