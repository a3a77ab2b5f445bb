"""What the releaser tells people: issues with comments, deployments with their statuses."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from localcloud.github import shapes
from localcloud.github.errors import invalid, not_found
from localcloud.github.pages import page
from localcloud.github.runs import JsonBody
from localcloud.github.store import OWNER, REPOSITORY, Store

_STATES = frozenset({"error", "failure", "inactive", "in_progress", "queued", "pending", "success"})
_LONGEST_BODY = 65_536


def issue_routes(store: Store) -> APIRouter:
    """Return the routes of issues and their comments. Whoever has a token is the owner."""
    routes = APIRouter(prefix=f"/repos/{OWNER}/{REPOSITORY}/issues")
    issues = store.collection("issues")

    def one(number: int) -> dict[str, Any]:
        return _found(issues, "number", number)

    @routes.post("", status_code=201)
    async def add(wanted: JsonBody) -> dict[str, Any]:
        _check_text(wanted, "title")
        number = len(issues) + 1
        labels = [{"name": name} for name in wanted.get("labels", ())]
        return store.add("issues", {**shapes.issue(number, store), "body": None, **wanted, "labels": labels})

    @routes.get("")
    async def listed(request: Request) -> Any:
        wanted = request.query_params
        state, labels = wanted.get("state", "open"), set(filter(None, wanted.get("labels", "").split(",")))
        return page(
            request,
            [
                found
                for found in reversed(issues)
                if state in ("all", found["state"]) and labels <= {label["name"] for label in found["labels"]}
            ],
        )

    @routes.get("/{number}")
    async def read(number: int) -> dict[str, Any]:
        return one(number)

    @routes.patch("/{number}")
    async def change(number: int, wanted: JsonBody) -> dict[str, Any]:
        found = one(number)
        if "labels" in wanted:
            wanted["labels"] = [{"name": name} for name in wanted["labels"]]
        found.update(wanted)
        return found

    @routes.post("/{number}/comments", status_code=201)
    async def comment(number: int, wanted: JsonBody) -> dict[str, Any]:
        one(number)
        _check_text(wanted, "body")
        return store.add(f"issues/{number}/comments", {**shapes.comment(number, store), **wanted})

    @routes.get("/{number}/comments")
    async def comments(number: int, request: Request) -> Any:
        one(number)
        return page(request, store.collection(f"issues/{number}/comments"))

    @routes.patch("/comments/{comment_id}")
    async def change_comment(comment_id: int, wanted: JsonBody) -> dict[str, Any]:
        known = [found for issue in issues for found in store.collection(f"issues/{issue['number']}/comments")]
        found = _found(known, "id", comment_id)
        found.update(wanted)
        return found

    return routes


def deployment_routes(store: Store) -> APIRouter:
    """Return the routes of deployments and their statuses."""
    routes = APIRouter(prefix=f"/repos/{OWNER}/{REPOSITORY}/deployments")
    deployments = store.collection("deployments")

    @routes.post("", status_code=201)
    async def add(wanted: JsonBody) -> dict[str, Any]:
        if not wanted.get("ref"):
            raise invalid("ref is missing")
        return store.add("deployments", {**shapes.deployment(store), "sha": wanted["ref"], **wanted})

    @routes.get("")
    async def listed(request: Request) -> Any:
        filters = {
            name: request.query_params[name]
            for name in ("sha", "ref", "task", "environment")
            if name in request.query_params
        }
        return page(
            request,
            [one for one in reversed(deployments) if all(one.get(key) == value for key, value in filters.items())],
        )

    @routes.get("/{deployment_id}")
    async def read(deployment_id: int) -> dict[str, Any]:
        return _found(deployments, "id", deployment_id)

    @routes.post("/{deployment_id}/statuses", status_code=201)
    async def add_status(deployment_id: int, wanted: JsonBody) -> dict[str, Any]:
        deployment = _found(deployments, "id", deployment_id)
        if wanted.get("state") not in _STATES:
            raise invalid("state is none of GitHub's")
        status = {"environment": deployment["environment"], **shapes.status(store), **wanted}
        return store.add(f"deployments/{deployment_id}/statuses", status)

    @routes.get("/{deployment_id}/statuses")
    async def statuses(deployment_id: int, request: Request) -> Any:
        _found(deployments, "id", deployment_id)
        return page(request, list(reversed(store.collection(f"deployments/{deployment_id}/statuses"))))

    return routes


def _check_text(wanted: dict[str, Any], name: str) -> None:
    if not wanted.get(name):
        raise invalid(f"{name} is missing")
    if len(wanted.get("body") or "") > _LONGEST_BODY:
        raise invalid(f"body is too long (maximum is {_LONGEST_BODY} characters)")


def _found(items: list[dict[str, Any]], key: str, value: int) -> dict[str, Any]:
    for one in items:
        if one[key] == value:
            return one
    raise not_found()
